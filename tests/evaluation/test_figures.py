from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from matplotlib import rc_context
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.text import Text
from PIL import Image

from mandora.core.anatomy import LANDMARKS, SITES, Damage, JointGroup, Limb
from mandora.evaluation import figures as f
from mandora.evaluation.figures.joint_maps import (
    DOUBLE_LINE,
    HIGHLIGHT,
    SINGLE_LINE,
    family_edges,
    group_edges,
)
from mandora.evaluation.figures.readers import count_grades
from mandora.evaluation.figures.style import FAMILY_ORDER, GROUP_COLOURS, p_text

N = len(SITES)
WILCOXON = "one-sided paired Wilcoxon signed-rank test, exact"


def words(figure: Figure) -> str:
    """All text of a figure, in one line."""
    return " ".join(" ".join(t.get_text().split()) for t in figure.findobj(Text))


def boxes(axes: Any) -> list[PathPatch]:
    return [p for p in axes.patches if isinstance(p, PathPatch)]


def distances(seed: int = 0) -> dict[Limb, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        limb: np.exp(random.normal(np.log(0.005), 0.5, (50, len(LANDMARKS[limb])))) for limb in Limb
    }


# --- figure 3


def test_there_is_a_box_for_each_joint_and_a_line_at_the_cutoff() -> None:
    figure = f.localisation(distances())
    groups = [p.group for limb in Limb for p in LANDMARKS[limb]]
    for axes, group in zip(figure.axes, JointGroup, strict=True):
        assert len(boxes(axes)) == groups.count(group)
        dashed = [line for line in axes.lines if line.get_linestyle() == "--"]
        assert [line.get_ydata()[0] for line in dashed] == [0.02]
        named = [t.get_text() for t in axes.get_xticklabels()]
        assert named == [p.name for limb in Limb for p in LANDMARKS[limb] if p.group is group]
    assert "50 hand films and 50 foot films" in words(figure)


def test_a_joint_that_was_not_found_is_a_miss_and_one_without_truth_is_left_out() -> None:
    table = np.full((10, len(LANDMARKS[Limb.FOOT])), 0.01)
    table[:4, 0] = np.inf  # not found
    table[:4, 1] = np.nan  # no truth
    figure = f.localisation({Limb.FOOT: table})
    finger, wrist, toe = figure.axes
    shares = [t.get_text() for t in toe.texts]
    assert shares == ["60.0", "100.0", "100.0", "100.0", "100.0", "100.0"]
    assert not boxes(finger)
    assert "no film with known joints" in " ".join(wrist.texts[-1].get_text().split())
    lost = f.localisation({Limb.FOOT: np.full_like(table, np.inf)})
    assert "no joint of this group was found" in words(lost)
    assert [t.get_text() for t in lost.axes[2].texts[:6]] == ["0.0"] * 6


def test_distances_need_a_column_for_every_point() -> None:
    with pytest.raises(ValueError, match="21 columns in the order of LANDMARKS"):
        f.localisation({Limb.HAND: np.zeros((3, 6))})


def test_examples_show_true_and_found_points() -> None:
    crop = np.linspace(0, 1, 30 * 40).reshape(30, 40)
    true, found = np.array([[10.0, 12.0]]), np.array([[13.0, 12.0]])
    figure = f.localisation_examples(
        [
            f.LocatedExample(crop, true, found, "LH-mcp2", 0.01),
            f.LocatedExample(crop, true, found * np.nan, "LF-mtp3", np.nan),
        ]
    )
    plus, cross = figure.axes[0].lines
    assert (plus.get_marker(), cross.get_marker()) == ("+", "x")
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (13.0, 12.0)
    assert "LH-mcp2 distance 0.010" in words(figure)
    assert "LF-mtp3 not found" in words(figure)
    with pytest.raises(ValueError, match="at least one"):
        f.localisation_examples([])


# --- figures 5, 6 and 8


def folds(values: np.ndarray, p_value: float = 0.002) -> f.FoldValues:
    tests = (f.PairTest(0, len(values) - 1, p_value, WILCOXON),)
    return f.FoldValues(values, tests, "every score is 0")


