"""A simulated foot: toes, metatarsals, tarsal bones, ankle and flesh, seen from above or rolled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from mandora.anatomy import POINTS, Limb
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
)

UNIT_MM = 72.0  # |MTP1-MTP5| of an average adult
OBLIQUE_RAD = 0.3  # films on which the foot is rolled further than this are oblique views
_OBLIQUE_SHARE = 0.2

_MT_DEPTH, _TOE_DEPTH = (1.1, 1.0, 1.1), (0.85, 0.85, 0.8)
_METATARSAL = {
    1: Tube(20.5, 13.0, 20.5, cup=1.2, dome=6.0, rim=1.5, depth=_MT_DEPTH),
    2: Tube(14.0, 6.8, 11.0, cup=-0.6, dome=5.0, rim=1.2, depth=_MT_DEPTH),
    3: Tube(13.0, 6.5, 10.6, cup=0.2, dome=4.8, rim=1.2, depth=_MT_DEPTH),
    4: Tube(12.5, 6.4, 10.6, cup=0.2, dome=4.8, rim=1.2, depth=_MT_DEPTH),
    5: Tube(13.5, 7.2, 10.6, cup=0.2, dome=4.6, rim=1.2, depth=_MT_DEPTH),
}
_PROXIMAL = {
    1: Tube(19.5, 13.2, 17.0, cup=2.6, dome=2.4, notch=0.6, rim=1.8, depth=_TOE_DEPTH),
    2: Tube(11.2, 5.6, 8.2, cup=2.4, dome=1.8, notch=0.4, rim=1.6, depth=_TOE_DEPTH),
    3: Tube(10.8, 5.3, 7.9, cup=2.3, dome=1.8, notch=0.4, rim=1.6, depth=_TOE_DEPTH),
    4: Tube(10.6, 5.1, 7.7, cup=2.2, dome=1.8, notch=0.4, rim=1.6, depth=_TOE_DEPTH),
    5: Tube(10.6, 5.4, 7.9, cup=2.0, dome=1.8, notch=0.3, rim=1.6, depth=_TOE_DEPTH),
}
_MIDDLE = Tube(8.4, 6.6, 7.8, cup=0.8, dome=1.3, notch=0.2, rim=0.8, depth=_TOE_DEPTH)
_DISTAL = {
    1: Tube(19.0, 9.0, 13.0, cup=1.2, dome=3.5, rim=1.4, depth=(0.7, 0.8, 0.5)),
    0: Tube(8.0, 4.0, 6.2, cup=0.6, dome=2.2, rim=0.7, depth=(0.8, 0.8, 0.6)),
}
_SPACE_MM = {1: 2.1, 2: 1.8, 3: 1.7, 4: 1.6, 5: 1.5}
# Places of an average foot in units of |MTP1-MTP5|: x towards the great toe, y towards the
# heel, height above the heads of the metatarsals.
_BASES = {
    1: (0.265, 0.835, 0.16), 2: (0.045, 0.975, 0.26), 3: (-0.085, 1.01, 0.22),
    4: (-0.20, 1.06, 0.12), 5: (-0.305, 1.115, 0.0),
}  # fmt: skip
_BASE_SLOPE = {1: -0.25, 2: 0.1, 3: 0.25, 4: 0.25, 5: 0.55}
_STYLOID = (
    (-0.375, 1.02), (-0.30, 1.06), (-0.285, 1.15), (-0.325, 1.21), (-0.375, 1.275),
    (-0.41, 1.255), (-0.405, 1.14),
)  # fmt: skip
_PHALANX_MM = {2: (25.5, 11.0, 9.5), 3: (23.5, 9.0, 9.0), 4: (21.5, 8.0, 8.5), 5: (20.0, 6.5, 8.0)}
_LEAN = {2: -0.09, 3: -0.12, 4: -0.10, 5: 0.02}  # of the lesser toes towards the great toe, rad
_MIDFOOT = (0.0, 0.95, 0.0)


@dataclass(frozen=True)
class _Tarsal:
    """A short bone: height above the metatarsal heads, half thickness and corners, all in units."""

    height: float
    depth: float
    corners: tuple[tuple[float, float], ...]


_TARSUS = {
    "cuneiform1": _Tarsal(0.18, 0.12, (
        (0.14, 0.90), (0.20, 0.87), (0.29, 0.895), (0.375, 0.935), (0.395, 1.01), (0.38, 1.09),
        (0.39, 1.17), (0.34, 1.23), (0.24, 1.235), (0.155, 1.215), (0.135, 1.10), (0.125, 0.99),
    )),
    "cuneiform2": _Tarsal(0.28, 0.10, (
        (-0.02, 1.02), (0.055, 1.005), (0.12, 1.02), (0.14, 1.10), (0.145, 1.19), (0.10, 1.225),
        (0.02, 1.215), (-0.02, 1.13),
    )),
    "cuneiform3": _Tarsal(0.23, 0.11, (
        (-0.155, 1.055), (-0.08, 1.035), (-0.01, 1.045), (0.005, 1.13), (0.0, 1.22),
        (-0.06, 1.275), (-0.13, 1.28), (-0.155, 1.20), (-0.165, 1.12),
    )),
    "cuboid": _Tarsal(0.07, 0.13, (
        (-0.34, 1.165), (-0.27, 1.125), (-0.19, 1.095), (-0.125, 1.11), (-0.085, 1.20),
        (-0.055, 1.31), (-0.055, 1.42), (-0.095, 1.49), (-0.18, 1.505), (-0.265, 1.495),
        (-0.275, 1.40), (-0.325, 1.31), (-0.365, 1.24),
    )),
    "navicular": _Tarsal(0.28, 0.12, (
        (-0.10, 1.30), (-0.03, 1.255), (0.08, 1.235), (0.20, 1.245), (0.31, 1.25), (0.38, 1.285),
        (0.425, 1.36), (0.42, 1.44), (0.36, 1.475), (0.305, 1.42), (0.23, 1.36), (0.12, 1.335),
        (0.02, 1.36), (-0.05, 1.42), (-0.105, 1.42),
    )),
    "talus": _Tarsal(0.40, 0.20, (
        (-0.085, 1.52), (-0.045, 1.43), (0.02, 1.375), (0.11, 1.355), (0.20, 1.375),
        (0.28, 1.44), (0.305, 1.54), (0.275, 1.66), (0.29, 1.78), (0.30, 2.05), (0.22, 2.25),
        (-0.02, 2.28), (-0.20, 2.10), (-0.20, 1.86), (-0.10, 1.68),
    )),
    "calcaneus": _Tarsal(0.06, 0.20, (
        (-0.285, 1.54), (-0.19, 1.52), (-0.095, 1.525), (-0.05, 1.62), (0.02, 1.76),
        (0.16, 1.80), (0.20, 1.90), (0.14, 2.04), (0.15, 2.28), (0.145, 2.44), (0.06, 2.54),
        (-0.07, 2.55), (-0.16, 2.46), (-0.20, 2.25), (-0.215, 2.0), (-0.265, 1.75),
    )),
}  # fmt: skip
# Distal ends of the leg; it runs off the film in a direction of its own.
_LEG = {
    "tibia": (0.24, (
        (0.385, 1.90), (0.34, 1.825), (0.27, 1.86), (0.235, 1.98), (0.10, 2.00), (-0.10, 2.01),
        (-0.20, 2.04), (-0.23, 2.18), (-0.18, 2.50), (-0.13, 2.9), (-0.12, 4.4), (0.23, 4.4),
        (0.235, 2.9), (0.30, 2.50), (0.39, 2.15),
    )),
    "fibula": (0.10, (
        (-0.40, 1.96), (-0.35, 1.90), (-0.285, 1.95), (-0.255, 2.08), (-0.265, 2.30),
        (-0.29, 2.6), (-0.29, 4.4), (-0.41, 4.4), (-0.415, 2.6), (-0.42, 2.20),
    )),
}  # fmt: skip
_ANKLE = (0.02, 1.95)
_HEEL = (0.0, 2.10)
_GAPS_MM = {  # usual joint space, and how much it varies with the beam
    ("cuneiform1", "mt1"): (1.5, 0.5), ("cuneiform2", "mt2"): (0.8, 0.9),
    ("cuneiform3", "mt3"): (0.7, 0.9), ("cuboid", "mt4"): (0.5, 0.9),
    ("cuboid", "mt5"): (-0.5, 1.2), ("cuneiform1", "mt2"): (0.7, 1.0),
    ("cuneiform1", "cuneiform2"): (0.3, 1.0), ("cuneiform2", "cuneiform3"): (-0.3, 1.0),
    ("cuneiform3", "cuboid"): (-1.5, 1.5), ("navicular", "cuneiform1"): (1.2, 0.6),
    ("navicular", "cuneiform2"): (1.0, 0.6), ("navicular", "cuneiform3"): (0.4, 0.9),
    ("navicular", "cuboid"): (-1.2, 1.2), ("navicular", "talus"): (1.9, 0.4),
    ("cuboid", "calcaneus"): (1.4, 0.9), ("cuboid", "talus"): (0.5, 1.5),
    ("styloid", "mt5"): (-3.0, 0.3),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class _View:
    """How the average foot's places come to lie on the film.

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
    def draw(scale: float, rng: np.random.Generator) -> _View:
        """Seen from above, or oblique; the midfoot is not yet turned."""
        oblique = rng.random() < _OBLIQUE_SHARE
        roll = rng.uniform(OBLIQUE_RAD, 0.75) if oblique else np.clip(rng.normal(0, 0.10), -0.2, 0.25)
        lean = np.clip(1.05 * roll + rng.normal(0, 0.14), -0.6, 0.9)
        return _View(scale, float(roll), float(rng.normal(0, 0.10)), float(lean), np.eye(2))

    def flat(self, marks: Mapping[str, Array]) -> dict[str, Array]:
        """Landmarks as the rolled foot shows them, mm; the sole is foreshortened across."""
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
        return self.place((x * (1 - 0.25 * abs(np.sin(self.lean))), y), 0.45) + self.axis @ [
            np.tan(self.lean) * down * self.scale, 0.0,
        ]  # fmt: skip


