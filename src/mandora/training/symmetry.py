"""Training of the symmetry trees with scikit-learn, and their export as plain arrays.

The patch scores must be *out of sample*, from networks that were not trained on these patients.
Otherwise the trees learn to trust patch scores that are better than those of new patients.

Missing films are simulated, because a forest can handle a missing feature only if it was missing
in training too. At a node where no training row lacked the feature, scikit-learn sends a missing
value to the side with more rows; as most joints are healthy, that side predicts "no damage". So a
share of the rows loses what a real study can lack: the other extremity (hands without feet), the
other side, or both (a single film). The film of the joint itself is never removed: without a
patch score a joint gets no score.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.ensemble import ExtraTreesRegressor

from mandora.core.anatomy import SITES, TARGETS, Side, Site, Target
from mandora.core.errors import InputError
from mandora.core.settings import SymmetrySettings
from mandora.symmetry.features import (
    N_ORDERS,
    SITE_INDEX,
    as_score_table,
    feature_rows,
    target_values,
    tree_features,
)
from mandora.symmetry.forest import JointForest

Progress = Callable[[int, int], None]
"""Called with the number of sites done and the number of sites."""

Arrays = dict[str, NDArray[Any]]


def train_forest(
    patch_scores: ArrayLike,
    true_scores: ArrayLike,
    settings: SymmetrySettings,
    progress: Progress | None = None,
    models: dict[Site, Any] | None = None,
) -> JointForest:
    """Train one forest for each site.

    The result depends on the tables, the settings' seed and the site, not on the number of
    threads or on the other sites.

    Args:
        patch_scores: (N, 86) out-of-sample patch scores of N patients, columns in the order of
            ``anatomy.TARGETS``; NaN where missing.
        true_scores: (N, 86) readers' scores of the same patients; NaN where missing. A joint
            counts only if it has both scores.
        settings: size of the forests, share of rows with simulated missing films, seed.
        progress: called after each site.
        models: gets scikit-learn's forests by site, for a comparison.

    Returns:
        The forests. A site without any joint that counts has none (see ``trained``).

    Raises:
        ValueError: if the tables do not fit, a true score is outside its range, or no site
            has anything to learn from.
    """
    patch = as_score_table(patch_scores, "patch scores")
    truth = _checked_truth(true_scores, patch.shape)
    parts = []
    for done, site in enumerate(SITES, start=1):
        rows, values = training_rows(patch, truth, site, settings)
        if len(values):
            model = fit_site(rows, values, site, settings)
            parts.append(export_trees(model, settings.depth))
            if models is not None:
                models[site] = model
        else:
            parts.append(_no_trees(settings))
        if progress is not None:
            progress(done, len(SITES))
    if all(np.isnan(part["leaf"]).all() for part in parts):
        raise InputError(
            "no joint has both a patch score and a true score; give the scores of the same "
            "patients in the same order"
        )
    return JointForest(**{name: np.stack([part[name] for part in parts]) for name in parts[0]})


def training_rows(
    patch: NDArray[np.float64],
    truth: NDArray[np.float64],
    site: Site,
    settings: SymmetrySettings,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The rows that train one site, with some films removed.

    Args:
        patch: (N, 86) patch scores, NaN where missing.
        truth: (N, 86) true scores, NaN where missing.
        site: one of ``anatomy.SITES``.
        settings: uses ``drop_extremity`` and ``seed``.

    Returns:
        (R, 86) float64 features and (R,) float64 true scores, R at most 4N. The two orders of
        a row lack the same films.
    """
    rows = feature_rows(patch, site)
    rng = np.random.default_rng(_seeds(settings.seed, site))
    per_side = len(rows) // N_ORDERS
    dropped = rng.random(per_side) < settings.drop_extremity
    lost = _losses(site)[rng.integers(len(_losses(site)), size=per_side)] & dropped[:, None]
    rows[np.repeat(lost, N_ORDERS, axis=0)] = np.nan
    values = target_values(truth, site)
    counts = ~np.isnan(values) & ~np.isnan(target_values(patch, site))
    return rows[counts], values[counts]


