"""Joint spaces become polygons and polygons joint spaces, without losing a pixel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mandora.core.anatomy import LANDMARKS, SLOTS, Limb
from mandora.datasets.polygons import (
    Outline,
    labelme_document,
    outlines_of,
    read_coco,
    read_cvat,
    read_labelme,
    site_name,
)
from mandora.simulate.cohort.patients import draw_patient, simulate_film


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
    for label, point in enumerate(LANDMARKS[limb], start=1):
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
    size, points = (labels.shape[1], labels.shape[0]), {site_name(LANDMARKS[limb][0]): (12.25, 7.5)}
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


# --- CVAT -----------------------------------------------------------------------------------

IMAGE = '<image id="0" name="hands/P1-LH.jpg" subset="default" width="30" height="20">'
POLYGON = (
    '<polygon label="hand-mcp2" source="manual" occluded="0" z_order="0" '
    'points="0.00,0.00;4.00,0.00;4.00,4.00"></polygon>'
)
POINT = '<points label="hand-mcp2" source="manual" occluded="0" points="12.50,7.25"></points>'


def cvat(folder: Path, shapes: str = "", image: str = IMAGE, before: str = "") -> Path:
    path = folder / "annotations.xml"
    path.write_text(
        f'<?xml version="1.0" encoding="utf-8"?>{before}<annotations><version>1.1</version>'
        f"<meta><task><name>x</name></task></meta>{image}{shapes}</image></annotations>",
        encoding="utf-8",
    )
    return path


def test_cvat(tmp_path: Path) -> None:
    attribute = '<tag label="blurred" source="manual"/>'
    other = '</image><image id="1" name="P2-LF.jpg" width="8" height="9">'
    first, second = read_cvat(cvat(tmp_path, POLYGON + POINT + attribute + other))
    assert (first.image_name, first.size) == ("hands/P1-LH.jpg", (30, 20))
    (outline,) = first.outlines
    assert outline.site == "hand-mcp2"
    np.testing.assert_allclose(outline.points, [[-0.5, -0.5], [3.5, -0.5], [3.5, 3.5]])
    assert first.points == {"hand-mcp2": (12.0, 6.75)}
    assert (second.image_name, second.size) == ("P2-LF.jpg", (8, 9))
    assert (second.outlines, dict(second.points)) == ((), {})


def test_cvat_round_trip(film: tuple[Limb, np.ndarray], tmp_path: Path) -> None:
    limb, labels = film
    outlines = outlines_of(labels, limb)
    shapes = "".join(
        f'<polygon label="{o.site}" points="'
        + ";".join(f"{x + 0.5:.2f},{y + 0.5:.2f}" for x, y in o.points)
        + '"/>'
        for o in outlines
    )
    (read,) = read_cvat(cvat(tmp_path, shapes))
    assert same(read.outlines, outlines)


def test_cvat_skeletons_hold_joints(tmp_path: Path) -> None:
    inner = (
        '<points label="hand-mcp2" outside="0" occluded="0" points="5.50,6.50"/>'
        '<points label="hand-mcp3" outside="1" occluded="0" points="0.00,0.00"/>'
    )
    skeleton = f'<skeleton label="hand" source="manual">{inner}</skeleton>'
    (film,) = read_cvat(cvat(tmp_path, skeleton))
    assert film.points == {"hand-mcp2": (5.0, 6.0)}


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (POLYGON.replace("hand-mcp2", "knee"), "unknown labels: knee"),
        (POLYGON.replace("label=", "name="), "unknown labels"),
        (POLYGON.replace(";4.00,4.00", ""), "at least 3"),
        (POLYGON.replace("4.00,4.00", "4.00"), "two numbers"),
        (POLYGON.replace("4.00,4.00", "4.00,x"), "no places"),
        (POLYGON.replace("4.00,4.00", "4.00,nan"), "two numbers"),
        (POLYGON.replace("points=", "p="), "no places"),
        (POINT + POINT, "only point of hand-mcp2"),
        (POINT.replace("12.50,7.25", "1,2;3,4"), "only point of hand-mcp2"),
        ('<box label="hand-mcp2" xtl="1" ytl="1" xbr="3" ybr="3"/>', "draw it as a polygon"),
        ('<mask label="hand-mcp2" rle="3, 4" left="0" top="0"/>', "draw it as a polygon"),
    ],
)
def test_cvat_shapes_that_cannot_be_used(shapes: str, message: str, tmp_path: Path) -> None:
    path = cvat(tmp_path, shapes)
    with pytest.raises(ValueError, match=message) as caught:
        read_cvat(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotations>", "is not XML"),
        ("{}", "is not XML"),
        ("", "is not XML"),
        ("<html/>", "not CVAT's"),
        ("<annotations/>", "no images"),
        ('<annotations><track id="0" label="hand-mcp2"/></annotations>', "tracks of a video"),
        ('<annotations><image id="0" width="3" height="3"/></annotations>', "no name, width"),
        ('<annotations><image name="a" width="0" height="3"/></annotations>', "no name, width"),
    ],
)
def test_other_xml_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "annotations.xml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_cvat(path)


@pytest.mark.parametrize(
    "before",
    [
        '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>',
        '<!DOCTYPE x SYSTEM "file:///etc/passwd">',
        "<!doctype x>",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_entities_are_refused_before_anything_is_parsed(
    before: str, encoding: str, tmp_path: Path
) -> None:
    path = cvat(tmp_path, POLYGON, before=before)
    path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))
    with pytest.raises(ValueError, match=r"declares a document type|UTF-8"):
        read_cvat(path)


def test_cvat_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="check the path"):
        read_cvat(tmp_path / "annotations.xml")
