"""Two readers agree as people do, and each of them errs on their own."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mandora.core.anatomy import TARGETS, Damage, Limb
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


FAMILY = {
    "narrowing": ([t.damage is Damage.NARROWING for t in TARGETS], 4),
    "hand erosion": ([t.damage is Damage.EROSION and t.limb is Limb.HAND for t in TARGETS], 5),
    "foot erosion": ([t.damage is Damage.EROSION and t.limb is Limb.FOOT for t in TARGETS], 10),
}


@pytest.mark.parametrize("family", FAMILY)
def test_readers_disagree_most_where_damage_is_mild(
    read: np.ndarray, true: np.ndarray, family: str
) -> None:
    columns, most = FAMILY[family]
    truth, apart = true[:, columns], (read[0] != read[1])[:, columns]
    healthy, destroyed = apart[truth == 0].mean(), apart[truth == most].mean()
    mild = [apart[truth == grade].mean() for grade in (1, 2)]
    assert min(mild) > 1.3 * max(healthy, destroyed)


@pytest.mark.parametrize("family", FAMILY)
def test_nobody_takes_a_destroyed_joint_for_a_healthy_one(
    read: np.ndarray, true: np.ndarray, family: str
) -> None:
    columns, most = FAMILY[family]
    truth, seen = true[:, columns], read[:, :, columns]
    for grade in range(most + 1):
        off = np.abs(seen[:, truth == grade] - grade)
        assert off.max() <= (4 if most == 10 else 3)
    assert seen[:, truth == 5].min(initial=9) > 0


def test_each_reader_is_strict_or_lenient_in_a_way_of_their_own(patients: list[Patient]) -> None:
    # the difference of two readers over a whole cohort is more than what chance leaves of it
    totals = np.array([
        [sum(read_grades(replace(p, seed=seed), reader).values()) for p in patients[:150]]
        for seed in (0, 1) for reader in (1, 2, 3)
    ])  # fmt: skip
    means = totals.mean(axis=1)
    chance = (totals - totals.mean(axis=0)).std(axis=1).max() / np.sqrt(totals.shape[1])
    assert means.std() > 1.5 * chance


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
    # where 0 and the maximum cannot make the errors alike, among joints of one grade and kind
    for columns, most in FAMILY.values():
        truth, errors = true[:, columns], (read - true)[:, :, columns]
        first, second = errors[:, truth == most // 2]
        assert abs(np.corrcoef(first, second)[0, 1]) < 0.15


def test_grades_stay_in_range_even_of_the_worst_patient() -> None:
    worst = draw_patient(1, 0, severity=9.0)
    assert all(worst.grades[t.key] == t.maximum for t in TARGETS)
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
    same = {"grades": patients[7].grades, "states": patients[7].states}
    others = [replace(p, **same) for p in (patients[8], draw_patient(1, 7))]
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
