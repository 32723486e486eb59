"""Proportions and outlines of bones.

All lengths are mm. An outline is a closed polygon (N, 2) float64, (x, y), without the first
point repeated.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

AnyFloat = TypeVar("AnyFloat", NDArray[np.float32], NDArray[np.float64])


@dataclass(frozen=True)
class Tube:
    """Proportions of a tubular bone: three widths and the form of its two ends, mm."""

    base: float
    shaft: float
    head: float
    cup: float = 0.8  # how far the rims of the base embrace the head before it
    dome: float = 3.0  # how far the head bulges
    notch: float = 0.0  # depth of the groove between two condyles
    rim: float = 1.0  # how far the rims before and behind the head embrace it
    depth: tuple[float, float, float] = (0.75, 0.85, 0.8)  # thickness / width at the three places

    def scaled(self, factor: float) -> Tube:
        """The same bone, ``factor`` times as large."""
        lengths = [f.name for f in fields(self) if f.name != "depth"]
        return replace(self, **{name: factor * getattr(self, name) for name in lengths})


def unit(vector: Array) -> Array:
    """The vector with length 1."""
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float64)


def turn(angle: float) -> Array:
    """The matrix that turns (x, y) clockwise on the film, (2, 2); angle in rad."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])


def across(direction: Array) -> Array:
    """The direction turned by a quarter, so that it points to +x when ``direction`` is up."""
    return np.array([-direction[1], direction[0]])


def flared(base: float, shaft: float, head: float, t: AnyFloat) -> AnyFloat:
    """A measure along a tubular bone that changes from base to shaft to head; t is 0..1."""
    flare_base = np.exp(-((t / 0.23) ** 1.6))
    flare_head = np.exp(-(((1 - t) / 0.21) ** 2.2))
    along: AnyFloat = shaft + (base - shaft) * flare_base + (head - shaft) * flare_head
    return along


def base_profile(tube: Tube, share: AnyFloat, tilt: float = 0.0) -> AnyFloat:
    """The base's surface along the axis, mm from its middle: a socket with rounded corners.

    Args:
        tube: proportions.
        share: place across the bone, -1..1 of half the base's width.
        tilt: slope of the surface (lost space on one half of the joint).
    """
    v = np.clip(share, -1.1, 1.1)
    corner = np.clip((np.abs(v) - 0.55) / 0.45, 0, 1) ** 2.2
    ridge = tube.notch * np.exp(-((v / 0.3) ** 2))  # fits the groove of the head before it
    socket = -tube.cup * v**2 + 0.20 * tube.base * corner - 0.8 * ridge
    surface: AnyFloat = socket + tilt * v * tube.base / 2
    return surface


def head_profile(tube: Tube, share: AnyFloat, skew: float = 0.0) -> AnyFloat:
    """How far the head's surface falls back from its tip, mm: a dome, or two condyles.

    Args:
        tube: proportions.
        share: place across the bone, -1..1 of half the head's width.
        skew: sideways shift of the summit, share of half the head's width.
    """
    v = np.clip(share, -1.1, 1.1)
    dome = tube.dome * np.abs(v - skew * (1 - np.abs(v))) ** 2.4
    fall: AnyFloat = dome + tube.notch * np.exp(-((v / 0.3) ** 2))
    return fall


def tube_outline(
    base: Array, head: Array, tube: Tube, *, tilt: float = 0.0, bow: float = 0.0, skew: float = 0.0
) -> Array:
    """Outline of a tubular bone from the centre of its base to the tip of its head.

    Args:
        base: (2,) mm, centre of the proximal joint surface.
        head: (2,) mm, tip of the distal joint surface.
        tube: proportions.
        tilt: slope of the base's surface (lost space on one half of the joint).
        bow: sideways bulge of the shaft, mm.
        skew: sideways shift of the head's summit, share of half its width.
    """
    axis = head - base
    length = float(np.linalg.norm(axis))
    along, side = axis / length, across(axis / length)
    v = np.linspace(-1.0, 1.0, 15)
    base_u, base_v = base_profile(tube, v, tilt), v * tube.base / 2
    head_u, head_v = length - head_profile(tube, v, skew), v * tube.head / 2
    # sides: metaphyses flare towards both ends
    t = np.linspace(0.0, 1.0, 13)[1:-1]
    u0, u1 = float(base_u[-1]), float(head_u[-1])
    half = 0.5 * flared(tube.base, tube.shaft, tube.head, t)
    side_u = u0 + t * (u1 - u0)
    shift = bow * np.sin(np.pi * t)
    u = np.concatenate([base_u, side_u, head_u[::-1], side_u[::-1]])
    w = np.concatenate([base_v, half + shift, head_v[::-1], (-half + shift)[::-1]])
    return np.asarray(base + u[:, None] * along + w[:, None] * side)


def smooth_outline(corners: Array) -> Array:
    """A closed polygon with rounded corners that keeps every given corner, (4N, 2) mm.

    Four-point subdivision (Dyn, Levin & Gregory, Comput Aided Geom Des 1987;4:257), twice.
    """
    for _ in range(2):
        before, after = np.roll(corners, 1, axis=0), np.roll(corners, -1, axis=0)
        middle = (9 * (corners + after) - before - np.roll(corners, -2, axis=0)) / 16
        corners = np.stack([corners, middle], axis=1).reshape(-1, 2)
    return corners


def blob_outline(
    centre: Array, size: tuple[float, float], angle: float, *, power: float = 2.6, n: int = 36
) -> Array:
    """A superellipse, the rough form of a carpal or tarsal bone.

    Args:
        centre: (2,) mm.
        size: full width and height before turning, mm.
        angle: clockwise turn on the film, rad.
        power: 2 is an ellipse, larger is squarer.
        n: number of corners.
    """
    phi = np.linspace(0, 2 * np.pi, n, endpoint=False)
    c, s = np.cos(phi), np.sin(phi)
    x = size[0] / 2 * np.sign(c) * np.abs(c) ** (2 / power)
    y = size[1] / 2 * np.sign(s) * np.abs(s) ** (2 / power)
    return np.asarray(centre + np.column_stack([x, y]) @ turn(angle).T)
