"""The journal of finished jobs, and the folders of jobs, each with the key it was made for."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from mandora.core.errors import InputError
from mandora.core.files import write_atomically
from mandora.core.parallel.jobs import Job

JOURNAL_FILE, KEY_FILE, ERROR_FILE = "journal.jsonl", ".key", "error.txt"
REPLACED = ".replaced"
"""Folder for results of other settings; one older result of each job is kept."""


@dataclass(frozen=True)
class Entry:
    """A line of the journal: a job that is done.

    Attributes:
        name: of the job.
        key: of the job, see :func:`mandora.core.parallel.jobs.job_keys`.
        value: what the job returned.
        seconds: how long it took.
        when: the time at which it finished, ISO 8601 with time zone.
    """

    name: str
    key: str
    value: Any
    seconds: float
    when: str


def read_journal(out: Path) -> dict[tuple[str, str], Entry]:
    """Finished jobs by name and key; lines that are not valid, such as a torn one, are left out.

    Raises:
        OSError: if there is a journal that cannot be read.
    """
    entries = {}
    try:
        text = (out / JOURNAL_FILE).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return {}
    for line in text.splitlines():
        with suppress(ValueError, TypeError):
            entry = Entry(**json.loads(line))
            entries[entry.name, entry.key] = entry
    return entries


class Journal:
    """The journal of a folder, held by one process at a time.

    Args:
        out: an existing folder.

    Attributes:
        entries: see :func:`read_journal`.

    Raises:
        ValueError: if another process holds the journal.
        OSError: if it cannot be opened.
    """

    def __init__(self, out: Path) -> None:
        self._path = out / JOURNAL_FILE
        self._file = self._path.open("ab", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise InputError(
                f"{out}: another process works there; wait for it, or stop it"
            ) from None
        except OSError:
            pass  # a file system without locks
        self.entries = read_journal(out)
        # after a torn line, the next entry starts on a line of its own
        self._before = b"" if self._path.read_bytes()[-1:] in (b"", b"\n") else b"\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def append(self, entry: Entry) -> None:
        """Add a finished job; it is on the disk when this returns.

        Raises:
            OSError: naming the file.
        """
        data = memoryview(self._before + json.dumps(asdict(entry)).encode() + b"\n")
        try:
            while data:  # a disk that is nearly full may take only a part
                data = data[self._file.write(data) or 0 :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise OSError(
                error.errno, f"{self._path} could not be written ({error.strerror}); free some "
                "space and give the command again: it does only what is missing",
            ) from error  # fmt: skip
        self._before = b""
        self.entries[entry.name, entry.key] = entry


def finished(entries: dict[tuple[str, str], Entry], out: Path, job: Job, key: str) -> Entry | None:
    """The entry of a finished job whose files exist, in its folder or set aside; else None."""
    entry = entries.get((job.name, key))
    for folder in (out / job.name, out / REPLACED / job.name):
        if entry and _key_of(folder) == key and not missing_files(folder, job):
            return entry
    return None


def missing_files(folder: Path, job: Job) -> list[str]:
    """Names of the files that the job must leave and that do not exist."""
    return [name for name in job.files if not (folder / name).exists()]


def set_aside(out: Path, name: str, key: str) -> bool:
    """Move a job's results of another key aside, and bring back those of this key.

    Returns:
        whether there was something to move aside.

    Raises:
        ValueError: if the folder holds files that no job has left there.
        OSError: if a folder cannot be moved.
    """
    folder, aside = out / name, out / REPLACED / name
    found, kept = _key_of(folder), _key_of(aside)
    if found == key:
        return False
    if found is None and folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder} holds files that no job left there; use another folder")
    moving = aside.with_name(f"{aside.name}.moving")
    if found is not None:
        aside.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(moving, ignore_errors=True)
        folder.rename(moving)
    if kept == key:
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside.rename(folder)
    if found is not None:
        shutil.rmtree(aside, ignore_errors=True)
        moving.rename(aside)
    return found is not None


def job_folder(out: Path, name: str, key: str) -> Path:
    """The folder in which a job can start: marked with the key, and without an older error.

    Raises:
        OSError: if it cannot be written.
    """
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    if _key_of(folder) != key:
        write_atomically(folder / KEY_FILE, key.encode())
    (folder / ERROR_FILE).unlink(missing_ok=True)
    return folder


def _key_of(folder: Path) -> str | None:
    """The key that a folder is marked with."""
    try:
        return (folder / KEY_FILE).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
