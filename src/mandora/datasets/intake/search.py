"""The files in folders of any depth and in zip archives that may be films.

No pixels are read. What an earlier run or a simulated cohort left there is passed over, as are
hidden files and files that are no films by name. A DICOMDIR is an index of the files that lie
beside it: naming it is naming its folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mandora.core.archives import is_zip, list_members
from mandora.core.errors import InputError
from mandora.core.files import AnyPath
from mandora.core.inputs import is_folder, is_regular, listed
from mandora.core.records import Reason
from mandora.core.terminal import printable
from mandora.datasets.intake.rows import Problem
from mandora.datasets.study_ids import natural_key

_OTHER_SUFFIXES = re.compile(
    r"\.([ct]sv|jsonl?|txt|html?|css|js|md|toml|ya?ml|xml|pdf|log|xlsx?|docx?|ini|db|sqlite|py"
    r"|np[zy]|parquet|gz|tgz|tar|part|sha256|exe|inf|key)",
    re.IGNORECASE,
)
_OTHER_NAMES = frozenset({"dicomdir", "readme", "license", "thumbs.db", "desktop.ini", "lockfile"})
_OTHER_FOLDERS = frozenset({"__macosx"})
LABEL_FOLDERS = frozenset({"spaces", "erosions", "labelme", "annotations", "cvat", "readers"})
"""Folders of a data set that hold labels, named like films."""

_COHORT_FOLDERS = frozenset({"truth", "bones", "pairs"})
_RUN_FOLDERS = frozenset({"results", "overlays", "reports"})
_VISIT = re.compile(r"visit-\d+")
_RUN_TABLES = ("scores.csv", "joints.csv")


@dataclass(frozen=True)
class FoundFile:
    """A file that may be a film.

    Attributes:
        path: it may lead into a zip archive.
        folders: names of the folders that it lies in, the nearest first, as far as the user named
            them; an archive counts as a folder.
        size: bytes; None if that cannot be said.
        named: by the user, so that it is never passed over.
    """

    path: Path
    folders: tuple[str, ...]
    size: int | None
    named: bool = False


def search(inputs: Iterable[Path], archives: bool = True) -> tuple[list[FoundFile], list[Problem]]:
    """Files that may be films, each once, and what cannot be looked into.

    Args:
        inputs: files, folders and archives. A file that is named itself is never passed over.
        archives: look into zip archives that lie in folders.

    Raises:
        InputError: if an input does not exist or cannot be listed.
    """
    files: dict[Path, FoundFile] = {}  # by absolute path: a file may be given twice
    problems: list[Problem] = []
    for given in inputs:
        if given.name.lower() == "dicomdir" and is_regular(given):
            given = given.parent
        if is_folder(given):
            found = _in_folder(given, problems, archives)
        elif is_zip(given):
            found = _in_archive(given, (), problems)
        elif is_regular(given):
            found = iter([_found(given, (given.absolute().parent.name,), named=True)])
        elif given.exists() or given.is_symlink():
            detail = "this is not a regular file; name an image file"
            problems.append(Problem(name_text(given.name), Reason.FILM_UNREADABLE, detail))
            continue
        else:
            raise InputError(f"{given}: there is no such file or folder; check the path")
        for file in found:
            files.setdefault(file.path.absolute(), file)
    return list(files.values()), problems


def film_candidates(folder: AnyPath) -> list[Path]:
    """What may be a film, an archive or a folder of films, in natural order.

    Left out are hidden files, files that are no pictures by name, and folders that a run has
    written, that hold labels of a data set or that belong to a simulated cohort.

    Raises:
        InputError: if the folder cannot be listed.
    """
    found = [p for p in listed(Path(folder)) if not p.name.startswith(".")]
    kept = [p for p in found if not (_is_output(p) if is_folder(p) else _is_no_film(p.name))]
    return sorted(kept, key=lambda path: natural_key(path.name))


def _found(path: Path, folders: tuple[str, ...], *, named: bool = False) -> FoundFile:
    size = None
    with suppress(OSError):  # a link to nothing: the reader will say so
        size = path.stat().st_size
    return FoundFile(path, folders, size, named)


def _in_folder(folder: Path, problems: list[Problem], archives: bool) -> Iterator[FoundFile]:
    """The files below a folder; folders that cannot be searched are added to the problems."""
    home = folder.resolve()
    searched = {home, *home.parents}
    # a folder that the user names and that cannot be listed ends the call; others cost themselves
    waiting: list[tuple[list[Path], tuple[str, ...]]] = [(film_candidates(folder), (home.name,))]
    while waiting:
        paths, folders = waiting.pop()
        below: list[tuple[list[Path], tuple[str, ...]]] = []
        for path in paths:
            if is_zip(path):
                yield from _in_archive(path, folders, problems) if archives else ()
            elif not is_folder(path):
                if is_regular(path) or path.is_symlink():  # a broken link is reported
                    yield _found(path, folders)
            elif path.resolve() in searched:  # else every film is there again, by another path
                detail = "this is a link to a folder that is searched already; it was not followed"
                problems.append(Problem(name_text(path.name), Reason.UNKNOWN_NAME, detail))
            else:
                searched.add(path.resolve())
                try:
                    below.append((film_candidates(path), (path.name, *folders)))
                except InputError as error:
                    problems.append(
                        Problem(name_text(path.name), Reason.FILM_UNREADABLE, str(error))
                    )
        waiting += reversed(below)


def _in_archive(
    archive: Path, folders: tuple[str, ...], problems: list[Problem]
) -> Iterator[FoundFile]:
    try:
        members = list_members(archive)
    except (InputError, OSError) as error:
        problems.append(Problem(name_text(archive.name), Reason.FILM_UNREADABLE, str(error)))
        return
    for name, fault in members.faults.items():
        shown = f"{name_text(archive.name)}/{name}"
        problems.append(Problem(shown, Reason.FILM_UNREADABLE, fault))
    for name in sorted(members.sizes, key=natural_key):
        *inside, last = name.split("/")
        hidden = any(part.startswith(".") or part.lower() in _OTHER_FOLDERS for part in inside)
        if hidden or last.startswith(".") or _is_no_film(last):
            continue
        if last.lower().endswith(".zip"):
            detail = "an archive in an archive is not searched; unpack the outer one"
            shown = f"{name_text(archive.name)}/{printable(name, one_line=True)}"
            problems.append(Problem(shown, Reason.FILM_UNREADABLE, detail))
            continue
        within = (*reversed(inside), archive.stem, *folders)
        yield FoundFile(archive / name, within, members.sizes[name])


def _is_no_film(name: str) -> bool:
    suffix = Path(name).suffix
    return _OTHER_SUFFIXES.fullmatch(suffix) is not None or name.lower() in _OTHER_NAMES


def _is_output(folder: Path) -> bool:
    """Whether the folder was written by an earlier run, holds labels or belongs to a cohort.

    The pictures of a run, of labels and of a cohort's truth are named like films, and are none.
    The films of a cohort's later visit have the names of the first one's; name its folder to use
    them. Its films of two limbs show what single films show.
    """
    parent, name = folder.parent, folder.name
    if name.lower() in _OTHER_FOLDERS:
        return True
    if _VISIT.fullmatch(name):
        return _is_cohort(folder) and _is_cohort(parent)
    if name in LABEL_FOLDERS | _COHORT_FOLDERS:
        return is_regular(parent / "training.csv") or _is_cohort(parent)
    if name in _RUN_FOLDERS:
        return _is_run(parent) or is_regular(parent / "training.csv")
    if name == "dicom":  # a usual name of folders of films too: a report shows that it is ours
        reports = (*folder.glob("*/SR.dcm"), *folder.glob("*/*/SR.dcm"))  # a visit's is deeper
        return _is_run(parent) and bool(reports)
    return False


def _is_cohort(folder: Path) -> bool:
    return is_regular(folder / "truth" / "cohort.json")


def _is_run(folder: Path) -> bool:
    return all(is_regular(folder / name) for name in _RUN_TABLES)


def name_text(name: str) -> str:
    """The name of a file or folder as text.

    Bytes that are no UTF-8 are read as letters of Windows' code page 1252, which archives of old
    programs hold; as they are they would break every file that quotes them.
    """
    raw = os.fsencode(name)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")
