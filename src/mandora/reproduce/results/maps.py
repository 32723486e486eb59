"""Table 1, figures 7 and 9: how sites correlate, and what the trees' predictions rest on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mandora.core.anatomy import SITES
from mandora.evaluation.figures.style import save_view
from mandora.evaluation.page import Section, TableView
from mandora.metrics import Arrays, Floats
from mandora.metrics.correlations import joint_correlations, total_correlations
from mandora.metrics.explain import Contributions, summarise
from mandora.reproduce.claim_rules import joint_claims, shap_claims, total_claims
from mandora.reproduce.figures.joint_maps import correlation_maps, shap_maps
from mandora.reproduce.report import Result


def _site_table(title: str, table: Floats, csv: str) -> TableView:
    """A (43, 43) map as a CSV file, with the site's words before each row; not on the page."""
    rows: list[list[Any]] = [
        [f"{s.limb} {s.name} {s.damage}", *map(float, table[i])] for i, s in enumerate(SITES)
    ]
    return TableView(title, ["site", *(site.code for site in SITES)], rows, csv, shown=0)


def correlations(official: Floats, folder: Path, labels: str = "the official labels") -> Result:
    """Table 1 and figure 7, of the labels alone; ``labels`` says which, for the report."""
    totals = total_correlations(official)
    maps = {str(side): found for side, found in joint_correlations(official).items()}
    verdicts = [*total_claims(totals), *joint_claims(maps)]
    parts = list(dict.fromkeys(part for found in totals.values() for part in found))
    rows: list[list[Any]] = [
        [name, *(found.get(part) for part in parts)] for name, found in totals.items()
    ]
    view = save_view(
        correlation_maps(maps["same"].r, maps["other"].r, n_patients=len(official)),
        folder, "fig7", "Correlation of every site with every other, same side and other side.",
    )  # fmt: skip
    tables = [TableView("Pearson's r of totals", ["", *parts], rows, "table1.csv")]
    tables += [_site_table(f"r, {side} side", found.r, f"fig7-{side}.csv")
               for side, found in maps.items()]  # fmt: skip
    section = Section(
        "fig7", "Correlations of damage (table 1, figure 7)",
        f"Of {labels} of all patients, without any network.", (view,), tuple(tables),
    )  # fmt: skip
    paper = (
        "Totals of narrowing and erosion, left and right, hands and feet correlate from medium to "
        "high, and so do nearly all joints with each other."
    )
    return Result(section, paper, tuple(verdicts))


def predictors(shap: Arrays, folder: Path, rows_explained: str) -> Result:
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
    view = save_view(
        shap_maps(made.same, made.other, n_rows=int(made.n_rows.max())), folder, "fig9",
        "Mean |SHAP| of every patch score (column) for the prediction of every site (row).",
    )  # fmt: skip
    tables = [TableView("What predicts a score", ["", "value", "sites"], rows, "fig9.csv")]
    tables += [_site_table("Mean |SHAP|, same side", made.same, "table2.csv"),
               _site_table("Mean |SHAP|, other side", made.other, "table3.csv")]  # fmt: skip
    section = Section(
        "fig9", "What the trees use (figure 9, tables 2 and 3)",
        f"SHAP values of test patients' predictions, rows {rows_explained}: mean over patients, "
        "sides and folds.",
        (view,), tuple(tables),
    )  # fmt: skip
    paper = (
        "The strongest predictor of a joint is its own patch score; on the other side it is the "
        "same joint; joints of the wrist, and the two kinds of damage, predict each other."
    )
    return Result(section, paper, tuple(verdicts))
