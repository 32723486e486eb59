"""Folds of an experiment: in each, a patient is in one part only: networks, trees or test.

Two plans. ``k-fold``: patients are cut into k parts of near-equal size; in fold i part i is the
test, the next parts train the trees, the rest trains the networks. So every patient is tested
once, by networks and trees that never saw it, and trees only see patch scores of patients that
the networks never saw. ``repeated``: the published one, 50/30/20 drawn anew for each repeat
(Li & Guan 2022, doi:10.1002/aisy.202200184).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mandora.core.errors import InputError
from mandora.core.files import write_atomically
from mandora.core.settings import SplitSettings
from mandora.training.splits import Split, split_patients

FOLDS_FILE = "folds.json"


@dataclass(frozen=True)
class Fold:
    """One fold.

    Attributes:
        name: ``fold-01`` and so on, or ``repeat-01``.
        split: which patients train the networks, train the trees, and are the test.
    """

    name: str
    split: Split


def k_folds(patients: Sequence[str], k: int, trees: float, seed: int) -> tuple[Fold, ...]:
    """Every patient tested once.

    The outcome depends on the names and the seed, not on the names' order.

    Args:
        patients: all of a data set, each once.
        k: parts.
        trees: share of the patients that trains the trees; a whole number of parts, at least 1.
        seed: of the draw.

    Raises:
        ValueError: if there are fewer patients than parts, or no part is left for the networks.
    """
    tree_parts = max(1, round(trees * k))
    if k < tree_parts + 2:
        raise InputError(
            f"{k} folds leave no patient for the networks: one part is the test and {tree_parts} "
            "train the trees; use more folds"
        )
    if len(patients) < k:
        raise InputError(f"{len(patients)} patients are too few for {k} folds; use fewer")
    shuffled = np.random.default_rng(seed).permutation(sorted(patients))
    parts = [tuple(str(p) for p in part) for part in np.array_split(shuffled, k)]
    folds = []
    for i in range(k):
        turned = parts[i:] + parts[:i]
        folds.append(
            Fold(
                f"fold-{i + 1:02}",
                Split(
                    networks=tuple(p for part in turned[1 + tree_parts :] for p in part),
                    held=(),
                    trees=tuple(p for part in turned[1 : 1 + tree_parts] for p in part),
                    test=turned[0],
                ),
            )
        )
    return tuple(folds)


def repeated(patients: Sequence[str], repeats: int, settings: SplitSettings) -> tuple[Fold, ...]:
    """The published plan: the same shares, drawn anew with the next seed each time.

    Raises:
        ValueError: if there are too few patients for one in each part.
    """
    return tuple(
        Fold(
            f"repeat-{i + 1:02}",
            split_patients(patients, settings.model_copy(update={"seed": settings.seed + i})),
        )
        for i in range(repeats)
    )


def check_folds(folds: Sequence[Fold]) -> None:
    """Nobody is in two parts of a fold, and in a k-fold plan everybody is tested once.

    Raises:
        ValueError: naming fold and patient.
    """
    for fold in folds:
        served: dict[str, str] = {}
        for part, names in asdict(fold.split).items():
            for name in names:
                if name in served:
                    raise InputError(
                        f"{fold.name}: patient {name} is in both {served[name]} and {part}; "
                        f"remove {FOLDS_FILE} to draw the folds anew"
                    )
                served[name] = part
    tested = [name for fold in folds if fold.name.startswith("fold-") for name in fold.split.test]
    twice = sorted({name for name in tested if tested.count(name) > 1})
    if twice:
        raise InputError(f"patient {twice[0]} is tested in two folds")


def write_or_check_folds(path: Path, folds: Sequence[Fold]) -> tuple[Fold, ...]:
    """Write the folds, or check that the experiment was started with the same ones.

    Args:
        path: of ``folds.json``; written if it is not there.
        folds: as they are drawn now.

    Raises:
        ValueError: if the file holds other folds, or overlapping ones.
    """
    check_folds(folds)
    about = {fold.name: asdict(fold.split) for fold in folds}
    text = json.dumps(about, indent=1, ensure_ascii=False) + "\n"
    if path.exists():
        kept = read_folds(path)
        check_folds(kept)
        if kept != tuple(folds):
            raise InputError(
                f"{path} holds other folds than these patients and settings give; use what the "
                "experiment was started with, or another --out"
            )
        return kept
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.encode())
    return tuple(folds)


def read_folds(path: Path) -> tuple[Fold, ...]:
    """Read ``folds.json``.

    Raises:
        ValueError: naming the file, if it is none.
    """
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        return tuple(
            Fold(name, Split(**{part: tuple(names) for part, names in split.items()}))
            for name, split in about.items()
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path} holds no folds ({error}); remove it to draw them anew") from error
