"""A simulated foot: toes, metatarsals and soft tissue; the tarsus is in :mod:`.tarsus`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from mandora.core.anatomy import LANDMARKS, Limb
from mandora.simulate.anatomy.forefoot import draw_forms, draw_tubes
from mandora.simulate.anatomy.joint_state import JointState
from mandora.simulate.anatomy.rays import Ray, build_ray
from mandora.simulate.anatomy.shapes import (
    Array,
    across,
    blob_outline,
    smooth_outline,
    turn,
    unit,
)
from mandora.simulate.anatomy.skeleton import (
    Bone,
    PlacedErosion,
    Rod,
    Skeleton,
    Strip,
    Traits,
    draw_landmarks,
)
from mandora.simulate.anatomy.tarsus import (
    FootPose,
    leg_soft_tissue,
    soft_body,
    tarsal_bones,
    tarsal_gaps,
)
from mandora.simulate.anatomy.variants import bone_spots, calcified_arteries, with_old_fracture

SIZE_MM = 72.0  # |MTP1-MTP5| of an average adult

_SPACE_MM = {1: 2.3, 2: 2.1, 3: 2.0, 4: 1.9, 5: 1.8}
# Bases of the metatarsals of an average foot in units of |MTP1-MTP5|: x towards the great toe, y
# towards the heel, height above the heads. They rise towards the heel.
_BASES = {
    1: (0.265, 0.855, 0.16), 2: (0.045, 0.99, 0.26), 3: (-0.085, 1.03, 0.22),
    4: (-0.195, 1.075, 0.12), 5: (-0.30, 1.125, 0.0),
}  # fmt: skip
_BASE_SLOPE = {1: -0.25, 2: 0.1, 3: 0.25, 4: 0.25, 5: 0.55}
_PHALANX_MM = {
    2: (27.0, 12.5, 10.5), 3: (25.0, 10.5, 10.0), 4: (22.5, 9.0, 9.5), 5: (20.5, 7.5, 9.0),
}  # fmt: skip
_LEAN = {2: -0.09, 3: -0.12, 4: -0.10, 5: 0.02}  # of the lesser toes towards the great toe, rad
_SOLE = (((0.0, 0.62), 0.60), ((0.01, 1.2), 0.57), ((0.04, 1.6), 0.50), ((0.0, 2.10), 0.47))
_CLAW_SHARE = 0.25  # of feet whose toes are bent
_TWO_PHALANGES = 0.4  # share of fifth toes whose outer two phalanges are one
_TWO_PARTS = (0.05, 0.15)  # share of sesamoids that have two parts: the outer, the inner one
_MORE_SESAMOIDS = {"ip": 0.12, "mtp2": 0.05, "mtp5": 0.12}  # share of feet with another one there
_ROUND = (0.8, 0.0, -0.8)  # corners of a round end, rad from its middle
_TOE_DENSITY = 0.32  # relative to compact bone; displays lift the thin toes towards the forefoot


@dataclass(frozen=True, eq=False)
class _Forefoot:
    """What the rays of one foot share.

    Attributes:
        marks: (2,) mm of the film by landmark.
        bases: (2,) mm, base of each metatarsal.
        pose: of this film.
        width: breadth of bones relative to the average.
        traits: of the patient.
        claw: how far the lesser toes are bent, 0..1.
        drift: lean of all lesser toes towards the great toe, rad.
        pitch: of the metatarsals: their heads lie lower than their bases, rad.
        spongy: density of the spongy bone in their heads, relative to the usual one.
        congruence: see :class:`.rays.Ray`.
    """

    marks: Mapping[str, Array]
    bases: Mapping[int, Array]
    pose: FootPose
    width: float
    traits: Traits
    claw: float
    drift: float
    pitch: float
    spongy: float
    congruence: float


def build_foot(
    traits: Traits,
    states: Mapping[str, JointState],
    patient_rng: np.random.Generator,
    film_rng: np.random.Generator,
) -> Skeleton:
    """One left foot; the arguments are those of :func:`.hand.build_hand`."""
    drawn = draw_landmarks(Limb.FOOT, patient_rng, film_rng, traits.shape_deviation)
    pose = FootPose.draw(SIZE_MM * traits.size, drawn, film_rng)
    fore = _forefoot(pose.flat(drawn), pose, traits, film_rng)
    bones: list[Bone] = []
    strips: list[Strip] = []
    erosions: list[PlacedErosion] = []
    soft_tissue, webs = _sole(pose, traits), []
    for n in range(1, 6):
        ray = _great_ray(fore, film_rng) if n == 1 else _lesser_ray(n, fore, film_rng)
        forms = draw_forms(n, states, traits, fore.spongy, film_rng)
        ray = replace(ray, forms=forms, congruence=fore.congruence)
        parts = build_ray(Limb.FOOT, ray, states, traits, film_rng)
        rods, pulp = _toe_soft_tissue(ray.nodes, n, traits)
        bones += [*parts.bones, *pulp]
        strips += parts.strips
        erosions += parts.erosions
        soft_tissue += rods
        webs.append(rods[1].end)
    soft_tissue += _webs(webs, traits)
    bones += _sesamoids(fore, film_rng)
    bones += tarsal_bones(pose, traits, film_rng)
    bones.append(leg_soft_tissue(pose, traits))
    bones, spots = with_old_fracture(bones, film_rng)
    spots += bone_spots(bones, film_rng)
    arteries = calcified_arteries(_arteries(fore), traits, film_rng)
    landmarks = np.array([fore.marks[p.name] for p in LANDMARKS[Limb.FOOT]])
    gaps = tarsal_gaps(pose, traits, film_rng)
    return Skeleton(
        Limb.FOOT, landmarks, pose.scale, tuple(bones), gaps, tuple(strips), tuple(erosions),
        tuple(soft_tissue), tuple(spots), tuple(arteries),
    )  # fmt: skip


def _forefoot(
    marks: Mapping[str, Array], pose: FootPose, traits: Traits, rng: np.random.Generator
) -> _Forefoot:
    bases = {
        n: pose.place(np.array([x, y]) + rng.normal(0, 0.012, 2), height)
        for n, (x, y, height) in _BASES.items()
    }
    claw = float(rng.uniform(0.4, 0.9)) if rng.random() < _CLAW_SHARE else 0.0
    width = traits.size * traits.robust
    return _Forefoot(
        marks, bases, pose, width, traits, claw, float(rng.normal(0, 0.06)),
        float(np.clip(rng.normal(0.13, 0.09), -0.05, 0.4)), float(rng.uniform(0.4, 1.05)),
        float(rng.uniform(0.4, 1.0)),
    )  # fmt: skip


def _great_ray(fore: _Forefoot, rng: np.random.Generator) -> Ray:
    mtp, ip = fore.marks["mtp1"], fore.marks["ip"]
    tip = ip + turn(rng.normal(-0.13, 0.09)) @ (ip - mtp) * 0.71 * rng.normal(1, 0.05)
    return Ray(
        ("mt1", "pp1", "dp1"), np.array([fore.bases[1], mtp, ip, tip]),
        draw_tubes(1, fore.width, rng),
        ("mtp1", "ip"), [_SPACE_MM[1] * fore.width, 1.7 * fore.width],
        rng.normal([0.8 * fore.pitch, -0.12, 0.08], [0.06, 0.08, 0.12]).tolist(),
        _BASE_SLOPE[1] + rng.normal(0, 0.06),
    )  # fmt: skip


def _lesser_ray(n: int, fore: _Forefoot, rng: np.random.Generator) -> Ray:
    """A metatarsal and a straight or bent toe: bent phalanges look shorter from above."""
    marks, pose, width = fore.marks, fore.pose, fore.width
    bent = float(np.clip(fore.claw + rng.normal(0.06 * (n - 1), 0.18), 0, 1))
    rise = float(np.clip(rng.normal(0.14, 0.10) + 0.42 * bent, 0, 0.8))
    fall = float(np.clip(rng.normal(0.20, 0.15) + 0.75 * bent, 0, 0.95))
    end = float(np.clip(rng.normal(0.20, 0.20) + 0.60 * bent, -0.2, 0.95))
    # a great toe in valgus turns its neighbours as well
    pushed = min(float((marks["ip"] - marks["mtp1"])[0]) / pose.scale + 0.04, 0.0)
    lean = _LEAN[n] + fore.drift + rng.normal(0, 0.08) + pushed * (1.3 if n == 2 else 0.6)
    nodes = [fore.bases[n], marks[f"mtp{n}"]]
    shares = (1 - 0.22 * bent, 1 - 0.45 * bent, 1 - 0.35 * bent)
    for length, share, aside in zip(_PHALANX_MM[n], shares, (0.0, 0.06, 0.10), strict=True):
        up = pose.axis @ turn(lean + rng.normal(0, aside) + 0.3 * pose.roll) @ [0.0, -1.0]
        nodes.append(nodes[-1] + up * length * fore.traits.size * share * rng.normal(1, 0.06))
    fused = n == 5 and rng.random() < _TWO_PHALANGES
    return Ray(
        (f"mt{n}", f"pp{n}", f"mp{n}", f"dp{n}"), np.array(nodes),
        draw_tubes(n, width, rng),
        (f"mtp{n}", f"toe-pip{n}", f"toe-dip{n}"),
        [_SPACE_MM[n] * width, 0.9 * width, (-1.0 if fused else 0.7) * width],
        [float(rng.normal(fore.pitch, 0.05)), -rise, fall, end],
        _BASE_SLOPE[n] + rng.normal(0, 0.08),
    )  # fmt: skip


def _sesamoids(fore: _Forefoot, rng: np.random.Generator) -> list[Bone]:
    """Two bones under the head of the first metatarsal, which hallux valgus does not move.

    Some have two parts; small ones lie under other heads and under the great toe's last joint.
    """
    mtp, width = fore.marks["mtp1"], fore.width
    up, toe = unit(mtp - fore.bases[1]), unit(fore.marks["ip"] - mtp)
    valgus = float(np.arcsin(np.clip(up[1] * toe[0] - up[0] * toe[1], -1, 1)))
    left_behind = float(np.clip(14.0 * (valgus - 0.2), -1.0, 6.5)) + rng.normal(0, 0.7)
    bones = []
    for k, offset in enumerate((-5.4, 4.8)):
        centre = mtp - up * (9.5 + rng.normal(0, 1.3)) * width
        centre = centre + across(up) * (offset - left_behind) * width
        wide, long = 8.0 * rng.normal(1, 0.1), 11.0 * rng.normal(1, 0.1)
        turned, thick = float(rng.normal(0, 0.25)), float(rng.uniform(1.4, 2.7))
        if rng.random() < _TWO_PARTS[k]:
            share = float(rng.uniform(0.35, 0.65))
            second = centre + up * 0.52 * long * share * width
            centre = centre - up * (0.5 - 0.5 * share + 0.05) * long * width
            size = (0.95 * wide, (0.92 - share) * long)
            bones.append(_sesamoid(f"sesamoid{k}-part", second, size, turned, thick, width))
            long *= share
        bones.append(_sesamoid(f"sesamoid{k}", centre, (wide, long), turned, thick, width))
    for name, share in _MORE_SESAMOIDS.items():
        if rng.random() < share:
            n = int(name[-1]) if name != "ip" else 1
            at, back = fore.marks[name], unit(fore.marks[f"mtp{n}"] - fore.bases[n])
            centre = at - back * rng.uniform(1.0, 6.0 if name != "ip" else 2.5) * width
            centre = centre + across(back) * rng.normal(0, 2.5) * width
            size = (float(rng.uniform(2.5, 5.0)), float(rng.uniform(3.0, 6.0)))
            bones.append(_sesamoid(f"sesamoid-{name}", centre, size, 0.0, 1.4, width))
    return bones


def _sesamoid(
    name: str, centre: Array, size: tuple[float, float], turned: float, thick: float, width: float
) -> Bone:  # fmt: skip
    """A round bone; sizes are mm at a width of 1."""
    outline = blob_outline(centre, (size[0] * width, size[1] * width), turned, power=2.2, n=20)
    whole = name in ("sesamoid0", "sesamoid1")
    return Bone(name, outline, thick * width, (0.4,) * 3, anatomical=whole)


def _arteries(fore: _Forefoot) -> list[Array]:
    """Courses of arteries between metatarsals, (N, 2) mm each."""
    courses = []
    for n in (1, 2, 4):
        start = 0.5 * (fore.bases[n] + fore.bases[n + 1])
        end = 0.5 * (fore.marks[f"mtp{n}"] + fore.marks[f"mtp{n + 1}"])
        courses.append(np.array([start, end]))
    return courses


def _sole(pose: FootPose, traits: Traits) -> list[Rod]:
    """The foot without toes, and the leg's outline."""
    r = pose.scale * (0.7 + 0.3 * traits.soft_tissue)
    rods = [
        Rod(pose.place(a), pose.place(b), (wide * r, narrow * r))
        for (a, wide), (b, narrow) in pairwise(_SOLE)
    ]
    return [*rods, Rod(pose.leg((0.0, 1.95)), pose.leg((0.0, 4.4)), (0.47 * r, 0.46 * r))]


