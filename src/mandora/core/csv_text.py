"""Tables as CSV text in which no cell is a formula, and back again.

A spreadsheet runs a cell that begins with ``=``, ``+``, ``-``, ``@`` or a tab, whoever wrote it.
Such a cell gets an apostrophe in front, which spreadsheets read as "this is text". Numbers stay
numbers. Reading takes the apostrophe away again, so that a table is read as it was written.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator

_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-](inf|nan)", re.ASCII)
_SPECIAL = re.compile(r'[,"\r\n]')


class Unescaped(str):
    """A cell that is written as it is, because another program looks for exactly this text."""

    __slots__ = ()


def escape_formula(cell: object) -> str:
    """The text of a cell, with an apostrophe in front if a spreadsheet would run it."""
    text = str(cell)
    if isinstance(cell, Unescaped) or not _FORMULA.match(text) or _NUMBER.fullmatch(text):
        return text
    return f"'{text}"


def unescape_formula(cell: str) -> str:
    """What :func:`safe` was given; any other text as it is."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell[1:]) else cell


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Rows as CSV, each with a line end. Every table is written by this function."""
    # not csv.writer: it does not quote a lone carriage return, which csv.reader ends a row at
    lines = (",".join(_quoted(escape_formula(cell)) for cell in row) or '""' for row in rows)
    return "".join(f"{line}\n" for line in lines)


def _quoted(text: str) -> str:
    return '"{}"'.format(text.replace('"', '""')) if _SPECIAL.search(text) else text


def csv_rows(text: str, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Rows of CSV, each with the number of its last line.

    Raises:
        csv.Error: if it is not CSV.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    for row in reader:
        yield reader.line_num, [unescape_formula(cell) for cell in row]
