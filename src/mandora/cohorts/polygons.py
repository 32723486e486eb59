"""Joint spaces as polygons, in the files of annotation tools: LabelMe and COCO.

In a file the corner of the first pixel is (0, 0), as those tools have it; in the program, as in
:mod:`mandora.geometry`, its centre is. Writers add half a pixel and readers take it off.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mandora.anatomy import POINTS, Limb, Point

SPECK_PX = 4  # smaller regions are left out

# Outlines run a hundredth of a pixel inside the border of the region. So they hold the same
# pixels for tools that test pixel centres and for those that cut coordinates to whole numbers.
_REACH = 0.49
_LABELME_VERSION = "5.5.0"  # the release whose format is written

Film = tuple[str, tuple[int, int], tuple["Outline", ...]]
"""Image name, (width, height) in px, outlines."""


@dataclass(frozen=True, eq=False)
class Outline:
    """The border of one region.

    Attributes:
        site: limb and point, e.g. ``hand-mcp2``; see :func:`site_name`.
        points: (N, 2) float64, N ≥ 3, (x, y), px of the film, pixel centres at whole numbers.
            The last point is not the first one again.
    """

    site: str
    points: NDArray[np.float64]


@dataclass(frozen=True)
class LabelledFilm:
    """What a LabelMe file says of a film.

    Attributes:
        image_name: the film's file name without folder.
        size: (width, height), px.
        outlines: polygons, in the file's order.
        points: (x, y) by site, px of the film, pixel centres at whole numbers.
    """

    image_name: str
    size: tuple[int, int]
    outlines: tuple[Outline, ...]
    points: Mapping[str, tuple[float, float]]


def site_name(point: Point) -> str:
    """The name of a point's site in files that hold hands and feet, e.g. ``hand-mcp2``."""
    return f"{point.limb}-{point.name}"


SITE_NAMES: tuple[str, ...] = tuple(site_name(p) for limb in Limb for p in POINTS[limb])
"""The 27 labels that are written and read; a COCO category's id is 1 + its index."""


def outlines_of(labels: NDArray[np.uint8], limb: Limb) -> tuple[Outline, ...]:
    """Trace the regions of a label map.

    Pixels that touch at a corner belong together. Holes are filled: a polygon has none.

    Args:
        labels: (H, W) uint8, 1 + index of the point in ``anatomy.POINTS[limb]``, 0 elsewhere.
        limb: hand or foot.

    Returns:
        One outline for each region of at least :data:`SPECK_PX` pixels, by label.

    Raises:
        ValueError: if the map is not 2-D or has labels that the limb has not.
    """
    if labels.ndim != 2:
        raise ValueError(f"a label map has two axes, this array has shape {labels.shape}")
    sites = POINTS[limb]
    if labels.size and int(labels.max()) > len(sites):
        raise ValueError(f"label {labels.max()} is too high: a {limb} has 1 to {len(sites)}")
    found = []
    for label, window in enumerate(ndimage.find_objects(labels), start=1):
        if window is None:
            continue
        regions, count = ndimage.label(labels[window] == label, np.ones((3, 3)))
        origin = np.array([window[1].start, window[0].start], dtype=np.float64)
        for region in range(1, count + 1):
            mask = regions == region
            if mask.sum() >= SPECK_PX:
                points = _trace(ndimage.binary_fill_holes(mask)) + origin
                found.append(Outline(site_name(sites[label - 1]), points))
    return tuple(found)


