"""Formulas of the training loop: optimiser, learning rate, averaged weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mandora.core.settings import LoopSettings

WARM_UP = 0.15  # share of a one-cycle schedule with a rising rate
BETAS = (0.9, 0.999)
FIRST_SHARE, LAST_SHARE = 1 / 25, 1 / 250_000  # of the highest rate, at its two ends


def make_optimiser(network: nn.Module, settings: LoopSettings) -> Optimizer:
    """The optimiser of the settings; only AdamW has weight decay."""
    if settings.optimiser == "adam":
        return torch.optim.Adam(
            network.parameters(), settings.learning_rate, BETAS, settings.epsilon
        )
    return torch.optim.AdamW(
        network.parameters(), settings.learning_rate, BETAS, settings.epsilon,
        weight_decay=settings.weight_decay,
    )  # fmt: skip


def optimiser_start(settings: LoopSettings, epoch: int) -> int:
    """The epoch at whose start the present optimiser was started; the first is 0.

    Args:
        settings: of the loop.
        epoch: number of finished epochs.
    """
    first = settings.drop_after or 0
    if settings.restart_every is None or epoch < first:
        return 0
    return epoch - (epoch - first) % settings.restart_every


def set_step(optimiser: Optimizer, settings: LoopSettings, step: int, per_epoch: int) -> None:
    """Set learning rate and epsilon for a step.

    Keras' Adam adds epsilon to the root of the uncorrected mean squared gradient, torch's to that
    of the corrected mean. So torch gets epsilon / √(1 - 0.999^n) in step n to do the same.

    Args:
        optimiser: changed in place.
        settings: of the loop.
        step: number of finished steps.
        per_epoch: steps per epoch.
    """
    epsilon = settings.epsilon
    if settings.optimiser == "adam":
        number = _since_start(settings, step, per_epoch) + 1
        epsilon /= math.sqrt(1 - BETAS[1] ** number)
    for group in optimiser.param_groups:
        group.update(lr=learning_rate(settings, step, per_epoch), eps=epsilon)


def _since_start(settings: LoopSettings, step: int, per_epoch: int) -> int:
    return step - optimiser_start(settings, step // per_epoch) * per_epoch


def learning_rate(settings: LoopSettings, step: int, per_epoch: int) -> float:
    """The rate of a step.

    ``one-cycle`` rises from 1/25 of the highest rate along half a cosine, and falls to 1/250 000
    along another (Smith & Topin 2018, arXiv:1708.07120, as in torch's ``OneCycleLR``). ``steps``
    is constant and lowered once. Both are divided by 1 + ``rate_decay`` × steps since the start of
    the optimiser, as with Keras' ``decay``.

    Args:
        settings: of the loop.
        step: number of finished steps.
        per_epoch: steps per epoch.
    """
    highest = settings.learning_rate
    if settings.schedule == "steps":
        dropped = settings.drop_after is not None and step >= settings.drop_after * per_epoch
        rate = highest * (settings.drop_factor if dropped else 1)
    else:
        last = settings.epochs * per_epoch - 1
        top = max(WARM_UP * (last + 1) - 1, 0)
        if step < top:
            rate = _cosine(highest * FIRST_SHARE, highest, step / top)
        else:
            rate = _cosine(highest, highest * LAST_SHARE, (step - top) / max(last - top, 1))
    return rate / (1 + settings.rate_decay * _since_start(settings, step, per_epoch))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def decay_at(decay: float, step: int) -> float:
    """The decay of averaged weights in a step: smaller at first, to forget the random weights.

    (1 + step) / (10 + step) until that exceeds ``decay``, as in TensorFlow's
    ``ExponentialMovingAverage``.
    """
    return min(decay, (1 + step) / (10 + step))


@torch.no_grad()
def average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    """Averaged ← decay × averaged + (1 - decay) × network; counters are copied."""
    now: dict[str, Tensor] = network.state_dict()
    for name, value in averaged.state_dict().items():
        if value.is_floating_point():
            value.lerp_(now[name], 1 - decay)
        else:
            value.copy_(now[name])
