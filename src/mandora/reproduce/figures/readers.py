"""Figure 10 of the paper: the model beside human readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mandora.core.errors import InputError
from mandora.evaluation.figures.style import (
    INK,
    MUTED,
    SERIES_COLOURS,
    WIDTH,
    Estimate,
    count_text,
    error_lengths,
    footnote,
    heading,
    letter_title,
    new_figure,
    number,
    p_text,
    say_why_empty,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"model": SERIES_COLOURS[1], "reader 2": SERIES_COLOURS[2]}
MAPS = {"model": "Blues", "reader 2": "Oranges"}
R_LABEL = "Pearson's r"
INTERVAL = "95 % bootstrap interval over patients"
DOTS_UP_TO = 1500
"""Above so many points single dots would cover each other: hexagons count them instead."""
JITTER = 0.28  # grades; whole grades would lie upon each other


class LimitTest(NamedTuple):
    """The model compared with reader 2, both against reader 1.

    Attributes:
        p_value: of the two-sided paired Wilcoxon signed-rank test over folds; NaN: no test.
        folds: that differ, on which the test rests.
        distribution: ``exact`` or ``normal approximation``.
        difference: model less reader 2, over patients, with an interval.
        patients: of whom there are scores of all three.
    """

    p_value: float
    folds: int
    distribution: str
    difference: Estimate
    patients: int


@dataclass(frozen=True)
class ReaderPanel:
    """One kind of damage, scored by the model and by two readers.

    Attributes:
        title: e.g. ``narrowing``.
        reader_1: (n,) float, grades of the reader that is the reference; NaN: not scored.
        reader_2: (n,) float, grades of the other reader.
        model: (n,) float, scores of the model.
        maximum: highest grade, the end of the axes.
        r: by the names ``"model"`` and ``"reader 2"``: correlation with reader 1.
        rmse: by the same names, points of score.
        tests: by ``"r"`` and ``"rmse"``: how the two differ.
    """

    title: str
    reader_1: NDArray[np.floating[Any]]
    reader_2: NDArray[np.floating[Any]]
    model: NDArray[np.floating[Any]]
    maximum: int
    r: Mapping[str, Estimate] = field(default_factory=dict)
    rmse: Mapping[str, Estimate] = field(default_factory=dict)
    tests: Mapping[str, LimitTest] = field(default_factory=dict)


@styled
def human_limit(panels: Sequence[ReaderPanel]) -> Figure:
    """Figure 10: the model against reader 1 beside reader 2 against reader 1.

    Args:
        panels: a row of the figure each, usually narrowing and erosion.

    Raises:
        ValueError: if there is no panel, or the scores of one differ in number.
    """
    if not panels:
        raise InputError("nothing to draw; give at least one kind of damage")
    figure = new_figure(WIDTH, 0.75 + 2.0 * len(panels))
    grid = figure.subplots(len(panels), 4, squeeze=False, width_ratios=(1.35, 1.35, 1, 1))
    shown = 0
    for line, (row, panel) in enumerate(zip(grid, panels, strict=True)):
        sizes = {len(panel.reader_1), len(panel.reader_2), len(panel.model)}
        if len(sizes) > 1:
            raise InputError(f"{panel.title}: the scores of model and readers differ in number")
        shown += int(np.isfinite(panel.reader_1 + panel.reader_2 + panel.model).sum())
        _draw_pair(row[0], panel, "model", panel.model)
        _draw_pair(row[1], panel, "reader 2", panel.reader_2)
        _draw_bars(row[2], panel.r, R_LABEL, "scores are missing or do not vary")
        _draw_bars(row[3], panel.rmse, "RMSE (points)", "scores are missing")
        for axes, quantity in ((row[2], "r"), (row[3], "rmse")):
            if quantity in panel.tests:
                axes.set_xlabel(_test_words(panel.tests[quantity]), fontsize=7)
        titles = (f"{panel.title}: model", f"{panel.title}: reader 2", "correlation", "error")
        for column, title in enumerate(titles):
            letter_title(row[column], 4 * line + column, title)
    heading(figure, f"Model and human limit against reader 1, {count_text(shown, 'joint score')}")
    footnote(
        figure,
        f"Line: equal scores. Grades are scattered by up to ±{JITTER:g} so that they can be "
        f"seen; darker hexagons hold more joints (logarithmic). Error bars: {INTERVAL}."
        + _test_note([test for panel in panels for test in panel.tests.values()]),
    )
    return figure


def _test_words(test: LimitTest) -> str:
    value, low, high = test.difference
    known = f"Δ {number(value)}\n({number(low)} to {number(high)})" if np.isfinite(value) else ""
    return f"{p_text(test.p_value)}, {count_text(test.folds, 'fold')}\n{known}"


def _test_note(tests: Sequence[LimitTest]) -> str:
    if not tests:
        return ""
    ways = " and ".join(dict.fromkeys(t.distribution for t in tests if np.isfinite(t.p_value)))
    return (
        " p: two-sided paired Wilcoxon signed-rank test of the model against reader 2 over folds"
        f"{f', {ways}' if ways else ''}. Δ: model less reader 2, {INTERVAL}, n = "
        f"{max(test.patients for test in tests)}."
    )


def _draw_pair(axes: Axes, panel: ReaderPanel, name: str, scores: NDArray[Any]) -> None:
    reader, scores = np.asarray(panel.reader_1, dtype=float), np.asarray(scores, dtype=float)
    known = np.isfinite(reader) & np.isfinite(scores)
    ends = (-0.6, panel.maximum + 0.6)
    ticks = range(0, panel.maximum + 1, 1 if panel.maximum <= 5 else 2)
    axes.set(xlim=ends, ylim=ends, xticks=ticks, yticks=ticks, ylabel=name)
    axes.set_xlabel(f"reader 1 (n = {int(known.sum()):,})")
    if not known.any():
        say_why_empty(axes, f"no joint was scored by both {name} and reader 1", 18)
        return
    axes.plot(ends, ends, color=MUTED, lw=0.7, ls=":", zorder=1)
    random = np.random.default_rng(0)  # the same picture every time
    shift = random.uniform(-JITTER, JITTER, (2, int(known.sum())))
    x = reader[known] + shift[0]
    # the model's scores are no whole grades and need no scatter
    y = scores[known] + (shift[1] if name == "reader 2" else 0.0)
    if len(x) <= DOTS_UP_TO:
        axes.plot(x, y, "o", ms=2, color=COLOURS[name], alpha=0.35, mew=0, rasterized=True)
    else:
        axes.hexbin(x, y, gridsize=28, bins="log", mincnt=1, linewidths=0.1, vmin=0.4,
                    extent=(*ends, *ends), cmap=MAPS[name])  # fmt: skip
    tables = {"r": panel.r, "RMSE": panel.rmse}
    words = [f"{word} {number(t[name][0])}" for word, t in tables.items() if name in t]
    axes.text(
        0.04, 0.97, "\n".join(words), transform=axes.transAxes, va="top", fontsize=7,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
    )  # fmt: skip


def _draw_bars(axes: Axes, estimates: Mapping[str, Estimate], quantity: str, reason: str) -> None:
    axes.set_ylabel(quantity)
    known = {n: Estimate(*e) for n, e in estimates.items() if n in COLOURS and np.isfinite(e[0])}
    if not known:
        say_why_empty(axes, f"undefined: {reason}", 14)
        axes.set(xticks=[], yticks=[])
        return
    values = list(known.values())
    axes.bar(
        list(known), [v.value for v in values], color=[COLOURS[name] for name in known], width=0.74,
        yerr=error_lengths(values), error_kw={"ecolor": INK, "elinewidth": 0.9, "capsize": 3},
    )  # fmt: skip
    over = axes.get_xaxis_transform()
    for place, value in enumerate(values):
        axes.text(place, 0.03, number(value.value), ha="center", va="bottom", fontsize=7,
                  color="white", weight="bold", transform=over)  # fmt: skip
    axes.set_xlim(-0.6, len(values) - 0.4)
    if quantity == R_LABEL:
        axes.set_ylim(min(0.0, *(v.value for v in values)), 1.0)
