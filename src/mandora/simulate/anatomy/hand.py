"""A simulated hand: fingers, thumb and soft tissue; the wrist is in :mod:`.wrist`."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from mandora.core.anatomy import LANDMARKS, Limb
from mandora.simulate.anatomy.joint_state import JointState
from mandora.simulate.anatomy.rays import Ray, build_ray
from mandora.simulate.anatomy.shapes import Array, Tube, across, blob_outline, turn, unit
from mandora.simulate.anatomy.skeleton import (
    Bone,
    PlacedErosion,
    Rod,
    Skeleton,
    Strip,
    Traits,
    draw_landmarks,
)
from mandora.simulate.anatomy.wrist import (
    BASES,
    WristForm,
    wrist_bones,
    wrist_erosions,
    wrist_gaps,
    wrist_landmarks,
    wrist_map,
)

SIZE_MM = 60.0  # |MCP2-MCP5| of an average adult
_MC_DEPTH, _PP_DEPTH, _DP_DEPTH = (0.85, 0.95, 1.0), (0.78, 0.80, 0.75), (0.70, 0.75, 0.6)
_METACARPAL = {
    1: Tube(15, 10.5, 14.5, cup=1.0, dome=4.6, rim=2.2, depth=_MC_DEPTH),
    2: Tube(14.0, 9.0, 15.5, cup=3.4, dome=6.2, rim=2.2, depth=_MC_DEPTH),
    3: Tube(13.0, 9.0, 15.5, cup=0.8, dome=6.2, rim=2.2, depth=_MC_DEPTH),
    4: Tube(11.4, 7.6, 13.8, cup=0.5, dome=5.6, rim=2.2, depth=_MC_DEPTH),
    5: Tube(11.8, 7.8, 13.2, cup=0.2, dome=5.4, rim=2.2, depth=_MC_DEPTH),
}
_PROXIMAL = {
    1: Tube(14.8, 9.2, 12.6, cup=2.4, dome=2.2, notch=0.5, rim=0.9, depth=_PP_DEPTH),
    2: Tube(15.8, 9.6, 12.6, cup=3.0, dome=2.4, notch=0.7, rim=0.9, depth=_PP_DEPTH),
    3: Tube(16.0, 10.0, 13.0, cup=3.0, dome=2.4, notch=0.7, rim=0.9, depth=_PP_DEPTH),
    4: Tube(14.8, 9.2, 12.2, cup=2.8, dome=2.4, notch=0.7, rim=0.9, depth=_PP_DEPTH),
    5: Tube(13.2, 7.8, 10.2, cup=2.6, dome=2.2, notch=0.5, rim=0.9, depth=_PP_DEPTH),
}
_MIDDLE = {
    2: Tube(13.4, 8.0, 10.6, cup=1.8, dome=1.9, notch=0.5, rim=0.8, depth=_PP_DEPTH),
    3: Tube(13.8, 8.4, 11.0, cup=1.8, dome=1.9, notch=0.5, rim=0.8, depth=_PP_DEPTH),
    4: Tube(13.0, 7.8, 10.4, cup=1.8, dome=1.9, notch=0.5, rim=0.8, depth=_PP_DEPTH),
    5: Tube(11.0, 6.4, 8.9, cup=1.6, dome=1.7, notch=0.4, rim=0.7, depth=_PP_DEPTH),
}
_DISTAL = {
    1: Tube(13.5, 6.8, 9.0, cup=1.6, dome=3.0, rim=0.6, depth=_DP_DEPTH),
    2: Tube(10.8, 4.8, 7.4, cup=1.3, dome=2.6, rim=0.6, depth=_DP_DEPTH),
    3: Tube(11.2, 5.0, 7.8, cup=1.3, dome=2.6, rim=0.6, depth=_DP_DEPTH),
    4: Tube(10.6, 4.8, 7.4, cup=1.3, dome=2.6, rim=0.6, depth=_DP_DEPTH),
    5: Tube(9.2, 4.2, 6.6, cup=1.1, dome=2.3, rim=0.6, depth=_DP_DEPTH),
}
_BASE_SLOPE = {1: 0.0, 2: 0.10, 3: -0.22, 4: 0.05, 5: 0.35}  # of the metacarpals' bases
_MIDDLE_LENGTH = {2: 0.59, 3: 0.66, 4: 0.655, 5: 0.60}  # of the proximal phalanx
_DISTAL_LENGTH = {2: 0.43, 3: 0.44, 4: 0.46, 5: 0.51}
_THUMB_DISTAL = 0.70
_SPACE_MM = {"mcp": 1.6, "pip": 1.05, "ip": 1.1, "dip": 0.8}


def build_hand(
    traits: Traits,
    states: Mapping[str, JointState],
    patient_rng: np.random.Generator,
    film_rng: np.random.Generator,
) -> Skeleton:
    """One left hand.

    Args:
        traits: of the patient.
        states: latent damage by site name (``pip2`` … ``radcar``; also ``nav``).
        patient_rng: for what both hands of the patient share; give each a generator in the same
            state.
        film_rng: for what is this hand's own.
    """
    marks = draw_landmarks(Limb.HAND, patient_rng, film_rng)
    scale = SIZE_MM * traits.size
    marks = {name: (xy - marks["mcp3"]) * scale for name, xy in marks.items()}
    place = wrist_map(marks, scale, WristForm.draw(patient_rng, film_rng))
    width = traits.size * traits.robust
    bones: list[Bone] = []
    strips: list[Strip] = []
    erosions: list[PlacedErosion] = []
    soft_tissue: list[Rod] = []
    for n in range(1, 6):
        ray = _ray(n, marks, place(BASES[n]), width, film_rng)
        parts = build_ray(Limb.HAND, ray, states, traits, film_rng)
        bones += parts.bones
        strips += parts.strips
        erosions += parts.erosions
        soft_tissue += _finger_soft_tissue(ray.nodes, n, traits, place((-0.02, 1.35)))
    soft_tissue += _webs(marks, place((0.12, 0.95)), traits)
    bones += wrist_bones(place, scale, states, traits, film_rng)
    if not traits.immature or traits.closing > 0.5:  # they ossify late
        bones += _sesamoids(place(BASES[1]), marks["mcp1"], width, film_rng)
    erosions += wrist_erosions({b.name: b for b in bones}, states, width, place)
    r = 0.43 * SIZE_MM * traits.size * (0.6 + 0.4 * traits.soft_tissue)
    soft_tissue.append(Rod(place((-0.05, 1.40)), place((-0.07, 2.0)), (r * 1.06, r * 1.02)))
    soft_tissue.append(Rod(place((-0.07, 2.0)), place((-0.05, 3.9)), (r * 1.02, r * 1.3)))
    known = {**wrist_landmarks(place), **marks}
    landmarks = np.array([known[p.name] for p in LANDMARKS[Limb.HAND]])
    return Skeleton(
        Limb.HAND, landmarks, scale, tuple(bones), wrist_gaps(states, traits, film_rng),
        tuple(strips), tuple(erosions), tuple(soft_tissue),
    )  # fmt: skip


def _ray(
    n: int, marks: Mapping[str, Array], base: Array, width: float, rng: np.random.Generator
) -> Ray:
    """The ray of one finger; joints beyond the landmarks are extrapolated."""

    def bent(direction: Array, spread: float) -> Array:
        return np.asarray(turn(rng.normal(0, spread)) @ direction)

    mcp = marks[f"mcp{n}"]
    if n == 1:
        ip = marks["ip"]
        tip = ip + bent(ip - mcp, 0.12) * _THUMB_DISTAL * rng.normal(1, 0.04)
        return Ray(
            ("mc1", "pp1", "dp1"), np.array([base, mcp, ip, tip]),
            [t.scaled(width) for t in (_METACARPAL[1], _PROXIMAL[1], _DISTAL[1])],
            ("mcp1", "ip"), [_SPACE_MM["mcp"] * width, _SPACE_MM["ip"] * width],
            rng.normal([0.15, 0.1, 0.1], [0.15, 0.15, 0.2]).tolist(), _BASE_SLOPE[1],
        )  # fmt: skip
    pip = marks[f"pip{n}"]
    dip = pip + bent(pip - mcp, 0.06) * _MIDDLE_LENGTH[n] * rng.normal(1, 0.03)
    length = float(np.linalg.norm(pip - mcp)) * _DISTAL_LENGTH[n] * rng.normal(1, 0.04)
    tip = dip + bent(unit(dip - pip), 0.05) * length
    return Ray(
        (f"mc{n}", f"pp{n}", f"mp{n}", f"dp{n}"), np.array([base, mcp, pip, dip, tip]),
        [t.scaled(width) for t in (_METACARPAL[n], _PROXIMAL[n], _MIDDLE[n], _DISTAL[n])],
        (f"mcp{n}", f"pip{n}", f"dip{n}"),
        [_SPACE_MM[k] * width for k in ("mcp", "pip", "dip")],
        np.cumsum(rng.normal([-0.05, 0.02, 0.06, 0.05], [0.06, 0.08, 0.08, 0.08])).tolist(),
        _BASE_SLOPE[n] + rng.normal(0, 0.06),
    )  # fmt: skip


def _finger_soft_tissue(nodes: Array, n: int, traits: Traits, wrist: Array) -> list[Rod]:
    k = traits.size * (0.5 + 0.5 * traits.soft_tissue) * (0.9 if n == 5 else 1.0)
    radii = [15.0, 13.0, 10.0, 7.5] if n == 1 else [13.0, 11.0, 9.6, 8.6, 7.2]
    rods = [Rod(wrist, nodes[1], (22.0 * k, radii[1] * k * (1.0 if n == 1 else 1.25)))]
    for i in range(1, len(nodes) - 1):
        end = nodes[i + 1] + (unit(nodes[i + 1] - nodes[i]) * 1.0 if i == len(nodes) - 2 else 0.0)
        rods.append(Rod(nodes[i], end, (radii[i] * k, radii[i + 1] * k)))
    return rods


def _webs(marks: Mapping[str, Array], palm_base: Array, traits: Traits) -> list[Rod]:
    """Skin between the fingers reaches beyond the MCP joints."""
    roots = [0.65 * marks[f"mcp{n}"] + 0.35 * marks[f"pip{n}"] for n in range(2, 6)]
    r = 7.5 * traits.size * (0.5 + 0.5 * traits.soft_tissue)
    webs = [Rod(a, b, (r, r)) for a, b in pairwise(roots)]
    fold = 0.6 * marks["mcp1"] + 0.4 * marks["mcp2"]
    palm = (marks["mcp1"] + marks["mcp2"] + palm_base) / 3
    webs += [Rod(fold, marks["mcp2"], (r, 1.4 * r)), Rod(marks["mcp1"], fold, (r, r))]
    inner = 0.5 * (fold + palm)
    webs += [Rod(inner, palm, (1.6 * r, 2.6 * r)), Rod(inner, marks["mcp1"], (1.6 * r, r))]
    return [*webs, Rod(inner, 0.5 * (marks["mcp2"] + palm_base), (1.6 * r, 2.2 * r))]


def _sesamoids(base: Array, mcp: Array, width: float, rng: np.random.Generator) -> list[Bone]:
    """Two small bones on the palmar side of the head of the first metacarpal."""
    up = unit(mcp - base)
    bones = []
    for k, offset in enumerate((-4.5, 4.0)):
        centre = mcp - up * rng.uniform(2.0, 6.0) * width + across(up) * offset * width
        outline = blob_outline(centre, (4.6 * width, 5.4 * width), 0.0, power=2.0, n=16)
        bones.append(Bone(f"sesamoid{k}", outline, 1.5 * width, (0.3, 0.3, 0.3)))
    return bones
