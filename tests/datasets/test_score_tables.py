"""Scores by name of the column, whatever its place, and readers with their weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mandora.core.anatomy import RA2_COLUMNS, RA2_ID, RA2_TOTALS, TARGET_INDEX, TARGETS
from mandora.datasets.dataset import Scores
from mandora.datasets.score_tables import (
    read_patient_scores,
    read_target_scores,
    unknown_scores,
    with_weights,
)
from mandora.datasets.tables import Report

WriteTable = Callable[..., Path]
SWAPPED = list(RA2_COLUMNS)
_l, _r = SWAPPED.index("LF_mtp_J__ip"), SWAPPED.index("RF_mtp_J__ip")
SWAPPED[_l], SWAPPED[_r] = SWAPPED[_r], SWAPPED[_l]


def codes(report: Report) -> list[tuple[str, int | None]]:
    return [(f.code, f.row) for f in report.findings]


@pytest.mark.parametrize(
    "columns", [list(RA2_COLUMNS), SWAPPED, list(reversed(RA2_COLUMNS))],
    ids=["first release", "great toes swapped", "reversed"],
)  # fmt: skip
def test_columns_are_found_by_name(
    tmp_path: Path, write_table: WriteTable, columns: list[str]
) -> None:
    row = {t.ra2_column: i % (t.maximum + 1) for i, t in enumerate(TARGETS)}
    row |= {"LF_mtp_J__ip": 1, "RF_mtp_J__ip": 3}
    cells = {RA2_ID: "P1", **dict.fromkeys(RA2_TOTALS, ""), **row}
    path = write_table(tmp_path / "training.csv", columns, [cells[c] for c in columns])
    report = Report(tmp_path)
    scores, lines = read_patient_scores(path, report)
    assert report.findings == []
    assert lines == {"P1": 2}
    assert scores["P1"].tolist() == [row[t.ra2_column] for t in TARGETS]
    assert scores["P1"][TARGET_INDEX["LF-ip:narrowing"]] == 1
    assert scores["P1"][TARGET_INDEX["RF-ip:narrowing"]] == 3


def test_what_is_missing_is_not_zero(tmp_path: Path, write_table: WriteTable) -> None:
    path = write_table(tmp_path / "t.csv", "Patient_ID,LH_mcp_E__1,LH_mcp_E__2", "P1,0,")
    scores, _ = read_patient_scores(path, Report(tmp_path))
    assert scores["P1"][TARGET_INDEX["LH-mcp1:erosion"]] == 0
    assert np.isfinite(scores["P1"]).sum() == 1


def test_every_fault_has_its_row_and_the_rest_is_read(
    tmp_path: Path, write_table: WriteTable
) -> None:
    path = write_table(
        tmp_path / "t.csv",
        "Patient_ID,LH_mcp_E__1,LH_mcp_J__1,Overall_Tol",
        "P1,6,4,", "P2,x,1,449", ",1,1,", "P1,1,1,", "P3,2.5,1,",
    )  # fmt: skip
    report = Report(tmp_path)
    scores, lines = read_patient_scores(path, report)
    assert codes(report) == [
        ("score-out-of-range", 2), ("score-not-a-number", 3), ("score-out-of-range", 3),
        ("patient-blank", 4), ("patient-repeated", 5),
    ]  # fmt: skip
    assert "LH_mcp_E__1: 6 is outside 0…5" in report.findings[0].message
    assert lines == {"P1": 2, "P2": 3, "P3": 6}
    assert math.isnan(scores["P1"][TARGET_INDEX["LH-mcp1:erosion"]]), "a bad cell is missing"
    assert scores["P1"][TARGET_INDEX["LH-mcp1:narrowing"]] == 4
    assert scores["P3"][TARGET_INDEX["LH-mcp1:erosion"]] == 2.5


def test_totals_are_compared_with_the_joints(tmp_path: Path, write_table: WriteTable) -> None:
    columns = [c for c in RA2_COLUMNS if c not in ("Overall_erosion", "Overall_narrowing")]
    rows = [[p, total, *([0] * 85), 3] for p, total in (("P1", 3), ("P2", 4), ("P3", ""))]
    rows.append(["P4", 9, *([0] * 85), ""])  # a joint is missing: there is no sum to compare with
    report = Report(tmp_path)
    read_patient_scores(write_table(tmp_path / "t.csv", columns, *rows), report)
    assert codes(report) == [("total-differs", 3)]
    assert "says 4, the joints add up to 3" in report.findings[0].message


def test_a_row_for_each_target(tmp_path: Path, write_table: WriteTable) -> None:
    path = write_table(
        tmp_path / "readers.csv",
        "patient,target,true_grade,ana,bo",
        "P1,LH-mcp2:narrowing,4,1,2", "P1,LH-mcp2:erosion,0,0,", "P2,LH-mcp2:erosion,0,9,1",
        "P1,LH-mcp2:erosion,0,0,1", "P1,LH-mcp9:erosion,0,0,1",
    )  # fmt: skip
    report = Report(tmp_path)
    readers = read_target_scores(path, report)
    assert list(readers) == ["ana", "bo"], "true grades are no reader's"
    narrowing, erosion = TARGET_INDEX["LH-mcp2:narrowing"], TARGET_INDEX["LH-mcp2:erosion"]
    assert [readers[r]["P1"][narrowing] for r in readers] == [1, 2]
    assert readers["ana"]["P1"][erosion] == 0
    assert math.isnan(readers["bo"]["P1"][erosion])
    assert readers["bo"]["P2"][erosion] == 1
    assert codes(report) == [
        ("score-out-of-range", 4), ("target-repeated", 5), ("target-unknown", 6),
    ]  # fmt: skip


# --- weights --------------------------------------------------------------------------------


def labels() -> dict[str, Scores]:
    return {"P1": unknown_scores()}


def test_weights(tmp_path: Path) -> None:
    report, readers = Report(tmp_path), {"ana": labels(), "bo": labels()}
    assert with_weights(labels(), readers, None, report)[1] == {"ana": 1, "bo": 1}
    assert with_weights(labels(), readers, None, report, {"bo": 2})[1] == {"ana": 1, "bo": 2}
    everyone, weights = with_weights(labels(), readers, {"bo": 0.5}, report, {"bo": 2, "ana": 3})
    assert weights == {"ana": 3, "bo": 0.5}, "what the user asks for replaces the data set's"
    assert list(everyone) == ["ana", "bo"]
    assert report.findings == []


def test_the_official_label_takes_part_if_it_is_weighed(tmp_path: Path) -> None:
    official = labels()
    everyone, weights = with_weights(official, {"ana": labels()}, {"official": 2}, Report(tmp_path))
    assert everyone["official"] is official
    assert weights == {"ana": 1, "official": 2}


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
def test_weights_that_cannot_be_used(tmp_path: Path, weight: float) -> None:
    report = Report(tmp_path)
    _, weights = with_weights(labels(), {"ana": labels()}, {"ana": weight}, report)
    assert codes(report) == [("weight-unusable", None)]
    assert weights == {"ana": 0}


def test_a_weight_for_a_stranger(tmp_path: Path) -> None:
    report = Report(tmp_path)
    with_weights(labels(), {"ana": labels()}, {"bob": 1}, report)
    assert codes(report) == [("reader-unknown", None)]
    assert "no reader 'bob' to weigh; the readers are ana, official" in report.findings[0].message
