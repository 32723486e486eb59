"""The first sheet of a workbook as text."""

from __future__ import annotations

import zipfile
from datetime import date, datetime
from io import BytesIO
from pathlib import Path

import pytest
from openpyxl import Workbook

from mandora.datasets import xlsx
from mandora.datasets.xlsx import read_sheet

MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def saved(path: Path, *rows: list[object]) -> Path:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def with_rows(path: Path, rows: str) -> Path:
    """A workbook whose sheet's XML holds these rows."""
    plain = BytesIO()
    Workbook().save(plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            sheet = f"<worksheet {MAIN}><sheetData>{rows}</sheetData></worksheet>"
            new.writestr(name, sheet if "sheet1" in name else old.read(name))
    return path


def test_kinds_of_cells(tmp_path: Path) -> None:
    book = Workbook()
    book.active.append(["a ", None, "c"])
    book.active["A3"], book.active["B3"], book.active["C3"] = 42, 1.5, 2.0
    book.active["A4"], book.active["B4"] = date(2019, 3, 2), datetime(2019, 3, 2, 10, 45)
    book.active["A5"] = 7
    book.active["A5"].number_format = "000"  # an id, shown as 007
    book.active["B5"] = True
    book.save(tmp_path / "m.xlsx")
    assert read_sheet(tmp_path / "m.xlsx") == [
        ["a", "", "c"], [], ["42", "1.5", "2"], ["2019-03-02", "2019-03-02 10:45:00", ""],
        ["007", "True", ""],
    ]  # fmt: skip


def test_the_sheet_that_is_shown_first_counts(tmp_path: Path) -> None:
    book = Workbook()
    book.active.append(["second"])
    book.create_sheet("moved", 0).append(["first"])  # its part is sheet2.xml
    book.save(tmp_path / "m.xlsx")
    assert read_sheet(tmp_path / "m.xlsx") == [["first"]]


def test_dates_of_old_macs_are_counted_from_1904(tmp_path: Path) -> None:
    from openpyxl.utils.datetime import CALENDAR_MAC_1904

    book = Workbook()
    book.epoch = CALENDAR_MAC_1904
    book.active.append([date(2019, 3, 2)])
    book.save(tmp_path / "m.xlsx")
    assert read_sheet(tmp_path / "m.xlsx") == [["2019-03-02"]]


@pytest.mark.parametrize(
    "rows",
    [
        "<row>",  # no XML
        '<row><c r="A1" t="s"><v>5</v></c></row>',  # no such shared text
        '<row><c r="XXXX1"><v>5</v></c></row>',  # beyond the sheet
        '<row r="99999999999"><c r="A99999999999"><v>5</v></c></row>',
        '<row><c r="ZZZ1"><v>5</v></c></row>' * 300,  # a few kB that are 5 million cells
    ],
)
def test_what_cannot_be_read_is_refused_by_name(tmp_path: Path, rows: str) -> None:
    with pytest.raises(ValueError, match=r"m\.xlsx: is no Excel workbook.*; save the table as CSV"):
        read_sheet(with_rows(tmp_path / "m.xlsx", rows))


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.xlsx").write_text("a,b\n")
    with zipfile.ZipFile(tmp_path / "z.xlsx", "w") as book:
        book.writestr("readme.txt", "no workbook")
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa">]><worksheet/>'
    for name, data in (("e", bomb.encode()), ("e16", bomb.encode("utf-16"))):
        with zipfile.ZipFile(saved(tmp_path / f"{name}.xlsx", [1]), "a") as book:
            book.writestr("xl/other.xml", data)
    for name in ("t.xlsx", "z.xlsx", "e.xlsx", "e16.xlsx", "absent.xlsx"):
        with pytest.raises(ValueError, match=name):
            read_sheet(tmp_path / name)


def test_what_unfolds_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "m.xlsx", ["x" * 30_000])
    monkeypatch.setattr(xlsx, "_MAX_BYTES", 20_000)
    with pytest.raises(ValueError, match=r"m\.xlsx: is no Excel workbook \(it unfolds"):
        read_sheet(path)


def test_a_damaged_workbook_never_ends_the_program(tmp_path: Path) -> None:
    data = bytearray(saved(tmp_path / "m.xlsx", ["file", "patient"], ["a.png", "P1"]).read_bytes())
    for at in range(0, len(data), len(data) // 40):
        changed = bytes(data[:at]) + b"\xff\x00" + bytes(data[at + 2 :])
        (tmp_path / "d.xlsx").write_bytes(changed)
        try:
            rows = read_sheet(tmp_path / "d.xlsx")
        except ValueError as error:
            assert "d.xlsx: is no Excel workbook" in str(error)  # noqa: PT017
        else:
            assert rows == [["file", "patient"], ["a.png", "P1"]]
