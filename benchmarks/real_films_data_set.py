"""Real films with known joints as a data set that `mandora train` and `mandora evaluate` read.

    python benchmarks/real_films_data_set.py FOLDER SET… --out DIR [--healthy] [--locate]
        [--part train]
    mandora train damage --real DIR --out RUN
    mandora evaluate default DIR --out PAGE

FOLDER is described in ``real_films.py``; SET names sets of its films, ``ram`` its wrists. Each
marked limb is a row of the manifest, also where a film shows two, and each film of one hand or foot
whose side is known. Nothing is copied: the manifest names the films where they lie. Where the side
is not known, the limb gets that which it looks like.

Labels: 0 where two people saw a ``normal`` joint, 0 for erosion at the bones of a wrist that its
expert calls not erosive; with ``--healthy`` 0 at all joints of hands of the sets ``rsna`` and
``dha``, which have no arthritis. All else has no label. Impressions and the experts' labels are in
the data set, too. Of a film of a wrist alone the joints of the fingers are placed where they would
be, if that is beyond the film: so a localiser learns that they are not there.

Joints that another network has placed are left out; with ``--locate`` those of hands and feet that
nobody has marked are where the packaged model finds them. ``--part`` takes one part of the films,
see ``real_films.parts_of``: no patient is in two.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image
from real_films import Part, Places, landmarks_of, parts_of, read_rows

from mandora.core.anatomy import LANDMARK_INDEX, LANDMARKS, SITES, Damage, Limb, Side
from mandora.core.geometry import fit_similarity, limb_size
from mandora.images.read import read_radiograph
from mandora.locate.orientation import orientation_of_landmarks
from mandora.locate.template import limb_template
from mandora.model.bundle import default_bundle, open_bundle
from mandora.scoring.pipeline import Pipeline

WRISTS = "ram"
HEALTHY_SETS = ("rsna", "dha")
NORMAL = "normal"
BEYOND = 0.1  # limb sizes beyond the edge from which a joint is certainly not on the film
COLUMNS = tuple(dict.fromkeys(f"{site.name}:{site.damage}" for site in SITES))
WRIST_BONES = ("mc1", "mul", "nav", "lunate", "radius", "ulna")


@dataclass
class KnownLimb:
    """A limb on a film: a row of the manifest.

    Attributes:
        name: of the film; with the letter of the limb if the film shows this side twice.
        file: where the film lies.
        limb: hand or foot.
        side: left or right.
        person: whose film it is; empty if not known.
        places: px of the film, by the name of a landmark.
        scores: labels by column of the manifest.
        impressions: by the name of a site.
        erosive: the expert's label of the film, ``0`` or ``1``; empty if there is none.
        single: the film shows this limb alone, once.
    """

    name: str
    file: Path
    limb: Limb
    side: Side
    person: str
    places: Places = field(default_factory=dict)
    scores: dict[str, int] = field(default_factory=dict)
    impressions: dict[str, str] = field(default_factory=dict)
    erosive: str = ""
    single: bool = True


def known_limbs(
    folder: Path, sets: Collection[str], part: Part | None, healthy: bool = False
) -> list[KnownLimb]:
    """The limbs on films of these sets that belong to a part; None: all parts."""
    parts = parts_of(folder)
    limbs = [*_of_films(folder, sets), *(_of_wrists(folder / "wrists") if WRISTS in sets else ())]
    chosen = [limb for limb in limbs if part in (None, parts[limb.file.stem])]
    kind = {row["film"]: row["set"] for row in read_rows(folder / "films.csv")}
    for limb in chosen:
        looked = [s for s, impression in limb.impressions.items() if impression == NORMAL]
        limb.scores |= {c: 0 for c in columns_of(limb.limb) if c.partition(":")[0] in looked}
        if healthy and limb.limb is Limb.HAND and kind.get(limb.file.stem) in HEALTHY_SETS:
            limb.scores = dict.fromkeys(columns_of(Limb.HAND), 0)
    return chosen


def columns_of(limb: Limb) -> list[str]:
    """The columns of a manifest in which a limb has scores."""
    return [f"{site.name}:{site.damage}" for site in SITES if site.limb is limb]


def _of_films(folder: Path, sets: Collection[str]) -> Iterator[KnownLimb]:
    joints: dict[str, dict[str, Places]] = defaultdict(lambda: defaultdict(dict))
    sides: dict[tuple[str, str], str] = {}
    impressions: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for row in read_rows(folder / "joints.csv"):
        if row["source"] != "pseudo":
            joints[row["film"]][row["limb"]][row["site"]] = (float(row["x"]), float(row["y"]))
            sides[row["film"], row["limb"]] = row["side"]
    looks = folder / "impressions.csv"
    for row in read_rows(looks) if looks.exists() else ():
        impressions[row["film"], row["limb"]][row["site"]] = row["impression"]
    for row in read_rows(folder / "films.csv"):
        if row["set"] not in sets or row["body_part"] not in tuple(Limb):
            continue
        limb, file = Limb(row["body_part"]), (folder / row["file"]).resolve()
        person = f"{row['set']}-{row['patient']}" if row["patient"] else ""
        if row["view"] == "lateral":
            continue
        single = row["limbs"] in ("", "1") and "+" not in row["view"]
        if row["film"] not in joints:
            if row["side"] and single:
                yield KnownLimb(row["film"], file, limb, Side(row["side"]), person)
            continue
        taken: list[Side] = []
        for letter, places in joints[row["film"]].items():
            side = sides[row["film"], letter] or row["side"]
            known = Side(side) if side else looks_like(places, limb)
            name = row["film"] + (f"-{letter}" if known in taken else "")
            taken.append(known)
            looked = impressions[row["film"], letter]
            yield KnownLimb(
                name, file, limb, known, person, places, impressions=looked,
                single=single and len(joints[row["film"]]) == 1,
            )  # fmt: skip


def _of_wrists(folder: Path) -> Iterator[KnownLimb]:
    places: dict[str, Places] = defaultdict(dict)
    impressions: dict[str, dict[str, str]] = defaultdict(dict)
    for row in read_rows(folder / "points.csv"):
        places[row["film"]][row["site"]] = (float(row["x"]), float(row["y"]))
    for row in read_rows(folder / "impressions.csv"):
        impressions[row["film"]][row["site"]] = row["impression"]
    for row in read_rows(folder / "wrists.csv"):
        name, file = row["film"], (folder / row["file"]).resolve()
        scores = {} if row["erosive"] != "0" else {
            f"{bone}:{Damage.EROSION}": 0 for bone in WRIST_BONES
        }  # fmt: skip
        yield KnownLimb(
            name, file, Limb.HAND, Side(row["side"]), f"ram-{row['patient']}", places[name], scores,
            impressions[name], row["erosive"],
        )  # fmt: skip


def looks_like(places: Places, limb: Limb) -> Side:
    """The side that a limb looks like; the patient's is the other one on mirrored films."""
    known = landmarks_of(places, limb)
    return orientation_of_landmarks(known, limb_template(limb), Side.LEFT).side


