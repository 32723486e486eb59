"""How much a number would change with other patients.

Percentile intervals of the bootstrap (Efron & Tibshirani, An Introduction to the Bootstrap,
1993, ch. 13). Patients are drawn with replacement, never joints: the joints of one patient go
together, and intervals over joints would be far too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mandora.core.errors import InputError
from mandora.metrics import Floats, Number, same_shape
from mandora.metrics.joints import METRICS, measure, pair_sums

AT_ONCE = 32  # resamples that are ranked together; more do not fit into the caches
NOTHING_IN_COMMON = "no joint has a score of both methods and of the reference"
MAX_UNDEFINED = 0.5  # share of resamples; what is left beyond that is not the same question


@dataclass(frozen=True)
class Resampling:
    """How patients are resampled.

    Attributes:
        resamples: how many times.
        level: of the interval, 0..1.
        seed: the same seed and number of patients give the same draws.

    Raises:
        ValueError: if there are no resamples, or the level is not between 0 and 1.
    """

    resamples: int = 2000
    level: float = 0.95
    seed: int | tuple[int, ...] = 0

    def __post_init__(self) -> None:
        if self.resamples < 1 or not 0 < self.level < 1:
            raise InputError(
                f"{self.resamples} resamples at level {self.level}: use at least one resample, "
                "better 1000 or more, and a level between 0 and 1 such as 0.95"
            )

    def draw(self, patients: int) -> NDArray[np.int64]:
        """(resamples, patients) int64, the patients of each resample."""
        rng = np.random.default_rng(self.seed)
        return rng.integers(0, patients, (self.resamples, patients))

    def counts(self, patients: int) -> Floats:
        """(resamples, patients) float64, how often each patient is in each resample."""
        places = self.draw(patients) + patients * np.arange(self.resamples)[:, None]
        counts = np.bincount(places.ravel(), minlength=places.size)
        return counts.reshape(places.shape).astype(np.float64)


@dataclass(frozen=True)
class Interval:
    """A number with a confidence interval.

    Attributes:
        number: of all patients.
        low: lower end; NaN if there is none.
        high: upper end; likewise.
        patients: with at least one score that counts.
        undefined: share of the resamples in which the number is not defined, 0..1. The
            interval is of the others.
        reason: in words, why there is no interval; None if there is one.
    """

    number: Number
    low: float
    high: float
    patients: int
    undefined: float
    reason: str | None = None


def intervals(
    predicted: ArrayLike,
    reference: ArrayLike,
    names: Iterable[str],
    resampling: Resampling = Resampling(),
    patients: Sequence[str] | NDArray[np.str_] | None = None,
) -> dict[str, Interval]:
    """Numbers that compare scores, with intervals.

    Args:
        predicted: (patients, joints) SvH points; NaN where missing. Totals are (patients, 1).
        reference: likewise.
        names: of ``metrics.METRICS``. ``spearman`` and ``auc`` take longest.
        resampling: how.
        patients: whose each row is; rows of one patient are drawn together. None: each row is
            another's.

    Returns:
        One interval for each name, in that order.

    Raises:
        ValueError: if the shapes differ or have no second axis.
    """
    p, t = _known(patients, predicted, reference)
    counts = resampling.counts(len(p))
    numbers = measure(predicted, reference, names)
    return {
        name: _interval(number, _resampled(name, p, t, counts), len(p), resampling)
        for name, number in numbers.items()
    }


def difference_intervals(
    first: ArrayLike,
    second: ArrayLike,
    reference: ArrayLike,
    names: Iterable[str],
    resampling: Resampling = Resampling(),
    patients: Sequence[str] | NDArray[np.str_] | None = None,
) -> dict[str, Interval]:
    """By how much two methods differ on the same patients, with intervals.

    Each resample has the same patients for both. Only joints that have a score of both
    methods and of the reference count.

    Args:
        first: (patients, joints) SvH points of one method; NaN where missing.
        second: likewise, of the other.
        reference: likewise.
        names: of ``metrics.METRICS``.
        resampling: how.
        patients: as for :func:`intervals`.

    Returns:
        Number of the first less number of the second for each name, in that order.

    Raises:
        ValueError: if the shapes differ or have no second axis.
    """
    one, two, t = _known(patients, first, second, reference)
    counts = resampling.counts(len(t))
    names = tuple(names)
    of_one, of_two = measure(one, t, names), measure(two, t, names)
    made = {}
    for name in names:
        a, b = of_one[name], of_two[name]
        reason = a.reason or b.reason if len(t) else NOTHING_IN_COMMON
        number = Number.none(reason, a.n) if reason else Number(a.value - b.value, a.n)
        values = _resampled(name, one, t, counts) - _resampled(name, two, t, counts)
        made[name] = _interval(number, values, len(t), resampling)
    return made


def _known(patients: Sequence[str] | NDArray[np.str_] | None, *tables: ArrayLike) -> list[Floats]:
    """Joints that all tables have, of the patients who have any; a row for each patient."""
    first, *others = (np.asarray(table, dtype=np.float64) for table in tables)
    for other in others:
        same_shape(first, other)
    if first.ndim != 2:
        raise InputError(
            f"scores of shape {first.shape} have no axes for patients and joints; give totals "
            "as (patients, 1)"
        )
    known = np.logical_and.reduce([np.isfinite(table) for table in (first, *others)])
    whole = [np.where(known, table, np.nan) for table in (first, *others)]
    if patients is not None:
        whole = [_one_row_each(np.asarray(patients), table) for table in whole]
    kept = np.isfinite(whole[0]).any(axis=1)
    return [table[kept] for table in whole]


def _one_row_each(patients: NDArray[np.str_], table: Floats) -> Floats:
    """(patients, most rows of one × joints): all rows of a patient in one row, then NaN.

    With repeats, a patient is tested several times, and still counts as one.
    """
    if patients.shape != table.shape[:1]:
        raise InputError(
            f"{patients.size} patients are named for {len(table)} rows; name one for each row"
        )
    names, at = np.unique(patients, return_inverse=True)
    order = np.argsort(at, kind="stable")
    counts = np.bincount(at, minlength=len(names))
    turn = np.arange(len(at)) - np.repeat(np.cumsum(counts) - counts, counts)
    made = np.full((len(names), int(counts.max(initial=0)), table.shape[1]), np.nan)
    made[at[order], turn] = table[order]
    return made.reshape(len(names), -1)


def _resampled(name: str, p: Floats, t: Floats, counts: Floats) -> Floats:
    """(resamples,) the number of each; NaN where it is not defined."""
    metric = METRICS[name]
    sums = pair_sums(p, t).weighted(counts)
    if metric.of_ranks is None or not p.size:
        return metric.from_sums(sums)
    known = np.isfinite(p)
    patient = np.nonzero(known)[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.concatenate([
            metric.of_ranks(p[known], t[known], counts[i : i + AT_ONCE, patient])
            for i in range(0, len(counts), AT_ONCE)
        ])  # fmt: skip
    return np.where(metric.defined(sums), values, np.nan)


def _interval(number: Number, values: Floats, patients: int, resampling: Resampling) -> Interval:
    defined = values[np.isfinite(values)]
    undefined = 1 - defined.size / values.size if values.size else 1.0
    reason = number.reason
    if reason is None and patients < 2:
        reason = "fewer than 2 patients"
    if reason is None and undefined > MAX_UNDEFINED:
        reason = f"not defined in {undefined:.0%} of the resamples"
    if reason is not None:
        return Interval(number, math.nan, math.nan, patients, undefined, reason)
    tail = (1 - resampling.level) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(number, float(low), float(high), patients, undefined)
