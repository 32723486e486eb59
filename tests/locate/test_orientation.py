from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from mandora.core.anatomy import Limb, Side
from mandora.core.geometry import Affine
from mandora.locate.orientation import (
    Orientation,
    orientation_of,
    orientation_of_landmarks,
    orientations,
)
from mandora.locate.template import limb_template

SIZE = 64
EVERY = [Orientation(*v) for v in product(range(4), (False, True), (False, True))]
SHAPES = [(300, 200), (200, 300), (131, 117)]


@pytest.mark.parametrize("orientation", EVERY, ids=str)
def test_a_film_and_its_points_are_turned_alike(orientation: Orientation) -> None:
    pixels = np.zeros((30, 20), np.float32)
    pixels[4, 7] = 1
    upright = orientation.upright(pixels)
    (x, y) = orientation.to_upright(pixels.shape)([7.0, 4.0])[0]
    assert upright[round(y), round(x)] == (0 if orientation.inverted else 1)
    assert upright.sum() == (599 if orientation.inverted else 1)


@pytest.mark.parametrize("turns", range(4))
def test_a_mask_is_turned_back(turns: int) -> None:
    orientation, mask = Orientation(turns), np.arange(16, dtype=np.float32).reshape(4, 4)
    np.testing.assert_array_equal(orientation.as_given(orientation.upright(mask)), mask)


@pytest.mark.parametrize("orientation", EVERY, ids=str)
@pytest.mark.parametrize("angle", [-40, 0, 40])
def test_the_view_is_read_from_how_a_limb_lies(orientation: Orientation, angle: float) -> None:
    turn = np.radians(angle)
    slant = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * 40
    slant = slant @ np.diag([-1.0 if orientation.mirrored else 1.0, 1.0])
    to_upright = orientation.to_upright((300, 200))
    on_upright = Affine(np.column_stack([slant, [100, 120]]), "template", "upright")
    to_film = to_upright.inverse @ on_upright
    assert orientation_of(to_film, orientation.inverted) == orientation
    # or from landmarks, some of which are not known, whatever the side is said to be
    template = limb_template(Limb.FOOT)
    landmarks = to_film(template)
    landmarks[1] = np.nan
    for side in Side:
        assert orientation_of_landmarks(landmarks, template, side) == replace(
            orientation, inverted=False
        )


def test_with_few_points_the_name_says_how_a_limb_lies() -> None:
    landmarks = np.full((6, 2), np.nan)
    landmarks[:3] = [[0, 0], [1, 0], [2, 0]]
    template = limb_template(Limb.FOOT)
    assert orientation_of_landmarks(landmarks, template, Side.RIGHT) == Orientation(mirrored=True)
    assert orientation_of_landmarks(landmarks, template, Side.LEFT) == Orientation()


def test_every_view_is_tried_once() -> None:
    assert {*orientations(), *orientations(inverted=True)} == set(EVERY)
