"""The first sheet of a workbook as text."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from mandora.datasets.xlsx import read_sheet

MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def workbook(path: Path, rows: str, shared: str | None = None, sheet: str = "sheet1") -> Path:
    with zipfile.ZipFile(path, "w") as book:
        book.writestr(
            f"xl/worksheets/{sheet}.xml",
            f"<worksheet {MAIN}><sheetData>{rows}</sheetData></worksheet>",
        )
        if shared is not None:
            book.writestr("xl/sharedStrings.xml", f"<sst {MAIN}>{shared}</sst>")
    return path


def test_kinds_of_cells(tmp_path: Path) -> None:
    rows = (
        '<row r="1"><c r="A1" t="s"><v>1</v></c><c r="C1" t="s"><v>0</v></c></row>'
        '<row r="2"><c r="A2"><v>42</v></c>'
        '<c r="B2" t="inlineStr"><is><t>in line</t></is></c><c r="C2"/></row>'
        "<row><c><v> 7 </v></c><c><v>8</v></c></row>"
    )
    shared = "<si><t>third</t></si><si><r><t>fi</t></r><r><t>rst</t></r></si>"
    assert read_sheet(workbook(tmp_path / "m.xlsx", rows, shared)) == [
        ["first", "", "third"],
        ["42", "in line", ""],
        ["7", "8"],
    ]


def test_the_first_sheet_counts(tmp_path: Path) -> None:
    path = workbook(tmp_path / "m.xlsx", '<row><c r="A1"><v>2</v></c></row>', sheet="sheet2")
    with zipfile.ZipFile(path, "a") as book:
        for name, value in (("sheet10", 10), ("sheet1", 1)):
            row = f'<row><c r="A1"><v>{value}</v></c></row>'
            book.writestr(f"xl/worksheets/{name}.xml", f"<worksheet {MAIN}>{row}</worksheet>")
    assert read_sheet(path) == [["1"]]


@pytest.mark.parametrize(
    "rows",
    [
        "<row>",  # no XML
        '<row><c r="A1" t="s"><v>5</v></c></row>',  # no such shared text
        '<row><c r="XFE1"><v>5</v></c></row>',  # beyond the sheet
    ],
)
def test_what_cannot_be_read_is_refused_by_name(tmp_path: Path, rows: str) -> None:
    with pytest.raises(ValueError, match=r"m\.xlsx: is no Excel workbook; save the table as CSV"):
        read_sheet(workbook(tmp_path / "m.xlsx", rows, ""))


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.xlsx").write_text("a,b\n")
    with zipfile.ZipFile(tmp_path / "z.xlsx", "w") as book:
        book.writestr("readme.txt", "no workbook")
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa">]><worksheet/>'
    with zipfile.ZipFile(tmp_path / "bomb.xlsx", "w") as book:
        book.writestr("xl/worksheets/sheet1.xml", bomb)
    for name in ("t.xlsx", "z.xlsx", "bomb.xlsx", "absent.xlsx"):
        with pytest.raises(ValueError, match=name):
            read_sheet(tmp_path / name)
