"""COCO: one JSON file for many films; polygons, and in files of others run lengths."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import Limb
from mandora.core.errors import InputError
from mandora.core.files import temporary_path
from mandora.datasets.formats.labelled_film import (
    Drawing,
    LabelledFilm,
    check_labels,
    read_json_object,
    to_file,
    value_of,
)
from mandora.datasets.outlines import SITE_NAMES, outlines_of


def read_coco(path: Path, labels: Collection[str] = SITE_NAMES) -> list[LabelledFilm]:
    """Read the polygons of a COCO file.

    Args:
        path: the file.
        labels: names of the categories that its annotations may have.

    Returns:
        The films by their ``file_name``, in the file's order, with or without annotations.

    Raises:
        ValueError: if it is no COCO file, or has annotations whose image or category is
            unknown, whose category is none of the labels, or that are no polygons.
    """
    data = read_json_object(path, "COCO")
    kinds = ("images", "categories", "annotations")
    images, categories, annotations = (value_of(path, data, k, list, "the file") for k in kinds)
    image_names = _by_id(path, images, "file_name", "image")
    category_names = _by_id(path, categories, "name", "category")
    drawings = {name: Drawing(path) for name in image_names.values()}
    used = []
    for i, annotation in enumerate(annotations, start=1):
        what = f"annotation {i}"
        for key, known in (("image_id", image_names), ("category_id", category_names)):
            if value_of(path, annotation, key, int, what) not in known:
                raise InputError(f"{path}: {what} has an unknown {key}; export the file again")
        used.append(category_names[annotation["category_id"]])
    check_labels(path, used, labels)
    for i, (site, annotation) in enumerate(zip(used, annotations, strict=True), start=1):
        what = f"annotation {i} ({site})"
        drawing = drawings[image_names[annotation["image_id"]]]
        for flat in value_of(path, annotation, "segmentation", list, what):
            if not isinstance(flat, list) or len(flat) % 2:
                raise InputError(f"{path}: {what} is not a list of x, y, x, y, …; export polygons")
            pairs = [list(p) for p in zip(flat[::2], flat[1::2], strict=True)]
            drawing.add_polygon(site, pairs, what)
    sizes = {image["file_name"]: _size(image) for image in images}
    return [LabelledFilm(n, sizes[n], tuple(d.outlines)) for n, d in drawings.items()]


def _by_id(path: Path, records: list[Any], key: str, kind: str) -> dict[int, str]:
    return {
        value_of(path, r, "id", int, f"{kind} {i}"): value_of(path, r, key, str, f"{kind} {i}")
        for i, r in enumerate(records, start=1)
    }


def _size(image: dict[str, Any]) -> tuple[int, int]:
    """(width, height), px; (0, 0) if it is not stated."""
    width, height = image.get("width"), image.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) else (0, 0)


class CocoWriter:
    """A COCO file that grows film by film, so that memory does not grow with their number.

    Use it as a context: the file appears when the context ends, and not at all if it ends with
    an error. The regions of one label of one film are one annotation.

    Args:
        path: the file; replaced whole or not at all.
        labels: what regions there are; a category's id is 1 + its index.

    Raises:
        OSError: if the file cannot be written.
    """

    def __init__(self, path: Path, labels: Sequence[str] = SITE_NAMES) -> None:
        self.path = path
        self._ids = {label: i for i, label in enumerate(labels, start=1)}
        self._parts = [temporary_path(path), temporary_path(path)]
        self._regions, self._images = (part.open("x+", encoding="utf-8") for part in self._parts)
        self._n_regions = self._n_images = 0
        self._regions.write('{"annotations": [')
        self._images.write('],\n"images": [')

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            for file, part in zip((self._regions, self._images), self._parts, strict=True):
                with suppress(OSError):  # what cannot be flushed to a full disk is not wanted
                    file.close()
                part.unlink(missing_ok=True)

    def add(self, film: LabelledFilm) -> None:
        """Append a film with its outlines; landmarks are not written.

        Raises:
            ValueError: if an outline's label is none of the file's.
        """
        name, (width, height), outlines = film.image_name, film.size, film.outlines
        unknown = {o.site for o in outlines} - self._ids.keys()
        if unknown:
            raise InputError(f"{name}: {self.path.name} has no label {', '.join(sorted(unknown))}")
        self._n_images += 1
        image = {"id": self._n_images, "file_name": name, "width": width, "height": height}
        self._images.write(f"{',' if self._n_images > 1 else ''}\n{json.dumps(image)}")
        for label in dict.fromkeys(o.site for o in outlines):
            self._n_regions += 1
            parts = [np.array(to_file(o.points)) for o in outlines if o.site == label]
            region = self._region(label, parts)
            self._regions.write(f"{',' if self._n_regions > 1 else ''}\n{json.dumps(region)}")

    def _region(self, label: str, parts: list[NDArray[np.float64]]) -> dict[str, Any]:
        lower = np.min([p.min(axis=0) for p in parts], axis=0)
        upper = np.max([p.max(axis=0) for p in parts], axis=0)
        return {
            "id": self._n_regions, "image_id": self._n_images, "category_id": self._ids[label],
            "segmentation": [p.ravel().tolist() for p in parts],
            "bbox": np.round([*lower, *(upper - lower)], 2).tolist(),
            "area": round(sum(_area(p) for p in parts), 2), "iscrowd": 0,
        }  # fmt: skip

    def _finish(self) -> None:
        categories = [
            {"id": number, "name": label, "supercategory": label.partition("-")[0]}
            for label, number in self._ids.items()
        ]
        self._images.write(f'],\n"categories": {json.dumps(categories)}}}\n')
        self._images.seek(0)
        shutil.copyfileobj(self._images, self._regions)
        self._regions.close()
        self._parts[0].replace(self.path)


def _area(points: NDArray[np.float64]) -> float:
    x, y = points.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def segmentation_outlines(
    segmentation: Any, size_wh: tuple[int, int]
) -> Iterator[NDArray[np.float64]]:
    """Outlines of a COCO segmentation: polygons, or run lengths (RLE), packed or not.

    Yields:
        (N, 2) float64, (x, y), px of the picture, pixel centres at whole numbers.

    Raises:
        ValueError: if it is neither, or run lengths do not fill the picture.
    """
    if isinstance(segmentation, list):
        for flat in segmentation:
            if len(flat) >= 6:
                yield np.asarray(flat, dtype=np.float64).reshape(-1, 2) - 0.5
        return
    if not isinstance(segmentation, dict):
        return
    counts = segmentation.get("counts", [])
    if isinstance(counts, str):
        counts = unpacked(counts)
    width, height = size_wh
    runs = np.asarray(counts, dtype=np.int64)
    if (runs < 0).any() or (len(runs) and runs.sum() != width * height):
        raise InputError(f"run lengths do not fill {width} × {height} px")
    ends = np.cumsum(runs)
    starts, stops = ends[:-1][::2], ends[1:][::2]  # the first run is background
    filled = stops > starts
    starts, stops = starts[filled], stops[filled]
    if not len(starts):
        return
    left, right = int(starts[0]) // height, math.ceil(int(stops[-1]) / height)
    window = np.zeros((right - left) * height, np.uint8)  # columns one after the other
    for start, stop in zip(starts - left * height, stops - left * height, strict=True):
        window[start:stop] = 1
    for outline in outlines_of(window.reshape(-1, height).T, Limb.HAND):
        yield outline.points + np.array([left, 0.0])


def unpacked(text: str) -> list[int]:
    """Run lengths from the text that pycocotools packs them into (its ``rleFrString``).

    Raises:
        ValueError: if it is no such text.
    """
    counts: list[int] = []
    value = shift = 0
    for char in text:
        bits = ord(char) - 48
        if not 0 <= bits < 64:
            raise InputError(f"{char!r} is not in the alphabet of packed run lengths")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value |= -1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise InputError("packed run lengths end within a number")
    return counts
