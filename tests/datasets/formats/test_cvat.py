"""CVAT files are read; other XML is refused before it is parsed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mandora.core.anatomy import Limb
from mandora.datasets.formats.cvat import read_cvat
from mandora.datasets.outlines import Outline, outlines_of

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
    assert first.landmarks == {"hand-mcp2": (12.0, 6.75)}
    assert (second.image_name, second.size) == ("P2-LF.jpg", (8, 9))
    assert (second.outlines, dict(second.landmarks)) == ((), {})


def same(a: tuple[Outline, ...], b: tuple[Outline, ...]) -> bool:
    return [o.site for o in a] == [o.site for o in b] and all(
        np.allclose(m.points, n.points, atol=0.005) for m, n in zip(a, b, strict=True)
    )


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
    assert film.landmarks == {"hand-mcp2": (5.0, 6.0)}


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
