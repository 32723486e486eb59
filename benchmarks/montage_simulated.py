"""Pictures of simulated films: whole films, and joint patches from grade 0 to the highest.

    python benchmarks/montage_simulated.py OUT [--real FOLDER] [--seed N] [--films N] [--rows N]

Writes ``films-hand.png``, ``films-foot.png`` (five films each), ``grades-hand.png`` and
``grades-foot.png`` (one joint a row, one grade a column, narrowing above erosion) into OUT. With
``--real``, a folder as described in ``real_films.py``, as many real films are shown above the
simulated ones, to be compared by eye: such pictures must not leave the machine. ``docs/images/``
has the pictures without them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from real_films import read_rows

from mandora.core.anatomy import FAMILIES, LANDMARK_INDEX, Damage, Limb, Side, Slot
from mandora.core.geometry import Box
from mandora.images.channels import sample_box
from mandora.images.read import read_radiograph
from mandora.simulate.anatomy.joint_state import draw_state
from mandora.simulate.anatomy.skeleton import Traits
from mandora.simulate.cohort.patients import (
    BUILD,
    bare_areas,
    draw_patient,
    simulate_film,
    slides,
)
from mandora.simulate.xray.exposure import Imaging
from mandora.simulate.xray.placement import Placement
from mandora.simulate.xray.render import render

CELL, PATCH = (300, 420), 120
PIXELS_PER_MM = 6.0
ROWS = {
    Limb.HAND: (
        ("pip3", Damage.NARROWING), ("mcp2", Damage.NARROWING), ("radcar", Damage.NARROWING),
        ("pip3", Damage.EROSION), ("mcp2", Damage.EROSION), ("lunate", Damage.EROSION),
        ("ulna", Damage.EROSION),
    ),
    Limb.FOOT: (
        ("ip", Damage.NARROWING), ("mtp1", Damage.NARROWING), ("mtp3", Damage.NARROWING),
        ("ip", Damage.EROSION), ("mtp1", Damage.EROSION), ("mtp5", Damage.EROSION),
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--real", type=Path, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--films", type=int, default=5)
    parser.add_argument("--rows", type=int, default=None, help="joints; all if not given")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for limb in Limb:
        rows = [films_of(limb, args.films, args.seed)]
        if args.real and (shown := real_films(args.real, limb, args.films, args.seed)):
            rows.insert(0, shown)
        stack([beside([fit(p) for p in row]) for row in rows]).save(args.out / f"films-{limb}.png")
        grades = [grades_of(limb, site, kind, args.seed) for site, kind in ROWS[limb][: args.rows]]
        stack([beside(row) for row in grades]).save(args.out / f"grades-{limb}.png")
    print(args.out)


def films_of(limb: Limb, count: int, seed: int) -> list[Image.Image]:
    """Films of an ordinary simulated cohort."""
    made = (simulate_film(draw_patient(seed, i), Slot(Side.LEFT, limb)) for i in range(count))
    return [grey(film.pixels) for film in made]


def real_films(folder: Path, limb: Limb, count: int, seed: int) -> list[Image.Image]:
    rows = [
        row for row in read_rows(folder / "films.csv")
        if row["body_part"] == limb and row["limbs"] == "1" and row["view"] in ("PA", "DP")
    ]  # fmt: skip
    chosen = np.random.default_rng(seed).permutation(len(rows))[:count]
    return [grey(read_radiograph(folder / rows[i]["file"]).pixels) for i in chosen]


def grades_of(limb: Limb, name: str, kind: Damage, seed: int) -> list[Image.Image]:
    """The same joint of one patient with every grade."""
    site = next(s for s in FAMILIES[limb, kind] if s.name == name)
    patches = []
    for grade in range(site.maximum + 1):
        shared, own = np.random.default_rng([seed, 1]), np.random.default_rng([seed, 2])
        grades = (grade, 0) if kind is Damage.NARROWING else (0, grade)
        state = draw_state(
            np.random.default_rng([seed, 3]), *grades, limb, bare_areas(name), slides=slides(name)
        )
        skeleton = BUILD[limb](Traits(), {name: state}, shared, own)
        middle = (0.5, 0.6) if limb is Limb.HAND else (0.5, 0.4)
        placement = Placement(1300, 1700, PIXELS_PER_MM, 0.0, middle, Side.LEFT)
        imaging = Imaging(noise=0.004, blur_mm=0.12, marker=False)
        film = render(skeleton, placement, imaging, np.random.default_rng([seed, 4]))
        centre = film.landmarks[LANDMARK_INDEX[limb][site.landmark_name]]
        half = 0.17 * skeleton.size_mm * PIXELS_PER_MM
        cut = sample_box(film.pixels, Box.around(centre, half), PATCH, 0.0)
        low, high = np.percentile(cut, [1, 99.5])
        patches.append(grey((cut - low) / (high - low)))
    return patches


def grey(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray((np.clip(pixels, 0, 1) * 255).astype(np.uint8))


def fit(image: Image.Image) -> Image.Image:
    """The whole picture in a cell."""
    image.thumbnail(CELL, Image.Resampling.LANCZOS)
    cell = Image.new("L", CELL)
    cell.paste(image, ((CELL[0] - image.width) // 2, (CELL[1] - image.height) // 2))
    return cell


def beside(images: list[Image.Image]) -> Image.Image:
    row = Image.new("L", (sum(i.width for i in images), images[0].height))
    for k, image in enumerate(images):
        row.paste(image, (k * image.width, 0))
    return row


def stack(rows: list[Image.Image]) -> Image.Image:
    picture = Image.new("L", (max(r.width for r in rows), sum(r.height for r in rows)))
    top = 0
    for row in rows:
        picture.paste(row, (0, top))
        top += row.height
    return picture


if __name__ == "__main__":
    main()
