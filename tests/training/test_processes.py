from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
import torch
from safetensors.torch import load_file
from toy_task import ITEMS, SETTINGS, STEPS, ToyTask, gradients, history, small_network, train

from mandora.training.batches import Batches
from mandora.training.processes import Processes, is_main, join

PROGRAM = Path(__file__).with_name("toy_task.py")
ONE = Processes(0, 1, torch.device("cpu"))


def torchrun(
    folder: Path, changes: dict[str, object], die_at: int, *more: str
) -> subprocess.CompletedProcess[str]:
    """Train with two processes."""
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        str(PROGRAM), str(folder / "run"), json.dumps(changes), str(die_at), str(folder / "out"),
        *more,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=180, env=environment, cwd=folder
    )


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which two processes have trained."""
    folder = tmp_path_factory.mktemp("both")
    done = torchrun(folder, {"ema": 0.9}, -1, "--gradients")
    assert done.returncode == 0, done.stderr
    return folder


def test_two_processes_have_the_gradient_of_one(both: Path) -> None:
    # seven items: four for one process, three for the other, and two have no known number
    wanted = gradients(range(7))
    for name, value in load_file(both / "out.gradients").items():
        torch.testing.assert_close(value, wanted[name], rtol=1e-4, atol=1e-6, msg=name)


def test_two_processes_train_the_network_that_one_does(both: Path, tmp_path: Path) -> None:
    one, _, _ = train(tmp_path, network=small_network(dropout=0.0), ema=0.9)
    for rank in (0, 1):
        two = load_file(both / f"out.{rank}")
        for name, value in one.state_dict().items():
            torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-4, msg=name)
    for got, wanted in zip(history(both / "run"), history(tmp_path), strict=True):
        assert got["loss"] == pytest.approx(wanted["loss"], rel=1e-3)
        assert got["score"] == pytest.approx(wanted["score"], abs=1e-3)


def test_only_the_first_process_speaks(both: Path) -> None:
    lines = (both / "out.0.txt").read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if line.startswith("epoch")]) == 3
    assert (both / "out.1.txt").read_text(encoding="utf-8") == ""
    assert len(history(both / "run")) == 3


@pytest.mark.slow
def test_two_processes_that_were_killed_go_on_to_the_same_bits(both: Path, tmp_path: Path) -> None:
    changes = {"ema": 0.9, "checkpoint_minutes": 0.0}
    assert torchrun(tmp_path, changes, 4).returncode != 0
    assert not (tmp_path / "out.0").exists()
    state = json.loads((tmp_path / "run" / "last.json").read_text(encoding="utf-8"))["state"]
    assert state["epoch"] * STEPS + state["step"] in {3, 4}
    done = torchrun(tmp_path, changes, -1, "--other-start")
    assert done.returncode == 0, done.stderr
    for name, value in load_file(tmp_path / "out.1").items():
        assert torch.equal(value, load_file(both / "out.1")[name]), name


@pytest.mark.slow
def test_an_error_in_one_process_ends_the_other(tmp_path: Path) -> None:
    done = torchrun(tmp_path, {}, -1, "--fail-rank")
    assert done.returncode != 0
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.slow
def test_a_batch_that_cannot_be_shared_is_refused(tmp_path: Path) -> None:
    done = torchrun(tmp_path, {"batch_size": 1}, -1)
    assert done.returncode != 0
    assert "a batch of 1 cannot be shared by 2 processes" in done.stderr


# ── without others ───────────────────────────────────────────────────────────────────────


def test_a_weighted_mean_ignores_what_weighs_nothing() -> None:
    values = torch.tensor([1.0, math.nan, 4.0], requires_grad=True)
    mean = ONE.mean(values, torch.tensor([1.0, 0.0, 2.0]))
    assert mean.item() == pytest.approx(3.0)
    mean.backward()
    assert values.grad is not None
    assert values.grad.tolist() == pytest.approx([1 / 3, 0, 2 / 3])


def test_one_weight_may_count_for_a_whole_row() -> None:
    values = torch.tensor([[1.0, 3.0], [5.0, 100.0]])
    assert ONE.mean(values, torch.tensor([[1.0], [0.0]])).item() == pytest.approx(2.0)


def test_the_mean_of_nothing_is_0_and_has_no_gradient() -> None:
    values = torch.tensor([1.0, math.inf], requires_grad=True)
    mean = ONE.mean(values, torch.zeros(2))
    mean.backward()
    assert mean.item() == 0
    assert values.grad is not None
    assert values.grad.tolist() == [0, 0]


def test_one_process_has_nothing_to_share_or_to_wait_for() -> None:
    processes = join("cpu")
    assert processes == ONE
    assert processes.main
    assert is_main()
    assert processes.share(b"data") == b"data"
    assert processes.share(None) is None
    processes.wait()
    network = small_network()
    assert processes.wrap(network) is network


def test_the_parts_of_a_batch_make_the_whole() -> None:
    whole = Batches(ToyTask(), SETTINGS, ONE)
    parts = [Batches(ToyTask(), SETTINGS, Processes(r, 2, torch.device("cpu"))) for r in (0, 1)]
    for number in range(len(whole)):
        items = whole[number]["item"].tolist()
        shared = [part[number]["item"].tolist() for part in parts]
        assert shared == [items[0::2], items[1::2]]
    keys = [draw.key for n in range(STEPS) for draw in whole.draws(n + STEPS)]
    assert keys == [(SETTINGS.seed, 1, place) for place in range(ITEMS)]


def test_the_first_epochs_show_items_smaller() -> None:
    settings = SETTINGS.model_copy(update={"epochs": 5, "small_share": 0.6})
    batches = Batches(ToyTask(), settings, ONE)
    small = [{draw.small for draw in batches.draws(e * batches.per_epoch)} for e in range(5)]
    assert small == [{True}, {True}, {True}, {False}, {False}]
    assert not any(draw.small for draw in Batches(ToyTask(), SETTINGS, ONE).draws(0))
    alone = settings.model_copy(update={"epochs": 1, "small_share": 0.9})
    assert not any(draw.small for draw in Batches(ToyTask(), alone, ONE).draws(0))


def test_python_m_mandora_is_the_command_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mandora", "--help"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert "score" in done.stdout
