"""Erosions on a film: bone is replaced by the grey of the soft tissue beside it.

An erosion starts at a bare area, where bone has no cartilage on it: a corner of head or base, or
the margin of a short bone. Inside its outline the bone's share of the grey is removed to the
erosion's depth; the film's noise stays, and the bone around may be denser.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mandora.inflict.bone_edges import Margin
from mandora.inflict.noise import (
    high_pass,
    local_variance,
    noise_like,
    quiet_patch,
    restore_noise,
    smooth_noise,
    tile_px,
)
from mandora.inflict.outlines import (
    below_margin,
    collapse_distance,
    outline_distance,
    remnants,
    seen_from,
)
from mandora.inflict.region import Array, Region, step_down
from mandora.simulate.anatomy.joint_state import Erosion

RIM = (0.04, 0.25)  # contrast of the denser rim, as a share of the bone's: soft and dense border
SOFT = (0.30, 0.10)  # width of the border, as a share of the erosion's radius: soft and sharp


def carve(
    film: Array, region: Region, margin: Margin, erosion: Erosion, rng: np.random.Generator
) -> tuple[Array, NDArray[np.bool_]]:
    """Draw one erosion into a film.

    Args:
        film: (h, w) the region of the film.
        region: where it lies.
        margin: where the erosion starts.
        erosion: its form, size and depth.
        rng: for its noise.

    Returns:
        (h, w) grey, and (h, w) where bone was removed.
    """
    width = margin.width
    radius = min(erosion.radius, erosion.reach - erosion.inset) * width
    middle = margin.place + erosion.along * width * margin.shaft
    middle = middle + (erosion.inset + erosion.reach) / 2 * width * margin.inward
    largest = max(erosion.radius, (erosion.inset + erosion.reach) / 2) * width
    part = _around(region, middle, 1.5 * largest + 0.1 * width + 4)
    tissue, level, bone = _tissue_under(film, region, margin, largest, part)
    whole, film, territory = film, film[part], margin.territory[part]

    along, aside = seen_from(margin, region, part)
    if erosion.collapse:
        distance = collapse_distance(erosion, width, along, aside)
    else:
        below = below_margin(margin, region, along, aside)
        distance = outline_distance(erosion, width, below, aside)
    share, edge, soft = _removed(distance, erosion, radius, region.grain)
    if erosion.collapse:
        share = share * (1 - remnants(erosion, width, film.shape, region.grain))
    uneven = 1 + 0.12 * smooth_noise(film.shape, max(0.2 * radius, 1.0), rng)
    share = np.clip(share * uneven, 0.0, 1.0) * territory

    coarse = ndimage.gaussian_filter(film, _coarseness(margin))
    shadow = np.maximum(coarse - tissue, 0.0)
    rim = _rim(distance, erosion, radius, soft) * (1 - edge) * territory
    patchy = np.clip(0.5 + 0.5 * smooth_noise(film.shape, max(0.4 * radius, 1.0), rng), 0.0, 1.5)
    rim *= patchy * np.clip(shadow - 0.3 * (bone - level), 0.0, None)
    changed = coarse - share * shadow + (film - coarse) * (1 - share) + rim

    grain = region.grain
    soft_tissue = np.abs(whole - level) < 0.4 * (bone - level)
    quiet = quiet_patch(whole, soft_tissue, tile_px(width, grain), grain)
    noise = noise_like(quiet, film.shape, rng, grain)
    strength = float(high_pass(noise, grain).var())
    strength = min(strength, float(np.quantile(local_variance(film, grain), 0.25)))
    wanted = np.where(share > 0.02, strength, 0.0)
    restored = restore_noise(changed, wanted, noise, grain)
    result = whole.copy()
    result[part] = np.where((share > 0) | (rim > 0), restored, film)
    gone = np.zeros(whole.shape, np.bool_)
    gone[part] = (edge * territory > 0.5) & (shadow > 0.25 * (bone - level))
    return result, gone


def _removed(
    distance: Array, erosion: Erosion, radius: float, px: float
) -> tuple[Array, Array, float]:
    """Share of the bone that is gone; the same without its depth and bowl; the border's width."""
    sharpness = min(2 * erosion.border, 1.0)
    soft = max(float(np.interp(sharpness, (0, 1), SOFT)) * radius, 0.8 * px)
    edge = step_down((distance + soft) / (2 * soft))
    bowl = step_down(1 + (distance - soft) / (0.75 * radius))
    bowed = 0.0 if erosion.collapse else 0.5 * (1 - 0.7 * sharpness)
    return erosion.depth * ((1 - bowed) * edge + bowed * bowl), edge, soft


def _rim(distance: Array, erosion: Erosion, radius: float, soft: float) -> Array:
    """Density that is added around an erosion, as a share of the bone's contrast."""
    strength = float(np.interp(erosion.border, (0.5, 1.0), RIM))
    thickness = 0.12 * radius + 1.0
    rim = np.exp(-(((distance - soft - 0.3 * thickness) / thickness) ** 2))
    return np.where(distance > 3 * thickness + soft, 0.0, strength * rim)


def _coarseness(margin: Margin) -> float:
    """Standard deviation of the blur before grey levels are read, px."""
    return max(0.015 * margin.width, 0.8)


