"""What `mandora describe` says of a cohort, without the time that its films take.

python benchmarks/cohort_statistics.py [PATIENTS] [VISITS] [SEED]
"""

from __future__ import annotations

import csv
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from mandora.cli.data import print_cohort
from mandora.simulate.cohort.patient_files import TABLES, rows_without_films, visit_folder
from mandora.simulate.cohort.patients import draw_patient
from mandora.simulate.cohort.progression import visits
from mandora.simulate.cohort.statistics import describe_cohort

PATIENTS, VISITS, SEED = 2_000, 4, 0


def main(patients: int, n_visits: int, seed: int) -> None:
    """Draw the patients, write their tables, and describe them."""
    with tempfile.TemporaryDirectory() as folder:
        with ExitStack() as stack:
            tables = {}
            for visit in range(1, n_visits + 1):
                for name, columns in TABLES.items():
                    path = visit_folder(Path(folder), visit) / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    file = stack.enter_context(path.open("w", newline="", encoding="utf-8"))
                    tables[visit, name] = csv.writer(file)
                    tables[visit, name].writerow(columns)
            for index in range(patients):
                for patient in visits(draw_patient(seed, index), n_visits):
                    for name, rows in rows_without_films(patient).tables.items():
                        tables[patient.visit, name].writerows(rows)
        print_cohort(describe_cohort(Path(folder)))


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    main(*(given + [PATIENTS, VISITS, SEED][len(given) :]))
