"""Proportions and forms of the metacarpals and the phalanges of the hand.

Every patient's bones differ. Metacarpals have a waist behind the head, pits beside it where
ligaments arise, and bases with prominent corners that overlap each other on the film.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mandora.simulate.anatomy.shapes import Flank, Form, Tube, with_osteophytes

_MC_DEPTH, _PP_DEPTH, _DP_DEPTH = (0.85, 0.95, 1.0), (0.78, 0.80, 0.75), (0.70, 0.75, 0.6)
_METACARPAL = {
    1: Tube(15.5, 10.5, 14.5, cup=1.0, dome=4.6, rim=2.2, depth=_MC_DEPTH, neck=1.1),
    2: Tube(15.0, 8.7, 15.6, cup=3.2, dome=6.0, rim=2.2, depth=_MC_DEPTH, neck=1.15),
    3: Tube(13.8, 8.7, 15.6, cup=0.8, dome=6.0, rim=2.2, depth=_MC_DEPTH, neck=1.15),
    4: Tube(11.8, 7.4, 13.9, cup=0.5, dome=5.5, rim=2.2, depth=_MC_DEPTH, neck=1.15),
    5: Tube(12.4, 7.6, 13.3, cup=0.2, dome=5.2, rim=2.2, depth=_MC_DEPTH, neck=1.1),
}
_PROXIMAL = {
    1: Tube(14.8, 9.2, 12.6, cup=2.4, dome=2.2, notch=0.5, rim=0.9, depth=_PP_DEPTH, neck=0.9),
    2: Tube(15.8, 9.6, 12.6, cup=3.0, dome=2.4, notch=1.0, rim=0.9, depth=_PP_DEPTH, neck=0.9),
    3: Tube(16.0, 10.0, 13.0, cup=3.0, dome=2.4, notch=1.0, rim=0.9, depth=_PP_DEPTH, neck=0.9),
    4: Tube(14.8, 9.2, 12.2, cup=2.8, dome=2.4, notch=1.0, rim=0.9, depth=_PP_DEPTH, neck=0.9),
    5: Tube(13.2, 7.8, 10.2, cup=2.6, dome=2.2, notch=0.8, rim=0.9, depth=_PP_DEPTH, neck=0.9),
}
_MIDDLE = {
    2: Tube(13.4, 8.0, 10.6, cup=1.8, dome=1.9, notch=0.8, rim=0.8, depth=_PP_DEPTH, neck=0.9),
    3: Tube(13.8, 8.4, 11.0, cup=1.8, dome=1.9, notch=0.8, rim=0.8, depth=_PP_DEPTH, neck=0.9),
    4: Tube(13.0, 7.8, 10.4, cup=1.8, dome=1.9, notch=0.8, rim=0.8, depth=_PP_DEPTH, neck=0.9),
    5: Tube(11.0, 6.4, 8.9, cup=1.6, dome=1.7, notch=0.65, rim=0.7, depth=_PP_DEPTH, neck=0.9),
}
_DISTAL = {
    1: Tube(13.5, 6.8, 9.0, cup=1.6, dome=3.0, rim=0.6, depth=_DP_DEPTH),
    2: Tube(10.8, 4.8, 7.4, cup=1.3, dome=2.6, rim=0.6, depth=_DP_DEPTH),
    3: Tube(11.2, 5.0, 7.8, cup=1.3, dome=2.6, rim=0.6, depth=_DP_DEPTH),
    4: Tube(10.6, 4.8, 7.4, cup=1.3, dome=2.6, rim=0.6, depth=_DP_DEPTH),
    5: Tube(9.2, 4.2, 6.6, cup=1.1, dome=2.3, rim=0.6, depth=_DP_DEPTH),
}
_CYST_SHARE = 0.02  # of heads with a hole that is no erosion
_CREST_SHARE = (
    0.4  # of the sides of metacarpal heads with a crest that shows as a short bright line
)


def draw_tubes(
    n: int, width: float, joints: Sequence[str], wear: Mapping[str, float],
    rng: np.random.Generator,
) -> list[Tube]:  # fmt: skip
    """The bones of ray ``n``, proximal to distal.

    Args:
        n: 1 is the thumb.
        width: breadth of bones relative to the average.
        joints: names of the joints between the bones.
        wear: degree of osteoarthritis by joint, 0..1; it broadens and flattens the ends of bones.
        rng: of what differs between patients.
    """
    rest = (_DISTAL[1],) if n == 1 else (_MIDDLE[n], _DISTAL[n])
    tubes = []
    for i, tube in enumerate((_METACARPAL[n], _PROXIMAL[n], *rest)):
        at_base = wear.get(joints[i - 1], 0.0) if i else 0.0
        at_head = wear.get(joints[i], 0.0) if i < len(joints) else 0.0
        tubes.append(replace(
            tube.scaled(width),
            base=tube.base * width * float(rng.normal(1, 0.04)) * (1 + 0.10 * at_base),
            shaft=tube.shaft * width * float(rng.normal(1, 0.06)),
            head=tube.head * width * float(rng.normal(1, 0.04)) * (1 + 0.08 * at_head),
            square=float(rng.uniform(2.2, 3.0)),
            cup=tube.cup * width * float(rng.uniform(0.7, 1.05)) * (1 - 0.3 * at_base),
            dome=tube.dome * width * float(rng.uniform(0.9, 1.15)) * (1 - 0.3 * at_head),
            notch=tube.notch * width * float(rng.uniform(0.6, 1.3)),
            rim=tube.rim * width * float(rng.uniform(0.6, 1.5)),
            neck=tube.neck * float(rng.uniform(0.85, 1.15)),
        ))  # fmt: skip
    return tubes


def draw_forms(
    joints: Sequence[str], wear: Mapping[str, float], base: float, rng: np.random.Generator
) -> list[Form]:
    """What makes the bones of a ray differ from smooth ones, proximal to distal.

    Args:
        joints: names of the joints between the bones.
        wear: degree of osteoarthritis by joint, 0..1.
        base: degree of osteoarthritis at the metacarpal's base, 0..1.
        rng: of this hand.
    """
    forms = [_metacarpal(rng), *(_phalanx(rng) for _ in joints)]
    # generators of their own: a joint that is worn later changes no other bone
    own = [np.random.default_rng(seed) for seed in rng.integers(2**32, size=len(joints) + 1)]
    if base:
        forms[0] = _worn(forms[0], False, base, own[-1])
    for j, name in enumerate(joints):
        if degree := wear.get(name, 0.0):
            forms[j] = _worn(forms[j], True, degree, own[j])
            forms[j + 1] = _worn(forms[j + 1], False, degree, own[j])
    return forms


def _worn(form: Form, at_head: bool, degree: float, rng: np.random.Generator) -> Form:
    """Osteophytes, a dense joint surface and perhaps a cyst below it."""
    plates = list(form.plates)
    plates[at_head] *= 1 + degree * float(rng.uniform(0.2, 1.4))
    form = replace(with_osteophytes(form, at_head, degree, rng), plates=(plates[0], plates[1]))
    if at_head and rng.random() < 0.35 * degree:
        return replace(form, cyst=_cyst(rng, (0.14, 0.35)))
    return form


def _metacarpal(rng: np.random.Generator) -> Form:
    u = rng.uniform
    inner, outer = (
        Flank(
            dip=u(0.0, 0.06),
            tubercle=u(-0.02, 0.10),
            eminence=max(u(-0.10, 0.10), 0.0),
            corner=u(-0.08, 0.08),
            hollow=u(0.05, 0.35),
        )
        for _ in range(2)
    )
    pits = np.maximum(rng.normal(0.03, 0.06, 2), 0)
    crests = np.where(rng.random(2) < _CREST_SHARE, u(0.4, 2.6, 2), 0.0)
    return Form(
        inner, outer, (u(0.75, 1.1), u(0.6, 1.05)), (float(pits[0]), float(pits[1])),
        0.0, (u(0.0, 4.0), u(0.0, 4.0)), (float(crests[0]), float(crests[1])),
        grain=u(0.4, 1.7), streaks=u(0.1, 0.9), blotches=u(0.03, 0.22),
        shell=(u(0.6, 1.1), u(0.85, 1.15), u(0.8, 2.2)), wedge=(u(0.3, 0.8), 0.0),
        cyst=_cyst(rng, (0.35, 0.8)) if rng.random() < _CYST_SHARE else None,
    )  # fmt: skip


def _phalanx(rng: np.random.Generator) -> Form:
    u = rng.uniform
    inner, outer = (
        Flank(
            dip=u(0.0, 0.05), tubercle=u(-0.02, 0.08), corner=u(-0.04, 0.10), hollow=u(-0.05, 0.2)
        )
        for _ in range(2)
    )
    pits = np.maximum(rng.normal(0.0, 0.06, 2), 0)
    return Form(
        inner, outer, (u(0.45, 1.0), u(0.35, 1.0)), (float(pits[0]), float(pits[1])),
        u(0.0, 0.4), (u(0.0, 3.0), u(0.0, 3.0)), grain=u(0.5, 2.0), streaks=u(0.1, 0.9),
        blotches=u(0.05, 0.35), plates=(u(0.8, 1.5), u(0.8, 1.2)),
        shell=(u(0.9, 2.6), u(0.85, 1.15), u(1.2, 3.2)), wedge=(u(0.0, 0.1), u(0.0, 0.05)),
    )  # fmt: skip


def _cyst(rng: np.random.Generator, behind: tuple[float, float]) -> tuple[float, float, float]:
    """Place behind the head's tip in head widths, place across, and radius in mm."""
    place, beside, radius = rng.uniform(*behind), rng.uniform(-0.4, 0.4), rng.uniform(0.5, 1.5)
    return float(place), float(beside), float(radius)
