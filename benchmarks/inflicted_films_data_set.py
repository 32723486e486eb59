"""Healthy films with damage of known grade as a data set that `mandora evaluate` reads.

    python benchmarks/inflicted_films_data_set.py DATASET --out DIR [--seed N] [--copies N]
        [--workers N]
    mandora evaluate default DIR/manifest.csv --out PAGE

DATASET holds films whose joints are marked, and have the label 0 where they are healthy, see
``real_films_data_set.py``. Each copy of a film has damage in 40 % of its healthy sites, each grade
as often as the others; where no joint line is found the label stays 0. Films are written turned
upright, as left limbs, as PNG. Their grades are those that were put in: damage that was there
before is not counted. All copies of the films of one person are that person's.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from mandora.core.anatomy import LANDMARKS, SITES, Limb
from mandora.core.errors import InputError
from mandora.core.parallel.workers import map_items
from mandora.datasets.dataset import Dataset
from mandora.datasets.layouts import open_dataset
from mandora.training.films import LabelledFilms
from mandora.training.mixed import COLUMN, InflictedFilms

SEED = 1000
"""Not one that trained a network."""
COLUMNS = tuple(dict.fromkeys(f"{site.name}:{site.damage}" for site in SITES))

Written = tuple[list[object], list[list[object]]]
"""A row of the manifest, and rows of marked joints."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=SEED, help="not one that trained a network")
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    path = write_inflicted(
        open_dataset(args.dataset), args.out, args.copies, args.seed, args.workers
    )
    dataset = open_dataset(path)
    joints = sum(int(np.isfinite(film.landmarks).all(axis=1).sum()) for film in dataset.films)
    print(f"{len(dataset.films)} films, {joints} joints: {path}")


def write_inflicted(
    dataset: Dataset, out: Path, copies: int, seed: int = SEED, workers: int = 1
) -> Path:
    """Write damaged copies of films with marked joints, and their manifest.

    Returns:
        The path of the manifest, which is written last.
    """
    out.mkdir(parents=True, exist_ok=True)
    manifest: list[list[object]] = [["patient", "person", "film", "limb", "side", *COLUMNS]]
    places: list[list[object]] = [["film", "site", "x", "y"]]
    with tempfile.TemporaryDirectory() as cache:
        for limb in Limb:
            healthy = LabelledFilms(dataset.marked(), limb, Path(cache), rois=False)
            films = InflictedFilms(healthy, copies + 1, seed)
            damaged = [i for i in range(len(films)) if i % films.copies]
            for made in map_items(partial(_write, films, healthy, out), damaged, workers):
                if made is not None:
                    manifest.append(made[0])
                    places += made[1]
    for name, table in (("joints.csv", places), ("manifest.csv", manifest)):
        with (out / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(table)
    return out / "manifest.csv"


def _write(films: InflictedFilms, healthy: LabelledFilms, out: Path, index: int) -> Written | None:
    """Write one copy; None if the film cannot be used."""
    try:
        film = films.film(index)
    except InputError as error:
        print(error)
        return None
    limb, copy = films.limb, index % films.copies
    item = [one for one in healthy.dataset.films if one.slot.limb is limb][index // films.copies]
    stem = f"{item.patient}-{item.slot.code}-{copy}"
    Image.fromarray(np.round(255 * film.pixels).astype(np.uint8)).save(out / f"{stem}.png")
    scores = {
        f"{site.name}:{site.damage}": film.scores[row, COLUMN[site.damage]]
        for site in SITES
        for row, landmark in enumerate(LANDMARKS[limb])
        if site.limb is limb and site.landmark_name == landmark.name
    }
    known = {k: f"{v:g}" for k, v in scores.items() if np.isfinite(v)}
    person = healthy.dataset.persons.get(item.patient, item.patient)
    joints: list[list[object]] = [
        [stem, landmark.name, *(f"{v:.1f}" for v in xy)]
        for landmark, xy in zip(LANDMARKS[limb], film.landmarks, strict=True)
        if np.isfinite(xy).all()
    ]
    return [stem, person, f"{stem}.png", limb, "L", *(known.get(c, "") for c in COLUMNS)], joints


if __name__ == "__main__":
    main()
