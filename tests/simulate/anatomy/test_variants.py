"""Normal variants and old findings lie where they may lie, and become more common with age."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mandora.simulate.anatomy.hand import build_hand
from mandora.simulate.anatomy.skeleton import Bone, Skeleton, Traits
from mandora.simulate.anatomy.variants import bone_spots, with_old_fracture
from mandora.simulate.xray.distances import Grid, signed_distance


def hand(seed: int, age: float = 50.0) -> Skeleton:
    rng = np.random.default_rng
    return build_hand(replace(Traits(), age=age), {}, rng([seed, 1]), rng([seed, 2]))


def test_holes_of_carpal_bones_lie_inside_them() -> None:
    bones = {b.name: b for b in hand(1).bones}
    carpal = [b for b in bones.values() if b.yields]
    rng = np.random.default_rng(1)
    spots = [spot for _ in range(40) for spot in bone_spots(carpal, rng)]
    assert len(spots) > 10
    for spot in spots:
        x, y = spot.centre
        grid = Grid(np.array([x]), np.array([y]))
        assert signed_distance(bones[spot.bone].outline, grid)[0, 0] < -1.0


def test_some_spots_are_dense_and_some_are_not() -> None:
    rng = np.random.default_rng(2)
    changes = [spot.change for _ in range(20) for spot in bone_spots(hand(2).bones, rng)]
    assert min(changes) < -0.2 < 0.3 < max(changes)


def test_few_hands_have_a_healed_fracture_and_it_bends_one_bone() -> None:
    bones = hand(3).bones
    made = [with_old_fracture(bones, np.random.default_rng(seed)) for seed in range(300)]
    broken = [new for new, spots in made if spots]
    assert 3 < len(broken) < 30
    for new in broken:
        changed = [a for a, b in zip(bones, new, strict=True) if a is not b]
        assert len(changed) == 1
        assert abs(_named(new, changed[0].name).tube_state.bow) >= 0.8


def _named(bones: list[Bone], name: str) -> Bone:
    return next(b for b in bones if b.name == name)


def test_calcium_is_seen_in_the_old_only() -> None:
    young, old = (sum(bool(hand(s, age).calcifications) for s in range(60)) for age in (40, 85))
    assert young == 0 < 5 < old < 40
