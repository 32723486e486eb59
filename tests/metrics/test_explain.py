from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from itertools import combinations

import numpy as np
import pytest

from mandora.core.anatomy import SITES, TARGETS, Damage, Limb, Side, Site, Target
from mandora.metrics import explain
from mandora.metrics.explain import (
    Contributions,
    mean_contributions,
    predict_rows,
    shap_values,
    summarise,
    tree_model,
)
from mandora.symmetry.features import feature_rows, target_columns, tree_features
from mandora.symmetry.forest import JointForest

needs_shap = pytest.mark.skipif(
    find_spec("shap") is None, reason="shap is not installed: pip install 'mandora[explain]'"
)

MAXIMA = np.array([t.maximum for t in TARGETS])
N = len(SITES)
HAND = SITES[5]  # a site of the hand
FOOT_TARGETS = np.array([t.limb is Limb.FOOT for t in TARGETS])
MIRROR = [TARGETS.index(t.mirror) for t in TARGETS]
FEET_EXCHANGED = [TARGETS.index(t.mirror if t.limb is Limb.FOOT else t) for t in TARGETS]


def site_of(limb: Limb, damage: Damage, name: str) -> Site:
    return next(s for s in SITES if (s.limb, s.damage, s.name) == (limb, damage, name))


def random_forest(seed: int = 0, trees: int = 3, depth: int = 3, features: int = 86) -> JointForest:
    """Trees with random splits, some branches ended early; needs no training."""
    rng = np.random.default_rng(seed)
    inner, leaves = (N, trees, 2**depth - 1), (N, trees, 2**depth)
    leaf = rng.uniform(0, 4, leaves)
    cover = rng.integers(1, 50, leaves).astype(float)
    feature = rng.integers(features, size=inner)
    threshold = rng.uniform(0, 4, inner)
    if depth > 1:  # as training.symmetry.export_trees fills up an early end
        leaf[..., :2], cover[..., :2] = leaf[..., :1], cover[..., :1] / 2
        ended = 2 ** (depth - 1) - 1
        feature[..., ended], threshold[..., ended] = 0, 0
    return JointForest(
        feature=feature.astype(np.uint8),
        threshold=threshold.astype(np.float32),
        missing_left=rng.random(inner) < 0.5,
        leaf=leaf.astype(np.float32),
        leaf_cover=cover.astype(np.float32),
    )


def one_tree(
    features: list[int],
    thresholds: list[float],
    leaves: list[float],
    cover: list[float],
    missing_left: bool = True,
) -> JointForest:
    """The same single tree for every site."""
    return stumps(lambda _: features, thresholds, leaves, cover, missing_left)


def stumps(
    features: Callable[[Site], list[int]],
    thresholds: list[float],
    leaves: list[float],
    cover: list[float],
    missing_left: bool = True,
) -> JointForest:
    """One tree per site, which differ only in the features that they look at."""

    def repeated(values: list[float]) -> np.ndarray:
        return np.tile(np.array(values, dtype=np.float32), (N, 1, 1))

    feature = np.array([[features(site)] for site in SITES], dtype=np.uint8)
    return JointForest(
        feature=feature,
        threshold=repeated(thresholds),
        missing_left=np.full(feature.shape, missing_left),
        leaf=repeated(leaves),
        leaf_cover=repeated(cover),
    )


def column_of(site: Site, seen: Site, same_side: bool) -> int:
    """Where a feature stands in the rows of a site, the other extremity as it is."""
    wanted = Target(Side.LEFT if same_side else Side.RIGHT, seen)
    return tree_features(Target(Side.LEFT, site)).index(wanted)


def random_scores(patients: int, seed: int = 0, missing: float = 0.2) -> np.ndarray:
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0, MAXIMA, (patients, len(TARGETS)))
    scores[rng.random(scores.shape) < missing] = np.nan
    return scores


def row_of(**features: float) -> np.ndarray:
    """One row, by names such as ``f5``; all else is 0."""
    row = np.zeros((1, len(TARGETS)))
    for name, value in features.items():
        row[0, int(name[1:])] = value
    return row


