"""Training of the damage networks: from patches to masks and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mandora.core.anatomy import FAMILIES, LANDMARKS, Damage, JointGroup, Limb
from mandora.core.errors import InputError
from mandora.core.settings import TrainDamageSettings
from mandora.damage.network import landmark_maxima
from mandora.damage.scorer import network_landmark
from mandora.metrics.joints import measure
from mandora.training.augment import (
    Change,
    as_batch,
    draw_patch_change,
    expose,
    move,
    smaller,
    smaller_px,
    standardise_batch,
)
from mandora.training.cache import Prepared
from mandora.training.channels import patch_channels_batch
from mandora.training.films import COLUMN, Films
from mandora.training.losses import DamageTruth, damage_loss
from mandora.training.task import Batch, Draw, Mean

Family = tuple[Limb, Damage]
VALIDATION_BATCH = 64


class DamageTask:
    """Scoring the patches of one or both limbs.

    Args:
        films: sources of the items, by limb.
        settings: of the training.
        train: prepared patches to train on, by limb.
        held: prepared patches to measure on, by limb.
        family: train on these targets only; None: all.
        group: train on these joints only; None: all.

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
        """(limb, film, landmark) of patches with a known label."""
        return [
            (limb, int(film), int(landmark))
            for limb, part in parts.items()
            if self._family is None or self._family[0] is limb
            for film, landmark in np.argwhere(part.arrays["usable"] & self._taught(part.arrays))
            if self._group in (None, LANDMARKS[limb][landmark].group)
        ]

    def _taught(self, arrays: Mapping[str, Any]) -> NDArray[np.bool_]:
        """(n, N): whether a score is known, or an outline where a mask is trained."""
        known: NDArray[np.bool_] = np.isfinite(arrays["scores"])
        if self._family is not None:
            return np.asarray(known[..., COLUMN[self._family[1]]])
        drawn = arrays["has_mask"] if self._network.mask != "none" else False
        return np.asarray(known.any(axis=2) | drawn)

    def order(self, key: tuple[int, int]) -> Sequence[int]:
        """Every patch once; with ``oversample`` some again, the same ones in each epoch."""
        chosen = [*range(len(self._items)), *self._repeated]
        return [int(i) for i in np.random.default_rng(key).permutation(chosen)]

    def _drawn_again(self) -> list[int]:
        """Patches to repeat so that healthy and damaged ones are equally frequent.

        The official score decides; patches without one count as neither.
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
        """Name of the film and the landmark."""
        limb, film, landmark = self._items[item]
        return f"{self._films[limb].name(film)} {LANDMARKS[limb][landmark].name}"

    def batch(self, draws: Sequence[Draw]) -> Batch:
        """Patches with masks, landmarks, scores, and the numbers of their changes."""
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
            "landmarks": torch.tensor([network_landmark(limb, p) for limb, _, p in rows]),
            "scores": torch.from_numpy(self._columns(stack("scores"))),
            "official": torch.from_numpy(self._columns(stack("official"))),
            "statistics": torch.from_numpy(statistics),
        }

    def _columns(self, scores: NDArray[Any]) -> NDArray[np.float32]:
        kept = scores if self._family is None else scores[:, [COLUMN[self._family[1]]]]
        return np.asarray(kept, np.float32)

    def _maxima(self, landmarks: Tensor) -> Tensor:
        maxima = landmark_maxima().to(landmarks.device)[landmarks]
        return maxima if self._family is None else maxima[:, [COLUMN[self._family[1]]]]

    def _seen(self, pixels: Tensor, statistics: Tensor) -> Tensor:
        """The network's input (B, C, S, S) from grey values 0..1, (B, 1, S, S)."""
        if self._network.channels == 1:
            return standardise_batch(pixels)
        return patch_channels_batch(pixels, statistics, self._network.patch_range)

    def loss(self, network: nn.Module, batch: Batch, mean: Mean) -> Tensor:
        """Loss of mask and scores, weighted as set."""
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
        output = network(seen, landmarks)
        truth = DamageTruth(masks, batch["scores"], self._maxima(landmarks))
        return damage_loss(output, truth, self._network, mean)

    def sample(self, count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Held-out patches as the network sees them, and their landmarks; at most ``count``."""
        batch = self._load(self._held, self._measured[:count])
        seen = self._seen(self._middle(batch["pixels"]), batch["statistics"])
        return seen.numpy(), batch["landmarks"].numpy()

    def _middle(self, stored: Tensor) -> Tensor:
        """Stored patches without their margin."""
        inset = (stored.shape[-1] - self._network.patch_px) // 2
        window = slice(inset, inset + self._network.patch_px)
        return stored[..., window, window]

    def validate(self, network: nn.Module, device: torch.device) -> dict[str, float]:
        """Dice of the mask, r and RMSE of each family on held-out patches, without changes."""
        predicted, overlap, area = [], 0.0, 0.0
        for start in range(0, len(self._measured), VALIDATION_BATCH):
            batch = self._load(self._held, self._measured[start : start + VALIDATION_BATCH])
            seen = self._seen(self._middle(batch["pixels"]), batch["statistics"])
            logits, scores, _ = network(seen.to(device), batch["landmarks"].to(device))
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
            column = COLUMN[kind]
            known = (limbs == (limb is Limb.HAND)) & np.isfinite(official[:, column])
            found = predicted[known, column if self._family is None else 0]
            truth = official[known, column]
            code = f"{kind.value[0]}{limb.value[0]}"
            measured = measure(found, truth, ("r", "rmse"))
            numbers[f"r_{code}"] = measured["r"].value
            if len(truth):
                numbers[f"rmse_{code}"] = measured["rmse"].value
        return numbers
