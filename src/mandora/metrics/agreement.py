"""How methods, readers, totals, sides and joints go together.

Sources: Shrout & Fleiss, Psychol Bull 1979;86:420 (ICC); Bland & Altman, Lancet 1986;i:307
(limits of agreement); Bruynesteyn et al., Ann Rheum Dis 2005;64:179 (smallest detectable
difference and change); Wilcoxon, Biometrics Bull 1945;1:80, computed as R's ``wilcox.test``;
Li & Guan 2022, doi:10.1002/aisy.202200184 (table 1 and figure 7).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from mandora.core.anatomy import (
    RA2_TOTALS,
    SITES,
    TARGET_INDEX,
    Damage,
    Limb,
    Side,
    Target,
)
from mandora.core.errors import InputError
from mandora.core.totals import sum_scores
from mandora.metrics import Floats, Number, Table, same_shape, score_table
from mandora.metrics.joints import CALLED, CONSTANT, SYMMETRIC, by_family, measure

Alternative = Literal["two-sided", "greater", "less"]
Method = Literal["exact", "normal approximation"]
Z_95 = 1.96  # of a normal distribution, as the sources of the limits and of SDD and SDC have it
EXACT_BELOW = 50  # pairs; R's limit for the exact distribution
DECIMALS = 12  # differences that agree so far are ties: 0.3 - 0.2 and 0.2 - 0.1 are
MIN_ROWS = 3  # two rows always correlate perfectly
OF_TOTALS = ("r", "spearman", "rmse", "mae", "bias", "icc2", "icc3")


@dataclass(frozen=True)
class SignedRanks:
    """Outcome of a paired Wilcoxon signed-rank test.

    Attributes:
        p: its p value; ``p.n`` is the number of pairs that are not equal.
        method: how ``p`` was computed; None if it is not defined.
    """

    p: Number
    method: Method | None = None


def signed_ranks(
    first: ArrayLike, second: ArrayLike, alternative: Alternative = "two-sided"
) -> SignedRanks:
    """Test whether one method differs from another, fold by fold.

    Equal pairs are left out. The distribution is exact for fewer than 50 pairs without equal
    pairs and ties; otherwise it is a normal approximation with corrections for ties and
    continuity. R does the same.

    Args:
        first: (folds,) a number of one method; folds in which either is NaN do not count.
        second: (folds,) of the other.
        alternative: ``greater`` if the first is expected to be greater.

    Raises:
        ValueError: if the shapes differ.
    """
    one, two = same_shape(first, second)
    difference = np.round(one - two, DECIMALS)
    difference = difference[np.isfinite(difference)]
    kept = difference[difference != 0]
    if not kept.size:
        reason = "all pairs are equal" if difference.size else "no pair is complete"
        return SignedRanks(Number.none(reason))
    no_ties = len(np.unique(np.abs(kept))) == kept.size == difference.size
    exact = kept.size < EXACT_BELOW and no_ties
    p = stats.wilcoxon(
        kept, alternative=alternative, correction=not exact,
        method="exact" if exact else "asymptotic",
    ).pvalue  # fmt: skip
    return SignedRanks(Number(float(p), kept.size), "exact" if exact else "normal approximation")


def icc(ratings: ArrayLike, form: Literal["1,1", "2,1", "3,1"]) -> Number:
    """Intraclass correlation of single ratings by any number of raters.

    Args:
        ratings: (cases, raters); cases with a NaN do not count.
        form: of Shrout & Fleiss: raters differ from case to case; are a random sample, and
            must agree; are these ones, and must be consistent.

    Raises:
        ValueError: if there are fewer than two raters.
    """
    table = np.asarray(ratings, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] < 2:
        raise InputError(
            f"ratings of shape {table.shape}; give (cases, raters), two or more raters"
        )
    table = table[np.isfinite(table).all(axis=1)]
    n, k = table.shape
    if n < 2:
        return Number.none("fewer than 2 complete cases", n)
    if np.ptp(table) == 0:
        return Number.none("all ratings are equal", n)
    cases, raters = table.mean(axis=1, keepdims=True), table.mean(axis=0)
    between = k * ((cases - table.mean()) ** 2).sum() / (n - 1)
    by_rater = n * ((raters - table.mean()) ** 2).sum() / (k - 1)
    residual = ((table - cases - raters + table.mean()) ** 2).sum() / ((n - 1) * (k - 1))
    within = ((table - cases) ** 2).sum() / (n * (k - 1))
    lower, shift = {
        "1,1": (within, 0.0),
        "2,1": (residual, k * (by_rater - residual) / n),
        "3,1": (residual, 0.0),
    }[form]
    below = between + (k - 1) * lower + shift
    if below == 0:
        return Number.none("raters differ by a constant, cases do not differ", n)
    return Number(float((between - lower) / below), n)


def bland_altman(first: ArrayLike, second: ArrayLike) -> dict[str, Number]:
    """How far two measurements of the same patients lie apart.

    Args:
        first: (patients,) points; patients in whom either is NaN do not count.
        second: likewise.

    Returns:
        ``bias``, mean of first - second; ``sd`` of the differences; ``lower`` and ``upper``,
        bias ± 1.96 sd, between which 95 % of the differences are expected.

    Raises:
        ValueError: if the shapes differ.
    """
    one, two = same_shape(first, second)
    difference = (one - two)[np.isfinite(one - two)]
    n = difference.size
    if n < 2:
        few = Number.none("fewer than 2 patients with both", n)
        return dict.fromkeys(("bias", "sd", "lower", "upper"), few)
    bias, sd = float(difference.mean()), float(difference.std(ddof=1))
    values = {"bias": bias, "sd": sd, "lower": bias - Z_95 * sd, "upper": bias + Z_95 * sd}
    return {name: Number(value, n) for name, value in values.items()}


def smallest_detectable_difference(first: ArrayLike, second: ArrayLike, readers: int = 2) -> Number:
    """Smallest difference between two scores that is more than error of reading, points.

    SDD = 1.96 SD(first - second) / √readers.

    Args:
        first: (patients,) scores by one reader; patients in whom either is NaN do not count.
        second: likewise, by another.
        readers: the score is the mean of so many readers.
    """
    sd = bland_altman(first, second)["sd"]
    return sd if sd.reason else Number(Z_95 * sd.value / math.sqrt(readers), sd.n)


def smallest_detectable_change(first: ArrayLike, second: ArrayLike, readers: int = 2) -> Number:
    """Smallest change of a patient's score that is more than error of reading, points.

    SDC = 1.96 SD(first - second) / (√2 √readers) of *changes* of score; otherwise as
    :func:`smallest_detectable_difference`.
    """
    sdd = smallest_detectable_difference(first, second, readers)
    return sdd if sdd.reason else Number(sdd.value / math.sqrt(2), sdd.n)


def total(scores: ArrayLike, wanted: Callable[[Target], bool] = lambda _: True) -> Floats:
    """The total of each patient over some of the targets.

    The rule for missing scores is that of :mod:`mandora.core.totals`.

    Args:
        scores: (patients, 86) SvH points; NaN where missing.
        wanted: which targets.

    Returns:
        (patients,) points; NaN where missing.

    Raises:
        ValueError: if the table has another shape.
    """
    return sum_scores(score_table(scores), wanted).value


def compare_totals(first: ArrayLike, second: ArrayLike, called: tuple[str, str] = CALLED) -> Table:
    """Compare the totals of two score tables.

    Args:
        first: (patients, 86) SvH points, predictions or one reader; NaN where missing.
        second: likewise, the reference or another reader.
        called: what reasons call them.

    Returns:
        RA2's name of the total → names of :data:`OF_TOTALS`, ``lower`` and ``upper`` limit of
        agreement, ``sdd`` of the mean of the two → number over patients.

    Raises:
        ValueError: if the tables have other shapes.
    """
    made = {}
    for name, kinds in RA2_TOTALS.items():
        one, two = (total(scores, lambda t, k=kinds: t.damage in k) for scores in (first, second))  # type: ignore[misc]
        limits = bland_altman(one, two)
        made[name] = measure(one, two, OF_TOTALS, called)
        made[name] |= {end: limits[end] for end in ("lower", "upper")}
        made[name]["sdd"] = smallest_detectable_difference(one, two)
    return made


def between_readers(first: ArrayLike, second: ArrayLike) -> tuple[Table, Table]:
    """How well two readers agree, of whom neither is right.

    Args:
        first: (patients, 86) grades; NaN where missing.
        second: likewise, of the other reader.

    Returns:
        Joints: group → name of ``metrics.SYMMETRIC`` → number. Totals: as
        :func:`compare_totals`. Bias is first - second in both.

    Raises:
        ValueError: if the tables have other shapes.
    """
    called = ("the first reader", "the second reader")
    return by_family(first, second, SYMMETRIC, called), compare_totals(first, second, called)


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
                np.concatenate([total(scores, _is({**case, axis: half})) for case in cases])
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
    has_x, has_y = np.isfinite(x).astype(float), np.isfinite(y).astype(float)
    x, y = np.where(has_x, x, 0), np.where(has_y, y, 0)
    n = has_x.T @ has_y
    sum_x, sum_y = x.T @ has_y, has_x.T @ y
    xx, yy = n * ((x**2).T @ has_y), n * (has_x.T @ y**2)
    spread_x, spread_y = xx - sum_x**2, yy - sum_y**2
    known = (n >= MIN_ROWS) & (spread_x > CONSTANT * xx) & (spread_y > CONSTANT * yy)
    below = np.sqrt(np.where(known, spread_x * spread_y, 1))
    r = np.where(known, (n * (x.T @ y) - sum_x * sum_y) / below, np.nan)
    return Pairwise(np.clip(r, -1, 1), n.astype(np.int64))
