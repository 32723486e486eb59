from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mandora.core.anatomy import LANDMARKS, Limb, Side
from mandora.core.records import REASON_TEXT, Reason
from mandora.images.radiograph import Radiograph
from mandora.model.bundle import Bundle
from mandora.scoring import LANDMARK_COLUMNS, locate_films
from mandora.scoring.pipeline import Pipeline


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_points_of_a_folder_of_films(
    bundle: Bundle, give: Callable[..., Path], tmp_path: Path
) -> None:
    films = give(P1_LH="LH", P1_RF="RF", sub__unnamed="LF")
    steps: list[tuple[int, int]] = []
    out = tmp_path / "deep" / "landmarks.csv"
    failed = locate_films([films], out, bundle=bundle, progress=lambda *s: steps.append(s))
    assert failed == 0
    table = rows(out)
    assert tuple(table[0]) == LANDMARK_COLUMNS
    hand = [r for r in table if r["film"] == "P1-LH.png"]
    assert [(r["limb"], r["side"], r["site"]) for r in hand] == [
        ("hand", "L", p.name) for p in LANDMARKS[Limb.HAND]
    ]
    assert {(r["limb"], r["side"]) for r in table if r["film"] == "P1-RF.png"} == {("foot", "R")}
    assert any(r["film"] == "unnamed.png" for r in table)
    assert all(0 <= float(r["x"]) < 1000 and 0 < float(r["confidence"]) <= 1 for r in table)
    assert steps == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_what_is_said_comes_before_the_name(
    bundle: Bundle, give: Callable[..., Path], tmp_path: Path
) -> None:
    films, out = give(P1_LF="LH"), tmp_path / "landmarks.csv"
    locate_films([films], out, bundle=bundle, limb=Limb.HAND)
    assert {(r["limb"], r["side"]) for r in rows(out)} == {("hand", "L")}
    locate_films([films], out, bundle=bundle, side=Side.RIGHT)
    assert {(r["limb"], r["side"]) for r in rows(out)} == {("foot", "R")}


def test_films_of_one_name_are_told_apart_by_their_folders(
    bundle: Bundle, give: Callable[..., Path], tmp_path: Path
) -> None:
    films, out = give(a__P1_LF="LF", b__P1_LF="LF"), tmp_path / "landmarks.csv"
    locate_films([films], out, bundle=bundle)
    assert {r["film"] for r in rows(out)} == {"a/P1-LF.png", "b/P1-LF.png"}


def test_a_film_without_a_limb_has_points_without_places(
    bundle: Bundle, give: Callable[..., Path], tmp_path: Path, noise_film: Callable[[Path], Path]
) -> None:
    films, out = give(P1_LF="LF"), tmp_path / "landmarks.csv"
    noise_film(films / "P2-RF.png")
    noise_film(films / "unnamed.png")
    (films / "P3-LF.png").write_bytes(b"")
    lines: list[str] = []
    assert locate_films([films], out, bundle=bundle, warn=lines.append) == 3
    blank = [r for r in rows(out) if r["film"] == "P2-RF.png"]
    assert len(blank) == len(LANDMARKS[Limb.FOOT])
    assert {(r["x"], r["y"]) for r in blank} == {("", "")}
    assert {r["film"] for r in rows(out)} == {"P1-LF.png", "P2-RF.png"}
    assert [line.split(":")[0] for line in lines] == ["P2-RF.png", "P3-LF.png", "unnamed.png"]
    assert "no foot was found" in lines[0]
    assert "0 bytes" in lines[1]


def test_a_fault_of_the_program_costs_one_film_and_is_called_so(
    bundle: Bundle, give: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locate = Pipeline.locate

    def broken(self: Pipeline, film: Radiograph, *known: Any) -> Any:
        if film.name == "P1-LF.png":
            raise ZeroDivisionError("division by zero")
        return locate(self, film, *known)

    monkeypatch.setattr(Pipeline, "locate", broken)
    films, out = give(P1_LF="LF", P2_LF="LF"), tmp_path / "landmarks.csv"
    lines: list[str] = []
    assert locate_films([films], out, bundle=bundle, warn=lines.append) == 1
    assert lines == [
        f"P1-LF.png: {REASON_TEXT[Reason.PROGRAM_FAULT]}: ZeroDivisionError: division by zero"
    ]
    assert {r["film"] for r in rows(out)} == {"P2-LF.png"}


def test_an_interrupted_search_keeps_what_it_found(
    bundle: Bundle, give: Callable[..., Path], tmp_path: Path
) -> None:
    def stop(done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    films, out = give(P1_LF="LF", P2_LF="LF"), tmp_path / "landmarks.csv"
    with pytest.raises(KeyboardInterrupt):
        locate_films([films], out, bundle=bundle, progress=stop)
    assert {r["film"] for r in rows(out)} == {"P1-LF.png"}
    assert len(rows(out)) == len(LANDMARKS[Limb.FOOT])


def test_an_output_that_is_a_folder_is_refused(
    bundle: Bundle, give: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="is a folder"):
        locate_films([give(P1_LF="LF")], tmp_path, bundle=bundle)
    with pytest.raises(ValueError, match="threads"):
        locate_films([give(P1_LF="LF")], tmp_path / "x.csv", bundle=bundle, threads=0)


def test_a_link_to_nothing_costs_no_other_film(
    bundle: Bundle, give: Callable[..., Path], tmp_path: Path
) -> None:
    films, out = give(P1_LF="LF"), tmp_path / "landmarks.csv"
    (films / "P1-RF.png").symlink_to(tmp_path / "absent.png")
    lines: list[str] = []
    assert locate_films([films], out, bundle=bundle, warn=lines.append) == 1
    assert {r["film"] for r in rows(out)} == {"P1-LF.png"}
    (line,) = lines
    assert line.startswith("P1-RF.png: ")
    assert "correct or remove the link" in line


def test_films_are_searched_side_by_side_and_written_in_order(
    bundle: Bundle,
    give: Callable[..., Path],
    tmp_path: Path,
    read_in_pairs: Callable[[str], None],
) -> None:
    films = give(P1_LF="LF", P2_RF="RF", P4_LF="LF")
    (films / "P3-LF.png").write_bytes(b"no film")
    said: list[list[str]] = [[], []]
    one, two = tmp_path / "1.csv", tmp_path / "2.csv"
    locate_films([films], one, bundle=bundle, threads=1, warn=said[0].append)
    read_in_pairs("mandora.scoring.batch_locate")
    locate_films([films], two, bundle=bundle, threads=2, warn=said[1].append)
    assert one.read_bytes() == two.read_bytes()
    assert said[0] == said[1]
    assert len(said[0]) == 1
