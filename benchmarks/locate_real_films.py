"""How well the localiser finds joints on real films whose joint positions are known.

    python benchmarks/locate_real_films.py FOLDER [--bundle DIR] [--overlays DIR]

FOLDER holds ``films.csv`` (film, file, set, body_part) and ``joints.csv`` (film, limb, site,
x, y); only films with one limb and one set of joints count. Limb is given to the localiser,
the side is not. Distances are shares of the film's width and height, as in the paper, and of
|MCP2-MCP5| or |MTP1-MTP5|. The 95 % interval is a bootstrap over films.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from mandora.anatomy import POINT_INDEX, POINTS, UNIT_ENDS, Limb, point
from mandora.bundle import default_bundle, open_bundle
from mandora.images.read import read_radiograph
from mandora.pipeline import Pipeline

NOT_FOUND = np.inf


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bundle", type=Path, default=None)
    parser.add_argument("--overlays", type=Path, default=None)
    args = parser.parse_args()
    pipeline = Pipeline.from_bundle(open_bundle(args.bundle or default_bundle()))
    films = {row["film"]: row for row in _rows(args.folder / "films.csv")}
    truth: dict[tuple[str, str], dict[str, tuple[float, float]]] = defaultdict(dict)
    for row in _rows(args.folder / "joints.csv"):
        place = (float(row["x"]), float(row["y"]))
        truth[row["film"], row["limb"]].setdefault(row["site"], place)
    limbs_on = defaultdict(int)
    for film, _ in truth:
        limbs_on[film] += 1
    errors: dict[tuple[str, str], list[list[tuple[float, float]]]] = defaultdict(list)
    for (name, _), joints in truth.items():
        film = films[name]
        if limbs_on[name] > 1 or film["body_part"] not in tuple(Limb):
            continue
        limb = Limb(film["body_part"])
        radiograph = read_radiograph(args.folder / film["file"])
        found = pipeline.locate(radiograph, limb)
        a, b = (np.array(joints[n]) for n in UNIT_ENDS[limb])
        size = float(np.linalg.norm(a - b))
        groups: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for site, (x, y) in joints.items():
            if site not in POINT_INDEX[limb]:
                continue
            got = found.points[POINT_INDEX[limb][site]]
            step = got - (x, y)
            share = float(np.hypot(step[0] / radiograph.width, step[1] / radiograph.height))
            pair = (share, float(np.hypot(*step)) / size)
            lost = (NOT_FOUND, NOT_FOUND)
            groups[point(limb, site).group].append(pair if np.isfinite(share) else lost)
        for group, pairs in groups.items():
            errors[film["set"], group].append(pairs)
        if args.overlays:
            args.overlays.mkdir(parents=True, exist_ok=True)
            _draw(radiograph.pixels, found.points, joints, limb, args.overlays / f"{name}.png")
    head = ("set", "group", "films", "joints", "<0.01", "<0.02", "95 % interval", "<0.05",
            "<0.15 unit", "median", "lost")  # fmt: skip
    print("{:<8} {:<7} {:>5} {:>6} {:>6} {:>6} {:>15} {:>6} {:>10} {:>7} {:>6}".format(*head))
    for (name, group), per_film in sorted(errors.items()):
        flat = np.array([pair for pairs in per_film for pair in pairs])
        share, unit = flat.T
        low, high = _interval(per_film)
        print(
            f"{name:<8} {group:<7} {len(per_film):>5} {len(flat):>6} {np.mean(share < 0.01):>6.3f} "
            f"{np.mean(share < 0.02):>6.3f} {f'{low:.3f}-{high:.3f}':>15} "
            f"{np.mean(share < 0.05):>6.3f} {np.mean(unit < 0.15):>10.3f} "
            f"{np.median(share):>7.4f} {np.mean(~np.isfinite(share)):>6.3f}"
        )


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        sys.exit(f"cannot read {path}: {error.strerror}")


def _interval(per_film: list[list[tuple[float, float]]]) -> tuple[float, float]:
    """Bootstrap interval of the share within 0.02, films drawn with replacement."""
    rng = np.random.default_rng(0)
    hits = np.array([sum(share < 0.02 for share, _ in pairs) for pairs in per_film])
    sizes = np.array([len(pairs) for pairs in per_film])
    draws = rng.integers(0, len(hits), (2000, len(hits)))
    low, high = np.percentile(hits[draws].sum(1) / sizes[draws].sum(1), [2.5, 97.5])
    return float(low), float(high)


def _draw(
    pixels: np.ndarray, found: np.ndarray, joints: dict[str, tuple[float, float]], limb: Limb,
    path: Path,
) -> None:  # fmt: skip
    """Truth as green rings, what was found as red crosses."""
    image = Image.fromarray((pixels * 255).astype(np.uint8)).convert("RGB")
    draw = ImageDraw.Draw(image)
    r = max(3, image.height // 150)
    for x, y in joints.values():
        draw.ellipse([x - r, y - r, x + r, y + r], outline=(0, 255, 0), width=max(1, r // 2))
    for known, (x, y) in zip(POINTS[limb], found, strict=True):
        if np.isfinite(x):
            draw.line([x - r, y - r, x + r, y + r], fill=(255, 0, 0), width=max(1, r // 2))
            draw.line([x - r, y + r, x + r, y - r], fill=(255, 0, 0), width=max(1, r // 2))
            draw.text((x + r, y - r), known.name, fill=(255, 255, 0), font_size=3 * r)
    image.save(path)


if __name__ == "__main__":
    main()
