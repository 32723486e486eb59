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

from mandora.core.anatomy import FAMILIES, LANDMARK_INDEX, Damage, Limb
from mandora.core.errors import InputError
from mandora.core.geometry import as_points
from mandora.images.radiograph import Radiograph
from mandora.inflict.bone_edges import bone_margin, joint_margin, outline
from mandora.inflict.erosion import carve
from mandora.inflict.joint_line import ExpectedLine, JointLine, NoJointLine, find_joint_line
from mandora.inflict.narrowing import (
    Displacement,
    bridged,
    displaced,
    displacement,
    fade_px,
    narrowed,
)
from mandora.inflict.region import Array, Frame, Region
from mandora.inflict.sites import BONES, JOINTS, WRIST_AXES, LimbLandmarks
from mandora.simulate.anatomy.joint_state import JointState, draw_state

LANDMARK_ERROR = 0.02  # expected standard deviation, in limb sizes
# Least darkening by erosions of a bone of the wrist, as a share of the range of grey around it;
# around the forearm's bones that range is wider: soft tissue lies beside them.
MIN_DARKENING, MIN_DARKENING_BESIDE_SOFT_TISSUE = 0.12, 0.08


@dataclass(frozen=True, eq=False)
class Inflicted:
    """A film with damage of known grade.

    Attributes:
        pixels: (H, W) float32, 0..1, bright bone.
        limb: hand or foot.
        site: name of the site.
        state: what was done to the joint.
        narrowing: SvH grade that was added, 0-4.
        erosion: SvH grade that was added, 0-5 (hand) or 0-10 (foot).
        eroded: (H, W) bool, where bone was taken away.
        landmark: (2,) float64 px of the film, the site's landmark after the damage; for the
            navicular, which has no landmark, its centre.
        line: (M, 2) float64 px of the film, the middle of the joint space as it was found; for a
            bone of the wrist its outline; no rows if both grades are 0.
        quality: how clear the joint space is: how much darker than its sides, as a share of the
            range of grey around, 0..1; 1 for a bone of the wrist.
        spaces: (H, W) uint8, the map of joint spaces that was given, after the damage: narrowed
            with the film, and without the joint that bone bridges; None if none was given.
        erosions: (H, W) uint8, the map of erosions that was given, after the damage, with
            ``eroded``; None if none was given.
    """

    pixels: NDArray[np.float32]
    limb: Limb
    site: str
    state: JointState
    narrowing: int
    erosion: int
    eroded: NDArray[np.bool_]
    landmark: NDArray[np.float64]
    line: NDArray[np.float64]
    quality: float
    spaces: NDArray[np.uint8] | None = None
    erosions: NDArray[np.uint8] | None = None


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
    if not limb.mirrored:
        return _Operation(pixels, limb, site, spaces, erosions).run(grades, rng)
    # every limb is handled as a left one, so that a mirrored film gets a mirrored result
    left = _Operation(
        _flipped(pixels), limb.flipped(), site, _flipped_map(spaces), _flipped_map(erosions)
    )
    result = left.run(grades, rng)
    back = [pixels.shape[1] - 1.0, 0.0]
    return replace(
        result,
        pixels=_flipped(result.pixels),
        eroded=_flipped(result.eroded),
        spaces=_flipped_map(result.spaces),
        erosions=_flipped_map(result.erosions),
        landmark=result.landmark * [-1.0, 1.0] + back,
        line=result.line * [-1.0, 1.0] + back,
    )


