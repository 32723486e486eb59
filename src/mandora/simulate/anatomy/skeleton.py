"""The parts of a simulated limb, and the traits in which patients differ.

Everything is in the limb's frame: mm, x to the right, y down, as a *left* limb lies on the
film with its fingers or toes up (thumb and great toe on the right).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from mandora.core.anatomy import LANDMARK_INDEX, Limb
from mandora.simulate.anatomy.joint_state import Erosion
from mandora.simulate.anatomy.shapes import SMOOTH, Array, Form, Tube


@dataclass(frozen=True)
class TubeState:
    """How a tubular bone is turned and bent, and what it consists of.

    Attributes:
        pitch: rotation out of the film's plane, rad; positive lifts the head off the film.
        tilt: slope of the base's surface, from joint space that is lost on one half only.
        bow: sideways bulge of the shaft, mm.
        skew: sideways shift of the head's summit, share of half its width.
        cortex: thickness of the compact shell at the base, in the shaft, at the head, mm.
        endplate: thickness of the two joint surfaces, mm.
        plate: place of a growth plate on the axis, 0..1; None where it is gone.
        closing: of the growth plate: 0 open, 1 closed, only a dense line is left.
        porosity: share of the bone that is lost around the base and the head, 0..1.
        form: contour and inner structure of this one bone.
    """

    pitch: float = 0.0
    tilt: float = 0.0
    bow: float = 0.0
    skew: float = 0.0
    cortex: tuple[float, float, float] = (0.5, 1.6, 0.45)
    endplate: tuple[float, float] = (0.7, 0.5)
    plate: float | None = None
    closing: float = 0.0
    porosity: tuple[float, float] = (0.0, 0.0)
    form: Form = SMOOTH


@dataclass(frozen=True, eq=False)
class Bone:
    """One bone.

    Attributes:
        name: such as ``mc3``.
        outline: (N, 2) mm, in the middle of its thickness.
        radius: half thickness along the beam, mm; tubular bones have their own.
        cortex: thickness of the shell at the base, in the shaft and at the head, mm.
        axis: (2, 2) mm, proximal and distal end; None for short bones.
        plate: place of a growth plate on the axis, 0..1; None where it is gone.
        closing: of the growth plate: 0 open, 1 closed, only a dense line is left.
        tube: proportions of a tubular bone; None for the others, whose thickness follows from the
            distance to the outline.
        tube_state: of a tubular bone.
        porosity: share of a short bone's substance that is lost, 0..1.
        yields: the bone is cut back so that its joint spaces stay open.
        veil: share of such a bone's thickness that is not cut back: its back or front, which
            lies over the joint space on the film.
        slant: mm, x and y, how far the front of such a bone lies to one side of its middle on the
            film, and its back to the other: both together are the veil. None: the veil is the
            whole outline.
        anatomical: a bone of its own, not a part of another one with its own shadow.
    """

    name: str
    outline: Array
    radius: float
    cortex: tuple[float, float, float]
    axis: Array | None = None
    plate: float | None = None
    closing: float = 0.0
    tube: Tube | None = None
    tube_state: TubeState = field(default_factory=TubeState)
    porosity: float = 0.0
    yields: bool = False
    veil: float = 0.0
    slant: tuple[float, float] | None = None
    anatomical: bool = True


@dataclass(frozen=True)
class Gap:
    """Joint space between a short bone and another bone, mm."""

    first: str
    second: str
    width: float
    label: int = 0  # 1 + index of the landmark whose joint space it is; 0 if it has none
    fused: bool = False


@dataclass(frozen=True, eq=False)
class Strip:
    """Joint space between two tubular bones: polygon (N, 2) mm and 1 + index of its landmark."""

    polygon: Array
    label: int
    fused: bool = False


@dataclass(frozen=True, eq=False)
class PlacedErosion:
    """One erosion of a bone of this limb.

    Attributes:
        bone: its name.
        place: (2,) mm, where it starts at the bone's margin; of a collapse, the middle of the end.
        inward: (2,) unit vector from there into the bone.
        width: of the bone, mm: the unit of the erosion's lengths.
        erosion: its form.
        label: 1 + index of the landmark whose erosion it is; 0 if it has none.
    """

    bone: str
    place: Array
    inward: Array
    width: float
    erosion: Erosion
    label: int


@dataclass(frozen=True, eq=False)
class Spot:
    """A place in a bone that is denser or less dense, but no erosion.

    Attributes:
        bone: its name.
        centre: (2,) mm.
        half: half lengths of the ellipse, mm.
        angle: direction of the first half length on the film, rad.
        change: of the bone's substance, a share: -1 all is gone, 0 nothing, 0.5 half as much again.
        rim: the same of a thin rim around it.
    """

    bone: str
    centre: Array
    half: tuple[float, float]
    angle: float
    change: float
    rim: float = 0.0


@dataclass(frozen=True, eq=False)
class Calcification:
    """Calcium beside the bones: a tube whose two walls are seen, as of an artery.

    Attributes:
        course: (N, 2) mm.
        width: from wall to wall, mm; 0: a single line.
        thickness: along the beam, mm of compact bone.
        broken: share of its length that is not calcified.
    """

    course: Array
    width: float
    thickness: float
    broken: float


@dataclass(frozen=True, eq=False)
class Rod:
    """A tapered rod of soft tissue."""

    start: Array
    end: Array
    radius: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Skeleton:
    """One limb, ready to be projected.

    Attributes:
        limb: hand or foot.
        landmarks: (N, 2) mm, in the order of ``anatomy.LANDMARKS``.
        size_mm: |MCP2-MCP5| or |MTP1-MTP5|.
        bones: in the order in which they are projected.
        gaps: joint spaces of short bones.
        strips: joint spaces between tubular bones.
        erosions: of all bones.
        soft_tissue: of the limb.
        spots: of all bones.
        calcifications: beside the bones.
    """

    limb: Limb
    landmarks: Array
    size_mm: float
    bones: tuple[Bone, ...]
    gaps: tuple[Gap, ...]
    strips: tuple[Strip, ...]
    erosions: tuple[PlacedErosion, ...]
    soft_tissue: tuple[Rod, ...]
    spots: tuple[Spot, ...] = ()
    calcifications: tuple[Calcification, ...] = ()


@dataclass(frozen=True)
class Traits:
    """What is the same in all films of a patient.

    Attributes:
        size: 1 is an average adult.
        robust: bone width relative to length.
        cortex: thickness of the shell, 1 average; small with osteopenia.
        space: width of healthy joint spaces, 1 average; what is lost is a share of it.
        finger_space: the same of interphalangeal joints, relative to ``space``.
        osteoarthritis: 0 none to 1 severe.
        soft_tissue: thickness of the soft tissue, 1 average.
        porosity: share of the spongy bone that is lost with age, 0..0.5.
        immature: growth plates are seen.
        closing: how far they have closed: 0 open, 1 closed, only a dense line is left.
        female: women have smaller and more slender bones, and lose more of them.
        age: years.
        shape_deviation: how far the shape of the foot lies from the mean, relative to the cohort
            that it is drawn from.
    """

    size: float = 1.0
    robust: float = 1.0
    cortex: float = 1.0
    space: float = 1.0
    finger_space: float = 1.0
    osteoarthritis: float = 0.0
    soft_tissue: float = 1.0
    porosity: float = 0.0
    immature: bool = False
    closing: float = 0.0
    female: bool = True
    age: float = 50.0
    shape_deviation: float = 1.0

    @staticmethod
    def draw(rng: np.random.Generator, immature_share: float = 0.0) -> Traits:
        """Draw a patient; three of four are women, as with rheumatoid arthritis."""
        n = rng.normal
        immature = bool(rng.random() < immature_share)
        female = bool(rng.random() < 0.75)
        age = rng.uniform(9, 17) if immature else float(np.clip(n(57, 13), 18, 90))
        lost = max(age - 50, 0.0) * (
            0.008 if female else 0.004
        )  # of the cortex since the age of 50
        mean = 0.92 if immature else 0.975 if female else 1.06
        return Traits(
            size=float(np.clip(n(mean, 0.055), 0.7, 1.2)),
            robust=float(np.clip(n(0.98 if female else 1.05, 0.06), 0.82, 1.2)),
            cortex=float(np.clip(n(1.03 - lost, 0.16), 0.5, 1.4)),
            space=float(np.clip(n(1.0, 0.09) * _usual_space(age, female), 0.6, 1.4)),
            finger_space=float(np.clip(n(1.0 if female else 1.04, 0.06), 0.8, 1.2)),
            osteoarthritis=float(np.clip(n((age - (57 if female else 63)) / 40, 0.3), 0, 1)),
            soft_tissue=float(np.clip(n(1.0, 0.10), 0.75, 1.3)),
            porosity=float(np.clip(n(0.05 + lost, 0.06), 0.0, 0.5)),
            immature=immature,
            closing=float(np.clip(n((age - 12) / 4, 0.2), 0, 1)) if immature else 0.0,
            female=female,
            age=age,
        )


def _usual_space(age: float, female: bool) -> float:
    """Mean width of joint spaces, relative to people of average size at the age of 50.

    They grow thinner with age, in women more. Men have wider ones, metacarpophalangeal by 11 %,
    proximal interphalangeal by 15 % (Pfeil et al., Rofo 2007;179:WI_PO_5 and Acad Radiol
    2007;14:594); most of that is their size.
    """
    thinner = (0.004 if female else 0.003) * (age - 50)
    return (1.0 if female else 1.02) * (1 - thinner)


@cache
def _prior(limb: Limb) -> tuple[tuple[str, ...], Array, Array]:
    text = files(__package__).joinpath("shape_prior.json").read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text)[limb.value]
    values, vectors = np.linalg.eigh(np.array(data["cov"]))
    # an eigenvector's sign is the solver's choice: fixed, so that a seed draws one shape everywhere
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(len(values))]
    root = vectors * np.sign(largest) * np.sqrt(np.clip(values, 0, None))
    return tuple(data["labels"]), np.array(data["mean"]), root


def draw_landmarks(
    limb: Limb,
    patient_rng: np.random.Generator,
    film_rng: np.random.Generator,
    shape_deviation: float = 1.0,
) -> dict[str, Array]:
    """Draw the landmarks of a left limb.

    The mean and the covariance are those of clicked landmarks of 736 hands or feet of people with
    rheumatoid arthritis.

    Args:
        limb: hand or foot.
        patient_rng: for the part of the shape that both sides share.
        film_rng: for the rest.
        shape_deviation: factor of the deviation from the mean.

    Returns:
        (2,) places by name, in |MCP2-MCP5| or |MTP1-MTP5|.
    """
    labels, mean, root = _prior(limb)
    z = np.sqrt(0.65) * patient_rng.standard_normal(len(mean))
    z = z + np.sqrt(0.35) * film_rng.standard_normal(len(mean))
    xy = (mean + root @ np.clip(z, -2.6, 2.6) * shape_deviation).reshape(-1, 2)
    if limb is Limb.FOOT:
        xy[:, 0] = -xy[:, 0]  # the prior has the great toe on the left
    return dict(zip(labels, xy, strict=True))


def label_of(limb: Limb, name: str) -> int:
    """1 + index of a landmark; 0 if the limb has no such landmark."""
    return LANDMARK_INDEX[limb].get(name, -1) + 1
