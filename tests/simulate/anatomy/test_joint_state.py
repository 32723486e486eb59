"""Grades follow from the latent damage as the SvH definitions say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mandora.core.anatomy import Limb
from mandora.simulate.anatomy.joint_state import Erosion, JointState, draw_state


@given(st.integers(0, 4), st.integers(0, 5), st.integers(0, 2**32 - 1), st.sampled_from([4, 6]))
def test_a_drawn_state_of_the_hand_has_the_grades_that_were_asked_for(
    narrowing: int, erosion: int, seed: int, anchors: int
) -> None:
    state = draw_state(np.random.default_rng(seed), narrowing, erosion, Limb.HAND, anchors)
    assert state.narrowing_grade == narrowing
    assert state.erosion_grade(Limb.HAND) == erosion


@given(st.integers(0, 4), st.integers(0, 10), st.integers(0, 2**32 - 1))
def test_a_drawn_state_of_the_foot_has_the_grades_that_were_asked_for(
    narrowing: int, erosion: int, seed: int
) -> None:
    state = draw_state(np.random.default_rng(seed), narrowing, erosion, Limb.FOOT)
    assert state.narrowing_grade == narrowing
    assert state.erosion_grade(Limb.FOOT) == erosion


@pytest.mark.parametrize(
    ("state", "grade"),
    [
        (JointState(), 0),
        (JointState(loss=0.3, focal=True), 1),
        (JointState(loss=0.3), 2),  # more than half of the space is left
        (JointState(loss=0.6), 3),  # less than half is left
        (JointState(shift=0.3), 3),  # subluxation
        (JointState(loss=1.0, fused=True), 4),  # ankylosis
        (JointState(shift=1.0), 4),  # luxation
    ],
)
def test_narrowing_follows_its_definition(state: JointState, grade: int) -> None:
    assert state.narrowing_grade == grade


def test_erosions_add_up_and_are_capped_for_each_bone_side() -> None:
    proximal = tuple(Erosion(0, 3, 0.3, 0.8) for _ in range(2))
    both = JointState(erosions=(*proximal, Erosion(1, 2, 0.2, 0.8)))
    assert both.erosion_grade(Limb.HAND) == 5  # 3 + 3 + 2, the hand's joint stops at 5
    assert both.erosion_grade(Limb.FOOT) == 7  # 5 on one side, 2 on the other
