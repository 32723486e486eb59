"""Tables as people's programs write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mandora.core.errors import InputError
from mandora.datasets.table_files import header_at, read_rows

WriteTable = Callable[..., Path]

TEXT = "id,name,score\n007,Müller,1.5\n\n,,\nP2,X,2\n"
ROWS = ((1, ("id", "name", "score")), (2, ("007", "Müller", "1.5")), (5, ("P2", "X", "2")))


def rows_of(folder: Path, data: bytes) -> tuple[tuple[int, tuple[str, ...]], ...]:
    (folder / "t.csv").write_bytes(data)
    found = read_rows(folder / "t.csv")
    assert found.remarks == ()
    return found.rows


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom", "utf-16-be"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_csv_of_every_kind(tmp_path: Path, encoding: str, delimiter: str, end: str) -> None:
    text = TEXT.replace(",", delimiter).replace("\n", end)
    data = text.encode(encoding.removesuffix("-bom"))
    assert rows_of(tmp_path, b"\xff\xfe" + data if "bom" in encoding else data) == ROWS


def test_quoted_cells_and_excels_first_line(tmp_path: Path) -> None:
    quoted = "\n".join(
        ";".join(f'"{cell}"' for cell in line.split(",")) for line in TEXT.splitlines()
    )
    assert rows_of(tmp_path, quoted.encode()) == ROWS
    assert rows_of(tmp_path, b'id;name\n"1,2,3,4";x\n')[1] == (2, ("1,2,3,4", "x"))
    lines = rows_of(tmp_path, b"sep=;\r\nid;name\r\n1;x\r\n")
    assert lines == ((2, ("id", "name")), (3, ("1", "x")))


def test_a_code_page_is_remarked_upon(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(TEXT.encode("cp1252"))
    found = read_rows(tmp_path / "t.csv")
    assert found.rows == ROWS
    assert "1252" in found.remarks[0]


def test_a_workbook_whatever_its_name(tmp_path: Path, write_workbook: WriteTable) -> None:
    path = write_workbook(tmp_path / "t.csv", ["id", "score"], ["007", 1.5], ["", ""], [7, 2])
    assert read_rows(path).rows == ((1, ("id", "score")), (2, ("007", "1.5")), (4, ("7", "2")))


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"\xff\xfe\0", "no CSV"),
        (b"a\0b\xff", "no CSV"),
        (b'a,b\n"1,2\n', "no CSV"),
        (b"PK\x03\x04....", "no Excel workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "xls"),
    ],
)
def test_what_is_no_table(tmp_path: Path, data: bytes, fault: str) -> None:
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(InputError, match=rf"t\.csv: is .*{fault}.*; save"):
        read_rows(tmp_path / "t.csv")


def test_the_header_may_stand_below_titles() -> None:
    rows = [(1, ["Scores of AB", "", ""]), (2, ["PATIENT", "Score"]), (3, ["1", "2"])]
    assert header_at(rows, ["patient"], 10) == 1
    assert header_at(rows, ["patient"], 1) == 0
    assert header_at(rows, ["film"], 10) == 0
