"""Films while they are being placed, and what their names, folders and tags say.

Nothing is decided here: :mod:`mandora.datasets.intake.plan` says who is believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mandora.core.records import Reason
from mandora.datasets.intake.headers import Identity, TagFacts, read_tags
from mandora.datasets.intake.names import (
    FILM_SUFFIXES,
    NameFacts,
    read_folder,
    read_name,
    side_folder,
)
from mandora.datasets.intake.rows import Facts, Problem, Stated
from mandora.datasets.intake.search import FoundFile, name_text
from mandora.images.radiograph import UnreadableFilm
from mandora.images.read import peek_header, peek_kind

_NO_FILM = (
    "it is no PNG, JPEG, TIFF, BMP or DICOM file; export the film in one of these formats, named "
    "<patient>-<part> as in UAB001-LH.jpg"
)


class Home(NamedTuple):
    """A folder that may name a patient.

    Attributes:
        patient: as its name says.
        folders: its name and those of the folders that it lies in, the nearest first.
    """

    patient: str
    folders: tuple[str, ...]


@dataclass
class Draft:
    """A film while it is being placed.

    Attributes:
        file: as it was found.
        shown: its name, or more of its path where two files have that name.
        by_name: what its name says.
        by_folder: what its folders say together, the nearest first.
        homes: the folders that may name a patient, the nearest first: what they are called, and
            their path.
        by_tag: what its DICOM header says.
        by_row: what the manifest says; None if it does not name the film.
        patient: as it was decided.
        remarks: so far.
        problem: why it is not used.
    """

    file: FoundFile
    shown: str
    by_name: NameFacts
    by_folder: Facts
    homes: tuple[Home, ...] = ()
    by_tag: TagFacts = field(default_factory=lambda: TagFacts(Facts(), None))
    by_row: Facts | None = None
    patient: Stated[str] | None = None
    remarks: list[str] = field(default_factory=list)
    problem: tuple[Reason, str] | None = None

    @property
    def home(self) -> tuple[str, ...]:
        """The folder that names the patient; empty if none does."""
        return self.homes[0].folders if self.homes else ()

    @property
    def identity(self) -> Identity | None:
        """The person that the tags name."""
        return self.by_tag.identity


def drafts_of(files: Sequence[FoundFile]) -> tuple[list[Draft], list[Problem]]:
    """A draft for each file that is a film, and a problem for each other one."""
    drafts: list[Draft] = []
    unusable: list[Problem] = []
    shown = _shown_names([file.path for file in files])
    for file in files:
        draft = _named(file, shown[file.path])
        is_named = FILM_SUFFIXES.fullmatch(file.path.suffix) is not None
        try:
            kind = peek_kind(file.path)
        except UnreadableFilm as error:  # what is named like a film is refused by the reader
            kind = None
            if not is_named:
                unusable.append(Problem(draft.shown, Reason.FILM_UNREADABLE, str(error)))
                continue
        if kind is None and not is_named:
            unusable.append(Problem(draft.shown, Reason.UNKNOWN_NAME, _NO_FILM))
            continue
        if kind == "dicom" or file.size is None:  # of a link to nothing, the reader says so
            _add_tags(draft)
        if (instead := draft.by_tag.no_film) is not None:
            if file.named:  # in a folder it is passed over, as a table is
                detail = f"it is {instead} and no film; name films"
                unusable.append(Problem(draft.shown, Reason.UNKNOWN_NAME, detail))
            continue
        drafts.append(draft)
    return drafts, unusable


def _shown_names(paths: Sequence[Path]) -> dict[Path, str]:
    """A name for each file: its own, or so many of its folders that no two are the same."""
    shown: dict[Path, str] = {}
    waiting, depth = list(paths), 1
    while waiting:
        names: dict[str, list[Path]] = {}
        for path in waiting:
            names.setdefault("/".join(path.absolute().parts[-depth:]), []).append(path)
        waiting = []
        for name, same in names.items():
            if len(same) > 1 and depth < 50:
                waiting += same
            else:
                shown |= dict.fromkeys(same, name_text(name))
        depth += 1
    return shown


def _named(file: FoundFile, shown: str) -> Draft:
    said = [read_folder(name_text(name)) for name in file.folders]
    named = [depth for depth, facts in enumerate(said) if facts.patient]
    for depth in named[:-1]:  # "P1/li": beside a folder that names the patient, it is a side
        if (side := side_folder(file.folders[depth])) is not None:
            said[depth] = Facts(sides=side)
    homes = [Home(f.patient, file.folders[i:]) for i, f in enumerate(said) if f.patient]
    limb, sides, visit = (
        next((value for facts in said if (value := getattr(facts, what))), None)
        for what in ("limb", "sides", "visit")
    )
    text = name_text(file.path.name)
    by_name = read_name(text)
    patient = homes[0].patient if homes else None
    draft = Draft(file, shown, by_name, Facts(patient, visit, limb, sides), tuple(homes))
    draft.remarks += by_name.facts.remarks
    if text != file.path.name:
        draft.remarks.append(f"its name holds bytes that are no UTF-8; it was read as {text}")
    return draft


def _add_tags(draft: Draft) -> None:
    try:
        header = peek_header(draft.file.path)
    except UnreadableFilm as error:
        # its name may say which film it is; then the reader says what is wrong
        if not draft.by_name.own_form:
            draft.problem = Reason.FILM_UNREADABLE, str(error)
        return
    if header is not None:
        draft.by_tag = read_tags(header)
        draft.remarks += draft.by_tag.facts.remarks
