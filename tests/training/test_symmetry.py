from __future__ import annotations

import numpy as np
import pytest

from mandora.core.anatomy import SITES, TARGETS, Limb, Side, Target, target
from mandora.core.settings import SymmetrySettings
from mandora.symmetry.features import feature_rows, target_columns, tree_features
from mandora.symmetry.forest import JointForest, blend

pytest.importorskip("sklearn")
from mandora.training.symmetry import export_trees, fit_site, train_forest, training_rows

MAXIMA = np.array([t.maximum for t in TARGETS])
SMALL = SymmetrySettings(trees=8, depth=3, threads=1)
MCP2 = target("LH-mcp2:narrowing").site


def cohort(patients: int, seed: int = 0, noise: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    """Patch and true scores of patients whose joints share one severity."""
    rng = np.random.default_rng(seed)
    severity = rng.gamma(0.6, 0.5, (patients, 1))
    truth = np.minimum(rng.poisson(severity * MAXIMA / 2), MAXIMA).astype(float)
    patch = np.clip(truth + rng.normal(0, noise, truth.shape), 0, MAXIMA)
    return patch, truth


def with_gaps(table: np.ndarray, seed: int, share: float = 0.15) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(table.shape) < share, np.nan, table)


def one_forest(arrays: dict[str, np.ndarray]) -> JointForest:
    """A JointForest that has the same trees at every site."""
    return JointForest(**{n: np.stack([a] * len(SITES)) for n, a in arrays.items()})


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("training_gaps", [0.0, 0.15])
def test_the_arrays_predict_what_scikit_learn_predicts(seed, training_gaps):
    # Without gaps in training no node has met a missing value: scikit-learn then sends it to
    # the child with more rows, and so must the arrays.
    settings = SymmetrySettings(
        trees=20, depth=[2, 4, 6][seed % 3], threads=1, seed=seed, drop_extremity=0
    )
    patch, truth = cohort(40, seed)
    site = SITES[(seed * 7) % len(SITES)]
    rows, values = training_rows(with_gaps(patch, seed, training_gaps), truth, site, settings)
    model = fit_site(rows, values, site, settings)
    forest = one_forest(export_trees(model, settings.depth))

    unseen = with_gaps(cohort(50, seed + 100)[0], seed, 0.4)
    unseen[0] = np.nan
    expected = model.predict(feature_rows(unseen, site)).reshape(-1, 2, 2).mean(axis=2)
    columns = target_columns()[SITES.index(site)]
    assert np.abs(forest.predict(unseen)[:, columns] - expected).max() <= 1e-6


def test_rows_that_lie_on_a_threshold_go_the_same_way():
    settings = SymmetrySettings(trees=30, depth=4, threads=1, drop_extremity=0)
    patch, truth = cohort(40)
    model = fit_site(*training_rows(patch, truth, MCP2, settings), MCP2, settings)
    thresholds = np.concatenate([e.tree_.threshold for e in model.estimators_])
    forest = one_forest(export_trees(model, 4))
    # each patient sits at one threshold's float32 neighbours, in every feature
    for step in (-np.inf, np.inf):
        near = np.nextafter(thresholds[thresholds > 0].astype(np.float32), np.float32(step))
        for values in (near, thresholds[thresholds > 0]):
            table = np.repeat(np.asarray(values, float)[:, None], 86, axis=1)
            expected = model.predict(feature_rows(table, MCP2)).reshape(-1, 2, 2).mean(axis=2)
            found = forest.predict(table)[:, target_columns()[SITES.index(MCP2)]]
            assert np.abs(found - expected).max() <= 1e-6


def test_cover_counts_the_training_rows_even_where_branches_end_early():
    settings = SymmetrySettings(trees=10, depth=6, threads=1, drop_extremity=0)
    patch, truth = cohort(5)
    rows, values = training_rows(patch, truth, MCP2, settings)
    forest = one_forest(export_trees(fit_site(rows, values, MCP2, settings), 6))
    assert np.array_equal(forest.node_cover[0, :, 0], [len(rows)] * 10)
    assert (forest.leaf_cover > 0).all()


@pytest.fixture(scope="module")
def trained() -> JointForest:
    patch, truth = cohort(120)
    return train_forest(patch, truth, SymmetrySettings(trees=20, depth=4))


def test_the_blend_is_closer_to_the_truth_than_the_patch_scores(trained):
    patch, truth = cohort(150, seed=9)
    mixed = blend(patch, trained.predict(patch), 0.5)
    assert ((mixed - truth) ** 2).mean() < 0.9 * ((patch - truth) ** 2).mean()


