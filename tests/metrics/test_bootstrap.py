"""Intervals come from patients, are the same for the same seed, and hold what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mandora.metrics.bootstrap import Resampling, difference_intervals, intervals
from mandora.metrics.joints import METRICS, measure

FEW = Resampling(resamples=200, seed=4)


def cohort(seed: int, patients: int = 15, noise: float = 0.8) -> tuple[np.ndarray, np.ndarray]:
    """(patients, 10) predictions, some missing, and grades 0..5 that differ between patients."""
    rng = np.random.default_rng(seed)
    truth = np.clip(rng.integers(0, 4, (patients, 1)) + rng.integers(-1, 3, (patients, 10)), 0, 5)
    predicted = truth + rng.normal(0, noise, truth.shape)
    predicted[rng.random(truth.shape) < 0.1] = math.nan
    return predicted, truth.astype(float)


@pytest.mark.parametrize("name", list(METRICS))
def test_resamples_are_measured_as_if_patients_were_copied(name: str) -> None:
    predicted, truth = cohort(1)
    seen = intervals(predicted, truth, [name], FEW)[name]
    copied = [measure(predicted[i], truth[i], [name])[name].value for i in FEW.draw(15)]
    assert (seen.low, seen.high) == pytest.approx(tuple(np.quantile(copied, [0.025, 0.975])))
    assert seen.number == measure(predicted, truth, [name])[name]
    assert seen.low < seen.number.value < seen.high
    assert (seen.patients, seen.undefined, seen.reason) == (15, 0, None)


def test_the_seed_decides() -> None:
    predicted, truth = cohort(2)
    first = intervals(predicted, truth, ["r"], FEW)
    assert intervals(predicted, truth, ["r"], FEW) == first
    assert intervals(predicted, truth, ["r"], Resampling(200, seed=(4, 1))) != first


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution() -> None:
    rng = np.random.default_rng(0)
    error = rng.normal(1, 2, (400, 1))
    seen = intervals(error, np.zeros((400, 1)), ["bias"], Resampling(4000))["bias"]
    half = 1.96 * error.std() / 20
    assert (seen.low, seen.high) == pytest.approx(
        (error.mean() - half, error.mean() + half), abs=0.02
    )


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    settings = Resampling(resamples=300, level=0.8)
    hits = 0
    for seed in range(200):
        error = np.random.default_rng(seed).normal(0.5, 1, (40, 1))
        seen = intervals(error, np.zeros((40, 1)), ["bias"], settings)["bias"]
        hits += seen.low <= 0.5 <= seen.high
    assert 0.72 < hits / 200 < 0.88


def test_joints_of_a_patient_are_no_evidence_of_their_own() -> None:
    error = np.random.default_rng(7).normal(0, 1, (30, 1))
    one = intervals(error, np.zeros((30, 1)), ["bias"], FEW)["bias"]
    many = intervals(np.repeat(error, 86, axis=1), np.zeros((30, 86)), ["bias"], FEW)["bias"]
    assert (many.low, many.high) == pytest.approx((one.low, one.high))
    assert many.number.n == 86 * one.number.n


def test_patients_without_scores_do_not_count() -> None:
    predicted, truth = cohort(3)
    padded = np.concatenate([predicted, np.full((5, 10), math.nan)])
    more = np.concatenate([truth, truth[:5]])
    seen = intervals(padded, more, ["r"], FEW)["r"]
    expected = intervals(predicted, truth, ["r"], FEW)["r"]
    assert (seen.patients, seen.number.n) == (15, expected.number.n)
    assert (seen.low, seen.high) == pytest.approx((expected.low, expected.high))


def test_undefined_resamples_are_told() -> None:
    # one damaged patient in four: (3/4)^4 = 32 % of the resamples have none
    predicted = np.array([[2.0, 0.1], [0.2, 0.0], [0.3, 0.1], [0.0, 0.4]])
    truth = np.array([[2.0, 1.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    seen = intervals(predicted, truth, ["sensitivity", "auc", "r"], Resampling(4000))
    for interval in seen.values():
        assert interval.undefined == pytest.approx(0.316, abs=0.03)
        assert interval.reason is None
    rare = np.concatenate([np.zeros((9, 2)), [[1.0, 2.0]]])
    often = intervals(np.zeros_like(rare), rare, ["sensitivity"], FEW)["sensitivity"]
    assert 0.25 < often.undefined < 0.45  # (9/10)^10 = 35 %


def test_no_interval_has_a_reason() -> None:
    predicted, truth = cohort(5)
    one = intervals(predicted[:1], truth[:1], ["rmse"], FEW)["rmse"]
    assert one.reason == "fewer than 2 patients"
    assert one.number.reason is None
    zero = intervals(predicted, truth * 0, ["r", "auc"], FEW)
    assert zero["r"].reason == "the reference is 0 everywhere"
    assert zero["auc"].undefined == 1
    none = intervals(predicted * math.nan, truth, list(METRICS), FEW)
    assert {i.reason for i in none.values()} == {"the prediction has no scores"}
    assert math.isnan(none["auc"].low)


def test_mostly_undefined_is_no_interval() -> None:
    # scores and labels vary only if both the first and the second patient are drawn
    seen = intervals([[1.0], [0.0], [0.0]], [[0.0], [1.0], [0.0]], ["r"])["r"]
    assert seen.number.value == pytest.approx(-0.5)
    assert seen.undefined == pytest.approx(1 - (1 - 2 * (2 / 3) ** 3 + (1 / 3) ** 3), abs=0.05)
    assert seen.reason is not None
    assert "of the resamples" in seen.reason
    assert math.isnan(seen.low)


def test_methods_are_compared_on_the_same_patients() -> None:
    predicted, truth = cohort(6)
    worse = predicted + 0.3
    names = ["rmse", "bias", "spearman"]
    seen = difference_intervals(worse, predicted, truth, names, FEW)
    assert seen["bias"].number.value == pytest.approx(0.3)
    assert (seen["bias"].low, seen["bias"].high) == pytest.approx((0.3, 0.3))
    assert (seen["spearman"].low, seen["spearman"].high) == pytest.approx((0, 0), abs=1e-9)
    drawn = FEW.draw(15)
    copied = [
        measure(worse[i], truth[i], ["rmse"])["rmse"].value
        - measure(predicted[i], truth[i], ["rmse"])["rmse"].value
        for i in drawn
    ]
    ends = tuple(np.quantile(copied, [0.025, 0.975]))
    assert (seen["rmse"].low, seen["rmse"].high) == pytest.approx(ends)


def test_only_joints_that_both_methods_scored_are_compared() -> None:
    predicted, truth = cohort(8)
    other = predicted.copy()
    other[:, :5] = math.nan
    other[0] = math.nan
    seen = difference_intervals(predicted, other, truth, ["rmse"], FEW)["rmse"]
    assert seen.number.value == 0
    assert seen.number.n == int(np.isfinite(other).sum())
    assert seen.patients == 14
    none = difference_intervals(predicted, other * math.nan, truth, ["rmse"], FEW)["rmse"]
    assert none.reason == "no joint has a score of both methods and of the reference"


def test_wrong_settings_and_shapes_are_refused() -> None:
    predicted, truth = cohort(9)
    with pytest.raises(ValueError, match="at least one resample"):
        Resampling(resamples=0)
    with pytest.raises(ValueError, match=r"such as 0\.95"):
        Resampling(level=95)
    with pytest.raises(ValueError, match="cannot be paired"):
        intervals(predicted, truth[:3], ["r"])
    with pytest.raises(ValueError, match=r"give totals as \(patients, 1\)"):
        intervals(predicted[:, 0], truth[:, 0], ["r"])


def test_a_patient_who_was_tested_twice_is_one_patient() -> None:
    predicted, truth = cohort(6)
    names = np.array([f"P{i:02}" for i in range(15)])
    once = intervals(predicted, truth, ["r", "rmse"], FEW, names)
    assert once == intervals(predicted, truth, ["r", "rmse"], FEW)  # their names sort alike
    twice = intervals(
        np.tile(predicted, (2, 1)), np.tile(truth, (2, 1)), ["rmse"], FEW, np.tile(names, 2)
    )["rmse"]
    assert (twice.low, twice.high) == pytest.approx((once["rmse"].low, once["rmse"].high))
    assert twice.patients == 15
    as_if_others = intervals(np.tile(predicted, (2, 1)), np.tile(truth, (2, 1)), ["rmse"], FEW)
    assert as_if_others["rmse"].patients == 30
    worse = predicted + 0.5
    change = difference_intervals(
        np.tile(worse, (2, 1)), np.tile(predicted, (2, 1)), np.tile(truth, (2, 1)), ["rmse"], FEW,
        np.tile(names, 2),
    )["rmse"]  # fmt: skip
    assert change.patients == 15
    with pytest.raises(ValueError, match="name one for each row"):
        intervals(predicted, truth, ["r"], FEW, names[:3])