def test_folds_are_joined_and_the_test_is_named() -> None:
    values = np.array([[0.7, 0.72, 0.74], [0.75, 0.76, 0.78]])
    every = {family: {"r": folds(values), "rmse": folds(1 - values)} for family in FAMILY_ORDER}
    figure = f.comparison(["without", "with"], every, subject="Mask")
    assert len(figure.axes) == 2 * len(FAMILY_ORDER)
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
    hand, foot = (Limb.HAND, Damage.EROSION), (Limb.FOOT, Damage.EROSION)
    alone = f.comparison(["a", "b", "c"], {hand: {"r": one}}, subject="One")
    assert len(alone.axes) == 2
    assert "One, 1 fold" in words(alone)
    assert "no test" in words(alone)
    assert "no finite value in any fold" in words(alone)  # RMSE was not given
    mixed = {hand: {"r": folds(gaps), "rmse": nothing}, foot: {"r": nothing, "rmse": nothing}}
    said = words(f.comparison(["a", "b", "c"], mixed, subject="Gaps"))
    assert "every score is 0" in said
    assert "hand erosion r 1 of 2" in said


def test_a_comparison_refuses_what_does_not_fit() -> None:
    hand = (Limb.HAND, Damage.EROSION)
    with pytest.raises(ValueError, match="one row for each of the 2 methods"):
        f.comparison(["a", "b"], {hand: {"r": folds(np.ones((3, 4)))}}, subject="x")
    with pytest.raises(ValueError, match="at least one family"):
        f.comparison(["a", "b"], {}, subject="x")
    with pytest.raises(ValueError, match="1 to 5"):
        f.comparison([], {hand: {}}, subject="x")


def test_a_p_value_is_never_printed_as_zero() -> None:
    assert p_text(1e-9) == "p < 0.001"
    assert p_text(0.0409) == "p = 0.041"
    assert p_text(np.nan) == "no test"


# --- figures 7 and 9


def test_lines_part_groups_and_families_where_the_anatomy_does() -> None:
    changes = [i for i in range(1, N) if SITES[i].damage != SITES[i - 1].damage]
    assert family_edges() == changes  # neighbouring families always differ in damage
    groups = [
        i for i in range(1, N)
        if SITES[i].group != SITES[i - 1].group and SITES[i].damage == SITES[i - 1].damage
    ]  # fmt: skip
    assert group_edges() == groups
    figure = f.correlation_maps(np.eye(N), np.eye(N), n_patients=9)
    for axes in figure.axes[:2]:
        for gid, places, strokes in ((SINGLE_LINE, groups, 1), (DOUBLE_LINE, changes, 2)):
            lines = [line for line in axes.lines if line.get_gid() == gid]
            across = [line.get_ydata()[0] for line in lines if len(set(line.get_ydata())) == 1]
            down = [line.get_xdata()[0] for line in lines if len(set(line.get_xdata())) == 1]
            assert across == down == [p for p in places for _ in range(strokes)]


def test_colour_bars_cover_both_axes_in_the_colours_of_the_groups() -> None:
    figure = f.correlation_maps(np.eye(N), np.eye(N), n_patients=9)
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
    figure = f.correlation_maps(values, values, n_patients=9)
    axes = figure.axes[0]
    mask = np.ma.getmaskarray(axes.collections[0].get_array())
    assert mask[3].all()
    assert mask.sum() == N
    assert axes.patch.get_hatch()
    assert "9 patients" in words(figure)


def test_maps_without_a_single_value_say_why() -> None:
    nothing = np.full((N, N), np.nan)
    assert words(f.correlation_maps(nothing, nothing, n_patients=1)).count("defined correl") == 2
    said = words(f.shap_maps(nothing, nothing, n_rows=0, reason="there were no trees"))
    assert said.count("there were no trees") == 2
    with pytest.raises(ValueError, match="43 × 43"):
        f.shap_maps(np.zeros((N, 2 * N)), nothing, n_rows=1)


def test_both_shap_maps_share_a_scale_and_expected_blocks_are_framed() -> None:
    same, other = np.full((N, N), 0.01), np.full((N, N), 0.02)
    same[0, 0] = 0.5
    figure = f.shap_maps(same, other, n_rows=20)
    scales = [axes.collections[0].norm for axes in figure.axes[:2]]
    assert [(s.vmin, s.vmax) for s in scales] == [(0.0, 0.5)] * 2
    frames = [p for p in figure.axes[0].patches if p.get_gid() == HIGHLIGHT]
    assert sorted(str(p.get_linestyle()) for p in frames) == ["-"] * 2 + ["--"] * 4
    plain = f.shap_maps(same, other, n_rows=20, highlight=False)
    assert not [p for p in plain.axes[0].patches if p.get_gid() == HIGHLIGHT]


