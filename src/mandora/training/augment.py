"""Random changes of training pictures that do not change their labels.

The random numbers of each item are drawn from its own key, and applied later to a whole batch. So
a change can be repeated, tested, and drawn in another process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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

_BACKGROUND = 0.05  # quantile of a film's grey values that is taken for its background
_EVERY = 7  # px of which the quantile is taken
_LEFT = 3  # landmarks that are left on a part of a film, at least
_DRAWS = 8  # of a part; the whole film if none of them leaves so many
_EMPTY_SHARE = 0.1  # of parts: those that may lie anywhere, so that they often show no landmark
_EDGE_SHARE = 0.4  # of the others: those that lack one side of the film only
_CENTRED_SHARE = 0.5  # of parts: those whose middle becomes the middle of the picture
_ASIDE = 0.15  # s.d. of the middle of a part around a landmark, limb sizes


class Change(NamedTuple):
    """The change of one picture.

    Attributes:
        matrix: (2, 3) float64, from px of the stored picture to px of the changed picture.
        exposure: gamma, noise, blur (0..1) and factor of the grey values.
        seed: of the noise.
        shown: (x0, y0, x1, y1) px of the stored picture, edge to edge: what lies beyond it becomes
            background. None: all of the picture is shown.
    """

    matrix: NDArray[np.float64]
    exposure: tuple[float, float, float, float]
    seed: int
    shown: tuple[float, float, float, float] | None = None

    def __call__(self, points: NDArray[np.floating]) -> NDArray[np.float32]:
        """(N, 2) px of the stored picture → px of the changed one."""
        return np.asarray(points @ self.matrix[:, :2].T + self.matrix[:, 2], dtype=np.float32)


@dataclass(frozen=True, eq=False)
class StoredFilm:
    """What is known of a stored picture of a film before it is changed.

    Attributes:
        size_px: side of the picture.
        film: the film's place in the picture; the rest of the square is background.
        landmarks: (N, 2) px of the picture; NaN where unknown.
        limb_px: size of the limb, px of the picture; None if unknown.
    """

    size_px: int
    film: Box
    landmarks: NDArray[np.floating]
    limb_px: float | None = None

    @property
    def lowest_px(self) -> float:
        """Row of the lowest landmark, px; 0 if none is known."""
        known = self.landmarks[np.isfinite(self.landmarks).all(axis=1), 1]
        return float(known.max()) if len(known) else 0.0

    def inside(self, box: Box) -> NDArray[np.bool_]:
        """(N,) which landmarks lie in a box; False where unknown."""
        x, y = self.landmarks.T
        return np.asarray((x >= box.x0) & (x < box.x1) & (y >= box.y0) & (y < box.y1))


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


def draw_film_change(key: Key, settings: FilmChangeSettings, stored: StoredFilm) -> Change:
    """Draw the change of a film.

    Args:
        key: of the item.
        settings: how much is changed.
        stored: the film; only rows below its lowest landmark are cut by ``keep_height``.
    """
    rng = np.random.default_rng(key)
    size_px, shown, matrix = stored.size_px, stored.film, np.eye(3)
    part = _part(rng, settings, stored) if rng.random() < settings.part_share else None
    if part is not None:
        shown = part
        matrix = _moved(rng, settings, size_px, size_px, settings.part_scale)
        if rng.random() < _CENTRED_SHARE:
            centre = np.eye(3)
            centre[:2, 2] = (size_px - 1) / 2 - np.array(part.centre)
            matrix = matrix @ centre
    elif rng.random() < settings.share:
        matrix = _moved(rng, settings, size_px, size_px)
    if settings.keep_height is not None:
        least = min((stored.lowest_px + 0.5) / size_px + settings.keep_below, 1.0)
        kept = max(rng.uniform(*settings.keep_height), least)
        # the rest is stretched to the full height
        matrix = np.array([[1, 0, 0], [0, 1 / kept, 0.5 / kept - 0.5], [0, 0, 1]]) @ matrix
    edges = (shown.x0, shown.y0, shown.x1, shown.y1)
    return Change(matrix[:2], _exposure(rng, settings), int(rng.integers(2**62)), edges)


def _part(rng: np.random.Generator, settings: FilmChangeSettings, stored: StoredFilm) -> Box | None:
    """A part of a film that lacks some landmarks and shows others; None if none was drawn.

    It is a window around a landmark, as large as a wrist or a few digits, or what is left when
    one side of the film is cut off. A few windows lie anywhere, and most of them show nothing that
    is looked for.
    """
    on_film = np.flatnonzero(stored.inside(stored.film))
    if stored.limb_px is None or len(on_film) <= _LEFT:
        return None
    if rng.random() < _EMPTY_SHARE:
        film = stored.film
        anywhere = rng.uniform([film.x0, film.y0], [film.x1, film.y1])
        return _window(rng, settings, stored, anywhere)
    one_side = rng.random() < _EDGE_SHARE
    for _ in range(_DRAWS):
        if one_side:
            box = _without_a_side(rng, stored, on_film)
        else:
            aside = rng.normal(0, _ASIDE, 2) * stored.limb_px
            centre = stored.landmarks[rng.choice(on_film)] + aside
            box = _window(rng, settings, stored, centre)
        if box is not None and _LEFT <= stored.inside(box).sum() < len(on_film):
            return box
    return None


def _without_a_side(
    rng: np.random.Generator, stored: StoredFilm, on_film: NDArray[np.intp]
) -> Box | None:
    """The film without one of its sides, cut somewhere between its landmarks."""
    axis, low_side = int(rng.integers(2)), rng.random() < 0.5
    along = stored.landmarks[on_film, axis]
    cut = float(rng.uniform(along.min(), along.max()))
    film = stored.film
    edges = [film.x0, film.y0, film.x1, film.y1]
    edges[axis if low_side else axis + 2] = cut
    x0, y0, x1, y1 = edges
    return Box(x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _window(
    rng: np.random.Generator, settings: FilmChangeSettings, stored: StoredFilm,
    centre: NDArray[np.floating],
) -> Box | None:  # fmt: skip
    """A window of random size around a place, as far as it lies on the film."""
    film, limb_px = stored.film, stored.limb_px or 0.0
    half = rng.uniform(*settings.part_half, 2) * limb_px
    x0, y0 = np.maximum(centre - half, [film.x0, film.y0])
    x1, y1 = np.minimum(centre + half, [film.x1, film.y1])
    return Box(float(x0), float(y0), float(x1), float(y1)) if x0 < x1 and y0 < y1 else None


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
    scales: tuple[float, float] | None = None,
) -> NDArray[np.float64]:
    """(3, 3): rotation and scaling about the middle, then a shift.

    ``scales``: least and greatest enlargement, if not those of the settings.
    """
    angle = np.radians(rng.uniform(-settings.turn_deg, settings.turn_deg))
    scale = rng.uniform(*(scales or settings.scale))
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
    """The changes of B items.

    ``matrix`` (B, 2, 3), ``exposure`` (B, 4), ``noise_seed`` (B,), and ``shown`` (B, 4) if they
    say what is shown.
    """
    batch = {
        "matrix": torch.from_numpy(np.stack([c.matrix for c in changes]).astype(np.float32)),
        "exposure": torch.tensor([c.exposure for c in changes], dtype=torch.float32),
        "noise_seed": torch.tensor([c.seed for c in changes], dtype=torch.int64),
    }
    shown = [c.shown for c in changes if c.shown is not None]
    return {**batch, "shown": torch.tensor(shown)} if shown else batch


def move(pictures: Tensor, batch: Batch, size_px: int) -> Tensor:
    """(B, C, T, T) pictures → moved ones, (B, C, size_px, size_px); border px are repeated."""
    return kornia.warp_affine(
        pictures, batch["matrix"], (size_px, size_px), padding_mode="border", align_corners=True
    )


def px_shown(batch: Batch, size_px: int) -> Tensor:
    """(B, 1, size_px, size_px) bool: which px of moved pictures are shown, and no background."""
    matrix = batch["matrix"]
    along = torch.arange(size_px, dtype=matrix.dtype, device=matrix.device)
    y, x = torch.meshgrid(along, along, indexing="ij")
    moved = torch.stack([x, y])[None] - matrix[:, :, 2, None, None]
    x, y = torch.einsum("bij,bjhw->bihw", torch.linalg.inv(matrix[:, :, :2]), moved).unbind(1)
    x0, y0, x1, y1 = batch["shown"].T[:, :, None, None]
    return ((x >= x0) & (x < x1) & (y >= y0) & (y < y1))[:, None]


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


def standardise_batch(images: Tensor, shown: Tensor | None = None) -> Tensor:
    """Mean 0 and s.d. 1 per image, clipped to ±4, as ``images.channels.standardise``.

    Args:
        images: (B, 1, S, S).
        shown: (B, 1, S, S) bool; mean and s.d. are those of these px, and what is not shown
            becomes background, as around the films that are scored. None: all is shown.
    """
    if shown is None:
        mean = images.mean((1, 2, 3), keepdim=True)
        spread = images.std((1, 2, 3), keepdim=True, correction=0).clamp_min(1e-6)
        return ((images - mean) / spread).clamp(-4.0, 4.0)
    made = []
    for image, seen in zip(images, shown, strict=True):
        known = image[seen] if bool(seen.any()) else image.flatten()
        spread = known.std(correction=0).clamp_min(1e-6)
        fill = torch.quantile(known[::_EVERY], _BACKGROUND)
        made.append((torch.where(seen, image, fill) - known.mean()) / spread)
    return torch.stack(made).clamp(-4.0, 4.0)
