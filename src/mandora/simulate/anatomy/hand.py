"""A simulated hand: fingers, thumb and soft tissue; the wrist is in :mod:`.wrist`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mandora.core.anatomy import LANDMARKS, Limb
from mandora.simulate.anatomy.fingers import draw_forms, draw_tubes
from mandora.simulate.anatomy.joint_state import JointState
from mandora.simulate.anatomy.osteoarthritis import draw_wear
from mandora.simulate.anatomy.rays import Ray, build_ray
from mandora.simulate.anatomy.shapes import Array, across, blob_outline, turn, unit
from mandora.simulate.anatomy.skeleton import (
    Bone,
    Calcification,
    PlacedErosion,
    Rod,
    Skeleton,
    Strip,
    Traits,
    draw_landmarks,
)
from mandora.simulate.anatomy.variants import (
    bone_spots,
    calcified_arteries,
    calcified_cartilage,
    with_old_fracture,
)
from mandora.simulate.anatomy.wrist import (
    wrist_bones,
    wrist_erosions,
    wrist_gaps,
    wrist_sclerosis,
)
from mandora.simulate.anatomy.wrist_form import (
    BASES,
    WristForm,
    WristMap,
    wrist_landmarks,
    wrist_map,
)

SIZE_MM = 60.0  # |MCP2-MCP5| of an average adult
_BASE_SLOPE = {1: 0.0, 2: 0.10, 3: -0.22, 4: 0.05, 5: 0.35}  # of the metacarpals' bases
_MIDDLE_LENGTH = {2: 0.59, 3: 0.66, 4: 0.655, 5: 0.60}  # of the proximal phalanx
_DISTAL_LENGTH = {2: 0.43, 3: 0.44, 4: 0.46, 5: 0.51}
_THUMB_DISTAL = 0.70
# Joint spaces of an average adult at the age of 50. At 65 (mostly women) MCP joints have 1.40 mm,
# DIP joints 0.70, all finger joints 0.98 (Kwok et al., Osteoarthritis Cartilage 2011;19:1349).
_SPACE_MM = {"mcp": 1.55, "pip": 1.03, "ip": 1.1, "dip": 0.78}
# Courses of arteries, in the wrist's units: radial, ulnar, between metacarpals.
_ARTERIES = (
    ((0.27, 3.0), (0.30, 2.0), (0.36, 1.55), (0.30, 1.30), (0.33, 0.95)),
    ((-0.25, 3.0), (-0.30, 2.0), (-0.24, 1.30), (-0.15, 0.75)),
    ((0.12, 0.95), (0.17, 0.40)), ((-0.08, 0.95), (-0.09, 0.40)), ((-0.22, 1.0), (-0.33, 0.45)),
)  # fmt: skip
_DISC = ((-0.16, 1.51), (-0.25, 1.505), (-0.34, 1.51))  # between ulna and carpus
_SPACE_SPREAD = 0.07  # of the joints of one patient


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
    wear = draw_wear(traits.osteoarthritis, states, patient_rng, film_rng)
    states = {**states, **wear.states}
    stiff = float(np.clip(film_rng.normal((traits.age - 50) / 130, 0.12), 0, 0.45))
    build = _Build(width, traits, wear.degree, stiff, patient_rng)
    squeezed = film_rng.normal(1.0, 0.03)  # the bases of the palm turned a little
    bones: list[Bone] = []
    strips: list[Strip] = []
    erosions: list[PlacedErosion] = []
    soft_tissue: list[Rod] = []
    for n in range(1, 6):
        base = place(np.array(BASES[n]) * [squeezed, 1.0] + film_rng.normal(0, 0.006, 2))
        ray = _ray(n, marks, base, build, film_rng)
        parts = build_ray(Limb.HAND, ray, states, traits, film_rng)
        bones += parts.bones
        strips += parts.strips
        erosions += parts.erosions
        soft_tissue += _finger_soft_tissue(ray.nodes, n, traits, place((-0.02, 1.35)))
    soft_tissue += _webs(marks, place((0.12, 0.95)), traits)
    bones += wrist_bones(place, scale, states, traits, wear.degree, film_rng)
    if not traits.immature or traits.closing > 0.5:  # they ossify late
        bones += _sesamoids(place(BASES[1]), marks["mcp1"], width, film_rng)
    erosions += wrist_erosions({b.name: b for b in bones}, states, width, place)
    soft_tissue += _forearm(place, traits)
    own = np.random.default_rng(film_rng.integers(2**32))
    spots = wrist_sclerosis(place, scale, wear.degree, own)
    bones, others = with_old_fracture(bones, film_rng)
    spots += [*others, *bone_spots(bones, film_rng)]
    known = {**wrist_landmarks(place), **marks}
    landmarks = np.array([known[p.name] for p in LANDMARKS[Limb.HAND]])
    return Skeleton(
        Limb.HAND, landmarks, scale, tuple(bones), wrist_gaps(states, traits, film_rng),
        tuple(strips), tuple(erosions), tuple(soft_tissue), tuple(spots),
        _calcifications(place, traits, film_rng),
    )  # fmt: skip


def _forearm(place: WristMap, traits: Traits) -> list[Rod]:
    """Soft tissue of the wrist and the forearm."""
    r = 0.43 * SIZE_MM * traits.size * (0.6 + 0.4 * traits.soft_tissue)
    upper, lower = ((-0.05, 1.40), (-0.07, 2.0)), ((-0.07, 2.0), (-0.05, 3.9))
    return [
        Rod(place(upper[0]), place(upper[1]), (r * 1.06, r * 1.02)),
        Rod(place(lower[0]), place(lower[1]), (r * 1.02, r * 1.3)),
    ]


def _calcifications(
    place: WristMap, traits: Traits, rng: np.random.Generator
) -> tuple[Calcification, ...]:
    """Calcium in arteries of the palm and the forearm, and in the disc beside the ulna."""
    courses = [np.array([place(xy) for xy in course]) for course in _ARTERIES]
    disc = np.array([place(place.form.of_bone("ulna", xy)) for xy in _DISC])
    arteries = calcified_arteries(courses, traits, rng)
    return (*arteries, *calcified_cartilage([disc], traits, rng))


@dataclass(frozen=True, eq=False)
class _Build:
    """What the rays of one hand share.

    Attributes:
        width: breadth of bones relative to the average.
        traits: of the patient.
        wear: degree of osteoarthritis by joint, 0..1.
        stiff: how far the fingers stay bent on the film, rad.
        patient_rng: for what both hands share.
    """

    width: float
    traits: Traits
    wear: Mapping[str, float]
    stiff: float
    patient_rng: np.random.Generator

    def spaces(self, kinds: Sequence[str]) -> list[float]:
        """Width of each healthy joint space, mm, before the patient's ``Traits.space``."""
        own = np.clip(self.patient_rng.normal(1, _SPACE_SPREAD, len(kinds)), 0.75, 1.25)
        finger = [1.0 if kind == "mcp" else self.traits.finger_space for kind in kinds]
        usual = np.array([_SPACE_MM[kind] for kind in kinds]) * self.traits.size
        return list((usual * own * finger).tolist())


