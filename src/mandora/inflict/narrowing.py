"""Narrowing on a film: the two bone surfaces are brought together, or bridged with bone.

The film is displaced along the limb. Each surface moves by half of what the space loses; the
displacement fades out over about one width of the joint, so that everything there moves smoothly.
It has an inverse: along every line the order of the places is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mandora.inflict.joint_line import JointLine, surfaces
from mandora.inflict.noise import (
    local_variance,
    noise_like,
    quiet_patch,
    restore_noise,
    smooth_noise,
    texture_like,
    tile_px,
)
from mandora.inflict.region import Array, Region, step_down
from mandora.simulate.anatomy.joint_state import JointState

FADE = (1.0, 8.0)  # along the limb: joint widths or joint spaces, whichever is less
SIDE_FADE = 0.35  # across, in joint widths
MAX_LOSS = 0.92  # of the space, by displacement
STEEPEST = 0.97  # share of the space's width that may vanish locally; below 1 there is an inverse
PLATE = 0.07  # thickness of the plate below a joint surface, in joint widths
BRIDGED = 0.65  # share of the old plates that a bridge of bone replaces


def fade_px(line: JointLine) -> float:
    """Distance along the limb from a joint's surface to where nothing moves, px."""
    widths, gaps = FADE
    return min(widths * line.width, gaps * line.gap)


def loss_profile(line: JointLine, state: JointState, u: Array, side: float) -> Array:
    """Share of the space that is lost at each ``u``, 0..1; of one half only if focal."""
    left, right = line.extent
    fade = SIDE_FADE * line.width
    lateral = step_down((left - u) / fade) * step_down((u - right) / fade)
    loss = 1.0 if state.fused else state.loss
    if state.focal:
        middle = (left + right) / 2
        lateral = lateral * step_down(0.5 - side * (u - middle) / (0.3 * line.width))
    return np.asarray(min(loss, MAX_LOSS) * lateral)


def moved_by(v: Array, proximal: Array, distal: Array, loss: Array, fade: float) -> Array:
    """Displacement along the limb of places at ``v``, px."""
    half = loss * (distal - proximal) / 2
    t = np.clip((v - proximal) / (distal - proximal), 0.0, 1.0)
    # the middle of the space shrinks more than its sides, as far as there is an inverse
    bent = np.clip((STEEPEST / np.maximum(loss, 1e-3) - 1) / 0.5, 0.0, 1.0)
    t = (1 - bent) * t + bent * t * t * (3 - 2 * t)
    outside = step_down(np.maximum(proximal - v, v - distal) / fade)
    return np.asarray(half * (1 - 2 * t) * outside)


@dataclass(frozen=True, eq=False)
class Displacement:
    """How a film is displaced along the limb, in a joint's frame.

    Attributes:
        line: of the joint before it is narrowed.
        loss: (COLUMNS,) share of the space that vanishes at each ``u`` of the line.
        u: (m,) px, of the columns of ``table``, 1 px apart.
        v: (n,) px, of the rows of ``table``, half a px apart.
        table: (n, m) px, ``v`` of a place on the result minus ``v`` of the same place on the film.
    """

    line: JointLine
    loss: Array
    u: Array
    v: Array
    table: Array

    @property
    def closer(self) -> JointLine:
        """The surfaces of the narrowed joint."""
        near, far = surfaces(self.line, self.line.u)
        half = self.loss * (far - near) / 2
        return replace(self.line, proximal=near + half, distal=far - half)

    def forward(self, u: Array, v: Array) -> Array:
        """``v`` on the result of places on the film, px."""
        near, far = surfaces(self.line, u)
        loss = np.interp(u, self.line.u, self.loss)
        return np.asarray(v + moved_by(v, near, far, loss, fade_px(self.line)))

    def source(self, u: Array, v: Array) -> Array:
        """``v`` on the film of places on the result, px."""
        where = [(v - self.v[0]) * 2, u - self.u[0]]
        moved = ndimage.map_coordinates(self.table, where, order=1, mode="nearest")
        return np.asarray(v - moved)


def displacement(line: JointLine, state: JointState, region: Region, side: float) -> Displacement:
    """The displacement that narrows a joint.

    Args:
        line: of the joint.
        state: what the joint loses.
        region: where the result is needed.
        side: of a focal loss: -1 or 1, the sign of ``u``.

    Raises:
        ArithmeticError: if the displacement has no inverse.
    """
    fade = fade_px(line)
    u = np.arange(np.floor(region.u.min()), np.ceil(region.u.max()) + 1)
    v = np.arange(np.floor(region.v.min() * 2) - 2, np.ceil(region.v.max() * 2) + 3) / 2
    near, far = surfaces(line, u)
    loss = loss_profile(line, state, u, side)
    moved = moved_by(v[:, None], near, far, loss, fade)
    arrived = v[:, None] + moved
    if (np.diff(arrived, axis=0) <= 0).any():
        raise ArithmeticError("the displacement of the joint surfaces folds the film")
    back = np.zeros_like(moved)
    for column in np.flatnonzero(loss > 0):
        back[:, column] = np.interp(v, arrived[:, column], moved[:, column])
    return Displacement(line, loss_profile(line, state, line.u, side), u, v, back)