def build_foot(
    traits: Traits,
    states: Mapping[str, JointState],
    patient_rng: np.random.Generator,
    film_rng: np.random.Generator,
) -> Skeleton:
    """One left foot; the arguments are those of :func:`mandora.phantom.hand.build_hand`."""
    marks = draw_landmarks(Limb.FOOT, patient_rng, film_rng)
    view = _View.draw(UNIT_MM * traits.size, film_rng)
    # the midfoot follows the line from MTP1 to MTP5
    span = marks["mtp1"] - marks["mtp5"]
    turned = float(np.arctan2(span[1], span[0])) - np.arctan2(-0.276, 0.955)
    view = replace(view, axis=turn(0.6 * turned + film_rng.normal(0, 0.04)))
    marks = view.flat(marks)
    width = traits.size * traits.robust
    bases = {}
    for n, (x, y, height) in _BASES.items():
        jitter = film_rng.normal(0, 0.012, 2)
        bases[n] = view.place((x + jitter[0], y + jitter[1]), height)
    claw = float(np.clip(film_rng.normal(0.15, 0.25), 0, 0.8))
    drift = float(film_rng.normal(0, 0.06))
    bones: list[Bone] = []
    strips: list[Strip] = []
    bites: list[Bite] = []
    flesh = _foot_flesh(view, traits)
    for n in range(1, 6):
        if n == 1:
            chain = _great_ray(marks, bases[1], width, film_rng)
        else:
            chain = _lesser_ray(n, marks, bases[n], view, width, traits, claw, drift, film_rng)
        digit = build_digit(Limb.FOOT, chain, states, traits, film_rng)
        bones += digit.bones
        strips += digit.strips
        bites += digit.bites
        rods, toe = _toe_flesh(chain.nodes, n, traits, view)
        flesh += rods
        bones.append(toe)
    bones += _sesamoids(marks, bases[1], width, film_rng)
    bones += _tarsal_bones(view, traits, film_rng)
    bones += _thick_flesh(view, traits)
    points = np.array([marks[p.name] for p in POINTS[Limb.FOOT]])
    return Skeleton(
        Limb.FOOT, points, view.scale, tuple(bones), _gaps(view, traits, film_rng), tuple(strips),
        tuple(bites), tuple(flesh), dict(states),
    )  # fmt: skip


