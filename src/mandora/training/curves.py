"""The learning curves of a run: loss, learning rate and held-out numbers over the epochs."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mandora.core.errors import InputError
from mandora.core.files import write_atomically
from mandora.training.history import OWN

CURVES_FILE = "curves.png"
COLUMNS = 3
PANEL_INCH = (3.6, 2.6)  # width, height
LINE, MARK = "#1f5a8a", "#c8501e"


def draw_curves(history: Sequence[Mapping[str, float]], path: Path) -> None:
    """Draw a panel for the loss, one for the learning rate, and one for each held-out number.

    The epoch with the best score is marked in each.

    Args:
        history: rows as in ``history.jsonl``.
        path: of the PNG.

    Raises:
        ImportError: if matplotlib is not installed.
        ValueError: if there is no row.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not history:
        raise InputError(f"no epoch is finished, so {path} would be empty; train longer")
    held_out = [k for k in dict.fromkeys(k for row in history for k in row) if k not in OWN]
    names = ["loss", "learning_rate", *held_out]
    rows = -(-len(names) // COLUMNS)
    columns = min(COLUMNS, len(names))
    figure = Figure((columns * PANEL_INCH[0], rows * PANEL_INCH[1]), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    best = _best_epoch(history)
    for panel, name in zip(panels, names, strict=False):
        _draw(panel, name, history, best)
    for panel in panels[len(names) :]:
        panel.set_axis_off()
    if best is not None:
        figure.suptitle(f"marked: epoch {best}, the best score", fontsize=9, color=MARK)
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=110)
    write_atomically(path, data.getvalue())


def _draw(panel: Any, name: str, history: Sequence[Mapping[str, float]], best: int | None) -> None:
    epochs = [int(row["epoch"]) for row in history]
    values = [row.get(name, math.nan) for row in history]
    panel.plot(epochs, values, color=LINE, marker="o" if len(epochs) < 40 else None, markersize=3)
    panel.set_xlabel("epoch", fontsize=8)
    panel.tick_params(labelsize=8)
    panel.xaxis.get_major_locator().set_params(integer=True)
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)
    known = [v for v in values if math.isfinite(v)]
    if name == "loss" and known and min(known) > 0 and max(known) > 20 * min(known):
        panel.set_yscale("log")
    panel.set_xlim(0.5, max(epochs) + 0.5)
    title = name.replace("_", " ")
    marked = math.nan if best is None or name == "learning_rate" else values[epochs.index(best)]
    if math.isfinite(marked):
        panel.plot([best], [marked], "o", color=MARK, markersize=6)
        title += f": {marked:.4g}"
    # the value stands above the panel, where no line can cross it
    panel.set_title(title, fontsize=10)


def _best_epoch(history: Sequence[Mapping[str, float]]) -> int | None:
    scored = [row for row in history if math.isfinite(row.get("score", math.nan))]
    # the first of equals, as the loop keeps it
    return int(max(scored, key=lambda row: row["score"])["epoch"]) if scored else None
