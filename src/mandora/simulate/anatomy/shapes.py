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
    notch: float = 0.0  # depth of the groove between the head's two condyles
    ridge: float = 0.0  # height of the base's ridge, which fits the groove of the head before it
    rim: float = 1.0  # how far the rims before and behind the head embrace it
    depth: tuple[float, float, float] = (0.75, 0.85, 0.8)  # thickness / width at the three places
    neck: float = 0.0  # from the tip to the neck, in head widths; 0: the shaft widens evenly
    square: float = 2.4  # exponent of the dome: flatter, with sharper corners, where it is larger

    def scaled(self, factor: float) -> Tube:
        """The same bone, ``factor`` times as large."""
        shares = ("depth", "neck", "square")
        lengths = [f.name for f in fields(self) if f.name not in shares]
        return replace(self, **{name: factor * getattr(self, name) for name in lengths})


@dataclass(frozen=True)
class Flank:
    """What one side of a tubular bone adds to its even contour, shares of half the width there.

    Attributes:
        dip: groove between the head's joint surface and the tubercle behind it.
        tubercle: how far that tubercle (epicondyle) stands out.
        eminence: bulge of the whole side of the head, as over a bunion.
        spur: osteophyte at the margin of the head's joint surface.
        corner: how far the corner of the base stands out.
        hollow: how much more hollow the bone is between that corner and the shaft.
        base_spur: osteophyte at the margin of the base's joint surface.
    """

    dip: float = 0.0
    tubercle: float = 0.0
    eminence: float = 0.0
    spur: float = 0.0
    corner: float = 0.0
    hollow: float = 0.0
    base_spur: float = 0.0


@dataclass(frozen=True)
class Form:
    """What makes one tubular bone differ from a smooth and even one.

    Attributes:
        inner: its side towards the thumb or great toe.
        outer: its other side.
        spongy: density of the spongy bone at the base and at the head, relative to the usual one.
        pits: share of the bone that is lacking at the head's sides behind the joint surface, where
            ligaments arise; inner and outer side.
        groove: share of the bone that is lacking between the head's condyles.
        condyles: thickness that the condyles on the palm's or sole's side add, mm.
        crests: compact bone of the crests beside these condyles, mm: short bright lines.
        grain: strength of the trabeculae's texture, relative to the usual one.
        streaks: share of that texture that runs along the bone, 1 usual.
        blotches: strength of coarse differences in density, relative.
        plates: thickness of the joint surfaces at the base and at the head, relative to the usual.
        shell: thickness of the compact bone at base, shaft and head, relative to the usual.
        wedge: how much thinner, along the beam, the sides of base and head are than an ellipse's.
        cyst: place behind the head's tip in head widths, place across in halves of its width, and
            radius in mm, of a hole inside the head; None without.
    """

    inner: Flank = Flank()
    outer: Flank = Flank()
    spongy: tuple[float, float] = (1.0, 1.0)
    pits: tuple[float, float] = (0.0, 0.0)
    groove: float = 0.0
    condyles: tuple[float, float] = (0.0, 0.0)
    crests: tuple[float, float] = (0.0, 0.0)
    grain: float = 1.0
    streaks: float = 1.0
    blotches: float = 0.0
    plates: tuple[float, float] = (1.0, 1.0)
    shell: tuple[float, float, float] = (1.0, 1.0, 1.0)
    wedge: tuple[float, float] = (0.0, 0.0)
    cyst: tuple[float, float, float] | None = None


SMOOTH = Form()


def with_osteophytes(form: Form, at_head: bool, degree: float, rng: np.random.Generator) -> Form:
    """Osteophytes and sclerosis at one end of a bone, as osteoarthritis makes them; no erosion.

    Args:
        form: of the bone.
        at_head: at its head, otherwise at its base.
        degree: 0 none to 1 severe.
        rng: of their sizes, which differ between both sides.
    """
    name = "spur" if at_head else "base_spur"
    inner, outer = (
        replace(flank, **{name: 0.32 * degree * float(rng.uniform(0.2, 1.0))})
        for flank in (form.inner, form.outer)
    )
    spongy = list(form.spongy)
    spongy[at_head] *= 1 + 0.6 * degree
    return replace(form, inner=inner, outer=outer, spongy=(spongy[0], spongy[1]))


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


