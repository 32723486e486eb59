"""Exposure, sharpness and metal are measured in the windows around joints."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from mandora.images.quality import Levels, near_metal, window_quality

RNG = np.random.default_rng(0)


def windows(blur: float = 1.0) -> np.ndarray:
    """Bones of 0.7 in flesh of 0.3 and air of 0, with a little noise."""
    one = np.full((60, 60), 0.3)
    one[:, :8], one[10:50, 20:40] = 0.05, 0.7
    one = ndimage.gaussian_filter(one, blur)
    noise = RNG.normal(0, 0.004, (6, 60, 60))
    return np.clip(one + noise, 0, 1).astype(np.float32)


def test_a_film_of_all_grey_values_is_not_clipped() -> None:
    fine = window_quality(windows())
    assert fine.clipped_bright < 0.01
    assert fine.clipped_dark == 0
    assert fine.grey_range == pytest.approx(0.65, abs=0.05)


def test_what_is_clipped_is_told_whatever_grey_value_it_has() -> None:
    assert window_quality(np.minimum(windows(), 0.6)).clipped_bright > 0.1
    assert window_quality(np.minimum(windows(), 0.6) / 3).clipped_bright > 0.1
    assert window_quality(np.maximum(windows(), 0.4)).clipped_dark > 0.2


def test_a_faint_film_has_a_small_range_and_a_blurred_one_wide_edges() -> None:
    assert window_quality(windows() * 0.04).grey_range < 0.05
    sharp, blurred = window_quality(windows()), window_quality(windows(blur=5))
    assert np.median(blurred.edge_widths) > 2 * np.median(sharp.edge_widths)
    faint = window_quality(windows() / 2)
    assert np.median(faint.edge_widths) == pytest.approx(np.median(sharp.edge_widths), rel=0.1)


POINTS = np.array([[100.0, 100], [200, 100], [100, 250], [200, 250], [np.nan, np.nan]])
LEVELS = Levels(soft=0.3, bone=0.7)


def a_film() -> np.ndarray:
    film = np.full((400, 320), 0.3)
    for x, y in POINTS[:4]:
        film[int(y) - 30 : int(y) + 30, int(x) - 12 : int(x) + 12] = 0.7
    return ndimage.gaussian_filter(film, 1).astype(np.float32)


def test_a_ring_is_near_the_joint_beside_it_only() -> None:
    film = a_film()
    film[270:282, 185:215] = 0.98
    assert near_metal(film, POINTS, 100.0, LEVELS).tolist() == [False, False, False, True, False]
    twice = np.repeat(np.repeat(film, 2, 0), 2, 1)
    assert near_metal(twice, POINTS * 2, 200.0, LEVELS)[3], "whatever the resolution"


def test_levels_are_those_of_flesh_and_bone() -> None:
    levels = Levels.of(windows()[:, :, 8:])
    assert levels.soft == pytest.approx(0.3, abs=0.05)
    assert levels.bone == pytest.approx(0.7, abs=0.02)


def test_bright_bone_specks_and_what_lies_far_off_are_no_metal() -> None:
    assert not near_metal(a_film(), POINTS, 100.0, LEVELS).any()
    film = a_film()
    film[260:262, 200:203] = 0.98  # a speck
    film[380:398, 10:40] = 0.98  # a marker in the corner
    film[230:270, 188:212] = 0.8  # dense bone
    assert not near_metal(film, POINTS, 100.0, LEVELS).any()
