"""The record of a run for people: ``history.jsonl`` and TensorBoard events."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mandora.core.errors import InputError
from mandora.core.files import write_atomically

HISTORY_FILE = "history.jsonl"
TENSORBOARD_FOLDER = "tensorboard"

Row = dict[str, float]
"""An epoch: number, loss, learning rate, items per second, minutes, held-out numbers."""

OWN = ("epoch", "loss", "learning_rate", "items_per_second", "minutes")
"""Columns of the loop; the others are the task's held-out numbers."""


def read_history(path: Path) -> list[Row]:
    """The rows of a history; numbers that were not finite are NaN.

    Raises:
        ValueError: naming the file and the row that cannot be read.
    """
    rows: list[Row] = []
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            rows.append({k: math.nan if v is None else float(v) for k, v in row.items()})
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(f"{path}, row {number} is not the row of an epoch: {error}") from error
    return rows


def trim_history(path: Path, rows: int) -> None:
    """Remove rows after the checkpoint: those epochs are trained again."""
    if path.exists():
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        if len(lines) > rows:
            write_atomically(path, "".join(lines[:rows]).encode())


def append_history(path: Path, row: Mapping[str, float]) -> None:
    """Add a row; it is on the disk when this returns.

    Raises:
        OSError: naming the file.
    """
    line = json.dumps(finite(row))
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OSError(
            error.errno, f"{path} could not be written ({error.strerror}); free some space and "
            "repeat the command: it resumes from the last checkpoint",
        ) from error  # fmt: skip


def finite(values: Any) -> Any:
    """The values with None in place of numbers that JSON does not have, inside tables too."""
    if isinstance(values, Mapping):
        return {k: finite(v) for k, v in values.items()}
    if isinstance(values, Sequence) and not isinstance(values, str):
        return [finite(v) for v in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values


class Events:
    """TensorBoard events of a run. A failure to write them never stops the run.

    Args:
        folder: of the run.
        steps: number of finished steps; later events, of a run that was stopped, are discarded.
        report: called once if events cannot be written.
    """

    def __init__(self, folder: Path, steps: int, report: Callable[[str], None]) -> None:
        self._report, self._writer = report, None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            report("no TensorBoard events: the package tensorboard is not installed")
            return
        with self._unless_it_fails():
            self._writer = SummaryWriter(
                str(folder / TENSORBOARD_FOLDER), purge_step=steps + 1 if steps else None
            )

    def add(self, step: int, values: Mapping[str, float], *, flush: bool = False) -> None:
        """Add numbers after ``step`` steps."""
        with self._unless_it_fails():
            if self._writer is not None:
                for name, value in values.items():
                    self._writer.add_scalar(name, value, step)
                if flush:
                    self._writer.flush()

    def close(self) -> None:
        """Write the remaining events."""
        with self._unless_it_fails():
            if self._writer is not None:
                self._writer.close()

    @contextmanager
    def _unless_it_fails(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._writer = None
            self._report(f"no more TensorBoard events: {error}")
