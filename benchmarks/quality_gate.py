"""How well the quality gate judges real films.

    python benchmarks/quality_gate.py FOLDER [--part train --part development] [--turned SET ...]
        [--without PART ...] [--every N] [--found FILE]

FOLDER is described in ``real_films.py``. Nothing is told of a film but its picture. Printed are

- *body part*: what films of hands, feet, wrists and other body parts are taken for. Right is a
  frontal hand taken for a hand, a frontal foot (DP) for a foot, and any other body part for
  neither. Films from other directions and wrists are shown and not counted.
- *orientation*: whether the direction of fingers or toes is right, as the films are, and for
  frontal films of some sets turned by 90, 180 and 270 degrees and mirrored.
- *side*: the same films given once as their side and once as the other one: whether that is
  contradicted, by the shape or by a letter.
- *letters*: of films whose side is known.
- *findings*: how often each check ends how on frontal films, which are taken for healthy and good.

``--every`` takes every Nth film of the set ``rsna``, of which there are most. What was found on
the films is kept in the file ``--found`` and read from there the next time: it takes longest.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from real_films import Part, RealFilm, landmarks_of, parts_of, read_rows, real_films

from mandora.core.anatomy import Limb, Side, Slot
from mandora.core.findings import Check, Outcome
from mandora.core.records import Reason
from mandora.images.markers import read_markers
from mandora.images.radiograph import Radiograph
from mandora.images.read import read_radiograph
from mandora.locate.locator import FoundLandmarks
from mandora.locate.orientation import Orientation, orientation_of_landmarks
from mandora.locate.template import limb_template
from mandora.model.bundle import default_bundle, open_bundle
from mandora.scoring.pipeline import Pipeline

FRONTAL = ("PA", "DP")
TURNS = ("1", "2", "3", "0m")
DIRECTIONS = ("up", "right", "down", "left")
_Z = 1.96


@dataclass(frozen=True)
class Case:
    """One film and what is known of it.

    Attributes:
        row: of ``films.csv``.
        marked: the film with its known joints, if it has any.
    """

    row: dict[str, str]
    marked: RealFilm | None

    @property
    def frontal(self) -> bool:
        return self.row["view"].split("+")[0] in FRONTAL

    @property
    def side(self) -> Side | None:
        """The patient's side, if one limb is shown and it is known."""
        return Side(self.row["side"]) if self.row["side"] in tuple(Side) else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--part", choices=get_args(Part), action="append")
    parser.add_argument("--turned", nargs="*", default=["dha"], help="sets whose films are turned")
    parser.add_argument("--without", nargs="*", default=[], help="body parts that are left out")
    parser.add_argument("--every", type=int, default=1, help="every Nth film of the set rsna")
    parser.add_argument("--found", type=Path, help="file that keeps what was found on the films")
    args = parser.parse_args()
    pipeline = Pipeline.from_bundle(open_bundle(default_bundle()))
    finder = Finder(pipeline, args.found)
    body: dict[str, Counter[str]] = defaultdict(Counter)
    turned: dict[str, list[bool]] = defaultdict(list)
    sides: dict[str, list[bool]] = defaultdict(list)
    letters: Counter[str] = Counter()
    findings: dict[Check, Counter[Outcome]] = defaultdict(Counter)
    words: list[str] = []
    seconds: list[float] = []
    for case in cases(args.folder, args.part, args.every):
        if case.row["body_part"] in args.without:
            continue
        film = read_radiograph(args.folder / case.row["file"])
        found = finder.recognised(case, film, "0")
        body[_kind(case)][found.limb.value if found else "neither"] += 1
        side = _known_side(case, film, found)
        if side:
            letters[_letter(film, side)] += 1
        if found is None or found.limb != case.row["body_part"] or not case.frontal:
            continue
        truth = _truth(case)
        if truth is not None:
            turned["as it is"].append(found.orientation.turns == truth)
            if case.row["set"] in args.turned:
                for turn, right in _turned(finder, case, film, truth):
                    turned[turn].append(right)
        start = time.process_time()
        made = {f.check: f for f in pipeline.judge(_slot(found, side), film, found)}
        seconds.append(time.process_time() - start)
        for check in Check:
            if check in made:
                findings[check][made[check].outcome] += 1
                if made[check].outcome is Outcome.WARN:
                    words.append(f"{case.row['film']}: {made[check]}")
        if side:
            _sides(pipeline, film, found, side, sides)
    _print(body, turned, sides, letters, findings)
    print("\nwarnings")
    print("\n".join(words))
    if seconds:
        print(f"\njudging took {1000 * np.median(seconds):.0f} ms of a processor a film (median)")


