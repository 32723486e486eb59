"""The way of one film: read, locate the limb, cut patches, score them.

:func:`score_film` goes all of it, :func:`examine` the way of a film that was read, :func:`locate`
its first step alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mandora.core.anatomy import LANDMARKS, Limb, Side, Slot, targets_of
from mandora.core.errors import UntrainedLimb, WrongLimb
from mandora.core.geometry import Points, limb_size
from mandora.core.records import FilmRecord, Finding, Reason, Status, merged
from mandora.core.specs import PatchSpec
from mandora.damage.evidence import PatchEvidence
from mandora.damage.patches import Patch, Windows, cut_patches, window_box, windows_of
from mandora.images.radiograph import Radiograph
from mandora.images.read import read_radiograph
from mandora.locate.locator import FoundLandmarks, Search
from mandora.locate.orientation import Orientation, orientation_of_landmarks
from mandora.model.loading import LimbLocator, Stages
from mandora.scoring.failures import why_failed
from mandora.scoring.film_record import failed_record, not_found_record, scored_record
from mandora.scoring.findings import findings_of, placed_by
from mandora.scoring.quality import Seen, look_at

MIN_FOUND = 4  # fewer landmarks fit together by chance
ENOUGH_FOR_LIMB = 1 / 3  # share of the landmarks on the film; fewer are taken for accidents
MOST_OF_A_PART = 2.5  # greatest size of a limb / longer side of a film that shows a part of it

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class FilmResult:
    """What the first two stages found on one film.

    Attributes:
        record: the film, and whether it was scored.
        radiograph: its pixels, if it could be read.
        found: its landmarks, if they were looked for.
        evidence: patch and mask by landmark name.
        scores: patch score in SvH points by target key; only those that were scored.
        reasons: why a landmark has no score, by landmark name; it may have a patch all the same.
    """

    record: FilmRecord
    radiograph: Radiograph | None = None
    found: FoundLandmarks | None = None
    evidence: Mapping[str, PatchEvidence] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    reasons: Mapping[str, Reason] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class GivenFilm:
    """A film that is to be scored as one limb.

    Attributes:
        path: its file.
        remarks: on how it was found out which limb this is.
        origins: who says so, see :class:`~mandora.core.records.FilmRecord`.
        radiograph: its pixels, where it was read already to see what it shows.
        found: the limb, where it was found then.
        limbs: how many were found then; None if that was not looked for.
    """

    path: Path
    remarks: tuple[str, ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict)
    radiograph: Radiograph | None = None
    found: FoundLandmarks | None = None
    limbs: int | None = None


def score_film(stages: Stages, slot: Slot, given: GivenFilm, name: str) -> FilmResult:
    """Read one film and examine it.

    Args:
        stages: of the model.
        slot: what the film is given as.
        given: the film.
        name: that its record has.

    Returns:
        The patch scores; a failed record where anything went wrong: one film must not cost the
        patient the others.
    """
    start = time.monotonic()
    film: Radiograph | None = None
    try:
        film = given.radiograph or read_radiograph(given.path)
        film = film if film.name == name else replace(film, name=name)
        read = time.monotonic()
        found = given.found or locate(stages, film, slot.limb, slot.side)
        if given.found is None:
            check_limb(stages, slot, film, found)
        made = examine(stages, slot, film, found=found)
    except Exception as error:
        made = failed_film(name, slot, *why_failed(error, name))
        # the picture shows what the words say
        seen = film if isinstance(error, WrongLimb) else None
        return replace(made, record=_with_origins(made.record, given), radiograph=seen)
    made = replace(made, record=_with_origins(made.record, given))
    _LOG.debug(
        "%s: read in %.2f s, examined in %.2f s: %d of %d scores", name, read - start,
        time.monotonic() - read, len(made.scores), len(targets_of(slot)),
    )  # fmt: skip
    return made


def _with_origins(record: FilmRecord, given: GivenFilm) -> FilmRecord:
    remarks, findings = (*given.remarks, *record.remarks), record.findings
    if record.status is Status.SCORED:
        slot = Slot(record.side, record.limb)
        findings = merged(*findings, *placed_by(slot, given.origins, given.limbs))
    changed = {"remarks": remarks, "findings": findings, "origins": dict(given.origins)}
    return record.model_copy(update=changed)


def failed_film(name: str, slot: Slot, reason: Reason, detail: str) -> FilmResult:
    """The outcome of a film that was given and cannot be examined.

    Args:
        name: of the film.
        slot: what it is given as.
        reason: why, as a code.
        detail: why and what to do, in words.
    """
    reasons = {mark.name: reason for mark in LANDMARKS[slot.limb]}
    return FilmResult(failed_record(name, slot, reason, detail), reasons=reasons)


def examine(
    stages: Stages, slot: Slot, film: Radiograph, landmarks: Points | None = None,
    orientation: Orientation | None = None, found: FoundLandmarks | None = None,
) -> FilmResult:  # fmt: skip
    """Locate the joints of one film and score their patches.

    Args:
        stages: of the model.
        slot: what the film is given as.
        film: read.
        landmarks: (N, 2) px of the film, where its joints are known to be, NaN where not; they
            are not looked for then.
        orientation: how a limb with known landmarks lies there; worked out from these if absent.
        found: the limb, if it was located already.

    Returns:
        The patch scores; a failed record with the reason ``NOT_FOUND`` if the film does not
        show such a limb.
    """
    names = [mark.name for mark in LANDMARKS[slot.limb]]
    if landmarks is not None:
        found = _known(stages, slot, landmarks, orientation)
    elif found is None:
        found = locate(stages, film, slot.limb, slot.side)
    reasons = {name: r for name, r in zip(names, found.reasons, strict=True) if r}
    if len(reasons) == len(names):
        return FilmResult(not_found_record(slot, film), film, found, reasons=reasons)
    damage, windows = stages.contract.damage, _windows(stages, film, found)
    patches = _patches(damage, film, found, windows)
    measured = _measured(stages, film, found, patches, given=landmarks is not None)
    not_scored = measured.unscorable
    reasons |= {names[i]: reason for i, reason in not_scored.items()}
    evidence, scores = {}, {}
    for patch, seen in zip(patches, stages.scorer.score(patches), strict=True):
        name, centre = names[patch.landmark], found.landmarks[patch.landmark]
        box = window_box(damage, slot.limb, patch.landmark, centre, windows)
        evidence[name] = PatchEvidence(name, box, found.orientation.as_given(seen.mask))
        if patch.landmark in not_scored:
            continue  # it is shown, but not scored
        for target in targets_of(slot):
            value = seen.of(target.damage)
            if target.site.landmark_name == name and value is not None:
                scores[target.key] = value
    record = scored_record(slot, film, findings_of(slot, film, measured))
    return FilmResult(record, film, found, evidence, scores, reasons)


def judge(
    stages: Stages, slot: Slot, film: Radiograph, found: FoundLandmarks
) -> tuple[Finding, ...]:
    """The findings of the quality gate on a film, without scoring it.

    Args:
        stages: of the model.
        slot: what the film is given as.
        film: read.
        found: the limb, with at least one landmark.
    """
    patches = _patches(stages.contract.damage, film, found, _windows(stages, film, found))
    return merged(*findings_of(slot, film, _measured(stages, film, found, patches)))


# ── locate ───────────────────────────────────────────────────────────────────────────────


def locate(
    stages: Stages, film: Radiograph, limb: Limb | None = None, side: Side | None = None
) -> FoundLandmarks:
    """Find the landmarks of one limb on a film, whichever way it lies there.

    Args:
        stages: of the model.
        film: read.
        limb: hand or foot; the better fit if not known.
        side: the patient's side; the better fit if not known.

    Returns:
        The landmarks. On a film that does not show a limb, none has a position and all have
        the reason ``NOT_FOUND``: a few peaks at random places are no hand.

    Raises:
        ValueError: if the model was not trained on such limbs.
    """
    if limb is None:
        found = _of_unknown_limb(stages, film, side)
    else:
        found = _locator(stages, limb).locate(film.pixels, side)
    if shows_limb(stages, found, film.shape):
        return found
    nowhere = np.full_like(found.landmarks, np.nan)
    return replace(found, landmarks=nowhere, reasons=(Reason.NOT_FOUND,) * len(nowhere))


def locate_all(stages: Stages, film: Radiograph, limb: Limb) -> list[FoundLandmarks]:
    """Find the landmarks of all limbs of one kind on a film, as both hands.

    Args:
        stages: of the model.
        film: read.
        limb: hand or foot.

    Returns:
        Up to two, the one that fits best first. Two views of one limb count as two.
    """
    found = _locator(stages, limb).locate_all(film.pixels)
    return [limb for limb in found if shows_limb(stages, limb, film.shape)]


def check_limb(stages: Stages, slot: Slot, film: Radiograph, found: FoundLandmarks) -> None:
    """Refuse a film that shows a foot where a hand was given, or the reverse.

    Both localisers look, unless the stated limb is beyond doubt; the other one, on the whole film,
    has to fit better by a factor that the bundle states.

    Args:
        stages: of the model.
        slot: what the film is given as.
        film: read.
        found: the stated limb, or what was taken for it.

    Raises:
        WrongLimb: if the film shows the other limb.
    """
    thresholds, other = stages.contract.locate.thresholds, slot.limb.other
    limits = thresholds[slot.limb]
    if other not in stages.locators or found.fit >= limits.sure_fit * limits.limb_factor:
        return
    rival = stages.locators[other].locate(film.pixels, search=Search.WHOLE)
    better = rival.fit / thresholds[other].least_fit > (
        limits.limb_factor * found.fit / limits.least_fit
    )
    if better and shows_limb(stages, rival, film.shape):
        raise WrongLimb(
            f"the film was given as a {slot.title} and shows a {other}; correct its name, its tags "
            "or the manifest"
        )


def shows_limb(stages: Stages, found: FoundLandmarks, shape: tuple[int, int]) -> bool:
    """Whether the landmarks are enough, fit together and are as far apart as in a limb.

    Args:
        stages: of the model.
        found: what its localiser found on a film.
        shape: (height, width) of the film, px.
    """
    thresholds = stages.contract.locate.thresholds[found.limb]
    placed = np.isfinite(found.landmarks).all(axis=1) & (found.confidence > 0)
    outside = found.reasons.count(Reason.OUTSIDE_FILM)
    enough = max(MIN_FOUND, ENOUGH_FOR_LIMB * (len(found.landmarks) - outside))
    if placed.sum() < enough or found.fit < thresholds.least_fit:
        return False
    try:
        size = limb_size(found.landmarks, _locator(stages, found.limb).template)
    except ValueError:  # all at one place
        return False
    least, most = thresholds.size_range
    # of a limb that is not all on the film, one part may fill it
    return least <= size / max(shape) <= (MOST_OF_A_PART if outside else most)


def _of_unknown_limb(stages: Stages, film: Radiograph, side: Side | None) -> FoundLandmarks:
    thresholds = stages.contract.locate.thresholds

    def likelier(sought: Iterable[FoundLandmarks]) -> FoundLandmarks:
        # measured by what is asked of its kind: six landmarks fit easily
        return max(sought, key=lambda found: found.fit / thresholds[found.limb].least_fit)

    locators = stages.locators.values()
    found = likelier(each.locate(film.pixels, side, Search.UPRIGHT) for each in locators)
    searches = stages.contract.locate.design == "all-landmarks"
    if searches and found.fit < thresholds[found.limb].clear_fit:
        found = likelier(each.locate(film.pixels, side) for each in locators)
    return found


def _locator(stages: Stages, limb: Limb) -> LimbLocator:
    if limb not in stages.locators:
        raise UntrainedLimb(
            f"this model was not trained on films of a {limb}; use one that was, or leave "
            "these films out"
        )
    return stages.locators[limb]


def _known(
    stages: Stages, slot: Slot, landmarks: Points, orientation: Orientation | None
) -> FoundLandmarks:
    """Landmarks that are known, as if they had been found."""
    known = np.asarray(np.isfinite(landmarks).all(axis=1))
    template = _locator(stages, slot.limb).template
    return FoundLandmarks(
        slot.limb,
        orientation or orientation_of_landmarks(landmarks, template, slot.side),
        np.where(known[:, None], landmarks, np.nan),
        np.asarray(known, np.float64),
        tuple(None if k else Reason.NOT_FOUND for k in known),
        1.0,
    )


# ── cut ──────────────────────────────────────────────────────────────────────────────────


def _windows(stages: Stages, film: Radiograph, found: FoundLandmarks) -> Windows:
    """The windows on the upright film; a quarter turn leaves squares and their turn as they are."""
    lies = found.orientation
    return windows_of(
        stages.contract.damage, film.shape, lies.to_upright(film.shape)(found.landmarks),
        _locator(stages, found.limb).template, mirrored=lies.mirrored,
    )  # fmt: skip


def _patches(
    spec: PatchSpec, film: Radiograph, found: FoundLandmarks, windows: Windows
) -> list[Patch]:
    """The patches of all landmarks with a position, cut from the upright film."""
    lies = found.orientation
    boxes = {
        i: window_box(spec, found.limb, i, xy, windows)
        for i, xy in enumerate(lies.to_upright(film.shape)(found.landmarks))
        if np.isfinite(xy).all()
    }
    pixels = lies.upright(film.pixels)
    return cut_patches(spec, pixels, found.limb, boxes, mirrored=lies.mirrored)


def _measured(
    stages: Stages, film: Radiograph, found: FoundLandmarks, patches: Sequence[Patch],
    given: bool = False,
) -> Seen:  # fmt: skip
    """What the quality gate measures; ``given``: the landmarks were not looked for."""
    thresholds = None if given else stages.contract.locate.thresholds[found.limb]
    template = _locator(stages, found.limb).template
    return look_at(film, found, patches, stages.contract.damage, template, thresholds)
