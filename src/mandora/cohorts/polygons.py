"""Joint spaces as polygons, in the files of annotation tools: LabelMe, and COCO to read.

In a file the corner of the first pixel is (0, 0), as those tools have it; in the program, as in
:mod:`mandora.geometry`, its centre is. Writers add half a pixel and readers take it off.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping
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
        site: limb and point, e.g. ``hand-mcp2``, see :func:`site_name`; or limb and bone.
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
"""The 27 labels of joint spaces."""


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


def clipped(points: NDArray[np.float64], size_wh: tuple[int, int]) -> NDArray[np.float64]:
    """The part of a polygon that lies on the film (Sutherland and Hodgman 1974).

    Args:
        points: (N, 2), (x, y), px of the film, pixel centres at whole numbers.
        size_wh: of the film, px.

    Returns:
        (M, 2); empty if nothing of it lies there. Parts that the film's edge separates stay
        connected along the edge.
    """
    for axis, sign, edge in (
        (0, 1, -0.5), (0, -1, size_wh[0] - 0.5), (1, 1, -0.5), (1, -1, size_wh[1] - 0.5),
    ):  # fmt: skip
        inside = sign * (points[:, axis] - edge) >= 0
        if inside.all():
            continue
        kept = []
        for here, there, in_here, in_there in zip(
            points, np.roll(points, -1, axis=0), inside, np.roll(inside, -1), strict=True
        ):
            if in_here:
                kept.append(here)
            if in_here != in_there:
                share = (edge - here[axis]) / (there[axis] - here[axis])
                kept.append(here + share * (there - here))
        points = np.array(kept, dtype=np.float64).reshape(-1, 2)
    return points


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
            raise ValueError(f"{path}: {what} is not the only point of {site}; keep one")
        else:
            raise ValueError(f"{path}: {what} is a {kind}; draw it as a polygon or a point")
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
                raise ValueError(f"{path}: {what} has an unknown {key}; export the file again")
        used.append(categories[annotation["category_id"]])
    _check_labels(path, used, labels)
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


def _check_labels(path: Path, labels: Iterable[str], known: Collection[str] = SITE_NAMES) -> None:
    unknown = sorted(set(labels) - set(known))
    if unknown:
        raise ValueError(f"{path}: unknown labels: {', '.join(unknown)}; use {', '.join(known)}")


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