def test_bars_of_one_site_are_sorted_and_name_the_side() -> None:
    same, other = np.zeros(N), np.zeros(N)
    same[5], other[5], same[0] = 0.3, 0.1, np.nan
    figure = f.shap_bars(SITES[5], same, other, n_rows=8, top=3)
    names = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert names[:2] == [
        f"hand {SITES[5].name} narrowing, {side} side" for side in ("same", "other")
    ]
    assert len(names) == 3
    assert "no contribution" in words(
        f.shap_bars(SITES[5], same * np.nan, other * np.nan, n_rows=0)
    )
    with pytest.raises(ValueError, match="43 per side"):
        f.shap_bars(SITES[5], same, other[:3], n_rows=8)


# --- figure 10, Bland-Altman, confusion


def reader_panel(count: int) -> f.ReaderPanel:
    random = np.random.default_rng(1)
    grades = random.integers(0, 5, (2, count)).astype(float)
    table = {"model": f.Estimate(0.8, 0.7, 0.9), "reader 2": f.Estimate(0.75)}
    return f.ReaderPanel("narrowing", *grades, grades[0] + 0.1, 4, table, table)


@pytest.mark.parametrize(("count", "hexagons"), [(200, 0), (3000, 1)])
def test_model_and_reader_2_stand_against_reader_1(count: int, hexagons: int) -> None:
    figure = f.human_limit([reader_panel(count)])
    assert [len(axes.collections) for axes in figure.axes[:2]] == [hexagons] * 2
    heights = [bar.get_height() for bar in figure.axes[2].patches]
    assert heights == [0.8, 0.75]
    said = words(figure)
    assert "r 0.800" in said
    assert f"n = {count:,}" in said
    assert "Wilcoxon" not in said


def test_figure_10_shows_its_test() -> None:
    test = f.LimitTest(0.012, 9, "exact", f.Estimate(-0.05, -0.08, -0.02), 87)
    panel = replace(reader_panel(50), tests={"r": test, "rmse": test._replace(p_value=np.nan)})
    figure = f.human_limit([panel])
    said = words(figure)
    assert figure.axes[2].get_xlabel() == "p = 0.012, 9 folds\nΔ −0.050\n(−0.080 to −0.020)"
    assert figure.axes[3].get_xlabel().startswith("no test")
    assert "two-sided paired Wilcoxon signed-rank test of the model" in said
    assert "exact" in said
    assert "n = 87" in said


def test_readers_who_scored_nothing_are_told_apart_from_a_crash() -> None:
    nothing = np.full(4, np.nan)
    said = words(f.human_limit([f.ReaderPanel("erosion", nothing, nothing, nothing, 5)]))
    assert "no joint was scored by both reader 2 and reader 1" in said
    assert "undefined: scores are missing" in said
    with pytest.raises(ValueError, match="differ in number"):
        f.human_limit([f.ReaderPanel("erosion", nothing, nothing[:2], nothing, 5)])


def test_limits_of_agreement_are_bias_and_1_96_standard_deviations() -> None:
    figure = f.bland_altman([10, 20, 30, np.nan], [11, 20, 34, 5])
    difference = np.array([1.0, 0.0, 4.0])
    bias, spread = difference.mean(), 1.96 * difference.std(ddof=1)
    drawn = {float(np.ravel(line.get_ydata())[0]) for line in figure.axes[0].lines if
             line.get_linestyle() in ("-", "--") and len(line.get_ydata()) == 2}  # fmt: skip
    assert sorted(drawn) == pytest.approx(sorted({bias, bias + spread, bias - spread}))
    assert "3 patients" in words(figure)
    assert "need two patients" in words(f.bland_altman([1], [2]))
    assert "no patient has both" in words(f.bland_altman([np.nan], [2]))
    with pytest.raises(ValueError, match="equally long"):
        f.bland_altman([1, 2], [1])


