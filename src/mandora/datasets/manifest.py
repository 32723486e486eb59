"""A data set as one CSV file: a row for each film, or for each reader of a film.

::

    patient,film,slot,reader,weight,spaces,mcp2:narrowing,mcp2:erosion
    P1,films/P1-LH.png,LH,official,,spaces/P1-LH.png,1,0
    P1,films/P1-LH.png,LH,ana,2,,1,1

Paths are relative to the manifest. A row without film holds scores alone. ``docs/data.md``
describes every column.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mandora.core.anatomy import (
    FAMILIES,
    LANDMARKS,
    SLOTS,
    TARGET_INDEX,
    Damage,
    Limb,
    Slot,
    target,
)
from mandora.core.cells import csv_text
from mandora.core.errors import InputError
from mandora.core.files import write_atomically
from mandora.datasets.annotations import FilmLabels, no_landmarks
from mandora.datasets.dataset import Dataset, DatasetFilm, Labels, Scores
from mandora.datasets.folder import study_id_fault
from mandora.datasets.polygons import labelme_document
from mandora.datasets.score_tables import OFFICIAL, score_of, unknown_scores, with_weights
from mandora.datasets.tables import Report, Row, read_table
from mandora.images.read import read_radiograph

MANIFEST_CSV = "manifest.csv"
SCORE_COLUMNS: tuple[str, ...] = tuple(
    dict.fromkeys(
        f"{site.name}:{damage}"
        for limb in Limb
        for damage in Damage
        for site in FAMILIES[limb, damage]
    )
)
"""Columns of scores: a target's key without the film that it is read from."""

_FILM_COLUMNS = ("patient", "film", "slot", "limb", "side", "spaces", "erosions", "joints")
COLUMNS = (*_FILM_COLUMNS, "reader", "weight", *SCORE_COLUMNS)
"""All columns that a manifest may have; ``patient`` and ``film`` must be there."""

_LABEL_COLUMNS = ("spaces", "erosions", "joints")


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


def read_manifest(
    path: Path, weights: Mapping[str, float] | None, report: Report
) -> Dataset | None:
    """Read a manifest.

    Args:
        path: the CSV file.
        weights: of readers in the label that training uses; they replace those of the file.
        report: takes what is wrong.

    Returns:
        None if the file is no table with the columns ``patient`` and ``film``.
    """
    table = read_table(path, report, ("patient", "film"), COLUMNS)
    if table is None:
        return None
    if "slot" not in table.columns and not {"limb", "side"} <= set(table.columns):
        report.error("column-missing", path, "add a column slot (LH, RH, LF, RF)", 1)
        return None
    content = _Content()
    for row in table.rows:
        _take(path, row, content, report)
    labels = FilmLabels(
        (
            DatasetFilm(patient, slot, path.parent / item.film, no_landmarks(slot.limb))
            for (patient, slot), item in content.films.items()
            if item.film
        ),
        report,
    )
    if not labels.films:
        report.error("no-films", path, "no row names a film that can be used")
    _add_labels(path, content, labels, report)
    readers = {name: known for name, known in content.scores.items() if name != OFFICIAL}
    own = {reader: weight for reader, (weight, _) in content.weights.items()}
    official = content.scores.get(OFFICIAL) or _mean_of(readers, own, path)
    everyone, weighed = with_weights(official, readers, weights, report, own)
    return Dataset(path, "manifest", labels.labelled(), (), official, everyone, weighed)


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


def _take(path: Path, row: Row, content: _Content, report: Report) -> None:
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
    _take_film(path, row, (patient, slot), content, report)
    _take_weight(path, row, reader, content, report)
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


