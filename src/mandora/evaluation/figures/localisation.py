"""Figure 3 of the paper: how far the found joints are from the true ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import ArrayLike, NDArray

from mandora.core.anatomy import LANDMARKS, JointGroup, Limb
from mandora.core.errors import InputError
from mandora.evaluation.figures.style import (
    GROUP_COLOURS,
    INK,
    MUTED,
    WARNING,
    WIDTH,
    count_text,
    footnote,
    heading,
    letter_title,
    new_figure,
    say_why_empty,
    styled,
)
from mandora.metrics.localisation import CUTOFF

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FLOOR = 5e-4  # half a pixel of a film 1000 px wide; a logarithmic axis has no 0
TICKS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
FEW_LANDMARKS = 4  # a piece of a film; on whole ones smaller marks hide less
TRUE_COLOUR, FOUND_COLOUR = "#56B4E9", "#E69F00"


@dataclass(frozen=True)
class LocatedExample:
    """A piece of a film with true and found landmarks.

    Attributes:
        crop: (h, w) float, 0..1, bright bone.
        true_xy: (k, 2) float, (x, y), px of the crop.
        found_xy: (k, 2) float, px of the crop; NaN where not found.
        title: e.g. ``LH-mcp2``.
        distance: normalised distance that is written beside the title; NaN: not found.
    """

    crop: NDArray[np.floating[Any]]
    true_xy: NDArray[np.floating[Any]]
    found_xy: NDArray[np.floating[Any]]
    title: str
    distance: float


@styled
def localisation(distances: Mapping[Limb, ArrayLike]) -> Figure:
    """Box plots of the normalised distance per joint, for finger, wrist and toe.

    The axis is logarithmic, so that the boxes and the worst misses are both seen. The share of
    joints below :data:`mandora.metrics.localisation.CUTOFF`, the dashed line, is printed over each
    box.

    Args:
        distances: for a hand (n, 21) and for a foot (m, 6) float, one row per film, columns in
            the order of :data:`mandora.core.anatomy.LANDMARKS`; distance of (x/width, y/height) to
            the truth. NaN: there is no truth, the joint is left out. Infinite: not found, which
            counts as beyond the dashed line. A limb that is missing has empty panels.

    Raises:
        ValueError: if an array's columns are not the landmarks of its limb.
    """
    tables = {limb: _checked(limb, distances.get(limb)) for limb in Limb}
    groups = {
        group: [(p.limb, i, p.name) for limb in Limb for i, p in enumerate(LANDMARKS[limb])
                if p.group is group]
        for group in JointGroup
    }  # fmt: skip
    figure = new_figure(WIDTH, 3.3)
    widths = [len(landmarks) + 0.6 for landmarks in groups.values()]
    panels = figure.subplots(1, len(groups), sharey=True, width_ratios=widths)
    for i, (axes, (group, landmarks)) in enumerate(zip(panels, groups.items(), strict=True)):
        columns = [tables[limb][:, index] for limb, index, _ in landmarks]
        _draw_group(axes, columns, [name for *_, name in landmarks], GROUP_COLOURS[group])
        letter_title(axes, i, str(group), pad=25)  # the percentages stand below the title
    _scale(panels[0], tables.values())
    panels[0].set_ylabel("normalised distance")
    films = [
        count_text(int((~np.isnan(tables[limb])).any(axis=1).sum()), f"{limb} film")
        for limb in Limb
    ]
    heading(figure, f"Distance between found and true joints, {' and '.join(films)}")
    footnote(
        figure,
        f"Over each box: percentage of joints within {CUTOFF:g} (dashed line); joints that were "
        f"not found count as beyond it. Box: quartiles, whiskers: 1.5 × their range. Distances "
        f"below {FLOOR:g} are drawn there.",
    )
    return figure


@styled
def localisation_examples(examples: Sequence[LocatedExample]) -> Figure:
    """Pieces of films with true (+) and found (×) landmarks, at most four in a row.

    Args:
        examples: at least one.

    Raises:
        ValueError: if there is none.
    """
    if not examples:
        raise InputError("no example to draw; give at least one")
    columns = min(len(examples), 4)
    rows = -(-len(examples) // columns)
    size = min(2.6, WIDTH / columns)
    figure = new_figure(size * columns, 0.65 + (size + 0.3) * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for i, (axes, example) in enumerate(zip(panels, examples, strict=False)):
        _draw_example(axes, i, example)
    for axes in panels[len(examples) :]:
        axes.set_axis_off()
    heading(figure, f"True (+) and found (×) joints, {count_text(len(examples), 'example')}")
    return figure


def _checked(limb: Limb, table: ArrayLike | None) -> NDArray[np.float64]:
    landmarks = len(LANDMARKS[limb])
    if table is None:
        return np.empty((0, landmarks))
    array = np.asarray(table, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != landmarks:
        raise InputError(
            f"distances of a {limb} have shape {array.shape}; give one row per film and "
            f"{landmarks} columns in the order of LANDMARKS"
        )
    return array


def _draw_group(
    axes: Axes, columns: list[NDArray[np.float64]], names: list[str], colour: str
) -> None:
    over = axes.get_xaxis_transform()  # x in joints, y in heights of the panel
    drawn = {}
    for place, column in enumerate(columns):
        known = column[~np.isnan(column)]
        found = known[np.isfinite(known)]
        share = f"{100 * np.mean(known < CUTOFF):.1f}" if known.size else "–"
        axes.text(place, 1.015, share, transform=over, rotation=90, ha="center", va="bottom",
                  fontsize=7)  # fmt: skip
        if found.size:
            drawn[place] = np.maximum(found, FLOOR)
    if drawn:
        axes.boxplot(
            list(drawn.values()), positions=list(drawn), widths=0.62, patch_artist=True,
            boxprops={"facecolor": colour, "alpha": 0.55, "edgecolor": colour, "lw": 0.8},
            medianprops={"color": INK, "lw": 1.2}, whiskerprops={"color": colour, "lw": 0.8},
            capprops={"color": colour, "lw": 0.8},
            flierprops={"marker": "o", "ms": 1.8, "mfc": colour, "mec": "none", "alpha": 0.5,
                        "rasterized": True},
        )  # fmt: skip
    else:
        known_somewhere = any((~np.isnan(column)).any() for column in columns)
        reason = (
            "no joint of this group was found" if known_somewhere else "no film with known joints"
        )
        say_why_empty(axes, reason, 20)
    axes.axhline(CUTOFF, color=WARNING, ls="--", lw=1.0)
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_xlim(-0.8, len(names) - 0.2)


def _scale(axes: Axes, tables: Any) -> None:
    finite = [t[np.isfinite(t)] for t in tables]
    worst = max((float(part.max()) for part in finite if part.size), default=0.0)
    axes.set_yscale("log")
    axes.set_ylim(FLOOR * 0.85, max(0.05, worst * 1.25))
    axes.yaxis.set_major_locator(FixedLocator(TICKS))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _draw_example(axes: Axes, index: int, example: LocatedExample) -> None:
    axes.imshow(example.crop, cmap="gray", vmin=0, vmax=1)
    outline = [withStroke(linewidth=2.2, foreground="black")]
    for landmarks, marker, colour in (
        (example.true_xy, "+", TRUE_COLOUR),
        (example.found_xy, "x", FOUND_COLOUR),
    ):
        x, y = np.asarray(landmarks, dtype=float).reshape(-1, 2).T
        size = 8.0 if len(x) <= FEW_LANDMARKS else 4.5
        axes.plot(x, y, marker, color=colour, ms=size, mew=size / 5, path_effects=outline)
    known = np.isfinite(example.distance)
    words = f"distance {example.distance:.3f}" if known else "not found"
    letter_title(axes, index, f"{example.title}\n{words}")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color=MUTED)