def brute_force(forest: JointForest, site: int, row: np.ndarray, features: int) -> np.ndarray:
    """Shapley values by their definition, over all sets of the first few features."""
    inner = forest.feature.shape[2]
    cover = forest.node_cover[site].astype(float)

    def value(tree: int, node: int, known: frozenset[int]) -> float:
        if node >= inner:
            return float(forest.leaf[site, tree, node - inner])
        left, right, k = 2 * node + 1, 2 * node + 2, int(forest.feature[site, tree, node])
        if k in known:
            if np.isnan(row[k]):
                goes_left = forest.missing_left[site, tree, node]
            else:
                goes_left = np.float32(row[k]) <= forest.threshold[site, tree, node]
            return value(tree, left if goes_left else right, known)
        parts = [cover[tree, child] * value(tree, child, known) for child in (left, right)]
        return sum(parts) / cover[tree, node]

    def mean(known: tuple[int, ...]) -> float:
        return float(np.mean([value(t, 0, frozenset(known)) for t in range(forest.trees)]))

    shapley = np.zeros(features)
    for k in range(features):
        others = [j for j in range(features) if j != k]
        for size in range(features):
            weight = 1 / (features * math.comb(features - 1, size))
            for known in combinations(others, size):
                shapley[k] += weight * (mean((*known, k)) - mean(known))
    return shapley


@needs_shap
@pytest.mark.parametrize("missing", [0.0, 0.3, 1.0])
def test_contributions_add_up_to_the_prediction(missing: float) -> None:
    forest, scores = random_forest(depth=4), random_scores(4, missing=missing)
    predicted = forest.predict(scores)
    for i in range(0, N, 6):
        values, expected = shap_values(forest, SITES[i], feature_rows(scores, SITES[i]))
        mean_of_orders = (expected + values.sum(axis=1)).reshape(4, 2, 2).mean(axis=2)
        within = np.clip(mean_of_orders, 0, SITES[i].maximum)
        assert np.allclose(within, predicted[:, target_columns()[i]], atol=1e-5)


@needs_shap
def test_contributions_are_the_shapley_values_of_the_definition() -> None:
    forest = random_forest(seed=3, trees=2, depth=3, features=4)
    for seed in range(3):
        rows = feature_rows(random_scores(1, seed, missing=0.3), HAND)
        values, _ = shap_values(forest, HAND, rows)
        for row, found in zip(rows, values, strict=True):
            assert np.allclose(found[:4], brute_force(forest, 5, row, 4), atol=1e-6)
            assert np.allclose(found[4:], 0)


@needs_shap
def test_one_split_gives_the_difference_from_the_mean() -> None:
    forest = one_tree([7], [1.5], [0, 4], [3, 1])  # mean (3 × 0 + 1 × 4) / 4 = 1
    low, expected = shap_values(forest, HAND, row_of(f7=1.5))
    high, _ = shap_values(forest, HAND, row_of(f7=1.6))
    assert expected == pytest.approx(1)
    assert np.allclose(low, row_of(f7=-1))
    assert np.allclose(high, row_of(f7=3))


@needs_shap
@pytest.mark.parametrize("missing_left", [True, False])
def test_a_missing_feature_goes_where_the_node_says(missing_left: bool) -> None:
    forest = one_tree([7], [1.5], [0, 4], [3, 1], missing_left)
    values, _ = shap_values(forest, HAND, row_of(f7=np.nan))
    assert values[0, 7] == pytest.approx(-1 if missing_left else 3)


@needs_shap
def test_two_splits_share_what_they_add_and_an_early_end_adds_nothing() -> None:
    # f5 left → f9 decides between 0 and 2; f5 right → an early end, filled up with feature 0
    forest = one_tree([5, 9, 0], [1, 1, 0], [0, 2, 4, 4], [1, 1, 1, 1])
    values, expected = shap_values(forest, HAND, row_of(f5=0, f9=0))
    # v() = 2.5, v(f5) = 1, v(f9) = 2, v(f5, f9) = 0: the mean over both orders
    assert expected == pytest.approx(2.5)
    assert np.allclose(values, row_of(f5=-1.75, f9=-0.75))


