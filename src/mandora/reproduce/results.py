"""From the arrays that folds have left to sections of the report and verdicts on claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import FAMILIES, SITES
from mandora.core.settings import EquivalenceSettings
from mandora.evaluation import figures
from mandora.evaluation.report import FigureView, Section, TableView
from mandora.metrics import GROUPS, Floats
from mandora.metrics.agreement import (
    Alternative,
    joint_correlations,
    signed_ranks,
    total_correlations,
)
from mandora.metrics.bootstrap import Interval, Resampling, difference_intervals, intervals
from mandora.metrics.explain import Contributions, summarise
from mandora.metrics.joints import measure
from mandora.reproduce.claim_rules import joint_claims, shap_claims, total_claims
from mandora.reproduce.claims import ALIKE_ALPHA, CONFIDENCE, FAMILY_TITLES, QUANTITIES, Verdict
from mandora.reproduce.comparison_rules import (
    FoldPair,
    erosion_mask_claims,
    segmentation_claims,
    symmetry_claims,
)
from mandora.reproduce.gathered import Arrays

CODES = {family: code for code, family in zip(FAMILY_TITLES, FAMILIES, strict=True)}
BASELINES = {"all zero": "rmse_zero", "mean score": "rmse_mean"}
IN_WORDS = {"true": "at true joints", "predicted": "at joints that were found"}


@dataclass(frozen=True)
class Found:
    """One experiment.

    Attributes:
        section: for the report.
        verdicts: on the claims that it tests.
    """

    section: Section
    verdicts: tuple[Verdict, ...] = ()


def figure_view(figure: Any, folder: Path, name: str, caption: str) -> FigureView:
    """Save a figure below the report's folder and show it there."""
    figures.save(figure, folder / "figures", name)
    return FigureView(f"figures/{name}.png", caption)


