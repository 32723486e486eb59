"""A COCO file holds the outlines of every film, or is not there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mandora.datasets.formats.coco import CocoWriter, read_coco, segmentation_outlines, unpacked
from mandora.datasets.formats.labelled_film import LabelledFilm
from mandora.datasets.outlines import SITE_NAMES, Outline


def square(label: str, x: float = 0.0) -> Outline:
    return Outline(label, np.array([[x, 0], [x + 4, 0], [x + 4, 3], [x, 3]], dtype=np.float64))


def write_coco(
    path: Path, films: Iterable[LabelledFilm], labels: Sequence[str] = SITE_NAMES
) -> None:
    with CocoWriter(path, labels) as writer:
        for film in films:
            writer.add(film)


@pytest.fixture
def films() -> list[LabelledFilm]:
    return [
        LabelledFilm(
            "P1-LF.jpg", (30, 20), (square("foot-ip"), square("foot-ip", 9), square("foot-mtp1"))
        ),
        LabelledFilm("P1-RF.jpg", (30, 20), ()),
        LabelledFilm("P1-LH.jpg", (40, 50), (square("hand-mcp2"),)),
    ]


def test_round_trip(films: list[LabelledFilm], tmp_path: Path) -> None:
    write_coco(tmp_path / "coco.json", iter(films))
    read = read_coco(tmp_path / "coco.json")
    for film, made in zip(read, films, strict=True):
        assert (film.image_name, film.size) == (made.image_name, made.size)
        assert [o.site for o in film.outlines] == [o.site for o in made.outlines]
        for seen, outline in zip(film.outlines, made.outlines, strict=True):
            np.testing.assert_allclose(seen.points, outline.points, atol=0.006)
    assert [p.name for p in tmp_path.iterdir()] == ["coco.json"]


def test_annotations_say_where_and_how_large_a_joint_space_is(
    films: list[LabelledFilm], tmp_path: Path
) -> None:
    write_coco(tmp_path / "coco.json", films)
    document = json.loads((tmp_path / "coco.json").read_text("utf-8"))
    names = {c["id"]: c["name"] for c in document["categories"]}
    first, second, third = document["annotations"]
    assert [names[a["category_id"]] for a in (first, second, third)] == [
        "foot-ip",
        "foot-mtp1",
        "hand-mcp2",
    ]
    assert len(first["segmentation"]) == 2
    assert first["bbox"] == [0.5, 0.5, 13.0, 3.0]
    assert first["area"] == 24
    assert [a["image_id"] for a in (first, second, third)] == [1, 1, 3]
    assert len({a["id"] for a in document["annotations"]}) == 3
    assert document["images"][2] == {
        "id": 3,
        "file_name": "P1-LH.jpg",
        "width": 40,
        "height": 50,
    }


def test_other_things_than_joint_spaces_have_their_own_labels(tmp_path: Path) -> None:
    labels = ["hand-mc2", "hand-mc3"]
    bone, other = (LabelledFilm("a.jpg", (9, 9), (square(s),)) for s in ("hand-mc3", "knee"))
    write_coco(tmp_path / "bones.json", [bone], labels)
    (film,) = read_coco(tmp_path / "bones.json", labels)
    assert [o.site for o in film.outlines] == ["hand-mc3"]
    with pytest.raises(ValueError, match=r"a\.jpg: bones\.json has no label knee"):
        write_coco(tmp_path / "bones.json", [other], labels)


def test_what_ends_with_an_error_leaves_what_was_there(
    films: list[LabelledFilm], tmp_path: Path
) -> None:
    path = tmp_path / "coco.json"
    path.write_text("old", encoding="utf-8")

    def broken() -> Iterator[LabelledFilm]:
        yield films[0]
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write_coco(path, broken())
    assert path.read_text(encoding="utf-8") == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["coco.json"]


def coco(**changes: Any) -> dict[str, Any]:
    annotation = {"image_id": 1, "category_id": 1, "segmentation": [[0, 0, 4, 0, 4, 4]]} | changes
    return {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "categories": [{"id": 1, "name": "hand-mcp2"}, {"id": 2, "name": "knee"}],
        "annotations": [annotation],
    }


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("text", "COCO file"),
        ({"images": [], "categories": []}, "'annotations'"),
        (coco(image_id=9), "unknown image_id"),
        (coco(category_id=9), "unknown category_id"),
        (coco(category_id=2), "unknown labels: knee"),
        (coco(segmentation={"counts": "x", "size": [1, 1]}), "'segmentation'.*a list"),
        (coco(segmentation=[[0, 0, 4, 0]]), "2 corners"),
        (coco(segmentation=[[0, 0, 4, 0, 4]]), "export polygons"),
    ],
)
def test_coco_files_that_cannot_be_used_are_refused(
    document: Any, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"coco\.json: .*{says}"):
        read_coco(path)


def test_coco_files_of_other_labels_are_read_if_these_are_named(tmp_path: Path) -> None:
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(coco(category_id=2)), encoding="utf-8")
    (film,) = read_coco(path, ["knee"])
    (outline,) = film.outlines
    assert outline.site == "knee"


def test_what_is_no_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "film.json"
    with pytest.raises(ValueError, match="check the path"):
        read_coco(path)
    path.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(ValueError, match="not JSON"):
        read_coco(path)


def run_lengths(mask: np.ndarray) -> list[int]:
    """Column by column, the first run being background."""
    flat = np.concatenate([[0], mask.T.ravel()])
    changes = np.flatnonzero(np.diff(flat) != 0)
    return np.diff([0, *changes, mask.size]).tolist()


def pack(counts: list[int]) -> str:
    """COCO's ``rleToString``: differences to the run before the last, five bits a character."""
    text = ""
    for i, count in enumerate(counts):
        value, more = count - (counts[i - 2] if i > 2 else 0), True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != -1 if bits & 0x10 else value != 0
            text += chr((bits | 0x20 if more else bits) + 48)
    return text


@given(st.lists(st.integers(0, 5000), max_size=20))
def test_packed_run_lengths_are_unpacked(counts: list[int]) -> None:
    assert unpacked(pack(counts)) == counts


def test_regions_of_run_lengths_and_polygons() -> None:
    mask = np.zeros((9, 9), np.uint8)
    mask[2:5, 2:5] = 1
    counts = run_lengths(mask)
    assert counts == [20, 3, 6, 3, 6, 3, 40]
    for segmentation in ({"counts": counts}, {"counts": pack(counts)}):
        (outline,) = segmentation_outlines(segmentation, (9, 9))
        assert np.allclose(outline.min(axis=0), [2, 2], atol=0.51)
        assert np.allclose(outline.max(axis=0), [4, 4], atol=0.51)
    (polygon,) = segmentation_outlines([[2, 2, 5, 2, 5, 5], [1, 1]], (9, 9))
    assert polygon.tolist() == [[1.5, 1.5], [4.5, 1.5], [4.5, 4.5]]
    for nothing in ([], None, {"counts": [81]}, {"counts": []}, {"counts": [3, 0, 78]}):
        assert list(segmentation_outlines(nothing, (9, 9))) == []
