"""``mandora train`` at the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mandora.cli.main import app

pytest.importorskip("torch")


def mandora(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.parametrize(
    ("stage", "preset", "parameters", "gmac"),
    [
        ("locate", "paper", 3.10, 81.2),
        ("damage", "paper", 5.77, 38.4),
        ("locate", "fast", 1.03, 0.572),
        ("damage", "fast", 0.96, 0.141),
    ],
)
def test_networks_are_described_without_training(
    stage: str, preset: str, parameters: float, gmac: float
) -> None:
    words = ("train", stage, "--preset", preset, "--describe")
    shown = json.loads(mandora(*words, "--json").stdout)
    assert shown["parameters"] / 1e6 == pytest.approx(parameters, rel=0.01)
    assert shown["gmac"] == pytest.approx(gmac, rel=0.01)
    table = mandora(*words).stdout
    assert "GMAC" in table
    assert "Conv2d" in table


def test_settings_change_what_is_described(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    path.write_text("[network]\ninput_px = 512\n", encoding="utf-8")
    words = ("train", "locate", "--preset", "paper", "--describe", "--json", "--settings", path)
    assert json.loads(mandora(*words).stdout)["gmac"] == pytest.approx(81.15 / 4, rel=0.01)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("locate",), "--out is missing"),
        (("locate", "--preset", "slow"), "there is no preset 'slow'; use fast or paper"),
        (("locate", "--limb", "ear"), "'ear' is not one of"),
        (("damage", "--preset", "paper", "--family", "nx"), "--family nx: use nh, eh, nf, ef"),
        (("damage", "--out", "{}", "--data", "{}/none"), "no such file or folder"),
        (("damage", "--out", "{}", "--data", "{}", "--reader", "anna"), "write NAME=WEIGHT"),
        (("damage", "--out", "{}", "--family", "nh"), "--family needs design 'family'"),
    ],
)
def test_calls_that_cannot_work_say_why(
    tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    result = mandora("train", *(word.format(tmp_path) for word in words))
    assert result.exit_code == 2
    assert message in result.stderr


SMALL = """
patients = 2
[network]
patch_px = 32
[loop]
epochs = {epochs}
batch_size = 16
threads = 1
checkpoint_minutes = 0
"""


def call(out: Path, settings: Path, cache: Path) -> list[str]:
    return [
        sys.executable, "-m", "mandora", "train", "damage", "--out", str(out),
        "--settings", str(settings), "--cache", str(cache),
    ]  # fmt: skip


@pytest.mark.slow  # the loop's own tests kill a smaller one
def test_a_run_that_was_killed_ends_with_the_same_weights(tmp_path: Path) -> None:
    settings = tmp_path / "small.toml"
    settings.write_text(SMALL.format(epochs=3), encoding="utf-8")
    cache, whole, killed = (tmp_path / name for name in ("cache", "whole", "killed"))
    subprocess.run(call(whole, settings, cache), check=True, capture_output=True)
    last = killed / "damage" / "last.json"
    with subprocess.Popen(call(killed, settings, cache), stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            # in the middle of an epoch
            if last.exists() and json.loads(last.read_text(encoding="utf-8"))["state"]["step"]:
                break
        os.kill(process.pid, signal.SIGKILL)
    assert not (killed / "damage.onnx").exists()
    done = subprocess.run(call(killed, settings, cache), check=True, capture_output=True, text=True)
    assert "resumes at epoch" in done.stdout
    assert (killed / "damage.onnx").read_bytes() == (whole / "damage.onnx").read_bytes()
