"""The first sheet of an Excel workbook as rows of text, by openpyxl.

openpyxl knows what a reader of our own did not: which sheet is the first, which numbers are dates
(counted from 1900 or from 1904), and what a formula gave. It does not bound what it unfolds, and
fails in its own ways on a damaged file; both are contained here.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterable
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from mandora.core.errors import InputError
from mandora.core.inputs import NotRegular, open_regular

_MAX_BYTES = 100_000_000  # of all unpacked parts together
_MAX_PARTS = 2_000
_MAX_ROWS, _MAX_CELLS = 1_048_576, 4_000_000  # rows of a sheet; cells that a table has in memory
_ZEROS = re.compile(r"0+")


def read_sheet(path: Path) -> list[list[str]]:
    """Read the first sheet of an ``.xlsx`` workbook.

    Returns:
        Rows of cells as text, of one length; rows without any are empty. Dates are
        ``2019-03-02``, whole numbers have no decimals, and one that is shown with zeros in front
        has them: ``007``.

    Raises:
        ValueError: naming the file, if it is no such workbook.
    """
    try:
        with open_regular(path) as file:
            _check_parts(zipfile.ZipFile(file))
            file.seek(0)
            return _rows(file)
    except NotRegular:
        raise
    except Exception as error:  # openpyxl fails on damaged parts in any way it likes
        fault = f" ({error})" if isinstance(error, InputError) else ""
        raise InputError(f"{path}: is no Excel workbook{fault}; save the table as CSV") from error


def _check_parts(book: zipfile.ZipFile) -> None:
    """Refuse what would fill the memory, before any part is parsed."""
    parts = book.infolist()
    if len(parts) > _MAX_PARTS or sum(part.file_size for part in parts) > _MAX_BYTES:
        raise InputError(f"it unfolds to more than {_MAX_BYTES // 1_000_000} MB")
    for part in parts:
        if part.filename.lower().endswith((".xml", ".rels")):
            with book.open(part) as file:
                # workbooks declare nothing; entities could unfold without end
                if b"<!DOCTYPE" in file.read(2000).replace(b"\0", b""):
                    raise InputError("it declares entities")


def _rows(file: Any) -> list[list[str]]:
    # only who has workbooks waits for this import
    from openpyxl import load_workbook

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of styles and charts that openpyxl does not know
        book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # they are stated, and may be wrong
        rows: list[list[str]] = []
        cells = 0
        for row in sheet.iter_rows():
            cells += len(row)
            if len(rows) == _MAX_ROWS or cells > _MAX_CELLS:
                raise InputError("its first sheet is too large for a table")
            rows.append(_trimmed(map(_text, row)))
    while rows and not rows[-1]:
        rows.pop()
    # Excel leaves blank cells at a row's end out; in a CSV file they are there
    width = max(map(len, rows), default=0)
    if width * sum(map(bool, rows)) > _MAX_CELLS:
        raise InputError("its first sheet is too large for a table")
    return [row + [""] * (width - len(row)) if row else row for row in rows]


def _trimmed(cells: Iterable[str]) -> list[str]:
    row = list(cells)
    while row and not row[-1]:
        row.pop()
    return row


def _text(cell: Any) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and _ZEROS.fullmatch(cell.number_format):
        return f"{value:0{len(cell.number_format)}}"
    return str(value).strip()
