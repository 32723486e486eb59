"""Heat maps that the localiser is trained on."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mandora.core.geometry import Points, as_points


def heat_maps(landmarks: Points, size_px: int, stride: int, sigma_px: float) -> NDArray[np.float32]:
    """One Gaussian per landmark.

    Args:
        landmarks: (N, 2) px of the network's input; NaN or outside gives an empty map.
        size_px: side of the network's input.
        stride: input px per heat-map px.
        sigma_px: s.d. in heat-map px.

    Returns:
        (N, size_px / stride, size_px / stride) float32, 0..1.
    """
    side = size_px // stride
    # pixel centres of the coarse map, in px of the input
    centres = (np.arange(side, dtype=np.float32) + 0.5) * stride - 0.5
    spread = 2 * (sigma_px * stride) ** 2
    x, y = np.asarray(landmarks, np.float32).T
    gx = np.exp(-((centres[None, :] - x[:, None]) ** 2) / spread)
    gy = np.exp(-((centres[None, :] - y[:, None]) ** 2) / spread)
    maps = gy[:, :, None] * gx[:, None, :]
    inside = (x >= 0) & (x < size_px) & (y >= 0) & (y < size_px)  # False for NaN
    maps[~inside] = 0
    return np.asarray(maps, dtype=np.float32)


PUBLISHED_FILM_PX = 1024  # side of the film on which the half side of a square is stated


def square_half_px(film_hw: ArrayLike, half_px: float = 15.0) -> float:
    """Half side of a target square, px of the film: ``half_px`` · √(h·w / 1024²).

    Args:
        film_hw: height and width of the film, px.
        half_px: half side on a film of 1024 × 1024 px.
    """
    height, width = np.asarray(film_hw, np.float64)
    return float(half_px * np.sqrt(height * width) / PUBLISHED_FILM_PX)


def squares(
    landmarks: ArrayLike,
    size_px: int,
    film_hw: ArrayLike,
    half_px: float = 15.0,
    stretch: tuple[float, float] = (1.0, 1.0),
) -> NDArray[np.float32]:
    """One filled square per landmark, drawn on the film and stretched with it.

    The network's input is the film stretched to a square, and what was a square on the film is
    a rectangle there. A px that it covers in part holds the share of it that is covered.

    Args:
        landmarks: (N, 2) px of the network's input; a landmark outside gives what of its square
            lies inside, NaN a map of -1, which the loss ignores.
        size_px: S, side of the network's input.
        film_hw: height and width of the film that was stretched, px.
        half_px: half side on a film of 1024 × 1024 px.
        stretch: (x, y) enlargement after that, as by cutting the film in training.

    Returns:
        (N, S, S) float32, 0..1, or -1.
    """
    height, width = np.asarray(film_hw, np.float64)
    half = square_half_px((height, width), half_px)
    x, y = as_points(landmarks).T
    columns = _covered(x, half * size_px / width * stretch[0], size_px)
    rows = _covered(y, half * size_px / height * stretch[1], size_px)
    maps: NDArray[np.float32] = rows[:, :, None] * columns[:, None, :]
    maps[~np.isfinite(x + y)] = -1
    return maps


def _covered(centres: NDArray[np.float64], half: float, size_px: int) -> NDArray[np.float32]:
    """(N, size_px): share of each px between centre - half and centre + half."""
    px = np.arange(size_px)
    end = np.minimum(px + 0.5, centres[:, None] + half)
    start = np.maximum(px - 0.5, centres[:, None] - half)
    return np.asarray(np.clip(end - start, 0, 1), np.float32)
