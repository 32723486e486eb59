"""Intervals hold the share that they state, on patients that they were not measured on."""

from __future__ import annotations

import numpy as np
import pytest

from mandora.core.anatomy import TARGET_INDEX, TARGETS
from mandora.model.contract import IntervalContract, Spread

pytest.importorskip("scipy")

from mandora.metrics import GROUPS
from mandora.metrics.conformal import EDGES, calibrate, coverage, interval_table

MAXIMA = np.array([t.maximum for t in TARGETS], dtype=float)


def cohort(patients: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels, mostly 0, and scores whose error grows with the damage and is lopsided."""
    rng = np.random.default_rng(seed)
    severity = rng.beta(0.5, 2, (patients, 1))
    truth = np.floor(severity * rng.random((patients, len(TARGETS))) * (MAXIMA + 1))
    error = rng.gumbel(-0.1, 0.2, truth.shape) * (1 + truth)
    return np.clip(truth + error, 0, MAXIMA), truth


@pytest.mark.parametrize("level", [0.8, 0.9])
def test_intervals_hold_their_share_in_every_family(level: float) -> None:
    intervals = calibrate(*cohort(300, 1), level)
    rows = coverage(intervals, *cohort(300, 2))
    shares = {row[0]: row[3] for row in rows if row[1] == "all"}
    assert set(shares) == {
        "hand narrowing", "foot narrowing", "hand erosion", "foot erosion", "Overall_Tol",
        "Overall_erosion", "Overall_narrowing",
    }  # fmt: skip
    for what, share in shares.items():
        # where many scores and truths are exactly 0, no interval holds less than all of them
        assert level - 0.05 <= share <= level + 0.12, (what, share)
    widths = {row[0]: row[4] for row in rows if row[1] == "all"}
    assert 0 < widths["hand narrowing"] < 4  # it says something


def test_where_errors_are_large_intervals_are_wide() -> None:
    intervals = calibrate(*cohort(100, 1), 0.9)
    low, high = interval_table(intervals, np.stack([MAXIMA * 0.02, MAXIMA * 0.7]))
    column = TARGET_INDEX["LH-mcp2:narrowing"]
    width = high[:, column] - low[:, column]
    assert width[1] > 2 * width[0]
    assert (low >= 0).all()
    assert (high <= MAXIMA).all()


def test_ranks_are_those_of_split_conformal_prediction() -> None:
    """With 19 cases and level 0.9 the ends are the smallest and the largest error."""
    scores, truth = np.zeros((19, 86)), np.zeros((19, 86))
    kept = list(GROUPS["nf"])[:1]
    for table in (scores, truth):
        table[:, [i for i in range(86) if i in GROUPS["nf"] and i not in kept]] = np.nan
    scores[:, kept[0]] = 2.0
    truth[:, kept[0]] = np.linspace(0, 3.6, 19)
    made = calibrate(scores, truth, 0.9).joints["foot narrowing"]
    assert all((s.low, s.high, s.cases) == (-2.0, pytest.approx(1.6), 19) for s in made)
    with pytest.raises(ValueError, match=r"foot narrowing: 18 cases are too few.*19 are needed"):
        calibrate(scores[:18], truth[:18], 0.9)


def test_few_patients_give_intervals_of_joints_but_not_of_totals() -> None:
    made = calibrate(*cohort(8, 3), 0.9)
    assert made.totals == {}
    assert len(made.joints["hand erosion"]) == len(EDGES) + 1
    assert made.patients == 8


def test_what_is_missing_has_no_interval_and_counts_for_none() -> None:
    intervals = calibrate(*cohort(60, 1), 0.9)
    scores, truth = cohort(5, 2)
    scores[:, list(GROUPS["nf"])] = np.nan
    low, _ = interval_table(intervals, scores)
    assert np.isnan(low[:, list(GROUPS["nf"])]).all()
    rows = {(row[0], row[1]): row for row in coverage(intervals, scores, truth)}
    assert rows["foot narrowing", "all"][2:] == [0, None, None]


def test_an_interval_holds_its_score_and_stays_in_range() -> None:
    above = Spread(low=0.5, high=9.0, cases=20)  # all truths lay above the score
    assert above.around(1.0, 4) == (1.0, 4)
    assert Spread(low=-2, high=1, cases=20).around(10.0, 100, 2) == (6.0, 12.0)
    with pytest.raises(ValueError, match="do not rise"):
        IntervalContract(level=0.9, edges=(0.5, 0.5), joints={}, totals={}, patients=1)
    with pytest.raises(ValueError, match="needs 2 spreads"):
        IntervalContract(
            level=0.9, edges=(0.5,), joints={"hand erosion": (above,)}, totals={}, patients=1
        )
