"""Scores by name of the column, whatever its place, and readers with their weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from mandora.core.anatomy import TARGET_INDEX
from mandora.datasets.findings import Report
from mandora.datasets.score_tables import (
    Scores,
    read_target_scores,
    score_of,
    unknown_scores,
    with_weights,
)
from mandora.datasets.tables import Row

WriteTable = Callable[..., Path]


def codes(report: Report) -> list[tuple[str, int | None]]:
    return [(f.code, f.row) for f in report.findings]


@pytest.mark.parametrize("cell", ["0", "5", "2.5", "+1", ".5", "1e0"])
def test_numbers_in_range(tmp_path: Path, cell: str) -> None:
    report = Report(tmp_path)
    assert score_of(tmp_path / "t.csv", Row(2, {"a": cell}), "a", 5, report) == float(cell)
    assert report.findings == []


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("5.01", "column a: 5.01 is outside 0…5; correct it or leave the cell blank"),
        ("x", "column a: 'x' is no number; leave the cell blank if it is missing"),
    ],
)
def test_cells_that_cannot_be_used_are_missing(tmp_path: Path, cell: str, message: str) -> None:
    report = Report(tmp_path)
    assert math.isnan(score_of(tmp_path / "t.csv", Row(2, {"a": cell}), "a", 5, report))
    assert [(f.message, f.row) for f in report.findings] == [(message, 2)]


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
