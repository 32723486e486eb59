"""Tables as people's programs write them: CSV of any kind, or the first sheet of a workbook.

CSV may have commas, semicolons or tabs, in UTF-8, UTF-16 or the code page of Windows in western
countries. Which it is, is found from the bytes; what is not certain is told.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mandora.core.csv_text import csv_rows
from mandora.core.errors import InputError
from mandora.core.inputs import read_bytes
from mandora.datasets.xlsx import read_sheet

_WORKBOOK = b"PK\x03\x04"
_OLD_WORKBOOK = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_DELIMITERS = ",;\t"
_SEP = re.compile(r"sep=([,;\t])\r?\n", re.IGNORECASE)  # Excel's own first line
_QUOTED = re.compile(r'"[^"]*"')
_WINDOWS = "cp1252"


@dataclass(frozen=True)
class TableRows:
    """Rows of a table file.

    Attributes:
        rows: line of the file, the first being 1, and cells without blanks around them; rows
            with nothing but blanks are left out.
        remarks: what was not certain about how the file is to be read.
    """

    rows: tuple[tuple[int, tuple[str, ...]], ...]
    remarks: tuple[str, ...] = ()


def read_rows(path: Path) -> TableRows:
    """Read a table file.

    Args:
        path: of a CSV file or an ``.xlsx`` workbook; its content decides, not its name.

    Raises:
        InputError: naming the file, if it is no such table.
        OSError: if it cannot be read.
    """
    data = read_bytes(path)
    if data.startswith(_WORKBOOK):
        return TableRows(_filled(enumerate(read_sheet(path), 1)))
    if data.startswith(_OLD_WORKBOOK):
        raise InputError(f"{path}: is a workbook of old Excel (.xls); save it as .xlsx or CSV")
    text, remarks = _decoded(path, data)
    separator = _SEP.match(text)
    start = separator.end() if separator else 0
    delimiter = separator[1] if separator else _delimiter(text)
    try:
        lines = [(n + bool(start), row) for n, row in csv_rows(text[start:], delimiter)]
    except csv.Error as error:
        raise InputError(
            f"{path}: is no CSV file ({error}); save it as CSV with commas, in UTF-8"
        ) from None
    return TableRows(_filled(lines), remarks)


def _filled(rows: object) -> tuple[tuple[int, tuple[str, ...]], ...]:
    stripped = ((n, tuple(cell.strip() for cell in row)) for n, row in rows)  # type: ignore[attr-defined]
    return tuple((n, row) for n, row in stripped if any(row))


def _decoded(path: Path, data: bytes) -> tuple[str, tuple[str, ...]]:
    zeros = data[:200].count(b"\0")
    try:
        if data.startswith(_UTF16):
            return data.decode("utf-16"), ()
        if zeros > len(data[:200]) // 3:  # western text in UTF-16 without a mark
            return data.decode("utf-16-be" if data[:1] == b"\0" else "utf-16-le"), ()
        if zeros:
            raise InputError(f"{path}: is no CSV file; save it as CSV with commas, in UTF-8")
        return data.decode("utf-8-sig"), ()
    except UnicodeDecodeError as error:
        fault = f"{path}: is no CSV file ({error}); save it as CSV with commas, in UTF-8"
    if data.startswith(_UTF16):
        raise InputError(fault)
    try:
        text = data.decode(_WINDOWS)
    except UnicodeDecodeError:
        raise InputError(fault) from None
    return text, ("is not in UTF-8 and was read in Windows' code page 1252; check its letters",)


def _delimiter(text: str) -> str:
    """What separates most cells of the first line that has any."""
    for line in text.splitlines():
        counts = [_QUOTED.sub("", line).count(delimiter) for delimiter in _DELIMITERS]
        if any(counts):
            return _DELIMITERS[counts.index(max(counts))]
    return ","


def header_at(rows: Sequence[tuple[int, Sequence[str]]], required: Sequence[str], most: int) -> int:
    """Index of the row that has all required columns, whatever their capitals; 0 if none has.

    Args:
        rows: of a table.
        required: columns.
        most: rows that are looked at: titles may stand above the header.
    """
    wanted = {column.casefold() for column in required}
    for index, (_, row) in enumerate(rows[:most]):
        if wanted <= {cell.casefold() for cell in row}:
            return index
    return 0
