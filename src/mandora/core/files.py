"""Paths, and files and folders that are written: each file is whole or not there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from mandora.core.errors import InputError

AnyPath = str | os.PathLike[str]
"""What the Python interface takes for a file or a folder."""


def paths_of(given: AnyPath | Sequence[AnyPath]) -> list[Path]:
    """One path, or several, as a list; a string is one path, not a list of letters."""
    several = [given] if isinstance(given, str | os.PathLike) else given
    return [Path(path) for path in several]


class OutputError(OSError):
    """A result could not be written; the message names the file and the cause."""

    def __init__(self, path: Path, error: OSError) -> None:
        self.path = path
        self.cause = error.strerror or str(error)
        super().__init__(error.errno, f"cannot write {path}: {self.cause}")

    def __str__(self) -> str:
        return f"cannot write {self.path}: {self.cause}"


def temporary_path(path: Path) -> Path:
    """An unused name in the same folder, for a file until it is whole and checked.

    It is random: a process id would not do, because several containers, each with a process 1, may
    write to one folder.
    """
    return path.with_name(f".mandora-{uuid4().hex}.part{path.suffix}")


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old or the new content, never a part.

    The data goes to a temporary file in the same folder, which then takes the name. If
    anything fails, the temporary file is removed and what stood under the name stays.

    Raises:
        OutputError: naming the file.
    """
    # not tempfile: its files are private to the user, results follow the umask
    temporary = temporary_path(path)
    try:
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except FileExistsError:  # it is somebody else's
            raise
        except BaseException:  # also Ctrl-C between making the file and the next step
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(path, error) from error


def make_output_folder(folder: Path) -> None:
    """Make a folder and check that files can be written into it.

    Raises:
        ValueError: if the path is a file.
        OSError: if the folder cannot be made or written; the message names it.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file, not a folder; give another output folder")
    probe = temporary_path(folder / "probe")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            probe.write_bytes(b"mandora\n")
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        cause = error.strerror or str(error)
        raise OSError(
            error.errno,
            f"cannot write into the output folder {folder}: {cause}; "
            "give another folder, or make room or ask for write access there",
        ) from error
