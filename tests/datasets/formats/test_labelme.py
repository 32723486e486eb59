"""LabelMe files are read as they were written; others are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mandora.core.anatomy import LANDMARKS, Limb
from mandora.datasets.formats.labelme import labelme_document, read_labelme
from mandora.datasets.outlines import Outline, outlines_of, site_name


def same(a: tuple[Outline, ...], b: tuple[Outline, ...]) -> bool:
    return [o.site for o in a] == [o.site for o in b] and all(
        np.allclose(m.points, n.points, atol=0.005) for m, n in zip(a, b, strict=True)
    )


def test_labelme_round_trip(film: tuple[Limb, np.ndarray], tmp_path: Path) -> None:
    limb, labels = film
    outlines = outlines_of(labels, limb)
    size, points = (labels.shape[1], labels.shape[0]), {site_name(LANDMARKS[limb][0]): (12.25, 7.5)}
    document = labelme_document(outlines, "../../P1-LH.jpg", size, points)
    path = tmp_path / "P1-LH.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    read = read_labelme(path)
    assert (read.image_name, read.size, read.landmarks) == ("P1-LH.jpg", size, points)
    assert same(read.outlines, outlines)


def polygon(label: str = "hand-mcp2", **changes: Any) -> dict[str, Any]:
    return {"label": label, "points": [[0, 0], [4, 0], [4, 4]], "shape_type": "polygon"} | changes


def labelme(*shapes: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return labelme_document([], "P1-LH.jpg", (30, 20)) | {"shapes": list(shapes)} | changes


POINT = polygon(points=[[1, 1]], shape_type="point")


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ([], "LabelMe file"),
        ({"shapes": []}, "'imagePath'"),
        (labelme(imageWidth="30"), "'imageWidth'.*whole number"),
        (labelme(polygon("knee"), polygon("elbow")), "elbow, knee; use hand-ip"),
        (labelme(polygon(points=[[0, 0], [4, 0]])), "2 corners; draw at least 3"),
        (labelme(polygon(points=[[0, 0], [4, 0], [4, None]])), "two numbers"),
        (labelme(polygon(points=[[0, 0], [4, 0], [4, float("nan")]])), "two numbers"),
        (labelme(polygon(shape_type="circle")), "is a circle"),
        (labelme(POINT, POINT), "keep one"),
        (labelme({"points": []}), "shape 1 has no 'label'"),
    ],
)
def test_labelme_files_that_cannot_be_used_are_refused(
    document: Any, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "film.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"film\.json: .*{says}"):
        read_labelme(path)


def test_what_is_no_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "film.json"
    with pytest.raises(ValueError, match="check the path"):
        read_labelme(path)
    path.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(ValueError, match="not JSON"):
        read_labelme(path)
