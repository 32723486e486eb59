"""The symmetry trees as plain arrays, and a NumPy predictor for them.

Every tree is a complete binary tree of one depth D. Node 0 is the root, the children of node i
are 2i + 1 (left) and 2i + 2 (right), and the 2^D leaves stand below the 2^D − 1 inner nodes
from left to right. A branch that training ended early goes on with splits whose two sides hold
the same value. A row goes left at a node if its feature is at most the threshold; if the
feature is missing, it goes where the node's ``missing_left`` says.

The numbers are those that scikit-learn computes with, to the rounding of a leaf to float32:
scikit-learn compares float32 features with float64 thresholds, so a threshold that is rounded
*down* to float32 sends every row the same way.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mandora.core.anatomy import SITES, TARGETS
from mandora.core.errors import InputError
from mandora.core.files import write_atomically
from mandora.core.inputs import open_regular
from mandora.symmetry.features import (
    N_ORDERS,
    N_SIDES,
    as_score_table,
    feature_columns,
    target_columns,
)

FOREST_SCHEMA = 1
MAX_DEPTH = 8

_CHUNK = 8  # patients at a time: 8 × 4 rows × 21,500 trees stay in a few dozen MB
_MAX_BYTES = 1 << 30  # of a file's arrays once unpacked; 500 trees of depth 8 need 0.2 GB


@dataclass(frozen=True, eq=False)
class JointForest:
    """One forest for each of the 43 sites; S sites, T trees each, all of depth D.

    A site for which there was nothing to learn from has NaN in all its leaves; it predicts NaN,
    and :func:`blend` then keeps the patch score.

    Attributes:
        feature: (S, T, 2^D − 1) uint8, index into ``symmetry.features.tree_features``.
        threshold: (S, T, 2^D − 1) float32, finite.
        missing_left: (S, T, 2^D − 1) bool, where a missing feature goes.
        leaf: (S, T, 2^D) float32, mean true score of the training rows in the leaf.
        leaf_cover: (S, T, 2^D) float32, number of training rows in the leaf; a leaf that an
            early end was filled up with holds its share of the rows.

    Raises:
        ValueError: naming the array that does not fit.
    """

    feature: NDArray[np.uint8]
    threshold: NDArray[np.float32]
    missing_left: NDArray[np.bool_]
    leaf: NDArray[np.float32]
    leaf_cover: NDArray[np.float32]

    def __post_init__(self) -> None:
        _check_shapes(self)
        _check_values(self)
        for name in _ARRAYS:
            getattr(self, name).setflags(write=False)

    @property
    def trees(self) -> int:
        """Trees per site."""
        return int(self.leaf.shape[1])

    @property
    def depth(self) -> int:
        """Depth of every tree."""
        return int(self.leaf.shape[2]).bit_length() - 1

    @cached_property
    def trained(self) -> NDArray[np.bool_]:
        """(S,) bool: the sites that have a forest."""
        return np.asarray(np.isfinite(self.leaf).all(axis=(1, 2)))

    @cached_property
    def node_cover(self) -> NDArray[np.float32]:
        """(S, T, 2^(D+1) − 1) float32: training rows in every node, inner nodes first."""
        levels = [self.leaf_cover]
        for _ in range(self.depth):
            levels.insert(0, levels[0][..., 0::2] + levels[0][..., 1::2])
        return np.concatenate(levels, axis=2)

    def predict(self, patch_scores: ArrayLike) -> NDArray[np.float64]:
        """Predict every score from all scores of the patient.

        Args:
            patch_scores: (N, 86), columns in the order of ``anatomy.TARGETS``; NaN = missing.

        Returns:
            (N, 86) float64, from 0 to each target's maximum: the mean over the trees and over
            the two rows of a target. A number is given even where the target's own patch
            score is missing (:func:`blend` leaves it out); NaN for sites without a forest.

        Raises:
            ValueError: if the table has another shape or holds an infinite value.
        """
        table = as_score_table(patch_scores, "patch scores").astype(np.float32)
        out = np.empty(table.shape, dtype=np.float64)
        for start in range(0, len(table), _CHUNK):
            part = slice(start, start + _CHUNK)
            # (n, side, S) → the columns of the targets
            out[part, target_columns().T] = self._predict_chunk(table[part])
        return np.clip(out, 0.0, [t.maximum for t in TARGETS])

    def _predict_chunk(self, table: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n, 86) float32 → (n, 2, S) float64."""
        absent = np.isnan(table)
        # One copy in which missing goes right everywhere, one in which it goes left: a node
        # reads the copy of its missing_left, and no step has to ask for NaN again.
        copies = np.stack(
            [np.where(absent, np.inf, table), np.where(absent, -np.inf, table)], axis=1
        )
        columns = np.moveaxis(feature_columns(), 0, 2)  # (side, order, S, feature)
        rows = np.moveaxis(copies[:, :, columns], 1, 4)  # (n, side, order, S, copy, feature)
        n_rows, per_row = len(table) * N_SIDES * N_ORDERS, columns[0, 0].size * 2
        values = rows.reshape(-1)
        row_start = np.arange(n_rows, dtype=np.intp)[:, None] * per_row
        at = np.arange(len(SITES) * self.trees, dtype=np.intp)[None]
        for column, threshold in self._levels:
            right = values.take(row_start + column.take(at)) > threshold.take(at)
            at = 2 * at + right  # within a level, trees × nodes in a row: children lie at 2i
        leaves = self.leaf.reshape(-1).take(at)
        shape = (len(table), N_SIDES, N_ORDERS, len(SITES), self.trees)
        mean: NDArray[np.float64] = leaves.reshape(shape).mean(axis=(2, 4), dtype=np.float64)
        return mean

    @cached_property
    def _levels(self) -> list[tuple[NDArray[np.intp], NDArray[np.float32]]]:
        """For each level the value that a node reads (place within a row) and its threshold."""
        n = len(TARGETS)
        site_start = np.arange(len(SITES), dtype=np.intp)[:, None, None] * (2 * n)
        column = site_start + self.feature + n * self.missing_left.astype(np.intp)
        cuts = [slice(2**level - 1, 2 ** (level + 1) - 1) for level in range(self.depth)]
        return [(column[..., c].ravel(), self.threshold[..., c].ravel()) for c in cuts]

    def save(self, path: Path) -> None:
        """Write the forest as ``npz``; the same forest always gives the same bytes."""
        arrays: dict[str, Any] = {
            "schema": np.array(FOREST_SCHEMA),
            "depth": np.array(self.depth),
            "sites": np.array([site.code for site in SITES]),
            "targets": np.array([target.key for target in TARGETS]),
            "feature": self.feature,
            "threshold": self.threshold,
            "missing_left": np.packbits(self.missing_left, axis=2),
            "leaf": self.leaf,
            "leaf_cover": self.leaf_cover,
        }
        data = io.BytesIO()
        np.savez_compressed(data, **arrays)
        write_atomically(path, data.getvalue())

    @staticmethod
    def load(path: Path) -> JointForest:
        """Read a forest that :meth:`save` wrote.

        Raises:
            ValueError: naming the file and the field that is wrong.
        """
        try:
            return _from_arrays(_read_arrays(path))
        except (ValueError, TypeError, OverflowError) as error:
            raise InputError(
                f"{path} is not a forest that this version reads: {error}; "
                "copy the model bundle again, or train it again"
            ) from error


