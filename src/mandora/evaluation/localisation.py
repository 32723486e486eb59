"""Sections on the localisers: distances of found to marked joints, and the films that are worst.

``landmarks`` are the columns that :mod:`mandora.metrics.localisation` takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import LANDMARKS, TARGETS, JointGroup, Limb
from mandora.evaluation.assess import Assessed
from mandora.evaluation.figures import localisation as figures
from mandora.evaluation.figures.style import save_view
from mandora.evaluation.page import FigureView, Section, TableView, interval_cells
from mandora.evaluation.scores import RESAMPLES
from mandora.images.radiograph import UnreadableFilm
from mandora.metrics import Arrays, Floats, Number
from mandora.metrics.bootstrap import intervals
from mandora.metrics.localisation import film_distances, group_columns, limb_distances

CUTS = (0.010, 0.015, 0.020, 0.030)  # normalised distance
LIMB_CUT = 0.15  # of the limb's size: nearer than any other joint
WORST, PER_FIGURE = 20, 8
SHOWN_PX = 700  # longest side of a film in the page


def located_table(landmarks: Arrays, csv: str) -> TableView:
    """Shares of joints within some distances, by group of joints."""
    error = film_distances(landmarks)
    px = np.linalg.norm(landmarks["found"] - landmarks["true"], axis=2)
    rows: list[list[Any]] = []
    for group in JointGroup:
        columns = {limb: group_columns(limb, group) for limb in Limb}
        known = np.concatenate([error[limb][:, of].ravel() for limb, of in columns.items()])
        known = known[~np.isnan(known)]
        if not known.size:
            rows.append([str(group), 0, *[None] * (len(CUTS) + 2)])
            continue
        far = np.concatenate([
            px[landmarks["limb"] == limb.value][:, of].ravel() for limb, of in columns.items()
        ])  # fmt: skip
        far = far[np.isfinite(far)]
        shares = [float((known < cut).mean()) for cut in CUTS]
        median = float(np.median(known)) if np.isfinite(np.median(known)) else None
        rows.append([str(group), known.size, *shares, median,
                     float(np.median(far)) if far.size else None])  # fmt: skip
    heads = ["joints", "n", *(f"within {cut:g}" for cut in CUTS), "median", "median, px"]
    return TableView("Share of joints that were located", heads, rows, csv)


def localisation(assessed: Assessed, out: Path) -> Section:
    """How many joints were located, with intervals over patients."""
    landmarks = assessed.landmarks
    view = save_view(
        figures.localisation(film_distances(landmarks)), out, "located",
        "Normalised distance of found to marked joints.",
    )  # fmt: skip
    heads = ["limb", "joints", "within", "n", "share", "low", "high"]
    return Section(
        "located", "Localisation",
        "A joint that was not found counts as missed; one that is marked beyond the edge of its "
        "film does not count. The limb's size, about the distance of MCP2 to MCP5 or of MTP1 to "
        "MTP5, is a median over the distances of all its marked joints. Intervals are "
        "95 % over patients.",
        (view,),
        (located_table(landmarks, "located.csv"),
         TableView("By limb, with intervals", heads, list(_shares_within(assessed)),
                   "located-intervals.csv")),
    )  # fmt: skip


def _shares_within(assessed: Assessed) -> Iterator[list[Any]]:
    landmarks, names = assessed.landmarks, assessed.scores["patient"].tolist()
    person_of = dict(zip(names, assessed.scores["person"].tolist(), strict=True))
    patients = np.array([person_of[film.patient] for film in assessed.films])
    of_film, of_limb = film_distances(landmarks), limb_distances(landmarks)
    for limb in Limb:
        who = patients[landmarks["limb"] == limb.value]
        for group in JointGroup:
            columns = group_columns(limb, group)
            if not columns:
                continue
            for error, cut, words in (
                (of_film[limb], 0.02, "0.02 of the film"),
                (of_film[limb], 0.01, "0.01 of the film"),
                (of_limb[limb], LIMB_CUT, f"{LIMB_CUT:g} of the limb"),
            ):
                yield [str(limb), str(group), words, *_share_within(error[:, columns], cut, who)]


def _share_within(error: Floats, cut: float, patients: NDArray[Any]) -> list[Any]:
    """Number of joints, share of those nearer than ``cut``, ends of its interval."""
    near = np.where(np.isnan(error), np.nan, error < cut)
    if not np.isfinite(near).any():
        return [0, Number.none("no joint of this group is marked"), None, None]
    # the mean of 0 and 1 is the mean absolute error against 0
    share = intervals(near, np.zeros_like(near), ("mae",), RESAMPLES, patients)["mae"]
    return [share.number.n, *interval_cells(share)]


def worst_films(assessed: Assessed, out: Path) -> Section:
    """The films whose joints are farthest from their places, or whose scores are most wrong."""
    what, error = "mean distance of its joints, as a share of the limb's size", _errors(assessed)
    if not np.isfinite(error).any():
        what, error = "mean error of its scores", _score_errors(assessed)
    order = [i for i in np.argsort(-np.nan_to_num(error, nan=-1.0), kind="stable")
             if np.isfinite(error[i])][:WORST]  # fmt: skip
    views: list[FigureView] = []
    for start in range(0, len(order), PER_FIGURE):
        shown = [_example(assessed, i, error[i]) for i in order[start : start + PER_FIGURE]]
        views.append(
            save_view(
                figures.localisation_examples(shown), out, f"worst-{start // PER_FIGURE + 1}",
                f"Films {start + 1} to {start + len(shown)} by the {what}; + marked, × found.",
            )
        )  # fmt: skip
    rows: list[list[Any]] = [[assessed.films[i].name, float(error[i])] for i in order]
    table = TableView(f"By the {what}", ["film", "error"], rows, "worst.csv")
    return Section(
        "worst", "Worst films",
        "The page shows whole films: do not pass it on if you may not pass on the films.",
        tuple(views), (table,),
    )  # fmt: skip


def _errors(assessed: Assessed) -> Floats:
    """(films,) mean distance of a film's joints, limb sizes, at most 1 each; NaN if unknown."""
    landmarks, error = assessed.landmarks, np.full(len(assessed.films), np.nan)
    for limb, distances in limb_distances(landmarks).items():
        capped = np.minimum(distances, 1.0)
        known = np.isfinite(capped).any(axis=1)
        mean = np.full(len(capped), np.nan)
        mean[known] = np.nanmean(capped[known], axis=1)
        error[landmarks["limb"] == limb.value] = mean
    return error


