"""The intake plan: every film with patient, visit, limb and side, and who says so.

Who is believed, for each of the four by itself: the manifest, then the DICOM tags, then the file's
name, then the names of its folders, the nearest first. Limb and side that nobody states are left
to the picture. Persons are told apart by their tags: two PatientIDs never become one patient. See
docs/intake.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from mandora.core.files import AnyPath, paths_of
from mandora.core.limb_words import Sides
from mandora.core.records import Reason
from mandora.core.terminal import printable
from mandora.datasets.intake.drafts import Draft, drafts_of
from mandora.datasets.intake.headers import KEY_NAME, Naming
from mandora.datasets.intake.homes import tell_homes_apart
from mandora.datasets.intake.listing import listed_files, rows_of
from mandora.datasets.intake.people import called
from mandora.datasets.intake.rows import Facts, Origin, Plan, PlannedFilm, Problem, Stated
from mandora.datasets.intake.search import search
from mandora.datasets.intake.slots import sorted_out
from mandora.datasets.intake.tables import ManifestRow, read_manifest
from mandora.datasets.study_ids import natural_key, study_id_fault

Value = TypeVar("Value")

MOST_WITHOUT_NAME = 4
"""Films of a visit that a folder may give a patient to: so many limbs has a person."""


@dataclass(frozen=True)
class Intake:
    """How films are taken in.

    Attributes:
        manifest: a table that says whose films they are and what they show, see
            :mod:`mandora.datasets.intake.tables`.
        strict: refuse films that only the picture can place.
        keep_ids: call patients of DICOM files by PatientID, as it is.
        id_key: file with the key of the pseudonyms; made if absent.
        archives: look into zip archives that lie in folders.
        copies: find files that are the same byte by byte; a data set has its own check of copies.
    """

    manifest: AnyPath | None = None
    strict: bool = False
    keep_ids: bool = False
    id_key: AnyPath | None = None
    archives: bool = True
    copies: bool = True

    def with_key_in(self, folder: AnyPath) -> Intake:
        """With the key in a folder, if the user names no other one."""
        return self if self.id_key is not None else replace(self, id_key=Path(folder) / KEY_NAME)


AS_FOUND = Intake()
"""Without a manifest, guesses allowed, with pseudonyms."""


def make_plan(inputs: AnyPath | Sequence[AnyPath], intake: Intake = AS_FOUND) -> Plan:
    """Find films and say of each whose it is, what it shows and from which visit.

    Args:
        inputs: files, folders and zip archives; may be empty if there is a manifest, which then
            names the films.
        intake: how; without a key, pseudonyms are those of a new key that is not kept.

    Raises:
        InputError: if an input does not exist or cannot be listed, or the manifest is no table.
    """
    table = Path(intake.manifest) if intake.manifest is not None else None
    rows = read_manifest(table) if table is not None else []
    key = Path(intake.id_key) if intake.id_key is not None else None
    naming = Naming(key, keep_ids=intake.keep_ids)
    given = paths_of(inputs)
    if given or table is None:
        files, others = search(given, intake.archives)
    else:
        files, others = listed_files(table, rows)
    drafts, unusable = drafts_of(files)
    if table is not None:
        others += _apply_manifest(table, rows, drafts, bool(given))
    usable = [d for d in drafts if d.problem is None]
    called(usable, naming)
    tell_homes_apart(usable)
    _check_patients(drafts)
    planned = [(d, _planned(d)) for d in drafts]
    planned.sort(key=lambda pair: _order(pair[1]))
    films, refused = sorted_out(
        [(f, d.file.size if intake.copies else None) for d, f in planned if d.problem is None],
        intake.strict,
    )
    refused += [
        (film, Problem(film.name, *draft.problem, _value(film.patient), film.slot,
                       _value(film.visit)))
        for draft, film in planned
        if draft.problem is not None
    ]  # fmt: skip
    return Plan(tuple(films), tuple(refused), tuple(unusable + others))


# ── what each source says ─────────────────────────────────────────────────────────────────


def _apply_manifest(
    table: Path, rows: Sequence[ManifestRow], drafts: Sequence[Draft], searched: bool
) -> list[Problem]:
    """Add what the manifest says to its films; gives the rows that fit no film."""
    problems = []
    matches = rows_of(table, rows, [draft.file.path for draft in drafts])
    for row, found in zip(rows, matches, strict=True):
        shown = printable(Path(row.file).name, one_line=True)
        if len(found) != 1:
            if searched or found:
                fault = "is not among the films" if not found else "may be several of the films"
                detail = f"line {row.line} of the manifest names a file that {fault}; correct it"
                problems.append(Problem(shown, Reason.UNKNOWN_NAME, detail))
            continue
        draft = drafts[found[0]]
        if draft.by_row is not None:
            detail = f"the manifest names it again in line {row.line}; keep one of the lines"
            draft.problem = Reason.DUPLICATE_FILM, detail
        draft.by_row = row.facts
        draft.remarks += row.facts.remarks
        if row.fault is not None:
            draft.problem = Reason.UNKNOWN_NAME, row.fault
    if searched:
        for draft in drafts:
            if draft.by_row is None:
                draft.remarks.append("the manifest does not name it")
    return problems


# ── who is believed ────────────────────────────────────────────────────────────────────────


def _check_patients(drafts: Sequence[Draft]) -> None:
    """Refuse films without a usable patient."""
    below: dict[tuple[str, ...], set[str]] = {}  # patients of the films below each folder
    for draft in drafts:
        for depth in range(len(draft.file.folders)):
            if draft.patient is not None:
                below.setdefault(draft.file.folders[depth:], set()).add(draft.patient.value)
    by_folder: dict[tuple[tuple[str, ...], str | None], list[Draft]] = {}
    for draft in drafts:
        if draft.problem is not None:
            continue
        if draft.patient is None:
            draft.problem = Reason.NO_PATIENT, _no_patient(draft)
        elif (fault := study_id_fault(draft.patient.value)) is not None:
            quoted = printable(draft.patient.value[:40], one_line=True)
            draft.problem = Reason.BAD_STUDY_ID, (
                f"the patient id {quoted!r} {fault}, so no result can be named after it; rename "
                "the file or its folder, or name the patient in a manifest"
            )  # fmt: skip
        elif draft.patient.origin is Origin.FOLDER:
            if len(below[draft.home]) > 1:
                draft.problem, draft.patient = (Reason.NO_PATIENT, _no_patient(draft)), None
            else:
                visit = _value(_planned(draft).visit)
                by_folder.setdefault((draft.home, visit), []).append(draft)
    for (home, _), group in by_folder.items():
        if len(group) > MOST_WITHOUT_NAME:
            for draft in group:
                draft.patient = None
                draft.problem = Reason.NO_PATIENT, (
                    f"{len(group)} films in the folder {home[0]!r} name no patient, too many for "
                    "one visit; name them <patient>-LH.jpg and so on, or use a manifest"
                )  # fmt: skip


def _no_patient(draft: Draft) -> str:
    what = "neither its name, its folder nor its tags name a patient"
    if draft.by_name.date_only:
        what = "the name holds a date and no patient"
    elif draft.by_folder.patient:
        what = "its name names no patient, and the folder holds films of several"
    return f"{what}; name the film <patient>-<part>, as UAB001-LH.jpg, or use a manifest"


def _planned(draft: Draft) -> PlannedFilm:
    """What the film is taken for, with a remark on each statement that was not believed."""
    sources = (
        (Origin.MANIFEST, draft.by_row or Facts()),
        (Origin.TAG, draft.by_tag.facts),
        (Origin.NAME, draft.by_name.facts),
        (Origin.FOLDER, draft.by_folder),
    )
    remarks = list(draft.remarks)
    limb = _first([Stated(f.limb, o) for o, f in sources if f.limb], "limb", remarks)
    sides = _first([Stated(f.sides, o) for o, f in sources if f.sides], "side", remarks)
    visit = _visit([Stated(f.visit, o) for o, f in sources if f.visit], remarks)
    if visit is not None and (fault := study_id_fault(visit.value)) is not None:
        if draft.problem is None:
            quoted = printable(visit.value[:40], one_line=True)
            fault = f"the visit {quoted!r} {fault}, so no result can be named after it; correct it"
            draft.problem = Reason.BAD_STUDY_ID, fault
        visit = None
    return PlannedFilm(
        draft.file.path, draft.shown, draft.patient, visit, limb, sides,
        tuple(dict.fromkeys(remarks)),
    )  # fmt: skip


def _visit(said: Sequence[Stated[str]], remarks: list[str]) -> Stated[str] | None:
    """The date, unless a manifest says otherwise: a name that says "V2" says nothing against it."""
    if said and said[0].origin is Origin.MANIFEST:
        return said[0]
    dates = [one for one in said if one.value[:4].isdigit()]
    return _first(dates, "date", remarks) or next(iter(said), None)


def _first(said: Sequence[Stated[Value]], what: str, remarks: list[str]) -> Stated[Value] | None:
    """The first statement; the first that differs from it is remarked upon."""
    if not said:
        return None
    best = said[0]
    for other in said[1:]:
        # a folder "feet" or a title "both hands" is about more than this film
        loose = other.origin is Origin.FOLDER or Sides.BOTH in (best.value, other.value)
        if other.value != best.value and not loose:
            remarks.append(
                f"{what}: the {other.origin} says {other.value}, the {best.origin} "
                f"{best.value}; the {best.origin} was believed"
            )
            break
    return best


def _order(film: PlannedFilm) -> tuple[object, ...]:
    patient, visit = _value(film.patient) or "", _value(film.visit) or ""
    return natural_key(patient), natural_key(visit), natural_key(film.name)


def _value(stated: Stated[str] | None) -> str | None:
    return stated.value if stated else None
