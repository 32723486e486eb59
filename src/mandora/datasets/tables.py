"""Tables read row by row, with everything that is wrong in them noted and nothing raised."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mandora.core.errors import InputError
from mandora.datasets.findings import Report
from mandora.datasets.table_files import header_at, read_rows

_TITLE_ROWS = 10  # that may stand above a header


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        line: of the file, the header being 1.
        cells: by column, without blanks around them; every column of the table has one.
    """

    line: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        """The cell; blank where the table has no such column."""
        return self.cells.get(column, "")


@dataclass(frozen=True)
class Table:
    """A table file.

    Attributes:
        path: the file.
        columns: in the file's order, each once.
        rows: those with as many cells as the header.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def read_table(
    path: Path,
    report: Report,
    required: Iterable[str] = (),
    known: Collection[str] | None = None,
) -> Table | None:
    """Read a table with a header.

    Args:
        path: CSV with commas, semicolons or tabs, or a workbook, see
            :mod:`mandora.datasets.table_files`.
        report: what is wrong is added to it.
        required: columns that must be there.
        known: columns that may be there, if others are mistakes.

    Returns:
        None if there is nothing to look at, or a required column is missing.
    """
    required = tuple(required)
    try:
        found = read_rows(path)
    except InputError as error:
        report.not_read("file-unreadable", path, error)
        return None
    except OSError as error:
        report.error("file-unreadable", path, f"cannot be read ({error.strerror}); check the file")
        return None
    for remark in found.remarks:
        report.warning("table-encoding", path, remark)
    if not found.rows:
        report.error("table-empty", path, "the table is empty; give a header and rows")
        return None
    at = header_at(found.rows, required, _TITLE_ROWS)
    head, named = found.rows[at]
    header = _header(path, report, named, head, {*required, *(known or ())})
    if at:
        report.note("rows-above-header", path, f"{at} rows above the header are not read", head)
    if not _header_holds(path, report, header, head, required, known):
        return None
    rows = []
    for number, row in found.rows[at + 1 :]:
        cells = row[: len(header)]
        if len(cells) < len(header) or any(row[len(header) :]):
            fault = f"has {len(row)} cells, the header has {len(header)}; correct the row"
            report.error("row-length", path, fault, number)
            continue
        rows.append(Row(number, dict(zip(header, cells, strict=True))))
    return Table(path, tuple(dict.fromkeys(header)), tuple(rows))


def _header(
    path: Path, report: Report, row: tuple[str, ...], line: int, known: Collection[str]
) -> list[str]:
    """The columns by the names that are known, whatever their capitals; blank ends cut off."""
    header = list(row)
    while not header[-1]:
        header.pop()
    spelt = {column.casefold(): column for column in known}
    names = [c if c in known else spelt.get(c.casefold(), c) for c in header]
    if names != header:
        fault = "columns are written in other capitals than here; they were taken for the same"
        report.note("column-spelling", path, fault, line)
    return names


def _header_holds(
    path: Path,
    report: Report,
    header: list[str],
    line: int,
    required: Iterable[str],
    known: Collection[str] | None,
) -> bool:
    """Whether the rows can be read; says what is wrong with the header."""
    missing = [column for column in required if column not in header]
    for column in missing:
        report.error("column-missing", path, f"column {column} is missing; add it", line)
    for column in dict.fromkeys(header):
        if header.count(column) > 1:
            fault = f"column {column} is there {header.count(column)} times; keep one"
            report.error("column-repeated", path, fault, line)
        if known is not None and column not in known and not missing:
            fault = f"column {column!r} is not known here; remove or rename it"
            report.error("column-unknown", path, fault, line)
    return not missing
