"""How much of a bone an erosion leaves, on the film.

The frame of an erosion is that of :class:`mandora.simulate.anatomy.joint_state.Erosion`: the place
at the bone's margin where it starts, and the direction from there into the bone.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from mandora.simulate.anatomy.skeleton import PlacedErosion
from mandora.simulate.fields import Field

OPEN = 0.35  # an erosion that is open towards the margin is as wide there: its outline fades slowly
RIM_MM, RIM_GAIN = 0.45, 0.28  # thickness of a dense rim, and how much denser than the bone it is
SHARP_MM, SOFT_MM = 0.10, 0.40  # softness of the border
BOWL = 0.65  # of a soft erosion: share of its depth that is reached only in the middle


def eroded(erosion: PlacedErosion, depth: Field, along: Field) -> Field:
    """How far the film's places lie inside an erosion, mm; negative outside.

    Args:
        erosion: its size.
        depth: (h, w) mm from the margin into the bone.
        along: (h, w) mm along the margin.
    """
    return (_collapsed if erosion.erosion.collapse else _bitten)(erosion, depth, along)


def bone_left(erosion: PlacedErosion, inside: Field) -> Field:
    """(h, w) share of the bone that is left; above 1 in a dense rim.

    Args:
        erosion: its depth and border.
        inside: from :func:`eroded`.
    """
    shape = erosion.erosion
    half = (shape.reach - shape.inset) / (2 if shape.inset > 0 else 1)
    size = erosion.width * min(half, shape.radius)
    soft = min(SHARP_MM + SOFT_MM * max(1 - 2 * shape.border, 0.0), 0.2 * size)
    bowl = BOWL * (1 - shape.border)
    gone = expit(inside / soft) * (1 - bowl + bowl * np.clip(inside / (0.6 * size), 0, 1))
    dense = RIM_GAIN * max(2 * shape.border - 1, 0.0)
    rim = dense * np.exp(-(((inside + 0.8 * RIM_MM) / RIM_MM) ** 2))
    return np.asarray(1 - shape.depth * gone + rim, np.float32)


def _bitten(erosion: PlacedErosion, depth: Field, along: Field) -> Field:
    """Half an ellipse that is open towards the margin, or a whole one beside it, with lobes."""
    shape, width = erosion.erosion, erosion.width
    half = 0.5 if shape.inset > 0 else 1.0
    size = half * (shape.reach - shape.inset) * width
    length = shape.radius * width
    y = depth - (shape.reach * width - size)
    if shape.inset <= 0:
        y = np.where(y < 0, OPEN * y, y)
    y, x = y / size, along / length
    away = np.maximum(np.hypot(x, y), 1e-3)
    steep = np.maximum(np.hypot(x / length, y / size) / away, 1e-3)
    return np.asarray((_lobes(np.arctan2(x, y), shape.ragged, shape.phase) - away) / steep)


def _lobes(angle: Field, ragged: float, phase: float) -> Field:
    """Radius of the outline by direction; 1 where the erosion is deepest."""

    def radius(a: Field) -> Field:
        turn = 2 * np.pi * phase
        waves = 0.09 * np.cos(3 * a + turn) + 0.06 * np.cos(5 * a - 2 * turn)
        cusps = np.abs(np.sin((2 + phase) * a + turn)) - 0.64  # scallops meet in cusps
        scalloped = max(2 * ragged - 1, 0.0)
        return np.asarray(1 + (0.3 + ragged) * waves + 0.3 * scalloped * cusps)

    return np.asarray(radius(angle) / radius(np.zeros(1, np.float32)))


def _collapsed(erosion: PlacedErosion, depth: Field, along: Field) -> Field:
    """All that lies nearer to the joint than an uneven cut across the bone."""
    shape, width = erosion.erosion, erosion.width
    side = np.clip(along / (0.5 * width), -1.3, 1.3)
    turn = 2 * np.pi * shape.phase
    tapers = (
        0.9 * np.abs(side) ** 1.5 - 0.3,  # to a point
        np.zeros_like(side),  # flat
        0.6 * side * np.sign(np.sin(7 * turn)),  # at a slant
        0.3 - 0.6 * np.abs(side) ** 1.5,  # hollow
    )
    taper = tapers[int(shape.phase * len(tapers)) % len(tapers)]
    uneven = (
        np.sin(1.3 * np.pi * side + turn)
        + 0.6 * np.sin(2.9 * np.pi * side - 3 * turn)
        + 0.25 * np.abs(np.sin(4.7 * np.pi * side + 2 * turn))
    )
    cut = width * (shape.reach * (1 + 0.8 * taper) + 0.08 * (0.3 + shape.ragged) * uneven)
    return np.asarray(cut - depth)
