"""Heat maps that the localiser is trained on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mandora.geometry import Points


def heat_maps(points: Points, size_px: int, stride: int, sigma_px: float) -> NDArray[np.float32]:
    """One Gaussian per point.

    Args:
        points: (N, 2) px of the network's input; NaN or outside gives an empty map.
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
    x, y = np.asarray(points, np.float32).T
    gx = np.exp(-((centres[None, :] - x[:, None]) ** 2) / spread)
    gy = np.exp(-((centres[None, :] - y[:, None]) ** 2) / spread)
    maps = gy[:, :, None] * gx[:, None, :]
    inside = (x >= 0) & (x < size_px) & (y >= 0) & (y < size_px)  # False for NaN
    maps[~inside] = 0
    return np.asarray(maps, dtype=np.float32)
