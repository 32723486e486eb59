from __future__ import annotations

import csv
import json
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mandora.core.files import OutputError
from mandora.core.records import Reason, read_result
from mandora.model.bundle import Bundle
from mandora.outputs.writer import ResultWriter
from mandora.scoring import score_films
from mandora.scoring.pipeline import Pipeline


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_summary_says_what_came_out(
    bundle: Bundle, give: Callable[..., Path], tmp_path: Path
) -> None:
    films = give(P1_LH="LH", P2_RF="RF")
    (films / "scan.png").write_bytes(b"x")
    lines: list[str] = []
    steps: list[tuple[int, int]] = []
    summary = score_films(
        [films], tmp_path / "out", bundle=bundle, threads=1,
        progress=lambda *s: steps.append(s), warn=lines.append,
    )  # fmt: skip
    content = json.loads(summary.to_json())
    assert (content["patients"], content["scored"], content["failed"]) == (2, 2, 0)
    assert content["out"] == str(tmp_path / "out")
    assert content["bundle"]["sha256"] == bundle.sha256
    assert "research" in content["notice"]
    assert [r["patient"] for r in content["results"]] == ["P1", "P2"]
    assert content["results"][0]["joints"] == {"scored": 31, "failed": 0, "missing": 55}
    total = content["results"][0]["totals"]["Overall_Tol"]
    assert (total["value"], total["reason"]) == (None, "too_few_joints")
    assert [(p["film"], p["reason"]) for p in content["problems"]] == [("scan.png", "unknown_name")]
    assert len(lines) == 1
    assert lines[0].startswith("scan.png: neither the file name")
    assert steps == [(0, 2), (1, 2), (2, 2)]
    assert summary.only is None
    record = read_result(tmp_path / "out" / "results" / "P1.json")
    assert summary.results[0].totals == record.totals


def test_of_one_patient_the_whole_result_is_at_hand(
    bundle: Bundle, give: Callable[..., Path], tmp_path: Path
) -> None:
    summary = score_films([give(P1_LH="LH")], tmp_path / "out", bundle=bundle)
    assert summary.only == read_result(tmp_path / "out" / "results" / "P1.json")


def test_a_patients_films_are_let_go_of_before_the_next_ones_are_read(
    bundle: Bundle,
    give: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held: list[weakref.ref[Any]] = []
    score = Pipeline.score

    def watched(self: Pipeline, *args: Any) -> Any:
        assert [ref() for ref in held] == [None] * len(held)
        scored = score(self, *args)
        held.extend(weakref.ref(film) for film in scored.radiographs.values())
        return scored

    monkeypatch.setattr(Pipeline, "score", watched)
    films = give(P1_LF="LF", P2_LF="LF", P3_LF="LF")
    assert score_films([films], tmp_path / "out", bundle=bundle).problems == ()
    assert len(held) == 3


def test_an_unforeseen_error_costs_one_patient(
    bundle: Bundle,
    give: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    score = Pipeline.score

    def broken(self: Pipeline, study: str, *args: Any) -> Any:
        if study == "P2":
            raise RuntimeError("the network\nis tired")
        return score(self, study, *args)

    monkeypatch.setattr(Pipeline, "score", broken)
    lines: list[str] = []
    films = give(P1_LF="LF", P2_LF="LF", P3_LF="LF")
    summary = score_films([films], tmp_path / "out", bundle=bundle, warn=lines.append)
    assert lines == [
        "P2: the program failed, through a fault of its own; please report it: RuntimeError: the "
        "network is tired"
    ]
    assert [r.patient for r in summary.results] == ["P1", "P3"]
    assert [r["Patient_ID"] for r in rows(tmp_path / "out" / "scores.csv")] == ["P1", "P3"]
    (row,) = [r for r in rows(tmp_path / "out" / "joints.csv") if r["patient"] == "P2"]
    assert (row["status"], row["reason"]) == ("failed", "program_fault")
    assert json.loads(summary.to_json())["failed"] == 1


def test_what_cannot_be_written_is_told_and_the_run_goes_on(
    bundle: Bundle, give: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "out" / "results" / "P1.json").mkdir(parents=True)
    summary = score_films([give(P1_LF="LF", P2_LF="LF")], tmp_path / "out", bundle=bundle)
    (problem,) = summary.problems
    assert (problem.study, problem.reason) == ("P1", Reason.OUTPUT_FAILED)
    assert "P1.json" in problem.detail
    assert [r.patient for r in summary.results] == ["P2"]


def test_a_run_ends_when_not_even_the_reason_can_be_written(
    bundle: Bundle,
    give: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(self: ResultWriter, *args: Any) -> Any:
        raise OutputError(tmp_path / "joints.csv", OSError(28, "No space left on device"))

    monkeypatch.setattr(ResultWriter, "write", full)
    monkeypatch.setattr(ResultWriter, "write_problem", full)
    lines: list[str] = []
    with pytest.raises(OutputError, match="No space left"):
        score_films(
            [give(P1_LF="LF", P2_LF="LF")], tmp_path / "out", bundle=bundle, warn=lines.append
        )
    assert len(lines) == 1


def test_an_interrupt_passes_through_and_leaves_whole_tables(
    bundle: Bundle, give: Callable[..., Path], tmp_path: Path
) -> None:
    def stop(done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    template = tmp_path / "template.csv"
    template.write_text("Patient_ID,Overall_Tol\nP2,\nP1,\n", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt):
        score_films(
            [give(P1_LF="LF", P2_LF="LF")], tmp_path / "out", bundle=bundle, template=template,
            progress=stop,
        )  # fmt: skip
    assert [r["Patient_ID"] for r in rows(tmp_path / "out" / "scores.csv")] == ["P1"]
    assert len(rows(tmp_path / "out" / "joints.csv")) == 86
    assert (tmp_path / "out" / "reports" / "P1.html").is_file()


def test_ids_that_differ_in_capitals_only(
    bundle: Bundle, give: Callable[..., Path], tmp_path: Path
) -> None:
    summary = score_films([give(P1_LF="LF", p1_RF="RF")], tmp_path / "out", bundle=bundle)
    assert [r.patient for r in summary.results] == ["P1"]
    (problem,) = summary.problems
    assert (problem.study, problem.reason) == ("p1", Reason.BAD_STUDY_ID)
    assert "capitals" in problem.detail


@pytest.mark.parametrize("out", ["films", "films/out", "films/a/out"])
def test_a_second_run_does_not_take_overlays_for_films(
    bundle: Bundle, give: Callable[..., Path], tmp_path: Path, out: str
) -> None:
    films = give(P1_LF="LF", a__P2_RF="RF")
    for _ in range(2):
        summary = score_films([films], tmp_path / out, bundle=bundle)
        assert [r.patient for r in summary.results] == ["P1", "P2"]
        assert summary.problems == ()


def test_a_link_to_nothing_costs_its_own_film(
    bundle: Bundle, give: Callable[..., Path], tmp_path: Path
) -> None:
    films = give(P1_LF="LF", P2_RF="RF")
    (films / "P1-RF.png").symlink_to(tmp_path / "absent.png")
    (films / "scan.png").symlink_to(tmp_path / "absent.png")
    lines: list[str] = []
    summary = score_films([films], tmp_path / "out", bundle=bundle, warn=lines.append)
    assert [r.patient for r in summary.results] == ["P1", "P2"]
    assert [(r.scored, r.failed) for r in summary.results] == [(12, 12), (12, 0)]
    assert [line.partition(":")[0] for line in lines] == ["scan.png", "P1-RF.png"]
    assert all("correct or remove the link" in line for line in lines)
