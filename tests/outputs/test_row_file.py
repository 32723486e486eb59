from __future__ import annotations

import pytest

from mandora.core.csv_text import csv_text
from mandora.core.files import OutputError
from mandora.outputs.row_file import RowFile


def test_a_row_is_in_the_file_as_soon_as_it_is_appended(tmp_path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("an older table\n", encoding="utf-8")
    rows = RowFile(path, ("name", "x"))
    assert path.read_bytes() == b"name,x\n"
    rows.append(csv_text([["a, b", "1"], ["é", ""]]))
    assert path.read_bytes() == 'name,x\n"a, b",1\né,\n'.encode()
    assert rows.size == path.stat().st_size
    rows.close()
    rows.close()
    with pytest.raises(ValueError, match="closed file"):
        rows.append("x,2\n")


def test_rows_can_be_taken_back(tmp_path) -> None:
    rows = RowFile(tmp_path / "a.csv", ("x",))
    before = rows.size
    rows.append("1\n2\n")
    rows.cut(before)
    rows.append("3\n")
    rows.close()
    assert (tmp_path / "a.csv").read_bytes() == b"x\n3\n"


def test_a_row_file_that_cannot_be_made_is_named(tmp_path) -> None:
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(OutputError, match=r"a\.csv"):
        RowFile(tmp_path / "a.csv", ("x",))
