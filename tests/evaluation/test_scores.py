"""Sections on scores hold the numbers of the metrics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from mandora.core.anatomy import TARGETS
from mandora.evaluation.figures import style
from mandora.evaluation.scores import by_grade, healthy, measures, totals
from mandora.metrics import GROUPS
from mandora.metrics.agreement import compare_totals
from mandora.metrics.joints import measure

PATIENTS = 20
MAXIMA = np.array([t.maximum for t in TARGETS], dtype=float)


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    # figures are made, not written: writing is tested elsewhere, and slow
    monkeypatch.setattr(style, "save", lambda *_: None)
    rng = np.random.default_rng(0)
    official = np.floor(rng.random((PATIENTS, len(TARGETS))) * (MAXIMA + 1))
    made = {"official": official, "patient": np.array([f"P{i}" for i in range(PATIENTS)])}
    for frame in ("true", "predicted"):
        for stage in ("patch", "blend"):
            noise = rng.normal(0, 0.5, official.shape)
            made[f"{frame}_{stage}"] = np.clip(official + noise, 0, MAXIMA)
    return made


def test_every_measure_has_its_number(tmp_path: Path, scores: dict[str, np.ndarray]) -> None:
    found = {tuple(row[:4]): row for row in measures(scores, tmp_path, "some").tables[1].rows}
    row = found["predicted", "blend", "foot erosion", "icc2"]
    columns = list(GROUPS["ef"])
    wanted = measure(scores["predicted_blend"][:, columns], scores["official"][:, columns])
    assert row[4] == wanted["icc2"]
    assert row[5] < row[4].value < row[6]
    assert found["true", "patch", "hand narrowing", "auc"][5] is None
    assert "of some;" in measures(scores, tmp_path, "some").text


def test_totals_have_a_row_each(tmp_path: Path, scores: dict[str, np.ndarray]) -> None:
    table = totals(scores, tmp_path).tables[0]
    made = compare_totals(scores["predicted_blend"], scores["official"])
    assert {
        row[0]: dict(zip(table.columns[1:], row[1:], strict=True)) for row in table.rows
    } == made


def test_grades_rise_and_healthy_joints_are_low(scores: dict[str, np.ndarray]) -> None:
    rows = by_grade(scores).tables[0].rows
    assert {row[6] for row in rows} == {"", "yes"}
    rows = healthy(scores).tables[0].rows
    row = next(row for row in rows if row[:2] == ["patch", "hand erosion"])
    columns = list(GROUPS["eh"])
    found, official = scores["predicted_patch"][:, columns], scores["official"][:, columns]
    assert row[2] == (official == 0).sum()
    assert row[3].value == pytest.approx(found[official == 0].mean())
    assert row[4] < row[3].value < row[5]
