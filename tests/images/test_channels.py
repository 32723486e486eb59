from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from mandora.core.geometry import Box
from mandora.images.channels import (
    GREY_RANGE,
    KNOTS,
    FilmStatistics,
    patch_channels,
    published_film_channels,
    sample_box,
    standardise,
    stretched_film,
    whole_film,
)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width), dtype=np.float32)


def whole(pixels: np.ndarray) -> Box:
    height, width = pixels.shape
    return Box(-0.5, -0.5, width - 0.5, height - 0.5)


def dot(height: int, width: int, x: float, y: float, spread: float) -> np.ndarray:
    """A dark film with one soft bright dot."""
    rows, cols = np.mgrid[:height, :width]
    bright = np.exp(-((cols - x) ** 2 + (rows - y) ** 2) / (2 * spread**2))
    return (0.1 + 0.8 * bright).astype(np.float32)


def brightest(square: np.ndarray) -> tuple[float, float]:
    """Where the dot lies, better than to a pixel."""
    weight = np.clip(square - square.max() * 0.3, 0, None).astype(np.float64)
    rows, cols = np.mgrid[: square.shape[0], : square.shape[1]]
    return float((weight * cols).sum() / weight.sum()), float((weight * rows).sum() / weight.sum())


# ── standardise ──────────────────────────────────────────────────────────────────────────


def test_exposure_does_not_change_what_the_networks_see() -> None:
    film = noise(40, 30)
    seen = standardise(film)
    assert float(seen.mean()) == pytest.approx(0, abs=1e-5)
    assert float(seen.std()) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(standardise(0.2 + 0.5 * film), seen, atol=1e-4)


def test_glaring_markers_are_clipped() -> None:
    film = noise(100, 100) * 0.1
    film[0, 0] = 50
    assert float(standardise(film).max()) == 4


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_flat_film_gives_zeros(value: float) -> None:
    flat = np.full((50, 30), value, np.float32)
    assert not standardise(flat).any()
    square, _ = whole_film(flat, 32, mirror=False)
    assert not square.any()


# ── sample_box ───────────────────────────────────────────────────────────────────────────


def test_the_whole_image_at_its_own_size_is_the_image() -> None:
    film = noise(48, 48)
    np.testing.assert_array_equal(sample_box(film, whole(film), 48, 0.0), film)


def test_a_box_of_whole_pixels_is_cut_out_exactly() -> None:
    film = noise(60, 50)
    cut = sample_box(film, Box(9.5, 19.5, 25.5, 35.5), 16, 0.0)
    np.testing.assert_array_equal(cut, film[20:36, 10:26])


def test_what_lies_beyond_the_film_is_filled() -> None:
    film = 0.5 + 0.5 * noise(20, 20)
    # 10 px beyond the left edge and 10 px beyond the top
    cut = sample_box(film, Box(-10.5, -10.5, 9.5, 9.5), 20, 0.25)
    np.testing.assert_array_equal(cut[10:, 10:], film[:10, :10])
    assert (cut[:10] == 0.25).all()
    assert (cut[:, :10] == 0.25).all()


@pytest.mark.parametrize(
    "box",
    [Box(-11, 2, -4, 9), Box(30, 2, 50, 22), Box(2, -11, 9, -4), Box(500, 500, 520, 520)],
)
def test_a_box_beside_the_film_shows_nothing_but_fill(box: Box) -> None:
    assert (sample_box(noise(20, 20), box, 8, 0.25) == 0.25).all()


def test_a_box_around_a_small_film_shows_all_of_it() -> None:
    film = np.ones((10, 10), np.float32)
    cut = sample_box(film, Box(-10.5, -10.5, 19.5, 19.5), 30, 0.0)
    assert cut.sum() == pytest.approx(100)
    assert (cut[10:20, 10:20] == 1).all()


