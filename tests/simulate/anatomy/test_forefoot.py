"""The bones of every simulated forefoot have the forms of real ones, and differ."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mandora.simulate.anatomy.forefoot import draw_forms, draw_tubes
from mandora.simulate.anatomy.joint_state import Erosion, JointState
from mandora.simulate.anatomy.shapes import half_width
from mandora.simulate.anatomy.skeleton import Traits

LENGTH = 65.0  # of a metatarsal, mm


def spurs(n: int, osteoarthritis: float, **states: JointState) -> list[float]:
    """Largest osteophyte at the metatarsophalangeal joint of each of 200 feet."""
    traits = Traits(osteoarthritis=osteoarthritis)
    sizes = []
    for seed in range(200):
        metatarsal, *_ = draw_forms(n, states, traits, 0.7, np.random.default_rng(seed))
        sizes.append(max(metatarsal.inner.spur, metatarsal.outer.spur))
    return sizes


@pytest.mark.parametrize("n", range(1, 6))
def test_heads_have_a_neck_and_sides_of_their_own(n: int) -> None:
    sides = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        tube = draw_tubes(n, 1.0, rng)[0]
        form = draw_forms(n, {}, Traits(), 0.7, rng)[0]
        behind = np.linspace(0.3, 1.4, 40) * tube.head
        pair = [half_width(tube, f, LENGTH, LENGTH - behind) for f in (form.inner, form.outer)]
        assert all(side[-1] < 0.9 * side[0] for side in pair)
        sides += pair
    assert np.std(sides, axis=0)[:20].min() > 0.2


def test_bases_of_lesser_toes_are_about_as_wide_as_the_heads_before_them() -> None:
    ratio = [
        (tubes := draw_tubes(n, 1.0, np.random.default_rng([n, s])))[1].base / tubes[0].head
        for n in range(2, 6)
        for s in range(20)
    ]
    assert 0.8 < np.mean(ratio) < 1.05


def test_osteoarthritis_wears_great_toes_and_is_no_erosion() -> None:
    assert not any(spurs(1, 0.0))
    some, lesser = spurs(1, 0.8), spurs(3, 0.8)
    assert 0.35 < np.mean(np.array(some) > 0) < 0.75
    assert 0.0 < np.mean(np.array(lesser) > 0) < 0.2


def test_a_narrow_joint_without_erosions_may_be_worn() -> None:
    narrow = JointState(loss=0.6)
    eroded = replace(narrow, erosions=(Erosion(0, 1, 0.15, 0.8),))
    assert 0.2 < np.mean(np.array(spurs(1, 0.0, mtp1=narrow)) > 0) < 0.5
    assert not any(spurs(1, 0.0, mtp1=eroded))
