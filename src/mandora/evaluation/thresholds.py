"""Thresholds of a model's localisers, set from films that neither trained nor test it.

A *fit* says how well what was found on a film makes up a limb, 0..1. For each limb two samples are
taken: its localiser's fits on films that show such a limb, of the labelled side, every other one
once more as a part (a wrist, a foot without its toes), and on pictures that show none: films of the
other limb, films of neither, and noise. Then, for each limb:

- The *gap* is the range between two neighbouring fits, of both samples together, in which a
  threshold errs least: the share of the limbs below it and the share of the rest above it add up to
  the least. Of equal ranges the widest counts. Where the samples do not overlap, it reaches from
  the highest fit of what is no such limb to the lowest of what is.
- ``least_fit`` lies a quarter of the way up in the gap: real films differ more than those of a
  sample, and a limb below it is not scored at all.
- ``clear_fit`` lies in the middle of the gap, and not below the fit that 95 % of what is no limb
  stay below: a film that is wrongly among these must not set it.
- ``sure_fit`` is the fit that nine tenths of the whole limbs reach, and not below ``clear_fit``.

If the parts cannot be told from the rest, they do not count.

The other thresholds stay as they are. A limb keeps all of them where fewer than ``LEAST_FILMS``
films show it or show something else, or where the best threshold errs about more than
``MOST_ERRORS`` of either sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mandora.core.anatomy import LANDMARKS, JointGroup, Limb, Side
from mandora.core.errors import InputError
from mandora.core.geometry import limb_size
from mandora.core.parallel.threads import map_threads
from mandora.core.specs import LimbThresholds
from mandora.datasets.dataset import Dataset, DatasetFilm
from mandora.images.read import read_radiograph
from mandora.locate.locator import FoundLandmarks
from mandora.locate.template import limb_template
from mandora.metrics import Floats
from mandora.model.bundle import Bundle
from mandora.model.loading import LimbLocator, Stages

LEAST_FILMS = 10  # of either sample; noise does not count
MOST_FILMS = 100  # of those that show the limb
MOST_OTHERS = 40  # of those that do not: each is searched in every orientation
PART_MARGIN = 0.35  # limb sizes around the landmarks of a part
MOST_ERRORS = 0.1  # share of either sample

T = TypeVar("T")
Pixels = NDArray[np.float32]

_NOISE_HW = 900, 720  # px
_NOISE_CELLS = 720, 96, 48, 24, 12, 6  # along the shorter side


@dataclass(frozen=True, eq=False)
class Fits:
    """Fits of one limb's localiser.

    Attributes:
        own: (N,) float64, on films that show such a limb.
        others: (M,) on films that do not.
        noise: (K,) on pictures of noise.
        parts: (L,) on parts of such limbs.
    """

    own: Floats
    others: Floats
    noise: Floats
    parts: Floats = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True)
class Pictures:
    """Films that a model's localisers are tried on.

    Attributes:
        name: of the films, for people.
        dataset: films of one hand or foot each, of the labelled side.
        others: films that show neither hand nor foot.
    """

    name: str
    dataset: Dataset
    others: Sequence[Path] = ()

    def own(self, limb: Limb) -> list[DatasetFilm]:
        """Films that show such a limb, ``MOST_FILMS`` at most, evenly from first to last."""
        return _evenly([f for f in self.dataset.films if f.slot.limb is limb], MOST_FILMS)

    def not_of(self, limb: Limb) -> list[Path]:
        """Films that show something else, ``MOST_OTHERS`` at most; half of them of neither limb."""
        other = [film.path for film in self.dataset.films if film.slot.limb is not limb]
        neither = _evenly(self.others, max(MOST_OTHERS // 2, MOST_OTHERS - len(other)))
        return [*_evenly(other, MOST_OTHERS - len(neither)), *neither]


def calibrate_thresholds(
    bundle: Bundle,
    pictures: Pictures,
    threads: int = 2,
    progress: Callable[[int, int], None] = lambda done, count: None,
    warn: Callable[[str], None] = lambda line: None,
) -> dict[Limb, LimbThresholds]:
    """Measure the thresholds of both limbs, by the rule of this module.

    Args:
        bundle: the model.
        pictures: that its localisers are tried on; noise comes on top.
        threads: processor threads, and films in memory at a time.
        progress: told (pictures done, of how many), limb by limb.
        warn: told of films that cannot be read, and of a limb whose thresholds stay as they are.

    Returns:
        Those of the limbs that there were enough films for.
    """
    made = {}
    known = bundle.manifest.contract.locate.thresholds
    for limb, former in known.items():
        try:
            _check_counts(len(pictures.own(limb)), len(pictures.not_of(limb)))
            fits = fits_of(bundle, limb, pictures, threads, progress, warn)
            try:
                found = thresholds_from(fits, former)
            except InputError as error:
                warn(f"parts of a {limb} do not count, and films of them may be refused: {error}")
                fits = replace(fits, parts=np.empty(0))
                found = thresholds_from(fits, former)
        except InputError as error:
            warn(f"the thresholds of the {limb} stay as they are: {error}")
            continue
        doubtful = int(np.sum(fits.others > found.clear_fit))
        if doubtful:
            warn(
                f"{doubtful} of the films that should show no {limb} fit one clearly (up to "
                f"{fits.others.max():.2f}); check what they show"
            )
        measured_on = (
            f"{pictures.name}: {len(fits.own)} films of a {limb}, {len(fits.parts)} parts of them, "
            f"{len(fits.others)} of something else and {len(fits.noise)} pictures of noise"
        )
        made[limb] = found.model_copy(update={"measured_on": measured_on})
    return made


def fits_of(
    bundle: Bundle,
    limb: Limb,
    pictures: Pictures,
    threads: int = 2,
    progress: Callable[[int, int], None] = lambda done, count: None,
    warn: Callable[[str], None] = lambda line: None,
) -> Fits:
    """Run one limb's localiser on films that show the limb and on pictures that do not.

    Arguments are those of :func:`calibrate_thresholds`; the model must have been trained on such
    limbs. Films that cannot be read do not count.
    """
    contract = bundle.manifest.contract
    files = {name: bundle.path(name) for name in bundle.manifest.files}
    # what shows no limb is searched in every orientation, whatever counts as clear today
    never_clear = {"clear_fit": 1.0, "sure_fit": 1.0}
    thorough = contract.with_thresholds(
        {limb: contract.locate.thresholds[limb].model_copy(update=never_clear)}
    )
    as_used, searching = (Stages.load(how, files, threads) for how in (contract, thorough))
    own, others = pictures.own(limb), pictures.not_of(limb)
    samples: dict[str, Iterable[_Trial]] = {
        "own": (_Trial(as_used.locators[limb], f.path, f.slot.side) for f in own),
        "others": (_Trial(searching.locators[limb], path) for path in others),
        "noise": (_Trial(searching.locators[limb], pixels) for pixels in noise_pictures()),
        "parts": (_Trial(as_used.locators[limb], f.path, f.slot.side, True) for f in own[::2]),
    }
    count = len(own) + len(own[::2]) + len(others) + len(_NOISE_CELLS)
    made: dict[str, list[float]] = {name: [] for name in samples}
    named = ((name, trial) for name, trials in samples.items() for trial in trials)
    tried = map_threads(lambda one: (one[0], _fit(one[1])), named, as_used.films_at_once)
    for done, (name, (fit, fault)) in enumerate(tried, start=1):
        if fault is None:
            made[name].append(fit)
        else:
            warn(fault)
        progress(done, count)
    return Fits(**{name: _known(fits) for name, fits in made.items()})


@dataclass(frozen=True, eq=False)
class _Trial:
    """A localiser on one picture.

    Attributes:
        locator: what is tried.
        picture: a film, or its pixels.
        side: what the film is known to show.
        part: whether a part of the limb is cut out first, and tried in place of the film.
    """

    locator: LimbLocator
    picture: Path | Pixels
    side: Side | None = None
    part: bool = False


def _fit(trial: _Trial) -> tuple[float, str | None]:
    """The fit, NaN where nothing was found; and why the picture cannot be used."""
    picture, locator = trial.picture, trial.locator
    try:
        pixels = read_radiograph(picture).pixels if isinstance(picture, Path) else picture
        if trial.part:
            pixels = _part(pixels, locator.locate(pixels, trial.side))
        return locator.locate(pixels, trial.side).fit, None
    except InputError as error:
        return np.nan, str(error)


def _part(pixels: Pixels, found: FoundLandmarks) -> Pixels:
    """The wrist of a hand, or a foot without its toes.

    Raises:
        ValueError: if its landmarks were not found.
    """
    names = [mark.name for mark in LANDMARKS[found.limb]]
    wanted = [n.startswith("mtp") for n in names] if found.limb is Limb.FOOT else [
        mark.group is JointGroup.WRIST for mark in LANDMARKS[found.limb]
    ]  # fmt: skip
    kept = found.landmarks[np.array(wanted) & np.isfinite(found.landmarks).all(axis=1)]
    if len(kept) < sum(wanted) // 2:
        raise InputError(f"a film of a {found.limb} gives no part of one: its joints are not found")
    margin = PART_MARGIN * limb_size(found.landmarks, limb_template(found.limb))
    last = np.array(pixels.shape[::-1])
    x0, y0 = np.clip(kept.min(axis=0) - margin, 0, last - 2).astype(int)
    x1, y1 = np.clip(kept.max(axis=0) + margin, 2, last).astype(int)
    return np.ascontiguousarray(pixels[y0:y1, x0:x1])


def _known(fits: Iterable[float]) -> Floats:
    made = np.array(list(fits), np.float64)
    return made[np.isfinite(made)]


def _evenly(films: Sequence[T], most: int) -> list[T]:
    """At most so many, evenly from first to last."""
    chosen = np.linspace(0, len(films) - 1, min(most, len(films))).round().astype(int)
    return [films[i] for i in chosen]


def noise_pictures() -> Iterator[Pixels]:
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
    _check_counts(len(fits.own), len(fits.others))
    rest, limbs = np.concatenate([fits.others, fits.noise]), np.concatenate([fits.own, fits.parts])
    low, high = _gap(limbs, rest)
    lost, taken = float(np.mean(limbs < high)), float(np.mean(rest > low))
    if max(lost, taken) > MOST_ERRORS:
        raise InputError(
            f"no threshold tells it from the rest: at {(low + high) / 2:.2f}, {lost:.0%} of the "
            f"{len(limbs)} films that show it lie below and {taken:.0%} of the {len(rest)} "
            "other pictures above"
        )
    clear = max((low + high) / 2, float(np.quantile(rest, 0.95)))
    sure = max(float(np.quantile(fits.own, 0.1)), clear)
    changed = {"least_fit": low + (high - low) / 4, "clear_fit": clear, "sure_fit": sure}
    return former.model_copy(update={name: round(value, 3) for name, value in changed.items()})


def _check_counts(own: int, others: int) -> None:
    if min(own, others) < LEAST_FILMS:
        raise InputError(
            f"{own} films show it and {others} something else, at least {LEAST_FILMS} of each are "
            "needed"
        )


def _gap(own: Floats, rest: Floats) -> tuple[float, float]:
    """Neighbouring fits between which a threshold errs least."""
    fits = np.unique(np.concatenate([[0.0], own, rest, [1.0]]))
    low, high = fits[:-1], fits[1:]
    errors = np.searchsorted(np.sort(own), high) / len(own)
    errors += 1 - np.searchsorted(np.sort(rest), low, side="right") / len(rest)
    best = np.lexsort((low - high, errors.round(9)))[0]
    return float(low[best]), float(high[best])
