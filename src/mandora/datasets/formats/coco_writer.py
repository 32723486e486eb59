"""COCO files, written film by film."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mandora.core.errors import InputError
from mandora.core.files import temporary_path
from mandora.datasets.polygons import SITE_NAMES, Film, file_pairs


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

    def add(self, film: Film) -> None:
        """Append a film.

        Raises:
            ValueError: if an outline's label is none of the file's.
        """
        name, (width, height), outlines = film
        unknown = {o.site for o in outlines} - self._ids.keys()
        if unknown:
            raise InputError(f"{name}: {self.path.name} has no label {', '.join(sorted(unknown))}")
        self._n_images += 1
        image = {"id": self._n_images, "file_name": name, "width": width, "height": height}
        self._images.write(f"{',' if self._n_images > 1 else ''}\n{json.dumps(image)}")
        for label in dict.fromkeys(o.site for o in outlines):
            self._n_regions += 1
            parts = [np.array(file_pairs(o.points)) for o in outlines if o.site == label]
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


def write_coco(path: Path, films: Iterable[Film], labels: Sequence[str] = SITE_NAMES) -> None:
    """Write a COCO file.

    Args:
        path: the file; replaced whole or not at all.
        films: may be a generator.
        labels: what regions there are; a category's id is 1 + its index.

    Raises:
        OSError: if the file cannot be written.
        ValueError: if an outline's label is none of them.
    """
    with CocoWriter(path, labels) as writer:
        for film in films:
            writer.add(film)


def _area(points: NDArray[np.float64]) -> float:
    x, y = points.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
