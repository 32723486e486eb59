from __future__ import annotations

import numpy as np
import pytest

from mandora.core.geometry import Box
from mandora.damage.evidence import PatchEvidence
from mandora.outputs.crops import CROP_PX, cut, film_image, joint_crops


def test_crop_shows_the_pixels_of_its_box() -> None:
    film = np.zeros((20, 30), dtype=np.float32)
    film[5:9, 10:14] = 1.0  # rows 5..8, columns 10..13
    crop = np.asarray(cut(film_image(film), Box(9.5, 4.5, 13.5, 8.5), 8))
    assert crop.shape == (8, 8)
    assert crop.min() == 255


def test_crop_of_a_turned_box_is_upright() -> None:
    film = np.zeros((40, 40), dtype=np.float32)
    film[15:25, 22:30] = 1.0  # right of the centre
    crop = np.asarray(cut(film_image(film), Box.around((19.5, 19.5), 16, turn_deg=90), 32))
    assert crop[6:14, 11:21].min() > 250  # clockwise by 90 degrees: the top lies on the right
    assert max(crop[16:].max(), crop[:4].max()) < 5
    beyond = np.asarray(cut(film_image(film + 1), Box.around((0, 20), 8, turn_deg=45), 16))
    assert beyond[8, 0] == beyond[15, 0] == 0
    assert beyond[8, 15] == 255


def test_crop_at_the_edge_is_black_outside_the_film() -> None:
    crop = np.asarray(
        cut(film_image(np.ones((20, 20), np.float32)), Box(-10.5, -0.5, 9.5, 19.5), 40)
    )
    assert crop[:, :18].max() == 0
    assert crop[:, 22:].min() == 255


def test_pair_is_bare_on_the_left_and_red_on_the_right() -> None:
    mask = np.zeros((10, 10), dtype=np.float32)
    mask[5:] = 1.0
    evidence = {"mcp2": PatchEvidence("mcp2", Box(10, 10, 30, 30), mask)}
    pair = np.asarray(joint_crops(np.full((40, 40), 0.5, np.float32), evidence)["mcp2"])
    bare, masked = pair[:, :CROP_PX].astype(int), pair[:, -CROP_PX:].astype(int)
    assert np.ptp(bare) == 0
    red = masked[..., 0] - masked[..., 1]
    assert red[: CROP_PX // 2 - 5].max() == 0
    assert red[CROP_PX // 2 + 5 :].min() > 50
    assert masked[CROP_PX // 2 + 5 :, :, 0].max() < 255  # bone can still be seen through it


def test_film_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(H, W\).*\(4, 4, 3\)"):
        film_image(np.zeros((4, 4, 3), dtype=np.float32))


def test_values_beyond_the_range_do_not_wrap_around() -> None:
    grey = np.asarray(film_image(np.array([[-0.5, 0.0, 1.0, 1.7, np.nan]], dtype=np.float32)))
    assert grey.tolist() == [[0, 0, 255, 255, 0]]
