"""How damage that is inflicted on films looks in numbers.

    python benchmarks/inflict.py FOLDER [SET] [--part train] [--limb foot]

FOLDER is described in ``real_films.py``; SET names some of its films (``dha`` if not given), or
``wrists``, the wrists without fingers. Each site whose landmark is known is damaged by every grade.
Printed for each group of joints, medians:

* narrowing: the joint space that is left, as a share of the healthy one, by grade; ``falls``: the
  share of joints in which it falls from grade 0 to 2, 3 and 4 (grade 1 narrows only one half);
* erosion: grey that was removed, summed over the film, as a share of the grey of a white square
  whose side is a tenth of the limb size, by grade;
* fine: strength of texture finer than 1 px where the film has changed, after over before;
* seam: grey gradient along the border of what has changed, after over before;
* milliseconds of processor time of a call, and how many calls were refused, and why.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
from real_films import Part, landmarks_of, parts_of, read_rows, real_films
from scipy import ndimage

from mandora.core.anatomy import FAMILIES, LANDMARK_INDEX, Damage, Limb, Site
from mandora.images.read import read_radiograph
from mandora.inflict.inflicted import Inflicted, inflict
from mandora.inflict.sites import LimbLandmarks


def space_profile(pixels: np.ndarray, line: np.ndarray) -> tuple[np.ndarray, float]:
    """Mean grey across the joint space, on equal steps, and the length of a step in px."""
    step = np.gradient(line, axis=0)
    normal = np.stack([-step[:, 1], step[:, 0]], axis=1) / np.hypot(*step.T)[:, None]
    width = float(np.hypot(*(line[-1] - line[0])))
    inner = slice(len(line) // 4, -len(line) // 4)
    away = np.linspace(-0.13, 0.13, 209)[:, None] * width
    x, y = (line[None, inner, i] + away * normal[None, inner, i] for i in (0, 1))
    grey = ndimage.map_coordinates(pixels, [y, x], order=1, mode="nearest").mean(axis=1)
    return grey, 0.26 * width / 208


def space_widths(before: np.ndarray, results: list[Inflicted]) -> list[float]:
    """Px of the joint space at half of the healthy film's contrast: healthy, then each result."""
    line = results[0].line
    healthy, px = space_profile(before, line)
    middle = len(healthy) // 2
    floor = float(healthy[middle - 20 : middle + 21].min())
    half = (min(healthy[:middle].max(), healthy[middle:].max()) + floor) / 2
    widths = []
    for pixels in (before, *(r.pixels for r in results)):
        dark = space_profile(pixels, line)[0] < half
        label, _ = ndimage.label(dark)
        near = label[middle - 20 : middle + 21]
        widths.append(px * float((label == near.max()).sum()) if near.any() else 0.0)
    return widths


def texture_and_seam(before: np.ndarray, result: Inflicted) -> tuple[float, float]:
    """``fine`` and ``seam`` of the module's text; both are 1 where no change can be seen."""
    changed = before != result.pixels
    rows, columns = ndimage.find_objects(changed.astype(int))[0]
    box = np.s_[
        max(rows.start - 8, 0) : rows.stop + 8, max(columns.start - 8, 0) : columns.stop + 8
    ]
    old, new, mask = before[box].astype(float), result.pixels[box].astype(float), changed[box]
    inside = ndimage.binary_erosion(mask, iterations=3) & ~result.eroded[box]
    strength = [
        np.sqrt(((p - ndimage.gaussian_filter(p, 1.0))[inside] ** 2).sum()) for p in (old, new)
    ]
    border = ndimage.binary_dilation(mask, iterations=2) & ~ndimage.binary_erosion(mask)
    slopes = [ndimage.gaussian_gradient_magnitude(p, 0.7)[border].mean() for p in (old, new)]
    return (
        float(strength[1] / strength[0]) if strength[0] > 0 else 1.0,
        float(slopes[1] / max(slopes[0], 1e-9)),
    )


