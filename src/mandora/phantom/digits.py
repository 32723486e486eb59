"""Fingers and toes: chains of tubular bones with joint spaces between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mandora.anatomy import Limb
from mandora.phantom.damage import JointState
from mandora.phantom.shapes import Array, Tube, across, tube_outline, unit
from mandora.phantom.skeleton import Bite, Bone, Strip, Traits, label_of, state_of

LUXATION_OVERLAP_MM = 3.0


@dataclass(frozen=True, eq=False)
class Chain:
    """One digit from its metacarpal or metatarsal to its tip.

    Attributes:
        bones: names, proximal to distal.
        nodes: (n bones + 1, 2) mm: base, joint centres, tip.
        tubes: proportions of each bone, mm.
        joints: names of the joints between the bones; a name that is no point of the limb
            (``dip2``) is simulated but neither located nor scored.
        spaces: width of each healthy joint space, mm.
    """

    bones: Sequence[str]
    nodes: Array
    tubes: Sequence[Tube]
    joints: Sequence[str]
    spaces: Sequence[float]


@dataclass(frozen=True, eq=False)
class Digit:
    """What a chain becomes."""

    bones: tuple[Bone, ...]
    strips: tuple[Strip, ...]
    bites: tuple[Bite, ...]


def build_digit(
    limb: Limb,
    chain: Chain,
    states: Mapping[str, JointState],
    traits: Traits,
    rng: np.random.Generator,
) -> Digit:
    """Bones with the chain's joint spaces, narrowed, displaced and eroded as the states say."""
    n = len(chain.bones)
    ends = [[chain.nodes[i], chain.nodes[i + 1]] for i in range(n)]
    directions = [unit(b - a) for a, b in ends]
    tilts = [0.0] * n
    strips: list[Strip] = []
    bites: list[Bite] = []
    lips: list[Bone] = []
    for j, name in enumerate(chain.joints):
        state = state_of(states, name)
        proximal, distal = chain.tubes[j], chain.tubes[j + 1]
        up_p, up_d = directions[j], directions[j + 1]
        centre = chain.nodes[j + 1]
        healthy = chain.spaces[j] * traits.space
        lost = state.loss * healthy
        gap = healthy - (lost / 2 if state.focal else lost)
        width = min(proximal.head, distal.base)
        if state.focal:
            tilts[j + 1] = lost / distal.base * (1 if state.loss * 1000 % 2 < 1 else -1)
        offset = across(up_d) * state.shift * width
        if state.shift >= 0.9:
            offset = offset - up_d * LUXATION_OVERLAP_MM
        ends[j][1] = centre - up_p * gap / 2
        ends[j + 1][0] = centre + up_d * gap / 2 + offset
        label = label_of(limb, name)
        if label and state.shift < 0.9:
            polygon = _space(ends[j][1], up_p, proximal, ends[j + 1][0], up_d, distal)
            strips.append(Strip(polygon, label, state.fused))
        bites += _bites(chain, j, ends, directions, state, label)
        reach = float(np.clip(rng.normal(0.13, 0.07), 0.0, 0.3)) * distal.base
        lips.append(_lip(f"{chain.bones[j + 1]}-lip", ends[j + 1][0], up_d, distal, reach))
    bones = tuple(
        Bone(
            name=chain.bones[i],
            outline=tube_outline(ends[i][0], ends[i][1], chain.tubes[i], tilt=tilts[i]),
            radius=chain.tubes[i].shaft * 0.52,
            cortex=(
                (0.6 + 0.05 * chain.tubes[i].base) * traits.cortex,
                0.19 * chain.tubes[i].shaft * traits.cortex,
                0.55 * traits.cortex,
            ),
            axis=np.array(ends[i]),
            plate=_growth_plate(chain, i) if traits.immature else None,
        )
        for i in range(n)
    )
    return Digit((*bones, *lips), tuple(strips), tuple(bites))


def _lip(name: str, base: Array, up: Array, tube: Tube, reach: float) -> Bone:
    """The rim of a base that lies in front of or behind the head, and veils the joint space."""
    v = np.linspace(-0.9, 0.9, 11)[:, None]
    side = across(up) * v * tube.base / 2
    surface = base + side - up * tube.cup * v**2 + up * 0.6
    edge = base + side - up * (tube.cup * v**2 + reach * (1 - 0.7 * v**2) + 0.05)
    return Bone(name, np.concatenate([surface, edge[::-1]]), 0.9, (0.4,) * 3, anatomical=False)


def _growth_plate(chain: Chain, i: int) -> float:
    """Growth plates lie at the heads of metacarpals 2-5 and at the bases of all else."""
    length = float(np.linalg.norm(chain.nodes[i + 1] - chain.nodes[i]))
    at_head = i == 0 and len(chain.bones) == 4
    inset = (0.55 * chain.tubes[i].head if at_head else 0.28 * chain.tubes[i].base) / length
    return 1 - inset if at_head else inset


def _space(
    head: Array, up_p: Array, proximal: Tube, base: Array, up_d: Array, distal: Tube
) -> Array:
    """Polygon between the arc of a head and the arc of the base beyond it."""
    v = np.linspace(-0.95, 0.95, 13)[:, None]
    width = min(proximal.head, distal.base) / 2
    share_p, share_d = v * width / (proximal.head / 2), v * width / (distal.base / 2)
    low = head + across(up_p) * v * width - up_p * proximal.dome * np.abs(share_p) ** 2.4
    high = base + across(up_d) * v * width - up_d * distal.cup * share_d**2
    return np.concatenate([low, high[::-1]])


def _bites(
    chain: Chain,
    j: int,
    ends: list[list[Array]],
    directions: list[Array],
    state: JointState,
    label: int,
) -> list[Bite]:
    """Erosions at the bare areas: the corners of the head and of the base."""
    proximal, distal = chain.tubes[j], chain.tubes[j + 1]
    bites = []
    for erosion in state.erosions:
        side = 1.0 if erosion.anchor < 2 else -1.0
        if erosion.anchor % 2 == 0:
            bone, width, up = chain.bones[j], proximal.head, directions[j]
            corner = ends[j][1] - up * (0.8 * proximal.dome + 0.05 * width)
        else:
            bone, width, up = chain.bones[j + 1], distal.base, directions[j + 1]
            corner = ends[j + 1][0] + up * 0.06 * width
        # large bites reach deeper, so that their middle lies further in
        reach = width / 2 * (1.0 - 0.8 * max(erosion.radius - 0.15, 0))
        bites.append(
            Bite(
                bone,
                corner + across(up) * side * reach,
                erosion.radius * width,
                erosion.depth,
                label,
            )
        )
    return bites
