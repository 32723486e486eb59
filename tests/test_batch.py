from __future__ import annotations

import csv
import json
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mandora.batch as module
from mandora.anatomy import POINTS, SLOTS, Limb, Side
from mandora.batch import POINT_COLUMNS, example_films, locate_films, score_films
from mandora.bundle import Bundle, open_bundle
from mandora.outputs.files import OutputError
from mandora.outputs.writer import ResultWriter
from mandora.pipeline import Pipeline
from mandora.records import Reason, read_result


@pytest.fixture(scope="session")
def bundle(tiny_bundle: Path) -> Bundle:
    return open_bundle(tiny_bundle)


@pytest.fixture
def give(tmp_path: Path, small_films: Path) -> Callable[..., Path]:
    """Put copies of the small films into the folder ``films``: name → slot that it shows."""

    def put(**shows: str) -> Path:
        for name, code in shows.items():
            target = tmp_path / "films" / name.replace("__", "/").replace("_", "-")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(small_films / f"P1-{code}.png", target.with_suffix(".png"))
        return tmp_path / "films"

    return put


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
        progress=lambda *s: steps.append(s), complain=lines.append,
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
    summary = score_films([films], tmp_path / "out", bundle=bundle, complain=lines.append)
    assert lines == ["P2: the film could not be scored: RuntimeError: the network is tired"]
    assert [r.patient for r in summary.results] == ["P1", "P3"]
    assert [r["Patient_ID"] for r in rows(tmp_path / "out" / "scores.csv")] == ["P1", "P3"]
    (row,) = [r for r in rows(tmp_path / "out" / "joints.csv") if r["patient"] == "P2"]
    assert (row["status"], row["reason"]) == ("failed", "stage_failed")
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
            [give(P1_LF="LF", P2_LF="LF")], tmp_path / "out", bundle=bundle, complain=lines.append
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


def test_the_example_is_four_films() -> None:
    try:
        films = example_films()
    except ValueError as error:
        pytest.skip(str(error))
    assert [film.stem for film in films] == [f"EXAMPLE-{slot.code}" for slot in SLOTS]


def test_an_installation_without_the_example_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module.resources, "files", lambda _: tmp_path)
    with pytest.raises(ValueError, match="no example patient"):
        example_films()


# --- locate ---------------------------------------------------------------------------------


def test_points_of_a_folder_of_films(
    bundle: Bundle, give: Callable[..., Path], tmp_path: Path
) -> None:
    films = give(P1_LH="LH", P1_RF="RF", sub__unnamed="LF")
    steps: list[tuple[int, int]] = []
    out = tmp_path / "deep" / "points.csv"
    failed = locate_films([films], out, bundle=bundle, progress=lambda *s: steps.append(s))
    assert failed == 0
    table = rows(out)
    assert tuple(table[0]) == POINT_COLUMNS
    hand = [r for r in table if r["film"] == "P1-LH.png"]
    assert [(r["limb"], r["side"], r["site"]) for r in hand] == [
        ("hand", "L", p.name) for p in POINTS[Limb.HAND]
    ]
    assert {(r["limb"], r["side"]) for r in table if r["film"] == "P1-RF.png"} == {("foot", "R")}
    assert any(r["film"] == "unnamed.png" for r in table)
    assert all(0 <= float(r["x"]) < 1000 and 0 < float(r["confidence"]) <= 1 for r in table)
    assert steps == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_what_is_said_comes_before_the_name(
    bundle: Bundle, give: Callable[..., Path], tmp_path: Path
) -> None:
    films, out = give(P1_LF="LH"), tmp_path / "points.csv"
    locate_films([films], out, bundle=bundle, limb=Limb.HAND)
    assert {(r["limb"], r["side"]) for r in rows(out)} == {("hand", "L")}
    locate_films([films], out, bundle=bundle, side=Side.RIGHT)
    assert {(r["limb"], r["side"]) for r in rows(out)} == {("foot", "R")}


def test_films_of_one_name_are_told_apart_by_their_folders(
    bundle: Bundle, give: Callable[..., Path], tmp_path: Path
) -> None:
    films, out = give(a__P1_LF="LF", b__P1_LF="LF"), tmp_path / "points.csv"
    locate_films([films], out, bundle=bundle)
    assert {r["film"] for r in rows(out)} == {
        str(films / "a" / "P1-LF.png"), str(films / "b" / "P1-LF.png")
    }  # fmt: skip


def test_a_film_without_a_limb_has_points_without_places(
    bundle: Bundle, give: Callable[..., Path], tmp_path: Path, noise_film: Callable[[Path], Path]
) -> None:
    films, out = give(P1_LF="LF"), tmp_path / "points.csv"
    noise_film(films / "P2-RF.png")
    noise_film(films / "unnamed.png")
    (films / "P3-LF.png").write_bytes(b"")
    lines: list[str] = []
    assert locate_films([films], out, bundle=bundle, complain=lines.append) == 3
    blank = [r for r in rows(out) if r["film"] == "P2-RF.png"]
    assert len(blank) == len(POINTS[Limb.FOOT])
    assert {(r["x"], r["y"]) for r in blank} == {("", "")}
    assert {r["film"] for r in rows(out)} == {"P1-LF.png", "P2-RF.png"}
    assert [line.split(":")[0] for line in lines] == ["P2-RF.png", "P3-LF.png", "unnamed.png"]
    assert "no foot was found" in lines[0]
    assert "0 bytes" in lines[1]


def test_an_interrupted_search_keeps_what_it_found(
    bundle: Bundle, give: Callable[..., Path], tmp_path: Path
) -> None:
    def stop(done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    films, out = give(P1_LF="LF", P2_LF="LF"), tmp_path / "points.csv"
    with pytest.raises(KeyboardInterrupt):
        locate_films([films], out, bundle=bundle, progress=stop)
    assert {r["film"] for r in rows(out)} == {"P1-LF.png"}
    assert len(rows(out)) == len(POINTS[Limb.FOOT])


def test_an_output_that_is_a_folder_is_refused(
    bundle: Bundle, give: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="is a folder"):
        locate_films([give(P1_LF="LF")], tmp_path, bundle=bundle)
    with pytest.raises(ValueError, match="threads"):
        locate_films([give(P1_LF="LF")], tmp_path / "x.csv", bundle=bundle, threads=0)
