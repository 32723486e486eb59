"""All stages of both presets, small: simulated films and a data set in, a usable bundle out."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mandora.core.anatomy import FAMILIES, TARGETS, Damage, Limb
from mandora.core.settings import (
    ReproduceSettings,
    SimulateSettings,
    TrainDamageSettings,
    TrainLocateSettings,
    TrainSymmetrySettings,
    preset,
)
from mandora.datasets.layouts import open_dataset
from mandora.model.bundle import open_bundle
from mandora.simulate.cohort.folder import simulate_cohort

pytest.importorskip("torch")

from safetensors.torch import load_file

from mandora.training import stages, symmetry_stage
from mandora.training.bundles import make_bundle
from mandora.training.out_of_sample import LabelledPatients
from mandora.training.runs import RESULT_FILE, Run, kept_weights, start_stage
from mandora.training.splits import Split, split_patients
from mandora.training.stages import run_damage, run_locate
from mandora.training.symmetry_stage import run_symmetry


def changed(settings: Any, **tables: dict[str, Any]) -> Any:
    """Settings with some values of some tables changed."""
    update = {
        name: getattr(settings, name).model_copy(update=values) for name, values in tables.items()
    }
    return settings.model_copy(update=update)


SHORT = {"epochs": 1, "threads": 1}
FAST_LOCATE = changed(
    preset("fast", TrainLocateSettings), network={"input_px": 64}, loop=SHORT
).model_copy(update={"films": 8})
FAST_DAMAGE = changed(
    preset("fast", TrainDamageSettings), network={"patch_px": 32}, loop=SHORT
).model_copy(update={"patients": 2})
TREES = changed(
    preset("fast", TrainSymmetrySettings), forest={"trees": 3, "depth": 2, "threads": 1}
)
SMALL = {"widths": (4, 6)}
PAPER_LOCATE = changed(
    preset("paper", TrainLocateSettings), network={"input_px": 64, **SMALL}, loop=SHORT
)
PAPER_DAMAGE = changed(
    preset("paper", TrainDamageSettings), network={"patch_px": 32, **SMALL}, loop=SHORT
)
PATIENTS = 6


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated cohort as a labelled data set."""
    folder = tmp_path_factory.mktemp("cohort") / "sim"
    simulate_cohort(SimulateSettings(patients=PATIENTS, seed=9, pixels_per_mm=2.5), folder)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared films, which the tests share as runs do."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def quick_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports are tested elsewhere, and take longer than these trainings."""

    def name_only(network: Any, *, path: Path, **_: Any) -> float:
        path.write_bytes(path.name.encode())
        return 0.0

    for name in ("export_locator", "export_damage"):
        monkeypatch.setattr(stages, name, name_only)


def a_run(folder: Path, cache: Path, data: Path | None = None) -> tuple[Run, list[str]]:
    lines: list[str] = []
    dataset = None if data is None else open_dataset(data)
    return Run(folder, cache, dataset, lines.append, lambda *_: None), lines


def with_networks(run: Run) -> Run:
    """The run, as if its networks were trained."""
    start_stage(run, "damage", FAST_DAMAGE)
    (run.folder / "damage.onnx").write_bytes(b"network")
    for limb in Limb:
        start_stage(run, f"locate-{limb}", FAST_LOCATE)
        (run.folder / f"locate-{limb}.onnx").write_bytes(b"network")
    return run


