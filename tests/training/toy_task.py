"""A small task for the tests of the loop, and a program that trains on it and may be killed."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from mandora.core.settings import LoopSettings
from mandora.training.loop import Outcome, fit
from mandora.training.processes import join, shared_normalisation
from mandora.training.task import Batch, Draw, Mean

ITEMS = 10
STEPS = 3  # of an epoch, with batches of 4: 4 + 3 + 3 items
INPUTS = torch.randn(ITEMS, 1, 8, 8, generator=torch.Generator().manual_seed(0))
WANTED = INPUTS.mean((1, 2, 3)) * 3 + 1
KNOWN = torch.tensor([1, 1, 0, 1, 1, 1, 0, 1, 1, 1.0])
SETTINGS = LoopSettings(
    epochs=3, batch_size=4, learning_rate=1e-2, threads=1, device="cpu", half=False
)


def small_network(seed: int = 1, dropout: float = 0.2) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Dropout(dropout),
        nn.Flatten(), nn.Linear(64, 1),
    )  # fmt: skip


class ToyTask:
    """Ten squares, each with a number; the numbers of two are not known."""

    def __init__(self, scores: Sequence[float] = (), die_at: int | None = None) -> None:
        self.scores, self.die_at = list(scores), die_at
        self.seen: list[list[int]] = []
        self.rates: list[float] = []

    def order(self, key: tuple[int, int]) -> Sequence[int]:
        return [int(i) for i in np.random.default_rng(key).permutation(ITEMS)]

    def name(self, item: int) -> str:
        return f"patient {item}"

    def batch(self, draws: Sequence[Draw]) -> Batch:
        rows = [draw.item for draw in draws]
        noise = [np.random.default_rng(draw.key).normal(0, 0.1, (1, 8, 8)) for draw in draws]
        return {
            "input": INPUTS[rows] + torch.tensor(np.stack(noise), dtype=torch.float32),
            "wanted": torch.where(KNOWN[rows] > 0, WANTED[rows], torch.nan),
            "known": KNOWN[rows],
            "item": torch.tensor(rows),
        }

    def loss(self, network: nn.Module, batch: Batch, mean: Mean) -> Tensor:
        self.seen.append(batch["item"].tolist())
        if self.die_at is not None and len(self.seen) > self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        got = network(batch["input"])[:, 0].float()
        return mean((got - batch["wanted"].nan_to_num()) ** 2, batch["known"])

    def validate(self, network: nn.Module, device: torch.device) -> dict[str, float]:
        assert not network.training
        error = (network(INPUTS.to(device))[:, 0].cpu() - WANTED).abs().mean().item()
        return {"score": self.scores.pop(0) if self.scores else 1 - error, "error": error}


def train(
    folder: Path, task: ToyTask | None = None, network: nn.Module | None = None, **changes: object
) -> tuple[nn.Module, Outcome, list[str]]:
    """Train a small network; settings may be changed by name."""
    network = small_network() if network is None else network
    lines: list[str] = []
    settings = SETTINGS.model_copy(update=changes)
    outcome = fit(network, settings, task or ToyTask(), folder, lines.append)
    return network, outcome, lines


def history(folder: Path) -> list[dict[str, float]]:
    text = (folder / "history.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def assert_same(one: nn.Module, other: nn.Module, tolerance: float = 0.0) -> None:
    for name, value in one.state_dict().items():
        wanted = other.state_dict()[name]
        torch.testing.assert_close(value, wanted, atol=tolerance, rtol=tolerance, msg=name)


def gradients(rows: Sequence[int]) -> dict[str, Tensor]:
    """Gradients, loss and buffers after one batch, of which each process has a part."""
    network = small_network(dropout=0.0)
    processes = join("cpu")
    with shared_normalisation(network, processes):
        wrapped, task = processes.wrap(network.train()), ToyTask()
        share = [Draw(i, (1, 0, k)) for k, i in enumerate(rows)][processes.rank :: processes.world]
        loss = task.loss(wrapped, task.batch(share), processes.mean)
        loss.backward()
        found = {f"gradient.{k}": v.grad for k, v in network.named_parameters()}
        found["loss"] = processes.average(loss)
    return found | {f"buffer.{k}": v for k, v in network.named_buffers()}


def main() -> None:
    """FOLDER, changed settings as JSON, number of steps after which to die, weights to write."""
    folder, changes, die_at, out = sys.argv[1:5]
    task = ToyTask(die_at=int(die_at) if int(die_at) >= 0 else None)
    if "--gradients" in sys.argv:
        found = gradients(range(7))
        if os.environ.get("RANK", "0") == "0":
            save_file(found, f"{out}.gradients")
    if "--fail-rank" in sys.argv and os.environ["RANK"] == "1":
        task.loss = lambda *_: 1 / 0
    network = small_network(seed=99 if "--other-start" in sys.argv else 1, dropout=0.0)
    network, _, lines = train(Path(folder), task, network, **json.loads(changes))
    rank = os.environ.get("RANK", "0")
    Path(f"{out}.{rank}.txt").write_text("\n".join(lines), encoding="utf-8")
    save_file(network.state_dict(), f"{out}.{rank}")


if __name__ == "__main__":
    main()