def cases(folder: Path, wanted: Sequence[str] | None, every: int) -> Iterator[Case]:
    """The films of some parts; all of them if none is named."""
    parts, number = parts_of(folder), 0
    marked = {film.name: film for film in real_films(folder)}
    for row in read_rows(folder / "films.csv"):
        number += row["set"] == "rsna"
        if row["set"] == "rsna" and number % every:
            continue
        if wanted is None or parts[row["film"]] in wanted:
            yield Case(row, marked.get(row["film"]))


class Finder:
    """What the pictures show, kept in a file of JSON lines."""

    def __init__(self, pipeline: Pipeline, kept: Path | None) -> None:
        self._pipeline, self._kept = pipeline, kept
        self._known: dict[tuple[str, str], dict[str, Any] | None] = {}
        if kept and kept.exists():
            for line in kept.read_text(encoding="utf-8").splitlines():
                one = json.loads(line)
                self._known[one["film"], one["turn"]] = one["found"]

    def recognised(self, case: Case, film: Radiograph, turn: str) -> FoundLandmarks | None:
        """What a film that was turned shows, see ``Pipeline.recognised``."""
        key = case.row["film"], turn
        if key not in self._known:
            found = self._pipeline.recognised(film)
            self._known[key] = _as_json(found) if found else None
            if self._kept:
                with self._kept.open("a", encoding="utf-8") as file:
                    file.write(
                        json.dumps({"film": key[0], "turn": turn, "found": self._known[key]})
                    )
                    file.write("\n")
        kept = self._known[key]
        return _from_json(kept) if kept else None


def _as_json(found: FoundLandmarks) -> dict[str, Any]:
    lies = found.orientation
    places = [None if np.isnan(x) else [round(x, 2), round(y, 2)] for x, y in found.landmarks]
    return {
        "limb": found.limb, "turns": lies.turns, "mirrored": lies.mirrored,
        "inverted": lies.inverted, "places": places, "fit": found.fit,
        "confidence": found.confidence.round(3).tolist(), "reasons": list(found.reasons),
    }  # fmt: skip


def _from_json(kept: dict[str, Any]) -> FoundLandmarks:
    lies = Orientation(kept["turns"], kept["mirrored"], kept["inverted"])
    places = np.array([place or (np.nan, np.nan) for place in kept["places"]], np.float64)
    reasons = tuple(Reason(reason) if reason else None for reason in kept["reasons"])
    confidence = np.array(kept["confidence"], np.float64)
    return FoundLandmarks(Limb(kept["limb"]), lies, places, confidence, reasons, kept["fit"])


def _kind(case: Case) -> str:
    part = case.row["body_part"]
    if part in tuple(Limb):
        return f"{part}, {'frontal' if case.frontal else 'other view'}"
    return part


def _truth(case: Case) -> int | None:
    """Quarter turns that bring the digits up: as is written, or from known joints; else None."""
    if case.row["orientation"] in DIRECTIONS:
        return DIRECTIONS.index(case.row["orientation"])
    if case.marked is None or not case.marked.limbs:
        return None
    landmarks = landmarks_of(case.marked.limbs[0][0], case.marked.limb)
    return orientation_of_landmarks(landmarks, limb_template(case.marked.limb), Side.LEFT).turns


def _turned(finder: Finder, case: Case, film: Radiograph, truth: int) -> Iterator[tuple[str, bool]]:
    for turn in TURNS:
        pixels = np.rot90(film.pixels, int(turn[0]))
        pixels = pixels[:, ::-1] if "m" in turn else pixels
        other = replace(film, pixels=np.ascontiguousarray(pixels))
        found = finder.recognised(case, other, turn)
        # a film that was turned anticlockwise needs so many fewer turns; a mirror swaps 1 and 3
        wanted = (-truth if "m" in turn else truth - int(turn)) % 4
        name = "mirrored" if "m" in turn else f"turned by {90 * int(turn)}"
        right = found is not None and found.limb == case.row["body_part"]
        yield name, bool(right and found and found.orientation.turns == wanted)


