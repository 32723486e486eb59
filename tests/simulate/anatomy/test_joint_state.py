"""Grades follow from the latent damage as the SvH definitions say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mandora.core.anatomy import Limb
from mandora.simulate.anatomy.joint_state import (
    WEIGHTS,
    Erosion,
    JointState,
    draw_erosion,
    draw_state,
    grown,
)


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
        (JointState(loss=0.11), 0),
        (JointState(loss=0.8, focal=True), 1),
        (JointState(loss=0.12), 1),  # doubtful
        (JointState(loss=0.3), 2),  # more than half of the space is left
        (JointState(loss=0.6), 3),  # less than half is left
        (JointState(loss=1.0), 3),  # the bones touch and have not fused
        (JointState(shift=0.25), 3),  # subluxation
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


@given(
    st.floats(0, 1), st.booleans(), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.89, 0.9]), st.booleans()
)
def test_the_continuous_score_is_rounded_to_the_grade(
    loss: float, focal: bool, shift: float, fused: bool
) -> None:
    state = JointState(loss, focal, shift, fused)
    assert int(np.floor(state.narrowing_score + 0.5)) == state.narrowing_grade


def test_the_continuous_score_rises_with_the_loss() -> None:
    for focal in (False, True):
        scores = [JointState(loss, focal).narrowing_score for loss in np.linspace(0, 1, 201)]
        assert (np.diff(scores) >= 0).all()
        assert scores[0] == 0
    third = JointState(1 / 3).narrowing_score
    assert 1.5 < third < 2.5


def test_drawn_losses_leave_no_gap() -> None:
    rng = np.random.default_rng(1)
    states = [draw_state(rng, grade, 0, Limb.HAND) for grade in range(4) for _ in range(1500)]
    general = np.sort([s.loss for s in states if not s.focal and not s.shift])
    assert np.diff(general).max() < 0.02
    assert general[0] < 0.01
    assert general[-1] > 0.98
    assert any(s.shift and s.loss < 0.05 for s in states)  # subluxation without loss
    assert {s.focal for s in states if s.narrowing_grade == 1} == {True, False}


def test_joints_that_do_not_slide_lose_space_or_fuse() -> None:
    rng = np.random.default_rng(1)
    for grade in (3, 4):
        states = [draw_state(rng, grade, 0, Limb.HAND, slides=False) for _ in range(100)]
        assert all(s.shift == 0 and s.narrowing_grade == grade for s in states)


def test_a_grade_of_erosion_is_made_up_in_many_ways() -> None:
    rng = np.random.default_rng(1)
    seen = {
        tuple(sorted(e.weight for e in draw_state(rng, 0, 4, Limb.HAND).erosions))
        for _ in range(300)
    }
    assert {(1, 3), (2, 2), (1, 1, 1, 1), (1, 1, 2)} <= seen
    worst = [draw_state(rng, 0, 5, Limb.HAND).erosions for _ in range(300)]
    assert 0.3 < np.mean([any(e.collapse for e in erosions) for erosions in worst]) < 0.8


def test_the_weight_of_an_erosion_says_how_far_it_reaches() -> None:
    rng = np.random.default_rng(1)
    drawn = {w: [draw_erosion(rng, w, 0) for _ in range(300)] for w in WEIGHTS}
    # half the width is crossed by those of weight 3, and by no smaller one
    assert min(e.reach for e in drawn[3]) > 0.5 > max(e.reach for w in (1, 2) for e in drawn[w])
    areas = [np.mean([e.radius * (e.reach - e.inset) for e in drawn[w]]) for w in (1, 2, 3)]
    assert areas == sorted(areas)
    assert areas[0] < 0.5 * areas[1]
    assert all(e.collapse == (e.weight == 5) for w in WEIGHTS for e in drawn[w])
    assert any(e.inset > 0 for e in drawn[1])  # beside the margin
    assert any(e.inset == 0 for e in drawn[1])


def test_erosions_of_one_bare_area_lie_side_by_side() -> None:
    rng = np.random.default_rng(1)
    for _ in range(100):
        first = draw_erosion(rng, 1, 2)
        second = draw_erosion(rng, 1, 2, [first])
        assert abs(first.along - second.along) > 0.1


@given(st.integers(0, 2**32 - 1), st.sampled_from(WEIGHTS), st.sampled_from(WEIGHTS))
def test_an_erosion_grows_and_shrinks_nowhere(seed: int, weight: int, later: int) -> None:
    rng = np.random.default_rng(seed)
    old, target = draw_erosion(rng, weight, 1), draw_erosion(rng, later, 3)
    new = grown(old, target)
    assert new.weight == max(weight, later)
    assert (new.anchor, new.along, new.phase) == (old.anchor, old.along, old.phase)
    assert new.radius >= max(old.radius, target.radius)
    assert new.reach >= max(old.reach, target.reach)
    assert new.inset <= old.inset
    assert grown(old, target, 0.0).radius == old.radius
