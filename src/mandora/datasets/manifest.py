"""A data set as one CSV file: a row for each film, or for each reader of a film.

::

    patient,film,slot,reader,weight,spaces,mcp2:narrowing,mcp2:erosion
    P1,films/P1-LH.png,LH,official,,spaces/P1-LH.png,1,0
    P1,films/P1-LH.png,LH,ana,2,,1,1

Paths are relative to the manifest. A row without film holds scores alone. ``docs/data.md``
describes every column.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mandora.core.anatomy import (
    FAMILIES,
    TARGET_INDEX,
    Damage,
    Limb,
    Slot,
    target,
)
from mandora.core.errors import InputError
from mandora.datasets.dataset import Dataset, DatasetFilm
from mandora.datasets.film_labels import FilmLabels, no_landmarks
from mandora.datasets.findings import Report
from mandora.datasets.formats.ra2.folder import TRAINING_CSV, TRAINING_XLSX, training_table
from mandora.datasets.impressions import IMPRESSIONS_CSV, read_impressions
from mandora.datasets.label_files import LABEL_SUFFIXES
from mandora.datasets.score_tables import OFFICIAL, Scores, score_of, unknown_scores, with_weights
from mandora.datasets.study_ids import study_id_fault
from mandora.datasets.tables import Row, read_table

MANIFEST_CSV = "manifest.csv"
MANIFEST_XLSX = "manifest.xlsx"
SCORE_COLUMNS: tuple[str, ...] = tuple(
    dict.fromkeys(
        f"{site.name}:{damage}"
        for limb in Limb
        for damage in Damage
        for site in FAMILIES[limb, damage]
    )
)
"""Columns of scores: a target's key without the film that it is read from."""

_FILM_COLUMNS = ("patient", "person", "film", "slot", "limb", "side")
COLUMNS = (
    *_FILM_COLUMNS,
    "spaces",
    "erosions",
    "joints",
    "erosive",
    "reader",
    "weight",
    *SCORE_COLUMNS,
)
"""All columns that a manifest may have; ``patient`` and ``film`` must be there."""

_EROSIVE = {"0": False, "1": True}
_LABEL_COLUMNS = ("spaces", "erosions", "joints", "erosive")


@dataclass
class _Film:
    """What the rows of one film say together."""

    row: Row
    film: str
    labels: dict[str, str] = field(default_factory=dict)


@dataclass
class _Content:
    films: dict[tuple[str, Slot], _Film] = field(default_factory=dict)
    scores: dict[str, dict[str, Scores]] = field(default_factory=dict)  # reader → patient
    lines: dict[tuple[str, str, Slot], int] = field(default_factory=dict)
    weights: dict[str, tuple[float, int]] = field(default_factory=dict)
    persons: dict[str, tuple[str, int]] = field(default_factory=dict)  # by patient, with the row


def is_manifest(path: Path) -> bool:
    """Whether a folder holds a manifest, or a file is taken for one."""
    if path.is_file():
        is_training = path.name in (TRAINING_CSV, TRAINING_XLSX)
        return path.suffix.lower() in (".csv", ".xlsx") and not is_training
    return _table_of(path).is_file()


def _table_of(folder: Path) -> Path:
    tables = [folder / MANIFEST_CSV, folder / MANIFEST_XLSX]
    return next((table for table in tables if table.is_file()), tables[0])


def read_manifest(
    path: Path, weights: Mapping[str, float] | None, report: Report
) -> Dataset | None:
    """Read a manifest.

    Args:
        path: the table, or the folder of a ``manifest.csv`` or ``manifest.xlsx``.
        weights: of readers in the label that training uses; they replace those of the file.
        report: what is wrong is added to it.

    Returns:
        None if the file is no table with the columns ``patient`` and ``film``.
    """
    if path.is_dir():
        manifest = _table_of(path)
        if (other := training_table(path)).is_file():
            report.note("training-csv-not-used", other, f"{manifest.name} is read")
        path = manifest
    table = read_table(path, report, ("patient", "film"), COLUMNS)
    if table is None:
        return None
    if "slot" not in table.columns and not {"limb", "side"} <= set(table.columns):
        report.error("column-missing", path, "add a column slot (LH, RH, LF, RF)", 1)
        return None
    content = _Content()
    for row in table.rows:
        _add_row(path, row, content, report)
    labels = FilmLabels(
        (
            DatasetFilm(
                patient, slot, path.parent / item.film, no_landmarks(slot.limb),
                erosive=_EROSIVE.get(item.labels.get("erosive", "")),
            )
            for (patient, slot), item in content.films.items()
            if item.film
        ),
        report,
    )  # fmt: skip
    if not labels.films:
        report.error("no-films", path, "no row names a film that can be used")
    _add_labels(path, content, labels, report)
    readers = {name: known for name, known in content.scores.items() if name != OFFICIAL}
    own = {reader: weight for reader, (weight, _) in content.weights.items()}
    official = content.scores.get(OFFICIAL) or _mean_of(readers, own, path)
    everyone, weighed = with_weights(official, readers, weights, report, own)
    persons = {patient: person for patient, (person, _) in content.persons.items()}
    films = _with_impressions(path.parent / IMPRESSIONS_CSV, labels, report)
    return Dataset(path, "manifest", films, (), official, everyone, weighed, persons)


def _with_impressions(path: Path, labels: FilmLabels, report: Report) -> tuple[DatasetFilm, ...]:
    films = labels.labelled()
    if not path.is_file():
        return films
    seen = read_impressions(path, labels, report)
    return tuple(replace(film, impressions=seen.get(i, {})) for i, film in enumerate(films))


