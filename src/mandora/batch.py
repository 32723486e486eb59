"""Whole runs: many films in, tables and files out, one item after the other.

What fails belongs to its item: it is told of at once, noted in the output and in the summary,
and the run goes on. Memory does not grow with the pixels of the run: a patient's films are let
go of before the next one's are read.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from mandora.anatomy import SLOTS, Limb, Side, Slot
from mandora.bundle import Bundle
from mandora.cohorts.folder import (
    FoundStudies,
    Problem,
    StudyFiles,
    _children,
    _too_deep,
    find_studies,
)
from mandora.cohorts.ra2 import read_template
from mandora.images.radiograph import UnreadableFilm
from mandora.images.read import read_radiograph
from mandora.locate.locator import FoundPoints
from mandora.outputs.files import OutputError, make_output_folder
from mandora.outputs.table import _Appender
from mandora.outputs.writer import ResultWriter
from mandora.pipeline import Pipeline, Rejected, ScoredStudy, location
from mandora.records import (
    REASON_TEXT,
    RESEARCH_NOTICE,
    Reason,
    Status,
    StudyResult,
    Total,
)

Progress = Callable[[int, int], None]
"""Called with the number of items done and the number of items."""

Complain = Callable[[str], None]
"""Called with one line for people on an item that failed."""

POINT_COLUMNS: tuple[str, ...] = ("film", "limb", "side", "site", "x", "y", "confidence")
"""Columns of :func:`locate_films`: x and y in px of the film."""

_RUN_FOLDERS = frozenset({"results", "overlays", "reports"})


@dataclass(frozen=True)
class PatientSummary:
    """What a run keeps of one patient; the rest is in the patient's files.

    Attributes:
        patient: the study id.
        scored: joint scores with a value.
        failed: joint scores for which there was a film and no value came out.
        missing: joint scores of films that were not given.
        totals: overall, erosion, narrowing; see :func:`mandora.pipeline.totals`.
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


def example_films() -> list[Path]:
    """The films of the packaged example patient.

    Raises:
        ValueError: if this installation has none.
    """
    folder = resources.files("mandora").joinpath("example")
    films = [folder.joinpath(f"EXAMPLE-{slot.code}.jpg") for slot in SLOTS]
    found = [film for film in films if isinstance(film, Path) and film.is_file()]
    if len(found) < len(films):
        raise ValueError(
            f"this installation has no example patient in {folder}; install mandora from a "
            "wheel, or name films of your own"
        )
    return found


def score_films(
    inputs: Sequence[Path],
    out: Path,
    *,
    bundle: Bundle,
    template: Path | None = None,
    threads: int = 2,
    progress: Progress = lambda done, total: None,
    complain: Complain = lambda line: None,
) -> Summary:
    """Score patients one after the other; each is written as soon as it is scored.

    Folders that an earlier run or a simulated cohort left among the inputs (overlays and so on)
    are passed over.

    Args:
        inputs: film files, and folders that are searched one level deep.
        out: folder for the results, see :class:`~mandora.outputs.writer.ResultWriter`.
        bundle: the model.
        template: CSV file whose columns ``scores.csv`` gets.
        threads: processor threads.
        progress: told after each patient.
        complain: told of each item that failed, when it fails.

    Raises:
        ValueError: if the call cannot be used: an input that does not exist or cannot be
            listed, no film at all, an unusable template, bundle or output folder.
        OSError: if the output folder cannot be written.
        OutputError: if the tables cannot be written any more, for instance because the disk is
            full. What was finished before stays, as it does on any other exception.
    """
    start = time.monotonic()
    columns = read_template(template) if template else None
    found = _find(inputs)
    if not found.studies and not found.problems:
        raise ValueError(
            f"no film in {_listed(inputs)}; name films <patient>-LH.jpg, -RH, -LF, -RF"
        )
    pipeline = _load(bundle, threads)
    created = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    with ResultWriter(out, columns, created) as writer:
        run = _Run(pipeline, writer, complain)
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


