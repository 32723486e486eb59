"""Whether simulated films show the damage that their truth states.

    python benchmarks/separability.py [--patients N] [--workers N]

Cuts a patch at every true landmark of simulated films, turned along the joint's axis, and measures
in it what a reader would: the width of the joint space, from the profile along the axis, and the
area that is darker than in joints without erosion. Prints their means by latent damage, and how
well a support vector regression on the patch, one per kind of joint, predicts the latent loss and
the erosion score of other patients. Unlike in a cohort, all grades of narrowing are as frequent,
half of the joints have no erosion, and narrowing and erosion are independent. Needs the extra
`train`. Exit code 1 if the loss of a kind of joint is predicted with r below 0.9.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from mandora.core.anatomy import LANDMARK_INDEX, SITES, SLOTS, Damage, Limb, Side, Slot
from mandora.core.parallel.workers import map_items
from mandora.simulate.anatomy.joint_state import SUBLUXATION, JointState, draw_state
from mandora.simulate.cohort.patients import bare_areas, draw_patient, simulate_film, slides
from mandora.simulate.xray.render import SimulatedFilm

SEED = 40_000
PIXELS_PER_MM = 5.0
HALF_MM, SIDE = 9.0, 36  # half side of a patch, and its px
STEP_MM = 2 * HALF_MM / SIDE
LOSSES = (0.0, 0.12, 0.25, 0.5, 0.8, 1.01)
EROSIONS = (0, 1, 2, 4, 6, 11)
LITTLE = 0.35  # loss that hardly hides erosions
HELD_OUT = 3  # every third patient
WANTED_R = 0.9

Array = NDArray[np.float64]

_POINT_OF = {(s.limb, s.name): s.landmark_name for s in SITES}


@dataclass(frozen=True)
class Seen:
    """One place of one film.

    Attributes:
        patient: index.
        limb: hand or foot.
        site: name of the place.
        loss: latent, 0..1, mean over the joint.
        in_place: the joint is not dislocated.
        erosion: SvH points.
        patch: (SIDE, SIDE), mean 0 and s.d. 1; up is distal, the thumb is on the right.
        gap_mm: joint space along the axis, see :func:`gap_mm`.
    """

    patient: int
    limb: Limb
    site: str
    loss: float
    in_place: bool
    erosion: int
    patch: Array
    gap_mm: float


def main() -> int:
    """Measure and print; exit code 1 if a group's loss is not predicted well enough."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=600)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    of_patients = map_items(all_seen, range(args.patients), args.workers)
    seen = [s for of_patient in of_patients for s in of_patient]
    narrowing = [s for s in seen if (s.limb, s.site) in places(Damage.NARROWING)]
    any_erosion = [s for s in seen if (s.limb, s.site) in places(Damage.EROSION)]
    print("joint space in mm, mean by latent loss, joints in place without erosion (n)")
    header(f"{a:.2f}-{b:.2f}" for a, b in pairwise(LOSSES))
    for group, of_group in grouped(narrowing).items():
        measured = [(s.loss, s.gap_mm) for s in of_group if s.in_place and s.erosion == 0]
        means(group, measured, LOSSES, falling=True)
    erosion = [s for s in any_erosion if s.loss < LITTLE]
    print("\narea darker than without erosion in mm², mean by score, little narrowing (n)")
    header(f"{a}-{b - 1}" if b - a > 1 else str(a) for a, b in pairwise(EROSIONS))
    dark = {id(s): area for s, area in zip(erosion, dark_areas(erosion), strict=True)}
    for group, of_group in grouped(erosion).items():
        means(group, [(s.erosion, dark[id(s)]) for s in of_group], EROSIONS, falling=False)
    print("\nregression on the patch, patients not seen: Pearson's r (n)")
    header(("loss", "erosion"))
    poor = 0
    predicted = {
        "loss": predictions(narrowing, "loss"),
        "erosion": predictions(any_erosion, "erosion"),
    }
    for group in dict.fromkeys((*grouped(narrowing), *grouped(any_erosion))):
        cells = []
        for what, found in predicted.items():
            pairs = np.array([pair for g, pair in found if g == group])
            if not len(pairs):
                cells.append("")
                continue
            r = np.corrcoef(pairs.T)[0, 1]
            poor += what == "loss" and r < WANTED_R
            cells.append(f"{r:.3f} ({len(pairs)})")
        row(group, cells)
    return int(poor > 0)


