from __future__ import annotations

import math
import warnings

import pytest
from pydantic import ValidationError

from mandora.core.settings import LoopSettings, TrainDamageSettings, TrainLocateSettings, preset

pytest.importorskip("torch")
import torch
from torch import nn

from mandora.training.optimise import (
    average,
    decay_at,
    learning_rate,
    make_optimiser,
    optimiser_start,
    set_step,
)


def test_steps_are_constant_then_lowered_once_and_divided_by_the_decay() -> None:
    settings = LoopSettings(
        schedule="steps", learning_rate=1e-3, drop_after=50, drop_factor=0.1, rate_decay=1e-5
    )
    assert learning_rate(settings, 0, 700) == 1e-3
    assert learning_rate(settings, 700, 700) == pytest.approx(1e-3 / 1.007)
    assert learning_rate(settings, 50 * 700 - 1, 700) == pytest.approx(1e-3 / 1.34999)
    assert learning_rate(settings, 50 * 700, 700) == pytest.approx(1e-4 / 1.35)


@pytest.mark.parametrize(
    ("kind", "first", "starts"),
    [
        (TrainDamageSettings, 10, [10, 20, 30, 40]),
        (TrainLocateSettings, 50, [50, 60, 70, 80, 90]),
    ],
)
def test_the_published_optimiser_starts_anew_every_ten_epochs_at_the_lower_rate(
    kind: type[TrainDamageSettings | TrainLocateSettings], first: int, starts: list[int]
) -> None:
    settings, per_epoch = preset("paper", kind).loop, 300
    begun = [optimiser_start(settings, epoch) for epoch in range(settings.epochs)]
    assert sorted(set(begun)) == [0, *starts]
    assert all(0 <= epoch - start < (10 if start else first) for epoch, start in enumerate(begun))
    # 1e-3 / (1 + 1e-5 · 300 · first) at the end of the first part, then 1e-4 and anew
    last = learning_rate(settings, first * per_epoch - 1, per_epoch)
    assert last == pytest.approx(1e-3 / (1 + 1e-5 * (300 * first - 1)))
    for start in starts:
        assert learning_rate(settings, start * per_epoch, per_epoch) == pytest.approx(1e-4)
        after = learning_rate(settings, (start + 10) * per_epoch - 1, per_epoch)
        assert after == pytest.approx(1e-4 / (1 + 1e-5 * 2999))


def test_a_restart_without_a_drop_and_none_at_all() -> None:
    settings = LoopSettings(schedule="steps", restart_every=3)
    assert [optimiser_start(settings, epoch) for epoch in range(7)] == [0, 0, 0, 3, 3, 3, 6]
    assert optimiser_start(LoopSettings(schedule="steps", drop_after=2), 9) == 0
    with pytest.raises(ValidationError, match="with schedule 'steps' only"):
        LoopSettings(restart_every=3)


def test_adam_does_what_keras_does() -> None:
    settings = LoopSettings(
        optimiser="adam", schedule="steps", learning_rate=1e-3, rate_decay=0.5, epsilon=1e-7
    )
    weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    network = nn.Module()
    network.weight = weight
    optimiser = make_optimiser(network, settings)
    wanted = mean = square = 0.0
    # so small that epsilon counts
    for step, gradient in enumerate((2e-6, -1e-6, 5e-6)):
        set_step(optimiser, settings, step, 10)
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        optimiser.step()
        # Keras 2.2.4: the rate is decayed, then corrected; epsilon stands beside √v
        rate = 1e-3 / (1 + 0.5 * step)
        rate *= math.sqrt(1 - 0.999 ** (step + 1)) / (1 - 0.9 ** (step + 1))
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        wanted -= rate * mean / (math.sqrt(square) + 1e-7)
        assert weight.item() == pytest.approx(wanted, rel=1e-9)


def test_epsilon_is_that_of_the_settings() -> None:
    paper, fast = (preset(name, TrainDamageSettings).loop for name in ("paper", "fast"))
    assert (paper.epsilon, fast.epsilon) == (1e-7, 1e-8)
    optimiser = make_optimiser(nn.Linear(1, 1), fast)
    set_step(optimiser, fast, 5, 10)
    assert [group["eps"] for group in optimiser.param_groups] == [1e-8]
    assert optimiser.param_groups[0]["lr"] == learning_rate(fast, 5, 10)


def test_without_a_drop_the_rate_stays() -> None:
    settings = LoopSettings(schedule="steps", learning_rate=0.5)
    assert {learning_rate(settings, step, 3) for step in range(100)} == {0.5}


@pytest.mark.parametrize(("epochs", "per_epoch"), [(3, 20), (8, 7), (5, 2), (1, 2)])
def test_one_cycle_is_that_of_torch(epochs: int, per_epoch: int) -> None:
    settings = LoopSettings(epochs=epochs, learning_rate=3e-3)
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    total = epochs * per_epoch
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, 3e-3, total_steps=total, pct_start=0.15
        )
        for step in range(total):
            if 0.15 * total >= 1:  # a shorter rise is none: torch starts within the fall
                rate = learning_rate(settings, step, per_epoch)
                assert rate == pytest.approx(wanted.get_last_lr()[0], rel=1e-6)
            optimiser.step()
            if step < total - 1:
                wanted.step()
    assert learning_rate(settings, total - 1, per_epoch) == pytest.approx(3e-3 / 250_000)


def test_one_cycle_by_hand() -> None:
    settings = LoopSettings(epochs=10, learning_rate=1.0, rate_decay=0.5)
    # 20 steps: the top is at 0.15 × 20 - 1 = 2, the last at 19; half-way down at 10.5
    assert learning_rate(settings, 0, 2) == pytest.approx(1 / 25)
    assert learning_rate(settings, 1, 2) == pytest.approx((1 + 1 / 25) / 2 / 1.5)
    assert learning_rate(settings, 2, 2) == pytest.approx(1 / 2)
    assert learning_rate(settings, 19, 2) == pytest.approx(1 / 250_000 / 10.5)


def test_a_single_step_has_the_full_rate() -> None:
    assert learning_rate(LoopSettings(epochs=1, learning_rate=0.1), 0, 1) == pytest.approx(0.1)


def test_adam_does_not_decay_weights_and_adamw_does() -> None:
    network = nn.Linear(1, 1)
    settings = LoopSettings(weight_decay=0.3, optimiser="adam")
    assert make_optimiser(network, settings).param_groups[0]["weight_decay"] == 0
    settings = LoopSettings(weight_decay=0.3, optimiser="adamw")
    optimiser = make_optimiser(network, settings)
    assert isinstance(optimiser, torch.optim.AdamW)
    assert optimiser.param_groups[0]["weight_decay"] == 0.3
    assert optimiser.param_groups[0]["betas"] == (0.9, 0.999)


def test_averaged_weights_by_hand() -> None:
    old, new = nn.BatchNorm2d(1), nn.BatchNorm2d(1)
    with torch.no_grad():
        old.weight.fill_(1.0)
        new.weight.fill_(3.0)
        new.running_mean.fill_(10.0)
        new.num_batches_tracked.fill_(7)
    average(old, new, 0.75)
    assert old.weight.item() == 0.75 * 1 + 0.25 * 3
    assert old.running_mean.item() == 2.5
    assert old.num_batches_tracked.item() == 7


def test_the_first_weights_are_soon_forgotten() -> None:
    assert [decay_at(0.5, step) for step in (0, 1, 7, 8, 100)] == pytest.approx(
        [1 / 10, 2 / 11, 8 / 17, 0.5, 0.5]
    )
