"""Patch scores by the run's own networks, of patients that did not train these networks.

The trees learn from these scores. The localisers find the joints, as when the model is used. The
scores of each patient are written to the disk at once, so that after a stop only the patients that
were in work are scored again.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import SLOTS, TARGETS, Slot
from mandora.core.errors import InputError
from mandora.core.files import write_atomically
from mandora.core.geometry import Points
from mandora.core.inputs import file_sha256
from mandora.core.parallel.workers import KILLED_ALONE, map_items
from mandora.core.records import ModelInfo
from mandora.core.source import code_digest
from mandora.datasets.content import content_digest
from mandora.datasets.dataset import Dataset, DatasetFilm
from mandora.images.radiograph import Radiograph
from mandora.images.read import read_radiograph
from mandora.locate.orientation import Orientation
from mandora.model.contract import Contract, model_files
from mandora.model.loading import Stages
from mandora.scoring.pipeline import Pipeline
from mandora.simulate.cohort.patients import draw_patient, simulate_film

SCORES_FILE = "patch_scores.jsonl"


class Film(NamedTuple):
    """One film of a patient.

    Attributes:
        slot: side and limb.
        read: reads or simulates the film; a ValueError leaves out that film only.
        landmarks: (N, 2) known landmarks, px of the film; NaN where unknown.
        orientation: of the limb; None: follows from these landmarks.
    """

    slot: Slot
    read: Callable[[], Radiograph]
    landmarks: Points
    orientation: Orientation | None = None


class Patients(Protocol):
    """Patients with films and scores; can be sent to another process."""

    @property
    def key(self) -> str:
        """Names the patients and their films: the same key, the same content."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """Name of a patient in messages and tables."""

    def films(self, index: int) -> Iterable[Film]:
        """The patient's films."""

    def truth(self, index: int) -> NDArray[np.float64]:
        """(86,) training label, SvH points in the order of ``anatomy.TARGETS``; NaN unknown."""

    def official(self, index: int) -> NDArray[np.float64]:
        """(86,) official label, likewise."""


@dataclass(frozen=True)
class SimulatedPatients:
    """Patients of a simulated cohort.

    Attributes:
        count: number of patients.
        seed: of the cohort; another one than of the networks' patients.
        pixels_per_mm: of their films.
    """

    count: int
    seed: int
    pixels_per_mm: float

    @property
    def key(self) -> str:
        """Names the patients."""
        code = code_digest(SimulatedPatients)
        return f"simulated {self.count} {self.seed} {self.pixels_per_mm} {code}"

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        """Name as in a simulated cohort."""
        return draw_patient(self.seed, index).name

    def films(self, index: int) -> Iterator[Film]:
        """All four films."""
        patient = draw_patient(self.seed, index)
        for slot in SLOTS:
            film = simulate_film(patient, slot, pixels_per_mm=self.pixels_per_mm)
            name = f"{patient.name}-{slot.code}"
            yield Film(slot, partial(Radiograph, film.pixels, name, "0" * 64), film.landmarks)

    def truth(self, index: int) -> NDArray[np.float64]:
        """The true grades."""
        grades = draw_patient(self.seed, index).grades
        return np.array([grades[target.key] for target in TARGETS], np.float64)

    official = truth


@dataclass(frozen=True, eq=False)
class LabelledPatients:
    """Patients of a data set that have whole films.

    Attributes:
        dataset: can contain other patients too.
        chosen: the patients, in this order; those without whole films are left out.
    """

    dataset: Dataset
    chosen: tuple[str, ...]

    @cached_property
    def _films(self) -> dict[str, list[DatasetFilm]]:
        found: dict[str, list[DatasetFilm]] = {name: [] for name in self.chosen}
        for film in self.dataset.films:
            if film.patient in found:
                found[film.patient].append(film)
        return {name: films for name, films in found.items() if films}

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(self._films)

    @cached_property
    def key(self) -> str:
        """Names patients, films and scores."""
        films = [film for of_patient in self._films.values() for film in of_patient]
        content = content_digest(self.dataset, films)
        return f"{self.dataset.layout} {content} {code_digest(type(self))}"

    def __len__(self) -> int:
        return len(self._names)

    def name(self, index: int) -> str:
        """Name in the data set."""
        return self._names[index]

    def films(self, index: int) -> Iterator[Film]:
        """The patient's whole films."""
        for film in self._films[self._names[index]]:
            yield Film(film.slot, film.read, film.landmarks)

    def truth(self, index: int) -> NDArray[np.float64]:
        """The readers' weighted mean."""
        return self.dataset.training_scores(self._names[index])

    def official(self, index: int) -> NDArray[np.float64]:
        """The official label."""
        unknown = np.full(len(TARGETS), np.nan)
        return self.dataset.official.get(self._names[index], unknown)


class FoundLimb(NamedTuple):
    """A limb that a localiser has found on a film.

    Attributes:
        landmarks: (N, 2) px of the film; NaN where not found.
        orientation: of the limb.
    """

    landmarks: Points
    orientation: Orientation


