"""Thresholds of a model's localisers, set from films that neither trained nor test it.

A *fit* says how well what was found on a film makes up a limb, 0..1. For each limb two samples are
taken: its localiser's fits on films that show such a limb, of the labelled side, and on pictures
that show none: films of the other limb, films of neither, and noise. Then, for each limb:

- The *gap* is the range between two neighbouring fits, of both samples together, in which a
  threshold errs least: the share of the limbs below it and the share of the rest above it add up to
  the least. Of equal ranges the widest counts. Where the samples do not overlap, it reaches from
  the highest fit of what is no such limb to the lowest of what is.
- ``least_fit`` lies a quarter of the way up in the gap: real films differ more than those of a
  sample, and a limb below it is not scored at all.
- ``clear_fit`` lies in the middle of the gap, and not below the highest fit of what is no limb.
- ``sure_fit`` is the fit that nine tenths of the limbs reach, and not below ``clear_fit``.

The other thresholds stay as they are. A limb keeps all of them where fewer than ``LEAST_FILMS``
films show it or show something else, or where the best threshold errs about more than
``MOST_ERRORS`` of either sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mandora.core.anatomy import Limb
from mandora.core.errors import InputError
from mandora.core.specs import LimbThresholds
from mandora.datasets.dataset import Dataset
from mandora.images.read import read_radiograph
from mandora.metrics import Floats
from mandora.model.bundle import Bundle
from mandora.model.loading import Stages

LEAST_FILMS = 10  # of either sample; noise does not count
MOST_FILMS = 100  # of those that show the limb
MOST_OTHERS = 40  # of those that do not: each is searched in every orientation
MOST_ERRORS = 0.1  # share of either sample

_NOISE_HW = 900, 720  # px
_NOISE_CELLS = 720, 96, 48, 24, 12, 6  # along the shorter side


@dataclass(frozen=True, eq=False)
class Fits:
    """Fits of one limb's localiser.

    Attributes:
        own: (N,) float64, on films that show such a limb.
        others: (M,) on films that do not.
        noise: (K,) on pictures of noise.
    """

    own: Floats
    others: Floats
    noise: Floats


def fits_of(
    bundle: Bundle,
    limb: Limb,
    dataset: Dataset,
    others: Sequence[Path] = (),
    threads: int = 2,
    tell: tuple[Callable[[int, int], None], Callable[[str], None]] | None = None,
) -> Fits:
    """Run one limb's localiser on films that show the limb and on pictures that do not.

    Args:
        bundle: the model.
        limb: hand or foot.
        dataset: films of one hand or foot each; at most ``MOST_FILMS`` of the limb and
            ``MOST_OTHERS`` that show something else are taken, evenly from first to last.
        others: films that show neither hand nor foot.
        threads: processor threads per network.
        tell: two functions: told (pictures done, of how many), and of films that cannot be read.

    Raises:
        ValueError: if the model has no localiser of this limb.
    """
    progress, warn = tell or ((lambda done, count: None), (lambda line: None))
    contract = bundle.manifest.contract
    paths = {name: bundle.path(name) for name in bundle.manifest.files}
    # what shows no limb is searched to the end, whatever counts as clear today
    searching = contract.with_thresholds(limb, clear_fit=1.0, sure_fit=1.0)
    own, other = ([f for f in dataset.films if f.slot.limb is l] for l in (limb, limb.other))


def noise_pictures() -> Iterator[NDArray[np.float32]]:
    """(H, W) float32, 0..1: random grey values of grains from fine to coarse."""
    height, width = _NOISE_HW
    for seed, cells in enumerate(_NOISE_CELLS):
        shape = round(cells * height / width), cells
        grains = Image.fromarray(np.random.default_rng(seed).random(shape, np.float32))
        yield np.asarray(grains.resize((width, height), Image.Resampling.BICUBIC)).clip(0, 1)


def thresholds_from(fits: Fits, former: LimbThresholds) -> LimbThresholds:
    """Set the fits that count, by the rule of this module.

    Args:
        fits: of the limb's localiser.
        former: what is not set stays as in these.

    Raises:
        ValueError: if there are too few films, or the fits do not tell limbs from the rest.
    """
    if min(len(fits.own), len(fits.others)) < LEAST_FILMS:
        raise InputError(
            f"{len(fits.own)} films show it and {len(fits.others)} something else, "
            f"at least {LEAST_FILMS} of each are needed"
        )
    rest = np.concatenate([fits.others, fits.noise])
    low, high = _gap(fits.own, rest)
    lost, taken = float(np.mean(fits.own < high)), float(np.mean(rest > low))
    if max(lost, taken) > MOST_ERRORS:
        raise InputError(
            f"no threshold tells it from the rest: at {(low + high) / 2:.2f}, {lost:.0%} of the "
            f"{len(fits.own)} films that show it lie below and {taken:.0%} of the {len(rest)} "
            "other pictures above"
        )
    clear = max((low + high) / 2, float(rest.max()))
    sure = max(float(np.quantile(fits.own, 0.1)), clear)
    changed = {"least_fit": low + (high - low) / 4, "clear_fit": clear, "sure_fit": sure}
    return former.model_copy(update={name: round(value, 3) for name, value in changed.items()})


def _gap(own: Floats, rest: Floats) -> tuple[float, float]:
    """Neighbouring fits between which a threshold errs least."""
    fits = np.unique(np.concatenate([[0.0], own, rest, [1.0]]))
    low, high = fits[:-1], fits[1:]
    errors = np.searchsorted(np.sort(own), high) / len(own)
    errors += 1 - np.searchsorted(np.sort(rest), low, side="right") / len(rest)
    best = np.lexsort((low - high, errors.round(9)))[0]
    return float(low[best]), float(high[best])
