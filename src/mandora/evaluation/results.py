"""From the arrays that folds have left to sections of the report and verdicts on claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mandora.anatomy import FAMILIES, SITES
from mandora.evaluation import GROUPS, Floats, figures
from mandora.evaluation.agreement import (
    Alternative,
    joint_correlations,
    signed_ranks,
    total_correlations,
)
from mandora.evaluation.bootstrap import Resampling, intervals
from mandora.evaluation.claim_rules import (
    FoldPair,
    erosion_mask_claims,
    joint_claims,
    segmentation_claims,
    shap_claims,
    symmetry_claims,
    total_claims,
)
from mandora.evaluation.claims import FAMILY_TITLES, QUANTITIES, Verdict
from mandora.evaluation.explain import Contributions, summarise
from mandora.evaluation.gathered import Arrays
from mandora.evaluation.metrics import measure
from mandora.evaluation.report import FigureView, Section, TableView

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


def compared(
    methods: Mapping[str, Floats],
    official: Floats,
    fold: NDArray[Any],
    pair: tuple[str, str],
    sides: int,
) -> tuple[dict[str, dict[str, FoldPair]], dict[Any, dict[str, figures.FoldValues]]]:
    """Methods on the same test patients, as claims and as figures want them.

    Args:
        methods: name → (patients, 86) scores.
        official: (patients, 86) labels.
        fold: (patients,) name of each one's fold.
        pair: the method that is expected to be better, and what it is compared with.
        sides: of the test.
    """
    pairs: dict[str, dict[str, FoldPair]] = {}
    values: dict[Any, dict[str, figures.FoldValues]] = {}
    names = list(methods)
    for family, code in CODES.items():
        each = {name: per_fold(t, official, fold, code) for name, t in methods.items()}
        pairs[code], values[family] = {}, {}
        for quantity in QUANTITIES:
            better: Alternative = "greater" if quantity == "r" else "less"
            one, two = (each[name][quantity] for name in pair)
            test = signed_ranks(one, two, better if sides == 1 else "two-sided")
            pairs[code][quantity] = FoldPair(one, two, test.p)
            words = f"{'one' if sides == 1 else 'two'}-sided paired Wilcoxon signed-rank test, "
            drawn = figures.PairTest(
                names.index(pair[0]), names.index(pair[1]), test.p.value,
                words + (test.method or "not defined"),
            )  # fmt: skip
            table = np.stack([each[name][quantity] for name in names])
            values[family][quantity] = figures.FoldValues(table, (drawn,))
    return pairs, values


def _with_intervals(
    title: str, methods: Mapping[str, Floats], official: Floats, csv: str
) -> TableView:
    """R and RMSE over the test patients of all folds, with intervals over patients."""
    rows: list[list[Any]] = []
    for code, words in FAMILY_TITLES.items():
        columns = list(GROUPS[code])
        for name, table in methods.items():
            row: list[Any] = [words, name]
            made = intervals(
                table[:, columns], official[:, columns], QUANTITIES, Resampling(resamples=1000)
            )
            for found in made.values():
                row += [found.number, found.low, found.high]
            rows.append([*row, next(iter(made.values())).number.n])
    heads = ["targets", "method"]
    for word in QUANTITIES.values():
        heads += [word, f"{word}, low", f"{word}, high"]
    return TableView(title, [*heads, "n"], rows, csv)


def segmentation(scores: Mapping[str, Arrays], frame: str, folder: Path, *, erosion: bool) -> Found:
    """Figure 5, or with ``erosion`` figure 6.

    Args:
        scores: mask (``space``, ``none``, ``erosion``) → arrays of test patients, all folds.
        frame: ``true`` as published, or ``predicted``.
        folder: of the report.
        erosion: erosion masks instead of joint spaces.
    """
    number, mask = (6, "erosion") if erosion else (5, "space")
    words = "erosions" if erosion else "joint spaces"
    methods = {"no mask": scores["none"][frame], words: scores[mask][frame]}
    official, fold = scores["none"]["official"], scores["none"]["fold"]
    sides = 2 if erosion else 1
    pairs, values = compared(methods, official, fold, (words, "no mask"), sides)
    # the paper cuts patches at true joints; its claims are judged there
    judge = erosion_mask_claims if erosion else segmentation_claims
    verdicts = judge(pairs) if frame == "true" else []
    name = f"fig{number}-{frame}"
    subject = f"Patch scorer with and without {'erosion' if erosion else 'joint-space'} masks"
    view = figure_view(
        figures.comparison(list(methods), values, subject=subject), folder, name,
        f"{subject}, {IN_WORDS[frame]}.",
    )  # fmt: skip
    section = Section(
        name, f"{subject} {IN_WORDS[frame]} (figure {number})",
        "Segmenting erosions does not help." if erosion else
        "Segmenting joint spaces raises r and lowers RMSE for narrowing and erosion of hands and "
        "feet.",
        "The same network, training and folds; only the mask differs. Numbers are of test "
        "patients" + ("." if frame == "true" else ", at the joints that the fold's localisers "
                      "found: what a user of the method would meet."),
        (view,), (_with_intervals("All test patients", methods, official, f"{name}.csv"),),
        claims_of(verdicts),
    )  # fmt: skip
    return Found(section, tuple(verdicts))


def symmetry(trees: Arrays, frame: str, folder: Path) -> Found:
    """Figure 8."""
    methods = {
        "patch": trees[f"{frame}_patch"], "trees": trees[f"{frame}_tree"],
        "blend": trees[f"{frame}_blend"],
    }  # fmt: skip
    official, fold = trees["official"], trees["fold"]
    pairs, values = compared(methods, official, fold, ("blend", "patch"), 1)
    verdicts = symmetry_claims(pairs) if frame == "true" else []
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
        (view,), (_with_intervals("All test patients", methods, official, f"{name}.csv"), base),
        claims_of(verdicts),
    )  # fmt: skip
    return Found(section, tuple(verdicts))


# ── table 1, figures 7 and 9 ─────────────────────────────────────────────────────────────


def _labelled(table: Floats) -> list[list[Any]]:
    """(43, 43) with the site's words before each row."""
    return [[f"{s.limb} {s.name} {s.damage}", *map(float, table[i])] for i, s in enumerate(SITES)]


def correlations(official: Floats, folder: Path) -> Found:
    """Table 1 and figure 7, of the labels alone."""
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
        "Of the official labels of all patients, without any network.",
        (view,), tuple(tables), claims_of(verdicts),
    )  # fmt: skip
    return Found(section, tuple(verdicts))


def predictors(shap: Arrays, folder: Path) -> Found:
    """Figure 9, tables 2 and 3."""
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
        "SHAP values of test patients' predictions, mean over patients, sides and folds.",
        (view,), tuple(tables), claims_of(verdicts),
    )  # fmt: skip
    return Found(section, tuple(verdicts))
