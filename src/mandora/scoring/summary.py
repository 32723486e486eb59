"""What a run reports: lines while it runs, and a summary at its end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mandora.core.files import AnyPath
from mandora.core.records import REASON_TEXT, RESEARCH_NOTICE, Status, StudyResult, Total
from mandora.datasets.film_files import Problem
from mandora.model.bundle import Bundle

Progress = Callable[[int, int], None]
"""Called with the number of items done and the number of items."""

Warn = Callable[[str], None]
"""Called with one line for people about an item that failed."""


@dataclass(frozen=True)
class PatientSummary:
    """What a run keeps in memory of one patient; the rest is in the patient's files.

    Attributes:
        patient: the study id.
        scored: joint scores with a value.
        failed: joint scores without a value though there was a film.
        missing: joint scores of films that were not given.
        totals: of all joints, of limbs, sides and films; see :mod:`mandora.core.totals`.
    """

    patient: str
    scored: int
    failed: int
    missing: int
    totals: tuple[Total, ...]

    @staticmethod
    def of(result: StudyResult) -> PatientSummary:
        """The short form of a result."""
        count = Counter(score.status for score in result.scores)
        numbers = (count[Status.SCORED], count[Status.FAILED], count[Status.MISSING])
        return PatientSummary(result.study, *numbers, result.totals)


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
    """

    patients: int
    results: tuple[PatientSummary, ...]
    problems: tuple[Problem, ...]
    out: Path
    seconds: float
    bundle: Bundle
    only: StudyResult | None = None

    @property
    def scored(self) -> int:
        """Number of patients of whom at least one joint was scored and written."""
        return sum(result.scored > 0 for result in self.results)

    def to_json(self) -> str:
        """The summary as one JSON object, for programs; missing totals are null."""
        manifest = self.bundle.manifest
        content = {
            "patients": self.patients,
            "scored": self.scored,
            "failed": self.patients - self.scored,
            "out": str(self.out),
            "seconds": round(self.seconds, 3),
            "problems": [_as_json(problem) for problem in self.problems],
            "results": [
                {
                    "patient": r.patient,
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
        return json.dumps(content, indent=2, allow_nan=False)


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
        "film": problem.path_name or None,
        "side": slot.side.value if slot else None,
        "limb": slot.limb.value if slot else None,
        "reason": problem.reason.value,
        "text": REASON_TEXT[problem.reason],
        "detail": problem.detail,
    }
