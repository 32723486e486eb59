"""What is wrong with one film of a data set, or with what is marked on it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mandora.core.anatomy import LANDMARKS, Limb, Side, Slot
from mandora.core.errors import InputError
from mandora.core.geometry import Points
from mandora.datasets.check.near_duplicates import Pattern, pattern_of
from mandora.datasets.dataset import DatasetFilm, DatasetRoi, Labels
from mandora.datasets.findings import Finding, Report
from mandora.datasets.label_maps import check_label_size, fill_outlines, read_label_map
from mandora.datasets.outlines import Outline, site_name
from mandora.images.radiograph import MIN_JOINT_PX, Radiograph, UnreadableFilm
from mandora.images.read import peek_size, read_radiograph
from mandora.locate.orientation import CERTAIN_LANDMARKS, mirror_misfits
from mandora.locate.template import limb_template

_WORSE = 2.0  # so much worse the side's own template fits than the other side's
_LEAST_MISFIT = 0.15  # r.m.s. distance from a template beyond normal anatomy, in limb sizes
_MOST_OUTSIDE = 2 / 3  # share of the joints that poor framing leaves out
_EDGE_PX = 1.0  # polygons may reach so far beyond the film
_NAMED = 5


@dataclass(frozen=True, eq=False)
class CheckedFilm:
    """What was found in one film.

    Attributes:
        findings: what is wrong with it.
        digest: hash of its size and decoded pixels; None if it could not be read.
        pattern: for the search for copies; None for pictures of single joints too.
    """

    findings: tuple[Finding, ...]
    digest: str | None = None
    pattern: Pattern | None = None


def check_film(item: DatasetFilm | DatasetRoi, root: Path) -> CheckedFilm:
    """Read a film, or a joint's own picture, and everything that is marked on it.

    Args:
        item: of the data set.
        root: the data set's folder; files are named relative to it.
    """
    report = Report(root)
    try:
        if isinstance(item, DatasetRoi):
            film = read_radiograph(item.path, MIN_JOINT_PX)
        else:
            film = item.read()
    except UnreadableFilm as error:
        report.error("film-unreadable", item.path, str(error).removeprefix(f"{item.path.name}: "))
        return CheckedFilm(tuple(report.findings))
    digest = hashlib.sha256(repr(film.shape).encode() + film.pixels.tobytes()).hexdigest()
    if isinstance(item, DatasetRoi):
        for mask in (item.bones, item.erosions):
            _check_mask(mask, item, film.shape, report)
        return CheckedFilm(tuple(report.findings), digest)
    _check_tags(film, item, report)
    _check_landmarks(item, film.shape, report)
    if item.label_size is not None:
        try:
            check_label_size("labels", item.label_size, film.shape)
        except InputError as error:
            report.error("labels-size", item.path, str(error))
    for kind, labels in (("spaces", item.spaces), ("erosions", item.erosions)):
        _check_labels(kind, labels, item, film.shape, report)
    return CheckedFilm(tuple(report.findings), digest, pattern_of(film.pixels))


def _check_tags(film: Radiograph, item: DatasetFilm, report: Report) -> None:
    said = Slot(film.side or item.slot.side, film.limb or item.slot.limb)
    if said != item.slot:
        words = said.title if film.side else f"a {said.limb}"
        fault = (
            f"its DICOM tags say {words}, the data set takes it for the {item.slot.title}; look at "
            "the film and correct one"
        )
        report.warning("tags-differ", item.path, fault)


def _check_landmarks(item: DatasetFilm, shape: tuple[int, int], report: Report) -> None:
    marked = np.isfinite(item.landmarks).all(axis=1)
    if not marked.any():
        return
    size = np.array(shape[::-1], np.float64)
    beyond = np.maximum(-0.5 - item.landmarks, item.landmarks - (size - 0.5)) / size
    outside = marked & (beyond > 0).any(axis=1)
    if outside.any():
        names = [LANDMARKS[item.slot.limb][i].name for i in np.flatnonzero(outside)]
        count = f"{len(names)} of {int(marked.sum())} joints are outside of the film"
        # a film without the wrist lacks half of a hand's joints
        if len(names) > _MOST_OUTSIDE * marked.sum() or beyond[outside].max() > 1:
            fault = f"{count}; were they marked on another picture, or x and y exchanged?"
            report.warning("points-outside", item.path, fault)
        else:
            fault = f"{count}, which may not show them ({_listed(names)})"
            report.note("points-outside", item.path, fault)
    if seems_mirrored(item.landmarks, item.slot):
        other = Slot(item.slot.side.other, item.slot.limb)
        fault = (
            f"the joints lie as in a {other.title}, the data set takes it for the "
            f"{item.slot.title}; check the side, and whether the film is mirrored"
        )
        report.warning("points-mirrored", item.path, fault)


def seems_mirrored(landmarks: Points, slot: Slot) -> bool:
    """Whether joints lie as in the other side's limb.

    On a film from behind (posteroanterior, dorsoplantar) with the digits up, the thumb or great
    toe of a left limb lies on the right of the picture, whatever way the film is turned. The
    template is fitted to the landmarks as it is and mirrored, and the two misfits are compared.

    Args:
        landmarks: (N, 2) px of the film, NaN where unknown.
        slot: what the film is taken for.

    Returns:
        False too if less than four joints are known, or neither fits better.
    """
    misfits = mirror_misfits(landmarks, limb_template(slot.limb))
    if misfits is None or np.isfinite(landmarks).all(axis=1).sum() < CERTAIN_LANDMARKS:
        return False
    misfit, mirrored = misfits if slot.side is Side.LEFT else reversed(misfits)
    return misfit > max(_WORSE * mirrored, _LEAST_MISFIT)


def _check_labels(
    kind: str, labels: Labels, item: DatasetFilm, shape: tuple[int, int], report: Report
) -> None:
    if isinstance(labels, Path):
        _check_map(kind, labels, item, shape, report)
        return
    for outline in labels or ():
        _check_outline(kind, outline, item, shape, report)


def _check_map(
    kind: str, path: Path, item: DatasetFilm, shape: tuple[int, int], report: Report
) -> None:
    try:
        labels = read_label_map(path, shape, item.slot.limb)
    except InputError as error:
        own = peek_size(path)
        differs = own is not None and own != shape[::-1]
        report.not_read("labels-size" if differs else "labels-unusable", path, error)
        return
    if kind == "spaces" and not labels.any():
        fault = f"no pixel of {item.name} is labelled; label its joint spaces or remove the file"
        report.warning("labels-empty", path, fault)


def _check_outline(
    kind: str, outline: Outline, item: DatasetFilm, shape: tuple[int, int], report: Report
) -> None:
    what = f"a polygon {outline.site} ({kind})"
    if outline.site not in {site_name(point) for point in LANDMARKS[item.slot.limb]}:
        fault = f"{what} is no site of a {item.slot.limb}; correct its label"
        report.error("label-unknown", item.path, fault)
        return
    edge = np.array(shape[::-1], np.float64) - 0.5
    low, high = outline.points.min(axis=0), outline.points.max(axis=0)
    if (high < -0.5).any() or (low > edge).any():
        fault = f"{what} lies outside of the film; was it drawn on another picture?"
        report.error("polygon-outside", item.path, fault)
        return
    if (low < -0.5 - _EDGE_PX).any() or (high > edge + _EDGE_PX).any():
        fault = f"{what} reaches beyond the film and is cut off; draw it within the film"
        report.warning("polygon-outside", item.path, fault)
    if not _fills(outline, item.slot.limb):
        fault = f"{what} holds no pixel; draw it anew or delete it"
        report.warning("polygon-empty", item.path, fault)


def _fills(outline: Outline, limb: Limb) -> bool:
    """Whether a polygon holds a pixel centre, wherever it lies."""
    corner = np.floor(outline.points.min(axis=0)) - 1
    width, height = np.minimum(np.ceil(np.ptp(outline.points, axis=0)) + 3, 20_000).astype(int)
    moved = replace(outline, points=outline.points - corner)
    return bool(fill_outlines((moved,), (int(height), int(width)), limb).any())


def _check_mask(
    path: Path | None, item: DatasetRoi, shape: tuple[int, int], report: Report
) -> None:
    if path is None:
        return
    size = peek_size(path)
    if size is None:
        fault = f"the mask of {item.path.name} cannot be read; save it again"
        report.error("labels-unusable", path, fault)
    elif size != shape[::-1]:
        fault = (
            f"has {size[0]} × {size[1]} px, {item.path.name} has {shape[1]} × {shape[0]}; export "
            "the mask at the picture's size"
        )
        report.error("labels-size", path, fault)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (
        f" and {len(names) - _NAMED} more" if names[_NAMED:] else ""
    )