def thickened(
    tube: Tube, sizes: tuple[float, float, float], length: float, u: AnyFloat
) -> AnyFloat:
    """A measure along a tubular bone with or without a neck.

    Args:
        tube: proportions.
        sizes: at base, shaft and head, mm.
        length: of the bone, mm.
        u: place on the axis, mm from the base.
    """
    t = np.clip(u / length, 0, 1)
    if not tube.neck:
        return flared(*sizes, t)
    base, shaft, head = sizes
    behind = np.maximum(length - u, 0) / tube.head
    flare_base = np.exp(-((t / 0.23) ** 1.6))
    flare_head = np.exp(-((behind / tube.neck) ** 2.6))
    along: AnyFloat = shaft + (base - shaft) * flare_base + (head - shaft) * flare_head
    return along


def half_width(tube: Tube, flank: Flank, length: float, u: AnyFloat) -> AnyFloat:
    """Distance of one side of a tubular bone from its axis, mm.

    Args:
        tube: proportions.
        flank: of this side.
        length: of the bone, mm.
        u: place on the axis, mm from the base.
    """
    even = 0.5 * thickened(tube, (tube.base, tube.shaft, tube.head), length, u)
    if flank == Flank():
        return even
    behind, ahead = (length - u) / tube.head, u / tube.base
    head = (
        flank.tubercle * _bump(behind, 0.74, 0.17)
        - flank.dip * _bump(behind, 0.48, 0.13)
        + flank.eminence * _bump(behind, 0.42, 0.30)
        + flank.spur * _bump(behind, 0.20, 0.07)
    )
    base = (
        flank.corner * _bump(ahead, 0.10, 0.16)
        - flank.hollow * _bump(ahead, 0.62, 0.28)
        + flank.base_spur * _bump(ahead, 0.02, 0.07)
    )
    side: AnyFloat = even + 0.5 * (tube.head * head + tube.base * base)
    return side


def _bump(place: AnyFloat, middle: float, spread: float) -> AnyFloat:
    bump: AnyFloat = np.exp(-(((place - middle) / spread) ** 2))
    return bump


def base_profile(tube: Tube, share: AnyFloat, tilt: float = 0.0) -> AnyFloat:
    """The base's surface along the axis, mm from its middle: a socket with rounded corners.

    Args:
        tube: proportions.
        share: place across the bone, -1..1 of half the base's width.
        tilt: slope of the surface (lost space on one half of the joint).
    """
    v = np.clip(share, -1.1, 1.1)
    corner = np.clip((np.abs(v) - 0.55) / 0.45, 0, 1) ** 2.2
    ridge = tube.ridge * np.exp(-((v / 0.3) ** 2))
    socket = -tube.cup * v**2 + 0.20 * tube.base * corner - ridge
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
    dome = tube.dome * np.abs(v - skew * (1 - np.abs(v))) ** tube.square
    fall: AnyFloat = dome + tube.notch * np.exp(-((v / 0.3) ** 2))
    return fall


def tube_outline(
    base: Array, head: Array, tube: Tube, form: Form = SMOOTH, *,
    tilt: float = 0.0, bow: float = 0.0, skew: float = 0.0,
) -> Array:  # fmt: skip
    """Outline of a tubular bone from the centre of its base to the tip of its head.

    Args:
        base: (2,) mm, centre of the proximal joint surface.
        head: (2,) mm, tip of the distal joint surface.
        tube: proportions.
        form: what its sides add.
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
    # more places near the head, where a tubercle and a neck are
    t = 1 - (1 - np.linspace(0.0, 1.0, 17)[1:-1]) ** (1.5 if tube.neck else 1.0)
    u0, u1 = float(base_u[-1]), float(head_u[-1])
    side_u = u0 + t * (u1 - u0)
    inner, outer = (half_width(tube, flank, length, side_u) for flank in (form.inner, form.outer))
    shift = bow * np.sin(np.pi * t)
    u = np.concatenate([base_u, side_u, head_u[::-1], side_u[::-1]])
    w = np.concatenate([base_v, inner + shift, head_v[::-1], (-outer + shift)[::-1]])
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
