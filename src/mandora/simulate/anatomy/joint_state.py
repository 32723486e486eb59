"""The latent damage of a joint, and the SvH grades that follow from it.

A joint's state says how much joint space is lost and which erosions it has. The grades follow from
it by the definitions of van der Heijde (J Rheumatol 2000;27:261):

* narrowing 0 normal, 1 focal or doubtful, 2 generalised with more than half of the space left,
  3 generalised with less than half left or subluxation, 4 ankylosis or complete luxation;
* erosion counts the surface involved: 1 discrete, 2 larger, 3 crosses the middle of the bone,
  5 complete collapse. Erosions at one site add up, capped at 5 for each bone side; in the hand
  the joint is one site (0-5), in the foot both sides are summed (0-10).

The share of space that is lost is continuous: what is doubtful, and what is half, are limits that
this module sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mandora.core.anatomy import Limb

DOUBTFUL_LOSS = 0.12  # less than this is within normal variation
DEFINITE_LOSS = 0.25
HALF_LOSS = 0.5
SUBLUXATION, LUXATION = 0.25, 0.9  # shift, share of the joint's width
MAX_EROSION = 5
COLLAPSE = 5  # weight of an erosion that takes the whole end of a bone
WEIGHTS = (1, 2, 3, COLLAPSE)

# Losses, or shifts, and the scores that belong to them, joined by straight lines. The limits of the
# grades of a generalised loss lie at half points.
_SCORE_AT = ((0.0, 0.05, DOUBTFUL_LOSS, DEFINITE_LOSS, HALF_LOSS, 1.0), (0, 0, 0.5, 1.5, 2.5, 3.45))
_FOCAL_SCORE_AT = ((0.0, 0.05, DOUBTFUL_LOSS, 0.8), (0, 0, 0.5, 1.4))
_SHIFT_SCORE_AT = ((SUBLUXATION, LUXATION), (2.6, 3.4))


@dataclass(frozen=True)
class Erosion:
    """One erosion of a bone's end.

    Its frame: the bone's margin at a bare area, where it starts, and the direction from there into
    the bone. Lengths are fractions of the bone's width there. The outline is half an ellipse that
    is open towards the margin; if ``inset`` is above 0, a whole ellipse beside the margin (seen en
    face, like a cyst). An erosion of weight 3 reaches more than half of the width: it crosses the
    middle of the bone. One of weight 5 is a *collapse*: the end of the bone with its joint surface
    is gone over the whole width, and the bone is shorter by ``reach``; some bone is left, and the
    new end is uneven.

    Attributes:
        anchor: index among the site's bare areas (even: proximal bone, odd: distal bone).
        weight: SvH points it counts, 1, 2, 3 or 5.
        radius: half its length along the margin; of a collapse half the width of the bone's end
            and more, so that nothing of it stays.
        depth: share of the bone's thickness that is gone, 0..1.
        reach: from the margin to its deepest place; of a collapse along the bone's axis.
        inset: from the margin to its nearest place; 0 open towards the margin.
        along: from the middle of the bare area along the margin to its own middle; below 0
            towards the joint surface, above 0 towards the shaft.
        ragged: 0 a smooth outline, 1 a scalloped one.
        border: 0 soft, 0.5 sharp, 1 sharp with a dense (sclerotic) rim.
        phase: 0..1, chooses the lobes of the outline, and what a collapse leaves.
    """

    anchor: int
    weight: int
    radius: float
    depth: float
    reach: float = 0.2
    inset: float = 0.0
    along: float = 0.0
    ragged: float = 0.3
    border: float = 0.5
    phase: float = 0.0

    @property
    def collapse(self) -> bool:
        """The whole end of the bone is gone."""
        return self.weight >= COLLAPSE


@dataclass(frozen=True)
class JointState:
    """The latent damage of one site.

    Attributes:
        loss: share of the joint space that is lost, 0..1; if focal, where most is lost.
        focal: the loss is on one half of the joint only.
        shift: sideways displacement, as a fraction of the joint's width.
        fused: bone bridges the joint.
        erosions: all erosions of this site.
    """

    loss: float = 0.0
    focal: bool = False
    shift: float = 0.0
    fused: bool = False
    erosions: tuple[Erosion, ...] = ()

    @property
    def narrowing_grade(self) -> int:
        """SvH narrowing, 0-4."""
        if self.fused or self.shift >= LUXATION:
            return 4
        if self.shift >= SUBLUXATION or (self.loss >= HALF_LOSS and not self.focal):
            return 3
        if self.loss < DOUBTFUL_LOSS:
            return 0
        return 1 if self.focal or self.loss < DEFINITE_LOSS else 2

    @property
    def narrowing_score(self) -> float:
        """SvH narrowing as a continuous number, 0..4.

        It never falls when more space is lost, and rounded (halves up) it is the grade.
        """
        if self.narrowing_grade == 4:
            return 4.0
        score = float(np.interp(self.loss, *(_FOCAL_SCORE_AT if self.focal else _SCORE_AT)))
        if self.shift >= SUBLUXATION:
            score = max(score, float(np.interp(self.shift, *_SHIFT_SCORE_AT)))
        return score

    @property
    def mean_loss(self) -> float:
        """Share of the joint space that is lost, over the whole joint, 0..1."""
        return 0.5 * self.loss if self.focal else self.loss

    @property
    def osteopenia(self) -> float:
        """Share of the bone around the joint that is lost with the damage, 0..0.45."""
        return min(0.22 * self.mean_loss + 0.05 * sum(e.weight for e in self.erosions), 0.45)

    def erosion_grade(self, limb: Limb) -> int:
        """SvH erosion: 0-5 in the hand, 0-10 in the foot."""
        sides = [sum(e.weight for e in self.erosions if e.anchor % 2 == s) for s in (0, 1)]
        if limb is Limb.FOOT:
            return sum(min(s, MAX_EROSION) for s in sides)
        return min(sum(sides), MAX_EROSION)


HEALTHY = JointState()


@dataclass(frozen=True)
class _Form:
    """A form of erosion: how often it is drawn, and the ranges of its measures."""

    share: float
    radius: tuple[float, float]
    reach: tuple[float, float]
    depth: tuple[float, float] = (0.6, 1.0)
    inset: tuple[float, float] = (0.0, 0.0)
    ragged: tuple[float, float] = (0.1, 0.8)
    border: tuple[float, float] = (0.0, 0.8)


# By weight. Of forms with an inset, ``reach`` is their size from the nearest place on.
_FORMS: dict[int, tuple[_Form, ...]] = {
    1: (
        _Form(0.53, (0.08, 0.16), (0.10, 0.20)),  # a notch
        _Form(0.25, (0.14, 0.24), (0.06, 0.10), (0.8, 1.0), ragged=(0.6, 1.0)),  # the surface
        _Form(0.10, (0.06, 0.09), (0.17, 0.26)),  # narrow and deep
        # a cyst close to the margin: those further inside are seen in healthy bones too
        _Form(0.12, (0.08, 0.13), (0.16, 0.25), (0.4, 0.8), (0.01, 0.05), (0.1, 0.5), (0.4, 1.0)),
    ),
    2: (
        _Form(0.55, (0.15, 0.26), (0.22, 0.42)),
        _Form(0.20, (0.24, 0.36), (0.16, 0.26), ragged=(0.5, 1.0)),  # broad and shallow
        _Form(0.10, (0.11, 0.16), (0.34, 0.48)),  # narrow and deep
        _Form(0.15, (0.14, 0.19), (0.28, 0.38), (0.5, 0.9), (0.01, 0.05), (0.1, 0.6), (0.4, 1.0)),
    ),
    3: (
        _Form(0.70, (0.20, 0.34), (0.56, 0.80)),
        _Form(0.30, (0.32, 0.44), (0.54, 0.66), ragged=(0.4, 1.0)),
    ),
    COLLAPSE: (
        _Form(1.00, (0.60, 0.75), (0.25, 0.60), (0.85, 1.0), ragged=(0.3, 1.0), border=(0.0, 0.5)),
    ),
}  # fmt: skip


def draw_state(
    rng: np.random.Generator,
    narrowing: int,
    erosion: int,
    limb: Limb,
    anchors: int = 4,
    *,
    slides: bool = True,
) -> JointState:
    """Draw a state that has exactly these grades.

    Args:
        rng: source of randomness.
        narrowing: 0-4.
        erosion: 0-5 (hand) or 0-10 (foot).
        limb: decides how erosions are counted.
        anchors: number of bare areas of the site.
        slides: the joint can be subluxated and luxated; otherwise its grades 3 and 4 are loss of
            space and ankylosis.
    """
    state = _draw_narrowing(rng, narrowing, slides)
    if limb is Limb.FOOT:
        low, high = max(0, erosion - MAX_EROSION), min(erosion, MAX_EROSION)
        first = int(rng.integers(low, high + 1))
        sides = [(list(range(0, anchors, 2)), first), (list(range(1, anchors, 2)), erosion - first)]
        erosions = tuple(e for at, points in sides for e in _draw_erosions(rng, points, at))
    else:
        erosions = _draw_erosions(rng, erosion, list(range(anchors)))
    return replace(state, erosions=erosions)


def _draw_narrowing(rng: np.random.Generator, grade: int, slides: bool) -> JointState:
    """A state of this grade of narrowing, without erosions."""
    if grade == 0:  # most joints of this grade have lost nothing
        return JointState(DOUBTFUL_LOSS * float(rng.beta(1.0, 3.0)) * 0.999)
    if grade == 1:
        if rng.random() < 0.5:
            return JointState(float(rng.uniform(0.3, 0.8)), focal=True)
        return JointState(float(rng.uniform(DOUBTFUL_LOSS, DEFINITE_LOSS)))
    if grade == 2:
        return JointState(float(rng.uniform(DEFINITE_LOSS, HALF_LOSS)))
    if grade == 3:
        shift = float(rng.uniform(SUBLUXATION, 0.48)) if slides and rng.random() < 0.3 else 0.0
        # a joint may be subluxated without any loss of space
        lost = 0.0 if shift and rng.random() < 0.6 else HALF_LOSS
        return JointState(float(rng.uniform(lost, lost + 0.5)), shift=shift)
    if slides and rng.random() < 0.3:
        return JointState(1.0, shift=float(rng.uniform(LUXATION, 1.1)))
    return JointState(1.0, fused=True)


def _draw_erosions(
    rng: np.random.Generator, points: int, anchors: Sequence[int]
) -> tuple[Erosion, ...]:
    """Erosions whose weights add up to ``points``, at these bare areas."""
    largest = 1 if rng.random() < 0.2 else 3  # some joints have many small ones only
    weights: list[int] = []
    while (left := points - sum(weights)) > 0:
        if left == COLLAPSE and rng.random() < 0.6:
            weights.append(COLLAPSE)
        else:
            weights.append(int(rng.integers(1, min(left, largest) + 1)))
    drawn: list[Erosion] = []
    places = rng.permutation(anchors)
    for k, weight in enumerate(weights):
        drawn.append(draw_erosion(rng, weight, int(places[k % len(places)]), drawn))
    return tuple(drawn)


def draw_erosion(
    rng: np.random.Generator, weight: int, anchor: int, others: Sequence[Erosion] = ()
) -> Erosion:
    """One erosion of this weight.

    Args:
        rng: source of randomness.
        weight: 1, 2, 3 or 5.
        anchor: its bare area.
        others: erosions of the site; the new one lies beside those at the same bare area.
    """
    forms = _FORMS[weight]
    form = forms[int(rng.choice(len(forms), p=[f.share for f in forms]))]

    def within(limits: tuple[float, float]) -> float:
        return float(rng.uniform(*limits))

    radius, inset = within(form.radius), within(form.inset)
    along = float(np.clip(rng.normal(0.0, 0.05), -0.1, 0.1))
    here = [e for e in others if e.anchor == anchor]
    if here:  # on the other side of the last one
        away = here[-1].radius + radius
        along = here[-1].along + (-away if len(here) % 2 else away * len(here))
    return Erosion(
        anchor, weight, radius, within(form.depth), inset + within(form.reach), inset,
        float(np.clip(along, -0.45, 0.5)), within(form.ragged), within(form.border),
        float(rng.random()),
    )  # fmt: skip


def grown(erosion: Erosion, target: Erosion, share: float = 1.0) -> Erosion:
    """The erosion after growth towards another one; its place stays, and it shrinks nowhere.

    Args:
        erosion: before.
        target: gives the size and the weight.
        share: of the way to the target's size, 0..1.
    """

    def towards(old: float, new: float) -> float:
        return max(old, (1 - share) * old + share * new)

    return replace(
        erosion,
        weight=max(erosion.weight, target.weight),
        radius=towards(erosion.radius, target.radius),
        depth=towards(erosion.depth, target.depth),
        reach=towards(erosion.reach, target.reach),
        # what was beside the margin breaks through to it when it becomes larger
        inset=0.0 if target.weight > erosion.weight else erosion.inset,
    )
