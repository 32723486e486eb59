"""Which films of a patient's visit can be used together: one for each limb, and no copies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mandora.core.anatomy import SLOTS, Slot
from mandora.core.archives import film_sha256
from mandora.core.errors import InputError
from mandora.core.limb_words import Sides
from mandora.core.records import Reason
from mandora.datasets.intake.rows import Plan, PlannedFilm, Problem, Stated, VisitFilms
from mandora.datasets.study_ids import natural_key

Sized = tuple[PlannedFilm, int | None]
Refused = list[tuple[PlannedFilm, Problem]]


def sorted_out(films: Sequence[Sized], strict: bool) -> tuple[list[PlannedFilm], Refused]:
    """The films to use, and those that cannot be used together.

    Args:
        films: with their sizes in bytes, or None for a film that is compared with no other one;
            each has a patient.
        strict: refuse films that only the picture can place.
    """
    refused: Refused = []
    dated = _with_visits([film for film, _ in films])
    sizes = {film.path: size for film, size in films}
    visits: dict[tuple[str, str | None], list[PlannedFilm]] = defaultdict(list)
    copies = _copies(dated, sizes)
    for film in dated:
        if strict and film.guessed:
            refused.append((film, _problem(film, Reason.GUESSED, (
                "only the picture could say which limb and side this is; name it, state it in a "
                "manifest, or leave out --strict"
            ))))  # fmt: skip
        else:
            visits[_visit_of(film)].append(film)
    used: list[PlannedFilm] = []
    for group in visits.values():
        kept = _without_copies(group, copies, refused)
        used += _without_rivals(kept, refused)
    return _with_remarks_on_copies(used, copies), refused


def studies_of(plan: Plan) -> tuple[VisitFilms, ...]:
    """The films of each patient and visit, in natural order of patient and visit."""
    films: dict[tuple[str, str | None], list[PlannedFilm]] = defaultdict(list)
    for film in plan.films:
        films[_visit_of(film)].append(film)
    rejected: dict[tuple[str, str | None], list[Problem]] = defaultdict(list)
    for problem in plan.problems:
        if problem.study is not None and problem.reason is not Reason.BAD_STUDY_ID:
            rejected[problem.study, problem.visit].append(problem)
            if problem.slot is not None:
                films.setdefault((problem.study, problem.visit), [])
    count: dict[str, int] = defaultdict(int)
    for patient, _ in films:
        count[patient] += 1
    made = []
    for patient, visit in sorted(films, key=lambda key: (natural_key(key[0]), visit_key(key[1]))):
        group = films[patient, visit]
        placed = {film.slot: film for film in group if film.slot is not None}
        made.append(VisitFilms(
            patient, visit, {slot: placed[slot] for slot in SLOTS if slot in placed},
            tuple(film for film in group if film.slot is None),
            tuple(rejected[patient, visit]), count[patient] > 1,
        ))  # fmt: skip
    return tuple(made)


def visit_key(visit: str | None) -> tuple[object, ...]:
    """Sort key of visits: unknown, baseline, dates, then others by their numbers."""
    if visit is None:
        return (0,)
    if visit in ("screening", "inclusion", "baseline"):
        return (1, visit != "screening", visit)
    return (2, natural_key(visit))


def _visit_of(film: PlannedFilm) -> tuple[str, str | None]:
    patient = film.patient.value if film.patient else ""
    return patient, film.visit.value if film.visit else None


def _with_visits(films: Sequence[PlannedFilm]) -> list[PlannedFilm]:
    """Films without a visit join the patient's only one; with several they stay by themselves."""
    known: dict[str, dict[str, Stated[str]]] = defaultdict(dict)
    for film in films:
        if film.patient and film.visit:
            known[film.patient.value].setdefault(film.visit.value, film.visit)
    made = []
    for film in films:
        visits = known.get(film.patient.value, {}) if film.patient else {}
        if film.visit is None and len(visits) == 1:
            (only,) = visits.values()
            remark = (
                f"nothing says its visit; it was taken for {only.value}, the patient's only one"
            )
            film = replace(film, visit=only, remarks=(*film.remarks, remark))
        elif film.visit is None and visits:
            remark = f"nothing says which of the patient's {len(visits)} visits it is from"
            film = replace(film, remarks=(*film.remarks, remark))
        made.append(film)
    return made


