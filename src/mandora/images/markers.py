"""The letter of the side on a film: L and R, or D and E of Romance languages.

A marker is a small thing with sharp edges beside the limb: a letter, or a plate or disc with one,
brighter or darker than what is around it. Each such thing is cut out, every connected region of it
is laid on letters that are drawn in a plain font in several weights, and the region that looks like
one of the four letters, and less like all other letters and digits, is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from string import ascii_uppercase, digits

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mandora.core.anatomy import Side

Grey = NDArray[np.float32]
_BoxOf = tuple[slice, slice]  # rows, columns

SIDES: dict[str, Side] = {"L": Side.LEFT, "E": Side.LEFT, "R": Side.RIGHT, "D": Side.RIGHT}
"""What the letters stand for: left and right; esquerda, and direita, droite, derecha or destra."""

LEAST_LIKENESS = 0.8  # correlation with the letter
LEAST_LEAD = 0.05  # above that with any letter of another meaning

_LONG_SIDE_PX = 640  # of the film on which markers are looked for
_EDGE = 0.04  # least step between neighbouring px, of the film's 0..1
_SIZE_PX = 8, 120  # of a marker with its plate
_LETTER_PX = 7  # least height
_LEAST_STROKE = 0.09  # width of a stroke / height of the letter
_LEAST_SHARE = 0.8  # height / that of the tallest letter on the film
_LETTER_WH = 12, 16  # letters are compared at this size
_LEVELS = 8  # grey values at which a marker is divided into regions
_MOST_MARKERS = 24  # looked at on one film
_WEIGHTS = 0, 2, 5  # px of 64, added to the strokes of the font


@dataclass(frozen=True)
class Marker:
    """A letter that was read.

    Attributes:
        letter: L, R, D or E.
        x: column of its centre, px of the film.
        y: row.
        height: of the letter, px.
        likeness: -1..1, correlation with the letter.
    """

    letter: str
    x: float
    y: float
    height: float
    likeness: float

    @property
    def side(self) -> Side:
        """The side that it stands for."""
        return SIDES[self.letter]


def read_markers(pixels: Grey) -> list[Marker]:
    """Letters of sides on a film, as it is displayed; turned and mirrored ones are not read.

    Args:
        pixels: (H, W) float32, 0..1.

    Returns:
        One for each thing that is read, the surest first.
    """
    step = max(max(pixels.shape) / _LONG_SIDE_PX, 1.0)
    size = round(pixels.shape[1] / step), round(pixels.shape[0] / step)
    image = Image.fromarray(pixels)
    small = np.asarray(image.resize(size, Image.Resampling.BOX, reducing_gap=2.0), np.float32)
    found = []
    for top, left, part in _isolated(small):
        # corners of a plate look like an L, whatever letter is on it
        best = max(_letters(part), key=lambda one: (one.letter != "L", one.likeness), default=None)
        if best is not None:
            found.append(Marker(
                best.letter, (best.x + left + 0.5) * step - 0.5, (best.y + top + 0.5) * step - 0.5,
                best.height * step, best.likeness,
            ))  # fmt: skip
    # initials of who took the film are smaller than the letter of the side
    tallest = max((one.height for one in found), default=0.0)
    found = [one for one in found if one.height >= _LEAST_SHARE * tallest]
    apart: list[Marker] = []  # a letter on a plate is seen twice: as such, and with the plate
    for one in sorted(found, key=lambda one: -one.likeness):
        if all(np.hypot(one.x - other.x, one.y - other.y) > one.height for other in apart):
            apart.append(one)
    return apart


# scipy.ndimage is imported where it is used: it costs a start 0.3 seconds.


def _isolated(small: Grey) -> Iterator[tuple[int, int, Grey]]:
    """Row, column and px of small things with sharp edges, those with the most edges first."""
    from scipy import ndimage

    edges = np.zeros(small.shape, np.bool_)
    edges[:, 1:] |= np.abs(np.diff(small, axis=1)) > _EDGE
    edges[1:] |= np.abs(np.diff(small, axis=0)) > _EDGE
    # grown, so that the letters of a word are one thing
    edges = ndimage.binary_dilation(edges, iterations=2)
    regions, count = ndimage.label(edges)
    least, most = _SIZE_PX
    boxes = []
    weights = np.bincount(regions.ravel(), minlength=count + 1)[1:]
    for weight, (rows, columns) in zip(weights, ndimage.find_objects(regions), strict=True):
        sides = rows.stop - rows.start, columns.stop - columns.start
        if least <= max(sides) <= most:
            boxes.append((int(weight), rows, columns))
    for _, rows, columns in sorted(boxes, key=lambda box: -box[0])[:_MOST_MARKERS]:
        top, left = max(rows.start - 2, 0), max(columns.start - 2, 0)
        yield top, left, small[top : rows.stop + 2, left : columns.stop + 2]


def _letters(part: Grey) -> Iterator[Marker]:
    """Regions of a thing that look like one of the letters; places are px of the part."""
    from scipy import ndimage

    for level in np.linspace(float(part.min()), float(part.max()), _LEVELS + 2)[1:-1]:
        for mask in (part > level, part < level):
            regions, _ = ndimage.label(mask)
            boxes = {
                number: box for number, box in enumerate(ndimage.find_objects(regions), start=1)
                if _is_letter_sized(box, part.shape)
            }  # fmt: skip
            for number, (rows, columns) in boxes.items():
                region = regions[rows, columns] == number
                if _is_thin(region) or _in_a_word(number, boxes):
                    continue
                read = _read(region)
                if read:
                    x, y = (columns.start + columns.stop) / 2, (rows.start + rows.stop) / 2
                    yield Marker(read[0], x - 0.5, y - 0.5, float(len(region)), read[1])


def _in_a_word(number: int, boxes: Mapping[int, _BoxOf]) -> bool:
    """Whether another region as high lies beside, above or below, as in a text, or one within."""
    (top, bottom), (left, right) = ((s.start, s.stop) for s in boxes[number])
    height = bottom - top
    for other, (rows, columns) in boxes.items():
        share = (rows.stop - rows.start) / height
        if other == number or not 0.4 <= share <= 1 / 0.75:
            continue
        apart = max(
            rows.start - bottom, top - rows.stop, columns.start - right, left - columns.stop
        )
        if apart < 0 or (share >= 0.75 and apart <= height):
            return True
    return False


def _is_thin(region: NDArray[np.bool_]) -> bool:
    """Whether its strokes are too thin for a letter, as those of a corner of a plate."""
    height, width = region.shape
    return bool(region.sum() < _LEAST_STROKE * height * (height + width))


def _is_letter_sized(box: _BoxOf, shape: tuple[int, ...]) -> bool:
    rows, columns = box
    height, width = rows.stop - rows.start, columns.stop - columns.start
    inside = rows.start > 0 and columns.start > 0
    inside = inside and rows.stop < shape[0] and columns.stop < shape[1]
    return bool(inside and height >= _LETTER_PX and 0.35 <= width / height <= 1.1)


def _read(mask: NDArray[np.bool_]) -> tuple[str, float] | None:
    """The letter that a region looks like, and how much; None for all other things."""
    letters, drawn = _alphabet()
    likeness = drawn @ _standardised(Image.fromarray(mask.astype(np.float32)))
    best = int(likeness.argmax())
    letter = letters[best]
    if letter not in SIDES or likeness[best] < LEAST_LIKENESS:
        return None
    others = np.array([SIDES.get(other) is not SIDES[letter] for other in letters])
    if likeness[best] - likeness[others].max() < LEAST_LEAD:
        return None
    return letter, float(likeness[best])


def _standardised(image: Image.Image) -> Grey:
    values = np.asarray(image.resize(_LETTER_WH, Image.Resampling.BILINEAR), np.float32).ravel()
    values = values - values.mean()
    return np.asarray(values / max(float(np.linalg.norm(values)), 1e-6), np.float32)


@cache
def _alphabet() -> tuple[tuple[str, ...], Grey]:
    """Letters and digits in several weights, and (N, px) float32 what they look like."""
    letters, drawn = [], []
    font = ImageFont.load_default(64)
    for letter in ascii_uppercase + digits:
        for weight in _WEIGHTS:
            image = Image.new("L", (160, 160))
            ImageDraw.Draw(image).text((48, 40), letter, fill=255, font=font, stroke_width=weight)
            letters.append(letter)
            drawn.append(_standardised(image.crop(image.getbbox()).convert("F")))
    return tuple(letters), np.stack(drawn)
