"""Files and folders that users name: only regular files are opened.

A named pipe may wait for ever, and a device may never end. So this module opens whatever a user
names. It checks the opened file, not the path, which may have changed since.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path

from mandora.core.errors import InputError

MAX_TEXT_BYTES = 1 << 30
"""Larger than any table, label file or settings file."""

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


class NotRegular(InputError):
    """A path that is not a regular file."""


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading, or a link to one.

    Raises:
        NotRegular: at once, for a folder, a named pipe, a device or a socket.
        OSError: if it cannot be opened.
    """
    # without O_NONBLOCK, opening a named pipe waits for somebody to write into it
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            kind = next((words for is_kind, words in _KINDS if is_kind(mode)), "something else")
            raise NotRegular(f"{path}: is {kind}, not a regular file; name a file")
        os.set_blocking(descriptor, True)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_bytes(path: Path, most_bytes: int = MAX_TEXT_BYTES) -> bytes:
    """The content of a regular file.

    Raises:
        InputError: naming the file, if it is not a regular file or larger than ``most_bytes``.
        OSError: if it cannot be read.
    """
    with open_regular(path) as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise InputError(f"{path}: is larger than {most_bytes >> 20} MiB; name another file")
    return data


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits.

    Raises:
        NotRegular: as :func:`open_regular`.
        OSError: if it cannot be read.
    """
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """The content of a text file, with line ends as they are.

    Raises:
        InputError: as :func:`read_bytes`.
        UnicodeDecodeError: if it is not text in this encoding.
        OSError: if it cannot be read.
    """
    return read_bytes(path).decode(encoding)


def listed(folder: Path) -> list[Path]:
    """The files and folders in a folder, sorted by name.

    Raises:
        InputError: naming the folder, if it cannot be listed.
    """
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise InputError(
            f"{folder}: the folder cannot be listed ({error.strerror}); check its permissions"
        ) from error


def is_folder(path: Path) -> bool:
    """Whether this is a folder, or a link to one; False for a circular link."""
    return _mode_is(path, stat.S_ISDIR)


def is_regular(path: Path) -> bool:
    """Whether this is a regular file, or a link to one."""
    return _mode_is(path, stat.S_ISREG)


def _mode_is(path: Path, kind: Callable[[int], bool]) -> bool:
    try:
        return kind(path.stat().st_mode)
    except (OSError, ValueError):  # Path.is_dir raises where a folder may not be searched
        return False
