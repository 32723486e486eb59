"""What is wrong with the patients and scores of a data set as a whole, or good to know."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import TARGETS, Damage, Limb, Side, Slot
from mandora.core.errors import InputError
from mandora.core.inputs import read_text
from mandora.core.ra2 import RA2_ID, ra2_column, target_from_ra2
from mandora.datasets.dataset import Dataset
from mandora.datasets.findings import Report
from mandora.datasets.formats.ra2.folder import training_table

FEW_DAMAGED = 50
"""So many damaged joints of a limb are the least that a kind of damage can be learnt from."""

_NAMED = 5
_TOES = tuple(
    next(t for t in TARGETS if t.slot == Slot(s, Limb.FOOT) and t.site.name == "ip"
         and t.damage is Damage.NARROWING)
    for s in Side
)  # fmt: skip


def check_scores(dataset: Dataset, report: Report) -> None:
    """Note what is wrong with patients and scores.

    Args:
        dataset: as it was read.
        report: what is found is added to it. It holds what the data set's reader has found,
            which is not repeated.
    """
    place = dataset.root
    if dataset.layout == "ra2":
        place = training_table(dataset.root)
        _check_toes(place, report)
    _check_ids(dataset, place, report)
    _check_coverage(dataset, place, report)
    known = [dataset.training_scores(patient) for patient in _everyone(dataset)]
    table = np.array(known).reshape(-1, len(TARGETS))
    scored = np.isfinite(table)
    if not scored.any():
        report.warning("no-scores", place, "nobody has a score; only joints can be learnt")
        return
    _check_targets(table, place, report)
    _check_damage(table, place, report)


def _everyone(dataset: Dataset) -> list[str]:
    """All patients with films or scores, each once."""
    scored = [dataset.official, *dataset.readers.values()]
    named = [*dataset.patients, *(patient for scores in scored for patient in scores)]
    return list(dict.fromkeys(named))


def _check_toes(path: Path, report: Report) -> None:
    """A later release of RA2's table has two columns of great toes in one another's place."""
    try:
        header = read_text(path, "utf-8-sig").partition("\n")[0]
    except (OSError, UnicodeDecodeError, InputError):
        return  # its reader has said so
    columns = [cell.strip() for cell in header.split(",")]
    after = dict(pairwise(columns))
    left, right = (ra2_column(t) for t in _TOES)

    def follower(column: str) -> str:
        name = after.get(column, "")
        try:
            return target_from_ra2(name).slot.code
        except InputError:
            return ""

    if follower(left) == _TOES[1].slot.code and follower(right) == _TOES[0].slot.code:
        fault = (
            f"columns {left} and {right} stand in one another's place, as in the updated release; "
            "they are read by name, as all columns are"
        )
        report.note("toe-columns-swapped", path, fault, 1)


def _check_ids(dataset: Dataset, place: Path, report: Report) -> None:
    alike: dict[str, list[str]] = defaultdict(list)
    for patient in _everyone(dataset):
        plain = re.sub(r"[\s_-]+", "_", patient.casefold()).strip("_")
        # a spreadsheet makes 7 of 007
        alike[re.sub(r"(?<!\d)0+(?=\d)", "", plain)].append(patient)
    for names in alike.values():
        if len(names) > 1:
            fault = (
                f"{RA2_ID} {', '.join(map(repr, names))} differ in case, spacing or leading zeros "
                "only and count as different patients; use one spelling if they are one"
            )
            report.warning("patients-alike", place, fault)


def _check_coverage(dataset: Dataset, place: Path, report: Report) -> None:
    """Patients without films, and films without scores."""
    reported = {f.file for f in report.findings if f.code == "scores-missing"}
    shown = set(dataset.patients)
    scores = {patient: dataset.training_scores(patient) for patient in _everyone(dataset)}
    if dataset.layout != "ra2":  # the reader of RA2's table has said so, row by row
        for patient, known in scores.items():
            if patient not in shown and np.isfinite(known).any():
                fault = f"patient {patient} has no film; the scores are not used for networks"
                report.warning("films-missing", place, fault)
    for patient in dataset.patients:
        films = [film.path for film in dataset.films if film.patient == patient]
        if not films or np.isfinite(scores[patient]).any():
            continue
        if reported.isdisjoint(report.name_of(path) for path in films):
            fault = f"patient {patient} has films and no score; the films teach joints only"
            report.warning("scores-missing", films[0], fault)


def _check_targets(table: NDArray[np.float64], place: Path, report: Report) -> None:
    scored = np.isfinite(table)
    absent = [TARGETS[i].key for i in np.flatnonzero(~scored.any(axis=0))]
    if absent:
        report.note("targets-absent", place, f"nobody has a score of {_listed(absent)}")
    constant = [
        target.key
        for target, values in zip(TARGETS, table.T, strict=True)
        if np.isfinite(values).sum() > 1 and np.nanmin(values) == np.nanmax(values)
    ]
    if constant:
        fault = f"all patients have the same score of {_listed(constant)}; nothing to learn there"
        report.note("targets-constant", place, fault)


def _check_damage(table: NDArray[np.float64], place: Path, report: Report) -> None:
    few = []
    for limb in Limb:
        for damage in Damage:
            own = [i for i, t in enumerate(TARGETS) if t.limb is limb and t.damage is damage]
            values = table[:, own]
            known, damaged = int(np.isfinite(values).sum()), int((values > 0).sum())
            if known and damaged < FEW_DAMAGED:
                few.append(f"{limb} {damage}: {damaged} of {known}")
    if few:
        fault = f"few joints are damaged, and damage is learnt from those ({'; '.join(few)})"
        report.note("few-damaged", place, fault)


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{len(names)} targets: {shown}, …"
