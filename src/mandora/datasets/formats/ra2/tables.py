"""The tables of the RA2 DREAM challenge: readers' scores in, templates in, predictions out.

Columns are found by name, never by position: releases of ``training.csv`` differ in the order
of two great-toe columns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mandora.core.anatomy import TARGET_INDEX, TARGETS, maximum_total
from mandora.core.errors import InputError
from mandora.core.ra2 import RA2_COLUMNS, RA2_ID, RA2_TOTALS, target_from_ra2
from mandora.datasets.findings import Report
from mandora.datasets.score_tables import Scores, score_of, unknown_scores
from mandora.datasets.tables import Row, read_table


@dataclass(frozen=True)
class Template:
    """A ``template.csv``: which columns to write in which order, and for whom.

    Attributes:
        columns: some of :data:`mandora.core.ra2.RA2_COLUMNS`, in the template's own order.
        patients: the patients' ids, in the template's order.
    """

    columns: tuple[str, ...]
    patients: tuple[str, ...]


def read_scores(path: Path) -> dict[str, dict[str, float]]:
    """Read readers' scores, as in ``training.csv``.

    Returns:
        For each ``Patient_ID``, in the file's order, all 86 target keys with their score, NaN
        where the cell is blank or the file has no such column. Totals are checked, not kept:
        they follow from the scores.

    Raises:
        ValueError: one that lists every problem of the file with its row and column.
    """
    report = Report(path.parent)
    scores, _ = read_patient_scores(path, report)
    report.raise_errors(path)
    keys = [target.key for target in TARGETS]
    return {patient: dict(zip(keys, row.tolist(), strict=True)) for patient, row in scores.items()}


def read_template(path: Path) -> Template:
    """Read which columns and patients a prediction file must have.

    Any subset of the columns in any order is accepted; cells other than the ids are ignored.

    Raises:
        ValueError: one that lists every problem of the file.
    """
    report = Report(path.parent)
    columns, rows = _read_rows(path, report)
    report.raise_errors(path)
    return Template(columns, tuple(rows))


def read_patient_scores(path: Path, report: Report) -> tuple[dict[str, Scores], dict[str, int]]:
    """Read a table with RA2's columns, in any order and number.

    A cell that cannot be used is reported and counts as missing; the rest is still read.

    Args:
        path: such as RA2's ``training.csv``.
        report: what is wrong is added to it.

    Returns:
        Scores by patient, and the line of each patient's row.
    """
    _, rows = _read_rows(path, report)
    scores = {patient: _scores(path, row, report) for patient, row in rows.items()}
    return scores, {patient: row.line for patient, row in rows.items()}


def _read_rows(path: Path, report: Report) -> tuple[tuple[str, ...], dict[str, Row]]:
    """The columns, and each patient's row."""
    table = read_table(path, report, (RA2_ID,), (*RA2_COLUMNS, VISIT))
    rows: dict[str, Row] = {}
    for row in table.rows if table else ():
        patient = row[RA2_ID]
        if not patient:
            fault = f"column {RA2_ID} is blank; give the patient's id"
            report.error("patient-blank", path, fault, row.line)
        elif patient in rows:
            fault = f"patient {patient!r} is in row {rows[patient].line} already; keep one row"
            report.error("patient-repeated", path, fault, row.line)
        else:
            rows[patient] = row
    return table.columns if table else (), rows


def _scores(path: Path, row: Row, report: Report) -> Scores:
    scores = unknown_scores()
    for column in row.cells:
        if column in RA2_COLUMNS and column != RA2_ID and column not in RA2_TOTALS:
            target = target_from_ra2(column)
            value = score_of(path, row, column, target.maximum, report)
            scores[TARGET_INDEX[target.key]] = value
    for column, kinds in RA2_TOTALS.items():
        of = [t for t in TARGETS if t.damage in kinds]
        total = score_of(path, row, column, maximum_total(of), report)
        summed = sum(float(scores[TARGET_INDEX[t.key]]) for t in of)
        if math.isfinite(total) and math.isfinite(summed) and abs(total - summed) > 0.01:
            fault = f"column {column} says {total:g}, the joints add up to {summed:g}; one is wrong"
            report.warning("total-differs", path, fault, row.line)
    return scores


VISIT = "visit"
"""A column that mandora's tables have where visits are known."""


def format_row(
    columns: Sequence[str],
    study: str,
    scores: Mapping[str, float | None],
    totals: Mapping[str, float | None],
    visit: str = "",
) -> list[str]:
    """Lay one patient's scores out in a template's columns.

    Args:
        columns: names from :data:`mandora.core.ra2.RA2_COLUMNS`, in any order.
        study: the patient's id.
        scores: target key → score.
        totals: RA2's name of a total → value.
        visit: of the patient; for the column ``visit``.

    Returns:
        One cell per column; numbers with four decimals, blank where a value is missing (absent,
        None or NaN).

    Raises:
        ValueError: for a column that RA2 does not have, or an infinite value.
    """
    return [
        study
        if column == RA2_ID
        else visit
        if column == VISIT
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