def _toe_soft_tissue(nodes: Array, n: int, traits: Traits) -> tuple[list[Rod], list[Bone]]:
    """Soft tissue of one ray: its pad and its toe, and the pulp of a lesser toe.

    Bent toes lie over the pad and over each other: the thickness of a pulp is added, those of rods
    are not.
    """
    k = traits.size * (0.5 + 0.5 * traits.soft_tissue)
    ball = 15.0 if n == 1 else 11.5
    up = unit(nodes[-1] - nodes[-2])
    web = nodes[1] + (0.45 if n == 1 else 0.35) * (nodes[2] - nodes[1])
    tip = nodes[-1] + up * (5.0 if n == 1 else 4.0) * k
    radii = [13.0, 12.5] if n == 1 else [7.8, 7.8, 7.2]
    toe = [web, *nodes[2:-1], tip - up * radii[-1] * k]
    rods = [
        Rod(nodes[0], nodes[1], (18.0 * k, ball * k)),
        Rod(nodes[1], web, (ball * k, 0.72 * ball * k)),
        *(Rod(a, b, (r * k, r * k)) for (a, b), r in zip(pairwise(toe), radii, strict=True)),
    ]
    if n == 1:
        return rods, []
    outline = _sausage(np.array([nodes[3], tip - up * radii[-1] * k]), np.full(2, radii[-1] * k))
    return rods, [soft_body(f"toe{n}", outline, 4.0 * k, _TOE_DENSITY)]


def _webs(roots: Sequence[Array], traits: Traits) -> list[Rod]:
    """Skin between the toes."""
    r = 8.0 * traits.size * (0.5 + 0.5 * traits.soft_tissue)
    return [Rod(a, b, (r, r)) for a, b in pairwise(roots)]


def _sausage(path: Array, radii: Array) -> Array:
    """Outline around a path with round ends, (M, 2) mm.

    Args:
        path: (N, 2) mm.
        radii: (N,) mm.
    """
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1)[:, None]
    side = np.column_stack([-along[:, 1], along[:, 0]])
    right, left = path + side * radii[:, None], path - side * radii[:, None]
    far, near = (
        [path[i] + s * radii[i] * (np.cos(a) * along[i] + np.sin(a) * side[i]) for a in _ROUND]
        for i, s in ((-1, 1.0), (0, -1.0))
    )
    return smooth_outline(np.concatenate([right, far, left[::-1], near]))
