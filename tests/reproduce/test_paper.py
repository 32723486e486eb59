"""The experiments notice what they were begun with: data set, cohort, code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
pytest.importorskip("matplotlib")
pytest.importorskip("shap")

from mandora.core.anatomy import LANDMARKS, TARGETS, Limb, Side, Slot
from mandora.core.parallel import jobs as runner_jobs
from mandora.core.parallel.jobs import job_keys, sort_jobs
from mandora.core.settings import ReproduceSettings, SimulateSettings
from mandora.core.source import code_digest
from mandora.datasets.dataset import Dataset, DatasetFilm
from mandora.reproduce import paper as reproduce
from mandora.reproduce.jobs import (
    grow_trees,
)
from mandora.reproduce.paper import COHORT_FOLDER, Experiments, smoke
from mandora.reproduce.study import Study

SETTINGS = smoke(ReproduceSettings())
NAMES = [f"P{i}" for i in range(6)]


def dataset(folder: Path) -> Dataset:
    """Hands with masks of joint spaces and of erosions; two readers and the official label."""
    landmarks = np.zeros((len(LANDMARKS[Limb.HAND]), 2))
    for kind in (*NAMES, "spaces", "erosions"):
        Image.new("L", (4, 4)).save(folder / f"{kind}.png")
    films = tuple(
        DatasetFilm(
            name, Slot(Side.LEFT, Limb.HAND), folder / f"{name}.png", landmarks,
            folder / "spaces.png", folder / "erosions.png",
        )
        for name in NAMES
    )  # fmt: skip
    scores = {name: np.zeros(len(TARGETS)) for name in NAMES}
    return Dataset(folder, "manifest", films, (), scores, {"anna": scores, "ben": scores})


Keys = Callable[[Dataset], dict[str, str]]


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keys:
    """The keys of all jobs on a data set."""

    def made(data: Dataset) -> dict[str, str]:
        monkeypatch.setattr(Study, "open", lambda _: data)
        jobs = Experiments(tmp_path, (), tmp_path / "out", SETTINGS, 1, print).jobs
        return job_keys(sort_jobs(jobs))

    return made


def test_a_corrected_data_set_does_all_jobs_again(tmp_path: Path, keys: Keys) -> None:
    data = dataset(tmp_path)
    before = keys(data)
    assert keys(dataset(tmp_path)) == before
    corrected = {**data.official, "P3": np.ones(len(TARGETS))}
    found = [keys(replace(data, official=corrected))]
    for kind in ("spaces", "erosions"):
        Image.new("L", (4, 4), 1).save(tmp_path / f"{kind}.png")
        found.append(keys(data))
        Image.new("L", (4, 4)).save(tmp_path / f"{kind}.png")
    assert keys(data) == before
    for after in found:
        assert set(after) == set(before)
        assert not set(after.values()) & set(before.values())


def test_jobs_of_other_code_are_done_again(
    tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = dataset(tmp_path)
    before = keys(data)

    def later(run: Callable[..., object]) -> str:
        grows = getattr(run, "func", run) is grow_trees
        return "later" if grows else code_digest(run)

    monkeypatch.setattr(runner_jobs, "code_digest", later)
    after = keys(data)
    again = {name.partition("/")[2] for name in before if before[name] != after[name]}
    assert again == {"trees", "shap"}


def test_a_cohort_of_other_settings_or_code_is_simulated_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, seeds = tmp_path / COHORT_FOLDER, list[int]()

    def simulate(settings: SimulateSettings, out: Path) -> None:
        out.mkdir()
        (out / f"{settings.seed}.csv").touch()
        seeds.append(settings.seed)

    monkeypatch.setattr(reproduce, "simulate_cohort", simulate)

    def keep(seed: int, workers: int = 1) -> None:
        reproduce._simulate_once(
            path, SimulateSettings(patients=3, seed=seed, workers=workers), print
        )

    keep(1)
    keep(1, workers=2)
    assert seeds == [1]
    keep(2)
    assert [p.name for p in path.iterdir()] == ["2.csv"], "nothing of the other one is left"
    aside = path.with_name(f"{COHORT_FOLDER}-before-1")
    assert [p.name for p in aside.iterdir()] == ["1.csv"], "what somebody may have corrected stays"
    monkeypatch.setattr(reproduce, "code_digest", lambda used: "a later simulator")
    keep(2)
    assert seeds == [1, 2, 2]
    # what was stopped half way has no mark
    path.with_name(f"{COHORT_FOLDER}.key").unlink()
    keep(2)
    assert seeds == [1, 2, 2, 2]
