"""The summary of a cohort tells what its tables hold, and nothing where they hold nothing."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mandora.anatomy import RA2_COLUMNS, TARGETS, Damage, Limb, Side
from mandora.phantom.patients import Patient, draw_patient, true_row
from mandora.phantom.readers import READER_COLUMNS, reading_rows
from mandora.phantom.statistics import describe_cohort


def write(folder: Path, patients: Sequence[Patient]) -> Path:
    """The tables of a cohort, without its films."""
    (folder / "truth").mkdir(parents=True)
    with (folder / "training.csv").open("w", newline="", encoding="utf-8") as file:
        scores = csv.DictWriter(file, RA2_COLUMNS)
        scores.writeheader()
        scores.writerows(true_row(p) for p in patients)
    with (folder / "truth" / "readers.csv").open("w", newline="", encoding="utf-8") as file:
        readers = csv.writer(file)
        readers.writerow(READER_COLUMNS)
        for patient in patients:
            readers.writerows(reading_rows(patient))
    return folder


@pytest.fixture
def patients() -> list[Patient]:
    return [draw_patient(2, i) for i in range(40)]


@pytest.fixture
def cohort(tmp_path: Path, patients: list[Patient]) -> Path:
    return write(tmp_path / "cohort", patients)


def total(patients: Sequence[Patient], **wanted: object) -> list[int]:
    keys = [t.key for t in TARGETS if all(getattr(t, k) == v for k, v in wanted.items())]
    return [sum(p.grades[key] for key in keys) for p in patients]


def test_counts_and_quantiles_are_those_of_the_true_grades(
    cohort: Path, patients: list[Patient]
) -> None:
    seen = describe_cohort(cohort)
    assert seen.patients == 40
    grades = [g for p in patients for g in p.grades.values()]
    assert seen.zeros == pytest.approx(grades.count(0) / len(grades))
    assert list(seen.totals) == ["Overall_narrowing", "Overall_erosion", "Overall_Tol"]
    assert list(seen.totals["Overall_Tol"]) == ["5 %", "25 %", "50 %", "75 %", "95 %"]
    assert seen.totals["Overall_Tol"]["50 %"] == np.median(total(patients))
    narrowing = total(patients, damage=Damage.NARROWING)
    assert seen.totals["Overall_narrowing"]["95 %"] == pytest.approx(np.percentile(narrowing, 95))


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("narrowing-erosion", {"damage": Damage.NARROWING}, {"damage": Damage.EROSION}),
        ("left-right", {"side": Side.LEFT}, {"side": Side.RIGHT}),
        ("hand-foot", {"limb": Limb.HAND}, {"limb": Limb.FOOT}),
    ],
)
def test_correlations_are_those_of_totals(
    cohort: Path,
    patients: list[Patient],
    name: str,
    first: dict[str, object],
    second: dict[str, object],
) -> None:
    r = np.corrcoef(total(patients, **first), total(patients, **second))[0, 1]
    assert describe_cohort(cohort).correlations[name].r == pytest.approx(r)


def test_readers_are_compared_by_family_and_kind(cohort: Path) -> None:
    seen = describe_cohort(cohort).readers
    assert list(seen) == ["nh", "nf", "eh", "ef", "narrowing", "erosion"]
    with (cohort / "truth" / "readers.csv").open(newline="", encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if r["target"][1:3] == "F-"]
    pairs = np.array(
        [[int(r["reader_1"]), int(r["reader_2"])] for r in rows if "erosion" in r["target"]]
    )
    assert len(pairs) == 40 * 12
    assert seen["ef"].r == pytest.approx(np.corrcoef(pairs.T)[0, 1])
    assert seen["ef"].rmse == pytest.approx(np.sqrt((np.diff(pairs) ** 2).mean()))


def test_a_cohort_without_erosion_has_reasons_instead_of_numbers(
    tmp_path: Path, patients: list[Patient]
) -> None:
    spared = [
        replace(p, grades={k: 0 if "erosion" in k else g for k, g in p.grades.items()})
        for p in patients
    ]
    folder = write(tmp_path / "spared", spared)
    table = folder / "truth" / "readers.csv"
    lines = table.read_text().splitlines()
    lines = [k if "erosion" not in k else k.rsplit(",", 2)[0] + ",0,0" for k in lines]
    table.write_text("\n".join(lines) + "\n")
    seen = json.loads(describe_cohort(folder).to_json())
    assert seen["correlations"]["narrowing-erosion"] == {
        "r": None,
        "reason": "the erosion total is 0 everywhere",
    }
    assert seen["readers"]["erosion"]["r"] is None
    assert seen["readers"]["erosion"]["reason"]
    assert seen["readers"]["erosion"]["rmse"] == 0
    assert seen["readers"]["nh"]["reason"] is None


def test_two_patients_have_no_correlation(tmp_path: Path, patients: list[Patient]) -> None:
    seen = describe_cohort(write(tmp_path / "two", patients[:2]))
    for found in seen.correlations.values():
        assert found.r is None
        assert "fewer than 3 patients" in str(found.reason)


def test_what_is_no_simulated_cohort_is_refused(cohort: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no simulated cohort: it has no training\.csv"):
        describe_cohort(tmp_path / "nowhere")
    (cohort / "truth" / "readers.csv").unlink()
    with pytest.raises(ValueError, match=r"it has no truth/readers\.csv"):
        describe_cohort(cohort)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[:-1], "lines missing: 1;"),
        (lambda lines: ["a,b", *lines[1:]], "header"),
        (lambda lines: [*lines[:-1], "SIM9999,LH-ip:erosion,0,0,0"], "line 3441: is no reading"),
        (lambda lines: [*lines[:-1], lines[-1].rsplit(",", 1)[0]], "line 3441: is no reading"),
        (lambda lines: [*lines[:-1], lines[-1].rsplit(",", 1)[0] + ",99"], "outside 0…4"),
        (lambda lines: [*lines, lines[-1]], "line 3442: is not the one reading"),
    ],
)
def test_damaged_readings_are_named(
    cohort: Path, change: Callable[[list[str]], list[str]], said: str
) -> None:
    table = cohort / "truth" / "readers.csv"
    table.write_text("\n".join(change(table.read_text().splitlines())))
    with pytest.raises(ValueError, match=said) as error:
        describe_cohort(cohort)
    assert "readers.csv" in str(error.value)
