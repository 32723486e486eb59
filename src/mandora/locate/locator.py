"""Finding all landmarks of a limb on a film, whichever way the limb lies there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mandora.core.anatomy import Limb, Side
from mandora.core.geometry import Affine, Box, Points, box_to_grid
from mandora.core.inference import Network
from mandora.core.records import Reason
from mandora.locate.decode import find_peaks
from mandora.locate.shape import ShapeFit, fit_shapes, judge
from mandora.locate.views import (
    ZOOM,
    Look,
    Pixels,
    View,
    parts,
    view_of,
    views,
    whole_looks,
    zoomed_look,
)

CLEAR_FIT = {Limb.HAND: 0.6, Limb.FOOT: 0.7}
"""Fit from which a limb is beyond doubt, so that no other view of the film is tried."""

SURE_FIT = 0.7
"""Fit below which a clear limb may be a poor view, as an oblique one, with a better one beside."""

MIRROR_FACTOR = 1.2  # so much better must the other side fit before a known side is doubted
MOST_LIMBS = 2  # on one film

_LONG_SIDE_PX = 1024  # larger films are made smaller: 256 px see no more of them
_PEAKS = 4  # per heat map
_BATCH = 16  # looks at a time; more only cost memory
_MOST_ZOOMED = 6
_RIVAL = 1.5  # what fits so much worse than the best at first sight is not looked at again
_ASKEW_DEG = 12.0  # a limb is looked at once more if the first look was off by more
_SAME_PLACE = 1.0  # limbs nearer to each other than this are one, in units


@dataclass(frozen=True, eq=False)
class FoundLandmarks:
    """What the localiser says of one limb on one film.

    Attributes:
        limb: hand or foot.
        view: how the limb lies on the film.
        landmarks: (N, 2) float64, (x, y), px of the film as it was given, order of
            ``anatomy.LANDMARKS[limb]``; NaN where a landmark was not found.
        confidence: (N,) float64, 0..1: height of the heat map's peak.
        reasons: why a landmark has no position; None where it has one.
        fit: 0..1, how well peaks and shape fit a limb of this kind and side.
    """

    limb: Limb
    view: View
    landmarks: Points
    confidence: NDArray[np.float64]
    reasons: tuple[Reason | None, ...]
    fit: float


@dataclass(frozen=True, eq=False)
class _Guess:
    """A limb that one look at a film shows: where its template lies, and its landmarks."""

    to_film: Affine
    look: Look
    shape: ShapeFit

    @property
    def fit(self) -> float:
        return self.shape.fit

    @cached_property
    def view(self) -> View:
        return view_of(self.to_film, self.look.inverted)

    def askew(self, unit_px: float) -> bool:
        """Whether the limb lay otherwise in the look than upright and ``unit_px`` large."""
        cos, sin = self.shape.matrix[0, 0], self.shape.matrix[1, 0]
        turned = abs(np.degrees(np.arctan2(sin, cos)))
        return bool(turned > _ASKEW_DEG or abs(np.log2(np.hypot(cos, sin) / unit_px)) > 0.3)

    def same_place(self, other: _Guess) -> bool:
        """Whether both are the same limb. A template is centred on its origin."""
        apart = self.to_film([0.0, 0.0]) - other.to_film([0.0, 0.0])
        size = max(self.to_film.scale, other.to_film.scale)
        return float(np.linalg.norm(apart)) < _SAME_PLACE * size


class Locator:
    """One limb's localiser.

    Args:
        path: ONNX file.
        limb: which limb it was trained for.
        input_px: side of its input.
        stride: input px per heat-map px.
        found_threshold: peak below which a landmark counts as not found.
        template: (N, 2) mean shape of a left limb, in units of its size.
        threads: processor threads.
    """

    def __init__(
        self, path: Path, limb: Limb, *, input_px: int, stride: int, found_threshold: float,
        template: Points, threads: int = 2,
    ) -> None:  # fmt: skip
        self.limb = limb
        self.template = template
        self._network = Network(path, threads)
        self._input_px, self._stride, self._threshold = input_px, stride, found_threshold

    def locate(
        self, pixels: NDArray[np.float32], side: Side | None = None, *, upright_only: bool = False
    ) -> FoundLandmarks:
        """Find the landmarks of the limb that fits best, or of the one of the given side.

        The film is read as shown and in the mirror, and where that shows no clear limb, turned,
        inverted and in halves; where the limb is clear and yet fits poorly, a better one is sought
        beside it. A known side is believed unless a limb of the other one fits clearly better,
        as it does where an archive displays its films mirrored.

        Args:
            pixels: (H, W) float32, 0..1.
            side: the patient's side, if known.
            upright_only: spare the time that it takes to look for a limb that is not clear.

        Returns:
            The landmarks; none has a position where nothing was found. A poor fit is for the
            caller to judge.
        """
        small, to_small = _reduced(pixels)

        def worth(guess: _Guess) -> float:
            usual = side in (None, guess.view.side)
            return guess.fit if usual else guess.fit / MIRROR_FACTOR

        guesses = self._search(small, rivals_only=True, stages=1 if upright_only else None)
        if not guesses:
            return self._nothing()
        best = max(guesses, key=worth)
        doubted = side not in (None, best.view.side)
        poor = self._clear(best) and best.fit < SURE_FIT
        if (doubted or poor) and not upright_only:
            beside = [g for g in self._beside(small, best) if side in (None, g.view.side)]
            # a clear limb of the stated side is taken even if one of the other side fits better
            best = max(beside if doubted and beside else [best, *beside], key=worth)
        return self._found(best, to_small, pixels.shape)

    def locate_all(self, pixels: NDArray[np.float32]) -> list[FoundLandmarks]:
        """Find all limbs of this kind on a film, as both hands or two views of one.

        Args:
            pixels: (H, W) float32, 0..1.

        Returns:
            Up to ``MOST_LIMBS``, the one that fits best first. The caller decides which of
            them fit too poorly to be a limb.
        """
        small, to_small = _reduced(pixels)
        guesses = self._search(small, rivals_only=False, stages=None)
        limbs = _apart(guesses)
        if limbs and not any(self._clear(limb) for limb in limbs[1:]):
            limbs = _apart([*guesses, *self._beside(small, limbs[0])])
        return [self._found(limb, to_small, pixels.shape) for limb in limbs[:MOST_LIMBS]]

    def _search(self, pixels: Pixels, *, rivals_only: bool, stages: int | None) -> list[_Guess]:
        """Guesses from a look at each limb alone.

        Args:
            pixels: (H, W) the film.
            rivals_only: leave out what fits far worse than the best in the same looks.
            stages: how many to try at most, see :meth:`_looks`.
        """
        zoomed: list[_Guess] = []
        for looks in islice(self._looks(pixels.shape), stages):
            seeds = _apart(self._guess(pixels, looks, MOST_LIMBS), sides_too=True)
            if rivals_only:
                seeds = [s for s in seeds if s.fit * _RIVAL >= seeds[0].fit]
            zoomed += self._zoomed(pixels, seeds)
            if any(self._clear(guess) for guess in zoomed):
                break
        return zoomed

    def _beside(self, pixels: Pixels, limb: _Guess) -> list[_Guess]:
        """Clear limbs elsewhere on the film that lie in the same way, of either side."""
        tried = views((limb.view.turns,), inverted=limb.view.inverted)
        seeds = self._guess(pixels, self._looks_at_parts(pixels.shape, tried), MOST_LIMBS)
        elsewhere = [s for s in _apart(seeds, sides_too=True) if not s.same_place(limb)]
        found = self._zoomed(pixels, elsewhere)
        return [g for g in found if self._clear(g) and not g.same_place(limb)]

    def _zoomed(self, pixels: Pixels, seeds: Sequence[_Guess]) -> list[_Guess]:
        """What a look at each of the best seeds alone shows; a second one where it was askew."""
        found = self._guess(pixels, self._zooms(seeds[:_MOST_ZOOMED]), 1)
        askew = [guess for guess in found if guess.askew(ZOOM[self.limb] * self._input_px)]
        return [*found, *self._guess(pixels, self._zooms(askew), 1)]

    def _zooms(self, guesses: Sequence[_Guess]) -> list[Look]:
        return [
            zoomed_look(self.template, g.to_film, self.limb, self._input_px, g.look.inverted)
            for g in guesses
        ]

    def _clear(self, guess: _Guess) -> bool:
        return guess.fit >= CLEAR_FIT[self.limb]

    def _looks(self, shape: tuple[int, ...]) -> Iterator[list[Look]]:
        """What is tried, until a limb is clear: the likely first."""
        height, width = shape[:2]
        upright, others = views(turns=(0,)), views(turns=(1, 2, 3))
        inverted = views(inverted=True)
        whole = (0, 0, width, height)
        yield whole_looks(whole, self._input_px, upright)
        yield whole_looks(whole, self._input_px, others + inverted)
        for tried in (upright, others, inverted):
            yield self._looks_at_parts(shape, tried)

    def _looks_at_parts(self, shape: tuple[int, ...], tried: Sequence[View]) -> list[Look]:
        height, width = shape[:2]
        return [
            look
            for part in parts(width, height)
            for look in whole_looks(part, self._input_px, tried)
        ]

    def _guess(self, pixels: Pixels, looks: Sequence[Look], most: int) -> list[_Guess]:
        guesses = []
        for start in range(0, len(looks), _BATCH):
            part = looks[start : start + _BATCH]
            seen = [look.sample(pixels, self._input_px) for look in part]
            (maps,) = self._network(film=np.stack(seen)[:, None])
            for look, heat in zip(part, maps, strict=True):
                peaks = find_peaks(heat, self._stride, _PEAKS)
                for shape in fit_shapes(self.template, peaks, most):
                    to_network = Affine(shape.matrix, "template", "network")
                    guesses.append(_Guess(look.to_film @ to_network, look, shape))
        return guesses

    def _found(self, guess: _Guess, to_small: Affine, shape: tuple[int, ...]) -> FoundLandmarks:
        """Drop what is too faint, outside the film or grossly out of place."""
        height, width = shape[:2]
        landmarks, heights = guess.shape.landmarks, guess.shape.heights
        sure, fit = judge(self.template, landmarks, heights, self._threshold)
        on_film = to_small.inverse(guess.look.to_film(landmarks))
        inside: NDArray[np.bool_] = np.all(
            (on_film >= -0.5) & (on_film < [width - 0.5, height - 0.5]), axis=1
        )
        reasons = tuple(
            None if ok and within else (Reason.OUTSIDE_FILM if ok else Reason.NOT_FOUND)
            for ok, within in zip(sure, inside, strict=True)
        )
        kept = np.where((sure & inside)[:, None], on_film, np.nan)
        return FoundLandmarks(self.limb, guess.view, kept, heights, reasons, fit)

    def _nothing(self) -> FoundLandmarks:
        count = len(self.template)
        nowhere = np.full((count, 2), np.nan)
        reasons = (Reason.NOT_FOUND,) * count
        return FoundLandmarks(self.limb, View(), nowhere, np.zeros(count), reasons, 0.0)


def _apart(guesses: Sequence[_Guess], *, sides_too: bool = False) -> list[_Guess]:
    """The best guess at each place, or of each side at each place; the best first."""
    kept: list[_Guess] = []
    for guess in sorted(guesses, key=lambda guess: -guess.fit):
        rivals = [g for g in kept if not sides_too or g.view.side is guess.view.side]
        if not any(guess.same_place(rival) for rival in rivals):
            kept.append(guess)
    return kept


def _reduced(pixels: Pixels) -> tuple[Pixels, Affine]:
    """The film at no more than ``_LONG_SIDE_PX``, and the map to it."""
    height, width = pixels.shape
    share = min(1.0, _LONG_SIDE_PX / max(height, width))
    size = max(1, round(width * share)), max(1, round(height * share))
    box = Box(-0.5, -0.5, width - 0.5, height - 0.5, "given")
    to_small = box_to_grid(box, size, "film")
    if share == 1.0:
        return pixels, to_small
    small = Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(small, np.float32), to_small
