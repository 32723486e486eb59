"""A manifest says everything in one table, and is written so that it reads the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mandora.core.anatomy import LANDMARK_INDEX, TARGET_INDEX, TARGETS, Limb, Side, Slot
from mandora.datasets.dataset import Dataset
from mandora.datasets.findings import Severity
from mandora.datasets.formats.labelme import labelme_document
from mandora.datasets.layouts import open_dataset, read_dataset
from mandora.datasets.manifest import COLUMNS, SCORE_COLUMNS
from mandora.datasets.outlines import Outline

WriteFilm = Callable[..., Path]
WriteTable = Callable[..., Path]
LH, LF = Slot(Side.LEFT, Limb.HAND), Slot(Side.LEFT, Limb.FOOT)
MCP2 = TARGET_INDEX["LH-mcp2:narrowing"]
TRIANGLE = np.array([[2, 2], [8, 2], [2, 8]], np.float64)


@pytest.fixture
def films(tmp_path: Path, write_film: WriteFilm) -> Path:
    for name in ("a.png", "b.png", "sub/c.png"):
        write_film(tmp_path / name)
    return tmp_path


@pytest.fixture
def read(films: Path, write_table: WriteTable) -> Callable[..., Dataset]:
    """Read a manifest of these lines, in which nothing is wrong."""

    def read(*lines: str, weights: dict[str, float] | None = None) -> Dataset:
        write_table(films / "manifest.csv", *lines)
        return open_dataset(films, weights)

    return read


@pytest.fixture
def faults(films: Path, write_table: WriteTable) -> Callable[..., list[tuple[str, int | None]]]:
    """Code and row of what is wrong with a manifest of these lines."""

    def faults(*lines: str) -> list[tuple[str, int | None]]:
        _, findings = read_dataset(write_table(films / "manifest.csv", *lines))
        assert all(f.file == "manifest.csv" for f in findings if f.row)
        return [(f.code, f.row) for f in findings if f.severity is Severity.ERROR]

    return faults


def known(values: Iterable[float]) -> dict[str, float]:
    pairs = zip(TARGETS, values, strict=True)
    return {t.key: float(v) for t, v in pairs if np.isfinite(v)}


# --- films ----------------------------------------------------------------------------------


def test_a_row_for_each_film(read: Callable[..., Dataset], films: Path) -> None:
    dataset = read(
        "patient,film,slot,mcp2:narrowing,nav:erosion,mtp1:erosion",
        "P1,a.png,LH,1,,", "P1,sub/c.png,lf,,,10", "P2,b.png,RH,2.5,5,",
    )  # fmt: skip
    assert dataset.layout == "manifest"
    assert [(f.patient, f.slot.code, f.path) for f in dataset.films] == [
        ("P1", "LH", films / "a.png"),
        ("P1", "LF", films / "sub/c.png"),
        ("P2", "RH", films / "b.png"),
    ]  # fmt: skip
    assert known(dataset.official["P1"]) == {"LH-mcp2:narrowing": 1, "LF-mtp1:erosion": 10}
    assert known(dataset.official["P2"]) == {"RH-mcp2:narrowing": 2.5, "RH-nav:erosion": 5}
    assert dataset.readers == {}


def test_limb_and_side_instead_of_the_slot(read: Callable[..., Dataset]) -> None:
    dataset = read("patient,film,limb,side", "P1,a.png,hand,left", "P1,b.png,Foot,R")
    assert [f.slot.code for f in dataset.films] == ["LH", "RF"]


def test_one_film_may_show_both_hands(read: Callable[..., Dataset], write_table: WriteTable,
                                      films: Path) -> None:  # fmt: skip
    write_table(films / "joints.csv", "film,side,site,x,y", "a.png,L,mcp2,1,2", "a.png,R,mcp2,3,4")
    dataset = read("patient,film,slot", "P1,a.png,LH", "P1,a.png,RH")
    at = LANDMARK_INDEX[Limb.HAND]["mcp2"]
    assert [f.landmarks[at].tolist() for f in dataset.films] == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["P1,a.png,XX,"], [("slot-unknown", 2), ("no-films", None)]),
        (["P1,nowhere.png,LH,"], [("film-missing", 2)]),
        (["a/b,a.png,LH,"], [("patient-unusable", 2), ("no-films", None)]),
        ([",a.png,LH,", "P1,a.png,LH,"], [("patient-unusable", 2)]),
        (["P1,a.png,LH,", "P1,b.png,LH,"], [("row-repeated", 3)]),
        (["P1,a.png,LH,9"], [("score-out-of-range", 2)]),
        (["P1,a.png,LH,?"], [("score-not-a-number", 2)]),
        (["P1,a.png,LF,1"], [("target-unknown", 2)]),
        (["P1,,LH,1"], [("no-films", None)]),
        (["P1,a.png,LH"], [("row-length", 2), ("no-films", None)]),
    ],
)
def test_rows_that_cannot_be_used(
    faults: Callable[..., list[tuple[str, int | None]]],
    rows: list[str],
    expected: list[tuple[str, int | None]],
) -> None:
    assert faults("patient,film,slot,mcp2:narrowing", *rows) == expected


def test_headers_that_cannot_be_used(
    faults: Callable[..., list[tuple[str, int | None]]],
) -> None:
    assert faults("patient,slot", "P1,LH") == [("column-missing", 1)]
    assert faults("patient,film,limb", "P1,a.png,hand") == [("column-missing", 1)]
    assert faults("patient,film,slot,mcp9:erosion", "P1,a.png,LH,1") == [("column-unknown", 1)]
    assert faults("patient,film,slot,limb", "P1,a.png,LH,foot", "P1,b.png,LF,foot") == [
        ("limb-differs", 2)
    ]


def test_every_target_has_a_column() -> None:
    for target in TARGETS:
        assert target.key.removeprefix(f"{target.slot.code}-") in SCORE_COLUMNS
    assert len(SCORE_COLUMNS) == len(set(SCORE_COLUMNS))
    assert set(SCORE_COLUMNS) < set(COLUMNS)


# --- readers --------------------------------------------------------------------------------

READERS = (
    "patient,film,slot,reader,weight,mcp2:narrowing,mcp3:narrowing",
    "P1,a.png,LH,ana,3,1,2",
    "P1,,LH,bo,,2,",
    "P2,b.png,LH,ana,,0,0",
)


def test_readers_and_their_weights(read: Callable[..., Dataset]) -> None:
    dataset = read(*READERS)
    assert [len(known(dataset.readers["ana"][p])) for p in ("P1", "P2")] == [2, 2]
    assert dataset.weights == {"ana": 3, "bo": 1}
    assert dataset.training_scores("P1")[MCP2] == (3 * 1 + 1 * 2) / 4
    assert dataset.training_scores("P1")[MCP2 + 1] == 2
    assert len(dataset.films) == 2


def test_without_an_official_label_the_readers_mean_is_official(
    read: Callable[..., Dataset],
) -> None:
    expected = {"LH-mcp2:narrowing": 1.25, "LH-mcp3:narrowing": 2}
    assert known(read(*READERS).official["P1"]) == expected
    weighed = read(*READERS, weights={"ana": 0})
    assert weighed.training_scores("P1")[MCP2] == 2
    assert known(weighed.official["P1"]) == expected, "runs are measured against one label"


def test_an_official_label_beside_readers(read: Callable[..., Dataset]) -> None:
    dataset = read(*READERS, "P1,a.png,LH,official,,4,", "P2,,LH,,,,")
    assert known(dataset.official["P1"]) == {"LH-mcp2:narrowing": 4}
    assert "P2" not in dataset.official
    assert dataset.training_scores("P1")[MCP2] == 1.25
    assert set(dataset.readers) == {"ana", "bo"}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["P1,a.png,LH,ana,1,1", "P1,b.png,LH,bo,,1"], [("film-differs", 3)]),
        (["P1,a.png,LH,ana,1,1", "P1,a.png,LH,ana,,1"], [("row-repeated", 3)]),
        (["P1,a.png,LH,ana,1,1", "P2,b.png,LH,ana,2,1"], [("weight-differs", 3)]),
        (["P1,a.png,LH,ana,-1,1"], [("weight-out-of-range", 2)]),
        (["P1,a.png,LH,ana,much,1"], [("weight-not-a-number", 2)]),
    ],
)
def test_rows_of_readers_that_contradict(
    faults: Callable[..., list[tuple[str, int | None]]],
    rows: list[str],
    expected: list[tuple[str, int | None]],
) -> None:
    assert faults("patient,film,slot,reader,weight,mcp2:narrowing", *rows) == expected


# --- labels ---------------------------------------------------------------------------------


def test_labels_of_every_kind(read: Callable[..., Dataset], films: Path,
                              write_table: WriteTable) -> None:  # fmt: skip
    Image.new("L", (100, 80)).save(films / "map.png")
    document = labelme_document((Outline("hand-mcp2", TRIANGLE),), "other.png", (100, 80))
    (films / "sub" / "b.json").write_text(json.dumps(document))
    write_table(films / "mine.csv", "film,site,x,y", "a.png,mcp2,3,4", "b.png,mcp2,5,6")
    dataset = read(
        "patient,film,slot,spaces,erosions,joints",
        "P1,a.png,LH,map.png,sub/b.json,mine.csv", "P2,b.png,LH,,,mine.csv",
    )  # fmt: skip
    first, second = dataset.films
    assert first.spaces == films / "map.png"
    assert isinstance(first.erosions, tuple)
    assert (second.spaces, second.erosions) == (None, None)
    at = LANDMARK_INDEX[Limb.HAND]["mcp2"]
    assert (first.landmarks[at].tolist(), second.landmarks[at].tolist()) == ([3, 4], [5, 6])
    erosions = first.erosion_map((80, 100))
    assert erosions is not None
    assert erosions[3, 3] == 1 + at
    assert erosions[7, 7] == 0


def test_labels_that_are_not_there(
    faults: Callable[..., list[tuple[str, int | None]]],
) -> None:
    head = "patient,film,slot,reader,spaces,erosions,joints"
    assert faults(head, "P1,a.png,LH,,no.png,no.json,no.csv") == [
        ("labels-missing", None), ("labels-missing", None), ("labels-unreadable", None),
    ]  # fmt: skip
    assert faults(head, "P1,a.png,LH,x,a.png,,", "P1,a.png,LH,y,b.png,,") == [("labels-differ", 3)]


# --- what people saw ------------------------------------------------------------------------


def test_a_films_label_and_whose_it_is(read: Callable[..., Dataset]) -> None:
    dataset = read(
        "patient,person,film,slot,erosive", "P1,anna,a.png,LH,1", "P2,anna,b.png,LH,0",
        "P3,,sub/c.png,LH,",
    )  # fmt: skip
    assert [film.erosive for film in dataset.films] == [True, False, None]
    assert dataset.persons == {"P1": "anna", "P2": "anna"}
    assert dataset.of_patients(frozenset({"P1"})).persons == dataset.persons


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["P1,anna,a.png,LH,,yes"], [("erosive-unknown", 2)]),
        (["P1,anna,a.png,LH,,1", "P1,anna,a.png,LH,bo,0"], [("labels-differ", 3)]),
        (["P1,anna,a.png,LH,,", "P1,ben,b.png,RH,,"], [("person-differs", 3)]),
    ],
)
def test_films_labels_and_persons_that_contradict(
    faults: Callable[..., list[tuple[str, int | None]]],
    rows: list[str],
    expected: list[tuple[str, int | None]],
) -> None:
    assert faults("patient,person,film,slot,reader,erosive", *rows) == expected


def test_impressions_lie_beside_the_manifest(
    read: Callable[..., Dataset], films: Path, write_table: WriteTable
) -> None:
    write_table(films / "impressions.csv", "film,side,site,impression",
                "a,L,mcp2,normal", "a,R,mcp2,damaged", "b.png,,ip,Unclear")  # fmt: skip
    dataset = read("patient,film,slot", "P1,a.png,LH", "P1,a.png,RH", "P2,b.png,LF")
    assert [dict(film.impressions) for film in dataset.films] == [
        {"mcp2": "normal"}, {"mcp2": "damaged"}, {"ip": "unclear"},
    ]  # fmt: skip
    assert not dataset.official, "impressions are no scores"