@needs_shap
def test_features_are_compared_as_float32_like_in_the_forest() -> None:
    at = float(np.float32(0.1))
    forest = one_tree([7], [at], [0, 4], [1, 1])
    values, _ = shap_values(forest, HAND, row_of(f7=at + 1e-10))  # more, but not in float32
    assert values[0, 7] == pytest.approx(-2)


@needs_shap
def test_a_trained_forest_has_the_contributions_of_scikit_learns() -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    import shap

    from mandora.core.settings import SymmetrySettings
    from mandora.training.symmetry import export_trees, fit_site

    rng = np.random.default_rng(0)
    settings = SymmetrySettings(trees=20, depth=4)
    rows = feature_rows(random_scores(12, missing=0.1), HAND)
    model = fit_site(rows, rng.integers(0, 3, len(rows)).astype(float), HAND, settings)
    arrays = {n: np.stack([a] * N) for n, a in export_trees(model, settings.depth).items()}
    values, expected = shap_values(JointForest(**arrays), HAND, rows)
    theirs = shap.TreeExplainer(model)
    assert np.allclose(values, theirs.shap_values(rows.astype(np.float32)), atol=1e-5)
    assert expected == pytest.approx(float(np.squeeze(theirs.expected_value)), abs=1e-5)


@needs_shap
def test_a_forest_that_sees_only_the_other_side_fills_only_that_diagonal() -> None:
    forest = stumps(lambda s: [column_of(s, s, same_side=False)], [1], [0, 2], [1, 1])
    found = mean_contributions(forest, random_scores(3, missing=0))
    assert np.allclose(found.same, 0)
    assert np.allclose(found.other, np.eye(N))  # each row is 1 point off the mean
    summary = {name: number.value for name, number in summarise(found).items()}
    assert summary == pytest.approx(
        {"own_strongest": 0, "mirror_leads": N, "own_share": 0, "mirror_share": 1}
    )


@needs_shap
def test_the_kinds_of_damage_find_their_columns() -> None:
    eroded = site_of(Limb.HAND, Damage.EROSION, "mcp2")
    forest = stumps(lambda s: [column_of(s, eroded, same_side=True)], [1], [0, 2], [1, 1])
    found = mean_contributions(forest, random_scores(3, missing=0))
    hands = [i for i, s in enumerate(SITES) if s.limb is Limb.HAND]
    expected = np.zeros((len(hands), N))
    expected[:, SITES.index(eroded)] = 1
    assert np.allclose(found.same[hands], expected)
    assert np.allclose(found.other[hands], 0)


@needs_shap
def test_rows_as_they_are_are_those_of_one_order() -> None:
    forest, table = random_forest(seed=4), random_scores(3, missing=0.2)
    found = mean_contributions(forest, table, both_orders=False)
    both = mean_contributions(forest, table)
    np.testing.assert_array_equal(2 * found.n_rows, both.n_rows)
    left = [TARGETS.index(t) for t in tree_features(Target(Side.LEFT, HAND))]
    sizes = []
    for side, columns in ((Side.LEFT, left), (Side.RIGHT, [MIRROR[i] for i in left])):
        scored = table[~np.isnan(table[:, TARGETS.index(Target(side, HAND))])][:, columns]
        sizes.append(np.abs(shap_values(forest, HAND, scored)[0]))
    mean = np.concatenate(sizes).mean(axis=0)
    features = tree_features(Target(Side.LEFT, HAND))
    same, other = found.same[SITES.index(HAND)], found.other[SITES.index(HAND)]
    for feature, value in zip(features, mean, strict=True):
        row = same if feature.side is Side.LEFT else other
        assert row[SITES.index(feature.site)] == pytest.approx(value)
    assert not np.allclose(found.same, both.same)


