"""The jobs of the experiments, small, from a data set to the tables that figures are drawn of."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mandora.core.anatomy import FAMILIES, LANDMARKS, SLOTS, TARGETS, JointGroup, Limb
from mandora.core.parallel import Job, JobContext, map_jobs
from mandora.core.settings import (
    PRESETS,
    ReproduceSettings,
    SimulateSettings,
    SymmetrySettings,
    TrainDamageSettings,
    TrainLocateSettings,
    TrainSymmetrySettings,
    preset,
)
from mandora.damage.network import build_damage_net
from mandora.datasets.layouts import open_dataset
from mandora.reproduce import jobs as fold_jobs
from mandora.reproduce.collect import collect, of_test
from mandora.reproduce.experiment import (
    ABLATIONS,
    BASE,
    BOTTLENECKED,
    GROUP_NETWORKS,
    MASKS,
    compared_networks,
    extra_networks,
    fewer_patients,
    folds_of,
    jobs_of,
    time_factors,
    with_network,
)
from mandora.reproduce.jobs import (
    FRAMES,
    LANDMARKS_FILE,
    SCORES_FILE,
    TREES_FILE,
    grow_trees,
    join_groups,
    train_damage,
)
from mandora.reproduce.study import Study
from mandora.simulate.cohort.folder import simulate_cohort

torch = pytest.importorskip("torch")

SETTINGS = ReproduceSettings()
PATIENTS = 6


def small(settings: ReproduceSettings, **values: Any) -> ReproduceSettings:
    """Settings with which a fold takes seconds."""

    def with_network(stage: Any, **network: Any) -> Any:
        loop = stage.loop.model_copy(update={"epochs": 1, "threads": 1})
        network = stage.network.model_copy(update=network)
        return stage.model_copy(update={"loop": loop, "network": network})

    return settings.model_copy(
        update={
            "locate": with_network(settings.locate, input_px=64, found_threshold=0.0),
            "damage": with_network(settings.damage, patch_px=32, widths=(4, 6)),
            "forest": SymmetrySettings(trees=3, depth=2, threads=1),
            **values,
        }
    )


def test_folds_follow_the_plan() -> None:
    names = [f"P{i}" for i in range(40)]
    assert len(folds_of(names, SETTINGS)) == 10
    published = folds_of(names, SETTINGS.model_copy(update={"plan": "repeated", "folds": 3}))
    assert [fold.name for fold in published] == ["repeat-01", "repeat-02", "repeat-03"]
    assert {len(fold.split.test) for fold in published} == {8}


def test_what_is_drawn_is_all_that_differs_between_the_masks() -> None:
    made = {mask: with_network(SETTINGS.damage, changes) for mask, changes in MASKS.items()}
    assert {m.network.mask for m in made.values()} == {"space", "none", "erosion"}
    for one in made.values():
        assert one.network.model_copy(update={"mask": "space"}) == SETTINGS.damage.network


def test_fewer_patients_are_shown_as_often() -> None:
    split = folds_of([f"P{i}" for i in range(100)], SETTINGS)[0].split
    some, settings = fewer_patients(split, SETTINGS.damage, 0.25)
    assert some.networks == split.networks[:15]
    assert (some.trees, some.test) == (split.trees, split.test)
    assert settings.loop.epochs == 4 * SETTINGS.damage.loop.epochs
    assert fewer_patients(split, SETTINGS.damage, 0.001)[0].networks == split.networks[:1]


def test_jobs_need_what_they_use_and_change_with_it(tmp_path: Path) -> None:
    names = [f"P{i}" for i in range(20)]
    study = Study(tmp_path / "data", (), tmp_path / "cache")
    folds = folds_of(names, SETTINGS)
    jobs = {job.name: job for job in jobs_of(study, folds, SETTINGS, "content", set(Limb))}
    more = 2 * (len(ABLATIONS) + len(SETTINGS.shares)) + 2 * 3 + 1
    assert len(jobs) == 10 * (1 + 5 + 1 + 5 + 1 + 1) + SETTINGS.more_folds * more
    apart = jobs["fold-01/scores-groups"].needs
    assert apart == tuple(f"fold-01/scores-{name}" for name in ("finger", "wrist", "toe"))
    assert jobs["fold-03/trees"].needs == ("fold-03/scores-space",)
    assert set(jobs["fold-03/scores-none"].needs) == {
        "fold-03/locate", "fold-03/landmarks", "fold-03/damage-none",
    }  # fmt: skip
    longer = SETTINGS.damage.loop.model_copy(update={"epochs": 9})
    other = SETTINGS.model_copy(
        update={"damage": SETTINGS.damage.model_copy(update={"loop": longer})}
    )
    other_jobs = {
        job.name.partition("/")[2]
        for job in jobs_of(study, folds, other, "content", set(Limb))
        if job.key != jobs[job.name].key
    }
    trained = {*MASKS, *BOTTLENECKED, *ABLATIONS, "share-25", "share-50", "finger", "wrist", "toe"}
    assert other_jobs == {f"damage-{name}" for name in trained}
    assert BASE in trained
    others = jobs_of(study, folds, SETTINGS, "other films", set(Limb))
    assert all(job.key != jobs[job.name].key for job in others)
    hands = {job.name for job in jobs_of(study, folds, SETTINGS, "content", {Limb.HAND})}
    assert set(jobs) - hands == {"fold-01/damage-toe", "fold-01/scores-toe"}


@pytest.mark.parametrize("stage", ["locate", "damage"])
@pytest.mark.parametrize("loop", [{"keep": "best"}, {"patience": 2}])
def test_patients_of_the_trees_choose_no_weights(
    tmp_path: Path, stage: str, loop: dict[str, Any]
) -> None:
    study = Study(tmp_path / "data", (), tmp_path / "cache")
    trained = getattr(SETTINGS, stage)
    chooses = trained.model_copy(update={"loop": trained.loop.model_copy(update=loop)})
    settings = SETTINGS.model_copy(update={stage: chooses})
    folds = folds_of([f"P{i}" for i in range(20)], settings)
    nobody = [replace(f, split=replace(f.split, held=())) for f in folds]
    with pytest.raises(ValueError, match="must not choose their weights"):
        jobs_of(study, nobody, settings, "content", set(Limb))
    split = folds[0].split
    held = replace(split, held=split.networks[:2], networks=split.networks[2:])
    assert jobs_of(study, [replace(folds[0], split=held)], settings, "content", set(Limb))


def test_arrays_of_a_job_have_the_names_that_it_gives_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_in_numpy_2_0(file: Any, **arrays: Any) -> None:
        with zipfile.ZipFile(file, "w") as zipped:
            for name, values in arrays.items():
                data = io.BytesIO()
                np.save(data, values, allow_pickle=False)
                zipped.writestr(f"{name}.npy", data.getvalue())

    for savez in (np.savez, as_in_numpy_2_0):
        monkeypatch.setattr(np, "savez", savez)
        fold_jobs._save(tmp_path / "made.npz", {"rows": np.zeros(3), "names": np.array(["a"])})
        with np.load(tmp_path / "made.npz", allow_pickle=False) as made:
            assert sorted(made.files) == ["names", "rows"]
    assert [p.name for p in tmp_path.iterdir()] == ["made.npz"]


def networks_of(jobs: list[Job]) -> dict[str, TrainDamageSettings]:
    """The damage networks of the jobs and what they are trained with."""
    return {
        job.name: job.run.args[2]
        for job in jobs
        if isinstance(job.run, partial) and job.run.func is train_damage
    }


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("more_folds", [0, 1])
def test_every_network_of_the_plan_can_be_built(tmp_path: Path, name: str, more_folds: int) -> None:
    settings = preset(name, ReproduceSettings).model_copy(update={"more_folds": more_folds})
    study = Study(tmp_path / "data", (), tmp_path / "cache")
    folds = folds_of([f"P{i}" for i in range(20)], settings)[:2]
    jobs = jobs_of(study, folds, settings, "content", set(Limb))
    trained = networks_of(jobs)
    fast = name == "fast"
    of_all = {*MASKS, *(BOTTLENECKED if fast else ())}
    of_first = {"share-25", "share-50", *((*ABLATIONS, *JointGroup) if fast else ())}
    assert set(trained) == {
        *(f"{fold.name}/damage-{arm}" for fold in folds for arm in of_all),
        *(f"{folds[0].name}/damage-{arm}" for arm in of_first if more_folds),
    }
    assert {f"scores-{n}" in {j.kind for j in jobs} for n in extra_networks(settings)} <= {
        bool(more_folds)
    }
    for one in {s.to_toml(): s for s in trained.values()}.values():
        for family in FAMILIES if one.network.design == "family" else [None]:
            with torch.device("meta"):  # no weights are drawn
                build_damage_net(one.network, family)
    named = {job.name for job in jobs}
    assert all(need in named for job in jobs for need in job.needs)


def test_figure_5_as_published_needs_the_bottleneck() -> None:
    damage = SETTINGS.damage
    assert not damage.network.bottleneck
    made = {
        name: with_network(damage, changes).network
        for name, changes in compared_networks(SETTINGS).items()
    }
    first, second = (made[name] for name in BOTTLENECKED)
    assert (first.mask, second.mask) == ("space", "none")
    assert first.bottleneck
    assert first.model_copy(update={"mask": "none"}) == second
    assert set(compared_networks(SETTINGS.model_copy(update={"bottleneck_arms": False}))) == set(
        MASKS
    )
    assert set(compared_networks(preset("paper", ReproduceSettings))) == set(MASKS)  # all have it
    assert GROUP_NETWORKS in extra_networks(SETTINGS)


def test_the_paper_s_steps_are_stretched_with_its_epochs() -> None:
    split = folds_of([f"P{i}" for i in range(100)], SETTINGS)[0].split
    damage = preset("paper", ReproduceSettings).damage
    loop = fewer_patients(split, damage, 0.5)[1].loop
    assert (loop.epochs, loop.drop_after, loop.restart_every) == (100, 20, 20)


def test_a_plan_knows_that_the_paper_takes_longer() -> None:
    assert set(time_factors(SETTINGS).values()) == {1.0}
    paper = time_factors(preset("paper", ReproduceSettings))
    assert paper["locate"] > paper["landmarks"] > 100
    assert paper["damage"] > paper["scores"] > 10


def test_the_paper_s_values_of_the_experiments() -> None:
    paper, fast = (preset(name, ReproduceSettings) for name in ("paper", "fast"))
    assert (paper.plan, paper.folds, paper.trees_share) == ("repeated", 10, 0.3)
    assert (paper.shap_rows, fast.shap_rows) == ("as they are", "both orders")
    assert (paper.forest.drop_extremity, fast.forest.drop_extremity) == (0.0, 0.25)
    assert (paper.forest.label, paper.more_folds) == ("official", 0)
    assert paper.locate == preset("paper", TrainLocateSettings)
    assert paper.damage == preset("paper", TrainDamageSettings)
    trees = preset("paper", TrainSymmetrySettings).forest
    assert paper.forest == trees.model_copy(update={"threads": 1})


def test_rows_that_are_explained_are_part_of_the_job(tmp_path: Path) -> None:
    study = Study(tmp_path / "data", (), tmp_path / "cache")
    folds = folds_of([f"P{i}" for i in range(20)], SETTINGS)[:1]
    other = SETTINGS.model_copy(update={"shap_rows": "as they are"})
    both, one = (
        {job.name: job for job in jobs_of(study, folds, s, "content", set(Limb))}
        for s in (SETTINGS, other)
    )
    assert {name for name in both if both[name].key != one[name].key} == {"fold-01/shap"}
    assert both["fold-01/shap"].run.args == ("fold-01/trees", "predicted", True)
    assert one["fold-01/shap"].run.args == ("fold-01/trees", "predicted", False)


def test_each_group_is_scored_by_its_own_network(tmp_path: Path) -> None:
    jobs = {}
    for value, group in enumerate(JointGroup):
        (tmp_path / group).mkdir()
        tables = {frame: np.full((2, len(TARGETS)), float(value)) for frame in FRAMES}
        who = {"patient": np.array(["a", "b"]), "test": np.array([True, False])}
        np.savez(tmp_path / group / SCORES_FILE, **who, **tables)
        jobs[group] = str(group)
    context = JobContext(tmp_path / "out", 1, {str(g): tmp_path / g for g in JointGroup}, {})
    context.folder.mkdir()
    join_groups(jobs, context)
    with np.load(context.folder / SCORES_FILE) as made:
        assert made["patient"].tolist() == ["a", "b"]
        for frame in FRAMES:
            for column, target in enumerate(TARGETS):
                expected = list(JointGroup).index(target.site.group)
                assert (made[frame][:, column] == expected).all()


@pytest.mark.slow  # five networks are trained and exported
def test_a_whole_fold(tmp_path: Path) -> None:
    data = tmp_path / "sim"
    simulate_cohort(SimulateSettings(patients=PATIENTS, seed=9, pixels_per_mm=2.5), data)
    settings = small(SETTINGS, plan="repeated", folds=1, more_folds=0)
    study = Study(data, (), tmp_path / "cache")
    dataset = open_dataset(data)
    folds = folds_of(dataset.patients, settings)
    out = tmp_path / "out"
    jobs = jobs_of(study, folds, settings, "content", set(Limb))
    values = map_jobs(jobs, out)
    assert set(values) == {job.name for job in jobs}
    test = set(folds[0].split.test)
    landmarks = collect(out, folds, "landmarks", LANDMARKS_FILE)
    assert len(landmarks["film"]) == 4 * (len(test) + len(folds[0].split.trees))
    assert set(of_test(landmarks)["film"]) == {
        f"{patient}-{slot.code}.jpg" for patient in test for slot in SLOTS
    }
    hands = landmarks["limb"] == Limb.HAND.value
    assert np.isfinite(landmarks["true"][hands]).all()
    assert np.isnan(landmarks["true"][~hands][:, len(LANDMARKS[Limb.FOOT]) :]).all()
    scores = collect(out, folds, "scores-space", SCORES_FILE)
    assert set(scores["patient"]) == test | set(folds[0].split.trees)
    assert set(of_test(scores)["patient"]) == test
    # all joints are known, so all have a score there but those behind metal or at a film's edge
    assert np.isfinite(scores["true"]).mean() > 0.9
    trees = collect(out, folds, "trees", TREES_FILE)
    assert trees["true_blend"].shape == (len(test), len(TARGETS))
    np.testing.assert_allclose(
        trees["true_blend"], (trees["true_patch"] + trees["true_tree"]) / 2, atol=1e-6
    )
    for i, patient in enumerate(trees["patient"]):
        np.testing.assert_array_equal(trees["official"][i], dataset.official[str(patient)])
    assert set(trees["fold"]) == {"repeat-01"}
    # what is done is not done again
    begun: list[str] = []
    assert map_jobs(jobs, out, report=begun.append) == values
    assert begun == [f"{len(jobs)} of {len(jobs)} jobs are done already"]


@pytest.mark.parametrize(("label", "value"), [("training", 3.0), ("official", 1.0)])
def test_trees_learn_the_label_that_is_set(tmp_path: Path, label: str, value: float) -> None:
    scores = tmp_path / "scores"
    scores.mkdir()
    patch = np.random.default_rng(0).uniform(0, 4, (8, len(TARGETS)))
    np.savez(
        scores / SCORES_FILE, patient=np.array([f"P{i}" for i in range(8)]),
        test=np.arange(8) < 3, true=patch, predicted=patch,
        official=np.full(patch.shape, 1.0), training=np.full(patch.shape, 3.0),
    )  # fmt: skip
    settings = SymmetrySettings(trees=3, depth=2, threads=1, label=label)  # type: ignore[arg-type]
    grow_trees("f/scores", settings, JobContext(tmp_path, 1, {"f/scores": scores}, {}))
    with np.load(tmp_path / TREES_FILE) as made:
        np.testing.assert_allclose(made["true_tree"], value)


def test_trees_of_joints_that_were_never_found_say_nothing(tmp_path: Path) -> None:
    scores = tmp_path / "scores"
    scores.mkdir()
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, (8, len(TARGETS))).astype(float)
    np.savez(
        scores / SCORES_FILE, patient=np.array([f"P{i}" for i in range(8)]),
        test=np.arange(8) < 3, true=truth + 0.2, predicted=np.full(truth.shape, np.nan),
        official=truth, training=truth,
    )  # fmt: skip
    context = JobContext(tmp_path, 1, {"f/scores": scores}, {})
    value = grow_trees("f/scores", SymmetrySettings(trees=3, depth=2, threads=1), context)
    assert value == {"patients": 3}
    made = np.load(tmp_path / TREES_FILE)
    assert np.isfinite(made["true_tree"]).all()
    assert np.isnan(made["predicted_tree"]).all()
    assert np.isnan(made["predicted_blend"]).all()