def places_beyond(limb: KnownLimb, size: tuple[int, int]) -> Places:
    """Where the joints of a hand would be of which a film of its wrist shows nothing.

    The template is laid on the marked joints; it is exact to about 0.2 limb sizes.

    Args:
        limb: with marked joints.
        size: (width, height) of the film, px.
    """
    known, template = landmarks_of(limb.places, limb.limb), limb_template(limb.limb)
    marked = np.isfinite(known).all(axis=1)
    lies = orientation_of_landmarks(known, template, limb.side)
    flip = np.array([-1.0 if lies.mirrored else 1.0, 1.0])
    matrix = fit_similarity(template[marked] * flip, known[marked])
    laid = (template * flip) @ matrix[:, :2].T + matrix[:, 2]
    margin = BEYOND * limb_size(known, template)
    off = ((laid < -margin) | (laid > np.array(size) - 1 + margin)).any(axis=1)
    return {
        landmark.name: (float(x), float(y))
        for landmark, (x, y), gone in zip(LANDMARKS[limb.limb], laid, off & ~marked, strict=True)
        if gone
    }


def add_places(limbs: Collection[KnownLimb], locate: bool = False) -> None:
    """Add joints of fingers beyond films of wrists and, if asked, joints that nobody has marked.

    Args:
        limbs: whose places are added to.
        locate: joints without a place get that where the packaged model finds them.
    """
    packaged = Pipeline.from_bundle(open_bundle(default_bundle())) if locate else None
    for limb in limbs:
        if limb.name.startswith(f"{WRISTS}-"):
            with Image.open(limb.file) as film:
                limb.places |= places_beyond(limb, film.size)
        elif packaged is not None:
            found = packaged.locate(read_radiograph(limb.file), limb.limb).landmarks
            limb.places = {
                landmark.name: (float(x), float(y))
                for landmark, (x, y) in zip(LANDMARKS[limb.limb], found, strict=True)
                if np.isfinite(x)
            } | limb.places


def write_data_set(limbs: Collection[KnownLimb], out: Path) -> Path:
    """Write the manifest, and beside it marked joints and impressions.

    A limb that has the name of another film than its own gets a link to its film beside them.

    Returns:
        The path of the manifest.
    """
    out.mkdir(parents=True, exist_ok=True)
    manifest: list[list[object]] = [
        ["patient", "person", "film", "limb", "side", "erosive", *COLUMNS]
    ]
    joints: list[list[object]] = [["film", "limb", "side", "site", "x", "y"]]
    looks: list[list[object]] = [["film", "limb", "side", "site", "impression"]]
    for limb in limbs:
        film = limb.file
        if limb.name != limb.file.stem:
            film = out.resolve() / f"{limb.name}{limb.file.suffix}"
            film.unlink(missing_ok=True)
            film.symlink_to(limb.file)
        scores = [limb.scores.get(column, "") for column in COLUMNS]
        shown = [limb.limb, limb.side]
        manifest.append([limb.name, limb.person, film, *shown, limb.erosive, *scores])
        joints += [
            [limb.name, *shown, name, f"{x:.1f}", f"{y:.1f}"]
            for name, (x, y) in limb.places.items()
            if name in LANDMARK_INDEX[limb.limb]
        ]
        looks += [[limb.name, *shown, site, seen] for site, seen in limb.impressions.items()]
    for name, rows in (("manifest", manifest), ("joints", joints), ("impressions", looks)):
        with (out / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)
    return out / "manifest.csv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--healthy", action="store_true")
    parser.add_argument("--part", choices=get_args(Part))
    parser.add_argument("--locate", action="store_true")
    args = parser.parse_args()
    limbs = known_limbs(args.folder, args.sets, args.part, args.healthy)
    add_places(limbs, locate=args.locate)
    path = write_data_set(limbs, args.out)
    places = sum(len(limb.places) for limb in limbs)
    labels = sum(len(limb.scores) for limb in limbs)
    print(f"{len(limbs)} films, {places} joints, {labels} labels: {path}")


if __name__ == "__main__":
    main()