def places(damage: Damage) -> set[tuple[Limb, str]]:
    """The limb and name of every site that is scored for a kind of damage."""
    return {(s.limb, s.name) for s in SITES if s.damage is damage}


def group_of(seen: Seen) -> str:
    """The joints that look alike, e.g. ``hand pip``; each wrist site by itself."""
    name = seen.site if seen.site in ("mc1",) else seen.site.rstrip("0123456789")
    return f"{seen.limb} {name}"


def grouped(seen: Iterable[Seen]) -> dict[str, list[Seen]]:
    groups: dict[str, list[Seen]] = {}
    for s in seen:
        groups.setdefault(group_of(s), []).append(s)
    return groups


def all_seen(index: int) -> list[Seen]:
    """Every place of a patient whose joints have any damage, each independent of the others."""
    rng = np.random.default_rng([SEED, index])
    patient = draw_patient(SEED, index)
    states = {
        slot: {site: any_state(rng, slot.limb, site) for site in of_slot}
        for slot, of_slot in patient.states.items()
    }
    patient = replace(patient, states=states)
    found = []
    for slot in SLOTS:
        film = simulate_film(patient, slot, pixels_per_mm=PIXELS_PER_MM)
        for site, state in states[slot].items():
            patch = cut(film, slot, _POINT_OF[slot.limb, site])
            found.append(
                Seen(
                    index, slot.limb, site, state.mean_loss, state.shift < SUBLUXATION,
                    state.erosion_grade(slot.limb), patch, gap_mm(patch),
                )
            )  # fmt: skip
    return found


def any_state(rng: np.random.Generator, limb: Limb, site: str) -> JointState:
    """Every narrowing is as likely; half of the joints have no erosion."""
    narrowing = int(rng.integers(5)) if (limb, site) in places(Damage.NARROWING) else 0
    worst = 10 if limb is Limb.FOOT else 5
    eroded = (limb, site) in places(Damage.EROSION) and rng.random() < 0.5
    erosion = int(rng.integers(1, worst + 1)) if eroded else 0
    return draw_state(rng, narrowing, erosion, limb, bare_areas(site), slides=slides(site))


def cut(film: SimulatedFilm, slot: Slot, name: str) -> Array:
    """A patch around a landmark, turned along the axis of its ray, right limbs mirrored."""
    pixels, landmarks = film.pixels, film.landmarks
    if slot.side is Side.RIGHT:
        pixels, landmarks = pixels[:, ::-1], landmarks * [-1, 1] + [film.pixels.shape[1] - 1, 0]
    where = LANDMARK_INDEX[slot.limb]
    up = axis_of(name, slot.limb, landmarks)
    grid = (np.arange(SIDE) - (SIDE - 1) / 2) * STEP_MM / film.spacing_mm
    across, along = np.meshgrid(grid, -grid)
    right = np.array([-up[1], up[0]])
    x, y = (
        landmarks[where[name]][:, None, None]
        + up[:, None, None] * along
        + right[:, None, None] * across
    )
    smooth = ndimage.gaussian_filter(pixels, 0.4 * STEP_MM / film.spacing_mm)
    patch = ndimage.map_coordinates(smooth, [y, x], order=1, mode="nearest").astype(np.float64)
    return np.asarray((patch - patch.mean()) / max(patch.std(), 1e-6))


