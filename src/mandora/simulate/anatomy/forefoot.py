"""Proportions and forms of the metatarsals and the bones of the toes.

Every patient's bones differ. Behind its joint surface a metatarsal's head has a groove and a
tubercle on each side, a neck behind these, two condyles below, and pits where ligaments arise: in
healthy feet all of these make contours and dark areas that an erosion makes as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mandora.simulate.anatomy.joint_state import DOUBTFUL_LOSS, HEALTHY, JointState
from mandora.simulate.anatomy.shapes import Flank, Form, Tube, with_osteophytes
from mandora.simulate.anatomy.skeleton import Traits

_MT_DEPTH, _TOE_DEPTH = (1.1, 1.05, 1.05), (1.1, 1.0, 1.0)
_METATARSAL = {
    1: Tube(21.5, 12.5, 21.0, cup=0.6, dome=4.2, rim=1.2, depth=_MT_DEPTH, neck=1.0, square=2.6),
    2: Tube(16.0, 6.9, 14.8, cup=-0.6, dome=3.3, rim=0.8, depth=_MT_DEPTH, neck=1.25, square=2.8),
    3: Tube(15.0, 6.6, 14.6, cup=0.2, dome=3.3, rim=0.8, depth=_MT_DEPTH, neck=1.25, square=2.8),
    4: Tube(15.0, 6.5, 14.6, cup=0.2, dome=3.3, rim=0.8, depth=_MT_DEPTH, neck=1.25, square=2.8),
    5: Tube(15.0, 7.2, 15.2, cup=0.2, dome=4.3, rim=0.8, depth=_MT_DEPTH, neck=1.2, square=2.3),
}
_PROXIMAL = {
    1: Tube(20.0, 14.2, 17.6, cup=3.0, dome=2.4, notch=0.6, rim=1.8, depth=_TOE_DEPTH, neck=0.7),
    2: Tube(12.8, 6.2, 9.0, cup=2.6, dome=1.8, notch=0.4, rim=0.8, depth=_TOE_DEPTH),
    3: Tube(12.4, 5.8, 8.6, cup=2.5, dome=1.8, notch=0.4, rim=0.8, depth=_TOE_DEPTH),
    4: Tube(12.0, 5.5, 8.4, cup=2.5, dome=1.8, notch=0.4, rim=0.7, depth=_TOE_DEPTH),
    5: Tube(11.6, 6.0, 8.6, cup=2.5, dome=1.8, notch=0.3, rim=0.7, depth=_TOE_DEPTH),
}
_MIDDLE = Tube(9.4, 6.4, 8.8, cup=0.8, dome=1.3, notch=0.2, rim=0.6, depth=_TOE_DEPTH)
_DISTAL = {
    1: Tube(19.0, 12.0, 14.0, cup=1.2, dome=4.5, rim=1.6, depth=(0.8, 0.9, 0.7)),
    0: Tube(8.8, 4.2, 6.8, cup=0.6, dome=2.2, rim=0.5, depth=(1.0, 1.0, 0.8)),
}
_CYST_SHARE = 0.03  # of heads with a hole that is no erosion
# Share of joints with osteophytes in a patient with the highest degree of osteoarthritis, and of
# narrowed joints without erosions the share that it narrowed
_WORN, _NARROWED = {"mtp1": 0.6, "ip": 0.3}, 0.35
_SELDOM_WORN = 0.08


def draw_tubes(n: int, width: float, rng: np.random.Generator) -> list[Tube]:
    """The bones of ray ``n``, proximal to distal.

    Args:
        n: 1 is the great toe.
        width: breadth of bones relative to the average.
        rng: of what differs between feet.
    """
    outer = [_DISTAL[1]] if n == 1 else [_MIDDLE, _DISTAL[0]]
    return [
        replace(
            tube.scaled(width),
            base=tube.base * width * float(rng.normal(1, 0.05)),
            shaft=tube.shaft * width * float(rng.normal(1, 0.09)),
            head=tube.head * width * float(rng.normal(1, 0.05)),
            cup=tube.cup * width * float(rng.uniform(0.6, 1.25)),
            dome=tube.dome * width * float(rng.uniform(0.7, 1.25)),
            rim=tube.rim * width * float(rng.uniform(0.5, 1.3)),
            neck=tube.neck * float(rng.uniform(0.8, 1.2)),
        )
        for tube in (_METATARSAL[n], _PROXIMAL[n], *outer)
    ]


def draw_forms(
    n: int,
    states: Mapping[str, JointState],
    traits: Traits,
    spongy: float,
    rng: np.random.Generator,
) -> list[Form]:
    """What makes the bones of ray ``n`` differ from smooth ones, proximal to distal.

    Args:
        n: 1 is the great toe.
        states: latent damage by the name of the joint.
        traits: of the patient.
        spongy: density of spongy bone in this foot's heads, relative to the usual one.
        rng: of this foot.
    """
    outer = [_phalanx(0, rng) for _ in range(1 if n == 1 else 2)]
    forms = [_metatarsal(n, spongy, rng), _phalanx(n, rng), *outer]
    for j, name in enumerate(("mtp1", "ip") if n == 1 else (f"mtp{n}",)):
        if degree := _wear(name, states.get(name, HEALTHY), traits, rng):
            forms[j] = with_osteophytes(forms[j], True, degree, rng)
            forms[j + 1] = with_osteophytes(forms[j + 1], False, degree, rng)
    return forms


def _wear(name: str, state: JointState, traits: Traits, rng: np.random.Generator) -> float:
    """Degree of osteoarthritis of a joint, 0..1; its joint space is that of its state."""
    drawn, much = rng.random(), rng.uniform(0.4, 1.2)
    if drawn < _WORN.get(name, _SELDOM_WORN) * np.sqrt(traits.osteoarthritis):
        return float(min(traits.osteoarthritis * much, 1.0))
    if state.loss > DOUBTFUL_LOSS and not state.erosions and drawn > 1 - _NARROWED:
        return float(min(0.2 + 0.7 * state.loss * much, 1.0))
    return 0.0


def _metatarsal(n: int, spongy: float, rng: np.random.Generator) -> Form:
    u = rng.uniform
    inner, outer = (
        Flank(dip=u(0.0, 0.08 if n == 1 else 0.16), tubercle=u(-0.06, 0.2)) for _ in range(2)
    )
    if n == 1:
        inner = replace(inner, eminence=u(0.0, 0.18))
    elif n == 5:
        outer = replace(outer, eminence=u(0.0, 0.15))
    pits = tuple(float(p) for p in np.maximum(rng.normal(0.04, 0.12, 2), 0))
    condyles = tuple(float(c) for c in u(0.0, 4.5, 2))
    shell, wedge = (u(0.3, 0.9), u(0.1, 0.5)) if n == 1 else (u(0.05, 0.6), u(0.25, 1.1))
    wedge *= 1.15 if n == 5 else 1.0  # rounder than the others
    return Form(
        inner, outer, (0.9, spongy * u(0.9, 1.1 if n == 1 else 1.5)), (pits[0], pits[1]),
        condyles=(condyles[0], condyles[1]), grain=u(0.3, 1.0), streaks=u(0.0, 0.8),
        blotches=u(0.10, 0.34), plates=(1.0, u(0.5, 1.1)), shell=(1.0, u(0.6, 1.0), shell),
        wedge=(0.0, wedge),
        cyst=_cyst(rng),
    )  # fmt: skip


def _phalanx(n: int, rng: np.random.Generator) -> Form:
    u = rng.uniform
    inner, outer = (
        Flank(
            dip=u(0.0, 0.10), tubercle=u(0.0, 0.08), corner=u(-0.06, 0.14),
            hollow=u(-0.1, 0.08 if n == 1 else 0.16),
        )
        for _ in range(2)
    )  # fmt: skip
    plates = {0: 1.0, 1: u(0.8, 1.8)}.get(n, u(1.0, 2.4))
    shell, wedge = (u(0.3, 1.1), u(0.0, 0.4)) if n else (u(0.6, 1.1), u(0.0, 0.2))
    return Form(
        inner, outer, (u(1.1, 2.0), u(0.7, 1.2)), groove=u(0.0, 0.35),
        grain=u(0.3, 1.0), streaks=u(0.1, 0.9), blotches=u(0.06, 0.24),
        plates=(plates, 1.0), shell=(shell, u(0.7, 1.2), u(0.7, 1.1)), wedge=(wedge, 0.0),
    )  # fmt: skip


def _cyst(rng: np.random.Generator) -> tuple[float, float, float] | None:
    if rng.random() > _CYST_SHARE:
        return None
    place, beside, radius = rng.uniform(0.35, 0.8), rng.uniform(-0.4, 0.4), rng.uniform(0.7, 1.8)
    return float(place), float(beside), float(radius)
