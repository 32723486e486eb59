"""Agreement equals published examples, and correlations those of scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from mandora.core.anatomy import TARGETS, target
from mandora.metrics import GROUPS
from mandora.metrics.agreement import (
    between_readers,
    bland_altman,
    compare_totals,
    icc,
    signed_ranks,
    smallest_detectable_change,
    smallest_detectable_difference,
)

NAN = math.nan
# Shrout & Fleiss 1979, table 2: six targets, four judges
JUDGES = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
# Bland & Altman 1986, table: first peak flow by two meters, l/min
WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]


@pytest.fixture
def scores() -> np.ndarray:
    """(20, 86) grades that go together within a patient."""
    rng = np.random.default_rng(3)
    share = np.clip(rng.normal(0.3, 0.2, (20, 1)) + rng.normal(0, 0.2, (20, 86)), 0, 1)
    return np.round(share * np.array([t.maximum for t in TARGETS]))


def column(key: str) -> int:
    return TARGETS.index(target(key))


@pytest.mark.parametrize(("form", "published"), [("1,1", 0.17), ("2,1", 0.29), ("3,1", 0.71)])
def test_icc_is_that_of_shrout_and_fleiss(form: str, published: float) -> None:
    seen = icc(JUDGES, form)  # type: ignore[arg-type]
    assert round(seen.value, 2) == published
    assert seen.n == 6
    assert icc([*JUDGES, [1, NAN, 2, 3]], form) == seen  # type: ignore[arg-type]


def test_icc_without_cases_or_spread_says_why() -> None:
    assert icc([[1, 2]], "2,1").reason == "fewer than 2 complete cases"
    assert icc([[3, 3], [3, 3]], "2,1").reason == "all ratings are equal"
    assert icc([[1, 2], [1, 2]], "3,1").reason == (
        "raters differ by a constant, cases do not differ"
    )
    with pytest.raises(ValueError, match="two or more raters"):
        icc([[1], [2]], "2,1")


def test_a_constant_offset_costs_agreement_and_not_consistency() -> None:
    ratings = [[0, 1], [1, 2], [2, 3], [3, 4]]
    assert icc(ratings, "3,1").value == pytest.approx(1)
    assert icc(ratings, "2,1").value == pytest.approx((10 / 3) / (10 / 3 + 1))


# data of R's help pages ?wilcox.test and ?sleep; what wilcox.test prints for them
DEPRESSION = (
    [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30],
    [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29],
)
SLEEP = (
    [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0],
    [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4],
)


def test_signed_ranks_are_those_of_r() -> None:
    exact = signed_ranks(*DEPRESSION, "greater")
    assert exact.method == "exact"
    assert exact.p.value == pytest.approx(0.01953, abs=5e-6)
    rough = signed_ranks(*SLEEP)
    assert (rough.method, rough.p.n) == ("normal approximation", 9)
    assert rough.p.value == pytest.approx(0.009091, abs=5e-7)


def test_better_in_all_ten_folds_is_one_in_1024() -> None:
    better = np.arange(10) / 100 + 0.6
    worse = better - np.arange(1, 11) / 1000
    assert signed_ranks(better, worse, "greater").p.value == 1 / 1024
    assert signed_ranks(better, worse, "less").p.value == 1
    assert signed_ranks(better, worse).p.value == 2 / 1024


def test_many_pairs_are_tested_as_scipy_does() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.normal(0.2, 1, 60), rng.normal(0, 1, 60)
    seen = signed_ranks(first, second)
    assert seen.method == "normal approximation"
    expected = stats.wilcoxon(first, second, correction=True, method="asymptotic")
    assert seen.p.value == pytest.approx(expected.pvalue)


def test_rounding_errors_are_no_differences() -> None:
    seen = signed_ranks([0.1 + 0.2, 0.3, 0.8], [0.3, 0.2, 0.7])
    assert (seen.p.n, seen.method) == (2, "normal approximation")


def test_folds_that_do_not_differ_give_no_p() -> None:
    same = signed_ranks([0.5, 0.6], [0.5, 0.6], "greater")
    assert (same.p.reason, same.method) == ("all pairs are equal", None)
    assert signed_ranks([NAN, 0.1], [0.2, NAN]).p.reason == "no pair is complete"
    assert signed_ranks([0.3, NAN], [0.2, 0.1], "greater").p.value == 0.5


def test_limits_of_agreement_are_those_of_bland_and_altman() -> None:
    seen = bland_altman([*WRIGHT, NAN], [*MINI, 300])
    assert seen["bias"].value == pytest.approx(-2.1, abs=0.05)
    assert seen["sd"].value == pytest.approx(38.8, abs=0.05)
    # the paper has two standard deviations, -79.7 and 75.5; 1.96 of them are:
    assert seen["lower"].value == pytest.approx(-2.118 - 1.96 * 38.765, abs=0.01)
    assert seen["upper"].value == pytest.approx(-2.118 + 1.96 * 38.765, abs=0.01)
    assert seen["bias"].n == 17
    assert bland_altman([1], [2])["upper"].reason == "fewer than 2 patients with both"


def test_smallest_detectable_difference_and_change() -> None:
    # differences 2, 0, -2, 0: their variance is 8/3
    first, second = [2, 5, 1, 4], [0, 5, 3, 4]
    sd = math.sqrt(8 / 3)
    difference = smallest_detectable_difference(first, second)
    assert difference.value == pytest.approx(1.96 * sd / math.sqrt(2))
    assert smallest_detectable_difference(first, second, 1).value == pytest.approx(1.96 * sd)
    assert smallest_detectable_change(first, second).value == pytest.approx(1.96 * sd / 2)
    assert smallest_detectable_change([1], [1]).reason == "fewer than 2 patients with both"


def test_totals_are_compared_over_patients(scores: np.ndarray) -> None:
    other = scores.copy()
    other[:, column("LH-mcp2:erosion")] += 1
    other[0] = NAN
    table = compare_totals(other, scores)
    assert list(table) == ["Overall_Tol", "Overall_erosion", "Overall_narrowing"]
    erosion = table["Overall_erosion"]
    assert {name: erosion[name].n for name in ("r", "icc2", "sdd")} == {
        "r": 19, "icc2": 19, "sdd": 19,
    }  # fmt: skip
    assert (erosion["bias"].value, erosion["rmse"].value) == pytest.approx((1, 1))
    assert erosion["icc3"].value == pytest.approx(1)
    assert erosion["sdd"].value == pytest.approx(0, abs=1e-9)
    assert table["Overall_narrowing"]["bias"].value == 0
    hands = scores.copy()
    hands[:, GROUPS["foot"]] = NAN
    missing = compare_totals(hands, scores)["Overall_Tol"]
    assert missing["r"].reason == "the prediction has no scores"
    assert missing["sdd"].reason == "fewer than 2 patients with both"


def test_readers_are_called_readers(scores: np.ndarray) -> None:
    joints, patients = between_readers(scores, np.zeros_like(scores))
    assert joints["nh"]["r"].reason == "the second reader is 0 everywhere"
    assert joints["nh"]["bias"].value == pytest.approx(scores[:, GROUPS["nh"]].mean())
    assert "sensitivity" not in joints["nh"]
    assert patients["Overall_Tol"]["r"].reason == "the second reader is 0 everywhere"
