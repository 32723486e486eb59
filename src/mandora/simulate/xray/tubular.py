"""The shadow of a tubular bone: phalanges, metacarpals and metatarsals.

A tubular bone is a solid in its own frame: u along the axis (mm, 0 at the base, the length at
the head), v across it in the film's plane, z along the beam. Across the axis it is an ellipse;
its ends are surfaces u(v, z), a socket at the base and a roller at the head. The beam runs along
z, so the two ends smear into the bands and double contours that joints show on films: the
nearer and the farther rim of a socket never fall on the same line unless the bone lies flat.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from mandora.simulate.anatomy.shapes import (
    SMOOTH,
    Array,
    Form,
    Tube,
    base_profile,
    half_width,
    head_profile,
    thickened,
)
from mandora.simulate.anatomy.skeleton import TubeState
from mandora.simulate.fields import Field, resize

_SLICES = np.linspace(-1, 1, 11)[1:-1]  # places along the beam, shares of the half thickness
_SPACING = float(_SLICES[1] - _SLICES[0])
END_MM = 12.0  # an end surface and its overhang lie within this of the axis's end
_MARROW = 0.30  # spongy bone in the middle of the shaft, relative to the ends


@dataclass(frozen=True, eq=False)
class Shadow:
    """Path lengths in the bone's own frame.

    Attributes:
        start: (2,) u and v of the first sample, mm.
        step: distance of samples, mm.
        dense: (U, V) float32, compact bone, mm.
        spongy: (U, V) float32, spongy bone, mm.
    """

    start: tuple[float, float]
    step: float
    dense: Field
    spongy: Field


def cast_shadow(
    tube: Tube, length: float, tube_state: TubeState, step: float, rng: np.random.Generator
) -> Shadow:
    """Path lengths through one bone.

    Args:
        tube: proportions, mm.
        length: from the middle of the base to the tip of the head, mm.
        tube_state: how it is turned and bent, and what it consists of.
        step: distance of samples, mm.
        rng: of the trabeculae.
    """
    form = tube_state.form
    reach = 0.5 * max(tube.base, tube.head) * (1 if form == SMOOTH else 1.25)
    reach += abs(tube_state.bow) + 1.5
    u = np.arange(-5.0, length + 5.0, step, dtype=np.float32)[:, None]
    v = np.arange(-reach, reach, step, dtype=np.float32)[None, :]
    t = np.clip(u / length, 0, 1)
    deep = tube.depth
    thick = (deep[0] * tube.base, deep[1] * tube.shaft, deep[2] * tube.head)
    half_depth = 0.5 * thickened(tube, thick, length, u)
    across = v - tube_state.bow * np.sin(np.pi * t)
    half = half_width(tube, form.outer, length, u)
    if form.inner != form.outer:
        half = np.where(across > 0, half_width(tube, form.inner, length, u), half)
    shell = _shell(tube_state.cortex, form.shell, t)
    thickness = _chord(across, half, half_depth, form, t)
    inner_half, inner_depth = (np.maximum(size - shell, 0.2) for size in (half, half_depth))
    core = _chord(across, inner_half, inner_depth, form, t)
    core = np.minimum(core, thickness)
    bone, plates = _ends(tube, length, tube_state, u, across, thickness, step)
    solid = plates * thickness
    # what lies between the joint surfaces, minus the surfaces themselves
    inner = np.clip(bone - plates, 0, 1)
    marrow = 1 - (1 - _MARROW) * np.clip(np.minimum(t, 1 - t) / 0.30 - 0.15, 0, 1) ** 1.5
    weave = _trabeculae(u.shape[0], v.shape[1], step, form, rng)
    dense = inner * (thickness - core) + solid
    if form != SMOOTH:
        bulge, crest = _condyles(tube, form, length, u, across)
        core, dense = core + bulge, dense + inner * crest
        weave *= form.spongy[0] + (form.spongy[1] - form.spongy[0]) * t
    spongy = inner * core * marrow * weave
    kept = _kept(length, tube_state, u, across, half)
    if form != SMOOTH:
        kept *= _pitted(tube, form, length, u, across)
    return Shadow(
        (float(u[0, 0]), float(v[0, 0])),
        step,
        np.asarray(dense * kept, np.float32),
        np.asarray(spongy * kept, np.float32),
    )


def _shell(
    cortex: tuple[float, float, float], relative: tuple[float, float, float], t: Field
) -> Field:
    """Compact bone is thick in the shaft and thin towards the joints."""
    base, shaft, head = (a * b for a, b in zip(cortex, relative, strict=True))
    middle = np.clip(np.minimum(t, 1 - t) / 0.30, 0, 1) ** 1.4
    end = np.where(t < 0.5, base, head)
    return np.asarray(end + (shaft - end) * middle, np.float32)


def _chord(across: Field, half_width: Field, half_depth: Field, form: Form, t: Field) -> Field:
    """Chord along the beam through an ellipse, or through a section with thinner sides, mm."""
    share = np.clip(1 - (across / half_width) ** 2, 0, None)
    if form.wedge == (0.0, 0.0):
        return np.asarray(2 * half_depth * np.sqrt(share), np.float32)
    wedge = form.wedge[0] * np.exp(-((t / 0.25) ** 2))
    wedge = wedge + form.wedge[1] * np.exp(-(((1 - t) / 0.25) ** 2))
    return np.asarray(2 * half_depth * share ** (0.5 + wedge), np.float32)


def _ends(
    tube: Tube,
    length: float,
    tube_state: TubeState,
    u: Field,
    across: Field,
    thickness: Field,
    step: float,
) -> tuple[Field, Field]:
    """Shares of the path at (u, v) that lie in the bone, and in its joint surfaces."""
    bone = np.ones(thickness.shape, np.float32)
    plates = np.zeros(thickness.shape, np.float32)
    lean = float(np.tan(tube_state.pitch))
    for head in (False, True):
        rows = slice(*np.searchsorted(
            u[:, 0], (length - END_MM, u[-1, 0] + step) if head else (u[0, 0], END_MM)
        ))  # fmt: skip
        place, side, half = u[rows], across[rows], 0.5 * thickness[rows]
        share = side / (0.5 * (tube.head if head else tube.base))
        flat = (
            head_profile(tube, share, tube_state.skew)
            if head
            else base_profile(tube, share, tube_state.tilt)
        )
        plate = tube_state.endplate[head] * tube_state.form.plates[head]
        inside, surface = np.zeros_like(half), np.zeros_like(half)
        for z in _SLICES:
            away = flat + _fall(tube, float(z), head) + z * half * lean * (-1 if head else 1)
            depth = length - away - place if head else place - away
            # a slice stands for its neighbourhood: its edge is as soft as the surface is steep
            soft = step + _SPACING * (np.abs(half * lean) + _steepness(tube, float(z), head))
            filled = np.clip(0.5 + depth / soft, 0, 1)
            inside += filled
            surface += filled - np.clip(0.5 + (depth - plate) / soft, 0, 1)
        bone[rows] *= inside / len(_SLICES)
        plates[rows] += surface / len(_SLICES)
    return bone, np.minimum(plates, bone)


def _fall(tube: Tube, z: float, head: bool) -> float:
    """Distance of a surface from its middle slice, mm: positive for heads, negative for sockets."""
    if head:
        return 0.5 * tube.depth[2] * tube.head * (1 - float(np.sqrt(1 - 0.8 * z * z)))
    return -tube.rim * z * z


def _steepness(tube: Tube, z: float, head: bool) -> float:
    """Change of :func:`_fall` over one unit of z, without its sign."""
    if head:
        return 0.5 * tube.depth[2] * tube.head * 0.8 * abs(z) / float(np.sqrt(1 - 0.8 * z * z))
    return 2 * tube.rim * abs(z)


def _trabeculae(
    rows: int, columns: int, step: float, form: Form, rng: np.random.Generator
) -> Field:
    """Texture of spongy bone, struts mostly along the axis; mean 1."""
    noise = rng.standard_normal((rows, columns), dtype=np.float32)
    struts = ndimage.gaussian_filter(noise, (1.3 / step, 0.12 / step), truncate=2.5)
    mesh = ndimage.gaussian_filter(noise[::-1], 0.20 / step, truncate=2.5)
    both = form.streaks * struts / max(float(struts.std()), 1e-6)
    both += 0.7 * mesh / max(float(mesh.std()), 1e-6)
    both *= form.grain
    if form.blotches:
        few = (max(rows // 4, 1), max(columns // 4, 1))
        coarse = ndimage.gaussian_filter(
            rng.standard_normal(few, dtype=np.float32), (1.9 / (4 * step), 0.55 / (4 * step))
        )
        coarse /= max(float(coarse.std()), 1e-6)
        both += (form.blotches / 0.16) * resize(coarse, (rows, columns), Image.Resampling.BILINEAR)
    return np.asarray(np.clip(1 + 0.16 * both, 0.35, 2.0), np.float32)


def _condyles(
    tube: Tube, form: Form, length: float, u: Field, across: Field
) -> tuple[Field | float, Field | float]:
    """What the condyles on the palm's or sole's side add to the path, mm: a second contour.

    Returns:
        Spongy bone, and the compact bone of the crests beside them.
    """
    added: Field | float = 0.0
    dense: Field | float = 0.0
    behind = (length - u) / tube.head
    for side, height, crest in zip((1.0, -1.0), form.condyles, form.crests, strict=True):
        if height:
            off = (across - side * 0.27 * tube.head) / (0.24 * tube.head)
            away = (behind - 0.44) / 0.38
            added = added + height * np.sqrt(np.clip(1 - off**2 - away**2, 0, None))
        if crest:
            line = side * tube.head * (0.20 + 0.30 * (behind - 0.30))
            along = np.exp(-(np.abs((behind - 0.48) / 0.20) ** 3))
            dense = dense + crest * along * np.exp(-(((across - line) / (0.045 * tube.head)) ** 2))
    return added, dense


def _pitted(tube: Tube, form: Form, length: float, u: Field, across: Field) -> Field:
    """Share of the bone that pits at the head's sides, a groove and a cyst leave."""
    left = np.ones(across.shape, np.float32)
    behind, off = (length - u) / tube.head, across / (0.5 * tube.head)
    for side, lost in zip((1.0, -1.0), form.pits, strict=True):
        if lost:
            along, aside = (behind - 0.58) / 0.15, (side * off - 0.72) / 0.22
            left -= lost * np.exp(-(along**2) - aside**2)
    if form.groove:
        left -= form.groove * np.exp(-((off / 0.42) ** 2) - ((behind - 0.55) / 0.42) ** 2)
    if form.cyst is not None:
        place, beside, radius = form.cyst
        away = np.hypot((behind - place) * tube.head, across - beside * 0.5 * tube.head)
        left *= 1 - 0.35 * np.clip((radius - away) / 0.6, 0, 1)
        left *= 1 + 0.25 * np.exp(-(((away - radius - 0.3) / 0.35) ** 2))
    return left


