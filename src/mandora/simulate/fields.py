"""Fast operations on whole films: smooth fields are computed on a coarse copy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Field = NDArray[np.float32]
"""(H, W) float32, one value for each pixel of a film."""


def resize(field: Field, shape: tuple[int, int], kind: Image.Resampling) -> Field:
    """A field on another grid over the same area.

    Args:
        field: (H, W) float32.
        shape: (rows, columns) of the new grid.
        kind: how Pillow interpolates.

    Returns:
        (rows, columns) float32.
    """
    image = Image.fromarray(np.ascontiguousarray(field, dtype=np.float32))
    return np.array(image.resize((shape[1], shape[0]), kind), dtype=np.float32)


def shrink(field: Field, factor: int) -> Field:
    """Means of blocks of ``factor`` × ``factor`` px; blocks at the edges may be smaller."""
    image = Image.fromarray(np.ascontiguousarray(field, dtype=np.float32))
    return np.array(image.reduce(factor), dtype=np.float32)


def smooth(field: Field, sigma_px: float) -> Field:
    """A Gaussian blur, exact below 3 px and on a coarse copy above.

    Args:
        field: (H, W) float32.
        sigma_px: standard deviation.

    Returns:
        (H, W) float32.
    """
    if sigma_px < 0.1:
        return field
    if sigma_px < 3.0:
        return np.asarray(ndimage.gaussian_filter(field, sigma_px, truncate=2.6, mode="nearest"))
    factor = min(int(sigma_px / 1.5), max(1, min(field.shape) // 4))
    rest = np.sqrt(max(sigma_px**2 - factor**2 / 6.0, 0.0)) / factor
    coarse = ndimage.gaussian_filter(shrink(field, factor), rest, truncate=3.0, mode="nearest")
    return enlarge(coarse, factor, (field.shape[0], field.shape[1]))


def enlarge(coarse: Field, factor: int, shape: tuple[int, int]) -> Field:
    """Undo :func:`shrink` by linear interpolation between the middles of the blocks.

    Args:
        coarse: (h, w) float32, a value for each block.
        factor: px of a block's side.
        shape: (rows, columns) of the film.

    Returns:
        (rows, columns) float32.
    """
    image = Image.fromarray(np.ascontiguousarray(coarse, dtype=np.float32))
    box = (0.0, 0.0, shape[1] / factor, shape[0] / factor)
    large = image.resize((shape[1], shape[0]), Image.Resampling.BILINEAR, box=box)
    return np.array(large, dtype=np.float32)


def soften(noise: Field, share: float) -> Field:
    """Let each pixel give ``share`` of itself to each neighbour, along rows and columns.

    Args:
        noise: (H, W) float32; changed.
        share: 0..0.33.

    Returns:
        (H, W) float32, of about the same standard deviation for white noise.
    """
    kept = 1 - 2 * share
    for axis in (0, 1):
        if noise.shape[axis] < 3:
            continue
        lines = noise if axis == 0 else noise.T
        sides = lines[2:] + lines[:-2]
        sides *= np.float32(share)
        lines[1:-1] *= np.float32(kept)
        lines[1:-1] += sides
    noise /= np.float32(kept**2 + 2 * share**2)
    return noise