def narrowed(film: Array, region: Region, moved: Displacement, rng: np.random.Generator) -> Array:
    """The region with its pixels displaced, as sharp and as noisy as before.

    Args:
        film: (h, w) the region of the film.
        region: where it lies.
        moved: the displacement.
        rng: for the noise.

    Returns:
        (h, w) grey; where nothing moves, the pixels of ``film`` unchanged.
    """
    still = moved.source(region.u, region.v) == region.v
    rows, columns = np.nonzero(~still)
    u, v = region.u[rows, columns], region.v[rows, columns]
    sharp = ndimage.spline_filter(film, order=5)

    def taken(image: Array, order: int, these: NDArray[np.intp], s: float = 0.0) -> Array:
        x, y = region.frame.to_film(u[these], moved.source(u[these], v[these] + s))
        at = [y - region.rows.start, x - region.columns.start]
        return np.asarray(
            ndimage.map_coordinates(image, at, order=order, mode="mirror", prefilter=False)
        )

    everywhere = np.arange(len(rows))
    values = taken(sharp, 5, everywhere)
    before, behind = (moved.source(u, v + s) for s in (-0.5, 0.5))
    tight = np.flatnonzero(behind - before > 1.4)  # such a pixel holds several of the film's
    parts = [taken(sharp, 5, tight, s) for s in (-0.4, -0.2, 0.0, 0.2, 0.4)]
    values[tight] = np.mean(parts, axis=0)
    result, wanted = film.copy(), local_variance(film, region.grain)
    result[rows, columns] = values
    wanted[rows, columns] = taken(wanted, 1, everywhere)
    grain = region.grain
    soft = _like_soft_tissue(film, region, moved.line)
    quiet = quiet_patch(film, soft, tile_px(moved.line.width, grain), grain)
    noise = noise_like(quiet, film.shape, rng, grain)
    return np.where(still, film, restore_noise(result, wanted, noise, grain))


def displaced(labels: NDArray[np.uint8], region: Region, moved: Displacement) -> NDArray[np.uint8]:
    """A label map displaced as the film is.

    Args:
        labels: (H, W) of the whole film.
        region: where it changes.
        moved: the displacement.
    """
    x, y = region.frame.to_film(region.u, moved.source(region.u, region.v))
    rows, columns = (
        np.rint(at).astype(np.int64).clip(0, size - 1)
        for at, size in zip((y, x), labels.shape, strict=True)
    )
    result = labels.copy()
    result[region.rows, region.columns] = labels[rows, columns]
    return result


def _like_soft_tissue(film: Array, region: Region, line: JointLine) -> NDArray[np.bool_]:
    """(h, w) where the film is about as dark as in the joint space: neither bone nor air."""
    inner = np.abs(line.u) < 0.3 * line.width
    u, near, far = line.u[inner], line.proximal[inner], line.distal[inner]
    level = float(np.median(region.sample(film, u, (near + far) / 2)))
    bone = float(np.median(region.sample(film, u, near - 0.1 * line.width)))
    return np.asarray(np.abs(film - level) < max(0.5 * (bone - level), 0.02))


def bridged(film: Array, region: Region, moved: Displacement, rng: np.random.Generator) -> Array:
    """The narrowed region with trabecular bone across what is left of the space.

    Args:
        film: (h, w) the region after :func:`narrowed`.
        region: where it lies.
        moved: the displacement.
        rng: for the bone's texture and the bridge's edge.
    """
    line = moved.closer
    near, far = line.proximal, line.distal
    levels = []
    for surface, sign in ((near, -1.0), (far, 1.0)):
        depth = sign * np.linspace(PLATE, 3 * PLATE, 9)[:, None] * line.width
        seen = region.sample(film, line.u[None], surface + depth)
        levels.append(ndimage.gaussian_filter1d(np.median(seen, axis=0), 3.0))
    u = np.clip(region.u, line.u[0], line.u[-1])
    low, high, first, second = (np.interp(u, line.u, a) for a in (near, far, *levels))
    t = np.clip((region.v - low) / np.maximum(high - low, 1.0), 0.0, 1.0)
    bone = (1 - t) * first + t * second

    rough = smooth_noise(film.shape, 0.06 * line.width, rng)
    left, right = line.extent
    margin = 0.06 * line.width
    beyond = np.maximum(left + margin - region.u, region.u - right + margin) / line.width
    lateral = step_down((beyond + 0.03 * rough) / 0.12)
    outside = np.maximum(low - region.v, region.v - high) / line.width
    outside = outside + 0.015 * rough
    share = lateral * (0.3 * step_down(outside / 0.05) + BRIDGED * step_down(outside / (2 * PLATE)))
    side = max(int(0.3 * line.width), 16 * region.grain)
    spongy = (lateral > 0.9) & (outside > PLATE) & (outside < 0.5)
    patch = quiet_patch(film, spongy, side, region.grain)
    pattern = texture_like(patch, film.shape, 0.04 * line.width, rng)
    return np.asarray(film + share * (bone + pattern - film))
