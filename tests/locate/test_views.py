from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from mandora.core.anatomy import Limb, Side
from mandora.core.geometry import Affine
from mandora.images.channels import standardise, whole_film
from mandora.locate.views import (
    ZOOM,
    View,
    parts,
    view_of,
    view_of_landmarks,
    views,
    whole_looks,
    zoomed_look,
)
from mandora.simulate.cohort.patients import mean_shape

SIZE = 64
EVERY = [View(*v) for v in product(range(4), (False, True), (False, True))]
SHAPES = [(300, 200), (200, 300), (131, 117)]


def film(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width].astype(np.float32)
    grey = 0.5 + 0.3 * np.sin(x / 17) * np.cos(y / 23) + 0.2 * x / width
    grey[: height // 6] = grey[:, : width // 6] = 0  # a dark background
    grey[-(height // 6) :] = 1  # and a bright one
    return np.clip(grey, 0, 1, dtype=np.float32)


@pytest.mark.parametrize("view", EVERY, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_look_at_a_whole_film_is_what_the_network_is_trained_on(
    view: View, shape: tuple[int, int]
) -> None:
    pixels = film(*shape)
    upright, to_network = whole_film(view.upright(pixels), SIZE, mirror=view.mirrored)
    (look,) = whole_looks((0, 0, shape[1], shape[0]), SIZE, [view])
    np.testing.assert_allclose(look.sample(pixels, SIZE), upright, atol=0.02)
    places = np.array([[10.0, 20], [50, 77], [99, 3]])
    expected = to_network(view.to_upright(shape)(places))
    np.testing.assert_allclose(look.to_film.inverse(places), expected, atol=1e-9)


@pytest.mark.parametrize("view", EVERY, ids=str)
def test_a_film_and_its_points_are_turned_alike(view: View) -> None:
    pixels = np.zeros((30, 20), np.float32)
    pixels[4, 7] = 1
    upright = view.upright(pixels)
    (x, y) = view.to_upright(pixels.shape)([7.0, 4.0])[0]
    assert upright[round(y), round(x)] == (0 if view.inverted else 1)
    assert upright.sum() == (599 if view.inverted else 1)


@pytest.mark.parametrize("turns", range(4))
def test_a_mask_is_turned_back(turns: int) -> None:
    view, mask = View(turns), np.arange(16, dtype=np.float32).reshape(4, 4)
    np.testing.assert_array_equal(view.as_given(view.upright(mask)), mask)


@pytest.mark.parametrize("view", EVERY, ids=str)
@pytest.mark.parametrize("angle", [-40, 0, 40])
def test_the_view_is_read_from_how_a_limb_lies(view: View, angle: float) -> None:
    turn = np.radians(angle)
    slant = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * 40
    slant = slant @ np.diag([-1.0 if view.mirrored else 1.0, 1.0])
    to_upright = view.to_upright((300, 200))
    on_upright = Affine(np.column_stack([slant, [100, 120]]), "template", "upright")
    to_film = to_upright.inverse @ on_upright
    assert view_of(to_film, view.inverted) == view
    # or from landmarks, some of which are not known, whatever the side is said to be
    template = mean_shape(Limb.FOOT)
    landmarks = to_film(template)
    landmarks[1] = np.nan
    for side in Side:
        assert view_of_landmarks(landmarks, template, side) == replace(view, inverted=False)


def test_with_few_points_the_name_says_how_a_limb_lies() -> None:
    landmarks = np.full((6, 2), np.nan)
    landmarks[:3] = [[0, 0], [1, 0], [2, 0]]
    template = mean_shape(Limb.FOOT)
    assert view_of_landmarks(landmarks, template, Side.RIGHT) == View(mirrored=True)
    assert view_of_landmarks(landmarks, template, Side.LEFT) == View()


def test_a_mirrored_limb_looks_like_a_right_one() -> None:
    assert (View().side, View(mirrored=True).side) == (Side.LEFT, Side.RIGHT)


def test_every_view_is_tried_once() -> None:
    assert {*views(), *views(inverted=True)} == set(EVERY)


def test_beyond_a_part_there_is_background() -> None:
    pixels = film(200, 300)
    (look,) = whole_looks((0, 0, 165, 200), SIZE, [View()])
    alone, _ = whole_film(pixels[:, :165], SIZE, mirror=False)
    np.testing.assert_allclose(look.sample(pixels, SIZE), alone, atol=0.02)


def test_halves_and_corners_reach_every_side_of_the_film() -> None:
    made = parts(300, 200)
    assert len(set(made)) == len(made) == 8
    for x0, y0, x1, y1 in made:
        assert 0 <= x0 < x1 <= 300
        assert 0 <= y0 < y1 <= 200
        assert (x1 - x0) * (y1 - y0) < 0.6 * 300 * 200
    # a limb in the middle of either half of the film lies in one of them as a whole
    assert any(part[0] == 0 and part[2] >= 150 and part[3] == 200 for part in made)


@pytest.mark.parametrize("limb", list(Limb))
def test_a_look_at_a_limb_alone_shows_it_upright_at_its_size(limb: Limb) -> None:
    template = np.array([[-0.8, -1.0], [0.9, -0.6], [0.1, 0.8], [0.4, 0.2]])
    turn = np.radians(130)
    linear = 25 * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    lies = Affine(np.column_stack([linear @ np.diag([-1, 1]), [90, 70]]), "template", "film")
    look = zoomed_look(template, lies, limb, SIZE, False)
    seen = look.to_film.inverse(lies(template))
    unit = ZOOM[limb] * SIZE
    np.testing.assert_allclose(seen - seen[0], (template - template[0]) * unit, atol=1e-9)
    np.testing.assert_allclose((seen.min(axis=0) + seen.max(axis=0)) / 2, (SIZE - 1) / 2)


def test_what_is_sampled_lies_where_the_map_says() -> None:
    pixels = np.zeros((200, 300), np.float32)
    pixels[118:123, 208:213] = 1
    template = np.array([[-0.8, -1.0], [0.9, -0.6], [0.1, 0.8]])
    turn = np.radians(35)
    linear = 40 * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    lies = Affine(np.column_stack([linear, [190, 110]]), "template", "film")
    look = zoomed_look(template, lies, Limb.HAND, SIZE, False)
    seen = np.maximum(look.sample(pixels, SIZE), 0)
    y, x = np.mgrid[:SIZE, :SIZE]
    centre = [(seen * x).sum() / seen.sum(), (seen * y).sum() / seen.sum()]
    np.testing.assert_allclose(centre, look.to_film.inverse([210.0, 120.0])[0], atol=0.15)


def test_an_inverted_look_is_the_negative() -> None:
    pixels = film(200, 200)
    plain, negative = whole_looks((0, 0, 200, 200), SIZE, [View(), View(inverted=True)])
    np.testing.assert_allclose(
        negative.sample(pixels, SIZE), -standardise(plain.sample(pixels, SIZE)), atol=0.02
    )
