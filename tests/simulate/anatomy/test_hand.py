"""Simulated hands have all bones in their places, in every patient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mandora.core.anatomy import LANDMARK_INDEX, LANDMARKS, Limb
from mandora.simulate.anatomy.hand import build_hand
from mandora.simulate.anatomy.joint_state import JointState
from mandora.simulate.anatomy.skeleton import Skeleton, Traits
from mandora.simulate.anatomy.wrist_form import WristForm
from mandora.simulate.xray.distances import Grid, signed_distance

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


def depth(made: Skeleton, bone: str, landmark: str) -> float:
    """Distance of a point from a bone's outline, mm; negative inside."""
    outline = next(b.outline for b in made.bones if b.name == bone)
    x, y = made.landmarks[LANDMARK_INDEX[Limb.HAND][landmark]]
    return float(signed_distance(outline, Grid(np.array([x]), np.array([y])))[0, 0])


@pytest.mark.parametrize("seed", range(12))
def test_points_lie_between_the_bones_that_they_name(seed: int) -> None:
    made = hand(seed)
    for landmark, first, second in (
        ("mcp3", "mc3", "pp3"), ("pip5", "pp5", "mp5"), ("ip", "pp1", "dp1"),
        ("mc1", "mc1", "trapezium"), ("cmc3", "mc3", "capitate"), ("cmc4", "mc4", "hamate"),
        ("mna", "scaphoid", "trapezium"), ("capnlun", "capitate", "lunate"),
        ("radcar", "radius", "scaphoid"),
    ):  # fmt: skip
        for bone in (first, second):
            assert abs(depth(made, bone, landmark)) < 5.5, (landmark, bone)
    assert depth(made, "lunate", "lunate") < 0
    assert depth(made, "radius", "radius") < 0
    assert depth(made, "ulna", "ulna") < 0


def test_the_young_have_growth_plates_and_no_sesamoids() -> None:
    young = hand(1, replace(Traits(), immature=True))
    assert all(b.plate is not None for b in young.bones if b.name in TUBULAR)
    assert not any(b.name.startswith("sesamoid") for b in young.bones)


def test_the_nearly_grown_have_dense_lines_and_grown_carpal_bones() -> None:
    open_, closed = (hand(1, replace(Traits(), immature=True, closing=c)) for c in (0.0, 1.0))
    assert all(b.closing == 1.0 for b in closed.bones if b.name in TUBULAR | {"radius", "ulna"})
    assert any(b.name.startswith("sesamoid") for b in closed.bones)
    for name in ("scaphoid", "capitate", "trapezium"):
        small, large = (
            np.prod(np.ptp(next(b.outline for b in made.bones if b.name == name), axis=0))
            for made in (open_, closed)
        )
        assert small < 0.97 * large


def test_growth_plates_of_middle_phalanges_lie_close_to_the_joint() -> None:
    young = hand(1, replace(Traits(), immature=True))
    for n in (2, 3, 4, 5):
        base = {}
        for bone in (b for b in young.bones if b.name in (f"pp{n}", f"mp{n}")):
            assert bone.axis is not None
            assert bone.plate is not None
            base[bone.name] = bone.plate * np.linalg.norm(bone.axis[1] - bone.axis[0])
        assert base[f"mp{n}"] < 2.5 < base[f"pp{n}"], "mm"


def test_growth_plates_close_with_age() -> None:
    many = [Traits.draw(np.random.default_rng(i), 1.0) for i in range(400)]
    young, older = ([t.closing for t in many if (t.age < 14) is early] for early in (True, False))
    assert 0 <= min(young) < 0.05 < np.mean(young) + 0.4 < np.mean(older) <= 1
    assert not any(Traits.draw(np.random.default_rng(i)).closing for i in range(20))


def distance(made: Skeleton, one: str, other: str) -> float:
    a, b = (made.landmarks[LANDMARK_INDEX[Limb.HAND][name]] for name in (one, other))
    return float(np.linalg.norm(a - b) / made.size_mm)


def test_wrists_are_of_many_forms() -> None:
    many = [hand(seed, Traits()) for seed in range(60)]
    heights = [distance(made, "cmc3", "radcar") for made in many]
    assert 0.025 < np.std(heights) < 0.06  # of |MCP2-MCP5|
    assert 0.47 < np.mean(heights) < 0.55
    forearms = [next(b.axis for b in made.bones if b.name == "radius") for made in many]
    angles = [np.degrees(np.arctan2(*(axis[1] - axis[0]))) for axis in forearms if axis is not None]
    assert 4 < np.std(angles) < 15


