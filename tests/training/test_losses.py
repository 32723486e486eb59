from __future__ import annotations

from math import log

import pytest

from mandora.core.settings import DamageSettings

pytest.importorskip("torch")
import torch
from torch import Tensor

from mandora.damage.network import NO_MASK, DamageOutput
from mandora.training.losses import (
    DamageTruth,
    bce_ignoring,
    damage_loss,
    dice_loss,
    heat_map_loss,
    ordinal_cross_entropy,
    score_loss,
)

NAN = float("nan")


def mean(values: Tensor, weights: Tensor) -> Tensor:
    """The mean of one process."""
    return (torch.where(weights > 0, values, 0) * weights).sum() / weights.sum()


def logit(*chances: float) -> Tensor:
    return torch.logit(torch.tensor(chances, dtype=torch.float64)).float()


# ── pictures ─────────────────────────────────────────────────────────────────────────────


def test_the_cross_entropy_of_px_by_hand() -> None:
    loss = bce_ignoring(logit(0.8, 0.3, 0.5), torch.tensor([1.0, 0.0, 0.25]), mean)
    assert loss.item() == pytest.approx(-(log(0.8) + log(0.7) + log(0.5)) / 3, rel=1e-5)


def test_px_without_a_label_do_not_count() -> None:
    logits = logit(0.8, 0.9, 0.1).requires_grad_()
    loss = bce_ignoring(logits, torch.tensor([1.0, -1.0, -0.6]), mean)
    loss.backward()
    assert loss.item() == pytest.approx(-log(0.8), rel=1e-5)
    assert logits.grad is not None
    assert (logits.grad != 0).tolist() == [True, False, False]
    # -0.5 itself is a label: 0
    counted = bce_ignoring(logit(0.5), torch.tensor([-0.5]), mean)
    assert counted.item() == pytest.approx(log(2), rel=1e-5)


def test_probabilities_are_clipped() -> None:
    loss = bce_ignoring(torch.tensor([-100.0, 100.0]), torch.tensor([1.0, 0.0]), mean)
    assert loss.item() == pytest.approx(-log(1e-7), rel=1e-5)


def test_px_of_a_point_count_more_than_the_empty_rest() -> None:
    target = torch.tensor([[[[1.0, 0.5], [0.0, -1.0]]]])
    logits = logit(0.5, 0.5, 0.5, 0.5).reshape(1, 1, 2, 2)
    loss = heat_map_loss(logits, target, 20.0, mean)
    assert loss.item() == pytest.approx(100 * log(2) * (21 + 11 + 1) / 3, rel=1e-5)
    # without the weight it is the published one
    plain = heat_map_loss(logits, target, 0.0, mean)
    assert plain.item() == pytest.approx(log(2), rel=1e-5)


def test_the_overlap_of_masks_by_hand() -> None:
    target = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, -1.0]]).reshape(3, 1, 1, 2)
    logits = logit(0.5, 0.5, 0.9, 0.9, 0.9, 0.9).reshape(3, 1, 1, 2).requires_grad_()
    loss = dice_loss(logits, target, mean)
    assert loss.item() == pytest.approx(1 - 2 * 0.5 / (1 + 1), rel=1e-5)
    # where nothing is to be drawn, or that is not known in full, there is nothing to overlap
    loss.backward()
    assert logits.grad is not None
    assert (logits.grad[:, 0, 0] != 0).tolist() == [[True, True], [False, False], [False, False]]


# ── scores ───────────────────────────────────────────────────────────────────────────────


def test_the_error_of_scores_by_hand() -> None:
    scores = torch.tensor([[1.0, 3.0], [2.0, 9.0]])
    truth = torch.tensor([[3.0, NAN], [2.0, 4.0]])
    maxima = torch.tensor([[4.0, 5.0], [4.0, 10.0]])
    loss = score_loss(scores, truth, maxima, mean)
    assert loss.item() == pytest.approx(((2 / 4) ** 2 + 0 + (5 / 10) ** 2) / 3)


def test_unknown_scores_have_no_gradient() -> None:
    scores = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    truth = torch.tensor([[0.0, NAN], [NAN, 0.0]])
    score_loss(scores, truth, torch.tensor([[4.0, 5.0], [4.0, 0.0]]), mean).backward()
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()
    assert (scores.grad != 0).tolist() == [[True, False], [False, False]]


def test_the_ordinal_cross_entropy_by_hand() -> None:
    # grade 2.5 of 4: reached 1, 1, 0.5, 0; what lies beyond the scale does not count
    logits = logit(0.9, 0.6, 0.5, 0.2, 0.99, 0.99).reshape(1, 1, 6)
    loss = ordinal_cross_entropy(logits, torch.tensor([[2.5]]), torch.tensor([[4.0]]), mean)
    assert loss.item() == pytest.approx(-(log(0.9) + log(0.6) + log(0.5) + log(0.8)) / 4, rel=1e-5)


def test_scales_of_different_length_weigh_the_same() -> None:
    logits = torch.zeros(2, 1, 10)
    maxima = torch.tensor([[4.0], [10.0]])
    loss = ordinal_cross_entropy(logits, torch.tensor([[4.0], [0.0]]), maxima, mean)
    assert loss.item() == pytest.approx(log(2), rel=1e-5)


def test_unknown_grades_have_no_gradient() -> None:
    logits = torch.zeros(3, 1, 4, requires_grad=True)
    truth, maxima = torch.tensor([[NAN], [1.0], [1.0]]), torch.tensor([[4.0], [2.0], [0.0]])
    ordinal_cross_entropy(logits, truth, maxima, mean).backward()
    assert logits.grad is not None
    assert (logits.grad[:, 0] != 0).tolist() == [
        [False] * 4,
        [True, True, False, False],
        [False] * 4,
    ]


# ── all of a damage network ──────────────────────────────────────────────────────────────

OUTPUT = DamageOutput(
    logit(0.5, 0.5, 0.9, 0.5).reshape(2, 1, 1, 2),
    torch.tensor([[1.0], [2.0]]),
    torch.zeros(2, 1, 10),
)
TRUTH = DamageTruth(
    torch.tensor([1.0, 0.0, -1.0, -1.0]).reshape(2, 1, 1, 2),
    torch.tensor([[3.0], [NAN]]),
    torch.tensor([[4.0], [4.0]]),
)


def test_mask_and_scores_are_weighed_as_set() -> None:
    for mask_weight, dice_weight, score_weight in ((1.0, 0.0, 1.0), (0.5, 0.2, 4.0)):
        settings = DamageSettings(
            mask_weight=mask_weight, dice_weight=dice_weight, score_weight=score_weight
        )
        loss = damage_loss(OUTPUT, TRUTH, settings, mean)
        mask = mask_weight * log(2) + dice_weight * 0.5
        assert loss.item() == pytest.approx(mask + score_weight * 0.25, rel=1e-5)


def test_an_ordinal_network_learns_grades() -> None:
    settings = DamageSettings(head="ordinal", mask_weight=0, dice_weight=0, score_weight=2)
    assert damage_loss(OUTPUT, TRUTH, settings, mean).item() == pytest.approx(2 * log(2), rel=1e-5)


def test_without_a_mask_only_the_scores_count() -> None:
    settings = DamageSettings(mask="none", score_weight=1)
    output = OUTPUT._replace(mask_logits=torch.full((2, 1, 1, 2), NO_MASK))
    assert damage_loss(output, TRUTH, settings, mean).item() == pytest.approx(0.25, rel=1e-5)
