"""Healthy films with damage of known grade as a data set that `mandora evaluate` reads.

    python benchmarks/inflicted_films_data_set.py DATASET --out DIR [--seed N] [--copies N]
    mandora evaluate default DIR/manifest.csv --out PAGE

DATASET holds films whose joints are marked and have the label 0, see ``real_films_data_set.py``.
Each copy of a film has damage in 40 % of its sites, each grade as often as the others; where no
joint line is found the label stays 0. Films are written turned upright, as left limbs, as PNG.
Their grades are those that were put in: damage that was there before is not counted.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from mandora.core.anatomy import LANDMARKS, SITES, Limb
from mandora.datasets.layouts import open_dataset
from mandora.training.films import LabelledFilms
from mandora.training.mixed import COLUMN, InflictedFilms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1000, help="not one that trained a network")
    parser.add_argument("--copies", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    dataset = open_dataset(args.dataset)
    columns = [f"{site.name}:{site.damage}" for site in SITES]
    columns = list(dict.fromkeys(columns))
    rows: list[list[object]] = [["patient", "film", "limb", "side", *columns]]
    places: list[list[object]] = [["film", "site", "x", "y"]]
    with tempfile.TemporaryDirectory() as cache:
        for limb in Limb:
            healthy = LabelledFilms(dataset, limb, Path(cache))
            films = InflictedFilms(healthy, args.copies + 1, args.seed)
            for index in range(len(films)):
                if index % films.copies == 0:
                    continue
                film = films.film(index)
                stem = (
                    f"{Path(films.films.name(index // films.copies)).stem}-{index % films.copies}"
                )
                grey = np.round(255 * film.pixels).astype(np.uint8)
                Image.fromarray(grey).save(args.out / f"{stem}.png")
                scores = {
                    f"{site.name}:{site.damage}": film.scores[row, COLUMN[site.damage]]
                    for site in SITES
                    for row, landmark in enumerate(LANDMARKS[limb])
                    if site.limb is limb and site.landmark_name == landmark.name
                }
                known = {k: f"{v:g}" for k, v in scores.items() if np.isfinite(v)}
                rows.append([stem, f"{stem}.png", limb, "L", *(known.get(c, "") for c in columns)])
                places += [
                    [stem, landmark.name, *(f"{v:.1f}" for v in xy)]
                    for landmark, xy in zip(LANDMARKS[limb], film.landmarks, strict=True)
                    if np.isfinite(xy).all()
                ]
    for name, table in (("manifest.csv", rows), ("joints.csv", places)):
        with (args.out / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(table)
    print(f"{len(rows) - 1} films, {len(places) - 1} joints: {args.out / 'manifest.csv'}")


if __name__ == "__main__":
    main()