def test_a_bent_wrist_keeps_its_palm_and_turns_its_forearm() -> None:
    straight, bent = WristForm(), WristForm(bend=0.2)
    for xy in ((0.0, 1.0), (0.4, 1.1)):
        np.testing.assert_allclose(bent(np.array(xy)), straight(np.array(xy)), atol=1e-12)
    far = [form(np.array([0.08, 3.8])) - form(np.array([0.08, 2.0])) for form in (straight, bent)]
    turned = [np.arctan2(x, y) for x, y in far]
    assert abs(turned[1] - turned[0]) == pytest.approx(0.2, abs=1e-9)


def test_damage_thins_the_bone_around_it() -> None:
    eaten = hand(1, Traits(), mcp2=JointState(loss=0.9), radcar=JointState(loss=0.9))
    whole = hand(1, Traits())
    for made, thin in ((whole, False), (eaten, True)):
        bones = {b.name: b for b in made.bones}
        assert (bones["pp2"].tube_state.porosity[0] > 0.1) is thin
        assert bones["pp4"].tube_state.porosity == (0.0, 0.0)
        assert (bones["scaphoid"].porosity > 0.1) is thin


def test_the_old_have_thinner_bones_than_the_young() -> None:
    many = [Traits.draw(np.random.default_rng(i)) for i in range(400)]
    old = [t for t in many if t.female and t.age > 70]
    young = [t for t in many if t.female and t.age < 50]
    assert np.mean([t.cortex for t in old]) < np.mean([t.cortex for t in young]) - 0.1
    assert np.mean([t.porosity for t in old]) > np.mean([t.porosity for t in young]) + 0.1
    men = [t.size for t in many if not t.female]
    assert np.mean(men) > np.mean([t.size for t in many if t.female]) + 0.04


def test_joint_spaces_are_thinner_in_the_old_and_wider_in_men() -> None:
    many = [Traits.draw(np.random.default_rng(i)) for i in range(600)]

    def mean(female: bool, old: bool) -> float:
        return float(
            np.mean([t.space * t.size for t in many if t.female is female and (t.age > 57) is old])
        )

    assert mean(True, True) < mean(True, False) - 0.04
    assert mean(False, True) < mean(False, False) - 0.03
    assert 1.06 < mean(False, False) / mean(True, False) < 1.16
    finger = [np.mean([t.finger_space for t in many if t.female is f]) for f in (True, False)]
    assert finger[0] < finger[1] - 0.02


def test_joint_spaces_have_the_widths_of_adults() -> None:
    def spaces(seed: int, joint: str) -> float:
        made = hand(seed, Traits())
        bones = {b.name: b for b in made.bones}
        first, second = (bones[f"{b}3"] for b in (("mc", "pp") if joint == "mcp" else ("pp", "mp")))
        assert first.axis is not None
        assert second.axis is not None
        return float(np.linalg.norm(second.axis[0] - first.axis[1]))

    for joint, width in (("mcp", 1.55), ("pip", 1.03)):
        widths = [spaces(seed, joint) for seed in range(40)]
        assert np.mean(widths) == pytest.approx(width, abs=0.06)
        assert 0.03 < np.std(widths) / width < 0.12


def test_osteoarthritis_is_rare_in_the_young_and_common_in_the_old() -> None:
    many = [Traits.draw(np.random.default_rng(i)) for i in range(600)]
    young, old = (
        np.mean([t.osteoarthritis > 0.1 for t in many if low < t.age < high])
        for low, high in ((18, 45), (70, 91))
    )
    assert young < 0.25 < 0.45 < old
    assert max(t.osteoarthritis for t in many) <= 1


def test_no_two_hands_have_the_same_finger_bones() -> None:
    widths = [next(b.tube for b in hand(s, Traits()).bones if b.name == "mc3") for s in range(20)]
    assert 0.02 < np.std([t.head for t in widths if t]) / 15 < 0.08


def test_healthy_joint_spaces_are_as_wide_as_published() -> None:
    # MCP 1.5-1.8 mm, PIP about 1.0 mm; in the middle of the joint, between the bones' surfaces
    widths: dict[str, list[float]] = {"mcp": [], "pip": []}
    for seed in range(12):
        made = build_hand(Traits(), {}, np.random.default_rng(seed), np.random.default_rng(seed))
        for strip in made.strips:
            name = LANDMARKS[Limb.HAND][strip.label - 1].name
            if name[:3] in widths and name[-1] in "2345":
                half = len(strip.polygon) // 2
                low, high = strip.polygon[:half], strip.polygon[half:][::-1]
                widths[name[:3]].append(float(np.linalg.norm(low - high, axis=1)[half // 2]))
    assert 1.4 < np.mean(widths["mcp"]) < 1.8
    assert 0.9 < np.mean(widths["pip"]) < 1.5
