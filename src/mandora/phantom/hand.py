"""A simulated hand and wrist."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from mandora.anatomy import POINTS, Limb
from mandora.geometry import fit_similarity
from mandora.phantom.damage import JointState
from mandora.phantom.digits import Chain, build_digit
from mandora.phantom.shapes import Array, Tube, across, blob_outline, unit
from mandora.phantom.skeleton import (
    Bite,
    Bone,
    Flesh,
    Gap,
    Skeleton,
    Strip,
    Traits,
    draw_landmarks,
    label_of,
    state_of,
)

UNIT_MM = 60.0  # |MCP2-MCP5| of an average adult
WRIST_ANCHORS = 6

# The wrist in units of |MCP2-MCP5| from MCP3, of an average hand: the middle of each place
# that is located, and centre, size, turn of the short bones.
_LANDMARKS = {
    "cmc1": (0.413, 1.167), "radiocarpal": (0.017, 1.418), "ulnar_carpus": (-0.341, 1.135),
}  # fmt: skip
_KNUCKLES = {"mcp3": (0.0, 0.0), "mcp2": (0.373, 0.007), "mcp5": (-0.575, 0.299)}
_PLACES = {
    "mc1": (0.41, 1.12), "mul": (0.285, 1.15), "mna": (0.235, 1.22), "capnlun": (0.02, 1.39),
    "lunate": (-0.085, 1.445), "radcar": (0.045, 1.515), "radius": (0.075, 1.57),
    "ulna": (-0.305, 1.61), "cmc3": (0.015, 1.01), "cmc4": (-0.148, 1.02), "cmc5": (-0.265, 1.06),
}  # fmt: skip
_BASES = {
    1: (0.405, 1.095), 2: (0.19, 1.035), 3: (0.015, 1.0), 4: (-0.147, 1.01), 5: (-0.275, 1.05),
}  # fmt: skip
_SHORT = {
    "trapezium": ((0.345, 1.19), (0.23, 0.22), 0.4),
    "trapezoid": ((0.20, 1.13), (0.20, 0.22), 0.0),
    "capitate": ((0.02, 1.19), (0.23, 0.43), 0.05),
    "hamate": ((-0.165, 1.175), (0.29, 0.39), -0.25),
    "scaphoid": ((0.185, 1.36), (0.24, 0.42), 0.62),
    "lunate": ((-0.085, 1.45), (0.25, 0.25), 0.15),
    "triquetrum": ((-0.255, 1.34), (0.25, 0.23), 0.5),
}  # fmt: skip
_RADIUS = [
    (0.285, 1.475), (0.20, 1.54), (0.10, 1.555), (0.0, 1.56), (-0.09, 1.57), (-0.125, 1.59),
    (-0.12, 1.66), (-0.07, 1.80), (-0.03, 2.0), (-0.02, 2.4), (-0.03, 3.8), (0.19, 3.8),
    (0.20, 2.4), (0.22, 2.0), (0.27, 1.75), (0.305, 1.6),
]  # fmt: skip
_ULNA = [
    (-0.40, 1.515), (-0.375, 1.515), (-0.365, 1.59), (-0.30, 1.585), (-0.215, 1.61),
    (-0.195, 1.67), (-0.21, 1.76), (-0.235, 1.95), (-0.24, 2.4), (-0.23, 3.8), (-0.40, 3.8),
    (-0.39, 2.4), (-0.385, 1.95), (-0.41, 1.75), (-0.425, 1.63),
]  # fmt: skip

_METACARPAL = {
    1: Tube(15, 10.5, 14.5, cup=0.5, dome=4.0),
    2: Tube(13.0, 9.0, 15.5, cup=0.3, dome=5.5),
    3: Tube(11.8, 9.0, 15.5, cup=0.3, dome=5.5),
    4: Tube(10.4, 7.6, 13.8, cup=0.3, dome=5.0),
    5: Tube(10.8, 7.8, 13.2, cup=0.3, dome=4.8),
}
_PROXIMAL = {
    1: Tube(14.5, 9.2, 12.2, cup=1.2, dome=2.2, notch=0.5),
    2: Tube(15.5, 9.6, 12.4, cup=1.5, dome=2.2, notch=0.7),
    3: Tube(15.8, 10.0, 12.8, cup=1.5, dome=2.2, notch=0.7),
    4: Tube(14.6, 9.2, 12.0, cup=1.5, dome=2.2, notch=0.7),
    5: Tube(13.0, 7.8, 10.0, cup=1.5, dome=2.0, notch=0.5),
}
_MIDDLE = {
    2: Tube(13.2, 8.0, 10.2, cup=0.8, dome=1.8, notch=0.5),
    3: Tube(13.6, 8.4, 10.6, cup=0.8, dome=1.8, notch=0.5),
    4: Tube(12.8, 7.8, 10.0, cup=0.8, dome=1.8, notch=0.5),
    5: Tube(10.8, 6.4, 8.6, cup=0.7, dome=1.6, notch=0.4),
}
_DISTAL = {
    1: Tube(13.5, 6.8, 9.0, cup=0.8, dome=3.0),
    2: Tube(10.8, 4.8, 7.4, cup=0.7, dome=2.6),
    3: Tube(11.2, 5.0, 7.8, cup=0.7, dome=2.6),
    4: Tube(10.6, 4.8, 7.4, cup=0.7, dome=2.6),
    5: Tube(9.2, 4.2, 6.6, cup=0.6, dome=2.3),
}
_MIDDLE_LENGTH = {2: 0.59, 3: 0.66, 4: 0.655, 5: 0.60}  # of the proximal phalanx
_DISTAL_LENGTH = {2: 0.43, 3: 0.44, 4: 0.46, 5: 0.51}
_THUMB_DISTAL = 0.70
_SPACE_MM = {"mcp": 1.6, "pip": 1.05, "ip": 1.1, "dip": 0.8}
_CARPAL_SPACE_MM = 1.25
_GAPS = (
    ("capitate", "mc3", "cmc3"), ("hamate", "mc4", "cmc4"), ("hamate", "mc5", "cmc5"),
    ("scaphoid", "trapezium", "mna"), ("scaphoid", "trapezoid", "mna"),
    ("capitate", "scaphoid", "capnlun"), ("capitate", "lunate", "capnlun"),
    ("scaphoid", "radius", "radcar"), ("lunate", "radius", "radcar"),
    ("trapezium", "mc1", "mc1"),
    ("trapezium", "trapezoid", ""), ("trapezium", "mc2", ""), ("trapezoid", "mc2", ""),
    ("trapezoid", "capitate", ""), ("capitate", "mc2", ""), ("capitate", "hamate", ""),
    ("capitate", "mc4", ""), ("hamate", "mc3", ""), ("hamate", "triquetrum", ""),
    ("hamate", "lunate", ""), ("lunate", "triquetrum", ""), ("lunate", "scaphoid", ""),
    ("triquetrum", "ulna", "far"), ("lunate", "ulna", "far"), ("triquetrum", "radius", "far"),
)  # fmt: skip
_EROSION_BONES = {
    "mc1": ("mc1",), "mul": ("trapezium", "trapezoid"), "nav": ("scaphoid",),
    "lunate": ("lunate",), "radius": ("radius",), "ulna": ("ulna",),
}  # fmt: skip


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
        patient_rng: what both hands of the patient share; give a fresh copy for each.
        film_rng: what this hand has of its own.
    """
    marks = draw_landmarks(Limb.HAND, patient_rng, film_rng)
    scale = UNIT_MM * traits.size
    marks = {name: (xy - marks["mcp3"]) * scale for name, xy in marks.items()}
    place = _wrist_map(marks, scale)
    width = traits.size * traits.robust
    bones: list[Bone] = []
    strips: list[Strip] = []
    bites: list[Bite] = []
    flesh: list[Flesh] = []
    for n in range(1, 6):
        chain = _ray(n, marks, place(_BASES[n]), width, film_rng)
        digit = build_digit(Limb.HAND, chain, states, traits, film_rng)
        bones += digit.bones
        strips += digit.strips
        bites += digit.bites
        flesh += _finger_flesh(chain.nodes, n, traits, place((-0.02, 1.35)))
    flesh += _webs(marks, place((0.12, 0.95)), traits)
    bones += _wrist_bones(place, scale, width, traits, film_rng)
    if not traits.immature:  # they ossify late
        bones += _sesamoids(place(_BASES[1]), marks["mcp1"], width, film_rng)
    bites += _wrist_bites({b.name: b for b in bones}, states, width)
    r = 0.43 * UNIT_MM * traits.size * (0.6 + 0.4 * traits.flesh)
    flesh.append(Flesh(place((-0.05, 1.40)), place((-0.07, 2.0)), (r * 1.06, r * 1.02)))
    flesh.append(Flesh(place((-0.07, 2.0)), place((-0.05, 3.9)), (r * 1.02, r * 1.3)))
    points = np.array(
        [marks[p.name] if p.name in marks else place(_PLACES[p.name]) for p in POINTS[Limb.HAND]]
    )
    return Skeleton(
        Limb.HAND, points, scale, tuple(bones), _gaps(states, traits), tuple(strips),
        tuple(bites), tuple(flesh), dict(states),
    )  # fmt: skip


