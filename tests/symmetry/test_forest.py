from __future__ import annotations

import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mandora.core.anatomy import SITES, TARGETS, Limb
from mandora.core.errors import InputError
from mandora.symmetry.features import feature_rows, target_columns
from mandora.symmetry.forest import JointForest, blend, rescale

MAXIMA = np.array([t.maximum for t in TARGETS])


def random_forest(seed: int = 0, trees: int = 3, depth: int = 3) -> JointForest:
    """Trees with random splits; needs no training."""
    rng = np.random.default_rng(seed)
    inner, leaves = (len(SITES), trees, 2**depth - 1), (len(SITES), trees, 2**depth)
    return JointForest(
        feature=rng.integers(len(TARGETS), size=inner).astype(np.uint8),
        threshold=rng.uniform(0, 4, inner).astype(np.float32),
        missing_left=rng.random(inner) < 0.5,
        leaf=rng.uniform(0, 4, leaves).astype(np.float32),
        leaf_cover=rng.integers(1, 50, leaves).astype(np.float32),
    )


def random_scores(patients: int, seed: int = 0, missing: float = 0.2) -> np.ndarray:
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0, MAXIMA, (patients, len(TARGETS)))
    scores[rng.random(scores.shape) < missing] = np.nan
    return scores


def walk(forest: JointForest, site: int, tree: int, row: np.ndarray) -> float:
    """One row through one tree, one node at a time."""
    node, inner = 0, forest.feature.shape[2]
    while node < inner:
        value = np.float32(row[forest.feature[site, tree, node]])
        if np.isnan(value):
            left = forest.missing_left[site, tree, node]
        else:
            left = value <= forest.threshold[site, tree, node]
        node = 2 * node + (1 if left else 2)
    return float(forest.leaf[site, tree, node - inner])


@pytest.mark.parametrize("depth", [1, 3, 4])
def test_the_prediction_is_that_of_walking_every_tree(depth):
    forest, scores = random_forest(depth=depth), random_scores(3)
    predicted = forest.predict(scores)
    for i, site in enumerate(SITES):
        walked = [
            [walk(forest, i, t, row) for t in range(forest.trees)]
            for row in feature_rows(scores, site)
        ]
        expected = np.array(walked).reshape(3, 2, -1).mean(axis=2)
        expected = np.clip(expected, 0, site.maximum)
        assert np.allclose(predicted[:, target_columns()[i]], expected, atol=1e-6)


def test_one_patient_alone_scores_as_in_a_batch():
    forest, scores = random_forest(), random_scores(21)
    batch = forest.predict(scores)
    assert np.array_equal(batch, np.concatenate([forest.predict(s[None]) for s in scores]))


def test_an_empty_batch_gives_an_empty_table():
    assert random_forest().predict(np.empty((0, 86))).shape == (0, 86)


def test_mirroring_the_patient_mirrors_the_prediction():
    forest, scores = random_forest(), random_scores(5)
    mirror = [TARGETS.index(t.mirror) for t in TARGETS]
    assert np.allclose(forest.predict(scores[:, mirror]), forest.predict(scores)[:, mirror])


def test_exchanging_the_feet_leaves_the_hands_as_they_are():
    forest, scores = random_forest(), random_scores(5)
    feet = [t.limb is Limb.FOOT for t in TARGETS]
    mixed = [TARGETS.index(t.mirror if t.limb is Limb.FOOT else t) for t in TARGETS]
    hands = np.logical_not(feet)
    assert np.allclose(forest.predict(scores[:, mixed])[:, hands], forest.predict(scores)[:, hands])


def test_predictions_stay_within_the_range_of_the_target():
    forest = random_forest()
    high = replace(forest, leaf=forest.leaf + 20).predict(random_scores(4))
    assert np.array_equal(high, np.broadcast_to(MAXIMA, high.shape))
    assert (replace(forest, leaf=forest.leaf - 20).predict(random_scores(4)) == 0).all()


def test_a_patient_without_any_score_still_gets_finite_tree_scores():
    assert np.isfinite(random_forest().predict(np.full((1, 86), np.nan))).all()


def test_node_cover_adds_up_from_the_leaves():
    forest = random_forest(depth=3)
    cover = forest.node_cover
    assert cover.shape == (43, 3, 15)
    assert np.array_equal(cover[..., 0], forest.leaf_cover.sum(axis=2))
    assert np.array_equal(cover[..., :7], cover[..., 1::2] + cover[..., 2::2])


def test_saving_and_loading_changes_nothing(tmp_path):
    forest, scores = random_forest(depth=4), random_scores(4)
    forest.save(tmp_path / "a.npz")
    back = JointForest.load(tmp_path / "a.npz")
    for name in ("feature", "threshold", "missing_left", "leaf", "leaf_cover"):
        assert np.array_equal(getattr(back, name), getattr(forest, name))
    assert np.array_equal(back.predict(scores), forest.predict(scores))
    back.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz", "b.npz"]


def rewrite(path, **changes):
    with np.load(path, allow_pickle=False) as npz:
        arrays = {name: npz[name] for name in npz.files}
    arrays.update(changes)
    np.savez(path, **{name: a for name, a in arrays.items() if a is not None})


BAD = {
    "schema": {"schema": np.array(99)},
    "depth": {"depth": np.array(5)},
    "sites": {"sites": np.array([s.code for s in reversed(SITES)])},
    "targets": {"targets": np.array(["LH-mcp2:narrowing"] * 86)},
    "feature": {"feature": np.full((43, 3, 7), 86, np.uint8)},
    "threshold": {"threshold": np.full((43, 3, 7), np.inf, np.float32)},
    "missing_left": {"missing_left": np.zeros((43, 3, 9), np.uint8)},
    "leaf": {"leaf": np.zeros((43, 3, 9), np.float32)},
    "leaf_cover": {"leaf_cover": np.full((43, 3, 8), -1, np.float32)},
}


