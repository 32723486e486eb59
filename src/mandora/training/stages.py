"""The three stages of a run: prepare what they are trained on, train, export, measure."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mandora.core.anatomy import (
    FAMILIES,
    LANDMARK_INDEX,
    LANDMARKS,
    TARGETS,
    Damage,
    JointGroup,
    Limb,
    Site,
)
from mandora.core.cells import csv_text
from mandora.core.errors import InputError
from mandora.core.settings import (
    LoopSettings,
    Settings,
    SplitSettings,
    TrainDamageSettings,
    TrainLocateSettings,
    TrainSymmetrySettings,
)
from mandora.damage.network import build_damage_net
from mandora.locate.network import build_locate_net
from mandora.model.contract import SYMMETRY_FILE, damage_file, locate_file
from mandora.symmetry.forest import blend
from mandora.training.bundles import contract_of, locate_contract
from mandora.training.cache import Prepared
from mandora.training.checkpoint import load_network, write_whole
from mandora.training.damage import DamageTask, prepare_patches, stored_px
from mandora.training.export import Regressor, export_damage, export_forest, export_locator
from mandora.training.films import Films, LabelledFilms, SimulatedFilms
from mandora.training.locate import LocateTask, prepare_films
from mandora.training.loop import fit
from mandora.training.mixed import InflictedFilms, JoinedFilms
from mandora.training.out_of_sample import (
    LabelledPatients,
    Patients,
    SimulatedPatients,
    network_files,
    patch_scores,
)
from mandora.training.processes import Processes, join
from mandora.training.runs import (
    RESULT_FILE,
    Run,
    begin_real,
    begin_stage,
    begin_start,
    kept_weights,
)
from mandora.training.symmetry import train_forest
from mandora.training.task import Task

Family = tuple[Limb, Damage]
T = TypeVar("T")

_LOG = logging.getLogger(__name__)

HELD_SHARE = 0.1  # simulated items that are held out, of those to train on
MIN_HELD_FILMS, MIN_HELD_PATIENTS = 8, 4
HELD_PATIENTS = 0.2  # of the trees' simulated patients
COMPARED = 4  # held-out items on which an export is compared with what it was made of


class Sources(NamedTuple):
    """Films of one limb, to train and to measure on."""

    train: Films
    held: Films


# ── the networks ───────────────────────────────────────────────────────────────────────────


def run_locate(
    limb: Limb, settings: TrainLocateSettings, run: Run, landmarks: Sequence[str] = ()
) -> None:
    """Train and export one limb's localisers.

    Args:
        limb: hand or foot.
        settings: of the stage.
        run: where.
        landmarks: with networks of one landmark each: names of those to train; empty: all.

    Raises:
        ValueError: if a landmark is not known, nothing is left to train on, or the run was begun
            with other settings or data.
    """
    network, loop = settings.network, settings.loop
    one_point = network.design == "one-point"
    names = [landmark.name for landmark in LANDMARKS[limb]]
    unknown = [point for point in landmarks if point not in names]
    if unknown:
        raise InputError(f"a {limb} has no landmark {unknown[0]}; use one of {', '.join(names)}")
    if landmarks and not one_point:
        raise InputError("one network finds all points; points are named with one-point only")
    locate_contract(network)  # what could not be used for scoring is not worth training
    processes = join(loop.device)
    run.check_choice(settings.split, loop)
    _begin(run, f"locate-{limb}", settings, processes)
    made = _sources(
        limb, settings.films, MIN_HELD_FILMS, settings.split, loop.seed, run, fine=False
    )
    if run.real is not None:
        real = LabelledFilms(run.real, limb, run.cache, rois=False)
        made = _beside(made, (real,) * settings.real_copies)
    if not len(made.train) or not len(made.held):
        raise InputError(
            f"the data set has no whole film of a {limb} to train and to measure on; "
            f"add some, or train the other limb with --limb"
        )
    train, held = (
        _in_turn(processes, partial(
            prepare_films, films, network, run.cache, loop.threads, run.progress
        ))
        for films in made
    )  # fmt: skip
    _tell(run, made.train, train, processes)
    wanted: Sequence[str | None] = landmarks or (names if one_point else [None])
    for name in wanted:
        for seed in range(1, network.seeds + 1) if one_point else [1]:
            index = None if name is None else LANDMARK_INDEX[limb][name]
            task = LocateTask(made.train, network, settings.changes, train, held, index)
            _train(
                run, run.folder / locate_file(limb, name, seed), task,
                partial(build_locate_net, limb, network),
                loop.model_copy(update={"seed": loop.seed + seed - 1}),
                partial(export_locator, settings=network, films=task.sample(COMPARED)),
                processes,
            )  # fmt: skip


def run_damage(
    settings: TrainDamageSettings,
    run: Run,
    families: Sequence[Family] = (),
    group: JointGroup | None = None,
) -> None:
    """Train and export the damage networks.

    Args:
        settings: of the stage.
        run: where.
        families: with networks of one family each: those to train; empty: all four.
        group: the only joints that the networks learn of; None: all.

    Raises:
        ValueError: if nothing is left to train on, or the run was begun with other settings or
            data.
    """
    network, loop = settings.network, settings.loop
    one_family = network.design == "family"
    if families and not one_family:
        raise InputError("one network scores all joints; families are named with 'family' only")
    processes = join(loop.device)
    run.check_choice(settings.split, loop)
    _begin(run, "damage", settings, processes)
    wanted: Sequence[Family | None] = families or (list(FAMILIES) if one_family else [None])
    limbs = {family[0] for family in wanted if family} or set(Limb)
    side = stored_px(network, settings.changes)
    films, train, held = {}, {}, {}
    for limb in (limb for limb in Limb if limb in limbs):
        made = _sources(
            limb, settings.patients, MIN_HELD_PATIENTS, settings.split, loop.seed, run, fine=True
        )
        if run.real is not None:
            real = LabelledFilms(run.real, limb, run.cache)
            made = _beside(made, (InflictedFilms(real, settings.real_copies, loop.seed),))
        if not len(made.train) or not len(made.held):
            continue  # RAM has hands only
        films[limb] = made.train
        train[limb], held[limb] = (
            _in_turn(processes, partial(
                prepare_patches, one, network, side, run.cache, loop.threads, run.progress, moved_px
            ))
            for one, moved_px in zip(made, (settings.changes.centre_film_px, 0), strict=True)
        )  # fmt: skip
        _tell(run, made.train, train[limb], processes)
    # without being asked, no network is trained of limbs that the data set does not have
    taught = [family for family in wanted if families or family is None or family[0] in films]
    for family in taught or wanted:
        task = DamageTask(films, settings, train, held, family, group)
        patches, landmarks = task.sample(COMPARED)
        _train(
            run, run.folder / damage_file(family), task,
            partial(build_damage_net, network, family), loop,
            partial(export_damage, settings=network, patches=patches, landmarks=landmarks),
            processes,
        )  # fmt: skip


def _train(
    run: Run,
    target: Path,
    task: Task,
    build: Callable[[], nn.Module],
    loop: LoopSettings,
    export: Callable[..., float],
    processes: Processes,
) -> None:
    """Train one network, export it, and keep what it was measured to do."""
    if processes.main:
        run.report(f"{target.stem}: training")
    _LOG.info("%s: begins on %s", target.stem, processes.device)
    start = time.monotonic()
    torch.manual_seed(loop.seed)  # before the network: its first weights are random
    network = build()
    if run.start is not None:
        load_network(network, kept_weights(run.start / target.stem))
    folder = target.with_suffix("")
    outcome = fit(network, loop, task, folder, run.report, run.progress)
    _LOG.info("%s: trained in %.1f s", target.stem, time.monotonic() - start)
    if processes.main:
        worst = export(network, path=target)
        result = {**outcome._asdict(), "export_difference": worst}
        write_whole(folder / RESULT_FILE, (json.dumps(result, indent=1) + "\n").encode())
        run.report(f"{target} (export differs by at most {worst:.1g})")
    processes.wait()


def _begin(run: Run, stage: str, settings: Settings, processes: Processes) -> None:
    if processes.main:
        begin_stage(run, stage, settings)
        begin_real(run, stage)
        begin_start(run, stage)
    processes.wait()


# ── what they are trained on ─────────────────────────────────────────────────────────────


def _sources(
    limb: Limb, count: int, least: int, split: SplitSettings, seed: int, run: Run, *, fine: bool
) -> Sources:
    parts = run.split(split)
    if run.dataset is None or parts is None:
        held = max(round(HELD_SHARE * count), least)
        return Sources(
            SimulatedFilms(limb, count, seed, fine), SimulatedFilms(limb, held, seed + 1, fine)
        )
    train, measured = (
        LabelledFilms(run.dataset.of_patients(frozenset(names)), limb, run.cache, rois=fine)
        for names in (parts.networks, parts.measured)
    )
    return Sources(train, measured)


def _beside(made: Sources, real: Sequence[Films]) -> Sources:
    """Simulated films with real ones to train on; what measures them stays simulated."""
    shown = tuple(part for part in real if len(part))
    return made._replace(train=JoinedFilms((made.train, *shown))) if shown else made


def _in_turn(processes: Processes, make: Callable[[], T]) -> T:
    """The first process makes it, the others find it made."""
    made = make() if processes.main else None
    processes.wait()
    return make() if made is None else made


def _tell(run: Run, films: Films, prepared: Prepared, processes: Processes) -> None:
    """How many items there are, and which could not be used."""
    if processes.main:
        run.report(f"{films.limb}: {len(films)} items to train on, prepared in {run.cache}")
        for index, why in prepared.refused.items():
            run.report(f"not used: {films.name(index)}: {why}")


# ── the trees ────────────────────────────────────────────────────────────────────────────


def run_symmetry(settings: TrainSymmetrySettings, run: Run) -> None:
    """Train the trees on patch scores of patients that the networks never saw.

    Patch scores are kept in ``symmetry/patch_scores.csv`` beside the truth. With a data set the
    trees' patients train them and the test patients say what they gain; of simulated patients a
    fifth is held out for that.

    Raises:
        ValueError: if a network is missing, no patient has films, or the run was begun with
            other settings or data.
    """
    begin_stage(run, "symmetry", settings)
    contract = contract_of(run.folder)
    lacking = [n for n in network_files(contract) if not (run.folder / n).exists()]
    if lacking:
        raise InputError(f"{run.folder} lacks {', '.join(lacking)}; train those first")
    patients, held = _tree_patients(settings, run)
    folder = run.folder / "symmetry"
    folder.mkdir(exist_ok=True)
    run.report(f"symmetry: scoring {len(patients)} patients")
    networks = {name: run.folder / name for name in network_files(contract)}
    patch = patch_scores(
        patients, networks, contract, folder, settings.forest.threads, run.report, run.progress
    )
    if not np.isfinite(patch).any():
        raise InputError(
            "the run's networks found no joint on any film; train them longer, or look at what "
            "they find with mandora locate"
        )
    truth, official = (
        np.array([label(i) for i in range(len(patients))])
        for label in (patients.truth, patients.official)
    )
    _write_scores(folder / "patch_scores.csv", patients, patch, official)
    models: dict[Site, Regressor] = {}
    learnt = truth if settings.forest.label == "training" else official
    forest = train_forest(patch[held:], learnt[held:], settings.forest, run.progress, models)
    worst = export_forest(forest, models, run.folder / SYMMETRY_FILE, patch[:COMPARED])
    final = blend(patch[:held], forest.predict(patch[:held]), settings.forest.blend)
    numbers = {"held_out_patients": held, **_agreement(patch[:held], final, official[:held])}
    result = {"numbers": numbers, "export_difference": worst}
    write_whole(folder / RESULT_FILE, (json.dumps(result, indent=1) + "\n").encode())
    run.report("  ".join(f"{k} {v:.3g}" for k, v in numbers.items()))


def _tree_patients(settings: TrainSymmetrySettings, run: Run) -> tuple[Patients, int]:
    """The patients, and how many of them, the first ones, are held out."""
    split = run.split(settings.split)
    if run.dataset is None or split is None:
        patients = SimulatedPatients(
            settings.patients, settings.cohort_seed, settings.pixels_per_mm
        )
        return patients, max(1, round(HELD_PATIENTS * settings.patients))
    chosen = LabelledPatients(run.dataset, (*split.test, *split.trees))
    tested = sum(chosen.name(i) in split.test for i in range(len(chosen)))
    if len(chosen) == tested or not tested:
        raise InputError("the trees need whole films of patients to train and to test on; add some")
    return chosen, tested


def _write_scores(
    path: Path, patients: Patients, patch: NDArray[np.float64], truth: NDArray[np.float64]
) -> None:
    rows = [["patient", "target", "patch_score", "true_score"]]
    for i in range(len(patch)):
        for k, target in enumerate(TARGETS):
            shown = ["" if np.isnan(v) else f"{v:.4g}" for v in (patch[i, k], truth[i, k])]
            rows.append([patients.name(i), target.key, *shown])
    write_whole(path, csv_text(rows).encode())


def _agreement(
    patch: NDArray[np.float64], final: NDArray[np.float64], truth: NDArray[np.float64]
) -> dict[str, float]:
    """Pearson's r of each family, before and after the trees, over joints."""
    numbers = {}
    for code in ("nh", "nf", "eh", "ef"):
        columns = [i for i, t in enumerate(TARGETS) if t.site.code.startswith(code)]
        wanted = truth[:, columns].ravel()
        for name, table in (("patch", patch), ("final", final)):
            got = table[:, columns].ravel()
            known = np.isfinite(got) & np.isfinite(wanted)
            vary = known.sum() > 1 and np.ptp(got[known]) > 0 and np.ptp(wanted[known]) > 0
            numbers[f"r_{code}_{name}"] = (
                float(np.corrcoef(got[known], wanted[known])[0, 1]) if vary else float("nan")
            )
    return numbers