def claims_of(verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """Their ids, as a section names them."""
    return tuple(verdict.claim.id for verdict in verdicts)


# ── methods, fold by fold: figures 5, 6 and 8 ────────────────────────────────────────────


def per_fold(table: Floats, official: Floats, fold: NDArray[Any], code: str) -> dict[str, Floats]:
    """R and RMSE of one family in each fold; NaN where not defined."""
    made: dict[str, list[float]] = {quantity: [] for quantity in QUANTITIES}
    columns = list(GROUPS[code])
    for name in dict.fromkeys(fold.tolist()):
        rows = fold == name
        found = measure(table[rows][:, columns], official[rows][:, columns], QUANTITIES)
        for quantity, number in found.items():
            made[quantity].append(number.value)
    return {quantity: np.array(values) for quantity, values in made.items()}


def changes(
    first: Floats, second: Floats, official: Floats, *, patient: NDArray[Any]
) -> dict[str, tuple[Interval, Interval]]:
    """First less second over patients, by quantity: with the intervals of :class:`FoldPair`."""
    wide, narrow = (
        difference_intervals(
            first, second, official, QUANTITIES, Resampling(resamples=1000, level=level), patient
        )
        for level in (CONFIDENCE, 1 - 2 * ALIKE_ALPHA)
    )
    return {quantity: (wide[quantity], narrow[quantity]) for quantity in QUANTITIES}


def compared(
    methods: Mapping[str, Floats],
    arrays: Arrays,
    pair: tuple[str, str],
    sides: int,
) -> tuple[dict[str, dict[str, FoldPair]], dict[Any, dict[str, figures.FoldValues]]]:
    """Methods on the same test patients, as claims and as figures want them.

    Args:
        methods: name → (patients, 86) scores.
        arrays: ``official`` (patients, 86) labels, ``fold`` and ``patient`` (patients,) names.
        pair: the method that is expected to be better, and what it is compared with.
        sides: of the test.
    """
    pairs: dict[str, dict[str, FoldPair]] = {}
    values: dict[Any, dict[str, figures.FoldValues]] = {}
    names, official, fold = list(methods), arrays["official"], arrays["fold"]
    for family, code in CODES.items():
        columns = list(GROUPS[code])
        tables = (table[:, columns] for table in (methods[pair[0]], methods[pair[1]], official))
        over = changes(*tables, patient=arrays["patient"])
        each = {name: per_fold(t, official, fold, code) for name, t in methods.items()}
        pairs[code], values[family] = {}, {}
        for quantity in QUANTITIES:
            better: Alternative = "greater" if quantity == "r" else "less"
            one, two = (each[name][quantity] for name in pair)
            test = signed_ranks(one, two, better if sides == 1 else "two-sided")
            pairs[code][quantity] = FoldPair(one, two, test.p, *over[quantity])
            words = f"{'one' if sides == 1 else 'two'}-sided paired Wilcoxon signed-rank test, "
            drawn = figures.PairTest(
                names.index(pair[0]), names.index(pair[1]), test.p.value,
                words + (test.method or "not defined"),
            )  # fmt: skip
            table = np.stack([each[name][quantity] for name in names])
            values[family][quantity] = figures.FoldValues(table, (drawn,))
    return pairs, values


def with_intervals(
    title: str, methods: Mapping[str, Floats], official: Floats, patient: NDArray[Any], csv: str
) -> TableView:
    """R and RMSE over the test patients of all folds, with intervals over patients."""
    rows: list[list[Any]] = []
    for code, words in FAMILY_TITLES.items():
        columns = list(GROUPS[code])
        for name, table in methods.items():
            row: list[Any] = [words, name]
            made = intervals(
                table[:, columns], official[:, columns], QUANTITIES, Resampling(resamples=1000),
                patient,
            )  # fmt: skip
            for found in made.values():
                row += [found.number, found.low, found.high]
            rows.append([*row, next(iter(made.values())).number.n])
    heads = ["targets", "method"]
    for word in QUANTITIES.values():
        heads += [word, f"{word}, low", f"{word}, high"]
    return TableView(title, [*heads, "n"], rows, csv)


class MaskFigure(NamedTuple):
    """A figure that compares damage networks by what they draw.

    Attributes:
        number: of the paper's figure, 5 or 6.
        name: of the section, without the frame.
        first: name of the networks that draw.
        second: of those that do not.
        network: what both are, in words.
        judged: whether the paper's claims are judged by it.
    """

    number: int
    name: str
    first: str
    second: str
    network: str
    judged: bool = True


def segmentation(
    scores: Mapping[str, Arrays], frame: str, folder: Path, figure: MaskFigure,
    margins: EquivalenceSettings,
) -> Found:  # fmt: skip
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
    pairs, values = compared(methods, arrays, (words, "no mask"), 2 if erosion else 1)
    verdicts: list[Verdict] = []
    # the paper cuts patches at true joints; its claims are judged there
    if frame == "true" and figure.judged:
        verdicts = erosion_mask_claims(pairs, margins) if erosion else segmentation_claims(pairs)
    name = f"{figure.name}-{frame}"
    subject = f"Patch scorer with and without {'erosion' if erosion else 'joint-space'} masks"
    view = figure_view(
        figures.comparison(list(methods), values, subject=subject), folder, name,
        f"{subject}, {IN_WORDS[frame]}. {figure.network}",
    )  # fmt: skip
    number = f"figure {figure.number}" if figure.judged else f"beside figure {figure.number}"
    section = Section(
        name, f"{subject} {IN_WORDS[frame]} ({number})",
        "Segmenting erosions does not help." if erosion else
        "Segmenting joint spaces raises r and lowers RMSE for narrowing and erosion of hands and "
        "feet.",
        f"Compared are the networks {figure.first!r} and {figure.second!r} of each fold: the same "
        f"network, training and patients; only the mask differs. {figure.network} Numbers are of "
        "test patients" + ("." if frame == "true" else ", at the joints that the fold's localisers "
                           "found: what a user of the method would meet."),
        (view,),
        (with_intervals("All test patients", methods, arrays["official"], arrays["patient"],
                        f"{name}.csv"),),
        claims_of(verdicts),
    )  # fmt: skip
    return Found(section, tuple(verdicts))


def symmetry(trees: Arrays, frame: str, folder: Path, margins: EquivalenceSettings) -> Found:
    """Figure 8."""
    methods = {
        "patch": trees[f"{frame}_patch"], "trees": trees[f"{frame}_tree"],
        "blend": trees[f"{frame}_blend"],
    }  # fmt: skip
    official = trees["official"]
    pairs, values = compared(methods, trees, ("blend", "patch"), 1)
    verdicts = symmetry_claims(pairs, margins) if frame == "true" else []
    name = f"fig8-{frame}"
    view = figure_view(
        figures.comparison(list(methods), values, subject="Patch scores, trees and their blend"),
        folder, name, f"Patch scores, trees and their blend, {IN_WORDS[frame]}.",
    )  # fmt: skip
    rows: list[list[Any]] = []
    for code, words in FAMILY_TITLES.items():
        columns = list(GROUPS[code])
        made = measure(official[:, columns], official[:, columns], tuple(BASELINES.values()))
        rows.append([words, *made.values()])
    base = TableView(
        "RMSE without looking at any film", ["targets", *BASELINES], rows, f"{name}-baselines.csv"
    )
    section = Section(
        name, f"Symmetry {IN_WORDS[frame]} (figure 8)",
        "The trees over all 86 patch scores raise r and lower RMSE, but for r of foot erosion, "
        "whose gain is not significant.",
        "Trees were grown on patients whom the networks of the fold had not seen, and tried on its "
        "test patients. The blend is the mean of patch score and trees.",
        (view,),
        (with_intervals("All test patients", methods, official, trees["patient"], f"{name}.csv"),
         base),
        claims_of(verdicts),
    )  # fmt: skip
    return Found(section, tuple(verdicts))


# ── table 1, figures 7 and 9 ─────────────────────────────────────────────────────────────


def _labelled(table: Floats) -> list[list[Any]]:
    """(43, 43) with the site's words before each row."""
    return [[f"{s.limb} {s.name} {s.damage}", *map(float, table[i])] for i, s in enumerate(SITES)]


def correlations(official: Floats, folder: Path, labels: str = "the official labels") -> Found:
    """Table 1 and figure 7, of the labels alone; ``labels`` says which, for the report."""
    totals = total_correlations(official)
    maps = {str(side): found for side, found in joint_correlations(official).items()}
    verdicts = [*total_claims(totals), *joint_claims(maps)]
    parts = list(dict.fromkeys(part for found in totals.values() for part in found))
    rows: list[list[Any]] = [
        [name, *(found.get(part) for part in parts)] for name, found in totals.items()
    ]
    view = figure_view(
        figures.correlation_maps(maps["same"].r, maps["other"].r, n_patients=len(official)),
        folder, "fig7", "Correlation of every site with every other, same side and other side.",
    )  # fmt: skip
    tables = [TableView("Pearson's r of totals", ["", *parts], rows, "table1.csv")]
    for side, found in maps.items():
        cells = _labelled(found.r)
        heads = ["site", *(site.code for site in SITES)]
        tables.append(TableView(f"r, {side} side", heads, cells, f"fig7-{side}.csv", shown=0))
    section = Section(
        "fig7", "Correlations of damage (table 1, figure 7)",
        "Totals of narrowing and erosion, left and right, hands and feet correlate from medium to "
        "high, and so do nearly all joints with each other.",
        f"Of {labels} of all patients, without any network.",
        (view,), tuple(tables), claims_of(verdicts),
    )  # fmt: skip
    return Found(section, tuple(verdicts))


def predictors(shap: Arrays, folder: Path, rows_explained: str) -> Found:
    """Figure 9, tables 2 and 3.

    Args:
        shap: arrays of :func:`mandora.reproduce.jobs.explain_trees`, all folds.
        folder: of the report.
        rows_explained: ``as they are`` or ``in both orders``, for the report.
    """
    made = Contributions.pooled([
        Contributions(same, other, rows)
        for same, other, rows in zip(shap["same"], shap["other"], shap["rows"], strict=True)
    ])  # fmt: skip
    verdicts = shap_claims(made.same, made.other)
    rows: list[list[Any]] = [
        [name.replace("_", " "), number, number.n] for name, number in summarise(made).items()
    ]
    view = figure_view(
        figures.shap_maps(made.same, made.other, n_rows=int(made.n_rows.max())), folder, "fig9",
        "Mean |SHAP| of every patch score (column) for the prediction of every site (row).",
    )  # fmt: skip
    tables = [TableView("What predicts a score", ["", "value", "sites"], rows, "fig9.csv")]
    for number, (side, table) in enumerate((("same", made.same), ("other", made.other)), start=2):
        cells = _labelled(table)
        heads = ["site", *(site.code for site in SITES)]
        tables.append(
            TableView(f"Mean |SHAP|, {side} side", heads, cells, f"table{number}.csv", shown=0)
        )
    section = Section(
        "fig9", "What the trees look at (figure 9, tables 2 and 3)",
        "The strongest predictor of a joint is its own patch score; on the other side it is the "
        "same joint; joints of the wrist, and the two kinds of damage, predict each other.",
        f"SHAP values of test patients' predictions, rows {rows_explained}: mean over patients, "
        "sides and folds.",
        (view,), tuple(tables), claims_of(verdicts),
    )  # fmt: skip
    return Found(section, tuple(verdicts))
