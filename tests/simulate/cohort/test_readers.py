"""Two readers agree as people do, and each of them errs on their own."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mandora.core.anatomy import TARGETS, Damage
from mandora.core.settings import SimulateSettings
from mandora.simulate.cohort.folder import simulate_cohort
from mandora.simulate.cohort.patients import Patient, draw_patient
from mandora.simulate.cohort.progression import next_visit
from mandora.simulate.cohort.readers import READERS, read_grades


@pytest.fixture(scope="module")
def patients() -> list[Patient]:
    """An ordinary cohort."""
    return [draw_patient(0, i) for i in range(800)]


@pytest.fixture(scope="module")
def read(patients: list[Patient]) -> np.ndarray:
    """(2, 800, 86) grades of the readers."""
    seen = [[read_grades(p, reader) for p in patients] for reader in READERS]
    return np.array([[[grades[t.key] for t in TARGETS] for grades in one] for one in seen])


@pytest.fixture(scope="module")
def true(patients: list[Patient]) -> np.ndarray:
    """(800, 86) true grades."""
    return np.array([[p.grades[t.key] for t in TARGETS] for p in patients])


def of(kind: Damage) -> list[int]:
    return [i for i, t in enumerate(TARGETS) if t.damage is kind]


@pytest.mark.parametrize(("kind", "r"), [(Damage.NARROWING, 0.88), (Damage.EROSION, 0.78)])
def test_the_readers_correlate_as_real_ones_do(read: np.ndarray, kind: Damage, r: float) -> None:
    first, second = (reader[:, of(kind)].ravel() for reader in read)
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(r, abs=0.03)


@pytest.mark.parametrize("kind", list(Damage))
def test_errors_grow_with_damage(read: np.ndarray, true: np.ndarray, kind: Damage) -> None:
    truth, errors = true[:, of(kind)], (read - true)[:, :, of(kind)]
    off = [np.abs(errors[:, truth == grade]).mean() for grade in (0, 1, 3)]
    assert off == sorted(off)
    assert off[0] < 0.5 * off[-1]


def test_a_healthy_joint_is_seldom_more_than_doubtful(read: np.ndarray, true: np.ndarray) -> None:
    assert (read[:, true == 0] > 1).mean() < 0.005


def test_a_reader_is_lenient_or_strict_with_a_whole_patient(
    read: np.ndarray, true: np.ndarray
) -> None:
    # independent errors would leave the halves of a patient's joints uncorrelated
    errors = read[0] - true
    damaged = np.where(true > 0, errors, 0)
    assert np.corrcoef(damaged[:, ::2].sum(axis=1), damaged[:, 1::2].sum(axis=1))[0, 1] > 0.3


def test_the_errors_of_the_readers_are_independent(read: np.ndarray, true: np.ndarray) -> None:
    # where the clipping at 0 and the maximum cannot make the errors alike
    inner = (true > 1) & (true < [t.maximum - 1 for t in TARGETS])
    first, second = ((reader - true)[inner] for reader in read)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.06


def test_grades_stay_in_range_even_of_the_worst_patient() -> None:
    worst = replace(draw_patient(1, 0), grades={t.key: t.maximum for t in TARGETS})
    for reader in READERS:
        grades = read_grades(worst, reader)
        assert list(grades) == [t.key for t in TARGETS]
        assert all(0 <= grades[t.key] <= t.maximum for t in TARGETS)
        assert all(type(grade) is int for grade in grades.values())


def test_a_reading_can_be_repeated_and_depends_on_patient_and_reader(
    patients: list[Patient],
) -> None:
    one = read_grades(patients[7], 2)
    assert one == read_grades(draw_patient(0, 7), 2)
    same = patients[7].grades
    others = [replace(p, grades=same) for p in (patients[8], draw_patient(1, 7))]
    assert all(read_grades(p, 2) != one for p in others)
    assert read_grades(patients[7], 1) != one


def test_errors_carry_over_to_later_visits_but_not_fully(patients: list[Patient]) -> None:
    # the same damage at another visit: most joints are read alike, some are not
    again = [replace(p, visit=2) for p in patients[:100]]
    first, second = (
        np.array([list(read_grades(p, 1).values()) for p in seen])
        for seen in (patients[:100], again)
    )
    truth = np.array([[p.grades[t.key] for t in TARGETS] for p in patients[:100]])
    assert 0.005 < (first != second).mean() < 0.5 * (first != truth).mean()


def test_the_smallest_detectable_change_is_that_of_trials(patients: list[Patient]) -> None:
    # typical of two readers: 1.2 to 3.2 points of the total
    later = [next_visit(p) for p in patients]
    changes = [
        [sum(read_grades(b, k).values()) - sum(read_grades(a, k).values())
         for a, b in zip(patients, later, strict=True)]
        for k in READERS
    ]  # fmt: skip
    assert 1.2 < 1.96 * np.std(np.subtract(*changes), ddof=1) / 2 < 4


def test_there_is_no_reader_0(patients: list[Patient]) -> None:
    with pytest.raises(ValueError, match="no reader 0"):
        read_grades(patients[0], 0)


def test_a_cohort_has_every_reading_in_order(tmp_path: Path) -> None:
    simulate_cohort(SimulateSettings(patients=2, seed=5, pixels_per_mm=2.0), tmp_path / "made")
    with (tmp_path / "made" / "truth" / "readers.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["patient", "target", "true_grade", "reader_1", "reader_2"]
    expected = []
    for patient in (draw_patient(5, 0), draw_patient(5, 1)):
        first, second = (read_grades(patient, reader) for reader in READERS)
        for t in TARGETS:
            grades = (patient.grades[t.key], first[t.key], second[t.key])
            expected.append([patient.name, t.key, *map(str, grades)])
    assert rows[1:] == expected
