"""Film pixels and masks as pictures: whole films, and one small picture per joint."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mandora.core.errors import InputError
from mandora.core.geometry import Box
from mandora.damage.evidence import PatchEvidence
from mandora.images.channels import pillow_affine

MASK_RGB = (255, 48, 48)
MASK_ALPHA = 0.5
CROP_PX = 132
"""Side of a crop of a joint."""
_GAP_PX = 4


def film_image(film: NDArray[np.float32] | Image.Image) -> Image.Image:
    """The film as an 8-bit grey picture of the same size.

    Args:
        film: (H, W) float32; values outside 0..1 are clipped. Or a picture, which is returned.

    Raises:
        ValueError: for another number of dimensions.
    """
    if isinstance(film, Image.Image):
        return film
    if film.ndim != 2:
        raise InputError(f"a film has shape (H, W), got {film.shape}")
    # fmax and fmin turn NaN into black, where clip would keep it
    grey = np.fmax(film, np.float32(0))
    np.fmin(grey, np.float32(1), out=grey)
    grey *= np.float32(255)
    grey += np.float32(0.5)
    return Image.fromarray(grey.astype(np.uint8))


def tint(image: Image.Image, mask: NDArray[np.float32]) -> Image.Image:
    """Lay a mask over a picture in translucent red.

    Args:
        image: grey or RGB.
        mask: (H, W) float32, 0..1, of the same size.

    Returns:
        RGB.
    """
    # faint probabilities would only hide the bone
    alpha = Image.fromarray((np.where(mask < 0.15, 0.0, mask) * MASK_ALPHA * 255).astype(np.uint8))
    return Image.composite(Image.new("RGB", image.size, MASK_RGB), image.convert("RGB"), alpha)


def joint_crops(
    pixels: NDArray[np.float32] | Image.Image, evidence: Mapping[str, PatchEvidence]
) -> dict[str, Image.Image]:
    """Cut each joint's patch out of the film, as it is and with its mask in red.

    Args:
        pixels: (H, W) float32, 0..1: the film, or :func:`film_image` of it.
        evidence: by landmark name; boxes in px of the film. Outside the film the crop is black.

    Returns:
        By landmark name, RGB: the bare crop on the left, the crop with the mask on the right.
    """
    film = film_image(pixels)
    pairs = {}
    for name, patch in evidence.items():
        bare = cut(film, patch.box, CROP_PX)
        mask = Image.fromarray(patch.mask).resize(bare.size, Image.Resampling.BILINEAR)
        pair = Image.new("RGB", (2 * CROP_PX + _GAP_PX, CROP_PX), (255, 255, 255))
        pair.paste(bare.convert("RGB"), (0, 0))
        pair.paste(tint(bare, np.asarray(mask)), (CROP_PX + _GAP_PX, 0))
        pairs[name] = pair
    return pairs


def cut(film: Image.Image, box: Box, size_px: int) -> Image.Image:
    """Cut a box out of a picture and scale it to a square, edge to edge.

    Args:
        film: grey.
        box: px of the film, where (0, 0) is the centre of the first pixel; may be turned.
        size_px: side of the result.
    """
    if box.turn_deg:  # beyond the film it is black
        side = max(int(np.ceil(box.width)), size_px)
        turned = film.transform(
            (side, side), Image.Transform.AFFINE, tuple(pillow_affine(box, side).ravel()),
            resample=Image.Resampling.BICUBIC,
        )  # fmt: skip
        return turned.resize((size_px, size_px), Image.Resampling.BICUBIC)
    # Pillow counts from the corner of the first pixel, not from its centre
    x0, y0, x1, y1 = (v + 0.5 for v in (box.x0, box.y0, box.x1, box.y1))
    left, top = int(np.floor(x0)), int(np.floor(y0))
    whole = film.crop((left, top, int(np.ceil(x1)), int(np.ceil(y1))))  # pads with black
    return whole.resize(
        (size_px, size_px),
        Image.Resampling.BICUBIC,
        box=(x0 - left, y0 - top, x1 - left, y1 - top),
    )