def _around(region: Region, centre: Array, reach: float) -> tuple[slice, slice]:
    """Rows and columns of a region within ``reach`` px of a place in its frame."""
    x, y = region.frame.to_film(centre[:1], centre[1:])
    row, column = int(y[0]) - region.rows.start, int(x[0]) - region.columns.start
    r = int(reach) + 1
    return slice(max(row - r, 0), row + r + 1), slice(max(column - r, 0), column + r + 1)


def _tissue_under(
    film: Array, region: Region, margin: Margin, radius: float, part: tuple[slice, slice]
) -> tuple[Array, float, float]:
    """What a part of the region would show without the bone.

    Returns:
        (h, w) grey in that part without the bone; grey of the soft tissue beside the margin;
        grey of the bone.
    """
    centre = margin.place + 0.3 * radius * margin.inward
    wide = _around(region, centre, 1.6 * radius + 0.45 * margin.width)
    coarse = ndimage.gaussian_filter(film[wide], _coarseness(margin))
    along, aside = (a / margin.width for a in seen_from(margin, region, wide))
    level, bone = _levels(coarse, along, aside, radius / margin.width, margin)
    k = max(
        round(margin.width / 40), region.grain
    )  # soft tissue is smooth: a coarser grid tells as much
    thin = (slice(None, None, k), slice(None, None, k))
    own = margin.territory[wide][thin] > 0.1
    tissue = _tissue_without(
        coarse[thin], along[thin], aside[thin], own, margin.width / k, (level, bone)
    )
    rows, columns = (
        (np.arange(p.start, min(p.stop, n)) - w.start) / k
        for p, w, n in zip(part, wide, film.shape, strict=True)
    )
    at = np.meshgrid(rows, columns, indexing="ij")
    return (np.asarray(ndimage.map_coordinates(tissue, at, order=1, mode="nearest")), level, bone)


def _levels(
    coarse: Array, along: Array, aside: Array, radius: float, margin: Margin
) -> tuple[float, float]:
    """Grey of soft tissue beside a margin and of the bone behind it; lengths in bone widths."""
    quantile, reach = margin.soft_tissue
    near = np.abs(aside) < np.clip(radius, 0.05, 0.3)
    outside = near & (along < -0.03) & (along > -reach)
    if margin.whole_end:  # what is beyond it is the joint's other bone
        outside = (np.abs(np.abs(aside) - 0.62) < 0.1) & (np.abs(along - 0.15) < 0.2)
    inside = near & (along > 0.05) & (along < 0.3)
    level = float(np.quantile(coarse[outside], quantile)) if outside.any() else float(coarse.min())
    bone = float(np.median(coarse[inside])) if inside.any() else float(coarse.max())
    return level, max(bone, level + 1e-3)


def _tissue_without(
    coarse: Array,
    along: Array,
    aside: Array,
    own: NDArray[np.bool_],
    px: float,
    levels: tuple[float, float],
) -> Array:
    """(h, w) what the film would show without the bone: the grey around it, extended into it.

    Args:
        coarse: (h, w) grey without noise.
        along: (h, w) bone widths from the margin inwards.
        aside: (h, w) bone widths along the margin.
        own: (h, w) where the bone lies.
        px: width of the bone.
        levels: grey of the soft tissue beside the margin, and of the bone.
    """
    level, bone = levels
    contrast = bone - level
    likely = np.clip(1.5 - np.abs(coarse - level) / (0.5 * contrast), 0.0, 1.0) * ~own
    first = _carried(coarse, likely, level, px)
    dense = _without_holes(own | (coarse > first + 0.5 * contrast), 0.3 * px)
    beyond = ndimage.distance_transform_edt(~dense)
    outside = (beyond > max(0.03 * px, 1.0)) & (coarse > first - 0.5 * contrast)
    # the limb is thicker under the bone than beside it: its slope goes on for a little
    slope = np.zeros_like(coarse)
    near = outside & (np.hypot(along, aside) < 0.35)
    if near.sum() > 20:
        terms = np.column_stack([along[near], aside[near], np.ones(int(near.sum()))])
        fit = np.linalg.lstsq(terms, coarse[near], rcond=None)[0]
        limit = float(np.clip(fit[0], 0.0, 3.0 * contrast))
        slope = limit * np.clip(along, -0.3, 0.2) + float(fit[1]) * np.clip(aside, -0.3, 0.3)
    carried = slope + _carried(coarse - slope, outside.astype(np.float64), level, px)
    return np.clip(carried, level - 0.05 * contrast, level + 0.3 * contrast)


def _without_holes(dense: NDArray[np.bool_], size: float) -> NDArray[np.bool_]:
    """The mask of bone without holes smaller than ``size`` × ``size`` px."""
    label, count = ndimage.label(~dense)
    areas = np.bincount(label.ravel(), minlength=count + 1)
    return np.asarray(dense | (areas < size * size)[label])


def _carried(grey: Array, weight: Array, level: float, width: float) -> Array:
    """(h, w) weighted mean of the grey around each pixel; near pixels count most."""
    total, carried = np.full_like(grey, 1e-6), np.full_like(grey, 1e-6 * level)
    for sigma, part in ((0.04, 1.0), (0.08, 0.1), (0.16, 0.01), (0.32, 0.001)):
        total += part * ndimage.gaussian_filter(weight, sigma * width)
        carried += part * ndimage.gaussian_filter(weight * grey, sigma * width)
    return np.asarray(carried / total)