def fit_site(
    rows: NDArray[np.float64],
    values: NDArray[np.float64],
    site: Site,
    settings: SymmetrySettings,
) -> ExtraTreesRegressor:
    """Fit scikit-learn's forest for one site to the rows of :func:`training_rows`."""
    _, forest_seed = _seeds(settings.seed, site).generate_state(2)
    model = ExtraTreesRegressor(
        n_estimators=settings.trees,
        max_depth=settings.depth,
        max_features=settings.max_features,
        random_state=int(forest_seed),
        n_jobs=settings.threads,
    )
    return model.fit(rows, values)


def export_trees(model: ExtraTreesRegressor, depth: int) -> Arrays:
    """The trees of a fitted forest as complete binary trees.

    Args:
        model: fitted, its trees at most ``depth`` deep, T of them.
        depth: depth D of the layout.

    Returns:
        The arrays of :class:`~mandora.symmetry.forest.JointForest` for one site, without the
        site axis: (T, 2^D − 1) for inner nodes, (T, 2^D) for leaves.
    """
    trees = [estimator.tree_ for estimator in model.estimators_]
    start = np.cumsum([0, *(tree.node_count for tree in trees[:-1])])[:, None]

    def column(name: str) -> NDArray[Any]:
        return np.concatenate([np.ravel(getattr(tree, name)) for tree in trees])

    children = np.stack([column("children_left"), column("children_right")], axis=1)
    feature, threshold = column("feature"), _round_down(column("threshold"))
    missing_left = column("missing_go_to_left").astype(np.bool_)
    node, share = start, np.ones(start.shape)  # nodes of the current level, in one flat list
    levels: list[tuple[NDArray[Any], NDArray[np.bool_]]] = []
    for _ in range(depth):
        ended = children[node, 0] < 0
        levels.append((node, ended))
        below = np.where(ended[..., None], node[..., None], children[node] + start[..., None])
        # an early leaf is its own two children, each with half of its rows
        share = np.repeat(np.where(ended, share / 2, share), 2, axis=1)
        node = below.reshape(len(trees), -1)

    def inner(values: NDArray[Any], dtype: type) -> NDArray[Any]:
        filled = [np.where(ended, 0, values[at]) for at, ended in levels]
        return np.concatenate(filled, axis=1).astype(dtype)

    return {
        "feature": inner(feature, np.uint8),
        "threshold": inner(threshold, np.float32),
        "missing_left": inner(missing_left, np.bool_),
        "leaf": column("value")[node].astype(np.float32),
        "leaf_cover": (column("weighted_n_node_samples")[node] * share).astype(np.float32),
    }


def _round_down(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 that is at most the value, for each of (N,) float64."""
    rounded = values.astype(np.float32)
    lower = np.nextafter(rounded, np.float32(-np.inf))
    return np.where(rounded > values, lower, rounded)


def _losses(site: Site) -> NDArray[np.bool_]:
    """(3, 86) bool: the features lost with each kind of missing film, all equally likely."""
    predicted = Target(Side.LEFT, site)
    features = tree_features(predicted)
    extremity = np.array([t.limb is not predicted.limb for t in features])
    side = np.array([t.side is not predicted.side for t in features])
    return np.stack([extremity, side, extremity | side])


def _seeds(seed: int, site: Site) -> np.random.SeedSequence:
    return np.random.SeedSequence([seed % 2**64, SITE_INDEX[site]])


def _no_trees(settings: SymmetrySettings) -> Arrays:
    inner, leaves = (settings.trees, 2**settings.depth - 1), (settings.trees, 2**settings.depth)
    return {
        "feature": np.zeros(inner, np.uint8),
        "threshold": np.zeros(inner, np.float32),
        "missing_left": np.zeros(inner, np.bool_),
        "leaf": np.full(leaves, np.nan, np.float32),
        "leaf_cover": np.zeros(leaves, np.float32),
    }


def _checked_truth(true_scores: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    truth = as_score_table(true_scores, "true scores")
    if truth.shape != shape:
        raise InputError(
            f"true scores {truth.shape} and patch scores {shape} must be of the same patients"
        )
    outside = (truth < 0) | (truth > np.array([t.maximum for t in TARGETS]))
    if outside.any():
        row, column = np.argwhere(outside)[0]
        raise InputError(
            f"true score {truth[row, column]} in row {row} is outside "
            f"0–{TARGETS[column].maximum} for {TARGETS[column].key}; correct the score table"
        )
    return truth
