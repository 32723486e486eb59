"""Figure 3: how far found joints are from true ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import LANDMARKS, JointGroup, Limb
from mandora.datasets.dataset import DatasetFilm
from mandora.evaluation import figures
from mandora.evaluation.report import FigureView, Section, TableView
from mandora.images.read import read_radiograph
from mandora.metrics import Floats
from mandora.reproduce.claim_rules import localisation_claims
from mandora.reproduce.gathered import Arrays
from mandora.reproduce.results import Found, claims_of, figure_view

EXAMPLE_HALF = 0.07  # half side of an example / longer side of the film
CUTS = (0.010, 0.015, 0.020, 0.030)  # normalised distance


def distances(landmarks: Arrays) -> dict[Limb, Floats]:
    """Distance of (x / width, y / height) to the truth, for each film and landmark.

    Args:
        landmarks: arrays of :func:`mandora.reproduce.jobs.find_landmarks`.

    Returns:
        Limb → (films, landmarks); NaN without a truth, infinite where nothing was found.
    """
    size = landmarks["size"][:, None, :]
    error = np.linalg.norm((landmarks["found"] - landmarks["true"]) / size, axis=2)
    marked = np.isfinite(landmarks["true"]).all(axis=2)
    error = np.where(marked, np.where(np.isfinite(error), error, np.inf), np.nan)
    return {
        limb: error[landmarks["limb"] == limb.value][:, : len(LANDMARKS[limb])] for limb in Limb
    }


def localisation(landmarks: Arrays, films: Sequence[DatasetFilm], folder: Path) -> Found:
    """Figure 3.

    Args:
        landmarks: arrays of :func:`mandora.reproduce.jobs.find_landmarks`, all folds.
        films: the film of each of their rows.
        folder: of the report.
    """
    error = distances(landmarks)
    verdicts = localisation_claims(error)
    view = figure_view(
        figures.localisation(error), folder, "fig3",
        "Normalised distance of found to true joints on the test films of all folds.",
    )  # fmt: skip
    table = located(landmarks, "fig3.csv")
    section = Section(
        "fig3", "Localisation (figure 3)",
        "More than 98 % of the finger joints lie within 0.02 of the film's size of their true "
        "place; wrists are harder, toes about as good.",
        "Localisers of each fold on the films of its test patients. A joint that was not found "
        "counts as missed.",
        (view, *_examples(landmarks, films, folder)), (table,), claims_of(verdicts),
    )  # fmt: skip
    return Found(section, tuple(verdicts))


def located(landmarks: Arrays, csv: str) -> TableView:
    """Shares of joints within some distances, by group of joints."""
    error = distances(landmarks)
    px = np.linalg.norm(landmarks["found"] - landmarks["true"], axis=2)
    rows: list[list[Any]] = []
    for group in JointGroup:
        parts, pixels = [], []
        for limb in Limb:
            chosen = [i for i, p in enumerate(LANDMARKS[limb]) if p.group is group]
            parts.append(error[limb][:, chosen].ravel())
            pixels.append(px[landmarks["limb"] == limb.value][:, chosen].ravel())
        known = np.concatenate(parts)
        known, far = known[~np.isnan(known)], np.concatenate(pixels)
        if not known.size:
            rows.append([str(group), 0, *[None] * (len(CUTS) + 2)])
            continue
        shares = [float((known < cut).mean()) for cut in CUTS]
        median = float(np.median(known)) if np.isfinite(np.median(known)) else None
        far = far[np.isfinite(far)]
        rows.append([str(group), known.size, *shares, median,
                     float(np.median(far)) if far.size else None])  # fmt: skip
    heads = ["joints", "n", *(f"within {cut:g}" for cut in CUTS), "median", "median, px"]
    return TableView("Share of joints that were located", heads, rows, csv)


def _examples(landmarks: Arrays, films: Sequence[DatasetFilm], folder: Path) -> list[FigureView]:
    """A typical joint of each group, and the one that is farthest from its place."""
    size = landmarks["size"]
    error = np.linalg.norm((landmarks["found"] - landmarks["true"]) / size[:, None, :], axis=2)
    chosen = {}
    for group in JointGroup:
        known = np.argwhere(_of_group(landmarks, group) & np.isfinite(error))
        if len(known):
            order = np.argsort(error[tuple(known.T)], kind="stable")
            chosen[f"typical {group}"] = tuple(known[order[len(order) // 2]])
    if not chosen:
        return []
    chosen["farthest"] = np.unravel_index(int(np.nanargmax(error)), error.shape)
    shown = [
        _example(words, films[row], landmarks["true"][row], landmarks["found"][row], joint,
                 float(error[row, joint]))
        for words, (row, joint) in chosen.items()
    ]  # fmt: skip
    caption = (
        "Joints whose distance is the median of their group, and the one that is farthest; + true, "
        "× found."
    )
    return [figure_view(figures.localisation_examples(shown), folder, "fig3-examples", caption)]


def _of_group(landmarks: Arrays, group: JointGroup) -> NDArray[np.bool_]:
    """(films, landmarks): which are joints of a group."""
    made = []
    for name in landmarks["limb"]:
        groups = [landmark.group for landmark in LANDMARKS[Limb(name)]]
        made.append(
            [i < len(groups) and groups[i] is group for i in range(landmarks["true"].shape[1])]
        )
    return np.array(made)


def _example(
    words: str, film: DatasetFilm, true: Floats, found: Floats, joint: int, distance: float
) -> figures.LocatedExample:
    radiograph = read_radiograph(film.path)
    height, width = radiograph.shape
    both = np.stack([true[joint], found[joint]])
    middle = both.mean(axis=0)
    half = max(EXAMPLE_HALF * max(radiograph.shape), 1.3 * np.ptp(both, axis=0).max() / 2)
    left, top = np.maximum(np.floor(middle - half), 0).astype(int)
    right, bottom = np.minimum(np.ceil(middle + half), (width, height)).astype(int)
    inside = np.asarray(((true >= (left, top)) & (true < (right, bottom))).all(axis=1), bool)
    inside[joint] = True
    name = LANDMARKS[film.slot.limb][joint].name
    return figures.LocatedExample(
        radiograph.pixels[top:bottom, left:right], true[inside] - (left, top),
        found[inside] - (left, top), f"{words}: {name}", distance,
    )  # fmt: skip
