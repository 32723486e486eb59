"""From what the stages found to what is recorded: films, places, scores and totals.

The rules are here by which a film counts as one of a limb, and a sum of scores as a total.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import (
    LANDMARKS,
    RA2_TOTALS,
    TARGETS,
    Limb,
    Side,
    Slot,
    Target,
    maximum_total,
)
from mandora.core.geometry import Points, limb_size
from mandora.core.records import (
    FilmRecord,
    JointLocation,
    JointScore,
    ModelInfo,
    Reason,
    Status,
    StudyResult,
    Total,
)
from mandora.damage.evidence import PatchEvidence
from mandora.images.radiograph import Radiograph
from mandora.locate.locator import FoundLandmarks
from mandora.model.contract import IntervalContract

ENOUGH_FOR_TOTAL = 0.8  # share of the maximum that must be scored before a total is pro-rated
MIN_FOUND = 4  # fewer landmarks fit together by chance
ENOUGH_FOR_LIMB = 1 / 3  # share of the landmarks below which they are taken for accidents
# Best fit over all views of real films that are not tested on: hands from 0.59 to 0.89, in
# plaster or from the side 0.28 to 0.56, other body parts up to 0.47, feet taken for hands up to
# 0.56, noise up to 0.44. Six landmarks fit by chance far more easily: other body parts reach 0.62
# as a foot and noise 0.66; the feet of all marked films, tested on or not, reach 0.69 to 0.91,
# those of simulated patients at least 0.79.
MIN_FIT = {Limb.HAND: 0.5, Limb.FOOT: 0.67}
UNIT_SHARE = (0.03, 0.9)  # size of a limb / longer side of a film that shows it


@dataclass(frozen=True)
class Rejected:
    """A film slot that cannot be scored, whatever the film shows.

    Attributes:
        name: file name without folder.
        reason: why, as a code.
        detail: why and what to do, in words.
    """

    name: str
    reason: Reason
    detail: str


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
class ScoredStudy:
    """A result with the pictures it came from.

    Attributes:
        result: the record.
        radiographs: films that could be read, by name.
        evidence: patches and masks by film name and landmark name.
        expected: (86,) float64, what the trees expect of each target from those that were scored;
            NaN where they say nothing. For joints that nobody saw this is no score.
    """

    result: StudyResult
    radiographs: Mapping[str, Radiograph]
    evidence: Mapping[str, Mapping[str, PatchEvidence]]
    expected: NDArray[np.float64]


def shows_limb(found: FoundLandmarks, template: Points, shape: tuple[int, int]) -> bool:
    """Whether the landmarks are enough, fit together and are as far apart as in a limb.

    Args:
        found: what the localiser found on a film.
        template: (N, 2) the localiser's mean shape of a left limb.
        shape: (height, width) of the film, px.
    """
    placed = np.isfinite(found.landmarks).all(axis=1) & (found.confidence > 0)
    enough = max(MIN_FOUND, ENOUGH_FOR_LIMB * len(found.landmarks))
    if placed.sum() < enough or found.fit < MIN_FIT[found.limb]:
        return False
    try:
        size = limb_size(found.landmarks, template)
    except ValueError:  # all at one place
        return False
    return UNIT_SHARE[0] <= size / max(shape) <= UNIT_SHARE[1]


def own_name(name: str, slot: Slot, taken: Collection[str]) -> str:
    """A name that no other film of the study has, and that is text.

    Args:
        name: of the file.
        slot: what the film is given as.
        taken: the names of the study's other films.
    """
    # bytes that are no text in a file name would break every JSON file downstream
    text = name.encode("utf-8", "replace").decode()
    return f"{slot.code}-{text}" if text in taken else text


def nothing_found(slot: Slot, film: Radiograph, found: FoundLandmarks) -> FilmResult:
    """The outcome of a film that does not show the limb that it is given as.

    Args:
        slot: what the film is given as.
        film: read.
        found: its landmarks, none with a position.
    """
    detail = (
        f"no {slot.limb} was found on the film; check that it shows the {slot.title}, not from "
        "the side, with all its fingers or toes"
    )
    outcome = {"status": Status.FAILED, "reason": Reason.NOT_FOUND, "detail": detail}
    # what contradicts the name is no news on a film that shows nothing
    record = film_record(slot, film).model_copy(update=outcome)
    reasons = {p.name: Reason.NOT_FOUND for p in LANDMARKS[slot.limb]}
    return FilmResult(record, film, found, reasons=reasons)


def failed_film(name: str, slot: Slot, reason: Reason, detail: str) -> FilmResult:
    """The outcome of a film that was given and cannot be looked at.

    Args:
        name: of the film.
        slot: what it is given as.
        reason: why, as a code.
        detail: why and what to do, in words.
    """
    record = FilmRecord(
        name=name, side=slot.side, limb=slot.limb, status=Status.FAILED, reason=reason,
        detail=detail,
    )  # fmt: skip
    return FilmResult(record, reasons={p.name: reason for p in LANDMARKS[slot.limb]})


def film_record(slot: Slot, film: Radiograph, doubts: tuple[str, ...] = ()) -> FilmRecord:
    """A film that was read as a record, with the status ``SCORED``.

    Args:
        slot: what the film is given as.
        film: read.
        doubts: remarks beyond those of the reader, see :func:`doubts_about`.
    """
    return FilmRecord(
        name=film.name, side=slot.side, limb=slot.limb, status=Status.SCORED,
        sha256=film.sha256, width=film.width, height=film.height, spacing_mm=film.spacing_mm,
        remarks=(*film.remarks, *doubts),
    )  # fmt: skip


def doubts_about(slot: Slot, film: Radiograph, found: FoundLandmarks) -> tuple[str, ...]:
    """What contradicts that a film is what it is given as, in words.

    Args:
        slot: what the film is given as.
        film: read.
        found: its landmarks.
    """
    doubts = []
    view = found.view
    if view.side is not slot.side:
        doubts.append(
            f"the limb looks like a {'right' if view.mirrored else 'left'} one: the "
            f"film is displayed mirrored or is not the {slot.title}; scored as the {slot.title}"
        )
    if view.turns:
        digits = "fingers" if slot.limb is Limb.HAND else "toes"
        where = ("up", "right", "down", "left")[view.turns]
        doubts.append(f"the {digits} point {where}: the limb was scored as if the film was upright")
    if view.inverted:
        doubts.append("bone is dark on the film: the limb was scored with inverted grey values")
    if film.side not in (None, slot.side) or film.limb not in (None, slot.limb):
        doubts.append(f"the file's tags do not say {slot.title}; the name was believed")
    return tuple(doubts)


def _joint_score(
    target: Target, part: FilmResult | None, tree: float, final: float,
    intervals: IntervalContract | None,
) -> JointScore:  # fmt: skip
    about = {
        "target": target.key, "side": target.side, "limb": target.limb,
        "site": target.site.name, "kind": target.damage, "maximum": target.maximum,
    }  # fmt: skip
    if part is None:
        return JointScore.model_validate(
            {**about, "status": Status.MISSING, "reason": Reason.FILM_MISSING}
        )
    about["film"] = part.record.name
    seen = part.evidence.get(target.site.landmark_name)
    if seen is not None:
        x, y = seen.box.centre
        about |= {"x": x, "y": y, "half_px": seen.box.width / 2}
    if not np.isfinite(final):
        reason = part.reasons.get(target.site.landmark_name, Reason.STAGE_FAILED)
        return JointScore.model_validate({**about, "status": Status.FAILED, "reason": reason})
    score = float(np.clip(final, 0, target.maximum))
    low, high = (intervals and intervals.of_joint(target, score)) or (None, None)
    return JointScore.model_validate(
        {
            **about,
            "patch_score": part.scores.get(target.key),
            "tree_score": float(tree) if np.isfinite(tree) else None,
            "score": score,
            "grade": int(np.floor(score + 0.5)),
            "low": low,
            "high": high,
            "status": Status.SCORED,
        }
    )


def _locations_on(part: FilmResult) -> list[JointLocation]:
    if part.found is None:
        return []
    record, found = part.record, part.found
    return [
        location(record.name, record.limb, record.side, i, found)
        for i in range(len(LANDMARKS[record.limb]))
    ]


def location(film: str, limb: Limb, side: Side, index: int, found: FoundLandmarks) -> JointLocation:
    """One landmark of a film as a record.

    Args:
        film: its name.
        limb: hand or foot.
        side: the patient's side.
        index: of the landmark in ``anatomy.LANDMARKS[limb]``.
        found: the film's landmarks.
    """
    x, y = found.landmarks[index]
    placed = bool(np.isfinite(x) and np.isfinite(y))
    return JointLocation(
        film=film, limb=limb, side=side, site=LANDMARKS[limb][index].name,
        x=float(x) if placed else None, y=float(y) if placed else None,
        confidence=float(found.confidence[index]), reason=found.reasons[index],
    )  # fmt: skip


def totals(
    scores: tuple[JointScore, ...], intervals: IntervalContract | None = None
) -> tuple[Total, ...]:
    """The overall, erosion and narrowing totals of a patient.

    A total with missing joints is pro-rated by the maximum of the joints that were scored if
    these make up at least 80 % of it; otherwise it is missing.

    Args:
        scores: all 86.
        intervals: how sure complete totals are; those of pro-rated ones are as much wider as
            less of the joints was seen.

    Returns:
        One for each of ``anatomy.RA2_TOTALS``, in that order.
    """
    made = []
    for name, kinds in RA2_TOTALS.items():
        wanted = [s for s in scores if s.kind in kinds]
        known = [s for s in wanted if s.score is not None]
        observed = float(sum(s.score for s in known if s.score is not None))
        maximum = maximum_total(t for t in TARGETS if t.damage in kinds)
        reach = sum(s.maximum for s in known) / maximum
        about: dict[str, Any] = {
            "name": name, "maximum": maximum, "observed": observed, "scored": len(known),
            "expected": len(wanted),
        }  # fmt: skip
        if len(known) == len(wanted):
            about |= {"value": observed, "method": "complete"}
        elif reach >= ENOUGH_FOR_TOTAL:
            about |= {"value": observed / reach, "method": "pro-rated"}
        else:
            about["reason"] = Reason.TOO_FEW_JOINTS
        if intervals and "value" in about:
            ends = intervals.of_total(name, about["value"], maximum, reach)
            about |= dict(zip(("low", "high"), ends or (None, None), strict=True))
        made.append(Total.model_validate(about))
    return tuple(made)


def study_result(
    study: str,
    parts: Mapping[Slot, FilmResult],
    trees: NDArray[np.float64],
    final: NDArray[np.float64],
    model: ModelInfo,
    intervals: IntervalContract | None = None,
) -> StudyResult:
    """One patient's record.

    Args:
        study: the study id.
        parts: what was found on each film that was given.
        trees: (86,) scores of the symmetry trees in the order of ``anatomy.TARGETS``; NaN where
            there is none.
        final: (86,) blend of patches and trees, likewise.
        model: what the result says of the model.
        intervals: how sure its scores are, if that was measured.

    Returns:
        The record, with a value or a reason for each of the 86 scores.
    """
    scores = tuple(
        _joint_score(target, parts.get(target.slot), float(trees[i]), float(final[i]), intervals)
        for i, target in enumerate(TARGETS)
    )
    return StudyResult(
        study=study,
        films=tuple(part.record for part in parts.values()),
        locations=tuple(place for part in parts.values() for place in _locations_on(part)),
        scores=scores,
        totals=totals(scores, intervals),
        model=model,
    )
