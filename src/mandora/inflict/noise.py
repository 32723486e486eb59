"""Noise with the spectrum of a piece of a film.

White noise that is convolved with a piece of texture has that texture's spectrum (Galerne,
Gousseau and Morel, IEEE Trans Image Process 2011;20:257). It replaces the film's noise where a
change took it away, and draws trabeculae where bone is added.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

Array = NDArray[np.float64]

NOISE = 1.5  # px of the film; noise that is drawn is finer than this
LOCAL = 5.0  # px of the film; the strength of noise is measured over about this radius


def high_pass(pixels: Array, sigma: float) -> Array:
    """Grey minus the same smoothed with a Gaussian of ``sigma`` px."""
    return np.asarray(pixels - ndimage.gaussian_filter(pixels, sigma))


def noise_like(patch: Array, shape: tuple[int, int], rng: np.random.Generator, grain: int) -> Array:
    """Noise with the strength and the spectrum of a patch, averaged over directions.

    Args:
        patch: (n, n) grey, a part of the film that shows little but noise.
        shape: of the noise.
        rng: source of randomness.
        grain: px of the film, in px of the patch.

    Returns:
        ``shape``, mean about 0.
    """
    detail = high_pass(patch, NOISE * grain)
    window = np.outer(np.hanning(len(patch) + 2), np.hanning(len(patch) + 2))[1:-1, 1:-1]
    power = np.abs(np.fft.fft2((detail - detail.mean()) * np.sqrt(window))) ** 2
    flipped = np.roll(power[::-1], 1, axis=0)  # the frequency 0 stays in its place
    even = (power + power.T + flipped + flipped.T) / 4
    kernel = np.fft.fftshift(np.fft.ifft2(np.sqrt(even)).real)
    return _filtered(kernel, shape, _spread(detail, window), rng)


def texture_like(
    patch: Array, shape: tuple[int, int], sigma: float, rng: np.random.Generator
) -> Array:
    """Noise with the spectrum of the fine texture of a patch.

    Args:
        patch: (h, w) grey.
        shape: of the noise.
        sigma: px; only texture finer than this is taken.
        rng: source of randomness.

    Returns:
        ``shape``, mean about 0, the standard deviation of the patch's texture.
    """
    detail = high_pass(patch, sigma)
    window = np.outer(np.hanning(patch.shape[0] + 2), np.hanning(patch.shape[1] + 2))[1:-1, 1:-1]
    kernel = detail * np.sqrt(window)
    return _filtered(kernel - kernel.mean(), shape, _spread(detail, window), rng)


def smooth_noise(shape: tuple[int, ...], sigma: float, rng: np.random.Generator) -> Array:
    """Noise without detail finer than ``sigma`` px; mean about 0, standard deviation 1."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), sigma)
    return np.asarray(noise / max(float(noise.std()), 1e-9))


def _spread(detail: Array, window: Array) -> float:
    return float(np.sqrt((window * detail**2).sum() / window.sum()))


def _filtered(
    kernel: Array, shape: tuple[int, int], spread: float, rng: np.random.Generator
) -> Array:
    """White noise convolved with a kernel, with a standard deviation of ``spread``."""
    energy = float(np.sqrt((kernel**2).sum()))
    if energy < 1e-9:
        return np.zeros(shape)
    white = rng.standard_normal((shape[0] + kernel.shape[0] - 1, shape[1] + kernel.shape[1] - 1))
    return np.asarray(signal.fftconvolve(white, kernel, mode="valid")) * spread / energy


def tile_px(width: float, grain: int) -> int:
    """Side of a patch that shows a film's noise, for a joint or bone of this width, px."""
    return int(np.clip(0.2 * width, 12 * grain, 32 * grain))


def quiet_patch(pixels: Array, allowed: NDArray[np.bool_], side: int, grain: int) -> Array:
    """The square with the weakest fine texture: noise and as little else as possible.

    Args:
        pixels: (H, W) grey.
        allowed: (H, W) where the square may lie; it lies where most of it is allowed if no
            whole square is.
        side: px.
        grain: px of the film, in px of ``pixels``.
    """
    side = min(side, *pixels.shape)
    unrest = ndimage.uniform_filter(high_pass(pixels, NOISE * grain) ** 2, side)
    inside = ndimage.uniform_filter(allowed.astype(np.float64), side)
    height, width = pixels.shape
    rows, columns = height - side + 1, width - side + 1
    low = side // 2
    unrest, inside = (a[low : low + rows, low : low + columns] for a in (unrest, inside))
    whole = inside >= min(0.98, float(inside.max()))
    y, x = np.unravel_index(int(np.where(whole, unrest, np.inf).argmin()), unrest.shape)
    return pixels[y : y + side, x : x + side]


def restore_noise(changed: Array, wanted: Array, noise: Array, grain: int) -> Array:
    """Add the noise that a change took away, never more than the film had.

    Args:
        changed: (H, W) grey after the change.
        wanted: (H, W) variance of the fine texture before the change.
        noise: (H, W) noise like the film's.
        grain: px of the film, in px of ``changed``.
    """
    have = local_variance(changed, grain)
    own = max(float(high_pass(noise, grain).var()), 1e-12)
    missing = np.clip((wanted - have) / own, 0.0, 1.0)
    around = ndimage.gaussian_filter(missing, LOCAL * grain / 2)
    return np.asarray(changed + np.sqrt(around) * noise)


def local_variance(pixels: Array, grain: int) -> Array:
    """(H, W) variance around each pixel of what is finer than a px of the film."""
    return np.asarray(ndimage.gaussian_filter(high_pass(pixels, grain) ** 2, LOCAL * grain))
