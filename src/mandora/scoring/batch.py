"""Scoring many patients, some side by side, into one folder of results."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Literal

from mandora.core.anatomy import Slot
from mandora.core.errors import InputError
from mandora.core.files import AnyPath, OutputError, paths_of, write_atomically
from mandora.core.parallel.threads import map_threads
from mandora.core.records import Reason, Status, StudyResult
from mandora.datasets.formats.ra2.tables import read_template
from mandora.datasets.intake.plan import AS_FOUND, Intake, make_plan
from mandora.datasets.intake.rows import Plan, Problem, VisitFilms
from mandora.datasets.intake.slots import studies_of
from mandora.model.bundle import Bundle
from mandora.outputs.dicom_folder import DicomFolder, PatientFiles
from mandora.outputs.pictures import Pictures, draw_pictures
from mandora.outputs.table import ProblemRow
from mandora.outputs.writer import UNDATED, ResultWriter
from mandora.scoring.failures import why_failed
from mandora.scoring.pipeline import Pipeline, Rejected, ScoredStudy
from mandora.scoring.placing import PlacedFilms, planned_of
from mandora.scoring.summary import (
    FileCount,
    PatientSummary,
    Progress,
    Summary,
    Warn,
    first_few,
    problem_line,
    remark_line,
)

SUMMARY_FILE = "summary.json"

_LOG = logging.getLogger(__name__)
Dicom = Literal["as given", "deidentified"]


def score_films(
    inputs: AnyPath | Sequence[AnyPath],
    out: AnyPath,
    *,
    bundle: Bundle,
    template: AnyPath | None = None,
    intake: Intake = AS_FOUND,
    threads: int = 2,
    dicom: Dicom | None = None,
    progress: Progress = lambda done, total: None,
    warn: Warn = lambda line: None,
) -> Summary:
    """Score patients; each is written as soon as it and those before it are scored.

    As many patients as there are threads are worked on side by side, so that one is drawn while
    another is scored. Results, messages and their order do not depend on the number of threads.

    Folders that an earlier run or a simulated cohort left among the inputs, such as overlays, are
    skipped.

    Args:
        inputs: film files, folders and zip archives, see :mod:`mandora.datasets.intake.plan`; may
            be empty if there is a manifest.
        out: folder for the results, see :class:`~mandora.outputs.writer.ResultWriter`.
        bundle: the model.
        template: CSV file whose columns ``scores.csv`` gets.
        intake: how films are taken in. The key of pseudonyms lies in ``out`` if no other is named.
        threads: processor threads, and patients in memory at a time.
        dicom: also write DICOM objects of patients with DICOM films: as they are, or
            de-identified.
        progress: called after each patient.
        warn: called with each item that failed, when it fails, and with each remark on a film.

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
    plan = make_plan(inputs, intake.with_key_in(out))
    visits = studies_of(plan)
    _LOG.info("%d visits, %d files that are not used", len(visits), len(plan.problems))
    if not visits and not plan.problems:
        raise InputError(
            f"no film in {first_few(inputs)}; name films <patient>-LH.jpg, -RH, -LF, -RF"
        )
    folder = DicomFolder(out, deidentify=dicom == "deidentified") if dicom else None
    pipeline = Pipeline.from_bundle(bundle, threads)
    created = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    # patients side by side keep all threads busy, films do so where there is one patient
    films_at_once = 1 if len(visits) > 1 else pipeline.films_at_once
    worker = _Worker(pipeline, created, _first_ids(visits), films_at_once)
    known = any(visit.visit for visit in visits)
    with ResultWriter(out, columns, visits=known) as writer:
        run = _Run(writer, warn, folder)
        run.note_unplaced(plan, visits)
        result, total = None, len(visits)
        progress(0, total)
        worked = map_threads(worker.work, visits, pipeline.films_at_once)
        for done, one in enumerate(worked, start=1):
            result = run.write(one)
            progress(done, total)
    summary = Summary(
        len({visit.study for visit in visits}), tuple(run.results), tuple(run.problems), out,
        time.monotonic() - start, bundle, result if total == 1 else None, run.files,
    )  # fmt: skip
    write_atomically(out / SUMMARY_FILE, summary.to_file())
    return summary


