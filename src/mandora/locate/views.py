"""Ways to look at a film: turned, mirrored, inverted, in part or around a limb."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mandora.core.anatomy import Limb, Side
from mandora.core.geometry import Affine, Box, Points, box_to_grid, fit_similarity, mirror_x
from mandora.images.channels import sample_box, standardise

ZOOM = {Limb.HAND: 0.30, Limb.FOOT: 0.45}
"""Size of a limb / side of the network's input, when it looks at that limb alone."""

_HALF = 0.55  # share of a film's side that is taken for half of it: nobody halves a film exactly
_MIN_LANDMARKS = 4  # with fewer how a limb lies is a guess
_CORNER = 0.6  # share of both sides that makes up a corner
_BACKGROUND = 5.0  # percentile of a film's grey values that is taken for its background

Pixels = NDArray[np.float32]
Part = tuple[int, int, int, int]
"""(x0, y0, x1, y1) px of a film; x1 and y1 lie beyond the part."""


@dataclass(frozen=True)
class View:
    """How a limb lies on a film.

    Attributes:
        turns: quarter turns anticlockwise that bring fingers or toes up, 0..3.
        mirrored: then it looks like a right limb.
        inverted: bone is dark.
    """

    turns: int = 0
    mirrored: bool = False
    inverted: bool = False

    @property
    def side(self) -> Side:
        """The side that the limb looks like. The patient's is the other one on mirrored films."""
        return Side.RIGHT if self.mirrored else Side.LEFT

    def upright(self, pixels: Pixels) -> Pixels:
        """The film with fingers or toes up and bright bone; not mirrored.

        Args:
            pixels: (H, W) float32, 0..1.

        Returns:
            (H, W) or (W, H) float32, 0..1.
        """
        turned = np.rot90(pixels, self.turns)
        return np.ascontiguousarray(1 - turned if self.inverted else turned)

    def as_given(self, pixels: Pixels) -> Pixels:
        """A square of the upright film turned back: a mask, say. Grey values stay.

        Args:
            pixels: (S, S) float32.
        """
        return np.ascontiguousarray(np.rot90(pixels, -self.turns))

    def to_upright(self, shape: tuple[int, int]) -> Affine:
        """The map from px of the film to px of :meth:`upright`.

        Args:
            shape: (height, width) of the film, px.
        """
        right, bottom = shape[1] - 1.0, shape[0] - 1.0
        matrix = (
            [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
            [[0.0, 1.0, 0.0], [-1.0, 0.0, right]],
            [[-1.0, 0.0, right], [0.0, -1.0, bottom]],
            [[0.0, -1.0, bottom], [1.0, 0.0, 0.0]],
        )[self.turns]
        return Affine(np.array(matrix), "film", "upright")


@dataclass(frozen=True, eq=False)
class Look:
    """A square that the network looks at.

    Attributes:
        to_film: from px of the network's input to px of the film; turn, size, shift and mirror.
        inverted: the grey values are inverted for it.
        part: what lies beyond it counts as background; None: only what lies beyond the film.
    """

    to_film: Affine
    inverted: bool = False
    part: Part | None = None

    def sample(self, pixels: Pixels, size_px: int) -> Pixels:
        """What the network sees.

        Args:
            pixels: (H, W) float32, 0..1.
            size_px: side of the network's input.

        Returns:
            (size_px, size_px) float32, standardised.
        """
        x0, y0, x1, y1 = self.part or (0, 0, pixels.shape[1], pixels.shape[0])
        shown = pixels[y0:y1, x0:x1]
        percentile = 100 - _BACKGROUND if self.inverted else _BACKGROUND
        fill = float(np.percentile(shown[::8, ::8], percentile))
        zoom, linear = self.to_film.scale, self.to_film.matrix[:, :2]
        # the upright square around the turned one, at the network's resolution: this is where
        # the film is made smaller, and nothing is lost when that square is turned
        reach = float(np.abs(linear[0] / zoom).sum())
        side = int(np.ceil(size_px * reach - 1e-6))
        centre = self.to_film([(size_px - 1) / 2] * 2)[0] - (x0, y0)
        box = Box.around(centre, side / 2 * zoom, "part")
        square = sample_box(shown, box, side, fill)
        to_part = Affine(np.array([[1.0, 0.0, -x0], [0.0, 1.0, -y0]]), "film", "part")
        to_square = box_to_grid(box, (side, side), "square") @ to_part @ self.to_film
        seen = _turned(square, to_square, size_px, fill)
        return standardise(1 - seen if self.inverted else seen)


def _turned(square: Pixels, to_square: Affine, size_px: int, fill: float) -> Pixels:
    a, b = to_square.matrix[:, :2], to_square.matrix[:, 2]
    b = b + 0.5 - a @ [0.5, 0.5]  # Pillow counts from the corner of the first pixel
    image = Image.fromarray(square).transform(
        (size_px, size_px), Image.Transform.AFFINE, (*a[0], b[0], *a[1], b[1]),
        Image.Resampling.BILINEAR, fillcolor=fill,
    )  # fmt: skip
    return np.asarray(image, np.float32)


def whole_looks(part: Part, size_px: int, tried: Sequence[View]) -> list[Look]:
    """Looks at all of a film, or of a part of it, its aspect kept.

    Args:
        part: as in :class:`Look`; of a whole film (0, 0, width, height).
        size_px: side of the network's input.
        tried: turns, mirror and polarity of each look.
    """
    x0, y0, x1, y1 = part
    centre = (x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2
    box = Box.around(centre, max(x1 - x0, y1 - y0) / 2)
    to_square = box_to_grid(box, (size_px, size_px), "square")
    looks = []
    for view in tried:
        upright = view.to_upright((size_px, size_px))
        to_network = Affine(upright.matrix, "square", "network")
        if view.mirrored:
            to_network = mirror_x(size_px, "network") @ to_network
        looks.append(Look((to_network @ to_square).inverse, view.inverted, part))
    return looks


def parts(width: int, height: int) -> list[Part]:
    """Halves and corners of a film, each a little larger than its share."""
    found: list[Part] = []
    for share_x, share_y in ((_HALF, 1.0), (1.0, _HALF), (_CORNER, _CORNER)):
        w, h = round(share_x * width), round(share_y * height)
        found += [(x, y, x + w, y + h) for x, y in product((0, width - w), (0, height - h))]
    return list(dict.fromkeys(found))


def zoomed_look(
    template: Points, to_film: Affine, limb: Limb, size_px: int, inverted: bool
) -> Look:
    """A look at one limb alone, upright and as large as the network likes it.

    Args:
        template: (N, 2) mean shape of a left limb, in units.
        to_film: from the template to px of the film.
        limb: which one.
        size_px: side of the network's input.
        inverted: bone is dark.
    """
    unit = ZOOM[limb] * size_px
    middle = (template.min(axis=0) + template.max(axis=0)) / 2
    shift = middle - (size_px - 1) / 2 / unit
    to_template = Affine(
        np.array([[1 / unit, 0.0, shift[0]], [0.0, 1 / unit, shift[1]]]), "network", "template"
    )
    return Look(to_film @ to_template, inverted)


def view_of(to_film: Affine, inverted: bool) -> View:
    """How a limb lies on a film.

    Args:
        to_film: from the template of a left limb to px of the film.
        inverted: bone is dark.
    """
    x, y = -to_film.matrix[:, 1]  # where up in the template points to on the film
    turns = round(float(np.degrees(np.arctan2(x, -y))) / 90) % 4
    return View(turns, bool(np.linalg.det(to_film.matrix[:, :2]) < 0), inverted)


def view_of_landmarks(landmarks: Points, template: Points, side: Side) -> View:
    """How a limb lies, from landmarks that are known; its name or side may be wrong about that.

    Args:
        landmarks: (N, 2) px of the film; NaN where not known.
        template: (N, 2) mean shape of a left limb.
        side: taken for true where fewer than four landmarks are known.
    """
    known = np.isfinite(landmarks).all(axis=1)
    if known.sum() < _MIN_LANDMARKS:
        return View(mirrored=side is Side.RIGHT)
    fits = [
        Affine(fit_similarity(template[known] * [sign, 1], landmarks[known]) * [sign, 1, 1],
               "template", "film")
        for sign in (1.0, -1.0)
    ]  # fmt: skip
    errors = [np.linalg.norm(fit(template[known]) - landmarks[known]) for fit in fits]
    return view_of(fits[int(np.argmin(errors))], inverted=False)


def views(turns: Sequence[int] = range(4), *, inverted: bool = False) -> list[View]:
    """Each turn as shown and in the mirror."""
    return [View(t, mirrored, inverted) for t, mirrored in product(turns, (False, True))]
