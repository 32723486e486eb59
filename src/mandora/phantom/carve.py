"""Carve erosions out of a bone on a film: its shadow gives way to that of the flesh beside it.

An erosion starts at a bare area, where bone has no cartilage on it: a corner of head or base, or
the margin of a short bone. Inside a lobed outline the bone's part of the grey is taken away to the
erosion's depth; the film's grain stays, and the bone around is a little denser.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mandora.phantom.damage import Erosion
from mandora.phantom.grain import quiet_patch, restored, texture
from mandora.phantom.joint_line import Array, JointLine
from mandora.phantom.narrow import Window, step_down, surfaces

RIM = 0.10  # contrast of the denser rim, as a share of the bone's
RAYS = 96  # on which the outline of a short bone is looked for
LARGE = 5  # weight of an erosion that takes the joint surface


@dataclass(frozen=True, eq=False)
class Margin:
    """A place on a bone's edge where an erosion can start.

    Attributes:
        place: (2,) ``u`` and ``v`` on the edge, px.
        inward: (2,) unit vector into the bone, in the same frame.
        territory: (h, w) 0..1: what of the window may be this bone.
        width: of the bone there, px.
    """

    place: Array
    inward: Array
    territory: Array
    width: float


def joint_margin(film: Array, line: JointLine, window: Window, anchor: int) -> Margin:
    """A corner of the head (even anchor) or the base (odd anchor) of a joint.

    Args:
        film: (h, w) the window of the film.
        line: of the joint as it is on ``film``.
        window: where it lies.
        anchor: 0 and 1 at lower ``u``, 2 and 3 at higher ``u``, and so on.
    """
    distal, side = anchor % 2 == 1, -1.0 if (anchor // 2) % 2 == 0 else 1.0
    width = line.width
    end = line.extent[0] if side < 0 else line.extent[1]
    near, far = surfaces(line, np.array([end]))
    v = float(far[0]) + 0.07 * width if distal else float(near[0]) - 0.10 * width
    out = np.linspace(0.2, 0.8, 61) * width
    band = v + np.linspace(-0.05, 0.05, 7)[:, None] * width
    profile = window.sample(film, side * out[None], band).mean(axis=0)
    fall = np.maximum(-np.gradient(ndimage.gaussian_filter1d(profile, 2.0)), 0)
    likely = np.exp(-(((out - abs(end) - 0.04 * width) / (0.14 * width)) ** 2) / 2)
    edge = side * float(out[int((fall * likely + 1e-9 * likely).argmax())])

    low, high = surfaces(line, window.u)
    beyond = window.v - (low + high) / 2
    soft = max(0.015 * width, 1.0)
    own = step_down((soft - beyond if distal else beyond + soft) / (2 * soft))
    lateral = step_down((side * (window.u - edge) / width - 0.05) / 0.06)
    inward = np.array([-side, 0.55 if distal else -0.55]) / np.hypot(1, 0.55)
    return Margin(np.array([edge, v]), inward, own * lateral, width)


def outline(film: Array, window: Window, radius: float) -> Array:
    """(RAYS,) px from a frame's origin to the edge of the bone around it, the first ray along
    ``v``, turning towards ``u``.

    Args:
        film: (h, w) the window of the film.
        window: where it lies; the origin of its frame is inside the bone.
        radius: of the bone as expected, px.
    """
    angles = np.arange(RAYS) * 2 * np.pi / RAYS
    radii = np.linspace(0.45, 1.7, 64) * radius
    smooth = ndimage.gaussian_filter(film, 0.04 * radius)
    seen = window.sample(
        smooth, radii[:, None] * np.sin(angles), radii[:, None] * np.cos(angles)
    )
    fall = -np.gradient(seen, axis=0)
    scale = max(float(np.percentile(np.abs(fall), 90)), 1e-9)
    merit = np.clip(fall / scale, -1.0, 1.5) - 0.5 * (np.log(radii / radius)[:, None] / 0.35) ** 2
    return radii[_closed_path(merit)]


def _closed_path(merit: Array) -> NDArray[np.int64]:
    """The row of each column of the best path that ends about where it starts."""
    rows, columns = merit.shape
    twice = np.concatenate([merit, merit], axis=1)
    costs = {move: 0.12 * move * move for move in range(-3, 4)}
    score, back = twice[:, 0], np.zeros((2 * columns, rows), np.int64)
    for column in range(1, 2 * columns):
        padded = np.pad(score, 3, constant_values=-np.inf)
        options = np.stack([padded[3 - m : 3 - m + rows] - cost for m, cost in costs.items()])
        back[column] = options.argmax(axis=0) - 3
        score = options.max(axis=0) + twice[:, column]
    path = np.empty(2 * columns, np.int64)
    path[-1] = int(score.argmax())
    for column in range(2 * columns - 1, 0, -1):
        path[column - 1] = path[column] - back[column, path[column]]
    # the middle of two turns knows nothing of the ends
    half = columns // 2
    return np.roll(path[half : half + columns], half)


def bone_margin(edge: Array, window: Window, angle: float) -> Margin:
    """A place on the outline of a short bone.

    Args:
        edge: (RAYS,) px, from :func:`outline`; the frame is the window's.
        window: where the bone lies.
        angle: rad, from ``v`` towards ``u``.
    """
    turns = np.arange(RAYS + 1) * 2 * np.pi / RAYS
    closed = np.append(edge, edge[0])
    r = float(np.interp(angle % (2 * np.pi), turns, closed))
    direction = np.array([np.sin(angle), np.cos(angle)])
    rho = np.hypot(window.u, window.v)
    reach = np.interp(np.arctan2(window.u, window.v) % (2 * np.pi), turns, closed)
    width = 2 * float(np.median(edge))
    territory = step_down(((rho - reach) / width - 0.01) / 0.06)
    return Margin(r * direction, -direction, territory, width)


def carve(
    film: Array, window: Window, margin: Margin, erosion: Erosion, rng: np.random.Generator
) -> tuple[Array, NDArray[np.bool_]]:
    """Carve one erosion.

    Args:
        film: (h, w) the window of the film.
        window: where it lies.
        margin: where the erosion starts.
        erosion: its size and depth.
        rng: for its outline and grain.

    Returns:
        (h, w) grey, and (h, w) where bone is gone.
    """
    radius = erosion.radius * margin.width
    depth_in = 0.55 if erosion.weight >= LARGE else 0.2
    u, v = margin.place + depth_in * radius * margin.inward
    distance = _lobed(window.u - u, window.v - v, radius, rng)
    soft = max(0.10 * radius, 0.9)
    bite = step_down((distance + soft) / (2 * soft)) * margin.territory

    coarse = ndimage.gaussian_filter(film, max(0.02 * margin.width, 1.0))
    level, bone = _levels(coarse, window, margin, radius)
    flesh = _flesh(film, level, bone, margin.width)
    shadow = np.maximum(coarse - flesh, 0.0)
    share = erosion.depth * bite
    detail = (film - coarse) * (1 - 0.75 * share * (shadow > 0.2 * (bone - level)))
    solid = np.clip(shadow / max(bone - level, 1e-6) * 1.6 - 0.5, 0.0, 1.0)
    uneven = 0.6 + 0.4 * _blotches(film.shape, 0.5 * radius, rng)
    thickness = 0.12 * radius + 1.0
    rim = np.exp(-(((distance - soft - 0.5 * thickness) / thickness) ** 2)) * (1 - bite)
    rim *= RIM * (bone - level) * margin.territory * solid * np.clip(uneven, 0.0, 1.5)
    rim[distance > 3 * thickness + soft] = 0.0
    changed = coarse - share * shadow + detail + rim
    touched = (share > 0) | (rim > 0)

    grain = texture(quiet_patch(film, np.abs(coarse - level) < 0.3 * (bone - level), 32),
                    film.shape, 1.5, rng)  # fmt: skip
    wanted = np.where(share > 0.02, float(np.var(grain - ndimage.gaussian_filter(grain, 1.0))), 0)
    result = np.where(touched, restored(changed, wanted * (bite > 0.02), grain), film)
    gone = (bite > 0.5) & (shadow > 0.25 * (bone - level))
    return result, gone


def _lobed(u: Array, v: Array, radius: float, rng: np.random.Generator) -> Array:
    """(h, w) px from a lobed closed line, negative inside; its mean radius is ``radius``."""
    angle = np.arctan2(v, u)
    edge = np.ones_like(angle)
    for k in range(2, 7):
        size = rng.normal(0, 0.16 / np.sqrt(k))
        edge += size * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
    return np.asarray(np.hypot(u, v) - radius * np.maximum(edge, 0.55))


def _blotches(shape: tuple[int, ...], sigma: float, rng: np.random.Generator) -> Array:
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), max(sigma, 1.0))
    return np.asarray(noise / max(float(noise.std()), 1e-9))


def _levels(coarse: Array, window: Window, margin: Margin, radius: float) -> tuple[float, float]:
    """Grey of the flesh beside the margin, and of the bone behind it."""
    along = (window.u - margin.place[0]) * margin.inward[0] + (
        window.v - margin.place[1]
    ) * margin.inward[1]
    aside = np.abs(
        (window.u - margin.place[0]) * margin.inward[1]
        - (window.v - margin.place[1]) * margin.inward[0]
    )
    near = aside < max(radius, 3.0)
    outside = near & (along < -0.02 * margin.width) & (along > -0.16 * margin.width)
    inside = near & (along > 0.05 * margin.width) & (along < 0.3 * margin.width)
    level = float(np.percentile(coarse[outside], 30)) if outside.any() else float(coarse.min())
    bone = float(np.median(coarse[inside])) if inside.any() else float(coarse.max())
    return level, max(bone, level + 1e-3)


def _flesh(film: Array, level: float, bone: float, width: float) -> Array:
    """(h, w) what the film would show without bone: the flesh around, carried under it."""
    contrast = bone - level
    weight = np.clip(1.3 - np.abs(film - level) / (0.35 * contrast), 0.0, 1.0)
    carried, total = np.full_like(film, level * 1e-4), np.full_like(film, 1e-4)
    for sigma, part in ((0.08, 1.0), (0.25, 0.05)):
        total += part * ndimage.gaussian_filter(weight, sigma * width)
        carried += part * ndimage.gaussian_filter(weight * film, sigma * width)
    return np.asarray(carried / total)
