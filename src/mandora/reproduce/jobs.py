"""The jobs of one fold: train, find landmarks, score patches, grow trees, explain them.

Each function is one job (``mandora.core.parallel``): it gets the study, the fold, settings and the
job's context; it leaves files in its own folder and returns a few numbers.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import LANDMARKS, SITES, TARGETS, JointGroup, Limb
from mandora.core.files import write_atomically
from mandora.core.parallel import JobContext
from mandora.core.records import ModelInfo
from mandora.core.settings import SymmetrySettings, TrainDamageSettings, TrainLocateSettings
from mandora.datasets.dataset import Dataset
from mandora.locate.orientation import Orientation
from mandora.metrics.explain import mean_contributions
from mandora.model.loading import Stages
from mandora.reproduce.study import Networks, Study, films_of, unseen
from mandora.scoring.failures import why_failed
from mandora.scoring.pipeline import Pipeline
from mandora.symmetry.forest import JointForest, blend
from mandora.training.out_of_sample import (
    FoundLimb,
    LabelledPatients,
    LocatedPatients,
    patch_scores,
)
from mandora.training.runs import Run
from mandora.training.splits import Split
from mandora.training.stages import run_damage, run_locate
from mandora.training.symmetry import train_forest

Table = NDArray[np.float64]
S = TypeVar("S", TrainLocateSettings, TrainDamageSettings)

SCORES_FILE, LANDMARKS_FILE, TREES_FILE = "scores.npz", "landmarks.npz", "trees.npz"
SHAP_FILE = "shap.npz"
FRAMES = ("true", "predicted")  # where joints are: known, or found by the fold's localisers


# ── training ─────────────────────────────────────────────────────────────────────────────


def train_localisers(
    study: Study, split: Split, settings: TrainLocateSettings, context: JobContext
) -> dict[str, float]:
    """Both limbs' localisers on the fold's network patients; those without films are left out."""
    run = _run(study, split, context.folder)
    assert run.dataset is not None
    limbs = {film.slot.limb for film in run.dataset.films}
    for limb in (limb for limb in Limb if limb in limbs):
        run_locate(limb, _on(context, settings), run)
    return {"limbs": float(len(limbs))}


def train_damage(
    study: Study, split: Split, settings: TrainDamageSettings, group: JointGroup | None,
    context: JobContext,
) -> dict[str, float]:  # fmt: skip
    """The damage networks on the fold's network patients, of one group of joints or of all."""
    run_damage(_on(context, settings), _run(study, split, context.folder), group=group)
    return {"patients": float(len(split.networks))}


def _run(study: Study, split: Split, folder: Path) -> Run:
    return Run(folder, study.cache, study.open(), _silence, _silence, split)


def _on(context: JobContext, settings: S) -> S:
    """The settings with the threads that the job may use; the weights do not depend on them."""
    loop = settings.loop.model_copy(update={"threads": context.threads})
    return settings.model_copy(update={"loop": loop})


def _silence(*_: object) -> None: ...


