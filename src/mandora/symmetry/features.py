"""The trees' view of a patient: 86 patch scores as feature rows of each site.

Left and right are pooled: one model serves both sides of a site, so every patient gives a row
for the left and a row for the right, in which "this side" and "other side" stand in the same
columns. Each of these rows comes twice, the second with the two sides of the *other* extremity
exchanged (Li & Guan 2022: nothing says that a left hand goes with the left foot rather than
with the right one). Both the training and the prediction use all four rows.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mandora.core.anatomy import FAMILIES, SITES, TARGET_INDEX, TARGETS, Side, Site, Target
from mandora.core.errors import InputError

N_SIDES = len(Side)
N_ORDERS = 2
"""The other extremity's sides as they are, and exchanged."""

SITE_INDEX: dict[Site, int] = {site: i for i, site in enumerate(SITES)}


def tree_features(predicted: Target) -> tuple[Target, ...]:
    """The 86 features from which the trees predict one target, in the paper's order.

    Same damage and same extremity first (this side, other side), then same damage in the
    other extremity, then the other damage in the same two extremities. Within a family the
    joints keep their SvH order, so that left and right can be pooled as rows of one model.
    """
    return tuple(
        Target(side, site)
        for damage in (predicted.damage, predicted.damage.other)
        for limb in (predicted.limb, predicted.limb.other)
        for side in (predicted.side, predicted.side.other)
        for site in FAMILIES[limb, damage]
    )


@cache
def target_columns() -> NDArray[np.intp]:
    """Where each site's two scores stand in a score table.

    Returns:
        (43, 2) intp, read-only: for each of ``anatomy.SITES`` the columns of its left and its
        right target in ``anatomy.TARGETS``.
    """
    return _frozen([[TARGET_INDEX[t.key] for t in _sides(site)] for site in SITES])


@cache
def feature_columns() -> NDArray[np.intp]:
    """Where each feature of each row of each site stands in a score table.

    Returns:
        (43, 2, 2, 86) intp, read-only: site, side (left, right), order of the other extremity
        (as it is, exchanged), feature in the order of :func:`tree_features`; the values
        are columns of ``anatomy.TARGETS``.
    """
    return _frozen([[_orders(t) for t in _sides(site)] for site in SITES])


def feature_rows(scores: ArrayLike, site: Site) -> NDArray[np.float64]:
    """The rows from which the forest of one site predicts.

    Args:
        scores: (N, 86) patch scores, columns in the order of ``anatomy.TARGETS``, each from 0
            to the target's maximum; NaN where missing.
        site: one of ``anatomy.SITES``.

    Returns:
        (4N, 86) float64, features in the order of :func:`tree_features`. Four rows in turn
        for each patient: left, left exchanged, right, right exchanged.

    Raises:
        ValueError: if the table has another shape or holds an infinite value.
    """
    table = as_score_table(scores)
    rows = table[:, feature_columns()[SITE_INDEX[site]]]
    return rows.reshape(-1, len(TARGETS))


def target_values(scores: ArrayLike, site: Site) -> NDArray[np.float64]:
    """The site's own score for each row of :func:`feature_rows`.

    Args:
        scores: (N, 86), columns in the order of ``anatomy.TARGETS``; NaN where missing.
        site: one of ``anatomy.SITES``.

    Returns:
        (4N,) float64.

    Raises:
        ValueError: if the table has another shape or holds an infinite value.
    """
    own = as_score_table(scores)[:, target_columns()[SITE_INDEX[site]]]
    return np.repeat(own.ravel(), N_ORDERS)


def as_score_table(scores: ArrayLike, name: str = "scores") -> NDArray[np.float64]:
    """Check a table of scores.

    Args:
        scores: (N, 86), columns in the order of ``anatomy.TARGETS``; NaN where missing.
        name: what to call the table in the message.

    Returns:
        (N, 86) float64.

    Raises:
        ValueError: if the table has another shape or holds an infinite value.
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != len(TARGETS):
        raise InputError(
            f"{name} must have shape (patients, {len(TARGETS)}), one column for each of "
            f"mandora.core.anatomy.TARGETS, got {table.shape}"
        )
    if np.isinf(table).any():
        row, column = np.argwhere(np.isinf(table))[0]
        raise InputError(
            f"{name} holds an infinite value in row {row}, {TARGETS[column].key}; "
            "write a missing score as NaN"
        )
    return table


def _sides(site: Site) -> tuple[Target, ...]:
    return tuple(Target(side, site) for side in Side)


def _orders(predicted: Target) -> list[list[int]]:
    as_is = tree_features(predicted)
    exchanged = [t.mirror if t.limb is predicted.limb.other else t for t in as_is]
    return [[TARGET_INDEX[t.key] for t in row] for row in (as_is, exchanged)]


def _frozen(values: object) -> NDArray[np.intp]:
    array = np.array(values, dtype=np.intp)
    array.setflags(write=False)
    return array
