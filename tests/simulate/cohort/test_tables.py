"""A cohort's tables are read back as they were made, and refused when they are damaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from mandora.core.anatomy import TARGETS
from mandora.simulate.cohort.patients import Patient, draw_patient
from mandora.simulate.cohort.progression import next_visit
from mandora.simulate.cohort.readers import READERS, read_grades
from mandora.simulate.cohort.tables import read_visits

WriteTables = Callable[[Path, Sequence[Patient]], Path]


@pytest.fixture
def patients() -> list[Patient]:
    return [draw_patient(2, i) for i in range(4)]


@pytest.fixture
def cohort(tmp_path: Path, patients: list[Patient], write_tables: WriteTables) -> Path:
    folder = write_tables(tmp_path / "cohort", patients)
    write_tables(folder / "visit-2", [next_visit(p) for p in patients])
    return folder


def test_round_trip(cohort: Path, patients: list[Patient]) -> None:
    visits = read_visits(cohort)
    assert len(visits) == 2
    for visit, seen in zip(visits, (patients, [next_visit(p) for p in patients]), strict=True):
        assert visit.patients == tuple(p.name for p in seen)
        assert visit.true.tolist() == [[p.grades[t.key] for t in TARGETS] for p in seen]
        for read, reader in zip(visit.read, READERS, strict=True):
            assert read.tolist() == [list(read_grades(p, reader).values()) for p in seen]
        np.testing.assert_allclose(visit.years, [p.years for p in seen], atol=6e-4)


def test_a_later_visit_may_be_read_alone(cohort: Path) -> None:
    (visit,) = read_visits(cohort / "visit-2")
    assert (visit.years > 0.5).all()


def test_what_is_no_simulated_cohort_is_refused(cohort: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no simulated cohort: it has no training\.csv"):
        read_visits(tmp_path / "nowhere")
    for name in ("visits", "readers"):
        (cohort / "truth" / f"{name}.csv").unlink()
        with pytest.raises(ValueError, match=rf"it has no truth/{name}\.csv"):
            read_visits(cohort)


def test_visits_of_other_patients_are_refused(
    tmp_path: Path, patients: list[Patient], write_tables: WriteTables
) -> None:
    folder = write_tables(tmp_path / "c", patients)
    write_tables(folder / "visit-2", [next_visit(p) for p in patients[:-1]])
    with pytest.raises(ValueError, match=r"visit-2: its patients are not those"):
        read_visits(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[:-1], "lines missing: 1;"),
        (lambda lines: ["a,b", *lines[1:]], "header"),
        (lambda lines: [*lines[:-1], "SIM9999,LH-ip:erosion,0,0,0"], "line 345: is no reading"),
        (lambda lines: [*lines[:-1], lines[-1].rsplit(",", 1)[0]], "line 345: is no reading"),
        (lambda lines: [*lines[:-1], lines[-1].rsplit(",", 1)[0] + ",99"], "outside 0…4"),
        (lambda lines: [*lines, lines[-1]], "line 346: is not the one reading"),
    ],
)
def test_damaged_readings_are_named(
    cohort: Path, change: Callable[[list[str]], list[str]], said: str
) -> None:
    table = cohort / "truth" / "readers.csv"
    table.write_text("\n".join(change(table.read_text().splitlines())))
    with pytest.raises(ValueError, match=said) as error:
        read_visits(cohort)
    assert "readers.csv" in str(error.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[:-1], "patients are missing"),
        (lambda lines: ["a,b,c", *lines[1:]], "is damaged"),
        (lambda lines: [*lines[:-1], "SIM9999,1,0"], "is damaged"),
        (lambda lines: [*lines[:-1], "SIM0004,1,soon"], "is damaged"),
        (lambda lines: [*lines[:-1], "SIM0004,1"], "is damaged"),
    ],
)
def test_damaged_visits_are_named(
    cohort: Path, change: Callable[[list[str]], list[str]], said: str
) -> None:
    table = cohort / "truth" / "visits.csv"
    table.write_text("\n".join(change(table.read_text().splitlines())))
    with pytest.raises(ValueError, match=rf"visits\.csv: {said}"):
        read_visits(cohort)
