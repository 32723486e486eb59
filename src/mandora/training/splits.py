"""The use of each patient of a data set: train the networks, measure them, train the trees, test.

A run divides the patients once, when its first stage starts, and keeps the result in
``splits.json``, so that no stage trains on a patient on whom another stage is measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from mandora.core.errors import InputError
from mandora.core.files import write_atomically
from mandora.core.settings import LoopSettings, SplitSettings

SPLITS_FILE = "splits.json"
_ALL_OTHERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Split:
    """Patients by their use; each patient has one use.

    Attributes:
        networks: train localisers and damage networks.
        held: measure these networks after each epoch. Empty: the trees' patients do; then these
            numbers must not choose the weights.
        trees: train the trees, on their patch scores.
        test: used by no stage; for the final measurement.
    """

    networks: tuple[str, ...]
    held: tuple[str, ...]
    trees: tuple[str, ...]
    test: tuple[str, ...]

    @property
    def measured(self) -> tuple[str, ...]:
        """The patients on whom the networks are measured during training."""
        return self.held or self.trees


def split_patients(
    patients: Sequence[str], settings: SplitSettings, persons: Mapping[str, str] = _ALL_OTHERS
) -> Split:
    """Divide the patients at random; all patients' ids of one person have one use.

    The result depends on the names and the seed, not on the order of the names.

    Args:
        patients: all patients of a data set, each once.
        settings: shares and seed.
        persons: by patient, whose id it is; a patient who is not named is a person.

    Raises:
        ValueError: if there are too few for one in each part.
    """
    ids: dict[str, list[str]] = {}
    for patient in sorted(patients):
        ids.setdefault(persons.get(patient, patient), []).append(patient)
    shuffled = [str(p) for p in np.random.default_rng(settings.seed).permutation(sorted(ids))]
    networks = round(settings.networks * len(shuffled))
    trees = networks + round(settings.trees * len(shuffled))
    held = round(settings.held * networks)
    if settings.held and networks > 1:
        held = max(held, 1)

    def of(persons: Sequence[str]) -> tuple[str, ...]:
        return tuple(patient for person in persons for patient in ids[person])

    split = Split(
        networks=of(shuffled[held:networks]),
        held=of(shuffled[:held]),
        trees=of(shuffled[networks:trees]),
        test=of(shuffled[trees:]),
    )
    lacking = [name for name in ("networks", "trees", "test") if not getattr(split, name)]
    if lacking:
        raise InputError(
            f"{len(shuffled)} patients are too few: none is left for {', '.join(lacking)}; "
            "add patients or change the shares in [split]"
        )
    return split


def with_held(split: Split, settings: SplitSettings) -> Split:
    """The split, with some of the networks' patients held out to measure the networks.

    The result depends on the names of these patients and the seed only.

    Args:
        split: of an experiment; if it has held-out patients already, it is not changed.
        settings: ``held`` and ``seed`` are used.

    Raises:
        ValueError: if no patient would be left to train on.
    """
    if split.held or not settings.held:
        return split
    names = sorted(split.networks)
    count = max(round(settings.held * len(names)), 1)
    if count == len(names):
        raise InputError(
            f"{count} patients for the networks are too few to hold one out that measures them; "
            "add patients or set split.held = 0"
        )
    drawn = np.random.default_rng(settings.seed).permutation(names)[:count]
    held = tuple(str(name) for name in drawn)
    kept = tuple(name for name in split.networks if name not in held)
    return replace(split, networks=kept, held=held)


def check_choice(split: Split, loop: LoopSettings) -> None:
    """Refuse a training in which patients of the trees or of the test would choose the weights.

    Args:
        split: use of the patients.
        loop: of the networks.

    Raises:
        ValueError: if held-out numbers choose the weights or the end of the training, and none of
            the networks' patients is held out for that.
    """
    if not split.held and (loop.keep == "best" or loop.patience is not None):
        raise InputError(
            "none of the networks' patients is held out, so the trees' patients measure the "
            "networks and must not choose their weights; set split.held, where there is a split, "
            "or loop.keep = 'last' without loop.patience"
        )


def run_split(
    run: Path,
    patients: Sequence[str],
    settings: SplitSettings,
    persons: Mapping[str, str] = _ALL_OTHERS,
) -> Split:
    """The split of a run: that with which it was started, or a new one; see :func:`split_patients`.

    Raises:
        ValueError: if the run was started with other patients or other shares.
    """
    path = run / SPLITS_FILE
    split = split_patients(patients, settings, persons)
    about = {"settings": settings.model_dump(), "patients": asdict(split)}
    text = json.dumps(about, indent=1, ensure_ascii=False) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise InputError(
            f"{path} is of other patients or another [split]; use the data set and the settings "
            "with which this run was started, or another --out"
        )
    run.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.encode())
    return split
