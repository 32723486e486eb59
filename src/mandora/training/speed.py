"""Speed of training: whole steps, loading only, and the time until a score is reached.

Each measurement runs in a process of its own, so that peak memory is measured too. All numbers of
a report are from one run on one machine: do not compare them with other reports.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mandora.core.anatomy import Damage, Limb
from mandora.core.errors import InputError
from mandora.core.parallel.workers import run_alone
from mandora.core.settings import (
    PRESETS,
    LoopSettings,
    TrainDamageSettings,
    TrainLocateSettings,
    preset,
)
from mandora.damage.network import build_damage_net
from mandora.locate.network import build_locate_net
from mandora.training.batches import Batches
from mandora.training.damage import DamageTask
from mandora.training.films import SimulatedFilms
from mandora.training.history import HISTORY_FILE, read_history
from mandora.training.locate import LocateTask, prepare_films
from mandora.training.loop import fit
from mandora.training.machine import arithmetic, choose_device, half_type
from mandora.training.optimise import make_optimiser
from mandora.training.patches import prepare_patches, stored_px
from mandora.training.processes import Processes
from mandora.training.task import Task

Stage = Literal["locate", "damage"]
FAMILY = (Limb.FOOT, Damage.NARROWING)  # the published network that is measured
SEED, HELD_SEED = 3, 4
STEPS, WARM_UP = 4, 1
LARGEST_BATCH = {"fast": 32, "paper": 2}  # items per measured step


@dataclass(frozen=True)
class Speed:
    """One stage of one preset.

    Attributes:
        preset: its name.
        stage: ``locate`` or ``damage``.
        items_per_second: films or patches of whole training steps.
        loaded_per_second: films or patches that are only loaded and prepared.
        peak_mib: peak memory of the process, MiB.
        score: held-out score to reach; None if that was not measured.
        minutes: of training until it was reached; None if it was not reached.
        reached: best score in the given time; None if no epoch was measured.
    """

    preset: str
    stage: Stage
    items_per_second: float
    loaded_per_second: float
    peak_mib: float
    score: float | None = None
    minutes: float | None = None
    reached: float | None = None

    @property
    def loader_share(self) -> float:
        """Time to prepare the items, as a share of the step."""
        return self.items_per_second / self.loaded_per_second


def measure(
    cache: Path,
    *,
    patients: int,
    score: float,
    minutes: float,
    threads: int,
    presets: Sequence[str] = PRESETS,
    report: Callable[[Speed], None],
) -> list[Speed]:
    """Measure both network stages of the presets, on simulated films.

    Args:
        cache: folder for prepared items and for the short trainings.
        patients: simulated; half as many are held out.
        score: mean r of held-out patches that the damage networks have to reach.
        minutes: time limit of each of them.
        threads: processor threads.
        presets: names of the presets.
        report: called with each result.
    """
    results = []
    for name in presets:
        for stage in ("locate", "damage"):
            job = partial(_measure, name, stage, cache, patients, score, minutes, threads)
            results.append(run_alone(job))
            report(results[-1])
    return results


def to_json(results: Sequence[Speed]) -> str:
    """All results as one JSON object."""
    rows = [{**asdict(r), "loader_share": r.loader_share} for r in results]
    return json.dumps({"training": rows}, indent=1)


def _measure(
    name: str, stage: Stage, cache: Path, patients: int, score: float, minutes: float, threads: int
) -> Speed:
    network, task, loop = _prepared(name, stage, cache, patients, threads)
    loop = loop.model_copy(update={"batch_size": min(loop.batch_size, LARGEST_BATCH[name])})
    device = choose_device(loop.device)
    batches = Batches(task, loop, Processes(0, 1, device))
    loaded = _rate(batches, lambda number: batches[number], loop)
    network = network.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    with arithmetic(loop, device):
        trained = _rate(batches, _stepper(network, task, batches, loop, device), loop)
    found: dict[str, float | None] = {}
    if stage == "damage":
        found = _time_to(score, minutes, name, stage, cache, patients, threads)
    # the whole process: interpreter, prepared items as far as they were touched, training
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_mib = peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
    return Speed(name, stage, trained, loaded, peak_mib, **found)


def _prepared(
    name: str, stage: Stage, cache: Path, patients: int, threads: int
) -> tuple[nn.Module, Task, LoopSettings]:
    """A network with its task and the settings of its loop."""
    held_patients = max(patients // 2, 1)
    fine = stage == "damage"
    limb = FAMILY[0]
    films, held = (
        SimulatedFilms(limb, count, seed, fine)
        for count, seed in ((patients, SEED), (held_patients, HELD_SEED))
    )
    quiet = _silence
    if stage == "locate":
        locate = preset(name, TrainLocateSettings)
        seen, kept = (
            prepare_films(f, locate.network, cache, threads, quiet) for f in (films, held)
        )
        point = 0 if locate.network.design == "one-landmark" else None
        torch.manual_seed(SEED)
        return (
            build_locate_net(limb, locate.network),
            LocateTask(films, locate.network, locate.changes, seen, kept, point),
            locate.loop.model_copy(update={"threads": threads}),
        )
    damage = preset(name, TrainDamageSettings)
    side = stored_px(damage.network, damage.changes)
    train, measured = (
        {limb: prepare_patches(f, damage.network, side, cache, threads, quiet, moved_px)}
        for f, moved_px in ((films, damage.changes.centre_film_px), (held, 0))
    )
    family = FAMILY if damage.network.design == "family" else None
    torch.manual_seed(SEED)
    return (
        build_damage_net(damage.network, family),
        DamageTask({limb: films}, damage, train, measured, family),
        damage.loop.model_copy(update={"threads": threads}),
    )


def _stepper(
    network: nn.Module, task: Task, batches: Batches, loop: LoopSettings, device: torch.device
) -> Callable[[int], None]:
    optimiser, half = make_optimiser(network, loop), half_type(device, loop.half)
    alone = Processes(0, 1, device)

    def step(number: int) -> None:
        batch: dict[str, Tensor] = {k: v.to(device) for k, v in batches[number].items()}
        with torch.autocast(device.type, half, enabled=half is not None):
            loss = task.loss(network, batch, alone.mean)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        loss.item()  # waits for the device

    return step


def _rate(batches: Batches, work: Callable[[int], Any], loop: LoopSettings) -> float:
    """Items per second, without the first step."""
    numbers = [i % batches.per_epoch for i in range(WARM_UP + STEPS)]
    for number in numbers[:WARM_UP]:
        work(number)
    began = time.monotonic()
    for number in numbers[WARM_UP:]:
        work(number)
    items = sum(len(batches.draws(number)) for number in numbers[WARM_UP:])
    return items / max(time.monotonic() - began, 1e-9)


def _time_to(
    score: float, minutes: float, name: str, stage: Stage, cache: Path, patients: int, threads: int
) -> dict[str, float | None]:
    """Train until the held-out score or the time limit is reached."""
    network, task, loop = _prepared(name, stage, cache, patients, threads)
    folder = cache / f"time-to-score-{name}"
    if folder.exists():
        raise InputError(f"{folder} is of an earlier call; remove it, or name another --cache")
    loop = loop.model_copy(update={"seed": SEED, "batch_size": min(loop.batch_size, 16)})

    class Enough(Exception): ...

    def watch_score(line: str) -> None:
        del line
        if history.exists() and read_history(history)[-1]["score"] >= score:
            raise Enough

    def watch_time(done: int, steps: int) -> None:
        del done, steps  # an epoch of the published network may take an hour
        if time.monotonic() - began > minutes * 60:
            raise Enough

    history, began = folder / HISTORY_FILE, time.monotonic()
    with suppress(Enough):
        fit(network, loop, task, folder, watch_score, watch_time)
    rows = read_history(history) if history.exists() else []
    took = next((row["minutes"] for row in rows if row["score"] >= score), None)
    best = max((row["score"] for row in rows if row["score"] == row["score"]), default=None)
    return {"score": score, "minutes": took, "reached": best}


def _silence(done: int, count: int) -> None: ...
