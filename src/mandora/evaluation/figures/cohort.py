"""How results depend on the cohort: number of training patients, severity of the disease."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from mandora.core.errors import InputError
from mandora.evaluation.figures.style import (
    INK,
    PALE,
    SERIES_COLOURS,
    SERIES_MARKERS,
    WIDTH,
    Estimate,
    count_text,
    error_lengths,
    footnote,
    heading,
    letter_title,
    new_figure,
    number,
    say_why_empty,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HATCHES = ("", "////", "....", "\\\\\\\\", "xxxx")


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
        _check_series(len(curves))
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


@styled
def severity_bars(
    bands: Sequence[str],
    counts: Sequence[int],
    panels: Mapping[str, Mapping[str, Sequence[Estimate]]],
    *,
    unit: str = "patient",
    interval: str = "95 % bootstrap interval",
) -> Figure:
    """Numbers by severity band, with confidence intervals, one panel per number.

    Args:
        bands: names from mild to severe, e.g. ``0``, ``1–10``.
        counts: units in each band.
        panels: name of the number, e.g. ``MAE (points)`` → method → one estimate per band
            (value NaN where undefined). At most five methods.
        unit: what is counted.
        interval: what the error bars are.

    Raises:
        ValueError: if there is no panel, or the lists do not fit the bands.
    """
    if not panels:
        raise InputError("nothing to draw; give at least one number")
    lengths = {len(counts)} | {len(v) for methods in panels.values() for v in methods.values()}
    if lengths != {len(bands)}:
        raise InputError(f"there are {len(bands)} bands but lists of {sorted(lengths)} values")
    figure = new_figure(WIDTH if len(panels) > 1 else WIDTH * 0.6, 3.0)
    grid = figure.subplots(1, len(panels), squeeze=False).ravel()
    for i, (axes, (quantity, methods)) in enumerate(zip(grid, panels.items(), strict=True)):
        _check_series(len(methods))
        labels = [f"{band}\nn = {count:,}" for band, count in zip(bands, counts, strict=True)]
        axes.set_xticks(range(len(bands)), labels)
        axes.set_xlim(-0.6, len(bands) - 0.4)
        axes.set_ylabel(quantity)
        _draw_bars(axes, methods)
        letter_title(axes, i, quantity)
    handles, words = grid[0].get_legend_handles_labels()
    if len(handles) > 1:
        figure.legend(handles, words, loc="outside right center")
    heading(figure, f"Results by severity, {count_text(sum(counts), unit)}")
    footnote(figure, f"Error bars: {interval}. –: undefined in this band.")
    return figure


def _draw_bars(axes: Axes, methods: Mapping[str, Sequence[Estimate]]) -> None:
    finite = [v for values in methods.values() for v in values if np.isfinite(v[0])]
    if not finite:
        say_why_empty(axes, "the number is undefined in every band")
        axes.set_yticks([])
        return
    width = 0.78 / len(methods)
    first = 1 if len(methods) == 1 else 0  # grey is for the method that others are compared with
    for i, (name, values) in enumerate(methods.items()):
        shift = (i - (len(methods) - 1) / 2) * width
        known = {k + shift: Estimate(*v) for k, v in enumerate(values) if np.isfinite(v[0])}
        axes.bar(
            list(known), [e.value for e in known.values()], width * 0.94, label=name,
            color=SERIES_COLOURS[first + i], hatch=HATCHES[i], edgecolor="white", lw=0,
            yerr=error_lengths(list(known.values())),
            error_kw={"ecolor": INK, "elinewidth": 0.8, "capsize": 2},
        )  # fmt: skip
        for k in range(len(values)):
            if k + shift not in known:
                axes.text(k + shift, 0, number(np.nan), ha="center", va="bottom", fontsize=9)
    axes.axhline(0, color=INK, lw=0.7)
    axes.grid(axis="y", color=PALE)


def _first_colour(count: int) -> int:
    """Grey is for baselines; curves that are none leave it out where colours suffice."""
    return 1 if count < len(SERIES_COLOURS) else 0


def _check_series(count: int) -> None:
    if not 1 <= count <= len(SERIES_COLOURS):
        raise InputError(
            f"a panel has {count} series; give 1 to {len(SERIES_COLOURS)}, more look alike"
        )
