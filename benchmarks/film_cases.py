"""A table of films with one fault or oddity each: what is expected, and what the reader gives.

    python benchmarks/film_cases.py CASES [--only PREFIX ...]

CASES is a folder with ``cases.json``, a list of objects with ``name``, ``expect``, ``slot`` and
``note``, and a folder for each case. Such a folder holds one changed film, ``<name>-<slot>.*``,
and plain JPEG files of the other films of the same patient. ``expect`` is ``same`` (the picture
of the plain film), ``refuse`` or ``either``. The plain film is that of the packaged example.

Compared are grey values: the mean absolute difference of both films, each stretched between its
1st and 99th percentile, as the networks see films. A film of another size is cut out of its
border, or resampled. ``LOOK`` stands before a film that is not as expected: where its greys
differ, as after another window or a turn, only `mandora score` tells whether its scores do. Exit
status 1 if there is one.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import mandora.scoring.example as example
from mandora.images.radiograph import UnreadableFilm
from mandora.images.read import read_radiograph

LIMIT = 0.02
"""Mean absolute difference from which on films are not the same; JPEG of quality 80 has 0.01."""

Pixels = np.ndarray


def stretched(pixels: Pixels) -> Pixels:
    low, high = np.percentile(pixels, (1, 99))
    return np.clip((pixels - low) / max(high - low, 1e-6), 0, 1)


def fitted(pixels: Pixels, shape: tuple[int, int]) -> Pixels:
    """The film itself if it lies in a border; else brought to the same size."""
    if pixels.shape == shape:
        return pixels
    ratios = np.divide(pixels.shape, shape)
    if min(ratios) >= 1.2 and max(ratios) <= 1.6:  # a border of a known width on each side
        top, left = ((n - m) // 2 for n, m in zip(pixels.shape, shape, strict=True))
        return pixels[top : top + shape[0], left : left + shape[1]]
    image = Image.fromarray(pixels).resize(shape[::-1], Image.Resampling.BOX)
    return np.asarray(image)


def outcome(path: Path, plain: Pixels) -> tuple[str, str]:
    """``same``, ``differs`` or ``refuse``, and the difference or what the refusal says."""
    try:
        film = read_radiograph(path)
    except UnreadableFilm as error:
        return "refuse", str(error).removeprefix(f"{path.name}: ")
    shown = stretched(fitted(film.pixels, plain.shape))
    difference = float(np.abs(shown - stretched(plain)).mean())
    text = "; ".join([f"{difference:.3f}", *film.remarks])
    return "same" if difference < LIMIT else "differs", text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cases", type=Path, help="folder with cases.json")
    parser.add_argument("--only", nargs="*", default=[""], help="first letters of cases' names")
    given = parser.parse_args()
    cases = json.loads((given.cases / "cases.json").read_text())
    plain: dict[str, Pixels] = {}
    wrong = total = 0
    for case in cases:
        name, slot = case["name"], case["slot"]
        found = sorted((given.cases / name).glob(f"{name}-{slot}*"))
        if not name.startswith(tuple(given.only)) or len(found) != 1:
            continue  # cases of names and folders have no changed film
        if slot not in plain:
            path = Path(example.__file__).parent / f"EXAMPLE-{slot}.jpg"
            plain[slot] = read_radiograph(path).pixels
        got, why = outcome(found[0], plain[slot])
        holds = got in (("same", "refuse") if case["expect"] == "either" else (case["expect"],))
        total, wrong = total + 1, wrong + (not holds)
        verdict = "" if holds else "LOOK"
        print(f"{verdict:4} | {name:22} | {case['expect']:6} | {got:7} | {why}", flush=True)
    print(f"{total} films: {total - wrong} as expected, {wrong} to look at")
    if wrong:
        sys.exit(1)


if __name__ == "__main__":
    main()
