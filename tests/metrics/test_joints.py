"""Numbers equal hand-made cases and those of other programs, and say why they are missing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from mandora.core.anatomy import TARGETS, Damage, Limb, target
from mandora.metrics import GROUPS, Number, grade
from mandora.metrics.agreement import icc
from mandora.metrics.joints import BANDS, METRICS, by_family, by_severity, measure, severity

NAN = math.nan
# predicted and reference, small enough for paper: differences 0, 1, -1, 2, 0
PREDICTED = [0.0, 2.0, 1.0, 5.0, 0.0]
REFERENCE = [0.0, 1.0, 2.0, 3.0, 0.0]


@pytest.fixture
def tables() -> tuple[np.ndarray, np.ndarray]:
    """(12, 86) predictions and true grades, mostly 0."""
    rng = np.random.default_rng(5)
    maxima = np.array([t.maximum for t in TARGETS])
    truth = np.where(rng.random((12, 86)) < 0.6, 0, rng.integers(0, maxima + 1, (12, 86)))
    predicted = np.clip(truth * 0.8 + rng.normal(0.2, 0.8, truth.shape), 0, maxima)
    return predicted, truth.astype(float)


def values(numbers: dict[str, Number]) -> dict[str, float]:
    return {name: number.value for name, number in numbers.items()}


def test_a_small_case_by_hand() -> None:
    seen = values(measure(PREDICTED, REFERENCE))
    assert seen["rmse"] == pytest.approx(math.sqrt(6 / 5))
    assert seen["mae"] == pytest.approx(4 / 5)
    assert seen["bias"] == pytest.approx(2 / 5)
    # sums around the means: 30 - 64/5 = 17.2, 14 - 36/5 = 6.8, 19 - 48/5 = 9.4
    assert seen["r"] == pytest.approx(9.4 / math.sqrt(17.2 * 6.8))
    assert seen["kappa"] == pytest.approx(1 - 6 / (17.2 + 6.8 + 5 * 0.4**2))
    assert seen["exact"] == pytest.approx(2 / 5)
    assert seen["within_one"] == pytest.approx(4 / 5)
    assert seen["sensitivity"] == seen["specificity"] == seen["auc"] == 1
    assert seen["rmse_zero"] == pytest.approx(math.sqrt(14 / 5))
    assert seen["rmse_mean"] == pytest.approx(math.sqrt(6.8 / 5))


def test_numbers_equal_those_of_other_programs(tables: tuple[np.ndarray, np.ndarray]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    p, t = (table.ravel() for table in tables)
    seen = values(measure(p, t))
    a, b = grade(p), grade(t)
    expected = {
        "r": stats.pearsonr(p, t).statistic,
        "spearman": stats.spearmanr(p, t).statistic,
        "rmse": metrics.root_mean_squared_error(t, p),
        "mae": metrics.mean_absolute_error(t, p),
        "kappa": metrics.cohen_kappa_score(a, b, weights="quadratic"),
        "exact": metrics.accuracy_score(b, a),
        "sensitivity": metrics.recall_score(b > 0, a > 0),
        "specificity": metrics.recall_score(b == 0, a == 0),
        "auc": metrics.roc_auc_score(b > 0, p),
        "icc2": icc(np.stack([p, t], axis=1), "2,1").value,
        "icc3": icc(np.stack([p, t], axis=1), "3,1").value,
    }
    assert {name: seen[name] for name in expected} == pytest.approx(expected, rel=1e-12)


def test_ties_count_half_in_the_auc() -> None:
    # damaged 1, 3; healthy 1, 0: one tie and three pairs in the right order
    assert measure([1, 3, 1, 0], [2, 1, 0, 0], ["auc"])["auc"].value == pytest.approx(3.5 / 4)


def test_halves_round_up_as_in_the_records() -> None:
    assert grade([0.49, 0.5, 1.5, 2.5]).tolist() == [0, 1, 2, 3]
    seen = measure([0.5, 0.4], [1.4, 0.0], ["exact", "sensitivity", "specificity"])
    assert values(seen) == {"exact": 1, "sensitivity": 1, "specificity": 1}


def test_missing_scores_are_left_out_and_never_zero() -> None:
    seen = measure([*PREDICTED, NAN, 4.0], [*REFERENCE, 3.0, NAN])
    assert seen == measure(PREDICTED, REFERENCE)
    assert seen["rmse"].n == 5
    assert (seen["sensitivity"].n, seen["specificity"].n) == (3, 2)


@pytest.mark.parametrize(
    ("predicted", "reference", "name", "reason"),
    [
        ([1, 1, 1], [0, 1, 2], "r", "the prediction is constant"),
        ([0.1, 0.1, 0.1], [0, 1, 2], "spearman", "the prediction is constant"),
        ([0, 1, 2], [0, 0, 0], "r", "the reference is 0 everywhere"),
        ([0, 1, 2], [0, 0, 0], "icc2", "the reference is 0 everywhere"),
        ([0, 1, 2], [0, 0.2, 0.4], "kappa", "the reference is grade 0 everywhere"),
        ([0, 1, 2], [3, 3, 3], "icc3", "the reference is constant"),
        ([0, 1, 2], [3, 3.2, 3], "kappa", "all grades of the reference are equal"),
        ([0, 1], [0, 1], "r", "fewer than 3 pairs of scores: two always correlate perfectly"),
        ([1], [0], "icc2", "fewer than 2 pairs of scores"),
        ([1], [1], "kappa", "fewer than 2 pairs of scores"),
        ([], [], "rmse", "the prediction has no scores"),
        ([NAN, NAN], [0, 1], "mae", "the prediction has no scores"),
        ([0, 1], [NAN, NAN], "bias", "the reference has no scores"),
        ([0, NAN], [NAN, 1], "exact", "the prediction and the reference have no joint in common"),
        ([0, 1, 2], [0, 0, 0], "sensitivity", "the reference has no damaged joint"),
        ([0, 1, 2], [0, 0, 0], "auc", "the reference has no damaged joint"),
        ([0, 1, 2], [1, 2, 1], "specificity", "the reference has no joint without damage"),
    ],
)  # fmt: skip
def test_what_is_not_defined_says_why(
    predicted: list[float], reference: list[float], name: str, reason: str
) -> None:
    number = measure(predicted, reference, [name])[name]
    assert math.isnan(number.value)
    assert number.reason == reason


def test_a_constant_prediction_agrees_no_better_than_chance() -> None:
    seen = values(measure([1, 1, 1, 1], [0, 1, 2, 3], ["kappa", "icc3", "rmse", "auc"]))
    assert seen == pytest.approx({"kappa": 0, "icc3": 0, "rmse": math.sqrt(6 / 4), "auc": 0.5})


def test_a_number_is_defined_or_has_a_reason() -> None:
    with pytest.raises(ValueError, match="needs a reason"):
        Number(NAN, 3)
    with pytest.raises(ValueError, match="must have none"):
        Number(0.5, 3, "why not")
    assert Number.none("no feet", 2).to_json() == {"value": None, "n": 2, "reason": "no feet"}
    assert Number(0.5, 3).to_json() == {"value": 0.5, "n": 3, "reason": None}


def test_groups_are_those_of_the_targets(tables: tuple[np.ndarray, np.ndarray]) -> None:
    predicted, truth = tables
    table = by_family(predicted, truth)
    assert list(table) == [
        "nh", "nf", "eh", "ef", "hand", "foot", "narrowing", "erosion", "all",
    ]  # fmt: skip
    sizes = {group: numbers["rmse"].n // 12 for group, numbers in table.items()}
    assert list(sizes.values()) == [30, 12, 32, 12, 62, 24, 42, 44, 86]
    which = [t.limb is Limb.FOOT and t.damage is Damage.EROSION for t in TARGETS]
    assert table["ef"] == measure(predicted[:, which], truth[:, which])
    assert all(list(numbers) == list(METRICS) for numbers in table.values())


def test_hands_only_leave_the_feet_without_numbers(tables: tuple[np.ndarray, np.ndarray]) -> None:
    predicted, truth = (table.copy() for table in tables)
    predicted[:, GROUPS["foot"]] = NAN
    table = by_family(predicted, truth)
    assert {n.reason for n in table["foot"].values()} == {"the prediction has no scores"}
    assert values(table["all"]) == pytest.approx(values(table["hand"]))
    assert table["all"]["r"].n == 12 * 62
    assert all(number.reason is None for number in table["nh"].values())


def test_one_patient_and_no_patient_do_not_crash(tables: tuple[np.ndarray, np.ndarray]) -> None:
    predicted, truth = tables
    assert by_family(predicted[:1], truth[:1])["nh"]["r"].n == 30
    none = by_family(predicted[:0], truth[:0])
    assert all(number.reason for numbers in none.values() for number in numbers.values())
    zeros = by_family(predicted, np.zeros_like(truth))
    assert zeros["ef"]["r"].reason == "the reference is 0 everywhere"
    assert zeros["ef"]["rmse_zero"].value == 0


def test_other_shapes_are_refused(tables: tuple[np.ndarray, np.ndarray]) -> None:
    predicted, truth = tables
    with pytest.raises(ValueError, match="cannot be paired"):
        by_family(predicted, truth[:5])
    with pytest.raises(ValueError, match=r"\(12, 85\) is not \(patients, 86\)"):
        by_family(predicted[:, :85], truth[:, :85])


@pytest.mark.parametrize(
    ("key", "bands"),
    [
        ("LH-mcp2:narrowing", "zero low middle high high"),
        ("LH-mcp2:erosion", "zero low middle middle high high"),
        ("RF-mtp5:erosion", "zero low low low middle middle middle high high high high"),
    ],
)
def test_bands_are_thirds_of_the_maximum(key: str, bands: str) -> None:
    column = TARGETS.index(target(key))
    table = np.full((target(key).maximum + 1, 86), NAN)
    table[:, column] = np.arange(len(table))
    seen = severity(table)
    assert [BANDS[i] for i in seen[:, column]] == bands.split()
    assert (np.delete(seen, column, axis=1) == -1).all()
    # between two grades, the grade counts
    assert (severity(table + 0.4) == seen).all()


def test_severe_joints_are_measured_by_themselves(tables: tuple[np.ndarray, np.ndarray]) -> None:
    predicted, truth = tables
    table = by_severity(predicted, truth)
    assert sum(n["rmse"].n for n in table["all"].values()) == truth.size
    off = (predicted - truth)[truth == 0]
    assert table["all"]["zero"]["mae"].value == pytest.approx(np.abs(off).mean())
    assert table["all"]["high"]["bias"].value < 0 < table["all"]["zero"]["bias"].value
    healthy = by_severity(predicted, np.zeros_like(truth))
    assert healthy["nh"]["high"]["mae"].reason == "the reference has no scores"
