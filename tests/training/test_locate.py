from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from mandora.anatomy import POINTS, Limb
from mandora.settings import LocateSettings, LoopSettings

pytest.importorskip("torch")
pytest.importorskip("kornia")
import torch

from mandora.training import locate
from mandora.training.locate import simulate_films, train_locator

SMALL = LocateSettings(input_px=64, widths=(8, 12, 16))
LOOP = LoopSettings(epochs=8, batch_size=8, learning_rate=1e-2, threads=1)


def corners(limb: Limb, count: int, seed: int, settings: LocateSettings, workers: int):  # type: ignore[no-untyped-def]
    """Films with a bright square; the six points of a foot lie around it, always alike."""
    rng = np.random.default_rng(seed)
    size = settings.input_px
    films = rng.normal(0, 0.1, (count, size, size)).astype(np.float16)
    points = np.zeros((count, len(POINTS[limb]), 2), np.float32)
    for i in range(count):
        x, y = rng.integers(20, size - 32, 2)
        films[i, y : y + 12, x : x + 12] = 4
        around = np.array([[0, 0], [11, 0], [0, 11], [11, 11], [5.5, 0], [5.5, 11]])
        points[i] = around + np.array([x, y])
    return films, points


def test_a_localiser_learns_and_leaves_its_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locate, "simulate_films", corners)
    lines: list[str] = []
    torch.manual_seed(0)
    network = train_locator(Limb.FOOT, SMALL, LOOP, 48, tmp_path, lines.append)
    assert not network.training
    assert {p.name for p in tmp_path.iterdir()} == {"last.safetensors", "history.jsonl"}
    assert len(lines) == 1 + LOOP.epochs
    first, last = lines[1], lines[-1]
    median = [float(line.split("median ")[1].split()[0]) for line in (first, last)]
    assert median[1] < 0.5 * median[0]


def test_held_out_films_are_others_than_those_of_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []

    def watched(limb: Limb, count: int, seed: int, settings: LocateSettings, workers: int):  # type: ignore[no-untyped-def]
        seeds.append(seed)
        return corners(limb, count, seed, settings, workers)

    monkeypatch.setattr(locate, "simulate_films", watched)
    short = LOOP.model_copy(update={"epochs": 1})
    train_locator(Limb.FOOT, SMALL, short, 8, tmp_path, lambda _: None)
    assert len(set(seeds)) == 2


@pytest.mark.parametrize("limb", list(Limb))
def test_simulated_films_are_what_the_network_takes(limb: Limb) -> None:
    make = partial(simulate_films, limb, 2, settings=SMALL, workers=1)
    films, points = make(seed=5)
    assert films.shape == (2, 64, 64)
    assert films.dtype == np.float16
    assert points.shape == (2, len(POINTS[limb]), 2)
    # most joints of a film lie in view
    assert ((points > 0) & (points < 64)).all(axis=2).mean() > 0.6
    again, _ = make(seed=5)
    np.testing.assert_array_equal(again, films)
    other, _ = make(seed=6)
    assert (other != films).any()
