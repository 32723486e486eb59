"""Scoring many patients, one after the other, into one folder of results."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from mandora.core.anatomy import Slot
from mandora.core.errors import InputError
from mandora.core.files import AnyPath, OutputError, paths_of
from mandora.core.records import Reason, Status, StudyResult
from mandora.datasets.film_files import FoundStudies, Problem, StudyFiles, find_studies
from mandora.datasets.formats.ra2.tables import read_template
from mandora.model.bundle import Bundle
from mandora.outputs.writer import ResultWriter
from mandora.scoring.failures import why_failed
from mandora.scoring.pipeline import Pipeline, Rejected, ScoredStudy
from mandora.scoring.summary import (
    PatientSummary,
    Progress,
    Summary,
    Warn,
    first_few,
    problem_line,
)

_LOG = logging.getLogger(__name__)


def score_films(
    inputs: AnyPath | Sequence[AnyPath],
    out: AnyPath,
    *,
    bundle: Bundle,
    template: AnyPath | None = None,
    threads: int = 2,
    progress: Progress = lambda done, total: None,
    warn: Warn = lambda line: None,
) -> Summary:
    """Score patients one after the other; each is written as soon as it is scored.

    Folders that an earlier run or a simulated cohort left among the inputs, such as overlays, are
    skipped.

    Args:
        inputs: film files, and folders that are searched two levels deep, see
            :func:`~mandora.datasets.film_files.find_studies`.
        out: folder for the results, see :class:`~mandora.outputs.writer.ResultWriter`.
        bundle: the model.
        template: CSV file whose columns ``scores.csv`` gets.
        threads: processor threads.
        progress: called after each patient.
        warn: called with each item that failed, when it fails.

    Raises:
        ValueError: if the call cannot be used: an input that does not exist or cannot be
            first_few, no film at all, an unusable template, bundle or output folder.
        OSError: if the output folder cannot be written.
        OutputError: if the tables cannot be written any more, for instance because the disk is
            full. Finished patients stay, as they do on any other exception.
    """
    start = time.monotonic()
    inputs, out = paths_of(inputs), Path(out)
    columns = read_template(Path(template)) if template else None
    found = find_studies(inputs)
    _LOG.info("%d patients, %d files that are not used", len(found.studies), len(found.problems))
    if not found.studies and not found.problems:
        raise InputError(
            f"no film in {first_few(inputs)}; name films <patient>-LH.jpg, -RH, -LF, -RF"
        )
    pipeline = Pipeline.from_bundle(bundle, threads)
    created = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    with ResultWriter(out, columns, created) as writer:
        run = _Run(pipeline, writer, warn)
        run.note_unplaced(found)
        result, total = None, len(found.studies)
        progress(0, total)
        for done, study in enumerate(found.studies, start=1):
            result = run.score(study)
            progress(done, total)
    return Summary(
        total, tuple(run.results), tuple(run.problems), out,
        time.monotonic() - start, bundle, result if total == 1 else None,
    )  # fmt: skip


def rejected_films(study: StudyFiles) -> dict[Slot, Rejected]:
    """The films of a patient that are not used, as the pipeline records them."""
    return {p.slot: Rejected(p.path_name, p.reason, p.detail) for p in study.rejected if p.slot}


@dataclass
class _Run:
    """The state of a run of :func:`score_films`."""

    pipeline: Pipeline
    writer: ResultWriter
    warn: Warn
    results: list[PatientSummary] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    _ids: dict[str, str] = field(default_factory=dict)  # patient id: case-folded → as given

    def note_unplaced(self, found: FoundStudies) -> None:
        """Note the files that belong to no patient who is going to be scored."""
        known = {study.study for study in found.studies}
        for problem in found.problems:
            if problem.slot is None or problem.study not in known:
                self._note(problem, row=True)

    def score(self, study: StudyFiles) -> StudyResult | None:
        """Score and write one patient; None if that failed."""
        same = self._ids.setdefault(study.study.casefold(), study.study)
        if same != study.study:
            detail = (
                f"it differs from {same!r} in capitals only, which some file systems do not "
                "distinguish; rename the films of one of them"
            )
            self._note_patient(study, Reason.BAD_STUDY_ID, detail)
            return None
        start = time.monotonic()
        try:
            scored = self._scored(study)
            for problem in _failures(scored.result):
                self._note(problem, row=False)
            self.writer.write(scored.result, scored.radiographs, scored.evidence)
        except OutputError as error:
            self._note_patient(study, Reason.OUTPUT_FAILED, str(error))
            return None
        except Exception as error:  # the other patients are still scored
            self._note_patient(study, *why_failed(error, study.study))
            return None
        summary = PatientSummary.of(scored.result)
        self.results.append(summary)
        _LOG.info(
            "%s: %d of %d films used, %d scores, in %.2f s", study.study,
            sum(film.status is Status.SCORED for film in scored.result.films),
            len(study.films) + len(study.rejected), summary.scored, time.monotonic() - start,
        )  # fmt: skip
        return scored.result

    def _scored(self, study: StudyFiles) -> ScoredStudy:
        return self.pipeline.score(study.study, study.films, rejected_films(study))

    def _note_patient(self, study: StudyFiles, reason: Reason, detail: str) -> None:
        self._note(Problem("", reason, detail, study.study), row=True)

    def _note(self, problem: Problem, *, row: bool) -> None:
        """Keep a problem and warn of it; ``row``: joints.csv needs a row of its own for it."""
        self.problems.append(problem)
        self.warn(problem_line(problem))
        if row:
            side = problem.slot.side.value if problem.slot else ""
            self.writer.write_problem(problem.path_name, problem.reason, problem.study or "", side)


def _failures(result: StudyResult) -> list[Problem]:
    """What failed on one patient's films: the whole film, or joints by reason."""
    problems = []
    for film in result.films:
        slot = Slot(film.side, film.limb)
        if film.status is Status.FAILED:
            reason = film.reason or Reason.STAGE_FAILED
            problems.append(Problem(film.name, reason, film.detail or "", result.study, slot))
            continue
        failed: dict[Reason, dict[str, None]] = {}
        for score in result.scores:
            if score.film == film.name and score.status is Status.FAILED and score.reason:
                failed.setdefault(score.reason, {})[score.site] = None
        problems += [
            Problem(film.name, reason, ", ".join(sites), result.study, slot)
            for reason, sites in failed.items()
        ]
    return problems
