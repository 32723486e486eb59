"""CSV files read row by row, with everything that is wrong in them noted and nothing raised."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mandora.core.csv_text import csv_rows
from mandora.core.errors import InputError
from mandora.core.inputs import read_text
from mandora.datasets.findings import Report


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
    """A CSV file.

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
    """Read a CSV file with a header.

    Args:
        path: UTF-8, with commas.
        report: what is wrong is added to it.
        required: columns that must be there.
        known: columns that may be there, if others are mistakes.

    Returns:
        None if there is nothing to look at, or a required column is missing.
    """
    try:
        text = read_text(path, "utf-8-sig")
        lines = [(number, [cell.strip() for cell in row]) for number, row in csv_rows(text)]
    except InputError as error:
        report.not_read("file-unreadable", path, error)
        return None
    except OSError as error:
        report.error("file-unreadable", path, f"cannot be read ({error.strerror}); check the file")
        return None
    except (UnicodeDecodeError, csv.Error) as error:
        fault = f"is no CSV file ({error}); save it as CSV with commas, in UTF-8"
        report.error("file-unreadable", path, fault)
        return None
    lines = [(number, row) for number, row in lines if any(row)]
    if not lines:
        report.error("table-empty", path, "the table is empty; give a header and rows")
        return None
    (head, header), *body = lines
    if not _header_holds(path, report, header, head, required, known):
        return None
    rows = []
    for number, row in body:
        if len(row) != len(header):
            fault = f"has {len(row)} cells, the header has {len(header)}; correct the row"
            report.error("row-length", path, fault, number)
            continue
        rows.append(Row(number, dict(zip(header, row, strict=True))))
    return Table(path, tuple(dict.fromkeys(header)), tuple(rows))


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
        hint = "; separate the columns by commas" if ";" in "".join(header) else "; add it"
        report.error("column-missing", path, f"column {column} is missing{hint}", line)
    for column in dict.fromkeys(header):
        if header.count(column) > 1:
            fault = f"column {column} is there {header.count(column)} times; keep one"
            report.error("column-repeated", path, fault, line)
        if known is not None and column not in known and not missing:
            fault = f"column {column!r} is not known here; remove or rename it"
            report.error("column-unknown", path, fault, line)
    return not missing
