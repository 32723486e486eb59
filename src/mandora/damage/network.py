"""The damage network of preset ``fast``: encoder, decoder, regressor for all joints at once.

The shape of the argument is the paper's: the decoder draws the joint space, and the regressor
sees the film *through that mask* together with the decoder's features. It is told which point
it looks at, so that one network serves hands and feet.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mandora.anatomy import FAMILIES, N_POINTS, POINTS, Damage, Limb
from mandora.settings import DamageSettings


def point_maxima() -> Tensor:
    """(27, 2) float32: highest narrowing and erosion at each point; 0 where none is scored."""
    kinds = (Damage.NARROWING, Damage.EROSION)
    rows = [
        [_maximum(limb, kind, point.name) for kind in kinds]
        for limb in (Limb.HAND, Limb.FOOT)
        for point in POINTS[limb]
    ]
    return torch.tensor(rows, dtype=torch.float32)


def _maximum(limb: Limb, kind: Damage, point: str) -> int:
    return max((s.maximum for s in FAMILIES[limb, kind] if s.point_name == point), default=0)


def conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """3×3 convolution, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class DamageNet(nn.Module):
    """(B, 1, S, S) patches and (B,) int64 points → mask logits (B, 1, S, S), scores (B, 2).

    Points are numbered 0…20 in the hand and 21…26 in the foot. Scores are narrowing and
    erosion in SvH points, 0…maximum.

    The first level works on 2 × 2 px blocks (space to depth), which costs a quarter of a full
    level and loses nothing; the mask is drawn at full resolution by the reverse step.
    """

    maxima: Tensor

    def __init__(self, settings: DamageSettings) -> None:
        super().__init__()
        widths = settings.widths
        self.encoder = nn.ModuleList()
        previous = 4
        for level, width in enumerate(widths):
            stride = 1 if level == 0 else 2
            self.encoder.append(nn.Sequential(conv(previous, width, stride), conv(width, width)))
            previous = width
        self.decoder = nn.ModuleList(
            conv(deep + shallow, shallow)
            for deep, shallow in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.mask = nn.Conv2d(widths[0], 4, 1)
        self.embedding = nn.Embedding(N_POINTS, settings.condition_width)
        # the regressor: image and mask, then the decoder's features level by level
        self.regressor = nn.ModuleList(
            conv((8 if i == 0 else widths[i]) + widths[i], widths[i + 1], 2)
            for i in range(len(widths) - 1)
        )
        self.last = conv(2 * widths[-1], widths[-1])
        self.film = nn.Linear(settings.condition_width, 2 * widths[-1])
        self.scores = nn.Sequential(
            nn.Linear(2 * widths[-1] + settings.condition_width, 96), nn.ReLU(), nn.Dropout(0.1),
            nn.Linear(96, 2),
        )  # fmt: skip
        self.register_buffer("maxima", point_maxima(), persistent=False)

    def forward(self, patches: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """Mask logits and scores."""
        blocks = nn.functional.pixel_unshuffle(patches, 2)
        kept: list[Tensor] = []
        x = blocks
        for level in self.encoder:
            x = level(x)
            kept.append(x)
        decoded = [x]
        for level, skip in zip(self.decoder, kept[-2::-1], strict=True):
            x = nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = level(torch.cat([x, skip], dim=1))
            decoded.append(x)
        mask = self.mask(x)
        r = torch.cat([blocks, torch.sigmoid(mask)], dim=1)
        for level, features in zip(self.regressor, decoded[:0:-1], strict=True):
            r = level(torch.cat([r, features], dim=1))
        r = self.last(torch.cat([r, decoded[0]], dim=1))
        condition = self.embedding(points)
        gain, shift = self.film(condition).chunk(2, dim=1)
        r = nn.functional.relu(r * (1 + gain[:, :, None, None]) + shift[:, :, None, None])
        raw = self.scores(torch.cat([r.mean((2, 3)), r.amax((2, 3)), condition], dim=1))
        return nn.functional.pixel_shuffle(mask, 2), torch.sigmoid(raw) * self.maxima[points]
