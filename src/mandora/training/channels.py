"""The seven channels that the published damage networks see, for whole batches of patches.

The formulas are those of ``mandora.images.channels``, and so are the numbers; they are written
once more because training makes them on the GPU, of patches that were just turned and cut.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mandora.core.errors import InputError
from mandora.images.channels import FLAT, GREY_RANGE, KNOTS, FilmStatistics


def patch_channels_batch(patches: Tensor, statistics: Tensor, patch_range: float) -> Tensor:
    """(B, 1, S, S) float32 patches 0..1 and (B, K) statistics of their films → (B, 7, S, S).

    As :func:`mandora.images.channels.patch_channels`.
    """
    low, high = patches.amin((1, 2, 3), keepdim=True), patches.amax((1, 2, 3), keepdim=True)
    middle = patches.mean((1, 2, 3), keepdim=True)
    spread = patches.std((1, 2, 3), keepdim=True, correction=0)
    own = torch.cat([_scaled(patches, low, high - low), _scaled(patches, middle, spread)], dim=1)
    return torch.cat([_film_versions(patches, statistics), own * patch_range], dim=1)


def _film_versions(pixels: Tensor, statistics: Tensor) -> Tensor:
    """(B, 5, H, W): channels 1 to 5."""
    if statistics.shape != (len(pixels), FilmStatistics.SIZE):
        raise InputError(
            f"{len(pixels)} pictures need statistics of shape ({len(pixels)}, "
            f"{FilmStatistics.SIZE}), got {tuple(statistics.shape)}"
        )
    low, high, minimum, maximum, mean, sd = statistics[:, :6].T[:, :, None, None, None]
    anchored = _scaled(pixels, low, high - low).clamp(0, 1)
    place = anchored * (KNOTS - 1)
    knot = place.long().clamp_max(KNOTS - 2)
    share = place - knot
    corners = statistics[:, 6:]
    before, after = (corners.gather(1, (knot + i).flatten(1)).reshape(pixels.shape) for i in (0, 1))
    return torch.cat(
        [
            pixels,
            anchored,
            _scaled(pixels, minimum, maximum - minimum) * GREY_RANGE,
            before * (1 - share) + after * share,
            _scaled(pixels, mean, sd),
        ],
        dim=1,
    )


def _scaled(pixels: Tensor, middle: Tensor, spread: Tensor) -> Tensor:
    flat = spread < FLAT
    return torch.where(flat, 0.0, (pixels - middle) / spread.masked_fill(flat, 1.0))