def _great_ray(
    marks: Mapping[str, Array], base: Array, width: float, rng: np.random.Generator
) -> Chain:
    mtp, ip = marks["mtp1"], marks["ip"]
    tip = ip + turn(rng.normal(-0.13, 0.09)) @ (ip - mtp) * 0.68 * rng.normal(1, 0.05)
    return Chain(
        ("mt1", "pp1", "dp1"), np.array([base, mtp, ip, tip]),
        [t.scaled(width) for t in (_METATARSAL[1], _PROXIMAL[1], _DISTAL[1])], ("mtp1", "ip"),
        [_SPACE_MM[1] * width, 1.5 * width],
        rng.normal([0.30, -0.15, 0.10], [0.08, 0.12, 0.15]).tolist(),
        _BASE_SLOPE[1] + rng.normal(0, 0.06),
    )  # fmt: skip


def _lesser_ray(
    n: int,
    marks: Mapping[str, Array],
    base: Array,
    view: _View,
    width: float,
    traits: Traits,
    claw: float,
    drift: float,
    rng: np.random.Generator,
) -> Chain:
    """A metatarsal and a toe that is straight or bent: bent phalanges look short from above."""
    bent = float(np.clip(claw + rng.normal(0.08 * (n - 2), 0.2), 0, 1))
    rise = float(np.clip(rng.normal(0.32, 0.08) + 0.35 * bent, 0.1, 0.75))
    fall = float(np.clip(rng.normal(0.20, 0.15) + 0.75 * bent, 0, 0.95))
    end = float(np.clip(rng.normal(0.20, 0.2) + 0.60 * bent, -0.2, 0.95))
    nodes = [base, marks[f"mtp{n}"]]
    # a great toe in valgus pushes its neighbours aside
    pushed = min(float((marks["ip"] - marks["mtp1"])[0]) / view.scale + 0.04, 0.0)
    lean = _LEAN[n] + drift + rng.normal(0, 0.08) + pushed * (1.3 if n == 2 else 0.6)
    shares = (1 - 0.22 * bent, 1 - 0.45 * bent, 1 - 0.35 * bent)
    for length, share, side in zip(_PHALANX_MM[n], shares, (0.0, 0.06, 0.10), strict=True):
        up = view.axis @ turn(lean + rng.normal(0, side) + 0.3 * view.roll) @ [0.0, -1.0]
        nodes.append(nodes[-1] + up * length * traits.size * share * rng.normal(1, 0.06))
    fused = n == 5 and rng.random() < 0.4  # many fifth toes have two phalanges
    return Chain(
        (f"mt{n}", f"pp{n}", f"mp{n}", f"dp{n}"), np.array(nodes),
        [t.scaled(width) for t in (_METATARSAL[n], _PROXIMAL[n], _MIDDLE, _DISTAL[0])],
        (f"mtp{n}", f"toe-pip{n}", f"toe-dip{n}"),
        [_SPACE_MM[n] * width, 0.9 * width, (-1.0 if fused else 0.7) * width],
        [float(rng.normal(0.33, 0.07)), -rise, fall, end], _BASE_SLOPE[n] + rng.normal(0, 0.08),
    )  # fmt: skip


