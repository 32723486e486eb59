"""The training loop of all networks."""

from __future__ import annotations

import copy
import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import nn

from mandora.core.errors import InputError
from mandora.core.settings import LoopSettings
from mandora.training.batches import Batches
from mandora.training.checkpoint import (
    BEST_FILE,
    LAST_FILE,
    NETWORK,
    Checkpoints,
    State,
    identity,
    restore,
    tensors_of,
)
from mandora.training.curves import CURVES_FILE, draw_curves
from mandora.training.history import (
    HISTORY_FILE,
    OWN,
    Events,
    append_history,
    read_history,
    trim_history,
)
from mandora.training.machine import arithmetic, half_type, memory_advice
from mandora.training.optimise import (
    average,
    decay_at,
    learning_rate,
    make_optimiser,
    optimiser_start,
    set_step,
)
from mandora.training.processes import Processes, join, shared_normalisation
from mandora.training.task import Batch, Task

_LOG = logging.getLogger(__name__)

Report = Callable[[str], None]
Progress = Callable[[int, int], None]


class Outcome(NamedTuple):
    """The outcome of a training.

    Attributes:
        epochs: number of finished epochs.
        reason: why it finished.
        kept: which weights the network has.
        kept_epoch: the epoch that gave them.
        numbers: held-out numbers of those weights.
        minutes: of training, over all calls.
    """

    epochs: int
    reason: str
    kept: Literal["last", "best"]
    kept_epoch: int
    numbers: dict[str, float]
    minutes: float