@dataclass(frozen=True, eq=False)
class LocatedPatients(LabelledPatients):
    """Patients whose landmarks are those that localisers have found.

    Attributes:
        found: limbs by path of the film, for all their films.
    """

    found: Mapping[Path, FoundLimb]

    @cached_property
    def key(self) -> str:
        """Names patients, films, scores and landmarks."""
        digest = hashlib.sha256()
        for films in self._films.values():
            for film in films:
                landmarks, orientation = self.found[film.path]
                digest.update(landmarks.tobytes() + repr(orientation).encode())
        return f"{super().key} {digest.hexdigest()}"

    def films(self, index: int) -> Iterator[Film]:
        """The patient's whole films."""
        for film in self._films[self._names[index]]:
            yield Film(film.slot, partial(read_radiograph, film.path), *self.found[film.path])


class PatientScores(NamedTuple):
    """The patch scores of one patient.

    Attributes:
        scores: (86,) float64 SvH points; NaN where there is none.
        remarks: films that could not be used, with the reason.
    """

    scores: NDArray[np.float64]
    remarks: tuple[str, ...]


def patch_scores(
    patients: Patients,
    networks: Mapping[str, Path],
    contract: Contract,
    folder: Path,
    workers: int,
    report: Callable[[str], None],
    progress: Callable[[int, int], None],
    *,
    at_known_landmarks: bool = False,
) -> NDArray[np.float64]:
    """Score patients with the networks of a run; resumes an earlier call that was stopped.

    Args:
        patients: whom to score.
        networks: files by their names in a bundle.
        contract: how they are used.
        folder: gets ``patch_scores.jsonl``.
        workers: processes.
        report: called with a line for each film that could not be used.
        progress: called with (done, count).
        at_known_landmarks: use the landmarks of the patients' films instead of localisers.

    Returns:
        (N, 86) float64 SvH points in the order of ``anatomy.TARGETS``, NaN where missing.
    """
    path = folder / SCORES_FILE
    stated = contract.model_dump_json()
    about = {
        "patients": patients.key, "networks": _hashes(networks), "known": at_known_landmarks,
        "contract": stated, "code": code_digest(_score_patient),
    }  # fmt: skip
    head = json.dumps(about)
    rows = _kept(path, head)
    left = range(len(rows), len(patients))
    files = tuple(sorted(networks.items()))
    score = partial(_score_patient, patients, files, stated, at_known_landmarks)
    lost = f"{KILLED_ALONE}; remove {path} to have it tried again"
    unseen = PatientScores(np.full(len(TARGETS), np.nan), (lost,))
    scored = map_items(score, left, workers, lambda _: unseen)
    with path.open("a", encoding="utf-8") as file:
        for index, patient in zip(left, scored, strict=True):
            for remark in patient.remarks:
                report(f"{patients.name(index)}: {remark}")
            rows.append(patient.scores)
            known = {
                t.key: round(float(v), 4) for t, v in zip(TARGETS, patient.scores, strict=True)
                if math.isfinite(v)
            }  # fmt: skip
            file.write(json.dumps({"patient": patients.name(index), "scores": known}) + "\n")
            file.flush()
            progress(index + 1, len(patients))
    return np.array(rows).reshape(len(patients), len(TARGETS))


def _kept(path: Path, head: str) -> list[NDArray[np.float64]]:
    """Scores of an earlier call with the same networks; a file of other networks is replaced.

    Patients from a line on that a crash has torn are scored again.
    """
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    lines = text.splitlines(keepends=True)
    if not lines or lines[0] != head + "\n":
        write_atomically(path, f"{head}\n".encode())
        return []
    kept: list[NDArray[np.float64]] = []
    with suppress(ValueError):
        for line in lines[1:]:
            row = json.loads(line if line.endswith("\n") else "")["scores"]
            kept.append(np.array([row.get(t.key, np.nan) for t in TARGETS], np.float64))
    whole = lines[: 1 + len(kept)]
    if whole != lines:
        write_atomically(path, "".join(whole).encode())
    return kept


Files = tuple[tuple[str, Path], ...]


def _score_patient(
    patients: Patients, files: Files, contract: str, at_known_landmarks: bool, index: int
) -> PatientScores:
    """Score one patient with localisers and damage networks."""
    pipeline = _pipeline(files, contract)
    found: dict[str, float] = {}
    remarks = []
    for slot, read, landmarks, orientation in patients.films(index):
        known = (landmarks, orientation) if at_known_landmarks else ()
        try:
            examined = pipeline.examine(slot, read(), *known)
        except InputError as error:
            remarks.append(str(error))
            continue
        if not examined.scores:
            remarks.append(f"{examined.record.name}: no {slot.limb} was found")
        found.update(examined.scores)
    scores = np.array([found.get(t.key, np.nan) for t in TARGETS], np.float64)
    return PatientScores(scores, tuple(remarks))


@cache
def _pipeline(files: Files, contract: str) -> Pipeline:
    """The networks without trees, loaded once in each process."""
    stated = Contract.model_validate_json(contract)
    model = ModelInfo(
        bundle="run", bundle_version="0", bundle_sha256="0" * 64, preset="fast", software={}
    )
    return Pipeline(Stages.load(stated, dict(files), threads=1), model)


def network_files(contract: Contract) -> tuple[str, ...]:
    """The files of localisers and damage networks."""
    return tuple(name for name in model_files(contract) if name.endswith(".onnx"))


def _hashes(networks: Mapping[str, Path]) -> dict[str, str]:
    return {name: file_sha256(path)[:16] for name, path in sorted(networks.items())}
