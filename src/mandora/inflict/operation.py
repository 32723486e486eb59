"""One site of a film is damaged: the joint or bone is found, narrowed, eroded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import FAMILIES, LANDMARK_INDEX, Damage, Limb
from mandora.core.errors import InputError
from mandora.inflict.bone_edges import (
    RAYS,
    Margin,
    bone_margin,
    collapse_margin,
    joint_margin,
    outline,
)
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
from mandora.inflict.outlines import expected_area
from mandora.inflict.region import Array, Frame, Region
from mandora.inflict.sites import BONES, JOINTS, WRIST_AXES, ExpectedBone, LimbLandmarks
from mandora.simulate.anatomy.joint_state import Erosion, JointState
from mandora.simulate.anatomy.wrist import spread_along_surface

LANDMARK_ERROR = 0.02  # expected standard deviation, in limb sizes
SEEN = 0.10  # least darkening by an erosion, as a share of the range of grey around the site
THROUGH_FOREARM = 0.85  # depth of an erosion there, as a share of that of a short bone
SEEN_AREA = 0.5  # share of its area over which it has to; over less it has to be darker


@dataclass(frozen=True, eq=False)
class Subject:
    """One film, shown like a left limb, and the site on it.

    Attributes:
        pixels: (H, W) float32, 0..1, bright bone.
        landmarks: of the limb on it.
        site: name of an SvH site.
        place: (2,) px, where the damage is: at the site's landmark, or the centre of the bone.
        spaces: (H, W) map of joint spaces; None if none is known.
        erosions: (H, W) map of erosions, likewise.
        grain: length of a pixel of the film, px of ``pixels``; above 1 on a magnified copy.
    """

    pixels: NDArray[np.float32]
    landmarks: LimbLandmarks
    site: str
    place: Array
    spaces: NDArray[np.uint8] | None
    erosions: NDArray[np.uint8] | None
    grain: int = 1

    @property
    def in_bone(self) -> bool:
        """The site is a bone of the wrist, not a joint."""
        return self.landmarks.limb is Limb.HAND and self.site in BONES

    @property
    def landmark(self) -> Array:
        """(2,) px, where the site's landmark lies; of the navicular, which has none, the centre."""
        if self.site in LANDMARK_INDEX[self.landmarks.limb]:
            return self.landmarks.known(self.site, self.site)
        return self.place

    @property
    def label(self) -> np.uint8:
        """The label of this site's landmark in the maps."""
        limb = self.landmarks.limb
        sites = (site for kind in Damage for site in FAMILIES[limb, kind])
        landmark = next(site.landmark_name for site in sites if site.name == self.site)
        return np.uint8(1 + LANDMARK_INDEX[limb][landmark])


@dataclass(frozen=True, eq=False)
class Outcome:
    """What damage made of a film.

    Attributes:
        pixels: (H, W) float32, 0..1, bright bone.
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
    eroded: NDArray[np.bool_]
    landmark: Array
    line: Array
    quality: float
    spaces: NDArray[np.uint8] | None
    erosions: NDArray[np.uint8] | None


def healthy(subject: Subject) -> Outcome:
    """The film without any damage."""
    return Outcome(
        subject.pixels, np.zeros(subject.pixels.shape, np.bool_), subject.landmark,
        np.empty((0, 2)), 1.0, subject.spaces, subject.erosions,
    )  # fmt: skip


def damaged(subject: Subject, state: JointState, rng: np.random.Generator) -> Outcome:
    """The film with the damage of this state.

    Raises:
        ValueError: if the joint is not found in the pixels, or an erosion would not be seen.
    """
    return (_in_bone if subject.in_bone else _in_joint)(subject, state, rng)


def _in_joint(subject: Subject, state: JointState, rng: np.random.Generator) -> Outcome:
    line = before = _line(subject)
    width = line.width
    along = max(fade_px(line) + 0.35 * width, 0.9 * width) + line.gap
    half = 1.1 * width, along
    region = Region(line.frame, subject.pixels.shape, half, subject.grain)
    film, outcome = region.cut(subject.pixels), healthy(subject)
    landmark = subject.landmark
    if state.narrowing_grade:
        moved = displacement(line, state, region, float(rng.choice([-1.0, 1.0])))
        film = narrowed(film, region, moved, rng)
        if state.fused:
            film = bridged(film, region, moved, rng)
        outcome = _maps_moved(subject, state, region, moved)
        u, v = line.frame.from_film(landmark[:1], landmark[1:])
        landmark = np.concatenate(line.frame.to_film(u, moved.forward(u, v)))
        line = moved.closer

    def margins(erosion: Erosion, grey: Array) -> Iterator[Margin]:
        find = collapse_margin if erosion.collapse else joint_margin
        for anchor in _bare_areas(subject, erosion):
            yield find(grey, line, region, anchor)

    new = _carved(subject, region, (film, 0.6 * width), (state.erosions, margins), rng)
    outcome = _with(subject, outcome, region, new)
    return replace(outcome, landmark=landmark, line=before.line, quality=min(before.quality, 1.0))


def _line(subject: Subject) -> JointLine:
    landmarks, site = subject.landmarks, subject.site
    joint, size_px = JOINTS[landmarks.limb][site], landmarks.size_px
    axis = landmarks.axis(site, joint.axes)
    frame = Frame(subject.place + joint.shift * size_px * axis, axis)
    expected = ExpectedLine(
        joint.width * size_px, joint.gap * size_px, LANDMARK_ERROR * size_px,
        joint.plate * size_px, joint.round_of * size_px,
    )  # fmt: skip
    try:
        return find_joint_line(subject.pixels, frame, expected)
    except NoJointLine as reason:
        raise InputError(
            f"{site}: no joint line was found near its landmark: {reason}; correct the landmark, "
            "or leave this site out"
        ) from None


def _in_bone(subject: Subject, state: JointState, rng: np.random.Generator) -> Outcome:
    bone = BONES[subject.site]
    radius = bone.radius * subject.landmarks.size_px
    frame = Frame(subject.place, subject.landmarks.axis(subject.site, WRIST_AXES))
    half = 2.4 * radius, 2.4 * radius
    region = Region(frame, subject.pixels.shape, half, subject.grain)
    before = region.cut(subject.pixels)
    turns = np.arange(RAYS) * 2 * np.pi / RAYS
    edge = outline(before, region, bone.edge(turns) * subject.landmarks.size_px)
    around = np.column_stack(frame.to_film(edge * np.sin(turns), edge * np.cos(turns)))

    def margins(erosion: Erosion, _: Array) -> Iterator[Margin]:
        end = bone.forearm and erosion.collapse
        for moved in range(1 if end else len(bone.bare)):
            degrees = 0.0 if end else bone.bare[(erosion.anchor + moved) % len(bone.bare)]
            degrees += float(rng.uniform(-12, 12))
            soft = bone.forearm and abs(degrees) > 40
            margin = bone_margin(edge, region, np.radians(degrees), soft)
            if end:
                margin = replace(margin, soft_tissue=(0.5, 0.0), whole_end=True)
            elif bone.forearm and not soft:  # at the joint surface: the joint space
                margin = replace(margin, soft_tissue=(0.05, 0.15))
            yield margin

    erosions = [_as_in(subject.site, bone, erosion) for erosion in state.erosions]
    new = _carved(subject, region, (before, 1.3 * radius), (erosions, margins), rng)
    return replace(_with(subject, healthy(subject), region, new), line=around)


def _as_in(site: str, bone: ExpectedBone, erosion: Erosion) -> Erosion:
    """An erosion as it is in the ends of the forearm's long bones."""
    if site == "radius":
        erosion = spread_along_surface(erosion)
    if bone.forearm:  # some of a thick bone is left before or behind it
        erosion = replace(erosion, depth=THROUGH_FOREARM * erosion.depth)
    return erosion


