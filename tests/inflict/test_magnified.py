"""A change of a magnified copy comes back to the film as it is, and only there."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from mandora.inflict.magnified import FINE_SIZE_PX, Magnified, magnification


@pytest.fixture(scope="module")
def film() -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=(90, 80))
    return (0.5 + 0.3 * np.tanh(3 * ndimage.gaussian_filter(noise, 1.0))).astype(np.float32)


@pytest.mark.parametrize("times", [2, 3])
def test_what_the_film_can_show_comes_back_unchanged(film: np.ndarray, times: int) -> None:
    part = Magnified(slice(5, 85), slice(3, 75), times)
    other = np.ascontiguousarray(film[::-1, ::-1])
    inside = np.zeros(film.shape, np.bool_)
    inside[30:60, 25:55] = True
    wanted = np.where(inside, other, film)
    result = part.changed(film, part.copy(film), part.copy(wanted))
    assert np.abs(result - wanted).max() < 0.02
    assert np.abs(film - wanted).max() > 0.3


@pytest.mark.parametrize("times", [2, 3])
def test_where_the_copy_has_not_changed_the_film_has_not(film: np.ndarray, times: int) -> None:
    part = Magnified(slice(5, 85), slice(3, 75), times)
    before = part.copy(film)
    after = before.copy()
    after[20 * times : 30 * times, 10 * times : 20 * times] *= 0.5
    result = part.changed(film, before, after)
    changed = result != film
    assert changed[26:34, 14:22].all()
    changed[24:36, 12:24] = False
    assert not changed.any()
    assert np.array_equal(part.changed(film, before, before), film)


@pytest.mark.parametrize("times", [2, 3])
def test_places_and_maps_there_and_back(film: np.ndarray, times: int) -> None:
    part = Magnified.around(np.array([40.0, 44.0]), 20.0, film.shape, times)
    places = np.array([[40.25, 44.0], [30.0, 50.5]])
    np.testing.assert_allclose(part.to_film(part.to_copy(places)), places)
    labels = np.random.default_rng(1).integers(0, 5, film.shape).astype(np.uint8)
    copy = part.copy_labels(labels)
    assert copy.shape == part.shape == part.copy(film).shape
    np.testing.assert_array_equal(part.labels_back(labels, copy), labels)
    np.testing.assert_array_equal(
        part.mask_back(film.shape, copy > 2)[part.rows, part.columns],
        (labels > 2)[part.rows, part.columns],
    )
    x, y = np.rint(part.to_copy(np.array([40.0, 44.0]))).astype(int)
    assert copy[y, x] == labels[44, 40]


def test_only_coarse_films_are_magnified() -> None:
    assert magnification(FINE_SIZE_PX) == 1
    assert magnification(FINE_SIZE_PX - 1) == 2
    assert magnification(80) == magnification(61) == 3
