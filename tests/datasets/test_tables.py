"""CSV files: every fault is noted with its row, and the rest is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mandora.datasets.findings import Finding, Report
from mandora.datasets.tables import read_table

WriteTable = Callable[..., Path]


def only(report: Report) -> Finding:
    (finding,) = report.findings
    return finding


def test_cells_by_column(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b'\xef\xbb\xbfa, b\r\n\r\n 1 ,"2, 3"\r\n,\r\nx,y\r\n')
    table = read_table(path, Report(tmp_path), ("a",))
    assert table is not None
    assert table.columns == ("a", "b")
    assert [(row.line, row["a"], row["b"], row["c"]) for row in table.rows] == [
        (3, "1", "2, 3", ""),
        (5, "x", "y", ""),
    ]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b'a,b\n"1,2\n'])
def test_what_is_no_table(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    report = Report(tmp_path)
    assert read_table(tmp_path / "t.csv", report) is None
    assert (only(report).code, only(report).file) == ("file-unreadable", "t.csv")


def test_nothing_to_read(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("\n,\n")
    for name, code in (("empty.csv", "table-empty"), ("absent.csv", "file-unreadable")):
        report = Report(tmp_path)
        assert read_table(tmp_path / name, report) is None
        assert only(report).code == code


def test_headers(tmp_path: Path, write_table: WriteTable) -> None:
    report = Report(tmp_path)
    path = write_table(tmp_path / "t.csv", "z;b", "1;2")
    assert read_table(path, report, ("a",)) is None
    assert str(only(report)) == (
        "t.csv, row 1: error: column a is missing; add it [column-missing]"
    )
    report = Report(tmp_path)
    path = write_table(tmp_path / "t.csv", "a,a,z", "1,2,3")
    assert read_table(path, report, ("a",), ("a", "b")) is not None
    assert [f.code for f in report.findings] == ["column-repeated", "column-unknown"]


def test_a_row_of_another_length_is_left_out(tmp_path: Path, write_table: WriteTable) -> None:
    report = Report(tmp_path)
    table = read_table(write_table(tmp_path / "t.csv", "a,b", "1", "1,2,3", "1,2"), report)
    assert table is not None
    assert len(table.rows) == 1
    assert [(f.code, f.row) for f in report.findings] == [("row-length", 2), ("row-length", 3)]


def test_columns_in_other_capitals_titles_and_blank_ends(
    tmp_path: Path, write_table: WriteTable
) -> None:
    report = Report(tmp_path)
    path = write_table(tmp_path / "t.csv", "Scores,,", "PATIENT,Score,", "P1,2,", "P2,3,x", "P3")
    table = read_table(path, report, ("patient",), ("patient", "score"))
    assert table is not None
    assert table.columns == ("patient", "score")
    assert [(row.line, dict(row.cells)) for row in table.rows] == [
        (3, {"patient": "P1", "score": "2"})
    ]
    assert [(f.code, f.severity, f.row) for f in report.findings] == [
        ("column-spelling", "note", 2),
        ("rows-above-header", "note", 2),
        ("row-length", "error", 4),
        ("row-length", "error", 5),
    ]


def test_a_table_in_a_code_page_is_read_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("a;b\nM\u00fcller;1,5\n".encode("cp1252"))
    report = Report(tmp_path)
    table = read_table(tmp_path / "t.csv", report, ("a",))
    assert table is not None
    assert table.rows[0]["a"] == "M\u00fcller"
    assert only(report).code == "table-encoding"
