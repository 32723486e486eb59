"""Narrow a joint space on a film: bring the two bone surfaces together, or bridge them with bone.

The film is displaced along the limb. Each surface moves by half of what the space loses; the
displacement fades out over about one width of the joint, so bone, skin and whatever else lies
there move smoothly. The map has an inverse: along every line the order of the places is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mandora.phantom.damage import JointState
from mandora.phantom.grain import local_variance, quiet_patch, restored, texture
from mandora.phantom.joint_line import Array, Frame, JointLine

FADE = 1.0  # along the limb, in joint widths
SIDE_FADE = 0.35  # across, in joint widths
MAX_LOSS = 0.92  # of the space, by displacement
STEEPEST = 0.97  # share of the space's width that may vanish locally: below 1 the map has an inverse
PLATE = 0.07  # thickness of the plate below a joint surface, in joint widths
BRIDGED = 0.8  # share of the contrast that a bridge of bone takes from the old surfaces


class Window:
    """The part of a film around a joint that may change.

    Attributes:
        frame: of the joint or bone.
        rows: of the film.
        columns: of the film.
        u: (h, w) px across the joint, of each pixel.
        v: (h, w) px along the limb.
    """

    def __init__(self, frame: Frame, shape: tuple[int, int], reach: float) -> None:
        self.frame = frame
        x, y = frame.origin
        self.rows = slice(max(int(y - reach), 0), min(int(y + reach) + 2, shape[0]))
        self.columns = slice(max(int(x - reach), 0), min(int(x + reach) + 2, shape[1]))
        grid = np.mgrid[self.rows, self.columns].astype(np.float64)
        self.u, self.v = frame.from_film(grid[1], grid[0])

    def cut(self, pixels: NDArray[np.floating]) -> Array:
        """The film inside the window."""
        return pixels[self.rows, self.columns].astype(np.float64)

    def sample(self, film: Array, u: Array, v: Array) -> Array:
        """A window's film at places in the frame, bilinear."""
        x, y = self.frame.to_film(u, v)
        at = [y - self.rows.start, x - self.columns.start]
        return np.asarray(ndimage.map_coordinates(film, at, order=1, mode="nearest"))


def step_down(t: Array) -> Array:
    """1 up to 0, 0 from 1 on, and smooth (twice) in between."""
    t = np.clip(t, 0.0, 1.0)
    return np.asarray(1 - t**3 * (t * (6 * t - 15) + 10))


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


def surfaces(line: JointLine, u: Array) -> tuple[Array, Array]:
    """``v`` of both surfaces at each ``u``; beyond the joint they go on level."""
    left, right = line.extent
    u = np.clip(u, left, right)
    return np.interp(u, line.u, line.proximal), np.interp(u, line.u, line.distal)


def moved_by(v: Array, proximal: Array, distal: Array, loss: Array, fade: float) -> Array:
    """Displacement along the limb of places at ``v``, px."""
    half = loss * (distal - proximal) / 2
    t = np.clip((v - proximal) / (distal - proximal), 0.0, 1.0)
    # the middle of the space gives more than its sides, as far as the map keeps an inverse
    bent = np.clip((STEEPEST / np.maximum(loss, 1e-3) - 1) / 0.5, 0.0, 1.0)
    t = (1 - bent) * t + bent * t * t * (3 - 2 * t)
    outside = step_down(np.maximum(proximal - v, v - distal) / fade)
    return np.asarray(half * (1 - 2 * t) * outside)


@dataclass(frozen=True, eq=False)
class Displacement:
    """Where the film of the result comes from, in a joint's frame.

    Attributes:
        u: (m,) px, columns of ``table``, 1 px apart.
        v: (n,) px, rows of ``table``, half a px apart.
        table: (n, m) px along the limb, by which a place of the result lies beyond its source.
    """

    u: Array
    v: Array
    table: Array

    def at(self, u: Array, v: Array) -> Array:
        """The displacement at places of the result, px along the limb."""
        where = [(v - self.v[0]) * 2, u - self.u[0]]
        return np.asarray(ndimage.map_coordinates(self.table, where, order=1, mode="nearest"))


