"""How fast scoring is, measured in processes of its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mandora.cli.main import app
from mandora.core.anatomy import SLOTS, Slot
from mandora.model.bundle import open_bundle
from mandora.model.contract import SYMMETRY_FILE
from mandora.scoring.speed import STAGES, Published, ScoringSpeed, measure_scoring, to_json


@pytest.fixture
def patient(small_films: Path) -> dict[Slot, Path]:
    return {slot: small_films / f"P1-{slot.code}.png" for slot in SLOTS}


def test_a_patient_is_timed_stage_by_stage(tiny_bundle: Path, patient: dict[Slot, Path]) -> None:
    speed = measure_scoring(tiny_bundle, [patient] * 3, 1)
    assert (speed.design, speed.threads, speed.patients) == ("fast", 1, 3)
    assert set(speed.stages) == set(STAGES)
    assert all(speed.stages[name] > 0 for name in ("read", "locate", "damage", "trees"))
    assert 0 < speed.seconds_per_patient < 60
    assert speed.startup_seconds > 0.1  # Python itself takes as long
    assert 50 < speed.peak_mb_halfway <= speed.peak_mb


def test_the_peak_is_not_that_of_who_asks(tiny_bundle: Path, patient: dict[Slot, Path]) -> None:
    before = measure_scoring(tiny_bundle, [patient], 1).peak_mb
    ballast = np.ones(3 * 10**8 // 4)  # 0.6 GB here are none there
    after = measure_scoring(tiny_bundle, [patient], 1).peak_mb
    assert ballast.nbytes > 5e8
    assert after < before + 150


def test_networks_of_another_design_are_timed_beside_it(
    tiny_bundle: Path, patient: dict[Slot, Path]
) -> None:
    bundle = open_bundle(tiny_bundle)
    files = {name: bundle.path(name) for name in bundle.manifest.files if name != SYMMETRY_FILE}
    slow = measure_scoring(tiny_bundle, [patient], 1, Published(bundle.manifest.contract, files))
    assert slow.design == "published"
    assert all(slow.stages[name] > 0 for name in ("read", "locate", "damage", "trees"))
    fast = measure_scoring(tiny_bundle, [patient], 1)
    shown = json.loads(to_json([fast, slow]))
    assert shown["ratio"] == pytest.approx(slow.seconds_per_patient / fast.seconds_per_patient)
    assert shown["published_seconds_per_patient"] == slow.seconds_per_patient


def test_the_most_threads_stand_at_the_top() -> None:
    runs = [
        ScoringSpeed("fast", threads, 2, 0.5, 1.0, seconds, {}, 300.0, 300.0)
        for threads, seconds in ((2, 0.4), (1, 0.6))
    ]
    shown = json.loads(to_json(runs))
    assert shown["seconds_per_patient"] == 0.4
    assert shown["ratio"] is None
    assert len(shown["runs"]) == 2


def test_faults_of_the_measured_process_are_told(
    tmp_path: Path, tiny_bundle: Path, patient: dict[Slot, Path]
) -> None:
    with pytest.raises(ValueError, match="all four films"):
        measure_scoring(tiny_bundle, [{SLOTS[0]: patient[SLOTS[0]]}], 1)
    with pytest.raises(ValueError, match="scoring failed"):
        measure_scoring(tmp_path / "none", [patient], 1)


def test_the_command_prints_what_programs_need(tiny_bundle: Path, small_films: Path) -> None:
    words = ["bench", "inference", str(small_films), "--patients", "2", "--threads", "1",
             "--no-published", "--bundle", str(tiny_bundle), "--json"]  # fmt: skip
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert set(json.loads(result.stdout)) == {
        "seconds_per_patient", "published_seconds_per_patient", "ratio", "startup_seconds",
        "peak_mb", "runs",
    }  # fmt: skip
    table = CliRunner().invoke(app, words[:-1])
    assert "patients an hour" in table.stdout


@pytest.mark.slow  # exports networks and runs 54 + 86 passes of the published size
def test_the_published_design_is_far_slower(tiny_bundle: Path, small_films: Path) -> None:
    words = ["bench", "inference", str(small_films), "--patients", "2", "--threads", "2",
             "--bundle", str(tiny_bundle), "--json"]  # fmt: skip
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["ratio"] > 20
