"""A table of films, names and score tables with one oddity each: what is expected, what comes out.

    python benchmarks/film_cases.py CASES [--tables TABLES] [--only PREFIX ...] [--score]

CASES is a folder with ``cases.json``, a list of objects with ``name``, ``expect``, ``slot`` and
``note``, and a folder of films for each case: four films of a patient of whom one, that of
``slot``, is changed (``d-``, ``r-``, ``x-``, ``v-``), or any names and folders (``n-``). ``expect``
is ``same``, ``refuse`` or ``either``. The films are those of the packaged example.

Of a changed film, grey values are compared: the mean absolute difference to the plain film, each
stretched between its 1st and 99th percentile, as the networks see films. A film of another size
is cut out of its border, or resampled. Where that differs, ``--score`` compares scores: the case
is the same if at most two of the scores of the changed limbs differ by more than 0.3 from those of
the plain films, and none is missing. Cases ``v-`` are other pictures and are scored at once.

Of names and folders, the intake plan is compared with what :data:`NAMES` says: how many films each
patient has. TABLES is a folder with a folder for each table, which holds ``training.csv`` or
``training.xlsx`` and films; errors and warnings of `mandora check` are compared with
:data:`TABLES`. ``LOOK`` stands before what is not as expected. Exit status 1 if there is one.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

import mandora.scoring.example as example
from mandora.core.anatomy import SLOTS, Limb, Slot
from mandora.core.records import StudyResult
from mandora.datasets.check.data_set import check_dataset
from mandora.datasets.intake.plan import make_plan
from mandora.datasets.intake.slots import studies_of
from mandora.images.radiograph import UnreadableFilm
from mandora.images.read import read_radiograph
from mandora.model.bundle import default_bundle, open_bundle
from mandora.scoring.pipeline import Pipeline

LIMIT = 0.02
"""Mean absolute difference from which on films are not the same; JPEG of quality 80 has 0.01."""

LIMIT_SCORE, MOST_OTHER = 0.3, 2
"""Difference from which on two scores are not the same, and how many may differ."""

NAMES: dict[str, str] = {
    "n-upper": "P1 4",
    "n-space": "Study 2 (baseline) 4",
    "n-unicode": "Müller 王 4",
    "n-latin1-bytes": "Müller 4",
    "n-long": "4 refused (bad_study_id)",
    "n-zeros": "007 4, 7 1",
    "n-comma": "a,b;c 4, it's& 1, o'neil & 1",
    "n-under": "P1 4",
    "n-double-ext": "P1 4",
    "n-apple": "P1 4",
    "n-dicom-noext": "one person 4",
    "n-dicom-series2": "one person 4",
    "n-dicomdir": "one person 4",
    "n-dicom-flat-ids": "one person 4, one person 4",
    "n-lat-Lpad": "one person 1",
    "n-lat-l": "one person 1",
    "n-lat-LEFT": "one person 1",
    "n-lat-B": "one person 1",
    "n-lat-U": "one person 1 by picture",
    "n-lat-blank": "one person 1 by picture",
}
"""Films of each patient; ``one person`` is one pseudonym, ``by picture`` what nothing else says."""

TABLES: dict[str, str] = {
    "cp1252": "read, warned",
    "zeros-lost": "read, warned",
    "id-case": "read, warned",
    "date-cells": "refused",
    "dash": "refused",
}
"""What `mandora check` says of a table; of all others it says ``read``."""

Pixels = np.ndarray


# ── pictures ───────────────────────────────────────────────────────────────────────────────


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


def plain_film(slot: str) -> Path:
    return Path(example.__file__).parent / f"EXAMPLE-{slot}.jpg"


@cache
def plain_pixels(slot: str) -> Pixels:
    return read_radiograph(plain_film(slot)).pixels


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


# ── scores ─────────────────────────────────────────────────────────────────────────────────


@cache
def pipeline() -> Pipeline:
    return Pipeline.from_bundle(open_bundle(default_bundle()), threads=1)


@cache
def plain_scores(limb: Limb) -> dict[str, float]:
    films = {slot: plain_film(slot.code) for slot in SLOTS if slot.limb is limb}
    return patch_scores(pipeline().score("plain", films).result)


def patch_scores(result: StudyResult) -> dict[str, float]:
    """Of the films alone: the blended ones hold the other films' as well."""
    return {s.target: s.patch_score for s in result.scores if s.patch_score is not None}