def _sesamoids(
    marks: Mapping[str, Array], base: Array, width: float, rng: np.random.Generator
) -> list[Bone]:
    """Two bones under the head of the first metatarsal; in hallux valgus they stay behind."""
    mtp = marks["mtp1"]
    up, toe = unit(mtp - base), unit(marks["ip"] - mtp)
    valgus = float(np.arcsin(np.clip(up[1] * toe[0] - up[0] * toe[1], -1, 1)))
    left_behind = float(np.clip(14.0 * (-valgus - 0.2), -1.0, 7.0)) + rng.normal(0, 0.7)
    bones = []
    for k, offset in enumerate((-5.2, 5.0)):
        centre = mtp - up * (9.5 + rng.normal(0, 1.3)) * width
        centre = centre + across(up) * (offset - left_behind) * width
        size = (8.5 * width * rng.normal(1, 0.08), 10.5 * width * rng.normal(1, 0.08))
        outline = blob_outline(centre, size, rng.normal(0, 0.25), power=2.1, n=20)
        bones.append(Bone(f"sesamoid{k}", outline, 1.7 * width, (0.28, 0.28, 0.28)))
    return bones


def _tarsal_bones(view: _View, traits: Traits, rng: np.random.Generator) -> list[Bone]:
    thin = (0.45 * traits.cortex,) * 3
    bones = []
    for name, tarsal in _TARSUS.items():
        rough = np.array(tarsal.corners)
        centre = rough.mean(axis=0)
        growth = rng.normal(1.02, 0.035, 2) * (0.6 + 0.4 * traits.robust)
        around = (rough - centre) * growth * (0.95 if traits.immature else 1.0)
        around = around @ turn(rng.normal(0, 0.04)).T + rng.normal(0, 0.005, rough.shape)
        moved = centre + rng.normal(0, 0.010, 2)
        outline = smooth_outline(np.array([view.place(c, tarsal.height) for c in moved + around]))
        bones.append(Bone(
            name, outline, tarsal.depth * rng.uniform(0.85, 1.1) * view.scale, thin,
            yields=name not in ("talus", "calcaneus"), veil=float(rng.uniform(0.1, 0.5)),
        ))  # fmt: skip
    for name, (depth, corners) in _LEG.items():
        outline = smooth_outline(np.array([view.leg(c) for c in corners]))
        wall = (1.2 * traits.cortex,) * 3
        bones.append(Bone(name, outline, depth * view.scale, wall))
    styloid = smooth_outline(np.array([view.place(c) for c in _STYLOID]))
    bones.append(
        Bone("styloid", styloid, 0.07 * view.scale, thin, yields=True, anatomical=False)
    )
    return bones


