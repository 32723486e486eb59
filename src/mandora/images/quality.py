"""How well a film is exposed and how sharp it is, and what on it is brighter than bone.

All of it is measured where it matters, in the windows around joints, which are equally large
parts of a limb whatever the film's resolution. Nothing here knows what a limb is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.float32]

SAME_GREY = 1 / 512  # half a step of 256 grey values
_MIDDLE = 0.25  # share of a window's side that is left out on each side: no air there


@dataclass(frozen=True)
class WindowQuality:
    """What the windows around the joints of one film say.

    Attributes:
        clipped_bright: share of their px that have the brightest grey value of them all.
        clipped_dark: share of the px in their middle, which is no air, that have the darkest.
        grey_range: from dark to bright in a window, 0..1; the median of all windows.
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
        float((greys >= greys.max() - SAME_GREY).mean()),
        float((middle <= greys.min() + SAME_GREY).mean()),
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
