"""Tables as text: CSV whose cells no spreadsheet takes for formulas, and back again.

A spreadsheet runs a cell that begins with ``=``, ``+``, ``-``, ``@`` or a tab, whoever wrote it.
Such a cell gets an apostrophe in front, by which spreadsheets mark text. Numbers stay numbers.
Reading takes the apostrophe away again, so that a table read back holds what was written.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator

_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-](inf|nan)", re.ASCII)


_SPECIAL = re.compile(r'[,"\r\n]')


class Verbatim(str):
    """A cell that must be written as it is, since another program looks for it."""

    __slots__ = ()


def safe(cell: object) -> str:
    """The text of a cell, marked as text if a spreadsheet would run it."""
    text = str(cell)
    if isinstance(cell, Verbatim) or not _FORMULA.match(text) or _NUMBER.fullmatch(text):
        return text
    return f"'{text}"


def plain(cell: str) -> str:
    """What :func:`safe` was given; any other text as it is."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell[1:]) else cell


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Rows as CSV, each with a line end; the way in which every table is written."""
    # not csv.writer: it leaves a lone carriage return unquoted, which its reader takes for an end
    lines = (",".join(_quoted(safe(cell)) for cell in row) or '""' for row in rows)
    return "".join(f"{line}\n" for line in lines)


def _quoted(text: str) -> str:
    return '"{}"'.format(text.replace('"', '""')) if _SPECIAL.search(text) else text


def csv_rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Rows of CSV with commas, each with the number of its last line.

    Raises:
        csv.Error: if it is none.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    for row in reader:
        yield reader.line_num, [plain(cell) for cell in row]
