"""Later visits of a simulated patient: damage grows and never heals.

The rate of a patient is drawn once, from a skewed distribution: most gain a point a year or none,
some many. The burdens of a joint grow with it by a factor of the joint's own, which narrowing and
erosion share. Grades are cut from the burden as at the first visit, and the latent states follow:
joint space shrinks, an erosion keeps its place and grows, new ones appear.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from mandora.core.anatomy import TARGETS, Damage, Limb, Slot
from mandora.simulate.anatomy.joint_state import (
    MAX_EROSION,
    WEIGHTS,
    Erosion,
    JointState,
    draw_erosion,
    draw_state,
    grown,
)
from mandora.simulate.cohort.frequencies import grade_at, grade_limits
from mandora.simulate.cohort.patients import Patient, bare_areas, slides

_COURSE = 5  # purpose of the random stream

# Growth of the burden in a year, in s.d. of an ordinary cohort: median over patients, and s.d.
# of its logarithm. With these the mean change of an ordinary cohort is about two points a year.
_PACE, _PACE_SPREAD = 0.008, 1.5
_UNEVEN = 0.5  # shape of the gamma distribution over joints: most hardly change, a few very much


@dataclass(frozen=True)
class _Step:
    """How one kind of damage of one site has changed since the last visit.

    Attributes:
        grade: the new one.
        share: change of the burden, as a share of its distance from the next grade, 0..1; used
            where the grade stays the same.
    """

    grade: int
    share: float


def visits(patient: Patient, number: int) -> Iterator[Patient]:
    """The patient at visits 1, 2, …, ``number``.

    Args:
        patient: at the first visit.
        number: of visits, at least 1.
    """
    yield patient
    for _ in range(number - 1):
        patient = next_visit(patient)
        yield patient


def next_visit(patient: Patient) -> Patient:
    """The patient about a year later.

    Traits and bones are the same. No grade falls, no joint space widens, and no erosion
    vanishes, moves or shrinks.
    """
    source = [patient.seed, patient.index, _COURSE]
    pace = float(np.random.default_rng(source).lognormal(np.log(_PACE), _PACE_SPREAD))
    rng = np.random.default_rng([*source, patient.visit + 1])
    years = float(np.clip(rng.normal(1.0, 0.12), 0.6, 1.5))
    active: dict[str, float] = {}
    burden: dict[str, float] = {}
    steps: dict[tuple[Slot, str], dict[Damage, _Step]] = {}
    for t in TARGETS:
        if t.joint not in active:
            active[t.joint] = float(rng.gamma(_UNEVEN)) / _UNEVEN
        before = patient.burden[t.key]
        burden[t.key] = before + pace * years * active[t.joint] * float(rng.exponential())
        grade, limits = grade_at(t, burden[t.key]), grade_limits(t)
        ahead = limits[grade] - before if grade < t.maximum else np.inf
        share = float((burden[t.key] - before) / ahead)
        steps.setdefault((t.slot, t.site.name), {})[t.damage] = _Step(grade, share)
    states: dict[Slot, dict[str, JointState]] = {slot: {} for slot in patient.states}
    for (slot, name), of_place in steps.items():
        state = patient.states[slot][name]
        if Damage.NARROWING in of_place:
            state = _narrowed(state, of_place[Damage.NARROWING], slides(name), rng)
        if Damage.EROSION in of_place:
            state = _eroded(state, of_place[Damage.EROSION], slot.limb, bare_areas(name), rng)
        states[slot][name] = state
    return replace(
        patient,
        states=states,
        grades={t.key: grade_at(t, burden[t.key]) for t in TARGETS},
        burden=burden,
        visit=patient.visit + 1,
        years=patient.years + years,
    )


def _towards(old: float, drawn: float, share: float) -> float:
    """The old value moved by a share of the way to the drawn one; never less than the old."""
    return old + share * max(drawn - old, 0.0)


def _narrowed(
    state: JointState, step: _Step, can_slide: bool, rng: np.random.Generator
) -> JointState:
    def draw() -> JointState:  # narrowing means the same in a foot
        return draw_state(rng, step.grade, 0, Limb.HAND, slides=can_slide)

    drawn = draw()
    if step.grade > state.narrowing_grade:
        return replace(
            state,
            loss=max(state.mean_loss, drawn.loss),
            focal=drawn.focal,
            shift=max(state.shift, drawn.shift),
            fused=drawn.fused,
        )
    if state.fused:  # bone does not move
        return state
    while (drawn.focal, drawn.shift > 0) != (state.focal, state.shift > 0):
        drawn = draw()  # a joint of the same grade stays of its kind
    return replace(
        state,
        loss=_towards(state.loss, drawn.loss, step.share),
        shift=_towards(state.shift, drawn.shift, step.share),
    )


def _eroded(
    state: JointState, step: _Step, limb: Limb, anchors: int, rng: np.random.Generator
) -> JointState:
    points = step.grade - state.erosion_grade(limb)
    share = 0.0 if points else step.share
    erosions = [grown(e, draw_erosion(rng, e.weight, e.anchor), share) for e in state.erosions]
    if limb is Limb.FOOT:
        room = [MAX_EROSION - sum(b.weight for b in erosions if b.anchor % 2 == s) for s in (0, 1)]
        first = int(rng.integers(max(0, points - room[1]), min(points, room[0]) + 1))
        for side, extra in enumerate((first, points - first)):
            _add_erosions(erosions, extra, list(range(side, anchors, 2)), rng)
    else:
        _add_erosions(erosions, points, list(range(anchors)), rng)
    return replace(state, erosions=tuple(erosions))


def _add_erosions(
    erosions: list[Erosion], points: int, anchors: list[int], rng: np.random.Generator
) -> None:
    """Let erosions grow and new ones appear until their weights have increased by ``points``.

    Args:
        erosions: all of the site; changed.
        points: to add.
        anchors: the bare areas where this may happen.
        rng: source of randomness.
    """
    while points > 0:
        choices = [
            (i, weight - erosion.weight)
            for i, erosion in enumerate(erosions)
            if erosion.anchor in anchors
            for weight in WEIGHTS
            if 0 < weight - erosion.weight <= points
        ]
        if choices and rng.random() < 0.6:
            i, more = choices[int(rng.integers(len(choices)))]
            drawn = draw_erosion(rng, erosions[i].weight + more, erosions[i].anchor)
            erosions[i] = grown(erosions[i], drawn)
        else:
            more = int(rng.integers(1, min(points, 3) + 1))
            free = [a for a in anchors if all(a != b.anchor for b in erosions)] or anchors
            erosions.append(draw_erosion(rng, more, int(rng.choice(free)), erosions))
        points -= more
