"""Simulated hands have all bones in their places, in every patient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mandora.anatomy import POINT_INDEX, Limb
from mandora.phantom.damage import JointState
from mandora.phantom.hand import build_hand
from mandora.phantom.shapes import Grid, signed_distance
from mandora.phantom.skeleton import Skeleton, Traits

TUBULAR = {f"{bone}{n}" for n in range(1, 6) for bone in ("mc", "pp", "dp")} | {
    f"mp{n}" for n in range(2, 6)
}
CARPAL = {
    "trapezium", "trapezoid", "capitate", "hamate", "scaphoid", "lunate", "triquetrum", "pisiform",
}  # fmt: skip


def hand(seed: int, traits: Traits | None = None, **states: JointState) -> Skeleton:
    rng = np.random.default_rng
    return build_hand(traits or Traits.draw(rng(seed)), states, rng([seed, 1]), rng([seed, 2]))


@pytest.mark.parametrize("seed", range(12))
def test_a_hand_has_nineteen_tubular_and_eight_carpal_bones_and_a_forearm(seed: int) -> None:
    bones = {b.name for b in hand(seed).bones if b.anatomical}
    assert bones == TUBULAR | CARPAL | {"radius", "ulna", "sesamoid0", "sesamoid1"}
    assert all(np.isfinite(b.outline).all() for b in hand(seed).bones)


def depth(made: Skeleton, bone: str, point: str) -> float:
    """Distance of a point from a bone's outline, mm; negative inside."""
    outline = next(b.outline for b in made.bones if b.name == bone)
    x, y = made.points[POINT_INDEX[Limb.HAND][point]]
    return float(signed_distance(outline, Grid(np.array([x]), np.array([y])))[0, 0])


@pytest.mark.parametrize("seed", range(12))
def test_points_lie_between_the_bones_that_they_name(seed: int) -> None:
    made = hand(seed)
    for point, first, second in (
        ("mcp3", "mc3", "pp3"), ("pip5", "pp5", "mp5"), ("ip", "pp1", "dp1"),
        ("mc1", "mc1", "trapezium"), ("cmc3", "mc3", "capitate"), ("cmc4", "mc4", "hamate"),
        ("mna", "scaphoid", "trapezium"), ("capnlun", "capitate", "lunate"),
        ("radcar", "radius", "scaphoid"),
    ):  # fmt: skip
        for bone in (first, second):
            assert abs(depth(made, bone, point)) < 4.5, (point, bone)
    assert depth(made, "lunate", "lunate") < 0
    assert depth(made, "radius", "radius") < 0
    assert depth(made, "ulna", "ulna") < 0


def test_the_young_have_growth_plates_and_no_sesamoids() -> None:
    young = hand(1, replace(Traits(), immature=True))
    assert all(b.plate is not None for b in young.bones if b.name in TUBULAR)
    assert not any(b.name.startswith("sesamoid") for b in young.bones)


def test_damage_thins_the_bone_around_it() -> None:
    eaten = hand(1, Traits(), mcp2=JointState(loss=0.9), radcar=JointState(loss=0.9))
    whole = hand(1, Traits())
    for made, thin in ((whole, False), (eaten, True)):
        bones = {b.name: b for b in made.bones}
        assert (bones["pp2"].lie.porosity[0] > 0.1) is thin
        assert bones["pp4"].lie.porosity == (0.0, 0.0)
        assert (bones["scaphoid"].porosity > 0.1) is thin


def test_the_old_have_thinner_bones_than_the_young() -> None:
    many = [Traits.draw(np.random.default_rng(i)) for i in range(400)]
    old = [t for t in many if t.female and t.age > 70]
    young = [t for t in many if t.female and t.age < 50]
    assert np.mean([t.cortex for t in old]) < np.mean([t.cortex for t in young]) - 0.1
    assert np.mean([t.porosity for t in old]) > np.mean([t.porosity for t in young]) + 0.1
    men = [t.size for t in many if not t.female]
    assert np.mean(men) > np.mean([t.size for t in many if t.female]) + 0.04
