"""Which file is which film of which patient, found from names and DICOM headers.

``<patient>-LH.jpg`` (RH, LF, RF; any image format) names patient and film. A DICOM file with
another name is placed by its laterality and body part; its study is then the folder that it
lies in, never a patient's name or number from the header. No pixels are read here.

Folders are searched two levels deep: their own files, and the files of the folders in them.
What an earlier run or a simulated cohort left there is passed over.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mandora.core.anatomy import SLOTS, Slot
from mandora.core.errors import InputError
from mandora.core.files import AnyPath, paths_of
from mandora.core.inputs import is_folder, is_regular, listed
from mandora.core.records import Reason
from mandora.datasets.study_ids import natural_key, study_id_fault
from mandora.images.radiograph import UnreadableFilm
from mandora.images.read import peek_tags

_FILM_SUFFIXES = re.compile(
    r"\.(png|jpe?g|jpe|jfif|tiff?|dcm|dicom|bmp|gif|webp|jp2)", re.IGNORECASE
)
_OTHER_SUFFIXES = re.compile(
    r"\.([ct]sv|jsonl?|txt|html?|css|js|md|toml|ya?ml|xml|pdf|log|xlsx?|docx?|ini|db|sqlite|py"
    r"|np[zy]|parquet|zip|gz|tar|part|sha256)",
    re.IGNORECASE,
)
_OTHER_NAMES = frozenset({"dicomdir", "readme", "license", "thumbs.db"})
_NAMED = re.compile(
    rf"(?P<study>.*)-(?P<slot>{'|'.join(slot.code for slot in SLOTS)})(?P<suffix>\.[^.]*)?",
    re.IGNORECASE | re.DOTALL,
)
LABEL_FOLDERS = frozenset({"spaces", "erosions", "labelme", "annotations", "cvat", "readers"})
"""Folders of a data set that hold labels, named like films."""

_COHORT_FOLDERS = frozenset({"truth", "bones", "pairs"})
_RUN_FOLDERS = frozenset({"results", "overlays", "reports"})
_VISIT = re.compile(r"visit-\d+")
_RUN_TABLES = ("scores.csv", "joints.csv")


@dataclass(frozen=True)
class Problem:
    """A file that was given and is not used.

    Attributes:
        path_name: name of the file without its folder.
        reason: why, as a code.
        detail: why and what to do, in words.
        study: the study that it belongs to, or would, if that is known.
        slot: the film that it is, or would be, if that is known.
    """

    path_name: str
    reason: Reason
    detail: str
    study: str | None = None
    slot: Slot | None = None


@dataclass(frozen=True)
class StudyFiles:
    """The films of one patient, not yet opened.

    Attributes:
        study: the patient's id; safe as a file name.
        films: at most one file for each film, in the order of :data:`mandora.core.anatomy.SLOTS`.
        rejected: what was given for this study and is not used.
    """

    study: str
    films: dict[Slot, Path]
    rejected: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class FoundStudies:
    """Everything that was found, in natural order of study and file."""

    studies: tuple[StudyFiles, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class FilmFile:
    """A film by itself, not yet opened.

    Attributes:
        path: the file.
        name: its name without folder, or its path where two films have the same name.
        slot: what its name, else its DICOM tags, say that it shows; None if neither does.
    """

    path: Path
    name: str
    slot: Slot | None


@dataclass(frozen=True)
class FoundFilms:
    """Films that belong to no study, and what was found and cannot be a film."""

    films: tuple[FilmFile, ...]
    problems: tuple[Problem, ...]


def find_studies(inputs: AnyPath | Sequence[AnyPath]) -> FoundStudies:
    """Sort files, and the files of folders and of the folders in them, into studies.

    In a folder, hidden files and files that are no films (tables, texts) are passed over; a
    file that is named itself is used or reported. A link to nothing counts as the film that its
    name says; reading it will fail.

    Args:
        inputs: files and folders, in any order and number.

    Raises:
        ValueError: if an input does not exist or a folder cannot be listed.
    """
    files, problems = _search(paths_of(inputs))
    candidates: dict[str, dict[Slot, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in files:
        placed = _study_and_slot(path)
        if isinstance(placed, Problem):
            problems.append(placed)
        else:
            study, slot = placed
            candidates[study][slot].append(path)
    films: dict[str, dict[Slot, Path]] = {}
    for study in sorted(candidates, key=natural_key):
        films[study] = {}
        for slot in SLOTS:
            paths = candidates[study].get(slot, [])
            if len(paths) == 1:
                films[study][slot] = paths[0]
            elif paths:
                problems.append(_duplicate(study, slot, paths))
    return FoundStudies(
        tuple(
            StudyFiles(study, chosen, tuple(p for p in problems if p.study == study))
            for study, chosen in films.items()
        ),
        tuple(problems),
    )


def find_films(inputs: AnyPath | Sequence[AnyPath]) -> FoundFilms:
    """List files, and the files of folders and of the folders in them, each as a film.

    Folders are searched as by :func:`find_studies`, but a film needs no name that says whose it
    is, and two films may show the same limb.

    Args:
        inputs: files and folders, in any order and number.

    Raises:
        ValueError: if an input does not exist or a folder cannot be listed.
    """
    files, problems = _search(paths_of(inputs))
    count = Counter(_printable_name(path) for path in files)
    films = []
    for path in files:
        placed, name = _study_and_slot(path), _printable_name(path)
        slot = placed.slot if isinstance(placed, Problem) else placed[1]
        films.append(FilmFile(path, name if count[name] == 1 else _printable(str(path)), slot))
    return FoundFilms(tuple(films), tuple(problems))


def _printable_name(path: Path) -> str:
    return _printable(path.name)


def _printable(name: str) -> str:
    # bytes that are no text in a file name would break every file that quotes it
    return name.encode("utf-8", "replace").decode()


def _search(inputs: Iterable[Path]) -> tuple[list[Path], list[Problem]]:
    """Files to place, each once, and what cannot be looked into."""
    files: dict[Path, Path] = {}  # by absolute path: a file may be given twice
    problems: list[Problem] = []
    for given in inputs:
        if is_folder(given):
            for path in _search_folder(given, problems):
                if is_folder(path):
                    problems += [] if _is_run(path) else [_too_deep(path)]
                elif is_regular(path) or not path.exists():  # a broken link is reported
                    files.setdefault(path.absolute(), path)
        elif is_regular(given):
            files.setdefault(given.absolute(), given)
        elif given.exists():
            detail = "this is not a regular file; name an image file"
            problems.append(Problem(_printable_name(given), Reason.FILM_UNREADABLE, detail))
        else:
            raise InputError(f"{given}: there is no such file or folder; check the path")
    return list(files.values()), problems


def _search_folder(folder: Path, problems: list[Problem]) -> Iterator[Path]:
    """What lies in a folder and in the folders in it, without what a run wrote there.

    Folders in it that cannot be searched are added to the problems.
    """
    home = folder.resolve()
    searched = {home, *home.parents}
    for path in film_candidates(folder):
        if not is_folder(path):
            yield path
        elif path.resolve() in searched:  # else every film is there again, under another path
            detail = "this is a link to a folder that is searched already; it was not followed"
            problems.append(Problem(_printable_name(path), Reason.UNKNOWN_NAME, detail))
        else:
            searched.add(path.resolve())
            try:
                yield from film_candidates(path)
            except InputError as error:  # the other folders are searched all the same
                problems.append(Problem(_printable_name(path), Reason.FILM_UNREADABLE, str(error)))


def film_candidates(folder: AnyPath) -> list[Path]:
    """What may be a film or a folder of films, in natural order.

    Left out are hidden files, files that are no pictures by name, and folders that a run has
    written, that hold labels of a data set or that belong to a simulated cohort.

    Raises:
        InputError: if the folder cannot be listed.
    """
    found = [p for p in listed(Path(folder)) if not p.name.startswith(".")]
    kept = [p for p in found if not (_is_output(p) if is_folder(p) else _is_no_film(p))]
    return sorted(kept, key=lambda path: natural_key(path.name))


def _is_no_film(path: Path) -> bool:
    suffix, name = path.suffix, path.name.lower()
    return _OTHER_SUFFIXES.fullmatch(suffix) is not None or name in _OTHER_NAMES


def _is_output(folder: Path) -> bool:
    """Whether the folder was written by an earlier run, holds labels or belongs to a cohort.

    The pictures of a run, of labels and of a cohort's truth are named like films, and are none.
    The films of a cohort's later visit have the names of the first one's; name its folder to use
    them. Its films of two limbs show what single films show.
    """
    parent, name = folder.parent, folder.name
    if _VISIT.fullmatch(name):
        return _is_cohort(folder) and _is_cohort(parent)
    if name in LABEL_FOLDERS | _COHORT_FOLDERS:
        return is_regular(parent / "training.csv") or _is_cohort(parent)
    if name in _RUN_FOLDERS:
        return _is_run(parent) or is_regular(parent / "training.csv")
    if name == "dicom":  # a usual name of folders of films too: a report shows that it is ours
        return _is_run(parent) and any(is_regular(one / "SR.dcm") for one in listed(folder))
    return False


def _is_cohort(folder: Path) -> bool:
    return is_regular(folder / "truth" / "cohort.json")


def _is_run(folder: Path) -> bool:
    return all(is_regular(folder / name) for name in _RUN_TABLES)


def _study_and_slot(path: Path) -> tuple[str, Slot] | Problem:
    """Study and slot of one file, or why it has none."""
    match = _NAMED.fullmatch(path.name)
    suffix = match["suffix"] or "" if match else ""
    if match and (_FILM_SUFFIXES.fullmatch(suffix) or (not suffix and _is_dicom(path))):
        return _checked(path, match["study"], Slot.parse(match["slot"]))
    try:
        tags = peek_tags(path)
    except UnreadableFilm as error:
        return Problem(_printable_name(path), Reason.FILM_UNREADABLE, str(error))
    if tags is None:
        fault = "is that of no film" if match else "does not say which limb this is"
        codes = ", ".join(slot.code for slot in SLOTS)
        return Problem(
            _printable_name(path),
            Reason.UNKNOWN_NAME,
            f"the name {fault}; name films <patient>-<part> with one of {codes}, for example "
            "UAB001-LH.jpg",
        )
    study = path.absolute().parent.name
    if tags.side is None or tags.limb is None:
        missing = "the side" if tags.side is None else "hand or foot"
        return Problem(
            _printable_name(path),
            Reason.UNKNOWN_NAME,
            f"its DICOM tags do not state {missing}; name the film <patient>-<part>.dcm, for "
            "example UAB001-LH.dcm",
            study if study_id_fault(study) is None else None,
        )
    return _checked(path, study, Slot(tags.side, tags.limb))


def _is_dicom(path: Path) -> bool:
    try:
        return peek_tags(path) is not None
    except UnreadableFilm:
        return True  # its name says which film it is; the reader will say what is wrong


def _checked(path: Path, study: str, slot: Slot) -> tuple[str, Slot] | Problem:
    fault = study_id_fault(study)
    if fault is None:
        return study, slot
    return Problem(
        _printable_name(path),
        Reason.BAD_STUDY_ID,
        f"the patient id {study!r} {fault}, so no result can be named after it; rename the file "
        "or its folder",
        slot=slot,
    )


def _duplicate(study: str, slot: Slot, paths: list[Path]) -> Problem:
    names = [_printable_name(path) for path in paths]
    if len(set(names)) < len(names):
        names = [f"{path.absolute().parent.name}/{_printable_name(path)}" for path in paths]
    return Problem(
        _printable_name(paths[0]),
        Reason.DUPLICATE_FILM,
        f"{len(paths)} films of the {slot.title} were given ({', '.join(names)}); none was used, "
        "keep one",
        study,
        slot,
    )


def _too_deep(folder: Path) -> Problem:
    return Problem(
        _printable_name(folder),
        Reason.UNKNOWN_NAME,
        f"the folder {folder.parent.name}/{_printable_name(folder)} lies too deep and was not "
        "searched; give it by name",
    )
