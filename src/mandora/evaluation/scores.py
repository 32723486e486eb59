"""Sections on scores: measures of agreement, severity, totals, grades and healthy joints.

All take the columns of :attr:`mandora.evaluation.assess.Assessed.scores`: ``patient`` (N,) names,
``person`` (N,) whose these are, if a person may have several,
``official`` (N, 86) labels, and for the frames ``true`` and ``predicted`` (joints where they are
marked, and where they were found) ``<frame>_patch`` and ``<frame>_blend`` (N, 86) SvH points.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mandora.core.totals import ra2_totals
from mandora.evaluation.figures.agreement import bland_altman, severity_bars
from mandora.evaluation.figures.style import Estimate, save_view
from mandora.evaluation.page import FigureView, Section, TableView, interval_cells
from mandora.metrics import FAMILY_TITLES, Arrays, Floats, by_families, grade
from mandora.metrics.agreement import compare_totals
from mandora.metrics.bootstrap import Interval, Resampling, intervals
from mandora.metrics.joints import BANDS, IN_A_BAND, METRICS, by_severity, measure, severity

RESAMPLES = Resampling(resamples=1000)
"""Of all intervals on the page."""
HIGH = 1.5
"""A score from which a joint without damage is called damaged: it is rounded to grade 2."""
SLOW = ("spearman", "auc")  # their intervals take minutes
IN_BARS = ("mae", "bias")


def estimate(interval: Interval) -> Estimate:
    """The interval as figures draw it."""
    return Estimate(interval.number.value, interval.low, interval.high)


def persons(scores: Arrays) -> NDArray[Any]:
    """(N,) whose each row is: rows of a person are drawn together."""
    return scores.get("person", scores["patient"])


@dataclass(frozen=True)
class Undamaged:
    """What a model gives to joints without damage.

    Attributes:
        mean: of their scores, points.
        high: share of them with a score of ``HIGH`` or more, 0..1.

    Both count the patients that they are of in ``patients`` and the joints in ``number.n``.
    """

    mean: Interval
    high: Interval

    @property
    def cells(self) -> list[Any]:
        """Six cells of a table's row: the mean and the share, with their ends."""
        return [*interval_cells(self.mean), *interval_cells(self.high)]


def undamaged(ours: Floats, persons: NDArray[Any]) -> Undamaged:
    """Scores of joints without damage, with intervals over patients.

    Args:
        ours: (N, K) SvH points; NaN where missing or damaged.
        persons: (N,) whose each row is; rows of a person are drawn together.
    """
    high = np.where(np.isfinite(ours), (ours >= HIGH).astype(float), np.nan)
    return Undamaged(mean_of(ours, persons), mean_of(high, persons))


def mean_of(values: Floats, persons: NDArray[Any]) -> Interval:
    """The mean of what is known, with its interval over patients."""
    nothing = np.where(np.isfinite(values), 0.0, np.nan)
    return intervals(values, nothing, ("bias",), RESAMPLES, persons)["bias"]


def measures(scores: Arrays, folder: Path, whose: str = "all patients") -> Section:
    """Every measure of agreement by family, at true and at found joints, and by severity."""
    rows: list[list[Any]] = []
    for frame in ("true", "predicted"):
        for stage in ("patch", "blend"):
            tables = scores[f"{frame}_{stage}"], scores["official"]
            for code, (ours, official) in by_families(*tables):
                row: list[Any] = [frame, stage, FAMILY_TITLES[code]]
                fast = [name for name in METRICS if name not in SLOW]
                found = intervals(ours, official, fast, RESAMPLES, persons(scores))
                rows += [[*row, name, *interval_cells(one)] for name, one in found.items()]
                rest = measure(ours, official, SLOW)
                rows += [[*row, name, number, None, None] for name, number in rest.items()]
    heads = ["joints", "stage", "targets", "measure", "value", "low", "high"]
    table = TableView("All measures", heads, rows, "measures.csv", shown=0)
    severities, view = _by_severity(scores, folder)
    return Section(
        "measures", "Every measure, and by severity",
        f"Measures of agreement with the official label, of {whose}; intervals "
        "are 95 % over patients. Bands are thirds of a joint's maximum.",
        (view,), (severities, table),
    )  # fmt: skip


