"""A run is begun once: with these settings and these data."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mandora.core.anatomy import TARGETS, Limb, Side, Slot
from mandora.core.settings import TrainDamageSettings, TrainLocateSettings, preset
from mandora.datasets.content import content_digest
from mandora.datasets.dataset import Dataset, DatasetFilm
from mandora.training.runs import (
    DATA_FILE,
    RESULT_FILE,
    Run,
    changed_settings,
    copies_of,
    further_data,
    kept_weights,
    note_real_films,
    note_start_weights,
    start_stage,
)

FAST = preset("fast", TrainDamageSettings)


def a_run(folder: Path, dataset: Dataset | None = None) -> Run:
    return Run(folder, folder / "cache", dataset, lambda _: None, lambda *_: None)


def dataset(root: Path, patients: int = 2) -> Dataset:
    films = tuple(
        DatasetFilm(f"P{i}", Slot(Side.LEFT, Limb.HAND), root / f"P{i}-LH.png", np.zeros((21, 2)))
        for i in range(patients)
    )
    scores = {f"P{i}": np.zeros(len(TARGETS)) for i in range(patients)}
    return Dataset(root, "ra2", films, (), scores, {"anna": scores}, {"anna": 0.5})


@pytest.mark.parametrize("name", ["fast", "paper"])
def test_a_stage_goes_on_with_the_same_settings_only(tmp_path: Path, name: str) -> None:
    settings = preset(name, TrainDamageSettings)
    start_stage(a_run(tmp_path), "damage", settings)
    start_stage(a_run(tmp_path), "damage", settings)
    loop = settings.loop.model_copy(update={"epochs": 3})
    with pytest.raises(ValueError, match=r"damage\.toml.*another patients, loop\.epochs; use"):
        start_stage(
            a_run(tmp_path), "damage",
            settings.model_copy(update={"patients": 3, "loop": loop}),
        )  # fmt: skip
    assert TrainDamageSettings.from_toml(tmp_path / "damage.toml") == settings


def test_what_makes_no_difference_to_the_weights_may_change(tmp_path: Path) -> None:
    start_stage(a_run(tmp_path), "damage", FAST)
    loop = FAST.loop.model_copy(update={"minutes": 30.0, "device": "cpu", "loaders": 2})
    start_stage(a_run(tmp_path), "damage", FAST.model_copy(update={"loop": loop}))
    assert TrainDamageSettings.from_toml(tmp_path / "damage.toml").loop.minutes == 30


def test_all_stages_of_a_run_have_the_same_data(tmp_path: Path) -> None:
    labelled = dataset(tmp_path)
    start_stage(a_run(tmp_path, labelled), "damage", FAST)
    assert json.loads((tmp_path / DATA_FILE).read_text(encoding="utf-8")) == {
        "layout": "ra2", "name": tmp_path.name, "patients": 2, "films": 2,
        "pictures of joints": 0, "readers": {"anna": 0.5}, "content": content_digest(labelled),
    }  # fmt: skip
    corrected = {"P0": np.ones(len(TARGETS)), "P1": np.zeros(len(TARGETS))}
    others = (dataset(tmp_path, 3), replace(labelled, weights={}))
    for other in (None, *others, replace(labelled, official=corrected)):
        with pytest.raises(ValueError, match="started with other data"):
            start_stage(a_run(tmp_path, other), "locate-hand", TrainLocateSettings())


def test_a_run_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    labelled = dataset(tmp_path)
    start_stage(a_run(tmp_path, labelled), "damage", FAST)
    about = json.loads((tmp_path / DATA_FILE).read_text(encoding="utf-8"))
    del about["content"]
    (tmp_path / DATA_FILE).write_text(json.dumps(about), encoding="utf-8")
    start_stage(a_run(tmp_path, labelled), "damage", FAST)
    assert json.loads((tmp_path / DATA_FILE).read_text(encoding="utf-8"))["content"]


def test_changes_are_named_with_their_tables() -> None:
    locate = preset("fast", TrainLocateSettings)
    other = locate.model_copy(
        update={"network": locate.network.model_copy(update={"input_px": 128}), "films": 9}
    )
    assert list(changed_settings(locate, other)) == ["films", "network.input_px"]
    assert list(changed_settings(locate, locate)) == []


def test_a_stage_goes_on_with_the_same_real_films_only(tmp_path: Path) -> None:
    shown = replace(a_run(tmp_path), real=(dataset(tmp_path),))
    note_real_films(shown, "damage")
    note_real_films(shown, "damage")
    note_real_films(shown, "locate-hand")
    note_real_films(a_run(tmp_path), "locate-foot")  # this stage saw simulated films only
    assert [about["films"] for about in further_data(tmp_path)] == [2]
    more = replace(shown, real=(*shown.real, dataset(tmp_path, 3)))
    for other in (a_run(tmp_path), replace(shown, real=(dataset(tmp_path, 3),)), more):
        with pytest.raises(ValueError, match=r"damage-real\.json.* started with other real films"):
            note_real_films(other, "damage")
    (tmp_path / "locate-foot").mkdir()
    with pytest.raises(ValueError, match=r"locate-foot-real\.json.* started with other"):
        note_real_films(shown, "locate-foot")
    with pytest.raises(ValueError, match=r"added to simulated ones only: .*--data, or .*--real"):
        note_real_films(replace(shown, dataset=dataset(tmp_path)), "damage")


def test_each_data_set_of_real_films_has_its_copies(tmp_path: Path) -> None:
    run = replace(a_run(tmp_path), real=(dataset(tmp_path), dataset(tmp_path, 3)))
    assert copies_of(8, run) == (8, 8)
    assert copies_of((8, 40), run) == (8, 40)
    assert copies_of((8, 40), a_run(tmp_path)) == ()
    with pytest.raises(ValueError, match="real_copies has 3 numbers for 2 data sets of --real"):
        copies_of((8, 40, 3), run)
    note_real_films(run, "damage")
    assert [about["films"] for about in further_data(tmp_path)] == [2, 3]


def test_real_films_that_an_earlier_version_noted_count_as_seen(tmp_path: Path) -> None:
    note = json.dumps({"layout": "manifest", "films": 7})
    (tmp_path / "damage-real.json").write_text(note, encoding="utf-8")
    assert further_data(tmp_path) == [json.loads(note)]


def test_a_stage_goes_on_with_the_same_first_weights_only(tmp_path: Path) -> None:
    earlier = replace(a_run(tmp_path / "earlier"), real=(dataset(tmp_path),))
    start_stage(earlier, "damage", FAST)
    note_real_films(earlier, "damage")
    now = replace(a_run(tmp_path / "now"), start=earlier.folder)
    start_stage(now, "damage", FAST)
    note_start_weights(now, "damage")
    note_start_weights(now, "damage")
    # what the weights were trained on counts as seen
    assert [about["layout"] for about in further_data(now.folder)] == ["simulated", "ra2"]
    third = replace(a_run(tmp_path / "third"), start=now.folder)
    start_stage(third, "damage", FAST)
    note_start_weights(third, "damage")
    assert [about["layout"] for about in further_data(third.folder)] == ["simulated", "ra2"]
    for other in (a_run(now.folder), replace(now, start=third.folder)):
        with pytest.raises(ValueError, match=r"damage-start\.json.* started with other weights"):
            note_start_weights(other, "damage")
    with pytest.raises(ValueError, match="is not the folder of a training run; name the --out"):
        note_start_weights(replace(now, start=tmp_path / "nowhere"), "damage")


def test_kept_weights_are_those_of_an_ended_training(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"damage: the training of this network is not finished there"
    ):
        kept_weights(tmp_path / "damage")
    for kept in ("last", "best"):
        (tmp_path / RESULT_FILE).write_text(json.dumps({"kept": kept}), encoding="utf-8")
        assert kept_weights(tmp_path) == tmp_path / f"{kept}.safetensors"
