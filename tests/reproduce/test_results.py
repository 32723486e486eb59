"""Sections say what the arrays hold, and each claim gets its verdict from the right ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mandora.core.anatomy import LANDMARKS, SITES, TARGETS, Damage, Limb, Slot

pytest.importorskip("matplotlib")

from mandora.core.settings import EquivalenceSettings
from mandora.datasets.dataset import Dataset, DatasetFilm
from mandora.evaluation.figures import style
from mandora.evaluation.scores import measures, totals
from mandora.metrics import GROUPS
from mandora.metrics.joints import measure
from mandora.reproduce.claims import complete
from mandora.reproduce.report import Result, write_report
from mandora.reproduce.results.ablations import ablations, learning
from mandora.reproduce.results.comparisons import MaskFigure, fold_values, segmentation, symmetry
from mandora.reproduce.results.localisation import localisation
from mandora.reproduce.results.maps import correlations, predictors
from mandora.reproduce.results.readers import against_truth, human_limit, reader_tables

PATIENTS, FOLDS = 40, 8
MAXIMA = np.array([t.maximum for t in TARGETS], dtype=float)
MARGINS = EquivalenceSettings()
NAMES = np.array([f"P{i}" for i in range(PATIENTS)])
FIGURES = {
    False: MaskFigure(5, "fig5", "space", "none", "They see all."),
    True: MaskFigure(6, "fig6", "erosion", "none", "They see all."),
}
FOLD = np.repeat([f"fold-{i + 1:02}" for i in range(FOLDS)], PATIENTS // FOLDS)


def noisy(official: np.ndarray, sd: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.clip(official + rng.normal(0, sd, official.shape), 0, MAXIMA)


@pytest.fixture(scope="module")
def official() -> np.ndarray:
    rng = np.random.default_rng(0)
    severity = rng.random((PATIENTS, 1))
    return np.floor(severity * rng.random((PATIENTS, len(TARGETS))) * (MAXIMA + 1))


@pytest.fixture(scope="module")
def trees(official: np.ndarray) -> dict[str, Any]:
    made: dict[str, Any] = {"official": official, "fold": FOLD, "patient": NAMES}
    for frame, worse in (("true", 0.0), ("predicted", 0.2)):
        made[f"{frame}_patch"] = noisy(official, 0.9 + worse, 1)
        made[f"{frame}_tree"] = noisy(official, 0.7 + worse, 2)
        made[f"{frame}_blend"] = (made[f"{frame}_patch"] + made[f"{frame}_tree"]) / 2
    return made


@pytest.fixture
def unsaved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made, not written: writing is tested elsewhere, and slow."""
    monkeypatch.setattr(style, "save", lambda *_: None)


def film(folder: Path, slot: Slot, width: int, height: int) -> DatasetFilm:
    path = folder / f"{slot.code}.png"
    Image.fromarray(np.tile(np.arange(width, dtype=np.uint8), (height, 1))).save(path)
    return DatasetFilm("P1", slot, path, np.empty((0, 2)))


def outcomes(found: Any) -> dict[str, str]:
    return {verdict.claim.id: verdict.outcome for verdict in found.verdicts}


def test_located_joints_are_counted_and_shown(tmp_path: Path) -> None:
    count = len(LANDMARKS[Limb.HAND])
    true = np.full((2, count, 2), np.nan)
    true[0, :3], true[1, :2] = 100.0, 100.0
    found = true.copy()
    found[0, 0] += (3, 8)  # 3 / 300 and 8 / 200
    found[0, 1] = np.nan
    landmarks = {
        "film": np.array(["a", "b"]), "limb": np.array(["hand", "foot"]),
        "size": np.array([[300.0, 200.0], [100.0, 100.0]]), "true": true, "found": found,
    }  # fmt: skip
    films = [film(tmp_path, Slot.parse("LH"), 300, 200), film(tmp_path, Slot.parse("LF"), 100, 100)]
    made = localisation(landmarks, films, tmp_path)
    rows = {row[0]: row for row in made.section.tables[0].rows}
    assert rows["finger"][1] == 3
    assert rows["finger"][4] == pytest.approx(1 / 3)  # of three one is exact, one far, one missed
    assert rows["toe"][1] == 2
    assert rows["wrist"][1] == 0
    assert [view.png for view in made.section.figures] == [
        "figures/fig3.png", "figures/fig3-examples.png",
    ]  # fmt: skip
    assert (tmp_path / "figures" / "fig3.svg").exists()
    # three joints are no evidence
    assert set(outcomes(made).values()) == {"not testable here"}


