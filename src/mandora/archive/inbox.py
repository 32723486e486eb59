"""The inbox: films that came, the results made of them, and what the archive has of these.

All state is files, so that whatever is to be done follows from the folder alone, also after the
program or the machine has stopped at any point:

* ``films/<study>/<film>.dcm``: each film that was acknowledged. Names are digests of UIDs, and of
  what says whose study it is where studies are scored together.
* ``results/<study>/<content>/``: the results of the films with this content. The folder gets its
  name when it is whole.
* ``results/<study>/<content>/sent.json``: names of the objects that the archive has acknowledged.
* ``patient-ids.key``: the key of pseudonyms.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mandora.archive.films import digest
from mandora.core.errors import InputError
from mandora.core.files import OutputError, make_output_folder, temporary_path, write_atomically
from mandora.core.inputs import is_regular, listed, read_bytes
from mandora.datasets.intake.headers import KEY_NAME

_SENT = "sent.json"


@dataclass(frozen=True)
class Waiting:
    """A study of the inbox as it is now.

    Attributes:
        study: digest of its UID, or of what several studies of a patient share.
        films: its files, sorted.
        content: digest of what the files hold.
        newest: when the last film came, seconds since 1970.
    """

    study: str
    films: tuple[Path, ...]
    content: str
    newest: float


class Inbox:
    """A folder of studies that wait, are scored or are sent.

    One process works on an inbox at a time, see :meth:`alone`; films may arrive while it does.

    Args:
        folder: made if absent.

    Raises:
        OSError: if the folder cannot be made or written.
    """

    def __init__(self, folder: Path) -> None:
        self._films, self._results = folder / "films", folder / "results"
        self._lock = threading.Lock()  # a film that comes must not be removed with its study
        self._digests: dict[Path, tuple[tuple[int, int], bytes]] = {}
        for one in (folder, self._films, self._results):
            make_output_folder(one)
        self._lock_file = folder / "lock"
        self.key = folder / KEY_NAME

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Have the inbox alone while the block runs; what an earlier process had begun is removed.

        Raises:
            InputError: if another process has it.
        """
        with self._lock_file.open("ab") as file:  # stays; the lock ends with the process
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InputError(
                    f"{self._lock_file.parent} is in use by another `mandora listen`; stop it, or "
                    "give another folder"
                ) from None
            self._remove_parts()
            yield

    def add(self, together: str, film_uid: str, data: bytes) -> None:
        """Keep a film. It is on the disk when this returns; a film that came before is replaced.

        A film that came as another patient's is taken away from that patient.

        Args:
            together: its Study Instance UID, or what films that are scored together share.
            film_uid: its SOP Instance UID.
            data: the DICOM file.

        Raises:
            OutputError: if the disk refuses.
        """
        folder = self._films / digest(together)
        path = folder / f"{digest(film_uid)}.dcm"
        with self._lock:
            try:
                # sent again it may have nothing new
                if not path.exists() or self._digest_of(path) != hashlib.sha256(data).digest():
                    folder.mkdir(exist_ok=True)
                    _sync(self._films)
                    write_atomically(path, data)
                    _sync(folder)
                for other in self._films.glob(f"*/{path.name}"):
                    if other != path:
                        other.unlink()
                        _sync(other.parent)
            except OSError as error:
                raise OutputError(path, error) from error

    def waiting(self) -> Iterator[Waiting]:
        """All studies of which there are films."""
        for folder in listed(self._films):
            with self._lock:
                study = self._now(folder)
            if study is not None:
                yield study

    def _now(self, folder: Path) -> Waiting | None:
        films = tuple(p for p in listed(folder) if p.suffix == ".dcm" and p.name[:1] != ".")
        if not films:
            return None
        content = hashlib.sha256()
        for film in films:
            content.update(film.name.encode() + self._digest_of(film))
        newest = max(film.stat().st_mtime for film in films)
        return Waiting(folder.name, films, content.hexdigest()[:32], newest)

    def _digest_of(self, film: Path) -> bytes:
        """Of the file's content; a file that has not changed is not read again."""
        now = film.stat()
        stamp = now.st_mtime_ns, now.st_size
        known = self._digests.get(film)
        if known is None or known[0] != stamp:
            known = self._digests[film] = stamp, hashlib.sha256(read_bytes(film)).digest()
        return known[1]

    def results(self, study: Waiting) -> Path | None:
        """The folder of the results of these very films; None if they were not scored yet."""
        folder = self._results / study.study / study.content
        return folder if folder.is_dir() else None

    def new_results(self, study: Waiting) -> Path:
        """An empty folder for the results of a study; :meth:`keep_results` makes it count."""
        parent = self._results / study.study
        parent.mkdir(exist_ok=True)
        part = temporary_path(parent / study.content)
        part.mkdir()
        return part

    def keep_results(self, study: Waiting, part: Path) -> Path:
        """Give a folder of :meth:`new_results` its name; the results are complete.

        Raises:
            OutputError: if the disk refuses.
        """
        final = self._results / study.study / study.content
        try:
            for path in part.rglob("*"):
                if path.is_dir():
                    _sync(path)
            _sync(part)
            part.rename(final)
            _sync(final.parent)
        except OSError as error:
            raise OutputError(final, error) from error
        return final

    def unsent(self, results: Path) -> list[Path]:
        """The DICOM objects of results that the archive has not acknowledged yet."""
        sent = set(_sent(results))
        objects = sorted((results / "dicom").rglob("*.dcm"))
        return [path for path in objects if _name(results, path) not in sent]

    def sent_before(self, study: Waiting, name: str) -> list[Path]:
        """Objects of this file name that the archive has of earlier results of a study.

        Those of the latest results come last.
        """
        folder = self._results / study.study
        earlier = [p for p in listed(folder) if is_regular(p / _SENT)] if folder.is_dir() else []
        earlier.sort(key=lambda results: (results / _SENT).stat().st_mtime_ns)
        return [
            results / sent for results in earlier for sent in _sent(results)
            if Path(sent).name == name and is_regular(results / sent)
        ]  # fmt: skip

    def note_sent(self, results: Path, sent: Path) -> None:
        """Note that the archive has an object.

        Raises:
            OutputError: if the disk refuses.
        """
        names = [*_sent(results), _name(results, sent)]
        write_atomically(results / _SENT, json.dumps(names).encode())
        _sync(results)

    def forget(self, older_than_s: float) -> None:
        """Remove studies of which everything was sent, this long after their last film came.

        Args:
            older_than_s: seconds.
        """
        for study in list(self.waiting()):
            results = self.results(study)
            old = time.time() - study.newest > older_than_s
            if not old or results is None or self.unsent(results):
                continue
            with self._lock:
                if self._now(self._films / study.study) == study:
                    # films first: results without films are nothing to do
                    shutil.rmtree(self._films / study.study)
                    shutil.rmtree(self._results / study.study)
                    for film in study.films:
                        self._digests.pop(film, None)

    def _remove_parts(self) -> None:
        """Remove what an earlier process had begun to write or to remove."""
        for results in listed(self._results):
            films = self._films / results.name
            if not films.is_dir() or not listed(films):
                shutil.rmtree(results)
        for folder in (*listed(self._films), *listed(self._results)):
            for path in listed(folder) if folder.is_dir() else ():
                if path.name.startswith("."):
                    if path.is_dir():
                        shutil.rmtree(path)
                    else:
                        path.unlink()


def _sent(results: Path) -> list[str]:
    path = results / _SENT
    return [str(name) for name in json.loads(read_bytes(path))] if is_regular(path) else []


def _name(results: Path, path: Path) -> str:
    # with its folders: a study may be of several patients or visits
    return path.relative_to(results).as_posix()


def _sync(folder: Path) -> None:
    """Have the names in a folder on the disk; where folders cannot be opened, nothing is done."""
    with suppress(PermissionError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
