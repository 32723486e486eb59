"""The stage of the trees: score patients, train, export, measure."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import TARGETS, Site
from mandora.core.csv_text import csv_text
from mandora.core.errors import InputError
from mandora.core.settings import TrainSymmetrySettings
from mandora.metrics.joints import by_family
from mandora.model.contract import SYMMETRY_FILE
from mandora.symmetry.forest import blend
from mandora.training.bundles import contract_of
from mandora.training.checkpoint import write_whole
from mandora.training.export import Regressor, export_forest
from mandora.training.out_of_sample import (
    LabelledPatients,
    Patients,
    SimulatedPatients,
    network_files,
    patch_scores,
)
from mandora.training.runs import RESULT_FILE, Run, start_stage
from mandora.training.symmetry import train_forest

COMPARED = 4  # held-out patients on which the exported trees are compared with scikit-learn's
HELD_PATIENTS = 0.2  # of the simulated patients


def run_symmetry(settings: TrainSymmetrySettings, run: Run) -> None:
    """Train the trees on patch scores of patients that did not train the networks.

    ``symmetry/patch_scores.csv`` gets patch scores and true scores. With a data set the trees'
    patients train them and the test patients measure the gain; of simulated patients a fifth is
    held out to measure it.

    Raises:
        ValueError: if a network is missing, no patient has films, or the run was started with
            other settings or data.
    """
    start_stage(run, "symmetry", settings)
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
            "the run's networks found no joint on any film; train them longer, or see what they "
            "find with mandora locate"
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
    """The patients, and the number of held-out ones, which come first."""
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
    before, after = (by_family(table, truth, ("r",)) for table in (patch, final))
    numbers = {}
    for family in ("nh", "nf", "eh", "ef"):
        numbers[f"r_{family}_patch"] = before[family]["r"].value
        numbers[f"r_{family}_final"] = after[family]["r"].value
    return numbers
