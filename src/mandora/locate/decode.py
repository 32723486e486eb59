"""From heat maps to points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mandora.geometry import Points

_REACH = 2  # the centroid is taken over (2·reach + 1)² heat-map px around the peak


def decode(maps: NDArray[np.float32], stride: int) -> tuple[Points, NDArray[np.float64]]:
    """The peak of each map, refined to the centroid of its neighbourhood.

    Args:
        maps: (N, h, w) float32, 0..1.
        stride: input px per heat-map px.

    Returns:
        (N, 2) float64 px of the network's input, and (N,) float64 the height of the peak,
        0..1. Every map gives a point; the caller decides which peaks are too low.
    """
    n, _, width = maps.shape
    peak = maps.reshape(n, -1).argmax(axis=1)
    py, px = np.divmod(peak, width)
    padded = np.pad(maps, ((0, 0), (_REACH, _REACH), (_REACH, _REACH)))
    step = np.arange(-_REACH, _REACH + 1)
    rows = (py[:, None] + _REACH + step)[:, :, None]
    cols = (px[:, None] + _REACH + step)[:, None, :]
    window = padded[np.arange(n)[:, None, None], rows, cols].astype(np.float64)
    total = np.maximum(window.sum(axis=(1, 2)), 1e-12)
    dx = (window.sum(axis=1) * step).sum(axis=1) / total
    dy = (window.sum(axis=2) * step).sum(axis=1) / total
    points = np.column_stack([px + dx, py + dy])
    confidence = maps.reshape(n, -1).max(axis=1).astype(np.float64)
    return (points + 0.5) * stride - 0.5, np.clip(confidence, 0, 1)
