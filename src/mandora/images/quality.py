"""How well a film is exposed and how sharp it is, and what on it is brighter than bone.

All of it is measured where it matters, in the windows around joints, which are equally large
parts of a limb whatever the film's resolution. Nothing here knows what a limb is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Grey = NDArray[np.float32]

METAL_ABOVE = 0.45  # above bone, as a share of bone above soft tissue
METAL_STEP = 0.5  # above what is beside it, likewise
METAL_AREA = 0.004  # least area, square limb sizes
METAL_REACH = 0.5  # limb sizes around the joints that are looked at
METAL_NEAR = 0.3  # limb sizes between metal and a joint that it may spoil
METAL_SIZE_PX = 64  # limb size at which metal is looked for, px
SAME_GREY = 1 / 512  # half a step of 256 grey values
_BRIGHT_JOINTS = 80.0  # percentile of a film's joints
_MIDDLE = 0.25  # share of a window's side that is left out on each side: no air there


@dataclass(frozen=True)
class WindowQuality:
    """What the windows around the joints of one film say.

    Attributes:
        clipped_bright: share of a window's px that have the brightest grey value of all windows.
        clipped_dark: share of the px in its middle, which is no air, that have the darkest.
        grey_range: from dark to bright in a window, 0..1. These three are medians over windows.
        edge_widths: (N,) float64, see :func:`edge_widths`.
    """

    clipped_bright: float
    clipped_dark: float
    grey_range: float
    edge_widths: NDArray[np.float64]


def window_quality(greys: Grey) -> WindowQuality:
    """Measure the windows of one film.

    Args:
        greys: (N, S, S) float32, 0..1, the film's own grey values; N at least 1.
    """
    inset = round(greys.shape[1] * _MIDDLE)
    middle = greys[:, inset:-inset, inset:-inset]
    low, high = _dark_and_bright(greys)
    return WindowQuality(
        float(np.median((greys >= greys.max() - SAME_GREY).mean(axis=(1, 2)))),
        float(np.median((middle <= greys.min() + SAME_GREY).mean(axis=(1, 2)))),
        float(np.median(high - low)),
        _edge_widths(greys, high - low),
    )


def edge_widths(greys: Grey) -> NDArray[np.float64]:
    """Share of each window's side over which its steepest edges rise; large on blurred films.

    Args:
        greys: (N, S, S) float32, grey values.
    """
    low, high = _dark_and_bright(greys)
    return _edge_widths(greys, high - low)


def _dark_and_bright(greys: Grey) -> Any:
    return np.percentile(greys[:, ::2, ::2], (1, 99), axis=(1, 2))


def _edge_widths(greys: Grey, grey_range: Any) -> NDArray[np.float64]:
    down, across = np.gradient(greys, axis=(1, 2))
    steepest = np.sqrt(np.percentile(down**2 + across**2, 99.5, axis=(1, 2)))
    return np.asarray(grey_range / np.maximum(steepest, 1e-6) / greys.shape[1], np.float64)


# ── metal ────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Levels:
    """Grey values of one film.

    Attributes:
        soft: of soft tissue beside joints.
        bone: of the brightest bone of a joint.
    """

    soft: float
    bone: float

    @staticmethod
    def of(greys: Grey) -> Levels:
        """From the windows around joints.

        Args:
            greys: (N, S, S) float32, 0..1; N at least 1.
        """
        dark, bright = np.percentile(greys[:, ::2, ::2], (5, 99), axis=(1, 2))
        # bone of the wrist is brighter than that of fingers
        return Levels(float(np.median(dark)), float(np.percentile(bright, _BRIGHT_JOINTS)))

    @property
    def contrast(self) -> float:
        """Of bone against soft tissue; never quite 0."""
        return max(self.bone - self.soft, 0.05)


def near_metal(
    pixels: Grey, points: NDArray[np.float64], size_px: float, levels: Levels
) -> NDArray[np.bool_]:
    """Which points of a limb lie near something compact that is far brighter than its bone.

    Args:
        pixels: (H, W) float32, 0..1, the film with bright bone.
        points: (N, 2) float64, (x, y) px of the film; NaN where unknown.
        size_px: size of the limb, px of the film.
        levels: of the film.

    Returns:
        (N,) bool; False where the place is unknown.
    """
    near = np.zeros(len(points), np.bool_)
    known = np.isfinite(points).all(axis=1)
    reach = METAL_REACH * size_px
    x0, y0 = np.maximum(np.floor(points[known].min(axis=0) - reach), 0).astype(int)
    x1, y1 = np.ceil(points[known].max(axis=0) + reach).astype(int) + 1
    block = max(int(size_px / METAL_SIZE_PX), 1)
    part = Image.fromarray(np.ascontiguousarray(pixels[y0:y1, x0:x1]))
    grey = np.asarray(part.reduce(block), np.float32)
    above = grey > levels.bone + METAL_ABOVE * levels.contrast
    if not above.any():
        return near
    at = ((points[known] - (x0, y0) + 0.5) / block - 0.5)[:, ::-1]
    away = _distances(_compact(grey, above, at, size_px / block, levels), at)
    near[known] = away <= METAL_NEAR * size_px / block
    return near


# scipy.ndimage is imported where there is metal: it costs a start 0.3 seconds.


def _compact(
    grey: Grey, above: NDArray[np.bool_], at: NDArray[np.float64], unit: float, levels: Levels
) -> NDArray[np.bool_]:
    """Areas within reach of the limb with a step at their edge; bone that is bright has none."""
    from scipy import ndimage

    opened = ndimage.binary_opening(above)
    regions, _ = ndimage.label(opened)
    kept = np.zeros(above.shape, np.bool_)
    for number, box in enumerate(ndimage.find_objects(regions), start=1):
        wide = tuple(slice(max(s.start - 3, 0), s.stop + 3) for s in box)
        inside = regions[wide] == number
        if inside.sum() < METAL_AREA * unit**2:
            continue
        ring = ndimage.binary_dilation(inside, iterations=3) & ~ndimage.binary_dilation(inside)
        step = np.median(grey[wide][inside]) - np.median(grey[wide][ring])
        if step >= METAL_STEP * levels.contrast:
            kept[wide] |= inside
    return kept


def _distances(mask: NDArray[np.bool_], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) distance of each place (row, column) to the mask, px; inf without one."""
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return np.full(len(at), np.inf)
    away = np.hypot(at[:, :1] - rows, at[:, 1:] - columns)
    return np.asarray(away.min(axis=1), np.float64)
