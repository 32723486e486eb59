"""Finding all landmarks of a limb on a film, whichever way the limb lies there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
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
from mandora.core.specs import FilmSpec, LimbThresholds
from mandora.locate.decode import find_peaks
from mandora.locate.field_of_view import FieldOfView, Part, limb_field, parts, whole_fields
from mandora.locate.orientation import Orientation, Pixels, orientation_of, orientations
from mandora.locate.shape import Checked, FilmArea, ShapeFit, checked, fit_shapes

MOST_LIMBS = 2  # on one film
SMALLER_FILMS = 0.5, 0.28  # share of the network's input that a film of a part of a limb fills

_LONG_SIDE_PX = 1024  # larger films are made smaller: it spares time, and no network sees more
_PEAKS = 4  # per heat map
_BATCH = 4  # fields of view at a time; more only cost memory
_MOST_ALONE = 6  # candidates that get a field of view of their own
_MOST_TURN_DEG, _MOST_LOG2_SIZE = 12.0, 0.3  # beyond these it gets a second one
_SAME_PLACE = 1.0  # limbs nearer to each other than this are one, in limb sizes


class Search(IntEnum):
    """How much is looked at for a limb, until one is clear: so many stages of the search."""

    UPRIGHT = 1
    """The whole film, as shown and in the mirror."""
    WHOLE = 3
    """Also the film made smaller, turned, and inverted."""
    ALL = 7
    """Also parts of the film, in all of these ways."""


@dataclass(frozen=True, eq=False)
class FoundLandmarks:
    """What the localiser says of one limb on one film.

    Attributes:
        limb: hand or foot.
        orientation: how the limb lies on the film.
        landmarks: (N, 2) float64, (x, y), px of the film as it was given, order of
            ``anatomy.LANDMARKS[limb]``; NaN where a landmark was not found.
        confidence: (N,) float64, 0..1: height of the heat map's peak.
        reasons: why a landmark has no position; None where it has one.
        fit: 0..1, how well peaks and shape fit a limb of this kind and side.
    """

    limb: Limb
    orientation: Orientation
    landmarks: Points
    confidence: NDArray[np.float64]
    reasons: tuple[Reason | None, ...]
    fit: float


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A limb that one field of view shows.

    Attributes:
        to_film: from the template to px of the film.
        field: where it was seen.
        shape: its landmarks, px of the network's input.
    """

    to_film: Affine
    field: FieldOfView
    shape: ShapeFit

    @property
    def fit(self) -> float:
        return self.shape.fit

    @cached_property
    def orientation(self) -> Orientation:
        return orientation_of(self.to_film, self.field.inverted)

    def needs_another_field(self, limb_px: float) -> bool:
        """Whether the limb was not seen upright, or not about ``limb_px`` large."""
        cos, sin = self.shape.matrix[0, 0], self.shape.matrix[1, 0]
        turned = abs(np.degrees(np.arctan2(sin, cos)))
        size_off = abs(np.log2(np.hypot(cos, sin) / limb_px))
        return bool(turned > _MOST_TURN_DEG or size_off > _MOST_LOG2_SIZE)

    def same_place(self, other: _Candidate) -> bool:
        """Whether both are the same limb. A template is centred on its origin."""
        apart = self.to_film([0.0, 0.0]) - other.to_film([0.0, 0.0])
        size = max(self.to_film.scale, other.to_film.scale)
        return float(np.linalg.norm(apart)) < _SAME_PLACE * size


