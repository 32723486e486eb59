"""How far readers and methods agree, over folds and over patients.

Sources: Shrout & Fleiss, Psychol Bull 1979;86:420 (ICC); Bland & Altman, Lancet 1986;i:307
(limits of agreement); Bruynesteyn et al., Ann Rheum Dis 2005;64:179 (smallest detectable
difference and change); Wilcoxon, Biometrics Bull 1945;1:80, computed as R's ``wilcox.test``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from mandora.core.errors import InputError
from mandora.core.totals import ra2_totals
from mandora.metrics import Number, Table, same_shape, score_table
from mandora.metrics.joints import CALLED, SYMMETRIC, by_family, measure

Alternative = Literal["two-sided", "greater", "less"]
Method = Literal["exact", "normal approximation"]
Z_95 = 1.96  # of a normal distribution, as the sources of the limits and of SDD and SDC have it
EXACT_BELOW = 50  # pairs; R's limit for the exact distribution
DECIMALS = 12  # differences that agree so far are ties: 0.3 - 0.2 and 0.2 - 0.1 are
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
    made, others = {}, ra2_totals(score_table(second))
    for name, totals in ra2_totals(score_table(first)).items():
        one, two = totals.value, others[name].value
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