def rejected_films(visit: VisitFilms, more: Sequence[Problem] = ()) -> dict[Slot, Rejected]:
    """The films of a patient that are not used, as the pipeline records them.

    Args:
        visit: the patient's films.
        more: what was found when their pictures were looked at.
    """
    rejected: dict[Slot, Rejected] = {}
    for p in (*visit.rejected, *more):
        if p.slot is not None and p.slot not in visit.films:
            name = PurePosixPath(p.path_name).name
            rejected.setdefault(p.slot, Rejected(name, p.reason, p.detail))
    return rejected


def _first_ids(visits: Sequence[VisitFilms]) -> dict[str, str]:
    """Patient ids as they are given first, by their form without capitals."""
    ids: dict[str, str] = {}
    for study in visits:
        ids.setdefault(study.study.casefold(), study.study)
    return ids


@dataclass(frozen=True)
class _Worked:
    """What became of one patient, before anything is written.

    Attributes:
        study: the patient's films.
        placed: by limb, after their pictures were looked at.
        result: the record; None if the patient could not be scored.
        pictures: None if they could not be drawn.
        sources: what DICOM objects are made from; None without pictures.
        error: why there is no result, or why there are no pictures.
        same_id: another patient whose id differs in capitals only; this one was not scored.
        seconds: that it took.
    """

    study: VisitFilms
    placed: PlacedFilms | None = None
    result: StudyResult | None = None
    pictures: Pictures | None = None
    sources: PatientFiles | None = None
    error: Exception | None = None
    same_id: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class _Worker:
    """Scores and draws patients, several at a time; what goes wrong with one stays with it."""

    pipeline: Pipeline
    created: str
    first_ids: Mapping[str, str]
    films_at_once: int

    def work(self, study: VisitFilms) -> _Worked:
        same = self.first_ids[study.study.casefold()]
        if same != study.study:
            return _Worked(study, same_id=same)
        start, placed, result = time.monotonic(), None, None
        try:
            placed = self.pipeline.place(study)
            rejected = rejected_films(study, placed.problems)
            scored = self.pipeline.score(
                study.study, placed.films, rejected, self.films_at_once, study.visit
            )
            result = scored.result
            pictures = draw_pictures(result, scored.radiographs, scored.evidence, self.created)
        except Exception as error:  # the other patients are still scored
            return _Worked(study, placed, result, error=error)
        sources = _sources(study, placed, scored, pictures)
        seconds = time.monotonic() - start
        return _Worked(study, placed, result, pictures, sources, seconds=seconds)


