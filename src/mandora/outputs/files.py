"""Files that are either whole or not there, and file names that are safe."""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import count
from pathlib import Path

_TEMPORARY = count()
_MAX_NAME_BYTES = 200  # most file systems stop at 255; suffixes need room


class OutputError(OSError):
    """A result could not be written; the message names the file and the cause."""

    def __init__(self, path: Path, error: OSError) -> None:
        self.path = path
        self.cause = error.strerror or str(error)
        super().__init__(error.errno, f"cannot write {path}: {self.cause}")

    def __str__(self) -> str:
        return f"cannot write {self.path}: {self.cause}"


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old or the new content, never a part.

    The data goes to a temporary file in the same folder, which then takes the name. If
    anything fails, the temporary file is removed and what stood under the name stays.

    Raises:
        OutputError: naming the file.
    """
    # not tempfile: its files are private to the user, results follow the umask
    temporary = path.with_name(f".mandora-{os.getpid()}-{next(_TEMPORARY)}.part")
    try:
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(path, error) from error


def check_file_stem(name: str) -> None:
    """Refuse a name that cannot stand in front of ``.json`` in any folder.

    Raises:
        ValueError: if it is empty, too long, starts with a dot, or holds a path separator, a
            control character or one that some file systems forbid.
    """
    bad = sorted({c for c in name if c in '/\\:*?"<>|' or not c.isprintable()})
    if bad:
        raise ValueError(f"{name!r} cannot name a file: it holds {' '.join(map(repr, bad))}")
    if not name or name != name.strip() or name.startswith("."):
        raise ValueError(f"{name!r} cannot name a file: use letters, digits, '-' and '_'")
    if len(name.encode()) > _MAX_NAME_BYTES:
        raise ValueError(f"{name[:40]!r}… cannot name a file: over {_MAX_NAME_BYTES} bytes")


def make_output_folder(folder: Path) -> None:
    """Make a folder and prove that files can be written into it.

    Raises:
        ValueError: if the path is a file.
        OSError: if the folder cannot be made or written; the message names it.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file, not a folder; give another output folder")
    probe = folder / f".mandora-{os.getpid()}-{next(_TEMPORARY)}.part"
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
