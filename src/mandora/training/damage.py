"""Training the damage network on simulated films."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mandora.anatomy import (
    FAMILIES,
    POINT_INDEX,
    POINTS,
    UNIT_ENDS,
    Damage,
    Limb,
    Side,
    Slot,
    Target,
)
from mandora.damage.network import DamageNet, point_maxima
from mandora.damage.patches import patch_box
from mandora.images.channels import sample_box
from mandora.phantom.patients import draw_patient, simulate_film
from mandora.settings import DamageSettings, LoopSettings
from mandora.training.augment import PatchAugmenter, standardise_batch
from mandora.training.loop import fit

MARGIN = 1.25  # patches are stored larger than they are used, so that they can be turned
IMMATURE_SHARE = 0.2
PIXELS_PER_MM = (4.0, 7.5)  # resolution of the films that patches are cut from
FIRST_POINT = {Limb.HAND: 0, Limb.FOOT: len(POINTS[Limb.HAND])}


@dataclass(frozen=True, eq=False)
class PatchSet:
    """Patches of many films.

    Attributes:
        pixels: (N, T, T) uint8 grey values.
        masks: (N, T, T) uint8, joint space 0 or 255.
        points: (N,) int64, 0…26 over both limbs.
        scores: (N, 2) float32 narrowing and erosion; NaN where the point has no such score.
    """

    pixels: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    points: NDArray[np.int64]
    scores: NDArray[np.float32]

    @staticmethod
    def join(parts: Sequence[PatchSet]) -> PatchSet:
        """All patches of all parts."""
        return PatchSet(*(
            np.concatenate([getattr(p, name) for p in parts])
            for name in ("pixels", "masks", "points", "scores")
        ))  # fmt: skip


def _one(limb: Limb, settings: DamageSettings, seed: int, index: int) -> PatchSet:
    rng = np.random.default_rng([seed, index, limb is Limb.HAND])
    # from healthy to severe, so that every grade is seen often
    patient = draw_patient(
        seed, index, severity=float(rng.uniform(-0.35, 1.85)), immature_share=IMMATURE_SHARE
    )
    film = simulate_film(
        patient, Slot(Side.LEFT, limb), wide=True, pixels_per_mm=float(rng.uniform(*PIXELS_PER_MM))
    )
    bright = film.bright
    height, width = bright.shape
    size_px = round(settings.patch_px * MARGIN / 2) * 2
    first, last = (film.points[POINT_INDEX[limb][name]] for name in UNIT_ENDS[limb])
    unit_px = float(np.linalg.norm(first - last))
    fill = float(np.percentile(bright[::8, ::8], 5))
    pixels, masks, points, scores = [], [], [], []
    for i, point in enumerate(POINTS[limb]):
        # the localiser errs by about this much
        centre = film.points[i] + rng.normal(0, 0.012 * unit_px, 2)
        if not (0 <= centre[0] < width and 0 <= centre[1] < height):
            continue
        window = settings.half_window * MARGIN * float(rng.uniform(0.94, 1.06))
        box = patch_box(limb, i, centre, unit_px, window)
        pixels.append((sample_box(bright, box, size_px, fill) * 255 + 0.5).astype(np.uint8))
        space = sample_box((film.spaces > 0).astype(np.float32), box, size_px, 0.0)
        masks.append((space * 255 + 0.5).astype(np.uint8))
        points.append(FIRST_POINT[limb] + i)
        row = [np.nan, np.nan]
        for k, kind in enumerate((Damage.NARROWING, Damage.EROSION)):
            for site in FAMILIES[limb, kind]:
                if site.point_name == point.name:
                    row[k] = patient.grades[Target(Side.LEFT, site).key]
        scores.append(row)
    return PatchSet(
        np.array(pixels), np.array(masks), np.array(points, np.int64), np.array(scores, np.float32)
    )


def simulate_patches(patients: int, seed: int, settings: DamageSettings, workers: int) -> PatchSet:
    """The patches of one hand and one foot of every patient."""
    parts: list[PatchSet] = []
    for limb in Limb:
        make = partial(_one, limb, settings, seed)
        if workers == 1:
            parts += map(make, range(patients))
        else:
            with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
                parts += pool.map(make, range(patients), chunksize=8)
    return PatchSet.join(parts)


def train_damage(
    settings: DamageSettings,
    loop: LoopSettings,
    patients: int,
    folder: Path,
    report: Callable[[str], None],
) -> DamageNet:
    """Train the damage network.

    Args:
        settings: of the network.
        loop: of the training.
        patients: simulated patients to train on; a tenth as many are held out.
        folder: for checkpoints and history.
        report: gets progress lines.
    """
    report(f"simulating the patches of {patients} patients")
    train = simulate_patches(patients, loop.seed, settings, loop.threads)
    held = simulate_patches(max(patients // 10, 4), loop.seed + 1, settings, loop.threads)
    report(f"{len(train.points)} patches to train on, {len(held.points)} held out")
    torch.manual_seed(loop.seed)
    network = DamageNet(settings)
    augment = PatchAugmenter(settings.patch_px)
    maxima = point_maxima()

    def loss_of(net: nn.Module, chosen: Sequence[int]) -> Tensor:
        rows = list(chosen)
        patches, masks = augment(
            torch.from_numpy(train.pixels[rows])[:, None].float() / 255,
            torch.from_numpy(train.masks[rows])[:, None].float() / 255,
        )
        points = torch.from_numpy(train.points[rows])
        logits, scores = net(patches.contiguous(memory_format=torch.channels_last), points)
        mask_loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), masks)
        truth, limit = torch.from_numpy(train.scores[rows]), maxima[points].clamp_min(1)
        known = torch.isfinite(truth)
        # unknown scores must not reach the gradient, not even multiplied by 0
        error = ((scores.float() - truth.nan_to_num()) / limit) ** 2
        # joint spaces fill a few percent of a patch, hence the scores' larger weight
        return settings.mask_weight * mask_loss + 4 * error[known].mean()

    def validate(net: nn.Module) -> dict[str, float]:
        inset = (held.pixels.shape[1] - settings.patch_px) // 2
        window = slice(inset, inset + settings.patch_px)
        found, overlap, area = [], 0.0, 0.0
        for i in range(0, len(held.points), 64):
            patches = torch.from_numpy(held.pixels[i : i + 64, window, window])[:, None].float()
            logits, scores = net(
                standardise_batch(patches), torch.from_numpy(held.points[i : i + 64])
            )
            found.append(scores.float().numpy())
            drawn = logits[:, 0].numpy() > 0
            truth = held.masks[i : i + 64, window, window] > 127
            overlap += 2 * (drawn & truth).sum()
            area += drawn.sum() + truth.sum()
        predicted = np.concatenate(found)
        numbers = {"dice": float(overlap / max(area, 1))}
        hand = held.points < FIRST_POINT[Limb.FOOT]
        for code, rows, k in (("nh", hand, 0), ("nf", ~hand, 0), ("eh", hand, 1), ("ef", ~hand, 1)):
            known = rows & np.isfinite(held.scores[:, k])
            numbers[f"r_{code}"] = float(
                np.corrcoef(predicted[known, k], held.scores[known, k])[0, 1]
            )
        return numbers

    fit(network, loop, len(train.points), loss_of, validate, folder, report)
    return network
