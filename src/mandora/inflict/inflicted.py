"""Damage of known grade put into a real film: a narrower joint space, erosions.

The truth of simulated films is known, but they lack real texture; real films have it, and where
they are healthy their grade is 0. This module puts damage of a known grade into a healthy film.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mandora.core.anatomy import FAMILIES, Damage, Limb
from mandora.core.errors import InputError
from mandora.core.geometry import as_points
from mandora.images.radiograph import Radiograph
from mandora.inflict.magnified import Magnified, magnification
from mandora.inflict.operation import Outcome, Subject, damaged, healthy
from mandora.inflict.sites import BONES, JOINTS, LimbLandmarks
from mandora.simulate.anatomy.joint_state import JointState, draw_state


@dataclass(frozen=True, eq=False)
class Inflicted(Outcome):
    """A film with damage of known grade, with the attributes of an outcome and what was done.

    Attributes:
        limb: hand or foot.
        site: name of the site.
        state: what was done to the joint.
        narrowing: SvH grade that was added, 0-4.
        erosion: SvH grade that was added, 0-5 (hand) or 0-10 (foot).
    """

    limb: Limb
    site: str
    state: JointState
    narrowing: int
    erosion: int

    @property
    def scores(self) -> dict[Damage, float]:
        """What was added as continuous scores: of narrowing a part of a grade is known."""
        return {Damage.NARROWING: self.state.narrowing_score, Damage.EROSION: float(self.erosion)}


def inflict(
    film: Radiograph | NDArray[np.float32],
    landmarks: ArrayLike,
    site: str,
    *,
    narrowing: int | None = None,
    erosion: int | None = None,
    seed: int = 0,
    spaces: NDArray[np.uint8] | None = None,
    erosions: NDArray[np.uint8] | None = None,
) -> Inflicted:
    """Damage one site of a film.

    Args:
        film: a film, or its pixels: (H, W) float32, 0..1, bright bone. Mirrored and turned films
            are fine: directions follow from the landmarks.
        landmarks: (N, 2) px of the film, the landmarks of the limb in the order of
            ``anatomy.LANDMARKS``; NaN where unknown. Their number tells hand from foot. Errors
            of about 2 % of the limb size are corrected.
        site: name of an SvH site, such as ``mcp2``.
        narrowing: SvH grade to add, 0-4; None is 0.
        erosion: SvH grade to add, 0-5 (hand) or 0-10 (foot); None is 0.
        seed: the same film, landmarks, site, grades and seed give the same result.
        spaces: (H, W) joint spaces of the film, 1 + index of the landmark, 0 elsewhere.
        erosions: (H, W) erosions that the film has, likewise.

    Returns:
        The film with the damage; if both grades are 0, its pixels unchanged.

    Raises:
        ValueError: if an argument breaks a rule, or the joint is not found in the pixels.
    """
    pixels = film.pixels if isinstance(film, Radiograph) else _checked(film)
    limb = LimbLandmarks.of(as_points(landmarks), pixels.shape)
    grades = {Damage.NARROWING: narrowing or 0, Damage.EROSION: erosion or 0}
    _check_grades(limb.limb, site, grades)
    rng = np.random.default_rng([seed, *site.encode()])
    _check_maps(pixels, spaces=spaces, erosions=erosions)
    state = _draw(limb.limb, site, grades, rng)
    # every limb is handled as a left one, so that a mirrored film gets a mirrored result
    mirrored = limb.mirrored
    subject = Subject(pixels, limb, site, limb.place(site), spaces, erosions)
    shown = _mirrored(subject) if mirrored else subject
    outcome = _damaged(shown, state, rng) if any(grades.values()) else healthy(shown)
    if mirrored:
        outcome = _mirrored_back(outcome)
    return Inflicted(
        **vars(outcome), limb=limb.limb, site=site, state=state, narrowing=state.narrowing_grade,
        erosion=state.erosion_grade(limb.limb),
    )  # fmt: skip


def _mirrored(subject: Subject) -> Subject:
    """The mirror image, which looks like a left limb."""
    limb = subject.landmarks.flipped()
    return replace(
        subject, pixels=_flipped(subject.pixels), landmarks=limb, place=limb.place(subject.site),
        spaces=_flipped_map(subject.spaces), erosions=_flipped_map(subject.erosions),
    )  # fmt: skip


def _mirrored_back(outcome: Outcome) -> Outcome:
    back = [outcome.pixels.shape[1] - 1.0, 0.0]
    return Outcome(
        pixels=_flipped(outcome.pixels),
        eroded=_flipped(outcome.eroded),
        landmark=outcome.landmark * [-1.0, 1.0] + back,
        line=outcome.line * [-1.0, 1.0] + back,
        quality=outcome.quality,
        spaces=_flipped_map(outcome.spaces),
        erosions=_flipped_map(outcome.erosions),
    )


def _damaged(subject: Subject, state: JointState, rng: np.random.Generator) -> Outcome:
    """The film with the damage, by a magnified copy of a part of it if it is coarse."""
    limb, site = subject.landmarks, subject.site
    times = magnification(limb.size_px)
    if times == 1:
        return damaged(subject, state, rng)
    reach = BONES[site].reach if subject.in_bone else JOINTS[limb.limb][site].reach
    part = Magnified.around(subject.place, reach * limb.size_px, limb.shape, times)
    before, maps = part.copy(subject.pixels), (subject.spaces, subject.erosions)
    spaces, erosions = (None if m is None else part.copy_labels(m) for m in maps)
    copy = Subject(
        before, limb.magnified(part), site, part.to_copy(subject.place), spaces, erosions, times
    )
    outcome = damaged(copy, state, rng)
    spaces, erosions = (
        None if given is None or new is None else part.labels_back(given, new)
        for given, new in zip(maps, (outcome.spaces, outcome.erosions), strict=True)
    )
    return Outcome(
        pixels=part.changed(subject.pixels, before, outcome.pixels),
        eroded=part.mask_back(limb.shape, outcome.eroded),
        landmark=part.to_film(outcome.landmark),
        line=part.to_film(outcome.line),
        quality=outcome.quality,
        spaces=spaces,
        erosions=erosions,
    )


def _draw(
    limb: Limb, site: str, grades: Mapping[Damage, int], rng: np.random.Generator
) -> JointState:
    """A state of exactly these grades that can be shown at this site."""
    anchors = len(BONES[site].bare) if limb is Limb.HAND and site in BONES else 4
    # a displacement of the film cannot show bone that lies over bone
    state = draw_state(
        rng, grades[Damage.NARROWING], grades[Damage.EROSION], limb, anchors, slides=False
    )
    if not grades[Damage.NARROWING]:
        state = replace(state, loss=0.0)
    if site == "mc1":  # of this joint only the base of the metacarpal is scored
        erosions = tuple(replace(e, anchor=e.anchor | 1) for e in state.erosions)
        state = replace(state, erosions=erosions)
    return state


def _checked(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    array = np.asarray(pixels)
    if array.ndim != 2 or array.dtype != np.float32:
        raise InputError(
            f"a film must be (H, W) float32, got {array.shape}, {array.dtype}; "
            "read films with mandora.images.read"
        )
    if not (array.min() >= 0 and array.max() <= 1):  # false for NaN
        raise InputError(
            f"a film's pixels must lie in 0..1, got {array.min()}..{array.max()}; "
            "read films with mandora.images.read"
        )
    return array


def _check_maps(pixels: NDArray[np.float32], **maps: NDArray[np.uint8] | None) -> None:
    for name, given in maps.items():
        if given is not None and (given.shape != pixels.shape or given.dtype != np.uint8):
            raise InputError(
                f"{name} must be a uint8 map of the film's shape {pixels.shape}, got "
                f"{given.shape}, {given.dtype}"
            )


def _flipped(array: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(array[:, ::-1])


def _flipped_map(labels: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
    return None if labels is None else _flipped(labels)


def _check_grades(limb: Limb, site: str, grades: Mapping[Damage, int]) -> None:
    maxima = {damage: {s.name: s.maximum for s in FAMILIES[limb, damage]} for damage in Damage}
    if not any(site in known for known in maxima.values()):
        names = ", ".join(dict.fromkeys(n for known in maxima.values() for n in known))
        raise InputError(f"a {limb} has no site {site!r}; its sites are {names}")
    for damage, grade in grades.items():
        maximum = maxima[damage].get(site, 0)
        if isinstance(grade, bool) or grade not in range(maximum + 1):
            limit = f"0 to {maximum}" if maximum else "0: it is not scored there"
            raise InputError(
                f"{site}: the {damage} of a {limb}'s {site} has to be a whole number, "
                f"{limit}, got {grade}"
            )
