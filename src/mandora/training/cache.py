"""What training has decoded and cut, kept as memory maps and used again.

Decoded films are named by the hash of the file's content, prepared items by a key that names
the films and everything that was done to them. So a changed file or setting makes new ones and
never meets old ones. The folder may be deleted at any time.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mandora.errors import InputError
from mandora.images.read import read_radiograph

_DEPTH = 65535
_HOST = platform.node().replace(".", "-") or "host"
_SPARE_BYTES = 200_000_000  # left free on the disk

Arrays = dict[str, NDArray[Any]]
Shapes = Mapping[str, tuple[tuple[int, ...], str]]
"""Shape and dtype of each array of one item."""


@cache
def source_digest(room: str) -> str:
    """Changes with the code of a package of mandora: what an older one made is not used again."""
    digest = sha256()
    for path in sorted((Path(__file__).parents[1] / room).glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


class FilmCache:
    """Decoded films, 16 bit.

    Args:
        folder: made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / f"films-{source_digest('images')}"

    def film(self, path: Path) -> NDArray[np.float32]:
        """(H, W) float32, 0..1, bright bone, as ``images.read_radiograph`` gives it.

        Raises:
            ValueError: if the film cannot be read.
        """
        try:
            kept = self._folder / f"{sha256(path.read_bytes()).hexdigest()}.npy"
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
        if not kept.exists():
            film = read_radiograph(path).pixels
            self._folder.mkdir(parents=True, exist_ok=True)
            part = kept.with_suffix(f".{os.getpid()}.part")
            with part.open("wb") as file:
                np.save(file, np.round(film * _DEPTH).astype(np.uint16), allow_pickle=False)
            part.replace(kept)
        stored = np.load(kept, mmap_mode="r", allow_pickle=False)
        return np.asarray(stored, np.float32) / np.float32(_DEPTH)


@dataclass(frozen=True, eq=False)
class Prepared:
    """Prepared items.

    Attributes:
        arrays: memory maps, the first axis is the item.
        refused: why items could not be prepared, by index; their arrays are all 0.
    """

    arrays: Arrays
    refused: Mapping[int, str]


def prepare(
    folder: Path,
    key: str,
    count: int,
    shapes: Shapes,
    make: Callable[[int], Arrays],
    workers: int,
    progress: Callable[[int, int], None],
) -> Prepared:
    """Make items once, and find them again after that.

    Args:
        folder: of the cache.
        key: names items and everything that was done to them.
        count: number of items.
        shapes: of one item's arrays.
        make: the arrays of an item; a ValueError costs that item only.
        workers: processes.
        progress: told (done, count).

    Raises:
        OSError: if the disk has no room for them; says how much is needed.
    """
    code = f"{source_digest('images')} {source_digest('training')}"
    target = folder / sha256(f"{key} {code}".encode()).hexdigest()[:24]
    if not (target / "done.json").exists():
        _remove_leftovers(folder)
        _check_room(folder, count, shapes)
        # of this process alone: another run may be preparing the same
        part = target.with_suffix(f".{_HOST}.{os.getpid()}.part")
        part.mkdir(parents=True)
        refused = _fill(part, count, shapes, make, workers, progress)
        about = {"key": key, "count": count, "refused": refused}
        (part / "done.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
        if (target / "done.json").exists():  # that other run was quicker
            shutil.rmtree(part)
        else:
            shutil.rmtree(target, ignore_errors=True)
            part.replace(target)
    about = json.loads((target / "done.json").read_text(encoding="utf-8"))
    arrays = {n: np.load(target / f"{n}.npy", mmap_mode="r", allow_pickle=False) for n in shapes}
    return Prepared(arrays, {int(i): why for i, why in about["refused"].items()})


def _remove_leftovers(folder: Path) -> None:
    """Unfinished items of earlier calls, and of processes that no longer run on this machine."""
    for part in folder.glob(f"*.{_HOST}.*.part"):
        number = int(part.name.split(".")[-2])
        if number == os.getpid() or not _runs(number):
            shutil.rmtree(part, ignore_errors=True)


def _runs(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it runs, as somebody else's
    return True


def _fill(
    part: Path,
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

    def keep(index: int, made: Arrays | str) -> None:
        if isinstance(made, str):
            refused[index] = made
        else:
            for name, values in made.items():
                maps[name][index] = values
        progress(index + 1, count)

    if workers == 1:
        for index in range(count):
            keep(index, _attempt(make, index))
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            jobs = pool.map(_attempt, [make] * count, range(count), chunksize=4)
            for index, made in enumerate(jobs):
                keep(index, made)
    for values in maps.values():
        values.flush()
    return refused


def _attempt(make: Callable[[int], Arrays], index: int) -> Arrays | str:
    try:
        return make(index)
    except InputError as error:
        return str(error)


def _check_room(folder: Path, count: int, shapes: Shapes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    each = sum(int(np.prod(shape)) * np.dtype(dtype).itemsize for shape, dtype in shapes.values())
    needed, free = count * each + _SPARE_BYTES, shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            f"{folder}: {needed / 1e9:.1f} GB are needed for prepared items and "
            f"{free / 1e9:.1f} GB are free; make room, or name another folder with --cache"
        )
