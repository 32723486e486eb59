from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from mandora.core.anatomy import Limb, Side
from mandora.core.geometry import Affine
from mandora.images.channels import standardise, whole_film
from mandora.locate.field_of_view import limb_field, parts, whole_fields
from mandora.locate.orientation import Orientation

SIZE = 64
EVERY = [Orientation(*v) for v in product(range(4), (False, True), (False, True))]
SHAPES = [(300, 200), (200, 300), (131, 117)]


def film(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width].astype(np.float32)
    grey = 0.5 + 0.3 * np.sin(x / 17) * np.cos(y / 23) + 0.2 * x / width
    grey[: height // 6] = grey[:, : width // 6] = 0  # a dark background
    grey[-(height // 6) :] = 1  # and a bright one
    return np.clip(grey, 0, 1, dtype=np.float32)


@pytest.mark.parametrize("orientation", EVERY, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_look_at_a_whole_film_is_what_the_network_is_trained_on(
    orientation: Orientation, shape: tuple[int, int]
) -> None:
    pixels = film(*shape)
    upright, to_network = whole_film(orientation.upright(pixels), SIZE, mirror=orientation.mirrored)
    (look,) = whole_fields((0, 0, shape[1], shape[0]), SIZE, [orientation])
    np.testing.assert_allclose(look.sample(pixels, SIZE), upright, atol=0.02)
    places = np.array([[10.0, 20], [50, 77], [99, 3]])
    expected = to_network(orientation.to_upright(shape)(places))
    np.testing.assert_allclose(look.to_film.inverse(places), expected, atol=1e-9)


def test_a_mirrored_limb_looks_like_a_right_one() -> None:
    assert (Orientation().side, Orientation(mirrored=True).side) == (Side.LEFT, Side.RIGHT)


def test_beyond_a_part_there_is_background() -> None:
    pixels = film(200, 300)
    (look,) = whole_fields((0, 0, 165, 200), SIZE, [Orientation()])
    alone, _ = whole_film(pixels[:, :165], SIZE, mirror=False)
    np.testing.assert_allclose(look.sample(pixels, SIZE), alone, atol=0.02)


@pytest.mark.parametrize("limb", list(Limb))
def test_a_look_at_a_limb_alone_shows_it_upright_at_its_size(limb: Limb) -> None:
    template = np.array([[-0.8, -1.0], [0.9, -0.6], [0.1, 0.8], [0.4, 0.2]])
    turn = np.radians(130)
    linear = 25 * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    lies = Affine(np.column_stack([linear @ np.diag([-1, 1]), [90, 70]]), "template", "film")
    look = limb_field(template, lies, 20.0, SIZE, False)
    seen = look.to_film.inverse(lies(template))
    np.testing.assert_allclose(seen - seen[0], (template - template[0]) * 20, atol=1e-9)
    np.testing.assert_allclose((seen.min(axis=0) + seen.max(axis=0)) / 2, (SIZE - 1) / 2)


def test_what_is_sampled_lies_where_the_map_says() -> None:
    pixels = np.zeros((200, 300), np.float32)
    pixels[118:123, 208:213] = 1
    template = np.array([[-0.8, -1.0], [0.9, -0.6], [0.1, 0.8]])
    turn = np.radians(35)
    linear = 40 * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    lies = Affine(np.column_stack([linear, [190, 110]]), "template", "film")
    look = limb_field(template, lies, 0.3 * SIZE, SIZE, False)
    seen = np.maximum(look.sample(pixels, SIZE), 0)
    y, x = np.mgrid[:SIZE, :SIZE]
    centre = [(seen * x).sum() / seen.sum(), (seen * y).sum() / seen.sum()]
    np.testing.assert_allclose(centre, look.to_film.inverse([210.0, 120.0])[0], atol=0.15)


def test_an_inverted_look_is_the_negative() -> None:
    pixels = film(200, 200)
    plain, negative = whole_fields(
        (0, 0, 200, 200), SIZE, [Orientation(), Orientation(inverted=True)]
    )
    np.testing.assert_allclose(
        negative.sample(pixels, SIZE), -standardise(plain.sample(pixels, SIZE)), atol=0.02
    )


def test_a_smaller_film_lies_in_the_middle_of_background_and_keeps_its_greys() -> None:
    pixels = film(200, 200)
    usual, smaller = (
        whole_fields((0, 0, 200, 200), SIZE, [Orientation()], share)[0] for share in (1.0, 0.5)
    )
    seen = smaller.sample(pixels, SIZE)
    assert smaller.to_film.scale == pytest.approx(2 * usual.to_film.scale)
    assert np.ptp(seen[:15]) == np.ptp(seen[:, 50:]) == 0
    middle = seen[16:48, 16:48]
    assert middle.mean() == pytest.approx(0, abs=1e-5), "background does not count"
    assert middle.std() == pytest.approx(1, abs=1e-4)
    coarse = usual.sample(pixels, SIZE).reshape(32, 2, 32, 2).mean(axis=(1, 3))
    assert np.abs(middle - coarse)[1:-1, 1:-1].mean() < 0.1


def test_halves_and_corners_reach_every_side_of_the_film() -> None:
    made = parts(300, 200)
    assert len(set(made)) == len(made) == 8
    for x0, y0, x1, y1 in made:
        assert 0 <= x0 < x1 <= 300
        assert 0 <= y0 < y1 <= 200
        assert (x1 - x0) * (y1 - y0) < 0.6 * 300 * 200
    # a limb in the middle of either half of the film lies in one of them as a whole
    assert any(part[0] == 0 and part[2] >= 150 and part[3] == 200 for part in made)
