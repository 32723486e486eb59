"""The folder of a simulated cohort: films in RA2 layout, and the truth about them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from mandora import __version__
from mandora.core.anatomy import SLOTS, Limb
from mandora.core.csv_text import csv_text
from mandora.core.errors import InputError
from mandora.core.files import temporary_path, write_atomically
from mandora.core.parallel.workers import map_items
from mandora.core.settings import SimulateSettings
from mandora.datasets.formats.coco import CocoWriter
from mandora.simulate.cohort.patient_files import (
    MASKS,
    PAIRS_FOLDER,
    TABLES,
    VisitRows,
    bone_labels,
    visit_folder,
    write_patient,
)
from mandora.simulate.cohort.patients import bone_names

# One film with its masks and polygons, at the resolution that is drawn and at 5 px/mm;
# benchmarks/simulate.py measures them.
BYTES_PER_FILM = 350_000
SECONDS_PER_FILM = 0.5
LARGE_BYTES = 1_000_000_000  # above this the user is told what a cohort needs


@dataclass(frozen=True)
class Estimate:
    """Disk space and time that a cohort will need.

    Attributes:
        size_bytes: on the disk.
        seconds: for all processes together to finish.
    """

    size_bytes: int
    seconds: float

    def __str__(self) -> str:
        hours = self.seconds / 3600
        if hours < 1:
            time = f"{max(60 * hours, 1):.0f} min"
        else:
            time = f"{hours / 24:.0f} days" if hours > 48 else f"{hours:.1f} h"
        return f"about {_size(self.size_bytes)} and {time}"


def estimate(settings: SimulateSettings) -> Estimate:
    """Disk space and time that a cohort will need, within a factor of two."""
    # a pair is as large as the two films that it shows
    films = settings.patients * settings.visits * len(SLOTS) * (2 if settings.pairs else 1)
    scale = ((settings.pixels_per_mm or 5.0) / 5.0) ** 2
    return Estimate(
        round(films * BYTES_PER_FILM * scale), films * SECONDS_PER_FILM * scale / settings.workers
    )


def simulate_cohort(
    settings: SimulateSettings,
    out: Path,
    *,
    force: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Write a cohort in RA2 layout with its truth.

    ``<id>-LH.jpg`` …, ``training.csv``, ``template.csv`` and ``truth/``, as
    ``docs/simulate.md`` lists them; the later visits have the same in ``visit-2/`` and so on.
    The tables appear when all films are there, ``truth/cohort.json`` last of all.

    Args:
        settings: size, seed, visits, resolution, processes.
        out: a folder that does not exist or is empty, unless ``force``.
        force: overwrite files of an earlier cohort.
        progress: called with the number of finished patients.

    Raises:
        ValueError: if the folder is not empty or too little disk space is free.
        OSError: if a file cannot be written; no file is left half written.
    """
    try:
        _check_place(settings, out, force)
        with ExitStack() as stack:
            folders = [
                stack.enter_context(_VisitFolder(settings, out, visit))
                for visit in range(1, settings.visits + 1)
            ]
            write = partial(write_patient, settings, out)
            made_in_order = map_items(write, range(settings.patients), settings.workers)
            for done, made in enumerate(made_in_order, start=1):
                for folder, rows in zip(folders, made, strict=True):
                    folder.add(rows)
                progress(done)
    except ChildProcessError:
        raise  # no fault of writing
    except OSError as error:
        what = f"cannot write {error.filename or out}: {error.strerror or error}"
        raise OSError(error.errno, what) from error


def _check_place(settings: SimulateSettings, out: Path, force: bool) -> None:
    """Refuse a folder that is not empty, or too small a disk, before anything is written."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; give a folder for the cohort")
    if out.exists() and any(out.iterdir()) and not force:
        raise InputError(f"{out} is not empty; give another folder or use --force to overwrite")
    there = next(p for p in (out.absolute(), *out.absolute().parents) if p.exists())
    free, needed = shutil.disk_usage(there).free, estimate(settings)
    if needed.size_bytes > free:
        raise InputError(
            f"--patients {settings.patients} --visits {settings.visits} need {needed}, {there} "
            f"has {_size(free)} free; ask for fewer or for another disk"
        )


def _size(n_bytes: int) -> str:
    for unit, name in ((1e12, "TB"), (1e9, "GB")):
        if n_bytes >= unit:
            return f"{n_bytes / unit:.1f} {name}"
    return f"{n_bytes / 1e6:.0f} MB"


class _VisitFolder:
    """The folder of one visit: a context whose tables appear when it ends without an error."""

    def __init__(self, settings: SimulateSettings, out: Path, visit: int) -> None:
        self._folder = visit_folder(out, visit)
        self._pairs = settings.pairs
        # the bytes of a cohort do not depend on the number of processes and visits
        known = settings.model_dump(mode="json", exclude={"workers", "visits"})
        about = {"software": f"mandora {__version__}", "visit": visit, "settings": known}
        self._about = json.dumps(about, indent=2)

    def __enter__(self) -> Self:
        truth = self._folder / "truth"
        for kind in (*MASKS, "labelme"):
            (truth / kind).mkdir(parents=True, exist_ok=True)
        if self._pairs:
            (self._folder / PAIRS_FOLDER).mkdir(exist_ok=True)
        with ExitStack() as stack:
            self._spaces = stack.enter_context(CocoWriter(truth / "coco.json"))
            self._bones = stack.enter_context(CocoWriter(truth / "coco-bones.json", bone_labels()))
            stack.push(self._close)
            self._files = {}
            for name, columns in TABLES.items():
                part = temporary_path(self._folder / name)
                self._files[name] = part.open("x", newline="", encoding="utf-8")
                self._files[name].write(csv_text([columns]))
            self._stack = stack.pop_all()
        return self

    def add(self, rows: VisitRows) -> None:
        """Append the rows and polygons of a patient."""
        for name, lines in rows.tables.items():
            self._files[name].write(csv_text(lines))
        for film in rows.spaces:
            self._spaces.add(film)
        for film in rows.bones:
            self._bones.add(film)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)
        if kind is None:
            write_atomically(self._folder / "truth" / "bones.csv", _bone_table().encode())
            write_atomically(self._folder / "truth" / "cohort.json", self._about.encode())

    def _close(self, kind: type[BaseException] | None, *error: object) -> None:
        """Rename the finished tables, or remove unfinished ones."""
        try:
            if kind is None:
                for name, file in self._files.items():
                    file.close()
                    Path(file.name).replace(self._folder / name)
        finally:
            for file in self._files.values():
                with suppress(OSError):  # the last bytes may not fit on a full disk
                    file.close()
                Path(file.name).unlink(missing_ok=True)


def _bone_table() -> str:
    """The labels of the masks in ``truth/bones/``."""
    bones = [(limb, i, n) for limb in Limb for i, n in enumerate(bone_names(limb), start=1)]
    return csv_text([("limb", "label", "bone"), *bones])
