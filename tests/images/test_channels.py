from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mandora.geometry import Box
from mandora.images.channels import sample_box, standardise, whole_film


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


@given(
    x0=st.floats(-80, 80), y0=st.floats(-80, 80), side=st.floats(0.6, 90),
    size=st.integers(1, 40),
)  # fmt: skip
def test_any_box_gives_a_square_of_grey_values_of_the_film(
    x0: float, y0: float, side: float, size: int
) -> None:
    film = noise(40, 30)
    cut = sample_box(film, Box(x0, y0, x0 + side, y0 + side), size, 0.5)
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