class Tally:
    """Numbers by joint group, kind of damage and name, and the refusals."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str, str], list[float]] = defaultdict(list)
        self.refused: Counter[str] = Counter()
        self.calls = 0

    def measure(self, pixels: np.ndarray, landmarks: np.ndarray, site: Site) -> None:
        """Damage one site by every grade."""
        results = []
        for grade in range(1, site.maximum + 1):
            self.calls += 1
            start = time.process_time()
            try:
                results.append(
                    inflict(pixels, landmarks, site.name, **{str(site.damage): grade}, seed=grade)
                )
            except ValueError as error:
                why = "no joint line" if "joint line" in str(error) else "not seen"
                self.refused[f"{site.name} {why}"] += 1
                continue
            self._note(site, "ms", 1000 * (time.process_time() - start))
        for result in results:
            fine, seam = texture_and_seam(pixels, result)
            self._note(site, "fine", fine)
            self._note(site, "seam", seam)
            if site.damage is Damage.EROSION:
                taken = float((pixels - result.pixels).astype(np.float64).sum())
                size_px = LimbLandmarks.of(landmarks, pixels.shape).size_px
                part = taken / (0.1 * size_px) ** 2
                self._note(site, f"grade {result.erosion}", part)
        if site.damage is Damage.NARROWING and len(results) == site.maximum:
            healthy, *left = space_widths(pixels, results)
            for result, width in zip(results, left, strict=True):
                self._note(site, f"grade {result.narrowing}", width / healthy)
            falls = healthy > left[1] > left[2] >= left[3]
            self._note(site, "falls", float(falls))

    def _note(self, site: Site, name: str, value: float) -> None:
        self.values[site.group, site.damage, name].append(value)

    def show(self) -> None:
        """Print the medians (``falls`` and ``ms``: the means)."""
        how = {"falls": np.mean, "ms": np.mean}
        groups = dict.fromkeys((group, kind) for group, kind, _ in self.values)
        for group, kind in groups:
            named = {n: v for (g, k, n), v in self.values.items() if (g, k) == (group, kind)}
            cells = [f"{n} {how.get(n, np.median)(v):.2f}" for n, v in sorted(named.items())]
            print(f"{group:<7} {kind:<10} {', '.join(cells)}")
        print(f"refused: {self.refused.total()} of {self.calls} calls")
        for why, count in self.refused.most_common():
            print(f"  {why}: {count}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("set_name", nargs="?", default="dha", metavar="SET")
    parser.add_argument("--part", choices=get_args(Part), default="train")
    parser.add_argument("--limb", type=Limb, choices=list(Limb))
    args = parser.parse_args()
    tally = Tally()
    for file, limb, landmarks in limbs(args.folder, args.set_name, args.part):
        if args.limb not in (None, limb):
            continue
        pixels, index = read_radiograph(file).pixels, LANDMARK_INDEX[limb]
        for damage in Damage:
            for site in FAMILIES[limb, damage]:
                needed = ("mna", "capnlun", "radcar") if site.name == "nav" else (site.name,)
                if np.isfinite([landmarks[index[name]] for name in needed]).all():
                    tally.measure(pixels, landmarks, site)
    tally.show()


def limbs(folder: Path, set_name: str, part: Part) -> Iterator[tuple[Path, Limb, np.ndarray]]:
    """File, limb and landmarks of the limbs of a set that belong to a part."""
    parts = parts_of(folder)
    if set_name == "wrists":
        places: dict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
        for row in read_rows(folder / "wrists" / "points.csv"):
            places[row["film"]][row["site"]] = float(row["x"]), float(row["y"])
        for row in read_rows(folder / "wrists" / "wrists.csv"):
            if parts[row["film"]] == part:
                landmarks = landmarks_of(places[row["film"]], Limb.HAND)
                yield folder / "wrists" / row["file"], Limb.HAND, landmarks
        return
    for film in real_films(folder):
        if film.set_name == set_name and parts[film.name] == part:
            for of_limb, _ in film.limbs:
                yield film.file, film.limb, landmarks_of(of_limb, film.limb)


if __name__ == "__main__":
    main()
