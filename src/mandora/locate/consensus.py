"""One place of the places that several networks give for one landmark."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mandora.core.geometry import as_points

_ENOUGH = 3  # with more places than this, one may be an outlier


def consensus(
    landmarks: ArrayLike, size_wh: tuple[float, float], corner: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The published rule: drop corners, drop one outlier of more than three, take the median.

    A place that was not found (NaN) or that lies beyond the picture counts no more than one in
    a corner. A network that finds nothing tends to draw there, where film markers, collimators
    and padding meet; joints do not come there. The outlier is the place with the largest mean
    squared distance to the others, in shares of the picture; it is dropped whenever more than
    three are left, far away or not. The median is that of x and of y.

    Args:
        landmarks: (K, 2) px of one picture, one row per network; NaN where not found.
        size_wh: width and height of the picture, px.
        corner: a place is in a corner if it lies within this share of the picture of a vertical
            *and* of a horizontal border.

    Returns:
        (2,) float64, NaN if no place is left, and (K,) bool: which places the median is of.
    """
    places = as_points(landmarks)
    size = np.asarray(size_wh, np.float64)
    # 0..1 from edge to edge; the centre of the first pixel is at 0 px
    share = (places + 0.5) / size
    border = np.minimum(share, 1 - share)
    # False for NaN
    kept: NDArray[np.bool_] = np.all(border >= 0, axis=1)
    kept &= ~np.all(border < corner, axis=1)
    if kept.sum() > _ENOUGH:
        rows = np.flatnonzero(kept)
        apart = ((share[rows, None] - share[None, rows]) ** 2).sum(axis=2)
        kept[rows[int(np.argmax(apart.mean(axis=1)))]] = False
    if not kept.any():
        return np.full(2, np.nan), kept
    return np.asarray(np.median(places[kept], axis=0), np.float64), kept
