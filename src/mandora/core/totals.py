"""Totals: sums of a patient's scores, and the one rule for joints that have none.

A total of which some scores are missing is pro-rated: what was observed, divided by the share of
the maximum that the scored joints make up. Below 80 % of the maximum the total is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mandora.core.anatomy import TARGETS, Target
from mandora.core.ra2 import RA2_TOTALS

ENOUGH_FOR_TOTAL = 0.8
"""Share of the maximum that must be scored; below it a total is missing."""


@dataclass(frozen=True, eq=False)
class Totals:
    """One total of each patient.

    Attributes:
        maximum: highest possible total, SvH points.
        expected: number of scores that it is the sum of.
        scored: (patients,) int64, how many of these the patient has.
        observed: (patients,) float64, their sum, SvH points.
        share: (patients,) float64, 0..1, what they make up of ``maximum``.
        value: (patients,) float64, the total, SvH points: ``observed`` if all scores are there,
            ``observed / share`` from :data:`ENOUGH_FOR_TOTAL` on, else NaN.
    """

    maximum: int
    expected: int
    scored: NDArray[np.int64]
    observed: NDArray[np.float64]
    share: NDArray[np.float64]
    value: NDArray[np.float64]


def sum_scores(scores: ArrayLike, wanted: Callable[[Target], bool] = lambda _: True) -> Totals:
    """Add up some of the scores of each patient.

    Args:
        scores: (patients, 86) SvH points in the order of ``anatomy.TARGETS``; NaN where missing.
            (86,) is one patient.
        wanted: which targets belong to the total.

    Raises:
        ValueError: for another shape.
    """
    table = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    if table.ndim != 2 or table.shape[1] != len(TARGETS):
        raise ValueError(f"scores must have shape (patients, {len(TARGETS)}), got {table.shape}")
    columns = [i for i, target in enumerate(TARGETS) if wanted(target)]
    maxima = np.array([TARGETS[i].maximum for i in columns])
    known = np.isfinite(table[:, columns])
    observed = np.where(known, table[:, columns], 0.0).sum(axis=1)
    share = known @ maxima / maxima.sum()
    enough = share >= ENOUGH_FOR_TOTAL
    value = np.where(enough, observed / np.where(enough, share, 1.0), np.nan)
    scored = known.sum(axis=1).astype(np.int64)
    return Totals(int(maxima.sum()), len(columns), scored, observed, share, value)


def ra2_totals(scores: ArrayLike) -> dict[str, Totals]:
    """RA2's totals: overall, erosion, narrowing, by their names there, see :func:`sum_scores`."""
    return {
        name: sum_scores(scores, lambda target, kinds=kinds: target.damage in kinds)  # type: ignore[misc]
        for name, kinds in RA2_TOTALS.items()
    }
