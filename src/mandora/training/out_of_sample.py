"""Patch scores of patients that the networks never saw, by the run's own networks.

The trees learn from these. Joints are where the localisers find them, as they will be when the
model is used. Each patient's scores are on the disk before the next one's are asked for, so that
a stop costs no more than the patients that are being looked at.
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
from mandora.core.parallel.workers import KILLED_ALONE, in_order
from mandora.core.records import ModelInfo
from mandora.core.source import code_digest
from mandora.datasets.content import content_digest
from mandora.datasets.dataset import Dataset, DatasetFilm
from mandora.images.radiograph import Radiograph
from mandora.images.read import read_radiograph
from mandora.locate.views import View
from mandora.model.contract import Contract, model_files
from mandora.model.loading import Stages
from mandora.scoring.pipeline import Pipeline
from mandora.simulate.cohort.patients import draw_patient, simulate_film

SCORES_FILE = "patch_scores.jsonl"


class Film(NamedTuple):
    """One film of a patient.

    Attributes:
        slot: which.
        read: reads or draws it; a ValueError costs that film only.
        landmarks: (N, 2) where its joints are known to be, px of the film; NaN where not known.
        view: how the limb lies there; None: as these landmarks say.
    """

    slot: Slot
    read: Callable[[], Radiograph]
    landmarks: Points
    view: View | None = None


class Patients(Protocol):
    """Patients with films and scores; can be handed to another process."""

    @property
    def key(self) -> str:
        """Names the patients and their films."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """What messages and tables call a patient."""

    def films(self, index: int) -> Iterable[Film]:
        """The films that there are."""

    def truth(self, index: int) -> NDArray[np.float64]:
        """(86,) true scores for training, in the order of ``anatomy.TARGETS``; NaN unknown."""

    def official(self, index: int) -> NDArray[np.float64]:
        """(86,) likewise, to measure by."""


@dataclass(frozen=True)
class SimulatedPatients:
    """Patients of a simulated cohort.

    Attributes:
        count: how many.
        seed: of the cohort; not that of the networks' patients.
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
        """As in a simulated cohort."""
        return draw_patient(self.seed, index).name

    def films(self, index: int) -> Iterator[Film]:
        """All four."""
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
        dataset: may have others.
        chosen: those that are meant, in their order; those without whole films are left out.
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
        """The data set's own."""
        return self._names[index]

    def films(self, index: int) -> Iterator[Film]:
        """Those that there are."""
        for film in self._films[self._names[index]]:
            yield Film(film.slot, partial(read_radiograph, film.path), film.landmarks)

    def truth(self, index: int) -> NDArray[np.float64]:
        """The readers' weighted mean."""
        return self.dataset.training_scores(self._names[index])

    def official(self, index: int) -> NDArray[np.float64]:
        """The official label."""
        unknown = np.full(len(TARGETS), np.nan)
        return self.dataset.official.get(self._names[index], unknown)


class FoundLimb(NamedTuple):
    """What a localiser has found on a film.

    Attributes:
        landmarks: (N, 2) px of the film; NaN where not found.
        view: how the limb lies there.
    """

    landmarks: Points
    view: View


@dataclass(frozen=True, eq=False)
class LocatedPatients(LabelledPatients):
    """Patients whose joints are known to be where localisers have found them.

    Attributes:
        found: by path of the film, of all their films.
    """

    found: Mapping[Path, FoundLimb]

    @cached_property
    def key(self) -> str:
        """Names patients, films, scores and places."""
        digest = hashlib.sha256()
        for films in self._films.values():
            for film in films:
                landmarks, view = self.found[film.path]
                digest.update(landmarks.tobytes() + repr(view).encode())
        return f"{super().key} {digest.hexdigest()}"

    def films(self, index: int) -> Iterator[Film]:
        """Those that there are."""
        for film in self._films[self._names[index]]:
            yield Film(film.slot, partial(read_radiograph, film.path), *self.found[film.path])


class Seen(NamedTuple):
    """What the networks say of one patient.

    Attributes:
        scores: (86,) float64 patch scores; NaN where there is none.
        complaints: films that could not be used, and why.
    """

    scores: NDArray[np.float64]
    complaints: tuple[str, ...]


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
    """Score patients with a run's networks; goes on where an earlier call was stopped.

    Args:
        patients: whom.
        networks: the files, by their names in a bundle.
        contract: how they are used.
        folder: where the scores are kept, in ``patch_scores.jsonl``.
        workers: processes.
        report: told of films that could not be used.
        progress: told (done, count).
        at_known_landmarks: joints are where the patients' films say, and are not looked for.

    Returns:
        (N, 86) float64 SvH points in the order of ``anatomy.TARGETS``, NaN where missing.
    """
    path = folder / SCORES_FILE
    stated = contract.model_dump_json()
    about = {
        "patients": patients.key, "networks": _hashes(networks), "known": at_known_landmarks,
        "contract": stated, "code": code_digest(_look),
    }  # fmt: skip
    head = json.dumps(about)
    rows = _kept(path, head)
    left = range(len(rows), len(patients))
    files = tuple(sorted(networks.items()))
    look = partial(_look, patients, files, stated, at_known_landmarks)
    lost = f"{KILLED_ALONE}; remove {path} to have it tried again"
    unseen = Seen(np.full(len(TARGETS), np.nan), (lost,))
    seen_of = in_order(look, left, workers, lambda _: unseen)
    with path.open("a", encoding="utf-8") as file:
        for index, seen in zip(left, seen_of, strict=True):
            for complaint in seen.complaints:
                report(f"{patients.name(index)}: {complaint}")
            rows.append(seen.scores)
            known = {
                t.key: round(float(v), 4) for t, v in zip(TARGETS, seen.scores, strict=True)
                if math.isfinite(v)
            }  # fmt: skip
            file.write(json.dumps({"patient": patients.name(index), "scores": known}) + "\n")
            file.flush()
            progress(index + 1, len(patients))
    return np.array(rows).reshape(len(patients), len(TARGETS))


def _kept(path: Path, head: str) -> list[NDArray[np.float64]]:
    """Scores of an earlier call with the same networks; a file of others is begun anew.

    From a line on that a crash has torn, patients are scored again.
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


def _look(
    patients: Patients, files: Files, contract: str, at_known_landmarks: bool, index: int
) -> Seen:
    """One patient through localisers and damage networks."""
    pipeline = _pipeline(files, contract)
    found: dict[str, float] = {}
    complaints = []
    for slot, read, landmarks, view in patients.films(index):
        known = (landmarks, view) if at_known_landmarks else ()
        try:
            examined = pipeline.examine(slot, read(), *known)
        except InputError as error:
            complaints.append(str(error))
            continue
        if not examined.scores:
            complaints.append(f"{examined.record.name}: no {slot.limb} was found")
        found.update(examined.scores)
    scores = np.array([found.get(t.key, np.nan) for t in TARGETS], np.float64)
    return Seen(scores, tuple(complaints))


@cache
def _pipeline(files: Files, contract: str) -> Pipeline:
    """The networks without trees, once in each process."""
    stated = Contract.model_validate_json(contract)
    model = ModelInfo(
        bundle="run", bundle_version="0", bundle_sha256="0" * 64, preset="fast", software={}
    )
    return Pipeline(Stages.load(stated, dict(files), threads=1), model)


def network_files(contract: Contract) -> tuple[str, ...]:
    """The files of localisers and damage networks."""
    return tuple(name for name in model_files(contract) if name.endswith(".onnx"))


def _hashes(networks: Mapping[str, Path]) -> dict[str, str]:
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        for name, path in sorted(networks.items())
    }
