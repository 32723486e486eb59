"""The hindfoot of a simulated foot: its pose, tarsal bones, ankle and their joint spaces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mandora.simulate.anatomy.shapes import Array, smooth_outline, turn
from mandora.simulate.anatomy.skeleton import Bone, Gap, Traits

OBLIQUE_RAD = 0.3  # films on which the foot is rolled further than this are oblique views
_OBLIQUE_SHARE = 0.2
_AVERAGE_SPAN = (0.955, -0.276)  # from MTP5 to MTP1 of an average foot


@dataclass(frozen=True)
class _Tarsal:
    """A short bone, in units: MTP1 to MTP5.

    Attributes:
        height: of its middle above the heads of the metatarsals.
        depth: half of its thickness along the beam.
        side: how much broader it is in side view, relative to its breadth.
        corners: places of the average foot, x towards the great toe, y towards the heel.
    """

    height: float
    depth: float
    side: float
    corners: tuple[tuple[float, float], ...]


_TARSUS = {
    "cuneiform1": _Tarsal(0.18, 0.12, 0.4, (
        (0.14, 0.87), (0.20, 0.85), (0.29, 0.865), (0.375, 0.895), (0.395, 1.01), (0.38, 1.09),
        (0.39, 1.17), (0.34, 1.23), (0.24, 1.235), (0.155, 1.215), (0.135, 1.10), (0.125, 0.99),
    )),
    "cuneiform2": _Tarsal(0.28, 0.10, 0.3, (
        (-0.02, 1.02), (0.055, 1.005), (0.12, 1.02), (0.14, 1.10), (0.145, 1.19), (0.10, 1.225),
        (0.02, 1.215), (-0.02, 1.13),
    )),
    "cuneiform3": _Tarsal(0.23, 0.11, 0.4, (
        (-0.155, 1.055), (-0.08, 1.035), (-0.01, 1.045), (0.005, 1.13), (0.0, 1.22),
        (-0.06, 1.275), (-0.13, 1.28), (-0.155, 1.20), (-0.165, 1.12),
    )),
    "cuboid": _Tarsal(0.07, 0.13, 0.5, (
        (-0.34, 1.165), (-0.27, 1.125), (-0.19, 1.095), (-0.125, 1.11), (-0.085, 1.20),
        (-0.055, 1.31), (-0.055, 1.42), (-0.095, 1.49), (-0.18, 1.505), (-0.265, 1.495),
        (-0.275, 1.40), (-0.325, 1.31), (-0.365, 1.24),
    )),
    "navicular": _Tarsal(0.28, 0.12, 0.2, (
        (-0.10, 1.29), (-0.03, 1.24), (0.08, 1.22), (0.20, 1.23), (0.31, 1.245), (0.38, 1.285),
        (0.425, 1.36), (0.42, 1.44), (0.36, 1.485), (0.305, 1.445), (0.23, 1.39), (0.12, 1.365),
        (0.02, 1.385), (-0.05, 1.43), (-0.105, 1.42),
    )),
    "talus": _Tarsal(0.40, 0.08, 0.4, (
        (-0.085, 1.54), (-0.045, 1.46), (0.02, 1.405), (0.11, 1.385), (0.20, 1.405),
        (0.28, 1.46), (0.305, 1.55), (0.275, 1.66), (0.29, 1.78), (0.30, 2.05), (0.22, 2.25),
        (-0.02, 2.28), (-0.20, 2.10), (-0.20, 1.86), (-0.10, 1.68),
    )),
    "calcaneus": _Tarsal(0.06, 0.08, 1.0, (
        (-0.285, 1.54), (-0.19, 1.52), (-0.095, 1.525), (-0.05, 1.62), (0.02, 1.76),
        (0.16, 1.80), (0.20, 1.90), (0.14, 2.04), (0.15, 2.28), (0.145, 2.44), (0.06, 2.54),
        (-0.07, 2.55), (-0.16, 2.46), (-0.20, 2.25), (-0.215, 2.0), (-0.265, 1.75),
    )),
}  # fmt: skip
_FIRM = ("talus", "calcaneus")  # others give way to them
# Distal ends of the leg, thinner than they are: films show the ankle, where the beam is all but
# gone, with little contrast. The leg runs off the film in a direction of its own.
_LEG = {
    "tibia": (0.045, (
        (0.385, 1.90), (0.34, 1.825), (0.27, 1.86), (0.235, 1.98), (0.10, 1.99), (-0.12, 2.00),
        (-0.24, 2.03), (-0.28, 2.16), (-0.21, 2.50), (-0.13, 2.9), (-0.12, 4.4), (0.23, 4.4),
        (0.235, 2.9), (0.30, 2.50), (0.39, 2.15),
    )),
    "fibula": (0.06, (
        (-0.40, 1.96), (-0.35, 1.90), (-0.285, 1.95), (-0.255, 2.08), (-0.265, 2.30),
        (-0.29, 2.6), (-0.29, 4.4), (-0.41, 4.4), (-0.415, 2.6), (-0.42, 2.20),
    )),
}  # fmt: skip
_STYLOID = (  # the outer corner of the base of MT5
    (-0.375, 1.02), (-0.30, 1.06), (-0.285, 1.15), (-0.325, 1.21), (-0.375, 1.275),
    (-0.41, 1.255), (-0.405, 1.14),
)  # fmt: skip
_ANKLE = (0.02, 1.95)
_CALF = (
    (-0.46, 1.85), (-0.35, 1.72), (0.0, 1.64), (0.32, 1.68), (0.45, 1.82), (0.50, 2.05),
    (0.45, 2.5), (0.48, 5.4), (-0.48, 5.4), (-0.46, 2.5), (-0.52, 2.1),
)  # fmt: skip
# relative to compact bone; far below that of soft tissue, as the leg's bones are drawn thinner
_LEG_DENSITY = 0.063
_GAPS_MM = {  # usual joint space, and how much it varies with the beam
    ("cuneiform1", "mt1"): (1.3, 0.4), ("cuneiform2", "mt2"): (0.4, 0.8),
    ("cuneiform3", "mt3"): (0.1, 0.9), ("cuboid", "mt4"): (0.1, 0.9),
    ("cuboid", "mt5"): (-0.5, 1.2), ("cuneiform1", "mt2"): (0.7, 0.9),
    ("cuneiform1", "cuneiform2"): (0.3, 0.9), ("cuneiform2", "cuneiform3"): (-0.2, 0.8),
    ("cuneiform3", "cuboid"): (-0.5, 1.0), ("navicular", "cuneiform1"): (1.2, 0.5),
    ("navicular", "cuneiform2"): (1.0, 0.5), ("navicular", "cuneiform3"): (0.4, 0.8),
    ("navicular", "cuboid"): (-0.5, 1.0), ("navicular", "talus"): (1.7, 0.4),
    ("cuboid", "calcaneus"): (1.4, 0.8), ("cuboid", "talus"): (0.5, 1.2),
    ("styloid", "mt5"): (-3.0, 0.3),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class FootPose:
    """How a foot lies on the film: from places of the average foot to the film.

    Attributes:
        scale: mm per unit.
        roll: of the sole about the foot's long axis, rad; positive lifts its outer side, so that
            what lies high moves towards the great toe's side.
        tip: of the beam, rad; positive moves what lies high towards the heel.
        lean: of the leg towards the great toe's side, rad.
        axis: (2, 2) turn of the midfoot on the film.
    """

    scale: float
    roll: float
    tip: float
    lean: float
    axis: Array

    @staticmethod
    def draw(scale: float, marks: Mapping[str, Array], rng: np.random.Generator) -> FootPose:
        """Draw a dorsoplantar or an oblique view.

        Args:
            scale: mm per unit.
            marks: (2,) landmarks in units; the midfoot follows the line from MTP5 to MTP1.
            rng: of this film.
        """
        oblique = rng.random() < _OBLIQUE_SHARE
        above = float(np.clip(rng.normal(0, 0.10), -0.2, 0.25))
        roll = float(rng.uniform(OBLIQUE_RAD, 0.75)) if oblique else above
        lean = float(np.clip(1.05 * roll + rng.normal(0, 0.14), -0.6, 0.9))
        span = marks["mtp1"] - marks["mtp5"]
        turned = float(
            np.arctan2(span[1], span[0]) - np.arctan2(_AVERAGE_SPAN[1], _AVERAGE_SPAN[0])
        )
        axis = turn(0.6 * turned + rng.normal(0, 0.04))
        return FootPose(scale, roll, float(rng.normal(0, 0.10)), lean, axis)

    def flat(self, marks: Mapping[str, Array]) -> dict[str, Array]:
        """(2,) mm of landmarks in units; a rolled sole is foreshortened across."""
        return {k: xy * [np.cos(self.roll), 1.0] * self.scale for k, xy in marks.items()}

    def place(self, xy: tuple[float, float] | Array, height: float = 0.0) -> Array:
        """(2,) mm of a place of the average foot."""
        x, y = xy
        shown = (x * np.cos(self.roll) + height * np.sin(self.roll), y + height * np.sin(self.tip))
        return np.asarray(self.axis @ shown * self.scale)

    def leg(self, xy: tuple[float, float] | Array) -> Array:
        """(2,) mm of a place of the average leg, which leans about the ankle."""
        x, y = xy
        down = max(y - _ANKLE[1], -0.1)
        aside = np.array([np.tan(self.lean) * down * self.scale, 0.0])
        upright = self.place((x * (1 - 0.25 * abs(np.sin(self.lean))), y), 0.45)
        return np.asarray(upright + self.axis @ aside)


def tarsal_bones(pose: FootPose, traits: Traits, rng: np.random.Generator) -> list[Bone]:
    """Tarsal bones and those of the leg.

    Args:
        pose: of this film.
        traits: of the patient.
        rng: of this film.
    """
    thin, lost = (0.75 * traits.cortex,) * 3, traits.porosity
    bones = []
    for name, tarsal in _TARSUS.items():
        rough = np.array(tarsal.corners)
        centre = rough.mean(axis=0)
        growth = rng.normal(1.10, 0.035, 2) * (0.6 + 0.4 * traits.robust)
        growth[0] *= 1 + tarsal.side * max(np.sin(pose.roll), 0.0)
        around = (
            (rough - centre) * growth * (0.95 + 0.05 * traits.closing if traits.immature else 1.0)
        )
        around = around @ turn(rng.normal(0, 0.05)).T + rng.normal(0, 0.006, rough.shape)
        moved = centre + rng.normal(0, 0.012, 2)
        depth = tarsal.depth * rng.uniform(0.65, 0.95) * pose.scale
        outline = smooth_outline(np.array([pose.place(c, tarsal.height) for c in moved + around]))
        bones.append(Bone(
            name, outline, 0.75 * depth, thin,
            yields=name not in _FIRM, veil=float(rng.uniform(0.15, 0.6)), porosity=lost,
        ))  # fmt: skip
        # the plantar side of a bone does not lie exactly below the dorsal side
        below = moved + rng.normal(0, 0.022, 2) + around * rng.uniform(0.82, 0.98)
        lower = smooth_outline(np.array([pose.place(c, tarsal.height - 0.08) for c in below]))
        bones.append(
            Bone(f"{name}-below", lower, 0.30 * depth, thin, porosity=lost, anatomical=False)
        )
    for name, (half, corners) in _LEG.items():
        outline = smooth_outline(np.array([pose.leg(c) for c in corners]))
        bones.append(
            Bone(name, outline, half * pose.scale, (0.9 * traits.cortex,) * 3, porosity=0.5 * lost)
        )
    styloid = smooth_outline(np.array([pose.place(c) for c in _STYLOID]))
    bones.append(Bone("styloid", styloid, 0.07 * pose.scale, thin, yields=True, anatomical=False))
    return bones


def tarsal_gaps(pose: FootPose, traits: Traits, rng: np.random.Generator) -> tuple[Gap, ...]:
    """Joint spaces of the midfoot, mm; the outer ones open when the foot is rolled."""
    opened = float(np.clip(pose.roll / 0.5, 0, 1))
    gaps = []
    for (first, second), (usual, spread) in _GAPS_MM.items():
        wide = usual
        if first in ("cuboid", "cuneiform3", "navicular") and second != "talus":
            wide += (1.4 - usual) * opened
        drawn = rng.normal(wide, spread * (1 - 0.5 * opened))
        gaps.append(Gap(first, second, float(drawn) * traits.space * traits.size))
    return tuple(gaps)


def leg_soft_tissue(pose: FootPose, traits: Traits) -> Bone:
    """The soft tissue of the leg, round and faint, which lies over the heel."""
    k = 0.7 + 0.3 * traits.soft_tissue
    outline = smooth_outline(np.array([pose.leg((x * k, y)) for x, y in _CALF]))
    return soft_body("leg", outline, 0.42 * pose.scale * k, _LEG_DENSITY)


def soft_body(name: str, outline: Array, radius: float, density: float) -> Bone:
    """A body of soft tissue that lies on another one.

    Args:
        name: for people.
        outline: (N, 2) mm.
        radius: half thickness, mm.
        density: relative to compact bone.
    """
    return Bone(name, outline, radius, (radius,) * 3, porosity=1 - density, anatomical=False)