def test_shrinking_averages_instead_of_skipping_pixels() -> None:
    stripes = np.tile(np.array([0.0, 1.0], np.float32), (64, 32))
    cut = sample_box(stripes, whole(stripes), 8, 0.0)
    np.testing.assert_allclose(cut, 0.5, atol=0.1)


@pytest.mark.parametrize("zoom", [0.3, 1.0, 2.7])
def test_a_box_is_the_middle_of_a_larger_one(zoom: float) -> None:
    film = noise(200, 200)
    small = sample_box(film, Box.around((101.3, 97.8), 12 * zoom), 24, 0.0)
    large = sample_box(film, Box.around((101.3, 97.8), 16 * zoom), 32, 0.0)
    np.testing.assert_allclose(small, large[4:-4, 4:-4], atol=1e-5)


def smooth(height: int, width: int) -> np.ndarray:
    film = ndimage.gaussian_filter(noise(height, width), 4)
    return ((film - film.min()) / np.ptp(film)).astype(np.float32)


@pytest.mark.parametrize("zoom", [0.3, 1.0, 1.6, 2.7, 3.4])
@pytest.mark.parametrize("quarters", range(4))
def test_a_box_turned_by_quarters_shows_the_film_turned_back(zoom: float, quarters: int) -> None:
    film = smooth(250, 250)
    straight = sample_box(film, Box.around((121.3, 127.8), 15 * zoom), 30, 0.0)
    # hardly turned at all: not the way of a straight box
    turned = Box.around((121.3, 127.8), 15 * zoom, turn_deg=90 * quarters + 1e-9)
    cut = sample_box(film, turned, 30, 0.0)
    np.testing.assert_allclose(cut, np.rot90(straight, quarters), atol=0.03)


@pytest.mark.parametrize("zoom", [0.3, 1.0, 2.7, 3.4])
def test_a_turned_box_shows_what_a_straight_one_shows_on_the_turned_film(zoom: float) -> None:
    film = smooth(301, 301)
    back = np.asarray(Image.fromarray(film).rotate(30, Image.Resampling.BICUBIC))
    cut = sample_box(film, Box.around((150, 150), 15 * zoom, turn_deg=30), 30, 0.0)
    straight = sample_box(back, Box.around((150, 150), 15 * zoom), 30, 0.0)
    np.testing.assert_allclose(cut, straight, atol=0.03)


@pytest.mark.parametrize("zoom", [0.3, 1.0, 2.7, 3.4])
def test_a_turned_box_is_the_middle_of_a_larger_one(zoom: float) -> None:
    film = noise(300, 300)
    small = sample_box(film, Box.around((151.3, 147.8), 12 * zoom, turn_deg=20), 24, 0.0)
    large = sample_box(film, Box.around((151.3, 147.8), 16 * zoom, turn_deg=20), 32, 0.0)
    np.testing.assert_allclose(small, large[4:-4, 4:-4], atol=1e-5)


def test_a_turned_box_averages_and_is_filled_beyond_the_film() -> None:
    stripes = np.tile(np.array([0.0, 1.0], np.float32), (64, 32))
    inside = sample_box(stripes, Box.around((31.5, 31.5), 20, turn_deg=45), 5, 0.0)
    np.testing.assert_allclose(inside, 0.5, atol=0.12)
    film = np.ones((20, 20), np.float32)
    cut = sample_box(film, Box.around((-0.5, 9.5), 5, turn_deg=45), 10, 0.25)
    # the film begins on the diagonal from top left to bottom right
    rows, columns = np.mgrid[:10, :10]
    assert (cut[columns < rows - 1] == 0.25).all()
    assert (cut[columns > rows + 1] == 1).all()


