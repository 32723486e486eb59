"""How fast a batch is, measured in processes of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mandora.cli.main import app
from mandora.core.anatomy import SLOTS
from mandora.scoring.batch_speed import BatchSpeed, measure_batch


def test_a_batch_is_measured_with_each_number_of_threads(
    tiny_bundle: Path, small_films: Path
) -> None:
    words = ["bench", "score", str(small_films), "--patients", "3", "--bundle", str(tiny_bundle)]
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 0, result.output
    one, two = json.loads(result.stdout)["runs"]
    assert (one["threads"], two["threads"]) == (1, 2)
    for run in (one, two):
        assert run["patients"] == 3
        assert run["cores"] == pytest.approx(run["cpu_seconds"] / run["seconds"])
        assert run["patients_per_hour"] == pytest.approx(3 * 3600 / run["seconds"])
        assert run["peak_mb"] > 50
    assert one["cores"] < 1.2  # its threads do nothing beside one another


def test_the_table_has_a_row_for_each_run(tiny_bundle: Path, small_films: Path) -> None:
    words = ["bench", "score", str(small_films), "--patients", "1", "--threads", "2",
             "--bundle", str(tiny_bundle)]  # fmt: skip
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    head, row = result.stdout.splitlines()
    assert "cores busy" in head
    assert row.split()[:2] == ["2", "1"]


def test_patients_that_cannot_be_scored_are_not_timed(tiny_bundle: Path, tmp_path: Path) -> None:
    films = {slot: tmp_path / f"P1-{slot.code}.png" for slot in SLOTS}
    for path in films.values():
        path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"(?s)scoring failed.*could not be scored"):
        measure_batch(tiny_bundle, [films], 1)


def test_what_is_derived_fits() -> None:
    run = BatchSpeed(2, 10, 5.0, 9.0, 400.0)
    assert (run.cores, run.patients_per_hour) == (1.8, 7200)
