"""Simulated feet have all bones in their places, from above and rolled, in every patient."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from mandora.core.anatomy import LANDMARK_INDEX, LANDMARKS, Limb, Side
from mandora.simulate.anatomy.foot import build_foot
from mandora.simulate.anatomy.joint_state import JointState
from mandora.simulate.anatomy.shapes import Array
from mandora.simulate.anatomy.skeleton import Bone, Skeleton, Traits
from mandora.simulate.xray.distances import Grid, signed_distance
from mandora.simulate.xray.exposure import Imaging
from mandora.simulate.xray.placement import Placement
from mandora.simulate.xray.render import render

TUBULAR = {f"{bone}{n}" for n in range(1, 6) for bone in ("mt", "pp", "dp")} | {
    f"mp{n}" for n in range(2, 6)
}
TARSAL = {
    "cuneiform1", "cuneiform2", "cuneiform3", "cuboid", "navicular", "talus", "calcaneus",
}  # fmt: skip
JOINTS = (
    ("ip", "pp1", "dp1"), ("mtp1", "mt1", "pp1"), ("mtp2", "mt2", "pp2"), ("mtp3", "mt3", "pp3"),
    ("mtp4", "mt4", "pp4"), ("mtp5", "mt5", "pp5"),
)  # fmt: skip


def foot(seed: int, traits: Traits | None = None, **states: JointState) -> Skeleton:
    rng = np.random.default_rng
    return build_foot(traits or Traits.draw(rng(seed)), states, rng([seed, 1]), rng([seed, 2]))


def bones(made: Skeleton) -> dict[str, Bone]:
    return {b.name: b for b in made.bones}


def axis(made: Skeleton, bone: str) -> Array:
    found = bones(made)[bone].axis
    assert found is not None
    return found


def depth(outline: Array, xy: Array) -> float:
    """Distance of a place from an outline, mm; negative inside."""
    return float(signed_distance(outline, Grid(xy[:1], xy[1:]))[0, 0])


@pytest.mark.parametrize("seed", range(40))
def test_a_foot_has_nineteen_tubular_and_seven_tarsal_bones_and_a_leg(seed: int) -> None:
    made = foot(seed)
    names = [b.name for b in made.bones]
    assert len(names) == len(set(names))
    assert {b.name for b in made.bones if b.anatomical} == (
        TUBULAR | TARSAL | {"tibia", "fibula", "sesamoid0", "sesamoid1"}
    )
    assert all(np.isfinite(b.outline).all() for b in made.bones)
    assert all(g.first in names and g.second in names for g in made.gaps)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("shape_deviation", [1.0, 2.2])
def test_points_lie_in_the_middle_of_the_joint_spaces(seed: int, shape_deviation: float) -> None:
    made = foot(
        seed, replace(Traits.draw(np.random.default_rng(seed)), shape_deviation=shape_deviation)
    )
    for landmark, proximal, distal in JOINTS:
        head, base = axis(made, proximal)[1], axis(made, distal)[0]
        xy = made.landmarks[LANDMARK_INDEX[Limb.FOOT][landmark]]
        np.testing.assert_allclose(0.5 * (head + base), xy, atol=0.7)
        assert 1.0 < float(np.linalg.norm(base - head)) < 3.5


def test_odd_feet_lie_further_from_the_mean() -> None:
    plain, odd, odder = (foot(5, Traits(shape_deviation=o)).landmarks for o in (1.0, 1.5, 2.0))
    steps = [
        (made - made.mean(axis=0)) / np.ptp(made, axis=0).max() for made in (plain, odd, odder)
    ]
    moved = [float(np.abs(step - steps[0]).max()) for step in steps[1:]]
    assert 0.01 < moved[0] < moved[1]


def test_a_narrowed_joint_keeps_its_point() -> None:
    healthy, worn = foot(3, Traits()), foot(3, Traits(), mtp2=JointState(loss=0.7))
    np.testing.assert_array_equal(healthy.landmarks, worn.landmarks)
    gap = [float(np.linalg.norm(axis(m, "pp2")[0] - axis(m, "mt2")[1])) for m in (healthy, worn)]
    assert gap[1] < 0.4 * gap[0]


@pytest.mark.parametrize("seed", range(20))
def test_bones_lie_in_the_order_of_the_foot(seed: int) -> None:
    made = foot(seed)
    x = [made.landmarks[LANDMARK_INDEX[Limb.FOOT][f"mtp{n}"]][0] for n in range(1, 6)]
    assert all(a > b for a, b in pairwise(x))  # a left foot: great toe to the right
    y = {name: float(bone.outline[:, 1].mean()) for name, bone in bones(made).items()}
    for n in range(1, 6):
        assert y[f"dp{n}"] < y[f"pp{n}"] < y[f"mt{n}"]
    assert y["mt2"] < y["cuneiform2"] < y["navicular"] < y["talus"]
    assert y["cuboid"] < y["calcaneus"] < y["tibia"]


@pytest.mark.parametrize("seed", range(20))
def test_sesamoids_lie_behind_the_first_joint_near_the_head(seed: int) -> None:
    made = foot(seed)
    base, head = axis(made, "mt1")
    up = (head - base) / np.linalg.norm(head - base)
    for k in (0, 1):
        off = bones(made)[f"sesamoid{k}"].outline.mean(axis=0) - head
        assert -20 < float(off @ up) < -3
        assert abs(float(off @ [-up[1], up[0]])) < 20


def test_sesamoids_stay_behind_when_the_great_toe_drifts() -> None:
    """They lie in the space beside the first metatarsal."""
    straight: list[float] = []
    valgus: list[float] = []
    for seed in range(60):
        made = foot(seed, Traits())
        (base, head), (_, toe) = axis(made, "mt1"), axis(made, "pp1")
        up, on = head - base, toe - head
        angle = np.arctan2(up[0] * on[1] - up[1] * on[0], up @ on)  # negative towards toe 2
        middle = np.mean([bones(made)[f"sesamoid{k}"].outline.mean(axis=0) for k in (0, 1)], axis=0)
        side = float((middle - head) @ [-up[1], up[0]]) / float(np.linalg.norm(up))
        if angle < -0.45:
            valgus.append(side)
        elif angle > -0.2:
            straight.append(side)
    assert np.mean(valgus) < np.mean(straight) - 2


def test_a_share_of_feet_is_rolled_and_shows_the_cuboid_apart() -> None:
    feet = [foot(seed, Traits()) for seed in range(150)]
    apart: list[float] = []
    near: list[float] = []
    width: list[tuple[bool, float]] = []
    for made in feet:
        mtp1, mtp5 = (made.landmarks[LANDMARK_INDEX[Limb.FOOT][n]] for n in ("mtp1", "mtp5"))
        found = bones(made)
        talus, calcaneus = (found[n].outline.mean(axis=0)[0] for n in ("talus", "calcaneus"))
        rolled = talus - calcaneus > 0.22 * made.size_mm
        (apart if rolled else near).append(depth(found["mt1"].outline, axis(made, "mt2")[0]))
        width.append((bool(rolled), float(np.linalg.norm(mtp1 - mtp5)) / made.size_mm))
    assert 0.1 < len(apart) / len(feet) < 0.35
    assert np.mean(apart) < np.mean(near) - 3  # the second base slips below the first
    assert np.mean([w for r, w in width if r]) < np.mean([w for r, w in width if not r]) - 0.05


def test_bent_toes_look_short() -> None:
    lengths = []
    for seed in range(60):
        made = foot(seed, Traits())
        pitch = bones(made)["mp3"].tube_state.pitch
        lengths.append((pitch, float(np.linalg.norm(np.diff(axis(made, "mp3"), axis=0)))))
    bent = [length for pitch, length in lengths if pitch > 0.6]
    assert 3 < len(bent) < 40
    assert np.mean(bent) < 0.85 * np.mean([length for pitch, length in lengths if pitch < 0.3])


def test_the_young_have_growth_plates() -> None:
    young = foot(1, replace(Traits(), immature=True))
    plates = {b.name: b.plate for b in young.bones if b.name in TUBULAR}
    assert all(plate is not None for plate in plates.values())
    assert plates["mt2"] > 0.5 > plates["mt1"]  # type: ignore[operator]


def test_the_old_have_thinner_tarsal_bones() -> None:
    old = bones(foot(1, replace(Traits(), porosity=0.4)))
    assert all(old[name].porosity == 0.4 for name in TARSAL)


@pytest.mark.parametrize("seed", range(4))
def test_films_show_bone_toes_and_film(seed: int) -> None:
    made = foot(seed)
    placement = Placement.draw(made, Side.LEFT, np.random.default_rng(seed), wide=False)
    placement = replace(
        placement, width=placement.width // 2, height=placement.height // 2,
        pixels_per_mm=placement.pixels_per_mm / 2,
    )  # fmt: skip
    plain = Imaging(noise=0.0, marker=False)
    film = render(made, placement, plain, np.random.default_rng(seed))
    assert np.isfinite(film.pixels).all()
    assert set(film.bones) == {b.name for b in made.bones if b.anatomical}
    assert len(film.landmarks) == len(LANDMARKS[Limb.FOOT])

    def grey(places: Array) -> float:
        x, y = np.round(places).astype(int).T
        return float(np.median(film.pixels[y, x]))

    tip = film.bones["dp1"].min(axis=0)[1] - 2.5 * placement.pixels_per_mm
    skin = grey(np.array([[film.bones["dp1"][:, 0].mean(), tip]]))
    bone = grey(np.array([film.bones[f"mt{n}"].mean(axis=0) for n in (2, 3, 4)]))
    assert bone > skin > grey(np.array([[2.0, 2.0]]))
