from __future__ import annotations

import contextlib
import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
import torch
from toy_task import SETTINGS, assert_same, history, small_network, train

from mandora.training import loop
from mandora.training.checkpoint import (
    Checkpoints,
    State,
    identity,
    load_network,
    restore,
    tensors_of,
    write_whole,
)
from mandora.training.optimise import make_optimiser


@pytest.fixture(autouse=True)
def _no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "draw_curves", lambda rows, path: None)


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path, identity(SETTINGS, small_network(), 10))


WEIGHTS = {"network.w": torch.tensor([1.0, 2.0]), "network.n": torch.tensor(3)}


def test_a_checkpoint_comes_back_as_it_was(checkpoints: Checkpoints) -> None:
    state = State(2, 5, 0.1 + 0.2, 20, 1.5, 1, 2, {"score": 1 / 3}, 1, {"score": float("nan")})
    checkpoints.save("last.safetensors", WEIGHTS, state)
    data = checkpoints.read("last.safetensors")
    assert data is not None
    tensors, again = checkpoints.decode("last.safetensors", data)
    assert {k: v.tolist() for k, v in tensors.items()} == {
        "network.w": [1, 2],
        "network.n": 3,
    }
    assert repr(again) == repr(state)  # NaN is never equal
    shown = json.loads((checkpoints.folder / "last.json").read_text(encoding="utf-8"))
    assert shown["state"]["epoch"] == 2
    assert shown["state"]["best_numbers"] == {"score": None}
    assert shown["identity"]["settings"]["batch_size"] == 4


def test_there_may_be_none(checkpoints: Checkpoints) -> None:
    assert checkpoints.read("last.safetensors") is None


def test_the_optimiser_comes_back_with_the_layout_of_its_weights() -> None:
    def stepped(seed: int) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
        network = small_network(seed).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimiser = make_optimiser(network, SETTINGS)
        network(torch.randn(3, 1, 8, 8)).sum().backward()
        optimiser.step()
        return network, optimiser

    (network, optimiser), (other, blank) = stepped(1), stepped(2)
    restore(tensors_of(network, None, optimiser), other, None, blank)
    assert_same(network, other)
    for wanted, got in zip(
        optimiser.state_dict()["state"].values(), blank.state_dict()["state"].values(), strict=True
    ):
        for name, value in wanted.items():
            assert torch.equal(value, got[name])
            assert value.stride() == got[name].stride()


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "other"])
def test_a_damaged_checkpoint_says_so_and_what_to_do(tmp_path: Path, damage: str) -> None:
    train(tmp_path, epochs=1)
    path = tmp_path / "last.safetensors"
    data = bytearray(path.read_bytes())
    if damage == "cut":
        data = data[:-100]
    elif damage == "flipped":
        data[-50] ^= 1
    elif damage == "empty":
        data = bytearray()
    else:
        data = bytearray(b"{}" * 200)
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"last.safetensors is damaged.*start again"):
        train(tmp_path, epochs=1)
    with pytest.raises(ValueError, match=r"last.safetensors is damaged"):
        load_network(small_network(), path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    train(tmp_path, epochs=1)
    with pytest.raises(ValueError, match=r"last.safetensors is of another network"):
        load_network(torch.nn.Linear(3, 1), tmp_path / "last.safetensors")


def test_what_is_not_finite_is_not_written(checkpoints: Checkpoints) -> None:
    checkpoints.save("last.safetensors", WEIGHTS, State())
    broken = {**WEIGHTS, "network.w": torch.tensor([1.0, float("inf")])}
    with pytest.raises(FloatingPointError, match=r"network.w is not finite in epoch 3, .* step 4"):
        checkpoints.save("last.safetensors", broken, State(epoch=2, step=4))
    data = checkpoints.read("last.safetensors")
    assert data is not None
    assert checkpoints.decode("last.safetensors", data)[1] == State()


def test_a_checkpoint_that_does_not_state_a_setting_had_its_default(tmp_path: Path) -> None:
    """As those of earlier versions, which did not have it."""
    network = small_network()
    now = identity(SETTINGS, network, 10)
    settings = {k: v for k, v in now["settings"].items() if k not in ("epsilon", "restart_every")}
    Checkpoints(tmp_path, {**now, "settings": settings}).save("last.safetensors", WEIGHTS, State())
    data = (tmp_path / "last.safetensors").read_bytes()
    assert Checkpoints(tmp_path, now).decode("last.safetensors", data)[1] == State()
    other = identity(SETTINGS.model_copy(update={"epsilon": 1e-7}), network, 10)
    with pytest.raises(ValueError, match=r"loop\.epsilon was 1e-08 and is now 1e-07"):
        Checkpoints(tmp_path, other).decode("last.safetensors", data)


# ── a full disk ──────────────────────────────────────────────────────────────────────────


def test_a_disk_that_fills_up_leaves_the_previous_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.safetensors"
    write_whole(path, b"old")

    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"last.safetensors could .*No space.*previous one is kept"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["last.safetensors"]


LIMITED = """
import resource, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from toy_task import train
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
train(Path({folder!r}))
"""


def test_a_file_that_cannot_grow_ends_the_run_and_it_goes_on_later(tmp_path: Path) -> None:
    run, whole = tmp_path / "run", tmp_path / "whole"
    train(run, minutes=1e-9)  # one epoch
    size = (run / "last.safetensors").stat().st_size
    assert size > 4000
    code = LIMITED.format(tests=str(Path(__file__).parent), folder=str(run))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "safetensors could not be written (File too large). The previous one is kept" in (
        done.stderr
    )
    assert not list(run.glob(".*.part*"))
    resumed, _, _ = train(run, network=small_network(seed=99))
    assert_same(train(whole)[0], resumed)
    assert [r["epoch"] for r in history(run)] == [1, 2, 3]


# TensorBoard's thread ends with the same error
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=192k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting is not permitted here")
    try:
        train(disk / "run", minutes=1e-9)
        filler = disk / "filler"
        with contextlib.suppress(OSError), filler.open("wb", 0) as file:
            while True:
                file.write(bytes(4096))
        with pytest.raises(OSError, match="free some space"):
            train(disk / "run")
        filler.unlink()
        resumed, outcome, _ = train(disk / "run")
        assert outcome.epochs == 3
        assert_same(train(tmp_path / "whole")[0], resumed)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_folder_that_cannot_be_written_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"last.safetensors could not be written"):
        write_whole(tmp_path / "gone" / "last.safetensors", b"new")
