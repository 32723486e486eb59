"""Rays of a hand or foot: a metacarpal or metatarsal and its phalanges, with joint spaces."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np

from mandora.core.anatomy import Limb
from mandora.simulate.anatomy.joint_state import HEALTHY, LUXATION, SUBLUXATION, JointState
from mandora.simulate.anatomy.shapes import (
    SMOOTH,
    Array,
    Form,
    Tube,
    across,
    base_profile,
    head_profile,
    tube_outline,
    unit,
)
from mandora.simulate.anatomy.skeleton import (
    Bone,
    PlacedErosion,
    Strip,
    Traits,
    TubeState,
    label_of,
)

RIDGE = 0.8  # of a base, relative to the groove before it
LUXATION_OVERLAP = 0.5  # of the joint's width
FOCAL_MIDDLE = 0.44  # loss in the middle of a joint, relative to that of the half that loses space
FUSED_OVERLAP_MM = 1.2
MIDDLE_PLATE = 0.15  # of growth plates, from the base, as a share of its width


@dataclass(frozen=True, eq=False)
class Ray:
    """A ray from the base of its metacarpal or metatarsal to the tip of the finger or toe.

    Attributes:
        bones: names, proximal to distal.
        nodes: (n bones + 1, 2) mm: base, joint centres, tip.
        tubes: proportions of each bone, mm.
        joints: names of the joints between the bones; a joint that is no landmark of the limb
            (``dip2``) is simulated, but neither located nor scored.
        spaces: width of each healthy joint space, mm.
        pitches: rotation of each bone out of the film's plane, rad.
        slope: of the first bone's base; positive where its side towards the thumb lies further
            out.
        forms: contour and inner structure of each bone; none: all are smooth.
        congruence: how far the bases' surfaces turn back to the heads before them where the ray
            bends, 0: at right angles to their bones, 1: both surfaces are parallel.
    """

    bones: Sequence[str]
    nodes: Array
    tubes: Sequence[Tube]
    joints: Sequence[str]
    spaces: Sequence[float]
    pitches: Sequence[float]
    slope: float = 0.0
    forms: Sequence[Form] = ()
    congruence: float = 0.0


@dataclass(frozen=True, eq=False)
class RayParts:
    """Bones, joint spaces and erosions of one ray."""

    bones: tuple[Bone, ...]
    strips: tuple[Strip, ...]
    erosions: tuple[PlacedErosion, ...]


def build_ray(
    limb: Limb, ray: Ray, states: Mapping[str, JointState], traits: Traits, rng: np.random.Generator
) -> RayParts:
    """Build the bones of a ray, with joints narrowed, displaced and eroded by their states."""
    n = len(ray.bones)
    # the ridge of a base fits the groove of the head before it: an MCP joint has neither
    fitted = (replace(d, ridge=RIDGE * p.notch) for p, d in pairwise(ray.tubes))
    ray = replace(ray, tubes=[ray.tubes[0], *fitted])
    ends = [[ray.nodes[i], ray.nodes[i + 1]] for i in range(n)]
    directions = [unit(b - a) for a, b in ends]
    bends = [float(b @ across(a)) for a, b in pairwise(directions)]
    tilts = [ray.slope, *(ray.congruence * bend for bend in bends)]
    skews = rng.normal(0.0, 0.12, n).tolist()
    porosity, endplates = [[traits.porosity] * 2 for _ in range(n)], [[1.0, 1.0] for _ in range(n)]
    strips: list[Strip] = []
    erosions: list[PlacedErosion] = []
    for j, name in enumerate(ray.joints):
        state = states.get(name, HEALTHY)
        proximal, distal = ray.tubes[j], ray.tubes[j + 1]
        up_p, up_d = directions[j], directions[j + 1]
        centre = ray.nodes[j + 1]
        healthy = ray.spaces[j] * traits.space
        lost = state.loss * healthy
        gap = healthy - (FOCAL_MIDDLE * lost if state.focal else lost)
        width = min(proximal.head, distal.base)
        if state.focal:
            tilt = (1 - FOCAL_MIDDLE) / 0.4 * lost / distal.base
            tilts[j + 1] += tilt * (1 if state.loss * 1000 % 2 < 1 else -1)
        if state.fused:
            # there are no joint surfaces, and struts run from bone to bone
            gap, endplates[j][1], endplates[j + 1][0] = -FUSED_OVERLAP_MM, 0.15, 0.15
        kept = (1 - traits.porosity) * (1 - state.osteopenia)
        porosity[j][1] = porosity[j + 1][0] = 1 - kept
        # mostly away from thumb and great toe
        offset = across(up_d) * state.shift * width * (1 if state.shift * 1000 % 4 < 1 else -1)
        if state.shift >= LUXATION:
            # a luxated base slides to the palm or sole and over the head, and less sideways
            offset = 0.4 * offset - up_d * LUXATION_OVERLAP * width
        elif state.shift >= SUBLUXATION:  # the film shows a part of the space or nothing of it
            offset = offset - up_d * max(gap, 0.0) * (state.shift * 100 % 1)
        ends[j][1] = centre - up_p * gap / 2
        ends[j + 1][0] = centre + up_d * gap / 2 + offset
        label = label_of(limb, name)
        if label and state.shift < LUXATION:
            low = _surface(ends[j][1], up_p, proximal.head, width, partial(
                head_profile, proximal, skew=skews[j]
            ), -1)  # fmt: skip
            high = _surface(ends[j + 1][0], up_d, distal.base, width, partial(
                base_profile, distal, tilt=tilts[j + 1]
            ), 1)  # fmt: skip
            strips.append(Strip(np.concatenate([low, high[::-1]]), label, state.fused))
        erosions += _erosions(ray, j, ends, directions, state, label)
    bones = []
    for i, tube in enumerate(ray.tubes):
        cortex = (0.42 * traits.cortex, 0.19 * tube.shaft * traits.cortex, 0.40 * traits.cortex)
        dense = 0.5 + 0.5 * traits.cortex
        base_plate = dense * endplates[i][0] * (0.18 if i == 0 else 0.03 * tube.base + 0.25)
        plate = _growth_plate(ray, i) if traits.immature else None
        form = ray.forms[i] if ray.forms else SMOOTH
        tube_state = TubeState(
            pitch=ray.pitches[i], tilt=tilts[i], bow=float(rng.normal(0, 0.4)), skew=skews[i],
            cortex=cortex, endplate=(base_plate, 0.45 * dense * endplates[i][1]),
            plate=plate, closing=traits.closing, porosity=(porosity[i][0], porosity[i][1]),
            form=form,
        )  # fmt: skip
        outline = tube_outline(
            ends[i][0], ends[i][1], tube, form, tilt=tilts[i], bow=tube_state.bow, skew=skews[i]
        )
        bones.append(Bone(
            ray.bones[i], outline, tube.shaft * 0.45, cortex, np.array(ends[i]), plate,
            traits.closing, tube=tube, tube_state=tube_state,
        ))  # fmt: skip
    return RayParts(tuple(bones), tuple(strips), tuple(erosions))


def _growth_plate(ray: Ray, i: int) -> float:
    """Growth plates lie at the heads of metacarpals 2-5 and at the bases of all else."""
    length = float(np.linalg.norm(ray.nodes[i + 1] - ray.nodes[i]))
    long = len(ray.bones) == 4
    at_head, middle = i == 0 and long, i == 2 and long
    # in a middle phalanx less than 0.05 of the hand's size from the joint, as on real films
    at_base = (MIDDLE_PLATE if middle else 0.23) * ray.tubes[i].base
    inset = (0.55 * ray.tubes[i].head if at_head else at_base) / length
    return 1 - inset if at_head else inset


def _surface(
    end: Array, up: Array, whole: float, width: float, profile: Callable[[Array], Array], sign: int
) -> Array:
    """(N, 2) mm, a joint surface over the width that both bones share.

    Args:
        end: (2,) mm, middle of the surface.
        up: (2,) unit vector from base to head.
        whole: width of the bone there, mm.
        width: of the joint, mm.
        profile: of the surface: place across in halves of the bone's width → mm.
        sign: 1 if the profile counts towards the head, -1 if towards the base.
    """
    share = np.linspace(-0.8, 0.8, 13) * width / whole  # beyond, the surfaces part
    return np.asarray(
        end + across(up) * (share * whole / 2)[:, None] + sign * up * profile(share)[:, None]
    )


def _erosions(
    ray: Ray,
    j: int,
    ends: list[list[Array]],
    directions: list[Array],
    state: JointState,
    label: int,
) -> list[PlacedErosion]:
    """Erosions at the bare areas: the corners of the head and of the base."""
    proximal, distal = ray.tubes[j], ray.tubes[j + 1]
    placed = []
    for erosion in state.erosions:
        if erosion.anchor % 2 == 0:
            bone, width, shaft, end = ray.bones[j], proximal.head, -directions[j], ends[j][1]
            corner = 0.8 * proximal.dome + 0.05 * width
            surface: Callable[[Array], Array] = partial(head_profile, proximal)
        else:
            bone, width, shaft = ray.bones[j + 1], distal.base, directions[j + 1]
            end, corner, surface = ends[j + 1][0], 0.06 * width, partial(base_profile, distal)
        place, inward = end, shaft
        if not erosion.collapse:
            side = across(directions[j]) * (1.0 if erosion.anchor < 2 else -1.0)
            lateral = min(1 + 2 * erosion.along, 1.0)  # share of half the width
            if ray.forms and erosion.along >= 0:  # at thin sides, little bone would be lost
                head = erosion.anchor % 2 == 0
                lateral -= 0.2 * ray.forms[j if head else j + 1].wedge[head]
            if erosion.along < 0:  # on the joint surface
                corner = float(surface(np.array([lateral]))[0])
            place = (
                end
                + side * lateral * width / 2
                + shaft * (corner + max(erosion.along, 0.0) * width)
            )
            # from the side of the bone it goes across, from the joint surface along the shaft
            lean = float(np.clip(0.2 - 2.0 * erosion.along, -0.1, 1.2))
            inward = unit(-np.cos(lean) * side + np.sin(lean) * shaft)
        placed.append(PlacedErosion(bone, place, inward, width, erosion, label))
    return placed
