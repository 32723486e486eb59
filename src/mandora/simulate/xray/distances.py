"""Exact signed distances to outlines, on grids in mm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mandora.simulate.anatomy.shapes import Array

_CACHED = 120_000  # numbers of one array that are worked on at once


@dataclass(frozen=True, eq=False)
class Grid:
    """An axis-parallel grid of sample places in mm.

    Attributes:
        x: (W,) float64, ascending, mm.
        y: (H,) float64, ascending, mm.
    """

    x: Array
    y: Array

    @staticmethod
    def around(points: Array, margin: float, step: float) -> Grid:
        """The grid that covers the points and a margin, mm."""
        (x0, y0), (x1, y1) = points.min(axis=0) - margin, points.max(axis=0) + margin
        return Grid(np.arange(x0, x1 + step, step), np.arange(y0, y1 + step, step))

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return len(self.y), len(self.x)


def signed_distance(outline: Array, grid: Grid) -> NDArray[np.float32]:
    """Exact distance to a polygon, (H, W) float32, mm; negative inside.

    Even-odd rule for the sign, distance to each edge segment for the size.
    """
    start = outline.astype(np.float32)
    edge = np.roll(start, -1, axis=0) - start
    long = (edge**2).sum(axis=1) > 1e-12
    start, edge = start[long], edge[long]
    x, y = grid.x.astype(np.float32), grid.y.astype(np.float32)
    best = np.full(grid.shape, np.inf, dtype=np.float32)
    crossings = np.zeros(grid.shape, dtype=np.int16)
    at_once = max(1, _CACHED // best.size)  # edges whose fields fit into the cache together
    for first in range(0, len(edge), at_once):
        part = slice(first, first + at_once)
        ax, ay = start[part].T[:, :, None]
        ex, ey = edge[part].T[:, :, None]
        wx, wy = (x - ax)[:, None, :], (y - ay)[:, :, None]
        norm = ex * ex + ey * ey
        t = wx * (ex / norm)[:, None] + wy * (ey / norm)[:, None]
        np.clip(t, 0, 1, out=t)
        away = (wx - t * ex[:, None]) ** 2 + (wy - t * ey[:, None]) ** 2
        np.minimum(best, away.min(axis=0), out=best)
        # a ray to the right crosses an edge in the rows between its ends
        rows = (y >= np.minimum(ay, ay + ey)) & (y < np.maximum(ay, ay + ey))
        slope = np.divide(ex, ey, out=np.zeros_like(ex), where=ey != 0)
        cross = np.where(rows, ax + (y - ay) * slope, -np.inf)
        crossings += (x < cross[:, :, None]).sum(axis=0, dtype=np.int16)
    distance = np.sqrt(best)
    return np.where(crossings % 2 == 1, -distance, distance)


def resample(values: NDArray[np.float32], grid: Grid, x: Array, y: Array) -> NDArray[np.float32]:
    """Bilinear samples of a gridded field at every (x, y) of two axes, (len(y), len(x))."""

    def steps(axis: Array, wanted: Array) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        pos = np.clip((wanted - axis[0]) / (axis[1] - axis[0]), 0, len(axis) - 1.001)
        low = pos.astype(np.intp)
        return low, (pos - low).astype(np.float32)

    iy, fy = steps(grid.y, y)
    ix, fx = steps(grid.x, x)
    rows = values[iy] * (1 - fy)[:, None] + values[iy + 1] * fy[:, None]
    return np.asarray(rows[:, ix] * (1 - fx) + rows[:, ix + 1] * fx, dtype=np.float32)
