"""Predictions in the form of the RA2 DREAM challenge, through the container's entry point."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from mandora.cli.main import app
from mandora.core.ra2 import RA2_COLUMNS, RA2_TOTALS
from mandora.scoring.pipeline import Pipeline

ROOT = Path(__file__).parents[2]
TOES = ("LF_mtp_J__ip", "RF_mtp_J__ip")  # the releases differ in the order of these two


def swapped() -> tuple[str, ...]:
    other = dict(zip(TOES, reversed(TOES), strict=True))
    return tuple(other.get(column, column) for column in RA2_COLUMNS)


def ask(folder: Path, columns: tuple[str, ...], patients: tuple[str, ...]) -> None:
    with (folder / "template.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, columns, restval="")
        table.writeheader()
        table.writerows({"Patient_ID": patient} for patient in patients)


def challenge(*words: object) -> Result:
    return CliRunner().invoke(app, ["challenge", *map(str, words)])


def predictions(out: Path) -> list[dict[str, str]]:
    with (out / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def test_set(give: Callable[..., Path]) -> Path:
    """P1 has four films, P2 a hand only, P3 none; P9 is not asked for."""
    codes = ("LH", "RH", "LF", "RF")
    give(**{f"P1_{code}": code for code in codes}, P9_LH="LH")
    return give(P2_LH="LH")


def test_the_entry_point_of_the_container_gives_the_template_of_either_release(
    test_set: Path, tmp_path: Path, tiny_bundle: Path
) -> None:
    text = (ROOT / "Containerfile").read_text(encoding="utf-8")
    entry = json.loads(re.findall(r"^ENTRYPOINT (\[.*\])$", text, re.MULTILINE)[0])
    assert entry[0] == "mandora"
    assert re.search(r"^USER [1-9]", text, re.MULTILINE), "it must not run as root"
    made = {}
    for name, columns in (("first", RA2_COLUMNS), ("second", swapped())):
        ask(test_set, columns, ("P2", "P1", "P3"))
        before = sorted(test_set.iterdir())
        out = tmp_path / name
        places = {"/test": str(test_set), "/output": str(out)}
        words = [places.get(word, word) for word in entry[1:]]
        result = CliRunner().invoke(app, [*words, "--bundle", str(tiny_bundle)])
        assert result.exit_code == 0, result.output
        assert sorted(test_set.iterdir()) == before  # it is mounted read-only
        assert [path.name for path in out.iterdir()] == ["predictions.csv"]
        header = (out / "predictions.csv").read_text(encoding="utf-8").splitlines()[0]
        assert header == ",".join(columns)
        made[name] = predictions(out)
    assert made["first"] == made["second"]  # by name, whatever the order
    assert [row["Patient_ID"] for row in made["first"]] == ["P2", "P1", "P3"]
    for row in made["first"]:
        values = {k: float(v) for k, v in row.items() if k != "Patient_ID"}
        joints = sum(v for k, v in values.items() if not k.startswith("Overall"))
        assert values["Overall_Tol"] == pytest.approx(joints, abs=0.01)
    assert "P9: is not in template.csv" in result.stderr
    assert "P3: filled (film_missing: 86)" in result.stderr


def test_what_cannot_be_scored_stays_blank_unless_it_is_asked_for(
    test_set: Path, tmp_path: Path, tiny_bundle: Path
) -> None:
    ask(test_set, ("LH_mcp_E__2", "Patient_ID", "RF_mtp_E__1", "Overall_Tol"), ("P1", "P2"))
    result = challenge(test_set, tmp_path / "out", "--bundle", tiny_bundle)
    assert result.exit_code == 1, result.output
    whole, hand = predictions(tmp_path / "out")
    assert all(whole.values())
    assert hand["LH_mcp_E__2"]
    assert hand["RF_mtp_E__1"] == hand["Overall_Tol"] == ""
    assert "P2: left blank (film_missing:" in result.stderr


def test_totals_are_those_of_score(
    give: Callable[..., Path], tmp_path: Path, tiny_bundle: Path
) -> None:
    # P1 has all films, P2 no left foot: 81 % of the overall maximum, 79 % of that of erosion
    codes = ("LH", "RH", "LF", "RF")
    names = {f"P1_{code}": code for code in codes} | {f"P2_{c}": c for c in codes if c != "LF"}
    films = give(**names)
    ask(films, RA2_COLUMNS, ("P2", "P1"))
    challenge(films, tmp_path / "challenge", "--bundle", tiny_bundle)
    options = ("--template", films / "template.csv", "--out", tmp_path, "--bundle", tiny_bundle)
    CliRunner().invoke(app, ["score", *map(str, (films, *options))])
    made = predictions(tmp_path / "challenge")
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        assert made == list(csv.DictReader(file))
    totals = [[row[name] != "" for name in RA2_TOTALS] for row in made]
    assert totals == [[True, False, True], [True, True, True]]


def test_a_fault_of_the_program_costs_one_patient_and_is_called_so(
    test_set: Path, tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score = Pipeline.score

    def broken(self: Pipeline, study: str, *films: Any) -> Any:
        if study == "P2":
            raise TypeError("no such thing")
        return score(self, study, *films)

    monkeypatch.setattr(Pipeline, "score", broken)
    ask(test_set, ("Patient_ID", "LF_mtp_E__1"), ("P1", "P2"))
    result = challenge(test_set, tmp_path / "out", "--bundle", tiny_bundle)
    assert result.exit_code == 1, result.output
    assert "P2: left blank (program_fault, TypeError: no such thing: 86)" in result.stderr
    assert [row["LF_mtp_E__1"] != "" for row in predictions(tmp_path / "out")] == [True, False]


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: None, "template.csv: cannot be read"),
        (lambda folder: (folder / "template.csv").write_text("a,b\n"), "template.csv"),
        (lambda folder: folder.rename(folder.with_name("gone")), "is not a folder"),
    ],
)
def test_a_test_set_that_cannot_be_used(
    test_set: Path, tmp_path: Path, tiny_bundle: Path, prepare: Callable[[Path], object],
    message: str,
) -> None:  # fmt: skip
    prepare(test_set)
    result = challenge(test_set, tmp_path / "out", "--bundle", tiny_bundle)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "out").exists()
