"""Joint spaces as polygons, in the files of annotation tools: LabelMe, and COCO and CVAT to read.

In a file the corner of the first pixel is (0, 0), as those tools have it; in the program, as in
:mod:`mandora.core.geometry`, its centre is. Writers add half a pixel and readers take it off.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from mandora.core.errors import InputError
from mandora.core.inputs import read_text
from mandora.datasets.outlines import SITE_NAMES, SPECK_PX, Outline, clipped, outlines_of, site_name

__all__ = [
    "SITE_NAMES", "SPECK_PX", "Film", "LabelledFilm", "Outline", "clipped", "file_pairs",
    "labelme_document", "outlines_of", "read_coco", "read_cvat", "read_labelme", "site_name",
]  # fmt: skip

_LABELME_VERSION = "5.5.0"  # the release whose format is written
# What CVAT can draw beside polygons and points. Its tags are about the whole film.
_CVAT_SHAPES = ("box", "polyline", "mask", "ellipse", "cuboid")
_DECLARATION = re.compile(r"<!(DOCTYPE|ENTITY)", re.IGNORECASE)

Film = tuple[str, tuple[int, int], tuple[Outline, ...]]
"""Image name, (width, height) in px, outlines."""


@dataclass(frozen=True)
class LabelledFilm:
    """What a file of an annotation tool says of a film.

    Attributes:
        image_name: the film's file name; after CVAT with its folder, if the task has folders.
        size: (width, height), px.
        outlines: polygons, in the file's order.
        points: (x, y) by site, px of the film, pixel centres at whole numbers.
    """

    image_name: str
    size: tuple[int, int]
    outlines: tuple[Outline, ...]
    points: Mapping[str, tuple[float, float]]


def labelme_document(
    outlines: Iterable[Outline],
    image_name: str,
    size_wh: tuple[int, int],
    points: Mapping[str, tuple[float, float]] | None = None,
) -> dict[str, Any]:
    """The content of a LabelMe file.

    Args:
        outlines: joint spaces.
        image_name: the film's file, relative to the folder of the LabelMe file.
        size_wh: of the film, px.
        points: (x, y) by site name, px of the film.
    """
    shapes = [_shape(o.site, "polygon", file_pairs(o.points)) for o in outlines]
    for site, place in (points or {}).items():
        shapes.append(_shape(site, "point", file_pairs(np.array([place], dtype=np.float64))))
    return {
        "version": _LABELME_VERSION, "flags": {}, "shapes": shapes, "imagePath": image_name,
        "imageData": None, "imageHeight": size_wh[1], "imageWidth": size_wh[0],
    }  # fmt: skip


def _shape(label: str, kind: str, pairs: list[list[float]]) -> dict[str, Any]:
    return {"label": label, "points": pairs, "group_id": None, "shape_type": kind, "flags": {}}


def file_pairs(points: NDArray[np.float64]) -> list[list[float]]:
    """(N, 2) px of the film as [x, y], … of a file."""
    return [[round(float(x) + 0.5, 2), round(float(y) + 0.5, 2)] for x, y in points]


def read_labelme(path: Path) -> LabelledFilm:
    """Read the polygons and points of a LabelMe file.

    Raises:
        ValueError: if it is no LabelMe file, or has labels that are no sites, shapes other than
            polygons and points, or a site with two points.
    """
    data = _load(path, "LabelMe")
    keys = {"imagePath": str, "imageWidth": int, "imageHeight": int, "shapes": list}
    name, width, height, shapes = (_get(path, data, k, t, "the file") for k, t in keys.items())
    labels = [_get(path, s, "label", str, f"shape {i}") for i, s in enumerate(shapes, 1)]
    _check_labels(path, labels)
    outlines: list[Outline] = []
    points: dict[str, tuple[float, float]] = {}
    for i, (site, shape) in enumerate(zip(labels, shapes, strict=True), start=1):
        what = f"shape {i} ({site})"
        kind = shape.get("shape_type", "polygon")
        pairs = _get(path, shape, "points", list, what)
        if kind == "polygon":
            outlines.append(Outline(site, _polygon(path, pairs, what)))
        elif kind == "point" and len(pairs) == 1 and site not in points:
            x, y = _places(path, pairs, what)[0].tolist()
            points[site] = (x, y)
        elif kind == "point":
            raise InputError(f"{path}: {what} is not the only point of {site}; keep one")
        else:
            raise InputError(f"{path}: {what} is a {kind}; draw it as a polygon or a point")
    return LabelledFilm(PureWindowsPath(name).name, (width, height), tuple(outlines), points)


def read_coco(path: Path, labels: Collection[str] = SITE_NAMES) -> dict[str, tuple[Outline, ...]]:
    """Read the polygons of a COCO file.

    Args:
        path: the file.
        labels: names of the categories that its annotations may have.

    Returns:
        The outlines of each image by its ``file_name``, in the file's order; none for images
        without annotations.

    Raises:
        ValueError: if it is no COCO file, or has annotations whose image or category is
            unknown, whose category is none of the labels, or that are no polygons.
    """
    data = _load(path, "COCO")
    kinds = ("images", "categories", "annotations")
    lists = {key: _get(path, data, key, list, "the file") for key in kinds}
    images = _by_id(path, lists["images"], "file_name", "image")
    categories = _by_id(path, lists["categories"], "name", "category")
    found: dict[str, list[Outline]] = {name: [] for name in images.values()}
    used = []
    for i, annotation in enumerate(lists["annotations"], start=1):
        what = f"annotation {i}"
        for key, known in (("image_id", images), ("category_id", categories)):
            if _get(path, annotation, key, int, what) not in known:
                raise InputError(f"{path}: {what} has an unknown {key}; export the file again")
        used.append(categories[annotation["category_id"]])
    _check_labels(path, used, labels)
    for i, (site, annotation) in enumerate(zip(used, lists["annotations"], strict=True), start=1):
        what = f"annotation {i} ({site})"
        for flat in _get(path, annotation, "segmentation", list, what):
            if not isinstance(flat, list) or len(flat) % 2:
                raise InputError(f"{path}: {what} is not a list of x, y, x, y, …; export polygons")
            pairs = [list(p) for p in zip(flat[::2], flat[1::2], strict=True)]
            found[images[annotation["image_id"]]].append(Outline(site, _polygon(path, pairs, what)))
    return {name: tuple(outlines) for name, outlines in found.items()}


def read_cvat(path: Path) -> list[LabelledFilm]:
    """Read the polygons and points of a file that CVAT exported as "CVAT for images 1.1".

    Joints are points of one place each, or the places of a skeleton whose labels are sites; a
    place that is marked as outside is not on the film. Tags and attributes are not used.

    Args:
        path: the ``annotations.xml`` of a task, a job or a project.

    Returns:
        One entry for each image of the file, with or without annotations.

    Raises:
        ValueError: if it is no such file, declares entities, holds tracks of a video, labels that
            are no sites, shapes other than polygons and points, or a site with two points.
    """
    root = _xml(path)
    if root.tag != "annotations":
        raise InputError(f"{path}: holds <{root.tag}>, not CVAT's <annotations>; export it again")
    if root.find("track") is not None:
        raise InputError(f'{path}: holds tracks of a video; export it as "CVAT for images 1.1"')
    films = []
    for i, image in enumerate(root.iterfind("image"), start=1):
        name = image.get("name", "").replace("\\", "/")
        size = tuple(image.get(key, "") for key in ("width", "height"))
        if not name or not all(re.fullmatch("[1-9][0-9]{0,8}", value) for value in size):
            raise InputError(f"{path}: image {i} has no name, width and height; export it again")
        outlines, points = _cvat_shapes(path, image, name)
        films.append(LabelledFilm(name, (int(size[0]), int(size[1])), outlines, points))
    if not films:
        raise InputError(f'{path}: holds no images; export it as "CVAT for images 1.1"')
    return films


def _xml(path: Path) -> ElementTree.Element:
    try:
        text = read_text(path, "utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not XML in UTF-8; give a CVAT file") from error
    if _DECLARATION.search(text):  # CVAT writes none; nested entities could fill the memory
        raise InputError(f"{path}: declares a document type or entities; export it again")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise InputError(f"{path}: is not XML; give a CVAT file") from error


def _cvat_shapes(
    path: Path, image: ElementTree.Element, name: str
) -> tuple[tuple[Outline, ...], dict[str, tuple[float, float]]]:
    shapes = [s for s in image if s.tag in ("polygon", "points", *_CVAT_SHAPES)]
    for skeleton in image.iterfind("skeleton"):
        shapes += [s for s in skeleton.iterfind("points") if s.get("outside", "0") != "1"]
    _check_labels(path, [shape.get("label", "") for shape in shapes])
    outlines: list[Outline] = []
    points: dict[str, tuple[float, float]] = {}
    for shape in shapes:
        site = shape.get("label", "")
        what = f"{name}, {shape.tag} {site}"
        if shape.tag in _CVAT_SHAPES:
            raise InputError(f"{path}: {what}: draw it as a polygon or a point")
        pairs = _cvat_pairs(path, shape.get("points", ""), what)
        if shape.tag == "polygon":
            outlines.append(Outline(site, _polygon(path, pairs, what)))
        elif len(pairs) == 1 and site not in points:
            x, y = _places(path, pairs, what)[0].tolist()
            points[site] = (x, y)
        else:
            raise InputError(f"{path}: {what} is not the only point of {site}; keep one")
    return tuple(outlines), points


def _cvat_pairs(path: Path, text: str, what: str) -> list[Any]:
    """The places of ``x,y;x,y;…``, each as [x, y]."""
    try:
        return [[float(number) for number in pair.split(",")] for pair in text.split(";")]
    except ValueError as error:
        raise InputError(f"{path}: {what} has no places x,y;x,y;…; export it again") from error


def _load(path: Path, kind: str) -> dict[str, Any]:
    try:
        data = json.loads(read_text(path, "utf-8-sig"))
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not JSON; give a {kind} file") from error
    if not isinstance(data, dict):
        raise InputError(f"{path}: holds no JSON object; give a {kind} file")
    return data


def _get(path: Path, record: Any, key: str, kind: type, what: str) -> Any:
    """A value of a record, of the type that it must have."""
    value = record.get(key) if isinstance(record, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        fault = "has no" if value is None else "has an unusable"
        name = {str: "text", int: "a whole number", list: "a list"}[kind]
        raise InputError(f"{path}: {what} {fault} {key!r}; it must be {name}, export it again")
    return value


def _by_id(path: Path, records: list[Any], key: str, kind: str) -> dict[int, str]:
    return {
        _get(path, r, "id", int, f"{kind} {i}"): _get(path, r, key, str, f"{kind} {i}")
        for i, r in enumerate(records, start=1)
    }


def _check_labels(path: Path, labels: Iterable[str], known: Collection[str] = SITE_NAMES) -> None:
    unknown = sorted(set(labels) - set(known))
    if unknown:
        raise InputError(f"{path}: unknown labels: {', '.join(unknown)}; use {', '.join(known)}")


def _polygon(path: Path, pairs: list[Any], what: str) -> NDArray[np.float64]:
    if len(pairs) < 3:
        raise InputError(f"{path}: {what} has {len(pairs)} corners; draw at least 3 or delete it")
    return _places(path, pairs, what)


def _places(path: Path, pairs: list[Any], what: str) -> NDArray[np.float64]:
    for pair in pairs:
        if not (
            isinstance(pair, list)
            and len(pair) == 2
            and all(isinstance(v, int | float) and math.isfinite(v) for v in pair)
        ):
            raise InputError(f"{path}: {what} has {pair!r} for an x and a y; give two numbers")
    return np.array(pairs, dtype=np.float64) - 0.5
