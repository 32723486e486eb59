"""What the jobs of an experiment have left, the rows of all folds below each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mandora.metrics import Arrays
from mandora.reproduce.folds import Fold


def collect(jobs: Path, folds: Sequence[Fold], kind: str, file: str) -> Arrays:
    """The arrays of one kind of job, and a column ``fold`` with the name of each row's fold.

    Args:
        jobs: folder of all jobs.
        folds: which.
        kind: last part of the jobs' names.
        file: that they left.
    """
    parts: dict[str, list[NDArray[Any]]] = {}
    for fold in folds:
        with np.load(jobs / fold.name / kind / file, allow_pickle=False) as data:
            rows = len(data[data.files[0]])
            for key in data.files:
                parts.setdefault(key, []).append(data[key])
        parts.setdefault("fold", []).append(np.full(rows, fold.name))
    return {key: np.concatenate(arrays) for key, arrays in parts.items()}


def of_test(arrays: Arrays) -> Arrays:
    """Only the rows of test patients."""
    return {key: values[arrays["test"]] for key, values in arrays.items()}
