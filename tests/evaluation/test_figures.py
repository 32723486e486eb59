"""Figures show what they were given, and the same data give the same files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.text import Text
from PIL import Image

from mandora.core.anatomy import LANDMARKS, JointGroup, Limb
from mandora.evaluation.figures.agreement import bland_altman, severity_bars
from mandora.evaluation.figures.localisation import (
    LocatedExample,
    localisation,
    localisation_examples,
)
from mandora.evaluation.figures.style import Estimate, p_text, save


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
    figure = localisation(distances())
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
    figure = localisation({Limb.FOOT: table})
    finger, wrist, toe = figure.axes
    shares = [t.get_text() for t in toe.texts]
    assert shares == ["60.0", "100.0", "100.0", "100.0", "100.0", "100.0"]
    assert not boxes(finger)
    assert "no film with known joints" in " ".join(wrist.texts[-1].get_text().split())
    lost = localisation({Limb.FOOT: np.full_like(table, np.inf)})
    assert "no joint of this group was found" in words(lost)
    assert [t.get_text() for t in lost.axes[2].texts[:6]] == ["0.0"] * 6


def test_distances_need_a_column_for_every_point() -> None:
    with pytest.raises(ValueError, match="21 columns in the order of LANDMARKS"):
        localisation({Limb.HAND: np.zeros((3, 6))})


def test_examples_show_true_and_found_landmarks() -> None:
    crop = np.linspace(0, 1, 30 * 40).reshape(30, 40)
    true, found = np.array([[10.0, 12.0]]), np.array([[13.0, 12.0]])
    figure = localisation_examples(
        [
            LocatedExample(crop, true, found, "LH-mcp2", 0.01),
            LocatedExample(crop, true, found * np.nan, "LF-mtp3", np.nan),
        ]
    )
    plus, cross = figure.axes[0].lines
    assert (plus.get_marker(), cross.get_marker()) == ("+", "x")
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (13.0, 12.0)
    assert "LH-mcp2 distance 0.010" in words(figure)
    assert "LF-mtp3 not found" in words(figure)
    with pytest.raises(ValueError, match="at least one"):
        localisation_examples([])


# --- Bland-Altman, severity


def test_limits_of_agreement_are_bias_and_1_96_standard_deviations() -> None:
    figure = bland_altman([10, 20, 30, np.nan], [11, 20, 34, 5])
    difference = np.array([1.0, 0.0, 4.0])
    bias, spread = difference.mean(), 1.96 * difference.std(ddof=1)
    drawn = {float(np.ravel(line.get_ydata())[0]) for line in figure.axes[0].lines if
             line.get_linestyle() in ("-", "--") and len(line.get_ydata()) == 2}  # fmt: skip
    assert sorted(drawn) == pytest.approx(sorted({bias, bias + spread, bias - spread}))
    assert "3 patients" in words(figure)
    assert "need two patients" in words(bland_altman([1], [2]))
    assert "no patient has both" in words(bland_altman([np.nan], [2]))
    with pytest.raises(ValueError, match="equally long"):
        bland_altman([1, 2], [1])


def test_severity_bars_leave_out_what_is_undefined() -> None:
    known, unknown = Estimate(2.0, 1.5, 2.5), Estimate(np.nan)
    figure = severity_bars(
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
        severity_bars(["0", "> 0"], [3], {"MAE": {"patch": [known, known]}})


# --- files


def test_the_same_data_give_the_same_files_whatever_the_users_settings(tmp_path: Path) -> None:
    def drawn() -> Figure:
        return bland_altman([10, 20, 30], [11, 20, 34])

    figure = drawn()
    first = save(figure, tmp_path / "a", "agreement")
    again = save(figure, tmp_path / "b", "agreement")
    with rc_context({"font.size": 20, "axes.facecolor": "red", "lines.linewidth": 9}):
        fresh = save(drawn(), tmp_path / "c", "agreement")
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


def test_a_p_value_is_never_printed_as_zero() -> None:
    assert p_text(1e-9) == "p < 0.001"
    assert p_text(0.0409) == "p = 0.041"
    assert p_text(np.nan) == "no test"
