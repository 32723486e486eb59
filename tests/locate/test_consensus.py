from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mandora.core.settings import TrainLocateSettings, preset
from mandora.locate.consensus import consensus as of_corner

SIZE = (200.0, 100.0)
NAN = (np.nan, np.nan)


def consensus(places: object) -> tuple[np.ndarray, np.ndarray]:
    return of_corner(places, SIZE, 0.05)


def test_one_place_is_the_place() -> None:
    landmark, kept = consensus([(50.0, 40.0)])
    assert landmark.tolist() == [50, 40]
    assert kept.tolist() == [True]


def test_places_in_a_corner_are_dropped_and_those_at_a_border_are_not() -> None:
    # a corner is 10 × 5 px here
    corners = [(3.0, 2.0), (196.0, 2.0), (3.0, 97.0), (196.0, 97.0)]
    borders = [(3.0, 50.0), (100.0, 2.0)]
    _, kept = consensus([*corners, *borders])
    assert kept.tolist() == [False] * 4 + [True] * 2


def test_the_published_corner_is_a_hundredth_of_each_side() -> None:
    corner = preset("paper", TrainLocateSettings).network.corner
    # 1.99 and 0.99 px of 200 × 100; px are counted from the middle of the first
    inside, outside = (1.49, 0.49), (1.51, 0.49)
    _, kept = of_corner([inside, outside, (198.6, 98.6), (198.4, 98.6)], SIZE, corner)
    assert kept[0] == kept[2] == False  # noqa: E712
    _, kept = of_corner([inside, outside], SIZE, corner)
    assert kept.tolist() == [False, True]


def test_places_that_were_not_found_or_lie_outside_are_dropped() -> None:
    landmark, kept = consensus([NAN, (50.0, 40.0), (250.0, 40.0), (52.0, 44.0)])
    assert kept.tolist() == [False, True, False, True]
    assert landmark.tolist() == [51, 42]


def test_the_outlier_has_the_largest_mean_squared_distance_to_the_others() -> None:
    # on a line, in tenths of the width
    places = [(x * 20 - 0.5, 49.5) for x in (0, 4, 4, 5, 9.5)]
    # of 0: 16 + 16 + 25 + 90.25 = 147.25, of 9.5: 90.25 + 2 * 30.25 + 20.25 = 171
    assert consensus(places)[1].tolist() == [True, True, True, True, False]
    # 9 is farther from the median, 5, but it has a neighbour
    places = [(x * 20 - 0.5, 49.5) for x in (1.1, 5, 5, 8.9, 9)]
    # of 1.1: 2 * 15.21 + 60.84 + 62.41 = 153.67, of 9: 62.41 + 2 * 16 + 0.01 = 94.42
    assert consensus(places)[1].tolist() == [False, True, True, True, True]


def test_distances_are_shares_of_the_film_not_px() -> None:
    # 30 px of 200 are 0.15, 20 px of 100 are 0.2
    places = [(100.0, 50.0), (101.0, 50.0), (100.0, 51.0), (130.0, 50.0), (100.0, 70.0)]
    assert consensus(places)[1].tolist() == [True, True, True, True, False]


def test_of_more_than_three_places_the_farthest_is_dropped() -> None:
    places = [(50.0, 40.0), (52.0, 41.0), (51.0, 42.0), (150.0, 80.0)]
    landmark, kept = consensus(places)
    assert kept.tolist() == [True, True, True, False]
    assert landmark.tolist() == [51, 41]


def test_of_three_places_none_is_dropped() -> None:
    landmark, kept = consensus([(50.0, 40.0), (52.0, 41.0), (150.0, 80.0)])
    assert kept.all()
    assert landmark.tolist() == [52, 41]


def test_only_one_outlier_is_dropped() -> None:
    places = [(50.0, 40.0), (50.0, 40.0), (50.0, 40.0), (120.0, 40.0), (180.0, 40.0)]
    _, kept = consensus(places)
    assert kept.tolist() == [True, True, True, True, False]


def test_corners_are_dropped_before_they_are_counted() -> None:
    places = [(50.0, 40.0), (52.0, 41.0), (150.0, 80.0), (1.0, 1.0)]
    assert consensus(places)[1].tolist() == [True, True, True, False]


@pytest.mark.parametrize("places", [[NAN], [NAN, (1.0, 1.0)]])
def test_without_any_place_there_is_none(places: list[tuple[float, float]]) -> None:
    landmark, kept = consensus(places)
    assert np.isnan(landmark).all()
    assert not kept.any()


@given(
    st.lists(st.tuples(st.floats(0, 199), st.floats(0, 99)), min_size=1, max_size=6, unique=True)
)
def test_mirrored_places_have_the_mirrored_consensus(places: list[tuple[float, float]]) -> None:
    landmark, kept = consensus(places)
    mirrored, also = consensus(np.array(places) * [-1, 1] + [199, 0])
    if kept.tolist() == also.tolist():  # else two were equally far
        np.testing.assert_allclose(mirrored, landmark * [-1, 1] + [199, 0], atol=1e-6)
    else:
        assert kept.sum() == also.sum()
