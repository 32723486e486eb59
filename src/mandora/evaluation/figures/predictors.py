"""What the score of one site rests on: a row of figure 9 as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from mandora.core.anatomy import SITES, Site
from mandora.core.errors import InputError
from mandora.evaluation.figures.style import (
    GROUP_COLOURS,
    MUTED,
    WIDTH,
    count_text,
    heading,
    new_figure,
    number,
    say_why_empty,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def shap_bars(
    site: Site, same: ArrayLike, other: ArrayLike, *, n_rows: int, top: int = 12
) -> Figure:
    """The features that matter most for one site.

    Args:
        site: whose score is predicted.
        same: (43,) float, mean |SHAP| of the features of the same side, points of score, order
            :data:`mandora.core.anatomy.SITES`; NaN where unknown. A row of the maps.
        other: (43,) float, the same for the other side.
        n_rows: test rows that were averaged.
        top: how many features are shown.

    Raises:
        ValueError: if the values are not 43 and 43.
    """
    values = np.concatenate([np.asarray(same, dtype=float), np.asarray(other, dtype=float)])
    if values.shape != (2 * len(SITES),):
        raise InputError(f"got {values.size} values; give {len(SITES)} per side, as in SITES")
    known = np.flatnonzero(np.isfinite(values))
    # a stable order: features that are equal keep the order of SITES
    order = known[np.argsort(-values[known], kind="stable")][:top]
    figure = new_figure(WIDTH * 0.66, 0.9 + 0.19 * max(len(order), 4))
    axes = figure.subplots()
    for place, index in enumerate(order):
        feature, opposite = SITES[index % len(SITES)], index >= len(SITES)
        axes.barh(
            place, values[index], height=0.72, color=GROUP_COLOURS[feature.group],
            alpha=0.45 if opposite else 1.0, hatch="////" if opposite else "", edgecolor="white",
        )  # fmt: skip
        axes.annotate(
            number(float(values[index])), (values[index], place), (3, 0),
            textcoords="offset points", va="center", fontsize=7,
        )  # fmt: skip
    names = [_feature_name(int(i)) for i in order]
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("mean |SHAP| (points of score)")
    axes.margins(x=0.14)
    words = f"Strongest predictors of {site.limb} {site.name} {site.damage}"
    heading(figure, f"{words}, {count_text(n_rows, 'test row')}")
    if not names:
        say_why_empty(axes, "no contribution is known for this site")
        axes.set_xticks([])
    else:
        handles: list[Any] = [Patch(color=c, label=str(g)) for g, c in GROUP_COLOURS.items()]
        handles.append(Patch(facecolor=MUTED, alpha=0.45, hatch="////", edgecolor="white",
                             label="other side"))  # fmt: skip
        axes.legend(handles=handles, loc="lower right")
    return figure


def _feature_name(index: int) -> str:
    site = SITES[index % len(SITES)]
    side = "other" if index >= len(SITES) else "same"
    return f"{site.limb} {site.name} {site.damage}, {side} side"
