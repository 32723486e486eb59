"""Tables of simulated cohorts, without the films that cost the time."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from mandora.core.ra2 import RA2_COLUMNS
from mandora.simulate.cohort.patient_files import TABLES
from mandora.simulate.cohort.patients import Patient, true_row
from mandora.simulate.cohort.readers import reading_rows

WriteTables = Callable[[Path, Sequence[Patient]], Path]


@pytest.fixture
def write_tables() -> WriteTables:
    """What writes the tables of one visit into a new folder, which it returns."""

    def write(folder: Path, patients: Sequence[Patient]) -> Path:
        (folder / "truth").mkdir(parents=True)
        rows = [true_row(p) for p in patients]
        contents = {
            "training.csv": [[row[c] for c in RA2_COLUMNS] for row in rows],
            "truth/readers.csv": [line for p in patients for line in reading_rows(p)],
            "truth/visits.csv": [[p.name, str(p.visit), f"{p.years:.3f}"] for p in patients],
        }
        for name, lines in contents.items():
            with (folder / name).open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([TABLES[name], *lines])
        return folder

    return write
