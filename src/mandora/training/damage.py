"""Training the damage network: patches become joint-space masks and scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mandora.core.anatomy import FAMILIES, LANDMARKS, Damage, JointGroup, Limb
from mandora.core.errors import InputError
from mandora.core.geometry import Box, limb_size
from mandora.core.settings import DamageSettings, PatchChangeSettings, TrainDamageSettings
from mandora.damage.network import landmark_maxima
from mandora.damage.patches import half_window_px, window_box
from mandora.damage.scorer import network_landmark, site_at
from mandora.images.channels import FilmStatistics, background, sample_box
from mandora.simulate.cohort.patients import mean_shape
from mandora.training.augment import (
    Change,
    as_batch,
    draw_patch_change,
    expose,
    move,
    smaller,
    smaller_px,
    standardise_batch,
    stored_window,
)
from mandora.training.cache import Arrays, Prepared, Shapes, prepare
from mandora.training.channels import patch_channels_batch
from mandora.training.films import Films, TrainingFilm
from mandora.training.losses import DamageTruth, damage_loss
from mandora.training.task import Batch, Draw, Mean

Family = tuple[Limb, Damage]
KINDS = (Damage.NARROWING, Damage.EROSION)  # columns of score tables
# of the localiser, in units of the limb and as a share of it
PLACE_ERROR = {JointGroup.FINGER: 0.012, JointGroup.WRIST: 0.025, JointGroup.TOE: 0.012}
SIZE_ERROR = 0.06
VALIDATION_BATCH = 64


def stored_px(settings: DamageSettings, changes: PatchChangeSettings) -> int:
    """Side of stored patches: with a margin, so that nothing empty is turned into view."""
    turned = np.cos(np.radians(changes.turn_deg)) + np.sin(np.radians(changes.turn_deg))
    reach = (turned / changes.scale[0] - 1) * 0.5 + 2 * changes.shift  # half of the corners
    margin = int(np.ceil(settings.patch_px * reach / 2)) + changes.centre_film_px
    return settings.patch_px + 2 * margin


def prepare_patches(
    films: Films,
    settings: DamageSettings,
    side_px: int,
    cache: Path,
    workers: int,
    progress: Callable[[int, int], None],
    centre_film_px: int = 0,
) -> Prepared:
    """The patches of films, cut with a margin.

    Args:
        films: where they come from.
        settings: of the network.
        side_px: T, side of the stored patches.
        cache: folder.
        workers: processes.
        progress: told (done, count).
        centre_film_px: px of the film by which centres may be moved; 0 of what is only measured on.

    Returns:
        For each film and each landmark of the limb: ``pixels`` (n, N, T, T) uint8 or uint16,
        ``masks`` (n, N, T, T) uint8, ``usable`` and ``has_mask`` (n, N) bool, ``scores`` and
        ``official`` (n, N, 2) float32, NaN unknown; ``film_scale`` (n, N) float32, how many px of
        the patch one px of the film is; ``statistics`` (n, K) float32 of the film.
    """
    count = len(LANDMARKS[films.limb])
    depth = "uint8" if settings.channels == 1 else "uint16"
    shapes: Shapes = {
        "pixels": ((count, side_px, side_px), depth),
        "masks": ((count, side_px, side_px), "uint8"),
        "usable": ((count,), "bool"),
        "has_mask": ((count,), "bool"),
        "scores": ((count, 2), "float32"),
        "official": ((count, 2), "float32"),
        "film_scale": ((count,), "float32"),
        "statistics": ((FilmStatistics.SIZE,), "float32"),
    }
    used = settings.model_dump(
        include={
            "patch_px",
            "window",
            "half_window",
            "half_window_px",
            "enlarged",
            "channels",
            "mask",
        }
    )
    key = f"damage {films.key} {side_px} {centre_film_px} {sorted(used.items())}"
    make = partial(_one, films, settings, side_px, centre_film_px, shapes)
    return prepare(cache, key, len(films), shapes, make, workers, progress)


def _one(
    films: Films,
    settings: DamageSettings,
    side_px: int,
    centre_film_px: int,
    shapes: Shapes,
    index: int,
) -> Arrays:
    film = films.film(index)
    made = {name: np.zeros(shape, dtype) for name, (shape, dtype) in shapes.items()}
    depth = np.iinfo(made["pixels"].dtype).max
    fill = background(film.pixels)
    drawn = film.erosions if settings.mask == "erosion" else film.spaces
    made["scores"], made["official"] = film.scores, film.official
    made["statistics"] = FilmStatistics.of(film.pixels).vector
    rng = np.random.default_rng([index, len(film.landmarks)])
    for i, window in _windows(film, films.limb, settings, rng).items():
        box = stored_window(window, settings.patch_px, side_px, centre_film_px)
        made["film_scale"][i] = settings.patch_px / window.width
        pixels = sample_box(film.pixels, box, side_px, fill)
        made["pixels"][i] = np.round(np.clip(pixels, 0, 1) * depth)
        made["usable"][i] = True
        if drawn is not None:
            mask = sample_box((drawn > 0).astype(np.float32), box, side_px, 0.0)
            made["masks"][i] = np.round(mask * 255)
            made["has_mask"][i] = settings.mask != "erosion" or _all_eroded(
                film, films.limb, i, box
            )
    return made


def _all_eroded(film: TrainingFilm, limb: Limb, landmark: int, box: Box) -> bool:
    """Whether all erosions in the window of a landmark are known."""
    known = film.erosions_known
    if known is None:
        return True
    inside = [
        i
        for i, (x, y) in enumerate(film.landmarks)
        if site_at(limb, Damage.EROSION, i) and box.x0 <= x <= box.x1 and box.y0 <= y <= box.y1
    ]
    return bool(known[[landmark, *inside]].all())


def _windows(
    film: TrainingFilm,
    limb: Limb,
    settings: DamageSettings,
    rng: np.random.Generator,
) -> dict[int, Box]:
    """The window of each landmark that lies on the film."""
    height, width = film.pixels.shape
    boxes = dict(film.boxes)
    places = [i for i in range(len(film.landmarks)) if i not in boxes]
    by_limb = settings.window == "limb"
    marked = [i for i in places if np.isfinite(film.landmarks[i]).all()]
    unit = limb_size(film.landmarks, mean_shape(limb)) if by_limb and marked else None
    half = half_window_px(settings, (height, width), unit) if marked else 0.0
    for i in marked:
        centre, size = film.landmarks[i], 1.0
        if unit is not None:
            # the localiser errs by about this much
            error = PLACE_ERROR[LANDMARKS[limb][i].group]
            centre = centre + rng.normal(0, error * unit, 2)
            size += float(rng.uniform(-SIZE_ERROR, SIZE_ERROR))
        if 0 <= centre[0] < width and 0 <= centre[1] < height:
            boxes[i] = window_box(limb, i, centre, half * size, settings.enlarged)
    return boxes


class DamageTask:
    """Scoring the patches of one or both limbs.

    Args:
        films: where the items come from, by limb.
        settings: of the training.
        train: prepared patches to train on, by limb.
        held: prepared patches to measure on, by limb.
        family: the only targets that count; None: all of them.
        group: the only joints that count; None: all of them.

    Raises:
        ValueError: if no patch with a known score is left to train or to measure on.
    """

    def __init__(
        self,
        films: Mapping[Limb, Films],
        settings: TrainDamageSettings,
        train: Mapping[Limb, Prepared],
        held: Mapping[Limb, Prepared],
        family: Family | None = None,
        group: JointGroup | None = None,
    ) -> None:
        self._films, self._settings, self._network = films, settings, settings.network
        self._train, self._held, self._family, self._group = train, held, family, group
        self._items, self._measured = self._usable(train), self._usable(held)
        if not self._items or not self._measured:
            raise InputError(
                "no patch with a known score is left to "
                f"{'measure' if self._items else 'train'} on; add scored films with marked joints"
            )
        self._repeated = self._drawn_again() if settings.oversample else []

    def _usable(self, parts: Mapping[Limb, Prepared]) -> list[tuple[Limb, int, int]]:
        """(limb, film, landmark) of patches that have something to learn from."""
        return [
            (limb, int(film), int(landmark))
            for limb, part in parts.items()
            if self._family is None or self._family[0] is limb
            for film, landmark in np.argwhere(part.arrays["usable"] & self._taught(part.arrays))
            if self._group in (None, LANDMARKS[limb][landmark].group)
        ]

    def _taught(self, arrays: Arrays) -> NDArray[np.bool_]:
        """(n, N): where something is known to learn; an outline will do for a mask."""
        known: NDArray[np.bool_] = np.isfinite(arrays["scores"])
        if self._family is not None:
            return np.asarray(known[..., KINDS.index(self._family[1])])
        drawn = arrays["has_mask"] if self._network.mask != "none" else False
        return np.asarray(known.any(axis=2) | drawn)

    def order(self, key: tuple[int, int]) -> Sequence[int]:
        """Every patch once; with ``oversample`` some of the fewer again, each epoch the same."""
        chosen = [*range(len(self._items)), *self._repeated]
        return [int(i) for i in np.random.default_rng(key).permutation(chosen)]

    def _drawn_again(self) -> list[int]:
        """As many of the fewer, healthy or damaged, as make both equally many.

        The official score says which an item is; items without one stand for neither.
        """
        official = np.array([
            self._train[limb].arrays["official"][film, landmark]
            for limb, film, landmark in self._items
        ])  # fmt: skip
        kept = self._columns(official)
        damaged = np.flatnonzero((kept > 0).any(axis=1))
        healthy = np.flatnonzero((kept == 0).any(axis=1) & ~(kept > 0).any(axis=1))
        fewer, more = sorted((damaged, healthy), key=len)
        if not len(fewer):
            return []
        rng = np.random.default_rng(self._settings.loop.seed)
        return [int(i) for i in rng.choice(fewer, len(more) - len(fewer))]

    def name(self, item: int) -> str:
        """Film and joint."""
        limb, film, landmark = self._items[item]
        return f"{self._films[limb].name(film)} {LANDMARKS[limb][landmark].name}"

    def batch(self, draws: Sequence[Draw]) -> Batch:
        """Patches with masks, landmarks, scores and the numbers that change them."""
        rows = [self._items[draw.item] for draw in draws]
        stored, full = self._train[rows[0][0]].arrays["pixels"].shape[-1], self._network.patch_px
        side = smaller_px(full, 2 ** len(self._network.widths)) if draws[0].small else full
        changes = [smaller(self._change(draw, stored, full), side / full) for draw in draws]
        sides = torch.full((len(rows),), side)
        return {**self._load(self._train, rows), **as_batch(changes), "side": sides}

    def _change(self, draw: Draw, stored: int, full: int) -> Change:
        limb, film, landmark = self._items[draw.item]
        film_scale = float(self._train[limb].arrays["film_scale"][film, landmark])
        return draw_patch_change(draw.key, self._settings.changes, stored, full, film_scale)

    def _load(self, parts: Mapping[Limb, Prepared], rows: Sequence[tuple[Limb, int, int]]) -> Batch:
        def stack(name: str) -> NDArray[Any]:
            return np.stack(
                [parts[limb].arrays[name][film, landmark] for limb, film, landmark in rows]
            )

        pixels = stack("pixels")
        depth = np.float32(np.iinfo(pixels.dtype).max)
        statistics = np.stack([parts[limb].arrays["statistics"][f] for limb, f, _ in rows])
        return {
            "pixels": torch.from_numpy(pixels.astype(np.float32) / depth)[:, None],
            "masks": torch.from_numpy(stack("masks").astype(np.float32) / 255)[:, None],
            "has_mask": torch.from_numpy(stack("has_mask")),
            "points": torch.tensor([network_landmark(limb, p) for limb, _, p in rows]),
            "scores": torch.from_numpy(self._columns(stack("scores"))),
            "official": torch.from_numpy(self._columns(stack("official"))),
            "statistics": torch.from_numpy(statistics),
        }

    def _columns(self, scores: NDArray[Any]) -> NDArray[np.float32]:
        kept = scores if self._family is None else scores[:, [KINDS.index(self._family[1])]]
        return np.asarray(kept, np.float32)

    def _maxima(self, landmarks: Tensor) -> Tensor:
        maxima = landmark_maxima().to(landmarks.device)[landmarks]
        return maxima if self._family is None else maxima[:, [KINDS.index(self._family[1])]]

    def _seen(self, pixels: Tensor, statistics: Tensor) -> Tensor:
        """What the network takes: (B, C, S, S) of (B, 1, S, S) grey values 0..1."""
        if self._network.channels == 1:
            return standardise_batch(pixels)
        return patch_channels_batch(pixels, statistics, self._network.patch_range)

    def loss(self, network: nn.Module, batch: Batch, mean: Mean) -> Tensor:
        """Cross-entropy of the mask and error of the scores, weighted as the settings say."""
        side, landmarks = int(batch["side"][0]), batch["landmarks"]
        with torch.autocast(landmarks.device.type, enabled=False):
            both = move(torch.cat([batch["pixels"], batch["masks"]], 1), batch, side)
            patches, masks = both[:, :1], both[:, 1:].clamp(0, 1)
            if self._network.channels == 1:
                seen = standardise_batch(expose(patches, batch))
            else:
                factor = batch["exposure"][:, 3, None, None, None]
                seen = self._seen(patches, batch["statistics"]) * factor
            masks = torch.where(batch["has_mask"][:, None, None, None], masks, -1.0)
        seen = seen.contiguous(memory_format=torch.channels_last)
        output = network(seen, landmarks, with_logits=True)
        truth = DamageTruth(masks, batch["scores"], self._maxima(landmarks))
        return damage_loss(output, truth, self._network, mean)

    def sample(self, count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Held-out patches as the network sees them, and their landmarks; at most ``count``."""
        batch = self._load(self._held, self._measured[:count])
        seen = self._seen(self._middle(batch["pixels"]), batch["statistics"])
        return seen.numpy(), batch["landmarks"].numpy()

    def _middle(self, stored: Tensor) -> Tensor:
        """Stored pictures without their margin."""
        inset = (stored.shape[-1] - self._network.patch_px) // 2
        window = slice(inset, inset + self._network.patch_px)
        return stored[..., window, window]

    def validate(self, network: nn.Module, device: torch.device) -> dict[str, float]:
        """Dice of the mask, r and RMSE of each family on held-out patches, without changes."""
        predicted, overlap, area = [], 0.0, 0.0
        for start in range(0, len(self._measured), VALIDATION_BATCH):
            batch = self._load(self._held, self._measured[start : start + VALIDATION_BATCH])
            seen = self._seen(self._middle(batch["pixels"]), batch["statistics"])
            logits, scores = network(seen.to(device), batch["landmarks"].to(device))
            predicted.append(scores.float().cpu().numpy())
            counts = batch["has_mask"][:, None, None, None]
            drawn = (logits.cpu() > 0) & counts
            truth = (self._middle(batch["masks"]) > 0.5) & counts
            overlap += 2 * float((drawn & truth).sum())
            area += float(drawn.sum() + truth.sum())
        numbers = {"dice": overlap / area if area else float("nan")}
        numbers |= self._agreement(np.concatenate(predicted))
        rs = [v for k, v in numbers.items() if k.startswith("r_") and np.isfinite(v)]
        return {"score": float(np.mean(rs)) if rs else float("nan"), **numbers}

    def _agreement(self, predicted: NDArray[np.float32]) -> dict[str, float]:
        """Pearson's r and RMSE against the official label, by family."""
        official = np.array([
            self._held[limb].arrays["official"][film, landmark]
            for limb, film, landmark in self._measured
        ])  # fmt: skip
        limbs = np.array([limb is Limb.HAND for limb, _, _ in self._measured])
        numbers = {}
        for limb, kind in FAMILIES if self._family is None else [self._family]:
            column = KINDS.index(kind)
            known = (limbs == (limb is Limb.HAND)) & np.isfinite(official[:, column])
            found = predicted[known, column if self._family is None else 0]
            truth = official[known, column]
            code = f"{kind.value[0]}{limb.value[0]}"
            both_vary = len(truth) > 1 and np.ptp(truth) > 0 and np.ptp(found) > 0
            numbers[f"r_{code}"] = (
                float(np.corrcoef(found, truth)[0, 1]) if both_vary else float("nan")
            )
            if len(truth):
                numbers[f"rmse_{code}"] = float(np.sqrt(np.mean((found - truth) ** 2)))
        return numbers