@dataclass(frozen=True, eq=False)
class _Operation:
    """One film, shown like a left limb, and the site on it."""

    pixels: NDArray[np.float32]
    landmarks: LimbLandmarks
    site: str
    spaces: NDArray[np.uint8] | None
    erosions: NDArray[np.uint8] | None

    def run(self, grades: Mapping[Damage, int], rng: np.random.Generator) -> Inflicted:
        """The film with damage of these grades."""
        limb, site = self.landmarks.limb, self.site
        in_bone = limb is Limb.HAND and site in BONES
        landmark = self.landmarks.centre(site) if in_bone else self.landmarks.known(site, site)
        state = _draw(limb, site, grades, rng)
        result = Inflicted(
            self.pixels, limb, site, state, state.narrowing_grade, state.erosion_grade(limb),
            np.zeros(self.pixels.shape, np.bool_), landmark, np.empty((0, 2)), 1.0,
            self.spaces, self.erosions,
        )  # fmt: skip
        if not any(grades.values()):
            return result
        return (self._on_bone if in_bone else self._on_joint)(result, rng)

    def _on_joint(self, result: Inflicted, rng: np.random.Generator) -> Inflicted:
        line = self._line(result.landmark)
        width = line.width
        along = max(fade_px(line) + 0.35 * width, 0.9 * width) + line.gap
        region = Region(line.frame, self.pixels.shape, 1.1 * width, along)
        film = region.cut(self.pixels)
        state, landmark = result.state, result.landmark
        before = line
        if result.narrowing:
            moved = displacement(line, state, region, float(rng.choice([-1.0, 1.0])))
            film = narrowed(film, region, moved, rng)
            if state.fused:
                film = bridged(film, region, moved, rng)
            result = self._moved(result, region, moved)
            u, v = line.frame.from_film(landmark[:1], landmark[1:])
            landmark = np.concatenate(line.frame.to_film(u, moved.forward(u, v)))
            line = moved.closer
        eroded = np.zeros(film.shape, np.bool_)
        for erosion in state.erosions:
            margin = joint_margin(film, line, region, erosion.anchor)
            film, gone = carve(film, region, margin, erosion, rng)
            eroded |= gone
        return replace(
            self._with(result, region, film, eroded),
            landmark=landmark, line=before.line, quality=min(before.quality, 1.0),
        )  # fmt: skip

    def _line(self, landmark: Array) -> JointLine:
        joint, size_px = JOINTS[self.landmarks.limb][self.site], self.landmarks.size_px
        axis = self.landmarks.axis(self.site, joint.axes)
        frame = Frame(landmark + joint.shift * size_px * axis, axis)
        expected = ExpectedLine(
            joint.width * size_px, joint.gap * size_px, LANDMARK_ERROR * size_px,
            joint.plate * size_px, joint.round_of * size_px,
        )  # fmt: skip
        try:
            return find_joint_line(self.pixels, frame, expected)
        except NoJointLine as reason:
            raise InputError(
                f"{self.site}: no joint line was found near "
                f"({landmark[0]:.0f}, {landmark[1]:.0f}): {reason}; "
                "correct the landmark, or leave this site out"
            ) from None

    def _on_bone(self, result: Inflicted, rng: np.random.Generator) -> Inflicted:
        bone = BONES[self.site]
        radius = bone.radius * self.landmarks.size_px
        frame = Frame(result.landmark, self.landmarks.axis(self.site, WRIST_AXES))
        region = Region(frame, self.pixels.shape, 2.4 * radius, 2.4 * radius)
        before = region.cut(self.pixels)
        edge = outline(before, region, radius)
        turns = np.arange(len(edge)) * 2 * np.pi / len(edge)
        around = np.column_stack(frame.to_film(edge * np.sin(turns), edge * np.cos(turns)))
        seen, least = 0.0, MIN_DARKENING_BESIDE_SOFT_TISSUE if bone.forearm else MIN_DARKENING
        for moved in range(len(bone.bare)):  # elsewhere on the bone if too little is seen
            film, eroded = before, np.zeros(before.shape, np.bool_)
            for erosion in result.state.erosions:
                degrees = bone.bare[(erosion.anchor + moved) % len(bone.bare)]
                degrees += float(rng.uniform(-12, 12))
                beside_soft_tissue = bone.forearm and abs(degrees) > 40
                margin = bone_margin(edge, region, np.radians(degrees), beside_soft_tissue)
                film, gone = carve(film, region, margin, erosion, rng)
                eroded |= gone
            seen = _darkening(before, film, eroded)
            if seen >= least:
                return replace(self._with(result, region, film, eroded), line=around)
        raise InputError(
            f"{self.site}: an erosion would be seen nowhere at the edge of this bone: the last one "
            f"was darker by {seen:.2f} of the range of grey around it, at least {least} is "
            "needed; correct the landmarks, or leave this site out"
        )

    def _with(
        self, result: Inflicted, region: Region, film: Array, eroded: NDArray[np.bool_]
    ) -> Inflicted:
        pixels, mask = self.pixels.copy(), result.eroded
        pixels[region.rows, region.columns] = np.clip(film, 0, 1)
        mask[region.rows, region.columns] = eroded
        erosions = result.erosions
        if erosions is not None:
            erosions = np.where(mask, self._label, erosions)
        return replace(result, pixels=pixels, eroded=mask, erosions=erosions)

    def _moved(self, result: Inflicted, region: Region, moved: Displacement) -> Inflicted:
        """The maps after the joint was narrowed."""
        spaces, erosions = (
            None if given is None else displaced(given, region, moved)
            for given in (result.spaces, result.erosions)
        )
        if spaces is not None and result.state.fused:
            spaces[spaces == self._label] = 0
        return replace(result, spaces=spaces, erosions=erosions)

    @property
    def _label(self) -> np.uint8:
        """The label of this site's landmark in the maps."""
        limb = self.landmarks.limb
        sites = (site for kind in Damage for site in FAMILIES[limb, kind])
        landmark = next(site.landmark_name for site in sites if site.name == self.site)
        return np.uint8(1 + LANDMARK_INDEX[limb][landmark])


def _darkening(before: Array, after: Array, eroded: NDArray[np.bool_]) -> float:
    """Mean darkening by erosions, as a share of the range of grey around them."""
    low, high = np.percentile(before, (5, 95))
    if not eroded.any():
        return 0.0
    return float((before - after)[eroded].mean() / max(high - low, 1e-6))


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
