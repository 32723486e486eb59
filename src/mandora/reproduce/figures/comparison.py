"""Figures 5, 6 and 8 of the paper: methods side by side, fold by fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mandora.core.errors import InputError
from mandora.evaluation.figures.style import (
    INK,
    SERIES_COLOURS,
    SERIES_MARKERS,
    WIDTH,
    count_text,
    footnote,
    heading,
    letter_title,
    new_figure,
    number,
    p_text,
    say_why_empty,
    styled,
)
from mandora.metrics import FAMILY_TITLES, QUANTITIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAST_SPAN = 0.04  # of the vertical axis: a difference of 0.001 must not fill the panel
QUANTITY_LABELS = {"r": "Pearson's r", "rmse": "RMSE (points of score)"}


@dataclass(frozen=True)
class PairTest:
    """A test between two methods over the folds.

    Attributes:
        first: index of the method that is compared.
        second: index of the method it is compared with.
        p_value: NaN where no test was possible, e.g. with one fold.
        method: words for the figure, e.g. ``one-sided paired Wilcoxon signed-rank test, exact``.
    """

    first: int
    second: int
    p_value: float
    method: str


@dataclass(frozen=True)
class FoldValues:
    """One quantity of one family.

    Attributes:
        values: (methods, folds) float; NaN where the quantity is undefined in a fold.
        tests: between methods.
        reason: why there is no value at all; shown in a panel without a number.
    """

    values: NDArray[np.floating[Any]]
    tests: tuple[PairTest, ...] = ()
    reason: str = "no finite value in any fold"


@styled
def comparison(
    methods: Sequence[str], families: Mapping[str, Mapping[str, FoldValues]], *, subject: str
) -> Figure:
    """Correlation and RMSE of several methods in each family, one dot per fold.

    The dots of one fold are joined; a bar marks the mean, which is printed below.

    Args:
        methods: short names, at most five, in the order of the values' first axis.
        families: ``nh``, ``eh``, ``nf``, ``ef`` → ``"r"`` and ``"rmse"`` → values. A family that
            is not named has no panel, a quantity that is missing has an empty one.
        subject: what is compared, the beginning of the title.

    Raises:
        ValueError: if there is no family, too many methods, or values that do not fit them.
    """
    if not 1 <= len(methods) <= len(SERIES_COLOURS):
        raise InputError(f"got {len(methods)} methods; give 1 to {len(SERIES_COLOURS)}")
    shown = [family for family in FAMILY_TITLES if family in families]
    if not shown:
        raise InputError("nothing to draw; give the values of at least one family")
    cells = {
        (quantity, family): families[family].get(quantity, FoldValues(_nothing(methods)))
        for quantity in QUANTITIES
        for family in shown
    }
    for (quantity, family), cell in cells.items():
        if cell.values.ndim != 2 or len(cell.values) != len(methods):
            raise InputError(
                f"{quantity} of {FAMILY_TITLES[family]} has shape {cell.values.shape}; "
                f"give one row for each of the {len(methods)} methods and a column per fold"
            )
    figure = new_figure(WIDTH * max(len(shown), 2) / len(FAMILY_TITLES), 4.6)
    panels = figure.subplots(len(QUANTITIES), len(shown), squeeze=False).ravel()
    for i, (axes, ((quantity, family), cell)) in enumerate(zip(panels, cells.items(), strict=True)):
        _draw_cell(axes, methods, cell)
        letter_title(axes, i, FAMILY_TITLES[family])
        if family == shown[0]:
            axes.set_ylabel(QUANTITY_LABELS[quantity])
    figure.align_ylabels()
    folds = max(cell.values.shape[1] for cell in cells.values())
    heading(figure, f"{subject}, {count_text(folds, 'fold')}")
    footnote(figure, _notes(cells))
    return figure


def _nothing(methods: Sequence[str]) -> NDArray[np.float64]:
    return np.full((len(methods), 0), np.nan)


def _draw_cell(axes: Axes, methods: Sequence[str], cell: FoldValues) -> None:
    values = np.asarray(cell.values, dtype=float)
    known = np.isfinite(values)
    places = np.arange(len(methods))
    means = [float(row[ok].mean()) if ok.any() else np.nan
             for row, ok in zip(values, known, strict=True)]  # fmt: skip
    labels = [f"{name}\n{number(mean)}" for name, mean in zip(methods, means, strict=True)]
    axes.set_xticks(places, labels)
    axes.set_xlim(-0.5, len(methods) - 0.5)
    if not known.any():
        say_why_empty(axes, cell.reason, 20)
        axes.set_yticks([])
        return
    for fold in values.T:
        axes.plot(places, fold, color="#b4b9c0", lw=0.7, zorder=1)
    for i, row in enumerate(values):
        axes.plot(
            np.full(row.size, places[i]), row, SERIES_MARKERS[i], color=SERIES_COLOURS[i],
            ms=3.6, mec="white", mew=0.4, zorder=2,
        )  # fmt: skip
        if row.size > 1:
            axes.plot([i - 0.24, i + 0.24], [means[i]] * 2, color=INK, lw=1.6, zorder=3)
    low, high = float(values[known].min()), float(values[known].max())
    if high - low < LEAST_SPAN:
        low, high = (low + high - LEAST_SPAN) / 2, (low + high + LEAST_SPAN) / 2
    span = high - low
    top = high + 0.12 * span
    for test in cell.tests:
        _bracket(axes, test, top, 0.05 * span)
        top += 0.24 * span
    axes.set_ylim(low - 0.12 * span, top + 0.04 * span)


def _bracket(axes: Axes, test: PairTest, height: float, drop: float) -> None:
    left, right = sorted((test.first, test.second))
    ends = [left, left, right, right]
    axes.plot(ends, [height - drop, height, height, height - drop], color=INK, lw=0.7)
    axes.annotate(
        p_text(test.p_value), ((left + right) / 2, height), (0, 1.5), textcoords="offset points",
        ha="center", va="bottom", fontsize=7,
    )  # fmt: skip


def _notes(cells: Mapping[tuple[str, str], FoldValues]) -> str:
    notes = ["One dot per fold, lines join a fold; bar and number below: mean over folds."]
    tests = [test for cell in cells.values() for test in cell.tests]
    used = dict.fromkeys(test.method for test in tests if np.isfinite(test.p_value))
    if used:
        notes.append(f"p: {'; '.join(used)}.")
    if any(not np.isfinite(test.p_value) for test in tests):
        notes.append("No test: p is not defined, e.g. for too few pairs.")
    gaps = [
        f"{FAMILY_TITLES[family]} {QUANTITIES[quantity]} {missing} of {cell.values.shape[1]}"
        for (quantity, family), cell in cells.items()
        if (missing := int((~np.isfinite(cell.values)).any(axis=0).sum()))
    ]
    if gaps:
        notes.append(f"Folds in which a method has no value: {', '.join(gaps)}.")
    return " ".join(notes)
