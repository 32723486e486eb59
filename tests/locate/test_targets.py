from __future__ import annotations

import numpy as np
import pytest

from mandora.locate.targets import heat_maps, square_half_px, squares


def test_one_map_per_point_with_its_peak_at_the_point() -> None:
    maps = heat_maps(np.array([[0.5, 0.5], [40.5, 20.5]]), 64, 2, 1.5)
    assert maps.shape == (2, 32, 32)
    assert maps.dtype == np.float32
    # (40.5, 20.5) is the centre of the block of 2 × 2 px in column 20, row 10
    assert np.unravel_index(maps[1].argmax(), (32, 32)) == (10, 20)
    assert maps[1].max() == pytest.approx(1)
    assert maps[0, 0, 0] == pytest.approx(1)


def test_the_spread_is_in_heat_map_pixels() -> None:
    for stride in (1, 2, 4):
        centre = 16.5 * stride - 0.5
        line = heat_maps(np.array([[centre, centre]]), 32 * stride, stride, 2.0)[0, 16]
        # one s.d. away from the peak a Gaussian is exp(-½) high
        assert line[18] / line[16] == pytest.approx(np.exp(-0.5), rel=1e-4)


@pytest.mark.parametrize("place", [(np.nan, 10), (np.nan, np.nan), (-3, 10), (10, 64), (200, 10)])
def test_a_point_that_is_not_in_view_has_an_empty_map(place: tuple[float, float]) -> None:
    maps = heat_maps(np.array([place, (30.0, 30.0)]), 64, 2, 1.5)
    assert not maps[0].any()
    assert maps[1].any()


# ── squares ──────────────────────────────────────────────────────────────────────────────


def test_a_square_is_30_px_wide_on_a_film_of_1024() -> None:
    (square,) = squares([(499.5, 299.5)], 1024, (1024, 1024))
    assert square.dtype == np.float32
    expected = np.zeros((1024, 1024), np.float32)
    expected[285:315, 485:515] = 1
    np.testing.assert_array_equal(square, expected)


def test_the_half_side_follows_the_area_of_the_film() -> None:
    assert square_half_px((1024, 1024)) == 15
    assert square_half_px((2048, 2048)) == 30
    assert square_half_px((4096, 1024)) == 30
    assert square_half_px((2048, 2048), 10) == 20


def test_a_square_is_stretched_with_its_film() -> None:
    # 4096 × 1024 px: 60 × 60 px on the film, 15 px high and 60 px wide at 1024 × 1024
    (square,) = squares([(400.5, 600.0)], 1024, (4096, 1024))
    assert square.sum(1).max() == pytest.approx(60, rel=1e-6)
    assert square.sum(0).max() == pytest.approx(15, rel=1e-6)
    assert square.sum() == pytest.approx(900, rel=1e-6)


def test_px_at_the_edge_of_a_square_hold_the_share_that_is_covered() -> None:
    # half side 1.5 px: from 2.75 to 5.75 covers a quarter … of px
    (square,) = squares([(4.25, 4.25)], 8, (8, 8), half_px=1.5 / 8 * 1024)
    np.testing.assert_allclose(square.max(0), [0, 0, 0, 0.75, 1, 1, 0.25, 0])
    assert square.sum() == pytest.approx(9)


def test_a_point_that_is_not_marked_is_ignored_and_one_outside_is_absent() -> None:
    maps = squares([(np.nan, 5), (np.nan, np.nan), (-50, 30), (30, 30)], 64, (64, 64), 60)
    assert (maps[:2] == -1).all()
    assert not maps[2].any()
    assert maps[3].max() == 1


def test_mirrored_points_have_mirrored_squares() -> None:
    landmarks = np.array([(10.3, 20.1), (40.7, 33.0)])
    usual = squares(landmarks, 64, (80, 50), 80)
    mirrored = squares(landmarks * [-1, 1] + [63, 0], 64, (80, 50), 80)
    np.testing.assert_allclose(mirrored[:, :, ::-1], usual, atol=1e-5)


def test_a_square_is_stretched_once_more_where_its_film_was_cut() -> None:
    # half side 4 px; what is left of the film is half as high again: 6 px up and down
    (square,) = squares([(19.5, 29.5)], 64, (64, 64), half_px=64, stretch=(1.0, 1.5))
    expected = np.zeros((64, 64), np.float32)
    expected[24:36, 16:24] = 1
    np.testing.assert_array_equal(square, expected)
    (wide,) = squares([(29.5, 19.5)], 64, (64, 64), half_px=64, stretch=(1.5, 1.0))
    np.testing.assert_array_equal(wide, expected.T)
