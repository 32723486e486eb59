"""CSV files read row by row, with everything that is wrong in them noted and nothing raised."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mandora.core.csv_text import csv_rows
from mandora.core.errors import InputError
from mandora.core.inputs import read_text
from mandora.datasets.findings import Finding, Severity


@dataclass
class Report:
    """What was found in a data set, in the order in which it was read.

    Attributes:
        root: the data set's folder; files are named relative to it.
        findings: so far.
    """

    root: Path
    findings: list[Finding] = field(default_factory=list)

    def error(self, code: str, path: Path, message: str, row: int | None = None) -> None:
        """Note what keeps training from starting."""
        self._add(Severity.ERROR, code, path, message, row)

    def warning(self, code: str, path: Path, message: str, row: int | None = None) -> None:
        """Note what should be looked at."""
        self._add(Severity.WARNING, code, path, message, row)

    def note(self, code: str, path: Path, message: str, row: int | None = None) -> None:
        """Note what is good to know."""
        self._add(Severity.NOTE, code, path, message, row)

    def not_read(self, code: str, path: Path, error: Exception) -> None:
        """Note a file that a reader has refused, in the reader's words."""
        self.error(code, path, str(error).removeprefix(f"{path}: "))

    @property
    def failed(self) -> bool:
        """Whether there is an error."""
        return any(f.severity is Severity.ERROR for f in self.findings)

    def _add(
        self, severity: Severity, code: str, path: Path, message: str, row: int | None
    ) -> None:
        try:
            name = path.relative_to(self.root).as_posix()
        except ValueError:
            name = path.as_posix()
        if name == ".":
            name = path.name or path.as_posix()
        self.findings.append(Finding(severity, code, name, row, message))


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
        report: takes what is wrong.
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
            fault = f"has {len(row)} cells, the header has {len(header)}; mend the row"
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
