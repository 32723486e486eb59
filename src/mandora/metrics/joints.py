"""How far predicted joint scores are from the reference.

The reference is the official label, or one of two readers. Pairs in which either score is
missing (NaN) do not count. Most numbers are made of sums over pairs: that makes resampling of
patients, see :mod:`mandora.metrics.bootstrap`, a product of two matrices.

Sources: Shrout & Fleiss, Psychol Bull 1979;86:420 (ICC); Fleiss & Cohen, Educ Psychol Meas
1973;33:613 (quadratic weighted kappa); Hanley & McNeil, Radiology 1982;143:29 (AUC).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mandora.core.anatomy import TARGETS
from mandora.metrics import GROUPS, Floats, Number, Table, grade, same_shape, score_table

# Scores that spread by less than one part in 100,000 of their size are constant: below that,
# sums of squares hold more rounding than spread.
CONSTANT = 1e-10
CALLED = ("the prediction", "the reference")
BANDS = ("zero", "low", "middle", "high")


@dataclass(frozen=True, eq=False)
class PairSums:
    """Sums over pairs of a predicted score p and a reference t; a and b are their grades.

    Each attribute is a float64 array of the same shape: (), (patients,) or (resamples,).

    Attributes:
        predicted: how many scores were predicted.
        reference: how many scores the reference has.
        n: how many pairs have both.
        p, t, pp, tt, pt: sums of p, t, p², t², pt.
        absolute, squared: sums of abs(p - t) and (p - t)².
        a, b, aa, bb, ab: as for p and t.
        exact, near: pairs with a = b, and with abs(a - b) at most 1.
        damaged, healthy: pairs with b at least 1, and the others.
        found, cleared: damaged pairs with a at least 1, and healthy pairs with a below 1.
    """

    predicted: Floats
    reference: Floats
    n: Floats
    p: Floats
    t: Floats
    pp: Floats
    tt: Floats
    pt: Floats
    absolute: Floats
    squared: Floats
    a: Floats
    b: Floats
    aa: Floats
    bb: Floats
    ab: Floats
    exact: Floats
    near: Floats
    damaged: Floats
    healthy: Floats
    found: Floats
    cleared: Floats

    def weighted(self, weights: Floats) -> PairSums:
        """Sums over patients.

        Args:
            weights: (patients,), or (resamples, patients): how often each patient counts.
        """
        return PairSums(*(weights @ getattr(self, field.name) for field in fields(self)))


def pair_sums(predicted: ArrayLike, reference: ArrayLike) -> PairSums:
    """Sums over the last axis.

    Args:
        predicted: (..., joints) SvH points; NaN where missing.
        reference: likewise, same shape.

    Raises:
        ValueError: if the shapes differ.
    """
    p, t = same_shape(predicted, reference)
    both = np.isfinite(p) & np.isfinite(t)
    known = (np.isfinite(p), np.isfinite(t), both)
    p, t = np.where(both, p, 0), np.where(both, t, 0)
    a, b = grade(p), grade(t)
    off, damaged = np.abs(a - b), both & (b >= 1)
    healthy = both & ~damaged
    columns = (
        *known, p, t, p * p, t * t, p * t, np.abs(p - t), (p - t) ** 2, a, b, a * a, b * b, a * b,
        both & (off == 0), both & (off <= 1), damaged, healthy, damaged & (a >= 1),
        healthy & (a < 1),
    )  # fmt: skip
    return PairSums(*(np.asarray(c.sum(axis=-1), dtype=np.float64) for c in columns))


@dataclass(frozen=True)
class Need:
    """What must hold for a number to be defined; ``{0}`` and ``{1}`` are what is compared."""

    reason: str
    met: Callable[[PairSums], NDArray[np.bool_]]


def _spread(n: Floats, x: Floats, xx: Floats) -> Floats:
    """Sum of squares around the mean."""
    return np.maximum(xx - x * x / n, 0)


def _varies(n: Floats, x: Floats, xx: Floats) -> NDArray[np.bool_]:
    return np.asarray(n * xx - x * x > CONSTANT * n * xx)


_SOME = (
    Need("{0} has no scores", lambda s: s.predicted > 0),
    Need("{1} has no scores", lambda s: s.reference > 0),
    Need("{0} and {1} have no joint in common", lambda s: s.n > 0),
)
_TWO = Need("fewer than 2 pairs of scores", lambda s: s.n >= 2)
_THREE = Need("fewer than 3 pairs of scores: two always correlate perfectly", lambda s: s.n >= 3)
_REFERENCE = (
    Need("{1} is 0 everywhere", lambda s: s.tt > 0),
    Need("{1} is constant", lambda s: _varies(s.n, s.t, s.tt)),
)
_GRADES = (
    Need("{1} is grade 0 everywhere", lambda s: s.bb > 0),
    Need("all grades of {1} are equal", lambda s: _varies(s.n, s.b, s.bb)),
)
_PREDICTED = Need("{0} is constant", lambda s: _varies(s.n, s.p, s.pp))
_DAMAGED = Need("{1} has no damaged joint", lambda s: s.damaged > 0)
_HEALTHY = Need("{1} has no joint without damage", lambda s: s.healthy > 0)


def _pearson(s: PairSums) -> Floats:
    squares = _spread(s.n, s.p, s.pp) * _spread(s.n, s.t, s.tt)
    return np.clip((s.pt - s.p * s.t / s.n) / np.sqrt(squares), -1, 1)


def _mean_squares(s: PairSums) -> tuple[Floats, Floats, Floats]:
    """Between joints, between the two raters, and residual (Shrout & Fleiss, two raters)."""
    between = _spread(s.n, s.p + s.t, s.pp + 2 * s.pt + s.tt) / 2 / (s.n - 1)
    raters = (s.p - s.t) ** 2 / s.n / 2
    residual = _spread(s.n, s.p - s.t, s.squared) / 2 / (s.n - 1)
    return between, raters, residual


def _icc2(s: PairSums) -> Floats:
    between, raters, residual = _mean_squares(s)
    return (between - residual) / (between + residual + 2 * (raters - residual) / s.n)


def _icc3(s: PairSums) -> Floats:
    between, _, residual = _mean_squares(s)
    return (between - residual) / (between + residual)


def _kappa(s: PairSums) -> Floats:
    # With quadratic weights the disagreement expected by chance is E(a - b)² of independent
    # grades, so that no table of grades is needed.
    chance = _spread(s.n, s.a, s.aa) + _spread(s.n, s.b, s.bb) + (s.a - s.b) ** 2 / s.n
    return 1 - (s.aa - 2 * s.ab + s.bb) / chance


def _ranks(scores: Floats, weights: Floats) -> Floats:
    """(resamples, n) ranks, mean rank for ties, as if each score stood there ``weight`` times."""
    _, which = np.unique(scores, return_inverse=True)
    order = np.argsort(which, kind="stable")
    starts = np.searchsorted(which[order], np.arange(which.max() + 1))
    alike = np.add.reduceat(weights[:, order], starts, axis=1)
    return (np.cumsum(alike, axis=1) - (alike - 1) / 2)[:, which]


def _spearman(p: Floats, t: Floats, weights: Floats) -> Floats:
    middle = (weights.sum(axis=1, keepdims=True) + 1) / 2
    x, y = _ranks(p, weights) - middle, _ranks(t, weights) - middle
    xx, yy, xy = ((weights * product).sum(axis=1) for product in (x * x, y * y, x * y))
    return np.clip(xy / np.sqrt(xx * yy), -1, 1)


def _auc(p: Floats, t: Floats, weights: Floats) -> Floats:
    damaged = grade(t) >= 1
    k, n = weights[:, damaged].sum(axis=1), weights.sum(axis=1)
    ranks = (_ranks(p, weights) * weights)[:, damaged].sum(axis=1)
    return (ranks - k * (k + 1) / 2) / (k * (n - k))


@dataclass(frozen=True)
class Metric:
    """How a number is made.

    Attributes:
        needs: what must hold, the first that does not is the reason.
        of_sums: from sums over pairs, on arrays of sums; None for numbers made of ranks.
        of_ranks: from (n,) predicted scores, (n,) reference scores and (resamples, n) how often
            each pair counts; None for numbers made of sums.
        count: the attribute of :class:`PairSums` that says of how many pairs it is made.
    """

    needs: tuple[Need, ...]
    of_sums: Callable[[PairSums], Floats] | None = None
    of_ranks: Callable[[Floats, Floats, Floats], Floats] | None = None
    count: str = "n"

    def defined(self, sums: PairSums) -> NDArray[np.bool_]:
        """Where all needs are met; the shape of the sums."""
        return np.logical_and.reduce([need.met(sums) for need in self.needs])

    def from_sums(self, sums: PairSums) -> Floats:
        """The number for each set of sums; NaN where it is not defined, or made of ranks."""
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.nan if self.of_sums is None else self.of_sums(sums)
        return np.where(self.defined(sums), values, np.nan)


METRICS: Mapping[str, Metric] = {
    "r": Metric((*_SOME, _THREE, *_REFERENCE, _PREDICTED), _pearson),
    "spearman": Metric((*_SOME, _THREE, *_REFERENCE, _PREDICTED), of_ranks=_spearman),
    "rmse": Metric(_SOME, lambda s: np.sqrt(s.squared / s.n)),
    "mae": Metric(_SOME, lambda s: s.absolute / s.n),
    "bias": Metric(_SOME, lambda s: (s.p - s.t) / s.n),
    "icc2": Metric((*_SOME, _TWO, *_REFERENCE), _icc2),
    "icc3": Metric((*_SOME, _TWO, *_REFERENCE), _icc3),
    "kappa": Metric((*_SOME, _TWO, *_GRADES), _kappa),
    "exact": Metric(_SOME, lambda s: s.exact / s.n),
    "within_one": Metric(_SOME, lambda s: s.near / s.n),
    "sensitivity": Metric((*_SOME, _DAMAGED), lambda s: s.found / s.damaged, count="damaged"),
    "specificity": Metric((*_SOME, _HEALTHY), lambda s: s.cleared / s.healthy, count="healthy"),
    "auc": Metric((*_SOME, _DAMAGED, _HEALTHY), of_ranks=_auc),
    "rmse_zero": Metric(_SOME, lambda s: np.sqrt(s.tt / s.n)),
    "rmse_mean": Metric(_SOME, lambda s: np.sqrt(_spread(s.n, s.t, s.tt) / s.n)),
}
"""Everything that :func:`measure` can tell; docs/metrics.md has the formulas."""

SYMMETRIC = ("r", "spearman", "rmse", "mae", "bias", "icc2", "icc3", "kappa", "exact", "within_one")
"""What makes sense between two readers, of whom neither is right."""
IN_A_BAND = ("rmse", "mae", "bias", "exact", "within_one")
"""What makes sense where the reference has hardly any spread."""


def measure(
    predicted: ArrayLike,
    reference: ArrayLike,
    names: Iterable[str] = tuple(METRICS),
    called: tuple[str, str] = CALLED,
) -> dict[str, Number]:
    """Compare scores.

    Args:
        predicted: any shape, SvH points; NaN where missing.
        reference: likewise, same shape.
        names: of :data:`METRICS`.
        called: what reasons call the two.

    Returns:
        One number for each name, in that order.

    Raises:
        ValueError: if the shapes differ.
    """
    p, t = (scores.ravel() for scores in same_shape(predicted, reference))
    sums = pair_sums(p, t)
    both = np.isfinite(p) & np.isfinite(t)
    made = {}
    for name in names:
        metric = METRICS[name]
        n = int(getattr(sums, metric.count))
        unmet = next((need.reason for need in metric.needs if not need.met(sums)), None)
        if unmet is not None:
            made[name] = Number.none(unmet.format(*called), n)
        elif metric.of_sums is not None:
            made[name] = Number(float(metric.of_sums(sums)), n)
        elif metric.of_ranks is not None:
            once = np.ones((1, n))
            made[name] = Number(float(metric.of_ranks(p[both], t[both], once)[0]), n)
    return made


def by_family(
    predicted: ArrayLike,
    reference: ArrayLike,
    names: Iterable[str] = tuple(METRICS),
    called: tuple[str, str] = CALLED,
) -> Table:
    """Compare score tables, by group of targets.

    Args:
        predicted: (patients, 86) SvH points, columns as ``anatomy.TARGETS``; NaN where missing.
        reference: likewise.
        names: of :data:`METRICS`.
        called: what reasons call the two.

    Returns:
        Group of :data:`mandora.metrics.GROUPS` → name → number.

    Raises:
        ValueError: if the tables have other shapes.
    """
    p, t = same_shape(score_table(predicted), score_table(reference))
    names = tuple(names)
    return {
        group: measure(p[:, which], t[:, which], names, called) for group, which in GROUPS.items()
    }


def severity(reference: ArrayLike) -> NDArray[np.int64]:
    """The band of each score's grade: index in :data:`BANDS`, -1 where it is missing.

    Low, middle and high are the thirds of the joint's maximum: 1, 2 and 3-4 of 4; 1, 2-3 and
    4-5 of 5; 1-3, 4-6 and 7-10 of 10.

    Args:
        reference: (patients, 86) SvH points.

    Raises:
        ValueError: if the table has another shape.
    """
    table = score_table(reference)
    share = grade(table) / np.array([t.maximum for t in TARGETS])
    band = np.digitize(share, [0, 1 / 3, 2 / 3], right=True)
    return np.where(np.isfinite(table), band, -1)


def by_severity(predicted: ArrayLike, reference: ArrayLike) -> dict[str, Table]:
    """Compare score tables, by group of targets and by how damaged the reference is.

    Args:
        predicted: as for :func:`by_family`.
        reference: likewise.

    Returns:
        Group of ``GROUPS`` → band of :data:`BANDS` → name of :data:`IN_A_BAND` → number.

    Raises:
        ValueError: if the tables have other shapes.
    """
    p, t = same_shape(score_table(predicted), score_table(reference))
    band = severity(t)
    return {
        group: {
            name: measure(p[:, which], np.where(band == i, t, np.nan)[:, which], IN_A_BAND)
            for i, name in enumerate(BANDS)
        }
        for group, which in GROUPS.items()
    }
