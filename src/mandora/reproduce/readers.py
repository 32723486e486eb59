"""Beyond figure 9: readers (figure 10), severity, totals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mandora.core.anatomy import TARGETS, Damage
from mandora.datasets.dataset import Dataset
from mandora.evaluation import figures
from mandora.evaluation.report import FigureView, Section, TableView
from mandora.metrics import GROUPS, Floats
from mandora.metrics.agreement import compare_totals, signed_ranks, total
from mandora.metrics.bootstrap import Interval, Resampling, intervals
from mandora.metrics.joints import BANDS, IN_A_BAND, METRICS, by_severity, measure, severity
from mandora.reproduce.claims import FAMILY_TITLES, QUANTITIES
from mandora.reproduce.comparison_rules import FoldPair, limit_claims
from mandora.reproduce.gathered import Arrays
from mandora.reproduce.results import Found, changes, figure_view, with_intervals

RESAMPLES = Resampling(resamples=1000)
IN_BARS = ("mae", "bias")
SLOW = ("spearman", "auc")  # their intervals take minutes


def reader_tables(dataset: Dataset, patients: list[str]) -> tuple[Floats, Floats] | None:
    """(patients, 86) scores of the first two readers; None if there are not two."""
    if len(dataset.readers) < 2:
        return None
    unknown = np.full(len(TARGETS), np.nan)
    first, second = list(dataset.readers.values())[:2]
    return (
        np.array([first.get(name, unknown) for name in patients]),
        np.array([second.get(name, unknown) for name in patients]),
    )


def human_limit(trees: Arrays, readers: tuple[Floats, Floats] | None, folder: Path) -> Found:
    """Figure 10: the model against the first reader, beside the second reader against the first.

    Args:
        trees: test patients of all folds.
        readers: their scores by two readers; None if there are not two.
        folder: of the report.
    """
    paper = (
        "For narrowing the model comes close to what two readers agree on; for erosion, on which "
        "readers agree less, it does not."
    )
    title, fold = "The human limit (figure 10)", trees["fold"]
    if readers is None:
        verdicts = limit_claims({}, None)
        text = "The data set has no two readers, so there is nothing to compare with."
        ids = tuple(v.claim.id for v in verdicts)
        return Found(Section("fig10", title, paper, text, claims=ids), tuple(verdicts))
    seen = trees["predicted_blend"]
    columns = {damage: list(GROUPS[str(damage)]) for damage in Damage}
    made: dict[Damage, _Limit] = {}
    for damage, of in columns.items():
        scored = seen[:, of], readers[0][:, of], readers[1][:, of]
        made[damage] = _limit(damage, *scored, trees["patient"], fold)
    easier, harder = (
        _by_fold(readers[1][:, columns[d]], readers[0][:, columns[d]], fold, "r")
        for d in (Damage.NARROWING, Damage.EROSION)
    )
    test = signed_ranks(easier, harder, "greater")
    pairs = {damage: limit.pairs for damage, limit in made.items()}
    verdicts = limit_claims(pairs, FoldPair(easier, harder, test.p))
    view = figure_view(
        figures.human_limit([limit.panel for limit in made.values()]), folder, "fig10",
        "The model (at joints that were found, with trees) and the second reader, each against the "
        "first reader.",
    )  # fmt: skip
    rows = [row for limit in made.values() for row in limit.rows]
    test_rows = [row for limit in made.values() for row in limit.tests]
    heads = ["damage", "against reader 1"]
    for word in QUANTITIES.values():
        heads += [word, f"{word}, low", f"{word}, high"]
    table = TableView("Agreement with the first reader", heads, rows, "fig10.csv")
    tests_table = TableView(
        "The model less the second reader: two-sided paired Wilcoxon signed-rank test over folds",
        ["damage", "quantity", "p", "folds that differ", "distribution", "model − reader 2",
         "low", "high", "patients"],
        test_rows, "fig10-tests.csv",
    )  # fmt: skip
    text = (
        "Test patients of all folds that both readers have scored. The test is the paper's: r and "
        "RMSE of each fold, of the model and of the second reader, both against the first. That "
        "they do not differ significantly is no evidence that they are alike; the claims are "
        "judged by the interval of the difference over patients."
    )
    ids = tuple(v.claim.id for v in verdicts)
    tables = (table, tests_table)
    return Found(Section("fig10", title, paper, text, (view,), tables, ids), tuple(verdicts))


def against_truth(trees: Arrays, truth: Floats, reader: Floats, folder: Path) -> Found:
    """The model against the truth of a simulated cohort, which no reader knows.

    Args:
        trees: test patients of all folds.
        truth: (patients, 86) their true grades.
        reader: likewise the first reader's, which are the official label.
        folder: of the report.
    """
    methods = {"patch": trees["predicted_patch"], "blend": trees["predicted_blend"],
               "reader 1": reader}  # fmt: skip
    table = with_intervals(
        "All test patients, at found joints", methods, truth, trees["patient"], "truth.csv"
    )
    section = Section(
        "truth", "Against the simulator's truth",
        "",
        "All other numbers of this report are against the first reader, whose scores are the "
        "official label, as in a real cohort. A simulated one has error-free grades as well "
        "(training.csv of the cohort). Here the model and that reader are compared with those.",
        tables=(table,),
    )  # fmt: skip
    return Found(section)


class _Limit(NamedTuple):
    """Model and second reader on one kind of damage: as figure, claims and tables want them."""

    panel: figures.ReaderPanel
    pairs: dict[str, FoldPair]
    rows: list[list[Any]]
    tests: list[list[Any]]


def _limit(
    damage: Damage, seen: Floats, one: Floats, two: Floats, patient: Any, fold: Any
) -> _Limit:
    """Scores of the model and of both readers, (patients, joints) of that damage each."""
    found = {"model": intervals(seen, one, QUANTITIES, RESAMPLES, patient),
             "reader 2": intervals(two, one, QUANTITIES, RESAMPLES, patient)}  # fmt: skip
    rows: list[list[Any]] = []
    for name, numbers in found.items():
        rows.append([str(damage), name])
        for interval in numbers.values():
            rows[-1] += [interval.number, interval.low, interval.high]
    pairs, drawn, tests = {}, {}, []
    for quantity, over in changes(seen, two, one, patient=patient).items():
        ours, theirs = (_by_fold(t, one, fold, quantity) for t in (seen, two))
        test, change = signed_ranks(ours, theirs), over[0]
        method = test.method or "not defined"
        pairs[quantity] = FoldPair(ours, theirs, test.p, *over)
        drawn[quantity] = figures.LimitTest(
            test.p.value, test.p.n, method, _estimate(change), change.patients
        )
        tests.append([str(damage), QUANTITIES[quantity], test.p, test.p.n, method,
                      change.number, change.low, change.high, change.patients])  # fmt: skip
    r, rmse = (
        {name: _estimate(numbers[quantity]) for name, numbers in found.items()}
        for quantity in QUANTITIES
    )
    highest = max(t.maximum for t in TARGETS if t.damage is damage)
    panel = figures.ReaderPanel(
        str(damage), one.ravel(), two.ravel(), seen.ravel(), highest, r, rmse, drawn
    )
    return _Limit(panel, pairs, rows, tests)


def _estimate(interval: Interval) -> figures.Estimate:
    return figures.Estimate(interval.number.value, interval.low, interval.high)


def _by_fold(scores: Floats, reference: Floats, fold: Any, quantity: str) -> Floats:
    names = dict.fromkeys(fold.tolist())
    return np.array([
        measure(scores[fold == n], reference[fold == n], [quantity])[quantity].value for n in names
    ])  # fmt: skip


def all_measures(trees: Arrays, folder: Path) -> Found:
    """Every measure of agreement by family, at true and at found joints, with intervals."""
    official = trees["official"]
    rows: list[list[Any]] = []
    for frame in ("true", "predicted"):
        for stage in ("patch", "blend"):
            table = trees[f"{frame}_{stage}"]
            for code, words in FAMILY_TITLES.items():
                columns = list(GROUPS[code])
                names = tuple(name for name in METRICS if name not in SLOW)
                made = intervals(
                    table[:, columns], official[:, columns], names, RESAMPLES, trees["patient"]
                )
                rest = measure(table[:, columns], official[:, columns], SLOW)
                for name, found in made.items():
                    rows.append([frame, stage, words, name, found.number, found.low, found.high])
                for name, number in rest.items():
                    rows.append([frame, stage, words, name, number, None, None])
    heads = ["joints", "stage", "targets", "measure", "value", "low", "high"]
    table_view = TableView("All measures", heads, rows, "measures.csv", shown=0)
    severities, view = _by_severity(trees, folder)
    section = Section(
        "measures", "More than the paper: every measure, and by severity",
        "The paper gives r and RMSE.",
        "Measures of agreement with the official label, of test patients of all folds; intervals "
        "are 95 % over patients. Bands are thirds of a joint's maximum.",
        (view,), (severities, table_view),
    )  # fmt: skip
    return Found(section)


def _by_severity(trees: Arrays, folder: Path) -> tuple[TableView, FigureView]:
    official = trees["official"]
    stages = {"patch": trees["predicted_patch"], "blend": trees["predicted_blend"]}
    rows: list[list[Any]] = []
    bars: dict[str, Mapping[str, list[figures.Estimate]]] = {}
    found = {name: by_severity(table, official)["all"] for name, table in stages.items()}
    for band in BANDS:
        for name in stages:
            rows.append([band, name, *(found[name][band][q] for q in IN_A_BAND)])
    of_band = severity(official)
    sure = {
        name: [
            intervals(
                table, np.where(of_band == i, official, np.nan), IN_BARS, RESAMPLES,
                trees["patient"],
            )
            for i in range(len(BANDS))
        ]
        for name, table in stages.items()
    }  # fmt: skip
    for quantity in IN_BARS:
        bars[f"{quantity} (points)"] = {
            name: [_estimate(band[quantity]) for band in bands] for name, bands in sure.items()
        }
    counts = [int((of_band == i).sum()) for i in range(len(BANDS))]
    figure = figures.severity_bars(BANDS, counts, bars, unit="joint score")
    figures.save(figure, folder / "figures", "severity")
    table = TableView("By severity, at found joints", ["band", "stage", *IN_A_BAND], rows,
                      "severity.csv")  # fmt: skip
    return table, FigureView("figures/severity.png", "Error by severity of the official label.")


def totals(trees: Arrays, folder: Path) -> Found:
    """Totals per patient."""
    official, model = trees["official"], trees["predicted_blend"]
    made = compare_totals(model, official)
    names = list(next(iter(made.values())))
    rows: list[list[Any]] = [[t, *(found[n] for n in names)] for t, found in made.items()]
    figure = figures.bland_altman(total(official), total(model))
    figures.save(figure, folder / "figures", "totals")
    section = Section(
        "totals", "More than the paper: totals of patients",
        "The paper scores joints; trials report totals.",
        "Totals of the blend at found joints against those of the official label.",
        (FigureView("figures/totals.png", "Difference against mean of the two totals."),),
        (TableView("Totals", ["total", *names], rows, "totals.csv"),),
    )  # fmt: skip
    return Found(section)
