"""Figures 5, 6 and 8: methods beside each other, fold by fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mandora.core.settings import EquivalenceSettings
from mandora.evaluation.figures.style import save_view
from mandora.evaluation.page import Section, TableView, interval_cells, interval_heads
from mandora.evaluation.scores import RESAMPLES
from mandora.metrics import FAMILY_TITLES, QUANTITIES, Arrays, Floats, by_families
from mandora.metrics.agreement import Alternative, signed_ranks
from mandora.metrics.bootstrap import difference_intervals, intervals
from mandora.metrics.joints import measure
from mandora.reproduce.claims import CONFIDENCE, EQUIVALENCE_ALPHA, Verdict
from mandora.reproduce.comparison_rules import (
    FoldPair,
    erosion_mask_claims,
    segmentation_claims,
    symmetry_claims,
)
from mandora.reproduce.figures.comparison import FoldValues, PairTest, comparison
from mandora.reproduce.report import Result

BASELINES = {"all zero": "rmse_zero", "mean score": "rmse_mean"}
FRAME_TITLES = {"true": "at true joints", "predicted": "at joints that were found"}


def fold_values(scores: Floats, reference: Floats, fold: NDArray[Any]) -> dict[str, Floats]:
    """R and RMSE of each fold.

    Args:
        scores: (patients, joints) SvH points; NaN where missing.
        reference: likewise.
        fold: (patients,) names.

    Returns:
        ``r``, ``rmse`` → (folds,) values; NaN where not defined.
    """
    rows = [fold == name for name in dict.fromkeys(fold.tolist())]
    found = [measure(scores[of_fold], reference[of_fold], QUANTITIES) for of_fold in rows]
    return {name: np.array([numbers[name].value for numbers in found]) for name in QUANTITIES}


def fold_pairs(
    first: Floats, second: Floats, reference: Floats, rows: Arrays, sides: Literal[1, 2]
) -> dict[str, FoldPair]:
    """Compare two methods by r and RMSE, over folds and over patients.

    Args:
        first: (patients, joints) scores of the method that is expected to be better.
        second: likewise, of the one that it is compared with.
        reference: likewise.
        rows: ``fold`` and ``patient`` (patients,) names.
        sides: of the test.
    """
    wide, narrow = (
        difference_intervals(
            first, second, reference, QUANTITIES, replace(RESAMPLES, level=level), rows["patient"]
        )
        for level in (CONFIDENCE, 1 - 2 * EQUIVALENCE_ALPHA)
    )
    one, two = (fold_values(scores, reference, rows["fold"]) for scores in (first, second))
    made = {}
    for name in QUANTITIES:
        better: Alternative = "greater" if name == "r" else "less"
        test = signed_ranks(one[name], two[name], better if sides == 1 else "two-sided")
        made[name] = FoldPair(one[name], two[name], test, wide[name], narrow[name])
    return made


def compare_methods(
    methods: Mapping[str, Floats], rows: Arrays, pair: tuple[str, str], sides: Literal[1, 2]
) -> tuple[dict[str, dict[str, FoldPair]], dict[str, dict[str, FoldValues]]]:
    """Methods on the same test patients, as claims and as figures want them.

    Args:
        methods: name → (patients, 86) scores.
        rows: ``official`` (patients, 86) labels, ``fold`` and ``patient`` (patients,) names.
        pair: the method that is expected to be better, and what it is compared with.
        sides: of the test.
    """
    pairs: dict[str, dict[str, FoldPair]] = {}
    drawn: dict[str, dict[str, FoldValues]] = {}
    names = list(methods)
    first, second = (names.index(name) for name in pair)
    words = f"{'one' if sides == 1 else 'two'}-sided paired Wilcoxon signed-rank test, "
    for code, (official, *tables) in by_families(rows["official"], *methods.values()):
        pairs[code] = fold_pairs(tables[first], tables[second], official, rows, sides)
        each = [fold_values(table, official, rows["fold"]) for table in tables]
        drawn[code] = {}
        for name, found in pairs[code].items():
            method = words + (found.test.method or "not defined")
            test = PairTest(first, second, found.test.p.value, method)
            drawn[code][name] = FoldValues(np.stack([one[name] for one in each]), (test,))
    return pairs, drawn


def interval_table(
    title: str, methods: Mapping[str, Floats], official: Floats, patient: NDArray[Any], csv: str
) -> TableView:
    """R and RMSE over the test patients of all folds, with intervals over patients."""
    rows: list[list[Any]] = []
    for code, (labels, *tables) in by_families(official, *methods.values()):
        for name, table in zip(methods, tables, strict=True):
            found = intervals(table, labels, QUANTITIES, RESAMPLES, patient)
            cells = [cell for interval in found.values() for cell in interval_cells(interval)]
            rows.append([FAMILY_TITLES[code], name, *cells, found["r"].number.n])
    heads = [head for words in QUANTITIES.values() for head in interval_heads(words)]
    return TableView(title, ["targets", "method", *heads, "n"], rows, csv)


class MaskFigure(NamedTuple):
    """A figure that compares damage networks by the mask that they draw.

    Attributes:
        number: of the paper's figure, 5 or 6.
        name: of the section, without the frame.
        first: name of the networks that draw.
        second: of those that do not.
        network: what both are, in words.
        decides: whether the paper's claims are tested by it.
    """

    number: int
    name: str
    first: str
    second: str
    network: str
    decides: bool = True


def segmentation(
    scores: Mapping[str, Arrays], frame: str, folder: Path, figure: MaskFigure,
    margins: EquivalenceSettings,
) -> Result:  # fmt: skip
    """Figure 5 or 6.

    Args:
        scores: name of a damage network → arrays of test patients, all folds.
        frame: ``true`` as published, or ``predicted``.
        folder: of the report.
        figure: which networks are compared.
        margins: of equivalence.
    """
    erosion = figure.number == 6
    words = "erosions" if erosion else "joint spaces"
    arrays = scores[figure.second]
    methods = {"no mask": arrays[frame], words: scores[figure.first][frame]}
    pairs, values = compare_methods(methods, arrays, (words, "no mask"), 2 if erosion else 1)
    verdicts: list[Verdict] = []
    # the paper cuts patches at true joints; its claims are tested there
    if frame == "true" and figure.decides:
        verdicts = erosion_mask_claims(pairs, margins) if erosion else segmentation_claims(pairs)
    name = f"{figure.name}-{frame}"
    subject = f"Patch scorer with and without {'erosion' if erosion else 'joint-space'} masks"
    view = save_view(
        comparison(list(methods), values, subject=subject), folder, name,
        f"{subject}, {FRAME_TITLES[frame]}. {figure.network}",
    )  # fmt: skip
    number = f"figure {figure.number}" if figure.decides else f"beside figure {figure.number}"
    section = Section(
        name, f"{subject} {FRAME_TITLES[frame]} ({number})",
        f"Compared are the networks {figure.first!r} and {figure.second!r} of each fold: the same "
        f"network, training and patients; only the mask differs. {figure.network} Numbers are of "
        "test patients" + ("." if frame == "true" else ", at the joints that the fold's localisers "
                           "found: what a user of the method would meet."),
        (view,),
        (interval_table("All test patients", methods, arrays["official"], arrays["patient"],
                        f"{name}.csv"),),
    )  # fmt: skip
    paper = (
        "Segmenting erosions does not help."
        if erosion
        else "Segmenting joint spaces raises r and lowers RMSE for narrowing and erosion of hands "
        "and feet."
    )
    return Result(section, paper, tuple(verdicts))


def symmetry(trees: Arrays, frame: str, folder: Path, margins: EquivalenceSettings) -> Result:
    """Figure 8."""
    methods = {
        "patch": trees[f"{frame}_patch"], "trees": trees[f"{frame}_tree"],
        "blend": trees[f"{frame}_blend"],
    }  # fmt: skip
    official = trees["official"]
    pairs, values = compare_methods(methods, trees, ("blend", "patch"), 1)
    name, subject = f"fig8-{frame}", "Patch scores, trees and their blend"
    view = save_view(
        comparison(list(methods), values, subject=subject), folder, name,
        f"{subject}, {FRAME_TITLES[frame]}.",
    )  # fmt: skip
    rows: list[list[Any]] = [
        [FAMILY_TITLES[code], *measure(labels, labels, BASELINES.values()).values()]
        for code, (labels,) in by_families(official)
    ]
    base = TableView(
        "RMSE without looking at any film", ["targets", *BASELINES], rows, f"{name}-baselines.csv"
    )
    section = Section(
        name, f"Symmetry {FRAME_TITLES[frame]} (figure 8)",
        "Trees were grown on patients whom the networks of the fold had not seen, and tried on its "
        "test patients. The blend is the mean of patch score and trees.",
        (view,),
        (interval_table("All test patients", methods, official, trees["patient"], f"{name}.csv"),
         base),
    )  # fmt: skip
    paper = (
        "The trees over all 86 patch scores raise r and lower RMSE, but for r of foot erosion, "
        "whose gain is not significant."
    )
    verdicts = symmetry_claims(pairs, margins) if frame == "true" else []
    return Result(section, paper, tuple(verdicts))
