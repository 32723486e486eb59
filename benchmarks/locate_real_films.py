"""How well the localiser finds joints on real films whose joint positions are known.

    python benchmarks/locate_real_films.py FOLDER [--part test] [--bundle DIR]
        [--overlays DIR [--worst N]]

FOLDER is described in ``real_films.py``. All films with known joints count. Where one limb of a
film is known, it is compared with the limb that is found first; where several are, each is compared
with the nearest of all limbs that are found. The kind of limb is given to the localiser, its side
is not. ``--part`` takes only the films of one part, see ``real_films.parts_of``. A row holds the
joints of one set whose places come from one source:
``pseudo`` ones are another network's output and often wrong themselves;
``PIP box`` and ``MCP box`` are the middles of boxes drawn by people around PIP (with the thumb's
IP) and MCP joints; those around MCP joints include growth plates on one side or both, so that
their middles lie up to 0.05 limb sizes off the joint space.

Distances are shares of the film's width and height, as in the paper, and of the limb size
(``geometry.limb_size``), about |MCP2-MCP5| or |MTP1-MTP5|; a joint that was not found counts as a
miss. The 95 % intervals are of the column before them, by a bootstrap over films.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image, ImageDraw
from real_films import Part, Places, RealFilm, landmarks_of, parts_of, read_rows, real_films

from mandora.core.anatomy import LANDMARK_INDEX, LANDMARKS, Limb, landmark
from mandora.core.geometry import limb_size
from mandora.images.radiograph import Radiograph
from mandora.images.read import read_radiograph
from mandora.locate.template import limb_template
from mandora.model.bundle import default_bundle, open_bundle
from mandora.scoring.pipeline import Pipeline

Key = tuple[str, str, str]  # set, source, group


@dataclass(frozen=True)
class Errors:
    """Distances of one film's joints, as shares of the film and of the limb; inf: not found."""

    share: list[float]
    limb_sizes: list[float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--part", choices=get_args(Part))
    parser.add_argument("--bundle", type=Path, help="a model other than the packaged one")
    parser.add_argument("--overlays", type=Path, help="draw the films into this folder")
    parser.add_argument("--worst", type=int, help="draw only so many, those with most errors")
    args = parser.parse_args()
    pipeline = Pipeline.from_bundle(open_bundle(args.bundle or default_bundle()))
    boxes = _boxes(args.folder / "boxes.csv")
    errors: dict[Key, list[Errors]] = defaultdict(list)
    films = real_films(args.folder, boxes)
    parts = parts_of(args.folder)
    measured: list[tuple[float, RealFilm, list[np.ndarray]]] = []
    for film in (f for f in films if args.part in (None, parts[f.name])):
        radiograph = read_radiograph(film.file)
        all_found = found_on(pipeline, radiograph, film)
        known = list(zip(film.limbs, all_found, strict=False))
        if film.name in boxes:
            places = boxes[film.name]
            sources = {s: "MCP box" if s.startswith("mcp") else "PIP box" for s in places}
            known.append(((places, sources), all_found[0]))
        of_film: dict[Key, Errors] = defaultdict(lambda: Errors([], []))
        for (places, sources), found in known:
            _compare(film, radiograph.shape, places, sources, found, of_film)
        for key, pairs in of_film.items():
            errors[key].append(pairs)
        distances = [min(d, 1) for e in of_film.values() for d in e.limb_sizes]
        measured.append((float(np.mean(distances)), film, all_found))
    _print(errors)
    if args.overlays:
        args.overlays.mkdir(parents=True, exist_ok=True)
        for error, film, all_found in sorted(measured, key=lambda m: -m[0])[: args.worst]:
            _draw(film, all_found, args.overlays / f"{film.name}.png")
            print(f"{film.name}: mean error {error:.2f} limb sizes")


def _boxes(path: Path) -> dict[str, Places]:
    """Middles of the PIP and MCP boxes as joints of a hand, by film.

    From the wrist the fingers spread like a fan: in the order of the boxes' directions, clockwise,
    a left hand's joints go from the little finger to the thumb.
    """
    if not path.exists():
        return {}
    rows: dict[str, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for row in read_rows(path):
        x0, y0, x1, y1 = (float(row[key]) for key in ("x0", "y0", "x1", "y1"))
        rows[row["film"]][row["label"]].append(((x0 + x1) / 2, (y0 + y1) / 2))
    names = {
        "PIP": ["pip5", "pip4", "pip3", "pip2", "ip"],
        "MCP": [f"mcp{n}" for n in (5, 4, 3, 2, 1)],
    }
    boxes: dict[str, Places] = {}
    for film, labels in rows.items():
        ((wx, wy),) = labels["Wrist"]
        boxes[film] = {}
        for label, sites in names.items():
            fan = sorted(labels[label], key=lambda xy: np.arctan2(xy[0] - wx, wy - xy[1]))
            boxes[film] |= dict(zip(sites, fan, strict=True))
    return boxes


def found_on(pipeline: Pipeline, radiograph: Radiograph, film: RealFilm) -> list[np.ndarray]:
    """For each known limb of a film, the landmarks that it is compared with."""
    if len(film.limbs) <= 1:
        return [pipeline.locate(radiograph, film.limb).landmarks]
    limbs = [limb.landmarks for limb in pipeline.locate_all(radiograph, film.limb)]
    nowhere = np.full((len(LANDMARKS[film.limb]), 2), np.nan)
    return [
        min(limbs, key=lambda landmarks: _apart(places, landmarks, film.limb), default=nowhere)
        for places, _ in film.limbs
    ]


def _apart(places: Places, landmarks: np.ndarray, limb: Limb) -> float:
    steps = [
        landmarks[LANDMARK_INDEX[limb][s]] - xy
        for s, xy in places.items()
        if s in LANDMARK_INDEX[limb]
    ]
    return float(np.nanmedian(np.linalg.norm(steps, axis=1)))


def _compare(
    film: RealFilm, shape_hw: tuple[int, int], places: Places, sources: dict[str, str],
    found: np.ndarray, into: dict[Key, Errors],
) -> None:  # fmt: skip
    size = limb_size(landmarks_of(places, film.limb), limb_template(film.limb))
    for site, place in places.items():
        if site not in LANDMARK_INDEX[film.limb]:
            continue
        x, y = found[LANDMARK_INDEX[film.limb][site]] - place
        share = float(np.hypot(x / shape_hw[1], y / shape_hw[0]))
        errors = into[film.set_name, sources[site], landmark(film.limb, site).group]
        errors.share.append(share if np.isfinite(share) else np.inf)
        errors.limb_sizes.append(float(np.hypot(x, y)) / size if np.isfinite(share) else np.inf)


def _print(errors: dict[Key, list[Errors]]) -> None:
    form = "{:<8} {:<7} {:<7} {:>5} {:>6} {:>6} {:>6} {:>13} {:>6} {:>10} {:>13} {:>7} {:>6}"
    print(form.format(
        "set", "source", "group", "films", "joints", "<0.01", "<0.02", "95 %", "<0.05",
        "<0.15 size", "95 %", "median", "lost",
    ))  # fmt: skip
    for key, films in sorted(errors.items()):
        share = np.concatenate([e.share for e in films])
        sizes = np.concatenate([e.limb_sizes for e in films])
        print(form.format(
            *key, len(films), len(share), f"{np.mean(share < 0.01):.3f}",
            f"{np.mean(share < 0.02):.3f}", _interval(films, lambda e: np.less(e.share, 0.02)),
            f"{np.mean(share < 0.05):.3f}", f"{np.mean(sizes < 0.15):.3f}",
            _interval(films, lambda e: np.less(e.limb_sizes, 0.15)), f"{np.median(share):.4f}",
            f"{np.mean(~np.isfinite(share)):.3f}",
        ))  # fmt: skip


def _interval(films: Sequence[Errors], hit: Callable[[Errors], np.ndarray]) -> str:
    """Bootstrap interval of the share of hits, films drawn with replacement."""
    rng = np.random.default_rng(0)
    hits = np.array([hit(film).sum() for film in films])
    sizes = np.array([len(film.share) for film in films])
    draws = rng.integers(0, len(hits), (2000, len(hits)))
    low, high = np.percentile(hits[draws].sum(1) / sizes[draws].sum(1), [2.5, 97.5])
    return f"{low:.3f}-{high:.3f}"


def _draw(film: RealFilm, all_found: Sequence[np.ndarray], path: Path) -> None:
    """Known places as green rings, what was found as red crosses."""
    grey = Image.fromarray((read_radiograph(film.file).pixels * 255).astype(np.uint8))
    enlarge = max(1.0, 1000 / max(grey.size))
    image = grey.resize([round(side * enlarge) for side in grey.size]).convert("RGB")
    draw = ImageDraw.Draw(image)
    r = max(4, image.height // 150)
    for places, _ in film.limbs:
        for x, y in (np.array(xy) * enlarge for xy in places.values()):
            draw.ellipse([x - r, y - r, x + r, y + r], outline=(0, 255, 0), width=max(1, r // 2))
    for found in all_found:
        for known, (x, y) in zip(LANDMARKS[film.limb], found * enlarge, strict=True):
            if np.isfinite(x):
                draw.line([x - r, y - r, x + r, y + r], fill=(255, 0, 0), width=max(1, r // 2))
                draw.line([x - r, y + r, x + r, y - r], fill=(255, 0, 0), width=max(1, r // 2))
                draw.text((x + r, y - r), known.name, fill=(255, 255, 0), font_size=3 * r)
    image.save(path)


if __name__ == "__main__":
    main()
