"""Training runs: a folder in which the stages write everything that a bundle needs.

Each stage has its settings (``locate-hand.toml``, ``damage.toml`` …), each network a folder with
checkpoints, history and curves, named like the exported file beside it: ``locate-hand/`` and
``locate-hand.onnx``; of the published design ``locate-hand-mcp2/``, ``damage-nh/`` and so on.
``data.json`` names the training data of all stages, ``splits.json`` the use of each patient;
``damage-real.json`` and the like name real films that were added to simulated ones, and
``damage-start.json`` and the like the run whose weights were the first weights.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mandora.core.errors import InputError
from mandora.core.files import write_atomically
from mandora.core.settings import LoopSettings, Settings, SplitSettings
from mandora.datasets.content import content_digest
from mandora.datasets.dataset import Dataset
from mandora.training.checkpoint import BEST_FILE, LAST_FILE, WITHOUT_EFFECT
from mandora.training.splits import Split, check_choice, run_split, split_patients, with_held

DATA_FILE, RESULT_FILE = "data.json", "result.json"
SIMULATED = "simulated"
REAL_SUFFIX, START_SUFFIX = "-real.json", "-start.json"  # after the stage's name


@dataclass(frozen=True)
class Run:
    """A training run: its folder, its data, and where messages go.

    Attributes:
        folder: of the run.
        cache: folder for decoded films and prepared items; may be shared by runs.
        dataset: labelled films; None: simulated films.
        report: called with lines for people.
        progress: called with (done, count).
        fold: use of the patients in an experiment; None: the run divides them itself.
        real: data sets of real films to train on in addition to simulated ones.
        start: folder of a finished run that gives the first weights; None: random weights.
    """

    folder: Path
    cache: Path
    dataset: Dataset | None
    report: Callable[[str], None]
    progress: Callable[[int, int], None]
    fold: Split | None = None
    real: tuple[Dataset, ...] = ()
    start: Path | None = None

    def split(self, settings: SplitSettings) -> Split | None:
        """Use of the patients; None without a data set."""
        if self.fold is not None:
            return with_held(self.fold, settings)
        if self.dataset is None:
            return None
        return run_split(self.folder, self.dataset.patients, settings, self.dataset.persons)

    def check_choice(self, settings: SplitSettings, loop: LoopSettings) -> None:
        """Call :func:`mandora.training.splits.check_choice` before anything is written.

        Raises:
            ValueError: if the trees' patients would choose weights of the networks.
        """
        if self.dataset is not None:
            drawn = (
                with_held(self.fold, settings)
                if self.fold is not None
                else split_patients(self.dataset.patients, settings, self.dataset.persons)
            )
            check_choice(drawn, loop)


def about_data(dataset: Dataset | None) -> dict[str, Any]:
    """The content of ``data.json``: which films, and how many."""
    if dataset is None:
        return {"layout": SIMULATED}
    return {
        "layout": dataset.layout,
        "name": dataset.name,
        "patients": len(dataset.patients),
        "films": len(dataset.films),
        "content": content_digest(dataset),
        "pictures of joints": len(dataset.rois),
        "readers": {name: dataset.weights.get(name, 1.0) for name in dataset.readers},
    }


def start_stage(run: Run, stage: str, settings: Settings) -> None:
    """Write settings and data of a stage into the run's folder.

    Raises:
        ValueError: if the stage was started with other settings, or the run with other data.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    path, data = run.folder / f"{stage}.toml", run.folder / DATA_FILE
    changed = (
        list(changed_settings(type(settings).from_toml(path), settings)) if path.exists() else []
    )
    if changed:
        raise InputError(
            f"{path}: this stage was started with another {', '.join(changed)}; use another --out, "
            "or remove this file and the stage's folders"
        )
    about = about_data(run.dataset)
    if data.exists() and not _same(json.loads(data.read_text(encoding="utf-8")), about):
        raise InputError(
            f"{data}: this run was started with other data (one corrected label is enough); all "
            "stages of a run need the same data: use another --out"
        )
    write_atomically(data, _as_text(about))
    write_atomically(path, settings.to_toml().encode())


