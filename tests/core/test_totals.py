"""One rule for totals, for one patient and for many."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mandora.core.anatomy import TARGETS, Damage, Target, maximum_total
from mandora.core.ra2 import RA2_TOTALS
from mandora.core.totals import ra2_totals, sum_scores


def is_narrowing(target: Target) -> bool:
    return target.damage is Damage.NARROWING


def scores(value: float, lost: int = 0) -> np.ndarray:
    """A patient whose first narrowing scores are missing."""
    row = np.full(len(TARGETS), value)
    row[[i for i, target in enumerate(TARGETS) if is_narrowing(target)][:lost]] = np.nan
    return row


def test_a_total_over_all_joints_is_their_sum() -> None:
    made = ra2_totals(scores(1.25))
    assert list(made) == list(RA2_TOTALS)
    assert [t.value[0] for t in made.values()] == [86 * 1.25, 44 * 1.25, 42 * 1.25]
    assert [t.expected for t in made.values()] == [86, 44, 42]
    assert [t.maximum for t in made.values()] == [maximum_total(), 280, 168]


def test_a_total_is_pro_rated_from_four_fifths_of_its_maximum_on() -> None:
    # narrowing has 42 sites of 4 points: 34 of them are 81 %, 33 are 79 %
    patients = np.stack([scores(1.0), scores(1.0, lost=8), scores(1.0, lost=9), scores(np.nan)])
    made = sum_scores(patients, is_narrowing)
    assert made.scored.tolist() == [42, 34, 33, 0]
    assert made.observed.tolist() == [42, 34, 33, 0]
    assert made.share == pytest.approx(np.array([42, 34, 33, 0]) / 42)
    assert made.value == pytest.approx([42, 42, math.nan, math.nan], nan_ok=True)


def test_a_missing_score_counts_by_its_maximum() -> None:
    # a foot is 84 of 448 points and 12 of 86 scores
    row = np.where([t.slot.code == "LF" for t in TARGETS], np.nan, 1.0)
    assert sum_scores(row).value[0] == pytest.approx(74 * 448 / 364)


def test_a_table_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(patients, 86\), got \(1, 85\)"):
        sum_scores(np.zeros(85))
