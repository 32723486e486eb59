"""What a run reports: lines while it runs, and a summary at its end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mandora.core.files import AnyPath
from mandora.core.records import REASON_TEXT, RESEARCH_NOTICE, Status, StudyResult, Total
from mandora.datasets.intake.rows import Problem
from mandora.model.bundle import Bundle

Progress = Callable[[int, int], None]
"""Called with the number of items done and the number of items."""

Warn = Callable[[str], None]
"""Called with one line for people about an item that failed."""


class Remark(NamedTuple):
    """What the user of a result should know of a film.

    Attributes:
        patient: the study id.
        visit: None if it is not known.
        film: its name.
        text: the remark.
    """

    patient: str
    visit: str | None
    film: str
    text: str


@dataclass(frozen=True)
class FileCount:
    """What became of the files of a run; the three add up to all of them.

    Attributes:
        scored: films of which at least one joint was scored, and that something places.
        guessed: likewise, but only the picture said which limb or side they show.
        refused: all others.
    """

    scored: int = 0
    guessed: int = 0
    refused: int = 0

    @property
    def all(self) -> int:
        """Number of files that were given or found."""
        return self.scored + self.guessed + self.refused

    def __str__(self) -> str:
        files = "1 file" if self.all == 1 else f"{self.all} files"
        return f"{files}: {self.scored} scored, {self.guessed} guessed, {self.refused} refused"


@dataclass(frozen=True)
class PatientSummary:
    """What a run keeps in memory of one patient; the rest is in the patient's files.

    Attributes:
        patient: the study id.
        scored: joint scores with a value.
        failed: joint scores without a value though there was a film.
        missing: joint scores of films that were not given.
        totals: of all joints, of limbs, sides and films; see :mod:`mandora.core.totals`.
        visit: None if it is not known.
        remarks: on the films.
    """

    patient: str
    scored: int
    failed: int
    missing: int
    totals: tuple[Total, ...]
    visit: str | None = None
    remarks: tuple[Remark, ...] = ()

    @staticmethod
    def of(result: StudyResult) -> PatientSummary:
        """The short form of a result."""
        count = Counter(score.status for score in result.scores)
        numbers = (count[Status.SCORED], count[Status.FAILED], count[Status.MISSING])
        remarks = tuple(
            Remark(result.study, result.visit, film.name, text)
            for film in result.films
            for text in film.told
        )
        return PatientSummary(result.study, *numbers, result.totals, result.visit, remarks)


@dataclass(frozen=True)
class Summary:
    """The outcome of :func:`score_films`.

    Attributes:
        patients: number of patients that were found.
        results: the patients whose results were written, in that order.
        problems: everything that failed, in that order. ``path_name`` is empty where a patient
            as a whole failed.
        out: the folder with the results.
        seconds: how long it took.
        bundle: the model.
        only: the full result if just one patient was found.
        files: what became of the files.
    """

    patients: int
    results: tuple[PatientSummary, ...]
    problems: tuple[Problem, ...]
    out: Path
    seconds: float
    bundle: Bundle
    only: StudyResult | None = None
    files: FileCount = FileCount()

    @property
    def scored(self) -> int:
        """Number of patients of whom at least one joint was scored and written."""
        return len({result.patient for result in self.results if result.scored > 0})

    def to_json(self) -> str:
        """The summary as one JSON object, for programs; missing totals are null."""
        where = {"out": str(self.out), "seconds": round(self.seconds, 3)}
        return json.dumps(self._content(where), indent=2, allow_nan=False)

    def to_file(self) -> bytes:
        """The content of ``summary.json``: the summary without what differs between two runs."""
        text = json.dumps(self._content({}), indent=2, allow_nan=False, ensure_ascii=False)
        return f"{text}\n".encode()

    def _content(self, where: Mapping[str, Any]) -> dict[str, Any]:
        manifest = self.bundle.manifest
        return {
            "patients": self.patients,
            "scored": self.scored,
            "failed": self.patients - self.scored,
            **where,
            "files": {
                "all": self.files.all,
                "scored": self.files.scored,
                "guessed": self.files.guessed,
                "refused": self.files.refused,
            },
            "remarks": [remark._asdict() for r in self.results for remark in r.remarks],
            "problems": [_as_json(problem) for problem in self.problems],
            "results": [
                {
                    "patient": r.patient,
                    "visit": r.visit,
                    "joints": {"scored": r.scored, "failed": r.failed, "missing": r.missing},
                    "totals": {t.name: t.model_dump(mode="json") for t in r.totals},
                }
                for r in self.results
            ],
            "bundle": {
                "name": manifest.name,
                "version": manifest.version,
                "sha256": self.bundle.sha256,
            },
            "notice": RESEARCH_NOTICE,
        }


def remark_line(remark: Remark) -> str:
    """A remark as one line for people: the film and what its user should know."""
    item = remark.film
    if not item.startswith(remark.patient):
        item = f"{remark.patient}/{item}"
    return " ".join(f"{item}: remark: {remark.text}".split())


def problem_line(problem: Problem) -> str:
    """A problem as one line for people: the item, the reason in words, the detail."""
    item, study = problem.path_name, problem.study
    detail = problem.detail.removeprefix(f"{item}: ")
    if study and not item.startswith(study):
        item = f"{study}/{item}" if item else study
    return " ".join(f"{item}: {REASON_TEXT[problem.reason]}: {detail}".split())


def first_few(paths: Sequence[AnyPath]) -> str:
    """The first few paths, for a message."""
    more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
    return ", ".join(map(str, paths[:5])) + more


def _as_json(problem: Problem) -> dict[str, Any]:
    slot = problem.slot
    return {
        "patient": problem.study,
        "visit": problem.visit,
        "film": problem.path_name or None,
        "side": slot.side.value if slot else None,
        "limb": slot.limb.value if slot else None,
        "reason": problem.reason.value,
        "text": REASON_TEXT[problem.reason],
        "detail": problem.detail,
    }
