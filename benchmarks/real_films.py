"""The folder of real films that several benchmarks read.

It holds ``films.csv`` (film, file, set, body_part, view, limbs, side, orientation, patient), with
paths that are relative to the folder, ``joints.csv`` (film, limb, side, site, x, y, source), px of
the film, and perhaps ``boxes.csv`` (film, label, x0, y0, x1, y1), ``impressions.csv`` (film, limb,
site, impression: normal, unclear or damaged) and ``wrists/wrists.csv`` (film, file, side, erosive:
0 or 1, patient), with paths that are relative to ``wrists``.
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

Part = Literal["train", "development", "test"]

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


def parts_of(folder: Path) -> dict[str, Part]:
    """The part to which each film and each wrist belongs; no patient is in two parts.

    Films of children trained and tested models since 0.2, one half each by a hash of their names:
    the half that trained nothing has guided choices and is called ``development``. Adults (the set
    ``unifesp`` and the wrists) are split by patient, in pairs of alike patients: with the same
    limbs looked at, and with or without damage. Their half ``test`` is frozen since 2026-11-30,
    and is for the last measurement of a model.
    """
    films, parts = read_rows(folder / "films.csv"), {}
    patients: dict[str, list[str]] = defaultdict(list)
    kind: dict[str, set[str]] = defaultdict(set)
    for row in films:
        if row["set"] == "unifesp":
            patients[row["patient"]].append(row["film"])
            kind[row["patient"]].add("film of a " + row["body_part"])
        else:
            old = sha256(row["film"].encode()).digest()[0] % 2
            parts[row["film"]] = ("train", "development")[old]
    of_film = {row["film"]: row for row in films}
    for row in _rows_if_any(folder / "impressions.csv"):
        if row["film"] in of_film:
            film = of_film[row["film"]]
            kind[film["patient"]] |= {f"{film['body_part']} looked at", row["impression"]}
    for row in _rows_if_any(folder / "wrists" / "wrists.csv"):
        patients["ram-" + row["patient"]].append(row["film"])
        kind["ram-" + row["patient"]].add("erosive" if row["erosive"] == "1" else "intact")
    strata: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for patient in patients:
        strata[tuple(sorted(kind[patient]))].append(patient)
    for number, stratum in enumerate(sorted(strata)):
        for place, patient in enumerate(sorted(strata[stratum], key=_hash)):
            part: Part = ("train", "test")[(place + number) % 2]
            parts |= dict.fromkeys(patients[patient], part)
    return parts


def _rows_if_any(path: Path) -> list[dict[str, str]]:
    return read_rows(path) if path.exists() else []


def _hash(patient: str) -> str:
    return sha256(f"adults 2026-11-30 {patient}".encode()).hexdigest()


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
