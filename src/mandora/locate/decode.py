"""From heat maps to points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mandora.geometry import Points

_FLOOR = 1e-6  # heat below this says nothing about the shape of a peak


def decode(maps: NDArray[np.float32], stride: int) -> tuple[Points, NDArray[np.float64]]:
    """The peak of each map, to a fraction of a pixel.

    The logarithm of a Gaussian is a parabola: three values across the peak give its summit
    exactly, in each direction.

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
    # beyond the border the heat goes on as at the border
    logs = np.log(np.maximum(np.pad(maps, ((0, 0), (1, 1), (1, 1)), mode="edge"), _FLOOR))
    every = np.arange(n)
    row = [logs[every, py + 1, px + i].astype(np.float64) for i in range(3)]
    column = [logs[every, py + i, px + 1].astype(np.float64) for i in range(3)]
    points = np.column_stack([px + _summit(*row), py + _summit(*column)])
    confidence = maps.reshape(n, -1).max(axis=1).astype(np.float64)
    return (points + 0.5) * stride - 0.5, np.clip(confidence, 0, 1)


def _summit(
    before: NDArray[np.float64], at: NDArray[np.float64], after: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Where the parabola through three neighbours is highest, -0.5..0.5 from the middle."""
    bend = before - 2 * at + after
    flat = bend > -1e-9
    shift = 0.5 * (before - after) / np.where(flat, -1.0, bend)
    return np.asarray(np.where(flat, 0.0, np.clip(shift, -0.5, 0.5)), dtype=np.float64)
