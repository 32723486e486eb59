"""The rows of an intake plan: what each file is taken for, and who says so."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from mandora.core.anatomy import Limb, Slot
from mandora.core.limb_words import Sides
from mandora.core.records import Reason

Value = TypeVar("Value")


class Origin(StrEnum):
    """Who says what a film is; the first one that says something is believed."""

    MANIFEST = "manifest"
    TAG = "tag"
    NAME = "name"
    FOLDER = "folder"
    PICTURE = "picture"


class Stated(NamedTuple, Generic[Value]):
    """A value, and who says it."""

    value: Value
    origin: Origin


@dataclass(frozen=True)
class Facts:
    """What one source, such as a file's name, says of a film; None where it says nothing.

    Attributes:
        patient: an id.
        visit: a date as ``2019-03-02``, or a name such as ``baseline``.
        limb: hand or foot.
        sides: of the limb.
        remarks: what it says in two ways, and what was made of that.
    """

    patient: str | None = None
    visit: str | None = None
    limb: Limb | None = None
    sides: Sides | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Problem:
    """A file that was given and is not used.

    Attributes:
        path_name: name of the file without its folder, or as much of its path as tells it apart.
        reason: why, as a code.
        detail: why and what to do, in words.
        study: the patient that it belongs to, or would, if that is known.
        slot: the film that it is, or would be, if that is known.
        visit: likewise.
    """

    path_name: str
    reason: Reason
    detail: str
    study: str | None = None
    slot: Slot | None = None
    visit: str | None = None


@dataclass(frozen=True)
class PlannedFilm:
    """A film, not yet opened, and what it is taken for.

    Attributes:
        path: the file; it may lead into a zip archive.
        name: its name without folder, or more of its path where two films have one name.
        patient: whose it is.
        visit: None if nothing says it.
        limb: None if only the picture can say it.
        sides: likewise.
        remarks: what was doubtful, and which of two statements was believed.
        also: if one file was given twice, as left and as right: both, as they were given.
    """

    path: Path
    name: str
    patient: Stated[str] | None = None
    visit: Stated[str] | None = None
    limb: Stated[Limb] | None = None
    sides: Stated[Sides] | None = None
    remarks: tuple[str, ...] = ()
    also: tuple[PlannedFilm, ...] = ()

    @property
    def slot(self) -> Slot | None:
        """The one limb that it shows; None if that is not known, or if it shows both sides."""
        side = self.sides.value.side if self.sides else None
        return Slot(side, self.limb.value) if self.limb and side else None

    @property
    def guessed(self) -> bool:
        """Whether only the picture can say, or has said, which limb this is."""
        stated = (self.limb, self.sides)
        return any(value is None or value.origin is Origin.PICTURE for value in stated)


@dataclass(frozen=True)
class VisitFilms:
    """The films of one patient at one visit, not yet opened.

    Attributes:
        study: the patient's id; safe as a file name.
        visit: None if nothing says it.
        films: at most one for each limb, in the order of ``anatomy.SLOTS``.
        unplaced: films of both limbs, and films whose picture must say what they show.
        rejected: what was given for this patient and visit and is not used.
        one_of_several: whether the patient has more visits; each then has files of its own.
    """

    study: str
    visit: str | None = None
    films: dict[Slot, PlannedFilm] = field(default_factory=dict)
    unplaced: tuple[PlannedFilm, ...] = ()
    rejected: tuple[Problem, ...] = ()
    one_of_several: bool = False


@dataclass(frozen=True)
class Plan:
    """All that was found, in natural order of patient, visit and film.

    Attributes:
        films: to be used; each has a patient.
        refused: films that are not used, and why.
        others: what was found or given and cannot be a film, such as a folder that is closed.
    """

    films: tuple[PlannedFilm, ...] = ()
    refused: tuple[tuple[PlannedFilm, Problem], ...] = ()
    others: tuple[Problem, ...] = ()

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All that is not used, and why."""
        return (*(problem for _, problem in self.refused), *self.others)
