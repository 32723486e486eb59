from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mandora.core.geometry import Affine
from mandora.locate.decode import Peaks
from mandora.locate.shape import BEYOND_SHARE, FilmArea, checked, fit_shapes

HAND = np.random.default_rng(3).uniform(-1, 1, (21, 2)) * [0.9, 1.2]
COUNT = 4
LOWEST = 0.1


def peaks(*limbs: np.ndarray, heights: tuple[float, ...] = (0.9, 0.8)) -> Peaks:
    """One peak of each limb in each map, in random order, and noise."""
    rng = np.random.default_rng(1)
    places = rng.uniform(0, 255, (len(HAND), COUNT, 2))
    tall = rng.uniform(0.1, 0.2, (len(HAND), COUNT))
    for i in range(len(HAND)):
        for slot, limb, height in zip(rng.permutation(COUNT), limbs, heights, strict=False):
            places[i, slot], tall[i, slot] = limb[i], height
    return Peaks(places, tall)


def laid(size: float, degrees: float, x: float, y: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)) * size, np.sin(np.radians(degrees)) * size
    return HAND @ np.array([[c, s], [-s, c]]) + (x, y)


@given(st.floats(25, 90), st.floats(-45, 45), st.floats(60, 200), st.floats(60, 200))
def test_a_limb_is_put_together_from_its_peaks_among_noise(
    size: float, degrees: float, x: float, y: float
) -> None:
    limb = laid(size, degrees, x, y)
    (found,) = fit_shapes(HAND, peaks(limb), LOWEST)
    np.testing.assert_allclose(found.landmarks, limb)
    np.testing.assert_allclose(np.hypot(*found.matrix[:, 0]), size, rtol=1e-6)
    assert found.fit == pytest.approx(0.9, rel=1e-6)


def test_the_peaks_of_two_limbs_do_not_mix() -> None:
    one, other = laid(35, 8, 70, 120), laid(33, -10, 190, 130)
    first, second = fit_shapes(HAND, peaks(one, other), LOWEST, 2)
    np.testing.assert_allclose(first.landmarks, one)
    np.testing.assert_allclose(second.landmarks, other)
    assert first.fit > second.fit


def test_a_deformed_limb_keeps_its_own_peaks() -> None:
    limb = laid(60, 0, 128, 128)
    limb[[1, 2, 3]] += (25, 8)  # fingers that drift by 0.4 units
    found = fit_shapes(HAND, peaks(limb), LOWEST)[0]
    np.testing.assert_allclose(found.landmarks, limb)


def test_an_upside_down_limb_is_none() -> None:
    shapes = fit_shapes(HAND, peaks(laid(60, 180, 128, 128)), LOWEST)
    assert all(shape.fit < 0.2 for shape in shapes)


def test_empty_heat_maps_make_up_no_limb() -> None:
    assert fit_shapes(HAND, Peaks(np.zeros((21, COUNT, 2)), np.zeros((21, COUNT))), LOWEST, 2) == []


def test_peaks_of_one_place_make_up_no_limb() -> None:
    together = Peaks(np.full((21, COUNT, 2), 9.0), np.full((21, COUNT), 0.9))
    assert fit_shapes(HAND, together, LOWEST, 2) == []


def test_what_is_faint_or_astray_does_not_hold() -> None:
    landmarks, heights = laid(60, 5, 128, 128), np.full(21, 0.9)
    landmarks[4] += (60, 0)
    heights[9] = 0.2
    found = checked(HAND, landmarks, heights, 0.25, film())
    assert np.flatnonzero(~found.sure).tolist() == [4, 9]
    assert not found.outside.any()
    assert found.fit == pytest.approx((19 * 0.9 + 0.2) / 21, rel=0.01)


def test_one_sure_point_is_no_limb() -> None:
    heights = np.where(np.arange(21) == 0, 0.9, 0.1)
    assert checked(HAND, laid(60, 5, 128, 128), heights, 0.25, film()).fit == 0


# ── parts of limbs ───────────────────────────────────────────────────────────────────────


