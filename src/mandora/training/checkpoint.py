"""Checkpoints: a file that is written whole, from which a run resumes to the same bits.

``last.safetensors`` holds everything that the next step depends on: weights, averaged weights, the
optimiser, and in its header the state of the run. ``best.safetensors`` holds weights only. The
JSON files beside them are for people and never read.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.optim import Optimizer

from mandora.core.errors import InputError
from mandora.core.files import OutputError, write_atomically
from mandora.core.settings import LoopSettings
from mandora.training.history import finite

Tensors = dict[str, Tensor]

LAST_FILE, BEST_FILE = "last.safetensors", "best.safetensors"
NETWORK, AVERAGED, OPTIMISER = "network.", "averaged.", "optimiser."
_HEADER = "mandora"

WITHOUT_EFFECT = frozenset(
    {"minutes", "checkpoint_minutes", "threads", "loaders", "device", "keep", "deterministic"}
)
"""Settings that may change when a run resumes: they change where and how long it trains, not the
resulting network (except for the last bits)."""


@dataclass
class State:
    """The state of a run.

    Attributes:
        epoch: number of finished epochs.
        step: number of finished steps of the next epoch.
        loss_sum: sum of the loss over the items of those steps.
        items: number of these items.
        minutes: of training so far, over all calls.
        waited: epochs since the best epoch.
        rows: number of rows of the history.
        numbers: held-out numbers after the last epoch.
        best_epoch: the epoch with the highest score; 0 if there is none yet.
        best_numbers: its held-out numbers.
        scaler: state of the gradient scaler; used with 16-bit floats.
    """

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    items: int = 0
    minutes: float = 0.0
    waited: int = 0
    rows: int = 0
    numbers: dict[str, float] = field(default_factory=dict)
    best_epoch: int = 0
    best_numbers: dict[str, float] = field(default_factory=dict)
    scaler: dict[str, float] = field(default_factory=dict)


# ── identity of a run ─────────────────────────────────────────────────────────


def identity(settings: LoopSettings, network: nn.Module, items: int) -> dict[str, Any]:
    """What must be the same for a run to resume: settings, network, number of items."""
    shapes = {k: [str(v.dtype), list(v.shape)] for k, v in network.state_dict().items()}
    digest = hashlib.sha256(json.dumps(shapes).encode()).hexdigest()
    values = settings.model_dump(mode="json", exclude=set(WITHOUT_EFFECT))
    return {"network": digest[:16], "items": items, "settings": values}


def _differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    # settings that an earlier version did not state had the default values
    before = {**LoopSettings().model_dump(mode="json"), **then.get("settings", {})}
    found = [
        f"loop.{key} was {before.get(key)!r} and is now {value!r}"
        for key, value in now["settings"].items()
        if before.get(key) != value
    ]
    if then.get("items") != now["items"]:
        found.append(f"it had {then.get('items')} items an epoch and now there are {now['items']}")
    if then.get("network") != now["network"]:
        found.append("its network has other layers")
    return "; ".join(found)


# ── tensors ──────────────────────────────────────────────────────────────────────────────


def tensors_of(network: nn.Module, averaged: nn.Module | None, optimiser: Optimizer) -> Tensors:
    """All tensors that the next step depends on, by name."""
    tensors = {NETWORK + k: v for k, v in network.state_dict().items()}
    if averaged is not None:
        tensors.update({AVERAGED + k: v for k, v in averaged.state_dict().items()})
    for index, slots in optimiser.state_dict()["state"].items():
        tensors.update({f"{OPTIMISER}{index}.{k}": v for k, v in slots.items()})
    return tensors


def restore(
    tensors: Tensors, network: nn.Module, averaged: nn.Module | None, optimiser: Optimizer
) -> None:
    """The reverse of :func:`tensors_of`."""
    network.load_state_dict(_under(NETWORK, tensors))
    if averaged is not None:
        averaged.load_state_dict(_under(AVERAGED, tensors))
    state = optimiser.state_dict()
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    for key, value in _under(OPTIMISER, tensors).items():
        number, name = key.split(".", 1)
        like = parameters[int(number)]
        if name != "step":  # moments have the memory layout of their weights
            value = torch.empty_like(like, requires_grad=False).copy_(value)
        state["state"].setdefault(int(number), {})[name] = value
    optimiser.load_state_dict(state)


def _under(prefix: str, tensors: Tensors) -> Tensors:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def load_network(network: nn.Module, path: Path) -> None:
    """Load the weights of a checkpoint: the averaged weights if it has any.

    Raises:
        ValueError: if the file is damaged or of another network.
    """
    tensors, _ = _decode(path.read_bytes(), path)
    weights = _under(AVERAGED, tensors) or _under(NETWORK, tensors)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f"{path} is of another network: {error}") from error


# ── files ────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run.

    Attributes:
        folder: of the run.
        identity: of the run, see :func:`identity`.
    """

    folder: Path
    identity: Mapping[str, Any]

    def save(self, name: str, tensors: Tensors, state: State) -> None:
        """Write a checkpoint, completely or not at all, and its JSON file.

        Raises:
            FloatingPointError: if a number is not finite; nothing is written.
            OSError: if it cannot be written; the previous one is kept.
        """
        path = self.folder / name
        tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
        for key, value in tensors.items():
            if value.is_floating_point() and not torch.isfinite(value).all():
                raise FloatingPointError(
                    f"{key} is not finite in epoch {state.epoch + 1}, after step {state.step}; "
                    f"{path} was not overwritten. Lower loop.learning_rate"
                )
        header = {"identity": self.identity, "state": asdict(state), "crc32": _crc32(tensors)}
        write_whole(path, save(tensors, {_HEADER: json.dumps(header)}))
        shown = json.dumps(finite(header), indent=2)
        write_whole(path.with_suffix(".json"), f"{shown}\n".encode())

    def read(self, name: str) -> bytes | None:
        """The bytes of a checkpoint; None if it does not exist."""
        path = self.folder / name
        return path.read_bytes() if path.exists() else None

    def decode(self, name: str, data: bytes) -> tuple[Tensors, State]:
        """Tensors and state.

        Raises:
            ValueError: if the file is damaged, or of a run with other settings.
        """
        path = self.folder / name
        tensors, header = _decode(data, path)
        differences = _differences(header["identity"], self.identity)
        if differences:
            raise InputError(
                f"{path} is of another run: {differences}. Use the same again, or "
                "another folder, or remove this one to start again"
            )
        try:
            return tensors, State(**header["state"])
        except TypeError as error:
            raise InputError(
                f"{path} was written by another version of mandora ({error}); "
                "resume with that one, or remove the folder to start again"
            ) from error