def _score_errors(assessed: Assessed) -> Floats:
    """(films,) mean error of the scores of a film; NaN if unknown."""
    table = np.abs(assessed.scores["predicted_blend"] - assessed.scores["official"])
    row = {name: i for i, name in enumerate(assessed.scores["patient"].tolist())}
    made = []
    for film in assessed.films:
        columns = [i for i, t in enumerate(TARGETS) if t.slot == film.slot]
        of_film = table[row[film.patient], columns]
        made.append(float(np.nanmean(of_film)) if np.isfinite(of_film).any() else np.nan)
    return np.array(made)


def _example(assessed: Assessed, index: int, error: float) -> figures.LocatedExample:
    """A whole film with its marked and found joints."""
    film = assessed.films[index]
    try:
        pixels = film.read().pixels
    except UnreadableFilm:
        pixels = np.zeros((SHOWN_PX, SHOWN_PX), np.float32)
    step = max(1, -(-max(pixels.shape) // SHOWN_PX))
    count = len(LANDMARKS[film.slot.limb])
    true, found = (assessed.landmarks[key][index, :count] / step for key in ("true", "found"))
    name = film.name if len(film.name) <= 24 else f"…{film.name[-23:]}"
    return figures.LocatedExample(pixels[::step, ::step], true, found, name, float(error))
