"""A folder in RA2's layout: ``training.csv``, ``<patient>-LH.jpg`` …, and labels beside them.

A cohort that :mod:`mandora.simulate.cohort.folder` has simulated is such a folder with its truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from mandora.core.anatomy import SLOTS
from mandora.core.errors import InputError
from mandora.core.inputs import is_folder, is_regular, listed
from mandora.core.records import Reason
from mandora.datasets.dataset import Dataset, DatasetFilm
from mandora.datasets.film_labels import FilmLabels, files_in, no_landmarks
from mandora.datasets.findings import Report
from mandora.datasets.formats.ra2.tables import read_patient_scores
from mandora.datasets.intake.plan import Intake, make_plan
from mandora.datasets.intake.search import film_candidates
from mandora.datasets.intake.slots import studies_of
from mandora.datasets.label_files import LABEL_SUFFIXES
from mandora.datasets.score_tables import (
    OFFICIAL,
    Scores,
    read_target_scores,
    with_weights,
)

TRAINING_CSV = "training.csv"
TRAINING_XLSX = "training.xlsx"
"""Read where there is no :data:`TRAINING_CSV`."""

_KINDS = ("spaces", "erosions")
_FILE_FOLDERS = ("labelme", "annotations", "cvat")  # of files of annotation tools
_FILES = (
    "coco.json", "coco-erosions.json", "annotations.xml", "annotations-erosions.xml",
)  # fmt: skip


def is_ra2(path: Path) -> bool:
    """Whether a folder is in RA2's layout, or a file is the table of one."""
    names = (TRAINING_CSV, TRAINING_XLSX)
    return path.name in names if path.is_file() else training_table(path).is_file()


def training_table(folder: Path) -> Path:
    """The table of scores of a folder in RA2's layout."""
    tables = [folder / TRAINING_CSV, folder / TRAINING_XLSX]
    return next((table for table in tables if table.is_file()), tables[0])


def read_ra2(path: Path, weights: Mapping[str, float] | None, report: Report) -> Dataset:
    """Read a folder in RA2's layout.

    Later visits of a simulated cohort are not read along: their films show the same patients,
    who have one official label. A visit's folder is a data set of its own.

    Args:
        path: the folder, or its ``training.csv`` or ``training.xlsx``.
        weights: of readers in the label that training uses, see
            :func:`mandora.datasets.score_tables.with_weights`.
        report: what is wrong is added to it.
    """
    folder = path if path.is_dir() else path.parent
    table = path if path.is_file() else training_table(folder)
    official, lines = read_patient_scores(table, report)
    films = _films(folder, report)
    _compare(table, films, official, lines, report)
    labels = FilmLabels(films, report)
    _note_unread(folder, _add_labels(folder, labels), report)
    readers = _readers(folder, official, report)
    everyone, weighed = with_weights(official, readers, weights, report)
    return Dataset(folder, "ra2", labels.labelled(), (), official, everyone, weighed)


def _films(folder: Path, report: Report) -> list[DatasetFilm]:
    candidates = film_candidates(folder)
    later = [path for path in listed(folder) if _is_visit(path)]
    if later:
        fault = (
            f"{len(later)} later visits ({later[0].name}, …) are not used: a patient has one "
            "label; open a visit's folder by its own name"
        )
        report.note("visits-not-used", folder, fault)
    inputs = [p for p in candidates if p not in later and _can_be_searched(p, folder, report)]
    # archives are left alone: the download of a data set often lies beside its films; copies are
    # found by the check of a data set, in every layout
    plan = make_plan(inputs, Intake(keep_ids=True, archives=False, copies=False))
    for problem in plan.problems:
        place, message = folder / problem.path_name, problem.detail
        if problem.reason is Reason.DUPLICATE_FILM:
            report.error("film-repeated", place, message)
        else:
            report.warning("film-not-used", place, message)
    visits = studies_of(plan)
    for visit in visits:
        if visit.one_of_several and visit.films:
            fault = "has films of several visits; a patient has one label: keep one visit"
            report.error("film-repeated", next(iter(visit.films.values())).path, fault)
        for film in visit.unplaced:
            fault = "does not say which limb and side it shows; name it <patient>-LH.jpg or so"
            if film.limb and film.sides:
                fault = "shows both limbs; use a manifest, or cut it and name its halves"
            report.warning("film-not-used", film.path, fault)
    films = [
        DatasetFilm(visit.study, slot, film.path, no_landmarks(slot.limb))
        for visit in visits
        for slot, film in visit.films.items()
    ]
    if not films:
        report.error("no-films", folder, "holds no films; name them <patient>-LH.jpg and so on")
    return films


def _is_visit(path: Path) -> bool:
    return path.name.startswith("visit-") and is_regular(path / TRAINING_CSV)


def _can_be_searched(path: Path, folder: Path, report: Report) -> bool:
    """False, which is reported, for a folder that cannot be listed or that leads back."""
    if not is_folder(path):
        return True
    if path.resolve() in (folder.resolve(), *folder.resolve().parents):
        fault = "is a link to a folder that it lies in; it was not followed, remove it"
        report.warning("folder-unreadable", path, fault)
        return False
    try:
        listed(path)
    except InputError as error:
        report.not_read("folder-unreadable", path, error)
        return False
    return True


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


def _add_labels(folder: Path, labels: FilmLabels) -> set[Path]:
    """Add all labels beside the films; gives the files of annotation tools that were read."""
    if (folder / "joints.csv").is_file():
        labels.add_joints(folder / "joints.csv")
    truth = folder / "truth"
    if (truth / "joints.csv").is_file():
        # rows of films of two limbs are left out: single films show the same
        labels.add_joints(truth / "joints.csv", quiet=True)
    for kind in _KINDS:
        labels.add_folder(folder / kind, kind)
        labels.add_folder(truth / kind, kind, quiet=True)
    # LabelMe puts its file there
    beside = {film.path.with_suffix(".json"): i for i, film in enumerate(labels.films)}
    for path, index in beside.items():
        if path.is_file():
            labels.add_file(path, film=index)
    files = [path for name in _FILE_FOLDERS for path in files_in(folder / name, LABEL_SUFFIXES)]
    files += [folder / name for name in _FILES if (folder / name).is_file()]
    for path in files:
        labels.add_file(path, "erosions" if path.stem.endswith("erosions") else "spaces")
    return {*beside, *files}


def _note_unread(folder: Path, read: set[Path], report: Report) -> None:
    """Files that look like those of an annotation tool and lie where none is looked for."""
    for part in (folder, *(path for path in film_candidates(folder) if is_folder(path))):
        with suppress(InputError):  # a folder that cannot be listed: it was reported
            for path in files_in(part, LABEL_SUFFIXES):
                if path not in read:
                    fault = "is not read; if it holds labels, put it into the folder annotations"
                    report.note("labels-not-used", path, fault)


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