def _trace(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The clockwise border of one region without holes, (N, 2) px."""
    inside = {(int(x), int(y)) for y, x in np.argwhere(mask)}
    x, y = min(inside, key=lambda p: (p[1], p[0]))
    out = (0, -1)  # the side of the pixel that the border passes
    start = (x, y, out)
    places = []
    while True:
        places.append((x + _REACH * out[0], y + _REACH * out[1]))
        ahead = (-out[1], out[0])
        if (x + ahead[0] + out[0], y + ahead[1] + out[1]) in inside:
            x, y, out = x + ahead[0] + out[0], y + ahead[1] + out[1], (-ahead[0], -ahead[1])
        elif (x + ahead[0], y + ahead[1]) in inside:
            x, y = x + ahead[0], y + ahead[1]
        else:
            out = ahead
        if (x, y, out) == start:
            break
    path = np.array(places)
    before, after = path - np.roll(path, 1, axis=0), np.roll(path, -1, axis=0) - path
    turns = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    # places within a straight run say nothing; the tip of a line turns back and stays
    straight = (np.abs(turns) < 1e-6) & ((before * after).sum(axis=1) > 0)
    return np.asarray(path[~straight])


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
    shapes = [_shape(o.site, "polygon", _pairs(o.points)) for o in outlines]
    for site, place in (points or {}).items():
        shapes.append(_shape(site, "point", _pairs(np.array([place], dtype=np.float64))))
    return {
        "version": _LABELME_VERSION, "flags": {}, "shapes": shapes, "imagePath": image_name,
        "imageData": None, "imageHeight": size_wh[1], "imageWidth": size_wh[0],
    }  # fmt: skip


def _shape(label: str, kind: str, pairs: list[list[float]]) -> dict[str, Any]:
    return {"label": label, "points": pairs, "group_id": None, "shape_type": kind, "flags": {}}


def _pairs(points: NDArray[np.float64]) -> list[list[float]]:
    return [[round(float(x) + 0.5, 2), round(float(y) + 0.5, 2)] for x, y in points]


def coco_document(films: Iterable[Film]) -> dict[str, Any]:
    """The content of a COCO file: the regions of one site of one film are one annotation."""
    document: dict[str, Any] = {"images": [], "annotations": [], "categories": _categories()}
    for image, regions in _coco(films):
        document["images"].append(image)
        document["annotations"] += regions
    return document


def write_coco(path: Path, films: Iterable[Film]) -> None:
    """Write a COCO file film by film, so that memory hardly grows with their number.

    Args:
        path: the file; replaced whole or not at all.
        films: as for :func:`coco_document`; may be a generator.

    Raises:
        OSError: if the file cannot be written.
    """
    part = path.with_name(path.name + ".part")
    images, separator = [], ""
    try:
        with part.open("w", encoding="utf-8") as file:
            file.write('{"annotations": [')
            for image, regions in _coco(films):
                images.append(image)
                for annotation in regions:
                    file.write(f"{separator}\n{json.dumps(annotation)}")
                    separator = ","
            rest = json.dumps({"images": images, "categories": _categories()})
            file.write(f"],\n{rest[1:]}\n")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _categories() -> list[dict[str, Any]]:
    return [
        {"id": i, "name": name, "supercategory": name.partition("-")[0]}
        for i, name in enumerate(SITE_NAMES, start=1)
    ]


def _coco(films: Iterable[Film]) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Each film's image and annotations."""
    number = 0
    for image_id, (name, (width, height), outlines) in enumerate(films, start=1):
        annotations = []
        for site in dict.fromkeys(o.site for o in outlines):
            number += 1
            parts = [np.array(_pairs(o.points)) for o in outlines if o.site == site]
            lower = np.min([p.min(axis=0) for p in parts], axis=0)
            upper = np.max([p.max(axis=0) for p in parts], axis=0)
            annotations.append({
                "id": number, "image_id": image_id, "category_id": SITE_NAMES.index(site) + 1,
                "segmentation": [p.ravel().tolist() for p in parts],
                "bbox": np.round([*lower, *(upper - lower)], 2).tolist(),
                "area": round(sum(_area(p) for p in parts), 2), "iscrowd": 0,
            })  # fmt: skip
        yield {"id": image_id, "file_name": name, "width": width, "height": height}, annotations


def _area(points: NDArray[np.float64]) -> float:
    x, y = points.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


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
            raise ValueError(f"{path}: {what} is not the only point of {site}; keep one")
        else:
            raise ValueError(f"{path}: {what} is a {kind}; draw it as a polygon or a point")
    return LabelledFilm(PureWindowsPath(name).name, (width, height), tuple(outlines), points)


def read_coco(path: Path) -> dict[str, tuple[Outline, ...]]:
    """Read the polygons of a COCO file.

    Returns:
        The outlines of each image by its ``file_name``, in the file's order; none for images
        without annotations.

    Raises:
        ValueError: if it is no COCO file, or has annotations whose image or category is
            unknown, whose category is no site, or that are no polygons.
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
                raise ValueError(f"{path}: {what} has an unknown {key}; export the file again")
        used.append(categories[annotation["category_id"]])
    _check_labels(path, used)
    for i, (site, annotation) in enumerate(zip(used, lists["annotations"], strict=True), start=1):
        what = f"annotation {i} ({site})"
        for flat in _get(path, annotation, "segmentation", list, what):
            if not isinstance(flat, list) or len(flat) % 2:
                raise ValueError(f"{path}: {what} is not a list of x, y, x, y, …; export polygons")
            pairs = [list(p) for p in zip(flat[::2], flat[1::2], strict=True)]
            found[images[annotation["image_id"]]].append(Outline(site, _polygon(path, pairs, what)))
    return {name: tuple(outlines) for name, outlines in found.items()}


def _load(path: Path, kind: str) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: is not JSON; give a {kind} file") from error
    if not isinstance(data, dict):
        raise ValueError(f"{path}: holds no JSON object; give a {kind} file")
    return data


def _get(path: Path, record: Any, key: str, kind: type, what: str) -> Any:
    """A value of a record, of the type that it must have."""
    value = record.get(key) if isinstance(record, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        fault = "has no" if value is None else "has an unusable"
        name = {str: "text", int: "a whole number", list: "a list"}[kind]
        raise ValueError(f"{path}: {what} {fault} {key!r}; it must be {name}, export it again")
    return value


def _by_id(path: Path, records: list[Any], key: str, kind: str) -> dict[int, str]:
    return {
        _get(path, r, "id", int, f"{kind} {i}"): _get(path, r, key, str, f"{kind} {i}")
        for i, r in enumerate(records, start=1)
    }


def _check_labels(path: Path, labels: Iterable[str]) -> None:
    unknown = sorted(set(labels) - set(SITE_NAMES))
    if unknown:
        raise ValueError(
            f"{path}: unknown labels: {', '.join(unknown)}; use {', '.join(SITE_NAMES)}"
        )


def _polygon(path: Path, pairs: list[Any], what: str) -> NDArray[np.float64]:
    if len(pairs) < 3:
        raise ValueError(f"{path}: {what} has {len(pairs)} corners; draw at least 3 or delete it")
    return _places(path, pairs, what)


def _places(path: Path, pairs: list[Any], what: str) -> NDArray[np.float64]:
    for pair in pairs:
        if not (
            isinstance(pair, list)
            and len(pair) == 2
            and all(isinstance(v, int | float) and math.isfinite(v) for v in pair)
        ):
            raise ValueError(f"{path}: {what} has {pair!r} for an x and a y; give two numbers")
    return np.array(pairs, dtype=np.float64) - 0.5
