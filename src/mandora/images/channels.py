"""From a film to the channels that a network sees.

The default networks see one channel, standardised. The published ones see several versions of
the film as channels, all made from raw grey values x of 0..1. The names of the versions, and that
the third one goes up to 255, are published (Li & Guan 2022, doi:10.1002/aisy.202200184, and the
authors' program); constants that are not were chosen here:

1. raw: x.
2. percentile-anchored: (x - p1) / (p99 - p1), clipped to 0..1; p1 and p99 are the 1st and 99th
   percentile of the film.
3. scaled: 255 (x - min) / (max - min) over the film.
4. contrast-corrected and anchored: the film's histogram equalised between p1 and p99, which
   become 0 and 1. The curve is a polygon over channel 2 with ``KNOTS`` corners, evenly spaced.
5. Gaussian: (x - mean) / s.d. over the film.
6. min-max of the patch: (x - min) / (max - min) over the patch, times ``patch_range``.
7. z-score of the patch: (x - mean) / s.d. over the patch, times ``patch_range``.

``patch_range`` is 255 in the authors' program, so that channels 3, 6 and 7 weigh alike.

Where a range or s.d. is 0, the channel is 0. The first five depend only on the grey value and the
film's statistics: a patch can be cut from the raw film and be transformed later.
``training.channels`` holds the same formulas for batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mandora.core.errors import InputError
from mandora.core.geometry import Affine, Box, box_to_grid, mirror_x


def standardise(
    pixels: NDArray[np.float32], counted: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Grey values with mean 0 and s.d. 1 over the whole array, clipped to ±4.

    A flat array becomes all zeros instead of dividing by nothing.

    Args:
        pixels: of any shape.
        counted: likewise; mean and s.d. are those of these px alone, as of those on the film. None,
            or no px: of all.
    """
    known = pixels if counted is None or not counted.any() else pixels[counted]
    spread = float(known.std())
    if spread < 1e-6:
        return np.zeros_like(pixels)
    out = (pixels - np.float32(known.mean())) / np.float32(spread)
    return np.clip(out, -4.0, 4.0, out=out)


def sample_box(
    pixels: NDArray[np.float32], box: Box, size_px: int, fill: float
) -> NDArray[np.float32]:
    """Cut a box out of a film and bring it to ``size_px`` × ``size_px``, antialiased.

    Args:
        pixels: (H, W) float32.
        box: px of the film; may be turned, and reach beyond the film.
        size_px: side of the result.
        fill: value for what lies beyond the film.

    Returns:
        (size_px, size_px) float32.
    """
    scale = max(box.width, box.height) / size_px
    # px of fine films are averaged in blocks before a box is turned: less work
    block = max(int(scale / 1.5), 1) if box.turn_deg else 1
    part, (left, top) = _part(pixels, box, size_px, fill, block)
    if part is None:
        return np.full((size_px, size_px), fill, np.float32)
    image = Image.fromarray(np.ascontiguousarray(part))
    if box.turn_deg:
        to_image = pillow_affine(box, size_px, (left, top)) / block
        return _sample_turned(image.reduce(block), to_image, size_px, scale / block, fill)
    # Pillow counts from the outer edge of the first pixel, geometry from its centre
    x0, y0, x1, y1 = (v + 0.5 for v in (box.x0, box.y0, box.x1, box.y1))
    resized = image.resize(
        (size_px, size_px), Image.Resampling.BILINEAR,
        box=(x0 - left, y0 - top, x1 - left, y1 - top),
    )  # fmt: skip
    return np.asarray(resized, dtype=np.float32)


