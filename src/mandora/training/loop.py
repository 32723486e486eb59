"""One plain training loop for both networks."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from mandora.settings import LoopSettings

Report = Callable[[str], None]


def fit(
    network: nn.Module,
    settings: LoopSettings,
    items: int,
    loss_of: Callable[[nn.Module, Sequence[int]], Tensor],
    validate: Callable[[nn.Module], dict[str, float]],
    folder: Path,
    report: Report,
) -> None:
    """Train a network; leaves ``last.safetensors`` and ``history.jsonl`` in the folder.

    AdamW with a one-cycle learning rate. A run that was stopped goes on from its last whole
    epoch, with the same order of items as if it had never stopped.

    Args:
        network: trained in place.
        settings: epochs, batch, learning rate, seed, threads, time limit.
        items: number of training items; ``loss_of`` gets their indices.
        loss_of: loss of a batch of items; raises nothing for odd batches.
        validate: numbers that describe the network, logged after every epoch.
        folder: of this run.
        report: gets one line per epoch.

    Raises:
        FloatingPointError: if the loss is not finite; names the items of the batch.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(settings.threads)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    steps = -(-items // settings.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, total_steps=settings.epochs * steps, pct_start=0.15
    )
    start = _resume(network, optimiser, schedule, folder)
    _trim_history(folder / "history.jsonl", start)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    half = has_bfloat16()
    began = time.monotonic()
    for epoch in range(start, settings.epochs):
        # the order of items and all augmentation follow from (seed, epoch) alone
        torch.manual_seed(settings.seed * 100_003 + epoch)
        order = torch.randperm(items).tolist()
        network.train()
        total = 0.0
        for step in range(steps):
            chosen = order[step * settings.batch_size : (step + 1) * settings.batch_size]
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                loss = loss_of(network, chosen)
            if not torch.isfinite(loss):
                raise FloatingPointError(
                    f"the loss is {loss.item()} in epoch {epoch + 1}; items of the batch: {chosen}"
                )
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), settings.clip_norm)
            optimiser.step()
            schedule.step()
            total += loss.item() * len(chosen)
        network.eval()
        with torch.no_grad():
            numbers = validate(network)
        row = {"epoch": epoch + 1, "loss": total / items, **numbers}
        row["minutes"] = (time.monotonic() - began) / 60
        with (folder / "history.jsonl").open("a", encoding="utf-8") as history:
            history.write(json.dumps(row) + "\n")
        report("  ".join(f"{k} {v:.4g}" for k, v in row.items()))
        _save(network, optimiser, schedule, epoch + 1, folder)
        if settings.minutes is not None and row["minutes"] > settings.minutes:
            report(f"stopped after {row['minutes']:.0f} minutes, as set")
            break
    network.eval()


def has_bfloat16() -> bool:
    """True where the processor multiplies bfloat16 itself; elsewhere it would be slower."""
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported and supported())


def _save(
    network: nn.Module, optimiser: Optimizer, schedule: LRScheduler, epoch: int, folder: Path
) -> None:
    """Write the checkpoint whole or not at all: tensors, then the small state beside them."""
    tensors = {f"network.{k}": v for k, v in network.state_dict().items()}
    state = optimiser.state_dict()
    for index, slots in state["state"].items():
        tensors.update({f"optimiser.{index}.{k}": v for k, v in slots.items()})
    tensors["schedule.last"] = torch.tensor(schedule.last_epoch)
    tensors["epoch"] = torch.tensor(epoch)
    part = folder / "last.safetensors.part"
    save_file({k: v.contiguous() for k, v in tensors.items()}, part)
    part.replace(folder / "last.safetensors")


def _resume(network: nn.Module, optimiser: Optimizer, schedule: LRScheduler, folder: Path) -> int:
    """Load the last checkpoint if there is one; the number of epochs that are done."""
    path = folder / "last.safetensors"
    if not path.exists():
        return 0
    tensors = load_file(path)
    load_network(network, path)
    state = optimiser.state_dict()
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, index, name = key.split(".", 2)
            state["state"].setdefault(int(index), {})[name] = value
    optimiser.load_state_dict(state)
    epoch = int(tensors["epoch"])
    # a one-cycle schedule has no state but its step; the rates follow from it
    schedule.last_epoch = int(tensors["schedule.last"]) - 1
    with warnings.catch_warnings():
        # rightly no step of the optimiser comes before this one
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step", UserWarning)
        schedule.step()
    return epoch


def _trim_history(path: Path, epochs: int) -> None:
    """Forget what was logged of epochs after the checkpoint: they are done once more."""
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(lines[:epochs]), encoding="utf-8")


def load_network(network: nn.Module, path: Path) -> None:
    """Load the weights of a checkpoint that :func:`fit` wrote."""
    tensors = load_file(path)
    prefix = "network."
    network.load_state_dict(
        {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    )
