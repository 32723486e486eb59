"""The paper's experiments as jobs, and what they left as tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mandora.evaluation.fold_jobs import (
    POINTS_FILE,
    SCORES_FILE,
    SHAP_FILE,
    TREES_FILE,
    Networks,
    Study,
    explain_trees,
    find_points,
    grow_trees,
    score_patients,
    train_damage,
    train_localisers,
)
from mandora.evaluation.folds import Fold, k_folds, repeated
from mandora.runners import Job
from mandora.settings import (
    ReproduceSettings,
    SplitSettings,
    TrainDamageSettings,
)

VARIANTS = ("space", "none", "erosion")
"""What the damage network draws: the design, and the paper's two comparisons (figs 5 and 6)."""

_MINUTES = {"locate": 12.0, "damage": 8.0, "points": 1.0, "scores": 4.0, "trees": 2.0, "shap": 1.0}
"""What jobs take on one core with 100 patients and 10 folds, measured once; for the plan only."""


def folds_of(patients: Sequence[str], settings: ReproduceSettings) -> tuple[Fold, ...]:
    """The folds that the settings ask for.

    Raises:
        ValueError: if there are too few patients.
    """
    if settings.plan == "k-fold":
        return k_folds(patients, settings.folds, settings.trees_share, settings.seed)
    shares = SplitSettings(held=0.0, trees=settings.trees_share, seed=settings.seed)
    return repeated(patients, settings.folds, shares)


def variant(settings: TrainDamageSettings, mask: str) -> TrainDamageSettings:
    """The damage settings with another mask."""
    network = settings.network.model_copy(update={"mask": mask})
    return settings.model_copy(update={"network": network})


def jobs_of(
    study: Study, folds: Sequence[Fold], settings: ReproduceSettings, content: str
) -> list[Job]:
    """All jobs, fold by fold.

    Args:
        study: the data set.
        folds: who serves what.
        settings: of networks and trees.
        content: hash of the data set's films and labels.
    """
    jobs = []
    for fold in folds:
        jobs += _fold(study, fold, settings, content, _scale(fold))
    return jobs


def _scale(fold: Fold) -> float:
    """Work of a fold, compared with that of 100 patients in 10 folds."""
    return max(len(fold.split.networks) / 60, 0.02)


def _fold(
    study: Study, fold: Fold, settings: ReproduceSettings, content: str, scale: float
) -> list[Job]:
    split, name = fold.split, fold.name
    base = json.dumps([content, study.readers, asdict(split)])

    def job(kind: str, run: Any, key: str, *needs: str, files: tuple[str, ...] = ()) -> Job:
        minutes = scale * _MINUTES[kind.partition("-")[0]]
        return Job(
            name=f"{name}/{kind}", run=run, key=f"{base} {key}",
            needs=tuple(f"{name}/{need}" for need in needs), files=files,
            minutes=max(minutes, 0.01), disk_mb=10.0 if kind.startswith(("loc", "dam")) else 1.0,
        )  # fmt: skip

    locate = settings.locate
    jobs = [
        job("locate", partial(train_localisers, study, split, locate), locate.to_toml()),
    ]
    for mask in VARIANTS:
        damage = variant(settings.damage, mask)
        jobs.append(
            job(f"damage-{mask}", partial(train_damage, study, split, damage), damage.to_toml())
        )
        networks = Networks(f"{name}/locate", f"{name}/damage-{mask}", locate, damage)
        if mask == VARIANTS[0]:
            jobs.append(
                job("points", partial(find_points, study, split, networks), "points",
                    "locate", f"damage-{mask}", files=(POINTS_FILE,))
            )  # fmt: skip
        jobs.append(
            job(f"scores-{mask}", partial(score_patients, study, split, networks), "scores",
                "locate", f"damage-{mask}", files=(SCORES_FILE,))
        )  # fmt: skip
    grow = partial(grow_trees, f"{name}/scores-{VARIANTS[0]}", settings.forest)
    jobs.append(
        job("trees", grow, settings.forest.to_toml(), f"scores-{VARIANTS[0]}", files=(TREES_FILE,))
    )
    jobs.append(
        job("shap", partial(explain_trees, f"{name}/trees", "predicted"), "shap", "trees",
            files=(SHAP_FILE,))
    )  # fmt: skip
    return jobs


# ── what they left ───────────────────────────────────────────────────────────────────────


Arrays = dict[str, NDArray[Any]]


def gathered(out: Path, folds: Sequence[Fold], kind: str, file: str) -> Arrays:
    """The arrays of one kind of job in all folds, one after the other, and ``fold`` of each row.

    Args:
        out: of the jobs.
        folds: which.
        kind: last part of the jobs' names.
        file: that they left.
    """
    parts: dict[str, list[NDArray[Any]]] = {}
    for fold in folds:
        with np.load(out / fold.name / kind / file, allow_pickle=False) as data:
            rows = len(data[data.files[0]])
            for key in data.files:
                parts.setdefault(key, []).append(data[key])
        parts.setdefault("fold", []).append(np.full(rows, fold.name))
    return {key: np.concatenate(arrays) for key, arrays in parts.items()}


def of_test(arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """Only the rows of test patients."""
    return {key: values[arrays["test"]] for key, values in arrays.items()}
