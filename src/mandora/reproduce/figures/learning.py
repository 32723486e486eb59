"""Learning curve: how results depend on the number of training patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from mandora.core.errors import InputError
from mandora.evaluation.figures.style import (
    SERIES_COLOURS,
    SERIES_MARKERS,
    WIDTH,
    check_series,
    count_text,
    footnote,
    heading,
    letter_title,
    new_figure,
    say_why_empty,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class LearningCurve:
    """How one number grows with the training patients.

    Attributes:
        name: of the curve, e.g. ``hand erosion``.
        patients: (k,) int, training patients, rising.
        mean: (k,) float; NaN where undefined.
        low: (k,) float, lower edge of the band.
        high: (k,) float, upper edge.
    """

    name: str
    patients: NDArray[np.integer[Any]]
    mean: NDArray[np.floating[Any]]
    low: NDArray[np.floating[Any]]
    high: NDArray[np.floating[Any]]


@styled
def learning_curves(
    panels: Mapping[str, Sequence[LearningCurve]], *, n_test: int, band: str
) -> Figure:
    """Numbers over the count of training patients, one panel per number.

    Args:
        panels: name of the number, e.g. ``Pearson's r`` → at most five curves.
        n_test: patients that were scored.
        band: what the band is, e.g. ``smallest and largest of 5 repeats``.

    Raises:
        ValueError: if there is no panel, or too many curves in one.
    """
    if not panels:
        raise InputError("nothing to draw; give at least one number")
    figure = new_figure(WIDTH if len(panels) > 1 else WIDTH * 0.6, 3.0)
    grid = figure.subplots(1, len(panels), squeeze=False).ravel()
    for i, (axes, (quantity, curves)) in enumerate(zip(grid, panels.items(), strict=True)):
        check_series(len(curves))
        _draw_curves(axes, curves)
        axes.set(xlabel="training patients (logarithmic)", ylabel=quantity)
        letter_title(axes, i, quantity)
    handles, words = grid[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, words, loc="outside right center")
    heading(figure, f"Learning curve, {count_text(n_test, 'test patient')}")
    footnote(figure, f"Band: {band}.")
    return figure


def _draw_curves(axes: Axes, curves: Sequence[LearningCurve]) -> None:
    shown = [i for i, curve in enumerate(curves) if np.isfinite(curve.mean).any()]
    if not shown:
        say_why_empty(axes, "the number is undefined for every count of patients")
        axes.set(xticks=[], yticks=[])
        return
    first = _first_colour(len(curves))
    for i in shown:
        curve, colour = curves[i], SERIES_COLOURS[first + i]
        axes.fill_between(curve.patients, curve.low, curve.high, color=colour, alpha=0.18, lw=0)
        axes.plot(
            curve.patients, curve.mean, color=colour, marker=SERIES_MARKERS[i], ms=4, mec="white",
            mew=0.5, label=curve.name,
        )  # fmt: skip
    counts = sorted({int(n) for i in shown for n in curves[i].patients})
    axes.set_xscale("log")
    axes.set_xticks(counts, [str(n) for n in counts])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y")


def _first_colour(count: int) -> int:
    """Grey is for baselines; curves that are none leave it out where colours suffice."""
    return 1 if count < len(SERIES_COLOURS) else 0
