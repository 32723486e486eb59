"""The edges of bones on a film, and the places at them where erosions start."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from mandora.inflict.joint_line import JointLine, surfaces
from mandora.inflict.paths import best_path
from mandora.inflict.region import Array, Region, step_down

RAYS = 96  # on which the outline of a short bone is searched
# costs of steps along the radius
_MOVES: dict[tuple[int, ...], float] = {(m,): 0.12 * m * m for m in range(-3, 4)}
LEVELS = 30  # at which the side of a tubular bone is searched


@dataclass(frozen=True, eq=False)
class Margin:
    """A place on a bone's edge where an erosion can start.

    Attributes:
        place: (2,) ``u`` and ``v`` on the edge, px.
        inward: (2,) unit vector into the bone, in the same frame.
        shaft: (2,) unit vector along the margin, towards the bone's shaft.
        territory: (h, w) 0..1: how much of each pixel may be this bone.
        width: of the bone there, px.
        soft_tissue: which quantile of the grey beside the margin is taken for soft tissue (low
            where other bones are near), and how far from the margin, in widths of the bone.
        whole_end: of a tubular bone; then the soft tissue lies on both sides of it.
    """

    place: Array
    inward: Array
    shaft: Array
    territory: Array
    width: float
    soft_tissue: tuple[float, float]
    whole_end: bool = False


def joint_margin(film: Array, line: JointLine, region: Region, anchor: int) -> Margin:
    """The margin at a corner of the head (even anchor) or of the base (odd anchor) of a joint.

    Args:
        film: (h, w) the region of the film.
        line: of the joint as it is on ``film``.
        region: where it lies.
        anchor: 0 and 1 lie at lower ``u``, 2 and 3 at higher ``u``, 4 and 5 at lower again.
    """
    distal, side = anchor % 2 == 1, -1.0 if (anchor // 2) % 2 == 0 else 1.0
    width = line.width
    end = line.extent[0] if side < 0 else line.extent[1]
    middle = np.abs(line.u) < 0.25 * width
    near, far = float(np.median(line.proximal[middle])), float(np.median(line.distal[middle]))
    if distal:  # the rim of the base reaches over the head
        rim = float(surfaces(line, np.array([end]))[1][0])
        start = float(np.clip(rim, far - 0.12 * width, far + 0.05 * width)) + 0.07 * width
        levels = np.linspace(far - 0.15 * width, far + 0.6 * width, LEVELS)
    else:
        start = near - 0.22 * width
        levels = np.linspace(near - 0.02 * width, near - 0.7 * width, LEVELS)
    edge = _side(film, region, levels, side, abs(end) + 0.05 * width, width)
    order = np.argsort(levels)
    levels, edge = levels[order], edge[order]

    low, high = surfaces(line, region.u)
    beyond = region.v - (low + high) / 2
    soft = max(0.015 * width, 1.0)
    own = step_down((soft - beyond if distal else beyond + soft) / (2 * soft))
    past = side * region.u - np.interp(region.v, levels, edge)
    inward = np.array([-side, 0.55 if distal else -0.55]) / np.hypot(1, 0.55)
    place = np.array([side * float(np.interp(start, levels, edge)), start])
    shaft = np.array([side * 0.55, 1.0 if distal else -1.0]) / np.hypot(1, 0.55)
    territory = own * step_down(past / (0.06 * width) - 0.7)
    return Margin(place, inward, shaft, territory, width, (0.35, 0.12))


def collapse_margin(film: Array, line: JointLine, region: Region, anchor: int) -> Margin:
    """The whole end of the head (even anchor) or of the base (odd anchor) of a joint.

    Args:
        film: (h, w) the region of the film.
        line: of the joint as it is on ``film``.
        region: where it lies.
        anchor: its parity tells the bone.
    """
    distal = anchor % 2 == 1
    sign = 1.0 if distal else -1.0
    width = line.width
    low, high = surfaces(line, region.u)
    soft = max(0.015 * width, 1.0)
    own = step_down((soft - sign * (region.v - (low + high) / 2)) / (2 * soft))
    levels = sign * np.linspace(0.02, 0.7, LEVELS) * width
    start = float(
        np.median((line.distal if distal else line.proximal)[np.abs(line.u) < 0.25 * width])
    )
    sides = []
    for side, end in zip((-1.0, 1.0), line.extent, strict=True):
        edge = _side(film, region, start + levels, side, abs(end) + 0.05 * width, width)
        order = np.argsort(levels)
        past = side * region.u - np.interp(region.v, (start + levels)[order], edge[order])
        own = own * step_down(past / (0.06 * width) - 0.7)
        sides.append(side * float(np.median(edge)))
    place = np.array([sum(sides) / 2, start])
    inward, across = np.array([0.0, sign]), np.array([1.0, 0.0])
    return Margin(place, inward, across, own, width, (0.35, 0.12), whole_end=True)


def _side(
    film: Array, region: Region, levels: Array, side: float, expected: float, width: float
) -> Array:
    """(LEVELS,) px from the axis to the edge of a tubular bone, on one side of it.

    Args:
        film: (h, w) the region of the film.
        region: where it lies.
        levels: (LEVELS,) ``v`` at which the edge is searched, px.
        side: -1 or 1, the sign of ``u`` there.
        expected: distance, px.
        width: of the bone, px.
    """
    out = np.linspace(0.1, 0.8, 71) * width
    smooth = ndimage.gaussian_filter(film, 0.02 * width)
    seen = region.sample(smooth, side * out[:, None], levels[None, :])
    penalty = ((out - expected)[:, None] / (0.15 * width)) ** 2 / 2
    (rows,) = best_path((_edge_strength(seen) - 0.5 * penalty).T, _MOVES)
    return out[rows]


def outline(film: Array, region: Region, expected: Array) -> Array:
    """The edge of a short bone or of the end of a long one, by direction from a place inside it.

    Args:
        film: (h, w) the region of the film.
        region: where it lies; the origin of its frame is inside the bone.
        expected: (RAYS,) px, the edge as expected.

    Returns:
        (RAYS,) px from the frame's origin; the first ray lies along ``v``, the next ones turn
        towards ``u``.
    """
    angles = np.arange(RAYS) * 2 * np.pi / RAYS
    shares = np.linspace(0.45, 1.7, 64)
    radii = shares[:, None] * expected
    smooth = ndimage.gaussian_filter(film, 0.04 * float(np.median(expected)))
    seen = region.sample(smooth, radii * np.sin(angles), radii * np.cos(angles))
    merit = _edge_strength(seen) - 0.5 * (np.log(shares)[:, None] / 0.35) ** 2
    # twice around: the middle of two turns does not depend on where the path begins and ends
    (path,) = best_path(np.concatenate([merit, merit], axis=1).T, _MOVES)
    half = RAYS // 2
    return np.asarray(shares[np.roll(path[half : half + RAYS], half)] * expected)


def _edge_strength(seen: Array) -> Array:
    """Fall of the grey along the first axis, -1..1.5; 1 is its 90th percentile."""
    fall = -np.gradient(seen, axis=0)
    scale = max(float(np.percentile(np.abs(fall), 90)), 1e-9)
    return np.asarray(np.clip(fall / scale, -1.0, 1.5))


def bone_margin(edge: Array, region: Region, angle: float, near_skin: bool) -> Margin:
    """The margin at a place on the outline of a short bone.

    Args:
        edge: (RAYS,) px, from :func:`outline`; the frame is the region's.
        region: where the bone lies.
        angle: rad, from ``v`` towards ``u``.
        near_skin: soft tissue lies beside it, not other bones.
    """
    turns = np.arange(RAYS + 1) * 2 * np.pi / RAYS
    closed = np.append(edge, edge[0])
    r = float(np.interp(angle % (2 * np.pi), turns, closed))
    direction = np.array([np.sin(angle), np.cos(angle)])
    rho = np.hypot(region.u, region.v)
    reach = np.interp(np.arctan2(region.u, region.v) % (2 * np.pi), turns, closed)
    width = 2 * float(np.median(edge))
    territory = step_down((rho - reach) / (0.06 * width))
    soft_tissue = (0.7, 0.1) if near_skin else (0.2, 0.2)
    shaft = np.array([-direction[1], direction[0]])
    return Margin(r * direction, -direction, shaft, territory, width, soft_tissue)