@given(
    x0=st.floats(-80, 80), y0=st.floats(-80, 80), side=st.floats(0.6, 90),
    size=st.integers(1, 40), turn=st.sampled_from([0.0, 17.0, -133.0]),
)  # fmt: skip
def test_any_box_gives_a_square_of_grey_values_of_the_film(
    x0: float, y0: float, side: float, size: int, turn: float
) -> None:
    film = noise(40, 30)
    cut = sample_box(film, Box(x0, y0, x0 + side, y0 + side, turn_deg=turn), size, 0.5)
    assert cut.shape == (size, size)
    assert cut.dtype == np.float32
    assert film.min() - 1e-5 <= cut.min() <= cut.max() <= film.max() + 1e-5


# ── whole_film ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("shape", [(300, 200), (200, 300), (256, 256), (101, 77)])
@pytest.mark.parametrize("place", [(0.3, 0.4), (0.75, 0.2), (0.1, 0.9)])
def test_a_bright_dot_appears_where_the_map_says(
    shape: tuple[int, int], place: tuple[float, float], mirror: bool
) -> None:
    height, width = shape
    x, y = place[0] * (width - 1), place[1] * (height - 1)
    film = dot(height, width, x, y, spread=max(shape) / 50)
    square, to_network = whole_film(film, 96, mirror=mirror)
    assert square.shape == (96, 96)
    assert (to_network.source, to_network.target) == ("film", "network")
    assert brightest(square) == pytest.approx(tuple(to_network([x, y])[0]), abs=0.1)


def test_the_aspect_is_kept_and_the_film_lies_in_the_middle() -> None:
    square, to_network = whole_film(noise(200, 100), 100, mirror=False)
    assert to_network.scale == pytest.approx(0.5)
    assert to_network([49.5, 99.5])[0] == pytest.approx([49.5, 49.5])
    # a quarter of the square to the left and to the right lies beyond the film
    assert np.ptp(square[:, :24]) == 0
    assert np.ptp(square[:, 76:]) == 0
    assert np.ptp(square[:, 26:74]) > 0


def test_a_film_is_standardised_by_its_own_greys_however_narrow_it_is() -> None:
    narrow, _ = whole_film(noise(200, 48), 100, mirror=False)
    assert narrow[:, 38:62].mean() == pytest.approx(0, abs=1e-4)
    assert narrow[:, 38:62].std() == pytest.approx(1, abs=1e-3)


def test_the_mirrored_view_is_the_flipped_view() -> None:
    film = noise(90, 60)
    usual, to_usual = whole_film(film, 64, mirror=False)
    flipped, to_flipped = whole_film(film, 64, mirror=True)
    np.testing.assert_array_equal(flipped, usual[:, ::-1])
    points = np.array([[3.0, 4.0], [50, 80]])
    np.testing.assert_allclose(to_flipped(points)[:, 0], 63 - to_usual(points)[:, 0])


def test_the_film_itself_stays_as_it_is() -> None:
    film = noise(50, 50)
    before = film.copy()
    whole_film(film, 32, mirror=True)
    sample_box(film, whole(film), 50, 0.0)
    np.testing.assert_array_equal(film, before)


# ── film statistics ──────────────────────────────────────────────────────────────────────


def ramp() -> np.ndarray:
    """Every grey value of 101 levels, 100 px of each."""
    return np.tile(np.linspace(0, 1, 101, dtype=np.float32), (100, 1))


def test_statistics_of_a_ramp() -> None:
    found = FilmStatistics.of(ramp())
    # 1 % of 10100 px are the 100 of level 0 and one more
    assert (found.low, found.high) == pytest.approx((0.01, 0.99), abs=2e-5)
    assert (found.minimum, found.maximum) == (0, 1)
    assert found.mean == pytest.approx(0.5, abs=1e-5)
    assert found.sd == pytest.approx(np.std(np.linspace(0, 1, 101)), abs=1e-5)
    # all levels are as frequent: the curve is nearly straight
    np.testing.assert_allclose(found.equalised, np.linspace(0, 1, KNOTS), atol=0.012)


