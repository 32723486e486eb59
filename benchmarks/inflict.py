"""How damage that is inflicted on films looks in numbers.

    python benchmarks/inflict.py FOLDER [SET]

FOLDER is described in ``real_films.py``; SET names some of its films (``dha`` if not given). Each
site of each hand or foot is damaged by every grade. Printed for each group of joints, medians:

* narrowing: the joint space that is left, as a share of the healthy one, by grade; ``falls``: the
  share of joints in which it falls from grade 0 to 2, 3 and 4 (grade 1 narrows only one half);
* erosion: grey that was removed, summed over the film, as a share of the grey of a white square
  whose side is a tenth of the limb size, by grade;
* fine: strength of texture finer than 1 px where the film has changed, after over before;
* seam: grey gradient along the border of what has changed, after over before;
* the longest time of a call, and how many sites were refused.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from real_films import landmarks_of, real_films
from scipy import ndimage

from mandora.core.anatomy import FAMILIES, Damage, Site
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
        self.refused: list[str] = []
        self.sites = 0

    def measure(self, pixels: np.ndarray, landmarks: np.ndarray, site: Site) -> None:
        """Damage one site by every grade."""
        self.sites += 1
        results = []
        try:
            for grade in range(1, site.maximum + 1):
                start = time.perf_counter()
                results.append(
                    inflict(pixels, landmarks, site.name, **{str(site.damage): grade}, seed=grade)
                )
                self._note(site, "seconds", time.perf_counter() - start)
        except ValueError as error:
            self.refused.append(str(error))
            return
        for result in results:
            fine, seam = texture_and_seam(pixels, result)
            self._note(site, "fine", fine)
            self._note(site, "seam", seam)
            if site.damage is Damage.EROSION:
                taken = float((pixels - result.pixels).astype(np.float64).sum())
                size_px = LimbLandmarks.of(landmarks, pixels.shape).size_px
                part = taken / (0.1 * size_px) ** 2
                self._note(site, f"grade {result.erosion}", part)
        if site.damage is Damage.NARROWING:
            healthy, *left = space_widths(pixels, results)
            for result, width in zip(results, left, strict=True):
                self._note(site, f"grade {result.narrowing}", width / healthy)
            falls = healthy > left[1] > left[2] >= left[3]
            self._note(site, "falls", float(falls))

    def _note(self, site: Site, name: str, value: float) -> None:
        self.values[site.group, site.damage, name].append(value)

    def show(self) -> None:
        """Print the medians (``falls``: the mean, ``seconds``: the largest)."""
        how = {"falls": np.mean, "seconds": np.max}
        groups = dict.fromkeys((group, kind) for group, kind, _ in self.values)
        for group, kind in groups:
            named = {n: v for (g, k, n), v in self.values.items() if (g, k) == (group, kind)}
            cells = [f"{n} {how.get(n, np.median)(v):.2f}" for n, v in sorted(named.items())]
            print(f"{group:<7} {kind:<10} {', '.join(cells)}")
        print(f"refused: {len(self.refused)} of {self.sites} sites")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("set_name", nargs="?", default="dha", metavar="SET")
    args = parser.parse_args()
    tally = Tally()
    for film in real_films(args.folder):
        for places, _ in film.limbs if film.set_name == args.set_name else ():
            pixels, landmarks = read_radiograph(film.file).pixels, landmarks_of(places, film.limb)
            for damage in Damage:
                for site in FAMILIES[film.limb, damage]:
                    tally.measure(pixels, landmarks, site)
    tally.show()


if __name__ == "__main__":
    main()
