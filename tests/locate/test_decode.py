from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mandora.core.geometry import mirror_x
from mandora.core.settings import TrainLocateSettings, preset
from mandora.core.specs import FilmSpec
from mandora.locate.decode import find_peaks, largest_component, read_heat_maps
from mandora.locate.targets import heat_maps, squares

SIZE, SIGMA = 128, 1.6
inner = st.floats(6, SIZE - 6)


def highest(maps: np.ndarray, stride: int) -> tuple[np.ndarray, np.ndarray]:
    return read_heat_maps(FilmSpec(heat_map_stride=stride, found_threshold=0), maps)


@given(st.lists(st.tuples(inner, inner), min_size=1, max_size=21), st.sampled_from([1, 2, 4]))
def test_points_are_read_back_to_a_fraction_of_a_heat_map_pixel(
    places: list[tuple[float, float]], stride: int
) -> None:
    landmarks = np.array(places)
    found, confidence = highest(heat_maps(landmarks, SIZE, stride, SIGMA), stride)
    assert np.abs(found - landmarks).max() < 0.02 * stride
    assert (confidence > 0.8).all()


def test_each_map_gives_its_own_point() -> None:
    landmarks = np.array([[20.0, 100], [64, 31], [90, 90]])
    maps = heat_maps(landmarks, SIZE, 2, SIGMA)
    together, _ = highest(maps, 2)
    for i in range(3):
        alone, _ = highest(maps[i : i + 1], 2)
        np.testing.assert_array_equal(alone[0], together[i])


def test_confidence_is_the_height_of_the_peak() -> None:
    maps = heat_maps(np.array([[64.5, 64.5]] * 2), SIZE, 2, SIGMA)
    _, confidence = highest(maps * np.array([1, 0.3], np.float32)[:, None, None], 2)
    assert confidence[1] == pytest.approx(0.3 * confidence[0], rel=1e-5)


def test_the_higher_of_two_peaks_wins_and_is_not_drawn_to_the_other() -> None:
    high = heat_maps(np.array([[30.0, 30]]), SIZE, 2, SIGMA)
    low = heat_maps(np.array([[100.0, 90]]), SIZE, 2, SIGMA)
    alone, _ = highest(high, 2)
    both, _ = highest(np.maximum(high, 0.8 * low), 2)
    np.testing.assert_allclose(both, alone, atol=1e-6)


@pytest.mark.parametrize("corner", [(0.0, 0.0), (127.0, 0.0), (0.0, 127.0), (127.0, 127.0)])
def test_a_point_in_the_corner_stays_there(corner: tuple[float, float]) -> None:
    found, _ = highest(heat_maps(np.array([corner]), SIZE, 2, SIGMA), 2)
    assert np.abs(found[0] - corner).max() < 1


def test_empty_maps_have_no_confidence() -> None:
    _, confidence = highest(np.zeros((2, 64, 64), np.float32), 2)
    assert confidence.tolist() == [0, 0]


def test_mirrored_maps_give_mirrored_points() -> None:
    landmarks = np.array([[20.3, 100.1], [64.7, 31.2]])
    maps = heat_maps(landmarks, SIZE, 2, SIGMA)
    found, _ = highest(maps, 2)
    flipped, _ = highest(np.ascontiguousarray(maps[:, :, ::-1]), 2)
    np.testing.assert_allclose(mirror_x(SIZE, "network")(flipped), found, atol=1e-5)


def test_peaks_come_in_the_order_of_their_heights() -> None:
    high, low = np.array([[30.2, 31.7]]), np.array([[100.4, 90.1]])
    maps = np.maximum(heat_maps(high, SIZE, 2, SIGMA), 0.6 * heat_maps(low, SIZE, 2, SIGMA))
    found = find_peaks(maps, 2, 3)
    np.testing.assert_allclose(found.places[0, :2], [high[0], low[0]], atol=0.05)
    assert found.heights[0, 1] == pytest.approx(0.6 * found.heights[0, 0], rel=0.05)
    assert found.heights[0, 2] < 0.01, "a peak is not found twice"


def test_the_first_peak_is_the_decoded_point() -> None:
    maps = heat_maps(np.array([[30.2, 31.7], [64.0, 101.0]]), SIZE, 2, SIGMA)
    landmarks, heights = highest(maps, 2)
    found = find_peaks(maps, 2, 4)
    np.testing.assert_array_equal(found.places[:, 0], landmarks)
    np.testing.assert_array_equal(found.heights[:, 0], heights)


