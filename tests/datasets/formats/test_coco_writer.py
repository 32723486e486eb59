"""A COCO file holds the outlines of every film, or is not there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mandora.datasets.formats.coco_writer import write_coco
from mandora.datasets.polygons import Film, Outline, read_coco


def square(label: str, x: float = 0.0) -> Outline:
    return Outline(label, np.array([[x, 0], [x + 4, 0], [x + 4, 3], [x, 3]], dtype=np.float64))


@pytest.fixture
def films() -> list[Film]:
    return [
        ("P1-LF.jpg", (30, 20), (square("foot-ip"), square("foot-ip", 9), square("foot-mtp1"))),
        ("P1-RF.jpg", (30, 20), ()),
        ("P1-LH.jpg", (40, 50), (square("hand-mcp2"),)),
    ]


def test_round_trip(films: list[Film], tmp_path: Path) -> None:
    write_coco(tmp_path / "coco.json", iter(films))
    read = read_coco(tmp_path / "coco.json")
    assert list(read) == [name for name, _, _ in films]
    for name, _, made in films:
        assert [o.site for o in read[name]] == [o.site for o in made]
        for seen, outline in zip(read[name], made, strict=True):
            np.testing.assert_allclose(seen.points, outline.points, atol=0.006)
    assert [p.name for p in tmp_path.iterdir()] == ["coco.json"]


def test_annotations_say_where_and_how_large_a_joint_space_is(
    films: list[Film], tmp_path: Path
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
    write_coco(tmp_path / "bones.json", [("a.jpg", (9, 9), (square("hand-mc3"),))], labels)
    (outline,) = read_coco(tmp_path / "bones.json", labels)["a.jpg"]
    assert outline.site == "hand-mc3"
    with pytest.raises(ValueError, match=r"a\.jpg: bones\.json has no label knee"):
        write_coco(tmp_path / "bones.json", [("a.jpg", (9, 9), (square("knee"),))], labels)


def test_what_ends_with_an_error_leaves_what_was_there(films: list[Film], tmp_path: Path) -> None:
    path = tmp_path / "coco.json"
    path.write_text("old", encoding="utf-8")

    def broken() -> Iterator[Film]:
        yield films[0]
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write_coco(path, broken())
    assert path.read_text(encoding="utf-8") == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["coco.json"]
