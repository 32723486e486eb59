"""Maps of 43 × 43 joints: how sites go together, and what a prediction rests on.

Figures 7 and 9 of the paper. Rows and columns are :data:`mandora.core.anatomy.SITES`: hand
narrowing, hand erosion, foot narrowing, foot erosion. A bar along both axes is coloured by
joint group; beside it runs a double line along narrowing and a single line along erosion, as
in the paper. In the map, a single line parts joint groups and a double line parts families.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from numpy.typing import ArrayLike, NDArray

from mandora.core.anatomy import SITES, Damage, JointGroup, Limb, Site
from mandora.core.errors import InputError
from mandora.evaluation.figures.style import (
    GROUP_COLOURS,
    INK,
    MUTED,
    PALE,
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

MAP_INCH = 5.4  # side of one map: 43 labels of 7 pt fit
LABELS_INCH, NAMES_INCH = 1.1, 0.25  # left of and below a map: sites and families; axis names
HEAD_INCH, FOOT_INCH, BAR_INCH = 0.55, 0.45, 0.85
SINGLE_LINE, DOUBLE_LINE = "between groups", "between families"
HIGHLIGHT = "highlight"
# outwards from the map, in cells: colour bar, then the one or two lines, then labels
BAR_FROM, BAR_WIDTH, LINES_AT, LINES_APART, LABEL_PAD_PT, FAMILY_AT = 0.35, 0.9, 1.85, 0.36, 21, 6.8


def runs(key: Callable[[Site], Any]) -> list[tuple[int, int]]:
    """Stretches of :data:`SITES` that share a key: (first, one past the last)."""
    groups = [list(g) for _, g in groupby(range(len(SITES)), lambda i: key(SITES[i]))]
    return [(g[0], g[-1] + 1) for g in groups]


def _family(site: Site) -> tuple[Limb, Damage]:
    return site.limb, site.damage


def _family_and_group(site: Site) -> tuple[Limb, Damage, JointGroup]:
    return site.limb, site.damage, site.group


def family_edges() -> list[int]:
    """Where one family ends and the next begins, in sites from the first."""
    return [end for _, end in runs(_family)][:-1]


def group_edges() -> list[int]:
    """Where the joint group changes inside a family, in sites from the first."""
    return [end for _, end in runs(_family_and_group)[:-1] if end not in family_edges()]


@styled
def correlation_maps(
    same: ArrayLike,
    other: ArrayLike,
    *,
    n_patients: int,
) -> Figure:
    """Figure 7: correlation of every site with every other, on the same and the other side.

    Args:
        same: (43, 43) float, r in −1..1 between two sites of one side, order
            :data:`mandora.core.anatomy.SITES`; NaN where undefined (a site that never varies).
        other: (43, 43) float, the same with the column's site on the other side.
        n_patients: behind the correlations.

    Raises:
        ValueError: if a map is not 43 × 43.
    """
    title = f"Correlation of damage between joints, {count_text(n_patients, 'patient')}"
    figure = _pair(
        (same, other),
        Normalize(-1.0, 1.0),
        "RdBu_r",
        "Pearson's r",
        title,
        "no pair of sites has a defined correlation",
        ("", ""),
    )
    footnote(figure, "Hatched: not defined, a site of the pair never varies.")
    return figure


@styled
def shap_maps(
    same: ArrayLike,
    other: ArrayLike,
    *,
    n_rows: int,
) -> Figure:
    """Figure 9: mean |SHAP| of every site for the prediction of every site.

    Both maps share one scale, the square root of the value: on a linear one only the joint itself
    would be seen. The first map frames what the paper frames: wrist predicts wrist (solid), the two
    kinds of damage in one limb predict each other (dashed).

    Args:
        same: (43, 43) float, points of score, ≥ 0; row: the predicted site, column: the
            feature's site on the same side; order :data:`mandora.core.anatomy.SITES`; NaN where
            unknown.
        other: (43, 43) float, the same for features of the other side.
        n_rows: test rows that were averaged per predicted site.

    Raises:
        ValueError: if a map is not 43 × 43.
    """
    known = [m[np.isfinite(m)] for m in (_checked(same), _checked(other))]
    top = float(max((part.max() for part in known if part.size), default=0.0)) or 1.0
    title = f"What a predicted score rests on, {count_text(n_rows, 'test row')} per target"
    figure = _pair(
        (same, other), PowerNorm(0.5, 0.0, top), "magma_r",
        "mean |SHAP| (points of score, square-root scale)", title,
        "no contribution is known",
        ("site whose score is predicted", "feature: score of a patch on"),
    )  # fmt: skip
    _frame_expected(figure.axes[0])
    footnote(
        figure,
        "Hatched: not known. Frames in a: wrist joints predict each other (solid); narrowing and "
        "erosion of one limb predict each other (dashed).",
    )
    return figure


def _checked(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (len(SITES), len(SITES)):
        raise InputError(
            f"a map has shape {array.shape}; give {len(SITES)} × {len(SITES)} in the order of SITES"
        )
    return array


def _pair(
    maps: Sequence[ArrayLike],
    norm: Normalize,
    colours: str,
    quantity: str,
    title: str,
    reason: str,
    axis_names: tuple[str, str],
) -> Figure:
    figure, panels, bar_axes = _pair_layout(named=bool(axis_names[0]))
    sides = ("same side", "other side")
    for i, (axes, values, side) in enumerate(zip(panels, maps, sides, strict=True)):
        mesh = _draw_map(axes, _checked(values), norm, colours, reason)
        letter_title(axes, i, side)
        _draw_axes(axes, axis_names, side)
    figure.colorbar(mesh, cax=bar_axes, label=quantity)
    figure.legend(
        *_legend(), loc="lower center", ncols=6, columnspacing=2.5, handlelength=2.2,
        bbox_to_anchor=(0.5, 0.2 / figure.get_figheight()), borderaxespad=0.0,
    )  # fmt: skip
    heading(figure, title)
    return figure


def _pair_layout(named: bool) -> tuple[Figure, tuple[Axes, Axes], Axes]:
    """Two square maps and a colour scale, placed in inches: automatic layouts move squares."""
    edge = LABELS_INCH + (NAMES_INCH if named else 0.0)
    width = 2 * (edge + MAP_INCH) + BAR_INCH
    height = HEAD_INCH + MAP_INCH + edge + FOOT_INCH
    figure = new_figure(width, height, automatic=False)

    def place(x: float, y: float, w: float, h: float) -> Axes:
        return figure.add_axes((x / width, y / height, w / width, h / height))

    low = FOOT_INCH + edge
    left, right = (place(x, low, MAP_INCH, MAP_INCH) for x in (edge, 2 * edge + MAP_INCH))
    bar = place(width - BAR_INCH + 0.15, low + MAP_INCH / 4, 0.14, MAP_INCH / 2)
    return figure, (left, right), bar


def _draw_map(
    axes: Axes, values: NDArray[np.float64], norm: Normalize, colours: str, reason: str
) -> Any:
    # cells without a number are left out, and the hatched ground is seen through them
    axes.patch.set(facecolor=PALE, hatch="//////", edgecolor="#b4b9c0")
    mesh = axes.pcolormesh(
        np.ma.masked_invalid(values), cmap=colours, norm=norm, edgecolors="face", lw=0.1
    )
    end = len(SITES)
    axes.set(xlim=(0, end), ylim=(end, 0), aspect="equal")
    axes.spines[:].set_visible(False)
    for place in group_edges():
        _separate(axes, place, SINGLE_LINE, [("0.15", 0.8)])
    for place in family_edges():
        # white on black: two thin lines, whatever the size of the map
        _separate(axes, place, DOUBLE_LINE, [("0.15", 2.6), ("white", 1.2)])
    if not np.isfinite(values).any():
        say_why_empty(axes, reason, 48)
    return mesh


def _separate(axes: Axes, place: int, gid: str, strokes: list[tuple[str, float]]) -> None:
    for colour, width in strokes:
        axes.axhline(place, color=colour, lw=width, gid=gid, solid_capstyle="butt")
        axes.axvline(place, color=colour, lw=width, gid=gid, solid_capstyle="butt")


def _draw_axes(axes: Axes, names: tuple[str, str], side: str) -> None:
    """Labels, joint groups and families, outwards from the map's left and lower edge."""
    end = len(SITES)
    codes = [site.name for site in SITES]
    axes.set_xticks(np.arange(end) + 0.5, codes, rotation=90)
    axes.set_yticks(np.arange(end) + 0.5, codes)
    axes.tick_params(length=0, pad=LABEL_PAD_PT)
    for first, stop in runs(_family_and_group):
        bar: dict[str, Any] = {
            "color": GROUP_COLOURS[SITES[first].group],
            "clip_on": False,
            "lw": 0,
        }
        length = stop - first
        axes.add_patch(Rectangle((-BAR_FROM - BAR_WIDTH, first), BAR_WIDTH, length, **bar))
        axes.add_patch(Rectangle((first, end + BAR_FROM), length, BAR_WIDTH, **bar))
    for first, stop in runs(_family):
        double = SITES[first].damage is Damage.NARROWING
        ends = [first + 0.25, stop - 0.25]
        for shift in (-0.5, 0.5) if double else (0.0,):
            away = LINES_AT + shift * LINES_APART
            axes.plot([-away, -away], ends, color=INK, lw=0.9, clip_on=False)
            axes.plot(ends, [end + away, end + away], color=INK, lw=0.9, clip_on=False)
        middle, words = (first + stop) / 2, " ".join(_family(SITES[first]))
        if stop - first < 8:
            words = words.replace(" ", "\n")  # the six toes leave no room for one line
        place: dict[str, Any] = {
            "ha": "center",
            "va": "center",
            "fontsize": 7.5,
            "linespacing": 1.0,
        }
        axes.text(-FAMILY_AT, middle, words, rotation=90, **place)
        axes.text(middle, end + FAMILY_AT, words, **place)
    if names[0]:
        outer = FAMILY_AT + 1.9
        axes.text(-outer, end / 2, names[0], rotation=90, ha="center", va="center", color=MUTED)
        words = f"{names[1]} the {side}"
        axes.text(end / 2, end + outer, words, ha="center", va="center", color=MUTED)


