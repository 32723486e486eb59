"""What the networks of several stages share: convolutions, and the published U-Net.

The published networks (Li & Guan 2022, doi:10.1002/aisy.202200184) were written in Keras.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from mandora.core.errors import InputError


def conv(inputs: int, outputs: int, stride: int = 1, kernel_px: int = 3) -> nn.Sequential:
    """Convolution without bias, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_px, stride=stride, padding=kernel_px // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def keras_conv(inputs: int, outputs: int, kernel_px: int = 7) -> nn.Sequential:
    """Convolution that keeps the size, ReLU, batch normalisation with Keras' constants."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_px, padding=kernel_px // 2),
        nn.ReLU(inplace=True),
        nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01),
    )


def keras_pair(inputs: int, outputs: int, kernel_px: int = 7) -> nn.Sequential:
    """Two of :func:`keras_conv` as one flat sequence."""
    return nn.Sequential(
        *keras_conv(inputs, outputs, kernel_px), *keras_conv(outputs, outputs, kernel_px)
    )


class PublishedUNet(nn.Module):
    """Encoder and decoder of the published networks.

    Pairs of convolutions with 2 × 2 max-pooling between them; back up by 2 × 2 transposed
    convolutions of stride 2, the encoder's features of that size beside them, pairs again.

    Args:
        channels: of the input.
        widths: channels of the encoder, from the input's size down.
        rising: channels of the decoder, from the coarsest level up; the first is ``widths[-1]``.
        kernel_px: side of the convolutions.
    """

    def __init__(
        self, channels: int, widths: Sequence[int], rising: Sequence[int], kernel_px: int = 7
    ) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(
            keras_pair(inputs, outputs, kernel_px)
            for inputs, outputs in pairwise((channels, *widths))
        )
        self.rise = nn.ModuleList(
            nn.ConvTranspose2d(deep, shallow, 2, stride=2) for deep, shallow in pairwise(rising)
        )
        self.decoder = nn.ModuleList(
            keras_pair(width + skip, width, kernel_px)
            for width, skip in zip(rising[1:], widths[-2::-1], strict=True)
        )
        self.pool = nn.MaxPool2d(2)

    def levels(self, x: Tensor) -> list[Tensor]:
        """Features of the decoder, from the coarsest level up to the input's size."""
        kept: list[Tensor] = []
        for level in self.encoder:
            x = level(self.pool(x) if kept else x)
            kept.append(x)
        decoded = [x]
        for rise, level, skip in zip(self.rise, self.decoder, kept[-2::-1], strict=True):
            x = level(torch.cat([rise(x), skip], dim=1))
            decoded.append(x)
        return decoded


def initialise_like_keras(layer: nn.Module) -> None:
    """Draw a layer's first weights as Keras does: Glorot's uniform distribution, zero bias."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.xavier_uniform_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def check_halvings(name: str, side_px: int, halvings: int) -> None:
    """Refuse an input that cannot be halved so often.

    Args:
        name: of the setting, for the message.
        side_px: of the input.
        halvings: number of levels below the first.

    Raises:
        ValueError: if the side is not a multiple of 2^halvings.
    """
    if side_px % 2**halvings:
        raise InputError(
            f"{name} {side_px} cannot be halved {halvings} times; use a multiple of {2**halvings}"
        )


def check_odd(kernel_px: int) -> int:
    """The side of a convolution that keeps the size.

    Raises:
        ValueError: if it is even.
    """
    if kernel_px % 2 == 0:
        raise InputError(f"kernel_px {kernel_px} is even; use an odd side, for example 3 or 7")
    return kernel_px
