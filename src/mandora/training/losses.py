"""The losses: cross-entropies of pictures, errors of scores.

All are weighted means over the items of all processes (``training.task.Mean``). Unknown labels,
that is, px below ``IGNORED`` and scores that are NaN, have weight 0 and no gradient.
"""

from __future__ import annotations

from math import log
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from mandora.core.settings import DamageSettings
from mandora.damage.network import DamageOutput
from mandora.training.task import Mean

IGNORED = -0.5  # labels below this do not count
CLIP = 1e-7  # least distance of probabilities from 0 and 1, as in Keras
_FAR = log((1 - CLIP) / CLIP)  # the logit of such a probability
HEAT_WEIGHT = 100.0  # of the heat maps' loss, in which nearly all px are right from the start


class DamageTruth(NamedTuple):
    """The true labels of a batch for a damage network.

    Attributes:
        masks: (B, 1, S, S) 0..1; -1 where unknown.
        scores: (B, K) SvH points; NaN where unknown, or where no such score exists.
        maxima: (B, K) SvH points; 0 where no such score exists.
    """

    masks: Tensor
    scores: Tensor
    maxima: Tensor


def bce_ignoring(logits: Tensor, target: Tensor, mean: Mean) -> Tensor:
    """Mean cross-entropy of px; probabilities are clipped at ``CLIP``.

    Clipping the logits is the same, and is exact where float32 cannot hold 1 - 1e-7.

    Args:
        logits: any shape.
        target: of that shape, 0..1; px below ``IGNORED`` do not count.
        mean: over all processes.
    """
    known = target >= IGNORED
    each = binary_cross_entropy_with_logits(
        logits.float().clamp(-_FAR, _FAR), target.clamp(0, 1), reduction="none"
    )
    return mean(each, known.to(each.dtype))


def dice_loss(logits: Tensor, target: Tensor, mean: Mean) -> Tensor:
    """Mean of 1 - Dice's overlap, computed with probabilities.

    Joint spaces are few px of a patch, so that cross-entropy depends little on their borders.
    After Milletari et al. 2016, doi:10.1109/3DV.2016.79.

    Args:
        logits: (B, 1, S, S).
        target: (B, 1, S, S) 0..1; pictures with px below ``IGNORED``, and those with an empty
            mask, do not count.
        mean: over all processes.
    """
    chances, wanted = torch.sigmoid(logits.float()), target.clamp(0, 1)
    area = wanted.sum((1, 2, 3))
    counts = (area >= 1) & (target >= IGNORED).all(3).all(2).all(1)
    overlap = 2 * (chances * wanted).sum((1, 2, 3)) / (chances.sum((1, 2, 3)) + area).clamp_min(1)
    return mean(1 - overlap, counts.to(overlap.dtype))


def heat_map_loss(logits: Tensor, target: Tensor, landmark_weight: float, mean: Mean) -> Tensor:
    """Cross-entropy of heat maps, with a larger weight of the few px of a landmark.

    Each px has the weight 1 + ``landmark_weight`` × target. Without that weight it is the plain
    cross-entropy of the published localiser.

    Args:
        logits: (B, N, s, s).
        target: (B, N, s, s) 0..1; px below ``IGNORED`` do not count.
        landmark_weight: extra weight of a px whose target is 1.
        mean: over all processes.
    """
    if landmark_weight == 0:
        return bce_ignoring(logits, target, mean)
    known, wanted = target >= IGNORED, target.clamp(0, 1)
    each = binary_cross_entropy_with_logits(logits.float(), wanted, reduction="none")
    return HEAT_WEIGHT * mean(each * (1 + landmark_weight * wanted), known.to(each.dtype))


def score_loss(scores: Tensor, truth: Tensor, maxima: Tensor, mean: Mean) -> Tensor:
    """Mean squared error of score / maximum.

    Args:
        scores: (B, K) SvH points.
        truth: (B, K) SvH points; NaN where unknown.
        maxima: (B, K) SvH points; scores with maximum 0 do not count.
        mean: over all processes.
    """
    known, filled = _known(truth, maxima)
    error = (scores.float() - filled) / maxima.clamp_min(1)
    return mean(error**2, known.to(error.dtype))


def ordinal_cross_entropy(
    score_logits: Tensor, truth: Tensor, maxima: Tensor, mean: Mean
) -> Tensor:
    """Cross-entropy of "grade k is reached", averaged over the grades of the scale.

    The mean of readers may lie between two grades; it reaches the higher one in part: 2.5 of 4
    becomes 1, 1, 0.5, 0, whose sum is 2.5. All known scores have the same weight, whatever their
    maximum.

    Args:
        score_logits: (B, K, G) for the grades 1…G.
        truth: (B, K) SvH points; NaN where not known.
        maxima: (B, K); where it is 0, nothing counts.
        mean: over all processes.
    """
    known, filled = _known(truth, maxima)
    grades = torch.arange(score_logits.shape[2], device=score_logits.device)
    reached = (filled[:, :, None] - grades).clamp(0, 1)
    on_scale = (grades < maxima[:, :, None]).to(reached.dtype)
    each = binary_cross_entropy_with_logits(score_logits.float(), reached, reduction="none")
    per_score = (each * on_scale).sum(2) / maxima.clamp_min(1)
    return mean(per_score, known.to(per_score.dtype))


def _known(truth: Tensor, maxima: Tensor) -> tuple[Tensor, Tensor]:
    # a NaN must not reach the gradient, not even multiplied by 0
    return torch.isfinite(truth) & (maxima > 0), truth.nan_to_num()


def damage_loss(
    output: DamageOutput, truth: DamageTruth, settings: DamageSettings, mean: Mean
) -> Tensor:
    """Cross-entropy and overlap of the mask, error of the scores, weighted as set.

    The published loss weighs cross-entropy and error 1 : 1 and has no overlap. Without a mask
    only the scores count.
    """
    if settings.head == "ordinal":
        scores = ordinal_cross_entropy(output.score_logits, truth.scores, truth.maxima, mean)
    else:
        scores = score_loss(output.scores, truth.scores, truth.maxima, mean)
    loss = settings.score_weight * scores
    if settings.mask != "none":
        loss = loss + settings.mask_weight * bce_ignoring(output.mask_logits, truth.masks, mean)
        if settings.dice_weight:
            loss = loss + settings.dice_weight * dice_loss(output.mask_logits, truth.masks, mean)
    return loss
