"""Figure 10: the model beside human readers. Also: both beside the simulator's truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mandora.core.anatomy import TARGETS, Damage
from mandora.datasets.dataset import Dataset
from mandora.evaluation.figures.style import save_view
from mandora.evaluation.page import Section, TableView, interval_cells, interval_heads
from mandora.evaluation.scores import RESAMPLES, estimate
from mandora.metrics import GROUPS, QUANTITIES, Arrays, Floats
from mandora.metrics.agreement import signed_ranks
from mandora.metrics.bootstrap import intervals
from mandora.reproduce.comparison_rules import FoldPair, limit_claims
from mandora.reproduce.figures import readers as figures
from mandora.reproduce.report import Result
from mandora.reproduce.results.comparisons import fold_pairs, fold_values, interval_table

TITLE = "The human limit (figure 10)"
PAPER = (
    "For narrowing the model comes close to what two readers agree on; for erosion, on which "
    "readers agree less, it does not."
)


def reader_tables(dataset: Dataset, patients: Sequence[str]) -> tuple[Floats, Floats] | None:
    """(patients, 86) scores of the first two readers; None if there are not two."""
    if len(dataset.readers) < 2:
        return None
    unknown = np.full(len(TARGETS), np.nan)
    first, second = list(dataset.readers.values())[:2]
    return (
        np.array([first.get(name, unknown) for name in patients]),
        np.array([second.get(name, unknown) for name in patients]),
    )


def human_limit(trees: Arrays, readers: tuple[Floats, Floats] | None, folder: Path) -> Result:
    """Figure 10: the model against the first reader, beside the second reader against the first.

    Args:
        trees: test patients of all folds.
        readers: their scores by two readers; None if there are not two.
        folder: of the report.
    """
    if readers is None:
        text = "The data set has no two readers, so there is nothing to compare with."
        return Result(Section("fig10", TITLE, text), PAPER, tuple(limit_claims({}, None)))
    made, between = {}, {}
    for damage in Damage:
        columns = GROUPS[str(damage)]
        one, two = (scores[:, columns] for scores in readers)
        made[damage] = _limit(damage, trees["predicted_blend"][:, columns], one, two, trees)
        between[damage] = fold_values(two, one, trees["fold"])["r"]
    easier, harder = between[Damage.NARROWING], between[Damage.EROSION]
    verdicts = limit_claims(
        {damage: limit.pairs for damage, limit in made.items()},
        FoldPair(easier, harder, signed_ranks(easier, harder, "greater")),
    )
    view = save_view(
        figures.human_limit([limit.panel for limit in made.values()]), folder, "fig10",
        "The model (at joints that were found, with trees) and the second reader, each against the "
        "first reader.",
    )  # fmt: skip
    heads = [head for words in QUANTITIES.values() for head in interval_heads(words)]
    tables = (
        TableView("Agreement with the first reader", ["damage", "against reader 1", *heads],
                  [row for limit in made.values() for row in limit.rows], "fig10.csv"),
        TableView(
            "The model less the second reader: two-sided paired Wilcoxon signed-rank test over "
            "folds",
            ["damage", "quantity", "p", "folds that differ", "distribution", "model − reader 2",
             "low", "high", "patients"],
            [row for limit in made.values() for row in limit.tests], "fig10-tests.csv",
        ),
    )  # fmt: skip
    text = (
        "Test patients of all folds that both readers have scored. The test is the paper's: r and "
        "RMSE of each fold, of the model and of the second reader, both against the first. That "
        "they do not differ significantly is no evidence that they are alike; the claims are "
        "tested by the interval of the difference over patients."
    )
    return Result(Section("fig10", TITLE, text, (view,), tables), PAPER, tuple(verdicts))


def against_truth(trees: Arrays, truth: Floats, reader: Floats) -> Result:
    """The model against the truth of a simulated cohort, which no reader knows.

    Args:
        trees: test patients of all folds.
        truth: (patients, 86) their true grades.
        reader: likewise the first reader's, which are the official label.
    """
    methods = {"patch": trees["predicted_patch"], "blend": trees["predicted_blend"],
               "reader 1": reader}  # fmt: skip
    table = interval_table(
        "All test patients, at found joints", methods, truth, trees["patient"], "truth.csv"
    )
    text = (
        "All other numbers of this report are against the first reader, whose scores are the "
        "official label, as in a real cohort. A simulated one has error-free grades as well "
        "(training.csv of the cohort). Here the model and that reader are compared with those."
    )
    return Result(Section("truth", "Against the simulator's truth", text, tables=(table,)))


class _Limit(NamedTuple):
    """Model and second reader on one kind of damage: as figure, claims and tables want them."""

    panel: figures.ReaderPanel
    pairs: dict[str, FoldPair]
    rows: list[list[Any]]
    tests: list[list[Any]]


def _limit(damage: Damage, model: Floats, one: Floats, two: Floats, trees: Arrays) -> _Limit:
    """Scores of the model and of both readers, (patients, joints) of that damage each."""
    found = {
        name: intervals(scores, one, QUANTITIES, RESAMPLES, trees["patient"])
        for name, scores in (("model", model), ("reader 2", two))
    }
    rows = [
        [str(damage), name, *(cell for n in numbers.values() for cell in interval_cells(n))]
        for name, numbers in found.items()
    ]
    pairs = fold_pairs(model, two, one, trees, sides=2)
    drawn, tests = {}, []
    for quantity, pair in pairs.items():
        p, change, method = pair.test.p, pair.change, pair.test.method or "not defined"
        assert change is not None
        drawn[quantity] = figures.LimitTest(p.value, p.n, method, estimate(change), change.patients)
        tests.append([str(damage), QUANTITIES[quantity], p, p.n, method,
                      *interval_cells(change), change.patients])  # fmt: skip
    r, rmse = (
        {name: estimate(numbers[quantity]) for name, numbers in found.items()}
        for quantity in QUANTITIES
    )
    highest = max(t.maximum for t in TARGETS if t.damage is damage)
    panel = figures.ReaderPanel(
        str(damage), one.ravel(), two.ravel(), model.ravel(), highest, r, rmse, drawn
    )
    return _Limit(panel, pairs, rows, tests)
