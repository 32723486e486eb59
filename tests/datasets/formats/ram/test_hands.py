"""Whole hands of RAM: joints from boxes, erosions from masks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mandora.core.anatomy import LANDMARK_INDEX, Limb
from mandora.datasets.dataset import Dataset
from mandora.datasets.findings import Finding, Severity
from mandora.datasets.layouts import read_dataset

WriteFilm = Callable[..., Path]
HAND = "0040_0001_L"
SIZE = (100, 80)
POINT = LANDMARK_INDEX[Limb.HAND]


def coco(path: Path, *marks: tuple[str, dict[str, Any]], size: tuple[int, int] = SIZE) -> None:
    """Marks of the hand by the name of their category."""
    names = list(dict.fromkeys(name for name, _ in marks))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({
        "images": [{"id": 5, "file_name": f"{HAND}.bmp", "width": size[0], "height": size[1]}],
        "categories": [{"id": i, "name": name} for i, name in enumerate(names)],
        "annotations": [{"id": i, "image_id": 5, "category_id": names.index(name), **mark}
                        for i, (name, mark) in enumerate(marks)],
    }))  # fmt: skip


@pytest.fixture
def ram(tmp_path: Path, write_film: WriteFilm) -> Path:
    """A hand with one scored joint, its film and its boxes."""
    write_film(tmp_path / "BE" / "train" / HAND / "R.bmp", (40, 30))
    scores = {f"{HAND}.bmp": {"BE_R": 2}}
    (tmp_path / "BE" / "train" / "_annotation_be_scores.json").write_text(json.dumps(scores))
    write_film(tmp_path / "Segmentation" / "train" / f"{HAND}.bmp", SIZE)
    coco(
        tmp_path / "Segmentation" / "train" / "_annotations_joints.coco.json",
        ("MCP-I", {"bbox": [40, 20, 10, 8]}), ("R", {"bbox": [60, 60, 20, 10]}),
        ("S", {"bbox": [10, 10, 4, 4]}), ("SR", {"bbox": [70, 40, 4, 4]}),
    )  # fmt: skip
    return tmp_path


def read(folder: Path) -> tuple[Dataset, list[Finding]]:
    dataset, findings = read_dataset(folder)
    assert dataset is not None
    return dataset, [f for f in findings if f.code != "patients-guessed"]


def test_the_middle_of_a_box_is_the_joint(ram: Path) -> None:
    dataset, findings = read(ram)
    assert findings == []
    (film,) = dataset.films
    assert (film.patient, film.slot.code, film.name) == ("0040", "LH", f"{HAND}.bmp")
    # in the file the corner of the first pixel is (0, 0)
    assert film.landmarks[POINT["mcp2"]].tolist() == [44.5, 23.5]
    assert film.landmarks[POINT["radius"]].tolist() == [69.5, 64.5]
    assert film.landmarks[POINT["radcar"]].tolist() == [71.5, 41.5], "not the scaphoid's box"
    assert np.isfinite(film.landmarks).all(axis=1).sum() == 3
    assert (film.erosions, film.spaces) == (None, None)
    assert len(dataset.rois) == 1


def test_the_box_of_the_scaphoid_serves_if_there_is_no_other(ram: Path) -> None:
    coco(ram / "Segmentation/train/_annotations_joints.coco.json", ("S", {"bbox": [10, 10, 4, 4]}))
    assert read(ram)[0].films[0].landmarks[POINT["radcar"]].tolist() == [11.5, 11.5]


def test_erosions_belong_to_the_nearest_joint(ram: Path) -> None:
    mask = np.zeros(SIZE[::-1], np.uint8)
    mask[60:64, 66:70] = 1
    coco(
        ram / "Segmentation" / "train" / "_annotations_be_rle.coco.json",
        ("SvdH-BE-90", {"segmentation": {"counts": run_lengths(mask), "size": [80, 100]}}),
        ("Non-SvdH-BE", {"segmentation": [[42, 22, 46, 22, 46, 26, 42, 26]]}),
    )  # fmt: skip
    dataset, findings = read(ram)
    assert findings == []
    (film,) = dataset.films
    assert film.label_size == SIZE
    erosions = film.erosion_map(SIZE[::-1])
    assert erosions is not None
    expected = np.zeros_like(mask)
    expected[60:64, 66:70] = 1 + POINT["radius"]
    expected[22:26, 42:46] = 1 + POINT["mcp2"]
    assert np.array_equal(erosions, expected)


def test_a_hand_without_erosions_is_known_to_have_none(ram: Path) -> None:
    path = ram / "Segmentation" / "train" / "_annotations_be_rle.coco.json"
    coco(path, ("SvdH-BE-90", {"segmentation": []}))
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"annotations": []}))
    film = read(ram)[0].films[0]
    erosions = film.erosion_map(SIZE[::-1])
    assert erosions is not None
    assert not erosions.any()
    assert film.space_map(SIZE[::-1]) is None


def test_what_cannot_be_used_is_said(ram: Path, write_film: WriteFilm) -> None:
    folder = ram / "Segmentation" / "train"
    coco(folder / "_annotations_bone_rle.coco.json", ("Metacarpal", {"bbox": [1, 1, 2, 2]}))
    (folder / "broken.coco.json").write_text('{"images": []}')
    _, findings = read(ram)
    assert [(f.severity, f.code) for f in findings] == [
        (Severity.NOTE, "labels-not-used"), (Severity.ERROR, "labels-unreadable"),
    ]  # fmt: skip


def test_erosions_without_joints_are_not_used(ram: Path) -> None:
    folder = ram / "Segmentation" / "train"
    (folder / "_annotations_joints.coco.json").unlink()
    coco(folder / "be.coco.json", ("SvdH-BE-50", {"segmentation": []}))
    dataset, findings = read(ram)
    assert dataset.films == ()
    assert [f.code for f in findings] == ["labels-not-used"]


def test_a_missing_film_and_one_of_another_size(ram: Path, write_film: WriteFilm) -> None:
    film = ram / "Segmentation" / "train" / f"{HAND}.bmp"
    write_film(film, (50, 40))
    dataset, (finding,) = read(ram)
    assert dataset.films == ()
    assert (finding.severity, finding.code) == (Severity.WARNING, "labels-size")
    assert f"{HAND} first (100 × 80 px)" in finding.message
    film.unlink()
    dataset, (finding,) = read(ram)
    assert (dataset.films, finding.code) == ((), "film-missing")


def run_lengths(mask: np.ndarray) -> list[int]:
    """Column by column, the first run being background."""
    flat = np.concatenate([[0], mask.T.ravel()])
    changes = np.flatnonzero(np.diff(flat) != 0)
    return np.diff([0, *changes, mask.size]).tolist()


@pytest.mark.parametrize(
    "segmentation",
    [{"counts": [3, 3]}, {"counts": [10**9, 10**9]}, {"counts": [-1, 82]}, {"counts": ["x", 80]},
     {"counts": "!!"}, {"counts": "P"}, [[1, 2, 3, 4, 5, 6, 7]], [["a"] * 6]],
)  # fmt: skip
def test_damaged_segmentations_are_an_error_of_their_file(ram: Path, segmentation: object) -> None:
    path = ram / "Segmentation" / "train" / "_annotations_be_rle.coco.json"
    coco(path, ("SvdH-BE-90", {"segmentation": segmentation}), size=(9, 9))
    dataset, (finding,) = read(ram)
    assert (finding.code, Path(finding.file).name) == ("labels-unreadable", path.name)
    assert len(dataset.films) == 1
