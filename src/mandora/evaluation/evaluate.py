"""A model tried on a labelled data set: ``metrics.json``, and a page with its worst cases."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mandora.core.anatomy import LANDMARKS, JointGroup, Limb
from mandora.core.files import write_atomically
from mandora.core.records import REASON_TEXT
from mandora.datasets.dataset import Dataset
from mandora.evaluation.assess import Assessed, assess
from mandora.evaluation.impressions import erosive_films, impressions
from mandora.evaluation.localisation import localisation, worst_films
from mandora.evaluation.page import Section, TableView, write_page
from mandora.evaluation.scores import by_grade, healthy, measures, totals
from mandora.metrics import Number
from mandora.metrics.conformal import coverage
from mandora.metrics.localisation import group_columns
from mandora.model.bundle import Bundle
from mandora.model.contract import IntervalContract
from mandora.scoring.pipeline import Pipeline

METRICS_FILE = "metrics.json"
INTERVAL_HEADS = ["targets", "truth", "joints", "held", "low", "high", "mean size"]


def evaluate(
    bundle: Bundle,
    dataset: Dataset,
    out: Path,
    threads: int,
    progress: Callable[[int, int], None],
    warn: Callable[[str], None],
) -> Path:
    """Try a model on a data set; write ``metrics.json``, ``report.html``, figures and tables.

    Args:
        bundle: the model. That it was not trained on these patients is for the caller to know.
        dataset: films with whatever is known of them.
        out: folder.
        threads: processor threads.
        progress: told (patients done, of how many).
        warn: told of films that could not be used.

    Returns:
        The path of the page.

    Raises:
        ValueError: if the data set has no whole film, or the bundle does not fit.
        OSError: if a file cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    assessed = assess(Pipeline.from_bundle(bundle, threads), dataset, progress, warn)
    sections = list(_sections(assessed, bundle.manifest.contract.intervals, out))
    manifest = bundle.manifest
    head = {
        "model": f"{manifest.name} {manifest.version}, sha256 {bundle.sha256[:12]}",
        "trained on": manifest.training_data,
        "data set": dataset.name,
        "layout": dataset.layout,
        "patients": len(assessed.scores["patient"]),
        "films": len(assessed.films),
        "marks beyond the film": int(assessed.landmarks["beyond"].sum()),
    }
    found = json.dumps({"about": head, **_metrics(sections)}, indent=1, ensure_ascii=False)
    write_atomically(out / METRICS_FILE, f"{found}\n".encode())
    return write_page(out, head, sections)


def _metrics(sections: Sequence[Section]) -> dict[str, Any]:
    """Every table's rows, by the table's name and column."""
    return {
        table.csv.removesuffix(".csv"): [
            {column: _plain(cell) for column, cell in zip(table.columns, row, strict=True)}
            for row in table.rows
        ]
        for section in sections
        for table in section.tables
    }


def _plain(cell: Any) -> Any:
    if isinstance(cell, Number):
        return cell.to_json()
    if isinstance(cell, float | np.floating):
        return float(cell) if np.isfinite(cell) else None
    return int(cell) if isinstance(cell, np.integer) else cell


def _sections(assessed: Assessed, spread: IntervalContract | None, out: Path) -> Iterator[Section]:
    marked = np.isfinite(assessed.landmarks["true"]).any()
    labelled = bool(np.isfinite(assessed.scores["official"]).any())
    if marked:
        yield localisation(assessed, out)
    else:
        yield Section("located", "Localisation", "No joint of the data set is marked on its film.")
    if labelled:
        yield measures(assessed.scores, out)
        yield totals(assessed.scores, out)
        yield by_grade(assessed.scores)
        yield healthy(assessed.scores)
    else:
        yield Section("scores", "Scores", "No joint of the data set has a score.")
    if np.isfinite(assessed.scores["impression"]).any():
        yield impressions(assessed.scores)
    if np.isfinite(assessed.scores["erosive"]).any():
        yield erosive_films(assessed.scores)
    yield _spaces(assessed)
    yield _intervals(assessed, spread, labelled)
    yield _not_scored(assessed)
    yield worst_films(assessed, out)


def _spaces(assessed: Assessed) -> Section:
    rows: list[list[Any]] = []
    for limb in Limb:
        dice = assessed.landmarks["dice"][assessed.landmarks["limb"] == limb.value]
        for group in JointGroup:
            values = dice[:, group_columns(limb, group)]
            values = values[np.isfinite(values)]
            if values.size:
                quarter = float(np.quantile(values, 0.25))
                rows.append([str(limb), str(group), values.size, float(values.mean()), quarter])
    text = (
        "Dice's overlap of the joint spaces that were drawn with those marked in the same patch, "
        "neighbours' with them, at joints that were found."
        if rows else "The data set has no marked joint spaces."
    )  # fmt: skip
    heads = ["limb", "joints", "patches", "mean Dice", "lowest quarter below"]
    return Section(
        "spaces", "Joint spaces", text,
        tables=(TableView("Overlap of joint spaces", heads, rows, "dice.csv"),),
    )  # fmt: skip


def _intervals(assessed: Assessed, spread: IntervalContract | None, labelled: bool) -> Section:
    title = "Intervals of scores"
    if spread is None:
        return Section("intervals", title, "The model states no intervals.")
    if not labelled:
        return Section("intervals", title, "No joint has a score that intervals could hold.")
    rows = coverage(spread, assessed.scores["predicted_blend"], assessed.scores["official"])
    text = (
        f"The model's intervals shall hold {100 * spread.level:g} % of the truths; they were "
        f"measured on {spread.measured_on}. `held` is the share of true grades within, with a 95 % "
        "interval over patients, `damage` means grade 1 or more, and `mean size` is the number of "
        "grades in an interval; of totals, the points that it spans."
    )
    table = TableView("Truths within the intervals", INTERVAL_HEADS, rows, "intervals.csv")
    return Section("intervals", title, text, tables=(table,))


def _not_scored(assessed: Assessed) -> Section:
    rows: list[list[Any]] = [[REASON_TEXT[r], n] for r, n in sorted(assessed.reasons.items())]
    joints = sum(len(LANDMARKS[film.slot.limb]) for film in assessed.films)
    text = f"Of {joints:,} joints on {len(assessed.films):,} films."
    table = TableView("Joints without a score", ["reason", "joints"], rows, "not-scored.csv")
    return Section("not-scored", "Not scored", text, tables=(table,))
