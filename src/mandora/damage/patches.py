"""Patches around located landmarks.

The default window follows the size of the limb, not of the film, so that a joint looks equally
large whether one hand or two lie on the film: half side = ``half_window`` × the size of the limb,
:func:`~mandora.core.geometry.limb_size`, about as long as MCP2 to MCP5 or MTP1 to MTP5. The
published window follows the film: half side = 192 px on a film of 4096 × 4096 px. Either is
enlarged for the great toe as in the paper; the default's also where a bone of the wrist is larger
than the window, so that erosions at its edges are seen. A window that reaches beyond the film is
padded, never shifted or stretched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mandora.core.anatomy import LANDMARKS, Limb
from mandora.core.errors import InputError
from mandora.core.geometry import Box
from mandora.images.channels import (
    FilmStatistics,
    background,
    patch_channels,
    sample_box,
    standardise,
)

PUBLISHED_FILM_PX = 4096  # side of the film on which the published half window is stated


@dataclass(frozen=True, eq=False)
class Patch:
    """One patch and where it came from.

    Attributes:
        limb: hand or foot.
        landmark: index of the landmark in ``anatomy.LANDMARKS[limb]``.
        box: px of the film; may reach beyond it.
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


def film_half_window(half_window_px: float, film_hw: ArrayLike) -> float:
    """The published half side: ``half_window_px`` · √(h·w / 4096²), px of the film.

    Args:
        half_window_px: half side on a film of 4096 × 4096 px.
        film_hw: height and width of the film, px.
    """
    height, width = np.asarray(film_hw, np.float64)
    return float(half_window_px * np.sqrt(height * width) / PUBLISHED_FILM_PX)


class Window(Protocol):
    """What says how large patches are: ``DamageSettings``, or a scorer's rule."""

    @property
    def window(self) -> Literal["limb", "film"]:
        """What the window follows."""

    @property
    def half_window(self) -> float:
        """``limb``: half side / size of the limb."""

    @property
    def half_window_px(self) -> float:
        """``film``: half side on a film of 4096 × 4096 px."""


def half_window_px(settings: Window, film_hw: ArrayLike, unit_px: float | None = None) -> float:
    """Half side of a patch as the settings want it, px of the film, not yet enlarged.

    Args:
        settings: ``window`` chooses between the size of the limb and that of the film.
        film_hw: height and width of the film, px.
        unit_px: size of the limb, :func:`~mandora.core.geometry.limb_size`;
            a film's window needs none.

    Raises:
        ValueError: if the window follows the limb and its size is not known.
    """
    if settings.window == "film":
        return film_half_window(settings.half_window_px, film_hw)
    if unit_px is None:
        raise InputError("window 'limb' needs the size of the limb; give unit_px")
    return settings.half_window * unit_px


def window_box(
    limb: Limb,
    landmark: int,
    centre: ArrayLike,
    half_px: float,
    enlarged: Mapping[str, float] | None = None,
) -> Box:
    """The window of one landmark, px of the film.

    Args:
        limb: hand or foot.
        landmark: index of the landmark in ``anatomy.LANDMARKS[limb]``.
        centre: (x, y) px of the film.
        half_px: half side before any enlargement, see :func:`half_window_px`.
        enlarged: landmarks of the hand whose window is larger, by their names, and the factor.
    """
    more = enlargement(limb, landmark, enlarged or {})
    return Box.around(centre, half_px * LANDMARKS[limb][landmark].window * more)


def enlargement(limb: Limb, landmark: int, enlarged: Mapping[str, float]) -> float:
    """How much larger than the published window that of a landmark is; 1 for all of a foot.

    Args:
        limb: hand or foot.
        landmark: index of the landmark in ``anatomy.LANDMARKS[limb]``.
        enlarged: factors of landmarks of the hand, by their names.
    """
    return enlarged.get(LANDMARKS[limb][landmark].name, 1.0) if limb is Limb.HAND else 1.0


def cut_patches(
    pixels: NDArray[np.float32],
    limb: Limb,
    boxes: dict[int, Box],
    size_px: int,
    *,
    mirrored: bool,
    channels: Literal[1, 7] = 1,
    patch_range: float = 1.0,
) -> list[Patch]:
    """Cut and resize the patches of one film, and make of them what the network sees.

    Args:
        pixels: (H, W) float32, 0..1.
        limb: hand or foot.
        boxes: window by index of the landmark.
        size_px: side of the patches.
        mirrored: flip each patch (the film shows a right limb).
        channels: 1: standardised; 7: five versions of the film, two of the patch.
        patch_range: what the two versions of the patch are multiplied by.
    """
    # training sees the film itself mirrored: every eighth pixel is another one there
    fill = background(pixels[:, ::-1] if mirrored else pixels)
    statistics = FilmStatistics.of(pixels) if channels == 7 else None
    patches = []
    for landmark, box in boxes.items():
        grey = sample_box(pixels, box, size_px, fill)
        if mirrored:
            grey = np.ascontiguousarray(grey[:, ::-1])
        seen = (
            standardise(grey)
            if statistics is None
            else patch_channels(grey, statistics, patch_range)
        )
        patches.append(Patch(limb, landmark, box, seen, mirrored, grey))
    return patches
