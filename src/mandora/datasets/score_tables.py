"""Scores in tables: a row per patient with RA2's columns, or a row per target with its readers.

The same columns as in :mod:`mandora.datasets.formats.ra2.tables`, found by name; here a bad cell is
noted and counts as missing, and the rest of the file is still read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mandora.core.anatomy import (
    RA2_COLUMNS,
    RA2_ID,
    RA2_TOTALS,
    TARGET_INDEX,
    TARGETS,
    Target,
    maximum_total,
    target_from_ra2,
)
from mandora.datasets.dataset import Scores
from mandora.datasets.formats.ra2.tables import number_of
from mandora.datasets.tables import Report, Row, read_table

OFFICIAL = "official"
"""The name of the label that validation uses, wherever readers are named."""

_TRUE_GRADE = "true_grade"  # of a simulated cohort; training.csv has it as well


def unknown_scores() -> Scores:
    """(86,) NaN."""
    return np.full(len(TARGETS), np.nan)


def score_of(
    path: Path, row: Row, column: str, maximum: float, report: Report, code: str = "score"
) -> float:
    """The number in a cell; NaN where it is blank or, which is noted, none."""
    value = number_of(row[column], maximum)
    if isinstance(value, float):
        return value
    kind = "out-of-range" if "outside" in value else "not-a-number"
    report.error(f"{code}-{kind}", path, f"column {column}: {value}", row.line)
    return math.nan


def read_patient_scores(path: Path, report: Report) -> tuple[dict[str, Scores], dict[str, int]]:
    """Read a table with RA2's columns, in any order and number.

    Args:
        path: such as RA2's ``training.csv``.
        report: takes what is wrong.

    Returns:
        Scores by patient, and the line of each patient's row.
    """
    table = read_table(path, report, (RA2_ID,), RA2_COLUMNS)
    scores: dict[str, Scores] = {}
    lines: dict[str, int] = {}
    for row in table.rows if table else ():
        patient = row[RA2_ID]
        if not patient:
            fault = f"column {RA2_ID} is blank; give the patient's id"
            report.error("patient-blank", path, fault, row.line)
        elif patient in scores:
            fault = f"patient {patient!r} is in row {lines[patient]} already; keep one row"
            report.error("patient-repeated", path, fault, row.line)
        else:
            scores[patient], lines[patient] = _wide(path, row, report), row.line
    return scores, lines


def _wide(path: Path, row: Row, report: Report) -> Scores:
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


def read_target_scores(path: Path, report: Report) -> dict[str, dict[str, Scores]]:
    """Read a table ``patient,target,<reader>,…``, as a simulated cohort's ``truth/readers.csv``.

    Returns:
        Scores by reader and patient. A column ``true_grade`` is left out.
    """
    table = read_table(path, report, ("patient", "target"))
    if table is None:
        return {}
    names = [c for c in table.columns if c not in ("patient", "target", _TRUE_GRADE)]
    readers: dict[str, dict[str, Scores]] = {name: {} for name in names}
    seen: dict[tuple[str, str], int] = {}
    for row in table.rows:
        key = row["patient"], row["target"]
        if key[1] not in TARGET_INDEX:
            fault = f"{key[1]!r} is no target; targets look like {TARGETS[0].key!r}"
            report.error("target-unknown", path, fault, row.line)
        elif key in seen:
            fault = f"{key[0]}, {key[1]} is in row {seen[key]} already; keep one row"
            report.error("target-repeated", path, fault, row.line)
        else:
            seen[key] = row.line
            target: Target = TARGETS[TARGET_INDEX[key[1]]]
            for name in names:
                values = readers[name].setdefault(key[0], unknown_scores())
                values[TARGET_INDEX[key[1]]] = score_of(path, row, name, target.maximum, report)
    return readers


def with_weights(
    official: Mapping[str, Scores],
    readers: Mapping[str, Mapping[str, Scores]],
    given: Mapping[str, float] | None,
    report: Report,
    own: Mapping[str, float] | None = None,
) -> tuple[dict[str, Mapping[str, Scores]], dict[str, float]]:
    """Give each reader a weight in the label that training uses.

    Args:
        official: the official label by patient. It takes part, as reader ``official``, if it is
            given a weight.
        readers: by name.
        given: weights that the user asks for; they replace the data set's own.
        report: takes what is wrong.
        own: weights that the data set states; 1 for readers without.

    Returns:
        Readers and their weights.
    """
    chosen = {**(own or {}), **(given or {})}
    for name, weight in (given or {}).items():
        if not (math.isfinite(weight) and weight >= 0):
            fault = f"the weight of reader {name!r} is {weight}; give a number from 0 on"
            report.error("weight-unusable", report.root, fault)
            chosen[name] = 0.0
        if name != OFFICIAL and name not in readers:
            known = ", ".join([*readers, OFFICIAL])
            fault = f"there is no reader {name!r} to weigh; the readers are {known}"
            report.error("reader-unknown", report.root, fault)
    everyone = dict(readers)
    if OFFICIAL in chosen and OFFICIAL not in everyone:
        everyone[OFFICIAL] = official
    return everyone, {name: float(chosen.get(name, 1.0)) for name in everyone}