def _take_film(
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
    for column in _LABEL_COLUMNS:
        if row[column] and known.labels.setdefault(column, row[column]) != row[column]:
            fault = f"{column} {row[column]} is not that of the film's other rows; keep one"
            report.error("labels-differ", path, fault, row.line)


def _take_weight(path: Path, row: Row, reader: str, content: _Content, report: Report) -> None:
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
            if file.suffix.lower() in (".json", ".xml"):
                labels.add_file(file, kind, index)
            else:
                labels.set_map(index, kind, file)


def write_manifest(dataset: Dataset, path: Path) -> None:
    """Write a data set of films as a manifest; its films and label maps stay where they are.

    ``<stem>-joints.csv`` takes the joints and the folder ``<stem>-labels/`` polygons, if there
    are any. Reading the manifest gives the same data set.

    Args:
        dataset: of whole films.
        path: the manifest; its folder is made.

    Raises:
        ValueError: if joints come as pictures of their own, which a manifest has no rows for, or
            a film that polygons belong to cannot be read.
        OSError: if a file cannot be written.
    """
    if dataset.rois:
        raise InputError(
            f"{dataset.root}: joints that are pictures of their own do not fit into a manifest; "
            "open the data set in its own layout"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    marked = any(np.isfinite(film.landmarks).any() for film in dataset.films)
    joints = path.with_name(f"{path.stem}-joints.csv") if marked else None
    if joints:
        _write_csv(joints, _joint_lines(dataset.films, path.parent))
    rows = _manifest_rows(dataset, path, joints)
    used = [c for c in COLUMNS if any(row.get(c) for row in rows) or c in ("patient", "film")]
    _write_csv(path, [used, *([row.get(c, "") for c in used] for row in rows)])


def _manifest_rows(dataset: Dataset, path: Path, joints: Path | None) -> list[dict[str, str]]:
    readers = {OFFICIAL: dataset.official, **dataset.readers}
    rows = []
    for film in dataset.films:
        rows.append(
            {
                "patient": film.patient,
                "film": _relative(film.path, path.parent),
                "slot": film.slot.code,
                "joints": joints.name if joints else "",
                **{
                    kind: _label_file(film, kind, labels, path)
                    for kind, labels in (("spaces", film.spaces), ("erosions", film.erosions))
                },
                "reader": OFFICIAL if dataset.readers else "",
                **_weight(dataset, OFFICIAL),
                **_cells(dataset.official.get(film.patient), film.slot),
            }
        )
    shown = {(film.patient, film.slot) for film in dataset.films}
    for name, by_patient in readers.items():
        for patient, scores in by_patient.items():
            for slot in SLOTS:
                cells = _cells(scores, slot)
                if not cells or (name == OFFICIAL and (patient, slot) in shown):
                    continue
                reader = name if dataset.readers else ""
                row = {"patient": patient, "slot": slot.code, "reader": reader}
                rows.append({**row, **_weight(dataset, name), **cells})
    return rows


def _weight(dataset: Dataset, reader: str) -> dict[str, str]:
    return {"weight": f"{dataset.weights[reader]:g}"} if reader in dataset.weights else {}


def _cells(scores: Scores | None, slot: Slot) -> dict[str, str]:
    """Cell by column of the scores of one film that are known."""
    cells = {}
    for column in SCORE_COLUMNS if scores is not None else ():
        index = TARGET_INDEX.get(f"{slot.code}-{column}")
        if index is not None and scores is not None and math.isfinite(scores[index]):
            cells[column] = repr(float(scores[index])).removesuffix(".0")
    return cells


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path.absolute(), folder.absolute())).as_posix()
    except ValueError:  # another drive
        return path.absolute().as_posix()


def _label_file(film: DatasetFilm, kind: str, labels: Labels, path: Path) -> str:
    if labels is None:
        return ""
    if isinstance(labels, Path):
        return _relative(labels, path.parent)
    if film.label_size is not None:
        size = film.label_size
    else:
        height, width = read_radiograph(film.path).shape
        size = width, height
    folder = path.with_name(f"{path.stem}-labels") / kind
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{film.patient}-{film.slot.code}.json"
    document = labelme_document(labels, _relative(film.path, folder), size)
    write_atomically(file, json.dumps(document).encode())
    return _relative(file, path.parent)


def _joint_lines(films: Iterable[DatasetFilm], folder: Path) -> list[list[str]]:
    lines = [["film", "limb", "side", "site", "x", "y"]]
    for film in films:
        where = [_relative(film.path, folder), str(film.slot.limb), str(film.slot.side)]
        for landmark, place in zip(LANDMARKS[film.slot.limb], film.landmarks.tolist(), strict=True):
            if all(math.isfinite(v) for v in place):
                lines.append([*where, landmark.name, *(repr(v) for v in place)])
    return lines


def _write_csv(path: Path, lines: Iterable[Iterable[str]]) -> None:
    write_atomically(path, csv_text(lines).encode())