def test_folds_are_measured_one_by_one(official: np.ndarray, trees: dict[str, Any]) -> None:
    columns = list(GROUPS["eh"])
    made = fold_values(trees["true_patch"][:, columns], official[:, columns], FOLD)
    rows = FOLD == "fold-03"
    wanted = measure(trees["true_patch"][rows][:, columns], official[rows][:, columns])
    assert made["r"][2] == pytest.approx(wanted["r"].value)
    assert made["rmse"][2] == pytest.approx(wanted["rmse"].value)
    assert len(made["r"]) == FOLDS


@pytest.mark.usefixtures("unsaved")
@pytest.mark.parametrize("erosion", [False, True])
def test_masks_that_help_in_every_fold(tmp_path: Path, official: np.ndarray, erosion: bool) -> None:
    mask = "erosion" if erosion else "space"
    scores = {
        name: {"true": noisy(official, sd, 3), "predicted": noisy(official, sd + 0.2, 4),
               "official": official, "fold": FOLD, "patient": NAMES}
        for name, sd in (("none", 1.6), (mask, 0.4))
    }  # fmt: skip
    made = segmentation(scores, "true", tmp_path, FIGURES[erosion], MARGINS)
    held = outcomes(made)
    assert len(held) == (4 if erosion else 8)
    assert set(held.values()) == {"did not hold" if erosion else "held"}
    assert f"{mask!r} and 'none'" in made.section.text
    assert "They see all." in made.section.text
    beside = FIGURES[erosion]._replace(decides=False)
    assert segmentation(scores, "true", tmp_path, beside, MARGINS).verdicts == ()
    found = segmentation(scores, "predicted", tmp_path, FIGURES[erosion], MARGINS)
    assert found.verdicts == ()
    rows = found.section.tables[0].rows
    assert {row[1] for row in rows} == {"no mask", "erosions" if erosion else "joint spaces"}
    row = next(r for r in rows if r[:2] == ["hand narrowing", "no mask"])
    columns = list(GROUPS["nh"])
    wanted = measure(scores["none"]["predicted"][:, columns], official[:, columns], ["r"])["r"]
    assert row[2].value == pytest.approx(wanted.value)
    assert row[3] < row[2].value < row[4]


@pytest.mark.usefixtures("unsaved")
def test_trees_that_help(tmp_path: Path, trees: dict[str, Any]) -> None:
    held = outcomes(symmetry(trees, "true", tmp_path, MARGINS))
    assert held.pop("symmetry-ef-r") == "did not hold"  # the paper's gain was not significant
    assert set(held.values()) == {"held"}
    made = symmetry(trees, "predicted", tmp_path, MARGINS)
    assert made.verdicts == ()
    base = made.section.tables[1]
    assert list(base.columns) == ["targets", "all zero", "mean score"]


@pytest.mark.usefixtures("unsaved")
def test_labels_correlate(tmp_path: Path, official: np.ndarray) -> None:
    made = correlations(official, tmp_path)
    assert outcomes(made)["totals-left-right"] == "held"
    same = next(t for t in made.section.tables if t.csv == "fig7-same.csv")
    assert len(same.rows) == len(SITES)
    assert same.rows[4][5] == pytest.approx(1)


@pytest.mark.usefixtures("unsaved")
def test_shap_of_folds_is_pooled(tmp_path: Path) -> None:
    count = len(SITES)
    same = np.stack([np.eye(count) * 2 + 0.1, np.eye(count) * 4 + 0.1])
    other = np.stack([np.eye(count) * 0.5 + 0.01] * 2)
    rows = np.array([[10] * count, [30] * count])
    made = predictors({"same": same, "other": other, "rows": rows}, tmp_path, "as they are")
    held = outcomes(made)
    assert (held["shap-own"], held["shap-other"]) == ("held", "held")
    table = next(t for t in made.section.tables if t.csv == "table2.csv")
    assert table.rows[0][1] == pytest.approx((10 * 2.1 + 30 * 4.1) / 40)
    nothing = {"same": same * np.nan, "other": other * np.nan, "rows": rows * 0}
    empty = predictors(nothing, tmp_path, "in both orders")
    assert set(outcomes(empty).values()) == {"not testable here"}