@pytest.mark.parametrize("lost", [Limb.HAND, Limb.FOOT, Side.LEFT])
def test_the_blend_helps_when_films_are_missing(trained, lost):
    patch, truth = cohort(150, seed=9)
    patch[:, [lost in (t.limb, t.side) for t in TARGETS]] = np.nan
    mixed = blend(patch, trained.predict(patch), 0.5)
    assert np.nanmean((mixed - truth) ** 2) < 0.9 * np.nanmean((patch - truth) ** 2)
    assert np.array_equal(np.isnan(mixed), np.isnan(patch))


def test_the_same_seed_gives_the_same_forest_and_another_seed_another():
    patch, truth = cohort(20)
    first = train_forest(patch, truth, SMALL)
    again = train_forest(patch, truth, SMALL.model_copy(update={"threads": 2}))
    other = train_forest(patch, truth, SMALL.model_copy(update={"seed": -2}))
    assert np.array_equal(first.threshold, again.threshold)
    assert np.array_equal(first.leaf, again.leaf)
    assert not np.array_equal(first.threshold, other.threshold)


def test_progress_is_told_after_each_site():
    patch, truth = cohort(5)
    told: list[tuple[int, int]] = []
    train_forest(patch, truth, SMALL, lambda done, total: told.append((done, total)))
    assert told == [(i, 43) for i in range(1, 44)]


def test_a_cohort_without_damage_predicts_none():
    patch, _ = cohort(10)
    forest = train_forest(patch, np.zeros((10, 86)), SMALL)
    assert (forest.predict(with_gaps(patch, 1)) == 0).all()


def test_one_patient_is_enough_to_train():
    patch, truth = cohort(1)
    forest = train_forest(patch, truth, SMALL)
    assert forest.predict(patch).shape == (1, 86)


def test_a_cohort_of_hands_leaves_the_feet_to_the_patch_scores():
    patch, truth = cohort(15)
    feet = np.array([t.limb is Limb.FOOT for t in TARGETS])
    forest = train_forest(np.where(feet, np.nan, patch), np.where(feet, np.nan, truth), SMALL)
    assert list(forest.trained) == [s.limb is Limb.HAND for s in SITES]
    tree = forest.predict(patch)
    mixed = blend(patch, tree, 0.5)
    assert np.array_equal(mixed[:, feet], patch[:, feet])
    assert np.isfinite(tree[:, ~feet]).all()


def test_only_joints_with_both_scores_are_learnt_from():
    patch, truth = cohort(6)
    left, right = target_columns()[SITES.index(MCP2)]
    truth[0, left] = np.nan
    patch[1, right] = np.nan
    rows, values = training_rows(patch, truth, MCP2, SMALL)
    assert len(rows) == len(values) == 4 * 6 - 2 * 2
    assert np.isfinite(values).all()


@pytest.mark.parametrize("site", SITES[::6], ids=lambda s: s.code)
def test_simulated_missing_films_never_take_the_joints_own_film(site):
    settings = SymmetrySettings(drop_extremity=0.4)
    patch, truth = cohort(400)
    rows, values = training_rows(patch, truth, site, settings)
    features = tree_features(Target(Side.LEFT, site))
    gone = np.isnan(rows)
    own_film = [t.limb is site.limb and t.side is Side.LEFT for t in features]
    assert not gone[:, own_film].any()
    assert len(values) == 1600  # no row is lost over it
    assert gone.any(axis=1).mean() == pytest.approx(0.4, abs=0.06)
    assert np.array_equal(gone[0::2], gone[1::2])
    # whole films go, never single joints
    films = np.array([t.slot.code for t in features])
    for film in np.unique(films):
        part = gone[:, films == film]
        assert np.array_equal(part.any(axis=1), part.all(axis=1))


@pytest.mark.parametrize(
    ("truth", "says"),
    [
        (np.zeros((3, 86)), "same patients"),
        (np.full((4, 86), 11.0), r"outside 0–5 for LH-ip:erosion"),
        (np.full((4, 86), -1.0), "outside"),
        (np.full((4, 86), np.nan), "no joint"),
        (np.zeros((4, 90)), "86"),
    ],
)
def test_tables_that_do_not_fit_are_refused(truth, says):
    with pytest.raises(ValueError, match=says):
        train_forest(cohort(4)[0], truth, SMALL)
