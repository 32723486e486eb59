"""What all figures share: size, letters, colours, the words of an empty panel, and saving.

Colours are those of Okabe and Ito (2008), which people with any colour vision can tell apart;
series differ in their marker as well. No letter is smaller than 7 pt at the printed size.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib import rcParams, style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mandora.core.anatomy import JointGroup
from mandora.core.errors import InputError
from mandora.core.files import write_atomically
from mandora.evaluation.page import FigureView

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 7.1
"""Inches: two columns of a journal page (180 mm)."""
PNG_DPI = 150

INK, MUTED, PALE = "#222222", "#6b7280", "#e3e6ea"
WARNING = "#D55E00"
GROUP_COLOURS = {
    JointGroup.FINGER: "#0072B2",
    JointGroup.WRIST: "#E69F00",
    JointGroup.TOE: "#009E73",
}
"""Blue, orange and green as in the paper, in shades that can be told apart."""
SERIES_COLOURS = ("#7d7d7d", "#0072B2", "#D55E00", "#009E73", "#CC79A7")
SERIES_MARKERS = ("o", "s", "D", "^", "v")

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same letters on every machine
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "figure.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.axisbelow": True,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "grid.color": PALE,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "savefig.bbox": "tight",
    "savefig.pad_inches": 0.05,
    "svg.hashsalt": "mandora",  # ids in an SVG are random without it
    "svg.fonttype": "path",  # a reader's browser need not have the font
    "pdf.fonttype": 42,  # text in a PDF can be searched and edited
}

styled = style.context(["default", STYLE])
"""Decorator: a figure is drawn in the house's style, whatever the user's own settings are."""


class Estimate(NamedTuple):
    """A number and its confidence interval; ``low`` and ``high`` are NaN where there is none."""

    value: float
    low: float = np.nan
    high: float = np.nan


def new_figure(width: float, height: float, *, automatic: bool = True) -> Figure:
    """An empty figure of a size in inches that draws without a screen.

    With ``automatic=False`` the caller places the panels; otherwise they make room for their
    labels.
    """
    figure = Figure((width, height), layout="constrained" if automatic else None)
    FigureCanvasAgg(figure)
    return figure


def heading(figure: Figure, text: str) -> None:
    """What is seen, and of how many: top left."""
    top = None if figure.get_constrained_layout() else 0.995
    figure.suptitle(text, x=0.005, y=top, ha="left", weight="bold")


def footnote(figure: Figure, text: str) -> None:
    """Method and conventions: bottom left, broken into lines that fit the width."""
    wide = int(figure.get_figwidth() * 19)
    lines = [line for part in text.split("\n") for line in textwrap.wrap(part, wide)]
    bottom = None if figure.get_constrained_layout() else 0.005
    figure.supxlabel("\n".join(lines), x=0.005, y=bottom, ha="left", fontsize=7, color=MUTED)


def letter_title(axes: Axes, index: int, title: str, pad: float = 5.0) -> None:
    """A panel's title behind its bold letter, ``a`` for index 0; pad in pt above the panel."""
    axes.set_title(rf"$\mathbf{{{chr(ord('a') + index)}}}$  {title}", pad=pad)


def say_why_empty(axes: Axes, reason: str, width: int = 26) -> None:
    """Words instead of data, in a panel that has nothing to show."""
    axes.text(
        0.5, 0.5, textwrap.fill(reason, width), transform=axes.transAxes,
        ha="center", va="center", color=MUTED, style="italic", fontsize=7,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 2},
    )  # fmt: skip


def number(value: float, digits: int = 3) -> str:
    """A number as printed in a figure: a real minus, a dash where there is none."""
    return f"{value:.{digits}f}".replace("-", "−") if np.isfinite(value) else "–"


def p_text(p_value: float) -> str:
    """A p value with the digits that it deserves."""
    if not np.isfinite(p_value):
        return "no test"
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"


def count_text(count: int, noun: str) -> str:
    """A count and its noun, e.g. ``1 fold`` or ``1,200 patients``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def check_series(count: int) -> None:
    """Refuse more series than there are colours that can be told apart.

    Raises:
        ValueError: naming the number.
    """
    if not 1 <= count <= len(SERIES_COLOURS):
        raise InputError(
            f"a panel has {count} series; give 1 to {len(SERIES_COLOURS)}, more look alike"
        )


def error_lengths(estimates: Sequence[Estimate]) -> np.ndarray[Any, Any]:
    """Lengths of error bars, (2, n) float, down and up; 0 where there is no interval."""
    value, low, high = np.array(estimates, dtype=float).reshape(-1, 3).T
    return np.nan_to_num(np.maximum([value - low, high - value], 0.0))


@styled
def save(figure: Figure, folder: Path, name: str) -> tuple[Path, Path, Path]:
    """Write a figure as PNG (150 dpi), SVG and PDF.

    The same figure gives the same bytes again: no date, no program version, no random ids.

    Args:
        figure: from one of the functions of this package.
        folder: made if it does not exist.
        name: of the files, without an extension.

    Returns:
        The three paths, in the order PNG, SVG, PDF.
    """
    folder.mkdir(parents=True, exist_ok=True)
    metadata: dict[str, dict[str, Any]] = {
        "png": {"Software": None},
        "svg": {"Date": None, "Creator": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }
    png, svg, pdf = (folder / f"{name}.{extension}" for extension in metadata)
    # where things lie is worked out once, not for each format again
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    box = figure.get_tightbbox().padded(rcParams["savefig.pad_inches"])
    for path, facts in zip((png, svg, pdf), metadata.values(), strict=True):
        data = io.BytesIO()
        kind = path.suffix.removeprefix(".")
        figure.savefig(data, format=kind, dpi=PNG_DPI, bbox_inches=box, metadata=facts)
        write_atomically(path, data.getvalue())
    return png, svg, pdf


def save_view(figure: Figure, folder: Path, name: str, caption: str) -> FigureView:
    """Save a figure in ``figures/`` of a page's folder, and show it on the page."""
    save(figure, folder / "figures", name)
    return FigureView(f"figures/{name}.png", caption)
