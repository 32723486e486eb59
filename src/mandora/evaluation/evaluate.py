"""A model tried on a labelled data set: ``metrics.json``, and a page with its worst cases."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import LANDMARKS, TARGETS, JointGroup, Limb
from mandora.core.files import write_atomically
from mandora.core.records import REASON_TEXT
from mandora.datasets.dataset import Dataset
from mandora.evaluation import figures
from mandora.evaluation.assess import Assessed, assess, limb_distances
from mandora.evaluation.report import FigureView, Section, TableView, write_report
from mandora.images.radiograph import UnreadableFilm
from mandora.images.read import read_radiograph
from mandora.metrics import GROUPS, Floats, Number, grade
from mandora.metrics.bootstrap import interval_of, intervals
from mandora.metrics.conformal import coverage
from mandora.model.bundle import Bundle
from mandora.model.contract import IntervalContract
from mandora.reproduce.claims import FAMILY_TITLES
from mandora.reproduce.localisation import distances, located
from mandora.reproduce.readers import RESAMPLES, all_measures, totals
from mandora.reproduce.results import figure_view
from mandora.scoring.pipeline import Pipeline

METRICS_FILE = "metrics.json"
TITLE, KICKER = "A model tried on a labelled data set", "Found beside what is known"
IN_UNITS = 0.15  # of the size of the limb: nearer than any other joint
WORST, PER_FIGURE = 20, 8
SHOWN_PX = 700  # longest side of a film in the page
INTERVAL_HEADS = ["targets", "truth", "joints", "held", "mean width"]


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
        "data set": dataset.root.resolve().name,
        "layout": dataset.layout,
        "patients": len(assessed.scores["patient"]),
        "films": len(assessed.films),
        "marks beyond the film": int(assessed.beyond.sum()),
    }
    found = json.dumps({"about": head, **_metrics(sections)}, indent=1, ensure_ascii=False)
    write_atomically(out / METRICS_FILE, f"{found}\n".encode())
    return write_report(out, head, (), sections, title=TITLE, kicker=KICKER)


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
    labelled = np.isfinite(assessed.scores["official"]).any()
    yield (
        _located(assessed, out)
        if marked
        else _none("located", "Localisation", "No joint of the data set is marked on its film.")
    )
    if labelled:
        yield from (_plainly(found.section) for found in (
            all_measures(assessed.scores, out), totals(assessed.scores, out),
        ))  # fmt: skip
        yield _by_grade(assessed)
        yield _healthy(assessed)
    else:
        yield _none("scores", "Scores", "No joint of the data set has a score.")
    yield _spaces(assessed)
    yield _intervals(assessed, spread, labelled=bool(labelled))
    yield _not_scored(assessed)
    yield _worst(assessed, out)


def _none(name: str, title: str, why: str) -> Section:
    return Section(name, title, "", why)


def _plainly(section: Section) -> Section:
    """Without what the paper has or has not."""
    title = section.title.removeprefix("More than the paper: ")
    text = section.text.replace("of test patients of all folds", "of all patients")
    return Section(section.id, title[0].upper() + title[1:], "", text, section.figures,
                   section.tables)  # fmt: skip


def _located(assessed: Assessed, out: Path) -> Section:
    landmarks = assessed.landmarks
    view = figure_view(
        figures.localisation(distances(landmarks)), out, "located",
        "Normalised distance of found to marked joints.",
    )  # fmt: skip
    patients = [film.patient for film in assessed.films]
    rows: list[list[Any]] = []
    share, units = distances(landmarks), limb_distances(assessed)
    for limb in Limb:
        of_limb = landmarks["limb"] == limb.value
        who = np.array(patients)[of_limb]
        for group in JointGroup:
            columns = [i for i, p in enumerate(LANDMARKS[limb]) if p.group is group]
            if not columns:
                continue
            for table, cut, words in (
                (share[limb], 0.02, "0.02 of the film"),
                (share[limb], 0.01, "0.01 of the film"),
                (units[limb], IN_UNITS, f"{IN_UNITS:g} of the limb"),
            ):
                found = _share_within(table[:, columns], cut, who)
                rows.append([str(limb), str(group), words, *found])
    heads = ["limb", "joints", "within", "n", "share", "low", "high"]
    return Section(
        "located", "Localisation", "",
        "A joint that was not found counts as missed; one that is marked beyond the edge of its "
        "film does not count. The limb's size, about the distance of MCP2 to MCP5 or of MTP1 to "
        "MTP5, is a median over the distances of all its marked joints. Intervals are "
        "95 % over patients.",
        (view,),
        (located(landmarks, "located.csv"),
         TableView("By limb, with intervals", heads, rows, "located-intervals.csv")),
    )  # fmt: skip


def _share_within(error: Floats, cut: float, patients: NDArray[Any]) -> list[Any]:
    """Number of joints, share, ends of its interval."""
    known, near = ~np.isnan(error), error < cut
    names = list(dict.fromkeys(patients.tolist()))
    place = {name: i for i, name in enumerate(names)}
    index = np.array([place[name] for name in patients.tolist()], dtype=int)
    count, hits = np.zeros(len(names)), np.zeros(len(names))
    np.add.at(count, index, known.sum(axis=1))
    np.add.at(hits, index, (near & known).sum(axis=1))
    if not count.sum():
        return [0, Number.none("no joint of this group is marked"), None, None]

    def of(drawn: NDArray[np.int64]) -> Number:
        n = int(count[drawn].sum())
        return Number(float(hits[drawn].sum() / n), n) if n else Number.none("nothing drawn")

    found = interval_of(of, len(names), RESAMPLES)
    return [int(count.sum()), found.number, found.low, found.high]


def _by_family(assessed: Assessed) -> Iterator[tuple[str, str, Floats, Floats]]:
    """Stage, words for a family, scores at found joints and labels of its targets."""
    for stage in ("patch", "blend"):
        for code, words in FAMILY_TITLES.items():
            columns = list(GROUPS[code])
            ours, official = assessed.scores[f"predicted_{stage}"], assessed.scores["official"]
            yield stage, words, ours[:, columns], official[:, columns]


def _by_grade(assessed: Assessed) -> Section:
    """Do scores rise with the grade?"""
    rows: list[list[Any]] = []
    for stage, words, ours, official in _by_family(assessed):
        labels = grade(official)
        below: float | None = None
        for step in range(int(np.nanmax(labels, initial=-1.0)) + 1):
            values = ours[(labels == step) & np.isfinite(ours)]
            if not values.size:
                continue
            mean = float(values.mean())
            higher = "" if below is None else "yes" if mean > below else "no"
            rows.append([stage, words, step, values.size, mean, float(values.std()), higher])
            below = mean
    heads = ["stage", "targets", "grade", "joints", "mean score", "s.d.", "higher than below"]
    return Section(
        "by-grade", "Scores by grade", "",
        "What the model says of joints whose label is, rounded, this grade, at joints that were "
        "found. A model that ranks damage correctly rises from grade to grade.",
        tables=(TableView("Mean score of each grade", heads, rows, "by-grade.csv"),),
    )  # fmt: skip


def _healthy(assessed: Assessed) -> Section:
    rows: list[list[Any]] = []
    for stage, words, scores, official in _by_family(assessed):
        ours = np.where(official == 0, scores, np.nan)
        known = ours[np.isfinite(ours)]
        zero = np.where(np.isfinite(ours), 0.0, np.nan)
        mean = intervals(ours, zero, ("bias",), RESAMPLES)["bias"]
        high = float((grade(known) >= 2).mean()) if known.size else None
        rows.append([stage, words, known.size, mean.number, mean.low, mean.high, high])
    heads = ["stage", "targets", "joints", "mean score", "low", "high", "share of grade 2 or more"]
    return Section(
        "healthy", "Joints without damage", "",
        "What the model says of joints whose label is 0, at joints that were found. Intervals are "
        "95 % over patients.",
        tables=(TableView("Scores of healthy joints", heads, rows, "healthy.csv"),),
    )  # fmt: skip


def _spaces(assessed: Assessed) -> Section:
    rows: list[list[Any]] = []
    for limb in Limb:
        dice = assessed.dice[assessed.landmarks["limb"] == limb.value]
        for group in JointGroup:
            columns = [i for i, p in enumerate(LANDMARKS[limb]) if p.group is group]
            values = dice[:, columns][np.isfinite(dice[:, columns])]
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
        "spaces", "Joint spaces", "", text,
        tables=(TableView("Overlap of joint spaces", heads, rows, "dice.csv"),),
    )  # fmt: skip


def _intervals(assessed: Assessed, spread: IntervalContract | None, *, labelled: bool) -> Section:
    title = "Intervals of scores"
    if spread is None:
        return _none("intervals", title, "The model states no intervals.")
    if not labelled:
        return _none("intervals", title, "No joint has a score that intervals could hold.")
    rows = coverage(spread, assessed.scores["predicted_blend"], assessed.scores["official"])
    text = (
        f"The model's intervals shall hold {100 * spread.level:g} % of the truths; they were "
        f"measured on {spread.patients} other patients. They are right for a family as a whole, "
        "not for each severity: who is severely ill is rare, and regression to the mean costs most "
        "there."
    )
    table = TableView("Truths within the intervals", INTERVAL_HEADS, rows, "intervals.csv")
    return Section("intervals", title, "", text, tables=(table,))


def _not_scored(assessed: Assessed) -> Section:
    rows: list[list[Any]] = [[REASON_TEXT[r], n] for r, n in sorted(assessed.reasons.items())]
    looked = sum(len(LANDMARKS[film.slot.limb]) for film in assessed.films)
    text = f"Of {looked:,} joints on {len(assessed.films):,} films."
    table = TableView("Joints without a score", ["reason", "joints"], rows, "not-scored.csv")
    return Section("not-scored", "Not scored", "", text, tables=(table,))


def _worst(assessed: Assessed, out: Path) -> Section:
    """The films whose joints are farthest from their places, or whose scores are most wrong."""
    landmarks, units = assessed.landmarks, limb_distances(assessed)
    error = np.full(len(assessed.films), np.nan)
    for limb in Limb:
        of_limb = landmarks["limb"] == limb.value
        capped = np.minimum(units[limb], 1.0)
        known = np.isfinite(capped).any(axis=1)
        mean = np.full(len(capped), np.nan)
        mean[known] = np.nanmean(capped[known], axis=1)
        error[of_limb] = mean
    what = "mean distance of its joints, as a share of the limb's size"
    if not np.isfinite(error).any():
        what, error = "mean error of its scores", _score_errors(assessed)
    order = [i for i in np.argsort(-np.nan_to_num(error, nan=-1.0), kind="stable")
             if np.isfinite(error[i])][:WORST]  # fmt: skip
    views: list[FigureView] = []
    for start in range(0, len(order), PER_FIGURE):
        shown = [_whole(assessed, i, float(error[i])) for i in order[start : start + PER_FIGURE]]
        name = f"worst-{start // PER_FIGURE + 1}"
        views.append(
            figure_view(
                figures.localisation_examples(shown), out, name,
                f"Films {start + 1} to {start + len(shown)} by the {what}; + marked, × found.",
            )
        )  # fmt: skip
    rows: list[list[Any]] = [[assessed.films[i].name, float(error[i])] for i in order]
    table = TableView(f"By the {what}", ["film", "error"], rows, "worst.csv")
    return Section(
        "worst", "Worst films", "",
        "The page shows whole films: whoever passes it on passes these on.",
        tuple(views), (table,),
    )  # fmt: skip


def _score_errors(assessed: Assessed) -> Floats:
    table = np.abs(assessed.scores["predicted_blend"] - assessed.scores["official"])
    row = {name: i for i, name in enumerate(assessed.scores["patient"].tolist())}
    made = []
    for film in assessed.films:
        columns = [i for i, t in enumerate(TARGETS) if t.slot == film.slot]
        of_film = table[row[film.patient], columns]
        made.append(float(np.nanmean(of_film)) if np.isfinite(of_film).any() else np.nan)
    return np.array(made)


def _whole(assessed: Assessed, index: int, error: float) -> figures.LocatedExample:
    film = assessed.films[index]
    try:
        pixels = read_radiograph(film.path).pixels
    except UnreadableFilm:
        pixels = np.zeros((SHOWN_PX, SHOWN_PX), np.float32)
    step = max(1, -(-max(pixels.shape) // SHOWN_PX))
    count = len(LANDMARKS[film.slot.limb])
    true, found = (assessed.landmarks[key][index, :count] / step for key in ("true", "found"))
    name = film.name if len(film.name) <= 24 else f"…{film.name[-23:]}"
    return figures.LocatedExample(pixels[::step, ::step], true, found, name, error)