class Locator:
    """One limb's localiser.

    Args:
        path: ONNX file.
        limb: which limb it was trained for.
        spec: what the network sees, and how its heat maps are read.
        thresholds: what its fits mean.
        template: (N, 2) template of a left limb, in limb sizes.
        threads: processor threads.
    """

    def __init__(
        self, path: Path, limb: Limb, spec: FilmSpec, thresholds: LimbThresholds,
        template: Points, threads: int = 2,
    ) -> None:  # fmt: skip
        self.limb = limb
        self.template = template
        self._network = Network(path, threads)
        self._spec, self._thresholds = spec, thresholds
        self._limb_px = thresholds.limb_share * spec.input_px

    def locate(
        self, pixels: NDArray[np.float32], side: Side | None = None, search: Search = Search.ALL
    ) -> FoundLandmarks:
        """Find the landmarks of the limb that fits best, or of the one of the given side.

        The film is read as shown and in the mirror, and where that shows no clear limb, turned,
        inverted and in parts; where the limb is clear and yet fits poorly, a better one is sought
        beside it. A known side is believed unless a limb of the other one fits clearly better,
        as it does where an archive displays its films mirrored; an upright limb with bright bone,
        unless another one fits clearly better.

        Args:
            pixels: (H, W) float32, 0..1.
            side: the patient's side, if known.
            search: less spares the time that it takes to look for a limb that is not clear.

        Returns:
            The landmarks; none has a position where nothing was found. The caller decides which
            fit is too poor.
        """
        small, to_small = _reduced(pixels)

        def believed_fit(candidate: _Candidate) -> float:
            lies, factor = candidate.orientation, self._thresholds.mirror_factor
            fit = candidate.fit if side in (None, lies.side) else candidate.fit / factor
            # a part of a limb may look a little like another one that is turned
            return fit / factor if lies.turns or lies.inverted else fit

        candidates = self._search(small, rivals_only=True, search=search)
        if not candidates:
            return self._nothing()
        best = max(candidates, key=believed_fit)
        other_side = side not in (None, best.orientation.side)
        poor = self._clear(best) and best.fit < self._thresholds.sure_fit
        if (other_side or poor) and search is Search.ALL:
            beside = [c for c in self._beside(small, best) if side in (None, c.orientation.side)]
            # a clear limb of the stated side is taken even if one of the other side fits better
            best = max(beside if other_side and beside else [best, *beside], key=believed_fit)
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
        candidates = self._search(small, rivals_only=False, search=Search.ALL)
        limbs = _apart(candidates)
        # two of one side may be the two sides, of which one was seen in the mirror
        others = (c for c in limbs[1:] if c.orientation.side is not limbs[0].orientation.side)
        if limbs and not any(self._clear(limb) for limb in others):
            limbs = _apart([*candidates, *self._beside(small, limbs[0])])
        return [self._found(limb, to_small, pixels.shape) for limb in limbs[:MOST_LIMBS]]

    def _search(self, pixels: Pixels, *, rivals_only: bool, search: Search) -> list[_Candidate]:
        """Candidates, each seen alone.

        Args:
            pixels: (H, W) the film.
            rivals_only: leave out what fits far worse than the best in the same fields.
            search: how much of it to try at most, see :meth:`_fields`.
        """
        alone: list[_Candidate] = []
        for fields in islice(self._fields(pixels.shape), search):
            seeds = _apart(self._candidates(pixels, fields, MOST_LIMBS), sides_too=True)
            if rivals_only:
                factor = self._thresholds.rival_factor
                seeds = [seed for seed in seeds if seed.fit * factor >= seeds[0].fit]
            alone += self._alone(pixels, seeds)
            if any(self._clear(candidate) for candidate in alone):
                break
        return alone

    def _beside(self, pixels: Pixels, limb: _Candidate) -> list[_Candidate]:
        """Clear limbs elsewhere on the film that lie in the same way, of either side."""
        tried = orientations((limb.orientation.turns,), inverted=limb.orientation.inverted)
        fields = self._fields_of_parts(pixels.shape, tried)
        seeds = _apart(self._candidates(pixels, fields, MOST_LIMBS), sides_too=True)
        elsewhere = [seed for seed in seeds if not seed.same_place(limb)]
        found = self._alone(pixels, elsewhere)
        return [c for c in found if self._clear(c) and not c.same_place(limb)]

    def _alone(self, pixels: Pixels, seeds: Sequence[_Candidate]) -> list[_Candidate]:
        """The best seeds, each seen alone; once more where it then lay otherwise than expected."""
        found = self._candidates(pixels, self._limb_fields(seeds[:_MOST_ALONE]), 1)
        again = [candidate for candidate in found if candidate.needs_another_field(self._limb_px)]
        return [*found, *self._candidates(pixels, self._limb_fields(again), 1)]

    def _limb_fields(self, candidates: Sequence[_Candidate]) -> list[FieldOfView]:
        return [
            limb_field(self.template, c.to_film, self._limb_px, self._spec.input_px,
                       c.field.inverted)
            for c in candidates
        ]  # fmt: skip

    def _clear(self, candidate: _Candidate) -> bool:
        return candidate.fit >= self._thresholds.clear_fit

    def _fields(self, shape: tuple[int, ...]) -> Iterator[list[FieldOfView]]:
        """What is tried, until a limb is clear: the likely first; the stages of :class:`Search`."""
        height, width = shape[:2]
        upright, others = orientations(turns=(0,)), orientations(turns=(1, 2, 3))
        inverted = orientations(inverted=True)
        whole = (0, 0, width, height)
        yield whole_fields(whole, self._spec.input_px, upright)
        yield self._smaller_fields(whole, upright)
        yield whole_fields(whole, self._spec.input_px, others + inverted)
        yield self._smaller_fields(whole, others + inverted)
        for tried in (upright, others, inverted):
            yield self._fields_of_parts(shape, tried)

    def _smaller_fields(self, whole: Part, tried: Sequence[Orientation]) -> list[FieldOfView]:
        """The whole film, so small that a part of a limb is as large as in a film of all of it."""
        return [
            field
            for share in SMALLER_FILMS
            for field in whole_fields(whole, self._spec.input_px, tried, share)
        ]

    def _fields_of_parts(
        self, shape: tuple[int, ...], tried: Sequence[Orientation]
    ) -> list[FieldOfView]:
        height, width = shape[:2]
        return [
            field
            for part in parts(width, height)
            for field in whole_fields(part, self._spec.input_px, tried)
        ]

    def _candidates(
        self, pixels: Pixels, fields: Sequence[FieldOfView], most: int
    ) -> list[_Candidate]:
        """Up to ``most`` limbs in each field of view."""
        stride, lowest = self._spec.heat_map_stride, self._thresholds.lowest_peak
        found = []
        for start in range(0, len(fields), _BATCH):
            batch = fields[start : start + _BATCH]
            seen = [field.sample(pixels, self._spec.input_px) for field in batch]
            (maps,) = self._network(film=np.stack(seen)[:, None])
            for field, heat_maps in zip(batch, maps, strict=True):
                peaks = find_peaks(heat_maps, stride, _PEAKS)
                height, width = pixels.shape
                area = FilmArea(field.to_film, width, height)
                for shape in fit_shapes(self.template, peaks, lowest, most, area):
                    to_network = Affine(shape.matrix, "template", "network")
                    found.append(_Candidate(field.to_film @ to_network, field, shape))
        return found

    def _found(self, limb: _Candidate, to_small: Affine, shape: tuple[int, ...]) -> FoundLandmarks:
        """Drop what is too faint, outside the film or grossly out of place."""
        to_given = to_small.inverse @ limb.field.to_film
        height, width = shape[:2]
        found = checked(
            self.template, limb.shape.landmarks, limb.shape.heights, self._spec.found_threshold,
            FilmArea(to_given, width, height),
        )  # fmt: skip
        return FoundLandmarks(
            self.limb,
            limb.orientation,
            np.where(found.sure[:, None], to_given(limb.shape.landmarks), np.nan),
            limb.shape.heights,
            reasons_of(found),
            found.fit,
        )

    def _nothing(self) -> FoundLandmarks:
        count = len(self.template)
        nowhere = np.full((count, 2), np.nan)
        reasons = (Reason.NOT_FOUND,) * count
        return FoundLandmarks(self.limb, Orientation(), nowhere, np.zeros(count), reasons, 0.0)


