"""A coarse film is damaged on a magnified copy, and the change is brought back.

On films of 0.5 mm per px a joint space has two or three pixels, too few to tell a third of it from
a half. The copy is a cubic spline through the film's pixels. The film gets the change that a
spline through its pixels can show, with the least squared error (Unser, Aldroubi and Eden, IEEE
Trans Image Process 1995;4:247); where the copy has not changed, the film has not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mandora.inflict.region import Array

FINE_SIZE_PX = 180.0
"""Limb size that needs no magnification, px."""

MOST = 3  # times
_TAPS = 10  # px of the film on each side that the change of a pixel depends on


def magnification(size_px: float) -> int:
    """How many times a film is magnified.

    Args:
        size_px: limb size, px.
    """
    return int(np.clip(np.ceil(FINE_SIZE_PX / size_px), 1, MOST))


@dataclass(frozen=True)
class Magnified:
    """A window of a film, magnified.

    Attributes:
        rows: of the film.
        columns: of the film.
        times: length of a pixel of the film in px of the copy.
    """

    rows: slice
    columns: slice
    times: int

    @staticmethod
    def around(place: Array, reach: float, shape: tuple[int, int], times: int) -> Magnified:
        """The window that reaches ``reach`` px or a little more from a place, on the film."""
        reach = 8 * np.ceil(reach / 8)  # few sizes, each of which has its matrix
        low = np.maximum((place - reach).astype(int), 0)
        high = np.minimum((place + reach).astype(int) + 2, shape[::-1])
        return Magnified(slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0])), times)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the copy, px."""
        height, width = (self.times * (s.stop - s.start) for s in (self.rows, self.columns))
        return height, width

    def to_copy(self, xy: Array) -> Array:
        """Places on the film → places on the copy, px."""
        corner = [self.columns.start, self.rows.start]
        return np.asarray((xy - corner) * self.times + (self.times - 1) / 2)

    def to_film(self, xy: Array) -> Array:
        """Places on the copy → places on the film, px."""
        corner = [self.columns.start, self.rows.start]
        return np.asarray((xy - (self.times - 1) / 2) / self.times + corner)

    def copy(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """The magnified window, 0..1."""
        window = pixels[self.rows, self.columns].astype(np.float64)
        down, across = (_spline(count, self.times) for count in window.shape)
        return np.clip(down @ window @ across.T, 0, 1).astype(np.float32)

    def copy_labels(self, labels: NDArray[Any]) -> NDArray[Any]:
        """The window of a label map, magnified."""
        window = labels[self.rows, self.columns]
        return np.repeat(np.repeat(window, self.times, axis=0), self.times, axis=1)

    def changed(
        self, pixels: NDArray[np.float32], before: NDArray[np.float32], after: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """The film with the change of its copy.

        Args:
            pixels: (H, W) the film.
            before: the copy.
            after: the copy after the change.
        """
        result = pixels.copy()
        moved = after != before
        if not moved.any():
            return result
        change, k = after.astype(np.float64) - before, self.times
        kernel = _reduction(k)
        change = ndimage.correlate1d(change, kernel, axis=0, mode="constant")[k // 2 :: k]
        change = ndimage.correlate1d(change, kernel, axis=1, mode="constant")[:, k // 2 :: k]
        touched = self._blocks(moved).any(axis=(1, 3))
        touched = ndimage.binary_dilation(touched, np.ones((3, 3), np.bool_))
        window = result[self.rows, self.columns]
        new = np.clip(window + change, 0, 1)
        result[self.rows, self.columns] = np.where(touched, new, window)
        return result

    def labels_back(self, labels: NDArray[Any], copy: NDArray[Any]) -> NDArray[Any]:
        """A label map of the film with what its magnified window shows: each pixel's middle."""
        result = labels.copy()
        middle = self.times // 2
        result[self.rows, self.columns] = copy[middle :: self.times, middle :: self.times]
        return result

    def mask_back(self, shape: tuple[int, int], copy: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A mask of the film: pixels of which at least half is in the copy's mask."""
        result = np.zeros(shape, np.bool_)
        result[self.rows, self.columns] = self._blocks(copy).mean(axis=(1, 3)) >= 0.5
        return result

    def _blocks(self, copy: NDArray[Any]) -> NDArray[Any]:
        rows, columns = copy.shape
        k = self.times
        return copy.reshape(rows // k, k, columns // k, k)


@lru_cache
def _reduction(times: int) -> Array:
    """Weights of the copy's pixels in one of the film's: the least squares inverse, inside."""
    count = 6 * _TAPS + 1
    middle = np.linalg.pinv(_spline(count, times))[count // 2]
    first = (times * count - times % 2) // 2 - _TAPS * times
    weights = middle[first : len(middle) - first]
    return np.asarray(weights / weights.sum())


@lru_cache(64)
def _spline(count: int, times: int) -> Array:
    """(times × count, count) the cubic spline through values, at the middles of parts of a px."""
    rows = ndimage.zoom(np.eye(count), (times, 1), order=3, mode="mirror", grid_mode=True)
    return np.asarray(rows)
