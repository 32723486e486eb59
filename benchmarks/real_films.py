"""The folder of real films that several benchmarks read.

It holds ``films.csv`` (film, file, set, body_part, view, limbs, side, orientation), with paths that
are relative to the folder, ``joints.csv`` (film, limb, side, site, x, y, source), px of the film,
and perhaps ``boxes.csv`` (film, label, x0, y0, x1, y1).
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np

from mandora.core.anatomy import LANDMARK_INDEX, LANDMARKS, Limb

Places = dict[str, tuple[float, float]]
"""(x, y) by the name of a landmark or site, px of the film."""


@dataclass(frozen=True)
class RealFilm:
    """One film and what is known of it.

    Attributes:
        name: its id.
        limb: what it shows, once or more often.
        set_name: the set that it comes from.
        file: where it lies.
        limbs: for each limb with known joints, their places and the source of each place.
    """

    name: str
    limb: Limb
    set_name: str
    file: Path
    limbs: tuple[tuple[Places, dict[str, str]], ...]


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table; ends the program if it cannot be read."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        sys.exit(f"cannot read {path}: {error.strerror}")


def part_of(film: str) -> Literal["train", "test"]:
    """The half of the films to which one belongs, by a hash of its name."""
    return ("train", "test")[sha256(film.encode()).digest()[0] % 2]


def real_films(folder: Path, also: Collection[str] = ()) -> Iterator[RealFilm]:
    """Films of hands and feet with known joints, and others that are named."""
    known: dict[str, dict[str, tuple[Places, dict[str, str]]]] = defaultdict(dict)
    for row in read_rows(folder / "joints.csv"):
        places, sources = known[row["film"]].setdefault(row["limb"], ({}, {}))
        places[row["site"]] = (float(row["x"]), float(row["y"]))
        sources[row["site"]] = row["source"]
    for row in read_rows(folder / "films.csv"):
        name = row["film"]
        if (name in known or name in also) and row["body_part"] in tuple(Limb):
            limbs = tuple(known.get(name, {}).values())
            yield RealFilm(name, Limb(row["body_part"]), row["set"], folder / row["file"], limbs)


def landmarks_of(places: Places, limb: Limb) -> np.ndarray:
    """(N, 2) px, in the order of ``anatomy.LANDMARKS``; NaN where unknown."""
    landmarks = np.full((len(LANDMARKS[limb]), 2), np.nan)
    for site, xy in places.items():
        if site in LANDMARK_INDEX[limb]:
            landmarks[LANDMARK_INDEX[limb][site]] = xy
    return landmarks
