"""``mandora check``, ``simulate`` and ``describe``."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mandora.cli.main import app
from mandora.core.settings import SimulateSettings
from mandora.simulate.cohort.folder import simulate_cohort

CALL = "import sys; from mandora.cli.main import main; sys.argv[0] = 'mandora'; main()"
HEAD = "patient,film,slot,mcp2:erosion,mtp1:erosion\n"


def mandora(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def unusable(done: Result) -> str:
    assert done.exit_code == 2, done.output
    assert isinstance(done.exception, SystemExit)
    assert done.stdout == ""
    return done.stderr


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def check(*words: object) -> Result:
    return mandora("check", *words)


@pytest.fixture
def dataset(small_films: Path, tmp_path: Path) -> Path:
    """A manifest of two films with scores."""
    for name in ("P1-LH.png", "P1-LF.png"):
        shutil.copy(small_films / name, tmp_path)
    (tmp_path / "manifest.csv").write_text(f"{HEAD}P1,P1-LH.png,LH,1,\nP1,P1-LF.png,LF,,3\n")
    return tmp_path


def test_a_sound_data_set(dataset: Path) -> None:
    done = check(dataset)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "Errors" not in done.stdout
    assert "Warnings" not in done.stdout
    assert "Notes\n  manifest.csv\n" in done.stdout
    assert "manifest: 1 patients, 2 films, 0 pictures of joints, 2 scores" in done.stdout
    assert "errors: 0, warnings: 0" in done.stdout
    assert check(dataset / "manifest.csv").stdout == done.stdout


def test_warnings_do_not_fail(dataset: Path) -> None:
    text = (dataset / "manifest.csv").read_text()
    (dataset / "manifest.csv").write_text(f"{text}p1,,RH,1,\n")
    done = check(dataset)
    assert done.exit_code == 0
    assert "Warnings\n  manifest.csv\n" in done.stdout
    assert "[patients-alike]" in done.stdout


def test_errors_are_grouped_by_severity_and_file(dataset: Path) -> None:
    text = (dataset / "manifest.csv").read_text().replace("LH,1", "LH,9")
    (dataset / "manifest.csv").write_text(f"{text}P2,gone.png,LF,,1\n")
    (dataset / "P1-LF.png").write_bytes(b"no film")
    done = check(dataset)
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[:2] == ["Errors", "  P1-LF.png"]
    assert lines[2].startswith("    this is not a PNG")
    assert lines[2].endswith("[film-unreadable]")
    assert lines[3] == "  manifest.csv"
    assert lines[4].startswith("    row 2: column mcp2:erosion")
    assert lines[5].startswith("    row 4: film gone.png")
    assert "errors: 3" in lines[-1]
    assert len([line for line in lines if line.endswith("]")]) == sum(
        int(part.split(": ")[1]) for part in lines[-1].split(", ")
    )


def test_json(dataset: Path) -> None:
    (dataset / "P1-LF.png").write_bytes(b"no film")
    done = check(dataset, "--json")
    content = json.loads(done.stdout)
    assert done.exit_code == 1
    assert content["layout"] == "manifest"
    assert (content["patients"], content["films"], content["rois"]) == (1, 2, 0)
    assert (content["errors"], content["warnings"]) == (1, 0)
    (error,) = [f for f in content["findings"] if f["severity"] == "error"]
    assert (error["code"], error["file"], error["row"]) == ("film-unreadable", "P1-LF.png", None)


def test_unusable_paths(tmp_path: Path) -> None:
    for path, words in ((tmp_path, "no data set"), (tmp_path / "nowhere", "no such file")):
        done = check(path, "--json")
        assert done.exit_code == 2
        assert words in done.stderr
        assert done.stdout == ""
    assert check(tmp_path, "--workers", 0).exit_code == 2


def test_workers_in_a_process_of_their_own(dataset: Path) -> None:
    (dataset / "P1-LF.png").write_bytes(b"no film")
    run = subprocess.run(
        [sys.executable, "-c", CALL, "check", str(dataset), "--workers", "2"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 1, run.stderr
    assert run.stderr == ""
    assert run.stdout == check(dataset).stdout


@pytest.mark.parametrize(
    ("option", "number"),
    [("--patients", "0"), ("--patients", "-1"), ("--patients", "10000000"), ("--visits", "0")],
)
def test_simulate_refuses_odd_numbers(tmp_path: Path, option: str, number: str) -> None:
    said = unusable(mandora("simulate", "--out", tmp_path / "c", option, number))
    assert f"{option} {number}" in said
    assert not (tmp_path / "c").exists()


def test_simulate_says_what_a_large_cohort_needs(tmp_path: Path) -> None:
    said = unusable(mandora("simulate", "--out", tmp_path / "c", "--patients", "10000000"))
    assert "this needs about" in said
    assert "TB free" in said or "GB free" in said


def test_simulate_writes_into_no_folder_that_is_in_use(films: Path) -> None:
    before = files(films)
    assert "not empty" in unusable(mandora("simulate", "--out", films, "--patients", "1"))
    assert files(films) == before


def test_describe_tells_what_a_cohort_holds(tmp_path: Path) -> None:
    simulate_cohort(SimulateSettings(patients=3, pixels_per_mm=2.0), tmp_path / "cohort")
    done = mandora("describe", tmp_path / "cohort")
    assert done.exit_code == 0, done.output
    assert "3 patients" in done.stdout
    for words in ("Overall_narrowing", "left-right", "RMSE", "ef"):
        assert words in done.stdout
    told = json.loads(mandora("describe", tmp_path / "cohort", "--json").stdout)
    assert told["patients"] == 3
    assert set(told["readers"]) == {"nh", "nf", "eh", "ef", "narrowing", "erosion"}


def test_describe_refuses_what_is_no_simulated_cohort(films: Path) -> None:
    assert f"{films} is no simulated cohort" in unusable(mandora("describe", films))