def _kept(
    length: float, tube_state: TubeState, u: Field, across: Field, half_width: Field
) -> Field:
    """Share of the bone that growth plates and osteopenia leave."""
    kept = np.ones(across.shape, np.float32)
    for at, lost in zip((0.0, length), tube_state.porosity, strict=True):
        if lost > 0:
            kept *= 1 - lost * np.exp(-(((u - at) / 9.0) ** 2))
    if tube_state.plate is not None:
        kept *= growth_plate(u - tube_state.plate * length, across, half_width, tube_state.closing)
    return kept


def growth_plate(
    off: Field, across: Field, half_width: Field | float, closing: float = 0.0
) -> Field:
    """Share of the bone that is left around a growth plate.

    An open plate is a wavy cleft between two thin dense lines, a closed one a single dense line.

    Args:
        off: distance from the plate along the axis, mm.
        across: place across the bone, mm.
        half_width: of the bone, mm.
        closing: 0 open, 1 closed.
    """
    aside = np.clip(np.abs(across / half_width), 0, 1)
    wave = 0.45 * np.cos(2.2 * np.pi * across / (2 * half_width)) + 0.2 * np.cos(1.7 * across)
    away = off - 0.7 * wave
    opened = 1 - closing
    # the cleft runs through to the sides, where the two parts of the bone are rounded
    wide = 0.42 + 0.30 * aside**6
    cleft = 1 - opened * (0.60 + 0.35 * aside**4) * np.exp(-((away / wide) ** 2))
    lines = opened * 0.45 * np.exp(-(((np.abs(away) - 1.05) / 0.40) ** 2))
    scar = closing * 0.25 * np.exp(-((away / 0.5) ** 2))
    return np.asarray(cleft * (1 + lines + scar), np.float32)


