"""A folder in RA2's layout: ``training.csv``, ``<patient>-LH.jpg`` …, and labels beside them.

A cohort that :mod:`mandora.simulate.cohort.folder` has simulated is such a folder with its truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mandora.core.anatomy import SLOTS
from mandora.core.errors import InputError
from mandora.core.inputs import is_folder, is_regular, listed
from mandora.core.records import Reason
from mandora.datasets.annotations import FilmLabels, files_in, no_landmarks
from mandora.datasets.dataset import Dataset, DatasetFilm, Scores
from mandora.datasets.folder import LABEL_FOLDERS, find_studies, natural_key
from mandora.datasets.score_tables import (
    OFFICIAL,
    read_patient_scores,
    read_target_scores,
    with_weights,
)
from mandora.datasets.tables import Report

TRAINING_CSV = "training.csv"
_KINDS = ("spaces", "erosions")
# Folders of labels and results: their pictures are named like films, and are none.
_NO_FILMS = LABEL_FOLDERS | {"truth", "bones", "pairs", "results", "overlays", "reports"}
_NO_FILM_SUFFIXES = frozenset(
    {".csv", ".tsv", ".json", ".xml", ".txt", ".md", ".toml", ".yaml", ".yml", ".pdf", ".html"}
    | {".xls", ".xlsx", ".zip", ".part"}
)


def read_ra2(folder: Path, weights: Mapping[str, float] | None, report: Report) -> Dataset:
    """Read a folder in RA2's layout.

    Later visits of a simulated cohort are not read along: their films show the same patients,
    who have one official label. A visit's folder is a data set of its own.

    Args:
        folder: with ``training.csv``.
        weights: of readers in the label that training uses, see
            :func:`mandora.datasets.score_tables.with_weights`.
        report: takes what is wrong.
    """
    official, lines = read_patient_scores(folder / TRAINING_CSV, report)
    films = _films(folder, report)
    _compare(folder / TRAINING_CSV, films, official, lines, report)
    labels = FilmLabels(films, report)
    _add_labels(folder, labels)
    readers = _readers(folder, official, report)
    everyone, weighed = with_weights(official, readers, weights, report)
    return Dataset(folder, "ra2", labels.labelled(), (), official, everyone, weighed)


def _films(folder: Path, report: Report) -> list[DatasetFilm]:
    inputs = []
    visits = []
    for path in sorted(listed(folder), key=lambda p: natural_key(p.name)):
        if path.name.startswith("."):
            continue
        if is_folder(path) and _is_closed(path, folder, report):
            continue
        visit = is_folder(path) and path.name.startswith("visit-")
        if visit and is_regular(path / TRAINING_CSV):
            visits.append(path.name)
        elif path.name not in _NO_FILMS and path.suffix.lower() not in _NO_FILM_SUFFIXES:
            inputs.append(path)
    if visits:
        fault = (
            f"{len(visits)} later visits ({visits[0]}, …) are not used: a patient has one label; "
            "open a visit's folder by its own name"
        )
        report.note("visits-not-used", folder, fault)
    found = find_studies(inputs)
    for problem in found.problems:
        place, message = folder / problem.path_name, problem.detail
        if problem.reason is Reason.DUPLICATE_FILM:
            report.error("film-repeated", place, message)
        else:
            report.warning("film-not-used", place, message)
    films = [
        DatasetFilm(study.study, slot, path, no_landmarks(slot.limb))
        for study in found.studies
        for slot, path in study.films.items()
    ]
    if not films:
        report.error("no-films", folder, "holds no films; name them <patient>-LH.jpg and so on")
    return films


def _is_closed(path: Path, folder: Path, report: Report) -> bool:
    """Whether a folder in the data set's cannot be searched, or leads back to it."""
    if path.resolve() in (folder.resolve(), *folder.resolve().parents):
        fault = "is a link to a folder that it lies in; it was not followed, remove it"
        report.warning("folder-unreadable", path, fault)
        return True
    try:
        listed(path)
    except InputError as error:
        report.not_read("folder-unreadable", path, error)
        return True
    return False


def _compare(
    table: Path,
    films: list[DatasetFilm],
    official: Mapping[str, Scores],
    lines: Mapping[str, int],
    report: Report,
) -> None:
    """Say which patients have films without scores, or scores without films."""
    shown: dict[str, list[str]] = {}
    for film in films:
        shown.setdefault(film.patient, []).append(film.slot.code)
        if film.patient not in official and len(shown[film.patient]) == 1:
            fault = f"patient {film.patient} has no row in {table.name}; the film has no scores"
            report.warning("scores-missing", film.path, fault)
    for patient, line in lines.items():
        if patient not in shown:
            fault = f"patient {patient} has no film; the scores are not used for networks"
            report.warning("films-missing", table, fault, line)
        elif len(shown[patient]) < len(SLOTS):
            fault = (
                f"patient {patient} has only {', '.join(shown[patient])}; the others are missing"
            )
            report.note("films-missing", table, fault, line)


def _add_labels(folder: Path, labels: FilmLabels) -> None:
    if (folder / "joints.csv").is_file():
        labels.add_joints(folder / "joints.csv")
    truth = folder / "truth"
    if (truth / "joints.csv").is_file():
        # rows of films of two limbs are left out: single films show the same
        labels.add_joints(truth / "joints.csv", quiet=True)
    for kind in _KINDS:
        labels.add_folder(folder / kind, kind)
        labels.add_folder(truth / kind, kind, quiet=True)
    for index, film in enumerate(labels.films):
        beside = film.path.with_suffix(".json")  # where LabelMe puts it
        if beside.is_file():
            labels.add_file(beside, film=index)
    for path in (
        *files_in(folder / "labelme", (".json",)),
        *files_in(folder / "annotations", (".json", ".xml")),
        *files_in(folder / "cvat", (".xml",)),
        *(folder / f"{name}.json" for name in ("coco", "coco-erosions")),
        *(folder / f"{name}.xml" for name in ("annotations", "annotations-erosions")),
    ):
        if path.is_file():
            labels.add_file(path, "erosions" if path.stem.endswith("erosions") else "spaces")


def _readers(
    folder: Path, official: Mapping[str, Scores], report: Report
) -> dict[str, Mapping[str, Scores]]:
    readers: dict[str, Mapping[str, Scores]] = {}
    if (folder / "truth" / "readers.csv").is_file():
        readers.update(read_target_scores(folder / "truth" / "readers.csv", report))
    for path in files_in(folder / "readers", (".csv",)):
        if path.stem == OFFICIAL or path.stem in readers:
            fault = f"there is another reader {path.stem!r}; name the file after its reader"
            report.error("reader-repeated", path, fault)
            continue
        readers[path.stem], lines = read_patient_scores(path, report)
        for patient, line in lines.items():
            if official and patient not in official:
                fault = f"patient {patient} is not in {TRAINING_CSV}; check the id"
                report.warning("patient-unknown", path, fault, line)
    return readers
