"""RAM-H1200 and RAM-W600: hands and wrists whose joints come as pictures with SvH scores.

``docs/data.md`` states where the knowledge of the layout comes from. RAM-H1200::

    SvdH_Scoring/SvdH_BE_Scoring/<part>/_annotation_be_scores.json    {"<hand>.bmp": {"BE_R": 0}}
    SvdH_Scoring/SvdH_BE_Scoring/<part>/<hand>/R.bmp
    SvdH_Scoring/SvdH_JSN_Scoring/<part>/_annotation_jsn_scores.json
    SvdH_Scoring/SvdH_JSN_Scoring/<part>/<hand>/MCP-I.bmp

RAM-W600::

    SvdHBEScoreClassification/JointBE_SvdH_GT.json    [{"identifier": "<hand>", "joints": {…}}]
    SvdHBEScoreClassification/<part>/<hand>/Lunate.bmp

``<part>`` is train, val or test; ``<hand>`` ends in ``_L`` or ``_R``, the patient's side.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mandora.core.anatomy import TARGET_INDEX, Limb, Side, Slot
from mandora.core.inputs import read_text
from mandora.datasets.dataset import Dataset, DatasetFilm, DatasetRoi
from mandora.datasets.film_labels import no_landmarks
from mandora.datasets.findings import Report
from mandora.datasets.formats.ram.hands import read_hands
from mandora.datasets.formats.ram.names import (
    SITES,
    W600_KEYS,
    files_named,
    hand_name,
    patients_of,
    study_and_side,
)
from mandora.datasets.score_tables import Scores, unknown_scores, with_weights
from mandora.datasets.study_ids import natural_key

_SCORE_FILES = {
    "ram-h1200": ("_annotation_be_scores.json", "_annotation_jsn_scores.json"),
    "ram-w600": ("JointBE_SvdH_GT.json",),
}
_SUFFIXES = (".bmp", ".png", ".jpg", ".jpeg", ".tif", ".tiff")
_MASKS = ("bones", "erosions")
_MASK_SUFFIXES = (".bmp", ".png", ".tif", ".tiff")  # JPEG would smear them


@dataclass
class _Hand:
    """One hand of one study.

    Attributes:
        scores: by the H1200's key, e.g. ``BE_R``.
        pictures: of single joints, by path, with the key of the score that they were cut for.
    """

    name: str
    study: str
    side: Side
    scores: dict[str, float] = field(default_factory=dict)
    pictures: dict[Path, str] = field(default_factory=dict)

    @property
    def slot(self) -> Slot:
        return Slot(self.side, Limb.HAND)

    def target_key(self, key: str) -> str:
        """``LH-radius:erosion`` for ``BE_R`` of a left hand."""
        site = SITES[key]
        return f"{self.slot.code}-{site.name}:{site.damage}"


def is_ram(layout: str, path: Path) -> bool:
    """Whether a folder holds score files of ``ram-h1200`` or ``ram-w600``."""
    return path.is_dir() and bool(_score_files(path, layout))


def _score_files(folder: Path, layout: str) -> list[Path]:
    return [path for name in _SCORE_FILES[layout] for path in files_named(folder, name)]


def read_ram(
    layout: str, folder: Path, weights: Mapping[str, float] | None, report: Report
) -> Dataset:
    """Read RAM-H1200 or RAM-W600.

    Every joint's picture is an item with its own scores. Where several studies of a patient are
    there, ``official`` holds the scores of the first one by name, and whole hands are taken from
    that study only.

    Args:
        layout: ``ram-h1200`` or ``ram-w600``.
        folder: the data set's, or one up to four levels above its score files.
        weights: see :func:`mandora.datasets.score_tables.with_weights`.
        report: what is wrong is added to it.
    """
    hands: dict[str, _Hand] = {}
    for path in _score_files(folder, layout):
        for name, cells in _entries(path, report):
            _add_hand(path, name, cells, hands, report)
    ordered = [hands[name] for name in sorted(hands, key=natural_key)]
    patients = patients_of(folder, [hand.study for hand in ordered], report)
    first: dict[str, str] = {}
    for hand in ordered:
        first.setdefault(patients[hand.study], hand.study)
    leading = [hand for hand in ordered if first[patients[hand.study]] == hand.study]
    if later := len({hand.study for hand in ordered}) - len(first):
        fault = (
            f"{later} studies are not the first of their patient by name; their joints are used "
            "with their own scores, the patient's official label is that of the first study"
        )
        report.note("later-studies", folder, fault)
    official: dict[str, Scores] = {}
    for hand in leading:
        scores = official.setdefault(patients[hand.study], unknown_scores())
        for key, value in hand.scores.items():
            scores[TARGET_INDEX[hand.target_key(key)]] = value
    rois = tuple(roi for hand in ordered for roi in _rois(hand, patients[hand.study]))
    if not rois:
        report.error("no-films", folder, "holds no pictures of joints; unpack all of the data set")
    wanted = {
        hand.name: DatasetFilm(patients[hand.study], hand.slot, folder, no_landmarks(Limb.HAND))
        for hand in leading
    }
    films = read_hands(folder, wanted, report)
    everyone, weighed = with_weights(official, {}, weights, report)
    return Dataset(folder, layout, films, rois, official, everyone, weighed)


def _entries(path: Path, report: Report) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Hand and its scores by the file's own keys."""
    try:
        data = json.loads(read_text(path, "utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        report.error("file-unreadable", path, f"is not JSON ({error}); download it again")
        return
    entries: list[tuple[Any, Any]] = []
    if isinstance(data, dict):
        entries = list(data.items())
    elif isinstance(data, list):
        entries = [(e.get("identifier"), e.get("joints")) for e in data if isinstance(e, dict)]
    whole = [(n, c) for n, c in entries if isinstance(n, str) and isinstance(c, dict)]
    if len(whole) < len(entries) or not entries:
        fault = f"{len(whole)} of {len(entries)} entries are a hand with its scores"
        report.error("file-unreadable", path, f"{fault}; download the file again")
    yield from whole


def _add_hand(
    path: Path, name: str, cells: Mapping[str, Any], hands: dict[str, _Hand], report: Report
) -> None:
    hand = hand_name(name)
    parts = study_and_side(hand)
    if parts is None:
        fault = f"{name} does not end in _L or _R, so its side is not known; it is not used"
        report.warning("side-unknown", path, fault)
        return
    known = hands.setdefault(hand, _Hand(hand, *parts))
    folder = _joint_folder(path, hand)
    missing = []
    for cell_key, cell in cells.items():
        key = W600_KEYS.get(cell_key, cell_key)
        if key not in SITES:
            fault = f"{hand}: {cell_key!r} is no joint that is known; its score is not used"
            report.warning("site-unknown", path, fault)
            continue
        value = _score(cell, SITES[key].maximum)
        if isinstance(value, str):
            report.warning("score-unusable", path, f"{hand}: {cell_key} {value}; it is not used")
            continue
        known.scores[key] = value
        stem = cell_key if cell_key in W600_KEYS else key.partition("_")[2]
        picture = _picture(folder, stem)
        if picture is None:
            missing.append(stem)
        else:
            known.pictures[picture] = key
    if missing:
        fault = f"{hand}: pictures of {', '.join(missing)} are missing; unpack all of the data set"
        report.warning("picture-missing", path, fault)


def _joint_folder(path: Path, hand: str) -> Path:
    """Where a hand's joints lie: beside the score file, or in its part of the data set."""
    places = [path.parent / hand, *(path.parent / p / hand for p in ("train", "val", "test"))]
    return next((place for place in places if place.is_dir()), places[0])


def _picture(folder: Path, stem: str, suffixes: tuple[str, ...] = _SUFFIXES) -> Path | None:
    return next((p for s in suffixes if (p := folder / f"{stem}{s}").is_file()), None)


def _score(cell: Any, maximum: int) -> float | str:
    """A score, NaN where there is none, or what is wrong with it."""
    if cell is None or cell == "":
        return math.nan
    try:
        value = float(cell)
    except (TypeError, ValueError):
        return f"is {cell!r}, no number"
    if math.isnan(value) or 0 <= value <= maximum:
        return value
    return f"is {value:g}, outside 0…{maximum}"


def _rois(hand: _Hand, patient: str) -> Iterator[DatasetRoi]:
    for path, key in hand.pictures.items():
        stem = key.partition("_")[2]
        # one joint, two pictures: each kind of damage may be read from either
        scores = {
            hand.target_key(f"{prefix}_{stem}"): hand.scores[f"{prefix}_{stem}"]
            for prefix in ("JSN", "BE")
            if f"{prefix}_{stem}" in hand.scores
        }
        bones, erosions = (
            _picture(path.parent, f"{path.stem}-{kind}", _MASK_SUFFIXES) for kind in _MASKS
        )
        yield DatasetRoi(patient, hand.slot, (SITES[key].landmark,), path, scores, bones, erosions)
