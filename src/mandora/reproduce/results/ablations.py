"""Beyond the paper: what each part of the method adds, and how many patients it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mandora.evaluation.figures.style import save_view
from mandora.evaluation.page import Section, TableView, interval_cells, interval_heads
from mandora.evaluation.scores import RESAMPLES, estimate
from mandora.metrics import FAMILY_TITLES, GROUPS, QUANTITIES, Arrays, Floats
from mandora.metrics.bootstrap import difference_intervals, intervals
from mandora.reproduce.collect import of_test
from mandora.reproduce.figures.learning import LearningCurve, learning_curves
from mandora.reproduce.report import Result
from mandora.symmetry.forest import rescale

WORDS = {
    "none": "no mask",
    "erosion": "erosion masks",
    "space-bottleneck": "bottleneck",
    "none-bottleneck": "bottleneck, no mask",
    "ordinal": "ordinal head",
    "heads": "last layers for each family",
    "groups": "a network for each group of joints",
}


class Trial(NamedTuple):
    """A method beside the one that it departs from, on the same patients.

    Attributes:
        name: of the method.
        scores: (patients, 86).
        base: (patients, 86) of the method that it departs from.
        official: (patients, 86) labels.
        patient: (patients,) names; with repeats one may be there several times.
        folds: how many they come from.
    """

    name: str
    scores: Floats
    base: Floats
    official: Floats
    patient: NDArray[Any]
    folds: int


def ablations(scores: Mapping[str, Arrays], trees: Arrays) -> Result:
    """What each part adds: the method without it, or with something else instead.

    Args:
        scores: name of a damage network → its arrays, of the folds that it was trained in.
            ``space`` is the paper's design, with all patients that it has not seen.
        trees: arrays of the trees, all folds.
    """
    tables = []
    for frame, words in (("true", "true joints"), ("predicted", "joints that were found")):
        rows: list[list[Any]] = []
        trials = list(_trials(scores, trees, frame))
        for code, title in FAMILY_TITLES.items():
            for trial in trials:
                ours, base, official = (
                    table[:, GROUPS[code]] for table in (trial.scores, trial.base, trial.official)
                )
                row: list[Any] = [title, trial.name, trial.folds, len(set(trial.patient.tolist()))]
                found = intervals(ours, official, QUANTITIES, RESAMPLES, trial.patient)
                more = difference_intervals(
                    ours, base, official, QUANTITIES, RESAMPLES, trial.patient
                )
                for name in QUANTITIES:
                    row += [found[name].number, *interval_cells(more[name])]
                rows.append(row)
        heads = ["targets", "method", "folds", "patients"]
        for word in QUANTITIES.values():
            heads += [word, f"change of {word}", "low", "high"]
        tables.append(TableView(f"At {words}", heads, rows, f"ablations-{frame}.csv"))
    section = Section(
        "ablations", "More than the paper: what each part adds",
        "Networks differ from the design (one network for all joints, joint spaces, regression) in "
        "one thing each; those for fingers, wrists and toes see together as many patches as it "
        "does. They are compared with it on the same patients, none of whom they have "
        "seen, patch score with patch score. The trees' blend, rescaled or not, is compared with "
        "the patch score that it is made of. Intervals of the change are 95 % over patients: a "
        "part helps if 0 lies outside.",
        tables=tuple(tables),
    )  # fmt: skip
    return Result(section, "The paper compares with and without masks and trees.")


def _trials(scores: Mapping[str, Arrays], trees: Arrays, frame: str) -> Sequence[Trial]:
    design = scores["space"]
    made = [_trial("as designed", of_test(design), design, frame)]
    for name, words in WORDS.items():
        if name in scores:
            made.append(_trial(words, scores[name], design, frame))
    patch, official, patient = trees[f"{frame}_patch"], trees["official"], trees["patient"]
    blended, folds = trees[f"{frame}_blend"], len(set(trees["fold"].tolist()))
    made.append(Trial("with trees (blend)", blended, patch, official, patient, folds))
    # the trees of a fold say how high scores are on the whole, so each fold for itself
    scaled = np.full(blended.shape, np.nan)
    for fold in dict.fromkeys(trees["fold"].tolist()):
        rows = trees["fold"] == fold
        scaled[rows] = rescale(blended[rows], trees[f"{frame}_tree"][rows])
    made.append(Trial("blend, rescaled to the trees", scaled, patch, official, patient, folds))
    return made


def _trial(name: str, one: Arrays, design: Arrays, frame: str) -> Trial:
    place = {patient: i for i, patient in enumerate(_keys(design))}
    rows = [place[patient] for patient in _keys(one)]
    folds = len(set(one["fold"].tolist()))
    return Trial(name, one[frame], design[frame][rows], one["official"], one["patient"], folds)


def _keys(arrays: Arrays) -> list[tuple[str, str]]:
    """Patient and fold: with repeats a patient may be tested more than once."""
    return list(zip(arrays["patient"].tolist(), arrays["fold"].tolist(), strict=True))


# ── how many patients it takes ───────────────────────────────────────────────────────────


def learning(scores: Mapping[str, Arrays], patients: Mapping[str, float], folder: Path) -> Result:
    """R and RMSE at found joints over the patients that the damage network was trained on.

    Args:
        scores: name of a damage network → its arrays of patients whom it has not seen; all of the
            same folds.
        patients: name → how many patients it was trained on, mean over the folds.
        folder: of the report.
    """
    names = sorted(scores, key=lambda name: patients[name])
    counts = np.array([round(patients[name]) for name in names])
    rows: list[list[Any]] = []
    panels: dict[str, list[LearningCurve]] = {words: [] for words in QUANTITIES.values()}
    for code, title in FAMILY_TITLES.items():
        made = [
            intervals(
                arrays["predicted"][:, GROUPS[code]], arrays["official"][:, GROUPS[code]],
                QUANTITIES, RESAMPLES, arrays["patient"],
            )
            for arrays in (scores[name] for name in names)
        ]  # fmt: skip
        for quantity, words in QUANTITIES.items():
            curve = np.array([estimate(found[quantity]) for found in made])
            panels[words].append(LearningCurve(title, counts, *curve.T))
        for count, found in zip(counts, made, strict=True):
            cells = [cell for interval in found.values() for cell in interval_cells(interval)]
            rows.append([title, int(count), *cells])
    first = scores[names[0]]
    view = save_view(
        learning_curves(
            panels, n_test=len(first["official"]), band="95 % interval over patients"
        ),
        folder, "learning", "Patch scores by the number of patients that the damage network was "
        "trained on, with as many steps.",
    )  # fmt: skip
    heads = [head for words in QUANTITIES.values() for head in interval_heads(words)]
    folds = len(set(first["fold"].tolist()))
    section = Section(
        "learning", "More than the paper: learning curve",
        f"Patch scores, at joints that were found, of all patients whom the networks of "
        f"{folds} {'fold' if folds == 1 else 'folds'} have not seen. Fewer patients are shown more "
        "often, so that a loss comes from fewer patients, not from less training. Localisers are "
        "those of the whole fold.",
        (view,),
        (TableView("By training patients", ["targets", "patients", *heads], rows, "learning.csv"),),
    )  # fmt: skip
    return Result(section, "The paper trains on half of its patients and no fewer.")
