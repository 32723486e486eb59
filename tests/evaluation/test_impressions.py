"""Sections on impressions and erosive films hold numbers that can be checked by hand."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from mandora.core.anatomy import SLOTS, TARGET_INDEX, TARGETS, Damage, Limb
from mandora.evaluation.impressions import (
    ALL,
    columns_at,
    erosive_films,
    impressions,
    seen,
)
from mandora.evaluation.page import TableView
from mandora.evaluation.scores import mean_of

PATIENTS = 6


def rows_of(table: TableView, **wanted: object) -> list[dict[str, object]]:
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    return [row for row in rows if all(row[k] == v for k, v in wanted.items())]


def value(cell: object) -> float:
    return float(getattr(cell, "value", cell))  # type: ignore[arg-type]


@pytest.fixture
def scores() -> dict[str, np.ndarray]:
    """Two feet of six patients, three persons: MTP2 is normal, MTP3 damaged; half are erosive."""
    shape = (PATIENTS, len(TARGETS))
    impression = np.full(shape, np.nan)
    impression[:, TARGET_INDEX["LF-mtp2:erosion"]] = 0
    impression[:, TARGET_INDEX["RF-mtp3:erosion"]] = 1
    erosive = np.full((PATIENTS, len(SLOTS)), np.nan)
    erosive[:, 1] = [0, 0, 0, 1, 1, 1]
    found = np.full(shape, np.nan)
    found[:, TARGET_INDEX["LF-mtp2:erosion"]] = [0, 0, 0, 1, 1, 4]
    found[:, TARGET_INDEX["RF-mtp3:erosion"]] = [3, 3, 3, 3, 3, 3]
    for number, site in enumerate(("ulna", "mul")):
        key = f"{SLOTS[1].code}-{site}:erosion"
        found[:, TARGET_INDEX[key]] = np.array([1, 2, 3, 2, 3, 3]) * (1 - number)
    made = {"person": np.repeat(["a", "b", "c"], 2), "impression": impression, "erosive": erosive}
    for frame in ("true", "predicted"):
        made |= {f"{frame}_patch": found, f"{frame}_blend": found / 2}
    return made


def test_normal_joints_and_damaged_ones(scores: dict[str, np.ndarray]) -> None:
    table = impressions(scores).tables[0]
    wanted = {"joints": "marked", "limb": "foot", "damage": "erosion"}
    (row,) = rows_of(table, **wanted, stage="patch", site=ALL)
    assert (row["normal"], row["damaged"], row["patients"]) == (6, 6, 3)
    assert value(row["mean of normal"]) == pytest.approx(1)
    assert value(row["share of 1.5 or more"]) == pytest.approx(1 / 6)
    assert value(row["mean of damaged"]) == 3
    assert value(row["AUC"]) == pytest.approx(5 / 6)  # all but those of the 4
    (row,) = rows_of(table, **wanted, stage="patch", site="mtp2")
    assert row["damaged"] == 0
    assert np.isnan(value(row["AUC"]))
    (row,) = rows_of(table, **wanted, stage="blend", site="mtp2")
    assert value(row["mean of normal"]) == pytest.approx(0.5)
    assert not rows_of(table, limb="hand"), "nobody has looked at hands"
    assert not rows_of(table, site="mtp4")


def test_persons_are_drawn_not_joints() -> None:
    values = np.array([[0.0], [0.0], [4.0], [4.0]])
    apart = mean_of(values, np.array(list("abcd")))
    together = mean_of(values, np.array(list("aabb")))
    assert apart.number.value == together.number.value == 2
    assert (together.low, together.high) == (0, 4)
    assert together.patients == 2
    assert seen(values, np.zeros((4, 1)), np.array(list("aabb"))).normal.high.number.value == 0.5


def test_films_are_ranked_by_the_sum_of_their_erosion(scores: dict[str, np.ndarray]) -> None:
    table = erosive_films(scores).tables[0]
    (row,) = rows_of(table, joints="found", stage="patch", **{"erosion of": "all sites together"})
    assert (row["films without"], row["films with erosion"]) == (3, 3)
    assert value(row["mean without"]) == pytest.approx(2)
    assert value(row["mean with"]) == pytest.approx(8 / 3)
    # of 9 pairs: 1 < 2, 3, 3; 2 = 2, 2 < 3, 3; 3 > 2, 3 = 3 twice
    assert value(row["AUC"]) == pytest.approx((3 + 0.5 + 2 + 0 + 2 * 0.5) / 9)
    (row,) = rows_of(table, joints="found", stage="patch", **{"erosion of": "mul"})
    assert value(row["AUC"]) == 0.5
    assert not rows_of(table, **{"erosion of": "mtp2"}), "no foot has a label"


def test_columns_of_a_part() -> None:
    every = columns_at(Limb.FOOT, Damage.EROSION, None, ALL)
    assert {TARGETS[i].site.name for i in every} == {"ip", *(f"mtp{n}" for n in range(1, 6))}
    assert [TARGETS[i].key for i in columns_at(Limb.HAND, Damage.EROSION, None, "nav")] == [
        "LH-nav:erosion", "RH-nav:erosion",
    ]  # fmt: skip
