"""Sets of grades that hold a stated share of the true grades, at every grade.

A set has every grade that the score does not speak against. For each grade a range of scores is
measured that joints of this grade have; a score that lies outside speaks against it. So the share
holds for healthy and for damaged joints alike, not only on the whole, where healthy ones are many:
conformal prediction, conditional on the label (Vovk, Gammerman & Shafer 2005, Algorithmic Learning
in a Random World, section 4.5; Sadinle, Lei & Wasserman, JASA 2019;114:223).

The range is measured by patients, not by joints, which are alike within a patient: each of K
patients with such joints has weight 1/(K + 1), shared by these joints, and the rest 1/(K + 1) lies
beyond any score (Lee, Barber & Willett 2023, arXiv:2306.06342). The weight that may be left out
lies above the range of grade 0, as no score is lower. Of damaged grades three quarters of it lie
below: most joints have low scores, and their sets grow by each grade that these do not speak
against. An end for which there are too few patients is open. So for a new patient, who is like
those of a data set that was measured on, and one of this patient's joints of a given grade, drawn
by chance, the set holds the true grade with at least the stated chance, whatever the model. Grades
that few patients have are taken together, by how far scores lie from them in units of the grade's
square root: for these the share holds on the whole.

Several data sets, as simulated and real ones, are measured each on its own. For each end the widest
range counts, so that the share holds on each of them; where an end of one is open, that of the
others counts for it as well. A grade that no data set has enough patients with is in every set.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mandora.core.anatomy import TARGETS
from mandora.core.errors import InputError
from mandora.core.totals import all_totals
from mandora.metrics import FAMILY_TITLES, GROUPS, Floats, grade, same_shape, score_table
from mandora.metrics.bootstrap import Resampling, intervals
from mandora.metrics.joints import BANDS, severity
from mandora.model.contract import GradeRange, IntervalContract, Spread, total_scale

BELOW = 0.75  # share of what the ranges of damaged grades leave out that lies below them
MAXIMA = np.array([t.maximum for t in TARGETS], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Labelled:
    """Scores and labels of patients who trained nothing.

    Attributes:
        name: of the data set.
        scores: (N, 86) SvH points; NaN where missing.
        truth: (N, 86) labels; NaN where missing.

    Raises:
        ValueError: if the shapes differ or are others.
    """

    name: str
    scores: Floats
    truth: Floats

    def __post_init__(self) -> None:
        same_shape(score_table(self.scores), score_table(self.truth))

    @property
    def patients(self) -> int:
        """Patients with a score and a label."""
        return int(np.isfinite(self.scores - self.truth).any(axis=1).sum())


def calibrate(data_sets: Sequence[Labelled], level: float) -> IntervalContract:
    """Measure which grades a score speaks against, and how far totals lie from their truth.

    Args:
        data_sets: of patients who trained nothing; the share holds on each of them.
        level: share of the true grades that sets shall hold, 0..1.

    Raises:
        ValueError: if no joint has a score and a label.
    """
    if not 0 < level < 1:
        raise InputError(f"level {level}: give a share between 0 and 1, such as 0.9")
    grades = {}
    for code, words in FAMILY_TITLES.items():
        columns = list(GROUPS[code])
        if any(np.isfinite((d.scores - d.truth)[:, columns]).any() for d in data_sets):
            parts = [part for data in data_sets for part in _parts(data, columns, level)]
            grades[words] = _ranges(parts, int(MAXIMA[columns[0]]))
    if not grades:
        raise InputError("no joint has a score and a label; give films with scored joints")
    patients: dict[str, int] = {}
    for data in data_sets:
        patients[data.name] = patients.get(data.name, 0) + data.patients
    return IntervalContract(
        level=level, grades=grades, totals=_totals(data_sets, level),
        patients=sum(patients.values()), data_sets=patients,
    )  # fmt: skip


# ── joints ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Part:
    """What one data set says of some grades of a family.

    Attributes:
        grades: neighbouring ones that were taken together.
        low: least score less grade, in units of the grade's square root.
        high: greatest.
        patients: who have such joints.
    """

    grades: tuple[int, ...]
    low: float
    high: float
    patients: int

    def of(self, g: int) -> tuple[float, float]:
        """Ends of the range of a grade's scores; infinite where nothing is left out."""
        return g + self.low * _unit(g), g + self.high * _unit(g)


