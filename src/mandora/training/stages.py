"""The stages of the networks: prepare what they are trained on, train, export, measure."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from torch import nn

from mandora.core.anatomy import FAMILIES, LANDMARK_INDEX, LANDMARKS, Damage, JointGroup, Limb
from mandora.core.errors import InputError
from mandora.core.settings import (
    LoopSettings,
    Settings,
    SplitSettings,
    TrainDamageSettings,
    TrainLocateSettings,
)
from mandora.damage.network import build_damage_net
from mandora.locate.network import build_locate_net
from mandora.model.contract import damage_file, locate_file
from mandora.training.bundles import locate_contract
from mandora.training.cache import Prepared
from mandora.training.checkpoint import load_network, write_whole
from mandora.training.damage import DamageTask
from mandora.training.export import export_damage, export_locator
from mandora.training.films import Films, LabelledFilms, SimulatedFilms
from mandora.training.locate import LocateTask, prepare_films
from mandora.training.loop import fit
from mandora.training.mixed import InflictedFilms, JoinedFilms
from mandora.training.patches import prepare_patches, stored_px
from mandora.training.processes import Processes, join
from mandora.training.runs import (
    RESULT_FILE,
    Run,
    copies_of,
    kept_weights,
    note_real_films,
    note_start_weights,
    start_stage,
)
from mandora.training.task import Task

Family = tuple[Limb, Damage]
T = TypeVar("T")

_LOG = logging.getLogger(__name__)

HELD_SHARE = 0.1  # simulated items that are held out / simulated items to train on
MIN_HELD_FILMS, MIN_HELD_PATIENTS = 8, 4
COMPARED = 4  # held-out items on which an exported network is compared with the trained one


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
        run: the training run.
        landmarks: with networks of one landmark each: names of those to train; empty: all.

    Raises:
        ValueError: if a landmark does not exist, nothing is left to train on, or the run was
            started with other settings or data.
    """
    network, loop = settings.network, settings.loop
    one_landmark = network.design == "one-landmark"
    names = [landmark.name for landmark in LANDMARKS[limb]]
    unknown = [name for name in landmarks if name not in names]
    if unknown:
        raise InputError(f"a {limb} has no landmark {unknown[0]}; use one of {', '.join(names)}")
    if landmarks and not one_landmark:
        raise InputError("one network finds all landmarks; --landmark needs design 'one-landmark'")
    locate_contract(network)  # refuses what could not be used for scoring
    processes = join(loop.device)
    run.check_choice(settings.split, loop)
    real_copies = copies_of(settings.real_copies, run)
    _start(run, f"locate-{limb}", settings, processes)
    sources = _sources(
        limb, settings.films, MIN_HELD_FILMS, settings.split, loop.seed, run, fine=False
    )
    for dataset, copies in zip(run.real, real_copies, strict=True):
        real = LabelledFilms(dataset.marked(), limb, run.cache, rois=False)
        sources = _with_real_films(sources, (real,) * copies)
    if not len(sources.train) or not len(sources.held):
        raise InputError(
            f"the data set has no whole film of a {limb} to train and to measure on; "
            f"add some, or train the other limb with --limb"
        )
    train, held = (
        _main_first(processes, partial(
            prepare_films, films, network, run.cache, loop.threads, run.progress
        ))
        for films in sources
    )  # fmt: skip
    _report_items(run, sources.train, train, processes)
    wanted: Sequence[str | None] = landmarks or (names if one_landmark else [None])
    for name in wanted:
        for seed in range(1, network.seeds + 1) if one_landmark else [1]:
            index = None if name is None else LANDMARK_INDEX[limb][name]
            task = LocateTask(sources.train, network, settings.changes, train, held, index)
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
        run: the training run.
        families: with networks of one family each: those to train; empty: all four.
        group: train on these joints only; None: all.

    Raises:
        ValueError: if nothing is left to train on, or the run was started with other settings or
            data.
    """
    network, loop = settings.network, settings.loop
    one_family = network.design == "family"
    if families and not one_family:
        raise InputError("one network scores all joints; --family needs design 'family'")
    processes = join(loop.device)
    run.check_choice(settings.split, loop)
    real_copies = copies_of(settings.real_copies, run)
    _start(run, "damage", settings, processes)
    wanted: Sequence[Family | None] = families or (list(FAMILIES) if one_family else [None])
    limbs = {family[0] for family in wanted if family} or set(Limb)
    side = stored_px(network, settings.changes)
    films, train, held = {}, {}, {}
    for limb in (limb for limb in Limb if limb in limbs):
        sources = _sources(
            limb, settings.patients, MIN_HELD_PATIENTS, settings.split, loop.seed, run, fine=True
        )
        for dataset, copies in zip(run.real, real_copies, strict=True):
            real = LabelledFilms(dataset.marked(), limb, run.cache)
            sources = _with_real_films(sources, (InflictedFilms(real, copies, loop.seed),))
        if not len(sources.train) or not len(sources.held):
            continue  # for example RAM-H1200, which has hands only
        films[limb] = sources.train
        train[limb], held[limb] = (
            _main_first(processes, partial(
                prepare_patches, one, network, side, run.cache, loop.threads, run.progress, moved_px
            ))
            for one, moved_px in zip(sources, (settings.changes.centre_film_px, 0), strict=True)
        )  # fmt: skip
        _report_items(run, sources.train, train[limb], processes)
    # unless named, families of limbs that the data set does not have are left out
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
    """Train one network, export it, and write its result."""
    if processes.main:
        run.report(f"{target.stem}: training")
    _LOG.info("%s: starts on %s", target.stem, processes.device)
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


def _start(run: Run, stage: str, settings: Settings, processes: Processes) -> None:
    if processes.main:
        start_stage(run, stage, settings)
        note_real_films(run, stage)
        note_start_weights(run, stage)
    processes.wait()


# ── training data ─────────────────────────────────────────────────────────────


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


def _with_real_films(sources: Sources, real: Sequence[Films]) -> Sources:
    """The sources, with real films added to those to train on, not to those to measure on."""
    shown = tuple(part for part in real if len(part))
    return sources._replace(train=JoinedFilms((sources.train, *shown))) if shown else sources


def _main_first(processes: Processes, make: Callable[[], T]) -> T:
    """What ``make`` gives: the first process first, then the others, from its cache."""
    made = make() if processes.main else None
    processes.wait()
    return make() if made is None else made


def _report_items(run: Run, films: Films, prepared: Prepared, processes: Processes) -> None:
    """Report the number of items, and those that could not be used."""
    if processes.main:
        run.report(f"{films.limb}: {len(films)} items to train on, prepared in {run.cache}")
        for index, why in prepared.refused.items():
            run.report(f"not used: {films.name(index)}: {why}")