class _WristMap:
    """From the average wrist's units to this hand's mm."""

    def __init__(self, matrix: Array) -> None:
        self._matrix = matrix

    def __call__(self, xy: tuple[float, float] | Array) -> Array:
        return self._matrix[:, :2] @ np.asarray(xy, dtype=np.float64) + self._matrix[:, 2]

    @property
    def angle(self) -> float:
        return float(np.arctan2(self._matrix[1, 0], self._matrix[0, 0]))


def _wrist_map(marks: Mapping[str, Array], scale: float) -> _WristMap:
    average = {**_LANDMARKS, **_KNUCKLES}
    source = np.array(list(average.values()))
    target = np.array([marks[name] for name in average])
    matrix = fit_similarity(source, target, [1, 1.5, 1, 0.3, 0.3, 0.3])
    # size comes from the hand, place and turn from the landmarks
    size = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    linear = matrix[:, :2] * (0.5 + 0.5 * scale / size)
    anchor = np.array([0.03, 1.24])  # the middle of the carpus keeps its place
    shift = matrix[:, :2] @ anchor + matrix[:, 2] - linear @ anchor
    return _WristMap(np.column_stack([linear, shift]))


def _ray(
    n: int, marks: Mapping[str, Array], base: Array, width: float, rng: np.random.Generator
) -> Chain:
    """The chain of one finger with joints beyond the landmarks extrapolated."""

    def bent(direction: Array, spread: float) -> Array:
        angle = rng.normal(0, spread)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return np.asarray(turn @ direction)

    mcp = marks[f"mcp{n}"]
    if n == 1:
        ip = marks["ip"]
        tip = ip + bent(ip - mcp, 0.12) * _THUMB_DISTAL * rng.normal(1, 0.04)
        return Chain(
            ("mc1", "pp1", "dp1"), np.array([base, mcp, ip, tip]),
            [t.scaled(width) for t in (_METACARPAL[1], _PROXIMAL[1], _DISTAL[1])],
            ("mcp1", "ip"), [_SPACE_MM["mcp"] * width, _SPACE_MM["ip"] * width],
        )  # fmt: skip
    pip = marks[f"pip{n}"]
    dip = pip + bent(pip - mcp, 0.06) * _MIDDLE_LENGTH[n] * rng.normal(1, 0.03)
    length = float(np.linalg.norm(pip - mcp)) * _DISTAL_LENGTH[n] * rng.normal(1, 0.04)
    tip = dip + bent(unit(dip - pip), 0.05) * length
    return Chain(
        (f"mc{n}", f"pp{n}", f"mp{n}", f"dp{n}"), np.array([base, mcp, pip, dip, tip]),
        [t.scaled(width) for t in (_METACARPAL[n], _PROXIMAL[n], _MIDDLE[n], _DISTAL[n])],
        (f"mcp{n}", f"pip{n}", f"dip{n}"),
        [_SPACE_MM[k] * width for k in ("mcp", "pip", "dip")],
    )  # fmt: skip


