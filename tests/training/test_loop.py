from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from mandora.settings import LoopSettings

pytest.importorskip("torch")
import torch
from torch import Tensor, nn

from mandora.training.loop import fit, load_network

ITEMS = 10
INPUTS = torch.randn(ITEMS, 1, 8, 8, generator=torch.Generator().manual_seed(0))
WANTED = INPUTS.mean((1, 2, 3)) * 3 + 1
SETTINGS = LoopSettings(epochs=3, batch_size=4, learning_rate=1e-2, threads=1)


def small_network(seed: int = 1) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(),
        nn.Linear(144, 1),
    )  # fmt: skip


def loss_of(network: nn.Module, chosen: Sequence[int]) -> Tensor:
    rows = list(chosen)
    # augmentation draws from the same generator as dropout
    noisy = INPUTS[rows] + 0.1 * torch.randn(len(rows), 1, 8, 8)
    error: Tensor = ((network(noisy)[:, 0].float() - WANTED[rows]) ** 2).mean()
    return error


def error_of(network: nn.Module) -> dict[str, float]:
    return {"error": (network(INPUTS)[:, 0] - WANTED).abs().mean().item()}


def train(
    folder: Path, *, stop_after: int | None = None, network: nn.Module | None = None
) -> tuple[nn.Module, list[str]]:
    """Train; ``stop_after`` pulls the plug in the middle of the epoch that follows."""
    network = small_network() if network is None else network
    steps = 0

    def counted(net: nn.Module, chosen: Sequence[int]) -> Tensor:
        nonlocal steps
        steps += 1
        if stop_after is not None and steps > stop_after * 3 + 1:  # 3 batches per epoch
            raise KeyboardInterrupt
        return loss_of(net, chosen)

    lines: list[str] = []
    fit(network, SETTINGS, ITEMS, counted, error_of, folder, lines.append)
    return network, lines


def history(folder: Path) -> list[dict[str, float]]:
    text = (folder / "history.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_every_epoch_leaves_a_line_with_its_numbers(tmp_path: Path) -> None:
    network, lines = train(tmp_path)
    rows = history(tmp_path)
    assert [r["epoch"] for r in rows] == [1, 2, 3]
    assert all({"loss", "error", "minutes"} <= set(r) for r in rows)
    assert rows[-1]["error"] == pytest.approx(error_of(network)["error"], rel=1e-4)
    assert len(lines) == 3
    assert not network.training


def test_training_makes_it_better(tmp_path: Path) -> None:
    before = error_of(small_network().eval())["error"]
    network, _ = train(tmp_path)
    assert error_of(network)["error"] < before


@pytest.mark.parametrize("epochs_done", [1, 2])
def test_a_run_that_was_stopped_ends_as_if_it_had_never_been(
    tmp_path: Path, epochs_done: int
) -> None:
    whole, _ = train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped", stop_after=epochs_done)
    assert len(history(tmp_path / "stopped")) == epochs_done
    # a new process would build its network anew, from whatever seed
    resumed, lines = train(tmp_path / "stopped", network=small_network(seed=99))
    assert len(lines) == 3 - epochs_done
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, atol=0, rtol=0)
    losses = [[r["loss"] for r in history(tmp_path / f)] for f in ("whole", "stopped")]
    assert losses[0] == losses[1]


def test_a_run_that_is_finished_is_not_trained_again(tmp_path: Path) -> None:
    first, _ = train(tmp_path)
    again, lines = train(tmp_path, network=small_network(seed=99))
    assert lines == []
    assert len(history(tmp_path)) == 3
    for name, value in first.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, atol=0, rtol=0)


def test_no_epoch_is_logged_twice_if_its_checkpoint_was_never_written(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, stop_after=1)
    with (tmp_path / "history.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"epoch": 2, "loss": 99.0}\n')
    train(tmp_path)
    assert [r["epoch"] for r in history(tmp_path)] == [1, 2, 3]
    assert history(tmp_path)[1]["loss"] < 99


def test_a_checkpoint_holds_the_weights(tmp_path: Path) -> None:
    trained, _ = train(tmp_path)
    other = small_network(seed=5)
    load_network(other, tmp_path / "last.safetensors")
    for name, value in trained.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], value, atol=0, rtol=0)
    assert {p.name for p in tmp_path.iterdir()} == {"last.safetensors", "history.jsonl"}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_the_run_and_names_the_items(
    tmp_path: Path, value: float
) -> None:
    def broken(network: nn.Module, chosen: Sequence[int]) -> Tensor:
        return loss_of(network, chosen) * (value if 7 in chosen else 1.0)

    with pytest.raises(FloatingPointError, match=r"in epoch 1; items of the batch: .*\b7\b"):
        fit(small_network(), SETTINGS, ITEMS, broken, error_of, tmp_path, lambda _: None)
    assert not (tmp_path / "last.safetensors").exists()


def test_each_item_is_seen_once_per_epoch_in_changing_order(tmp_path: Path) -> None:
    seen: list[int] = []

    def watched(network: nn.Module, chosen: Sequence[int]) -> Tensor:
        seen.extend(chosen)
        return loss_of(network, chosen)

    fit(small_network(), SETTINGS, ITEMS, watched, error_of, tmp_path, lambda _: None)
    epochs = [seen[i : i + ITEMS] for i in range(0, len(seen), ITEMS)]
    assert [sorted(e) for e in epochs] == [list(range(ITEMS))] * 3
    assert epochs[0] != epochs[1]


def test_a_time_limit_stops_after_a_whole_epoch_and_says_so(tmp_path: Path) -> None:
    lines: list[str] = []
    short = SETTINGS.model_copy(update={"minutes": 1e-9})
    fit(small_network(), short, ITEMS, loss_of, error_of, tmp_path, lines.append)
    assert len(history(tmp_path)) == 1
    assert "as set" in lines[-1]
    assert (tmp_path / "last.safetensors").exists()
