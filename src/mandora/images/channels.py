"""How films are turned into what the networks see."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mandora.geometry import Affine, Box, box_to_grid, mirror_x


def standardise(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Grey values with mean 0 and s.d. 1 over the whole array, clipped to ±4.

    A flat array becomes all zeros instead of dividing by nothing.
    """
    spread = float(pixels.std())
    if spread < 1e-6:
        return np.zeros_like(pixels)
    out = (pixels - np.float32(pixels.mean())) / np.float32(spread)
    return np.clip(out, -4.0, 4.0, out=out)


def sample_box(
    pixels: NDArray[np.float32], box: Box, size_px: int, fill: float
) -> NDArray[np.float32]:
    """Cut a box out of a film and bring it to ``size_px`` × ``size_px``, antialiased.

    Args:
        pixels: (H, W) float32.
        box: px of the film; may reach beyond it.
        size_px: side of the result.
        fill: value for what lies beyond the film.

    Returns:
        (size_px, size_px) float32.
    """
    height, width = pixels.shape
    # Pillow counts from the outer edge of the first pixel, geometry from its centre
    x0, y0, x1, y1 = box.x0 + 0.5, box.y0 + 0.5, box.x1 + 0.5, box.y1 + 0.5
    left, top = int(np.floor(x0)), int(np.floor(y0))
    right, bottom = int(np.ceil(x1)), int(np.ceil(y1))
    # an end below 0 would count from the far edge
    rows = slice(max(top, 0), max(min(bottom, height), 0))
    cols = slice(max(left, 0), max(min(right, width), 0))
    inside = pixels[rows, cols]
    if inside.size == 0:
        return np.full((size_px, size_px), fill, np.float32)
    part = inside
    if left < 0 or top < 0 or right > width or bottom > height:
        part = np.full((bottom - top, right - left), fill, np.float32)
        y, x = max(-top, 0), max(-left, 0)
        part[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    image = Image.fromarray(np.ascontiguousarray(part))
    resized = image.resize(
        (size_px, size_px), Image.Resampling.BILINEAR,
        box=(x0 - left, y0 - top, x1 - left, y1 - top),
    )  # fmt: skip
    return np.asarray(resized, dtype=np.float32)


def whole_film(
    pixels: NDArray[np.float32], size_px: int, *, mirror: bool
) -> tuple[NDArray[np.float32], Affine]:
    """The whole film in a square, its aspect kept, standardised.

    Args:
        pixels: (H, W) float32, 0..1.
        size_px: side of the square.
        mirror: flip left and right (so that every limb looks like a left one).

    Returns:
        (size_px, size_px) float32 and the map from film px to network px, flip included.
    """
    height, width = pixels.shape
    side = float(max(height, width))
    box = Box.around(((width - 1) / 2, (height - 1) / 2), side / 2)
    fill = float(np.percentile(pixels[::8, ::8], 5))
    square = standardise(sample_box(pixels, box, size_px, fill))
    to_network = box_to_grid(box, (size_px, size_px), "network")
    if mirror:
        return np.ascontiguousarray(square[:, ::-1]), mirror_x(size_px, "network") @ to_network
    return square, to_network
