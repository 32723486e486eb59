"""Joint spaces become polygons and polygons joint spaces, without losing a pixel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mandora.anatomy import POINTS, SLOTS, Limb
from mandora.cohorts.polygons import (
    Outline,
    labelme_document,
    outlines_of,
    read_coco,
    read_labelme,
    site_name,
)
from mandora.phantom.patients import draw_patient, simulate_film


def filled(outlines: list[Outline], shape: tuple[int, int], scale: int = 1) -> np.ndarray:
    """What a tool fills: cut to whole pixels as LabelMe does, or on a finer grid."""
    image = Image.new("1", (shape[1] * scale, shape[0] * scale))
    for outline in outlines:
        xy = [((x + 0.5) * scale, (y + 0.5) * scale) for x, y in outline.points]
        ImageDraw.Draw(image).polygon(xy, fill=1)
    return np.array(image)[scale // 2 :: scale, scale // 2 :: scale]


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.fixture(scope="module", params=list(Limb))
def film(request: pytest.FixtureRequest) -> tuple[Limb, np.ndarray]:
    slot = next(s for s in SLOTS if s.limb is request.param)
    made = simulate_film(draw_patient(5, 0), slot, pixels_per_mm=4.0)
    return request.param, made.spaces


def blobs() -> np.ndarray:
    labels = np.zeros((20, 30), np.uint8)
    labels[2:6, 3:9] = 1
    labels[10:14, 3:9] = 1  # a second region of the same joint
    labels[0:3, 27:30] = 2  # at the corner of the film
    labels[15, 15] = labels[16, 16] = labels[17, 17] = labels[18, 18] = 3  # a slanted line
    labels[18, 2:5] = 4  # a speck
    return labels


@pytest.mark.parametrize("scale", [1, 8])
def test_outlines_of_films_fill_to_the_same_joint_spaces(
    film: tuple[Limb, np.ndarray], scale: int
) -> None:
    limb, labels = film
    outlines = outlines_of(labels, limb)
    sites = {o.site for o in outlines}
    for label, point in enumerate(POINTS[limb], start=1):
        region = labels == label
        assert (site_name(point) in sites) == (region.sum() > 0)
        if region.any():
            mine = [o for o in outlines if o.site == site_name(point)]
            assert iou(filled(mine, labels.shape, scale), region) > 0.97, point.name


def test_every_region_has_its_outline_and_specks_have_none() -> None:
    labels = blobs()
    outlines = outlines_of(labels, Limb.FOOT)
    assert [o.site for o in outlines] == ["foot-ip", "foot-ip", "foot-mtp1", "foot-mtp2"]
    labels[labels == 4] = 0
    assert (filled(list(outlines), labels.shape) == (labels > 0)).all()


def test_an_outline_lies_on_the_border_of_its_pixels() -> None:
    points = outlines_of(blobs(), Limb.FOOT)[0].points
    np.testing.assert_allclose(points.min(axis=0), [2.5, 1.5], atol=0.02)
    np.testing.assert_allclose(points.max(axis=0), [8.5, 5.5], atol=0.02)


def test_a_label_that_the_limb_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="1 to 6"):
        outlines_of(np.full((5, 5), 7, np.uint8), Limb.FOOT)
    with pytest.raises(ValueError, match="two axes"):
        outlines_of(np.zeros((5, 5, 3), np.uint8), Limb.FOOT)


def same(a: tuple[Outline, ...], b: tuple[Outline, ...]) -> bool:
    return [o.site for o in a] == [o.site for o in b] and all(
        np.allclose(m.points, n.points, atol=0.005) for m, n in zip(a, b, strict=True)
    )


def test_labelme_round_trip(film: tuple[Limb, np.ndarray], tmp_path: Path) -> None:
    limb, labels = film
    outlines = outlines_of(labels, limb)
    size, points = (labels.shape[1], labels.shape[0]), {site_name(POINTS[limb][0]): (12.25, 7.5)}
    document = labelme_document(outlines, "../../P1-LH.jpg", size, points)
    path = tmp_path / "P1-LH.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    read = read_labelme(path)
    assert (read.image_name, read.size, read.points) == ("P1-LH.jpg", size, points)
    assert same(read.outlines, outlines)


def polygon(label: str = "hand-mcp2", **changes: Any) -> dict[str, Any]:
    return {"label": label, "points": [[0, 0], [4, 0], [4, 4]], "shape_type": "polygon"} | changes


def labelme(*shapes: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return labelme_document([], "P1-LH.jpg", (30, 20)) | {"shapes": list(shapes)} | changes


def coco(**changes: Any) -> dict[str, Any]:
    annotation = {"image_id": 1, "category_id": 1, "segmentation": [[0, 0, 4, 0, 4, 4]]} | changes
    return {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "categories": [{"id": 1, "name": "hand-mcp2"}, {"id": 2, "name": "knee"}],
        "annotations": [annotation],
    }


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
    (outline,) = read_coco(path, ["knee"])["a.jpg"]
    assert outline.site == "knee"


@pytest.mark.parametrize("read", [read_labelme, read_coco])
def test_what_is_no_json_is_refused(read: Any, tmp_path: Path) -> None:
    path = tmp_path / "film.json"
    with pytest.raises(ValueError, match="check the path"):
        read(path)
    path.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(ValueError, match="not JSON"):
        read(path)