def reasons_of(found: Checked) -> tuple[Reason | None, ...]:
    """Why each landmark has no position; None where it has one."""
    return tuple(
        None if sure else (Reason.OUTSIDE_FILM if outside else Reason.NOT_FOUND)
        for sure, outside in zip(found.sure, found.outside, strict=True)
    )


def _apart(candidates: Sequence[_Candidate], *, sides_too: bool = False) -> list[_Candidate]:
    """The best candidate at each place, or of each side at each place; the best first."""
    kept: list[_Candidate] = []
    for candidate in sorted(candidates, key=lambda candidate: -candidate.fit):
        side = candidate.orientation.side
        rivals = [c for c in kept if not sides_too or c.orientation.side is side]
        if not any(candidate.same_place(rival) for rival in rivals):
            kept.append(candidate)
    return kept


def _reduced(pixels: Pixels) -> tuple[Pixels, Affine]:
    """The film at no more than ``_LONG_SIDE_PX``, by means of squares of px, and the map to it."""
    height, width = pixels.shape
    side = -(-max(height, width) // _LONG_SIDE_PX)  # of a square
    size = -(-width // side), -(-height // side)
    box = Box(-0.5, -0.5, size[0] * side - 0.5, size[1] * side - 0.5, "given")
    to_small = box_to_grid(box, size, "film")
    if side == 1:
        return pixels, to_small
    # four times as fast as resize, which weighs each px
    return np.asarray(Image.fromarray(pixels).reduce(side), np.float32), to_small
