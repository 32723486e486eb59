"""Real films with known joints as a data set that `mandora evaluate` reads.

    python benchmarks/real_films_data_set.py FOLDER SET… --out DIR [--healthy] [--part train]
        [--found CSV]
    mandora evaluate default DIR/manifest.csv --out PAGE

FOLDER is described in ``real_films.py``; SET names sets of its films. Films of one hand or foot
whose side is known are taken; nothing is copied, the manifest names the files where they lie. With
``--healthy`` all joints of hands get the label 0: of hands without arthritis. Joints that another
network has placed are left out; ``--found`` takes a table of ``mandora locate`` for the joints that
nobody has marked. ``--part`` takes one part of the films, see ``real_films.parts_of``: no patient
is in two.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import get_args

from real_films import Part, parts_of, read_rows

from mandora.core.anatomy import LANDMARK_INDEX, SITES, Limb


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--healthy", action="store_true")
    parser.add_argument("--part", choices=get_args(Part))
    parser.add_argument("--found", type=Path)
    args = parser.parse_args()
    joints = [row for row in read_rows(args.folder / "joints.csv") if row["source"] != "pseudo"]
    sides = {row["film"]: row["side"] for row in joints}
    limbs = {film: {row["limb"] for row in joints if row["film"] == film} for film in sides}
    labels = [f"{s.name}:{s.damage}" for s in SITES if s.limb is Limb.HAND] if args.healthy else []
    parts = parts_of(args.folder)
    films = []
    for row in read_rows(args.folder / "films.csv"):
        side = sides.get(row["film"]) or row["side"]
        single = row["limbs"] in ("", "1") and len(limbs.get(row["film"], "1")) == 1
        single = single and "+" not in row["view"] and row["view"] != "lateral"
        if row["set"] not in args.sets or args.part not in (None, parts[row["film"]]):
            continue
        if row["body_part"] in tuple(Limb) and side and single:
            path = (args.folder / row["file"]).resolve()
            scores = [0 if row["body_part"] == Limb.HAND else ""] * len(labels)
            films.append([row["film"], path, row["body_part"], side, *scores])
    taken = {film[0]: Limb(film[2]) for film in films}
    args.out.mkdir(parents=True, exist_ok=True)
    head = ["patient", "film", "limb", "side", *labels]
    _write(args.out / "manifest.csv", [head, *films])
    marked = {(row["film"], row["site"]) for row in joints}
    found = read_rows(args.found) if args.found else []
    found = [{**row, "film": Path(row["film"]).stem} for row in found]
    joints += [row for row in found if row["x"] and (row["film"], row["site"]) not in marked]
    places = [
        [row["film"], row["site"], row["x"], row["y"]]
        for row in joints
        if row["film"] in taken and row["site"] in LANDMARK_INDEX[taken[row["film"]]]
    ]
    _write(args.out / "joints.csv", [["film", "site", "x", "y"], *places])
    print(f"{len(films)} films, {len(places)} joints: {args.out / 'manifest.csv'}")


def _write(path: Path, rows: list[list[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


if __name__ == "__main__":
    main()
