"""The digest of a data set changes with whatever is known of it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mandora.core.anatomy import LANDMARKS, TARGETS, Limb, Side, Slot
from mandora.datasets.content import content_digest
from mandora.datasets.dataset import Dataset, DatasetFilm, DatasetRoi
from mandora.datasets.outlines import Outline

LH = Slot(Side.LEFT, Limb.HAND)
SQUARE = np.array([[1.0, 1.0], [4.0, 1.0], [4.0, 4.0]])


def picture(path: Path, value: int = 7) -> Path:
    Image.new("L", (8, 6), value).save(path)
    return path


def dataset(folder: Path) -> Dataset:
    """Two patients with a film, one with a picture of a joint; two readers."""
    folder.mkdir(exist_ok=True)
    landmarks = np.full((len(LANDMARKS[Limb.HAND]), 2), np.nan)
    landmarks[0] = 3, 2
    films = (
        DatasetFilm(
            "P1", LH, picture(folder / "P1.png"), landmarks, picture(folder / "spaces.png", 1),
            (Outline("mcp2", SQUARE),), (8, 6),
        ),
        DatasetFilm("P2", LH, picture(folder / "P2.png"), landmarks),
    )  # fmt: skip
    roi = DatasetRoi(
        "P3", LH, LANDMARKS[Limb.HAND][:1], picture(folder / "P3.png"), {"LH-mcp2:erosion": 1.0},
        picture(folder / "bones.png"), picture(folder / "eroded.png"),
    )  # fmt: skip
    zeros = np.zeros(len(TARGETS))
    official = {"P1": zeros, "P2": zeros}
    readers = {"anna": {"P1": zeros, "P2": zeros}, "ben": {"P1": zeros}}
    return Dataset(folder, "manifest", films, (roi,), official, readers, {"anna": 0.5})


def one_film(data: Dataset, **values: object) -> Dataset:
    return replace(data, films=(replace(data.films[0], **values), *data.films[1:]))  # type: ignore[arg-type]


def one_score(value: float) -> dict[str, np.ndarray]:
    scores = np.zeros(len(TARGETS))
    scores[5] = value
    return {"P1": scores, "P2": np.zeros(len(TARGETS))}


def test_the_same_content_elsewhere_has_the_same_digest(tmp_path: Path) -> None:
    data = dataset(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert content_digest(dataset(tmp_path / "b")) == content_digest(data)
    assert len(content_digest(data)) == 64


def test_it_changes_with_whatever_is_known(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    film, roi = data.films[0], data.rois[0]
    others = {
        "patient": one_film(data, patient="P9"),
        "slot": one_film(data, slot=Slot(Side.RIGHT, Limb.HAND)),
        "points": one_film(data, landmarks=film.landmarks + 1),
        "outside": one_film(data, outside=(3,)),
        "no joint spaces": one_film(data, spaces=None),
        "erosion": one_film(data, erosions=(Outline("mcp2", SQUARE + 1),)),
        "site": one_film(data, erosions=(Outline("mcp3", SQUARE),)),
        "no erosion": one_film(data, erosions=()),
        "erosions unknown": one_film(data, erosions=None),
        "size": one_film(data, label_size=None),
        "order": replace(data, films=data.films[::-1]),
        "no film": replace(data, films=data.films[1:]),
        "joint's score": replace(data, rois=(replace(roi, scores={"LH-mcp2:erosion": 2.0}),)),
        "joint's name": replace(data, rois=(replace(roi, landmarks=LANDMARKS[Limb.HAND][1:2]),)),
        "no bones": replace(data, rois=(replace(roi, bones=None),)),
        # readers are there: training does not use the official label, measuring does
        "official": replace(data, official=one_score(1)),
        "reader": replace(data, readers={**data.readers, "anna": one_score(1)}),
        "no reader": replace(data, readers={"anna": data.readers["anna"]}),
        "weight": replace(data, weights={"anna": 0.6}),
        "layout": replace(data, layout="ra2"),
        "erosive": one_film(data, erosive=False),
        "impressions": one_film(data, impressions={"mcp2": "normal"}),
        "person": replace(data, persons={"P1": "anna"}),
    }
    digests = {"as it is": content_digest(data)}
    digests |= {what: content_digest(other) for what, other in others.items()}
    assert len(set(digests.values())) == len(digests), digests


@pytest.mark.parametrize("name", ["P1.png", "P3.png", "spaces.png", "bones.png", "eroded.png"])
def test_it_changes_with_each_file(tmp_path: Path, name: str) -> None:
    data = dataset(tmp_path)
    digests = [content_digest(data)]
    picture(tmp_path / name, 9)
    digests.append(content_digest(data))
    (tmp_path / name).unlink()
    digests.append(content_digest(data))
    assert len(set(digests)) == 3


def test_of_some_films_only_their_patients_count(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    second = data.films[1:]
    before = content_digest(data, second)
    assert before != content_digest(data)
    picture(tmp_path / "P1.png", 9)
    other = replace(data, official=one_score(1))
    assert content_digest(other, second) == before
    assert content_digest(data, ()) not in (before, content_digest(data))
