"""How near films are to copies of themselves, and to other films.

    python benchmarks/near_duplicates.py [FOLDER] [--simulated PATIENTS]

FOLDER is described in ``real_films.py``; ``../shared/radiographs`` if not given.
Prints, for each way of copying, the median and the largest distance of a film from its copy, and
how many copies `mandora check` finds among all films and all copies of that kind; then the
smallest distances between films as they are, and between films of simulated patients.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from real_films import read_rows

from mandora.core.anatomy import SLOTS
from mandora.datasets.check.near_duplicates import (
    NEAR,
    Pattern,
    candidates,
    distance,
    near_duplicates,
    pattern_of,
)
from mandora.images.read import read_radiograph
from mandora.simulate.cohort.patients import draw_patient, simulate_film

FOLDER = Path(__file__).resolve().parent.parent.parent / "shared" / "radiographs"
SHOWN = 5
Pixels = np.ndarray
RNG = np.random.default_rng(0)


def jpeg(pixels: Pixels, quality: int) -> Pixels:
    data = io.BytesIO()
    Image.fromarray((pixels * 255 + 0.5).astype(np.uint8)).save(data, "JPEG", quality=quality)
    return np.asarray(Image.open(data), np.float32) / 255


def resized(pixels: Pixels, factor: float) -> Pixels:
    height, width = (max(64, round(n * factor)) for n in pixels.shape)
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(image), 0, 1)


def cropped(pixels: Pixels, low: float, high: float) -> Pixels:
    """Another share of the film is cut off at each edge."""
    height, width = pixels.shape
    top, bottom, left, right = RNG.uniform(low, high, 4)
    return pixels[
        round(top * height) : height - round(bottom * height),
        round(left * width) : width - round(right * width),
    ]


COPIES: dict[str, Callable[[Pixels], Pixels]] = {
    "JPEG of quality 30": lambda p: jpeg(p, 30),
    "half the size": lambda p: resized(p, 0.5),
    "a third of the size, JPEG 60": lambda p: jpeg(resized(p, 1 / 3), 60),
    "up to 5 % cut off each edge": lambda p: cropped(p, 0, 0.05),
    "5 to 8 % cut off each edge": lambda p: cropped(p, 0.05, 0.08),
    "gamma 0.6": lambda p: p**0.6,
    "gamma 1.6": lambda p: p**1.6,
    "brighter, clipped": lambda p: np.clip(1.3 * p + 0.1, 0, 1),
    "mirrored": lambda p: p[:, ::-1],
    "upside down": lambda p: p[::-1, ::-1],
    "inverted grey": lambda p: 1 - p,
    "cut 5 %, gamma 1.3, mirrored, inverted, half size, JPEG 60": lambda p: jpeg(
        resized(np.ascontiguousarray(1 - cropped(p, 0, 0.05)[:, ::-1] ** 1.3), 0.5), 60
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    parser.add_argument("--simulated", type=int, default=100, help="simulated patients")
    args = parser.parse_args()
    rows = read_rows(args.folder / "films.csv")
    films = [row["film"] for row in rows]
    originals: list[Pattern] = []
    copies: dict[str, list[Pattern]] = {kind: [] for kind in COPIES}
    for row in rows:
        pixels = read_radiograph(args.folder / row["file"]).pixels
        originals.append(pattern_of(pixels))
        for kind, copy in COPIES.items():
            copies[kind].append(pattern_of(copy(pixels)))
    print(f"{len(films)} films; nearer than {NEAR} counts as a copy")
    print(f"{'copy':<60} {'median':>7} {'largest':>8} {'found':>8}")
    for kind, patterns in copies.items():
        pairs = {(i, j): t for i, j, t in candidates(originals + patterns)}
        far, found = [], 0
        for i, (one, other) in enumerate(zip(originals, patterns, strict=True)):
            turn = pairs.get((i, i + len(films)))
            far.append(distance(one, other, turn))
            found += turn is not None and far[-1] < NEAR
        print(f"{kind:<60} {np.median(far):>7.3f} {max(far):>8.3f} {found:>4}/{len(films)}")
    start = time.perf_counter()
    pairs = candidates(originals)
    between = sorted((distance(originals[i], originals[j], t), i, j) for i, j, t in pairs)
    took = time.perf_counter() - start
    print(f"\n{len(films)} films as they are: {len(pairs)} pairs compared in {took:.1f} s")
    for far, i, j in between[:SHOWN]:
        print(f"  {far:.3f}  {films[i]}  {films[j]}")
    simulated = [
        (
            f"P{index}-{slot.code}",
            pattern_of(simulate_film(patient, slot, pixels_per_mm=2.0).pixels),
        )
        for index in range(args.simulated)
        for patient in [draw_patient(0, index)]
        for slot in SLOTS
    ]
    patterns = [pattern for _, pattern in simulated]
    between = sorted((distance(patterns[i], patterns[j], t), i, j)
                     for i, j, t in candidates(patterns))  # fmt: skip
    print(f"{len(simulated)} films of {args.simulated} simulated patients")
    for far, i, j in between[:SHOWN]:
        print(f"  {far:.3f}  {simulated[i][0]}  {simulated[j][0]}")
    print(f"{len(list(near_duplicates(patterns)))} pairs called copies")


if __name__ == "__main__":
    main()
