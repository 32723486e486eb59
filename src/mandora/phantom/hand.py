"""A simulated hand and wrist."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from mandora.anatomy import POINTS, Limb
from mandora.geometry import fit_similarity
from mandora.phantom.damage import JointState
from mandora.phantom.digits import Chain, build_digit
from mandora.phantom.shapes import Array, Tube, across, blob_outline, smooth_outline, turn, unit
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
# Corners of the carpal bones; their faces towards each other overlap, as on a film.
_CARPUS = {
    "trapezoid": (
        (0.125, 1.06), (0.20, 1.035), (0.28, 1.05), (0.31, 1.11), (0.275, 1.18), (0.215, 1.215),
        (0.145, 1.195), (0.115, 1.13),
    ),
    "trapezium": (
        (0.275, 1.075), (0.34, 1.06), (0.40, 1.10), (0.435, 1.17), (0.395, 1.235), (0.315, 1.25),
        (0.245, 1.22), (0.235, 1.14),
    ),
    "capitate": (
        (-0.095, 1.01), (-0.02, 1.0), (0.07, 1.005), (0.13, 1.03), (0.145, 1.10), (0.115, 1.19),
        (0.12, 1.29), (0.09, 1.37), (0.03, 1.405), (-0.045, 1.395), (-0.09, 1.34), (-0.085, 1.22),
        (-0.105, 1.12),
    ),
    "hamate": (
        (-0.095, 1.015), (-0.19, 1.01), (-0.275, 1.05), (-0.325, 1.11), (-0.275, 1.20),
        (-0.20, 1.30), (-0.14, 1.37), (-0.095, 1.385), (-0.08, 1.33), (-0.085, 1.20), (-0.10, 1.11),
    ),
    "scaphoid": (
        (0.155, 1.23), (0.235, 1.215), (0.295, 1.265), (0.295, 1.36), (0.255, 1.45), (0.185, 1.535),
        (0.095, 1.56), (0.02, 1.525), (0.01, 1.43), (0.08, 1.37), (0.12, 1.31), (0.13, 1.26),
    ),
    "lunate": (
        (-0.205, 1.39), (-0.135, 1.37), (-0.045, 1.395), (0.02, 1.385), (0.055, 1.42),
        (0.025, 1.51), (-0.05, 1.56), (-0.14, 1.545), (-0.205, 1.475),
    ),
    "triquetrum": (
        (-0.325, 1.195), (-0.255, 1.215), (-0.185, 1.29), (-0.145, 1.36), (-0.185, 1.43),
        (-0.27, 1.46), (-0.345, 1.415), (-0.37, 1.31),
    ),
}  # fmt: skip
_PISIFORM = ((-0.275, 1.355), (0.135, 0.16))  # centre, size; in front of the triquetrum
_HOOK = ((-0.195, 1.125), (0.085, 0.11))  # of the hamate, seen end on
_RADIUS = [
    (0.295, 1.455), (0.20, 1.525), (0.10, 1.545), (0.0, 1.548), (-0.09, 1.555), (-0.13, 1.585),
    (-0.12, 1.66), (-0.07, 1.80), (-0.03, 2.0), (-0.02, 2.4), (-0.03, 3.8), (0.19, 3.8),
    (0.20, 2.4), (0.22, 2.0), (0.275, 1.75), (0.315, 1.58),
]  # fmt: skip
_ULNA = [
    (-0.40, 1.515), (-0.375, 1.515), (-0.365, 1.59), (-0.30, 1.585), (-0.215, 1.61),
    (-0.195, 1.67), (-0.21, 1.76), (-0.235, 1.95), (-0.24, 2.4), (-0.23, 3.8), (-0.40, 3.8),
    (-0.39, 2.4), (-0.385, 1.95), (-0.41, 1.75), (-0.425, 1.63),
]  # fmt: skip

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
_WRIST_SPACE_MM = {"radcar": 1.9, "capnlun": 1.5, "": 1.2}  # "": all others
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
        Limb.HAND, points, scale, tuple(bones), _gaps(states, traits, film_rng), tuple(strips),
        tuple(bites), tuple(flesh), dict(states),
    )  # fmt: skip


class _WristMap:
    """From the average wrist's units to this hand's mm."""

    def __init__(self, matrix: Array) -> None:
        self._matrix = matrix

    def __call__(self, xy: tuple[float, float] | Array) -> Array:
        return self._matrix[:, :2] @ np.asarray(xy, dtype=np.float64) + self._matrix[:, 2]

    @property
    def down(self) -> Array:
        """(2,) unit vector towards the forearm."""
        return unit(self._matrix[:, 1])


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
        return np.asarray(turn(rng.normal(0, spread)) @ direction)

    mcp = marks[f"mcp{n}"]
    if n == 1:
        ip = marks["ip"]
        tip = ip + bent(ip - mcp, 0.12) * _THUMB_DISTAL * rng.normal(1, 0.04)
        return Chain(
            ("mc1", "pp1", "dp1"), np.array([base, mcp, ip, tip]),
            [t.scaled(width) for t in (_METACARPAL[1], _PROXIMAL[1], _DISTAL[1])],
            ("mcp1", "ip"), [_SPACE_MM["mcp"] * width, _SPACE_MM["ip"] * width],
            rng.normal([0.15, 0.1, 0.1], [0.15, 0.15, 0.2]).tolist(), _BASE_SLOPE[1],
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
        np.cumsum(rng.normal([-0.05, 0.02, 0.06, 0.05], [0.06, 0.08, 0.08, 0.08])).tolist(),
        _BASE_SLOPE[n] + rng.normal(0, 0.06),
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
    inner = 0.5 * (fold + palm)
    webs += [Flesh(inner, palm, (1.6 * r, 2.6 * r)), Flesh(inner, marks["mcp1"], (1.6 * r, r))]
    return [*webs, Flesh(inner, 0.5 * (marks["mcp2"] + palm_base), (1.6 * r, 2.2 * r))]


def _wrist_bones(
    place: _WristMap, scale: float, width: float, traits: Traits, rng: np.random.Generator
) -> list[Bone]:
    thin = (0.38 * traits.cortex,) * 3
    bones = []
    for name, corners in _CARPUS.items():
        rough = np.array(corners)
        centre = rough.mean(axis=0)
        growth = rng.normal(1.08, 0.04, 2) * (0.6 + 0.4 * traits.robust)
        moved = centre + rng.normal(0, 0.007, 2)
        around = (rough - centre) * growth * (0.93 if traits.immature else 1.0)
        around = around @ turn(rng.normal(0, 0.05)).T + rng.normal(0, 0.004, rough.shape)
        outline = smooth_outline(np.array([place(c) for c in moved + around]))
        bones.append(Bone(name, outline, rng.uniform(0.105, 0.14) * scale, thin, yields=True))
    lies = rng.normal(0, 0.02, 2)
    for name, (centre, size), radius in (("pisiform", _PISIFORM, 0.035), ("hook", _HOOK, 0.022)):
        outline = blob_outline(
            place(np.asarray(centre) + lies), (size[0] * scale, size[1] * scale), 0.2, power=2.0
        )
        # the hook is a wall of compact bone; the pisiform has a thin one
        wall = (0.9 * traits.cortex,) * 3 if name == "hook" else thin
        bones.append(Bone(name, outline, radius * scale, wall, anatomical=name != "hook"))
    for name, edge, depth in (("radius", _RADIUS, 0.14), ("ulna", _ULNA, 0.10)):
        outline = smooth_outline(np.array([place(c) for c in edge]))
        top = place((0.08, 1.53) if name == "radius" else (-0.31, 1.57))
        bottom = place((0.08, 3.8) if name == "radius" else (-0.31, 3.8))
        bones.append(
            Bone(
                name,
                outline,
                depth * scale,
                (0.8 * traits.cortex, 2.4 * traits.cortex * width, 1.0),
                axis=np.array([top, bottom]),
                plate=0.055 if traits.immature else None,
            )
        )
    rims = [place(c) for c in _RADIUS[1:6]]
    lower = [xy + place.down * rng.uniform(0.035, 0.06) * scale for xy in rims[::-1]]
    rim = smooth_outline(np.array(rims + lower))
    bones.append(Bone("radius-rim", rim, 1.6, (0.6 * traits.cortex,) * 3, anatomical=False))
    return bones


def _sesamoids(base: Array, mcp: Array, width: float, rng: np.random.Generator) -> list[Bone]:
    """Two small bones on the palmar side of the head of the first metacarpal."""
    up = unit(mcp - base)
    bones = []
    for k, offset in enumerate((-4.5, 4.0)):
        centre = mcp - up * rng.uniform(2.0, 6.0) * width + across(up) * offset * width
        outline = blob_outline(centre, (4.6 * width, 5.4 * width), 0.0, power=2.0, n=16)
        bones.append(Bone(f"sesamoid{k}", outline, 1.5 * width, (0.3, 0.3, 0.3)))
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


def _gaps(
    states: Mapping[str, JointState], traits: Traits, rng: np.random.Generator
) -> tuple[Gap, ...]:
    gaps = []
    for first, second, name in _GAPS:
        usual = _WRIST_SPACE_MM.get(name, _WRIST_SPACE_MM[""])
        healthy = usual * traits.space * traits.size
        if name == "far":
            gaps.append(Gap(first, second, 2.0 * healthy))
        elif not name:
            # the beam rarely runs along these joints: most are veiled
            gaps.append(Gap(first, second, float(rng.normal(-0.1, 0.9)) * healthy))
        else:
            state = state_of(states, name)
            # a focal loss takes one of the two contacts, or part of the only one
            lost = state.loss * (0.7 if state.focal else 1.0)
            gaps.append(
                Gap(first, second, healthy * (1 - lost), label_of(Limb.HAND, name), state.fused)
            )
    return tuple(gaps)
