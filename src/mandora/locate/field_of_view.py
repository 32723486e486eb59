"""The squares of a film that a localiser's network sees: all of it, a part, one limb."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from PIL import Image

from mandora.core.geometry import Affine, Box, Points, box_to_grid, mirror_x
from mandora.images.channels import px_on_film, sample_box, standardise
from mandora.locate.orientation import Orientation, Pixels

_HALF = 0.55  # share of a film's side that is taken for half of it: nobody halves a film exactly
_CORNER = 0.6  # share of both sides that makes up a corner
_BACKGROUND = 5.0  # percentile of a film's grey values that is taken for its background

Part = tuple[int, int, int, int]
"""(x0, y0, x1, y1) px of a film; x1 and y1 lie beyond the part."""


@dataclass(frozen=True, eq=False)
class FieldOfView:
    """A square that the network sees at once.

    Attributes:
        to_film: from px of the network's input to px of the film: turn, size, shift and mirror.
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
            (size_px, size_px) float32, standardised by what lies on the film, or on the part.
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
        on_film = px_on_film(to_part @ self.to_film, shown.shape, size_px)
        return standardise(1 - seen if self.inverted else seen, on_film)


def _turned(square: Pixels, to_square: Affine, size_px: int, fill: float) -> Pixels:
    a, b = to_square.matrix[:, :2], to_square.matrix[:, 2]
    b = b + 0.5 - a @ [0.5, 0.5]  # Pillow counts from the corner of the first pixel
    image = Image.fromarray(square).transform(
        (size_px, size_px), Image.Transform.AFFINE, (*a[0], b[0], *a[1], b[1]),
        Image.Resampling.BILINEAR, fillcolor=fill,
    )  # fmt: skip
    return np.asarray(image, np.float32)


def whole_fields(
    part: Part, size_px: int, tried: Sequence[Orientation], share: float = 1.0
) -> list[FieldOfView]:
    """All of a film, or a part of it, with its aspect kept, in some orientations.

    Args:
        part: as in :class:`FieldOfView`; of a whole film (0, 0, width, height).
        size_px: side of the network's input.
        tried: one field of view for each.
        share: of the square that the longer side fills; the rest is background.
    """
    x0, y0, x1, y1 = part
    centre = (x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2
    box = Box.around(centre, max(x1 - x0, y1 - y0) / 2 / share)
    to_square = box_to_grid(box, (size_px, size_px), "square")
    fields = []
    for orientation in tried:
        upright = orientation.to_upright((size_px, size_px))
        to_network = Affine(upright.matrix, "square", "network")
        if orientation.mirrored:
            to_network = mirror_x(size_px, "network") @ to_network
        fields.append(FieldOfView((to_network @ to_square).inverse, orientation.inverted, part))
    return fields


def parts(width: int, height: int) -> list[Part]:
    """Halves and corners of a film, each a little larger than its share."""
    found: list[Part] = []
    for share_x, share_y in ((_HALF, 1.0), (1.0, _HALF), (_CORNER, _CORNER)):
        w, h = round(share_x * width), round(share_y * height)
        found += [(x, y, x + w, y + h) for x, y in product((0, width - w), (0, height - h))]
    return list(dict.fromkeys(found))


def limb_field(
    template: Points, to_film: Affine, limb_px: float, size_px: int, inverted: bool
) -> FieldOfView:
    """One limb alone, upright.

    Args:
        template: (N, 2) template of a left limb, in limb sizes.
        to_film: from the template to px of the film.
        limb_px: size of the limb there, px of the network's input.
        size_px: side of the network's input.
        inverted: bone is dark.
    """
    middle = (template.min(axis=0) + template.max(axis=0)) / 2
    shift = middle - (size_px - 1) / 2 / limb_px
    to_template = Affine(
        np.array([[1 / limb_px, 0.0, shift[0]], [0.0, 1 / limb_px, shift[1]]]),
        "network", "template",
    )  # fmt: skip
    return FieldOfView(to_film @ to_template, inverted)
