"""The summary of a cohort tells what its tables hold, and nothing where they hold nothing."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mandora.core.anatomy import TARGETS, Damage, Limb, Side
from mandora.simulate.cohort.patients import Patient, draw_patient
from mandora.simulate.cohort.progression import next_visit
from mandora.simulate.cohort.readers import read_grades
from mandora.simulate.cohort.statistics import PUBLISHED, describe_cohort

FOOT_EROSION = {f"F-{s}:erosion" for s in ("ip", "mtp1", "mtp2", "mtp3", "mtp4", "mtp5")}

WriteTables = Callable[[Path, Sequence[Patient]], Path]


@pytest.fixture
def patients() -> list[Patient]:
    return [draw_patient(2, i) for i in range(40)]


@pytest.fixture
def cohort(tmp_path: Path, patients: list[Patient], write_tables: WriteTables) -> Path:
    return write_tables(tmp_path / "cohort", patients)


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
    zero = [g == 0 for p in patients for k, g in p.grades.items() if k[1:] in FOOT_EROSION]
    assert seen.zeros_by_family["ef"] == pytest.approx(sum(zero) / len(zero))
    assert list(seen.zeros_by_family) == ["nh", "nf", "eh", "ef"]
    assert seen.means["Overall_Tol"] == pytest.approx(np.mean(total(patients)))
    assert seen.damaged["Overall_Tol"] == pytest.approx(np.mean(np.array(total(patients)) > 0))
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
    tmp_path: Path, patients: list[Patient], write_tables: WriteTables
) -> None:
    spared = [
        replace(p, grades={k: 0 if "erosion" in k else g for k, g in p.grades.items()})
        for p in patients
    ]
    folder = write_tables(tmp_path / "spared", spared)
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


def test_two_patients_have_no_correlation(
    tmp_path: Path, patients: list[Patient], write_tables: WriteTables
) -> None:
    folder = write_tables(tmp_path / "two", patients[:2])
    write_tables(folder / "visit-2", [next_visit(p) for p in patients[:2]])
    seen = describe_cohort(folder)
    for change in seen.changes:
        assert (change.sd, change.sdc, change.detectable) == (None, None, None)
        assert "fewer than 3 patients" in str(change.reason)
    for found in (*seen.correlations.values(), *seen.pairs.values()):
        assert found.r is None
        assert "fewer than 3 " in str(found.reason)


def test_pairs_of_targets_are_averaged_by_what_they_have_in_common(
    cohort: Path, patients: list[Patient]
) -> None:
    seen = describe_cohort(cohort).pairs
    grades = np.array([[p.grades[t.key] for t in TARGETS] for p in patients])
    index = {t.key: i for i, t in enumerate(TARGETS)}
    both = []
    for t in TARGETS:
        if t.side is Side.LEFT:
            first, second = grades[:, index[t.key]], grades[:, index[t.mirror.key]]
            if np.ptp(first) and np.ptp(second):
                both.append(np.corrcoef(first, second)[0, 1])
    assert seen["same joint, left-right"].r == pytest.approx(np.mean(both))


def test_damage_goes_together_as_published(tmp_path: Path, write_tables: WriteTables) -> None:
    many = [draw_patient(9, i) for i in range(500)]
    seen = describe_cohort(write_tables(tmp_path / "many", many))
    r = {kind: found.r or 0.0 for kind, found in seen.pairs.items()}
    assert list(r) == list(PUBLISHED["pairs"])
    for kind, words in PUBLISHED["pairs"].items():
        if words == "above other pairs":
            assert r[kind] > r["other"] + 0.05
        assert r[kind] > 0.2
    for found in seen.correlations.values():
        assert 0.6 < (found.r or 0.0) < 0.95  # medium to high


def test_change_is_that_of_the_true_totals_and_the_readers_say_what_is_detectable(
    cohort: Path, patients: list[Patient], write_tables: WriteTables
) -> None:
    assert describe_cohort(cohort).changes == ()
    later = [next_visit(p) for p in patients]
    last = [next_visit(p) for p in later]
    write_tables(cohort / "visit-2", later)
    write_tables(cohort / "visit-3", last)
    seen = describe_cohort(cohort)
    assert seen.visits == 3
    names = ["Overall_narrowing", "Overall_erosion", "Overall_Tol"]
    assert [(c.visit, c.total) for c in seen.changes] == [(v, n) for v in (2, 3) for n in names]
    change = np.array(total(last)) - np.array(total(patients))
    found = seen.changes[-1]
    assert found.mean == pytest.approx(change.mean())
    assert found.sd == pytest.approx(change.std(ddof=1))
    assert found.progressed == pytest.approx((change > 0).mean())
    assert found.years == pytest.approx(np.mean([p.years for p in last]), abs=1e-3)
    read = [
        [sum(read_grades(p, k).values()) - sum(read_grades(q, k).values())
         for p, q in zip(last, patients, strict=True)]
        for k in (1, 2)
    ]  # fmt: skip
    sdc = 1.96 * np.std(np.subtract(*read), ddof=1) / 2
    assert found.sdc == pytest.approx(sdc)
    assert found.detectable == pytest.approx((change >= max(sdc, 1)).mean())
