"""The figures that only the report on the paper shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from mandora.core.anatomy import SITES
from mandora.evaluation.figures.style import GROUP_COLOURS, Estimate
from mandora.metrics import FAMILY_TITLES
from mandora.reproduce.figures.comparison import FoldValues, PairTest, comparison
from mandora.reproduce.figures.joint_maps import (
    DOUBLE_LINE,
    HIGHLIGHT,
    SINGLE_LINE,
    correlation_maps,
    family_edges,
    group_edges,
    shap_maps,
)
from mandora.reproduce.figures.learning import LearningCurve, learning_curves
from mandora.reproduce.figures.readers import LimitTest, ReaderPanel, human_limit

N = len(SITES)
WILCOXON = "one-sided paired Wilcoxon signed-rank test, exact"


def words(figure: Figure) -> str:
    """All text of a figure, in one line."""
    return " ".join(" ".join(t.get_text().split()) for t in figure.findobj(Text))


# --- figures 5, 6 and 8


def folds(values: np.ndarray, p_value: float = 0.002) -> FoldValues:
    tests = (PairTest(0, len(values) - 1, p_value, WILCOXON),)
    return FoldValues(values, tests, "every score is 0")


def test_folds_are_joined_and_the_test_is_named() -> None:
    values = np.array([[0.7, 0.72, 0.74], [0.75, 0.76, 0.78]])
    every = {family: {"r": folds(values), "rmse": folds(1 - values)} for family in FAMILY_TITLES}
    figure = comparison(["without", "with"], every, subject="Mask")
    assert len(figure.axes) == 2 * len(FAMILY_TITLES)
    joined = [list(line.get_ydata()) for line in figure.axes[0].lines[:3]]
    assert joined == [[0.7, 0.75], [0.72, 0.76], [0.74, 0.78]]
    labels = [t.get_text() for t in figure.axes[0].get_xticklabels()]
    assert labels == ["without\n0.720", "with\n0.763"]
    said = words(figure)
    assert "Mask, 3 folds" in said
    assert said.count("p = 0.002") == len(figure.axes)
    assert said.count(WILCOXON) == 1


def test_one_fold_missing_folds_and_missing_families() -> None:
    one = folds(np.array([[0.7], [0.8], [0.9]]), np.nan)
    gaps = np.array([[0.7, np.nan], [0.8, np.nan], [0.9, 0.9]])
    nothing = folds(np.full((3, 2), np.nan), np.nan)
    alone = comparison(["a", "b", "c"], {"eh": {"r": one}}, subject="One")
    assert len(alone.axes) == 2
    assert "One, 1 fold" in words(alone)
    assert "no test" in words(alone)
    assert "no finite value in any fold" in words(alone)  # RMSE was not given
    mixed = {"eh": {"r": folds(gaps), "rmse": nothing}, "ef": {"r": nothing, "rmse": nothing}}
    said = words(comparison(["a", "b", "c"], mixed, subject="Gaps"))
    assert "every score is 0" in said
    assert "hand erosion r 1 of 2" in said


def test_a_comparison_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="one row for each of the 2 methods"):
        comparison(["a", "b"], {"eh": {"r": folds(np.ones((3, 4)))}}, subject="x")
    with pytest.raises(ValueError, match="at least one family"):
        comparison(["a", "b"], {}, subject="x")
    with pytest.raises(ValueError, match="1 to 5"):
        comparison([], {"eh": {}}, subject="x")


# --- figures 7 and 9


def test_lines_part_groups_and_families_where_the_anatomy_does() -> None:
    changes = [i for i in range(1, N) if SITES[i].damage != SITES[i - 1].damage]
    assert family_edges() == changes  # neighbouring families always differ in damage
    groups = [
        i for i in range(1, N)
        if SITES[i].group != SITES[i - 1].group and SITES[i].damage == SITES[i - 1].damage
    ]  # fmt: skip
    assert group_edges() == groups
    figure = correlation_maps(np.eye(N), np.eye(N), n_patients=9)
    for axes in figure.axes[:2]:
        for gid, places, strokes in ((SINGLE_LINE, groups, 1), (DOUBLE_LINE, changes, 2)):
            lines = [line for line in axes.lines if line.get_gid() == gid]
            across = [line.get_ydata()[0] for line in lines if len(set(line.get_ydata())) == 1]
            down = [line.get_xdata()[0] for line in lines if len(set(line.get_xdata())) == 1]
            assert across == down == [p for p in places for _ in range(strokes)]


def test_colour_bars_cover_both_axes_in_the_colours_of_the_groups() -> None:
    figure = correlation_maps(np.eye(N), np.eye(N), n_patients=9)
    bars = [p for p in figure.axes[0].patches if isinstance(p, Rectangle)]
    upright = [b for b in bars if b.get_x() < 0]
    level = [b for b in bars if b.get_y() > N]
    assert sum(b.get_height() for b in upright) == sum(b.get_width() for b in level) == N
    for bar in upright:
        group = SITES[round(bar.get_y())].group
        assert bar.get_facecolor()[:3] == pytest.approx(to_rgb(GROUP_COLOURS[group]))
    labels = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert labels == [site.name for site in SITES]


def test_cells_without_a_value_show_the_hatched_ground() -> None:
    values = np.eye(N)
    values[3, :] = np.nan
    figure = correlation_maps(values, values, n_patients=9)
    axes = figure.axes[0]
    mask = np.ma.getmaskarray(axes.collections[0].get_array())
    assert mask[3].all()
    assert mask.sum() == N
    assert axes.patch.get_hatch()
    assert "9 patients" in words(figure)


def test_maps_without_a_single_value_say_why() -> None:
    nothing = np.full((N, N), np.nan)
    assert words(correlation_maps(nothing, nothing, n_patients=1)).count("defined correl") == 2
    said = words(shap_maps(nothing, nothing, n_rows=0))
    assert said.count("no contribution is known") == 2
    with pytest.raises(ValueError, match="43 × 43"):
        shap_maps(np.zeros((N, 2 * N)), nothing, n_rows=1)


def test_both_shap_maps_share_a_scale_and_expected_blocks_are_framed() -> None:
    same, other = np.full((N, N), 0.01), np.full((N, N), 0.02)
    same[0, 0] = 0.5
    figure = shap_maps(same, other, n_rows=20)
    scales = [axes.collections[0].norm for axes in figure.axes[:2]]
    assert [(s.vmin, s.vmax) for s in scales] == [(0.0, 0.5)] * 2
    frames = [p for p in figure.axes[0].patches if p.get_gid() == HIGHLIGHT]
    assert sorted(str(p.get_linestyle()) for p in frames) == ["-"] * 2 + ["--"] * 4


# --- figure 10


def reader_panel(count: int) -> ReaderPanel:
    random = np.random.default_rng(1)
    grades = random.integers(0, 5, (2, count)).astype(float)
    table = {"model": Estimate(0.8, 0.7, 0.9), "reader 2": Estimate(0.75)}
    return ReaderPanel("narrowing", *grades, grades[0] + 0.1, 4, table, table)


@pytest.mark.parametrize(("count", "hexagons"), [(200, 0), (3000, 1)])
def test_model_and_reader_2_stand_against_reader_1(count: int, hexagons: int) -> None:
    figure = human_limit([reader_panel(count)])
    assert [len(axes.collections) for axes in figure.axes[:2]] == [hexagons] * 2
    heights = [bar.get_height() for bar in figure.axes[2].patches]
    assert heights == [0.8, 0.75]
    said = words(figure)
    assert "r 0.800" in said
    assert f"n = {count:,}" in said
    assert "Wilcoxon" not in said


def test_figure_10_shows_its_test() -> None:
    test = LimitTest(0.012, 9, "exact", Estimate(-0.05, -0.08, -0.02), 87)
    panel = replace(reader_panel(50), tests={"r": test, "rmse": test._replace(p_value=np.nan)})
    figure = human_limit([panel])
    said = words(figure)
    assert figure.axes[2].get_xlabel() == "p = 0.012, 9 folds\nΔ −0.050\n(−0.080 to −0.020)"
    assert figure.axes[3].get_xlabel().startswith("no test")
    assert "two-sided paired Wilcoxon signed-rank test of the model" in said
    assert "exact" in said
    assert "n = 87" in said


def test_readers_who_scored_nothing_are_told_apart_from_a_crash() -> None:
    nothing = np.full(4, np.nan)
    said = words(human_limit([ReaderPanel("erosion", nothing, nothing, nothing, 5)]))
    assert "no joint was scored by both reader 2 and reader 1" in said
    assert "undefined: scores are missing" in said
    with pytest.raises(ValueError, match="differ in number"):
        human_limit([ReaderPanel("erosion", nothing, nothing[:2], nothing, 5)])


# --- learning curve


def test_curves_have_a_mean_and_a_band_and_undefined_ones_say_so() -> None:
    patients = np.array([10, 20, 40])
    mean = np.array([0.5, 0.6, np.nan])
    curve = LearningCurve("hand erosion", patients, mean, mean - 0.1, mean + 0.1)
    void = LearningCurve("foot erosion", patients, mean * np.nan, mean * np.nan, mean * np.nan)
    figure = learning_curves(
        {"Pearson's r": [curve, void], "RMSE": [void]}, n_test=5, band="5 repeats"
    )
    first, second = figure.axes
    assert len(first.lines) == len(first.collections) == 1
    assert [t.get_text() for t in first.get_xticklabels()] == ["10", "20", "40"]
    assert "undefined for every count" in " ".join(second.texts[0].get_text().split())
    assert "5 test patients" in words(figure)


def test_no_letter_is_smaller_than_seven_points() -> None:
    figure = comparison(["a", "b"], {"eh": {"r": folds(np.ones((2, 3)))}}, subject="x")
    maps = correlation_maps(np.eye(N), np.eye(N), n_patients=2)
    for text in (*figure.findobj(Text), *maps.findobj(Text)):
        assert text.get_fontsize() >= 7
