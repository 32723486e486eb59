"""``mandora reproduce`` at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mandora.cli.main import app
from mandora.core.settings import PRESETS, EquivalenceSettings, ReproduceSettings

for package in ("torch", "matplotlib", "shap"):
    pytest.importorskip(package)


def mandora(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_plan_costs_nothing_but_the_cohort(tmp_path: Path) -> None:
    out = tmp_path / "out"
    shown = mandora("reproduce", "--out", out, "--smoke", "--plan", "--workers", 1)
    assert shown.exit_code == 0, shown.output
    assert "41 of 41 jobs to do" in shown.stdout
    folds = json.loads((out / "folds.json").read_text(encoding="utf-8"))
    assert sorted(folds) == ["repeat-01", "repeat-02"]
    for fold in folds.values():
        assert [len(fold[part]) for part in ("networks", "trees", "test")] == [3, 2, 1]
    assert not (out / "jobs").exists()
    assert not (out / "report.html").exists()
    # begun with these folds, it goes on with no others
    other = tmp_path / "other.toml"
    other.write_text("seed = 2\n", encoding="utf-8")
    again = mandora("reproduce", "--out", out, "--smoke", "--plan", "--settings", other)
    assert again.exit_code == 2
    assert "holds other folds" in again.stderr
    # the same cohort by its path, with a preset of which a file changes some values
    other.write_text("official = 'truth'\n[equivalence]\nr = 0.02\n", encoding="utf-8")
    paper = tmp_path / "paper"
    words = ("reproduce", out / "cohort", "--preset", "paper", "--out", paper, "--smoke", "--plan")
    shown = mandora(*words, "--settings", other)
    assert shown.exit_code == 0, shown.output
    assert "22 of 22 jobs to do" in shown.stdout
    used = ReproduceSettings.from_toml(paper / "reproduce.toml")
    assert used.damage.network.design == "family"
    assert (used.official, used.shap_rows) == ("truth", "as they are")
    assert used.equivalence == EquivalenceSettings(r=0.02)
    assert used.forest.drop_extremity == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--runner", "cloud"), "--runner cloud: use serial, processes, ray"),
        (("{}/none",), "no such file or folder"),
        (("--reader", "anna"), "write NAME=WEIGHT"),
        (("--preset", "papyrus"), "there is no preset 'papyrus'; use fast or paper"),
    ],
)
def test_calls_that_cannot_work_say_why(
    tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    given = [word.format(tmp_path) for word in words]
    result = mandora("reproduce", *given, "--out", tmp_path / "out", "--smoke")
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_the_smallest_reproduction(tmp_path: Path, preset: str) -> None:
    out = tmp_path / "out"
    words = ("reproduce", "--preset", preset, "--out", out, "--smoke", "--runner", "serial")
    shown = mandora(*words)
    assert shown.exit_code == 0, shown.output
    report = (out / "report.html").read_text(encoding="utf-8")
    for anchor in ("fig3", "fig5-true", "fig6-true", "fig7", "fig8-true", "fig9", "fig10", "truth"):
        assert f'id="{anchor}"' in report
    assert ('id="fig5-design-true"' in report) == (preset == "fast")
    assert "the scores of reader 1, who is simulated" in report
    claims = json.loads((out / "claims.json").read_text(encoding="utf-8"))
    counts = claims["counts"]
    assert sum(n for found in counts.values() for n in found.values()) == len(claims["claims"])
    assert f"Claims (null): held {counts['null']['held']}, did not hold" in shown.stdout
    assert (out / "tables" / "table1.csv").exists()
    # what is done is not done again
    (out / "report.html").unlink()
    assert "starts" not in mandora(*words).stdout
    assert (out / "report.html").exists()