def scored(folder: Path, slot: Slot) -> tuple[str, str]:
    """Score the limb of a case, and its other side if one film shows both; compare the scores."""
    (visit,) = studies_of(make_plan([folder]))
    placed = pipeline().place(visit)
    films = {
        s: film
        for s, film in placed.films.items()
        if s.limb is slot.limb and film.path.read_bytes() != plain_film(s.code).read_bytes()
    }
    if not films:
        told = [p.detail for p in (*placed.problems, *visit.rejected) if p.slot == slot]
        return "refuse", "; ".join(told)
    result = pipeline().score(visit.study, films).result
    failed = [film for film in result.films if film.status != "scored"]
    if failed:
        return "refuse", f"{failed[0].reason}: {failed[0].detail}"
    plain, got = plain_scores(slot.limb), patch_scores(result)
    wanted = {key for key in plain if any(key.startswith(s.code) for s in films)}
    if wanted.isdisjoint(got):
        reasons = {s.reason.value for s in result.scores if s.target in wanted and s.reason}
        return "refuse", f"no score: {', '.join(sorted(reasons))}"
    off = {key: abs(got.get(key, 9.0) - plain[key]) for key in wanted}
    other = sum(value > LIMIT_SCORE for value in off.values())
    remarks = [remark for film in result.films for remark in film.remarks]
    text = f"{other} of {len(off)} scores differ by more than {LIMIT_SCORE}"
    return ("same" if other <= MOST_OTHER else "differs"), "; ".join([text, *remarks])


# ── names and tables ───────────────────────────────────────────────────────────────────────


def planned(folder: Path) -> str:
    """How many films each patient has in the intake plan, as in :data:`NAMES`."""
    plan = make_plan([folder])
    films: Counter[str] = Counter()
    guessed: Counter[str] = Counter()
    for film in plan.films:
        patient = film.patient.value if film.patient else "nobody"
        films[patient] += 1
        guessed[patient] += film.guessed
    made = [
        ("one person" if re.fullmatch(r"P-[A-Z2-7]{12}", patient) else patient)
        + (f" {count}" + " by picture" * bool(guessed[patient]))
        for patient, count in films.items()
    ]
    reasons = Counter(problem.reason.value for problem in plan.problems)
    made += [f"{count} refused ({reason})" for reason, count in reasons.items()]
    return ", ".join(sorted(made, key=str.casefold))


def checked(folder: Path) -> tuple[str, str]:
    """Whether `mandora check` reads a table without a word, with a warning, or refuses it."""
    report = check_dataset(folder)
    about = [f for f in report.findings if f.file.endswith((".csv", ".xlsx"))]
    by = {
        level: [f.message for f in about if f.severity == level] for level in ("error", "warning")
    }
    got = "refused" if by["error"] else "read, warned" if by["warning"] else "read"
    return got, "; ".join(by["error"] + by["warning"])


# ── the table ──────────────────────────────────────────────────────────────────────────────


class Table:
    """Rows as they come, and their counts."""

    def __init__(self) -> None:
        self.total = self.wrong = 0

    def add(self, name: str, expect: str, got: str, why: str) -> None:
        holds = got in (("same", "refuse") if expect == "either" else (expect,))
        self.total, self.wrong = self.total + 1, self.wrong + (not holds)
        verdict = "" if holds else "LOOK"
        print(f"{verdict:4} | {name:22} | {expect:6} | {got:7} | {why}", flush=True)


def add_films(table: Table, folder: Path, only: tuple[str, ...], score: bool) -> None:
    for case in json.loads((folder / "cases.json").read_text()):
        name, slot = case["name"], case["slot"]
        if not name.startswith(only):
            continue
        if name.startswith("n-"):
            got = planned(folder / name)
            table.add(name, NAMES[name], got, case["note"])
            continue
        found = sorted((folder / name).glob(f"{name}-{slot}*"))
        if name.startswith("v-") and score:
            got, why = scored(folder / name, Slot.parse(slot))
        else:
            got, why = outcome(found[0], plain_pixels(slot))
            if got == "differs" and score:
                got, why = scored(folder / name, Slot.parse(slot))
        table.add(name, case["expect"], got, why)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cases", type=Path, help="folder with cases.json")
    parser.add_argument("--tables", type=Path, help="folder with a folder for each score table")
    parser.add_argument("--only", nargs="*", default=[""], help="first letters of cases' names")
    parser.add_argument("--score", action="store_true", help="compare scores where films differ")
    given = parser.parse_args()
    table = Table()
    only = tuple(given.only)
    add_films(table, given.cases, only, given.score)
    for folder in sorted(given.tables.iterdir()) if given.tables else ():
        if f"t-{folder.name}".startswith(only):
            got, why = checked(folder)
            table.add(f"t-{folder.name}", TABLES.get(folder.name, "read"), got, why)
    print(f"{table.total} cases: {table.total - table.wrong} as expected, {table.wrong} to look at")
    if table.wrong:
        sys.exit(1)


if __name__ == "__main__":
    main()
