"""The frame of a joint or bone on a film, and the region of the film around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Frame:
    """A joint's own frame: ``u`` across, ``v`` along the limb, px of the film.

    Attributes:
        origin: (2,) px of the film.
        axis: (2,) unit vector towards the fingertips or toes; the direction of ``v``.
    """

    origin: Array
    axis: Array

    @property
    def across(self) -> Array:
        """(2,) unit vector of ``u``: to the right if the axis points up."""
        return np.array([-self.axis[1], self.axis[0]])

    def to_film(self, u: Array, v: Array) -> tuple[Array, Array]:
        """Places in this frame → ``x`` and ``y``, px of the film."""
        x, y = (self.origin[i] + u * self.across[i] + v * self.axis[i] for i in (0, 1))
        return np.asarray(x), np.asarray(y)

    def from_film(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Places on the film → ``u`` and ``v``, px."""
        dx, dy = x - self.origin[0], y - self.origin[1]
        return (dx * self.across[0] + dy * self.across[1], dx * self.axis[0] + dy * self.axis[1])

    def sample(self, pixels: NDArray[np.floating], u: Array, v: Array) -> Array:
        """Bilinear samples of a film at places in this frame; outside it, of its nearest pixel."""
        x, y = self.to_film(u, v)
        return np.asarray(ndimage.map_coordinates(pixels, [y, x], order=1, mode="nearest"))


class Region:
    """The part of a film around a joint or bone that may change.

    Attributes:
        frame: of the joint or bone.
        rows: of the film.
        columns: of the film.
        u: (h, w) px across the joint, of each pixel.
        v: (h, w) px along the limb.
        grain: length of a pixel of the film; above 1 where a magnified copy is damaged.
    """

    def __init__(
        self, frame: Frame, shape: tuple[int, int], half: tuple[float, float], grain: int
    ) -> None:
        """Cut the smallest region that holds a rectangle of the frame.

        Args:
            frame: its origin is the middle.
            shape: (height, width) of the film, px.
            half: half the rectangle's width, across, and half its length, along, px.
            grain: length of a pixel of the film, px of what is damaged.
        """
        self.frame, self.grain = frame, grain
        across, along = half
        (x, y), (ax, ay) = frame.origin, np.abs(frame.axis)
        wide, high = across * ay + along * ax, across * ax + along * ay
        self.rows = slice(max(int(y - high), 0), min(int(y + high) + 2, shape[0]))
        self.columns = slice(max(int(x - wide), 0), min(int(x + wide) + 2, shape[1]))
        grid = np.mgrid[self.rows, self.columns].astype(np.float64)
        self.u, self.v = frame.from_film(grid[1], grid[0])

    def cut(self, pixels: NDArray[np.floating]) -> Array:
        """(h, w) the film inside the region."""
        return pixels[self.rows, self.columns].astype(np.float64)

    def sample(self, film: Array, u: Array, v: Array) -> Array:
        """Bilinear samples of the cut film at places in the frame."""
        x, y = self.frame.to_film(u, v)
        at = [y - self.rows.start, x - self.columns.start]
        return np.asarray(ndimage.map_coordinates(film, at, order=1, mode="nearest"))


def step_down(t: Array) -> Array:
    """1 up to 0, 0 from 1 on, and smooth (twice) in between."""
    t = np.clip(t, 0.0, 1.0)
    return np.asarray(1 - t**3 * (t * (6 * t - 15) + 10))