@dataclass
class _Run:
    """A run of :func:`score_films` under way."""

    pipeline: Pipeline
    writer: ResultWriter
    complain: Complain
    results: list[PatientSummary] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    _ids: dict[str, str] = field(default_factory=dict)  # as file names see them → as given

    def note_unplaced(self, found: FoundStudies) -> None:
        """Note the files that are no film of any patient that is going to be scored."""
        known = {study.study for study in found.studies}
        for problem in found.problems:
            if problem.slot is None or problem.study not in known:
                self._note(problem, row=True)

    def score(self, study: StudyFiles) -> StudyResult | None:
        """Score and write one patient; None if that failed."""
        same = self._ids.setdefault(study.study.casefold(), study.study)
        if same != study.study:
            detail = (
                f"it differs from {same!r} in capitals only, which file names may not tell "
                "apart; rename the films of one of them"
            )
            self._lose(study, Reason.BAD_STUDY_ID, detail)
            return None
        try:
            scored = self._scored(study)
            for problem in _failures(scored.result):
                self._note(problem, row=False)
            self.writer.write(scored.result, scored.radiographs, scored.evidence)
        except OutputError as error:
            self._lose(study, Reason.OUTPUT_FAILED, str(error))
            return None
        except Exception as error:  # one patient must not cost the others theirs
            self._lose(study, Reason.STAGE_FAILED, f"{type(error).__name__}: {error}")
            return None
        self.results.append(PatientSummary.of(scored.result))
        return scored.result

    def _scored(self, study: StudyFiles) -> ScoredStudy:
        rejected = {
            p.slot: Rejected(p.path_name, p.reason, p.detail) for p in study.rejected if p.slot
        }
        return self.pipeline.score(study.study, study.films, rejected)

    def _lose(self, study: StudyFiles, reason: Reason, detail: str) -> None:
        self._note(Problem("", reason, detail, study.study), row=True)

    def _note(self, problem: Problem, *, row: bool) -> None:
        """Keep a problem and tell of it; ``row``: no row of a patient in joints.csv has it."""
        self.problems.append(problem)
        self.complain(_line(problem))
        if row:
            side = problem.slot.side.value if problem.slot else ""
            self.writer.write_problem(problem.path_name, problem.reason, problem.study or "", side)


def locate_films(
    films: Sequence[Path],
    out: Path,
    *,
    bundle: Bundle,
    threads: int = 2,
    limb: Limb | None = None,
    side: Side | None = None,
    progress: Progress = lambda done, total: None,
    complain: Complain = lambda line: None,
) -> int:
    """Find the points of many films and write them to a CSV file, film by film.

    The columns are :data:`POINT_COLUMNS`; ``film`` is the file's name, or its path where two
    films have the same name. A point that was not found has no x and y.

    Args:
        films: films, each of one hand or foot, and folders that are searched one level deep.
        out: the CSV file; whole after each film.
        bundle: the model.
        threads: processor threads.
        limb: what all films show. If not given, each film's name says it, else its DICOM tags,
            else what it looks like.
        side: the patient's side, likewise.
        progress: told after each film.
        complain: told of each film that failed, when it fails.

    Returns:
        Number of films that failed: they could not be read, or no limb was found on them.

    Raises:
        ValueError: if an input does not exist or cannot be listed, there is no film, or ``out``
            is a folder.
        OSError: if ``out`` cannot be written.
    """
    paths, problems = _gather(films)
    if not paths and not problems:
        raise ValueError(f"no film in {_listed(films)}; name image files or folders that hold some")
    if out.is_dir():
        raise ValueError(f"{out} is a folder; name a CSV file for the points")
    pipeline = _load(bundle, threads)
    make_output_folder(out.parent)
    table = _Appender(out, POINT_COLUMNS)
    try:
        for problem in problems:
            complain(_line(problem))
        failed, total = len(problems), len(problems) + len(paths)
        progress(failed, total)
        for done, (path, name) in enumerate(_named(paths), start=failed + 1):
            rows, found_problem = _locate_film(pipeline, path, name, (limb, side))
            table.append(rows)
            if found_problem:
                failed += 1
                complain(_line(found_problem))
            progress(done, total)
    finally:
        table.close()
    return failed


def _locate_film(
    pipeline: Pipeline, path: Path, name: str, stated: tuple[Limb | None, Side | None]
) -> tuple[str, Problem | None]:
    """The rows of one film, as CSV, and what went wrong with it."""
    try:
        film, slot = read_radiograph(path), _slot_of(path)
        limb = stated[0] or (slot.limb if slot else film.limb)
        side = stated[1] or (slot.side if slot else film.side)
        found = pipeline.locate(film, limb, side)
    except UnreadableFilm as error:
        return "", Problem(name, Reason.FILM_UNREADABLE, str(error))
    except Exception as error:  # one film must not cost the others theirs
        return "", Problem(name, Reason.STAGE_FAILED, f"{type(error).__name__}: {error}")
    if np.isfinite(found.points).any():
        return _point_rows(name, side or found.view, found), None
    detail = f"no {limb or 'hand or foot'} was found; it must be upright, with bright bone"
    # rows without places need a limb that they are rows of
    rows = _point_rows(name, side or found.view, found) if limb else ""
    return rows, Problem(name, Reason.NOT_FOUND, detail)