def note_real_films(run: Run, stage: str) -> None:
    """Write which real films a network stage uses in addition to simulated ones.

    Raises:
        ValueError: if the stage was started with other ones.
    """
    if run.real and run.dataset is not None:
        raise InputError(
            "real films can be added to simulated ones only: give a labelled data set with "
            "--data, or one with --real, not both"
        )
    about = {"data": [about_data(dataset) for dataset in run.real]} if run.real else None
    _note(run, stage, REAL_SUFFIX, about, "other real films")


def note_start_weights(run: Run, stage: str) -> None:
    """Write which run gives the first weights of a network stage, and its training data.

    Raises:
        ValueError: if the stage was started with other weights, or the folder is not a run.
    """
    about = None
    if run.start is not None:
        if not (run.start / DATA_FILE).exists():
            raise InputError(
                f"{run.start}: is not the folder of a training run; name the --out of that run"
            )
        trained = json.loads((run.start / DATA_FILE).read_text(encoding="utf-8"))
        about = {"name": run.start.resolve().name, "data": [trained, *further_data(run.start)]}
    _note(run, stage, START_SUFFIX, about, "other weights")


def copies_of(copies: int | tuple[int, ...], run: Run) -> tuple[int, ...]:
    """How often each data set of real films is shown.

    Args:
        copies: of all of them, or of each.
        run: names the data sets.

    Raises:
        ValueError: if there are as many numbers as neither.
    """
    if isinstance(copies, int):
        return (copies,) * len(run.real)
    if run.real and len(copies) != len(run.real):
        raise InputError(
            f"real_copies has {len(copies)} numbers for {len(run.real)} data sets of --real; give "
            "one number, or one for each of them"
        )
    return copies[: len(run.real)]


def _note(run: Run, stage: str, suffix: str, about: dict[str, Any] | None, what: str) -> None:
    path = run.folder / f"{stage}{suffix}"
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    started = (run.folder / stage).exists()  # the folder of its network
    if not _same(before, about) and (before is not None or started):
        raise InputError(
            f"{path}: this stage was started with {what}; use another --out, or remove "
            "this file and the stage's folders"
        )
    if about is not None:
        write_atomically(path, _as_text(about))


def _same(before: dict[str, Any] | None, about: dict[str, Any] | None) -> bool:
    """Whether two notes agree; those of earlier versions have fewer keys."""
    if before is None or about is None:
        return before is about
    return {**about, **before} == about


def _as_text(about: dict[str, Any]) -> bytes:
    return (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode()


def further_data(folder: Path) -> list[dict[str, Any]]:
    """Training data of a run other than ``data.json``, each once.

    These are real films that were added to simulated ones, and the training data of a run that
    gave the first weights.
    """
    found: list[dict[str, Any]] = []
    for path in sorted([*folder.glob(f"*{REAL_SUFFIX}"), *folder.glob(f"*{START_SUFFIX}")]):
        about = json.loads(path.read_text(encoding="utf-8"))
        found += about.get("data", [about])  # up to 0.6.0 real films were of one data set
    return [about for i, about in enumerate(found) if about not in found[:i]]


def kept_weights(folder: Path) -> Path:
    """The checkpoint with the weights that a finished training kept.

    Args:
        folder: of the network, e.g. ``RUN/damage``.

    Raises:
        ValueError: if no finished training is there.
    """
    result = folder / RESULT_FILE
    try:
        kept = json.loads(result.read_text(encoding="utf-8"))["kept"]
    except (OSError, KeyError) as error:
        raise InputError(
            f"{folder}: the training of this network is not finished there; finish it first, or "
            "name the folder of another run"
        ) from error
    return folder / (BEST_FILE if kept == "best" else LAST_FILE)


def changed_settings(before: Settings, now: Settings, above: str = "") -> Iterator[str]:
    """Names of settings that differ, except those without effect on the result."""
    for name in type(now).model_fields:
        then, new = getattr(before, name), getattr(now, name)
        if isinstance(new, Settings):
            yield from changed_settings(then, new, f"{above}{name}.")
        elif then != new and not (isinstance(now, LoopSettings) and name in WITHOUT_EFFECT):
            yield f"{above}{name}"