def film(height: float = 256, top: float = 0.0) -> FilmArea:
    """Of 256 px width, whose first row lies ``top`` px below that of the view."""
    to_film = Affine(np.array([[1.0, 0, 0], [0, 1, -top]]), "network", "film")
    return FilmArea(to_film, 256, height)


def test_how_far_a_point_lies_beyond_a_turned_and_smaller_film() -> None:
    # the film is half as large, and turned by a quarter: x of the film is y of the view
    to_film = Affine(np.array([[0.0, 0.5, 0], [-0.5, 0, 100]]), "network", "film")
    area = FilmArea(to_film, 60, 100)
    points = np.array([[100.0, 50], [100, 129], [-11, 50], [211, 20]])
    np.testing.assert_allclose(area.beyond(points), [-51, 10, 12, 10], atol=1e-9)


@pytest.mark.parametrize("size", [40.0, 60.0])
def test_the_part_that_is_on_the_film_fits_well(size: float) -> None:
    limb = laid(size, 5, 128, 128)
    shown = limb[:, 1] > 140
    assert 6 <= shown.sum() <= 14
    tall = np.where(shown, 0.9, 0.02)
    seen = Peaks(limb[:, None], tall[:, None])
    (part,) = fit_shapes(HAND, seen, LOWEST, 1, film(256, 141))
    count = shown.sum()
    assert part.fit == pytest.approx(0.9 * count / (count + BEYOND_SHARE * (21 - count)), abs=0.02)
    (whole,) = fit_shapes(HAND, seen, LOWEST, 1, film())
    assert whole.fit == pytest.approx(0.9 * count / 21, abs=0.02), "the rest should be on the film"


def test_what_the_others_put_beyond_the_film_is_outside_and_the_rest_is_not_found() -> None:
    limb = laid(60, 5, 128, 128)
    shown = limb[:, 1] > 120
    heights = np.where(shown, 0.9, 0.05)
    lost = int(np.flatnonzero(shown)[limb[shown, 1].argmax()])  # far from the border
    heights[lost] = 0.1
    rng = np.random.default_rng(0)
    landmarks = np.where(shown[:, None], limb, rng.uniform(130, 250, (21, 2)))
    found = checked(HAND, landmarks, heights, 0.25, film(256, 119))
    np.testing.assert_array_equal(found.outside, ~shown)
    assert np.flatnonzero(~found.sure & ~found.outside).tolist() == [lost]
    assert found.fit > 0.7


def test_a_peak_beyond_the_film_is_outside_whatever_its_height() -> None:
    limb = laid(60, 5, 128, 128)
    found = checked(HAND, limb, np.full(21, 0.9), 0.25, film(256, 119))
    np.testing.assert_array_equal(found.outside, limb[:, 1] < 118.5)
    np.testing.assert_array_equal(found.sure, limb[:, 1] >= 118.5)


def test_peaks_at_the_border_for_what_lies_beyond_it_do_not_pull_the_limb_onto_the_film() -> None:
    limb = laid(60, 5, 128, 128)
    shown = limb[:, 1] > 120
    landmarks, heights = limb.copy(), np.where(shown, 0.9, 0.05)
    far = np.argsort(limb[:, 1])[:2]  # those that lie furthest beyond it
    landmarks[far, 1], heights[far] = 121, 0.7
    found = checked(HAND, landmarks, heights, 0.25, film(256, 119))
    np.testing.assert_array_equal(found.sure[far], False)
    np.testing.assert_array_equal(found.outside[far], True)
    assert found.sure[limb[:, 1] > 125].all()
    assert found.fit > 0.7


def test_of_a_joint_at_the_border_too_little_is_on_the_film() -> None:
    limb = laid(60, 5, 128, 128)
    border = limb[:, 1].min() - 60 * 0.04 + 0.5  # the uppermost lies 0.04 limb sizes below it
    found = checked(HAND, limb, np.full(21, 0.9), 0.25, film(256, border))
    assert np.flatnonzero(found.outside).tolist() == [limb[:, 1].argmin()]
    assert found.fit > 0.89
    assert not checked(HAND, limb, np.full(21, 0.9), 0.25, film(256, border - 2)).outside.any()
