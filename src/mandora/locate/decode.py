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
    # beyond the border the heat goes on as at the border
    logs = np.log(np.maximum(np.pad(maps, ((0, 0), (1, 1), (1, 1)), mode="edge"), _FLOOR))
    rest, every = maps.copy(), np.arange(n)
    rows, columns = np.arange(height)[None, :, None], np.arange(width)[None, None, :]
    places, heights = np.empty((n, count, 2)), np.empty((n, count))
    for k in range(count):
        peak = rest.reshape(n, -1).argmax(axis=1)
        py, px = np.divmod(peak, width)
        row = [logs[every, py + 1, px + i].astype(np.float64) for i in range(3)]
        column = [logs[every, py + i, px + 1].astype(np.float64) for i in range(3)]
        places[:, k] = np.column_stack([px + _summit(*row), py + _summit(*column)])
        heights[:, k] = rest[every, py, px]
        if k + 1 < count:
            near = (rows - py[:, None, None]) ** 2 + (columns - px[:, None, None]) ** 2
            rest[near <= _APART_PX**2] = 0
    return Peaks((places + 0.5) * stride - 0.5, np.clip(heights, 0, 1))


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
