"""How well joints are found on real films that show a part of a limb only.

    python benchmarks/locate_parts.py FOLDER [--part train] [--bundle DIR] [--most N]
        [--overlays DIR]

FOLDER is described in ``real_films.py``. A row is a kind of part:

- ``wrist films``: the films of ``wrists``, on which no finger is; the joints are those of
  ``wrists/points.csv``, all others lie outside;
- the others are cut by this program from films of one limb with known joints: ``fingers cut off``
  (the MCP joints and the wrist are left), ``wrist only``, ``some fingers`` (MCP and PIP 2 to 4),
  ``toes cut off`` (the IP joint is), ``some toes`` (MTP 2 to 5);
- ``other body``: films of neither hand nor foot, where nothing should be found.

Limb and, but for the last, side are given to the localiser. ``accepted``: share of films on which a
limb was found at all; ``<0.15 size``: share of the known joints on the film that are found within
0.15 limb sizes (``geometry.limb_size``, by all known joints), with a 95 % interval by a bootstrap
over films; ``outside``: share of the joints beyond the film that are said to be there;
``invented``: share of these that are given a place on it (on the ``wrist films`` an MCP joint of a
thumb that is on the film after all, and is not among its points, counts here); ``side``: share of
the accepted films that are read as their known joints lie; ``size``: median ratio of the limb size
that was found on the part to the known one, and half the range of the middle 80 %. ``--part`` takes
films of one part only, see ``real_films.parts_of``, without it all but the part ``test``;
``--most``: the first so many films of each kind.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image, ImageDraw
from real_films import Part, RealFilm, landmarks_of, parts_of, read_rows, real_films

from mandora.core.anatomy import LANDMARK_INDEX, LANDMARKS, Limb, Side
from mandora.core.errors import InputError
from mandora.core.geometry import limb_size
from mandora.core.records import Reason
from mandora.images.radiograph import Radiograph
from mandora.images.read import read_radiograph
from mandora.locate.locator import FoundLandmarks
from mandora.locate.orientation import orientation_of_landmarks
from mandora.locate.template import limb_template
from mandora.model.bundle import default_bundle, open_bundle
from mandora.scoring.pipeline import Pipeline

FINGERS = tuple(f"{joint}{n}" for joint in ("pip", "mcp") for n in (2, 3, 4))
KINDS = {
    Limb.HAND: ("fingers cut off", "wrist only", "some fingers"),
    Limb.FOOT: ("toes cut off", "some toes"),
}


@dataclass(frozen=True)
class Shown:
    """A film of a part of a limb.

    Attributes:
        kind: of part, as in the module's text.
        name: of the film.
        film: its pixels.
        limb: hand or foot.
        landmarks: (N, 2) px; NaN where unknown.
        outside: (N,) bool, landmarks that lie beyond it.
    """

    kind: str
    name: str
    film: Radiograph
    limb: Limb
    landmarks: np.ndarray
    outside: np.ndarray

    @property
    def looks_like(self) -> Side:
        """The side that the known joints look like."""
        return orientation_of_landmarks(
            self.landmarks, limb_template(self.limb), Side.LEFT
        ).side  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """What was found on one film; shares are of its known joints."""

    accepted: bool
    near: np.ndarray
    said_outside: np.ndarray
    invented: np.ndarray
    side: bool
    size: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--part", choices=get_args(Part))
    parser.add_argument("--bundle", type=Path, help="a model other than the packaged one")
    parser.add_argument("--most", type=int, help="films of each kind")
    parser.add_argument("--overlays", type=Path, help="draw the films into this folder")
    args = parser.parse_args()
    pipeline = Pipeline.from_bundle(open_bundle(args.bundle or default_bundle()))
    wanted = {args.part} if args.part else {"train", "development"}
    chosen = {name for name, part in parts_of(args.folder).items() if part in wanted}
    form = "{:<16} {:>5} {:>8} {:>10} {:>13} {:>7} {:>8} {:>5} {:>12}"
    print(form.format(
        "kind", "films", "accepted", "<0.15 size", "95 %", "outside", "invented", "side", "size",
    ))  # fmt: skip
    for kind, films in kinds(args.folder, chosen).items():
        measured = []
        for shown in islice(films, args.most):
            found = pipeline.locate(shown.film, shown.limb, shown.looks_like)
            measured.append(measure(shown, found))
            if args.overlays:
                _draw(shown, found, args.overlays)
        _print(form, kind, measured)
    for limb in Limb:
        others = islice(_others(args.folder, chosen), args.most)
        taken = [np.isfinite(pipeline.locate(film, limb).landmarks).any() for film in others]
        share = f"{np.mean(taken):.3f}" if taken else ""
        print(form.format(f"other body, {limb}", len(taken), share, *[""] * 6))


def kinds(folder: Path, chosen: set[str]) -> dict[str, Iterator[Shown]]:
    """The films of each kind of part."""
    made: dict[str, Iterator[Shown]] = {"wrist films": _wrist_films(folder, chosen)}
    for limb, names in KINDS.items():
        made |= {kind: _cut_films(folder, chosen, limb, kind) for kind in names}
    return made


def _wrist_films(folder: Path, chosen: set[str]) -> Iterator[Shown]:
    places: dict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    for row in read_rows(folder / "wrists" / "points.csv"):
        places[row["film"]][row["site"]] = (float(row["x"]), float(row["y"]))
    for row in read_rows(folder / "wrists" / "wrists.csv"):
        if row["film"] in chosen:
            film = read_radiograph(folder / "wrists" / row["file"])
            landmarks = landmarks_of(places[row["film"]], Limb.HAND)
            fingers = np.array([mark.group == "finger" for mark in LANDMARKS[Limb.HAND]])
            yield Shown("wrist films", row["film"], film, Limb.HAND, landmarks, fingers)


def _cut_films(folder: Path, chosen: set[str], limb: Limb, kind: str) -> Iterator[Shown]:
    for film in real_films(folder):
        if film.name in chosen and film.limb is limb and len(film.limbs) == 1:
            shown = _cut(film, kind)
            if shown is not None:
                yield shown


def _cut(film: RealFilm, kind: str) -> Shown | None:
    """A part of the upright film; None where too few joints are known to cut it."""
    landmarks, template = landmarks_of(film.limbs[0][0], film.limb), limb_template(film.limb)
    radiograph = read_radiograph(film.file)
    lies = orientation_of_landmarks(landmarks, template, Side.LEFT)
    landmarks = lies.to_upright(radiograph.shape)(landmarks)
    pixels = lies.upright(radiograph.pixels)
    at = {name: landmarks[i] for name, i in LANDMARK_INDEX[film.limb].items()}
    try:
        box = _box(kind, at, limb_size(landmarks, template))
    except InputError:
        return None
    if not np.isfinite(box).all():
        return None
    x0, y0 = (max(round(v), 0) for v in box[:2])
    x1, y1 = min(round(box[2]), pixels.shape[1]), min(round(box[3]), pixels.shape[0])
    if min(x1 - x0, y1 - y0) < 48:
        return None
    part = np.ascontiguousarray(pixels[y0:y1, x0:x1])
    landmarks = landmarks - (x0, y0)
    off = (landmarks < 0) | (landmarks >= (x1 - x0, y1 - y0))  # False where unknown
    outside = np.asarray(off.any(axis=1))
    cut = replace(radiograph, pixels=part)
    return Shown(kind, film.name, cut, film.limb, landmarks, outside)


def _box(kind: str, at: dict[str, np.ndarray], size: float) -> tuple[float, float, float, float]:
    """(x0, y0, x1, y1) px of the upright film; not finite if the joints do not allow it."""
    everything = (0.0, 0.0, 1e6, 1e6)

    def rows(*names: str) -> np.ndarray:
        known = np.array([at[name][1] for name in names])
        return known[np.isfinite(known)] if np.isfinite(known).any() else np.array([np.nan])

    def around(*names: str) -> tuple[float, float, float, float]:
        xy = np.array([at[name] for name in names])
        low, high = xy.min(axis=0) - 0.35 * size, xy.max(axis=0) + 0.35 * size
        return (*low, *high)

    if kind == "fingers cut off":
        above = rows("pip2", "pip3", "pip4", "pip5").max()
        below = rows("mcp2", "mcp3", "mcp4", "mcp5").min()
        return everything if above > below else (0.0, (above + below) / 2, 1e6, 1e6)
    if kind == "wrist only":
        above = rows("mcp1", "mcp2", "mcp3", "mcp4", "mcp5").max()
        wrist = np.array([at[name] for name in ("mc1", "ulna")])
        x, y = wrist.mean(axis=0)
        return x - 0.75 * size, (above + rows("mc1", "cmc3").min()) / 2, x + 0.75 * size, y + size
    if kind == "some fingers":
        return around(*FINGERS)
    if kind == "toes cut off":
        return 0.0, (at["ip"][1] + rows("mtp1", "mtp2", "mtp3").min()) / 2, 1e6, 1e6
    return around("mtp2", "mtp3", "mtp4", "mtp5")


def measure(shown: Shown, found: FoundLandmarks) -> Measured:
    """Compare what was found with what is known."""
    template = limb_template(shown.limb)
    size = limb_size(shown.landmarks, template)
    known = np.isfinite(shown.landmarks[:, 0]) & ~shown.outside
    placed = np.isfinite(found.landmarks[:, 0])
    apart = np.linalg.norm(found.landmarks - shown.landmarks, axis=1) / size
    said = np.array([reason is Reason.OUTSIDE_FILM for reason in found.reasons])
    return Measured(
        bool(placed.any()),
        np.nan_to_num(apart, nan=np.inf)[known] < 0.15,
        said[shown.outside],
        placed[shown.outside],
        found.orientation.side is shown.looks_like,
        limb_size(found.landmarks, template) / size if placed.sum() > 1 else np.nan,
    )


def _others(folder: Path, chosen: set[str]) -> Iterator[Radiograph]:
    for row in read_rows(folder / "films.csv"):
        if row["body_part"] == "other" and row["film"] in chosen:
            yield read_radiograph(folder / row["file"])


def _print(form: str, kind: str, films: list[Measured]) -> None:
    if not films:
        return
    near = [film.near for film in films]
    accepted = [film for film in films if film.accepted]
    sizes = np.array([film.size for film in accepted if np.isfinite(film.size)])
    low, middle, high = np.percentile(sizes, (10, 50, 90)) if len(sizes) else [np.nan] * 3
    print(form.format(
        kind, len(films), f"{len(accepted) / len(films):.3f}", f"{np.concatenate(near).mean():.3f}",
        _interval(near), f"{np.concatenate([f.said_outside for f in films]).mean():.3f}",
        f"{np.concatenate([f.invented for f in films]).mean():.3f}",
        f"{np.mean([f.side for f in accepted]) if accepted else np.nan:.2f}",
        f"{middle:.2f} ± {(high - low) / 2:.2f}",
    ))  # fmt: skip


def _interval(near: list[np.ndarray]) -> str:
    rng = np.random.default_rng(0)
    hits, counts = np.array([n.sum() for n in near]), np.array([len(n) for n in near])
    draws = rng.integers(0, len(near), (2000, len(near)))
    low, high = np.percentile(hits[draws].sum(1) / counts[draws].sum(1), [2.5, 97.5])
    return f"{low:.3f}-{high:.3f}"


def _draw(shown: Shown, found: FoundLandmarks, folder: Path) -> None:
    """Known places as green rings, what was found as red crosses."""
    folder.mkdir(parents=True, exist_ok=True)
    grey = Image.fromarray((shown.film.pixels * 255).astype(np.uint8))
    enlarge = 500 / max(grey.size)
    image = grey.resize([max(1, round(side * enlarge)) for side in grey.size]).convert("RGB")
    draw = ImageDraw.Draw(image)
    for x, y in shown.landmarks * enlarge:
        if np.isfinite(x):
            draw.ellipse([x - 5, y - 5, x + 5, y + 5], outline=(0, 255, 0))
    for (x, y), mark in zip(found.landmarks * enlarge, LANDMARKS[shown.limb], strict=True):
        if np.isfinite(x):
            draw.line([x - 4, y - 4, x + 4, y + 4], fill=(255, 0, 0))
            draw.line([x - 4, y + 4, x + 4, y - 4], fill=(255, 0, 0))
            draw.text((x + 4, y - 4), mark.name, fill=(255, 255, 0))
    kind = shown.kind.replace(" ", "-")
    image.save(folder / f"{kind}-{shown.name}.png")


if __name__ == "__main__":
    main()