# ── the largest component ────────────────────────────────────────────────────────────────


@given(st.lists(st.tuples(inner, inner), min_size=1, max_size=5))
def test_the_middle_of_a_square_is_its_point(places: list[tuple[float, float]]) -> None:
    landmarks = np.array(places)
    found, heights = largest_component(squares(landmarks, SIZE, (SIZE, SIZE), 4 / SIZE * 1024), 0.5)
    assert np.abs(found - landmarks).max() <= 0.5 + 1e-6  # a px is in or out
    assert (heights == 1).all()


def test_the_larger_region_counts_not_the_hotter() -> None:
    heat = np.zeros((1, 20, 20), np.float32)
    heat[0, 2:4, 2:4] = 1.0
    heat[0, 10:13, 12:16] = 0.6
    found, heights = largest_component(heat, 0.5)
    assert found.tolist() == [[13.5, 11.0]]
    assert heights[0] == pytest.approx(0.6)
    # below the threshold the larger one is not there
    found, _ = largest_component(heat, 0.7)
    assert found.tolist() == [[2.5, 2.5]]


def test_px_that_touch_by_a_corner_are_one_region() -> None:
    heat = np.zeros((1, 10, 10), np.float32)
    heat[0, [1, 2, 3, 4], [1, 2, 3, 4]] = 0.9
    heat[0, 7, 5:8] = 0.9
    found, _ = largest_component(heat, 0.5)
    assert found.tolist() == [[2.5, 2.5]]


def test_the_middle_is_that_of_the_box_not_of_the_mass() -> None:
    heat = np.zeros((1, 10, 10), np.float32)
    heat[0, 1:7, 1] = 1
    heat[0, 6, 1:9] = 1  # an L
    found, _ = largest_component(heat, 0.5)
    assert found.tolist() == [[4.5, 3.5]]


def test_of_equal_regions_the_hotter_counts() -> None:
    heat = np.zeros((1, 10, 10), np.float32)
    heat[0, 1, 1:3], heat[0, 8, 6:8] = 0.6, 0.8
    for turned, place in ((heat, [6.5, 8]), (heat[:, ::-1, ::-1], [2.5, 1])):
        assert largest_component(turned, 0.5)[0].tolist() == [place]


def test_a_map_that_is_too_faint_has_no_point() -> None:
    heat = np.full((2, 8, 8), 0.4, np.float32)
    heat[0, 3, 3] = 0.5
    heat[1, 3, 3] = 0.51
    found, heights = largest_component(heat, 0.5)
    assert np.isnan(found[0]).all(), "the threshold itself is not hot enough"
    assert heights[0] == pytest.approx(0.5)
    assert found[1].tolist() == [3, 3]


def test_the_published_threshold_is_what_a_picture_of_8_bits_shows() -> None:
    threshold = preset("paper", TrainLocateSettings).network.found_threshold
    half = np.float32(0.5 / 255)
    steps = half + np.arange(-500, 501, dtype=np.float32) * np.spacing(half)
    heats = np.concatenate([steps, np.array([0, 0.001, 0.0019, 0.00197, 0.01, 1], np.float32)])
    shown = np.round(255 * heats) > 0  # halves are rounded to even: 0.5 becomes 0
    assert not shown[500]
    assert shown[501:1001].any()
    found, _ = largest_component(heats[:, None, None], threshold)
    assert np.isfinite(found).all(axis=1).tolist() == shown.tolist()


def test_coarse_maps_give_points_of_the_input() -> None:
    heat = np.zeros((1, 8, 8), np.float32)
    heat[0, 3, 2] = 1
    # the px of column 2 covers px 8…11 of the input
    assert largest_component(heat, 0.5, stride=4)[0].tolist() == [[9.5, 13.5]]


@pytest.mark.parametrize("decode", ["component", "peak"])
def test_what_is_below_the_threshold_is_not_found(decode: str) -> None:
    maps = np.zeros((2, 64, 64), np.float32)
    maps[:, 9:12, 19:22] = 0.3
    maps[1, 10, 20] = 0.6
    spec = FilmSpec(decode=decode, found_threshold=0.5, heat_map_stride=1)  # type: ignore[arg-type]
    places, heights = read_heat_maps(spec, maps)
    assert np.isnan(places[0]).all()
    np.testing.assert_allclose(places[1], [20, 10], atol=1e-6)
    np.testing.assert_allclose(heights, [0.3, 0.6], atol=1e-6)