def displacement(line: JointLine, state: JointState, window: Window, side: float) -> Displacement:
    """The displacement that narrows a joint.

    Args:
        line: of the joint.
        state: what the joint loses.
        window: where the result will be asked for.
        side: of a focal loss: -1 or 1, the sign of ``u``.

    Raises:
        ArithmeticError: if the map has no inverse.
    """
    fade = FADE * line.width
    u = np.arange(np.floor(window.u.min()), np.ceil(window.u.max()) + 1)
    v = np.arange(np.floor(window.v.min() * 2) - 2, np.ceil(window.v.max() * 2) + 3) / 2
    near, far = surfaces(line, u)
    loss = loss_profile(line, state, u, side)
    moved = moved_by(v[:, None], near, far, loss, fade)
    arrived = v[:, None] + moved
    if (np.diff(arrived, axis=0) <= 0).any():
        raise ArithmeticError("the displacement of the joint surfaces folds the film")
    back = np.zeros_like(moved)
    for column in np.flatnonzero(loss > 0):
        back[:, column] = np.interp(v, arrived[:, column], moved[:, column])
    return Displacement(u, v, back)


def narrowed(
    film: Array, line: JointLine, window: Window, moved: Displacement, rng: np.random.Generator
) -> Array:
    """The window with its pixels displaced, as sharp and as grainy as before.

    Args:
        film: (h, w) the window of the film.
        line: of the joint.
        window: where it lies.
        moved: the displacement.
        rng: for the grain.

    Returns:
        (h, w) grey; where nothing moves, the very pixels of ``film``.
    """
    shift = moved.at(window.u, window.v)
    still = shift == 0
    rows, columns = np.nonzero(~still)
    u, v = window.u[rows, columns], window.v[rows, columns]
    sharp = ndimage.spline_filter(film, order=5)

    def taken(source: Array, order: int, these: NDArray[np.intp], s: float = 0.0) -> Array:
        along = s - moved.at(u[these], v[these] + s)
        dx, dy = line.frame.axis
        at = [rows[these] + along * dy, columns[these] + along * dx]
        return np.asarray(
            ndimage.map_coordinates(source, at, order=order, mode="mirror", prefilter=False)
        )

    everywhere = np.arange(len(rows))
    values = taken(sharp, 5, everywhere)
    slope = moved.at(u, v + 0.5) - moved.at(u, v - 0.5)
    tight = np.flatnonzero(slope < -0.4)  # such a pixel holds several of the film's
    parts = [taken(sharp, 5, tight, s) for s in (-0.4, -0.2, 0.0, 0.2, 0.4)]
    values[tight] = np.mean(parts, axis=0)
    result, wanted = film.copy(), local_variance(film)
    result[rows, columns] = values
    wanted[rows, columns] = taken(wanted, 1, everywhere)
    grain = texture(quiet_patch(film, window.v == window.v, 32), film.shape, 1.5, rng)
    return np.where(still, film, restored(result, wanted, grain))


def bridged(
    film: Array, line: JointLine, window: Window, moved: Displacement, rng: np.random.Generator
) -> Array:
    """The narrowed window with trabecular bone across what is left of the space.

    Args:
        film: (h, w) the window after :func:`narrowed`.
        line: of the joint before it was narrowed.
        window: where it lies.
        moved: the displacement.
        rng: for the bone's texture and the bridge's edge.
    """
    near, far = surfaces(line, line.u)
    near = near + moved.at(line.u, near)
    far = far + moved.at(line.u, far)
    levels = []
    for surface, sign in ((near, -1.0), (far, 1.0)):
        depth = sign * np.linspace(PLATE, 3 * PLATE, 9)[:, None] * line.width
        seen = window.sample(film, line.u[None], surface + depth)
        levels.append(ndimage.gaussian_filter1d(np.median(seen, axis=0), 3.0))
    u = np.clip(window.u, line.u[0], line.u[-1])
    low, high, first, second = (np.interp(u, line.u, a) for a in (near, far, *levels))
    t = np.clip((window.v - low) / np.maximum(high - low, 1.0), 0.0, 1.0)
    bone = (1 - t) * first + t * second

    rough = ndimage.gaussian_filter(rng.standard_normal(film.shape), 0.06 * line.width)
    rough = rough / max(float(rough.std()), 1e-9)
    left, right = line.extent
    margin = 0.06 * line.width
    beyond = np.maximum(left + margin - window.u, window.u - right + margin) / line.width
    lateral = step_down((beyond + 0.03 * rough) / 0.12)
    outside = np.maximum(low - window.v, window.v - high) / line.width
    share = BRIDGED * lateral * step_down((outside + 0.015 * rough) / (1.6 * PLATE))
    coarse = ndimage.gaussian_filter(film, 0.025 * line.width)
    side = max(int(0.3 * line.width), 16)
    spongy = lateral * (outside > PLATE) * (outside < 0.5)
    pattern = texture(quiet_patch(film, spongy > 0.9, side), film.shape, 0.04 * line.width, rng)
    return np.asarray(film + share * (bone - coarse + 0.8 * pattern - 0.5 * (film - coarse)))