def _parts(data: Labelled, columns: list[int], level: float) -> Iterator[_Part]:
    """What a data set says of a family: of no grade that too few of its patients have."""
    least = least_patients(level)
    truth, scores = grade(data.truth[:, columns]), data.scores[:, columns]
    truth = np.where(np.isfinite(scores), truth, np.nan)
    most = int(MAXIMA[columns[0]])
    for grades in ((0,), *_taken_together(truth, most, least)):
        chosen = np.isin(truth, grades)
        rows, away = np.nonzero(chosen)[0], ((scores - truth) / _unit(truth))[chosen]
        if (patients := len(set(rows.tolist()))) < least:
            continue
        below, above = _outside(grades, level)
        weights = _weights(rows)
        low, high = -_quantile(-away, weights, below), _quantile(away, weights, above)
        yield _Part(grades, low, high, patients)


def _unit(grades: Any) -> Any:
    return np.sqrt(np.maximum(grades, 1))


def _outside(grades: tuple[int, ...], level: float) -> tuple[float, float]:
    """Share of the weight that may lie below a range, and above it."""
    return (0.0, 1 - level) if grades == (0,) else (BELOW * (1 - level), (1 - BELOW) * (1 - level))


def least_patients(level: float) -> int:
    """How many patients with a grade are needed for a range of its scores."""
    return math.ceil(round(1 / (BELOW * (1 - level)), 9)) - 1


def _taken_together(truth: Floats, most: int, least: int) -> list[tuple[int, ...]]:
    """The grades from 1 on, in groups that enough patients have; the highest are the rarest."""
    groups: list[tuple[int, ...]] = []
    group: tuple[int, ...] = ()
    for g in range(most, 0, -1):
        group = (g, *group)
        if np.isin(truth, group).any(axis=1).sum() >= least:
            groups.insert(0, group)
            group = ()
    if group and groups:
        groups[0] = (*group, *groups[0])
    elif group:
        groups = [group]
    return groups


def _weights(rows: NDArray[np.intp]) -> Floats:
    """(n,) weight of each case; ``rows`` are their patients."""
    _, which, counts = np.unique(rows, return_inverse=True, return_counts=True)
    return np.asarray(1 / ((len(counts) + 1) * counts[which]), np.float64)


def _quantile(values: Floats, weights: Floats, share: float) -> float:
    """The least value that leaves at most that share above it, with what lies beyond any."""
    order = np.argsort(-values, kind="stable")
    # above each: all greater ones, and what is missing to 1
    above = 1 - weights.sum() + np.cumsum(weights[order]) - weights[order]
    ranked = values[order]
    first = np.searchsorted(-ranked, -ranked, side="left")  # equal values lie on neither side
    fits = np.flatnonzero(above[first] <= share + 1e-9)
    return float(ranked[fits[-1]]) if fits.size else math.inf


def _ranges(parts: Sequence[_Part], most: int) -> tuple[GradeRange, ...]:
    """For each grade the widest range; ends rise with the grade, so that sets have no gaps."""
    low, high, patients = np.zeros(most + 1), np.full(most + 1, float(most)), np.zeros(most + 1)
    for g in range(most + 1):
        of_grade = [part for part in parts if g in part.grades]
        ends = [part.of(g) for part in of_grade]
        if of_grade:
            low[g] = min((a for a, _ in ends if np.isfinite(a)), default=0)
            high[g] = max((b for _, b in ends if np.isfinite(b)), default=most)
            patients[g] = min(part.patients for part in of_grade)
    high[most] = most
    low = np.minimum.accumulate(low[::-1])[::-1].clip(0, most)
    high = np.maximum.accumulate(high).clip(0, most)
    return tuple(
        # rounded outwards
        GradeRange(low=math.floor(a * 1e4) / 1e4, high=math.ceil(b * 1e4) / 1e4, patients=int(n))
        for a, b, n in zip(low, high, patients, strict=True)
    )


def not_measured(contract: IntervalContract) -> Iterator[str]:
    """For each family with grades that are in every set, a sentence that says so."""
    for words, ranges in contract.grades.items():
        grades = [str(g) for g, found in enumerate(ranges) if not found.patients]
        if grades:
            yield (
                f"{words}: grade {', '.join(grades)} is in every interval: fewer than "
                f"{least_patients(contract.level)} patients have such joints; give more patients"
            )


# ── totals ───────────────────────────────────────────────────────────────────────────────


