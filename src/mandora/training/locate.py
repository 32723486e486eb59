"""Training the localiser on simulated films."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mandora.anatomy import POINTS, Limb, Side, Slot
from mandora.images.channels import whole_film
from mandora.locate.decode import decode
from mandora.locate.network import LocateNet
from mandora.locate.targets import heat_maps
from mandora.phantom.patients import draw_patient, simulate_film, simulate_pair
from mandora.settings import LocateSettings, LoopSettings
from mandora.training.augment import FilmAugmenter
from mandora.training.loop import fit

COARSE_PIXELS_PER_MM = 1.8  # films for a 256 px network need no more
IMMATURE_SHARE = 0.3
PAIR_SHARE = 0.15  # films that show the other hand or foot as well
Films = tuple[NDArray[np.float16], NDArray[np.float32]]


def _one(limb: Limb, size_px: int, seed: int, index: int) -> Films:
    # damage is drawn more severe than in a cohort: the diseased are the hard ones
    patient = draw_patient(seed, index, severity=0.75, immature_share=IMMATURE_SHARE)
    if np.random.default_rng([seed, index]).random() < PAIR_SHARE:
        film, _ = simulate_pair(patient, limb, wide=True, pixels_per_mm=COARSE_PIXELS_PER_MM)
    else:
        film = simulate_film(
            patient, Slot(Side.LEFT, limb), wide=True, pixels_per_mm=COARSE_PIXELS_PER_MM
        )
    square, to_network = whole_film(film.bright, size_px, mirror=False)
    return square.astype(np.float16), to_network(film.points).astype(np.float32)


def simulate_films(
    limb: Limb, count: int, seed: int, settings: LocateSettings, workers: int
) -> Films:
    """(count, S, S) float16 standardised films and (count, N, 2) float32 px points."""
    make = partial(_one, limb, settings.input_px, seed)
    if workers == 1:
        made = [make(i) for i in range(count)]
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            made = list(pool.map(make, range(count), chunksize=8))
    return np.stack([m[0] for m in made]), np.stack([m[1] for m in made])


def train_locator(
    limb: Limb,
    settings: LocateSettings,
    loop: LoopSettings,
    films: int,
    folder: Path,
    report: Callable[[str], None],
) -> LocateNet:
    """Train one limb's localiser.

    Args:
        limb: hand or foot.
        settings: of the network.
        loop: of the training.
        films: number of simulated training films; a tenth as many are held out.
        folder: for checkpoints and history.
        report: gets progress lines.
    """
    report(f"simulating {films} films of a {limb}")
    train = simulate_films(limb, films, loop.seed, settings, loop.threads)
    held = simulate_films(limb, max(films // 10, 8), loop.seed + 1, settings, loop.threads)
    torch.manual_seed(loop.seed)  # before the network: its first weights are random
    network = LocateNet(len(POINTS[limb]), settings)
    augment = FilmAugmenter()

    def loss_of(net: nn.Module, chosen: Sequence[int]) -> Tensor:
        images = torch.from_numpy(train[0][list(chosen)]).float()[:, None]
        images, points = augment(images, torch.from_numpy(train[1][list(chosen)]))
        wanted = torch.from_numpy(
            np.stack(
                [
                    heat_maps(p, settings.input_px, settings.heatmap_stride, settings.sigma_px)
                    for p in points.numpy()
                ]
            )
        )
        logits = net(images.contiguous(memory_format=torch.channels_last)).float()
        each = nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        # the few px of a point count as much as the empty rest
        return (each * (1 + 20 * wanted)).mean() * 100

    def validate(net: nn.Module) -> dict[str, float]:
        errors = []
        for i in range(0, len(held[0]), 32):
            logits = net(torch.from_numpy(held[0][i : i + 32]).float()[:, None])
            for maps, truth in zip(torch.sigmoid(logits).numpy(), held[1][i : i + 32], strict=True):
                found, _ = decode(maps, settings.heatmap_stride)
                inside = ((truth > 0) & (truth < settings.input_px)).all(axis=1)
                errors.append(np.linalg.norm(found - truth, axis=1)[inside] / settings.input_px)
        distance = np.concatenate(errors)
        return {
            "median": float(np.median(distance)),
            "within_0.02": float((distance < 0.02).mean()),
        }

    fit(network, loop, films, loss_of, validate, folder, report)
    return network