def place_shadow(
    shadow: Shadow, base: Array, up: Array, ppmm: float, shape: tuple[int, int]
) -> tuple[Field, Field, slice, slice] | None:
    """Resample a shadow onto the film.

    Args:
        shadow: in the bone's frame.
        base: (2,) where the base's middle lies, mm of the film.
        up: (2,) unit vector from base to head.
        ppmm: px per mm.
        shape: (H, W) of the film.

    Returns:
        Compact and spongy path lengths over a window of the film, and its rows and columns;
        None if the bone lies outside.
    """
    side = np.array([-up[1], up[0]])
    (u0, v0), step = shadow.start, shadow.step
    u1, v1 = (s + step * (n - 1) for s, n in zip(shadow.start, shadow.dense.shape, strict=True))
    corners = np.array([base + u * up + v * side for u in (u0, u1) for v in (v0, v1)]) * ppmm - 0.5
    x0, y0 = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, (shape[1], shape[0]))
    if x1 - x0 < 1 or y1 - y0 < 1:
        return None
    # from (row, column) of the window to (u, v) samples
    matrix = np.array([[up[1], up[0]], [side[1], side[0]]]) / (ppmm * step)
    first = (np.array([x0, y0]) + 0.5) / ppmm - base
    offset = (np.array([first @ up, first @ side]) - [u0, v0]) / step
    window = (y1 - y0, x1 - x0)
    dense, spongy = (
        ndimage.affine_transform(field, matrix, offset, window, order=1, mode="constant")
        for field in (shadow.dense, shadow.spongy)
    )
    return dense, spongy, slice(y0, y1), slice(x0, x1)