def _by_severity(scores: Arrays, folder: Path) -> tuple[TableView, FigureView]:
    official = scores["official"]
    stages = {"patch": scores["predicted_patch"], "blend": scores["predicted_blend"]}
    numbers = {stage: by_severity(table, official)["all"] for stage, table in stages.items()}
    rows: list[list[Any]] = [
        [band, stage, *(numbers[stage][band][name] for name in IN_A_BAND)]
        for band in BANDS
        for stage in stages
    ]
    table = TableView("By severity, at found joints", ["band", "stage", *IN_A_BAND], rows,
                      "severity.csv")  # fmt: skip
    band_of = severity(official)
    sure = {
        stage: [
            intervals(
                table, np.where(band_of == i, official, np.nan), IN_BARS, RESAMPLES,
                persons(scores),
            )
            for i in range(len(BANDS))
        ]
        for stage, table in stages.items()
    }  # fmt: skip
    bars = {
        f"{name} (points)": {
            stage: [estimate(band[name]) for band in bands] for stage, bands in sure.items()
        }
        for name in IN_BARS
    }
    counts = [int((band_of == i).sum()) for i in range(len(BANDS))]
    figure = severity_bars(BANDS, counts, bars)
    return table, save_view(figure, folder, "severity", "Error by severity of the official label.")


def totals(scores: Arrays, folder: Path) -> Section:
    """Totals of patients."""
    official, model = scores["official"], scores["predicted_blend"]
    made = compare_totals(model, official)
    names = list(next(iter(made.values())))
    rows: list[list[Any]] = [[name, *(found[n] for n in names)] for name, found in made.items()]
    one, two = (ra2_totals(table)["Overall_Tol"].value for table in (official, model))
    view = save_view(
        bland_altman(one, two), folder, "totals",
        "Difference against mean of the two totals.",
    )  # fmt: skip
    return Section(
        "totals", "Totals of patients",
        "Totals of the blend at found joints against those of the official label.",
        (view,), (TableView("Totals", ["total", *names], rows, "totals.csv"),),
    )  # fmt: skip


def _at_found_joints(scores: Arrays) -> Iterator[tuple[str, str, Floats, Floats]]:
    """Stage, words for a family, scores at found joints and labels of its targets."""
    for stage in ("patch", "blend"):
        tables = scores[f"predicted_{stage}"], scores["official"]
        for code, (ours, official) in by_families(*tables):
            yield stage, FAMILY_TITLES[code], ours, official


def by_grade(scores: Arrays) -> Section:
    """Do scores rise with the grade?"""
    rows: list[list[Any]] = []
    for stage, words, ours, official in _at_found_joints(scores):
        labels = grade(official)
        below: float | None = None
        for step in range(int(np.nanmax(labels, initial=-1.0)) + 1):
            values = ours[(labels == step) & np.isfinite(ours)]
            if not values.size:
                continue
            mean = float(values.mean())
            higher = "" if below is None else "yes" if mean > below else "no"
            rows.append([stage, words, step, values.size, mean, float(values.std()), higher])
            below = mean
    heads = ["stage", "targets", "grade", "joints", "mean score", "s.d.", "higher than below"]
    return Section(
        "by-grade", "Scores by grade",
        "What the model says of joints whose label is, rounded, this grade, at joints that were "
        "found. A model that ranks damage correctly rises from grade to grade.",
        tables=(TableView("Mean score of each grade", heads, rows, "by-grade.csv"),),
    )  # fmt: skip


def healthy(scores: Arrays) -> Section:
    """What is the score of joints without damage?"""
    rows: list[list[Any]] = []
    who = persons(scores)
    for stage, words, found, official in _at_found_joints(scores):
        one = undamaged(np.where(official == 0, found, np.nan), who)
        rows.append([stage, words, one.mean.number.n, *one.cells])
    heads = ["stage", "targets", "joints", "mean score", "low", "high", "share of grade 2 or more",
             "share, low", "share, high"]  # fmt: skip
    return Section(
        "healthy", "Joints without damage",
        "What the model says of joints whose label is 0, at joints that were found. Intervals are "
        "95 % over patients.",
        tables=(TableView("Scores of healthy joints", heads, rows, "healthy.csv"),),
    )  # fmt: skip
