"""Decoded films and prepared items, kept on the disk as memory maps and used again.

Decoded films are named by the hash of their file, prepared items by a key that names the films
and everything that was done to them. So a changed file or setting never finds old items. The
folder may be deleted at any time.
"""

from __future__ import annotations

import fcntl
import io
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from mandora.core.errors import InputError
from mandora.core.files import write_atomically
from mandora.core.inputs import file_sha256
from mandora.core.parallel.workers import KILLED_ALONE, map_items
from mandora.core.source import code_digest
from mandora.datasets.dataset import NOT_SQUARE
from mandora.images.read import read_radiograph

_DEPTH = 65535
_LOCK = "lock"
PICTURE_SIZE = 4096  # values of an item from which an array is not read whole
_SPARE_BYTES = 200_000_000  # left free on the disk

Arrays = dict[str, NDArray[Any]]
Shapes = Mapping[str, tuple[tuple[int, ...], str]]
"""Shape and dtype of each array of one item."""


class FilmCache:
    """Decoded films, 16 bit.

    Args:
        folder: made if it does not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / f"films-{code_digest(FilmCache)}"

    def film(self, path: Path) -> NDArray[np.float32]:
        """(H, W) float32, 0..1, bright bone, as ``images.read_radiograph`` gives it.

        Raises:
            ValueError: if the film cannot be read.
        """
        try:
            kept = self._folder / f"{file_sha256(path)}.npy"
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
        if not kept.exists():
            radiograph = read_radiograph(path)
            if radiograph.file_px != (1.0, 1.0):
                raise InputError(f"{path}: {NOT_SQUARE}")
            film = radiograph.pixels
            self._folder.mkdir(parents=True, exist_ok=True)
            data = io.BytesIO()
            np.save(data, np.round(film * _DEPTH).astype(np.uint16), allow_pickle=False)
            write_atomically(kept, data.getvalue())
        stored = np.load(kept, mmap_mode="r", allow_pickle=False)
        return np.asarray(stored, np.float32) / np.float32(_DEPTH)


class Rows:
    """Several arrays as one along their first axis, read one row at a time.

    Args:
        parts: arrays whose rows have the same shape and dtype.
    """

    def __init__(self, parts: Sequence[NDArray[Any]]) -> None:
        self._parts = parts
        self._ends = np.cumsum([len(part) for part in parts])
        self.shape = (int(self._ends[-1]), *parts[0].shape[1:])
        self.dtype = parts[0].dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: int | tuple[Any, ...]) -> NDArray[Any]:
        """A row, or what the rest of the key selects of it; the first number counts all parts."""
        index, rest = (key[0], key[1:]) if isinstance(key, tuple) else (key, ())
        if not 0 <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        part = int(np.searchsorted(self._ends, index, side="right"))
        before = int(self._ends[part - 1]) if part else 0
        return np.asarray(self._parts[part][(index - before, *rest)])


@dataclass(frozen=True, eq=False)
class Prepared:
    """Prepared items.

    Attributes:
        arrays: memory maps; the first axis is the item. Pictures of joined parts are ``Rows``.
        refused: reasons of items that could not be prepared, by index; their arrays are all 0.
    """

    arrays: Mapping[str, Any]
    refused: Mapping[int, str]

    @staticmethod
    def joined(parts: Sequence[Prepared]) -> Prepared:
        """Parts one after the other; pictures stay on the disk, each part where it is."""
        arrays: dict[str, Any] = {}
        for name, first in parts[0].arrays.items():
            each = [part.arrays[name] for part in parts]
            picture = int(np.prod(first.shape[1:])) > PICTURE_SIZE
            arrays[name] = Rows(each) if picture else np.concatenate(each)
        refused: dict[int, str] = {}
        before = 0
        for part in parts:
            refused |= {before + i: why for i, why in part.refused.items()}
            before += len(next(iter(part.arrays.values())))
        return Prepared(arrays, refused)


def prepare(
    folder: Path,
    key: str,
    count: int,
    shapes: Shapes,
    make: Callable[[int], Arrays],
    workers: int,
    progress: Callable[[int, int], None],
) -> Prepared:
    """Make items, or take them from the cache.

    Args:
        folder: of the cache.
        key: names the items and everything that was done to them, except the code of ``make``.
        count: number of items.
        shapes: of one item's arrays.
        make: gives the arrays of an item; a ValueError refuses that item only.
        workers: processes.
        progress: called with (done, count).

    Raises:
        OSError: if the disk has too little space; says how much is needed.
    """
    target = folder / sha256(f"{key} {code_digest(make)}".encode()).hexdigest()[:24]
    if not (target / "done.json").exists():
        _remove_leftovers(folder)
        _check_space(folder, count, shapes)
        with _unfinished(target) as part:
            refused = _fill(part, target, count, shapes, make, workers, progress)
            about = {"key": key, "count": count, "refused": refused}
            write_atomically(part / "done.json", json.dumps(about, indent=1).encode())
            _rename(part, target)
    about = json.loads((target / "done.json").read_text(encoding="utf-8"))
    arrays = {n: np.load(target / f"{n}.npy", mmap_mode="r", allow_pickle=False) for n in shapes}
    return Prepared(arrays, {int(i): why for i, why in about["refused"].items()})


@contextmanager
def _unfinished(target: Path) -> Iterator[Path]:
    """A new folder for this call only, with a lock file while it is in use.

    The lock ends with the process, on any machine and in any container. The folder is removed if
    the call ends with an error.
    """
    made = target.with_suffix(f".{uuid4().hex}.new")
    made.mkdir()
    with (made / _LOCK).open("xb") as lock:
        with suppress(OSError):  # a file system without locks; see _remove_leftovers
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        part = made.replace(made.with_suffix(".part"))  # it has this name only while it is locked
        try:
            yield part
        finally:
            shutil.rmtree(part, ignore_errors=True)
    (target / _LOCK).unlink(missing_ok=True)


def _rename(part: Path, target: Path) -> None:
    try:
        part.replace(target)
    except OSError:  # another run has made it meanwhile: keep that
        if not (target / "done.json").exists():
            shutil.rmtree(target, ignore_errors=True)
            part.replace(target)


def _remove_leftovers(folder: Path) -> None:
    """Remove what killed calls left; nothing is removed where files cannot be locked."""
    for part in folder.glob("*.part"):
        with suppress(OSError), (part / _LOCK).open("r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(part, ignore_errors=True)


def _fill(
    part: Path,
    target: Path,
    count: int,
    shapes: Shapes,
    make: Callable[[int], Arrays],
    workers: int,
    progress: Callable[[int, int], None],
) -> dict[int, str]:
    maps = {
        name: np.lib.format.open_memmap(
            part / f"{name}.npy", mode="w+", dtype=np.dtype(dtype), shape=(count, *shape)
        )
        for name, (shape, dtype) in shapes.items()
    }
    refused = {}
    killed = f"{KILLED_ALONE}; remove {target} to have it tried again"
    results = map_items(partial(_attempt, make), range(count), workers, lambda _: killed)
    for index, made in enumerate(results):
        if isinstance(made, str):
            refused[index] = made
        else:
            for name, values in made.items():
                maps[name][index] = values
        progress(index + 1, count)
    for array in maps.values():
        array.flush()
    return refused


def _attempt(make: Callable[[int], Arrays], index: int) -> Arrays | str:
    try:
        return make(index)
    except InputError as error:
        return str(error)


def _check_space(folder: Path, count: int, shapes: Shapes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    each = sum(int(np.prod(shape)) * np.dtype(dtype).itemsize for shape, dtype in shapes.values())
    needed, free = count * each + _SPARE_BYTES, shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            f"{folder}: {needed / 1e9:.1f} GB are needed for prepared items and "
            f"{free / 1e9:.1f} GB are free; free some space, or name another folder with --cache"
        )