def _slot_of(path: Path) -> Slot | None:
    """Which film the name says, else the DICOM tags."""
    found = find_studies([path])
    slots = [*(slot for study in found.studies for slot in study.films)]
    slots += [problem.slot for problem in found.problems if problem.slot]
    return slots[0] if slots else None


def _point_rows(name: str, side: Side, found: FoundPoints) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    for index in range(len(found.points)):
        point = location(name, found.limb, side, index, found)
        x, y = ("" if v is None else f"{v:.2f}" for v in (point.x, point.y))
        confidence = float(found.confidence[index])
        table.writerow([name, found.limb, side, point.site, x, y, f"{confidence:.4f}"])
    return text.getvalue()


def _named(paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """Each film with its file name, or its path if another one has the same name."""
    count = Counter(path.name for path in paths)
    names = (path.name if count[path.name] == 1 else str(path) for path in paths)
    # bytes that are no text in a file name would break the table
    texts = (name.encode("utf-8", "replace").decode() for name in names)
    return list(zip(paths, texts, strict=True))


def _load(bundle: Bundle, threads: int) -> Pipeline:
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    return Pipeline.from_bundle(bundle, threads)


def _find(inputs: Iterable[Path]) -> FoundStudies:
    files, problems = _gather(inputs)
    found = find_studies(files)
    return FoundStudies(found.studies, (*problems, *found.problems))


def _gather(inputs: Iterable[Path]) -> tuple[list[Path], list[Problem]]:
    """The files to look at, and what lies in the folders and cannot be looked at.

    Raises:
        ValueError: if an input does not exist or a folder cannot be listed.
    """
    files: list[Path] = []
    problems: list[Problem] = []
    for given in inputs:
        if not given.exists():
            raise ValueError(f"{given}: there is no such file or folder; check the path")
        if not given.is_dir():
            files.append(given)
            continue
        for path in _children(given):
            inner = [path] if not path.is_dir() else [] if _is_output(path) else _children(path)
            for child in inner:
                if child.is_dir():
                    ours = _is_output(child) or _is_run(child)
                    problems += [] if ours else [_too_deep(child)]
                elif child.is_file():
                    files.append(child)
                elif not child.exists():
                    detail = "it is a link to a file that is not there; mend or remove the link"
                    problems.append(Problem(child.name, Reason.FILM_UNREADABLE, detail))
    return list({path.absolute(): path for path in files}.values()), problems


def _is_output(folder: Path) -> bool:
    """Whether the folder was written by an earlier run or holds a simulated cohort's truth.

    Its pictures are named like films, and are none.
    """
    if folder.name in _RUN_FOLDERS:
        return _is_run(folder.parent)
    return folder.name == "truth" and (folder / "cohort.json").is_file()


def _is_run(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("scores.csv", "joints.csv"))


def _failures(result: StudyResult) -> list[Problem]:
    """What failed in one patient's films: each film, or each of its reasons with the joints."""
    problems = []
    for film in result.films:
        slot = Slot(film.side, film.limb)
        if film.status is Status.FAILED:
            reason = film.reason or Reason.STAGE_FAILED
            problems.append(Problem(film.name, reason, film.detail or "", result.study, slot))
            continue
        lost: dict[Reason, dict[str, None]] = {}
        for score in result.scores:
            if score.film == film.name and score.status is Status.FAILED and score.reason:
                lost.setdefault(score.reason, {})[score.site] = None
        problems += [
            Problem(film.name, reason, ", ".join(sites), result.study, slot)
            for reason, sites in lost.items()
        ]
    return problems


def _line(problem: Problem) -> str:
    """A problem as one line for people: what, why in words, detail."""
    item, study = problem.path_name, problem.study
    detail = problem.detail.removeprefix(f"{item}: ")
    if study and not item.startswith(study):
        item = f"{study}/{item}" if item else study
    return " ".join(f"{item}: {REASON_TEXT[problem.reason]}: {detail}".split())


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


def _listed(paths: Sequence[Path]) -> str:
    more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
    return ", ".join(map(str, paths[:5])) + more
