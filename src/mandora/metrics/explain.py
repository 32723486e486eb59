"""What a score of the symmetry trees rests on: SHAP values of the joint forests.

The paper's figure 9 and tables 2 and 3. A forest predicts one site from all 86 patch scores; its
SHAP values say how many points of score each of them adds to the mean or takes from it, and
they add up to the prediction. They are the Shapley values of Lundberg et al., Nat Mach Intell
2020;2:56, path-dependent: what is not known about a row is averaged over the training rows
(``leaf_cover``). The numbers are those of the package shap, from the forest's plain arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mandora.core.anatomy import SITES, TARGETS, Side, Site
from mandora.core.errors import InputError
from mandora.metrics import Floats, Number, score_table
from mandora.symmetry.features import (
    N_ORDERS,
    N_SIDES,
    SITE_INDEX,
    feature_columns,
    feature_rows,
    target_values,
)
from mandora.symmetry.forest import JointForest

TOLERANCE = 1e-3
"""Points by which contributions may miss the prediction that they explain."""

_NOTHING = 1e-9  # points; a split whose two sides are equal leaves rounding errors behind


@dataclass(frozen=True, eq=False)
class Contributions:
    """Mean |SHAP| of every patch score for the prediction of every site.

    Attributes:
        same: (43, 43) float64, points of score, ≥ 0. Row: site whose score is predicted; column:
            site of the patch score, on the same side; order of ``anatomy.SITES``. NaN in the
            rows of sites that have no forest or were explained nowhere.
        other: (43, 43) float64, the same for patch scores of the other side.
        n_rows: (43,) int64, how many rows were averaged for each predicted site.
    """

    same: Floats
    other: Floats
    n_rows: NDArray[np.int64]

    @property
    def table(self) -> Floats:
        """(43, 86) float64: the columns of ``same``, then those of ``other``."""
        return np.concatenate([self.same, self.other], axis=1)

    @staticmethod
    def pooled(parts: Sequence[Contributions]) -> Contributions:
        """The mean over the rows of several folds or repeats, each with its own forest.

        Raises:
            ValueError: if there are none.
        """
        if not parts:
            raise InputError("there are no contributions to pool; give at least one part")
        sums = [np.nan_to_num(p.table) * p.n_rows[:, None] for p in parts]
        return _from_sums(np.sum(sums, axis=0), np.sum([p.n_rows for p in parts], axis=0))


def mean_contributions(
    forest: JointForest,
    patch_scores: ArrayLike,
    *,
    both_orders: bool = True,
) -> Contributions:
    """Explain the predictions of a forest for patients that did not train it.

    A prediction is the mean over two rows: the other extremity's sides as they are, and
    exchanged (:func:`mandora.symmetry.features.feature_rows`). Every value of a row is counted
    for the joint that it was read from: in the second row, what stands in the column of the
    foot on the same side is the other foot's. Rows without a patch score of the predicted joint
    itself are left out, as that joint gets no score (:func:`mandora.symmetry.forest.blend`).

    Args:
        forest: not trained with these patients.
        patch_scores: (N, 86), columns in the order of ``anatomy.TARGETS``; NaN = missing.
        both_orders: explain both rows; else the one as it is alone, as published.

    Returns:
        Mean |SHAP| over all rows: both sides, and the chosen orders, of each patient.

    Raises:
        ValueError: if the table does not fit, shap is not installed, or see :func:`shap_values`.
    """
    table = score_table(patch_scores)
    sums, n_rows = np.zeros((len(SITES), len(TARGETS))), np.zeros(len(SITES), dtype=np.int64)
    # the rows of a patient's side come in turn: as they are, exchanged
    chosen = np.resize([True, both_orders], len(table) * N_SIDES * N_ORDERS)
    for i, site in enumerate(SITES):
        scored = ~np.isnan(target_values(table, site)) & chosen
        if forest.trained[i] and scored.any():
            values, _ = shap_values(forest, site, feature_rows(table, site)[scored])
            places = np.tile(_source_columns()[i].reshape(-1, len(TARGETS)), (len(table), 1))[
                scored
            ]
            size = np.empty_like(values)
            np.put_along_axis(size, places, np.abs(values), axis=1)
            sums[i], n_rows[i] = size.sum(axis=0), len(size)
    return _from_sums(sums, n_rows)


def shap_values(forest: JointForest, site: Site, rows: ArrayLike) -> tuple[Floats, float]:
    """Contributions of every feature to the predictions of one site.

    Args:
        forest: any.
        site: one of ``anatomy.SITES``.
        rows: (R, 86) as from :func:`mandora.symmetry.features.feature_rows`, features in the
            order of ``symmetry.features.tree_features``; NaN = missing.

    Returns:
        (R, 86) float64, points of score, in the order of the features, and the expected value:
        the prediction for a patient of whom nothing is known. Its sum with a row's contributions
        is the row's prediction (not cut to the range of the score). NaN for a site that has no
        forest.

    Raises:
        ValueError: if the rows do not fit, shap is not installed, no training row is known to
            have reached a leaf, or the contributions do not add up to the prediction.
    """
    table = _checked_rows(rows)
    if not forest.trained[SITE_INDEX[site]]:
        return np.full(table.shape, np.nan), float("nan")
    explainer = _tree_explainer()(
        tree_model(forest, site), feature_perturbation="tree_path_dependent"
    )
    # shap's own check allows ten times more, and compares with shap's own prediction
    values = explainer.shap_values(table, check_additivity=False)
    expected = float(np.squeeze(explainer.expected_value))
    off = np.abs(expected + values.sum(axis=1) - predict_rows(forest, site, table))
    if not (off <= TOLERANCE).all():
        raise InputError(
            f"contributions for {_name(site)} miss the prediction by {off.max():.2g} points in "
            f"row {np.argmax(off)}, more than {TOLERANCE}; this release of shap reads the forest "
            "differently: install one that requirements/train.txt names"
        )
    return values, expected


def tree_model(forest: JointForest, site: Site) -> dict[str, Any]:
    """One site's forest as shap's ``TreeExplainer`` takes it.

    Args:
        forest: any.
        site: one of ``anatomy.SITES`` that has a forest.

    Returns:
        A dictionary of arrays, one set for each tree. Nodes are numbered as in
        :class:`~mandora.symmetry.forest.JointForest`, leaves after inner nodes. Shap sends a
        missing feature to ``children_default``. Leaves are divided by the number of trees, as
        shap adds trees up.

    Raises:
        ValueError: if the site has no forest, or no training row is known to have reached a leaf.
    """
    i = SITE_INDEX[site]
    if not forest.trained[i]:
        raise InputError(f"the forest holds no trees for {_name(site)}; leave that site out")
    cover = forest.node_cover[i].astype(np.float64)
    if (cover <= 0).any():
        raise InputError(
            f"leaf_cover: a leaf of {_name(site)} has no training rows, so that no mean over them "
            "is defined; give a forest from mandora.training.symmetry.train_forest"
        )
    inner, leaves = forest.feature.shape[2], forest.leaf.shape[2]
    node, end = np.arange(inner, dtype=np.int32), np.full(leaves, -1, dtype=np.int32)
    left, right = np.append(2 * node + 1, end), np.append(2 * node + 2, end)
    trees = [
        {
            "children_left": left,
            "children_right": right,
            "children_default": np.append(np.where(missing_left, left[:inner], right[:inner]), end),
            "features": np.append(feature.astype(np.int32), end),
            "thresholds": np.append(threshold, np.zeros(leaves)).astype(np.float64),
            # shap fills in the means of the inner nodes
            "values": np.append(np.zeros(inner), leaf / forest.trees)[:, None],
            "node_sample_weight": weight,
        }
        for feature, threshold, missing_left, leaf, weight in zip(
            forest.feature[i],
            forest.threshold[i],
            forest.missing_left[i],
            forest.leaf[i].astype(np.float64),
            cover,
            strict=True,
        )
    ]
    # the forest compares float32 features: a float64 could fall on the other side of a threshold
    return {"trees": trees, "input_dtype": np.float32, "internal_dtype": np.float64}


def predict_rows(forest: JointForest, site: Site, rows: ArrayLike) -> Floats:
    """What the trees of one site predict for single rows.

    Args:
        forest: any.
        site: one of ``anatomy.SITES``.
        rows: (R, 86), features in the order of ``symmetry.features.tree_features``; NaN = missing.

    Returns:
        (R,) float64, mean over the trees, not cut to the range of the score.

    Raises:
        ValueError: if the rows have another shape or hold an infinite value.
    """
    table, i = _checked_rows(rows).astype(np.float32), SITE_INDEX[site]
    row, tree = np.arange(len(table))[:, None], np.arange(forest.trees)[None]
    node = np.zeros((len(table), forest.trees), dtype=np.intp)
    for _ in range(forest.depth):
        value = table[row, forest.feature[i][tree, node]]
        left = np.where(
            np.isnan(value),
            forest.missing_left[i][tree, node],
            value <= forest.threshold[i][tree, node],
        )
        node = 2 * node + np.where(left, 1, 2)
    leaves = forest.leaf[i][tree, node - forest.feature.shape[2]]
    return leaves.mean(axis=1, dtype=np.float64)


def summarise(contributions: Contributions) -> dict[str, Number]:
    """What the paper says of figure 9, as numbers over the predicted sites.

    Returns:
        ``own_strongest``: for how many sites the joint's own patch score contributes more than
        any other of the 86; ``mirror_leads``: for how many the same joint of the other side
        contributes more than all others of that side; ``own_share`` and ``mirror_share``: mean over
        sites of the part that these two have of all contributions, from 0 to 1. ``n`` of each is
        the number of sites that have contributions.
    """
    names = ("own_strongest", "mirror_leads", "own_share", "mirror_share")
    total = contributions.table.sum(axis=1)
    known = np.flatnonzero(total > _NOTHING)  # NaN is not
    if not known.size:
        return dict.fromkeys(names, Number.none("no site has any contribution"))
    this = np.arange(known.size), known
    all_86, other = contributions.table[known], contributions.other[known]
    own, mirror = all_86[this], other[this]
    all_86[this] = other[this] = 0  # copies: what is left is the competition
    found = (
        np.sum(own > all_86.max(axis=1) + _NOTHING),
        np.sum(mirror > other.max(axis=1) + _NOTHING),
        np.mean(own / total[known]),
        np.mean(mirror / total[known]),
    )
    return {n: Number(float(v), known.size) for n, v in zip(names, found, strict=True)}


@cache
def _source_columns() -> NDArray[np.intp]:
    """Which joint each feature of each row was read from.

    Returns:
        (43, 2, 2, 86) intp, read-only: site, side, order, feature as in
        :func:`mandora.symmetry.features.feature_columns`; the values are columns of
        ``Contributions.table``.
    """
    site = np.array([SITE_INDEX[t.site] for t in TARGETS])
    shift = np.array([[len(SITES) * (t.side is not side) for t in TARGETS] for side in Side])
    side = np.arange(N_SIDES)[None, :, None, None]
    places: NDArray[np.intp] = (site + shift)[side, feature_columns()]
    places.setflags(write=False)
    return places


def _from_sums(sums: Floats, n_rows: NDArray[np.int64]) -> Contributions:
    """(43, 86) sums of |SHAP| over (43,) numbers of rows."""
    mean = np.where(n_rows[:, None] > 0, sums / np.maximum(n_rows, 1)[:, None], np.nan)
    return Contributions(mean[:, : len(SITES)], mean[:, len(SITES) :], n_rows)


def _checked_rows(rows: ArrayLike) -> Floats:
    table = np.asarray(rows, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != len(TARGETS):
        raise InputError(
            f"rows must have shape (rows, {len(TARGETS)}), as from "
            f"mandora.symmetry.features.feature_rows, got {table.shape}"
        )
    if np.isinf(table).any():
        raise InputError("rows hold an infinite value; write a missing score as NaN")
    return table


def _tree_explainer() -> Any:
    """The class ``shap.TreeExplainer``; only now, as it takes seconds to import."""
    try:
        from shap import TreeExplainer
    except ImportError as error:
        raise InputError(
            f"explaining a forest needs the package shap ({error}): pip install 'mandora[explain]'"
        ) from error
    return TreeExplainer


def _name(site: Site) -> str:
    return f"{site.limb} {site.name} {site.damage}"
