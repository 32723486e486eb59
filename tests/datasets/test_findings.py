"""Findings name their file relative to the data set; a single file's errors are raised at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from mandora.datasets.findings import Report, Severity


def test_files_are_named_relative_to_the_data_set(tmp_path: Path) -> None:
    report = Report(tmp_path / "set")
    report.note("a", tmp_path / "set" / "x" / "y.csv", "")
    report.warning("b", tmp_path / "else.csv", "")
    report.error("c", tmp_path / "set", "")
    report.not_read("d", tmp_path / "z", ValueError(f"{tmp_path / 'z'}: is odd"))
    assert [f.file for f in report.findings] == [
        "x/y.csv", (tmp_path / "else.csv").as_posix(), "set", (tmp_path / "z").as_posix(),
    ]  # fmt: skip
    assert report.findings[-1].message == "is odd"
    assert report.findings[0].severity is Severity.NOTE
    assert report.errors


def test_all_errors_of_a_file_are_raised_in_the_order_of_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    report = Report(tmp_path)
    report.warning("a", path, "looks odd")
    report.raise_errors(path)
    report.error("b", path, "is no number", 3)
    with pytest.raises(ValueError, match=r"t\.csv: row 3: is no number$"):
        report.raise_errors(path)
    report.error("c", path, "is blank", 2)
    with pytest.raises(
        ValueError, match=r"2 problems .*\n  row 2: is blank\n  row 3: is no number$"
    ):
        report.raise_errors(path)
