"""From heat maps to landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mandora.core.geometry import Points
from mandora.core.specs import FilmSpec

_FLOOR = 1e-6  # heat below this says nothing about the shape of a peak
_APART_PX = 6  # heat-map px around a peak where no other is looked for


@dataclass(frozen=True, eq=False)
class Peaks:
    """The highest peaks of each of N heat maps, the highest first.

    Attributes:
        places: (N, K, 2) float64, (x, y), px of the network's input.
        heights: (N, K) float64, 0..1; 0 where a map has fewer peaks.
    """

    places: NDArray[np.float64]
    heights: NDArray[np.float64]


def read_heat_maps(spec: FilmSpec, maps: NDArray[np.float32]) -> tuple[Points, NDArray[np.float64]]:
    """The place that each heat map shows, by the rule of its network.

    Args:
        spec: of the network.
        maps: (N, h, w) float32, 0..1.

    Returns:
        (N, 2) float64 px of the network's input, NaN where not found, and (N,) float64 the height
        of the heat map there, 0..1.
    """
    if spec.decode == "component":
        return largest_component(maps, spec.found_threshold, spec.heat_map_stride)
    peaks = find_peaks(maps, spec.heat_map_stride, 1)
    places, heights = peaks.places[:, 0], peaks.heights[:, 0]
    return np.where((heights < spec.found_threshold)[:, None], np.nan, places), heights


def find_peaks(maps: NDArray[np.float32], stride: int, count: int) -> Peaks:
    """The highest peaks of each map, to a fraction of a pixel.

    The logarithm of a Gaussian is a parabola: three values across the peak give its summit
    exactly, in each direction.

    Args:
        maps: (N, h, w) float32, 0..1.
        stride: input px per heat-map px.
        count: K, peaks per map.
    """
    n, height, width = maps.shape
    every = np.arange(n)
    around = np.arange(-_APART_PX, _APART_PX + 1)
    dy, dx = (
        g[around**2 + around[:, None] ** 2 <= _APART_PX**2] for g in np.meshgrid(around, around)
    )
    # a margin without heat, so that no square around a peak leaves the array
    rest = np.pad(maps, ((0, 0), (_APART_PX, _APART_PX), (_APART_PX, _APART_PX)))
    places, heights = np.empty((n, count, 2)), np.empty((n, count))
    for k in range(count):
        y, x = np.divmod(rest.reshape(n, -1).argmax(axis=1), rest.shape[2])
        heights[:, k] = rest[every, y, x]
        rest[every[:, None], y[:, None] + dy, x[:, None] + dx] = 0
        # a map without heat has its peak in a corner
        py, px = np.maximum(y - _APART_PX, 0), np.maximum(x - _APART_PX, 0)
        # beyond the border the heat goes on as at the border
        row = [_log(maps[every, py, np.clip(px + i, 0, width - 1)]) for i in (-1, 0, 1)]
        column = [_log(maps[every, np.clip(py + i, 0, height - 1), px]) for i in (-1, 0, 1)]
        places[:, k] = np.column_stack([px + _summit(*row), py + _summit(*column)])
    return Peaks((places + 0.5) * stride - 0.5, np.clip(heights, 0, 1))


def _log(heat: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.log(np.maximum(heat, np.float32(_FLOOR))).astype(np.float64)


def _summit(
    before: NDArray[np.float64], at: NDArray[np.float64], after: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Where the parabola through three neighbours is highest, -0.5..0.5 from the middle."""
    bend = before - 2 * at + after
    flat = bend > -1e-9
    shift = 0.5 * (before - after) / np.where(flat, -1.0, bend)
    return np.asarray(np.where(flat, 0.0, np.clip(shift, -0.5, 0.5)), dtype=np.float64)


def largest_component(
    maps: NDArray[np.float32], threshold: float, stride: int = 1
) -> tuple[Points, NDArray[np.float64]]:
    """The middle of the largest connected region of each map that is hotter than a threshold.

    The published rule: threshold, largest region of px that touch by side or corner, centre of
    the box around it. Of regions of the same size the hotter counts.

    Args:
        maps: (N, h, w) float32, 0..1.
        threshold: a px of the region has more heat than this, 0..1. The published rule
            rounds 255 times the heat to a whole number and takes what is above 0; halves are
            rounded to even, so that is more than 0.5 / 255.
        stride: input px per heat-map px.

    Returns:
        (N, 2) float64 px of the network's input, NaN where no px is hot enough; and (N,)
        float64 the highest heat in the region, or in the map where there is none.
    """
    # here: it takes as long to load as all else that scoring needs, and peaks do without
    from scipy import ndimage

    places = np.full((len(maps), 2), np.nan)
    heights = np.zeros(len(maps))
    for i, heat in enumerate(maps):
        labels, count = ndimage.label(heat > np.float32(threshold), np.ones((3, 3), int))
        heights[i] = heat.max()
        if count == 0:
            continue
        sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
        totals = np.bincount(labels.ravel(), heat.ravel(), count + 1)[1:]
        best = int(np.lexsort((totals, sizes))[-1])
        rows, columns = ndimage.find_objects(labels)[best]
        places[i] = (columns.start + columns.stop - 1) / 2, (rows.start + rows.stop - 1) / 2
        heights[i] = heat[labels == best + 1].max()
    return (places + 0.5) * stride - 0.5, np.clip(heights, 0, 1)
