"""Changes of a training picture that do not change what it shows.

Numbers are drawn for each item from its own key and then applied to a whole batch, so that a
change can be repeated, tested and drawn in another process.
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
SMALLER = 0.72  # side of pictures that are shown smaller: half of the px, about half of the cost


class Change(NamedTuple):
    """What is done to one picture.

    Attributes:
        matrix: (2, 3) float64, from px of the stored picture to px of the changed one.
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
    """The change, and then the picture ``factor`` times as large: its middle stays its middle."""
    matrix = factor * change.matrix
    matrix[:, 2] += (factor - 1) / 2  # px are counted from the middle of the first one
    return change._replace(matrix=matrix)


def smaller_px(full_px: int, step: int) -> int:
    """Side of pictures that are shown smaller: about ``SMALLER`` of the full one.

    Args:
        full_px: the full side.
        step: of what the network's sides are multiples.
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
        lowest_px: row of the lowest joint that is looked for, px; what is cut lies below it.
    """
    rng = np.random.default_rng(key)
    matrix = np.eye(3)
    if rng.random() < settings.share:
        matrix = _moved(rng, settings, size_px, size_px)
    if settings.keep_height is not None:
        least = min((lowest_px + 0.5) / size_px + settings.keep_below, 1.0)
        kept = max(rng.uniform(*settings.keep_height), least)
        # what is left is stretched over the whole height again
        matrix = np.array([[1, 0, 0], [0, 1 / kept, 0.5 / kept - 0.5], [0, 0, 1]]) @ matrix
    return Change(matrix[:2], _exposure(rng, settings), int(rng.integers(2**62)))


def stored_window(window: Box, patch_px: int, side_px: int, centre_film_px: int) -> Box:
    """What is stored of the film for a patch: its window and the margin, px of the film.

    Args:
        window: of the patch that the network sees.
        patch_px: side of that patch.
        side_px: side of the stored patch.
        centre_film_px: px of the film by which the centre may be moved. They take as many px of the
            stored patch on each side, whatever the scale, so that small films, one px of which
            is many of a patch, need no larger store; the rest is stored at the patch's own scale.
    """
    scale = (side_px - 2 * centre_film_px) / patch_px
    return Box.around(window.centre, window.width / 2 * scale + centre_film_px)


def draw_patch_change(
    key: Key, settings: PatchChangeSettings, stored_px: int, size_px: int, film_scale: float
) -> Change:
    """Draw the change of a patch.

    The centre is moved on the film, before the patch is cut, turned and resized.

    Args:
        key: of the item.
        settings: how much is changed.
        stored_px: side of the stored patch; its margin keeps what is empty out of view.
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
    """(3, 3): from a stored patch to one at the scale of what is seen, about a moved centre.

    The stored patch has a margin of ``most`` px of the film in ``most`` px of its own, see
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
    """(3, 3): turned and scaled about the middle, then shifted."""
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
    """(B, C, T, T) pictures, moved: (B, C, size_px, size_px). Beyond the border as on it."""
    return kornia.warp_affine(
        pictures, batch["matrix"], (size_px, size_px), padding_mode="border", align_corners=True
    )


def expose(pictures: Tensor, batch: Batch) -> Tensor:
    """(B, 1, S, S) pictures with another gamma, noise, blur and brightness.

    Grey values come out between 0 and about 1; what the networks see is made of them next.
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
