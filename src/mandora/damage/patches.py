"""Patches around located landmarks.

The default window follows the size of the limb, not of the film, so that a joint looks equally
large whether one hand or two lie on the film: half side = ``half_window`` × the size of the limb,
:func:`~mandora.core.geometry.limb_size`, about as long as MCP2 to MCP5 or MTP1 to MTP5. The
published window follows the film: half side = 192 px on a film of 4096 × 4096 px. Either is
enlarged for the great toe as in the paper; the default's also where a bone of the wrist is larger
than the window, so that erosions at its edges are seen. The default window is turned as the limb
is, :func:`~mandora.core.geometry.limb_slant`; the published one is not. A window that reaches
beyond the film is padded, never shifted or stretched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mandora.core.anatomy import LANDMARKS, Limb
from mandora.core.geometry import Box, Points, limb_size, limb_slant
from mandora.core.specs import PatchSpec
from mandora.images.channels import (
    FilmStatistics,
    background,
    patch_channels,
    sample_box,
    standardise,
)


@dataclass(frozen=True, eq=False)
class Patch:
    """One patch and where it came from.

    Attributes:
        limb: hand or foot.
        landmark: index of the landmark in ``anatomy.LANDMARKS[limb]``.
        box: px of the upright film; may be turned, and reach beyond it.
        pixels: what the network sees, as on a left limb: (S, S) float32 standardised, or
            (7, S, S) float32, see :mod:`mandora.images.channels`.
        mirrored: the pixels are flipped against the film.
        grey: (S, S) float32, 0..1, the film's own grey values there, flipped likewise.
    """

    limb: Limb
    landmark: int
    box: Box
    pixels: NDArray[np.float32]
    mirrored: bool
    grey: NDArray[np.float32]


@dataclass(frozen=True)
class Windows:
    """What the windows of one limb have in common.

    Attributes:
        half_px: half side before any enlargement, px of the film.
        turn_deg: by how much they are turned, degrees, clockwise on the film.
    """

    half_px: float
    turn_deg: float = 0.0


def windows_of(
    spec: PatchSpec,
    film_hw: tuple[int, int],
    landmarks: Points,
    template: Points,
    *,
    mirrored: bool,
) -> Windows:
    """The windows of one limb.

    Args:
        spec: of the patches.
        film_hw: height and width of the film, px.
        landmarks: (N, 2) px of the film, upright; NaN where unknown.
        template: (N, 2) template of a left limb.
        mirrored: the limb looks like a right one.

    Raises:
        ValueError: if windows follow the limb and fewer than two different landmarks are known.
    """
    size = limb_size(landmarks, template) if spec.window == "limb" else None
    slant = limb_slant(landmarks, template, mirrored=mirrored) if spec.along == "limb" else 0.0
    return Windows(spec.half_px(film_hw, size), slant)


def window_box(
    spec: PatchSpec, limb: Limb, landmark: int, centre: ArrayLike, windows: Windows
) -> Box:
    """The window of one landmark, px of the film.

    Args:
        spec: says how much larger than the published window some are.
        limb: hand or foot.
        landmark: index in ``anatomy.LANDMARKS[limb]``.
        centre: (x, y) px of the film.
        windows: of the limb.
    """
    larger = LANDMARKS[limb][landmark].enlargement * spec.enlargement(limb, landmark)
    return Box.around(centre, windows.half_px * larger, turn_deg=windows.turn_deg)


def cut_patches(
    spec: PatchSpec,
    pixels: NDArray[np.float32],
    limb: Limb,
    boxes: Mapping[int, Box],
    *,
    mirrored: bool,
) -> list[Patch]:
    """Cut and resize the patches of one film, and make of them what the network sees.

    Args:
        spec: size and channels of the patches.
        pixels: (H, W) float32, 0..1.
        limb: hand or foot.
        boxes: window by index of the landmark.
        mirrored: flip each patch (the film shows a right limb).
    """
    # training sees the film itself mirrored: every eighth pixel is another one there
    fill = background(pixels[:, ::-1] if mirrored else pixels)
    statistics = FilmStatistics.of(pixels) if spec.channels == 7 else None
    patches = []
    for landmark, box in boxes.items():
        grey = sample_box(pixels, box, spec.patch_px, fill)
        if mirrored:
            grey = np.ascontiguousarray(grey[:, ::-1])
        seen = (
            standardise(grey)
            if statistics is None
            else patch_channels(grey, statistics, spec.patch_range)
        )
        patches.append(Patch(limb, landmark, box, seen, mirrored, grey))
    return patches
