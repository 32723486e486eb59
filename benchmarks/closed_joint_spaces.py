"""What a model makes of joint spaces that are closed, and of bites, by simple means.

    python benchmarks/closed_joint_spaces.py FOLDER [--part development] [--bundle DIR] [--films N]
        [--montage PNG]

An independent check of a model that is trained with ``mandora.inflict``: nothing here uses it.
FOLDER is described in ``real_films.py``. Finger joints and MTP joints of one part are taken: of
adults those that ``impressions.csv`` calls normal, of adolescents all. Each is changed in two ways:

* the space is closed by a share: the film distal of the joint is moved towards the proximal bone
  along the finger or toe, and what lies in the space is pressed together. The width of the space
  is that of the dark line at half of its contrast, on the mean profile along the axis;
* a circle at a corner of the proximal bone is filled with the grey of the soft tissue beside it;
  its radius is a share of the bone's width.

Printed for fingers and toes: number of joints, mean score of narrowing by share closed, with its
correlation with the share, and mean score of erosion by radius. Scores are those of patches alone,
at known places. Joints without a clear dark line are left out. ``--montage`` shows some of the
changed joints: such pictures must not leave the machine.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image
from real_films import Part, RealFilm, landmarks_of, parts_of, read_rows, real_films
from scipy import ndimage

from mandora.core.anatomy import LANDMARK_INDEX, Damage, Limb, Side, Slot, targets_of
from mandora.core.geometry import limb_size
from mandora.images.radiograph import Radiograph
from mandora.images.read import read_radiograph
from mandora.locate.template import limb_template
from mandora.model.bundle import default_bundle, open_bundle
from mandora.scoring.pipeline import Pipeline

CLOSED = (0.0, 1 / 3, 2 / 3, 1.0)  # shares of the space
BITES = (0.0, 0.12, 0.2, 0.3)  # radii, shares of the bone's width
CLEAR = 0.12  # least contrast of the dark line, share of the range of grey around the joint
# from and to which landmark the bone distal of a joint points, and its width in limb sizes
AXES = {
    Limb.HAND: {
        **{f"mcp{n}": (f"mcp{n}", f"pip{n}", 0.22) for n in range(2, 6)},
        **{f"pip{n}": (f"mcp{n}", f"pip{n}", 0.18) for n in range(2, 6)},
    },
    Limb.FOOT: {f"mtp{n}": ("mtp1", "ip", 0.28 if n == 1 else 0.16) for n in range(1, 6)},
}


@dataclass(frozen=True, eq=False)
class Joint:
    """A joint on a film.

    Attributes:
        origin: (2,) px, the middle of its dark line.
        axis: (2,) unit vector towards the tip of the finger or toe.
        gap: width of the space, px.
        width: of the bones, px.
        reach: how far the film is moved along the axis, px.
    """

    origin: np.ndarray
    axis: np.ndarray
    gap: float
    width: float
    reach: float

    def around(self, pixels: np.ndarray, reach: float) -> tuple[tuple[slice, slice], np.ndarray]:
        """Rows and columns within ``reach`` px; (2, h, w) px across and along of each pixel."""
        low = np.maximum((self.origin - reach).astype(int), 0)
        high = np.minimum((self.origin + reach).astype(int) + 2, pixels.shape[::-1])
        part = slice(low[1], high[1]), slice(low[0], high[0])
        rows, columns = np.mgrid[part]
        x, y = columns - self.origin[0], rows - self.origin[1]
        across = x * -self.axis[1] + y * self.axis[0]
        return part, np.stack([across, x * self.axis[0] + y * self.axis[1]])

    def sample(self, pixels: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Grey at places in the joint's frame."""
        x = self.origin[0] - u * self.axis[1] + v * self.axis[0]
        y = self.origin[1] + u * self.axis[0] + v * self.axis[1]
        return ndimage.map_coordinates(pixels, [y, x], order=1, mode="nearest")


