"""How damage goes together: of sides, limbs, kinds and joints.

Table 1 and figure 7 of Li & Guan 2022, doi:10.1002/aisy.202200184.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mandora.core.anatomy import SITES, TARGET_INDEX, Damage, Limb, Side, Target
from mandora.core.totals import sum_scores
from mandora.metrics import Floats, Table, score_table
from mandora.metrics.joints import METRICS, measure, pair_sums

_HALVES: dict[str, tuple[str, tuple]] = {
    "narrowing-erosion": ("damage", tuple(Damage)),
    "left-right": ("side", tuple(Side)),
    "hand-foot": ("limb", tuple(Limb)),
}
# what the totals of one film, or of a pair of films, have in common
_FILMS: dict[str, list[dict]] = {
    "narrowing-erosion": [{"side": side, "limb": limb} for side in Side for limb in Limb],
    "left-right": [{"limb": limb} for limb in Limb],
    "hand-foot": [{"side": side} for side in Side],
}


def total_correlations(scores: ArrayLike) -> Table:
    """Pearson correlations between totals of the same patients (table 1 of the paper).

    Args:
        scores: (patients, 86) SvH points; NaN where missing.

    Returns:
        ``narrowing-erosion``, ``left-right`` and ``hand-foot`` → ``patients``, whole totals;
        ``films``, where each film, or pair of films, is a case of its own; and one kind of
        damage or one limb of the patients: ``narrowing``, ``erosion``, ``hand``, ``foot``.

    Raises:
        ValueError: if the table has another shape.
    """
    table = score_table(scores)
    made: Table = {}
    for name, (axis, halves) in _HALVES.items():
        first, second = name.split("-")
        called = (f"the {first} total", f"the {second} total")
        parts: dict[str, list[dict]] = {"patients": [{}], "films": _FILMS[name]}
        parts |= {str(kind): [{"damage": kind}] for kind in Damage if axis != "damage"}
        parts |= {str(limb): [{"limb": limb}] for limb in Limb if axis != "limb"}
        made[name] = {}
        for part, cases in parts.items():
            one, two = (
                np.concatenate(
                    [sum_scores(table, _is({**case, axis: half})).value for case in cases]
                )
                for half in halves
            )
            made[name][part] = measure(one, two, ["r"], called)["r"]
    return made


def _is(fixed: dict[str, object]) -> Callable[[Target], bool]:
    return lambda t: all(getattr(t, axis) == value for axis, value in fixed.items())


@dataclass(frozen=True, eq=False)
class Pairwise:
    """Correlations between the 43 sites of one side, rows and columns as ``anatomy.SITES``.

    Attributes:
        r: (43, 43) float64; NaN where a site is constant over the sides that have both, or
            where fewer than three have.
        n: (43, 43) int64, sides of patients that have both.
    """

    r: Floats
    n: NDArray[np.int64]


def joint_correlations(scores: ArrayLike) -> dict[Literal["same", "other"], Pairwise]:
    """Pearson correlations between joints over patients (figure 7 of the paper).

    Left and right are pooled: each side of a patient is a case, on which a row's site is read.

    Args:
        scores: (patients, 86) SvH points; NaN where missing.

    Returns:
        ``same``: the column's site on the same side; ``other``: on the other side.

    Raises:
        ValueError: if the table has another shape.
    """
    table = score_table(scores)
    left, right = (
        table[:, [TARGET_INDEX[Target(side, site).key] for site in SITES]] for side in Side
    )
    here, there = np.concatenate([left, right]), np.concatenate([right, left])
    return {"same": _pairwise(here, here), "other": _pairwise(here, there)}


def _pairwise(x: Floats, y: Floats) -> Pairwise:
    sums = [pair_sums(np.broadcast_to(column, y.T.shape), y.T) for column in x.T]
    r = np.stack([METRICS["r"].from_sums(of_site) for of_site in sums])
    return Pairwise(r, np.stack([of_site.n for of_site in sums]).astype(np.int64))
