"""Who is the same patient, and what a patient is called.

Tags say who is who, names say what a patient is called. Films whose tags name two persons never
become one patient, whatever their names and folders; films with two patients in their names never
become one either, whatever their tags. Only a manifest may join them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from mandora.datasets.intake.drafts import Draft
from mandora.datasets.intake.headers import Identity, Naming
from mandora.datasets.intake.rows import Origin, Stated

_SHORT = 2  # so many letters or digits count films, if a folder names the patient


def called(drafts: Sequence[Draft], naming: Naming) -> None:
    """Set the patient of each film that has one.

    Args:
        drafts: of all films of a run: who is who can only be said together.
        naming: how patients without a name are called.
    """
    people = _people(drafts)
    owners: dict[str, set[Identity]] = defaultdict(set)
    names: dict[Identity, set[str]] = defaultdict(set)
    for draft, person in zip(drafts, people, strict=True):
        name = _firm_name(draft)
        if person is not None and name is not None:
            owners[name].add(person)
            names[person].add(name)
    for draft, person in zip(drafts, people, strict=True):
        if draft.by_row is not None and draft.by_row.patient:
            draft.patient = Stated(draft.by_row.patient, Origin.MANIFEST)
        elif person is None:
            draft.patient = _without_tags(draft)
        else:
            draft.patient = _with_tags(draft, person, names[person], owners, naming)
    _note_joined(drafts, people)


def _with_tags(
    draft: Draft, person: Identity, names: set[str], owners: Mapping[str, set[Identity]],
    naming: Naming,
) -> Stated[str]:  # fmt: skip
    """What a person is called.

    Args:
        draft: a film of the person.
        person: that its tags name.
        names: that names of files give to the person's films.
        owners: the persons whose films have a name.
        naming: what the person is called without a name.
    """
    name = _firm_name(draft)
    own = {n for n in names if len(owners[n]) == 1}
    if name is not None and name not in own:
        draft.remarks.append(
            f"the name says {name}, but films with that name have different PatientIDs; the tag "
            "was believed"
        )
        name = None
    if len(own) > 1:
        draft.remarks.append(
            f"{len(own)} patients in names of files have one PatientID; they were kept apart: use "
            "a manifest if they are one"
        )
    elif name is None and own:
        (name,) = own
    if name is not None:
        return Stated(name, Origin.NAME)
    code = naming.name_of(person, with_birth_date=bool(person.birth_date))
    return Stated(code, Origin.TAG)


def _people(drafts: Sequence[Draft]) -> list[Identity | None]:
    """The person of each film; the date of birth counts only where one PatientID has several."""
    dates: dict[tuple[str, str], set[str]] = defaultdict(set)
    for draft in drafts:
        if draft.identity is not None and draft.identity.birth_date:
            dates[draft.identity[:2]].add(draft.identity.birth_date)
    made: list[Identity | None] = []
    for draft in drafts:
        person = draft.identity
        if person is not None and len(dates[person[:2]]) <= 1:
            person = person._replace(birth_date="")
        elif person is not None:
            draft.remarks.append(
                "films with its PatientID have different dates of birth; they were kept apart"
            )
        made.append(person)
    return made


def _firm_name(draft: Draft) -> str | None:
    """The patient in the name of a file that says which film it is; other names are counters."""
    facts = draft.by_name.facts
    if draft.by_name.own_form:
        return facts.patient
    return facts.patient if facts.limb and facts.sides else None


def _without_tags(draft: Draft) -> Stated[str] | None:
    """By the file's name, else by its folder's."""
    facts, folder = draft.by_name.facts, draft.by_folder.patient
    name = facts.patient
    if name and folder and not draft.by_name.own_form:
        places = facts.limb is not None or facts.sides is not None
        number = draft.by_name.number_only
        if (number and not places) or (len(name) <= _SHORT and (number or not places)):
            name = None  # it counts the films of the folder
    if name or draft.by_name.own_form:
        return Stated(name or "", Origin.NAME)
    return Stated(folder, Origin.FOLDER) if folder else None


def _note_joined(drafts: Sequence[Draft], people: Sequence[Identity | None]) -> None:
    """Remark where a manifest makes one patient of two persons."""
    joined: dict[str, set[Identity]] = defaultdict(set)
    for draft, person in zip(drafts, people, strict=True):
        if person is not None and draft.patient is not None:
            joined[draft.patient.value].add(person)
    for draft in drafts:
        if draft.patient is not None and len(joined[draft.patient.value]) > 1:
            draft.remarks.append(
                f"{len(joined[draft.patient.value])} PatientIDs are one patient in the manifest"
            )