def _mean_of(
    readers: Mapping[str, Mapping[str, Scores]], own: Mapping[str, float], path: Path
) -> dict[str, Scores]:
    """The official label where the file has none: the readers' mean, by the file's own weights.

    Weights that are asked for in a training run do not count here, so that runs which weigh the
    readers differently are still measured against the same label.
    """
    merged = Dataset(path, "manifest", (), (), {}, readers, own)
    scored = dict.fromkeys(patient for known in readers.values() for patient in known)
    return {patient: merged.training_scores(patient) for patient in scored}


def _add_row(path: Path, row: Row, content: _Content, report: Report) -> None:
    patient, slot = row["patient"], _slot(path, row, report)
    if (fault := study_id_fault(patient)) is not None:
        report.error("patient-unusable", path, f"patient {patient!r} {fault}; rename it", row.line)
        return
    if slot is None:
        return
    scores = _scores(path, row, slot, report)
    reader = row["reader"] or OFFICIAL
    if (first := content.lines.get((reader, patient, slot))) is not None:
        whose = f" by {reader}" if row["reader"] else ""
        fault = f"the {slot.title} of {patient}{whose} is in row {first} already; keep one row"
        report.error("row-repeated", path, fault, row.line)
        return
    content.lines[reader, patient, slot] = row.line
    _add_film(path, row, (patient, slot), content, report)
    _add_person(path, row, content, report)
    _add_weight(path, row, reader, content, report)
    if scores:
        values = content.scores.setdefault(reader, {}).setdefault(patient, unknown_scores())
        values[[TARGET_INDEX[key] for key in scores]] = list(scores.values())


def _slot(path: Path, row: Row, report: Report) -> Slot | None:
    code = row["slot"] or f"{row['side'][:1]}{row['limb'][:1]}"
    try:
        slot = Slot.parse(code)
    except InputError:
        what = f"slot {row['slot']!r}" if row["slot"] else f"{row['side']!r} {row['limb']!r}"
        fault = f"{what} is no film of a patient; give LH, RH, LF or RF"
        report.error("slot-unknown", path, fault, row.line)
        return None
    limb, side = row["limb"].lower(), row["side"].upper()[:1]
    if limb not in ("", slot.limb.value) or side not in ("", slot.side.value):
        fault = f"slot {slot.code} is not the {row['side']} {row['limb']}; correct one"
        report.error("limb-differs", path, fault, row.line)
        return None
    return slot


def _scores(path: Path, row: Row, slot: Slot, report: Report) -> dict[str, float]:
    """Score by target key of the cells that are not blank."""
    scores = {}
    for column in SCORE_COLUMNS:
        if not row[column]:
            continue
        key = f"{slot.code}-{column}"
        if key not in TARGET_INDEX:
            fault = f"column {column}: a {slot.limb} has no such score; leave the cell blank"
            report.error("target-unknown", path, fault, row.line)
            continue
        scores[key] = score_of(path, row, column, target(key).maximum, report)
    return scores


def _add_film(
    path: Path, row: Row, key: tuple[str, Slot], content: _Content, report: Report
) -> None:
    known = content.films.setdefault(key, _Film(row, row["film"]))
    if row["film"] and known.film and row["film"] != known.film:
        fault = (
            f"the {key[1].title} of {key[0]} is {known.film} in row {known.row.line}, here it is "
            f"{row['film']}; a patient has one film of each limb, give other visits another id"
        )
        report.error("film-differs", path, fault, row.line)
        return
    if row["film"] and (not known.film or known.row is row):
        known.row, known.film = row, row["film"]
        if not (path.parent / row["film"]).is_file():
            fault = f"film {row['film']}: there is no such file; correct the path"
            report.error("film-missing", path, fault, row.line)
    if row["erosive"] not in ("", *_EROSIVE):
        fault = f"erosive {row['erosive']!r}: write 1 for any erosion on the film, 0 for none"
        report.error("erosive-unknown", path, fault, row.line)
    for column in _LABEL_COLUMNS:
        if row[column] and known.labels.setdefault(column, row[column]) != row[column]:
            fault = f"{column} {row[column]} is not that of the film's other rows; keep one"
            report.error("labels-differ", path, fault, row.line)


def _add_person(path: Path, row: Row, content: _Content, report: Report) -> None:
    if not row["person"]:
        return
    known, line = content.persons.setdefault(row["patient"], (row["person"], row.line))
    if known != row["person"]:
        fault = f"{row['patient']} is person {known} in row {line}, here {row['person']}; keep one"
        report.error("person-differs", path, fault, row.line)


def _add_weight(path: Path, row: Row, reader: str, content: _Content, report: Report) -> None:
    if not row["weight"]:
        return
    weight = score_of(path, row, "weight", math.inf, report, "weight")
    if math.isnan(weight):
        return
    known, line = content.weights.setdefault(reader, (weight, row.line))
    if known != weight:
        fault = f"reader {reader} has weight {known:g} in row {line}, here {weight:g}; keep one"
        report.error("weight-differs", path, fault, row.line)


def _add_labels(path: Path, content: _Content, labels: FilmLabels, report: Report) -> None:
    tables = {item.labels["joints"] for item in content.films.values() if "joints" in item.labels}
    if not tables and (path.parent / "joints.csv").is_file():
        tables = {"joints.csv"}
    for name in sorted(tables):
        if (path.parent / name).is_file():
            labels.add_joints(path.parent / name)
        else:
            fault = "there is no such file; correct the column joints"
            report.error("labels-missing", path.parent / name, fault)
    films = [item for item in content.films.values() if item.film]
    for index, item in enumerate(films):
        for kind in ("spaces", "erosions"):
            if kind not in item.labels:
                continue
            file = path.parent / item.labels[kind]
            if file.suffix.lower() in LABEL_SUFFIXES:
                labels.add_file(file, kind, index)
            else:
                labels.set_map(index, kind, file)