def _frame_expected(axes: Axes) -> None:
    """Frame the wrist in both kinds of damage, and narrowing × erosion of either limb."""
    for first, stop in runs(_family_and_group):
        if SITES[first].group is JointGroup.WRIST:
            _frame(axes, (first, stop), (first, stop), "-")
    families = {_family(SITES[first]): (first, stop) for first, stop in runs(_family)}
    for limb in Limb:
        for damage in Damage:
            _frame(axes, families[limb, damage], families[limb, damage.other], "--")


def _frame(axes: Axes, rows: tuple[int, int], columns: tuple[int, int], line: str) -> None:
    inset = 0.3  # so that it does not lie upon the lines between families
    axes.add_patch(
        Rectangle(
            (columns[0] + inset, rows[0] + inset),
            columns[1] - columns[0] - 2 * inset,
            rows[1] - rows[0] - 2 * inset,
            fill=False, edgecolor=GROUP_COLOURS[JointGroup.FINGER], lw=1.2, ls=line, gid=HIGHLIGHT,
        )
    )  # fmt: skip


def _legend() -> tuple[list[Any], list[str]]:
    handles: list[Any] = [Patch(color=colour) for colour in GROUP_COLOURS.values()]
    handles += [
        (Line2D([], [], color=INK, lw=3.2), Line2D([], [], color="white", lw=1.4)),
        Line2D([], [], color=INK, lw=0.9),
        Patch(facecolor=PALE, hatch="//////", edgecolor="#b4b9c0"),
    ]
    words = ["narrowing (double line)", "erosion (single line)", "no value"]
    return handles, [*map(str, GROUP_COLOURS), *words]
