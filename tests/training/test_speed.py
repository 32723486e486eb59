"""The benchmark of training measures what it says, on the smallest of networks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mandora.cli.main import app
from mandora.core.settings import Settings, TrainDamageSettings, TrainLocateSettings
from mandora.core.settings import preset as real_preset

pytest.importorskip("torch")

from mandora.training import speed
from mandora.training.speed import Speed, _measure, to_json


@pytest.fixture
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks so small that a step takes no time."""

    def smaller(name: str, kind: type[Settings]) -> Settings:
        settings = real_preset(name, kind)
        assert isinstance(settings, TrainLocateSettings | TrainDamageSettings)
        side = {"input_px": 64} if kind is TrainLocateSettings else {"patch_px": 32}
        network = settings.network.model_copy(update={"widths": (4, 6), **side})
        return settings.model_copy(update={"network": network})

    monkeypatch.setattr(speed, "preset", smaller)


@pytest.mark.usefixtures("small_networks")
@pytest.mark.parametrize("name", ["fast", "paper"])
def test_both_presets_are_measured(tmp_path: Path, name: str) -> None:
    found = _measure(name, "damage", tmp_path, 4, -1.0, 0.1, 1)
    assert found.items_per_second > 0
    assert found.loaded_per_second > found.items_per_second
    assert 0 < found.loader_share < 1
    assert found.peak_mib > 50
    assert found.score == -1
    if found.reached is not None:  # any score will do; there is none while all scores are alike
        assert found.minutes is not None
    located = _measure(name, "locate", tmp_path, 4, 0.9, 0.001, 1)
    assert located.score is located.minutes is None
    with pytest.raises(ValueError, match="is of an earlier call"):
        _measure(name, "damage", tmp_path, 4, 0.9, 0.001, 1)


@pytest.mark.usefixtures("small_networks")
def test_a_score_that_is_not_reached_says_how_far_it_came(tmp_path: Path) -> None:
    found = _measure("fast", "damage", tmp_path, 4, 1.0, 0.2, 1)
    assert found.minutes is None
    assert found.reached is not None
    # not even an epoch
    hurried = _measure("fast", "damage", tmp_path / "hurried", 4, 1.0, 1e-6, 1)
    assert (hurried.minutes, hurried.reached) == (None, None)


def made_up(preset: str, stage: str, rate: float) -> Speed:
    reached = {"score": 0.5, "minutes": 2.0, "reached": 0.6} if preset == "fast" else {}
    return Speed(preset, stage, rate, 100.0, 512.0, **reached)  # type: ignore[arg-type]


def test_the_command_prints_a_table_and_the_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        made_up(p, s, r) for p, r in (("fast", 50.0), ("paper", 0.5)) for s in ("locate", "damage")
    ]

    def measured(cache: Path, **settings: object) -> list[Speed]:
        assert settings["patients"] == 5
        for row in rows:
            settings["report"](row)  # type: ignore[operator]
        return rows

    monkeypatch.setattr(speed, "measure", measured)
    shown = CliRunner().invoke(app, ["bench", "training", "--patients", "5"])
    assert "0.5 after 2.0 min" in shown.stdout
    assert "50.0%" in shown.stdout
    assert "damage: fast trains on 100 times as many items a second as paper" in shown.stdout
    shown = CliRunner().invoke(app, ["bench", "training", "--patients", "5", "--json"])
    assert json.loads(shown.stdout) == json.loads(to_json(rows))
    assert json.loads(shown.stdout)["training"][0]["loader_share"] == 0.5
    shown = CliRunner().invoke(app, ["bench", "training", "--preset", "slow"])
    assert shown.exit_code == 2
    assert "--preset slow: use fast or paper" in shown.stderr
