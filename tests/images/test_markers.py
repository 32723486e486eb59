"""Letters of sides are read where they stand alone, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from mandora.core.anatomy import Side
from mandora.images.markers import read_markers

GREY = 90


def film(text: str, *, px: int = 30, plate: int | None = None, scale: int = 1) -> np.ndarray:
    """A grey film with a text in a corner, on a plate if it has a grey value."""
    image = Image.new("L", (400, 500), GREY)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(px)
    box = draw.textbbox((40, 60), text, font=font)
    if plate is not None:
        draw.rectangle((box[0] - 8, box[1] - 8, box[2] + 8, box[3] + 8), fill=plate)
    draw.text((40, 60), text, fill=250, font=font, stroke_width=1)
    image = image.resize((400 * scale, 500 * scale))
    return np.asarray(image, np.float32) / 255


@pytest.mark.parametrize(("letter", "side"), [
    ("L", Side.LEFT), ("R", Side.RIGHT), ("D", Side.RIGHT), ("E", Side.LEFT),
])  # fmt: skip
@pytest.mark.parametrize("plate", [None, 0, 150])
def test_a_letter_is_read_on_a_film_of_any_size(letter: str, side: Side, plate: int | None) -> None:
    for scale in (1, 4):
        (marker,) = read_markers(film(letter, plate=plate, scale=scale))
        assert (marker.letter, marker.side) == (letter, side)
        assert marker.x / scale == pytest.approx(50, abs=8)
        assert marker.y / scale == pytest.approx(78, abs=10)


@pytest.mark.parametrize("text", ["B", "X", "8", "DEL", "RDL", "O"])
def test_other_letters_and_words_are_not_read(text: str) -> None:
    assert read_markers(film(text)) == []


def test_smaller_initials_beside_the_letter_do_not_count() -> None:
    both = np.maximum(film("L", px=40), np.roll(film("R", px=18), (60, 150), (0, 1)))
    assert [marker.letter for marker in read_markers(both)] == ["L"]


def test_a_turned_or_mirrored_letter_and_an_empty_film_are_not_read() -> None:
    assert read_markers(np.ascontiguousarray(film("R")[:, ::-1])) == []
    assert read_markers(np.ascontiguousarray(np.rot90(film("E")))) == []
    assert read_markers(np.full((300, 200), 0.4, np.float32)) == []
