"""A model on a labelled data set: all that it finds, beside all that is known."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import (
    LANDMARK_INDEX,
    LANDMARKS,
    SLOTS,
    TARGET_INDEX,
    TARGETS,
    target,
    targets_of,
)
from mandora.core.errors import InputError
from mandora.core.geometry import box_to_grid, limb_size
from mandora.core.parallel.threads import map_threads
from mandora.core.records import REASON_TEXT, Reason
from mandora.damage.evidence import PatchEvidence
from mandora.datasets.dataset import Dataset, DatasetFilm
from mandora.datasets.impressions import Impression
from mandora.images.radiograph import Radiograph
from mandora.locate.template import limb_template
from mandora.metrics import Arrays, Floats
from mandora.scoring.failures import why_failed
from mandora.scoring.film import failed_film
from mandora.scoring.pipeline import Pipeline

MOST_LANDMARKS = max(len(landmarks) for landmarks in LANDMARKS.values())
MASK_THRESHOLD = 0.5  # probability from which a pixel counts as joint space


@dataclass(frozen=True, eq=False)
class Assessed:
    """F films with P landmarks at most, of N patients.

    Attributes:
        films: (F,) those that the arrays are of.
        landmarks: ``film``, ``limb`` (F,), ``size`` (F, 2) width and height in px, ``true`` and
            ``found`` (F, P, 2) px, ``confidence`` (F, P) 0..1; NaN where not marked or not found.
            Marks beyond the edge of a film are not in ``true``: such a joint cannot be found.
            ``beyond`` (F,) is the number of the marks that are left out; 0 if the film could not
            be read, for its size is not known. ``limb_size_px`` (F,) is the limb's size
            (:func:`~mandora.core.geometry.limb_size`) by the marks on the film and beyond it; NaN
            with fewer than two. ``dice`` (F, P) is the overlap of the joint space with the marked
            one, 0..1; NaN where none is marked in the patch, or there is no patch.
        scores: ``patient``, ``person`` (whose id the patient's is), ``fold`` (N,), ``official``
            (N, 86) labels, ``impression`` (N, 86) 0 normal and 1 damaged, ``erosive`` (N, 4) 0 or
            1 by film in the order of ``anatomy.SLOTS``, NaN unknown; and for the frames ``true``
            and ``predicted`` (joints where they are marked, and where they were found)
            ``<frame>_patch``, ``<frame>_tree`` and ``<frame>_blend`` (N, 86).
        reasons: why joints were not scored where they were looked for, with their number.
    """

    films: tuple[DatasetFilm, ...]
    landmarks: Arrays
    scores: Arrays
    reasons: Mapping[Reason, int]


def assess(
    pipeline: Pipeline,
    dataset: Dataset,
    progress: Callable[[int, int], None] = lambda done, count: None,
    warn: Callable[[str], None] = lambda line: None,
) -> Assessed:
    """Score all films of a data set, at marked and at found joints.

    As many films are worked on side by side as keep the model's threads busy; results, messages
    and their order do not depend on it.

    Args:
        pipeline: the model.
        dataset: whole films; what is not known of them is left out of the comparison.
        progress: told (patients done, of how many).
        warn: told of films that could not be used.

    Raises:
        ValueError: if the data set has no whole film.
    """
    of_patient: dict[str, list[DatasetFilm]] = {}
    for film in dataset.films:
        of_patient.setdefault(film.patient, []).append(film)
    if not of_patient:
        raise InputError(f"{dataset.root} has no whole films; a model is tried on films")
    seen: list[_AssessedFilm] = []
    tables: dict[str, list[Floats]] = {}
    unknown, reasons = np.full(len(TARGETS), np.nan), Counter[Reason]()
    every = [film for films in of_patient.values() for film in films]
    assessed = map_threads(partial(_assess_film, pipeline), every, pipeline.films_at_once)
    for done, (name, films) in enumerate(of_patient.items(), start=1):
        patch = {"true": unknown.copy(), "predicted": unknown.copy()}
        for one in itertools.islice(assessed, len(films)):
            seen.append(one)
            for line in one.warnings:
                warn(line)
            for frame, known in (("true", one.at_true), ("predicted", one.at_found)):
                for key, value in known.items():
                    patch[frame][TARGET_INDEX[key]] = value
            reasons.update(one.reasons)
        tables.setdefault("official", []).append(dataset.official.get(name, unknown))
        tables.setdefault("impression", []).append(_impressions(films))
        tables.setdefault("erosive", []).append(_erosive(films))
        for frame, scores in patch.items():
            tree = pipeline.expected(scores)
            made = {"patch": scores, "tree": tree, "blend": pipeline.blended(scores, tree)}
            for stage, row in made.items():
                tables.setdefault(f"{frame}_{stage}", []).append(row)
        progress(done, len(of_patient))
    landmarks = {key: np.stack([one.landmarks[key] for one in seen]) for key in seen[0].landmarks}
    persons = [dataset.persons.get(name, name) for name in of_patient]
    who = {"patient": np.array(list(of_patient)), "person": np.array(persons),
           "fold": np.full(len(of_patient), "all")}  # fmt: skip
    return Assessed(
        tuple(every), landmarks,
        {**who, **{key: np.array(rows) for key, rows in tables.items()}}, reasons,
    )  # fmt: skip


def _impressions(films: Sequence[DatasetFilm]) -> Floats:
    """(86,) what was seen at the sites of a patient: 0 normal, 1 damaged, NaN unknown."""
    worth: dict[str, float] = {Impression.NORMAL: 0.0, Impression.DAMAGED: 1.0}
    made = np.full(len(TARGETS), np.nan)
    for film in films:
        for one in targets_of(film.slot):
            seen = film.impressions.get(one.site.name, "")
            made[TARGET_INDEX[one.key]] = worth.get(seen, np.nan)
    return made


def _erosive(films: Sequence[DatasetFilm]) -> Floats:
    """(4,) the label of each film of a patient, in the order of ``anatomy.SLOTS``."""
    made = np.full(len(SLOTS), np.nan)
    for film in films:
        if film.erosive is not None:
            made[SLOTS.index(film.slot)] = film.erosive
    return made


@dataclass(frozen=True, eq=False)
class _AssessedFilm:
    """One film: a row of each array of :class:`Assessed`, scores at marked and at found joints.

    Attributes:
        landmarks: as in :class:`Assessed`.
        at_true: score by target at marked joints.
        at_found: likewise, at joints that were found.
        reasons: of joints that were not scored where they were found.
        warnings: lines for the user.
    """

    landmarks: Arrays
    at_true: Mapping[str, float]
    at_found: Mapping[str, float]
    reasons: tuple[Reason, ...]
    warnings: tuple[str, ...]


def _assess_film(pipeline: Pipeline, film: DatasetFilm) -> _AssessedFilm:
    warnings: list[str] = []
    slot, name = film.slot, film.name
    size, dice = np.full(2, np.nan), np.full(MOST_LANDMARKS, np.nan)
    true, found = (np.full((MOST_LANDMARKS, 2), np.nan) for _ in range(2))
    confidence = np.full(MOST_LANDMARKS, np.nan)
    true[: len(LANDMARKS[slot.limb])] = film.landmarks
    beyond, at_true = 0, dict[str, float]()
    try:
        radiograph = film.read()
        size[:] = radiograph.shape[::-1]
        off_film = _beyond_film(true, size)
        true[off_film], beyond = np.nan, int(off_film.sum())
        at_found = pipeline.examine(slot, radiograph)
        overlap = _dice(film, radiograph, at_found.evidence, warnings.append)
        at_true = _at_marks(pipeline, film, radiograph, off_film)
    except Exception as error:  # one film must not cost the others theirs
        reason, detail = why_failed(error, name)
        warnings.append(f"{name}: {REASON_TEXT[reason]}: {detail.removeprefix(f'{name}: ')}")
        at_found = failed_film(name, slot, reason, detail)
    else:
        dice[: len(overlap)] = overlap
        if at_found.found is not None:
            count = len(at_found.found.landmarks)
            found[:count] = at_found.found.landmarks
            confidence[:count] = at_found.found.confidence
    landmarks = {
        "film": np.array(name), "limb": np.array(slot.limb.value), "size": size, "true": true,
        "found": found, "confidence": confidence, "beyond": np.array(beyond),
        "limb_size_px": np.array(_limb_size_px(film)), "dice": dice,
    }  # fmt: skip
    reasons = tuple(at_found.reasons.values())
    return _AssessedFilm(landmarks, at_true, at_found.scores, reasons, tuple(warnings))


def _beyond_film(landmarks: Floats, size: Floats) -> NDArray[np.bool_]:
    """(P,): which are marked where a film of that width and height has no pixel."""
    marked: NDArray[np.bool_] = np.all(np.isfinite(landmarks), axis=1)
    on_film: NDArray[np.bool_] = np.all((landmarks >= -0.5) & (landmarks < size - 0.5), axis=1)
    return marked & ~on_film


def _at_marks(
    pipeline: Pipeline, film: DatasetFilm, radiograph: Radiograph, off_film: NDArray[np.bool_]
) -> dict[str, float]:
    """Scores by target key at the marks that lie on the film; all marks tell the limb's size."""
    if not np.isfinite(film.landmarks).all(axis=1).any():
        return {}
    try:
        result = pipeline.examine(film.slot, radiograph, film.landmarks)
    except InputError:  # too few joints are marked to tell how the limb lies
        return {}
    return {
        key: score
        for key, score in result.scores.items()
        if not off_film[LANDMARK_INDEX[film.slot.limb][target(key).site.landmark_name]]
    }


def _limb_size_px(film: DatasetFilm) -> float:
    try:
        return limb_size(film.landmarks, limb_template(film.slot.limb))
    except ValueError:  # too few joints are marked
        return float("nan")


def _dice(
    film: DatasetFilm,
    radiograph: Radiograph,
    evidence: Mapping[str, PatchEvidence],
    warn: Callable[[str], None],
) -> Floats:
    """Overlap at each landmark of the limb; labels that cannot be used cost the overlap only."""
    made = np.full(len(LANDMARKS[film.slot.limb]), np.nan)
    try:
        labels = film.space_map(radiograph.shape)
    except InputError as error:
        warn(str(error))
        return made
    if labels is None:
        return made
    for name, seen in evidence.items():
        index = LANDMARK_INDEX[film.slot.limb][name]
        made[index] = space_dice(seen, labels, index + 1)
    return made


def space_dice(seen: PatchEvidence, spaces: NDArray[np.uint8], own: int) -> float:
    """Dice's overlap of a patch's mask with the joint spaces that lie in the patch.

    Neighbours count: a mask shows every joint space of its patch, as it was taught to.

    Args:
        seen: the patch; its mask counts from ``MASK_THRESHOLD``.
        spaces: (H, W) label map of the whole film, 0 outside of joint spaces.
        own: label of the patch's own joint.

    Returns:
        Twice what both share, by what both have, 0..1, on the px of the mask; NaN if the patch
        holds no part of its own joint's space.
    """
    side = len(seen.mask)
    rows, columns = np.mgrid[:side, :side]
    to_film = box_to_grid(seen.box, (side, side), "mask").inverse
    x, y = np.rint(to_film(np.column_stack([columns.ravel(), rows.ravel()]))).astype(int).T
    height, width = spaces.shape
    on_film = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    truth = spaces[y.clip(0, height - 1), x.clip(0, width - 1)] * on_film
    truth = truth.reshape(side, side)
    if not (truth == own).any():
        return float("nan")
    mask, space = seen.mask >= MASK_THRESHOLD, truth > 0
    return float(2 * (mask & space).sum() / (mask.sum() + space.sum()))
