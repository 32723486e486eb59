"""The localiser of preset ``fast``: one U-Net per limb, one heat map per point."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mandora.settings import LocateSettings


def block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Two 3×3 convolutions, each followed by batch normalisation and ReLU."""
    layers: list[nn.Module] = []
    for width, step in ((inputs, stride), (outputs, 1)):
        layers += [
            nn.Conv2d(width, outputs, 3, stride=step, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


class LocateNet(nn.Module):
    """(B, 1, S, S) standardised film → (B, points, S/stride, S/stride) heat-map logits."""

    def __init__(self, points: int, settings: LocateSettings) -> None:
        super().__init__()
        widths = settings.widths
        first = settings.heatmap_stride
        self.encoder = nn.ModuleList()
        previous = 1
        for level, width in enumerate(widths):
            self.encoder.append(block(previous, width, first if level == 0 else 2))
            previous = width
        self.decoder = nn.ModuleList(
            block(deep + shallow, shallow)
            for deep, shallow in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.head = nn.Conv2d(widths[0], points, 1)
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
