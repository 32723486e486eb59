"""Osteoarthritis wears joints, narrows those that SvH does not score, and erodes nothing."""

from __future__ import annotations

import numpy as np

from mandora.simulate.anatomy.hand import build_hand
from mandora.simulate.anatomy.joint_state import Erosion, JointState
from mandora.simulate.anatomy.osteoarthritis import Wear, draw_wear
from mandora.simulate.anatomy.skeleton import Skeleton, Traits


def wear(seed: int, osteoarthritis: float, **states: JointState) -> Wear:
    rng = np.random.default_rng
    return draw_wear(osteoarthritis, states, rng([seed, 1]), rng([seed, 2]))


def hand(osteoarthritis: float, **states: JointState) -> Skeleton:
    traits, rng = Traits(osteoarthritis=osteoarthritis), np.random.default_rng
    return build_hand(traits, states, rng(1), rng(2))


def test_no_joint_of_a_patient_without_osteoarthritis_is_worn() -> None:
    made = wear(1, 0.0, pip2=JointState(loss=0.8))
    assert not made.degree
    assert not made.states


def test_distal_joints_are_worn_more_often_than_knuckles() -> None:
    many = [wear(seed, 0.8).degree for seed in range(200)]
    distal, proximal, knuckle = (
        sum(name in degree for degree in many) for name in ("dip3", "pip3", "mcp3")
    )
    assert distal > proximal + 20 > knuckle + 40 > 40
    assert all(0 < d <= 1 for degree in many for d in degree.values())


def test_only_joints_whose_narrowing_is_not_scored_lose_space() -> None:
    eroded = JointState(erosions=(Erosion(0, 1, 0.15, 0.8),))
    many = [wear(seed, 0.9, ip=eroded, pip3=JointState()) for seed in range(50)]
    lost = {name for made in many for name in made.states}
    assert lost == {"ip", "mc1", "dip2", "dip3", "dip4", "dip5"}
    kept = [made.states["ip"] for made in many if "ip" in made.states]
    assert all(state.erosions == eroded.erosions and state.loss > 0 for state in kept)


def test_a_narrowed_joint_is_worn_more_often() -> None:
    def share(loss: float) -> float:
        many = (wear(seed, 0.4, mcp4=JointState(loss=loss)) for seed in range(200))
        return float(np.mean(["mcp4" in made.degree for made in many]))

    assert share(0.6) > share(0.0) + 0.15


def test_worn_bones_have_osteophytes_and_dense_surfaces_and_no_erosions() -> None:
    healthy, worn = hand(0.0), hand(1.0)

    def spurs(made: Skeleton) -> float:
        forms = [b.tube_state.form for b in made.bones if b.tube is not None]
        return sum(f.spur + f.base_spur for form in forms for f in (form.inner, form.outer))

    assert spurs(healthy) == 0 < spurs(worn)
    assert not worn.erosions
    np.testing.assert_array_equal(worn.landmarks, healthy.landmarks)


def test_a_joint_that_is_worn_later_changes_no_other_bone() -> None:
    before, after = (
        {b.name: b for b in hand(0.6, mcp2=JointState(loss=loss)).bones} for loss in (0.0, 0.9)
    )
    for name in ("pp4", "mc5", "scaphoid", "radius"):
        np.testing.assert_array_equal(before[name].outline, after[name].outline)
