"""Which file a row of a manifest means.

Manifests are written on other computers: with backslashes, with drives, with other capitals, with
umlauts as two letters, without endings. A row means a file if it is its path, or if enough of its
end is the end of one file's path and of no other's.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from mandora.core.archives import split_archive
from mandora.core.inputs import is_folder, is_regular, listed
from mandora.core.records import Reason
from mandora.core.terminal import printable
from mandora.datasets.intake.names import FILM_SUFFIXES, read_name
from mandora.datasets.intake.rows import Problem
from mandora.datasets.intake.search import FoundFile
from mandora.datasets.intake.tables import ManifestRow

_ROOT = re.compile(r"([A-Za-z]:)?/|//")


def listed_files(table: Path, rows: Sequence[ManifestRow]) -> tuple[list[FoundFile], list[Problem]]:
    """The files that a manifest names, and a problem for each that is not there.

    Args:
        table: the manifest; files are named from its folder, or in full.
        rows: of it.
    """
    files: dict[Path, FoundFile] = {}
    problems = []
    for row in rows:
        path = _resolved(table, row.file)
        if path is None:
            detail = f"line {row.line} of the manifest names no file that is there; correct it"
            shown = printable(_cell_path(row.file).name, one_line=True)
            problems.append(Problem(shown, Reason.FILM_UNREADABLE, detail))
            continue
        size = path.stat().st_size if is_regular(path) else None
        file = FoundFile(path, (path.absolute().parent.name,), size, named=True)
        files.setdefault(path.absolute(), file)
    return list(files.values()), problems


def rows_of(table: Path, rows: Sequence[ManifestRow], paths: Sequence[Path]) -> list[list[int]]:
    """For each row, the numbers of the files that it may mean: by its path, else by its end."""
    by_path = {path.absolute(): i for i, path in enumerate(paths)}
    found = []
    for row in rows:
        there = _resolved(table, row.file)
        if there is not None and there.absolute() in by_path:
            found.append([by_path[there.absolute()]])
        else:
            found.append(_by_end(row.file, paths))
    return found


def _by_end(cell: str, paths: Sequence[Path]) -> list[int]:
    """The files whose paths end as a cell does; as it is, else without capitals and ending."""
    quoted = PurePosixPath(cell).name  # bytes that are no text are written with a backslash
    if "\\" in quoted and (same := [i for i, p in enumerate(paths) if _text(p.name) == quoted]):
        return same
    parts = _cell_path(cell).parts[_is_full(cell) :]
    for key in (_as_written, _folded, _without_ending):
        wanted = tuple(map(key, parts))
        own = [tuple(key(_text(part)) for part in path.absolute().parts) for path in paths]
        for length in range(len(wanted), _least_parts(cell, len(wanted)) - 1, -1):
            end = wanted[-length:]
            same = [i for i, parts in enumerate(own) if end and parts[-length:] == end]
            if same:
                return same
    return []


def _least_parts(cell: str, all_parts: int) -> int:
    """How many parts at the end of a path have to be those of the file.

    The films of a full path may have been moved. One folder and the name then say which it is; the
    name alone does if it names a patient: ``LH.jpg`` lies in many folders.
    """
    if not _is_full(cell):
        return all_parts
    return 1 if read_name(_cell_path(cell).name).facts.patient else min(2, all_parts)


def _resolved(table: Path, cell: str) -> Path | None:
    """The file that a cell names, which may lie in an archive; None if there is none."""
    folder = table.absolute().parent
    names = _cell_path(cell)
    for path in (folder / cell, folder / names):
        if is_regular(path) or split_archive(path) is not None:
            return path
    if _is_full(cell):  # the films were moved with their table
        parts = names.parts[1:]
        for length in range(len(parts), _least_parts(cell, len(parts)) - 1, -1):
            path = folder.joinpath(*parts[-length:])
            if length and (is_regular(path) or split_archive(path) is not None):
                return path
        return None
    # a name that is no text is written as it can be printed
    for path in (folder / cell, folder / names):
        if not is_folder(path.parent):
            continue
        there = [p for p in listed(path.parent) if is_regular(p)]
        for key in (_as_written, _folded, _without_ending):
            same = [p for p in there if key(_text(p.name)) == key(path.name)]
            if same:
                return same[0] if len(same) == 1 else None
    return None


def _cell_path(cell: str) -> PurePosixPath:
    return PurePosixPath(cell.replace("\\", "/"))


def _is_full(cell: str) -> bool:
    return _ROOT.match(cell.replace("\\", "/")) is not None


def _as_written(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _without_ending(name: str) -> str:
    folded = _folded(name)
    return re.sub(FILM_SUFFIXES.pattern + "$", "", folded)


def _text(name: str) -> str:
    return printable(name, one_line=True)
