"""The tables of a run, one patient after the other: scores, joints and totals.

``scores.csv`` has the columns of RA2, ``joints.csv`` a row for each score and ``totals.csv`` one
for each total. The files are valid after every patient: rows are flushed to the disk at once, and
removed again if they could not be written whole. Tables of an earlier run in the same folder are
replaced.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Self

from mandora.core.csv_text import csv_text
from mandora.core.errors import InputError
from mandora.core.files import write_atomically
from mandora.core.ra2 import RA2_COLUMNS
from mandora.core.records import JointScore, Reason, Status, StudyResult, Total
from mandora.core.terminal import printable
from mandora.datasets.formats.ra2.tables import Template, format_row
from mandora.outputs.row_file import RowFile

JOINT_COLUMNS: tuple[str, ...] = (
    "patient", "film", "side", "site", "kind", "x", "y", "score", "grade", "low", "high", "status",
    "reason",
)  # fmt: skip
"""Columns of ``joints.csv``: x and y in px of the film, 1 decimal; score with 4 decimals; both ends
of its interval are grades."""

TOTAL_COLUMNS: tuple[str, ...] = (
    "patient", "total", "limb", "side", "kind", "value", "low", "high", "maximum", "observed",
    "scored", "expected", "method", "reason",
)  # fmt: skip
"""Columns of ``totals.csv``: value, interval, maximum and observed in SvH points; scored and
expected are numbers of scores."""
BOTH = "both"
"""In ``totals.csv``: a total of both limbs, of both sides or of both kinds of damage."""


class TableWriter:
    """Writes ``scores.csv``, ``joints.csv`` and ``totals.csv`` of one run.

    Use it as a context manager. If an exception ends the run, the rows stay in the order in which
    they were written.

    Args:
        folder: an existing folder; tables of these names in it are replaced.
        template: gives the columns and, if it lists patients, their order in ``scores.csv``.
            Without it the columns are those of the first RA2 release.

    Raises:
        OutputError: if a table cannot be opened.
    """

    def __init__(self, folder: Path, template: Template | None = None) -> None:
        self._columns = tuple(template.columns) if template else RA2_COLUMNS
        self._order = tuple(template.patients) if template else ()
        self._rows: dict[str, str] = {}
        with ExitStack() as opened:
            self._scores = opened.enter_context(RowFile(folder / "scores.csv", self._columns))
            self._joints = opened.enter_context(RowFile(folder / "joints.csv", JOINT_COLUMNS))
            self._totals = opened.enter_context(RowFile(folder / "totals.csv", TOTAL_COLUMNS))
            self._files = opened.pop_all()

    @property
    def patients(self) -> tuple[str, ...]:
        """The patients written so far, in that order."""
        return tuple(self._rows)

    def write(self, result: StudyResult) -> None:
        """Append one patient: a row of ``scores.csv`` and the rows of scores and of totals.

        Raises:
            ValueError: if the patient was written before in this run.
            OutputError: if the disk refuses; all files are then as before.
        """
        if result.study in self._rows:
            raise InputError(
                f"patient {result.study} was already written in this run; patient ids must differ"
            )
        row = self._score_row(result)
        with ExitStack() as undo:
            for file, text in (
                (self._joints, csv_text(_joint_row(result.study, s) for s in result.scores)),
                (self._totals, csv_text(_total_row(result.study, t) for t in result.totals)),
                (self._scores, row),
            ):
                before = file.size
                file.append(text)
                undo.callback(file.cut, before)
            undo.pop_all()
        self._rows[result.study] = row

    def write_problem(self, film: str, reason: Reason, patient: str = "", side: str = "") -> None:
        """Append a ``failed`` row to ``joints.csv`` for an item that is not in a patient's rows.

        Raises:
            OutputError: if the disk refuses.
        """
        row = dict.fromkeys(JOINT_COLUMNS, "")
        row |= {"patient": _shown(patient), "film": _shown(film), "side": side}
        row |= {"status": Status.FAILED.value, "reason": reason.value}
        self._joints.append(csv_text([list(row.values())]))

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
        rows = [self._rows.get(p) or self._blank_row(p) for p in listed]
        rows += [row for patient, row in self._rows.items() if patient not in listed]
        write_atomically(self._scores.path, (csv_text([self._columns]) + "".join(rows)).encode())

    def _score_row(self, result: StudyResult) -> str:
        scores = {s.target: s.score for s in result.scores}
        totals = {t.name: t.value for t in result.totals}
        return csv_text([format_row(self._columns, result.study, scores, totals)])

    def _blank_row(self, patient: str) -> str:
        return csv_text([format_row(self._columns, patient, {}, {})])


def _joint_row(patient: str, score: JointScore) -> list[str]:
    return [
        patient,
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
    ]


def _total_row(patient: str, total: Total) -> list[str]:
    return [
        patient,
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
