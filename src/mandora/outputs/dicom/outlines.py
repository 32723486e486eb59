"""The outline of a patch on the stored picture, as DICOM counts px."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mandora.core.geometry import Box, Points
from mandora.outputs.dicom.source import SourceFilm

FIRST_CENTRE = 0.5
"""Where DICOM has the centre of the first px: its top left corner is (0, 0) there. PS3.3
C.18.6.1.1 (reports) and C.10.5.1 (presentation states)."""


def outline_on(film: SourceFilm, box: Box) -> Points | None:
    """The outline of a patch, cut off at the edges of the film.

    Args:
        film: that the patch was cut from.
        box: of the patch, px of the film as it was scored.

    Returns:
        (N, 2) float64, (column, row) in px of the stored picture as DICOM counts them, three
        corners or more; None if the patch lies outside.
    """
    corners = film.to_stored(box.corners) + FIRST_CENTRE
    inside = clipped(corners, (film.columns, film.rows))
    return inside if len(inside) >= 3 else None


def clipped(corners: Points, size_wh: tuple[int, int]) -> Points:
    """The part of a convex polygon that lies on a picture: Sutherland & Hodgman, CACM 1974;17:32.

    Args:
        corners: (N, 2) px, the corner of the picture is (0, 0).
        size_wh: of the picture, px.

    Returns:
        (M, 2) float64; (0, 2) if nothing lies on the picture.
    """
    for axis, limit, sign in ((0, 0.0, 1), (0, size_wh[0], -1), (1, 0.0, 1), (1, size_wh[1], -1)):
        corners = _cut(corners, axis, float(limit), sign)
    return corners


def _cut(corners: Points, axis: int, limit: float, sign: int) -> Points:
    kept: list[NDArray[np.float64]] = []
    depth = sign * (corners[:, axis] - limit)  # above 0 inside
    for i in range(len(corners)):
        here, before = corners[i], corners[i - 1]
        if (depth[i] > 0) != (depth[i - 1] > 0):
            share = depth[i - 1] / (depth[i - 1] - depth[i])
            crossing = before + share * (here - before)
            crossing[axis] = limit
            kept.append(crossing)
        if depth[i] > 0:
            kept.append(here)
    return np.array(kept, dtype=np.float64).reshape(-1, 2)