def _copies(
    films: Sequence[PlannedFilm], sizes: Mapping[Path, int | None]
) -> dict[str, list[PlannedFilm]]:
    """Films that are the same byte by byte, by their hash."""
    by_size: dict[int, list[PlannedFilm]] = defaultdict(list)
    for film in films:
        if (size := sizes[film.path]) is not None:
            by_size[size].append(film)
    by_hash: dict[str, list[PlannedFilm]] = defaultdict(list)
    for group in by_size.values():
        if len(group) > 1:
            for film in group:
                try:
                    by_hash[film_sha256(film.path)].append(film)
                except (OSError, InputError):
                    continue  # the reader will say why
    return {key: group for key, group in by_hash.items() if len(group) > 1}


def _without_copies(
    films: list[PlannedFilm], copies: Mapping[str, Sequence[PlannedFilm]], refused: Refused
) -> list[PlannedFilm]:
    """One film of both limbs for a film that was given as left and as right; no other copies."""
    kept = list(films)
    for group in copies.values():
        here = [film for film in films if any(film.path == other.path for other in group)]
        slots = {film.slot for film in here}
        if len(here) < 2 or len(slots) == 1:
            continue  # two films of one limb are refused as such
        names = ", ".join(film.name for film in here)
        for film in here:
            kept.remove(film)
        pair = {slot.limb for slot in slots if slot is not None}
        if None not in slots and len(pair) == 1 and len(here) == 2:
            first, second = here
            remark = f"{names} are the same file: its picture must show both limbs"
            kept.append(replace(
                first, sides=Stated(Sides.BOTH, first.sides.origin) if first.sides else None,
                remarks=(*first.remarks, remark), also=(first, second),
            ))  # fmt: skip
            continue
        detail = f"{names} are the same file, given for different limbs; none was used, keep one"
        refused += [(film, _problem(film, Reason.SAME_PICTURE, detail)) for film in here]
    return kept


def _without_rivals(films: Sequence[PlannedFilm], refused: Refused) -> list[PlannedFilm]:
    """Without films of a limb of which there are several; a film of both limbs counts for both."""
    by_slot: dict[Slot, list[PlannedFilm]] = defaultdict(list)
    for film in films:
        for slot in _slots(film):
            by_slot[slot].append(film)
    bad: dict[Slot, list[PlannedFilm]] = {s: g for s, g in by_slot.items() if len(g) > 1}
    out: list[PlannedFilm] = []
    for slot, group in bad.items():
        names = ", ".join(
            " and ".join(given.name for given in film.also) + " (the same file)"
            if film.also
            else film.name
            for film in group
        )
        detail = (
            f"{len(group)} films of the {slot.title} were given ({names}); none was used, keep one"
        )
        for film in (film for film in group if film not in out):
            out.append(film)
            for given in film.also or (film,):
                made = _problem(given, Reason.DUPLICATE_FILM, detail)
                refused.append((given, replace(made, slot=given.slot or slot)))
    return [film for film in films if film not in out]


def _slots(film: PlannedFilm) -> list[Slot]:
    if film.slot is not None:
        return [film.slot]
    if film.limb is not None and film.sides is not None:
        return [slot for slot in SLOTS if slot.limb is film.limb.value]
    return []


def _with_remarks_on_copies(
    films: Sequence[PlannedFilm], copies: Mapping[str, Sequence[PlannedFilm]]
) -> list[PlannedFilm]:
    """Remark on films that are another patient's or another visit's as well."""
    others: dict[object, list[PlannedFilm]] = defaultdict(list)
    for group in copies.values():
        for film in group:
            others[film.path] += [o for o in group if _visit_of(o) != _visit_of(film)]
    made = []
    for film in films:
        if others.get(film.path):
            names = ", ".join(other.name for other in others[film.path][:3])
            remark = f"it is the same file as that of another patient or visit: {names}"
            film = replace(film, remarks=(*film.remarks, remark))
        made.append(film)
    return made


def _problem(film: PlannedFilm, reason: Reason, detail: str) -> Problem:
    patient, visit = _visit_of(film)
    return Problem(film.name, reason, detail, patient, film.slot, visit)
