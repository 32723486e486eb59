"""Label maps from files, and from polygons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mandora.core.anatomy import Limb
from mandora.datasets.label_maps import fill_outlines, read_label_map
from mandora.datasets.outlines import Outline, outlines_of
from mandora.images.read import peek_size


def saved(path: Path, image: Image.Image) -> Path:
    image.save(path)
    return path


@pytest.mark.parametrize("mode", ["L", "P", "I;16"])
def test_modes_that_hold_labels(tmp_path: Path, mode: str) -> None:
    labels = np.arange(60, dtype=np.uint8).reshape(6, 10) % 7
    image = Image.fromarray(labels.astype(np.uint16) if mode == "I;16" else labels)
    if mode == "P":
        image.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())
    read = read_label_map(saved(tmp_path / "a.png", image), (6, 10), Limb.FOOT)
    assert read.dtype == np.uint8
    assert np.array_equal(read, labels)


def test_what_is_no_label_map(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"rgb\.png: is a picture of mode RGB"):
        read_label_map(saved(tmp_path / "rgb.png", Image.new("RGB", (9, 9))), (9, 9), Limb.HAND)
    with pytest.raises(ValueError, match=r"grey\.png: has label 255, a hand has 1 to 21"):
        read_label_map(saved(tmp_path / "grey.png", Image.new("L", (9, 9), 255)), (9, 9), Limb.HAND)
    with pytest.raises(ValueError, match="a foot has 1 to 6"):
        read_label_map(saved(tmp_path / "h.png", Image.new("L", (9, 9), 7)), (9, 9), Limb.FOOT)
    (tmp_path / "text.png").write_text("no picture")
    for name in ("text.png", "absent.png"):
        with pytest.raises(ValueError, match=rf"{name}: cannot be read as a label map"):
            read_label_map(tmp_path / name, (9, 9), Limb.HAND)


def test_the_size_of_a_picture(tmp_path: Path) -> None:
    assert peek_size(saved(tmp_path / "a.bmp", Image.new("L", (9, 4)))) == (9, 4)
    assert peek_size(tmp_path / "absent.png") is None


def test_later_polygons_cover_earlier_ones_and_the_rest_is_cut_off() -> None:
    def box(site: str, left: float, right: float) -> Outline:
        return Outline(site, np.array([[left, -5], [right, -5], [right, 50], [left, 50]], float))

    labels = fill_outlines((box("foot-ip", 0, 4), box("foot-mtp1", 3, 99)), (3, 8), Limb.FOOT)
    assert labels.tolist() == [[1, 1, 1, 2, 2, 2, 2, 2]] * 3


def test_a_polygon_that_crosses_itself_is_filled_by_the_even_odd_rule() -> None:
    bow = Outline("foot-ip", np.array([[0, 0], [6, 6], [6, 0], [0, 6]], float))
    labels = fill_outlines((bow,), (7, 7), Limb.FOOT)
    assert labels[1].tolist() == [1, 1, 0, 0, 0, 1, 1]
    assert labels[3].tolist() == [1] * 7


@given(st.integers(0, 2**32 - 1))
def test_outlines_that_were_traced_fill_the_same_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.zeros((40, 60), np.uint8)
    for label in range(1, 7):  # each in a place of its own
        x, y = rng.integers(0, [5, 30])
        width, height = rng.integers(2, [6, 11])
        labels[y : y + height, 10 * label - 10 + x :][:, :width] = label
    assert np.array_equal(
        fill_outlines(outlines_of(labels, Limb.FOOT), labels.shape, Limb.FOOT), labels
    )