def write_whole(path: Path, data: bytes) -> None:
    """Write a file of a run; a crash at any time leaves the old file or the new one.

    Raises:
        OSError: naming the file and the remedy; the previous file is unchanged.
    """
    had = path.exists()
    try:
        write_atomically(path, data)
    except OutputError as error:
        kept = "The previous one is kept" if had else "There was none before"
        raise OSError(
            error.errno,
            f"{path} could not be written ({error.cause}). {kept}; free some space "
            "and repeat the command, it resumes from the last checkpoint",
        ) from error


def _decode(data: bytes, path: Path) -> tuple[Tensors, dict[str, Any]]:
    """Tensors and header of a checkpoint's bytes."""
    advice = "restore it from a copy, or remove the folder to start again"
    try:
        tensors = load(data)
        length = int.from_bytes(data[:8], "little")
        header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][_HEADER])
        crc32 = header["crc32"]
    except (SafetensorError, ValueError, KeyError) as error:
        raise InputError(
            f"{path} is damaged, or no checkpoint of mandora ({error}); {advice}"
        ) from error
    if crc32 != _crc32(tensors):
        raise InputError(f"{path} is damaged: its checksum does not fit; {advice}")
    return tensors, header


def _crc32(tensors: Tensors) -> int:
    code = 0
    for name in sorted(tensors):
        # the name counts too; reshape gives a scalar an axis, which view needs
        code = zlib.crc32(name.encode(), code)
        code = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy(), code)
    return code