def _bare_areas(subject: Subject, erosion: Erosion) -> Iterator[int]:
    """The bare area of an erosion, then others that count alike."""
    yield erosion.anchor
    if not erosion.collapse:
        yield (erosion.anchor + 2) % 4  # the other side of the same bone
    if subject.landmarks.limb is Limb.HAND and subject.site != "mc1":  # the other bone
        yield (erosion.anchor + 1) % 4
        if not erosion.collapse:
            yield (erosion.anchor + 3) % 4


def _carved(
    subject: Subject,
    region: Region,
    film_near: tuple[Array, float],
    erosions: tuple[Sequence[Erosion], Callable[[Erosion, Array], Iterable[Margin]]],
    rng: np.random.Generator,
) -> tuple[Array, NDArray[np.bool_]]:
    """A region with erosions, each at the first of its margins where it is seen; and where.

    Args:
        subject: what is damaged.
        region: where it lies.
        film_near: (h, w) the region of the film, and how far from its middle grey is compared, px.
        erosions: and the margins where each of them may start, on the film as it is then.
        rng: for their noise.

    Raises:
        ValueError: if an erosion would be seen at none of its margins.
    """
    film, near = film_near
    eroded = np.zeros(film.shape, np.bool_)
    around = np.hypot(region.u, region.v) < near
    scale = max(float(np.ptp(np.percentile(film[around], (5, 95)))), 1e-6)
    for erosion in erosions[0]:
        most = 0.0
        for margin in erosions[1](erosion, film):
            after, gone = carve(film, region, margin, erosion, rng)
            area = gone.sum() / expected_area(erosion, margin.width)
            darker = float((film - after)[gone].mean()) / scale if gone.any() else 0.0
            seen = darker * min(area / SEEN_AREA, 1.0)
            most = max(most, seen)
            if seen >= SEEN:
                film, eroded = after, eroded | gone
                break
        else:
            raise InputError(
                f"{subject.site}: an erosion would be seen nowhere at the edge of this bone: it "
                f"would darken at most {most:.2f} of the range of grey around it, at least {SEEN} "
                "is needed; correct the landmarks, or leave this site out"
            )
    return film, eroded


def _with(
    subject: Subject, outcome: Outcome, region: Region, new: tuple[Array, NDArray[np.bool_]]
) -> Outcome:
    """The outcome with the new grey of a region and what is eroded there."""
    film, gone = new
    pixels, eroded = outcome.pixels.copy(), outcome.eroded.copy()
    pixels[region.rows, region.columns] = np.clip(film, 0, 1)
    eroded[region.rows, region.columns] = gone
    erosions = outcome.erosions
    if erosions is not None:
        erosions = np.where(eroded, subject.label, erosions)
    return replace(outcome, pixels=pixels, eroded=eroded, erosions=erosions)


def _maps_moved(
    subject: Subject, state: JointState, region: Region, moved: Displacement
) -> Outcome:
    """The maps after the joint was narrowed."""
    spaces, erosions = (
        None if given is None else displaced(given, region, moved)
        for given in (subject.spaces, subject.erosions)
    )
    if spaces is not None and state.fused:
        spaces[spaces == subject.label] = 0
    return replace(healthy(subject), spaces=spaces, erosions=erosions)
