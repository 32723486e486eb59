"""From scores to evidence: how good they are, how sure that is, and what it is compared with.

:mod:`~mandora.metrics.joints` compares joint scores, :mod:`~mandora.metrics.agreement`
readers, methods, totals and sides, :mod:`~mandora.metrics.bootstrap` says how much a number
would change with other patients. What they have in common is here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mandora.core.anatomy import FAMILIES, TARGETS, Damage, Limb
from mandora.core.errors import InputError

Floats = NDArray[np.float64]
Arrays = Mapping[str, NDArray[Any]]
"""Columns of a table by their names; all of the same length."""


@dataclass(frozen=True)
class Number:
    """A number, or why there is none.

    Attributes:
        value: NaN if it is not defined.
        n: of how many cases it is made: pairs of scores unless stated otherwise.
        reason: in words, why it is not defined; None if it is.

    Raises:
        ValueError: if ``value`` is not finite and there is no reason, or the other way round.
    """

    value: float
    n: int
    reason: str | None = None

    def __post_init__(self) -> None:
        if math.isfinite(self.value) == (self.reason is not None):
            raise InputError(
                f"value {self.value} with reason {self.reason!r}: a number that is not defined "
                "needs a reason, and one that is defined must have none"
            )

    @staticmethod
    def none(reason: str, n: int = 0) -> Number:
        """A number that is not defined."""
        return Number(math.nan, n, reason)

    def to_json(self) -> dict[str, float | int | str | None]:
        """In types that JSON knows: what is not defined is null."""
        value = None if self.reason else self.value
        return {"value": value, "n": self.n, "reason": self.reason}


Table = dict[str, dict[str, Number]]


def _columns(limbs: Iterable[Limb], kinds: Iterable[Damage]) -> tuple[int, ...]:
    wanted = {(limb, kind) for limb in limbs for kind in kinds}
    return tuple(i for i, t in enumerate(TARGETS) if (t.limb, t.damage) in wanted)


FAMILY_TITLES: Mapping[str, str] = {
    f"{damage[0]}{limb[0]}": f"{limb} {damage}" for limb, damage in FAMILIES
}
"""``nh``, ``eh``, ``nf``, ``ef``, as in the paper → words."""
QUANTITIES: Mapping[str, str] = {"r": "r", "rmse": "RMSE"}
"""What the paper measures, by the names of :data:`mandora.metrics.joints.METRICS` → words."""
GROUPS: Mapping[str, tuple[int, ...]] = {
    **{f"{kind[0]}{limb[0]}": _columns([limb], [kind]) for kind in Damage for limb in Limb},
    **{str(limb): _columns([limb], list(Damage)) for limb in Limb},
    **{str(kind): _columns(list(Limb), [kind]) for kind in Damage},
    "all": tuple(range(len(TARGETS))),
}
"""Columns of a score table: ``nh``, ``nf``, ``eh``, ``ef``, ``hand``, ``foot``, ``narrowing``,
``erosion``, ``all``."""


def by_families(*tables: Floats) -> Iterator[tuple[str, list[Floats]]]:
    """The four families of targets, one after the other.

    Args:
        tables: (patients, 86) each, columns in the order of ``anatomy.TARGETS``.

    Yields:
        Key of :data:`FAMILY_TITLES`, and the family's columns of each table.
    """
    for code in FAMILY_TITLES:
        yield code, [table[:, GROUPS[code]] for table in tables]


def grade(scores: ArrayLike) -> Floats:
    """Scores as grades: rounded, halves up, as in the records. NaN stays NaN."""
    return np.floor(np.asarray(scores, dtype=np.float64) + 0.5)


def same_shape(first: ArrayLike, second: ArrayLike) -> tuple[Floats, Floats]:
    """Both as float64.

    Raises:
        ValueError: if the shapes differ.
    """
    one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.shape != two.shape:
        raise InputError(
            f"scores of shapes {one.shape} and {two.shape} cannot be paired; give the same "
            "patients and joints in the same order, NaN where a score is missing"
        )
    return one, two


def score_table(scores: ArrayLike) -> Floats:
    """A table of scores as float64.

    Raises:
        ValueError: if it is not (patients, targets) with all targets of ``anatomy.TARGETS``.
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != len(TARGETS):
        raise InputError(
            f"a table of shape {table.shape} is not (patients, {len(TARGETS)}); give one column "
            "for each of mandora.core.anatomy.TARGETS, NaN where a score is missing"
        )
    return table
