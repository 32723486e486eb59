"""The tables of the RA2 DREAM challenge: readers' scores in, templates in, predictions out.

Columns are found by name, never by position: releases of ``training.csv`` differ in the order
of two great-toe columns.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mandora.core.anatomy import (
    RA2_COLUMNS,
    RA2_ID,
    RA2_TOTALS,
    TARGETS,
    maximum_total,
    target_from_ra2,
)
from mandora.core.csv_text import csv_rows
from mandora.core.errors import InputError
from mandora.core.inputs import read_text

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_RANGES = {
    **{t.ra2_column: t.maximum for t in TARGETS},
    **{
        name: maximum_total(t for t in TARGETS if t.damage in kinds)
        for name, kinds in RA2_TOTALS.items()
    },
}


@dataclass(frozen=True)
class Template:
    """A ``template.csv``: which columns to write in which order, and for whom.

    Attributes:
        columns: some of :data:`mandora.core.anatomy.RA2_COLUMNS`, in the template's own order.
        patients: the patients' ids, in the template's order.
    """

    columns: tuple[str, ...]
    patients: tuple[str, ...]


@dataclass(frozen=True)
class _Table:
    columns: tuple[str, ...]
    rows: dict[str, dict[str, str]]  # patient → column → cell
    lines: dict[str, int]  # patient → line of the file


def read_scores(path: Path) -> dict[str, dict[str, float]]:
    """Read readers' scores, as in ``training.csv``.

    Returns:
        For each ``Patient_ID``, in the file's order, all 86 target keys with their score, NaN
        where the cell is blank or the file has no such column. Totals are checked, not kept:
        they follow from the scores.

    Raises:
        ValueError: one that lists every problem of the file with its row and column.
    """
    problems: list[str] = []
    table = _read_table(path, problems)
    scores: dict[str, dict[str, float]] = {}
    for patient, cells in table.rows.items():
        scores[patient] = dict.fromkeys((t.key for t in TARGETS), math.nan)
        for column, cell in cells.items():
            value = number_of(cell, _RANGES[column])
            if isinstance(value, str):
                problems.append(f"row {table.lines[patient]}, column {column}: {value}")
            elif column not in RA2_TOTALS:
                scores[patient][target_from_ra2(column).key] = value
    _raise_all(path, problems)
    return scores


def read_template(path: Path) -> Template:
    """Read which columns and patients a prediction file must have.

    Any subset of the columns in any order is accepted; cells other than the ids are ignored.

    Raises:
        ValueError: one that lists every problem of the file.
    """
    problems: list[str] = []
    table = _read_table(path, problems)
    _raise_all(path, problems)
    return Template(table.columns, tuple(table.rows))


def format_row(
    columns: Sequence[str],
    study: str,
    scores: Mapping[str, float | None],
    totals: Mapping[str, float | None],
) -> list[str]:
    """Lay one patient's scores out in a template's columns.

    Args:
        columns: names from :data:`mandora.core.anatomy.RA2_COLUMNS`, in any order.
        study: the patient's id.
        scores: target key → score.
        totals: RA2's name of a total → value.

    Returns:
        One cell per column; numbers with four decimals, blank where a value is missing (absent,
        None or NaN).

    Raises:
        ValueError: for a column that RA2 does not have, or an infinite value.
    """
    return [
        study
        if column == RA2_ID
        else _cell(column, totals.get(column))
        if column in RA2_TOTALS
        else _cell(column, scores.get(target_from_ra2(column).key))
        for column in columns
    ]


def _cell(column: str, value: float | None) -> str:
    if value is None or math.isnan(value):
        return ""
    if math.isinf(value):
        raise InputError(f"{column} is infinite; give None for what is missing")
    return f"{value:.4f}"


def _read_table(path: Path, problems: list[str]) -> _Table:
    """Read header and rows; what is wrong with them is added to the problems.

    Raises:
        ValueError: if there is no table to look at.
    """
    try:
        text = read_text(path, "utf-8-sig")
        lines = [(number, [cell.strip() for cell in row]) for number, row in csv_rows(text)]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path}: is no CSV file ({error}); save it as CSV with commas, in UTF-8"
        ) from error
    lines = [(number, row) for number, row in lines if any(row)]
    if not lines:
        raise InputError(f"{path}: the table is empty; give a file with a header and rows")
    columns = tuple(lines[0][1])
    problems += _header_problems(columns)
    known = _RANGES.keys() & set(columns)
    table = _Table(columns, {}, {})
    for number, row in lines[1:] if RA2_ID in columns else ():
        if len(row) != len(columns):
            problems.append(f"row {number}: has {len(row)} cells, the header has {len(columns)}")
            continue
        cells = dict(zip(columns, row, strict=True))
        patient = cells[RA2_ID]
        if not patient:
            problems.append(f"row {number}, column {RA2_ID}: is blank; give the patient's id")
        elif patient in table.rows:
            problems.append(
                f"row {number}, column {RA2_ID}: {patient!r} is in row {table.lines[patient]} "
                "already; keep one row per patient"
            )
        else:
            table.rows[patient] = {c: cells[c] for c in columns if c in known}
            table.lines[patient] = number
    return table


def _header_problems(columns: Sequence[str]) -> list[str]:
    problems = []
    if RA2_ID not in columns:
        separated = "; separate the columns by commas" if ";" in "".join(columns) else ""
        problems.append(f"row 1: column {RA2_ID} is missing{separated}")
    for column in dict.fromkeys(columns):
        if column not in RA2_COLUMNS:
            problems.append(f"row 1: column {column!r} is not one of RA2's; remove or rename it")
        elif columns.count(column) > 1:
            problems.append(f"row 1: column {column} is there {columns.count(column)} times")
    return problems


def number_of(cell: str, maximum: float) -> float | str:
    """The value of a cell, NaN if blank, or what is wrong with it."""
    if not cell:
        return math.nan
    if not _NUMBER.fullmatch(cell):
        return f"{cell!r} is no number; leave the cell blank if it is missing"
    value = float(cell)
    if not 0 <= value <= maximum:
        return f"{cell} is outside 0…{maximum:g}; correct it or leave the cell blank"
    return value


def _raise_all(path: Path, problems: Sequence[str]) -> None:
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise InputError("\n  ".join([f"{path}: {count} to mend", *problems]))
