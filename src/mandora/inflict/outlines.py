"""The outline of an erosion on a film, in the frame of the margin where it starts.

:class:`mandora.simulate.anatomy.joint_state.Erosion` says what an erosion is: half an ellipse that
is open towards the margin, a whole one beside the margin, or the collapse of a bone's end.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from mandora.inflict.bone_edges import Margin
from mandora.inflict.noise import smooth_noise
from mandora.inflict.region import Array, Region
from mandora.simulate.anatomy.joint_state import Erosion

LOBES = range(2, 9)  # around the middle of an erosion
UNEVEN = 0.3  # of a collapsed end, share of its depth
REMNANT = 0.7  # most of the bone that stays in places, share of its thickness


def seen_from(margin: Margin, region: Region, part: tuple[slice, slice]) -> tuple[Array, Array]:
    """Distance of a region's pixels from the margin, inwards and along it to the shaft, px."""
    du, dv = region.u[part] - margin.place[0], region.v[part] - margin.place[1]
    return du * margin.inward[0] + dv * margin.inward[1], du * margin.shaft[0] + dv * margin.shaft[
        1
    ]


def below_margin(margin: Margin, region: Region, along: Array, aside: Array) -> Array:
    """Distance from the bone's edge inwards, px: the edge is bent, the margin's frame is not.

    Args:
        margin: where the erosion starts.
        region: where it lies.
        along: (h, w) px inwards from the margin's place.
        aside: (h, w) px along the margin.
    """
    width = margin.width
    sideways = np.linspace(-0.8, 0.8, 49) * width
    inwards = np.linspace(-0.2, 0.6, 65) * width
    u, v = (
        margin.place[i] + inwards[:, None] * margin.inward[i] + sideways * margin.shaft[i]
        for i in (0, 1)
    )
    own = region.sample(margin.territory, u, v) > 0.5
    first = np.where(own.any(axis=0), inwards[own.argmax(axis=0)], inwards[-1])
    at = int(np.abs(sideways).argmin())
    bend = np.clip(first - first[at], -0.15 * width, 0.5 * width)
    bend = ndimage.gaussian_filter1d(ndimage.median_filter(bend, 5, mode="nearest"), 1.5)
    return np.asarray(along - np.interp(aside, sideways, bend))


def expected_area(erosion: Erosion, width: float) -> float:
    """Px inside the outline of an erosion of a bone of this width."""
    if erosion.collapse:
        return 0.8 * erosion.reach * width**2
    whole = np.pi * erosion.radius * (erosion.reach - erosion.inset) / 2 * width**2
    return float(whole)


def outline_distance(erosion: Erosion, width: float, below: Array, aside: Array) -> Array:
    """Distance from the outline of an erosion that is no collapse.

    Args:
        erosion: its form.
        width: of the bone, px.
        below: (h, w) px from the bone's edge inwards.
        aside: (h, w) px along the margin, towards the shaft.

    Returns:
        (h, w) px, negative inside; about exact near the outline.
    """
    start = erosion.inset if erosion.inset else -erosion.reach
    middle, half = (erosion.reach + start) / 2 * width, (erosion.reach - start) / 2 * width
    inwards, across = below - middle, aside - erosion.along * width
    if not erosion.inset:  # open towards the margin
        inwards = np.where(inwards < 0, 0.4 * inwards, inwards)
    x, y = inwards / half, across / (erosion.radius * width)
    rho = np.hypot(x, y)
    lobes = _lobes(np.arctan2(y, x), erosion)
    slope = np.hypot(x / half, y / (erosion.radius * width)) / np.maximum(rho, 1e-6)
    return np.asarray((rho - lobes) / np.maximum(slope, 1e-6))


def collapse_distance(erosion: Erosion, width: float, along: Array, aside: Array) -> Array:
    """Distance from the new, uneven end of a collapsed bone, px; negative where bone is gone.

    Args:
        erosion: its form.
        width: of the bone, px.
        along: (h, w) px from the bone's end inwards.
        aside: (h, w) px across the bone.
    """
    rng = _rng_of(erosion)
    places = np.linspace(-1.0, 1.0, 81)
    uneven = smooth_noise(places.shape, 3.0 + 4.0 * (1 - erosion.ragged), rng)
    tilt = rng.uniform(-0.25, 0.25) * places
    depth = erosion.reach * (1 + UNEVEN * (0.4 + 0.6 * erosion.ragged) * uneven + tilt)
    return np.asarray(along - np.interp(aside / width, places, np.maximum(depth, 0.12)) * width)


def remnants(erosion: Erosion, width: float, shape: tuple[int, int], grain: int) -> Array:
    """(h, w) share of the bone that stays where it has collapsed, 0..REMNANT: soft islands.

    Args:
        erosion: a collapse.
        width: of the bone, px.
        shape: of the result.
        grain: length of a pixel of the film, px.
    """
    noise = smooth_noise(shape, max(0.06 * width, 1.5 * grain), _rng_of(erosion))
    return np.asarray(REMNANT * np.clip(noise - 0.7, 0.0, 1.0))


def _lobes(angle: Array, erosion: Erosion) -> Array:
    """Radius of the outline by direction, about 1."""
    rng = _rng_of(erosion)
    edge = np.ones_like(angle)
    for k in LOBES:
        size = rng.normal(0, 0.05 + 0.2 * erosion.ragged) / k
        edge += size * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
    return np.maximum(edge, 0.6)


def _rng_of(erosion: Erosion) -> np.random.Generator:
    return np.random.default_rng(int(erosion.phase * 2**32))