@pytest.mark.usefixtures("unsaved")
def test_readers(tmp_path: Path, official: np.ndarray, trees: dict[str, Any]) -> None:
    names = [f"P{i}" for i in range(PATIENTS)]
    tables = [noisy(official, sd, seed).round() for seed, sd in ((5, 0.3), (6, 0.6))]
    by_reader = {
        name: dict(zip(names, table, strict=True)) for name, table in zip("ab", tables, strict=True)
    }
    labels = dict(zip(names, official, strict=True))
    dataset = Dataset(tmp_path, "ra2", (), (), labels, by_reader)
    readers = reader_tables(dataset, [*names[:3], "P99"])
    assert readers is not None
    np.testing.assert_array_equal(readers[1][:3], tables[1][:3])
    assert np.isnan(readers[0][3]).all()
    assert reader_tables(Dataset(tmp_path, "ra2", (), (), labels), names) is None
    made = human_limit(trees, (tables[0], tables[1]), tmp_path)
    assert len(made.verdicts) == 5
    row = next(r for r in made.section.tables[0].rows if r[:2] == ["narrowing", "reader 2"])
    columns = list(GROUPS[str(Damage.NARROWING)])
    wanted = measure(tables[1][:, columns], tables[0][:, columns], ["r"])["r"]
    assert row[2].value == pytest.approx(wanted.value)
    alone = human_limit(trees, None, tmp_path)
    assert set(outcomes(alone).values()) == {"not testable here"}
    assert alone.section.figures == ()
    tests = {tuple(row[:2]): row for row in made.section.tables[1].rows}
    row = tests["erosion", "RMSE"]
    assert row[3:5] == [FOLDS, "exact"]
    assert row[8] == PATIENTS
    assert row[6] < row[5].value < row[7]
    model, other, one = (
        t[:, list(GROUPS["erosion"])] for t in (trees["predicted_blend"], tables[1], tables[0])
    )
    gap = measure(model, one, ["rmse"])["rmse"].value - measure(other, one, ["rmse"])["rmse"].value
    assert row[5].value == pytest.approx(gap)


def test_the_truth_of_a_simulated_cohort_stays_beside_the_readers(
    tmp_path: Path, official: np.ndarray, trees: dict[str, Any]
) -> None:
    reader = noisy(official, 0.3, 5).round()
    made = against_truth({**trees, "official": reader}, official, reader)
    rows = {tuple(row[:2]): row for row in made.section.tables[0].rows}
    columns = list(GROUPS["nf"])
    for name, table in (("reader 1", reader), ("blend", trees["predicted_blend"])):
        wanted = measure(table[:, columns], official[:, columns], ["r"])["r"]
        assert rows["foot narrowing", name][2].value == pytest.approx(wanted.value)
    assert made.verdicts == ()


def arrays(official: np.ndarray, sd: float, seed: int, rows: slice = slice(None)) -> dict[str, Any]:
    return {
        "true": noisy(official, sd, seed)[rows], "predicted": noisy(official, sd + 0.2, seed)[rows],
        "official": official[rows], "fold": FOLD[rows],
        "patient": np.array([f"P{i}" for i in range(PATIENTS)])[rows],
        "test": np.ones(PATIENTS, bool)[rows],
    }  # fmt: skip


