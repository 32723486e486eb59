"""Regions of a film as polygons: traced from label maps, cut off at the film's edge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mandora.core.anatomy import LANDMARKS, Landmark, Limb
from mandora.core.errors import InputError

SPECK_PX = 4  # smaller regions are left out

# Outlines run a hundredth of a pixel inside the border of the region. So they hold the same
# pixels for tools that test pixel centres and for those that cut coordinates to whole numbers.
_REACH = 0.49


@dataclass(frozen=True, eq=False)
class Outline:
    """The border of one region.

    Attributes:
        site: limb and point, e.g. ``hand-mcp2``, see :func:`site_name`; or limb and bone.
        points: (N, 2) float64, N ≥ 3, (x, y), px of the film, pixel centres at whole numbers.
            The last point is not the first one again.
    """

    site: str
    points: NDArray[np.float64]


def site_name(point: Landmark) -> str:
    """The name of a point's site in files that hold hands and feet, e.g. ``hand-mcp2``."""
    return f"{point.limb}-{point.name}"


SITE_NAMES: tuple[str, ...] = tuple(site_name(p) for limb in Limb for p in LANDMARKS[limb])
"""The 27 labels of joint spaces."""


def outlines_of(labels: NDArray[np.uint8], limb: Limb) -> tuple[Outline, ...]:
    """Trace the regions of a label map.

    Pixels that touch at a corner belong together. Holes are filled: a polygon has none.

    Args:
        labels: (H, W) uint8, 1 + index of the point in ``anatomy.LANDMARKS[limb]``, 0 elsewhere.
        limb: hand or foot.

    Returns:
        One outline for each region of at least :data:`SPECK_PX` pixels, by label.

    Raises:
        ValueError: if the map is not 2-D or has labels that the limb has not.
    """
    if labels.ndim != 2:
        raise InputError(f"a label map has two axes, this array has shape {labels.shape}")
    sites = LANDMARKS[limb]
    if labels.size and int(labels.max()) > len(sites):
        raise InputError(f"label {labels.max()} is too high: a {limb} has 1 to {len(sites)}")
    found = []
    for label, window in enumerate(ndimage.find_objects(labels), start=1):
        if window is None:
            continue
        regions, count = ndimage.label(labels[window] == label, np.ones((3, 3)))
        origin = np.array([window[1].start, window[0].start], dtype=np.float64)
        for region in range(1, count + 1):
            mask = regions == region
            if mask.sum() >= SPECK_PX:
                points = _trace(ndimage.binary_fill_holes(mask)) + origin
                found.append(Outline(site_name(sites[label - 1]), points))
    return tuple(found)


def _trace(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The clockwise border of one region without holes, (N, 2) px."""
    inside = {(int(x), int(y)) for y, x in np.argwhere(mask)}
    x, y = min(inside, key=lambda p: (p[1], p[0]))
    out = (0, -1)  # the side of the pixel that the border passes
    start = (x, y, out)
    places = []
    while True:
        places.append((x + _REACH * out[0], y + _REACH * out[1]))
        ahead = (-out[1], out[0])
        if (x + ahead[0] + out[0], y + ahead[1] + out[1]) in inside:
            x, y, out = x + ahead[0] + out[0], y + ahead[1] + out[1], (-ahead[0], -ahead[1])
        elif (x + ahead[0], y + ahead[1]) in inside:
            x, y = x + ahead[0], y + ahead[1]
        else:
            out = ahead
        if (x, y, out) == start:
            break
    path = np.array(places)
    before, after = path - np.roll(path, 1, axis=0), np.roll(path, -1, axis=0) - path
    turns = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    # places within a straight run say nothing; the tip of a line turns back and stays
    straight = (np.abs(turns) < 1e-6) & ((before * after).sum(axis=1) > 0)
    return np.asarray(path[~straight])


def clipped(points: NDArray[np.float64], size_wh: tuple[int, int]) -> NDArray[np.float64]:
    """The part of a polygon that lies on the film (Sutherland and Hodgman 1974).

    Args:
        points: (N, 2), (x, y), px of the film, pixel centres at whole numbers.
        size_wh: of the film, px.

    Returns:
        (M, 2); empty if nothing of it lies there. Parts that the film's edge separates stay
        connected along the edge.
    """
    for axis, sign, edge in (
        (0, 1, -0.5), (0, -1, size_wh[0] - 0.5), (1, 1, -0.5), (1, -1, size_wh[1] - 0.5),
    ):  # fmt: skip
        inside = sign * (points[:, axis] - edge) >= 0
        if inside.all():
            continue
        kept = []
        for here, there, in_here, in_there in zip(
            points, np.roll(points, -1, axis=0), inside, np.roll(inside, -1), strict=True
        ):
            if in_here:
                kept.append(here)
            if in_here != in_there:
                share = (edge - here[axis]) / (there[axis] - here[axis])
                kept.append(here + share * (there - here))
        points = np.array(kept, dtype=np.float64).reshape(-1, 2)
    return points
