"""Checking a labelled data set: everything that is wrong with it, at once, with file and row.

``mandora.datasets.layouts.read_dataset`` finds what is wrong with tables and names. Here every
film is decoded as well, films are compared with each other, and the scores are looked at as a
whole. ``docs/check.md`` lists what can be found.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from mandora.core.errors import InputError
from mandora.core.parallel.workers import KILLED_ALONE, map_items
from mandora.datasets.check.films import CheckedFilm, check_film
from mandora.datasets.check.near_duplicates import near_duplicates
from mandora.datasets.check.scores import check_scores
from mandora.datasets.dataset import Dataset, DatasetFilm, DatasetRoi
from mandora.datasets.findings import Finding, Report, Severity
from mandora.datasets.layouts import layout_of, read_dataset

_UNUSABLE = ("not-there", "layout-unknown")


@dataclass(frozen=True)
class CheckReport:
    """What a data set holds and what is wrong with it.

    Attributes:
        layout: how the data set is laid out, see :data:`mandora.datasets.layouts.LAYOUTS`.
        patients: number of patients with films or pictures of joints.
        films: number of whole films.
        rois: number of joints that come as pictures of their own.
        scores: number of scores in the official label.
        landmarks: number of joints that are marked on films.
        findings: errors first, then warnings and notes; by file and row.
    """

    layout: str
    patients: int
    films: int
    rois: int
    scores: int
    landmarks: int
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        """Number of errors."""
        return self._count(Severity.ERROR)

    @property
    def warnings(self) -> int:
        """Number of warnings."""
        return self._count(Severity.WARNING)

    @property
    def notes(self) -> int:
        """Number of notes."""
        return self._count(Severity.NOTE)

    def _count(self, severity: Severity) -> int:
        return sum(finding.severity is severity for finding in self.findings)

    def to_json(self) -> str:
        """One object: the counts, ``findings``, and the number of ``errors`` and ``warnings``."""
        content = asdict(self) | {"errors": self.errors, "warnings": self.warnings}
        return json.dumps(content, indent=2, ensure_ascii=False)


def check_dataset(
    path: Path, progress: Callable[[int, int], None] | None = None, workers: int = 1
) -> CheckReport:
    """Check a data set.

    Args:
        path: its folder, or its ``manifest.csv`` or ``training.csv``.
        progress: called with the films that were read and their number.
        workers: processes that read films.

    Raises:
        ValueError: if there is nothing at the path, or no data set whose layout is known.
        OSError: if a folder cannot be listed.
    """
    dataset, findings = read_dataset(path)
    unusable = next((f for f in findings if f.code in _UNUSABLE), None)
    if unusable is not None:
        raise InputError(f"{path}: {unusable.message}")
    report = Report(path if path.is_dir() else path.parent, list(findings))
    if dataset is None:
        return _finished(layout_of(path) or "", Dataset(path, "", (), (), {}), report)
    check_scores(dataset, report)
    items = _readable(dataset)
    checked: list[CheckedFilm] = []
    for film in _check_films(items, report.root, workers):
        checked.append(film)
        report.findings += film.findings
        if progress is not None:
            progress(len(checked), len(items))
    _compare(items, checked, report)
    return _finished(dataset.layout, dataset, report)


def _finished(layout: str, dataset: Dataset, report: Report) -> CheckReport:
    order = list(Severity)
    return CheckReport(
        layout=layout,
        patients=len(dataset.patients),
        films=len(dataset.films),
        rois=len(dataset.rois),
        scores=sum(int(np.isfinite(scores).sum()) for scores in dataset.official.values()),
        landmarks=sum(int(np.isfinite(film.landmarks).all(axis=1).sum()) for film in dataset.films),
        findings=tuple(
            sorted(
                dict.fromkeys(_printable(finding) for finding in report.findings),
                key=lambda f: (order.index(f.severity), f.file, f.row or 0),
            )
        ),
    )


def _printable(finding: Finding) -> Finding:
    """Cells and file names that findings quote may hold what steers a terminal, or is no text."""
    file, message = (
        "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
        for text in (finding.file, finding.message)
    )
    return replace(finding, file=file, message=message)


def _readable(dataset: Dataset) -> list[DatasetFilm | DatasetRoi]:
    """What is to be read. That a manifest's film is not there has been said, with its row."""
    items: list[DatasetFilm | DatasetRoi] = [*dataset.films, *dataset.rois]
    if dataset.layout == "manifest":
        return [item for item in items if item.path.is_file()]
    return items


def _check_films(
    items: Sequence[DatasetFilm | DatasetRoi], root: Path, workers: int
) -> Iterator[CheckedFilm]:
    def unreadable(item: DatasetFilm | DatasetRoi) -> CheckedFilm:
        report = Report(root)
        report.error("film-unreadable", item.path, KILLED_ALONE)
        return CheckedFilm(tuple(report.findings))

    return map_items(partial(check_film, root=root), items, workers, unreadable)


def _compare(
    items: Sequence[DatasetFilm | DatasetRoi], checked: Sequence[CheckedFilm], report: Report
) -> None:
    """Say which films are there more than once."""
    same: dict[str, list[int]] = defaultdict(list)
    for index, film in enumerate(checked):
        if film.digest is not None:
            same[film.digest].append(index)
    copies: set[int] = set()
    for group in same.values():
        first = items[group[0]]
        for index in group[1:]:
            copies.add(index)
            item = items[index]
            if not _is_one_film(first, item):
                fault = (
                    f"the picture is that of {report.name_of(first.path)}, "
                    f"{_whose(first)}, pixel for pixel, and is given for {_whose(item)}; keep one"
                )
                report.error("film-duplicate", item.path, fault)
    patterns = {
        i: film.pattern
        for i, film in enumerate(checked)
        if film.pattern is not None and i not in copies
    }
    kept = list(patterns)
    for pair in near_duplicates(list(patterns.values())):
        first, item = items[kept[pair.first]], items[kept[pair.second]]
        how = "mirrored, " if pair.mirrored else ""
        fault = (
            f"looks like a copy ({how}distance {pair.distance:.3f}) of "
            f"{report.name_of(first.path)}, {_whose(first)}, and is given for "
            f"{_whose(item)}; look at both and keep one"
        )
        report.warning("film-near-duplicate", item.path, fault)


def _is_one_film(one: DatasetFilm | DatasetRoi, other: DatasetFilm | DatasetRoi) -> bool:
    """Whether a picture may serve twice: a film of both hands, or one joint of two scores."""
    if one.patient != other.patient:
        return False
    return one.path.absolute() == other.path.absolute() or (
        isinstance(one, DatasetRoi) and one.slot == other.slot
    )


def _whose(item: DatasetFilm | DatasetRoi) -> str:
    return f"the {item.slot.title} of {item.patient}"