def _finger_flesh(nodes: Array, n: int, traits: Traits, wrist: Array) -> list[Flesh]:
    k = traits.size * (0.5 + 0.5 * traits.flesh) * (0.9 if n == 5 else 1.0)
    radii = [15.0, 13.0, 10.0, 7.5] if n == 1 else [13.0, 11.0, 9.6, 8.6, 7.2]
    rods = [Flesh(wrist, nodes[1], (22.0 * k, radii[1] * k * (1.0 if n == 1 else 1.25)))]
    for i in range(1, len(nodes) - 1):
        end = nodes[i + 1] + (unit(nodes[i + 1] - nodes[i]) * 1.0 if i == len(nodes) - 2 else 0.0)
        rods.append(Flesh(nodes[i], end, (radii[i] * k, radii[i + 1] * k)))
    return rods


def _webs(marks: Mapping[str, Array], palm_base: Array, traits: Traits) -> list[Flesh]:
    """Skin between the fingers reaches beyond the MCP joints."""
    roots = [0.65 * marks[f"mcp{n}"] + 0.35 * marks[f"pip{n}"] for n in range(2, 6)]
    r = 7.5 * traits.size * (0.5 + 0.5 * traits.flesh)
    webs = [Flesh(a, b, (r, r)) for a, b in pairwise(roots)]
    fold = 0.6 * marks["mcp1"] + 0.4 * marks["mcp2"]
    palm = (marks["mcp1"] + marks["mcp2"] + palm_base) / 3
    webs += [Flesh(fold, marks["mcp2"], (r, 1.4 * r)), Flesh(marks["mcp1"], fold, (r, r))]
    return [*webs, Flesh(0.5 * (fold + palm), palm, (1.3 * r, 2.2 * r))]


