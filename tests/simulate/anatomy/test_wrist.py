"""Bare areas lie at the margins of the wrist's bones; its joint spaces are as wide as they say."""

from __future__ import annotations

import numpy as np
import pytest

from mandora.core.anatomy import LANDMARK_INDEX, Limb
from mandora.simulate.anatomy.hand import build_hand
from mandora.simulate.anatomy.joint_state import Erosion, JointState
from mandora.simulate.anatomy.skeleton import Skeleton, Traits
from mandora.simulate.anatomy.wrist import WRIST_ANCHORS
from mandora.simulate.anatomy.wrist_form import BARE_AREAS
from mandora.simulate.xray.distances import Grid, signed_distance

SITES = ("mc1", "mul", "nav", "lunate", "radius", "ulna")


def hand(seed: int, **states: JointState) -> Skeleton:
    rng = np.random.default_rng
    return build_hand(Traits(), states, rng([seed, 1]), rng([seed, 2]))


def depth(made: Skeleton, bone: str, xy: np.ndarray) -> float:
    """Distance of a point from a bone's outline, mm; negative inside."""
    outline = next(b.outline for b in made.bones if b.name == bone)
    return float(signed_distance(outline, Grid(xy[:1], xy[1:]))[0, 0])


@pytest.mark.parametrize("site", SITES)
def test_erosions_of_a_site_start_at_places_of_their_own_near_the_margin(site: str) -> None:
    places = []
    for anchor in range(WRIST_ANCHORS):
        made = hand(1, **{site: JointState(erosions=(Erosion(anchor, 1, 0.12, 0.8),))})
        erosion = next(e for e in made.erosions if e.label)
        assert abs(depth(made, erosion.bone, erosion.place)) < 3.0
        places.append(erosion.place)
    apart = [np.hypot(*(a - b)) for i, a in enumerate(places) for b in places[:i]]
    assert min(apart) > 1.0


def test_every_bone_has_its_bare_areas() -> None:
    assert {len(areas) for name, areas in BARE_AREAS.items() if name[:4] != "trap"} == {6}
    assert len(BARE_AREAS["trapezium"]) + len(BARE_AREAS["trapezoid"]) == WRIST_ANCHORS


def test_the_styloid_of_the_radius_reaches_further_than_its_other_corner() -> None:
    made = hand(2)
    at = [
        next(e for e in hand(
            2, radius=JointState(erosions=(Erosion(anchor, 1, 0.12, 0.8),))
        ).erosions if e.label).place
        for anchor in (0, 1)
    ]  # fmt: skip
    assert at[0][1] < at[1][1] - 4.0, "mm, up is negative"
    assert depth(made, "radius", made.landmarks[LANDMARK_INDEX[Limb.HAND]["radius"]]) < 0


@pytest.mark.parametrize("seed", range(8))
def test_the_carpus_reaches_the_radius_so_that_lost_space_is_seen(seed: int) -> None:
    made = hand(seed)
    bones = {b.name: b for b in made.bones}
    gap = next(g for g in made.gaps if (g.first, g.second) == ("lunate", "radius"))
    outline = bones["lunate"].outline
    nearest = min(depth(made, "radius", xy) for xy in outline)
    assert nearest < gap.width, "it is cut back to the healthy space"
