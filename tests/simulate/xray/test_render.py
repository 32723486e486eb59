"""Films show what their truth says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mandora.core.anatomy import LANDMARK_INDEX, Limb, Side, Slot
from mandora.simulate.anatomy.foot import build_foot
from mandora.simulate.anatomy.hand import build_hand
from mandora.simulate.anatomy.joint_state import Erosion, JointState
from mandora.simulate.anatomy.skeleton import Calcification, Skeleton, Spot, Traits
from mandora.simulate.cohort.patients import draw_patient
from mandora.simulate.xray.exposure import Imaging
from mandora.simulate.xray.placement import Placement
from mandora.simulate.xray.render import SimulatedFilm, render

PPMM = 4.0
CLEAN = Imaging(noise=0.0, sharpen=0.0, blur_mm=0.1, marker=False)


def skeleton(limb: Limb, states: dict[str, JointState] | None = None, seed: int = 1) -> Skeleton:
    build = build_hand if limb is Limb.HAND else build_foot
    patient, own = np.random.default_rng(seed), np.random.default_rng(seed + 1)
    return build(Traits(), states or {}, patient, own)


def film(
    limb: Limb,
    states: dict[str, JointState] | None = None,
    side: Side = Side.LEFT,
    seed: int = 1,
) -> SimulatedFilm:
    bones = skeleton(limb, states, seed)
    placement = Placement(700, 950, PPMM, 0.0, (0.5, 0.6 if limb is Limb.HAND else 0.4), side)
    return render(bones, placement, CLEAN, np.random.default_rng(3))


def profile(made: SimulatedFilm, site: str) -> np.ndarray:
    """Grey values along the finger through a joint, ±8 mm."""
    index = LANDMARK_INDEX[made.limb]
    x, y = made.landmarks[index[site]]
    below = made.landmarks[index["mcp3"]] if site != "mcp3" else made.landmarks[index["cmc3"]]
    up = (np.array([x, y]) - below) / np.linalg.norm(np.array([x, y]) - below)
    steps = np.arange(-8, 8, 0.1) * PPMM
    cols = np.rint(x + steps * up[0]).astype(int)
    rows = np.rint(y + steps * up[1]).astype(int)
    return made.pixels[rows, cols]


@pytest.mark.parametrize("limb", list(Limb))
def test_a_film_is_grey_values_with_all_points_on_it(limb: Limb) -> None:
    made = film(limb)
    assert made.pixels.dtype == np.float32
    assert made.pixels.shape == made.spaces.shape == made.erosions.shape == (950, 700)
    assert 0 <= made.pixels.min() < made.pixels.max() <= 1
    assert (made.landmarks > 0).all()
    assert (made.landmarks < [700, 950]).all()
    assert made.spacing_mm == pytest.approx(1 / PPMM)


@pytest.mark.parametrize("limb", list(Limb))
def test_the_right_limb_is_the_left_one_in_the_mirror(limb: Limb) -> None:
    left, right = film(limb), film(limb, side=Side.RIGHT)
    np.testing.assert_allclose(right.landmarks[:, 0], 699 - left.landmarks[:, 0], atol=1e-9)
    np.testing.assert_array_equal(right.spaces, left.spaces[:, ::-1])


def test_bone_is_brighter_than_soft_tissue_and_that_brighter_than_air() -> None:
    made = film(Limb.HAND)
    index = LANDMARK_INDEX[Limb.HAND]
    shaft = (made.landmarks[index["mcp3"]] + made.landmarks[index["cmc3"]]) / 2
    beside = (made.landmarks[index["mcp1"]] + made.landmarks[index["mcp2"]]) / 2
    bone, soft_tissue = (made.pixels[round(y), round(x)] for x, y in (shaft, beside))
    assert bone > soft_tissue + 0.1 > made.pixels[20, 20] + 0.1


def test_a_joint_space_is_dark_and_loses_its_darkness_when_it_is_lost() -> None:
    depth = []
    for loss in (0.0, 0.3, 0.6, 0.9):
        states = {"mcp3": JointState(loss=loss)}
        lines = [profile(film(Limb.HAND, states, seed=seed), "mcp3") for seed in range(10, 16)]
        # ±2 mm; hands differ in how their bones overlap
        depth.append(np.mean([np.median(line) - line[60:100].min() for line in lines]))
    assert depth[0] > depth[1] > max(depth[2:])


def test_the_mask_of_a_joint_space_shrinks_with_its_loss() -> None:
    label = LANDMARK_INDEX[Limb.HAND]["mcp2"] + 1
    areas = [
        int((film(Limb.HAND, {"mcp2": JointState(loss=loss)}).spaces == label).sum())
        for loss in (0.0, 0.4, 0.8)
    ]
    assert areas[0] > areas[1] > areas[2]


@pytest.mark.parametrize("site", ["cmc3", "mna", "capnlun", "radcar"])
def test_wrist_joints_have_spaces_that_shrink_too(site: str) -> None:
    label = LANDMARK_INDEX[Limb.HAND][site] + 1
    wide = film(Limb.HAND).spaces == label
    narrow = film(Limb.HAND, {site: JointState(loss=0.7)}).spaces == label
    assert 0 < narrow.sum() < wide.sum()


def test_an_erosion_darkens_the_bone_where_the_truth_marks_it() -> None:
    eroded = film(Limb.HAND, {"mcp2": JointState(erosions=(Erosion(0, 3, 0.33, 0.9),))})
    marked = eroded.erosions == LANDMARK_INDEX[Limb.HAND]["mcp2"] + 1
    assert marked.sum() > 20
    assert eroded.pixels[marked].mean() < film(Limb.HAND).pixels[marked].mean() - 0.05


def test_an_ankylosed_joint_has_no_space() -> None:
    made = film(Limb.HAND, {"pip3": JointState(loss=1.0, fused=True)})
    assert not (made.spaces == LANDMARK_INDEX[Limb.HAND]["pip3"] + 1).any()


def test_a_film_depends_on_nothing_but_its_patient_and_slot() -> None:
    from mandora.simulate.cohort.patients import simulate_film

    slot = Slot(Side.RIGHT, Limb.FOOT)
    first = simulate_film(draw_patient(4, 7), slot, pixels_per_mm=2.0)
    simulate_film(draw_patient(4, 8), slot, pixels_per_mm=2.0)
    again = simulate_film(draw_patient(4, 7), slot, pixels_per_mm=2.0)
    np.testing.assert_array_equal(first.pixels, again.pixels)
    other = simulate_film(draw_patient(4, 8), slot, pixels_per_mm=2.0)
    assert other.pixels.shape != first.pixels.shape or (other.pixels != first.pixels).any()


def shown(bones: Skeleton) -> SimulatedFilm:
    placement = Placement(700, 950, PPMM, 0.0, (0.5, 0.6), Side.LEFT)
    return render(bones, placement, CLEAN, np.random.default_rng(3))


@pytest.mark.parametrize("change", [-0.5, 0.8])
def test_a_spot_changes_the_bone_there_and_is_no_erosion(change: float) -> None:
    bones = replace(skeleton(Limb.HAND), spots=())
    outline = next(b for b in bones.bones if b.name == "radius").outline
    inside = outline[:8].mean(axis=0) + np.array([0.0, 6.0])
    spot = Spot("radius", inside, (2.0, 1.0), 0.5, change)
    plain, spotted = shown(bones), shown(replace(bones, spots=(spot,)))
    difference = spotted.pixels - plain.pixels
    y, x = np.unravel_index(np.abs(difference).argmax(), difference.shape)
    assert np.sign(difference[y, x]) == np.sign(change)
    assert (np.abs(difference) > 0.01).sum() < 40 * PPMM**2
    assert not spotted.erosions.any()
    np.testing.assert_array_equal(spotted.spaces, plain.spaces)


def test_calcified_walls_are_two_bright_lines() -> None:
    bones = replace(skeleton(Limb.HAND), calcifications=())
    marks = bones.landmarks
    index = LANDMARK_INDEX[Limb.HAND]
    web = (marks[index["mcp1"]] + marks[index["mcp2"]]) / 2
    course = web + np.column_stack([np.zeros(30), np.linspace(-8, 8, 30)])
    line = Calcification(course, 2.0, 1.0, 0.0)
    brighter = shown(replace(bones, calcifications=(line,))).pixels - shown(bones).pixels
    rows, cols = np.nonzero(brighter > 0.02)
    assert np.ptp(rows) > 12 * PPMM
    row = brighter[int(np.median(rows))]
    assert row[int(np.median(cols))] < 0.5 * row.max(), "between the walls"


def test_the_front_of_a_slanting_bone_lies_over_its_joint_space() -> None:
    bones = skeleton(Limb.HAND)
    flat = replace(bones, bones=tuple(replace(b, veil=0.0, slant=None) for b in bones.bones))
    steep = replace(
        bones,
        bones=tuple(replace(b, veil=0.5, slant=(0.0, 1.5)) if b.yields else b for b in bones.bones),
    )
    below, over = shown(flat), shown(steep)
    space = below.spaces == LANDMARK_INDEX[Limb.HAND]["capnlun"] + 1
    np.testing.assert_array_equal(below.spaces, over.spaces)
    assert over.pixels[space].mean() > below.pixels[space].mean() + 0.02


def test_a_growth_plate_is_a_dark_line_beyond_the_joint() -> None:
    young = replace(Traits(), immature=True)
    build = build_hand(young, {}, np.random.default_rng(1), np.random.default_rng(2))
    plates = [b for b in build.bones if b.plate is not None]
    assert {b.name for b in plates} >= {"mc2", "pp3", "radius", "ulna"}


def eroded_mm(erosion: Erosion, site: str = "mcp3") -> tuple[float, float]:
    """Width and height on the film of an erosion in the head of a metacarpal, mm."""
    made = film(Limb.HAND, {site: JointState(erosions=(erosion,))})
    marked = made.erosions == LANDMARK_INDEX[Limb.HAND][site] + 1
    return float(marked.any(axis=0).sum() / PPMM), float(marked.any(axis=1).sum() / PPMM)


def test_a_collapse_takes_a_bones_end_over_its_whole_width() -> None:
    head = next(b for b in skeleton(Limb.HAND).bones if b.name == "mc3").tube
    assert head is not None
    width, height = eroded_mm(Erosion(0, 5, 0.65, 0.95, reach=0.4))
    assert width > 0.9 * head.head
    assert 0.3 * head.head < height < head.head
    wide, _ = eroded_mm(Erosion(0, 3, 0.3, 0.9, reach=0.65))
    small, _ = eroded_mm(Erosion(0, 1, 0.12, 0.9, reach=0.15))
    assert 0.5 * head.head < wide < 0.9 * head.head
    assert small < 0.25 * head.head


def gaps_mm(state: JointState) -> np.ndarray:
    """Widths of the space of MCP3 from one side to the other, mm."""
    label = LANDMARK_INDEX[Limb.HAND]["mcp3"] + 1
    strip = next(s for s in skeleton(Limb.HAND, {"mcp3": state}).strips if s.label == label)
    half = len(strip.polygon) // 2
    return np.asarray(np.linalg.norm(strip.polygon[:half] - strip.polygon[half:][::-1], axis=1))


def test_a_focal_loss_narrows_one_half_of_the_joint() -> None:
    healthy = gaps_mm(JointState())
    for loss in (0.6, 0.601):
        left = gaps_mm(JointState(loss=loss, focal=True)) / healthy
        one, other = sorted((left[:4].mean(), left[-4:].mean()))
        assert one < 0.8  # where the surfaces part anyway
        assert other > 0.9
    everywhere = gaps_mm(JointState(loss=0.6)) / healthy
    assert everywhere.max() < 0.8  # the sides, where the surfaces part, lose the same mm
    assert everywhere[4:-4].mean() == pytest.approx(0.42, abs=0.06)


@pytest.mark.parametrize(("limb", "site", "bones"), [
    (Limb.HAND, "mcp3", ("mc3", "pp3")), (Limb.FOOT, "mtp3", ("mt3", "pp3")),
])  # fmt: skip
def test_a_subluxed_joint_is_out_of_line(limb: Limb, site: str, bones: tuple[str, str]) -> None:
    aside = []
    for shift in (0.0, 0.3, 0.45):
        known = {b.name: b for b in skeleton(limb, {site: JointState(shift=shift)}).bones}
        head, base = (known[name].axis for name in bones)
        assert head is not None
        assert base is not None
        up = (head[1] - head[0]) / np.linalg.norm(head[1] - head[0])
        off = base[0] - head[1]
        aside.append(abs(float(off @ [-up[1], up[0]])))
    assert aside[0] < 1
    assert 2 < aside[1] < aside[2] < 9
