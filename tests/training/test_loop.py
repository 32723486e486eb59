from __future__ import annotations

import errno
import json
import math
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim import Optimizer
from toy_task import ITEMS, SETTINGS, STEPS, ToyTask, assert_same, history, small_network, train

from mandora.core.settings import LoopSettings
from mandora.training import loop
from mandora.training.checkpoint import load_network
from mandora.training.loop import fit
from mandora.training.machine import has_bfloat16
from mandora.training.task import Batch, Mean

PROGRAM = Path(__file__).with_name("toy_task.py")


@pytest.fixture(autouse=True)
def _no_curves(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Curves take longer to draw than such a network to train."""
    if "curves" not in request.node.name and "matplotlib" not in request.node.name:
        monkeypatch.setattr(loop, "draw_curves", lambda rows, path: None)


class Crash(Exception):
    """The plug is pulled: nothing is tidied afterwards, as after kill -9."""


class CrashingTask(ToyTask):
    def __init__(self, steps: int, *, in_validation: bool = False) -> None:
        super().__init__()
        self.steps, self.in_validation = steps, in_validation

    def loss(self, network: nn.Module, batch: Batch, mean: Mean) -> Tensor:
        if not self.in_validation and len(self.seen) >= self.steps:
            raise Crash
        return super().loss(network, batch, mean)

    def validate(self, network: nn.Module, device: torch.device) -> dict[str, float]:
        if self.in_validation and len(self.seen) >= self.steps:
            raise Crash
        return super().validate(network, device)


def without_times(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    return [
        {k: v for k, v in row.items() if k not in ("minutes", "items_per_second")} for row in rows
    ]


# ── what a run leaves ────────────────────────────────────────────────────────────────────


def test_every_epoch_leaves_a_row_and_a_line_and_the_run_its_curves(tmp_path: Path) -> None:
    _, outcome, lines = train(tmp_path)
    rows = history(tmp_path)
    assert [r["epoch"] for r in rows] == [1, 2, 3]
    own = {"epoch", "loss", "learning_rate", "items_per_second", "minutes", "score", "error"}
    assert all(set(r) == own for r in rows)
    assert [line for line in lines if line.startswith("epoch 2/3") and "left" in line]
    assert outcome.epochs == outcome.kept_epoch == 3
    assert outcome.numbers["error"] == rows[-1]["error"]
    assert outcome.reason == "all epochs are done"
    assert {p.name for p in tmp_path.iterdir()} == {
        "last.safetensors", "last.json", "best.safetensors", "best.json", "history.jsonl",
        "curves.png", "tensorboard",
    }  # fmt: skip


def test_training_makes_it_better_and_leaves_the_network_ready_for_use(tmp_path: Path) -> None:
    before = ToyTask().validate(small_network().eval(), torch.device("cpu"))["error"]
    network, _, _ = train(tmp_path)
    assert ToyTask().validate(network, torch.device("cpu"))["error"] < before
    assert not network.training
    assert all(p.is_contiguous() and p.grad is None for p in network.parameters())
    assert type(network[1]) is nn.BatchNorm2d


def test_each_item_is_seen_once_per_epoch_in_changing_order_and_near_equal_batches(
    tmp_path: Path,
) -> None:
    task = ToyTask()
    train(tmp_path, task)
    assert [len(b) for b in task.seen] == [4, 3, 3] * 3
    epochs = [
        [item for batch in task.seen[i : i + STEPS] for item in batch]
        for i in range(0, 3 * STEPS, STEPS)
    ]
    assert [sorted(e) for e in epochs] == [list(range(ITEMS))] * 3
    assert epochs[0] != epochs[1]


def test_progress_counts_the_steps_of_an_epoch(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    settings = SETTINGS.model_copy(update={"epochs": 1})
    fit(
        small_network(), settings, ToyTask(), tmp_path, lambda _: None,
        lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_the_loss_of_an_epoch_is_the_mean_over_its_items(tmp_path: Path) -> None:
    losses: list[float] = []

    class Watched(ToyTask):
        def loss(self, network: nn.Module, batch: Batch, mean: Mean) -> Tensor:
            loss = super().loss(network, batch, mean)
            losses.append(loss.item())
            return loss

    train(tmp_path, Watched(), epochs=1)
    wanted = (losses[0] * 4 + losses[1] * 3 + losses[2] * 3) / 10
    assert history(tmp_path)[0]["loss"] == pytest.approx(wanted, rel=1e-6)


def test_tensorboard_can_read_the_events(tmp_path: Path) -> None:
    event_accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    train(tmp_path)
    events = event_accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [e.step for e in events.Scalars("step_loss")] == list(range(1, 3 * STEPS + 1))
    shown = [(e.step, e.value) for e in events.Scalars("score")]
    wanted = [(STEPS * r["epoch"], pytest.approx(r["score"])) for r in history(tmp_path)]
    assert shown == wanted


def test_without_tensorboard_or_matplotlib_training_goes_on_and_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("torch.utils.tensorboard", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    _, outcome, lines = train(tmp_path)
    assert outcome.epochs == 3
    assert len([line for line in lines if "tensorboard is not installed" in line]) == 1
    assert len([line for line in lines if "matplotlib is not installed" in line]) == 1


# ── stopping and going on ────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    return train(folder, ema=0.9)[0], folder


@pytest.mark.parametrize("checkpoint_minutes", [0.0, 99.0])
@pytest.mark.parametrize("steps", range(3 * STEPS))
def test_a_run_that_crashed_before_any_step_ends_as_if_it_had_not(
    tmp_path: Path, whole: tuple[nn.Module, Path], steps: int, checkpoint_minutes: float
) -> None:
    with pytest.raises(Crash):
        train(tmp_path, CrashingTask(steps), ema=0.9, checkpoint_minutes=checkpoint_minutes)
    task = ToyTask()
    # a new process would build its network anew; with no checkpoint yet, from the same seed
    done = steps if checkpoint_minutes == 0 else steps // STEPS * STEPS
    resumed, _, _ = train(tmp_path, task, small_network(seed=99 if done else 1), ema=0.9)
    assert_same(whole[0], resumed)
    assert len(task.seen) == 3 * STEPS - done
    assert without_times(history(tmp_path)) == without_times(history(whole[1]))


RESTARTED = {
    "epochs": 4, "optimiser": "adam", "schedule": "steps", "drop_after": 1, "restart_every": 2,
    "rate_decay": 0.1, "epsilon": 1e-7,
}  # fmt: skip


@pytest.fixture(scope="module")
def restarted(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    """The optimiser starts anew after the first epoch and after the third."""
    folder = tmp_path_factory.mktemp("restarted")
    return train(folder, **RESTARTED)[0], folder


def test_an_optimiser_that_starts_anew_has_forgotten_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Optimizer] = []
    real = loop.make_optimiser

    def watched(network: nn.Module, settings: LoopSettings) -> Optimizer:
        made.append(real(network, settings))
        return made[-1]

    monkeypatch.setattr(loop, "make_optimiser", watched)
    train(tmp_path, **RESTARTED)
    steps = [{int(slots["step"]) for slots in one.state.values()} for one in made]
    assert steps == [{STEPS}, {2 * STEPS}, {STEPS}], "each epoch trains by the newest"
    assert [r["learning_rate"] for r in history(tmp_path)] == pytest.approx(
        [1e-2 / 1.2, 1e-3 / 1.2, 1e-3 / 1.5, 1e-3 / 1.2]  # 2, 2, 5 and 2 steps after the start
    )
    kept = load_file(tmp_path / "last.safetensors")
    assert {int(value) for name, value in kept.items() if name.endswith(".step")} == {STEPS}


@pytest.mark.parametrize("checkpoint_minutes", [0.0, 99.0])
@pytest.mark.parametrize("steps", [2, 3, 4, 6, 9, 10])  # the starts are at 3 and 9
def test_a_run_goes_on_across_the_starts_of_its_optimiser(
    tmp_path: Path, restarted: tuple[nn.Module, Path], steps: int, checkpoint_minutes: float
) -> None:
    changes = {**RESTARTED, "checkpoint_minutes": checkpoint_minutes}
    with pytest.raises(Crash):
        train(tmp_path, CrashingTask(steps), **changes)
    done = steps if checkpoint_minutes == 0 else steps // STEPS * STEPS
    resumed, _, _ = train(tmp_path, ToyTask(), small_network(seed=99 if done else 1), **changes)
    assert_same(restarted[0], resumed)
    assert without_times(history(tmp_path)) == without_times(history(restarted[1]))


def test_a_crash_while_measuring_costs_nothing_but_the_measuring(
    tmp_path: Path, whole: tuple[nn.Module, Path]
) -> None:
    crashing = CrashingTask(STEPS, in_validation=True)
    with pytest.raises(Crash):
        train(tmp_path, crashing, ema=0.9, checkpoint_minutes=0.0)
    task = ToyTask()
    resumed, _, _ = train(tmp_path, task, small_network(seed=99), ema=0.9)
    assert len(task.seen) == 2 * STEPS
    assert_same(whole[0], resumed)
    assert without_times(history(tmp_path)) == without_times(history(whole[1]))


def test_an_epoch_whose_checkpoint_was_never_written_is_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = loop.append_history

    def last_words(path: Path, row: dict[str, float]) -> None:
        real(path, row)
        if row["epoch"] == 2:
            raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(loop, "append_history", last_words)
        with pytest.raises(Crash):
            train(tmp_path)
    assert [r["epoch"] for r in history(tmp_path)] == [1, 2]
    with (tmp_path / "history.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"epoch": 3, "lo')  # cut off
    train(tmp_path, network=small_network(seed=99))
    assert [r["epoch"] for r in history(tmp_path)] == [1, 2, 3]


@pytest.mark.parametrize("loaders", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_process_that_was_killed_goes_on_to_the_same_bits(tmp_path: Path, loaders: int) -> None:
    changes = {"loaders": loaders, "checkpoint_minutes": 0.0, "ema": 0.9}
    command = [sys.executable, str(PROGRAM), str(tmp_path / "run"), json.dumps(changes), "4", "no"]
    killed = subprocess.run(command, timeout=120, cwd=tmp_path)
    assert killed.returncode == -signal.SIGKILL
    task = ToyTask()
    start = small_network(seed=99, dropout=0.0)
    resumed, _, _ = train(tmp_path / "run", task, start, ema=0.9, loaders=loaders)
    assert len(task.seen) == 3 * STEPS - 4
    whole, _, _ = train(tmp_path / "whole", network=small_network(dropout=0.0), ema=0.9)
    assert_same(resumed, whole)


def test_events_after_the_checkpoint_are_forgotten_too(tmp_path: Path) -> None:
    event_accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    with pytest.raises(Crash):
        train(tmp_path, CrashingTask(5))
    train(tmp_path)
    events = event_accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [e.step for e in events.Scalars("step_loss")] == list(range(1, 3 * STEPS + 1))


def test_a_run_that_is_finished_is_not_trained_again(tmp_path: Path) -> None:
    first, before, _ = train(tmp_path)
    task = ToyTask()
    again, after, lines = train(tmp_path, task, small_network(seed=99))
    assert task.seen == []
    assert lines == ["training finished after epoch 3: all epochs are done"]
    assert after == before
    assert len(history(tmp_path)) == 3
    assert_same(first, again)


def test_the_same_settings_give_the_same_bits_and_another_seed_does_not(tmp_path: Path) -> None:
    first, _, _ = train(tmp_path / "1")
    again, _, _ = train(tmp_path / "2")
    other, _, _ = train(tmp_path / "3", seed=2)
    assert_same(first, again)
    with pytest.raises(AssertionError):
        assert_same(first, other)


def test_loaders_change_nothing(tmp_path: Path, whole: tuple[nn.Module, Path]) -> None:
    network, _, _ = train(tmp_path, loaders=2, ema=0.9)
    assert_same(whole[0], network)


def test_other_settings_are_refused_and_named(tmp_path: Path) -> None:
    train(tmp_path)
    with pytest.raises(ValueError, match=r"last.safetensors .*loop.batch_size was 4 and is now 5"):
        train(tmp_path, batch_size=5)
    with pytest.raises(ValueError, match="its network has other layers"):
        train(tmp_path, network=nn.Sequential(nn.Flatten(), nn.Linear(64, 1)))


def test_settings_that_do_not_matter_to_the_weights_may_change(tmp_path: Path) -> None:
    train(tmp_path, minutes=1e-9)
    _, outcome, _ = train(tmp_path, minutes=None, loaders=1, checkpoint_minutes=9.0, keep="best")
    assert outcome.epochs == 3


# ── ending early, keeping the best ───────────────────────────────────────────────────────


def test_a_time_limit_stops_after_a_whole_epoch_and_says_so(tmp_path: Path) -> None:
    _, outcome, lines = train(tmp_path, minutes=1e-9)
    assert len(history(tmp_path)) == outcome.epochs == 1
    assert "as set" in lines[-1]
    # the same command does not train any longer
    task = ToyTask()
    train(tmp_path, task, minutes=1e-9)
    assert task.seen == []


def test_training_stops_when_the_score_gets_no_better(tmp_path: Path) -> None:
    task = ToyTask(scores=[0.1, 0.5, 0.5, math.nan, 0.9])
    _, outcome, lines = train(tmp_path, task, epochs=9, patience=2)
    assert outcome.epochs == 4
    assert "no better score for 2 epochs" in lines[-1]


def test_patience_counts_over_an_interruption(tmp_path: Path) -> None:
    task = ToyTask(scores=[0.5, 0.4, 0.3])
    task.loss = crashing_at(task, 2 * STEPS + 1)  # type: ignore[method-assign]
    with pytest.raises(Crash):
        train(tmp_path, task, epochs=9, patience=2)
    _, outcome, _ = train(tmp_path, ToyTask(scores=[0.3]), epochs=9, patience=2)
    assert outcome.epochs == 3


def crashing_at(task: ToyTask, steps: int) -> Any:
    real = task.loss

    def loss(network: nn.Module, batch: Batch, mean: Mean) -> Tensor:
        if len(task.seen) >= steps:
            raise Crash
        return real(network, batch, mean)

    return loss


def test_the_best_weights_are_kept_if_wanted(tmp_path: Path) -> None:
    scores = [0.1, 0.8, 0.3]
    best, outcome, _ = train(tmp_path / "best", ToyTask(scores), keep="best")
    last, _, _ = train(tmp_path / "last", ToyTask(scores))
    assert (outcome.kept, outcome.kept_epoch, outcome.numbers["score"]) == ("best", 2, 0.8)
    with pytest.raises(AssertionError):
        assert_same(best, last)
    error = ToyTask().validate(best, torch.device("cpu"))["error"]
    assert error == pytest.approx(history(tmp_path / "last")[1]["error"], abs=1e-6)
    other = small_network(seed=5)
    load_network(other, tmp_path / "last" / "best.safetensors")
    assert_same(best, other)


def test_the_best_need_a_score(tmp_path: Path) -> None:
    task = ToyTask()
    task.validate = lambda network, device: {"error": 1.0}  # type: ignore[method-assign]
    with pytest.raises(ValueError, match=r"no 'score'.*loop.keep"):
        train(tmp_path, task, keep="best")


def test_averaged_weights_are_measured_and_kept(tmp_path: Path) -> None:
    after: list[dict[str, Tensor]] = []

    class Watched(ToyTask):
        def loss(self, network: nn.Module, batch: Batch, mean: Mean) -> Tensor:
            after.append({k: v.clone() for k, v in network.state_dict().items()})
            return super().loss(network, batch, mean)

    kept, _, _ = train(tmp_path / "ema", Watched(), epochs=1, ema=0.15)
    plain, _, _ = train(tmp_path / "plain", epochs=1)
    weights = [*(state["0.weight"] for state in after), plain.state_dict()["0.weight"]]
    wanted = weights[0]
    for decay, weight in zip((0.1, 0.15, 0.15), weights[1:], strict=True):  # 1/10, 2/11 > 0.15
        wanted = decay * wanted + (1 - decay) * weight
    torch.testing.assert_close(kept.state_dict()["0.weight"], wanted)
    assert kept.state_dict()["1.num_batches_tracked"] == STEPS
    error = ToyTask().validate(kept, torch.device("cpu"))["error"]
    assert error == pytest.approx(history(tmp_path / "ema")[0]["error"], abs=1e-6)
    other = small_network(seed=5)
    load_network(other, tmp_path / "ema" / "last.safetensors")
    assert_same(kept, other)


# ── what goes wrong ──────────────────────────────────────────────────────────────────────


class BrokenTask(ToyTask):
    """Breaks in the second epoch, in the batch with item 7."""

    def __init__(self, change: Any) -> None:
        super().__init__()
        self.change = change

    def loss(self, network: nn.Module, batch: Batch, mean: Mean) -> Tensor:
        loss = super().loss(network, batch, mean)
        broken = len(self.seen) > STEPS and 7 in self.seen[-1]
        return self.change(loss, network) if broken else loss


def infinite_gradient(loss: Tensor, network: nn.Module) -> Tensor:
    # the square root of 0 is finite, its slope is not
    return loss + (network[0].weight * 0).abs().sum().sqrt()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda loss, _: loss * math.nan, "the loss is nan"),
        (lambda loss, _: loss * math.inf, "the loss is inf"),
        (infinite_gradient, "the gradients' norm is nan"),
    ],
)
@pytest.mark.parametrize("clip_norm", [0.0, 1.0])
def test_what_is_no_number_stops_the_run_and_names_the_items(
    tmp_path: Path, change: Any, message: str, clip_norm: float
) -> None:
    task = BrokenTask(change)
    with pytest.raises(FloatingPointError, match=message) as error:
        train(tmp_path, task, checkpoint_minutes=0.0, clip_norm=clip_norm)
    step = len(task.seen) - STEPS
    assert f"in epoch 2, step {step} of 3; items of the batch: " in str(error.value)
    assert all(f"patient {item}" in str(error.value) for item in task.seen[-1])
    state = json.loads((tmp_path / "last.json").read_text(encoding="utf-8"))["state"]
    assert (state["epoch"], state["step"]) == (1, step - 1)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate"),
        RuntimeError("DataLoader worker (pid 1) is killed by signal: Killed. "),
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_a_lack_of_memory_says_what_to_lower(tmp_path: Path, error: Exception) -> None:
    task = ToyTask()

    def loss(*_: object) -> Tensor:
        raise error

    task.loss = loss  # type: ignore[method-assign]
    with pytest.raises(MemoryError, match=r"lower loop.batch_size \(now 4\), .*patch_px.*loaders"):
        train(tmp_path, task)


def test_a_real_lack_of_memory_is_known_too(tmp_path: Path) -> None:
    task = ToyTask()
    task.loss = lambda *_: torch.empty(10**15)  # type: ignore[method-assign]
    with pytest.raises(MemoryError, match=r"lower loop.batch_size"):
        train(tmp_path, task)


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    task = ToyTask()
    task.loss = lambda network, batch, mean: network(batch["item"])  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="Expected 3D"):
        train(tmp_path, task)


def test_a_task_without_items_or_with_a_changing_number_of_them_is_refused(tmp_path: Path) -> None:
    task = ToyTask()
    task.order = lambda key: []  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="no items"):
        train(tmp_path, task)
    task.order = lambda key: list(range(5 + key[1]))  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="epoch 2 has 6 items and the first had 5"):
        train(tmp_path, task)


def test_a_gpu_that_is_not_there_is_refused(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(ValueError, match=r"loop.device = 'cpu'"):
        train(tmp_path, device="cuda")


# ── arithmetic ───────────────────────────────────────────────────────────────────────────


def test_what_training_sets_in_torch_is_as_before_afterwards(tmp_path: Path) -> None:
    inside: list[tuple[int, bool]] = []

    class Watched(ToyTask):
        def validate(self, network: nn.Module, device: torch.device) -> dict[str, float]:
            inside.append((torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()))
            return super().validate(network, device)

    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    train(tmp_path, Watched(), epochs=1, threads=3)
    assert inside == [(3, True)]
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before


def test_16_bit_arithmetic_is_used_where_the_processor_has_it(tmp_path: Path) -> None:
    kinds: Sequence[torch.dtype] = []

    class Watched(ToyTask):
        def loss(self, network: nn.Module, batch: Batch, mean: Mean) -> Tensor:
            kinds.append(network(batch["input"]).dtype)  # type: ignore[attr-defined]
            return super().loss(network, batch, mean)

    network, _, _ = train(tmp_path, Watched(), epochs=1, half=True)
    assert set(kinds) == {torch.bfloat16 if has_bfloat16() else torch.float32}
    assert all(p.dtype == torch.float32 for p in network.parameters())


def test_float16_scales_its_gradients_and_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as on a GPU without bfloat16
    monkeypatch.setattr(loop, "half_type", lambda device, wanted: torch.float16)
    whole, _, _ = train(tmp_path / "whole", half=True)
    with pytest.raises(Crash):
        train(tmp_path / "run", CrashingTask(5), half=True, checkpoint_minutes=0.0)
    state = json.loads((tmp_path / "run" / "last.json").read_text(encoding="utf-8"))["state"]
    assert state["scaler"]["scale"] > 1
    resumed, _, _ = train(tmp_path / "run", network=small_network(seed=9), half=True)
    assert_same(whole, resumed)
    assert all(torch.isfinite(p).all() for p in whole.parameters())


def test_a_scale_that_is_too_high_is_lowered_and_costs_a_step_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "half_type", lambda device, wanted: torch.float16)
    once = BrokenTask(lambda loss, network: loss * 1e6)
    _, outcome, _ = train(tmp_path / "once", once, half=True)
    assert outcome.epochs == 3
    always = BrokenTask(infinite_gradient)
    with pytest.raises(FloatingPointError, match="gradients' norm"):
        train(tmp_path / "always", always, half=True, epochs=60)


def test_settings_of_both_presets_train(tmp_path: Path) -> None:
    for optimiser, schedule in (("adam", "steps"), ("adamw", "one-cycle")):
        settings = LoopSettings.model_validate(
            {**SETTINGS.model_dump(), "optimiser": optimiser, "schedule": schedule,
             "drop_after": 1, "rate_decay": 1e-2, "epochs": 2, "deterministic": False}
        )  # fmt: skip
        folder = tmp_path / schedule
        fit(small_network(), settings, ToyTask(), folder, lambda _: None)
        assert [r["epoch"] for r in history(folder)] == [1, 2]