def _save(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    data = io.BytesIO()
    # no ``allow_pickle``: NumPy 2.0 would take it for one more array
    np.savez(data, **arrays)  # type: ignore[arg-type]
    write_atomically(path, data.getvalue())


# ── landmarks and scores ────────────────────────────────────────────────────────────────


def find_landmarks(
    study: Study, split: Split, networks: Networks, context: JobContext
) -> dict[str, float]:
    """Look for the joints of all patients that the networks have not seen.

    Leaves ``landmarks.npz``.

    Arrays: ``film`` (F,) names, ``limb`` (F,), ``test`` (F,) bool, of a test patient, ``size``
    (F, 2) width and height in px, for the larger number of landmarks of the two limbs ``true`` and
    ``found`` (F, N, 2) px, NaN where not marked or not found, and ``view`` (F, 3): quarter turns,
    mirrored, inverted.
    """
    dataset, most = study.open(), max(len(LANDMARKS[limb]) for limb in Limb)
    pipeline = _pipeline(networks, context)
    films = films_of(dataset, unseen(split))
    true, found = (np.full((len(films), most, 2), np.nan) for _ in range(2))
    size, views = np.full((len(films), 2), np.nan), np.zeros((len(films), 3), np.int64)
    for i, film in enumerate(films):
        count = len(LANDMARKS[film.slot.limb])
        true[i, :count] = film.landmarks
        try:
            radiograph = film.read()
            size[i] = radiograph.shape[::-1]
            limb = pipeline.locate(radiograph, film.slot.limb, film.slot.side)
        except Exception as error:  # costs this film: nothing is found on it
            why_failed(error, film.name)
            continue
        found[i, :count] = limb.landmarks
        lies = limb.orientation
        views[i] = lies.turns, lies.mirrored, lies.inverted
    names = np.array([film.name for film in films])
    arrays = {
        "film": names, "limb": np.array([film.slot.limb.value for film in films]),
        "test": np.array([film.patient in split.test for film in films]),
        "size": size, "true": true, "found": found, "view": views,
    }  # fmt: skip
    _save(context.folder / LANDMARKS_FILE, arrays)
    known = np.isfinite(true).all(axis=2)
    return {"films": float(len(films)), "landmarks": float(known.sum())}


def _found(dataset: Dataset, split: Split, path: Path) -> dict[Path, FoundLimb]:
    """What :func:`find_landmarks` has left, by path of the film."""
    with np.load(path, allow_pickle=False) as data:
        return {
            film.path: FoundLimb(
                landmarks[: len(LANDMARKS[film.slot.limb])],
                Orientation(int(view[0]), bool(view[1]), bool(view[2])),
            )
            for film, landmarks, view in zip(
                films_of(dataset, unseen(split)), data["found"], data["view"], strict=True
            )
        }


def score_patients(
    study: Study,
    split: Split,
    networks: Networks,
    landmarks: str,
    for_trees: bool,
    context: JobContext,
) -> dict[str, float]:
    """Patch scores of the test patients, and ``for_trees`` of the trees'; leaves ``scores.npz``.

    ``landmarks`` is the name of the job that found them.

    Arrays: ``patient`` (P,), ``test`` (P,) bool, ``true`` and ``predicted`` (P, 86) patch scores
    at joints that are known and that are found, NaN where missing, ``official`` and ``training``
    (P, 86) labels.
    """
    dataset = study.open()
    chosen = unseen(split) if for_trees else split.test
    patients = LabelledPatients(dataset, chosen)
    located = LocatedPatients(
        dataset, chosen, _found(dataset, split, context.folders[landmarks] / LANDMARKS_FILE)
    )
    names = [patients.name(i) for i in range(len(patients))]
    tables = {}
    for frame, placed in zip(FRAMES, (patients, located), strict=True):
        kept = context.folder / frame
        kept.mkdir(exist_ok=True)
        tables[frame] = patch_scores(
            placed, networks.files(context.folders), networks.contract(), kept, 1, _silence,
            _silence, at_known_landmarks=True,
        )  # fmt: skip
    labels = {
        "official": np.array([patients.official(i) for i in range(len(patients))]),
        "training": np.array([patients.truth(i) for i in range(len(patients))]),
    }
    who = {"patient": np.array(names), "test": np.isin(names, split.test)}
    _save(context.folder / SCORES_FILE, {**who, **tables, **labels})
    missing = {frame: float(np.isnan(tables[frame]).mean()) for frame in FRAMES}
    return {"patients": float(len(names)), **{f"missing_{k}": v for k, v in missing.items()}}


def join_groups(scores: Mapping[JointGroup, str], context: JobContext) -> dict[str, float]:
    """Scores of each group of joints by the network of that group; leaves ``scores.npz``.

    Args:
        scores: group → name of the job that scored all patients with the group's network.
        context: of the job.
    """
    made: dict[str, NDArray[Any]] = {}
    for group, job in scores.items():
        columns = [i for i, target in enumerate(TARGETS) if target.site.group is group]
        with np.load(context.folders[job] / SCORES_FILE, allow_pickle=False) as data:
            made = made or {name: data[name].copy() for name in data.files}
            for frame in FRAMES:
                made[frame][:, columns] = data[frame][:, columns]
    _save(context.folder / SCORES_FILE, made)
    return {"patients": float(len(made["patient"]))}


def _pipeline(networks: Networks, context: JobContext) -> Pipeline:
    model = ModelInfo(
        bundle="fold", bundle_version="0", bundle_sha256="0" * 64, preset="fast", software={}
    )
    return Pipeline(
        Stages.load(networks.contract(), networks.files(context.folders), context.threads), model
    )


# ── trees ────────────────────────────────────────────────────────────────────────────────


def grow_trees(scores: str, settings: SymmetrySettings, context: JobContext) -> dict[str, float]:
    """Trees on the trees' patients, predictions for the test patients; leaves ``trees.npz``.

    Arrays: ``patient`` (T,), and for both frames ``<frame>_patch``, ``<frame>_tree`` and
    ``<frame>_blend`` (T, 86), and ``official`` (T, 86).
    """
    data = np.load(context.folders[scores] / SCORES_FILE, allow_pickle=False)
    test = data["test"]
    made: dict[str, NDArray[Any]] = {"patient": data["patient"][test]}
    for frame in FRAMES:
        patch: Table = data[frame]
        tree = np.full(patch[test].shape, np.nan)
        # networks that were hardly trained may have found nothing at all
        label: Table = data[settings.label]
        if np.isfinite(patch[~test] + label[~test]).any():
            forest = train_forest(patch[~test], label[~test], settings)
            tree = forest.predict(patch[test])
            forest.save(context.folder / f"{frame}.npz")
        made |= {
            f"{frame}_patch": patch[test],
            f"{frame}_tree": tree,
            f"{frame}_blend": blend(patch[test], tree, settings.blend),
        }
    _save(context.folder / TREES_FILE, {**made, "official": data["official"][test]})
    return {"patients": float(test.sum())}


def explain_trees(
    trees: str, frame: str, both_orders: bool, context: JobContext
) -> dict[str, float]:
    """Mean |SHAP| over the test patients; leaves ``shap.npz``.

    Arrays: ``same`` and ``other`` (1, 43, 43) and ``rows`` (1, 43), see
    :class:`mandora.metrics.explain.Contributions`. Without trees all are NaN and 0.

    Args:
        trees: name of the job that grew them.
        frame: ``true`` or ``predicted``.
        both_orders: as for :func:`mandora.metrics.explain.mean_contributions`.
        context: of the job.
    """
    path = context.folders[trees] / f"{frame}.npz"
    same = np.full((1, len(SITES), len(SITES)), np.nan)
    other, rows = same.copy(), np.zeros((1, len(SITES)), np.int64)
    if path.exists():
        with np.load(context.folders[trees] / TREES_FILE, allow_pickle=False) as data:
            made = mean_contributions(
                JointForest.load(path), data[f"{frame}_patch"], both_orders=both_orders
            )
        same[0], other[0], rows[0] = made.same, made.other, made.n_rows
    _save(context.folder / SHAP_FILE, {"same": same, "other": other, "rows": rows})
    return {"rows": float(rows.sum())}