def _totals(data_sets: Sequence[Labelled], level: float) -> dict[str, Spread]:
    """The widest spread of each total over the data sets that have enough patients with one."""
    made: dict[str, list[Spread]] = {}
    for data in data_sets:
        true = all_totals(data.truth)
        for name, found in all_totals(data.scores).items():
            scale = np.array([total_scale(value) for value in found.value])
            away = (true[name].value - found.value) / scale
            away = np.sort(away[np.isfinite(away)])
            # to 9 decimals: half of 1 - 0.9 is not quite 0.05
            rank = math.floor(round((1 - level) / 2 * (away.size + 1), 9))
            if rank:
                spread = Spread(low=away[rank - 1], high=away[-rank], cases=away.size)
                made.setdefault(name, []).append(spread)
    return {
        name: Spread(
            low=min(s.low for s in spreads), high=max(s.high for s in spreads),
            cases=sum(s.cases for s in spreads),
        )
        for name, spreads in made.items()
    }  # fmt: skip


# ── how many truths they hold ────────────────────────────────────────────────────────────

RESAMPLES = Resampling(resamples=1000)


def interval_table(contract: IntervalContract, scores: ArrayLike) -> tuple[Floats, Floats]:
    """Lowest and highest grade of all joints' sets, (N, 86) each; NaN where there is none."""
    table = score_table(scores)
    low, high = np.full_like(table, np.nan), np.full_like(table, np.nan)
    for row, column in np.argwhere(np.isfinite(table)):
        ends = contract.of_joint(TARGETS[column], float(table[row, column]))
        if ends is not None:
            low[row, column], high[row, column] = ends
    return low, high


def coverage(contract: IntervalContract, scores: ArrayLike, truth: ArrayLike) -> list[list[Any]]:
    """How many truths the intervals hold: all, where there is damage, and by severity.

    Args:
        contract: measured on other patients.
        scores: (N, 86); NaN where missing.
        truth: (N, 86) labels; NaN where missing.

    Returns:
        Rows of: targets; ``all``, ``damage`` (grade 1 or more) or a severity band; joints; share
        of true grades within, with the ends of its 95 % interval over patients; mean number of
        grades in a set (None without joints). Families first, then all targets, then totals,
        whose last number is the mean width in SvH points.
    """
    ours, labels = same_shape(score_table(scores), score_table(truth))
    low, high = interval_table(contract, ours)
    true = grade(labels)
    known = np.isfinite(true) & np.isfinite(low)
    held = np.where(known, (low <= true) & (true <= high), np.nan)
    size, band = high - low + 1, severity(labels)
    bands = {"all": known, "damage": true > 0, **{b: band == i for i, b in enumerate(BANDS)}}
    rows = []
    for words, columns in [*((FAMILY_TITLES[c], GROUPS[c]) for c in FAMILY_TITLES),
                           ("all targets", GROUPS["all"])]:  # fmt: skip
        mine = np.isin(np.arange(len(TARGETS)), columns)
        for name, of_band in bands.items():
            rows.append([words, name, *_shares(held, size, known & of_band & mine)])
    return [*rows, *_totals_held(contract, ours, labels)]


def _shares(held: Floats, size: Floats, chosen: NDArray[np.bool_]) -> list[Any]:
    if not chosen.any():
        return [0, None, None, None, None]
    table = np.where(chosen, held, np.nan)
    mean = intervals(table, np.zeros_like(table), ("bias",), RESAMPLES)["bias"]
    ends = [mean.low, mean.high]
    return [int(chosen.sum()), mean.number.value, *ends, float(size[chosen].mean())]


def _totals_held(contract: IntervalContract, ours: Floats, labels: Floats) -> Iterator[list[Any]]:
    true_totals = all_totals(labels)
    for name, total in all_totals(ours).items():
        if name not in contract.totals:
            continue
        found, true = total.value, true_totals[name].value
        both = np.isfinite(found) & np.isfinite(true)
        ends = np.array(
            [contract.of_total(name, float(v), total.maximum) or (0, 0) for v in found[both]]
        ).reshape(-1, 2)
        inside = (ends[:, 0] <= true[both]) & (true[both] <= ends[:, 1])
        width = np.asarray(ends[:, 1] - ends[:, 0], np.float64)[:, None]
        yield [
            name,
            "all",
            *_shares(inside[:, None].astype(np.float64), width, both[both][:, None]),
        ]
