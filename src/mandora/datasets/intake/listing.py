"""Which file a row of a manifest means."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from mandora.core.archives import split_archive
from mandora.core.inputs import is_folder, is_regular, listed
from mandora.core.records import Reason
from mandora.core.terminal import printable
from mandora.datasets.intake.rows import Problem
from mandora.datasets.intake.search import FoundFile
from mandora.datasets.intake.tables import ManifestRow


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
            shown = printable(PurePosixPath(row.file).name, one_line=True)
            problems.append(Problem(shown, Reason.FILM_UNREADABLE, detail))
            continue
        size = path.stat().st_size if is_regular(path) else None
        file = FoundFile(path, (path.absolute().parent.name,), size, named=True)
        files.setdefault(path.absolute(), file)
    return list(files.values()), problems


def rows_of(table: Path, rows: Sequence[ManifestRow], paths: Sequence[Path]) -> list[list[int]]:
    """For each row, the numbers of the files that it may mean: by its path, else by its end."""
    by_path = {path.absolute(): i for i, path in enumerate(paths)}
    by_name: dict[str, list[int]] = {}
    for i, path in enumerate(paths):
        by_name.setdefault(_text(path.name), []).append(i)
    found = []
    for row in rows:
        there = _resolved(table, row.file)
        if there is not None and there.absolute() in by_path:
            found.append([by_path[there.absolute()]])
            continue
        parts = PurePosixPath(row.file.replace("\\", "/")).parts
        same = by_name.get(parts[-1] if parts else "", [])
        ends = [i for i in same if _ends_with(paths[i], parts)]
        found.append(ends)
    return found


def _ends_with(path: Path, parts: tuple[str, ...]) -> bool:
    own = tuple(_text(part) for part in path.absolute().parts)
    return own[-len(parts) :] == parts


def _resolved(table: Path, cell: str) -> Path | None:
    """The file that a cell names, which may lie in an archive; None if there is none."""
    path = table.absolute().parent / cell
    if is_regular(path) or split_archive(path) is not None:
        return path
    # a name that is no text is written as it can be printed
    if is_folder(path.parent):
        same = [p for p in listed(path.parent) if _text(p.name) == path.name and is_regular(p)]
        return same[0] if len(same) == 1 else None
    return None


def _text(name: str) -> str:
    return printable(name, one_line=True)
