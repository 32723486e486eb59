"""The tables of a run, one patient after the other: scores, joints, totals and film quality.

``scores.csv`` has the columns of RA2, ``joints.csv`` a row for each score, ``totals.csv`` one for
each total and ``quality.csv`` one for each finding on a film. The files are valid after every
patient: rows are flushed to the disk at once, and removed again if they could not be written whole.
Tables of an earlier run in the same folder are replaced.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, Self

from mandora.core.csv_text import csv_text
from mandora.core.errors import InputError
from mandora.core.files import write_atomically
from mandora.core.findings import Outcome
from mandora.core.ra2 import RA2_COLUMNS
from mandora.core.records import (
    REASON_TEXT,
    FilmRecord,
    JointScore,
    Reason,
    Status,
    StudyResult,
    Total,
    refused_check,
)
from mandora.core.terminal import printable
from mandora.datasets.formats.ra2.tables import VISIT, Template, format_row
from mandora.outputs.row_file import RowFile

JOINT_COLUMNS: tuple[str, ...] = (
    "patient", "visit", "film", "side", "site", "kind", "x", "y", "score", "grade", "low", "high",
    "status", "reason", "remarks",
)  # fmt: skip
"""Columns of ``joints.csv``: x and y in px of the film, 1 decimal; score with 4 decimals; both ends
of its interval are grades."""

TOTAL_COLUMNS: tuple[str, ...] = (
    "patient", "visit", "total", "limb", "side", "kind", "value", "low", "high", "maximum",
    "observed", "scored", "expected", "method", "reason",
)  # fmt: skip
"""Columns of ``totals.csv``: value, interval, maximum and observed in SvH points; scored and
expected are numbers of scores."""
QUALITY_COLUMNS: tuple[str, ...] = (
    "patient", "visit", "film", "side", "limb", "check", "outcome", "words",
)  # fmt: skip
"""Columns of ``quality.csv``: the findings of :mod:`mandora.core.findings`."""
BOTH = "both"
"""In ``totals.csv``: a total of both limbs, of both sides or of both kinds of damage."""


class ProblemRow(NamedTuple):
    """What ``joints.csv`` says of an item that is not in a patient's rows.

    Attributes:
        film: file name without folder.
        reason: why it failed.
        patient: as far as known.
        visit: likewise.
        side: ``L`` or ``R``, likewise.
        remarks: what went wrong and what to do, in words.
    """

    film: str
    reason: Reason
    patient: str = ""
    visit: str = ""
    side: str = ""
    remarks: str = ""


class TableWriter:
    """Writes ``scores.csv``, ``joints.csv``, ``totals.csv`` and ``quality.csv`` of one run.

    Use it as a context manager. If an exception ends the run, the rows stay in the order in which
    they were written.

    Args:
        folder: an existing folder; tables of these names in it are replaced.
        template: gives the columns and, if it lists patients, their order in ``scores.csv``.
            Without it the columns are those of the first RA2 release.
        visits: ``scores.csv`` gets the column ``visit``, unless the template says otherwise.

    Raises:
        OutputError: if a table cannot be opened.
    """

    def __init__(
        self, folder: Path, template: Template | None = None, *, visits: bool = False
    ) -> None:
        self._columns = tuple(template.columns) if template else RA2_COLUMNS
        if visits and not template:
            self._columns = (RA2_COLUMNS[0], VISIT, *RA2_COLUMNS[1:])
        self._order = tuple(template.patients) if template else ()
        self._rows: dict[tuple[str, str], str] = {}
        with ExitStack() as opened:
            self._scores = opened.enter_context(RowFile(folder / "scores.csv", self._columns))
            self._joints = opened.enter_context(RowFile(folder / "joints.csv", JOINT_COLUMNS))
            self._totals = opened.enter_context(RowFile(folder / "totals.csv", TOTAL_COLUMNS))
            self._quality = opened.enter_context(RowFile(folder / "quality.csv", QUALITY_COLUMNS))
            self._files = opened.pop_all()

    @property
    def patients(self) -> tuple[str, ...]:
        """The patients written so far, in that order."""
        return tuple(dict.fromkeys(patient for patient, _ in self._rows))

    def has(self, patient: str, visit: str | None) -> bool:
        """Whether a visit of a patient was written; capitals do not count in file names."""
        keys = ((p.casefold(), v.casefold()) for p, v in self._rows)
        return (patient.casefold(), (visit or "").casefold()) in keys

    def write(self, result: StudyResult) -> None:
        """Append one patient: a row of ``scores.csv`` and the rows of scores and of totals.

        Raises:
            ValueError: if the patient was written before in this run.
            OutputError: if the disk refuses; all files are then as before.
        """
        key = result.study, result.visit or ""
        if key in self._rows:
            raise InputError(
                f"patient {result.study} was already written in this run; patient ids must differ"
            )
        row = self._score_row(result)
        with ExitStack() as undo:
            for file, text in (
                (self._joints, csv_text(_joint_rows(result))),
                (self._totals, csv_text(_total_row(result, total) for total in result.totals)),
                (self._quality, csv_text(_quality_rows(result))),
                (self._scores, row),
            ):
                before = file.size
                file.append(text)
                undo.callback(file.cut, before)
            undo.pop_all()
        self._rows[key] = row

    def write_problem(self, item: ProblemRow) -> None:
        """Append a ``failed`` row to ``joints.csv`` for an item that is not in a patient's rows.

        A film also gets a row of ``quality.csv``, with its one finding.

        Raises:
            OutputError: if the disk refuses.
        """
        row = dict.fromkeys(JOINT_COLUMNS, "")
        row |= {name: _shown(text) for name, text in item._asdict().items()}
        row |= {"status": Status.FAILED.value, "reason": item.reason.value}
        self._joints.append(csv_text([list(row.values())]))
        if item.film:
            words = item.remarks or REASON_TEXT[item.reason]
            about = (item.patient, item.visit, item.film, item.side, "")
            finding = (refused_check(item.reason), Outcome.REFUSE, words)
            self._quality.append(csv_text([[_shown(text) for text in (*about, *finding)]]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Close the tables; if the run is complete, sort ``scores.csv`` as the template.

        Patients of the template that were not given get a blank row; patients that it does not
        list come last.

        Raises:
            OutputError: if the sorted table cannot be written; the unsorted one stays.
        """
        self._files.close()
        # an interrupted run must not say "not given" of patients that it did not reach
        if kind is not None or not self._order:
            return
        listed = dict.fromkeys(self._order)
        of: dict[str, list[str]] = {patient: [] for patient in listed}
        for (patient, _), row in self._rows.items():
            of.setdefault(patient, []).append(row)
        rows = [row for patient, rows in of.items() for row in rows or [self._blank_row(patient)]]
        write_atomically(self._scores.path, (csv_text([self._columns]) + "".join(rows)).encode())

    def _score_row(self, result: StudyResult) -> str:
        scores = {s.target: s.score for s in result.scores}
        totals = {t.name: t.value for t in result.totals}
        row = format_row(self._columns, result.study, scores, totals, result.visit or "")
        return csv_text([row])

    def _blank_row(self, patient: str) -> str:
        return csv_text([format_row(self._columns, patient, {}, {})])