def fake_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Untrained networks find no limb; their patch scores are made up instead."""

    def made_up(patients: Any, *_: Any) -> np.ndarray:
        truth = np.array([patients.truth(i) for i in range(len(patients))])
        table = truth + np.random.default_rng(0).normal(0, 0.3, truth.shape)
        table[0, :10] = np.nan
        return np.clip(table, 0, [t.maximum for t in TARGETS])

    monkeypatch.setattr(symmetry_stage, "patch_scores", made_up)


def test_the_default_design_on_simulated_films(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    run, lines = a_run(tmp_path / "run", cache)
    run_damage(FAST_DAMAGE, run)
    request.getfixturevalue("quick_export")
    for limb in Limb:
        run_locate(limb, FAST_LOCATE, run)
    fake_scores(monkeypatch)
    run_symmetry(TREES.model_copy(update={"patients": 10}), run)
    result = json.loads((run.folder / "damage" / RESULT_FILE).read_text(encoding="utf-8"))
    assert {"dice", "r_nh", "rmse_ef"} <= set(result["numbers"])
    assert result["export_difference"] <= 1e-4
    for name in ("history.jsonl", "curves.png", "last.safetensors", "tensorboard"):
        assert (run.folder / "locate-hand" / name).exists()
    table = (run.folder / "symmetry" / "patch_scores.csv").read_text(encoding="utf-8").splitlines()
    assert len(table) == 1 + 10 * len(TARGETS)
    # a joint that was not found is empty, not 0
    assert [row.split(",")[2] for row in table[1:11]] == [""] * 10
    trees = json.loads((run.folder / "symmetry" / RESULT_FILE).read_text(encoding="utf-8"))
    assert trees["numbers"]["held_out_patients"] == 2
    bundle = make_bundle(run.folder, tmp_path / "bundle", "small", "1", compact=False)
    assert "dice" in open_bundle(bundle.folder).path("card.md").read_text(encoding="utf-8")
    # given once more, nothing is trained again
    lines.clear()
    run_damage(FAST_DAMAGE, run)
    assert not [line for line in lines if line.startswith("epoch")]


@pytest.mark.usefixtures("quick_export")
def test_real_films_are_shown_beside_simulated_ones(
    tmp_path: Path, cache: Path, cohort: Path
) -> None:
    run, lines = a_run(tmp_path / "run", cache)
    every = open_dataset(cohort)
    one = every.of_patients(frozenset(every.patients[:1]))
    bare = [replace(film, landmarks=np.full_like(film.landmarks, np.nan)) for film in one.films]
    unmarked = [replace(film, patient="X") for film in bare]
    run = replace(run, real=(every, replace(one, films=(*one.films, *unmarked))))
    run_damage(FAST_DAMAGE.model_copy(update={"real_copies": (2, 5)}), run)
    run_locate(Limb.FOOT, FAST_LOCATE.model_copy(update={"real_copies": 3}), run)
    told = [line.partition(",")[0] for line in lines if "items to train on" in line]
    pairs = 2 * PATIENTS  # both sides
    assert told == [
        f"{limb}: {count} items to train on"
        for limb, count in (
            ("hand", 2 + 2 * pairs + 5 * 2),
            ("foot", 2 + 2 * pairs + 5 * 2),
            ("foot", 8 + 3 * pairs + 3 * 2),
        )
    ]
    assert (run.folder / "damage-real.json").exists()
    assert (run.folder / "locate-foot-real.json").exists()
    with pytest.raises(ValueError, match="started with other real films"):
        run_damage(
            FAST_DAMAGE.model_copy(update={"real_copies": (2, 5)}), a_run(run.folder, cache)[0]
        )


@pytest.mark.usefixtures("quick_export")
def test_training_begins_with_the_weights_of_another_run(tmp_path: Path, cache: Path) -> None:
    first, _ = a_run(tmp_path / "first", cache)
    run_damage(FAST_DAMAGE, first)
    # no step is taken that changes anything: what comes out is what went in
    still = FAST_DAMAGE.loop.model_copy(update={"learning_rate": 1e-12, "weight_decay": 0.0})
    settings = FAST_DAMAGE.model_copy(update={"loop": still})
    weights = {}
    for name, start in (("on", first.folder), ("anew", None)):
        run = replace(a_run(tmp_path / name, cache)[0], start=start)
        run_damage(settings, run)
        weights[name] = load_file(kept_weights(run.folder / "damage"))
    before = load_file(kept_weights(first.folder / "damage"))
    key = "network.scores.2.weight"
    np.testing.assert_allclose(weights["on"][key], before[key], atol=1e-7)
    assert not np.allclose(weights["anew"][key], before[key], atol=1e-4)
    assert (tmp_path / "on" / "damage-start.json").exists()
    # a localiser was never trained there
    with pytest.raises(ValueError, match="locate-foot: the training of this network is not"):
        run_locate(Limb.FOOT, FAST_LOCATE, replace(run, start=first.folder))


@pytest.mark.usefixtures("quick_export")
def test_the_published_design_on_a_data_set(tmp_path: Path, cache: Path, cohort: Path) -> None:
    run, _ = a_run(tmp_path / "run", cache, cohort)
    run_locate(Limb.FOOT, PAPER_LOCATE, run, ["mtp1", "ip"])
    assert sorted(p.name for p in run.folder.glob("*.onnx")) == [
        "locate-foot-ip.onnx", "locate-foot-mtp1.onnx",
    ]  # fmt: skip
    nf = (Limb.FOOT, Damage.NARROWING)
    assert nf in FAMILIES
    run_damage(PAPER_DAMAGE, run, [nf])
    result = json.loads((run.folder / "damage-nf" / RESULT_FILE).read_text(encoding="utf-8"))
    assert {"dice", "r_nf", "rmse_nf"} < set(result["numbers"])
    assert not {"r_nh", "r_ef"} & set(result["numbers"])
    parts = json.loads((run.folder / "splits.json").read_text(encoding="utf-8"))["patients"]
    assert [len(parts[k]) for k in ("networks", "held", "trees", "test")] == [2, 1, 2, 1]
    with pytest.raises(ValueError, match="lacks locate-hand; train those stages first"):
        run_symmetry(preset("paper", TrainSymmetrySettings), run)


def test_trees_of_a_data_set_are_measured_on_the_test_patients(
    tmp_path: Path, cache: Path, cohort: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = with_networks(a_run(tmp_path / "run", cache, cohort)[0])
    fake_scores(monkeypatch)
    run_symmetry(TREES, run)
    trees = json.loads((run.folder / "symmetry" / RESULT_FILE).read_text(encoding="utf-8"))
    parts = json.loads((run.folder / "splits.json").read_text(encoding="utf-8"))["patients"]
    assert trees["numbers"]["held_out_patients"] == len(parts["test"]) == 1
    rows = (run.folder / "symmetry" / "patch_scores.csv").read_text(encoding="utf-8").splitlines()
    scored = {row.split(",")[0] for row in rows[1:]}
    assert scored == {*parts["trees"], *parts["test"]}
    assert not scored & {*parts["networks"], *parts["held"]}
    assert trees["export_difference"] <= 1e-4


@pytest.mark.parametrize(("name", "learnt"), [("fast", "training"), ("paper", "official")])
def test_trees_learn_the_label_that_is_set(
    tmp_path: Path, cache: Path, cohort: Path, monkeypatch: pytest.MonkeyPatch, name: str,
    learnt: str,
) -> None:  # fmt: skip
    run = with_networks(a_run(tmp_path / "run", cache, cohort)[0])
    fake_scores(monkeypatch)
    labels = {"training": 2.0, "official": 1.0}

    class Seen(Exception): ...

    def watch(patch: np.ndarray, truth: np.ndarray, *_: Any) -> None:
        assert patch.shape == truth.shape == (2, len(TARGETS))  # 30 % of 6 patients
        raise Seen(np.unique(truth).tolist())

    for method, label in (("truth", "training"), ("official", "official")):
        full = np.full(len(TARGETS), labels[label])
        monkeypatch.setattr(LabelledPatients, method, lambda self, index, full=full: full)
    monkeypatch.setattr(symmetry_stage, "train_forest", watch)
    label = preset(name, TrainSymmetrySettings).forest.label
    with pytest.raises(Seen) as seen:
        run_symmetry(changed(TREES, forest={"label": label}), run)
    assert seen.value.args[0] == [labels[learnt]]


def test_a_fold_is_measured_on_a_fifth_of_the_networks_patients(
    tmp_path: Path, cache: Path, cohort: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = a_run(tmp_path / "run", cache, cohort)
    assert run.dataset is not None
    names = run.dataset.patients
    fold = Split(networks=names[:5], held=(), trees=(), test=names[5:])
    seen: list[set[str]] = []

    margins: list[int] = []

    def watch(films: Any, *rest: Any) -> str:
        seen.append({film.patient for film in films.dataset.films})
        margins.append(rest[-1])
        if len(seen) == 2:
            raise KeyboardInterrupt
        return "prepared"

    monkeypatch.setattr(stages, "prepare_films", watch)
    monkeypatch.setattr(stages, "prepare_patches", watch)
    for begin in (
        lambda run: run_locate(Limb.FOOT, PAPER_LOCATE, run),
        lambda run: run_damage(changed(PAPER_DAMAGE, loop={"keep": "best"}), run),
    ):
        seen.clear()
        with pytest.raises(KeyboardInterrupt):
            begin(replace(run, folder=tmp_path / str(len(seen)), fold=fold))
        train, held = seen
        assert (len(train), len(held)) == (4, 1)
        assert train | held == set(names[:5])
    assert margins[2:] == [10, 0], "only what is trained on has room for centres that move"
    # nobody is held where the settings want nobody, as experiments of ``fast`` do
    assert replace(run, fold=fold).split(ReproduceSettings().damage.split) == fold
    assert replace(run, fold=fold).split(ReproduceSettings().locate.split) == fold


def test_networks_that_find_nothing_train_no_trees(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = with_networks(a_run(tmp_path / "run", cache)[0])
    monkeypatch.setattr(
        symmetry_stage, "patch_scores", lambda *_: np.full((10, len(TARGETS)), np.nan)
    )
    with pytest.raises(ValueError, match="found no joint on any film; train them longer"):
        run_symmetry(TREES.model_copy(update={"patients": 10}), run)


def test_patients_of_the_trees_must_not_choose_the_networks_weights(
    tmp_path: Path, cache: Path, cohort: Path
) -> None:
    run, _ = a_run(tmp_path / "run", cache, cohort)
    for loop in ({"keep": "best"}, {"patience": 2}):
        settings = changed(PAPER_DAMAGE, loop=loop, split={"held": 0.0})
        with pytest.raises(ValueError, match="must not choose their weights"):
            run_damage(settings, Run(tmp_path / str(loop), run.cache, run.dataset, print, print))


@pytest.mark.parametrize(
    ("landmarks", "settings", "message"),
    [
        (["mcp9"], PAPER_LOCATE, r"a hand has no landmark mcp9; use one of ip,"),
        (["mcp2"], FAST_LOCATE, "--landmark needs design 'one-landmark'"),
    ],
)
def test_points_that_cannot_be_trained_are_refused(
    tmp_path: Path, landmarks: list[str], settings: TrainLocateSettings, message: str
) -> None:
    run, _ = a_run(tmp_path / "run", tmp_path)
    with pytest.raises(ValueError, match=message):
        run_locate(Limb.HAND, settings, run, landmarks)
    assert not run.folder.exists()


def test_families_belong_to_the_published_design(tmp_path: Path) -> None:
    run, _ = a_run(tmp_path / "run", tmp_path)
    with pytest.raises(ValueError, match="--family needs design 'family'"):
        run_damage(FAST_DAMAGE, run, [(Limb.HAND, Damage.EROSION)])


@pytest.mark.usefixtures("quick_export")
def test_an_unreadable_film_costs_that_film_only(tmp_path: Path, cache: Path, cohort: Path) -> None:
    shutil.copytree(cohort, tmp_path / "sim")
    split = split_patients(open_dataset(cohort).patients, FAST_LOCATE.split)
    broken = tmp_path / "sim" / f"{split.networks[0]}-LF.jpg"
    assert broken.exists()
    broken.write_bytes(b"\xff\xd8 no film")
    run, lines = a_run(tmp_path / "run", cache, tmp_path / "sim")
    run_locate(Limb.FOOT, FAST_LOCATE, run)
    (refused,) = (line for line in lines if line.startswith("not used: "))
    assert broken.name in refused
    assert (run.folder / "locate-foot.onnx").exists()


@pytest.mark.usefixtures("quick_export")
def test_a_data_set_of_hands_only_trains_what_hands_can(
    tmp_path: Path, cache: Path, cohort: Path
) -> None:
    run, _ = a_run(tmp_path / "run", cache, cohort)
    assert run.dataset is not None
    hands = tuple(film for film in run.dataset.films if film.slot.limb is Limb.HAND)
    run = replace(run, dataset=replace(run.dataset, films=hands))
    run_damage(FAST_DAMAGE, run)
    result = json.loads((run.folder / "damage" / RESULT_FILE).read_text(encoding="utf-8"))
    assert "rmse_nh" in result["numbers"]
    assert "rmse_nf" not in result["numbers"]
    with pytest.raises(ValueError, match="no whole film of a foot"):
        run_locate(Limb.FOOT, FAST_LOCATE, run)