def _gaps(view: _View, traits: Traits, rng: np.random.Generator) -> tuple[Gap, ...]:
    """Joint spaces of the midfoot; the outer ones open when the foot is rolled."""
    opened = float(np.clip(view.roll / 0.5, 0, 1))
    gaps = []
    for (first, second), (usual, spread) in _GAPS_MM.items():
        if first in ("cuboid", "cuneiform3", "navicular") and second != "talus":
            usual += (1.4 - usual) * opened
        width = rng.normal(usual, spread * (1 - 0.5 * opened)) * traits.space * traits.size
        gaps.append(Gap(first, second, float(width)))
    return tuple(gaps)


def _foot_flesh(view: _View, traits: Traits) -> list[Flesh]:
    """The foot without toes and leg."""
    r = view.scale * (0.7 + 0.3 * traits.flesh)
    places = [view.place((0.0, 0.62)), view.place((0.02, 1.2)), view.place((0.04, 1.6))]
    heel = view.place(_HEEL)
    return [
        Flesh(places[0], places[1], (0.60 * r, 0.53 * r)),
        Flesh(places[1], places[2], (0.53 * r, 0.47 * r)),
        Flesh(places[2], heel, (0.47 * r, 0.46 * r)),
    ]


def _toe_flesh(nodes: Array, n: int, traits: Traits, view: _View) -> tuple[list[Flesh], Bone]:
    """The pad of one ray up to the web, how far the toe reaches, and the toe's own body."""
    k = traits.size * (0.5 + 0.5 * traits.flesh)
    ball = 15.0 if n == 1 else 11.5
    up = unit(nodes[-1] - nodes[-2])
    web = nodes[1] + 0.5 * (nodes[2] - nodes[1])
    tip = nodes[-1] + up * (5.0 if n == 1 else 4.0) * k
    rods = [
        Flesh(view.place(_MIDFOOT[:2]), nodes[1], (26.0 * k, ball * k)),
        Flesh(nodes[1], web, (ball * k, 0.72 * ball * k)),
        Flesh(web, tip, (0.0, 0.0)),  # its body is below: this only tells how far it reaches
    ]
    radii = [13.5, 14.0, 15.0, 12.0] if n == 1 else [8.2, 7.8, 8.0, 8.2, 7.0]
    path = [nodes[1], *nodes[2:-1], tip - up * radii[-1] * k]
    outline = _sausage(np.array(path), np.array(radii[: len(path)]) * k * (0.9 if n == 5 else 1.0))
    return rods, _soft(f"toe{n}", outline, (9.5 if n == 1 else 7.0) * k)


def _sausage(path: Array, radii: Array) -> Array:
    """Outline around a path with round ends, (N, 2) mm."""
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1)[:, None]
    side = np.column_stack([-along[:, 1], along[:, 0]])
    right, left = path + side * radii[:, None], path - side * radii[:, None]
    ends = [
        path[i] + s * radii[i] * (np.cos(a) * along[i] + np.sin(a) * side[i])
        for i, s, angles in ((-1, 1.0, (0.8, 0.0, -0.8)), (0, -1.0, (0.8, 0.0, -0.8)))
        for a in angles
    ]
    return smooth_outline(np.concatenate([right, ends[:3], left[::-1], ends[3:]]))


def _thick_flesh(view: _View, traits: Traits) -> list[Bone]:
    """The instep and the leg, which lie above the sole."""
    k = 0.7 + 0.3 * traits.flesh
    instep = np.array([
        view.place((x * k, y), 0.15)
        for x, y in (
            (-0.30, 0.75), (0.05, 0.45), (0.36, 0.70), (0.46, 1.1), (0.46, 1.6), (0.42, 2.0),
            (-0.36, 2.0), (-0.38, 1.6), (-0.42, 1.1),
        )
    ])  # fmt: skip
    leg = np.array([
        view.leg((x * k, y))
        for x, y in (
            (-0.46, 1.85), (-0.35, 1.72), (0.0, 1.64), (0.32, 1.68), (0.45, 1.82), (0.50, 2.05),
            (0.45, 2.5), (0.48, 4.4), (-0.48, 4.4), (-0.46, 2.5), (-0.52, 2.1),
        )
    ])  # fmt: skip
    return [
        _soft("instep", smooth_outline(instep), 0.16 * view.scale * k),
        _soft("leg", smooth_outline(leg), 0.42 * view.scale * k),
    ]


def _soft(name: str, outline: Array, radius: float) -> Bone:
    """A body of flesh that lies on another one: bone without a shell, as dense as flesh."""
    return Bone(name, outline, radius, (0.0, 0.0, 0.0), porosity=0.45, anatomical=False)
