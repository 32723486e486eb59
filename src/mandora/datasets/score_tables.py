"""Scores in the cells of tables, a table with a row for each target, and the weights of readers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import TARGET_INDEX, TARGETS, Target
from mandora.datasets.findings import Report
from mandora.datasets.tables import Row, read_table

Scores = NDArray[np.float64]
"""(86,) float64 in the order of ``anatomy.TARGETS``; NaN where there is no score."""

OFFICIAL = "official"
"""The name of the label that validation uses, wherever readers are named."""

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_DECIMAL_COMMA = re.compile(r"([+-]?[0-9]+),([0-9]+)")
_NO_VALUE = frozenset({
    "na", "n/a", "#n/a", "#nv", "nan", "null", "none", "nil", ".", "-", "\u2013", "\u2014",
})  # fmt: skip
"""What people and programs write where there is no value, in small letters."""

_TRUE_GRADE = "true_grade"  # of a simulated cohort; training.csv has it as well


def unknown_scores() -> Scores:
    """(86,) NaN."""
    return np.full(len(TARGETS), np.nan)


def score_of(
    path: Path, row: Row, column: str, maximum: float, report: Report, code: str = "score"
) -> float:
    """The number in a cell.

    Args:
        path: the table's file.
        row: of the table.
        column: whose cell is read.
        maximum: the number must lie from 0 to this.
        report: what is wrong with the cell is added to it.
        code: first part of the codes in the report.

    Returns:
        NaN where the cell is blank or says that there is no value, or cannot be used.
    """
    cell = row[column]
    if not cell or cell.lower() in _NO_VALUE:
        return math.nan
    cell = _DECIMAL_COMMA.sub(r"\1.\2", cell) if _DECIMAL_COMMA.fullmatch(cell) else cell
    if not _NUMBER.fullmatch(cell):
        fault = f"column {column}: {cell!r} is no number; leave the cell blank if it is missing"
        report.error(f"{code}-not-a-number", path, fault, row.line)
        return math.nan
    if not 0 <= float(cell) <= maximum:
        fault = f"{cell} is outside 0…{maximum:g}; correct it or leave the cell blank"
        report.error(f"{code}-out-of-range", path, f"column {column}: {fault}", row.line)
        return math.nan
    return float(cell)


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
        report: what is wrong is added to it.
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