@needs_shap
def test_the_other_extremity_counts_for_the_side_that_was_read() -> None:
    # A hand that looks at the foot in its "same side" column: in the exchanged row, that is the
    # other foot. Left foot 3 points from the mean, right foot 1.
    toe = site_of(Limb.FOOT, Damage.EROSION, "mtp5")
    forest = stumps(
        lambda s: [column_of(s, toe, same_side=True)] * 3, [2, 1, 3], [0, 0, 1, 4], [2, 1, 1, 1]
    )
    scores = np.zeros((1, len(TARGETS)))
    scores[0, TARGETS.index(Target(Side.LEFT, toe))] = 4  # leaf 4, mean 1
    scores[0, TARGETS.index(Target(Side.RIGHT, toe))] = 0  # leaf 0
    found = mean_contributions(forest, scores)
    row, column = SITES.index(HAND), SITES.index(toe)
    # left hand: left foot 3 and right foot 1; right hand: right foot 1 and left foot 3. Half of
    # the rows do not look at a foot of the same side.
    assert found.same[row, column] == pytest.approx((3 + 0 + 1 + 0) / 4)
    assert found.other[row, column] == pytest.approx((0 + 1 + 0 + 3) / 4)


@needs_shap
def test_exchanging_the_feet_exchanges_the_maps_of_feet_in_the_rows_of_hands() -> None:
    forest, scores = random_forest(trees=8), random_scores(4, missing=0)
    one, two = (mean_contributions(forest, s) for s in (scores, scores[:, FEET_EXCHANGED]))
    hands = np.array([s.limb is Limb.HAND for s in SITES])
    to_feet, within = np.ix_(hands, ~hands), np.ix_(hands, hands)
    assert one.same[to_feet].any()
    assert np.allclose(one.same[to_feet], two.other[to_feet])
    assert np.allclose(one.other[to_feet], two.same[to_feet])
    assert np.allclose(one.same[within], two.same[within])


@needs_shap
def test_the_two_sides_of_a_patient_count_alike() -> None:
    forest, scores = random_forest(), random_scores(3)
    one, two = (mean_contributions(forest, s) for s in (scores, scores[:, MIRROR]))
    assert np.allclose(one.table, two.table, equal_nan=True)


@needs_shap
def test_folds_are_pooled_by_their_rows() -> None:
    forest, scores = random_forest(), random_scores(5)
    parts = [mean_contributions(forest, s) for s in (scores[:1], scores[1:])]
    whole, pooled = mean_contributions(forest, scores), Contributions.pooled(parts)
    assert np.allclose(whole.table, pooled.table, equal_nan=True)
    assert np.array_equal(whole.n_rows, pooled.n_rows)


@needs_shap
def test_joints_that_get_no_score_are_not_explained() -> None:
    forest, scores = random_forest(), random_scores(2, missing=0)
    scores[0, FOOT_TARGETS] = np.nan
    found = mean_contributions(forest, scores)
    assert found.n_rows.tolist() == [8 if s.limb is Limb.HAND else 4 for s in SITES]
    alone = mean_contributions(forest, scores[:1])
    feet = np.array([s.limb is Limb.FOOT for s in SITES])
    assert np.isnan(alone.table[feet]).all()
    assert np.isfinite(alone.table[~feet]).all()
    assert summarise(alone)["own_strongest"].n == (~feet).sum()


@needs_shap
def test_sites_without_a_forest_are_not_known() -> None:
    forest = random_forest()
    leaf, cover = forest.leaf.copy(), forest.leaf_cover.copy()
    leaf[5], cover[5] = np.nan, 0
    forest = JointForest(forest.feature, forest.threshold, forest.missing_left, leaf, cover)
    scores = random_scores(1, missing=0)
    values, expected = shap_values(forest, HAND, feature_rows(scores, HAND))
    assert values.shape == (4, 86)
    assert np.isnan(values).all()
    assert math.isnan(expected)
    found = mean_contributions(forest, scores)
    assert np.isnan(found.table[5]).all()
    assert np.isfinite(np.delete(found.table, 5, axis=0)).all()
    assert found.n_rows[5] == 0
    with pytest.raises(ValueError, match="no trees for hand"):
        tree_model(forest, HAND)