def axis_of(name: str, limb: Limb, landmarks: Array) -> Array:
    """(2,) unit vector along the ray of a joint, towards its tip, px of a left limb's film."""
    where = LANDMARK_INDEX[limb]
    number = name[-1] if name[-1].isdigit() else ""
    if limb is Limb.FOOT:
        ends = ("mtp1", "ip")
    elif name in ("ip", "mcp1", "mc1", "mul"):
        ends = ("mcp1", "ip")
    elif number:
        ends = ("mcp" + number, "pip" + number)
    else:
        ends = ("radcar", "mcp3")
    base, tip = (landmarks[where[end]] for end in ends)
    return np.asarray((tip - base) / np.linalg.norm(tip - base))


def gap_mm(patch: Array) -> float:
    """How wide a black gap would be that is as dark as the joint space, along the axis."""
    middle, reach, width = SIDE // 2, round(3.0 / STEP_MM), round(2.0 / STEP_MM)
    profile = patch[middle - reach : middle + reach, middle - width : middle + width].mean(axis=1)
    # the two bones' ends: the brightest places on either side of the darkest one
    lowest = reach // 2 + int(np.argmin(profile[reach // 2 : -reach // 2]))
    first = int(np.argmax(profile[: lowest + 1]))
    last = lowest + int(np.argmax(profile[lowest:]))
    line = np.interp(np.arange(first, last + 1), [first, last], profile[[first, last]])
    dark = np.clip(line - profile[first : last + 1], 0, None).sum()
    return float(dark / np.ptp(patch) * STEP_MM)


def dark_areas(seen: list[Seen]) -> list[float]:
    """mm² that are darker than in most patches of the same site without erosion."""
    norms = {}
    for place in {(s.limb, s.site) for s in seen}:
        sound = np.array([s.patch for s in seen if (s.limb, s.site) == place and s.erosion == 0])
        norms[place] = sound.mean(axis=0), sound.std(axis=0)
    areas = []
    for s in seen:
        mean, spread = norms[s.limb, s.site]
        areas.append(float((s.patch < mean - 2 * spread).sum()) * STEP_MM**2)
    return areas


def predictions(seen: list[Seen], what: str) -> list[tuple[str, tuple[float, float]]]:
    """(group, (true, predicted)) of the patients that are held out, a model for each group."""
    found = []
    for group, here in grouped(seen).items():
        held = np.array([s.patient % HELD_OUT == 0 for s in here])
        x = np.array([features(s) for s in here])
        y = np.array([getattr(s, what) for s in here], dtype=np.float64)
        spread = y[~held].std()
        model = make_pipeline(
            StandardScaler(), SVR(C=3.0, gamma=0.5 / x.shape[1], epsilon=0.1)
        ).fit(x[~held], y[~held] / spread)
        answers = zip(y[held], model.predict(x[held]) * spread, strict=True)
        found += [(group, (float(a), float(b))) for a, b in answers]
    return found


def features(seen: Seen) -> Array:
    """The middle of the patch and how steep it is along the axis, and the whole patch coarsely."""
    middle = seen.patch[6:-6, 6:-6]
    coarse = ndimage.uniform_filter(seen.patch, 3)[1::3, 1::3]
    steep = np.abs(np.diff(middle, axis=0))
    return np.concatenate([middle.ravel(), steep.ravel(), coarse.ravel(), [seen.gap_mm]])


def header(names: Iterable[str]) -> None:
    row("", list(names))


def row(name: str, cells: list[str]) -> None:
    print(f"{name:<14}" + "".join(f"{cell:>16}" for cell in cells))


def means(
    name: str, measured: list[tuple[float, float]], edges: tuple[float, ...], *, falling: bool
) -> None:
    """A line with the mean of each bin, and whether they fall or rise all along."""
    latent, values = np.array(measured).T
    cells, line = [], []
    for low, high in pairwise(edges):
        inside = values[(latent >= low) & (latent < high)]
        cells.append(f"{inside.mean():.2f} ({len(inside)})" if len(inside) else "– (0)")
        line += [float(inside.mean())] if len(inside) else []
    steps = np.diff(line) * (-1 if falling else 1)
    row(name, [*cells, "monotone" if (steps >= 0).all() else "NOT monotone"])


if __name__ == "__main__":
    sys.exit(main())