def joint_near(
    pixels: np.ndarray, place: np.ndarray, axis: np.ndarray, sizes: tuple[float, float]
) -> Joint | None:
    """The joint whose dark line crosses the axis near a place; None if none is clear.

    Args:
        pixels: (H, W) 0..1.
        place: (2,) px.
        axis: (2,) unit vector towards the tip.
        sizes: width of the bones, and limb size, px.
    """
    width, size = sizes
    joint = Joint(place, axis, 0.0, width, 0.35 * size)
    v = np.arange(-0.16 * size, 0.16 * size, 0.2)
    across = np.linspace(-0.25, 0.25, 15) * width
    profile = joint.sample(pixels, across[:, None], v[None, :]).mean(axis=0)
    low, high = np.percentile(profile, [2, 98])
    searched = np.flatnonzero(np.abs(v) < 0.06 * size)
    bottom = searched[profile[searched].argmin()]
    side = round(0.09 * size / 0.2)
    below, above = profile[max(bottom - side, 0) : bottom], profile[bottom : bottom + side]
    if min(len(below), len(above)) < 5:
        return None
    level = min(below.max(), above.max())
    if level - profile[bottom] < CLEAR * max(high - low, 0.05):
        return None
    half = (level + profile[bottom]) / 2
    last = np.flatnonzero(below > half)
    first = np.flatnonzero(above > half)
    start, stop = bottom - len(below) + last[-1], bottom + first[0]
    middle = (v[start] + v[stop]) / 2
    return replace(joint, origin=place + middle * axis, gap=float(v[stop] - v[start]))


def closed(pixels: np.ndarray, joint: Joint, share: float) -> np.ndarray:
    """The film with the joint's space closed by a share, 0..1."""
    part, (u, v) = joint.around(pixels, 1.2 * joint.reach + joint.width)
    lost, gap = share * joint.gap, joint.gap
    near = -gap / 2
    inside = np.clip((v - near) / max(gap - lost, 1e-6), 0, 1) * lost
    moved = np.where(v < near, 0.0, np.where(v < near + gap - lost, inside, lost))
    moved *= np.clip((joint.reach - v) / (0.5 * joint.reach), 0, 1)
    moved *= np.clip((0.85 * joint.width - np.abs(u)) / (0.25 * joint.width), 0, 1)
    rows, columns = np.nonzero(moved)
    y = rows + joint.axis[1] * moved[rows, columns]
    x = columns + joint.axis[0] * moved[rows, columns]
    result, before = pixels.copy(), pixels[part]
    after = ndimage.map_coordinates(before, [y, x], order=3, mode="nearest")
    result[part][rows, columns] = np.clip(after, 0, 1)
    return result


def bitten(pixels: np.ndarray, joint: Joint, radius: float, side: int) -> np.ndarray:
    """The film with a bite out of a corner of the proximal bone.

    Args:
        pixels: (H, W) 0..1.
        joint: where.
        radius: of the circle, as a share of the bone's width.
        side: -1 or 1, of the bone.
    """
    level = -joint.gap / 2 - 0.18 * joint.width
    u = np.linspace(0.25, 0.65, 40) * joint.width  # beyond it lies the skin
    deep = level + np.linspace(-0.06, 0.06, 5)[:, None] * joint.width
    profile = joint.sample(pixels, side * u[None, :], deep).mean(axis=0)
    fall = -np.gradient(ndimage.gaussian_filter1d(profile, 1.5))
    edge = u[fall.argmax()]
    beside = joint.sample(pixels, side * np.linspace(edge + 0.08 * joint.width, edge + 0.2 *
                          joint.width, 9)[None, :], deep)  # fmt: skip
    part, (across, along) = joint.around(pixels, 1.5 * joint.width)
    away = np.hypot(across - side * (edge - 0.3 * radius * joint.width), along - level)
    share = np.clip((radius * joint.width - away) / 1.5 + 0.5, 0, 1) if radius else 0.0 * away
    result, before = pixels.copy(), pixels[part]
    grey = np.minimum(before, np.median(beside))
    result[part] = before * (1 - share) + grey * share
    return result


def joints_of(film: RealFilm, pixels: np.ndarray, at: np.ndarray) -> Iterator[tuple[str, Joint]]:
    """The joints of one limb that have a clear space, by landmark."""
    size, index = limb_size(at, limb_template(film.limb)), LANDMARK_INDEX[film.limb]
    for name, (low, high, width) in AXES[film.limb].items():
        step = at[index[high]] - at[index[low]]
        if np.isfinite([*step, *at[index[name]]]).all() and np.hypot(*step) > 0:
            axis = step / np.hypot(*step)
            joint = joint_near(pixels, at[index[name]], axis, (width * size, size))
            if joint:
                yield name, joint


