"""Whole hands of RAM: joints from boxes around them, erosions from masks, both in COCO files.

A COCO file (``*.coco.json``) is recognised by its categories: joints by RAM's names, erosions by
``SvdH-BE-90``, ``SvdH-BE-50`` and ``Non-SvdH-BE``. The middle of a joint's box is its landmark;
an erosion belongs to the nearest joint that has an erosion score. Bone masks are not used.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import FAMILIES, LANDMARK_INDEX, LANDMARKS, Damage, Limb
from mandora.core.geometry import Points
from mandora.core.inputs import read_text
from mandora.datasets.dataset import DatasetFilm
from mandora.datasets.findings import Report
from mandora.datasets.formats.coco import segmentation_outlines
from mandora.datasets.formats.ram.names import SITES, W600_KEYS, files_named, hand_name
from mandora.datasets.outlines import Outline, site_name
from mandora.images.read import peek_size

_EROSIONS = frozenset({"SvdH-BE-90", "SvdH-BE-50", "Non-SvdH-BE"})
_IMAGE_DEPTH = 3  # deeper lie pictures of single joints
_ERODED = sorted(
    {LANDMARK_INDEX[Limb.HAND][s.landmark_name] for s in FAMILIES[Limb.HAND, Damage.EROSION]}
)


def _joint_names() -> dict[str, int]:
    """Index of the landmark by any name of its joint."""
    # the radiocarpal box is better than the scaphoid's for the landmark that serves both
    sites = sorted(SITES.items(), key=lambda item: item[1].name == "nav", reverse=True)
    names = {}
    for key, site in sites:
        for name in (key, key.partition("_")[2]):
            names[name] = LANDMARK_INDEX[Limb.HAND][site.landmark_name]
    for name, key in W600_KEYS.items():
        names[name] = LANDMARK_INDEX[Limb.HAND][SITES[key].landmark_name]
    return names


_JOINTS = _joint_names()
_SECOND_CHOICE = frozenset({"S", "BE_S", "Scaphoid"})


@dataclass(frozen=True)
class _Mark:
    """One annotation of one hand.

    Attributes:
        hand: its name.
        category: as the file calls it.
        box: left, top, width, height, px from the corner of the first pixel; may be empty.
        parts: outlines of an erosion; none of other categories.
    """

    hand: str
    category: str
    box: tuple[float, ...]
    parts: tuple[NDArray[np.float64], ...]


@dataclass
class _Marks:
    """What COCO files of one kind say: annotations, and (width, height), px, of every hand."""

    marks: list[_Mark] = field(default_factory=list)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)


def read_hands(
    folder: Path, hands: Mapping[str, DatasetFilm], report: Report
) -> tuple[DatasetFilm, ...]:
    """Find films of whole hands with joints marked.

    Args:
        folder: the data set's.
        hands: by the hand's name, a film that lacks path and labels; others are left out.
        report: what is wrong is added to it.

    Returns:
        The hands that have a film and at least one joint, in the given order.
    """
    joints, erosions = _Marks(), _Marks()
    for path in files_named(folder, "*.coco.json"):
        found, categories = _read(path, report)
        if categories & _JOINTS.keys():
            _add(found, joints)
        elif categories & _EROSIONS:
            _add(found, erosions)
        elif categories:
            fault = "holds neither joints nor erosions by name; bones are not used"
            report.note("labels-not-used", path, fault)
    if not joints.marks:
        if erosions.sizes:
            fault = "masks of erosions are not used, for no file says where joints are"
            report.note("labels-not-used", folder, fault)
        return ()
    landmarks = _landmarks(joints.marks, hands)
    pictures = _pictures(folder, (joints.sizes, erosions.sizes), landmarks, report)
    outlines = _outlines(erosions, landmarks)
    return tuple(
        replace(
            film,
            path=pictures[name],
            landmarks=landmarks[name],
            erosions=outlines.get(name),
            label_size=joints.sizes[name],
        )
        for name, film in hands.items()
        if name in landmarks and name in pictures
    )


def _pictures(
    folder: Path,
    stated: Iterable[Mapping[str, tuple[int, int]]],
    landmarks: Mapping[str, Points],
    report: Report,
) -> dict[str, Path]:
    """The films of hands whose joints are known, as large as they were when they were marked."""
    pictures = {
        path.stem: path
        for path in files_named(folder, "*.bmp", _IMAGE_DEPTH)
        if path.stem in landmarks
    }
    missing = sorted(landmarks.keys() - pictures.keys())
    if missing:
        fault = f"films of {len(missing)} hands are missing, {missing[0]}.bmp first; add them"
        report.warning("film-missing", folder, fault)
    own = {name: peek_size(path) for name, path in pictures.items()}
    other = {
        hand: size
        for sizes in stated
        for hand, size in sizes.items()
        if hand in own and size != own[hand]
    }
    if other:
        name, (width, height) = min(other.items())
        fault = (
            f"{len(other)} hands were marked on pictures of another size, {name} first "
            f"({width} × {height} px), and are not used; take the films that the marks belong to"
        )
        report.warning("labels-size", pictures[name], fault)
    return {name: path for name, path in pictures.items() if name not in other}


def _add(found: _Marks, known: _Marks) -> None:
    known.marks += found.marks
    known.sizes |= found.sizes


def _read(path: Path, report: Report) -> tuple[_Marks, frozenset[str]]:
    """What a COCO file says, and the names of its categories."""
    try:
        data = json.loads(read_text(path, "utf-8-sig"))
        categories = {c["id"]: str(c["name"]) for c in data["categories"]}
        hands = {i["id"]: hand_name(i["file_name"]) for i in data["images"]}
        sizes = {hands[i["id"]]: (int(i["width"]), int(i["height"])) for i in data["images"]}
        marks = [
            _mark(a, hands[a["image_id"]], categories[a["category_id"]], sizes)
            for a in data["annotations"]
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        fault = f"is no COCO file ({type(error).__name__}: {error}); download it again"
        report.error("labels-unreadable", path, fault)
        return _Marks(), frozenset()
    return _Marks(marks, sizes), frozenset(categories.values())


def _mark(
    record: Mapping[str, Any], hand: str, category: str, sizes: Mapping[str, tuple[int, int]]
) -> _Mark:
    parts: tuple[NDArray[np.float64], ...] = ()
    if category in _EROSIONS:  # bones would take long, and are not used
        parts = tuple(segmentation_outlines(record.get("segmentation"), sizes[hand]))
    return _Mark(hand, category, tuple(float(v) for v in record.get("bbox") or ()), parts)


def _landmarks(joints: list[_Mark], hands: Mapping[str, DatasetFilm]) -> dict[str, Points]:
    landmarks: dict[str, Points] = {}
    for mark in sorted(joints, key=lambda m: m.category in _SECOND_CHOICE):
        if mark.hand not in hands or mark.category not in _JOINTS or len(mark.box) != 4:
            continue
        x, y, width, height = mark.box
        places = landmarks.setdefault(mark.hand, np.full((len(LANDMARKS[Limb.HAND]), 2), np.nan))
        index = _JOINTS[mark.category]
        if np.isnan(places[index]).any():
            # in the file the corner of the first pixel is (0, 0)
            places[index] = x + width / 2 - 0.5, y + height / 2 - 0.5
    return landmarks


def _outlines(erosions: _Marks, points: Mapping[str, Points]) -> dict[str, tuple[Outline, ...]]:
    """Outlines of erosions by hand; none where the files show the hand without erosions."""
    found: dict[str, list[Outline]] = {hand: [] for hand in erosions.sizes if hand in points}
    for mark in erosions.marks:
        if mark.hand not in found:
            continue
        for part in mark.parts:
            apart = np.hypot(*(points[mark.hand][_ERODED] - part.mean(axis=0)).T)
            if np.isfinite(apart).any():
                landmark = LANDMARKS[Limb.HAND][_ERODED[int(np.nanargmin(apart))]]
                found[mark.hand].append(Outline(site_name(landmark), part))
    return {hand: tuple(outlines) for hand, outlines in found.items()}
