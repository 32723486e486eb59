"""LabelMe: one JSON file for each film, with polygons and points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from mandora.core.errors import InputError
from mandora.datasets.formats.labelled_film import (
    Drawing,
    LabelledFilm,
    check_labels,
    read_json_object,
    to_file,
    value_of,
)
from mandora.datasets.outlines import Outline

_VERSION = "5.5.0"  # the release whose format is written


def labelme_document(
    outlines: Iterable[Outline],
    image_name: str,
    size_wh: tuple[int, int],
    landmarks: Mapping[str, tuple[float, float]] | None = None,
) -> dict[str, Any]:
    """The content of a LabelMe file.

    Args:
        outlines: joint spaces.
        image_name: the film's file, relative to the folder of the LabelMe file.
        size_wh: of the film, px.
        landmarks: (x, y) by site name, px of the film, pixel centres at whole numbers.
    """
    shapes = [_shape(o.site, "polygon", to_file(o.points)) for o in outlines]
    for site, place in (landmarks or {}).items():
        shapes.append(_shape(site, "point", to_file(np.array([place], dtype=np.float64))))
    return {
        "version": _VERSION, "flags": {}, "shapes": shapes, "imagePath": image_name,
        "imageData": None, "imageHeight": size_wh[1], "imageWidth": size_wh[0],
    }  # fmt: skip


def _shape(label: str, kind: str, pairs: list[list[float]]) -> dict[str, Any]:
    return {"label": label, "points": pairs, "group_id": None, "shape_type": kind, "flags": {}}


def read_labelme(path: Path) -> LabelledFilm:
    """Read the polygons and points of a LabelMe file.

    Raises:
        ValueError: if it is no LabelMe file, or has labels that are no sites, shapes other than
            polygons and points, or a site with two points.
    """
    data = read_json_object(path, "LabelMe")
    keys = {"imagePath": str, "imageWidth": int, "imageHeight": int, "shapes": list}
    name, width, height, shapes = (value_of(path, data, k, t, "the file") for k, t in keys.items())
    labels = [value_of(path, s, "label", str, f"shape {i}") for i, s in enumerate(shapes, 1)]
    check_labels(path, labels)
    drawing = Drawing(path)
    for i, (site, shape) in enumerate(zip(labels, shapes, strict=True), start=1):
        what = f"shape {i} ({site})"
        kind = shape.get("shape_type", "polygon")
        pairs = value_of(path, shape, "points", list, what)
        if kind == "polygon":
            drawing.add_polygon(site, pairs, what)
        elif kind == "point":
            drawing.add_landmark(site, pairs, what)
        else:
            raise InputError(f"{path}: {what} is a {kind}; draw it as a polygon or a point")
    image_name = PureWindowsPath(name).name
    return LabelledFilm(image_name, (width, height), tuple(drawing.outlines), drawing.landmarks)