def healthy_joints(folder: Path) -> Mapping[str, set[str]]:
    """Names of the joints that look normal, by film; other films were not looked at."""
    looked_at: dict[str, set[str]] = defaultdict(set)
    for row in read_rows(folder / "impressions.csv"):
        looked_at[row["film"]] |= {row["site"]} if row["impression"] == "normal" else set()
    return looked_at


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--part", choices=get_args(Part), default="development")
    parser.add_argument("--bundle", type=Path, help="a model other than the packaged one")
    parser.add_argument("--films", type=int, help="measure only so many of each set and limb")
    parser.add_argument("--montage", type=Path)
    args = parser.parse_args()
    pipeline = Pipeline.from_bundle(open_bundle(args.bundle or default_bundle()))
    looked_at, parts = healthy_joints(args.folder), parts_of(args.folder)
    found: dict[tuple[str, float], list[float]] = defaultdict(list)
    shown: list[np.ndarray] = []
    counts: Counter[tuple[str, Limb]] = Counter()
    for film in (f for f in real_films(args.folder) if parts[f.name] == args.part):
        adult = film.set_name == "unifesp"
        if len(film.limbs) != 1 or (adult and not looked_at.get(film.name)):
            continue
        if args.films and counts[film.set_name, film.limb] >= args.films:
            continue
        counts[film.set_name, film.limb] += 1
        pixels, at = read_radiograph(film.file).pixels, landmarks_of(film.limbs[0][0], film.limb)
        joints = {
            name: joint
            for name, joint in joints_of(film, pixels, at)
            if not adult or name in looked_at[film.name]
        }
        measure(pipeline, film, (pixels, at), joints, found)
        if args.montage and joints and len(shown) < 24:
            shown.append(
                row_of_pictures(pixels, list(joints.values())[counts.total() % len(joints)])
            )
    show(found)
    if args.montage:
        Image.fromarray(np.vstack(shown)).save(args.montage)


def measure(
    pipeline: Pipeline, film: RealFilm, film_at: tuple[np.ndarray, np.ndarray],
    joints: Mapping[str, Joint], found: dict[tuple[str, float], list[float]],
) -> None:  # fmt: skip
    """Change every joint of a limb, score the film, and add the scores to ``found``."""
    pixels, at = film_at
    slot = Slot(Side.LEFT, film.limb)
    group = {Limb.HAND: "fingers", Limb.FOOT: "toes"}[film.limb]

    def scores(changed: np.ndarray, damage: Damage) -> list[float]:
        made = pipeline.examine(slot, Radiograph(changed, film.name, "0" * 64), at)
        return [
            made.scores[t.key]
            for t in targets_of(slot)
            if t.damage is damage and t.site.name in joints and t.key in made.scores
        ]

    for share in CLOSED:
        changed = pixels
        for joint in joints.values() if share else ():
            changed = closed(changed, joint, share)
        found[f"{group} narrowing", share] += scores(changed, Damage.NARROWING)
    for radius in BITES:
        changed = pixels
        for number, joint in enumerate(joints.values() if radius else ()):
            changed = bitten(changed, joint, radius, 1 if number % 2 else -1)
        found[f"{group} erosion", radius] += scores(changed, Damage.EROSION)


def show(found: Mapping[tuple[str, float], list[float]]) -> None:
    """Print the mean scores by share or radius, and their correlation with it."""
    for what in dict.fromkeys(name for name, _ in found):
        rows = {share: values for (name, share), values in found.items() if name == what}
        means = ", ".join(f"{share:.2f}: {np.mean(v):.2f}" for share, v in rows.items() if v)
        pairs = [(share, value) for share, values in rows.items() for value in values]
        r = np.corrcoef(np.array(pairs).T)[0, 1] if len(pairs) > 2 else np.nan
        joints = len(next(iter(rows.values())))
        print(f"{what:<18} {joints:4d} joints  {means}  r {r:.2f}")


def row_of_pictures(pixels: np.ndarray, joint: Joint) -> np.ndarray:
    """(120, n * 120) uint8, a joint after each change, upright."""
    places = np.linspace(-1.1, 1.1, 120) * joint.width
    made = [closed(pixels, joint, share) for share in CLOSED]
    made += [bitten(pixels, joint, radius, 1) for radius in BITES[1:]]
    cells = [joint.sample(each, places[None, :], -places[:, None]) for each in made]
    low, high = np.percentile(cells[0], [1, 99.5])
    grey = np.clip((np.hstack(cells) - low) / max(high - low, 1e-6), 0, 1)
    return (255 * grey).astype(np.uint8)


if __name__ == "__main__":
    main()
