"""How much the scores of a limb change when it slants on its film.

    python benchmarks/slanting_limbs.py FOLDER|simulated [--part development] [--films 20]
        [--bundle DIR] [--along limb|film]

FOLDER is described in ``real_films.py``; ``simulated`` draws healthy and damaged patients. Each
film is turned about its centre by 10, 20, 30 and 40 degrees, every second one anticlockwise, onto
a larger sheet, so that nothing is lost. It is scored at its known joints, turned with it, and at
those that are found on it. A row says how many joints (patch scores of all targets of the limb)
differ by more than 0.3 points from those of the film as it was, the mean over films, with a 95 %
interval by a bootstrap over films; joints that have a score on one of the two films only count
as different. ``--along`` cuts patches along the limb or the film, whatever the bundle says.

The last line is the processor time that cutting the patches of four limbs takes.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image
from real_films import Part, landmarks_of, parts_of, real_films

from mandora.core.anatomy import LANDMARKS, SLOTS, Limb, Side, Slot, targets_of
from mandora.core.errors import InputError
from mandora.core.geometry import Affine, Points
from mandora.damage.patches import cut_patches, window_box, windows_of
from mandora.images.channels import background
from mandora.images.radiograph import Radiograph
from mandora.images.read import read_radiograph
from mandora.locate.template import limb_template
from mandora.model.bundle import Bundle, default_bundle, open_bundle
from mandora.scoring.pipeline import Pipeline
from mandora.simulate.cohort.patients import draw_patient, simulate_film

ANGLES = (10, 20, 30, 40)
CHANGE = 0.3  # SvH points
SEED = 22
LEAST_KNOWN = 6  # joints of a limb


@dataclass(frozen=True)
class Case:
    """One limb on one film, and where its joints are known to be."""

    slot: Slot
    film: Radiograph
    landmarks: Points


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="a folder of real films, or 'simulated'")
    parser.add_argument("--part", choices=get_args(Part), action="append")
    parser.add_argument("--films", type=int, default=20, help="of each kind of limb, at most")
    parser.add_argument("--bundle", type=Path, help="a model other than the packaged one")
    parser.add_argument("--along", choices=("limb", "film"), help="what the bundle says if absent")
    args = parser.parse_args()
    bundle = cut_along(open_bundle(args.bundle or default_bundle()), args.along)
    pipeline = Pipeline.from_bundle(bundle)
    print(f"patches along the {bundle.manifest.contract.damage.along}")
    print(f"{'':>6}{'':>8}{'':>7}  joints that change by more than {CHANGE}")
    print(f"{'limb':>6}{'degrees':>8}{'films':>7}{'at known joints':>24}{'at found joints':>24}")
    for limb in Limb:
        cases = list(
            simulated(limb, args.films)
            if args.source == "simulated"
            else real(Path(args.source), limb, args.part or ["development"], args.films)
        )
        if cases:
            print_limb(pipeline, limb, cases)
    print(f"cutting the patches of a patient: {1000 * seconds_to_cut(bundle):.0f} ms")


def cut_along(bundle: Bundle, along: str | None) -> Bundle:
    """The bundle with patches cut otherwise than it says."""
    if along is None:
        return bundle
    contract = bundle.manifest.contract
    damage = contract.damage.model_copy(update={"along": along})
    return bundle.with_contract(contract.model_copy(update={"damage": damage}))


def simulated(limb: Limb, count: int) -> Iterator[Case]:
    """Limbs of simulated patients, from healthy to severely damaged ones."""
    for index in range(count):
        slot = Slot(list(Side)[index % 2], limb)
        severity = -1.0 + 2.0 * index / max(count - 1, 1)
        film = simulate_film(draw_patient(SEED, index, severity=severity), slot, pixels_per_mm=5)
        yield Case(slot, Radiograph(film.bright, f"{index}.png", "0" * 64), film.landmarks)


def real(folder: Path, limb: Limb, parts: list[Part], count: int) -> Iterator[Case]:
    """Single limbs of real films with known joints, evenly from all of them."""
    part_of = parts_of(folder)
    films = [
        film
        for film in real_films(folder)
        if film.limb is limb
        and part_of[film.name] in parts
        and len(film.limbs) == 1
        and np.isfinite(landmarks_of(film.limbs[0][0], limb)).all(axis=1).sum() >= LEAST_KNOWN
    ]
    for i in np.unique(np.linspace(0, len(films) - 1, min(count, len(films))).round().astype(int)):
        places = landmarks_of(films[i].limbs[0][0], limb)
        yield Case(Slot(Side.LEFT, limb), read_radiograph(films[i].file), places)


def turned(case: Case, degrees: float) -> Case:
    """The film turned clockwise about its centre, on a sheet that holds all of it."""
    pixels = case.film.pixels
    fill, image = background(pixels), Image.fromarray(pixels)
    sheet = image.rotate(-degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=fill)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = np.array([[cos, -sin], [sin, cos]])
    centre = (np.array(image.size) - 1) / 2
    shift = (np.array(sheet.size) - 1) / 2 - turn @ centre
    move = Affine(np.column_stack([turn, shift]), "film", "film")
    grey = np.clip(np.asarray(sheet, np.float32), 0, 1)
    return Case(case.slot, Radiograph(grey, case.film.name, "0" * 64), move(case.landmarks))


def scores(pipeline: Pipeline, case: Case, known: bool) -> np.ndarray:
    """Patch scores of all targets of the limb; NaN where there is none."""
    try:
        seen = pipeline.examine(case.slot, case.film, case.landmarks if known else None).scores
    except InputError:
        seen = {}
    return np.array([seen.get(target.key, math.nan) for target in targets_of(case.slot)])


def print_limb(pipeline: Pipeline, limb: Limb, cases: list[Case]) -> None:
    """The rows of one kind of limb."""
    straight = {known: [scores(pipeline, case, known) for case in cases] for known in (True, False)}
    count = len(targets_of(Slot(Side.LEFT, limb)))
    for angle in ANGLES:
        slanting = [turned(case, -angle if i % 2 else angle) for i, case in enumerate(cases)]
        cells = []
        for known in (True, False):
            pairs = zip(
                straight[known], (scores(pipeline, c, known) for c in slanting), strict=True
            )
            changed = [
                int(((np.abs(a - b) > CHANGE) | (np.isnan(a) != np.isnan(b))).sum())
                for a, b in pairs
            ]
            low, high = interval(np.array(changed))
            mean = f"{np.mean(changed):.1f} of {count}"
            cells.append(f"{mean:>12} {f'{low:.1f} to {high:.1f}':>11}")
        print(f"{limb:>6}{angle:>8}{len(cases):>7}" + "".join(cells))


def interval(values: np.ndarray) -> tuple[float, float]:
    """95 % of the means of films that are drawn again."""
    draws = np.random.default_rng(SEED).choice(values, (2000, len(values))).mean(axis=1)
    low, high = np.percentile(draws, (2.5, 97.5))
    return float(low), float(high)


def seconds_to_cut(bundle: Bundle, repeats: int = 5) -> float:
    """Median processor time of cutting the patches of the four films of a simulated patient."""
    spec, times = bundle.manifest.contract.damage, []
    films = {slot: simulate_film(draw_patient(SEED, 0), slot, pixels_per_mm=5) for slot in SLOTS}
    for _ in range(repeats):
        start = time.process_time()
        for slot, film in films.items():
            mirrored = slot.side is Side.RIGHT
            template = limb_template(slot.limb)
            shape = film.bright.shape
            windows = windows_of(spec, shape, film.landmarks, template, mirrored=mirrored)
            boxes = {
                i: window_box(spec, slot.limb, i, film.landmarks[i], windows)
                for i in range(len(LANDMARKS[slot.limb]))
            }
            cut_patches(spec, film.bright, slot.limb, boxes, mirrored=mirrored)
        times.append(time.process_time() - start)
    return float(np.median(times))


if __name__ == "__main__":
    main()