def _known_side(case: Case, film: Radiograph, found: FoundLandmarks | None) -> Side | None:
    """The patient's side of the limb that was found."""
    if case.side or not found or not case.marked or case.row["set"] != "unifesp":
        return case.side
    # of several limbs the nearest one
    near = []
    rows = {r["limb"]: r["side"] for r in _joints(case.marked.file.parents[1], case.row["film"])}
    for (places, _), side in zip(case.marked.limbs, rows.values(), strict=False):
        away = np.linalg.norm(landmarks_of(places, case.marked.limb) - found.landmarks, axis=1)
        near.append((float(np.nanmedian(away)), side))
    side = min(near)[1] if near else ""
    return Side(side) if side else None


_JOINTS: dict[str, list[dict[str, str]]] = {}


def _joints(folder: Path, film: str) -> list[dict[str, str]]:
    if not _JOINTS:
        for row in read_rows(folder / "joints.csv"):
            _JOINTS.setdefault(row["film"], []).append(row)
    return _JOINTS.get(film, [])


def _letter(film: Radiograph, side: Side) -> str:
    markers = {marker.side for marker in read_markers(film.pixels)}
    if not markers:
        return "none read"
    return "right" if side in markers else "wrong"


def _slot(found: FoundLandmarks, side: Side | None) -> Slot:
    return Slot(side or found.orientation.side, found.limb)


def _sides(
    pipeline: Pipeline, film: Radiograph, found: FoundLandmarks, side: Side,
    into: dict[str, list[bool]],
) -> None:  # fmt: skip
    """Whether the right and the wrong side, given as the film's, are contradicted."""
    other = Side.LEFT if side is Side.RIGHT else Side.RIGHT
    for title, given in (("given rightly", side), ("given wrongly", other)):
        made = {f.check: f.outcome for f in pipeline.judge(Slot(given, found.limb), film, found)}
        told = Outcome.WARN in (made[Check.MIRRORED], made[Check.MARKER])
        into[f"{title}, contradicted"].append(told)
    into["by the picture alone, right"].append(found.orientation.side is side)
    into["right, or contradicted"] += [True, told]


def _print(
    body: dict[str, Counter[str]], turned: dict[str, list[bool]], sides: dict[str, list[bool]],
    letters: Counter[str], findings: dict[Check, Counter[Outcome]],
) -> None:  # fmt: skip
    print(f"{'body part':<20} {'films':>5} {'hand':>5} {'foot':>5} {'neither':>7}")
    for kind, count in sorted(body.items()):
        print(f"{kind:<20} {count.total():>5} {count['hand']:>5} {count['foot']:>5} "
              f"{count['neither']:>7}")  # fmt: skip
    rights = {"hand, frontal": "hand", "foot, frontal": "foot", "other": "neither"}
    right = sum(body[kind][wanted] for kind, wanted in rights.items() if kind in body)
    _share("right", right, sum(body[kind].total() for kind in rights if kind in body))
    print("\norientation")
    for name, hits in turned.items():
        _share(name, sum(hits), len(hits))
    every = [hit for hits in turned.values() for hit in hits]
    _share("all", sum(every), len(every))
    print("\nside")
    for name, hits in sides.items():
        _share(name, sum(hits), len(hits))
    print("\nletters of films with a known side")
    for name in ("right", "wrong", "none read"):
        _share(name, letters[name], letters.total())
    print("\nfindings on frontal films\n" + " ".join(f"{o:>8}" for o in ("", *Outcome)))
    for check, count in findings.items():
        print(f"{check:<12}" + " ".join(f"{count[outcome]:>8}" for outcome in Outcome))


def _share(name: str, hits: int, of: int) -> None:
    """A share with its 95 % interval after Wilson."""
    if not of:
        return
    share, square = hits / of, _Z**2
    middle = (share + square / 2 / of) / (1 + square / of)
    half = _Z * np.sqrt(share * (1 - share) / of + square / 4 / of**2) / (1 + square / of)
    print(
        f"{name:<30} {hits:>4} of {of:>4} {share:6.1%} ({middle - half:.1%} to {middle + half:.1%})"
    )


if __name__ == "__main__":
    main()