def _part(
    pixels: NDArray[np.float32], box: Box, size_px: int, fill: float, block: int
) -> tuple[NDArray[np.float32] | None, tuple[int, int]]:
    """The px of a film that a box is made of, padded, and column and row of the first of them.

    None where the box lies beside the film. Column and row are multiples of ``block``.
    """
    height, width = pixels.shape
    bounds = box.bounds
    left, top = int(np.floor(bounds.x0 + 0.5)), int(np.floor(bounds.y0 + 0.5))
    right, bottom = int(np.ceil(bounds.x1 + 0.5)), int(np.ceil(bounds.y1 + 0.5))
    # the filter sees the film around the box, so that its outermost px are those of a larger box
    reach = int(np.ceil(max(box.width / size_px, box.height / size_px, 1.0)))
    left, top = max(left - reach, min(left, 0)), max(top - reach, min(top, 0))
    left, top = left - left % block, top - top % block
    right, bottom = min(right + reach, max(right, width)), min(bottom + reach, max(bottom, height))
    # an end below 0 would count from the far edge
    rows = slice(max(top, 0), max(min(bottom, height), 0))
    cols = slice(max(left, 0), max(min(right, width), 0))
    part = pixels[rows, cols]
    if part.size == 0:
        return None, (left, top)
    if left < 0 or top < 0 or right > width or bottom > height:
        inside = part
        part = np.full((bottom - top, right - left), fill, np.float32)
        y, x = max(-top, 0), max(-left, 0)
        part[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return part, (left, top)


def _sample_turned(
    image: Image.Image, to_image: NDArray[np.float64], size_px: int, scale: float, fill: float
) -> NDArray[np.float32]:
    """A turned box: each of its px is the mean of samples, at most 1.25 px of the image apart.

    Args:
        image: the part of the film around the box.
        to_image: (2, 3) from the box as a square of ``size_px`` to the image, see
            :func:`pillow_affine`.
        size_px: side of the result.
        scale: px of the image in a px of the result, along its side.
        fill: value beyond the image.
    """
    # a whole number of samples, so that a px does not depend on how many are beside it
    samples = max(int(np.ceil(scale / 1.25)), 1)
    to_image = to_image @ np.diag([1 / samples, 1 / samples, 1])
    turned = image.transform(
        (size_px * samples, size_px * samples), Image.Transform.AFFINE, tuple(to_image.ravel()),
        resample=Image.Resampling.BILINEAR, fillcolor=fill,
    )  # fmt: skip
    return np.asarray(turned.reduce(samples), dtype=np.float32)


def pillow_affine(box: Box, side_px: int, origin: tuple[int, int] = (0, 0)) -> NDArray[np.float64]:
    """What ``Image.transform`` takes to cut a box out of a picture, a turned one as well.

    Args:
        box: px of a film.
        side_px: side of the square that it becomes.
        origin: column and row of the picture's first px on the film.

    Returns:
        (2, 3), from that square to the picture, counted from the outer edge of the first px of
        each, as Pillow does.
    """
    matrix = box_to_grid(box, (side_px, side_px), "grid").inverse.matrix.copy()
    matrix[:, 2] += 0.5 - matrix[:, :2].sum(axis=1) / 2 - origin
    return matrix


def background(pixels: NDArray[np.float32]) -> float:
    """Grey of what lies beyond a film: the 5th percentile of every eighth pixel of it."""
    return float(np.percentile(pixels[::8, ::8], 5))


def whole_film(
    pixels: NDArray[np.float32], size_px: int, *, mirror: bool
) -> tuple[NDArray[np.float32], Affine]:
    """The whole film in a square, its aspect kept, standardised by the film's own grey values.

    Args:
        pixels: (H, W) float32, 0..1.
        size_px: side of the square.
        mirror: flip left and right (so that every limb looks like a left one).

    Returns:
        (size_px, size_px) float32 and the map from film px to network px, flip included.
    """
    height, width = pixels.shape
    side = float(max(height, width))
    box = Box.around(((width - 1) / 2, (height - 1) / 2), side / 2)
    square = sample_box(pixels, box, size_px, background(pixels))
    on_film = px_on_film(
        box_to_grid(box, (size_px, size_px), "network").inverse, (height, width), size_px
    )
    return _for_network(standardise(square, on_film), box, mirror)


def px_on_film(to_film: Affine, film_hw: tuple[int, int], size_px: int) -> NDArray[np.bool_] | None:
    """(size_px, size_px) which px of a square have their centre on the film; None: all.

    Args:
        to_film: from px of the square to px of the film.
        film_hw: height and width of the film, px.
        size_px: side of the square.
    """
    height, width = film_hw
    a, b = to_film.matrix[:, :2], to_film.matrix[:, 2]
    along = np.arange(size_px, dtype=np.float64)
    x = a[0, 0] * along + a[0, 1] * along[:, None] + b[0]
    y = a[1, 0] * along + a[1, 1] * along[:, None] + b[1]
    on_film = (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
    return None if on_film.all() else on_film


def _for_network(
    square: NDArray[np.float32], box: Box, mirror: bool
) -> tuple[NDArray[np.float32], Affine]:
    """A box of the film as a square, mirrored if asked for, and the map from film px to it."""
    size_px = len(square)
    to_network = box_to_grid(box, (size_px, size_px), "network")
    if mirror:
        return np.ascontiguousarray(square[:, ::-1]), mirror_x(size_px, "network") @ to_network
    return square, to_network


# ── several versions of a film as channels ──────────────────────────────────────────────

KNOTS = 257
FLAT = 1e-6  # spread of grey values that counts as nothing
ANCHORS = (0.01, 0.99)  # shares of a film's px that the anchored versions are stretched between
GREY_RANGE = 255.0  # of the scaled version

_LEVELS = 65535  # as many grey values as files hold


@dataclass(frozen=True, eq=False)
class FilmStatistics:
    """Statistics of a whole film, from which its versions are made.

    Those of the mirrored film are equal to the bit.

    Attributes:
        low: 1st percentile of the grey values.
        high: 99th percentile.
        minimum: least grey value.
        maximum: greatest.
        mean: of all px.
        sd: standard deviation over all px.
        equalised: (KNOTS,) float32, rising from 0 to 1: share of the px between ``low`` and
            ``high`` that are darker than low + i / (KNOTS - 1) × (high - low). A straight line
            where there is nothing between them.
    """

    low: float
    high: float
    minimum: float
    maximum: float
    mean: float
    sd: float
    equalised: NDArray[np.float32]

    SIZE: ClassVar[int] = 6 + KNOTS
    """Length of :attr:`vector`."""

    @classmethod
    def of(cls, pixels: NDArray[np.float32]) -> Self:
        """Statistics of a film.

        Args:
            pixels: (H, W) float32, 0..1.

        Raises:
            ValueError: if grey values lie beyond 0..1.
        """
        minimum, maximum = float(pixels.min()), float(pixels.max())
        # written so that NaN fails as well
        if not (minimum >= 0 and maximum <= 1):
            raise InputError(
                f"grey values must lie within 0..1, got {minimum:g}..{maximum:g}; scale the film"
            )
        levels = np.rint(pixels * np.float32(_LEVELS)).astype(np.uint16)
        counts = np.bincount(levels.ravel(), minlength=_LEVELS + 1)
        greys = np.arange(_LEVELS + 1) / _LEVELS
        mean = float(counts @ greys) / pixels.size
        sd = float(np.sqrt(counts @ (greys - mean) ** 2 / pixels.size))
        below = counts.cumsum()
        first, last = (int(np.searchsorted(below, share * pixels.size)) for share in ANCHORS)
        equalised = np.linspace(0, 1, KNOTS, dtype=np.float32)
        # what is clipped, as much of an empty background is, takes no share of the contrast
        between = np.arange(first + 1, last)
        if counts[between].sum() > 0:
            steps = (between - first) * (KNOTS - 1) // (last - first)
            shares = np.bincount(steps, counts[between], KNOTS - 1).cumsum()
            equalised[1:] = shares / shares[-1]
        return cls(first / _LEVELS, last / _LEVELS, minimum, maximum, mean, sd, equalised)

    @property
    def vector(self) -> NDArray[np.float32]:
        """(SIZE,) float32: all attributes in their order."""
        single = (self.low, self.high, self.minimum, self.maximum, self.mean, self.sd)
        return np.concatenate([np.array(single, np.float32), self.equalised])


def published_film_channels(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the published localiser sees: channels 1, 2 and 4, each of 0..1.

    Args:
        pixels: (H, W) float32, 0..1.

    Returns:
        (3, H, W) float32.
    """
    return _film_versions(pixels, FilmStatistics.of(pixels))[[0, 1, 3]]


def patch_channels(
    patch: NDArray[np.float32], statistics: FilmStatistics, patch_range: float
) -> NDArray[np.float32]:
    """What the published damage network sees: all seven channels.

    Args:
        patch: (S, S) float32, grey values of the film, 0..1.
        statistics: of the whole film.
        patch_range: what channels 6 and 7 are multiplied by.

    Returns:
        (7, S, S) float32.
    """
    low, high = np.float32(patch.min()), np.float32(patch.max())
    own = [
        _stretched(patch, float(low), float(high)),
        _scaled(patch, float(patch.mean()), float(patch.std())),
    ]
    own_scaled = np.stack(own) * np.float32(patch_range)
    return np.concatenate([_film_versions(patch, statistics), own_scaled])


def _film_versions(pixels: NDArray[np.float32], film: FilmStatistics) -> NDArray[np.float32]:
    """(5, H, W) float32: channels 1 to 5."""
    anchored = np.clip(_stretched(pixels, film.low, film.high), 0, 1)
    place = anchored * np.float32(KNOTS - 1)
    knot = np.minimum(place.astype(np.int64), KNOTS - 2)
    share = place - knot.astype(np.float32)
    equalised = film.equalised[knot] * (1 - share) + film.equalised[knot + 1] * share
    return np.stack([
        pixels,
        anchored,
        _stretched(pixels, film.minimum, film.maximum) * np.float32(GREY_RANGE),
        equalised,
        _scaled(pixels, film.mean, film.sd),
    ])  # fmt: skip


def _stretched(pixels: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    """``low`` becomes 0 and ``high`` 1; all 0 if they are the same."""
    return _scaled(pixels, low, high - low)


def _scaled(pixels: NDArray[np.float32], middle: float, spread: float) -> NDArray[np.float32]:
    if spread < FLAT:
        return np.zeros_like(pixels)
    return (pixels - np.float32(middle)) / np.float32(spread)


def stretched_film(
    pixels: NDArray[np.float32], size_px: int, mirror: bool
) -> tuple[NDArray[np.float32], Affine]:
    """The whole film stretched over a square; its aspect is not kept, grey values are.

    Args:
        pixels: (H, W) float32, 0..1.
        size_px: side of the square.
        mirror: flip left and right (so that every limb looks like a left one).

    Returns:
        (size_px, size_px) float32 and the map from film px to network px, flip included.
    """
    height, width = pixels.shape
    image = Image.fromarray(np.ascontiguousarray(pixels))
    resized = image.resize((size_px, size_px), Image.Resampling.BILINEAR)
    square = np.asarray(resized, dtype=np.float32)
    box = Box(-0.5, -0.5, width - 0.5, height - 0.5)
    return _for_network(square, box, mirror)
