"""The first sheet of an Excel workbook as rows of text; just enough for metadata of data sets."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from xml.etree import ElementTree

from mandora.core.errors import InputError
from mandora.core.inputs import NotRegular, open_regular

_MAX_BYTES = 200_000_000  # of an unpacked part
_CELL = re.compile(r"([A-Z]+)[0-9]+")


def read_sheet(path: Path) -> list[list[str]]:
    """Read the first sheet of an ``.xlsx`` workbook.

    Returns:
        Rows of cells as text, as they are stored: dates are numbers. Rows may differ in length.

    Raises:
        ValueError: naming the file, if it is no such workbook.
    """
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as book:
            sheets = [n for n in book.namelist() if re.fullmatch(r"xl/worksheets/[^/]+\.xml", n)]
            first = min(sheets, key=lambda name: (len(name), name))
            shared: list[str] = []
            if "xl/sharedStrings.xml" in book.namelist():
                strings = _parse(book, "xl/sharedStrings.xml")
                shared = [_text(item) for item in strings.iterfind("{*}si")]
            return [_row(row, shared) for row in _parse(book, first).iterfind(".//{*}row")]
    except NotRegular:
        raise
    except (OSError, ValueError, LookupError, zipfile.BadZipFile, ElementTree.ParseError) as error:
        raise InputError(f"{path}: is no Excel workbook; save the table as CSV") from error


def _parse(book: zipfile.ZipFile, name: str) -> ElementTree.Element:
    if book.getinfo(name).file_size > _MAX_BYTES:
        raise InputError(f"{name} is too large")
    data = book.read(name)
    if b"<!DOCTYPE" in data[:1000]:  # workbooks have none; entities could fill the memory
        raise InputError(f"{name} declares entities")
    return ElementTree.fromstring(data)


def _text(item: ElementTree.Element) -> str:
    return "".join(text.text or "" for text in item.iterfind(".//{*}t"))


def _row(row: ElementTree.Element, shared: list[str]) -> list[str]:
    cells: list[str] = []
    for cell in row.iterfind("{*}c"):
        place = _CELL.fullmatch(cell.get("r", ""))
        column = _column(place[1]) if place else len(cells)
        cells += [""] * (column - len(cells))
        kind, value = cell.get("t", "n"), cell.findtext("{*}v", "")
        if kind == "s":
            value = shared[int(value)]
        elif kind == "inlineStr":
            value = _text(cell)
        cells.append(value.strip())
    return cells


def _column(letters: str) -> int:
    """``A`` is 0, ``AA`` is 26."""
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - ord("A") + 1
    if number > 16_384:
        raise InputError(f"column {letters} is beyond the sheet")
    return number - 1
