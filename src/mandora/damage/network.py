"""The networks that give a mask of the joint space in a patch and score its damage.

Both follow the paper: the decoder gives a mask of the joint space, and the regressor sees the
patch *through that mask*, together with the decoder's features; the setting ``bottleneck`` decides
whether it also sees the patch itself. ``DamageNet`` is the default: one small network for all
joints, with the number of the landmark as an input. ``PublishedDamageNet`` is that of Li & Guan
2022, doi:10.1002/aisy.202200184: one network for each of the four families of targets.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mandora.core.anatomy import FAMILIES, LANDMARKS, N_LANDMARKS, Damage, Limb
from mandora.core.errors import InputError
from mandora.core.network import (
    PublishedUNet,
    check_halvings,
    conv,
    initialise_like_keras,
    keras_conv,
    keras_pair,
)
from mandora.core.settings import DamageSettings

KINDS = (Damage.NARROWING, Damage.EROSION)  # columns of scores
FIRST_FOOT_LANDMARK = len(LANDMARKS[Limb.HAND])
GRADES = max(site.maximum for sites in FAMILIES.values() for site in sites)
"""Thresholds of an ordinal head: as many as the widest scale has grades above 0."""

NO_MASK = -20.0
"""Logit of every px if a network has no mask: a probability of 2e-9, unchanged by clipping."""


class DamageOutput(NamedTuple):
    """The output of a damage network.

    Attributes:
        mask_logits: (B, 1, S, S) of joint space or erosion; ``NO_MASK`` without a mask.
        scores: (B, K) SvH points, 0…maximum; narrowing and erosion, or the family's.
        score_logits: from which the scores are computed, for losses. Regression: (B, K), of
            score / maximum. Ordinal: (B, K, GRADES), that grade 1, 2, … is reached, decreasing
            along the last axis; those above the maximum have no meaning.
    """

    mask_logits: Tensor
    scores: Tensor
    score_logits: Tensor


def build_damage_net(
    settings: DamageSettings, family: tuple[Limb, Damage] | None = None
) -> nn.Module:
    """The network that the settings ask for.

    Args:
        settings: ``design`` chooses.
        family: of a published network; None for the network of all joints.

    Raises:
        ValueError: if a family is missing, or given to the network of all joints.
    """
    if settings.design == "all-joints":
        if family is not None:
            raise InputError(
                f"a network of all joints has no family, got {family}; set design = 'family'"
            )
        return DamageNet(settings)
    if family is None:
        raise InputError("design 'family' has one network per family; say which, or use all four")
    return PublishedDamageNet(max(site.maximum for site in FAMILIES[family]), settings)


# ── one network for all joints ───────────────────────────────────────────────────────────


def landmark_maxima() -> Tensor:
    """(27, 2) float32: highest narrowing and erosion at each point; 0 where none is scored."""
    rows = [
        [_maximum(limb, kind, point.name) for kind in KINDS]
        for limb in (Limb.HAND, Limb.FOOT)
        for point in LANDMARKS[limb]
    ]
    return torch.tensor(rows, dtype=torch.float32)


def _maximum(limb: Limb, kind: Damage, point: str) -> int:
    return max((s.maximum for s in FAMILIES[limb, kind] if s.landmark_name == point), default=0)


class DamageNet(nn.Module):
    """(B, channels, S, S) patches and (B,) int64 landmarks → mask logits and scores (B, 2).

    Landmarks are numbered 0…20 in the hand and 21…26 in the foot. Scores are narrowing and
    erosion in SvH points, 0…maximum.

    The first level works on 2 × 2 px blocks (space to depth), which costs a quarter of a full
    level and loses nothing; the mask is drawn at full resolution by the reverse step.

    Variants: an ordinal head gives the chances that each grade is reached, and their sum is the
    score; with a head per family, hands and feet, narrowing and erosion share no last layers;
    without a mask, the regressor sees the patch and the decoder's features alone; with a
    bottleneck it never sees the patch itself.
    """

    maxima: Tensor

    def __init__(self, settings: DamageSettings) -> None:
        super().__init__()
        widths = settings.widths
        self.head, self.heads = settings.head, settings.heads
        self.bottleneck = settings.bottleneck
        self.encoder = nn.ModuleList()
        blocks = 4 * settings.channels
        previous = blocks
        for level, width in enumerate(widths):
            stride = 1 if level == 0 else 2
            self.encoder.append(nn.Sequential(conv(previous, width, stride), conv(width, width)))
            previous = width
        self.decoder = nn.ModuleList(
            conv(deep + shallow, shallow)
            for deep, shallow in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.mask = nn.Conv2d(widths[0], 4, 1) if settings.mask != "none" else None
        self.embedding = nn.Embedding(N_LANDMARKS, settings.condition_width)
        # the regressor: patch and mask, then the decoder's features level by level
        seen = (0 if settings.bottleneck else blocks) + (4 if self.mask is not None else 0)
        self.regressor = nn.ModuleList(
            conv((seen if i == 0 else widths[i]) + widths[i], widths[i + 1], 2)
            for i in range(len(widths) - 1)
        )
        self.last = conv(2 * widths[-1], widths[-1])
        self.film = nn.Linear(settings.condition_width, 2 * widths[-1])
        known = 2 * widths[-1] + settings.condition_width
        values = GRADES if settings.head == "ordinal" else 1
        self.scores: nn.Module
        if settings.heads == "family":
            # hand narrowing, hand erosion, foot narrowing, foot erosion
            self.scores = nn.ModuleList(_last_layers(known, values) for _ in FAMILIES)
        else:
            self.scores = _last_layers(known, len(KINDS) * values)
        self.register_buffer("maxima", landmark_maxima(), persistent=False)

    def forward(self, patches: Tensor, landmarks: Tensor) -> DamageOutput:
        """Mask logits, scores and score logits."""
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
        seen = [] if self.bottleneck else [blocks]
        if self.mask is not None:
            mask = self.mask(x)
            seen.append(torch.sigmoid(mask))
            mask_logits = nn.functional.pixel_shuffle(mask, 2)
        else:
            mask_logits = torch.full_like(patches[:, :1], NO_MASK)
        for level, features in zip(self.regressor, decoded[:0:-1], strict=True):
            seen = [level(torch.cat([*seen, features], dim=1))]
        r = self.last(torch.cat([*seen, decoded[0]], dim=1))
        condition = self.embedding(landmarks)
        gain, shift = self.film(condition).chunk(2, dim=1)
        r = nn.functional.relu(r * (1 + gain[:, :, None, None]) + shift[:, :, None, None])
        known = torch.cat([r.mean((2, 3)), r.amax((2, 3)), condition], dim=1)
        logits, scores = self._score(known, landmarks)
        return DamageOutput(mask_logits, scores, logits)

    def _score(self, known: Tensor, landmarks: Tensor) -> tuple[Tensor, Tensor]:
        """Score logits and scores from the features of the patch."""
        if isinstance(self.scores, nn.ModuleList):
            each = torch.stack([layers(known) for layers in self.scores], dim=1)
            hand, foot = each.chunk(2, dim=1)
            raw = torch.where((landmarks >= FIRST_FOOT_LANDMARK)[:, None, None], foot, hand)
        else:
            raw = self.scores(known).unflatten(1, (len(KINDS), -1))
        maxima = self.maxima[landmarks]
        if self.head == "regression":
            logits = raw.squeeze(2)
            return logits, torch.sigmoid(logits) * maxima
        # no higher grade is likelier than a lower one: each step down is positive
        steps = nn.functional.softplus(raw[:, :, 1:])
        logits = torch.cat([raw[:, :, :1], raw[:, :, :1] - steps.cumsum(2)], dim=2)
        reachable = torch.arange(GRADES, device=raw.device) < maxima[:, :, None]
        return logits, (torch.sigmoid(logits) * reachable).sum(2)


def _last_layers(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, 96), nn.ReLU(), nn.Linear(96, outputs))


# ── the published network ────────────────────────────────────────────────────────────────

WIDENING = 1.5  # channels of a level / channels of the next finer one
WAIST = 7  # channels on both sides of the mask
TAIL = (84, 42, 7, 1)  # channels of the convolutions on the coarsest map


class PublishedDamageNet(PublishedUNet):
    """(B, 7, S, S) patches → mask logits (B, 1, S, S) and scores (B, 1), 0…maximum.

    Encoder: pairs of 7 × 7 convolutions (convolution → ReLU → batch normalisation) with 21, 31,
    46, 69 and 103 channels, 2 × 2 max-pooling between them. Decoder: 2 × 2 transposed
    convolutions to 68, 45, 30 and 20 channels, the encoder's features of that size beside them,
    pairs again. Mask: a convolution to 7 channels, then 1 × 1 to one, sigmoid. Regressor: a
    convolution from *that mask alone* to 7 channels; then four times max-pooling, the decoder's
    features of that size beside it (the encoder's coarsest at last) and a pair, 31, 46, 69 and
    103 channels; convolutions to 84, 42, 7 and 1 channels; a dense layer over that map of
    24 × 24, sigmoid. 5.77 M parameters and 38.4 GMAC at 384 × 384 px. First weights and batch
    normalisation are Keras' defaults, in which it was published.

    Without a mask (the paper's comparison, Fig. 5) the two convolutions around the mask and the
    mask itself are left out, and the regressor starts from the decoder's features. The rest is the
    same, so that the two networks differ in the segmentation only.

    Raises:
        ValueError: if the settings ask for a head that this network does not have, or for a
            patch that cannot be halved so often.
    """

    def __init__(self, maximum: float, settings: DamageSettings) -> None:
        widths = settings.widths
        halvings = len(widths) - 1
        if settings.head != "regression" or settings.heads != "shared":
            raise InputError(
                "a network of one family has one regression head, but head is "
                f"{settings.head!r} and heads is {settings.heads!r}; use 'regression', 'shared'"
            )
        if not settings.bottleneck:
            raise InputError(
                "the regressor of a network of one family never sees the patch itself: set "
                "bottleneck = true"
            )
        check_halvings("patch_px", settings.patch_px, halvings)
        rising = [widths[-1]]  # 103 → 68, 45, 30, 20
        for _ in range(halvings):
            rising.append(int(rising[-1] / WIDENING))
        super().__init__(settings.channels, widths, rising)
        self.maximum = float(maximum)
        self.before_mask = self.mask = self.after_mask = None
        if settings.mask != "none":
            self.before_mask = keras_conv(rising[-1], WAIST)
            self.mask = nn.Conv2d(WAIST, 1, 1)
            self.after_mask = keras_conv(1, WAIST)
        previous = (WAIST if self.mask is not None else 0, *widths[1:-1])
        self.regressor = nn.ModuleList(
            keras_pair(seen + beside, width)
            for seen, beside, width in zip(previous, rising[-2::-1], widths[1:], strict=True)
        )
        self.tail = nn.Sequential(
            *(
                keras_conv(inputs, outputs)
                for inputs, outputs in zip((widths[-1], *TAIL[:-1]), TAIL, strict=True)
            )
        )
        self.dense = nn.Linear((settings.patch_px >> halvings) ** 2, 1)
        self.apply(initialise_like_keras)

    def forward(self, patches: Tensor, landmarks: Tensor | None = None) -> DamageOutput:
        """Mask logits, scores and score logits.

        Args:
            patches: (B, 7, S, S).
            landmarks: not used; for the same call as of all damage networks.
        """
        decoded = self.levels(patches)
        mask_logits = torch.full_like(patches[:, :1], NO_MASK)
        r: Tensor | None = None
        if self.before_mask is not None and self.mask is not None and self.after_mask is not None:
            mask_logits = self.mask(self.before_mask(decoded[-1]))
            r = self.after_mask(torch.sigmoid(mask_logits))
        for level, beside in zip(self.regressor, decoded[-2::-1], strict=True):
            r = level(beside if r is None else torch.cat([self.pool(r), beside], dim=1))
        logits = self.dense(self.tail(r).flatten(1))
        scores = torch.sigmoid(logits) * self.maximum
        return DamageOutput(mask_logits, scores, logits)
