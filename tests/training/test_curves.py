from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from PIL import Image

from mandora.training.curves import draw_curves
from mandora.training.history import append_history, read_history, trim_history

ROWS = [
    {
        "epoch": e + 1, "loss": 2.0 * 0.6**e + 0.01, "learning_rate": 1e-3, "minutes": float(e),
        "items_per_second": 30.0, "score": 0.9 - 0.01 * (e - 6) ** 2, "dice": 0.5 + 0.03 * e,
    }
    for e in range(10)
]  # fmt: skip


def ink(path: Path) -> float:
    with Image.open(path) as picture:
        return float((np.asarray(picture.convert("L")) < 200).mean())


def test_curves_are_a_picture_with_lines(tmp_path: Path) -> None:
    draw_curves(ROWS, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width > 900
    assert ink(tmp_path / "curves.png") > 0.01


@pytest.mark.parametrize("rows", [1, 200])
def test_short_and_long_runs_and_numbers_that_are_missing(tmp_path: Path, rows: int) -> None:
    history = [{"epoch": e + 1, "loss": float("nan") if e else 1.0} for e in range(rows)]
    history[-1]["score"] = 0.5
    draw_curves(history, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").exists()


def test_without_an_epoch_there_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no epoch is finished"):
        draw_curves([], tmp_path / "curves.png")


def test_a_history_comes_back_and_can_be_trimmed(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    for row in (*ROWS[:2], {"epoch": 3, "loss": float("nan")}):
        append_history(path, row)
    rows = read_history(path)
    assert rows[:2] == ROWS[:2]
    assert np.isnan(rows[2]["loss"])
    assert "NaN" not in path.read_text(encoding="utf-8")  # JSON has no such number
    trim_history(path, 1)
    assert read_history(path) == ROWS[:1]
    trim_history(path, 5)
    assert read_history(path) == ROWS[:1]
    path.write_text('{"epoch": 1}\n{"epo', encoding="utf-8")
    with pytest.raises(ValueError, match=r"history.jsonl, row 2"):
        read_history(path)
