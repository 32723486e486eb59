"""Figure 3: how far found joints are from true ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import LANDMARKS, JointGroup, Limb
from mandora.datasets.dataset import DatasetFilm
from mandora.evaluation.figures import localisation as figures
from mandora.evaluation.figures.style import save_view
from mandora.evaluation.localisation import located_table
from mandora.evaluation.page import FigureView, Section
from mandora.metrics import Arrays, Floats
from mandora.metrics.localisation import film_distances, group_columns
from mandora.reproduce.claim_rules import localisation_claims
from mandora.reproduce.report import Result

EXAMPLE_HALF = 0.07  # half side of an example / longer side of the film


def localisation(landmarks: Arrays, films: Sequence[DatasetFilm], folder: Path) -> Result:
    """Figure 3.

    Args:
        landmarks: arrays of :func:`mandora.reproduce.jobs.find_landmarks`, all folds.
        films: the film of each of their rows.
        folder: of the report.
    """
    error = film_distances(landmarks)
    verdicts = localisation_claims(error)
    view = save_view(
        figures.localisation(error), folder, "fig3",
        "Normalised distance of found to true joints on the test films of all folds.",
    )  # fmt: skip
    section = Section(
        "fig3", "Localisation (figure 3)",
        "Localisers of each fold on the films of its test patients. A joint that was not found "
        "counts as missed.",
        (view, *_examples(landmarks, films, folder)), (located_table(landmarks, "fig3.csv"),),
    )  # fmt: skip
    paper = (
        "More than 98 % of the finger joints lie within 0.02 of the film's size of their true "
        "place; wrists are harder, toes about as good."
    )
    return Result(section, paper, tuple(verdicts))


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
    return [save_view(figures.localisation_examples(shown), folder, "fig3-examples", caption)]


def _of_group(landmarks: Arrays, group: JointGroup) -> NDArray[np.bool_]:
    """(films, landmarks): which are joints of a group."""
    made = np.zeros(landmarks["true"].shape[:2], bool)
    for row, name in enumerate(landmarks["limb"]):
        made[row, group_columns(Limb(name), group)] = True
    return made


def _example(
    words: str, film: DatasetFilm, true: Floats, found: Floats, joint: int, distance: float
) -> figures.LocatedExample:
    radiograph = film.read()
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
