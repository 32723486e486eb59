"""Patches around located points.

The window follows the size of the limb, not of the film, so that a joint looks equally large
whether one hand or two lie on the film: half side = ``half_window`` × |MCP2-MCP5| (hand) or
|MTP1-MTP5| (foot), times the paper's enlargement for the great toe.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mandora.anatomy import POINTS, Limb
from mandora.geometry import Box, Points, fit_similarity
from mandora.images.channels import sample_box, standardise

MIN_FOUND = 4  # with fewer points the size of the limb is a guess


@dataclass(frozen=True, eq=False)
class Patch:
    """One patch and where it came from.

    Attributes:
        limb: hand or foot.
        point: index of the point in ``anatomy.POINTS[limb]``.
        box: px of the film; may reach beyond it.
        pixels: (S, S) float32, standardised, as seen on a left limb.
        mirrored: the pixels are flipped against the film.
    """

    limb: Limb
    point: int
    box: Box
    pixels: NDArray[np.float32]
    mirrored: bool


def limb_unit(points: Points, confidence: ArrayLike, template: Points, *, mirrored: bool) -> float:
    """Size of the limb on the film, from all points at once.

    Args:
        points: (N, 2) px of the film; NaN where not found.
        confidence: (N,) weights.
        template: (N, 2) mean shape of a left limb in units of the limb.
        mirrored: the film shows the limb like a right one.

    Returns:
        px of the film per unit.

    Raises:
        ValueError: if fewer than ``MIN_FOUND`` points were found.
    """
    weights = np.asarray(confidence, dtype=np.float64)
    found = np.isfinite(points).all(axis=1) & (weights > 0)
    if found.sum() < MIN_FOUND:
        raise ValueError(
            f"only {int(found.sum())} of {len(points)} points were found, "
            f"{MIN_FOUND} are needed to know the size of the limb"
        )
    shape = template * [-1.0, 1.0] if mirrored else template
    matrix = fit_similarity(shape[found], points[found], weights[found])
    return float(np.hypot(matrix[0, 0], matrix[1, 0]))


def patch_box(limb: Limb, point: int, centre: ArrayLike, unit_px: float, half_window: float) -> Box:
    """The window of one point, px of the film."""
    return Box.around(centre, half_window * unit_px * POINTS[limb][point].window)


def cut_patches(
    pixels: NDArray[np.float32],
    limb: Limb,
    boxes: dict[int, Box],
    size_px: int,
    *,
    mirrored: bool,
) -> list[Patch]:
    """Cut, resize and standardise the patches of one film.

    Args:
        pixels: (H, W) float32, 0..1.
        limb: hand or foot.
        boxes: window by index of the point.
        size_px: side of the patches.
        mirrored: flip each patch (the film shows a right limb).
    """
    fill = float(np.percentile(pixels[::8, ::8], 5))
    patches = []
    for point, box in boxes.items():
        grey = sample_box(pixels, box, size_px, fill)
        if mirrored:
            grey = np.ascontiguousarray(grey[:, ::-1])
        patches.append(Patch(limb, point, box, standardise(grey), mirrored))
    return patches
