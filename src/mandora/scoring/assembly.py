"""From what was found on a patient's films to the record: locations, scores and totals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import LANDMARKS, TARGETS, Side, Slot, Target
from mandora.core.records import (
    JointLocation,
    JointScore,
    ModelInfo,
    Reason,
    Status,
    StudyResult,
    Total,
)
from mandora.core.totals import (
    ENOUGH_FOR_TOTAL,
    TOTALS,
    TotalOf,
    Totals,
    all_totals,
    no_film_of,
)
from mandora.images.radiograph import Radiograph
from mandora.locate.locator import FoundLandmarks
from mandora.model.contract import IntervalContract
from mandora.scoring.film import FilmResult


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
        x, y = _in_file(part.radiograph, *seen.box.centre)
        about |= {"x": x, "y": y, "half_px": seen.box.width / 2, "turn_deg": seen.box.turn_deg}
    if not np.isfinite(final):
        reason = part.reasons.get(target.site.landmark_name, Reason.STAGE_FAILED)
        # what is not on the film is not there to be scored, as on a film of a wrist
        status = Status.MISSING if reason is Reason.OUTSIDE_FILM else Status.FAILED
        return JointScore.model_validate({**about, "status": status, "reason": reason})
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
        location(record.name, record.side, i, found, part.radiograph)
        for i in range(len(LANDMARKS[record.limb]))
    ]


def _in_file(radiograph: Radiograph | None, x: float, y: float) -> tuple[float, float]:
    """A place in px of the film's file, where the film was resampled when it was read."""
    return radiograph.in_file(x, y) if radiograph else (x, y)


def location(
    film: str, side: Side, index: int, found: FoundLandmarks, radiograph: Radiograph | None
) -> JointLocation:
    """One landmark of a film as a record.

    Args:
        film: its name.
        side: the patient's side.
        index: of the landmark in ``anatomy.LANDMARKS[found.limb]``.
        found: the film's landmarks.
        radiograph: the film as it was read.
    """
    limb = found.limb
    x, y = _in_file(radiograph, *map(float, found.landmarks[index]))
    placed = bool(np.isfinite(x) and np.isfinite(y))
    return JointLocation(
        film=film, limb=limb, side=side, site=LANDMARKS[limb][index].name,
        x=x if placed else None, y=y if placed else None,
        confidence=float(found.confidence[index]), reason=found.reasons[index],
    )  # fmt: skip


def totals(
    scores: tuple[JointScore, ...], intervals: IntervalContract | None = None
) -> tuple[Total, ...]:
    """The totals of a patient, see :mod:`mandora.core.totals`.

    Args:
        scores: all 86.
        intervals: how sure complete totals are; those of pro-rated ones are as much wider as
            less of the joints was seen.

    Returns:
        One for each of ``totals.TOTALS``, in that order.
    """
    values = all_totals([math.nan if s.score is None else s.score for s in scores])
    return tuple(_total(of, values[of.name], scores, intervals) for of in TOTALS)


def _total(
    of: TotalOf, made: Totals, scores: tuple[JointScore, ...], intervals: IntervalContract | None
) -> Total:
    value, scored = float(made.value[0]), int(made.scored[0])
    about: dict[str, Any] = {
        "name": of.name, "limb": of.part.limb, "side": of.part.side, "kind": of.kind,
        "maximum": made.maximum, "observed": float(made.observed[0]),
        "scored": scored, "expected": made.expected,
    }  # fmt: skip
    if math.isnan(value):
        wanted = [s for t, s in zip(TARGETS, scores, strict=True) if of.wants(t)]
        about["reason"], about["detail"] = _why_no_total(made.maximum, wanted)
    else:
        about |= {"value": value, "method": "complete" if scored == made.expected else "pro-rated"}
        if intervals:
            ends = intervals.of_total(of.name, value, made.maximum, float(made.share[0]))
            about |= dict(zip(("low", "high"), ends or (None, None), strict=True))
    return Total.model_validate(about)


def _why_no_total(maximum: int, scores: Sequence[JointScore]) -> tuple[Reason, str | None]:
    """The reason, and in words which films are lacking.

    Films that were not given are the reason only where no total could be made without them.
    """
    absent = [s for s in scores if s.reason is Reason.FILM_MISSING]
    if sum(s.maximum for s in absent) > maximum * (1 - ENOUGH_FOR_TOTAL):
        return Reason.FILM_MISSING, no_film_of({Slot(s.side, s.limb) for s in absent})
    reasons = {s.reason for s in scores}  # a score that is there has none
    only = reasons.pop() if len(reasons) == 1 else None
    return only or Reason.TOO_FEW_JOINTS, None


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