_ARRAYS: dict[str, Any] = {
    "feature": np.uint8,
    "threshold": np.float32,
    "missing_left": np.bool_,
    "leaf": np.float32,
    "leaf_cover": np.float32,
}


def blend(patch: ArrayLike, tree: ArrayLike, share: float) -> NDArray[np.float64]:
    """Mix the patch scores with the tree scores.

    Args:
        patch: (N, 86); NaN where the joint was not scored.
        tree: (N, 86) from :meth:`JointForest.predict`; NaN for sites without a forest.
        share: weight of the tree score, 0 to 1 (the paper's mean is 0.5).

    Returns:
        (N, 86) float64. A joint without a patch score stays NaN: the trees must not invent a
        score for a joint that nobody saw. A joint without a tree score keeps its patch score.

    Raises:
        ValueError: if the shapes differ or the share is not from 0 to 1.
    """
    patch_table, tree_table = as_score_table(patch, "patch"), as_score_table(tree, "tree")
    if patch_table.shape != tree_table.shape:
        raise InputError(
            f"patch scores {patch_table.shape} and tree scores {tree_table.shape} must be of "
            "the same patients"
        )
    if not 0 <= share <= 1:
        raise InputError(f"the share of the trees must be from 0 to 1, got {share}")
    mixed = (1 - share) * patch_table + share * tree_table
    return np.where(np.isnan(tree_table), patch_table, mixed)


def rescale(scores: ArrayLike, tree: ArrayLike) -> NDArray[np.float64]:
    """Give scores of several patients the means that the trees give them.

    The mean of a patch score and a tree score is as much too low, or too high, as the network's
    scores are on the whole; the trees have learnt that from the readers. Each target's scores
    are multiplied by one factor, so their order among the patients does not change (the optional
    last step of Li & Guan 2022, doi:10.1002/aisy.202200184). It needs many patients of one
    cohort, so no single patient is scored this way.

    Args:
        scores: (N, 86); NaN where missing.
        tree: (N, 86) from :meth:`JointForest.predict`.

    Returns:
        (N, 86) float64, from 0 to each target's maximum. Targets whose mean is 0, or that have no
        tree score, stay as they are.

    Raises:
        ValueError: if the shapes differ.
    """
    table, trees = as_score_table(scores, "scores"), as_score_table(tree, "tree")
    if table.shape != trees.shape:
        raise InputError(
            f"scores {table.shape} and tree scores {trees.shape} must be of the same patients"
        )
    both = np.isfinite(table) & np.isfinite(trees)
    ours, theirs = (np.where(both, t, 0.0).sum(axis=0) for t in (table, trees))
    factor = np.divide(theirs, ours, out=np.ones_like(ours), where=ours > 0)
    scaled: NDArray[np.float64] = np.clip(table * factor, 0.0, [t.maximum for t in TARGETS])
    return scaled


