"""Which file is which film of which patient, found from names and DICOM headers.

``<patient>-LH.jpg`` (RH, LF, RF; any image format) names patient and film. A DICOM file with
another name is placed by its laterality and body part; its study is then the folder that it
lies in, never a patient's name or number from the header. No pixels are read here.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mandora.anatomy import SLOTS, Slot
from mandora.images.radiograph import UnreadableFilm
from mandora.images.read import peek_tags
from mandora.records import Reason

MAX_ID_LENGTH = 100
_FILM_SUFFIXES = re.compile(
    r"\.(png|jpe?g|jpe|jfif|tiff?|dcm|dicom|bmp|gif|webp|jp2)", re.IGNORECASE
)
_OTHER_SUFFIXES = re.compile(
    r"\.([ct]sv|jsonl?|txt|html?|css|js|md|toml|ya?ml|xml|pdf|log|xlsx?|docx?|ini|db|sqlite|py"
    r"|np[zy]|parquet|zip|gz|tar|sha256)",
    re.IGNORECASE,
)
_OTHER_NAMES = frozenset({"dicomdir", "readme", "license", "thumbs.db"})
_NAMED = re.compile(
    rf"(?P<study>.*)-(?P<slot>{'|'.join(slot.code for slot in SLOTS)})(?P<suffix>\.[^.]*)?",
    re.IGNORECASE | re.DOTALL,
)
_RESERVED = re.compile(r'[<>:"/\\|?*]')


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
        films: at most one file for each film, in the order of :data:`mandora.anatomy.SLOTS`.
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


def find_studies(inputs: Sequence[Path]) -> FoundStudies:
    """Sort files, and the files of folders and of the folders in them, into studies.

    In a folder, hidden files and files that are no films (tables, texts) are passed over; a
    file that is named itself is used or reported.

    Args:
        inputs: files and folders, in any order and number.

    Raises:
        ValueError: if an input does not exist or a folder cannot be listed.
    """
    files, problems = _gather(inputs)
    candidates: dict[str, dict[Slot, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in files:
        placed = _place(path)
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


def natural_key(text: str) -> tuple[list[str | int], str]:
    """Sort key that puts ``P2`` before ``P10`` and does not depend on letter case first."""
    parts = re.split(r"([0-9]+)", text.casefold())
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], text


def study_id_fault(study: str) -> str | None:
    """Say what keeps a study id from being a file name on every system; None if nothing."""
    if not study:
        return "is empty"
    if len(study) > MAX_ID_LENGTH or len(study.encode("utf-8", "replace")) > 2 * MAX_ID_LENGTH:
        return f"is longer than {MAX_ID_LENGTH} characters"
    if study.startswith(".") or study.endswith(".") or ".." in study:
        return "starts or ends with a dot or holds two dots in a row"
    if study != study.strip():
        return "starts or ends with a blank"
    if _RESERVED.search(study):
        return 'holds one of < > : " / \\ | ? *'
    if not study.isprintable():
        return "holds characters that cannot be printed"
    return None


def _shown(path: Path) -> str:
    # bytes that are no text in a file name would break every JSON file downstream
    return path.name.encode("utf-8", "replace").decode()


def _gather(inputs: Iterable[Path]) -> tuple[list[Path], list[Problem]]:
    """Files to place, each once, and folders that lie too deep."""
    files: dict[Path, Path] = {}  # by absolute path: a file may be given twice
    problems: list[Problem] = []
    for given in inputs:
        if given.is_dir():
            for path in _children(given):
                inner = _children(path) if path.is_dir() else [path]
                for child in inner:
                    if child.is_dir():
                        problems.append(_too_deep(child))
                    elif child.is_file() or not child.exists():  # a broken link is reported
                        files.setdefault(child.absolute(), child)
        elif given.is_file():
            files.setdefault(given.absolute(), given)
        else:
            raise ValueError(f"{given}: there is no such file or folder; check the path")
    return list(files.values()), problems


def _children(folder: Path) -> list[Path]:
    """What may be a film or a folder of films, in natural order."""
    try:
        paths = list(folder.iterdir())
    except OSError as error:
        raise ValueError(
            f"{folder}: the folder cannot be listed ({error.strerror}); check its permissions"
        ) from error
    return sorted(
        (path for path in paths if _film(path)),
        key=lambda path: natural_key(path.name),
    )


def _film(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    return path.is_dir() or not (
        _OTHER_SUFFIXES.fullmatch(path.suffix) or path.name.lower() in _OTHER_NAMES
    )


def _place(path: Path) -> tuple[str, Slot] | Problem:
    """Study and slot of one file, or why it has none."""
    match = _NAMED.fullmatch(path.name)
    suffix = match["suffix"] or "" if match else ""
    if match and (_FILM_SUFFIXES.fullmatch(suffix) or (not suffix and _is_dicom(path))):
        return _checked(path, match["study"], Slot.parse(match["slot"]))
    try:
        tags = peek_tags(path)
    except UnreadableFilm as error:
        return Problem(_shown(path), Reason.FILM_UNREADABLE, str(error))
    if tags is None:
        fault = "is that of no film" if match else "does not say which limb this is"
        codes = ", ".join(slot.code for slot in SLOTS)
        return Problem(
            _shown(path),
            Reason.UNKNOWN_NAME,
            f"the name {fault}; name films <patient>-<part> with one of {codes}, for example "
            "UAB001-LH.jpg",
        )
    study = path.absolute().parent.name
    if tags.side is None or tags.limb is None:
        missing = "the side" if tags.side is None else "hand or foot"
        return Problem(
            _shown(path),
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
        _shown(path),
        Reason.BAD_STUDY_ID,
        f"the patient id {study!r} {fault}, so no result can be named after it; rename the file "
        "or its folder",
        slot=slot,
    )


def _duplicate(study: str, slot: Slot, paths: list[Path]) -> Problem:
    names = [_shown(path) for path in paths]
    if len(set(names)) < len(names):
        names = [f"{path.absolute().parent.name}/{_shown(path)}" for path in paths]
    return Problem(
        _shown(paths[0]),
        Reason.DUPLICATE_FILM,
        f"{len(paths)} films of the {slot.title} were given ({', '.join(names)}); none was used, "
        "keep one",
        study,
        slot,
    )


def _too_deep(folder: Path) -> Problem:
    return Problem(
        _shown(folder),
        Reason.UNKNOWN_NAME,
        f"the folder {folder.parent.name}/{_shown(folder)} lies too deep and was not searched; "
        "give it by name",
    )
