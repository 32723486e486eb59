"""Erosions take from a bone what their grade says."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from mandora.simulate.anatomy.joint_state import WEIGHTS, Erosion, draw_erosion
from mandora.simulate.anatomy.skeleton import PlacedErosion
from mandora.simulate.xray.erosions import bone_left, eroded

WIDTH = 15.0  # of the bone, mm
STEP = 0.1
# from 2 mm outside the bone to its other side; 15 mm of its margin
DEPTH, ALONG = np.meshgrid(
    np.arange(-2, WIDTH, STEP, dtype=np.float32),
    np.arange(-WIDTH / 2, WIDTH / 2, STEP, dtype=np.float32),
    indexing="ij",
)


def placed(erosion: Erosion) -> PlacedErosion:
    return PlacedErosion("mc2", np.zeros(2), np.array([1.0, 0.0]), WIDTH, erosion, 1)


def inside(erosion: Erosion) -> np.ndarray:
    """Where an erosion lies in the bone."""
    return (eroded(placed(erosion), DEPTH, ALONG) > 0) & (DEPTH >= 0)


def drawn(weight: int, count: int = 60) -> list[Erosion]:
    rng = np.random.default_rng(weight)
    return [draw_erosion(rng, weight, 0) for _ in range(count)]


def test_only_an_erosion_of_3_crosses_the_middle_of_the_bone() -> None:
    for weight in (1, 2, 3):
        deepest = [DEPTH[inside(e)].max() for e in drawn(weight)]
        assert (min(deepest) > WIDTH / 2) if weight == 3 else (max(deepest) < WIDTH / 2)


def test_the_area_grows_with_the_weight() -> None:
    areas = [np.mean([inside(e).sum() for e in drawn(weight)]) for weight in WEIGHTS]
    assert areas == sorted(areas)


def test_a_collapse_takes_the_joint_surface_over_the_whole_width_and_leaves_the_shaft() -> None:
    for erosion in drawn(5):
        gone = inside(erosion)
        assert gone[(DEPTH > 0) & (DEPTH < 0.02 * WIDTH)].mean() > 0.95
        deep = 1.5 * erosion.reach * WIDTH + 4
        assert not gone[deep < DEPTH].any()
        # the new end is uneven
        assert gone.sum(axis=0).std() * STEP > 0.2


@pytest.mark.parametrize("weight", WEIGHTS)
def test_no_two_erosions_have_one_outline_and_few_are_circles(weight: int) -> None:
    shapes = [inside(e) for e in drawn(weight)]
    extents = np.array([[np.ptp(DEPTH[s]), np.ptp(ALONG[s])] for s in shapes])
    ratio = extents[:, 0] / extents[:, 1]
    assert ratio.std() > 0.05
    assert all((a != b).any() for a, b in product(shapes[:8], shapes[8:16]))


def test_an_erosion_beside_the_margin_leaves_bone_at_the_margin() -> None:
    closed = inside(Erosion(0, 1, 0.1, 0.6, reach=0.3, inset=0.08, ragged=0.1))
    assert closed.any()
    assert DEPTH[closed].min() > 0.5
    assert DEPTH[inside(Erosion(0, 1, 0.1, 0.6, reach=0.3))].min() < STEP


def test_a_border_is_soft_or_sharp_or_dense() -> None:
    def left(border: float) -> np.ndarray:
        erosion = placed(Erosion(0, 2, 0.2, 0.9, reach=0.3, border=border))
        return bone_left(erosion, eroded(erosion, DEPTH, ALONG))

    soft, sharp, dense = (left(border) for border in (0.0, 0.5, 1.0))
    steepness = [np.abs(np.diff(a[:, ALONG.shape[1] // 2])).max() for a in (soft, sharp)]
    assert steepness[0] < steepness[1]
    assert soft.max() <= 1.001
    assert sharp.max() <= 1.001
    assert dense.max() > 1.1
    assert min(sharp.min(), dense.min()) == pytest.approx(0.1, abs=0.02)
