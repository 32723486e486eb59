"""What a file of an annotation tool says of a film, and what the readers of all tools share.

In a file the corner of the first pixel is (0, 0), as annotation tools have it; in the program, as
in :mod:`mandora.core.geometry`, its centre is. Writers add half a pixel and readers take it off.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mandora.core.errors import InputError
from mandora.core.inputs import read_text
from mandora.datasets.outlines import SITE_NAMES, Outline


@dataclass(frozen=True)
class LabelledFilm:
    """A film and what is drawn on it.

    Attributes:
        image_name: the film's file name; after CVAT with its folder, if the task has folders.
        size: (width, height), px; (0, 0) where the file does not state it.
        outlines: polygons, in the file's order.
        landmarks: (x, y) by site, px of the film, pixel centres at whole numbers.
    """

    image_name: str
    size: tuple[int, int]
    outlines: tuple[Outline, ...]
    landmarks: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def to_file(points: NDArray[np.float64]) -> list[list[float]]:
    """(N, 2) px of the film as the [x, y], … of a file, two decimals."""
    return [[round(float(x) + 0.5, 2), round(float(y) + 0.5, 2)] for x, y in points]


def read_json_object(path: Path, tool: str) -> dict[str, Any]:
    """The object that a JSON file holds.

    Args:
        path: the file.
        tool: whose file it should be, for messages.

    Raises:
        ValueError: naming the file, if it cannot be read or holds no object.
    """
    try:
        data = json.loads(read_label_text(path))
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not JSON; give a {tool} file") from error
    if not isinstance(data, dict):
        raise InputError(f"{path}: holds no JSON object; give a {tool} file")
    return data


def read_label_text(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark.

    Raises:
        InputError: naming the file, if it cannot be opened.
        UnicodeDecodeError: if it is no such text.
    """
    try:
        return read_text(path, "utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error


def value_of(path: Path, record: Any, key: str, kind: type, what: str) -> Any:
    """A value of a record, checked to be of the type that it must have."""
    value = record.get(key) if isinstance(record, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        fault = "has no" if value is None else "has an unusable"
        name = {str: "text", int: "a whole number", list: "a list"}[kind]
        raise InputError(f"{path}: {what} {fault} {key!r}; it must be {name}, export it again")
    return value


def check_labels(path: Path, labels: Iterable[str], known: Collection[str] = SITE_NAMES) -> None:
    """Refuse labels that are none of those that are known."""
    unknown = sorted(set(labels) - set(known))
    if unknown:
        raise InputError(f"{path}: unknown labels: {', '.join(unknown)}; use {', '.join(known)}")


class Drawing:
    """The shapes of one film, added one by one as a file lists them.

    Args:
        path: the file, for messages.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.outlines: list[Outline] = []
        self.landmarks: dict[str, tuple[float, float]] = {}

    def add_polygon(self, site: str, pairs: list[Any], what: str) -> None:
        """Add a polygon.

        Args:
            site: its label.
            pairs: [x, y] of each corner, as the file has them.
            what: the shape, for messages.

        Raises:
            ValueError: if it has less than three corners, or they are no numbers.
        """
        if len(pairs) < 3:
            fault = f"{what} has {len(pairs)} corners; draw at least 3 or delete it"
            raise InputError(f"{self.path}: {fault}")
        self.outlines.append(Outline(site, self._from_file(pairs, what)))

    def add_landmark(self, site: str, pairs: list[Any], what: str) -> None:
        """Add a landmark; the arguments are those of :meth:`add_polygon`.

        Raises:
            ValueError: unless it is one place, and the only one of its site.
        """
        if len(pairs) != 1 or site in self.landmarks:
            raise InputError(f"{self.path}: {what} is not the only point of {site}; keep one")
        x, y = self._from_file(pairs, what)[0].tolist()
        self.landmarks[site] = (x, y)

    def _from_file(self, pairs: list[Any], what: str) -> NDArray[np.float64]:
        for pair in pairs:
            if not (
                isinstance(pair, list)
                and len(pair) == 2
                and all(isinstance(v, int | float) and math.isfinite(v) for v in pair)
            ):
                fault = f"{what} has {pair!r} for an x and a y; give two numbers"
                raise InputError(f"{self.path}: {fault}")
        return np.array(pairs, dtype=np.float64) - 0.5