def fit(
    network: nn.Module,
    settings: LoopSettings,
    task: Task,
    folder: Path,
    report: Report,
    progress: Progress | None = None,
) -> Outcome:
    """Train a network; afterwards it has the weights to keep, on the CPU, in eval mode.

    The folder gets ``last.safetensors`` and ``best.safetensors`` (each with a JSON file for
    people), ``history.jsonl``, ``curves.png`` and ``tensorboard/``. A run that was stopped at
    any time resumes from its last checkpoint and reaches the same weights as without the stop; a
    finished run is not trained again.

    Under torchrun all processes train the network together, and the first one writes.

    Args:
        network: trained in place.
        settings: of the loop.
        task: items, loss, held-out numbers.
        folder: of this run.
        report: called with one line per epoch.
        progress: called with the finished steps of the epoch, and all its steps.

    Raises:
        FloatingPointError: if loss, gradients or weights are not finite; names the items.
        MemoryError: if memory is short; says which setting to lower.
        OSError: if a file cannot be written; the last checkpoint is kept.
        ValueError: if the folder's checkpoint is damaged or of another run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    processes = join(settings.device)
    with (
        arithmetic(settings, processes.device),
        memory_advice(settings),
        shared_normalisation(network, processes),
    ):
        run = _Run(network, settings, task, folder, processes)
        return run.train(report if processes.main else _silence, progress or _silence)


def _silence(*_: object) -> None:
    pass


class _Run:
    """The state of one call of :func:`fit`."""

    def __init__(
        self,
        network: nn.Module,
        settings: LoopSettings,
        task: Task,
        folder: Path,
        processes: Processes,
    ) -> None:
        self.settings, self.task, self.folder, self.processes = settings, task, folder, processes
        device = processes.device
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.batches = Batches(task, settings, processes)
        self.checkpoints = Checkpoints(folder, identity(settings, network, self.batches.items))
        # copied before hooks of the processes are attached
        self.averaged = copy.deepcopy(network).eval() if settings.ema is not None else None
        self.optimiser = make_optimiser(network, settings)
        self.half = half_type(device, settings.half)
        # small gradients vanish in float16, not in bfloat16
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.half is torch.float16)
        self.state = self._resume()
        self.wrapped = processes.wrap(network)
        self.began = self.saved = time.monotonic()
        self.minutes_before, self.steps_before = self.state.minutes, self._steps()

    def train(self, report: Report, progress: Progress) -> Outcome:
        """Train to the end of the run."""
        main, state, history = self.processes.main, self.state, self.folder / HISTORY_FILE
        if main:
            trim_history(history, state.rows)
        reason = _finished(state, self.settings)
        if reason is None:
            if self._steps():
                report(f"resumes at epoch {state.epoch + 1}, step {state.step + 1}")
            # first the loaders, which fork this process, then what may start a thread in it
            batches = iter(self.batches.loader(self._steps()))
            events = Events(self.folder, self._steps(), report) if main else None
            while reason is None:
                speed = self._train_epoch(batches, events, progress)
                row = self._end_epoch(speed)
                if main:
                    append_history(history, row)
                    if state.best_epoch == state.epoch:
                        self._save_best()
                    self._save()
                    report(self._line(row))
                if events is not None:
                    numbers = {k: v for k, v in row.items() if k != "epoch"}
                    events.add(self._steps(), numbers, flush=True)
                reason = _finished(state, self.settings)
            del batches  # ends the loaders
            if events is not None:
                events.close()
        report(f"training finished after epoch {state.epoch}: {reason}")
        if main and history.exists():
            try:
                draw_curves(read_history(history), self.folder / CURVES_FILE)
            except ImportError:
                report(f"no {CURVES_FILE}: the package matplotlib is not installed")
        return self._keep(reason)

    # ── one epoch ────────────────────────────────────────────────────────────────────────

    def _train_epoch(
        self, batches: Iterator[Batch], events: Events | None, progress: Progress
    ) -> float:
        """Do the remaining steps of an epoch; returns items per second."""
        state, began, items = self.state, time.monotonic(), 0
        self.network.train()
        if (
            state.step == 0
            and state.epoch
            and optimiser_start(self.settings, state.epoch) == state.epoch
        ):
            self.optimiser = make_optimiser(self.network, self.settings)
        while state.step < self.batches.per_epoch:
            number = self._steps()
            loss = self._step(next(batches), number)
            size = len(self.batches.draws(number))
            items += size
            state.items += size
            state.loss_sum += loss * size
            state.step += 1
            if self.processes.main:
                progress(state.step, self.batches.per_epoch)
                if events is not None:
                    events.add(number + 1, {"step_loss": loss})
                if time.monotonic() - self.saved >= self.settings.checkpoint_minutes * 60:
                    self._save()
        return items / max(time.monotonic() - began, 1e-9)

    def _step(self, batch: Batch, number: int) -> float:
        """Do one step of the optimiser; returns the loss over all processes."""
        settings, device = self.settings, self.processes.device
        batch = {k: v.to(device, non_blocking=True) for k, v in batch.items()}
        # random numbers of the network, as of dropout, depend on the step only
        self._seed(number)
        set_step(self.optimiser, settings, number, self.batches.per_epoch)
        with torch.autocast(device.type, self.half, enabled=self.half is not None):
            loss = self.task.loss(self.wrapped, batch, self.processes.mean)
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimiser)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), settings.clip_norm or math.inf)
        # one transfer from the device for both; equal in all processes, so that all stop together
        value, length = torch.stack([self.processes.average(loss), norm.float()]).tolist()
        self._check("loss", value, number)
        # a scale that is too high gives infinite gradients: then the scaler skips the step
        if not self.scaler.is_enabled() or self.scaler.get_scale() < 1:
            self._check("gradients' norm", length, number)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if self.averaged is not None and settings.ema is not None:
            average(self.averaged, self.network, decay_at(settings.ema, number))
        return float(value)

    def _check(self, what: str, value: float, number: int) -> None:
        if not math.isfinite(value):
            epoch, step = divmod(number, self.batches.per_epoch)
            raise FloatingPointError(
                f"the {what} is {value} in epoch {epoch + 1}, step {step + 1} of "
                f"{self.batches.per_epoch}; items of the batch: {self.batches.names(number)}. "
                "Check these items, or lower loop.learning_rate; "
                f"{self.folder / LAST_FILE} was not overwritten"
            )

    def _end_epoch(self, speed: float) -> dict[str, float]:
        """Measure the network and go to the next epoch; returns the row of the finished one."""
        state, last = self.state, self._steps() - 1
        rate = learning_rate(self.settings, last, self.batches.per_epoch)
        found = None
        if self.processes.main:
            self._seed(self._steps())
            numbers = self._validate()
            found = json.dumps([numbers, self._minutes()]).encode()
        numbers, state.minutes = json.loads(self.processes.share(found) or b"")
        row = {
            "epoch": state.epoch + 1, "loss": state.loss_sum / state.items, "learning_rate": rate,
            "items_per_second": speed, "minutes": state.minutes, **numbers,
        }  # fmt: skip
        state.epoch, state.step, state.loss_sum, state.items = state.epoch + 1, 0, 0.0, 0
        state.rows, state.numbers, state.waited = state.rows + 1, numbers, state.waited + 1
        score = numbers.get("score", math.nan)
        if score > state.best_numbers.get("score", -math.inf):  # never true of NaN
            state.best_epoch, state.best_numbers, state.waited = state.epoch, numbers, 0
        return row

    def _validate(self) -> dict[str, float]:
        kept = self._kept_network().eval()
        with torch.no_grad():
            found = self.task.validate(kept, self.processes.device)
        numbers = {name: float(value) for name, value in found.items()}
        if clash := set(numbers) & set(OWN):
            raise InputError(f"held-out numbers may not be named {', '.join(sorted(clash))}")
        settings = self.settings
        if "score" not in numbers and (settings.keep == "best" or settings.patience is not None):
            raise InputError(
                "the task measures no 'score', so no weights are best; "
                "set loop.keep = 'last' and leave loop.patience out"
            )
        return numbers

    # ── state of the run ─────────────────────────────────────────────────────────────

    def _steps(self) -> int:
        return self.state.epoch * self.batches.per_epoch + self.state.step

    def _minutes(self) -> float:
        return self.minutes_before + (time.monotonic() - self.began) / 60

    def _seed(self, number: int) -> None:
        epoch, step = divmod(number, self.batches.per_epoch)
        key = (self.settings.seed, epoch, step, self.processes.rank)
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1))

    def _line(self, row: dict[str, float]) -> str:
        """A row for people, with the remaining time."""
        done = self._steps()
        passed = self._minutes() - self.minutes_before
        left = passed / max(done - self.steps_before, 1) * (len(self.batches) - done)
        shown = [f"{k} {v:.4g}" for k, v in row.items() if k not in ("epoch", "minutes")]
        first = f"epoch {row['epoch']}/{self.settings.epochs}"
        return "  ".join([first, *shown, f"{row['minutes']:.1f} min, about {left:.1f} left"])

    def _kept_network(self) -> nn.Module:
        return self.network if self.averaged is None else self.averaged

    def _resume(self) -> State:
        main = self.processes.main
        data = self.processes.share(self.checkpoints.read(LAST_FILE) if main else None)
        if data is None:
            return State()
        tensors, state = self.checkpoints.decode(LAST_FILE, data)
        restore(tensors, self.network, self.averaged, self.optimiser)
        if state.scaler and self.scaler.is_enabled():
            self.scaler.load_state_dict(state.scaler)
        return state

    def _save(self) -> None:
        self.state.minutes = self._minutes()
        self.state.scaler = self.scaler.state_dict()
        tensors = tensors_of(self.network, self.averaged, self.optimiser)
        start = time.monotonic()
        self.checkpoints.save(LAST_FILE, tensors, self.state)
        self.saved = time.monotonic()
        where, state = self.folder / LAST_FILE, self.state
        _LOG.debug(
            "%s: epoch %d, step %d, written in %.2f s", where, state.epoch + 1, state.step,
            self.saved - start,
        )  # fmt: skip

    def _save_best(self) -> None:
        weights = {NETWORK + k: v for k, v in self._kept_network().state_dict().items()}
        self.checkpoints.save(BEST_FILE, weights, self.state)

    def _keep(self, reason: str) -> Outcome:
        """Load the weights to keep into the network."""
        state, kept = self.state, self.settings.keep
        if kept == "best" and state.best_epoch:
            data = self.processes.share(self.checkpoints.read(BEST_FILE))
            if data is None:
                raise InputError(
                    f"{self.folder / BEST_FILE} is missing; set loop.keep = 'last' or train again"
                )
            tensors, _ = self.checkpoints.decode(BEST_FILE, data)
            weights = {k.removeprefix(NETWORK): v for k, v in tensors.items()}
            self.network.load_state_dict(weights)
            epoch, numbers = state.best_epoch, state.best_numbers
        else:
            self.network.load_state_dict(self._kept_network().state_dict())
            kept, epoch, numbers = "last", state.epoch, state.numbers
        self.optimiser.zero_grad(set_to_none=True)
        self.network.to("cpu", memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
        return Outcome(state.epoch, reason, kept, epoch, numbers, state.minutes)


def _finished(state: State, settings: LoopSettings) -> str | None:
    """Why a run between two epochs is finished; None if it is not."""
    if state.step:
        return None
    if state.epoch >= settings.epochs:
        return "all epochs are done"
    if settings.patience is not None and state.waited >= settings.patience:
        return f"no better score for {state.waited} epochs, as set"
    if settings.minutes is not None and state.minutes > settings.minutes:
        return f"{state.minutes:.0f} minutes have passed, as set"
    return None
