from __future__ import annotations

import numpy as np
import pytest

from mandora.locate.targets import heat_maps


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
