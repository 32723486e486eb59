"""The tables of a simulated cohort, read back and checked."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import TARGET_INDEX, TARGETS
from mandora.core.csv_text import csv_rows
from mandora.core.errors import InputError
from mandora.core.inputs import read_text
from mandora.datasets.formats.ra2.tables import read_scores
from mandora.simulate.cohort.patient_files import TABLES, visit_folder
from mandora.simulate.cohort.readers import READER_COLUMNS, READERS, READERS_CSV

VISITS_CSV = "truth/visits.csv"

Grades = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class VisitTables:
    """The tables of one visit.

    Attributes:
        patients: N study ids.
        true: (N, 86) true grades, in the order of ``anatomy.TARGETS``.
        read: (2, N, 86) grades of the two readers.
        years: (N,) since the first visit.
    """

    patients: tuple[str, ...]
    true: Grades
    read: Grades
    years: Grades


def read_visits(folder: Path) -> list[VisitTables]:
    """Every visit of a cohort, the first one first.

    Args:
        folder: as written by :func:`mandora.simulate.cohort.folder.simulate_cohort`.

    Raises:
        ValueError: if the folder holds no simulated cohort, its tables are damaged, or a later
            visit has other patients than the first.
    """
    found = [_read_visit(folder)]
    while (later := visit_folder(folder, len(found) + 1)).is_dir():
        visit = _read_visit(later)
        if visit.patients != found[0].patients:
            raise InputError(
                f"{later}: its patients are not those of the first visit; make the cohort again"
            )
        found.append(visit)
    return found


def _read_visit(folder: Path) -> VisitTables:
    for name in ("training.csv", READERS_CSV, VISITS_CSV):
        if not (folder / name).is_file():
            raise InputError(
                f"{folder} is no simulated cohort: it has no {name}; "
                "give a folder that mandora simulate has written"
            )
    patients, true = _read_truth(folder / "training.csv")
    read = _read_readings(folder / READERS_CSV, patients, true)
    return VisitTables(tuple(patients), true, read, _read_years(folder / VISITS_CSV, patients))


def _read_years(path: Path, patients: Mapping[str, int]) -> Grades:
    years = np.full(len(patients), np.nan)
    try:
        lines = csv_rows(read_text(path))
        if tuple(next(lines, (0, []))[1]) != TABLES[VISITS_CSV]:
            raise InputError("header")
        for _, (patient, _, since) in lines:
            years[patients[patient]] = float(since)
    except (KeyError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: is damaged ({error}); make the cohort again") from error
    if np.isnan(years).any():
        raise InputError(f"{path}: patients are missing; make the cohort again")
    return years


def _read_truth(path: Path) -> tuple[dict[str, int], Grades]:
    """Row by patient, and the (patients, 86) true grades."""
    scores = read_scores(path)
    if not scores:
        raise InputError(f"{path}: has no patients; make the cohort again")
    for patient, row in scores.items():
        missing = [key for key, grade in row.items() if math.isnan(grade)]
        if missing:
            raise InputError(
                f"{path}: patient {patient} has no grade for {missing[0]}; a simulated cohort "
                "has all of them, make it again"
            )
    rows = {patient: i for i, patient in enumerate(scores)}
    return rows, np.array([[row[t.key] for t in TARGETS] for row in scores.values()])


def _read_readings(path: Path, patients: Mapping[str, int], true: Grades) -> Grades:
    """(readers, patients, 86) grades of the readers, checked against the true ones."""
    grades = np.full((len(READERS), *true.shape), np.nan)
    try:
        lines = csv_rows(read_text(path))
        if tuple(next(lines, (0, []))[1]) != READER_COLUMNS:
            raise InputError(f"{path}: its header is not {','.join(READER_COLUMNS)}")
        for number, line in lines:
            where = f"{path}: line {number}"
            row, column, truth, read = _reading(line, where, patients)
            if truth != true[row, column] or not np.isnan(grades[0, row, column]):
                raise InputError(
                    f"{where}: is not the one reading of a grade of training.csv; "
                    "make the cohort again"
                )
            grades[:, row, column] = read
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: is no CSV file ({error}); make the cohort again") from error
    missing = int(np.isnan(grades[0]).sum())
    if missing:
        raise InputError(f"{path}: lines missing: {missing}; make the cohort again")
    return grades


def _reading(
    line: list[str], where: str, patients: Mapping[str, int]
) -> tuple[int, int, int, tuple[int, int]]:
    """Row, column, true grade and the readers' grades of one line."""
    try:
        patient, key, *cells = line
        row, column = patients[patient], TARGET_INDEX[key]
        truth, first, second = (int(cell) for cell in cells)
    except (KeyError, ValueError):
        raise InputError(
            f"{where}: is no reading of a patient of training.csv; make the cohort again"
        ) from None
    maximum = TARGETS[column].maximum
    if not (0 <= first <= maximum and 0 <= second <= maximum):
        raise InputError(f"{where}: a grade is outside 0…{maximum}; make the cohort again")
    return row, column, truth, (first, second)