@pytest.mark.parametrize("field", BAD)
def test_a_wrong_field_is_refused_by_file_and_name(tmp_path, field):
    path = tmp_path / "symmetry.npz"
    random_forest().save(path)
    rewrite(path, **BAD[field])
    with pytest.raises(ValueError, match=rf"symmetry\.npz.*{field}"):
        JointForest.load(path)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("leaf", None, "leaf"),
        ("more", np.zeros(1), "more"),
        ("threshold", np.zeros((43, 3, 7)), "float32"),
        ("feature", np.zeros((43, 2, 7), np.uint8), "feature"),
        ("depth", np.array(0), "depth"),
        ("leaf", np.full((43, 3, 8), np.inf, np.float32), "leaf"),
        ("sites", np.array([{"a": 1}], dtype=object), "pickle|Object"),
    ],
)
def test_other_damage_is_refused(tmp_path, field, value, says):
    path = tmp_path / "symmetry.npz"
    random_forest().save(path)
    rewrite(path, **{field: value})
    with pytest.raises(ValueError, match=rf"symmetry\.npz.*({says})"):
        JointForest.load(path)


def test_files_that_are_no_forest_are_refused(tmp_path):
    path = tmp_path / "symmetry.npz"
    with pytest.raises(ValueError, match=r"symmetry\.npz"):
        JointForest.load(path)
    path.write_bytes(b"not a zip file")
    with pytest.raises(ValueError, match=r"symmetry\.npz"):
        JointForest.load(path)
    random_forest().save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"symmetry\.npz"):
        JointForest.load(path)
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes(64) + whole[middle + 64 :])
    with pytest.raises(ValueError, match=r"symmetry\.npz"):
        JointForest.load(path)


def test_blend_never_scores_a_joint_without_a_patch_score():
    patch, tree = np.full((1, 86), 2.0), np.full((1, 86), 1.0)
    patch[0, 5] = np.nan
    mixed = blend(patch, tree, 0.25)
    assert np.isnan(mixed[0, 5])
    assert (np.delete(mixed, 5) == 1.75).all()
    assert np.isnan(blend(patch, tree, 1.0)[0, 5])


def test_blend_keeps_the_patch_score_where_there_is_no_forest():
    forest = random_forest()
    leaf = forest.leaf.copy()
    leaf[7] = np.nan
    partly, patch = replace(forest, leaf=leaf), random_scores(2)
    columns = target_columns()[7]
    tree = partly.predict(patch)
    assert not partly.trained[7]
    assert np.isnan(tree[:, columns]).all()
    assert np.array_equal(blend(patch, tree, 0.5)[:, columns], patch[:, columns], equal_nan=True)


def test_blend_refuses_other_patients_and_shares():
    with pytest.raises(ValueError, match="same patients"):
        blend(np.zeros((2, 86)), np.zeros((3, 86)), 0.5)
    with pytest.raises(ValueError, match="0 to 1"):
        blend(np.zeros((2, 86)), np.zeros((2, 86)), 1.5)


def test_rescaled_scores_have_the_means_of_the_trees():
    rng = np.random.default_rng(0)
    scores, tree = rng.random((20, 86)), rng.random((20, 86)) * 0.5
    scores[3, 5] = np.nan  # counts for neither mean
    tree[:, 6] = np.nan
    scores[:, 7] = 0
    made = rescale(scores, tree)
    known = np.isfinite(scores[:, 5])
    assert made[known, 5].mean() == pytest.approx(tree[known, 5].mean())
    np.testing.assert_allclose(made[:, 0] / scores[:, 0], tree[:, 0].sum() / scores[:, 0].sum())
    np.testing.assert_array_equal(np.isnan(made), np.isnan(scores))
    np.testing.assert_array_equal(made[:, 6:8], scores[:, 6:8])
    high = rescale(np.array([np.full(86, 1.0), np.full(86, 4.0)]), np.full((2, 86), 4.0))
    assert (high <= [t.maximum for t in TARGETS]).all()
    with pytest.raises(ValueError, match="same patients"):
        rescale(scores, tree[1:])


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(
        st.tuples(st.integers(-1500, 6000), st.integers(0, 255)), min_size=1, max_size=5
    ),
    kept=st.one_of(st.just(1.0), st.floats(0, 1)),
)
def test_a_mutated_file_is_read_or_refused_by_name(tmp_path, changes, kept):
    path = tmp_path / "symmetry.npz"
    if not (tmp_path / "sound.npz").exists():
        random_forest().save(tmp_path / "sound.npz")
    data = bytearray((tmp_path / "sound.npz").read_bytes())
    for at, value in changes:
        data[at % len(data)] = value
    path.write_bytes(bytes(data[: int(len(data) * kept)]))
    try:
        JointForest.load(path)
    except InputError as error:
        assert str(path) in str(error)  # noqa: PT017


def test_members_that_are_no_arrays_are_refused(tmp_path):
    path = tmp_path / "symmetry.npz"
    names = [
        "schema",
        "depth",
        "sites",
        "targets",
        "feature",
        "threshold",
        "missing_left",
        "leaf",
        "leaf_cover",
    ]
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(f"{name}.npy", b"junk")
    with pytest.raises(InputError, match=r"symmetry\.npz"):
        JointForest.load(path)
    np.savez(path, **dict.fromkeys(names, np.array([None, "x"], object)))
    with pytest.raises(InputError, match=r"symmetry\.npz"):
        JointForest.load(path)
