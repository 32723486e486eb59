"""Scoring many patients, some side by side, into one folder of results."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from mandora.core.anatomy import Slot
from mandora.core.errors import InputError
from mandora.core.files import AnyPath, OutputError, paths_of
from mandora.core.parallel.threads import map_threads
from mandora.core.records import Reason, Status, StudyResult
from mandora.datasets.film_files import FoundStudies, Problem, StudyFiles, find_studies
from mandora.datasets.formats.ra2.tables import read_template
from mandora.model.bundle import Bundle
from mandora.outputs.dicom_folder import DicomFolder, PatientFiles
from mandora.outputs.pictures import Pictures, draw_pictures
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
Dicom = Literal["as given", "deidentified"]


def score_films(
    inputs: AnyPath | Sequence[AnyPath],
    out: AnyPath,
    *,
    bundle: Bundle,
    template: AnyPath | None = None,
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
        inputs: film files, and folders that are searched two levels deep, see
            :func:`~mandora.datasets.film_files.find_studies`.
        out: folder for the results, see :class:`~mandora.outputs.writer.ResultWriter`.
        bundle: the model.
        template: CSV file whose columns ``scores.csv`` gets.
        threads: processor threads, and patients in memory at a time.
        dicom: also write DICOM objects of patients with DICOM films: as they are, or
            de-identified.
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
    folder = DicomFolder(out, deidentify=dicom == "deidentified") if dicom else None
    pipeline = Pipeline.from_bundle(bundle, threads)
    created = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    # patients side by side keep all threads busy, films do so where there is one patient
    films_at_once = 1 if len(found.studies) > 1 else pipeline.films_at_once
    worker = _Worker(pipeline, created, _first_ids(found), films_at_once)
    with ResultWriter(out, columns) as writer:
        run = _Run(writer, warn, folder)
        run.note_unplaced(found)
        result, total = None, len(found.studies)
        progress(0, total)
        worked = map_threads(worker.work, found.studies, pipeline.films_at_once)
        for done, one in enumerate(worked, start=1):
            result = run.write(one)
            progress(done, total)
    return Summary(
        total, tuple(run.results), tuple(run.problems), out,
        time.monotonic() - start, bundle, result if total == 1 else None,
    )  # fmt: skip


def rejected_films(study: StudyFiles) -> dict[Slot, Rejected]:
    """The films of a patient that are not used, as the pipeline records them."""
    return {p.slot: Rejected(p.path_name, p.reason, p.detail) for p in study.rejected if p.slot}


def _first_ids(found: FoundStudies) -> dict[str, str]:
    """Patient ids as they are given first, by their form without capitals."""
    ids: dict[str, str] = {}
    for study in found.studies:
        ids.setdefault(study.study.casefold(), study.study)
    return ids


@dataclass(frozen=True)
class _Worked:
    """What became of one patient, before anything is written.

    Attributes:
        study: the patient's films.
        result: the record; None if the patient could not be scored.
        pictures: None if they could not be drawn.
        sources: what DICOM objects are made from; None without pictures.
        error: why there is no result, or why there are no pictures.
        same_id: another patient whose id differs in capitals only; this one was not scored.
        seconds: that it took.
    """

    study: StudyFiles
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

    def work(self, study: StudyFiles) -> _Worked:
        same = self.first_ids[study.study.casefold()]
        if same != study.study:
            return _Worked(study, same_id=same)
        start, result = time.monotonic(), None
        try:
            scored = self.pipeline.score(
                study.study, study.films, rejected_films(study), self.films_at_once
            )
            result = scored.result
            pictures = draw_pictures(result, scored.radiographs, scored.evidence, self.created)
        except Exception as error:  # the other patients are still scored
            return _Worked(study, result, error=error)
        sources = _sources(study, scored, pictures)
        return _Worked(study, result, pictures, sources, seconds=time.monotonic() - start)


@dataclass
class _Run:
    """What a run of :func:`score_films` has written and noted so far."""

    writer: ResultWriter
    warn: Warn
    dicom: DicomFolder | None
    results: list[PatientSummary] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def note_unplaced(self, found: FoundStudies) -> None:
        """Note the files that belong to no patient who is going to be scored."""
        known = {study.study for study in found.studies}
        for problem in found.problems:
            if problem.slot is None or problem.study not in known:
                self._note(problem, row=True)

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
            if result is not None:
                for problem in _failures(result):
                    self._note(problem, row=False)
                self.writer.write(result, worked.pictures)
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
        self.results.append(summary)
        _LOG.info(
            "%s: %d of %d films used, %d scores, in %.2f s", study.study,
            sum(film.status is Status.SCORED for film in result.films),
            len(study.films) + len(study.rejected), summary.scored, worked.seconds,
        )  # fmt: skip
        return result

    def _write_dicom(self, study: StudyFiles, sources: PatientFiles) -> None:
        """The patient's DICOM objects; without them the patient still counts as scored."""
        assert self.dicom is not None
        try:
            self.dicom.write(sources)
        except Exception as error:  # the other patients are still written
            reason, detail = why_failed(error, study.study)
            usable = isinstance(error, InputError | OutputError)
            self._note_patient(study, Reason.OUTPUT_FAILED if usable else reason, detail)

    def _note_patient(self, study: StudyFiles, reason: Reason, detail: str) -> None:
        self._note(Problem("", reason, detail, study.study), row=True)

    def _note(self, problem: Problem, *, row: bool) -> None:
        """Keep a problem and warn of it; ``row``: joints.csv needs a row of its own for it."""
        self.problems.append(problem)
        self.warn(problem_line(problem))
        if row:
            side = problem.slot.side.value if problem.slot else ""
            self.writer.write_problem(problem.path_name, problem.reason, problem.study or "", side)


def _sources(study: StudyFiles, scored: ScoredStudy, pictures: Pictures) -> PatientFiles:
    slots = {film.name: Slot(film.side, film.limb) for film in scored.result.films}
    return PatientFiles(
        scored.result,
        {name: study.films[slot] for name, slot in slots.items() if slot in study.films},
        {name: film.shape for name, film in scored.radiographs.items()},
        scored.evidence,
        pictures.overlays,
    )


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