def _check_shapes(forest: JointForest) -> None:
    for name, dtype in _ARRAYS.items():
        array = getattr(forest, name)
        if not isinstance(array, np.ndarray) or array.dtype != dtype:
            found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise InputError(f"{name}: must be an array of {np.dtype(dtype)}, got {found}")
    shape = forest.leaf.shape
    if len(shape) != 3 or shape[0] != len(SITES) or shape[1] < 1:
        raise InputError(f"leaf: must have shape ({len(SITES)}, trees, 2^depth), got {shape}")
    if shape[2] not in [2**d for d in range(1, MAX_DEPTH + 1)]:
        raise InputError(f"leaf: {shape[2]} leaves are not 2^depth with a depth of 1–{MAX_DEPTH}")
    inner = (*shape[:2], shape[2] - 1)
    for name in _ARRAYS:
        expected = shape if name.startswith("leaf") else inner
        if getattr(forest, name).shape != expected:
            raise InputError(
                f"{name}: must have shape {expected}, got {getattr(forest, name).shape}"
            )


def _check_values(forest: JointForest) -> None:
    if forest.feature.max() >= len(TARGETS):
        raise InputError(f"feature: index {forest.feature.max()} is outside 0–{len(TARGETS) - 1}")
    if not np.isfinite(forest.threshold).all():
        raise InputError("threshold: holds a value that is not finite")
    finite = np.isfinite(forest.leaf)
    whole = finite.all(axis=(1, 2)) | np.isnan(forest.leaf).all(axis=(1, 2))
    if not whole.all():
        site = SITES[int(np.argmin(whole))].code
        raise InputError(f"leaf: holds values that are not finite for site {site}")
    if not (np.isfinite(forest.leaf_cover).all() and (forest.leaf_cover >= 0).all()):
        raise InputError("leaf_cover: holds a value that is negative or not finite")


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an npz file, or ValueError."""
    expected = {"schema", "depth", "sites", "targets", *_ARRAYS}
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > _MAX_BYTES:
            raise InputError(f"it unpacks to {size:,} bytes, more than any forest needs")
        with open_regular(path) as file, np.load(file, allow_pickle=False) as npz:
            names = set(npz.files)
            if "schema" in names and npz["schema"].tolist() != FOREST_SCHEMA:
                raise InputError(
                    f"schema: is {npz['schema'].tolist()}, this version reads {FOREST_SCHEMA}"
                )
            if names != expected:
                wrong = ", ".join(sorted(names ^ expected))
                raise InputError(f"fields missing or unknown: {wrong}")
            arrays = {name: npz[name] for name in expected}
    except InputError:
        raise
    except Exception as error:  # zipfile and NumPy fail in any way they like
        raise InputError(f"it cannot be read ({type(error).__name__}: {error})") from error
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise InputError(f"{name}: is no array")
    return arrays


def _from_arrays(arrays: dict[str, NDArray[Any]]) -> JointForest:
    order = {"sites": [s.code for s in SITES], "targets": [t.key for t in TARGETS]}
    for name, wanted in order.items():
        if arrays[name].tolist() != wanted:
            raise InputError(f"{name}: are not those of this version, or in another order")
    depth = arrays["depth"].tolist()
    if not isinstance(depth, int) or not 1 <= depth <= MAX_DEPTH:
        raise InputError(f"depth: must be from 1 to {MAX_DEPTH}, got {depth}")
    if arrays["leaf"].ndim != 3 or arrays["leaf"].shape[2] != 2**depth:
        raise InputError(f"leaf: shape {arrays['leaf'].shape} does not fit depth {depth}")
    packed, inner = arrays["missing_left"], 2**depth - 1
    if packed.dtype != np.uint8 or packed.ndim != 3 or packed.shape[2] != -(-inner // 8):
        raise InputError(f"missing_left: {packed.dtype} {packed.shape} does not fit depth {depth}")
    bits = np.unpackbits(packed, axis=2, count=inner).astype(np.bool_)
    return JointForest(**{name: arrays[name] for name in _ARRAYS} | {"missing_left": bits})