def _smooth(corners: Array) -> Array:
    """Round a polygon's corners (Chaikin's corner cutting, twice)."""
    for _ in range(2):
        following = np.roll(corners, -1, axis=0)
        near, far = 0.75 * corners + 0.25 * following, 0.25 * corners + 0.75 * following
        corners = np.stack([near, far], 1).reshape(-1, 2)
    return corners


def _wrist_bones(
    place: _WristMap, scale: float, width: float, traits: Traits, rng: np.random.Generator
) -> list[Bone]:
    thin = (0.7 * traits.cortex,) * 3
    bones = []
    for name, (centre, size, turn) in _SHORT.items():
        jitter = rng.normal(1, 0.04, 2) * (0.6 + 0.4 * traits.robust)
        outline = blob_outline(
            place(np.asarray(centre) + rng.normal(0, 0.006, 2)),
            (size[0] * scale * jitter[0], size[1] * scale * jitter[1]),
            turn + place.angle + rng.normal(0, 0.06),
        )
        bones.append(Bone(name, outline, 0.10 * scale, thin, yields=True))
    pisiform = blob_outline(place((-0.285, 1.40)), (0.13 * scale, 0.15 * scale), 0.2, power=2.0)
    bones.append(Bone("pisiform", pisiform, 0.05 * scale, thin))
    for name, corners, depth in (("radius", _RADIUS, 0.13), ("ulna", _ULNA, 0.095)):
        outline = _smooth(np.array([place(c) for c in corners]))
        top = place((0.08, 1.53) if name == "radius" else (-0.31, 1.57))
        bottom = place((0.08, 3.8) if name == "radius" else (-0.31, 3.8))
        bones.append(
            Bone(
                name,
                outline,
                depth * scale,
                (1.0 * traits.cortex, 2.4 * traits.cortex * width, 1.0),
                axis=np.array([top, bottom]),
                plate=0.055 if traits.immature else None,
            )
        )
    return bones


def _sesamoids(base: Array, mcp: Array, width: float, rng: np.random.Generator) -> list[Bone]:
    """Two small bones on the palmar side of the head of the first metacarpal."""
    up = unit(mcp - base)
    bones = []
    for k, offset in enumerate((-4.5, 4.0)):
        centre = mcp - up * rng.uniform(2.0, 6.0) * width + across(up) * offset * width
        outline = blob_outline(centre, (4.2 * width, 5.0 * width), 0.0, power=2.0, n=16)
        bones.append(Bone(f"sesamoid{k}", outline, 1.8 * width, (0.4, 0.4, 0.4)))
    return bones


def _wrist_bites(
    bones: Mapping[str, Bone], states: Mapping[str, JointState], width: float
) -> list[Bite]:
    bites = []
    for site, names in _EROSION_BONES.items():
        for erosion in state_of(states, site).erosions:
            name = names[erosion.anchor % len(names)]
            outline = bones[name].outline
            if name == "mc1":  # the outline starts at the base
                start, stop, size = 0, 15, 14.0 * width
            elif name == "radius":
                start, stop, size = 0, 20, 20.0 * width
            elif name == "ulna":
                start, stop, size = 0, 22, 13.0 * width
            else:
                start, stop, size = 0, len(outline), 12.5 * width
            at = start + int((erosion.anchor + 0.5) / WRIST_ANCHORS * (stop - start))
            label = label_of(Limb.HAND, "radcar" if site == "nav" else site)
            bites.append(Bite(name, outline[at], erosion.radius * size, erosion.depth, label))
    return bites


def _gaps(states: Mapping[str, JointState], traits: Traits) -> tuple[Gap, ...]:
    gaps = []
    for first, second, name in _GAPS:
        healthy = _CARPAL_SPACE_MM * traits.space * traits.size
        if name == "far":
            gaps.append(Gap(first, second, 2.2 * healthy))
            continue
        state = state_of(states, name)
        # a focal loss takes one of the two contacts, or part of the only one
        lost = state.loss * (0.7 if state.focal else 1.0)
        gaps.append(
            Gap(first, second, healthy * (1 - lost), label_of(Limb.HAND, name), state.fused)
        )
    return tuple(gaps)