def test_predicted_scores_are_rounded_half_up_and_kept_in_range() -> None:
    panel = f.GradePanel(
        "x", np.array([0, 1, 2, 4, np.nan]), np.array([0.5, 1.49, 2.5, 7.0, 1.0]), 4
    )
    counts = count_grades(panel)
    assert counts.sum() == 4
    assert [counts[0, 1], counts[1, 1], counts[2, 3], counts[4, 4]] == [1, 1, 1, 1]
    figure = f.confusion([panel, panel, panel])
    assert [t.get_text() for t in figure.axes[0].texts] == ["1"] * 4
    assert "12 joint scores" in words(figure)
    empty = f.GradePanel("x", np.full(2, np.nan), np.zeros(2), 4)
    assert "no joint has both" in words(f.confusion([empty]))


# --- learning curve, severity


def test_curves_have_a_mean_and_a_band_and_undefined_ones_say_so() -> None:
    patients = np.array([10, 20, 40])
    mean = np.array([0.5, 0.6, np.nan])
    curve = f.LearningCurve("hand erosion", patients, mean, mean - 0.1, mean + 0.1)
    void = f.LearningCurve("foot erosion", patients, mean * np.nan, mean * np.nan, mean * np.nan)
    figure = f.learning_curves(
        {"Pearson's r": [curve, void], "RMSE": [void]}, n_test=5, band="5 repeats"
    )
    first, second = figure.axes
    assert len(first.lines) == len(first.collections) == 1
    assert [t.get_text() for t in first.get_xticklabels()] == ["10", "20", "40"]
    assert "undefined for every count" in " ".join(second.texts[0].get_text().split())
    assert "5 test patients" in words(figure)


def test_severity_bars_leave_out_what_is_undefined() -> None:
    known, unknown = f.Estimate(2.0, 1.5, 2.5), f.Estimate(np.nan)
    figure = f.severity_bars(
        ["0", "> 0"], [3, 1200],
        {
            "MAE": {"patch": [known, known], "blend": [unknown, known]},
            "r": {"patch": [unknown, unknown]},
        },
    )  # fmt: skip
    first, second = figure.axes
    assert [bar.get_height() for bar in first.patches] == [2.0, 2.0, 2.0]
    assert [t.get_text() for t in first.get_xticklabels()] == ["0\nn = 3", "> 0\nn = 1,200"]
    assert [t.get_text() for t in first.texts] == ["–"]
    assert "undefined in every band" in " ".join(second.texts[0].get_text().split())
    with pytest.raises(ValueError, match="2 bands"):
        f.severity_bars(["0", "> 0"], [3], {"MAE": {"patch": [known, known]}})


# --- files


def test_the_same_data_give_the_same_files_whatever_the_users_settings(tmp_path: Path) -> None:
    def drawn() -> Figure:
        return f.bland_altman([10, 20, 30], [11, 20, 34])

    figure = drawn()
    first = f.save(figure, tmp_path / "a", "agreement")
    again = f.save(figure, tmp_path / "b", "agreement")
    with rc_context({"font.size": 20, "axes.facecolor": "red", "lines.linewidth": 9}):
        fresh = f.save(drawn(), tmp_path / "c", "agreement")
    assert [p.name for p in first] == ["agreement.png", "agreement.svg", "agreement.pdf"]
    for one, two, three in zip(first, again, fresh, strict=True):
        assert one.read_bytes() == two.read_bytes() == three.read_bytes()
    assert b"<dc:date>" not in first[1].read_bytes()
    assert b"CreationDate" not in first[2].read_bytes()
    with Image.open(first[0]) as picture:
        assert round(picture.info["dpi"][0]) == 150
        rows, columns = np.nonzero(np.asarray(picture.convert("L")) < 250)
        assert max(rows.min(), columns.min()) < 20
        assert min(picture.height - rows.max(), picture.width - columns.max()) < 20


def test_no_letter_is_smaller_than_seven_points() -> None:
    figure = f.comparison(
        ["a", "b"], {(Limb.HAND, Damage.EROSION): {"r": folds(np.ones((2, 3)))}}, subject="x"
    )
    maps = f.correlation_maps(np.eye(N), np.eye(N), n_patients=2)
    for text in (*figure.findobj(Text), *maps.findobj(Text)):
        assert text.get_fontsize() >= 7
