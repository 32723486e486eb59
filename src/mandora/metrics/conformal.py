"""Intervals that hold a stated share of the truths, measured on patients who trained nothing.

Split conformal prediction (Vovk, Gammerman & Shafer 2005, Algorithmic Learning in a Random World;
Mondrian by family of targets and band of scores). The truth less the score is ranked; with n
cases and level 1 - a, the interval reaches from the rank floor(a/2 (n + 1)) to the rank
ceil((1 - a/2) (n + 1)). It holds the truth of a new patient with at least that chance as long as
patients are alike, whatever the model. Joints of one patient are not independent: the share is
right on average over patients, and the effective number of cases is nearer to that of patients.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mandora.core.anatomy import TARGETS
from mandora.core.errors import InputError
from mandora.core.totals import ra2_totals
from mandora.metrics import FAMILY_TITLES, GROUPS, Floats, by_families, same_shape, score_table
from mandora.metrics.joints import BANDS, severity
from mandora.model.contract import IntervalContract, Spread, total_scale

EDGES = (0.05, 0.15, 0.3, 0.5)  # of the bands of scores, shares of the maximum
LEAST_CASES = 60  # of a band; with fewer the nearest of other bands are taken in
MAXIMA = np.array([t.maximum for t in TARGETS], dtype=np.float64)


def calibrate(scores: ArrayLike, truth: ArrayLike, level: float) -> IntervalContract:
    """Measure how far truths lie from scores.

    Args:
        scores: (N, 86) of patients who trained nothing; NaN where missing.
        truth: (N, 86) labels; NaN where missing.
        level: share of the truths that intervals shall hold, 0..1.

    Raises:
        ValueError: if a family has too few cases for the level, or the shapes differ.
    """
    ours, labels = same_shape(score_table(scores), score_table(truth))
    if not 0 < level < 1:
        raise InputError(f"level {level}: give a share between 0 and 1, such as 0.9")
    joints = {}
    for code, tables in by_families(ours / MAXIMA, labels - ours):
        share, error = (table.ravel() for table in tables)
        known, words = np.isfinite(error), FAMILY_TITLES[code]
        joints[words] = tuple(
            _spread(_of_band(share[known], error[known], i), level, words)
            for i in range(len(EDGES) + 1)
        )
    totals, true_totals = {}, ra2_totals(labels)
    for name, found in ra2_totals(ours).items():
        scale = np.array([total_scale(value) for value in found.value])
        difference = (true_totals[name].value - found.value) / scale
        difference = difference[np.isfinite(difference)]
        if _rank(difference.size, level):
            totals[name] = _spread(difference, level, name)
    patients = int(np.isfinite(labels - ours).any(axis=1).sum())
    return IntervalContract(
        level=level, edges=EDGES, joints=joints, totals=totals, patients=patients
    )


def _of_band(share: Floats, error: Floats, band: int) -> Floats:
    """Errors of the band's cases, or of those nearest to its middle if they are too few."""
    inside = np.digitize(share, EDGES) == band
    if inside.sum() >= LEAST_CASES:
        return error[inside]
    low, high = (0.0, *EDGES, 1.0)[band : band + 2]
    nearest = np.argsort(np.abs(share - (low + high) / 2), kind="stable")[:LEAST_CASES]
    return error[nearest]


def _rank(cases: int, level: float) -> int:
    """How many of the ranked errors, from either end, lie outside, and one; 0: too few cases."""
    # to 9 decimals: half of 1 - 0.9 is not quite 0.05
    return math.floor(round((1 - level) / 2 * (cases + 1), 9))


def _spread(errors: Floats, level: float, what: str) -> Spread:
    rank = _rank(errors.size, level)
    if rank < 1:
        raise InputError(
            f"{what}: {errors.size} cases are too few for intervals at level {level:g}, "
            f"{math.ceil(round(2 / (1 - level), 9)) - 1} are needed; give more patients"
        )
    ranked = np.sort(errors)
    return Spread(low=float(ranked[rank - 1]), high=float(ranked[-rank]), cases=errors.size)


def interval_table(intervals: IntervalContract, scores: ArrayLike) -> tuple[Floats, Floats]:
    """Lower and upper ends of all joints' intervals, (N, 86) each; NaN where there is none."""
    table = score_table(scores)
    low, high = np.full_like(table, np.nan), np.full_like(table, np.nan)
    for row, column in np.argwhere(np.isfinite(table)):
        ends = intervals.of_joint(TARGETS[column], float(table[row, column]))
        if ends is not None:
            low[row, column], high[row, column] = ends
    return low, high


def coverage(intervals: IntervalContract, scores: ArrayLike, truth: ArrayLike) -> list[list[Any]]:
    """How many truths the intervals hold, by family and by severity of the truth.

    Args:
        intervals: measured on other patients.
        scores: (N, 86); NaN where missing.
        truth: (N, 86) labels; NaN where missing.

    Returns:
        Rows of: targets, severity band or ``all``, joints, share that lies within, mean width in
        SvH points (None without joints). Then the totals.
    """
    ours, labels = same_shape(score_table(scores), score_table(truth))
    low, high = interval_table(intervals, ours)
    known = np.isfinite(labels) & np.isfinite(low)
    held, band = (low <= labels) & (labels <= high), severity(labels)
    rows: list[list[Any]] = []
    for code, words in FAMILY_TITLES.items():
        of_family = np.isin(np.arange(len(TARGETS)), GROUPS[code])
        for name, of_band in {"all": known, **{b: band == i for i, b in enumerate(BANDS)}}.items():
            chosen = known & of_band & of_family
            some = bool(chosen.any())
            rows.append([
                words, name, int(chosen.sum()),
                float(held[chosen].mean()) if some else None,
                float((high - low)[chosen].mean()) if some else None,
            ])  # fmt: skip
    true_totals = ra2_totals(labels)
    for name, total in ra2_totals(ours).items():
        if name not in intervals.totals:
            continue
        found, true = total.value, true_totals[name].value
        both = np.isfinite(found) & np.isfinite(true)
        ends = [intervals.of_total(name, float(v), total.maximum) or (0, 0) for v in found[both]]
        inside = [a <= v <= b for (a, b), v in zip(ends, true[both], strict=True)]
        some = bool(ends)
        rows.append([
            name, "all", len(ends), float(np.mean(inside)) if some else None,
            float(np.mean([b - a for a, b in ends])) if some else None,
        ])  # fmt: skip
    return rows
