"""Random changes of training pictures that do not change their labels.

The random numbers of each item are drawn from its own key, and applied later to a whole batch. So
a change can be repeated, tested, and drawn in another process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import kornia.geometry.transform as kornia
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mandora.core.geometry import Box
from mandora.core.settings import FilmChangeSettings, PatchChangeSettings
from mandora.training.task import Batch

Key = tuple[int, int, int]
SMALLER = 0.72  # side of smaller pictures / full side: half of the px, about half of the cost


class Change(NamedTuple):
    """The change of one picture.

    Attributes:
        matrix: (2, 3) float64, from px of the stored picture to px of the changed picture.
        exposure: gamma, noise, blur (0..1) and factor of the grey values.
        seed: of the noise.
    """

    matrix: NDArray[np.float64]
    exposure: tuple[float, float, float, float]
    seed: int

    def __call__(self, points: NDArray[np.floating]) -> NDArray[np.float32]:
        """(N, 2) px of the stored picture → px of the changed one."""
        return np.asarray(points @ self.matrix[:, :2].T + self.matrix[:, 2], dtype=np.float32)


def smaller(change: Change, factor: float) -> Change:
    """The change, followed by scaling with ``factor`` about the middle of the picture."""
    matrix = factor * change.matrix
    matrix[:, 2] += (factor - 1) / 2  # (0, 0) is the centre of the first px
    return change._replace(matrix=matrix)


def smaller_px(full_px: int, step: int) -> int:
    """Side of smaller pictures: about ``SMALLER`` times the full side.

    Args:
        full_px: the full side.
        step: the side is a multiple of it, as the network needs.
    """
    return min(max(round(SMALLER * full_px / step), 1) * step, full_px)


def draw_film_change(
    key: Key, settings: FilmChangeSettings, size_px: int, lowest_px: float
) -> Change:
    """Draw the change of a film.

    Args:
        key: of the item.
        settings: how much is changed.
        size_px: side of the picture.
        lowest_px: row of the lowest landmark, px; only rows below it are cut.
    """
    rng = np.random.default_rng(key)
    matrix = np.eye(3)
    if rng.random() < settings.share:
        matrix = _moved(rng, settings, size_px, size_px)
    if settings.keep_height is not None:
        least = min((lowest_px + 0.5) / size_px + settings.keep_below, 1.0)
        kept = max(rng.uniform(*settings.keep_height), least)
        # the rest is stretched to the full height
        matrix = np.array([[1, 0, 0], [0, 1 / kept, 0.5 / kept - 0.5], [0, 0, 1]]) @ matrix
    return Change(matrix[:2], _exposure(rng, settings), int(rng.integers(2**62)))


def stored_window(window: Box, patch_px: int, side_px: int, centre_film_px: int) -> Box:
    """The part of a film that is stored for a patch: its window and a margin, px of the film.

    Args:
        window: of the patch that the network sees; the stored part is turned as it is.
        patch_px: side of that patch.
        side_px: side of the stored patch.
        centre_film_px: px of the film by which the centre may be moved. Each takes one px of the
            stored patch on each side, at any scale, so that the stored patches of small films
            need not be larger. The rest is stored at the scale of the patch.
    """
    scale = (side_px - 2 * centre_film_px) / patch_px
    half = window.width / 2 * scale + centre_film_px
    return Box.around(window.centre, half, turn_deg=window.turn_deg)


def draw_patch_change(
    key: Key, settings: PatchChangeSettings, stored_px: int, size_px: int, film_scale: float
) -> Change:
    """Draw the change of a patch.

    The centre is moved on the film, before the patch is cut, turned and resized.

    Args:
        key: of the item.
        settings: how much is changed.
        stored_px: side of the stored patch, whose margin keeps empty px out of the result.
        size_px: side of the patch that the network sees.
        film_scale: px of that patch / px of its film.
    """
    rng = np.random.default_rng(key)
    matrix = np.eye(3)
    matrix[:2, 2] = (size_px - stored_px) / 2
    if rng.random() < settings.share:
        matrix = _moved(rng, settings, stored_px, size_px)
    if settings.centre_film_px:
        matrix = matrix @ _recentred(rng, settings.centre_film_px, stored_px, film_scale)
    if rng.random() < settings.mirror_share:
        matrix = np.array([[-1, 0, size_px - 1], [0, 1, 0], [0, 0, 1]]) @ matrix
    return Change(matrix[:2], _exposure(rng, settings), int(rng.integers(2**62)))


def _recentred(
    rng: np.random.Generator, most: int, stored_px: int, film_scale: float
) -> NDArray[np.float64]:
    """(3, 3): from a stored patch to the scale that the network sees, around a moved centre.

    The margin of the stored patch holds ``most`` px of the film in ``most`` px, see
    :func:`stored_window`.
    """
    zoom = 1 + 2 * most * (film_scale - 1) / stored_px
    shift = (1 - zoom) * (stored_px - 1) / 2 - film_scale * rng.integers(-most, most + 1, 2)
    return np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]], [0, 0, 1]])


def _moved(
    rng: np.random.Generator,
    settings: FilmChangeSettings | PatchChangeSettings,
    stored_px: int,
    size_px: int,
) -> NDArray[np.float64]:
    """(3, 3): rotation and scaling about the middle, then a shift."""
    angle = np.radians(rng.uniform(-settings.turn_deg, settings.turn_deg))
    scale = rng.uniform(*settings.scale)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    shift = rng.uniform(-settings.shift, settings.shift, 2) * size_px + (size_px - 1) / 2
    linear = np.array([[cos, -sin], [sin, cos]])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = shift - linear @ np.full(2, (stored_px - 1) / 2)
    return matrix


def _exposure(
    rng: np.random.Generator, settings: FilmChangeSettings | PatchChangeSettings
) -> tuple[float, float, float, float]:
    gamma = float(np.exp(settings.gamma * rng.standard_normal()))
    noise = float(settings.noise * rng.random())
    blur = float(rng.random() * (rng.random() < settings.blur_share))
    factor = float(rng.uniform(*settings.intensity)) if settings.intensity else 1.0
    return gamma, noise, blur, factor


def as_batch(changes: Sequence[Change]) -> Batch:
    """The changes of B items: ``matrix`` (B, 2, 3), ``exposure`` (B, 4), ``noise_seed`` (B,)."""
    return {
        "matrix": torch.from_numpy(np.stack([c.matrix for c in changes]).astype(np.float32)),
        "exposure": torch.tensor([c.exposure for c in changes], dtype=torch.float32),
        "noise_seed": torch.tensor([c.seed for c in changes], dtype=torch.int64),
    }


def move(pictures: Tensor, batch: Batch, size_px: int) -> Tensor:
    """(B, C, T, T) pictures → moved ones, (B, C, size_px, size_px); border px are repeated."""
    return kornia.warp_affine(
        pictures, batch["matrix"], (size_px, size_px), padding_mode="border", align_corners=True
    )


def expose(pictures: Tensor, batch: Batch) -> Tensor:
    """(B, 1, S, S) pictures → the same with other gamma, noise, blur and brightness.

    The result is between 0 and about 1; the channels that the networks see are made from it.
    """
    gamma, noise, blur, factor = batch["exposure"].T[:, :, None, None, None]
    low, high = pictures.amin((1, 2, 3), keepdim=True), pictures.amax((1, 2, 3), keepdim=True)
    unit = (pictures - low) / (high - low).clamp_min(1e-6)
    unit = unit.clamp_min(1e-4) ** gamma
    generator = torch.Generator(device=pictures.device)
    grain = [
        torch.randn(unit.shape[1:], generator=generator.manual_seed(seed), device=unit.device)
        for seed in batch["noise_seed"].tolist()
    ]
    unit = unit + noise * torch.stack(grain)
    soft = torch.nn.functional.avg_pool2d(unit, 3, stride=1, padding=1, count_include_pad=False)
    return torch.lerp(unit, soft, blur) * factor


def standardise_batch(images: Tensor) -> Tensor:
    """Mean 0 and s.d. 1 per image, clipped to ±4, as ``images.channels.standardise``."""
    mean = images.mean((1, 2, 3), keepdim=True)
    spread = images.std((1, 2, 3), keepdim=True, correction=0).clamp_min(1e-6)
    return ((images - mean) / spread).clamp(-4.0, 4.0)