@dataclass
class _Run:
    """What a run of :func:`score_films` has written and noted so far."""

    writer: ResultWriter
    warn: Warn
    dicom: DicomFolder | None
    results: list[PatientSummary] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    files: FileCount = field(default_factory=FileCount)

    def note_unplaced(self, plan: Plan, visits: Sequence[VisitFilms]) -> None:
        """Note the files that are in no record of a patient who is going to be scored."""
        # of several films of a limb, the record names the first; the others have rows of their own
        recorded = {
            (visit.study, visit.visit, film.name)
            for visit in visits
            for film in rejected_films(visit).values()
        }
        for problem in plan.problems:
            name = PurePosixPath(problem.path_name).name
            if problem.slot is None or (problem.study, problem.visit, name) not in recorded:
                self._note(problem, row=True)
        self._count(refused=len(plan.problems))

    def write(self, worked: _Worked) -> StudyResult | None:
        """Write one patient and note what failed; None if the patient failed."""
        study, result = worked.study, worked.result
        if worked.same_id is not None:
            detail = (
                f"it differs from {worked.same_id!r} in capitals only, which some file systems do "
                "not distinguish; rename the films of one of them"
            )
            self._note_patient(study, Reason.BAD_STUDY_ID, detail)
            return None
        try:
            if worked.placed is not None:
                self._note_placing(worked.placed, result)
            if result is not None:
                self._note_films(result)
                self.writer.write(result, worked.pictures, one_of_several=study.one_of_several)
            if worked.error is not None:
                raise worked.error
        except OutputError as error:
            self._note_patient(study, Reason.OUTPUT_FAILED, str(error))
            return None
        except Exception as error:  # the other patients are still written
            self._note_patient(study, *why_failed(error, study.study))
            return None
        assert result is not None  # there was no error
        if self.dicom is not None and worked.sources is not None:
            self._write_dicom(study, worked.sources)
        summary = PatientSummary.of(result)
        for remark in summary.remarks:
            self.warn(remark_line(remark))
        self._count_films(worked, result)
        self.results.append(summary)
        _LOG.info(
            "%s: %d of %d films used, %d scores, in %.2f s", study.study,
            sum(film.status is Status.SCORED for film in result.films),
            len(planned_of(study)) + len(study.rejected), summary.scored, worked.seconds,
        )  # fmt: skip
        return result

    def _note_placing(self, placed: PlacedFilms, result: StudyResult | None) -> None:
        """Say which films could not be placed, if no record of a film says it."""
        recorded = {(Slot(f.side, f.limb), f.name) for f in result.films} if result else set()
        for problem in placed.problems:
            if (problem.slot, PurePosixPath(problem.path_name).name) not in recorded:
                self._note(problem, row=True)

    def _note_films(self, result: StudyResult) -> None:
        """Say what failed, film by film."""
        for problem in _failures(result):
            self._note(problem, row=False)

    def _count_films(self, worked: _Worked, result: StudyResult) -> None:
        """Count the files of a patient by what became of them."""
        records = {Slot(film.side, film.limb): film for film in result.films}
        slots = worked.placed.slots if worked.placed else ()
        for planned, of in zip(planned_of(worked.study), slots, strict=True):
            files = len(planned.also) or 1
            done = [records[slot] for slot in of if records[slot].status is Status.SCORED]
            if not done:
                self._count(refused=files)
            elif any(film.guessed for film in done):
                self._count(guessed=files)
            else:
                self._count(scored=files)

    def _count(self, scored: int = 0, guessed: int = 0, refused: int = 0) -> None:
        old = self.files
        self.files = FileCount(old.scored + scored, old.guessed + guessed, old.refused + refused)

    def _note_patient(self, study: VisitFilms, reason: Reason, detail: str) -> None:
        self._note(Problem("", reason, detail, study.study, visit=study.visit), row=True)
        self._count(refused=sum(len(film.also) or 1 for film in planned_of(study)))

    def _write_dicom(self, study: VisitFilms, sources: PatientFiles) -> None:
        """The patient's DICOM objects; without them the patient still counts as scored."""
        assert self.dicom is not None
        try:
            self.dicom.write(sources)
        except Exception as error:  # the other patients are still written
            reason, detail = why_failed(error, study.study)
            usable = isinstance(error, InputError | OutputError)
            reason = Reason.OUTPUT_FAILED if usable else reason
            self._note(Problem("", reason, detail, study.study, visit=study.visit), row=True)

    def _note(self, problem: Problem, *, row: bool) -> None:
        """Keep a problem and warn of it; ``row``: joints.csv needs a row of its own for it."""
        self.problems.append(problem)
        self.warn(problem_line(problem))
        if row:
            side = problem.slot.side.value if problem.slot else ""
            self.writer.write_problem(ProblemRow(
                problem.path_name, problem.reason, problem.study or "", problem.visit or "", side,
                problem.detail,
            ))  # fmt: skip


def _sources(
    study: VisitFilms, placed: PlacedFilms, scored: ScoredStudy, pictures: Pictures
) -> PatientFiles:
    slots = {film.name: Slot(film.side, film.limb) for film in scored.result.films}
    return PatientFiles(
        scored.result,
        {name: placed.films[slot].path for name, slot in slots.items() if slot in placed.films},
        {name: film.shape for name, film in scored.radiographs.items()},
        scored.evidence,
        pictures.overlays,
        (study.visit or UNDATED) if study.one_of_several else None,
    )


def _failures(result: StudyResult) -> list[Problem]:
    """What failed on one patient's films: the whole film, or joints by reason."""
    problems = []
    for film in result.films:
        slot = Slot(film.side, film.limb)
        if film.status is Status.FAILED:
            reason = film.reason or Reason.STAGE_FAILED
            problems.append(
                Problem(film.name, reason, film.detail or "", result.study, slot, result.visit)
            )
            continue
        failed: dict[Reason, dict[str, None]] = {}
        for score in result.scores:
            if score.film == film.name and score.status is Status.FAILED and score.reason:
                failed.setdefault(score.reason, {})[score.site] = None
        problems += [
            Problem(film.name, reason, ", ".join(sites), result.study, slot, result.visit)
            for reason, sites in failed.items()
        ]
    return problems