def _joint_rows(result: StudyResult) -> list[list[str]]:
    remarks = {film.name: _remarks(film) for film in result.films}
    return [
        _joint_row(result.study, result.visit, score, remarks.get(score.film or "", ""))
        for score in result.scores
    ]


def _quality_rows(result: StudyResult) -> list[list[str]]:
    return [
        [
            result.study, result.visit or "", _shown(film.name), film.side, film.limb,
            finding.check, finding.outcome, _shown(finding.words),
        ]
        for film in result.films
        for finding in film.findings
    ]  # fmt: skip


def _remarks(film: FilmRecord) -> str:
    return "; ".join([*([film.detail] if film.detail else []), *film.told])


def _joint_row(patient: str, visit: str | None, score: JointScore, remarks: str) -> list[str]:
    return [
        patient,
        visit or "",
        _shown(score.film or ""),
        score.side.value,
        score.site,
        score.kind.value,
        _number(score.x, 1),
        _number(score.y, 1),
        _number(score.score, 4),
        "" if score.grade is None else str(score.grade),
        _number(score.low, 0),
        _number(score.high, 0),
        score.status.value,
        score.reason.value if score.reason else "",
        _shown(remarks),
    ]


def _total_row(result: StudyResult, total: Total) -> list[str]:
    return [
        result.study,
        result.visit or "",
        total.name,
        total.limb or BOTH,
        total.side or BOTH,
        total.kind or BOTH,
        _number(total.value, 4),
        _number(total.low, 4),
        _number(total.high, 4),
        str(total.maximum),
        _number(total.observed if total.scored else None, 4),
        str(total.scored),
        str(total.expected),
        total.method or "",
        total.reason or "",
    ]


def _number(value: float | None, decimals: int) -> str:
    return "" if value is None else f"{value:.{decimals}f}"


def _shown(name: str) -> str:
    """A name whose control characters do nothing where the table is shown."""
    return printable(name, one_line=True)
