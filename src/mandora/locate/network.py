"""The networks that look for landmarks on a film.

``LocateNet`` is the default: one small U-Net per limb, one heat map per landmark.
``PublishedLocateNet`` is that of Li & Guan 2022, doi:10.1002/aisy.202200184: a U-Net of 7 × 7
convolutions on a film of 1024 × 1024 px, one network for each of the 27 landmarks.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mandora.core.anatomy import LANDMARKS, Limb
from mandora.core.errors import InputError
from mandora.core.network import (
    PublishedUNet,
    check_halvings,
    check_odd,
    conv,
    initialise_like_keras,
)
from mandora.core.settings import LocateSettings


def build_locate_net(limb: Limb, settings: LocateSettings) -> nn.Module:
    """The network that the settings ask for: (B, channels, S, S) → heat-map logits.

    Args:
        limb: hand or foot; says how many heat maps a network of all landmarks draws.
        settings: ``design`` chooses.
    """
    if settings.design == "one-landmark":
        return PublishedLocateNet(settings)
    return LocateNet(len(LANDMARKS[limb]), settings)


def block(inputs: int, outputs: int, stride: int = 1, kernel_px: int = 3) -> nn.Sequential:
    """Two convolutions, each followed by batch normalisation and ReLU."""
    return nn.Sequential(
        *conv(inputs, outputs, stride, kernel_px), *conv(outputs, outputs, kernel_px=kernel_px)
    )


class LocateNet(nn.Module):
    """(B, channels, S, S) standardised film → (B, landmarks, S/stride, S/stride) logits."""

    def __init__(self, landmarks: int, settings: LocateSettings) -> None:
        super().__init__()
        widths, kernel_px = settings.widths, check_odd(settings.kernel_px)
        first = settings.heat_map_stride
        self.encoder = nn.ModuleList()
        previous: int = settings.channels
        for level, width in enumerate(widths):
            self.encoder.append(block(previous, width, first if level == 0 else 2, kernel_px))
            previous = width
        self.decoder = nn.ModuleList(
            block(deep + shallow, shallow, kernel_px=kernel_px)
            for deep, shallow in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.head = nn.Conv2d(widths[0], landmarks, 1)
        # heat maps are almost empty: start from a low prior
        nn.init.constant_(self.head.bias, -4.0)  # type: ignore[arg-type]

    def forward(self, film: Tensor) -> Tensor:
        """Heat-map logits."""
        kept = []
        x = film
        for level in self.encoder:
            x = level(x)
            kept.append(x)
        for level, skip in zip(self.decoder, kept[-2::-1], strict=True):
            x = nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = level(torch.cat([x, skip], dim=1))
        logits: Tensor = self.head(x)
        return logits


class PublishedLocateNet(PublishedUNet):
    """(B, 3, S, S) film → (B, 1, S, S) logits of the square around one landmark.

    Pairs of 7 × 7 convolutions (convolution → ReLU → batch normalisation) with 9, 18, 36, 72
    and 144 channels, 2 × 2 max-pooling between them; back up by 2 × 2 transposed convolutions of
    stride 2, the encoder's features of that size beside them, pairs again; a 1 × 1 convolution
    at last. 3.10 M parameters and 81.2 GMAC at 1024 × 1024 px. First weights and batch
    normalisation are Keras' defaults, in which it was published.

    Raises:
        ValueError: if the settings ask for coarser heat maps, which it does not draw, or for
            an input that cannot be halved so often.
    """

    def __init__(self, settings: LocateSettings) -> None:
        widths, kernel_px = settings.widths, check_odd(settings.kernel_px)
        if settings.heat_map_stride != 1:
            raise InputError(
                "the one-landmark network draws at the size of its input, "
                f"but heat_map_stride is {settings.heat_map_stride}; set it to 1"
            )
        check_halvings("input_px", settings.input_px, len(widths) - 1)
        super().__init__(settings.channels, widths, widths[::-1], kernel_px)
        self.head = nn.Conv2d(widths[0], 1, 1)
        self.apply(initialise_like_keras)

    def forward(self, film: Tensor) -> Tensor:
        """Logits of the square."""
        logits: Tensor = self.head(self.levels(film)[-1])
        return logits
