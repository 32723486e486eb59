"""Intervals hold the share that they state, on patients that they were not measured on."""

from __future__ import annotations

import numpy as np
import pytest

from mandora.core.anatomy import TARGETS, target
from mandora.model.contract import GradeRange, IntervalContract, Spread

pytest.importorskip("scipy")

from mandora.metrics import FAMILY_TITLES, GROUPS
from mandora.metrics.conformal import Labelled, calibrate, coverage, interval_table, not_measured

MAXIMA = np.array([t.maximum for t in TARGETS], dtype=float)
MCP2 = target("LH-mcp2:narrowing")


def cohort(
    patients: int, seed: int, shrink: float = 0.25, damaged: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Scores and labels, mostly 0.

    Scores are too low where there is damage, and their errors are larger there and alike within a
    patient.
    """
    rng = np.random.default_rng(seed)
    severity = rng.beta(0.5, 2, (patients, 1)) * damaged
    truth = np.floor(severity * rng.random((patients, len(TARGETS))) * (MAXIMA + 1))
    bias = rng.normal(0, 0.15, (patients, 1))
    error = (rng.gumbel(-0.1, 0.2, truth.shape) + bias) * (1 + 0.5 * truth) - shrink * truth
    return np.clip(truth + error, 0, MAXIMA), truth


def labelled(name: str, *args: int, **options: float) -> Labelled:
    return Labelled(name, *cohort(*args, **options))


@pytest.mark.parametrize("level", [0.8, 0.9])
def test_intervals_hold_their_share_of_healthy_and_of_damaged_joints(level: float) -> None:
    intervals = calibrate([labelled("a", 300, 1)], level)
    rows = {(row[0], row[1]): row for row in coverage(intervals, *cohort(600, 2))}
    for words in FAMILY_TITLES.values():
        for which in ("all", "damage", "zero", "low", "middle"):
            _, _, joints, held, low, high, _ = rows[words, which]
            assert joints > 100
            assert held >= level - 0.03, (words, which)
            assert low <= held <= high
        # at the highest grades, taken together, it holds on the whole
        assert rows[words, "high"][3] >= level - 0.1
        assert 1 <= rows[words, "zero"][6] < rows[words, "high"][6], "damage is less certain"
        assert rows[words, "all"][6] < 3, "they say something"
    for total in ("Overall_Tol", "Overall_erosion", "Overall_narrowing"):
        assert level - 0.05 <= rows[total, "all"][3] <= level + 0.1
    assert rows["all targets", "all"][2] == 600 * 86


def test_intervals_hold_their_share_on_each_data_set() -> None:
    worse = {"shrink": 0.55}
    alone = calibrate([labelled("simulated", 200, 1)], 0.9)
    both = calibrate([labelled("simulated", 200, 1), labelled("real", 100, 3, **worse)], 0.9)
    assert both.data_sets == {"simulated": 200, "real": 100}
    assert both.measured_on == "simulated (200 patients) and real (100 patients)"

    def held(intervals: IntervalContract, *args: int, **options: float) -> float:
        rows = coverage(intervals, *cohort(*args, **options))
        return next(row[3] for row in rows if row[:2] == ["all targets", "damage"])

    assert held(alone, 300, 4, **worse) < 0.8
    assert held(both, 300, 4, **worse) > 0.87
    assert held(both, 300, 5) > 0.87
    # healthy patients alone say nothing of damage: what is known of it stays
    healthy = labelled("healthy", 50, 6, damaged=False)
    with_healthy = calibrate([labelled("simulated", 200, 1), healthy], 0.9)
    for words, ranges in with_healthy.grades.items():
        assert ranges[2].low == alone.grades[words][2].low


def test_sets_have_no_gaps_hold_the_nearest_grade_and_are_not_one_sided() -> None:
    intervals = calibrate([labelled("a", 200, 1)], 0.9)
    scores = np.linspace(0, 1, 201)[:, None] * MAXIMA
    low, high = interval_table(intervals, scores)
    nearest = np.floor(scores + 0.5)
    assert (np.mod(low, 1) == 0).all()
    assert (np.mod(high, 1) == 0).all()
    assert ((low <= nearest) & (nearest <= high)).all()
    assert (low >= 0).all()
    assert (high <= MAXIMA).all()
    assert (np.diff(low, axis=0) >= 0).all()
    assert (np.diff(high, axis=0) >= 0).all()

    # where errors go both ways, so do intervals
    truth = np.tile(np.arange(5.0), (200, 1))
    error = np.random.default_rng(0).normal(0, 0.8, truth.shape)
    even = calibrate([one_family(np.clip(truth + error, 0, 4), truth)], 0.9)
    toe = target("LF-mtp2:narrowing")
    assert [even.of_joint(toe, score) for score in (0, 1, 2, 3, 4)] == [
        (0, 1), (0, 2), (1, 3), (2, 4), (3, 4)
    ]  # fmt: skip


def one_family(scores: np.ndarray, truth: np.ndarray) -> Labelled:
    """Foot narrowing alone, (N, K) joints of each patient."""
    tables = []
    for values in (scores, truth):
        table = np.full((len(values), 86), np.nan)
        table[:, list(GROUPS["nf"])[: values.shape[1]]] = values
        tables.append(table)
    return Labelled("a", *tables)


def test_ranges_are_ranks_over_patients() -> None:
    """With 19 patients and level 0.9, the ends are the least and the greatest score."""
    truth = np.tile([0.0, 2.0], (19, 1))
    scores = np.column_stack([np.linspace(0, 0.9, 19), np.linspace(1, 2.8, 19)])
    zero, one, two, three, four = calibrate([one_family(scores, truth)], 0.9).grades[
        "foot narrowing"
    ]
    assert (zero.low, zero.high, zero.patients) == (0, pytest.approx(0.9), 19)
    assert (two.low, two.high) == (pytest.approx(1.0), pytest.approx(2.8))
    # no patient has other grades: they were taken together, by how far scores lie from them
    assert (one.low, three.low, four.low) == (0, 2, 3)
    assert four.high == 4
    # one less, and nothing can be said: every set has every grade
    few = calibrate([one_family(scores[:18], truth[:18])], 0.9)
    assert {(r.low, r.high, r.patients) for r in few.grades["foot narrowing"]} == {(0, 4, 0)}
    assert few.of_joint(target("LF-mtp2:narrowing"), 0.1) == (0, 4)
    assert list(not_measured(few)) == [
        "foot narrowing: grade 0, 1, 2, 3, 4 is in every interval: fewer than 19 patients have "
        "such joints; give more patients"
    ]
    with pytest.raises(ValueError, match="no joint has a score and a label"):
        calibrate([one_family(scores * np.nan, truth)], 0.9)


def test_a_patient_with_many_joints_counts_as_one() -> None:
    truth = np.full((40, 6), np.nan)
    truth[:, 0], truth[:, 1], truth[0, 2:] = 0, 1, 1
    scores = np.where(truth == 1, 0.9, 0.1)
    scores[0, 2:] = 0.0  # four of 44 joints, of one of 40 patients
    ranges = calibrate([one_family(scores, truth)], 0.9).grades["foot narrowing"]
    assert ranges[1].low == pytest.approx(0.9)


def test_what_is_missing_has_no_interval_and_counts_for_none() -> None:
    intervals = calibrate([labelled("a", 60, 1)], 0.9)
    scores, truth = cohort(5, 2)
    scores[:, list(GROUPS["nf"])] = np.nan
    low, _ = interval_table(intervals, scores)
    assert np.isnan(low[:, list(GROUPS["nf"])]).all()
    rows = {(row[0], row[1]): row for row in coverage(intervals, scores, truth)}
    assert rows["foot narrowing", "all"][2:] == [0, None, None, None, None]


def test_a_family_that_was_not_measured_has_no_interval() -> None:
    truth = np.tile([0.0, 2.0], (30, 1))
    made = calibrate([one_family(truth + 0.1, truth)], 0.9)
    assert set(made.grades) == {"foot narrowing"}
    assert made.of_joint(MCP2, 1.0) is None
    assert made.totals == {}


def test_an_earlier_bundle_s_intervals_are_whole_grades_too() -> None:
    spread = Spread(low=-0.7, high=0.6, cases=20)
    above = Spread(low=0.5, high=9.0, cases=20)  # all truths lay above the score
    earlier = IntervalContract(
        level=0.9, edges=(0.5,), joints={"hand narrowing": (spread, above)}, totals={}, patients=1
    )
    assert earlier.of_joint(MCP2, 1.2) == (1, 1)  # 0.5 to 1.8
    assert earlier.of_joint(MCP2, 1.5) == (1, 2)  # 0.8 to 2.1
    assert earlier.of_joint(MCP2, 0.6) == (0, 1)  # -0.1 to 1.2
    assert earlier.of_joint(MCP2, 2.4) == (2, 4)
    assert earlier.measured_on == "1 patients"
    assert Spread(low=-2, high=1, cases=20).around(10.0, 100, 2) == (6.0, 12.0)


def test_contracts_that_make_no_sense_are_refused() -> None:
    about = {"level": 0.9, "totals": {}, "patients": 1}
    spread = Spread(low=-1, high=1, cases=20)
    with pytest.raises(ValueError, match="do not rise"):
        IntervalContract(edges=(0.5, 0.5), joints={}, **about)
    with pytest.raises(ValueError, match="needs 2 spreads"):
        IntervalContract(edges=(0.5,), joints={"hand erosion": (spread,)}, **about)
    falling = (GradeRange(low=1, high=2, patients=9), GradeRange(low=0, high=3, patients=9))
    with pytest.raises(ValueError, match="do not rise with the grade"):
        IntervalContract(grades={"hand erosion": falling}, **about)
