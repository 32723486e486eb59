"""What `mandora describe` says of a cohort, without the time that its films take.

python benchmarks/cohort_statistics.py [--patients N] [--visits N] [--seed N]
"""

from __future__ import annotations

import argparse

import numpy as np

from mandora.cli.data import print_cohort
from mandora.core.anatomy import TARGETS
from mandora.simulate.cohort.patients import Patient, draw_patient
from mandora.simulate.cohort.progression import visits
from mandora.simulate.cohort.readers import READERS, read_grades
from mandora.simulate.cohort.statistics import describe_visits
from mandora.simulate.cohort.tables import VisitTables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=2_000)
    parser.add_argument("--visits", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    courses = [visits(draw_patient(args.seed, i), args.visits) for i in range(args.patients)]
    print_cohort(describe_visits([tables(patients) for patients in zip(*courses, strict=True)]))


def tables(patients: tuple[Patient, ...]) -> VisitTables:
    """What the tables of one visit would say of its patients."""
    read = [[read_grades(p, reader) for p in patients] for reader in READERS]
    return VisitTables(
        tuple(p.name for p in patients),
        in_order([p.grades for p in patients]),
        np.array([in_order(by_patient) for by_patient in read]),
        np.array([p.years for p in patients]),
    )


def in_order(grades: list[dict[str, int]]) -> np.ndarray:
    """(patients, 86) in the order of ``anatomy.TARGETS``."""
    return np.array([[of_patient[t.key] for t in TARGETS] for of_patient in grades], float)


if __name__ == "__main__":
    main()
