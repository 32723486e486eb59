"""The latent damage of a joint, and the SvH grades that follow from it.

A joint's state says how much joint space is lost and which erosions it has. The grades follow from
it by the definitions of van der Heijde (J Rheumatol 2000;27:261):

* narrowing 0 normal, 1 focal or doubtful, 2 generalised with more than half of the space left,
  3 generalised with less than half left or subluxation, 4 ankylosis or complete luxation;
* erosion counts the surface involved, erosions at one site add up, capped at 5 for each bone
  side; in the hand the joint is one site (0-5), in the foot both sides are summed (0-10).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mandora.core.anatomy import Limb

DOUBTFUL_LOSS = 0.12  # less than this is within normal variation
HALF_LOSS = 0.5
MAX_EROSION = 5


@dataclass(frozen=True)
class Erosion:
    """One erosion of the bone's margin.

    Attributes:
        anchor: index among the site's bare areas (even: proximal bone, odd: distal bone).
        weight: SvH points it counts, 1-5.
        radius: as a fraction of the bone's width there.
        depth: share of the bone's thickness that is gone, 0..1.
    """

    anchor: int
    weight: int
    radius: float
    depth: float


@dataclass(frozen=True)
class JointState:
    """The latent damage of one site.

    Attributes:
        loss: share of the joint space that is lost, 0..1.
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
        if self.fused or self.shift >= 0.9:
            return 4
        if self.shift >= 0.25 or (self.loss >= HALF_LOSS and not self.focal):
            return 3
        if self.loss < DOUBTFUL_LOSS:
            return 0
        return 1 if self.focal else 2

    @property
    def osteopenia(self) -> float:
        """Share of the bone around the joint that is lost with the damage, 0..0.45."""
        return min(0.22 * self.loss + 0.05 * sum(e.weight for e in self.erosions), 0.45)

    def erosion_grade(self, limb: Limb) -> int:
        """SvH erosion: 0-5 in the hand, 0-10 in the foot."""
        sides = [sum(e.weight for e in self.erosions if e.anchor % 2 == s) for s in (0, 1)]
        if limb is Limb.FOOT:
            return sum(min(s, MAX_EROSION) for s in sides)
        return min(sum(sides), MAX_EROSION)


HEALTHY = JointState()

_RADIUS = {1: (0.12, 0.18), 2: (0.20, 0.27), 3: (0.29, 0.36), 5: (0.45, 0.55)}


def draw_state(
    rng: np.random.Generator, narrowing: int, erosion: int, limb: Limb, anchors: int = 4
) -> JointState:
    """Draw a state that has exactly these grades.

    Args:
        rng: source of randomness.
        narrowing: 0-4.
        erosion: 0-5 (hand) or 0-10 (foot).
        limb: decides how erosions are counted.
        anchors: number of bare areas of the site.
    """
    loss, focal, shift, fused = 0.0, False, 0.0, False
    if narrowing == 0:
        loss = rng.uniform(0.0, 0.10)
    elif narrowing == 1:
        loss, focal = rng.uniform(0.22, 0.42), True
    elif narrowing == 2:
        loss = rng.uniform(0.24, 0.46)
    elif narrowing == 3:
        loss = rng.uniform(0.58, 0.92)
        if rng.random() < 0.2:
            shift = rng.uniform(0.27, 0.45)
    else:
        loss = 1.0
        if rng.random() < 0.7:
            fused = True
        else:
            shift = rng.uniform(0.92, 1.1)
    if limb is Limb.FOOT:
        low, high = max(0, erosion - MAX_EROSION), min(erosion, MAX_EROSION)
        first = int(rng.integers(low, high + 1))
        sides = [(0, first), (1, erosion - first)]
        erosions = tuple(e for s, points in sides for e in _draw_erosions(rng, points, anchors, s))
    else:
        erosions = _draw_erosions(rng, erosion, anchors, None)
    return JointState(loss, focal, shift, fused, erosions)


def _draw_erosions(
    rng: np.random.Generator, points: int, anchors: int, parity: int | None
) -> tuple[Erosion, ...]:
    """Erosions whose weights add up to ``points``, at bare areas of one bone side or both."""
    weights: list[int] = []
    left = points
    while left > 0:
        if left == MAX_EROSION and rng.random() < 0.6:
            weights.append(5)
        else:
            weights.append(int(rng.integers(1, min(left, 3) + 1)))
        left -= weights[-1]
    free = [a for a in range(anchors) if parity is None or a % 2 == parity]
    order = rng.permutation(free * (1 + len(weights) // max(len(free), 1)))
    return tuple(
        Erosion(int(a), w, float(rng.uniform(*_RADIUS[w])), float(rng.uniform(0.6, 0.95)))
        for a, w in zip(order, weights, strict=False)
    )
