from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mandora.locate.consensus import consensus

SIZE = (200.0, 100.0)
NAN = (np.nan, np.nan)


def test_one_place_is_the_place() -> None:
    point, kept = consensus([(50.0, 40.0)], SIZE)
    assert point.tolist() == [50, 40]
    assert kept.tolist() == [True]


def test_places_in_a_corner_are_dropped_and_those_at_a_border_are_not() -> None:
    # a corner is 10 × 5 px here
    corners = [(3.0, 2.0), (196.0, 2.0), (3.0, 97.0), (196.0, 97.0)]
    borders = [(3.0, 50.0), (100.0, 2.0)]
    _, kept = consensus([*corners, *borders], SIZE)
    assert kept.tolist() == [False] * 4 + [True] * 2


def test_places_that_were_not_found_or_lie_outside_are_dropped() -> None:
    point, kept = consensus([NAN, (50.0, 40.0), (250.0, 40.0), (52.0, 44.0)], SIZE)
    assert kept.tolist() == [False, True, False, True]
    assert point.tolist() == [51, 42]


def test_of_more_than_three_places_the_farthest_is_dropped() -> None:
    places = [(50.0, 40.0), (52.0, 41.0), (51.0, 42.0), (150.0, 80.0)]
    point, kept = consensus(places, SIZE)
    assert kept.tolist() == [True, True, True, False]
    assert point.tolist() == [51, 41]


def test_of_three_places_none_is_dropped() -> None:
    point, kept = consensus([(50.0, 40.0), (52.0, 41.0), (150.0, 80.0)], SIZE)
    assert kept.all()
    assert point.tolist() == [52, 41]


def test_only_one_outlier_is_dropped() -> None:
    places = [(50.0, 40.0), (50.0, 40.0), (50.0, 40.0), (120.0, 40.0), (180.0, 40.0)]
    _, kept = consensus(places, SIZE)
    assert kept.tolist() == [True, True, True, True, False]


def test_corners_are_dropped_before_they_are_counted() -> None:
    places = [(50.0, 40.0), (52.0, 41.0), (150.0, 80.0), (1.0, 1.0)]
    assert consensus(places, SIZE)[1].tolist() == [True, True, True, False]


@pytest.mark.parametrize("places", [[NAN], [NAN, (1.0, 1.0)]])
def test_without_any_place_there_is_none(places: list[tuple[float, float]]) -> None:
    point, kept = consensus(places, SIZE)
    assert np.isnan(point).all()
    assert not kept.any()


@given(
    st.lists(st.tuples(st.floats(0, 199), st.floats(0, 99)), min_size=1, max_size=6, unique=True)
)
def test_mirrored_places_have_the_mirrored_consensus(places: list[tuple[float, float]]) -> None:
    point, kept = consensus(places, SIZE)
    mirrored, also = consensus(np.array(places) * [-1, 1] + [199, 0], SIZE)
    if kept.tolist() == also.tolist():  # else two were equally far
        np.testing.assert_allclose(mirrored, point * [-1, 1] + [199, 0], atol=1e-6)
    else:
        assert kept.sum() == also.sum()
