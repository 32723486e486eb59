"""Tables that say which film is whose: read from CSV and Excel, and written as CSV.

A plan that :func:`plan_csv` writes is such a table, and is read again after a user corrected it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from mandora.core.csv_text import csv_text
from mandora.core.errors import InputError
from mandora.core.terminal import printable
from mandora.datasets.intake.rows import Facts, Origin, Plan, PlannedFilm, Sides, Stated
from mandora.datasets.intake.vocabulary import plain, word_set
from mandora.datasets.intake.words import limb_and_sides, read_folder
from mandora.datasets.table_files import read_rows

PLAN_COLUMNS: tuple[str, ...] = (
    "file", "patient", "visit", "limb", "side", "patient_from", "visit_from", "limb_from",
    "side_from", "remarks", "problem",
)  # fmt: skip
"""Columns of a plan. The first five say what a film is; the others are for people."""

_COLUMNS: dict[str, frozenset[str]] = {
    "file": word_set(
        "file film filename file_name path image image_path datei dateiname fichier archivo "
        "bestand arquivo ficheiro"
    ),
    "patient": word_set(
        "patient patient_id patientid pid id subject subject_id usubjid subjid patientnr "
        "patienten_id paciente paziente"
    ),
    "visit": word_set(
        "visit visit_date visitdate study_date studydate date timepoint datum besuch visite fecha"
    ),
    "limb": word_set("limb body_part bodypart bodypartexamined part region anatomy extremity"),
    "side": word_set("side laterality seite cote lado lato zijde"),
}
"""What a column may be called, without accents, capitals, and with ``_`` for blanks."""

_EXCEL_START, _EXCEL_DAYS = date(1899, 12, 30), range(18_000, 60_000)  # 1949 to 2064
_LETTERS = {"l": Sides.LEFT, "r": Sides.RIGHT, "b": Sides.BOTH}


@dataclass(frozen=True)
class ManifestRow:
    """What a table says of one film.

    Attributes:
        line: of the table, the header being 1.
        file: as the table names it.
        facts: what the row says; blank cells say nothing.
        fault: a cell that is not understood, with the remedy.
    """

    line: int
    file: str
    facts: Facts
    fault: str | None = None


def read_manifest(path: Path) -> list[ManifestRow]:
    """Read a table of films.

    Args:
        path: as :func:`mandora.datasets.table_files.read_rows` takes it; with a header.

    Raises:
        InputError: naming the file, if it is no such table.
    """
    if not path.exists():
        raise InputError(f"{path}: there is no such file; check the path")
    table = read_rows(path)
    rows = table.rows
    # a title may stand above the header
    at = next((i for i, (_, row) in enumerate(rows[:5]) if "file" in _places(row)), None)
    if at is None:
        names = ", ".join(PLAN_COLUMNS[:5])
        raise InputError(f"{path}: has no column file; the columns of a manifest are {names}")
    header = rows[at][1]
    places = _places(header)
    for name in _COLUMNS:
        if sum(_column(cell) == name for cell in header) > 1:
            raise InputError(f"{path}: has two columns for {name}; keep one")
    made = []
    for line, row in rows[at + 1 :]:
        cells = {n: row[i].strip() if i < len(row) else "" for n, i in places.items()}
        if cells["file"]:
            made.append(_row(line, cells, table.remarks))
    if not made:
        raise InputError(f"{path}: names no file; give one in each row")
    return made


def plan_csv(plan: Plan, folder: Path | None = None) -> str:
    """A plan as CSV.

    Args:
        plan: of films.
        folder: where the table will lie; files below it are named from there, others in full.
    """
    rows: list[list[str]] = [list(PLAN_COLUMNS)]
    rows += [_plan_row(given, folder) for film in plan.films for given in film.also or (film,)]
    for film, problem in plan.refused:
        row = _plan_row(film, folder)
        rows.append([*row[:-1], f"{problem.reason}: {problem.detail}"])
    return csv_text(rows)


def _plan_row(film: PlannedFilm, folder: Path | None) -> list[str]:
    stated: list[Stated[str] | None] = [
        film.patient, film.visit,
        film.limb and Stated(film.limb.value.value, film.limb.origin),
        film.sides and Stated(film.sides.value.value, film.sides.origin),
    ]  # fmt: skip
    return [
        file_cell(film.path, folder),
        # bytes of a file's name that are no text may be in a patient's name
        *(printable(one.value, one_line=True) if one else "" for one in stated),
        *(one.origin.value if one else "" for one in stated[:2]),
        *(one.origin.value if one else Origin.PICTURE.value for one in stated[2:]),
        "; ".join(film.remarks),
        "",
    ]


def file_cell(path: Path, folder: Path | None) -> str:
    """A film's path as a manifest names it: from its own folder, else in full."""
    full = path.absolute()
    if folder is not None and full.is_relative_to(folder.absolute()):
        full = full.relative_to(folder.absolute())
    return printable(full.as_posix(), one_line=True)


def _column(cell: str) -> str | None:
    name = re.sub(r"[\W_]+", "_", plain(cell)).strip("_")
    return next((column for column, names in _COLUMNS.items() if name in names), None)


def _places(header: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for i, cell in enumerate(header):
        if (name := _column(cell)) is not None:
            found.setdefault(name, i)
    return found


def _row(line: int, cells: dict[str, str], remarks: tuple[str, ...]) -> ManifestRow:
    fault = None
    limb_cell, side_cell = cells.get("limb", ""), cells.get("side", "")
    limb, sides = None, _LETTERS.get(side_cell.lower())
    for cell in (limb_cell, side_cell):
        if cell.lower() in _LETTERS:
            continue
        found = limb_and_sides(cell)
        if cell and found == (None, None):
            fault = f"line {line} of the manifest says {cell!r}; write hand or foot, left or right"
        limb, sides = limb or found[0], sides or found[1]
    said = tuple(f"the manifest {remark}" for remark in remarks)
    facts = Facts(cells.get("patient") or None, _visit(cells.get("visit", "")), limb, sides, said)
    return ManifestRow(line, cells["file"], facts, fault)


def _visit(cell: str) -> str | None:
    """A date in one form, whatever the table's; any other text as it is."""
    if cell.isdigit() and int(cell) in _EXCEL_DAYS:
        return (_EXCEL_START + timedelta(days=int(cell))).isoformat()
    return read_folder(cell).visit or cell or None