def test_a_change_is_measured_on_the_patients_of_both(
    tmp_path: Path, official: np.ndarray, trees: dict[str, Any]
) -> None:
    two = slice(0, 2 * PATIENTS // FOLDS)
    scores = {
        "space": arrays(official, 0.6, 3), "none": arrays(official, 1.4, 4),
        "ordinal": arrays(official, 0.6, 3, two),
    }  # fmt: skip
    made = ablations(scores, trees)
    assert [table.csv for table in made.section.tables] == [
        "ablations-true.csv", "ablations-predicted.csv",
    ]  # fmt: skip
    rows = {row[1]: row for row in made.section.tables[0].rows if row[0] == "hand narrowing"}
    assert rows["as designed"][5].value == 0
    assert rows["no mask"][7] < 0  # r is lower for certain
    assert rows["no mask"][9].value > 0
    # the same scores of the patients of two folds
    assert rows["ordinal head"][2:4] == [2, 2 * PATIENTS // FOLDS]
    assert rows["ordinal head"][5].value == 0
    assert rows["with trees (blend)"][5].value > 0


def test_trees_only_compare_with_their_own_patch_scores(
    tmp_path: Path, official: np.ndarray, trees: dict[str, Any]
) -> None:
    made = ablations({"space": arrays(official, 2.0, 3)}, trees)
    row = next(r for r in made.section.tables[0].rows if r[1] == "with trees (blend)")
    columns = list(GROUPS["nh"])
    gain = [
        measure(trees[f"true_{stage}"][:, columns], official[:, columns])["r"].value
        for stage in ("blend", "patch")
    ]
    assert row[5].value == pytest.approx(gain[0] - gain[1])


@pytest.mark.usefixtures("unsaved")
def test_a_learning_curve_rises_with_the_patients(tmp_path: Path, official: np.ndarray) -> None:
    scores = {"share-25": arrays(official, 1.6, 5), "space": arrays(official, 0.4, 6)}
    made = learning(scores, {"share-25": 15, "space": 60}, tmp_path)
    rows = [row for row in made.section.tables[0].rows if row[0] == "foot erosion"]
    assert [row[1] for row in rows] == [15, 60]
    assert rows[0][2].value < rows[1][2].value
    assert rows[0][5].value > rows[1][5].value


def no_feet(table: np.ndarray) -> np.ndarray:
    made = table.copy()
    made[:, [i for i, t in enumerate(TARGETS) if t.limb is Limb.FOOT]] = np.nan
    return made


def constant(table: np.ndarray) -> np.ndarray:
    return np.full(table.shape, 0.5)


@pytest.mark.usefixtures("unsaved")
@pytest.mark.parametrize(
    ("of_scores", "of_labels", "patients"),
    [
        (no_feet, no_feet, PATIENTS),
        (constant, np.copy, PATIENTS),
        (np.copy, np.zeros_like, PATIENTS),
        (np.copy, np.copy, 1),
        (np.full_like, np.copy, PATIENTS),
    ],
    ids=["no feet", "constant", "no damage", "one patient", "nothing scored"],
)
def test_poor_data_give_reasons_not_crashes(
    tmp_path: Path, official: np.ndarray, of_scores: Any, of_labels: Any, patients: int
) -> None:
    rows = slice(0, patients)
    labels = of_labels(official)[rows]
    who = {"official": labels, "fold": FOLD[rows], "test": np.ones(patients, bool),
           "patient": np.array([f"P{i}" for i in range(patients)])}  # fmt: skip

    def table(seed: int) -> np.ndarray:
        made = noisy(official, 0.5, seed)[rows]
        return np.full_like(made, np.nan) if of_scores is np.full_like else of_scores(made)

    stages = {
        f"{f}_{s}": table(1) for f in ("true", "predicted") for s in ("patch", "tree", "blend")
    }
    trees = {**stages, **who}
    scores = {
        m: {"true": table(2), "predicted": table(3), **who} for m in ("space", "none", "erosion")
    }
    found = [
        *(segmentation(scores, f, tmp_path, FIGURES[e], MARGINS) for f in ("true", "predicted")
          for e in (False, True)),
        correlations(labels, tmp_path),
        *(symmetry(trees, f, tmp_path, MARGINS) for f in ("true", "predicted")),
        human_limit(trees, (labels, table(4)), tmp_path),
        Result(measures(trees, tmp_path)), Result(totals(trees, tmp_path)),
        ablations(scores, trees),
        learning({"share-50": scores["none"], "space": scores["space"]},
                 {"share-50": 5, "space": 10}, tmp_path),
    ]  # fmt: skip
    verdicts = complete(v for one in found for v in one.verdicts)
    assert all(v.reason for v in verdicts if v.outcome == "not testable here")
    path = write_report(tmp_path, {}, found, verdicts)
    assert "nan" not in path.read_text(encoding="utf-8").lower().replace("finan", "")
