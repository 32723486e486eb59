"""How well scores agree with the label: limits of agreement, and errors by severity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from mandora.core.errors import InputError
from mandora.evaluation.figures.style import (
    INK,
    MUTED,
    PALE,
    SERIES_COLOURS,
    WARNING,
    WIDTH,
    Estimate,
    check_series,
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


@styled
def bland_altman(reference: ArrayLike, estimate: ArrayLike) -> Figure:
    """Difference against mean of two total scores of a patient, with bias and 95 % limits.

    Limits: mean difference ± 1.96 standard deviations (n − 1); Bland and Altman, Lancet
    1986;327:307.

    Args:
        reference: (n,) float, the readers' total of each patient; NaN where unknown.
        estimate: (n,) float, the model's.

    Raises:
        ValueError: if the two differ in number.
    """
    first, second = np.asarray(reference, dtype=float), np.asarray(estimate, dtype=float)
    if first.shape != second.shape or first.ndim != 1:
        raise InputError(f"got {first.shape} and {second.shape}; give two equally long lists")
    known = np.isfinite(first) & np.isfinite(second)
    mean, difference = (first + second)[known] / 2, (second - first)[known]
    figure = new_figure(WIDTH * 0.62, 3.1)
    axes = figure.subplots()
    axes.set_xlabel("mean of readers and model")
    axes.set_ylabel("model − readers")
    axes.axhline(0, color=MUTED, lw=0.6, ls=":")
    axes.plot(mean, difference, "o", ms=3.2, color=SERIES_COLOURS[1], alpha=0.55, mew=0)
    heading(figure, f"Agreement on the total score, {count_text(mean.size, 'patient')}")
    if not mean.size:
        say_why_empty(axes, "no patient has both values")
        axes.set(xticks=[], yticks=[])
        return figure
    bias = float(difference.mean())
    lines = [("bias", bias, "-")]
    if difference.size > 1:
        spread = 1.96 * float(difference.std(ddof=1))
        lines += [("+1.96 SD", bias + spread, "--"), ("−1.96 SD", bias - spread, "--")]
    else:
        footnote(figure, "No limits of agreement: they need two patients.")
    for words, height, line in lines:
        axes.axhline(height, color=WARNING, lw=1.1, ls=line)
        axes.annotate(
            f"{words}\n{number(height, 1)}", (1.0, height), (4, 0), va="center", fontsize=7,
            xycoords=axes.get_yaxis_transform(), textcoords="offset points",
        )  # fmt: skip
    reach = max(abs(height) for _, height, _ in lines)
    reach = 1.15 * max(reach, float(np.abs(difference).max()), 1e-3)
    axes.set_ylim(-reach, reach)
    return figure


@styled
def severity_bars(
    bands: Sequence[str],
    counts: Sequence[int],
    panels: Mapping[str, Mapping[str, Sequence[Estimate]]],
) -> Figure:
    """Numbers by severity band, with confidence intervals, one panel per number.

    Args:
        bands: names from mild to severe, e.g. ``0``, ``1–10``.
        counts: joint scores in each band.
        panels: name of the number, e.g. ``MAE (points)`` → method → one estimate per band
            (value NaN where undefined). At most five methods.

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
        check_series(len(methods))
        labels = [f"{band}\nn = {count:,}" for band, count in zip(bands, counts, strict=True)]
        axes.set_xticks(range(len(bands)), labels)
        axes.set_xlim(-0.6, len(bands) - 0.4)
        axes.set_ylabel(quantity)
        _draw_bars(axes, methods)
        letter_title(axes, i, quantity)
    handles, words = grid[0].get_legend_handles_labels()
    if len(handles) > 1:
        figure.legend(handles, words, loc="outside right center")
    heading(figure, f"Results by severity, {count_text(sum(counts), 'joint score')}")
    footnote(figure, "Error bars: 95 % bootstrap interval. –: undefined in this band.")
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
