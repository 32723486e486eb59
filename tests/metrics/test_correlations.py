"""Correlations of damage are those of numpy and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from mandora.core.anatomy import SITES, TARGETS, Damage, Limb, Side, target
from mandora.metrics import GROUPS
from mandora.metrics.correlations import joint_correlations, total_correlations

NAN = math.nan


@pytest.fixture
def scores() -> np.ndarray:
    """(20, 86) grades that go together within a patient."""
    rng = np.random.default_rng(3)
    share = np.clip(rng.normal(0.3, 0.2, (20, 1)) + rng.normal(0, 0.2, (20, 86)), 0, 1)
    return np.round(share * np.array([t.maximum for t in TARGETS]))


def column(key: str) -> int:
    return TARGETS.index(target(key))


def test_totals_correlate_as_the_table_of_the_paper(scores: np.ndarray) -> None:
    table = total_correlations(scores)
    assert {name: list(parts) for name, parts in table.items()} == {
        "narrowing-erosion": ["patients", "films", "hand", "foot"],
        "left-right": ["patients", "films", "narrowing", "erosion", "hand", "foot"],
        "hand-foot": ["patients", "films", "narrowing", "erosion"],
    }

    def r(first: list[list[bool]], second: list[list[bool]]) -> float:
        one, two = (
            np.concatenate([scores[:, which].sum(axis=1) for which in parts])
            for parts in (first, second)
        )
        return float(np.corrcoef(one, two)[0, 1])

    left, foot, eroded = (
        np.array([condition(t) for t in TARGETS])
        for condition in (
            lambda t: t.side is Side.LEFT,
            lambda t: t.limb is Limb.FOOT,
            lambda t: t.damage is Damage.EROSION,
        )
    )
    seen = {name: {part: n.value for part, n in parts.items()} for name, parts in table.items()}
    assert seen["narrowing-erosion"]["patients"] == pytest.approx(r([~eroded], [eroded]))
    assert seen["left-right"]["foot"] == pytest.approx(r([left & foot], [~left & foot]))
    assert seen["left-right"]["films"] == pytest.approx(
        r([left & ~foot, left & foot], [~left & ~foot, ~left & foot])
    )
    assert seen["hand-foot"]["erosion"] == pytest.approx(r([eroded & ~foot], [eroded & foot]))
    assert seen["hand-foot"]["films"] == pytest.approx(
        r([left & ~foot, ~left & ~foot], [left & foot, ~left & foot])
    )
    films = table["narrowing-erosion"]["films"]
    assert films.n == 80


def test_a_constant_total_is_named(scores: np.ndarray) -> None:
    scores[:, GROUPS["erosion"]] = 0
    seen = total_correlations(scores)["narrowing-erosion"]["patients"]
    assert seen.reason == "the erosion total is 0 everywhere"


def test_joints_correlate_on_their_own_side_and_across(scores: np.ndarray) -> None:
    scores[3:6, column("LH-pip3:narrowing")] = NAN
    maps = joint_correlations(scores)
    codes = [site.code for site in SITES]
    pip3, mtp2 = codes.index("nh1"), codes.index("ef2")
    assert maps["same"].n[pip3, mtp2] == 37
    for name, sides in {"same": "LR", "other": "RL"}.items():
        first = np.concatenate([scores[:, column(f"{s}H-pip3:narrowing")] for s in "LR"])
        second = np.concatenate([scores[:, column(f"{s}F-mtp2:erosion")] for s in sides])
        both = np.isfinite(first) & np.isfinite(second)
        expected = stats.pearsonr(first[both], second[both]).statistic
        assert maps[name].r[pip3, mtp2] == pytest.approx(expected)  # type: ignore[index]
        r = maps[name].r  # type: ignore[index]
        np.testing.assert_allclose(r, r.T, atol=1e-12)
    np.testing.assert_allclose(np.diag(maps["same"].r), 1)
    assert (np.diag(maps["other"].r) < 0.999).all()


def test_constant_and_missing_joints_have_no_correlation(scores: np.ndarray) -> None:
    for side in "LR":
        scores[:, column(f"{side}H-ulna:erosion")] = 0.1
    scores[:, GROUPS["foot"]] = NAN
    for of_pairs in joint_correlations(scores).values():
        undefined = np.isnan(of_pairs.r)
        without = [s.limb is Limb.FOOT or s.name == "ulna" for s in SITES]
        assert undefined[without].all()
        assert undefined[:, without].all()
        kept = np.logical_not(without)
        assert not undefined[np.ix_(kept, kept)].any()
    assert np.isnan(joint_correlations(scores[:1])["same"].r).all()