def _ray(
    n: int, marks: Mapping[str, Array], base: Array, build: _Build, rng: np.random.Generator
) -> Ray:
    """The ray of one finger; joints beyond the landmarks are extrapolated."""

    def bent(direction: Array, spread: float) -> Array:
        return np.asarray(turn(rng.normal(0, spread)) @ direction)

    mcp = marks[f"mcp{n}"]
    bones: Sequence[str]
    joints: Sequence[str]
    kinds: Sequence[str]
    if n == 1:
        bones, joints, kinds = ("mc1", "pp1", "dp1"), ("mcp1", "ip"), ("mcp", "ip")
        ip = marks["ip"]
        nodes = [base, mcp, ip, ip + bent(ip - mcp, 0.12) * _THUMB_DISTAL * rng.normal(1, 0.04)]
        pitches, slope = rng.normal([0.15, 0.1, 0.1], [0.15, 0.15, 0.2]), _BASE_SLOPE[1]
    else:
        bones = tuple(f"{bone}{n}" for bone in ("mc", "pp", "mp", "dp"))
        joints, kinds = (f"mcp{n}", f"pip{n}", f"dip{n}"), ("mcp", "pip", "dip")
        pip = marks[f"pip{n}"]
        dip = pip + bent(pip - mcp, 0.06) * _MIDDLE_LENGTH[n] * rng.normal(1, 0.03)
        length = float(np.linalg.norm(pip - mcp)) * _DISTAL_LENGTH[n] * rng.normal(1, 0.04)
        nodes = [base, mcp, pip, dip, dip + bent(unit(dip - pip), 0.05) * length]
        spread = [0.06, 0.08, 0.08, 0.08]
        bent_up = build.stiff * rng.uniform(0.3, 1.2) * np.array([0.0, 0.5, -0.5, -0.8])
        pitches = np.cumsum(rng.normal([-0.05, 0.02, 0.06, 0.05], spread)) + bent_up
        slope = _BASE_SLOPE[n] + rng.normal(0, 0.06)
    at_base = build.wear.get("mc1", 0.0) if n == 1 else 0.0
    return Ray(
        bones, np.array(nodes), draw_tubes(n, build.width, joints, build.wear, build.patient_rng),
        joints, build.spaces(kinds), pitches.tolist(), slope,
        draw_forms(joints, build.wear, at_base, rng),
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
