"""Normal variants and old findings in bone and soft tissue that are no damage.

Canals of vessels, holes inside carpal bones, islands of compact bone, healed fractures, calcified
arteries and cartilage: all of them are common in adults, and none counts as an erosion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mandora.simulate.anatomy.shapes import Array, across, tube_outline, turn, unit
from mandora.simulate.anatomy.skeleton import Bone, Calcification, Spot, Traits

_CANAL, _ISLAND, _HOLE = 0.25, 0.02, 0.10  # shares of bones that have one
_FRACTURE = 0.04  # share of limbs with a healed fracture of a shaft


def bone_spots(bones: Sequence[Bone], rng: np.random.Generator) -> list[Spot]:
    """Canals of vessels, islands of compact bone, and holes inside short bones.

    Args:
        bones: of one limb.
        rng: of this limb.
    """
    spots = []
    for bone in bones:
        if not bone.anatomical:
            continue
        if bone.axis is not None and rng.random() < _CANAL:
            spots.append(_canal(bone, bone.axis, rng))
        if rng.random() < _ISLAND:
            half = rng.uniform(0.5, 1.8, 2)
            spots.append(_inside(bone, half, rng.uniform(0.3, 0.9), 0.0, rng))
        if bone.yields and rng.random() < _HOLE:
            half = rng.uniform(0.4, 1.4) * rng.uniform(0.8, 1.25, 2)
            spots.append(_inside(bone, half, -rng.uniform(0.2, 0.55), rng.uniform(0, 0.25), rng))
    return spots


def _canal(bone: Bone, axis: Array, rng: np.random.Generator) -> Spot:
    """A nutrient canal: a thin slanting line in the shaft."""
    along = axis[1] - axis[0]
    up = unit(along)
    aside = float(rng.uniform(-0.3, 0.3)) * bone.radius
    centre = axis[0] + rng.uniform(0.35, 0.65) * along + across(up) * aside
    lean = float(np.arctan2(up[1], up[0]) + rng.choice([-1, 1]) * rng.uniform(0.08, 0.3))
    half = (float(rng.uniform(1.5, 4.0)), float(rng.uniform(0.25, 0.5)))
    return Spot(bone.name, centre, half, lean, -float(rng.uniform(0.1, 0.3)))


def _inside(
    bone: Bone, half: Array, change: float, rim: float, rng: np.random.Generator
) -> Spot:  # fmt: skip
    """A round spot that lies well inside a bone's outline."""
    corner = bone.outline[rng.integers(len(bone.outline))]
    middle = bone.outline.mean(axis=0)
    if bone.axis is not None:  # near one of the ends of a long bone
        middle = bone.axis[0] + rng.choice([0.12, 0.88]) * (bone.axis[1] - bone.axis[0])
        corner = middle + rng.uniform(-0.5, 0.5, 2) * bone.radius
    centre = middle + rng.uniform(0.0, 0.55) * (corner - middle)
    turned = float(rng.uniform(0, np.pi))
    return Spot(
        bone.name, centre, (float(half[0]), float(half[1])), turned, float(change), float(rim)
    )


def with_old_fracture(
    bones: Sequence[Bone], rng: np.random.Generator
) -> tuple[list[Bone], list[Spot]]:
    """The same bones, one of whose shafts has perhaps healed crooked and with a dense band.

    Args:
        bones: of one limb.
        rng: of this limb.
    """
    out = list(bones)
    long = [i for i, b in enumerate(out) if b.tube is not None and b.name[0] == "m"]
    if not long or rng.random() > _FRACTURE:
        return out, []
    i = int(rng.choice(long))
    bone = out[i]
    if bone.tube is None or bone.axis is None:
        return out, []
    state = replace(bone.tube_state, bow=float(rng.choice([-1, 1]) * rng.uniform(0.8, 2.5)))
    tube = replace(bone.tube, shaft=bone.tube.shaft * float(rng.uniform(1.0, 1.25)))
    outline = tube_outline(
        bone.axis[0], bone.axis[1], tube, state.form, tilt=state.tilt, bow=state.bow,
        skew=state.skew,
    )  # fmt: skip
    out[i] = replace(bone, outline=outline, tube=tube, tube_state=state)
    up = unit(bone.axis[1] - bone.axis[0])
    centre = bone.axis.mean(axis=0) + up * rng.normal(0, 4) + across(up) * state.bow
    lean = float(np.arctan2(up[1], up[0]) + rng.normal(0, 0.3))
    half = (float(rng.uniform(1.0, 2.5)), 0.6 * tube.shaft)
    return out, [Spot(bone.name, centre, half, lean, float(rng.uniform(0.1, 0.4)))]


def calcified_arteries(
    courses: Sequence[Array], traits: Traits, rng: np.random.Generator
) -> list[Calcification]:
    """Arteries whose wall has calcified, as in some of the old.

    Args:
        courses: (N, 2) mm, of arteries.
        traits: of the patient.
        rng: of this limb.
    """
    if rng.random() > np.clip((traits.age - 55) / 150, 0.0, 0.25):
        return []
    return [
        Calcification(
            _wavy(course, rng), float(rng.uniform(1.2, 2.2)), float(rng.uniform(0.15, 0.7)),
            float(rng.uniform(0.1, 0.6)),
        )
        for course in courses
        if rng.random() < 0.6
    ]  # fmt: skip


def calcified_cartilage(
    courses: Sequence[Array], traits: Traits, rng: np.random.Generator
) -> list[Calcification]:
    """Thin lines of calcium in cartilage (chondrocalcinosis), as in some of the old."""
    if rng.random() > np.clip((traits.age - 55) / 200, 0.0, 0.2):
        return []
    return [
        Calcification(_wavy(course, rng), 0.0, float(rng.uniform(0.2, 0.8)), 0.2)
        for course in courses
    ]  # fmt: skip


def _wavy(course: Array, rng: np.random.Generator) -> Array:
    """A course with many places that winds a little, (N, 2) mm."""
    lengths = np.hypot(*np.diff(course, axis=0).T)
    at = np.concatenate([[0.0], np.cumsum(lengths)])
    steps = np.arange(0.0, at[-1], 0.8)
    dense = np.column_stack([np.interp(steps, at, course[:, k]) for k in (0, 1)])
    side = unit(course[-1] - course[0]) @ turn(np.pi / 2).T
    swing = rng.uniform(0.2, 0.9) * np.sin(steps / rng.uniform(2.0, 5.0) + rng.uniform(0, 6))
    return np.asarray(dense + swing[:, None] * side)