def test_the_curve_rises_where_the_film_has_its_grey_values() -> None:
    film = ramp()
    film[10:, :] = 0.25 + 0.01 * film[10:, :]  # nine tenths lie around a quarter
    found = FilmStatistics.of(film)
    curve = found.equalised
    assert (np.diff(curve) >= 0).all()
    assert (curve[0], curve[-1]) == (0, 1)
    before, after = (
        curve[round((grey - found.low) / (found.high - found.low) * (KNOTS - 1))]
        for grey in (0.24, 0.27)
    )
    assert after - before > 0.85


def test_an_empty_background_takes_no_share_of_the_contrast() -> None:
    film = ramp()
    framed = np.pad(film, 100)  # most of it is black
    assert FilmStatistics.of(framed).equalised[KNOTS // 2] == pytest.approx(0.5, abs=0.02)


@given(st.integers(0, 10_000))
def test_a_mirrored_film_has_the_same_statistics_to_the_bit(seed: int) -> None:
    film = np.random.default_rng(seed).random((23, 31)).astype(np.float32) ** 2
    a, b = FilmStatistics.of(film), FilmStatistics.of(film[:, ::-1])
    np.testing.assert_array_equal(a.vector, b.vector)


def test_statistics_become_a_vector() -> None:
    found = FilmStatistics.of(noise(40, 30))
    vector = found.vector
    assert vector.shape == (FilmStatistics.SIZE,)
    assert vector.dtype == np.float32
    assert vector[:2].tolist() == [np.float32(found.low), np.float32(found.high)]
    np.testing.assert_array_equal(vector[6:], found.equalised)


@pytest.mark.parametrize("value", [-0.1, 1.5, np.nan])
def test_grey_values_beyond_the_range_are_refused(value: float) -> None:
    film = noise(10, 10)
    film[3, 4] = value
    with pytest.raises(ValueError, match="must lie within"):
        FilmStatistics.of(film)


# ── the published channels ───────────────────────────────────────────────────────────────


def known_statistics() -> FilmStatistics:
    curve = np.linspace(0, 1, KNOTS, dtype=np.float32) ** 2
    return FilmStatistics(0.2, 0.6, 0.1, 0.9, 0.5, 0.25, curve)


def test_the_seven_channels_by_hand() -> None:
    patch = np.array([[0.1, 0.2], [0.4, 0.8]], np.float32)
    seen = patch_channels(patch, known_statistics(), 255)
    assert seen.shape == (7, 2, 2)
    assert seen.dtype == np.float32
    np.testing.assert_array_equal(seen[0], patch)
    np.testing.assert_allclose(seen[1], [[0, 0], [0.5, 1]], atol=1e-6)
    np.testing.assert_allclose(seen[2], [[0, 31.875], [95.625, 223.125]], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(seen[3], [[0, 0], [0.25, 1]], atol=1e-6)
    np.testing.assert_allclose(seen[4], [[-1.6, -1.2], [-0.4, 1.2]], rtol=1e-5)
    np.testing.assert_allclose(seen[5], [[0, 255 / 7], [3 * 255 / 7, 255]], rtol=1e-5, atol=1e-4)
    mean, sd = 0.375, np.sqrt(0.071875)
    np.testing.assert_allclose(seen[6], (patch - mean) / sd * 255, rtol=1e-4)
    plain = patch_channels(patch, known_statistics(), 1)
    np.testing.assert_array_equal(plain[:5], seen[:5])
    np.testing.assert_allclose(plain[5:] * 255, seen[5:], rtol=1e-6)


def test_the_published_channels_of_a_patch_weigh_like_the_film_s() -> None:
    film = noise(256, 256)
    seen = patch_channels(film[:64, :64], FilmStatistics.of(film), 255)
    power = (seen**2).mean(axis=(1, 2))
    share = power / power.sum()
    # x² of x evenly spread over 0..1 is 1 / 3, of a z-score 1
    np.testing.assert_allclose(share[[2, 5, 6]], [0.2, 0.2, 0.6], atol=0.01)
    assert share[[0, 1, 3, 4]].max() < 1e-4


def test_a_patch_of_the_raw_film_is_the_patch_of_the_transformed_film() -> None:
    film = noise(64, 80)
    statistics = FilmStatistics.of(film)
    rows, columns = slice(10, 42), slice(30, 62)
    whole = patch_channels(film, statistics, 1)[:5, rows, columns]
    cut = patch_channels(film[rows, columns], statistics, 1)[:5]
    np.testing.assert_array_equal(cut, whole)


def test_resampling_first_or_last_makes_little_difference() -> None:
    film = dot(200, 160, 80, 100, 30)
    statistics, box = FilmStatistics.of(film), Box(40.3, 50.8, 120.3, 130.8)
    late = patch_channels(sample_box(film, box, 48, 0.0), statistics, 1)[:5]
    early = [
        sample_box(np.ascontiguousarray(c), box, 48, 0.0)
        for c in patch_channels(film, statistics, 1)[:5]
    ]
    scale = np.array([1, 1, GREY_RANGE, 1, 1])[:, None, None]
    np.testing.assert_allclose(late / scale, np.stack(early) / scale, atol=0.02)


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_flat_patch_and_a_flat_film_divide_by_nothing(value: float) -> None:
    flat = np.full((16, 16), value, np.float32)
    seen = patch_channels(flat, FilmStatistics.of(flat), 255)
    assert np.isfinite(seen).all()
    assert not seen[1:].any()
    on_film = patch_channels(flat, FilmStatistics.of(noise(40, 40)), 255)
    assert np.isfinite(on_film).all()
    assert not on_film[5:].any()


def test_the_localiser_sees_the_film_and_two_normalised_versions() -> None:
    film = 0.2 + 0.3 * noise(50, 40)
    seen = published_film_channels(film)
    assert seen.shape == (3, 50, 40)
    assert seen.dtype == np.float32
    np.testing.assert_array_equal(seen[0], film)
    statistics = FilmStatistics.of(film)
    np.testing.assert_array_equal(seen[1:], patch_channels(film, statistics, 1)[[1, 3]])
    for version in seen[1:]:
        assert (version.min(), version.max()) == (0, 1)
    np.testing.assert_array_equal(published_film_channels(film[:, ::-1]), seen[:, :, ::-1])


def test_exposure_does_not_change_the_normalised_versions() -> None:
    film = noise(60, 50)
    usual, darker = (published_film_channels(f)[1:] for f in (film, 0.1 + 0.5 * film))
    np.testing.assert_allclose(darker, usual, atol=0.01)


# ── stretched_film ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("shape", [(300, 200), (200, 300), (101, 77)])
def test_a_dot_of_a_stretched_film_appears_where_the_map_says(
    shape: tuple[int, int], mirror: bool
) -> None:
    height, width = shape
    x, y = 0.3 * (width - 1), 0.6 * (height - 1)
    square, to_network = stretched_film(dot(height, width, x, y, 8), 96, mirror)
    assert square.shape == (96, 96)
    assert brightest(square) == pytest.approx(tuple(to_network([x, y])[0]), abs=0.1)
    # the film's outer edges are the square's
    corners = to_network([(-0.5, -0.5), (width - 0.5, height - 0.5)])
    assert sorted(corners.ravel().tolist()) == pytest.approx([-0.5, -0.5, 95.5, 95.5])


def test_a_stretched_film_keeps_its_grey_values() -> None:
    film = noise(64, 64)
    np.testing.assert_array_equal(stretched_film(film, 64, False)[0], film)
    np.testing.assert_array_equal(stretched_film(film, 64, True)[0], film[:, ::-1])
    grey = np.full((30, 50), 0.4, np.float32)
    np.testing.assert_allclose(stretched_film(grey, 64, False)[0], 0.4, rtol=1e-6)
