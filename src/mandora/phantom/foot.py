"""A simulated forefoot with the tarsal bones behind it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mandora.anatomy import POINTS, Limb
from mandora.phantom.damage import JointState
from mandora.phantom.digits import Chain, build_digit
from mandora.phantom.shapes import Array, Tube, blob_outline, unit
from mandora.phantom.skeleton import (
    Bite,
    Bone,
    Flesh,
    Gap,
    Skeleton,
    Strip,
    Traits,
    draw_landmarks,
)

UNIT_MM = 72.0  # |MTP1-MTP5| of an average adult

_METATARSAL = {
    1: Tube(19, 13.0, 21.0, cup=0.3, dome=6.0),
    2: Tube(10.8, 7.2, 11.5, cup=0.3, dome=4.5),
    3: Tube(10.2, 6.8, 11.0, cup=0.3, dome=4.3),
    4: Tube(10.2, 6.6, 10.8, cup=0.3, dome=4.2),
    5: Tube(13, 7.4, 11.0, cup=0.3, dome=4.2),
}
_PROXIMAL = {
    1: Tube(18.5, 12.5, 16.0, cup=1.8, dome=2.4, notch=0.6),
    2: Tube(10.8, 5.8, 8.0, cup=1.2, dome=1.6, notch=0.3),
    3: Tube(10.4, 5.6, 7.8, cup=1.2, dome=1.6, notch=0.3),
    4: Tube(10.2, 5.4, 7.6, cup=1.2, dome=1.6, notch=0.3),
    5: Tube(10.2, 5.6, 7.6, cup=1.2, dome=1.6, notch=0.3),
}
_MIDDLE = Tube(8.2, 6.2, 7.4, cup=0.5, dome=1.2)
_DISTAL = {1: Tube(16.0, 9.5, 12.0, cup=1.0, dome=3.0), 0: Tube(7.4, 4.2, 5.6, cup=0.5, dome=2.0)}
_SPACE_MM = {1: 2.1, 2: 1.8, 3: 1.7, 4: 1.6, 5: 1.5}
_BASES = {
    1: (0.27, 0.96), 2: (0.115, 0.93), 3: (-0.005, 0.99), 4: (-0.125, 1.06), 5: (-0.27, 1.16),
}  # fmt: skip
_PHALANX_MM = {2: (25.5, 11.0, 9.0), 3: (23.5, 9.5, 9.0), 4: (21.5, 8.5, 8.5), 5: (20.0, 7.0, 8.0)}
_LEAN = {2: 0.05, 3: 0.12, 4: 0.20, 5: 0.30}  # lesser toes lean towards the great toe, rad
_TARSUS = {
    "cuneiform1": ((0.24, 1.17), (0.24, 0.34), 0.05, 0.11),
    "cuneiform2": ((0.10, 1.09), (0.17, 0.24), 0.0, 0.10),
    "cuneiform3": ((-0.02, 1.15), (0.18, 0.28), 0.0, 0.10),
    "cuboid": ((-0.18, 1.32), (0.30, 0.42), 0.15, 0.14),
    "navicular": ((0.13, 1.38), (0.46, 0.19), -0.1, 0.12),
    "talus": ((0.10, 1.68), (0.46, 0.52), 0.1, 0.27),
    "calcaneus": ((-0.03, 1.98), (0.46, 0.95), 0.05, 0.32),
    "tibia": ((0.09, 2.75), (0.52, 1.9), 0.03, 0.22),
    "fibula": ((-0.24, 2.75), (0.21, 1.75), 0.03, 0.10),
}
_TARSAL_GAPS = (
    ("cuneiform1", "mt1"), ("cuneiform1", "mt2"), ("cuneiform2", "mt2"), ("cuneiform3", "mt3"),
    ("cuboid", "mt4"), ("cuboid", "mt5"), ("cuneiform1", "cuneiform2"),
    ("cuneiform2", "cuneiform3"), ("cuneiform3", "cuboid"), ("navicular", "cuneiform1"),
    ("navicular", "cuneiform2"), ("navicular", "cuneiform3"), ("navicular", "cuboid"),
    ("navicular", "talus"),
)  # fmt: skip


def build_foot(
    traits: Traits,
    states: Mapping[str, JointState],
    patient_rng: np.random.Generator,
    film_rng: np.random.Generator,
) -> Skeleton:
    """One left foot; the arguments are those of :func:`mandora.phantom.hand.build_hand`."""
    marks = draw_landmarks(Limb.FOOT, patient_rng, film_rng)
    scale = UNIT_MM * traits.size
    width = traits.size * traits.robust
    marks = {name: xy * scale for name, xy in marks.items()}
    # the midfoot follows the line from MTP1 to MTP5
    span = marks["mtp1"] - marks["mtp5"]
    turn = float(np.arctan2(span[1], span[0])) - np.arctan2(-0.276, 0.955)

    def place(xy: tuple[float, float]) -> Array:
        c, s = np.cos(0.6 * turn), np.sin(0.6 * turn)
        return np.asarray(np.array([[c, -s], [s, c]]) @ np.asarray(xy) * scale)

    bones: list[Bone] = []
    strips: list[Strip] = []
    bites: list[Bite] = []
    flesh: list[Flesh] = []
    for n in range(1, 6):
        chain = _ray(n, marks, place(_BASES[n]), width, traits.size, film_rng)
        digit = build_digit(Limb.FOOT, chain, states, traits, film_rng)
        bones += digit.bones
        strips += digit.strips
        bites += digit.bites
        flesh += _toe_flesh(chain.nodes, n, traits, place((0.0, 1.15)))
    bones += _sesamoids(marks["mtp1"], place(_BASES[1]), width, film_rng)
    thin = (0.7 * traits.cortex,) * 3
    for name, (centre, size, angle, depth) in _TARSUS.items():
        jitter = film_rng.normal(1, 0.05, 2)
        outline = blob_outline(
            place(centre), (size[0] * scale * jitter[0], size[1] * scale * jitter[1]),
            angle + 0.6 * turn,
        )  # fmt: skip
        yields = name not in ("talus", "calcaneus", "tibia", "fibula")
        bones.append(Bone(name, outline, depth * scale, thin, yields=yields))
    r = 0.5 * traits.size * UNIT_MM * (0.7 + 0.3 * traits.flesh)
    flesh.append(Flesh(place((0.0, 0.75)), place((-0.02, 1.35)), (r * 0.85, r * 0.80)))
    flesh.append(Flesh(place((-0.02, 1.35)), place((-0.02, 3.5)), (r * 0.80, r * 0.95)))
    points = np.array([marks[p.name] for p in POINTS[Limb.FOOT]])
    gaps = tuple(Gap(a, b, 1.5 * traits.space * traits.size) for a, b in _TARSAL_GAPS)
    return Skeleton(
        Limb.FOOT, points, scale, tuple(bones), gaps, tuple(strips), tuple(bites),
        tuple(flesh), dict(states),
    )  # fmt: skip


def _turned(direction: Array, angle: float) -> Array:
    c, s = np.cos(angle), np.sin(angle)
    return np.asarray(np.array([[c, -s], [s, c]]) @ direction)


def _ray(
    n: int,
    marks: Mapping[str, Array],
    base: Array,
    width: float,
    size: float,
    rng: np.random.Generator,
) -> Chain:
    mtp = marks[f"mtp{n}"]
    if n == 1:
        ip = marks["ip"]
        tip = ip + _turned(ip - mtp, rng.normal(0, 0.10)) * 0.66 * rng.normal(1, 0.05)
        tubes = [t.scaled(width) for t in (_METATARSAL[1], _PROXIMAL[1], _DISTAL[1])]
        return Chain(
            ("mt1", "pp1", "dp1"), np.array([base, mtp, ip, tip]), tubes, ("mtp1", "ip"),
            [_SPACE_MM[1] * width, 1.4 * width],
            rng.normal([0.25, -0.10, 0.05], [0.08, 0.12, 0.12]).tolist(),
        )  # fmt: skip
    shaft = unit(mtp - base)
    lean = _LEAN[n] + rng.normal(0, 0.10)
    nodes = [base, mtp]
    # hammer toes: bent phalanges look shorter from above
    bend = rng.uniform(0.55, 1.0) if rng.random() < 0.4 else 1.0
    for k, length in enumerate(_PHALANX_MM[n]):
        direction = _turned(shaft, lean + rng.normal(0, 0.06))
        factor = 1.0 if k == 0 else bend
        nodes.append(nodes[-1] + direction * length * size * factor * rng.normal(1, 0.06))
    tubes = [t.scaled(width) for t in (_METATARSAL[n], _PROXIMAL[n], _MIDDLE, _DISTAL[0])]
    return Chain(
        (f"mt{n}", f"pp{n}", f"mp{n}", f"dp{n}"), np.array(nodes), tubes,
        (f"mtp{n}", f"toe-pip{n}", f"toe-dip{n}"),
        [_SPACE_MM[n] * width, 0.9 * width, 0.7 * width],
        rng.normal([0.25, -0.25, 0.15, 0.2], [0.08, 0.15, 0.2, 0.2]).tolist(),
    )  # fmt: skip


def _sesamoids(mtp: Array, base: Array, width: float, rng: np.random.Generator) -> list[Bone]:
    up = unit(mtp - base)
    side = np.array([-up[1], up[0]])
    bones = []
    for k, offset in enumerate((-5.5, 5.5)):
        centre = mtp - up * (9.5 + rng.normal(0, 1.5)) * width
        centre = centre + side * (offset + rng.normal(0, 0.8)) * width
        size = (8.5 * width * rng.normal(1, 0.08), 11.5 * width * rng.normal(1, 0.08))
        outline = blob_outline(centre, size, rng.normal(0, 0.2), power=2.0, n=20)
        bones.append(Bone(f"sesamoid{k}", outline, 3.6 * width, (0.5, 0.5, 0.5)))
    return bones


def _toe_flesh(nodes: Array, n: int, traits: Traits, midfoot: Array) -> list[Flesh]:
    k = traits.size * (0.5 + 0.5 * traits.flesh)
    radii = [19.0, 16.5, 13.0, 11.0] if n == 1 else [14.0, 12.0, 8.8, 8.0, 7.2]
    rods = [Flesh(midfoot, nodes[1], (26.0 * k, radii[1] * k))]
    rods += [
        Flesh(nodes[i], nodes[i + 1], (radii[i] * k, radii[i + 1] * k))
        for i in range(1, len(nodes) - 1)
    ]
    return rods
