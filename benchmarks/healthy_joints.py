"""What a model makes of healthy joints: real ones, and simulated ones at the same resolution.

    python benchmarks/healthy_joints.py [FOLDER] [--limb foot] [--part train] [--films N]
        [--seed N] [--bundle DIR] [--montage DIR]

Scores joints at known places. Where simulated bones have the shapes of real ones, a model is fooled
by both alike: a network that was trained on smoother bones calls the corners of real ones eroded.
Prints the mean and the share of scores of at least 1.5, by joint, for the joints of ``part`` that
``impressions.csv`` calls normal (FOLDER as described in ``real_films.py``) and for healthy joints
of N simulated adults on films of 1.75 px per mm, the resolution of the real ones.
``--montage`` writes real patches on the left and simulated ones on the right, as the network sees
them: such pictures must not leave the machine.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image
from real_films import Part, landmarks_of, parts_of, read_rows

from mandora.core.anatomy import LANDMARKS, Damage, Limb, Side, Slot, targets_of
from mandora.core.specs import PatchSpec
from mandora.damage.patches import window_box, windows_of
from mandora.images.channels import background, sample_box
from mandora.images.radiograph import Radiograph
from mandora.images.read import read_radiograph
from mandora.locate.orientation import orientation_of_landmarks
from mandora.locate.template import limb_template
from mandora.model.bundle import default_bundle, open_bundle
from mandora.scoring.pipeline import Pipeline
from mandora.simulate.cohort.patients import draw_patient, simulate_film
from mandora.simulate.xray.delivery import small_copy

PIXELS_PER_MM = 4.5  # of simulated films before they are copied
COPY = (1.4, 2.2)  # px per mm of the copies
HEALTHY = -9.0  # severity that leaves no damage
HIGH = 1.5
SHOWN = 40  # patches of either kind in a montage
ENLARGED = 1  # of patches in a montage


@dataclass(frozen=True, eq=False)
class Case:
    """A limb on a film, with the joints that are healthy.

    Attributes:
        slot: as which the film is scored.
        film: read or simulated.
        landmarks: (N, 2) px.
        healthy: names of its healthy landmarks.
    """

    slot: Slot
    film: Radiograph
    landmarks: np.ndarray
    healthy: frozenset[str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--limb", type=Limb, choices=list(Limb), default=Limb.FOOT)
    parser.add_argument("--part", choices=get_args(Part), default="train")
    parser.add_argument("--films", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bundle", type=Path, help="a model other than the packaged one")
    parser.add_argument("--montage", type=Path, help="write pictures into this folder")
    args = parser.parse_args()
    pipeline = Pipeline.from_bundle(open_bundle(args.bundle or default_bundle()))
    kinds = {"simulated": list(simulated(args.limb, args.films, args.seed))}
    if args.folder:
        kinds = {"real": list(real(args.folder, args.limb, args.part)), **kinds}
    for kind, cases in kinds.items():
        show(kind, args.limb, scores(pipeline, cases))
    if args.montage:
        args.montage.mkdir(parents=True, exist_ok=True)
        for mark in (m.name for m in LANDMARKS[args.limb]):
            sides = [sheet(patches(cases, mark)) for cases in kinds.values()]
            beside(sides).save(args.montage / f"{args.limb}-{mark}.png")


def real(folder: Path, limb: Limb, part: Part) -> Iterator[Case]:
    """Limbs of a part with joints that look normal."""
    parts = parts_of(folder)
    normal: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in read_rows(folder / "impressions.csv"):
        if row["impression"] == "normal" and parts[row["film"]] == part:
            normal[row["film"], row["limb"]].add(row["site"])
    places: dict[tuple[str, str], dict[str, tuple[float, float]]] = defaultdict(dict)
    for row in read_rows(folder / "joints.csv"):
        places[row["film"], row["limb"]][row["site"]] = float(row["x"]), float(row["y"])
    for row in read_rows(folder / "films.csv"):
        for name, letter in normal:
            if name == row["film"] and row["body_part"] == limb:
                film = read_radiograph(folder / row["file"])
                at = landmarks_of(places[name, letter], limb)
                yield Case(Slot(Side.LEFT, limb), film, at, frozenset(normal[name, letter]))


def simulated(limb: Limb, count: int, seed: int) -> Iterator[Case]:
    """Simulated adults without damage."""
    rng = np.random.default_rng(seed)
    slot = Slot(Side.LEFT, limb)
    names = frozenset(mark.name for mark in LANDMARKS[limb])
    for i in range(count):
        patient = draw_patient(seed, i, severity=HEALTHY)
        film = simulate_film(patient, slot, pixels_per_mm=PIXELS_PER_MM)
        share = rng.uniform(*COPY) / PIXELS_PER_MM
        pixels = small_copy(film.bright, share, quality=int(rng.integers(85, 98)))
        ratio = np.array(pixels.shape[::-1]) / film.bright.shape[::-1]
        radiograph = Radiograph(pixels, f"simulated {i}", "0" * 64)
        yield Case(slot, radiograph, (film.landmarks + 0.5) * ratio - 0.5, names)


def scores(pipeline: Pipeline, cases: list[Case]) -> dict[tuple[Damage, str], list[float]]:
    """The scores of healthy joints, by kind of damage and landmark."""
    found: dict[tuple[Damage, str], list[float]] = defaultdict(list)
    for case in cases:
        made = pipeline.examine(case.slot, case.film, case.landmarks)
        for target in targets_of(case.slot):
            name = target.site.landmark_name
            if name in case.healthy and target.key in made.scores:
                found[target.damage, name].append(made.scores[target.key])
    return found


def show(kind: str, limb: Limb, found: dict[tuple[Damage, str], list[float]]) -> None:
    for damage in Damage:
        rows = {m.name: found[damage, m.name] for m in LANDMARKS[limb] if found[damage, m.name]}
        rows["all"] = [value for values in rows.values() for value in values]
        print(f"{kind} {limb}, {damage}")
        for name, values in rows.items():
            high = np.mean(np.array(values) >= HIGH)
            print(f"  {name:<8} {len(values):4d}  mean {np.mean(values):5.2f}  high {high:4.0%}")


def patches(cases: list[Case], mark: str) -> list[np.ndarray]:
    """Healthy joints as the network sees them, as on a left limb, 0..1."""
    spec, shown = PatchSpec(), []
    for case in cases:
        if mark not in case.healthy:
            continue
        limb = case.slot.limb
        template = limb_template(limb)
        lies = orientation_of_landmarks(case.landmarks, template, case.slot.side)
        upright = lies.upright(case.film.pixels)
        places = lies.to_upright(case.film.shape)(case.landmarks)
        index = [m.name for m in LANDMARKS[limb]].index(mark)
        windows = windows_of(spec, upright.shape, places, template, mirrored=lies.mirrored)
        box = window_box(spec, limb, index, places[index], windows)
        grey = sample_box(upright, box, spec.patch_px, background(upright))
        low, high = np.percentile(grey, [1, 99.5])
        grey = np.clip((grey - low) / max(high - low, 1e-6), 0, 1)
        shown.append(grey[:, ::-1] if lies.mirrored else grey)
    return shown


def sheet(shown: list[np.ndarray], columns: int = 5) -> Image.Image:
    """Up to ``SHOWN`` patches in rows."""
    side = PatchSpec().patch_px * ENLARGED
    rows = -(-min(max(len(shown), 1), SHOWN) // columns)
    picture = Image.new("L", (columns * side, rows * side))
    for k, patch in enumerate(shown[:SHOWN]):
        image = Image.fromarray((patch * 255).astype(np.uint8)).resize((side, side))
        picture.paste(image, (k % columns * side, k // columns * side))
    return picture


def beside(sheets: list[Image.Image]) -> Image.Image:
    gap = 24
    width = sum(s.width for s in sheets) + gap * (len(sheets) - 1)
    picture = Image.new("L", (width, max(s.height for s in sheets)), 255)
    left = 0
    for each in sheets:
        picture.paste(each, (left, 0))
        left += each.width + gap
    return picture


if __name__ == "__main__":
    main()
