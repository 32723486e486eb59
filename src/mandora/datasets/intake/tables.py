"""Tables that say which film is whose: read from CSV and Excel, and written as CSV.

A plan that :func:`plan_csv` writes is such a table, and is read again after a user corrected it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from mandora.core.anatomy import Limb
from mandora.core.csv_text import csv_text
from mandora.core.errors import InputError
from mandora.core.limb_texts import limb_and_sides, sides_of_value
from mandora.core.limb_words import Sides, plain, word_set
from mandora.core.terminal import printable
from mandora.datasets.intake.names import read_folder
from mandora.datasets.intake.rows import Facts, Origin, Plan, PlannedFilm, Stated
from mandora.datasets.table_files import read_rows

PLAN_COLUMNS: tuple[str, ...] = (
    "file", "patient", "visit", "limb", "side", "patient_from", "visit_from", "limb_from",
    "side_from", "remarks", "problem",
)  # fmt: skip
"""Columns of a plan. The first five say what a film is; the others are for people."""

_COLUMNS: dict[str, frozenset[str]] = {
    "file": word_set(
        "file film filename file_name filepath file_path full_path path image image_file "
        "image_name image_path imagefile imagename datei dateiname dateipfad pfad bild bilddatei "
        "fichier nom_du_fichier chemin archivo nombre_de_archivo ruta bestand bestandsnaam "
        "arquivo ficheiro percorso nome_file"
    ),
    "patient": word_set(
        "patient patient_id patientid patid pat_id id_pat id_patient id_paciente id_paziente "
        "patient_no patient_nr patient_number patientnr patientno pat_nr pat_no pid id subject "
        "subject_id subjectid id_subject subject_no usubjid subjid participant participant_id "
        "patienten_id patientenid patientennummer patienten_nr proband probanden_id paciente "
        "paziente"
    ),
    "visit": word_set(
        "visit visit_id visit_name visit_no timepoint time_point besuch visite visita bezoek"
    ),
    "date": word_set(
        "visit_date visitdate study_date studydate date exam_date date_of_exam examination_date "
        "acquisition_date film_date xray_date x_ray_date datum studiendatum aufnahmedatum "
        "untersuchungsdatum rontgendatum fecha date_de_l_examen"
    ),
    "limb": word_set(
        "limb body_part bodypart bodypartexamined part region anatomy anatomical_region extremity "
        "slot film_type korperteil korperregion extremitat membre partie region_du_corps parte "
        "parte_del_cuerpo parte_del_corpo lichaamsdeel"
    ),
    "side": word_set(
        "side body_side side_l_r side_lr l_r lr laterality imagelaterality image_laterality seite "
        "korperseite cote lado lato lateralite lateralidad lateralita zijde"
    ),
}
"""What a column may be called, without accents, capitals, and with ``_`` for blanks.

The date is the visit where the table has no column for visits, or where that is blank.
"""

_GENERAL = word_set("id image path bild part parte region date datum")
"""Of these, what yields to another column of the same meaning: an ``id`` may count the rows."""

_EXCEL_START, _EXCEL_DAYS = date(1899, 12, 30), range(18_000, 60_000)  # 1949 to 2064


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
        if len(_those_for(name, header)) > 1:
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


def _names_of(cell: str) -> tuple[str, str]:
    """What a column may be called: its words, and all in one."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cell)  # PatientId
    name = re.sub(r"[\W_]+", "_", plain(apart)).strip("_")
    return name, name.replace("_", "")


def _those_for(column: str, header: Sequence[str]) -> list[int]:
    """The places of a header that may be a column; general names only if there is no other."""
    found = {i: _names_of(cell) for i, cell in enumerate(header)}
    found = {i: names for i, names in found.items() if not _COLUMNS[column].isdisjoint(names)}
    certain = [i for i, names in found.items() if _GENERAL.isdisjoint(names)]
    return certain or list(found)


def _places(header: Sequence[str]) -> dict[str, int]:
    found = {column: _those_for(column, header) for column in _COLUMNS}
    return {column: places[0] for column, places in found.items() if places}


def _row(line: int, cells: dict[str, str], remarks: tuple[str, ...]) -> ManifestRow:
    fault = None
    limb_cell, side_cell = cells.get("limb", ""), cells.get("side", "")
    limb: Limb | None = None
    sides: Sides | None = None
    for cell, stated in (
        (limb_cell, limb_and_sides(limb_cell, body_part=True)),
        (side_cell, (limb_and_sides(side_cell)[0], sides_of_value(side_cell))),
    ):
        if cell and stated == (None, None):
            fault = f"line {line} of the manifest says {cell!r}; write hand or foot, left or right"
        limb, sides = limb or stated[0], stated[1] or sides
    said = tuple(f"the manifest {remark}" for remark in remarks)
    visit = _visit(cells.get("visit") or cells.get("date") or "")
    facts = Facts(cells.get("patient") or None, visit, limb, sides, said)
    return ManifestRow(line, cells["file"], facts, fault)


def _visit(cell: str) -> str | None:
    """A date in one form, whatever the table's; any other text as it is."""
    if cell.isdigit() and int(cell) in _EXCEL_DAYS:
        return (_EXCEL_START + timedelta(days=int(cell))).isoformat()
    return read_folder(cell).visit or cell or None