@needs_shap
def test_no_rows_have_no_contributions() -> None:
    values, _ = shap_values(random_forest(), HAND, np.empty((0, 86)))
    assert values.shape == (0, 86)
    assert np.isnan(mean_contributions(random_forest(), np.empty((0, 86))).table).all()


@needs_shap
def test_contributions_that_miss_the_prediction_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = predict_rows
    monkeypatch.setattr(explain, "predict_rows", lambda *a: right(*a) + np.array([0, 0, 0.002, 0]))
    rows = feature_rows(random_scores(1), HAND)
    with pytest.raises(ValueError, match=f"hand {HAND.name} {HAND.damage} miss.* row 2"):
        shap_values(random_forest(), HAND, rows)


@needs_shap
def test_a_published_size_of_forest_is_explained_in_seconds() -> None:
    forest, rows = random_forest(trees=500, depth=4), feature_rows(random_scores(20), HAND)
    shap_values(forest, HAND, rows[:1])  # numba and friends
    start = time.perf_counter()
    shap_values(forest, HAND, rows)
    assert time.perf_counter() - start < 10  # a fifth of a second on an idle core


def test_without_shap_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shap", None)
    with pytest.raises(ValueError, match=r"pip install 'mandora\[explain\]'"):
        mean_contributions(random_forest(), random_scores(1))


def test_leaves_that_no_training_row_reached_are_refused() -> None:
    forest = one_tree([7], [1.5], [0, 4], [3, 0])
    with pytest.raises(ValueError, match=f"leaf of hand {HAND.name} .* no training rows"):
        tree_model(forest, HAND)


@pytest.mark.parametrize("rows", [np.zeros(86), np.zeros((2, 85)), np.full((1, 86), np.inf)])
def test_rows_that_do_not_fit_are_refused(rows: np.ndarray) -> None:
    with pytest.raises(ValueError, match="rows"):
        shap_values(random_forest(), HAND, rows)


def test_rows_are_predicted_as_the_forest_predicts() -> None:
    forest, scores = random_forest(depth=4), random_scores(6)
    for i, site in enumerate(SITES):
        one_by_one = predict_rows(forest, site, feature_rows(scores, site)).reshape(6, 2, 2)
        expected = forest.predict(scores)[:, target_columns()[i]]
        assert np.allclose(np.clip(one_by_one.mean(axis=2), 0, site.maximum), expected, atol=1e-6)


def test_the_summary_counts_strict_winners_only() -> None:
    same, other = np.full((N, N), 0.1), np.full((N, N), 0.1)
    np.fill_diagonal(same, 2.0)
    np.fill_diagonal(other, 0.5)
    same[0, 0] = 0.1  # no stronger than others
    same[1, 1] = 0.5  # no stronger than its mirror
    other[2] = np.nan  # not known
    other[3, 4] = 0.6  # a neighbour leads
    summary = summarise(Contributions(same, other, np.full(N, 4)))
    assert {number.n for number in summary.values()} == {N - 1}
    assert summary["own_strongest"].value == N - 3
    assert summary["mirror_leads"].value == N - 2


def test_shares_are_parts_of_all_contributions() -> None:
    same, other = np.full((N, N), 0.1), np.full((N, N), 0.1)
    np.fill_diagonal(same, 2.0)
    np.fill_diagonal(other, 0.5)
    summary = summarise(Contributions(same, other, np.full(N, 4)))
    assert summary["own_share"].value == pytest.approx(2 / (2 + 0.5 + 84 * 0.1))
    assert summary["mirror_share"].value == pytest.approx(0.5 / (2 + 0.5 + 84 * 0.1))


def test_a_forest_that_knows_nothing_has_a_summary_of_reasons() -> None:
    nothing = Contributions(np.zeros((N, N)), np.zeros((N, N)), np.full(N, 4))
    assert all(number.reason for number in summarise(nothing).values())


def test_no_parts_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Contributions.pooled([])
