"""Totals: sums of a patient's scores, and the one rule for joints that have none.

There are totals of all joints, of each limb, of each side and of each film, each of narrowing, of
erosion and of both: :data:`TOTALS` lists them.

A total of which some scores are missing is pro-rated: what was observed, divided by the share of
the maximum that the scored joints make up. Below 80 % of the maximum the total is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mandora.core.anatomy import SLOTS, TARGETS, Damage, Limb, Side, Slot, Target, maximum_total
from mandora.core.ra2 import RA2_TOTALS

ENOUGH_FOR_TOTAL = 0.8
"""Share of the maximum that must be scored; below it a total is missing."""


_RA2_NAMES: dict[Damage | None, str] = {
    kinds[0] if len(kinds) == 1 else None: name for name, kinds in RA2_TOTALS.items()
}


@dataclass(frozen=True)
class Part:
    """What a total is of: all joints, a limb of both sides, a side, or one film.

    Attributes:
        limb: hand or foot; None: both.
        side: the patient's side; None: both.
    """

    limb: Limb | None = None
    side: Side | None = None

    @property
    def code(self) -> str:
        """``all``, ``hands``, ``feet``, ``left``, ``right``, or a film as ``LH``."""
        if self.limb and self.side:
            return Slot(self.side, self.limb).code
        return self.limb.plural if self.limb else self.side.word if self.side else "all"

    @property
    def title(self) -> str:
        """Words for people, e.g. ``all joints``, ``hands``, ``left side``, ``left hand``."""
        if self.limb and self.side:
            return Slot(self.side, self.limb).title
        return self.code if self.limb else f"{self.code} side" if self.side else "all joints"

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The films that it is read from."""
        return tuple(slot for slot in SLOTS if Part(slot.limb, slot.side) in self)

    def __contains__(self, other: Part) -> bool:
        """Whether all joints of another part belong to this one."""
        return self.limb in (None, other.limb) and self.side in (None, other.side)


PARTS: tuple[Part, ...] = (
    Part(),
    *(Part(limb=limb) for limb in Limb),
    *(Part(side=side) for side in Side),
    *(Part(slot.limb, slot.side) for slot in SLOTS),
)
"""All parts, the larger first."""


@dataclass(frozen=True)
class TotalOf:
    """Which scores a total adds up.

    Attributes:
        part: of the patient.
        kind: narrowing or erosion; None: both.
    """

    part: Part
    kind: Damage | None

    @property
    def name(self) -> str:
        """RA2's name if of all joints, such as ``Overall_erosion``; else e.g. ``hands:erosion``.

        The sum of both kinds is ``hands:total``.
        """
        if self.part == Part():
            return _RA2_NAMES[self.kind]
        return f"{self.part.code}:{self.kind or 'total'}"

    @property
    def maximum(self) -> int:
        """The highest possible total, SvH points."""
        return maximum_total(t for t in TARGETS if self.wants(t))

    def wants(self, target: Target) -> bool:
        """Whether a score is one of those that are added up."""
        inside = Part(target.limb, target.side) in self.part
        return inside and self.kind in (None, target.damage)


TOTALS: tuple[TotalOf, ...] = tuple(TotalOf(part, kind) for part in PARTS for kind in _RA2_NAMES)
"""All totals of a patient: those of all joints first, in RA2's order; each part likewise."""


def largest_parts(known: Collection[Part]) -> tuple[Part, ...]:
    """Those of some parts that lie in no larger one of them, the larger first.

    What is shown where there is room for a few totals only: hands of a patient with hands only.
    """
    kept: list[Part] = []
    for part in PARTS:
        if part in known and not any(part in larger for larger in kept):
            kept.append(part)
    return tuple(kept)


def no_film_of(slots: Collection[Slot]) -> str:
    """What was not given, in words, e.g. ``no film of the right hand or the feet was given``."""
    words = []
    for limb in Limb:
        mine = [slot for slot in SLOTS if slot.limb is limb and slot in slots]
        words += [limb.plural] if len(mine) == len(Side) else [slot.title for slot in mine]
    return f"no film of {' or '.join(f'the {word}' for word in words)} was given"


@dataclass(frozen=True, eq=False)
class Totals:
    """One total of each patient.

    Attributes:
        maximum: highest possible total, SvH points.
        expected: number of scores that it is the sum of.
        scored: (patients,) int64, how many of these the patient has.
        observed: (patients,) float64, their sum, SvH points.
        share: (patients,) float64, 0..1, what they make up of ``maximum``.
        value: (patients,) float64, the total, SvH points: ``observed`` if all scores are there,
            ``observed / share`` from :data:`ENOUGH_FOR_TOTAL` on, else NaN.
    """

    maximum: int
    expected: int
    scored: NDArray[np.int64]
    observed: NDArray[np.float64]
    share: NDArray[np.float64]
    value: NDArray[np.float64]


def sum_scores(scores: ArrayLike, wanted: Callable[[Target], bool] = lambda _: True) -> Totals:
    """Add up some of the scores of each patient.

    Args:
        scores: (patients, 86) SvH points in the order of ``anatomy.TARGETS``; NaN where missing.
            (86,) is one patient.
        wanted: which targets belong to the total.

    Raises:
        ValueError: for another shape.
    """
    table = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    if table.ndim != 2 or table.shape[1] != len(TARGETS):
        raise ValueError(f"scores must have shape (patients, {len(TARGETS)}), got {table.shape}")
    columns = [i for i, target in enumerate(TARGETS) if wanted(target)]
    maxima = np.array([TARGETS[i].maximum for i in columns])
    known = np.isfinite(table[:, columns])
    observed = np.where(known, table[:, columns], 0.0).sum(axis=1)
    share = known @ maxima / maxima.sum()
    enough = share >= ENOUGH_FOR_TOTAL
    value = np.where(enough, observed / np.where(enough, share, 1.0), np.nan)
    scored = known.sum(axis=1).astype(np.int64)
    return Totals(int(maxima.sum()), len(columns), scored, observed, share, value)


def all_totals(scores: ArrayLike) -> dict[str, Totals]:
    """Each of :data:`TOTALS` by its name, see :func:`sum_scores`."""
    return {total.name: sum_scores(scores, total.wants) for total in TOTALS}


def ra2_totals(scores: ArrayLike) -> dict[str, Totals]:
    """RA2's totals: overall, erosion, narrowing, by their names there, see :func:`sum_scores`."""
    overall = [total for total in TOTALS if total.part == Part()]
    return {total.name: sum_scores(scores, total.wants) for total in overall}
