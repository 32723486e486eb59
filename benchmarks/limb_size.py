"""Which measure of a limb's size is the same on marked and found joints, and bears a wrong one.

    python benchmarks/limb_size.py [--patients N] [--films M] [--real FOLDER] [--bundle DIR]

Measures: ``ends`` |MCP2-MCP5| or |MTP1-MTP5|; ``fit`` scale of the mean shape laid on all
landmarks; ``robust`` the same, far landmarks weighing less (Cauchy, 0.25 units); ``pairs`` the
median over pairs of landmarks, ``geometry.limb_size``. Numbers are of their logarithms, so that
0.05 is 5 %:

* ``/ends``: geometric mean of the measure over ``ends``, and its s.d.: N simulated limbs;
* ``bad``: 95th percentile of the change when one landmark lies 0.3 to 0.7 units astray;
* ``lost``: s.d. of the change when a third of the landmarks are not known;
* ``found``: s.d., and largest, of the measure on found over that on true joints: M simulated films,
  and with ``--real`` the films of FOLDER (as for ``locate_real_films.py``) whose joints are marked.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from locate_real_films import found_on
from numpy.typing import NDArray
from real_films import landmarks_of, real_films

from mandora.core.anatomy import LANDMARK_INDEX, LIMB_SIZE_ENDS, Limb, Side, Slot
from mandora.core.geometry import Points, fit_similarity, limb_size
from mandora.images.radiograph import Radiograph
from mandora.images.read import read_radiograph
from mandora.locate.template import limb_template
from mandora.model.bundle import default_bundle, open_bundle
from mandora.scoring.pipeline import Pipeline
from mandora.simulate.anatomy.skeleton import Traits
from mandora.simulate.cohort.patients import BUILD, draw_patient, simulate_film

ROUNDS, LOOSE = 20, 0.25


def by_ends(landmarks: Points, limb: Limb) -> float:
    first, last = (landmarks[LANDMARK_INDEX[limb][name]] for name in LIMB_SIZE_ENDS[limb])
    return float(np.linalg.norm(first - last))


def by_fit(landmarks: Points, limb: Limb, rounds: int = 1) -> float:
    known = np.isfinite(landmarks).all(axis=1)
    best = (np.inf, np.nan)
    for sign in (1.0, -1.0):
        shape, here = (limb_template(limb) * [sign, 1])[known], landmarks[known]
        weights = np.ones(len(here))
        for _ in range(rounds):
            matrix = fit_similarity(shape, here, weights)
            size = float(np.hypot(matrix[0, 0], matrix[1, 0]))
            off = np.linalg.norm(shape @ matrix[:, :2].T + matrix[:, 2] - here, axis=1) / size
            weights = 1 / (1 + (off / LOOSE) ** 2)
        best = min(best, (float(np.log1p((off / LOOSE) ** 2).sum()), size))
    return best[1]


MEASURES: dict[str, Callable[[Points, Limb], float]] = {
    "ends": by_ends,
    "fit": by_fit,
    "robust": lambda landmarks, limb: by_fit(landmarks, limb, ROUNDS),
    "pairs": lambda landmarks, limb: limb_size(landmarks, limb_template(limb)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=1000)
    parser.add_argument("--films", type=int, default=20, help="of each limb")
    parser.add_argument("--real", type=Path, help="folder with films.csv and joints.csv")
    parser.add_argument("--bundle", type=Path, help="a model other than the packaged one")
    args = parser.parse_args()
    pipeline = Pipeline.from_bundle(open_bundle(args.bundle or default_bundle()))
    for limb in Limb:
        shapes = [drawn(limb, i) for i in range(args.patients)]
        print(f"{limb}: {len(shapes)} simulated")
        for name in MEASURES:
            print("  " + on_shapes(name, limb, shapes))
        found_of(limb, "simulated films", simulated(pipeline, limb, args.films))
        if args.real:
            for kind in sorted({film.set_name for film in real_films(args.real)}):
                found_of(limb, kind, marked(pipeline, args.real, kind, limb))


def drawn(limb: Limb, index: int) -> Points:
    """(N, 2) landmarks of a simulated limb, mm."""
    rng = np.random.default_rng([index, 7])
    traits = Traits.draw(rng)
    return BUILD[limb](traits, {}, rng, rng).landmarks


def on_shapes(name: str, limb: Limb, shapes: Sequence[Points]) -> str:
    measure, rng = MEASURES[name], np.random.default_rng(0)
    over_ends, bad, lost = [], [], []
    for shape in shapes:
        size = measure(shape, limb)
        over_ends.append(np.log(size / by_ends(shape, limb)))
        wrong, fewer = shape.copy(), shape.copy()
        angle, unit = rng.uniform(0, 2 * np.pi), by_ends(shape, limb)
        wrong[rng.integers(len(shape))] += (
            unit * rng.uniform(0.3, 0.7) * np.array([np.cos(angle), np.sin(angle)])
        )
        fewer[rng.choice(len(shape), len(shape) // 3, replace=False)] = np.nan
        bad.append(abs(np.log(measure(wrong, limb) / size)))
        lost.append(np.log(measure(fewer, limb) / size))
    return (
        f"{name:<7} /ends {np.exp(np.mean(over_ends)):.4f}, s.d. {np.std(over_ends):.4f}; "
        f"bad {np.percentile(bad, 95):.3f}; "
        f"lost {np.nanstd(lost):.4f} ({np.mean(np.isnan(lost)):.2f} unknown)"
    )


Pairs = list[tuple[Points, NDArray[np.float64]]]


def simulated(pipeline: Pipeline, limb: Limb, count: int) -> Pairs:
    pairs = []
    for index in range(count):
        slot = Slot(tuple(Side)[index % 2], limb)
        patient = draw_patient(990, index, severity=1.0)
        film = simulate_film(patient, slot, wide=True, pixels_per_mm=2.0)
        radiograph = Radiograph(film.bright, slot.code, "0" * 64)
        pairs.append((film.landmarks, pipeline.locate(radiograph, limb, slot.side).landmarks))
    return pairs


def marked(pipeline: Pipeline, folder: Path, kind: str, limb: Limb) -> Pairs:
    pairs = []
    for film in real_films(folder):
        if film.set_name != kind or film.limb is not limb:
            continue
        found = found_on(pipeline, read_radiograph(film.file), film)
        for (places, _), landmarks in zip(film.limbs, found, strict=True):
            pairs.append((landmarks_of(places, limb), landmarks))
    return pairs


def found_of(limb: Limb, what: str, pairs: Pairs) -> None:
    # of limbs that were found at all
    kept = [
        (true, found)
        for true, found in pairs
        if min(np.isfinite(p).all(axis=1).sum() for p in (true, found)) >= 4
        and np.nanmedian(np.linalg.norm(found - true, axis=1)) < 0.3 * by_fit(true, limb)
    ]
    for name, measure in MEASURES.items() if kept else ():
        change = np.log([measure(f, limb) / measure(t, limb) for t, f in kept])
        change = change[np.isfinite(change)]
        print(
            f"  {name:<7} found, {what}: {len(change)} limbs, s.d. {change.std():.4f}, "
            f"largest {np.abs(change).max():.3f}"
        )


if __name__ == "__main__":
    main()
