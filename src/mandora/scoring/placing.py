"""What a film shows that nothing places: which limb, one or both, and of which side.

A film of both limbs is split: each limb found on it is scored by itself, on the whole film.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mandora.core.anatomy import SLOTS, Limb, Slot
from mandora.core.errors import InputError
from mandora.core.limb_words import Sides
from mandora.core.records import Reason
from mandora.datasets.intake.rows import Origin, PlannedFilm, Problem, VisitFilms
from mandora.images.radiograph import Radiograph
from mandora.images.read import read_radiograph
from mandora.locate.locator import FoundLandmarks
from mandora.model.loading import Stages
from mandora.scoring import film as one_film
from mandora.scoring.failures import why_failed
from mandora.scoring.film import GivenFilm


@dataclass(frozen=True, eq=False)
class PlacedFilms:
    """The films of a patient's visit after the pictures were looked at.

    Attributes:
        films: by limb.
        problems: films that could not be placed, or that another film leaves no place for.
        slots: the limbs that each planned film was given for, by its number in the order of
            :func:`planned_of`.
    """

    films: Mapping[Slot, GivenFilm]
    problems: tuple[Problem, ...]
    slots: tuple[tuple[Slot, ...], ...]


def recognised(stages: Stages, film: Radiograph) -> FoundLandmarks | None:
    """The limb that a film shows, by its picture alone; None if none is clear.

    More is asked than of a film whose limb is stated: a wrist or a lateral view may look a little
    like a foot or a hand.

    Args:
        stages: of the model.
        film: read.
    """
    best = one_film.locate(stages, film)
    clear = best.fit >= stages.contract.locate.thresholds[best.limb].clear_fit
    return best if clear and one_film.shows_limb(stages, best, film.shape) else None


def limbs_on(stages: Stages, film: Radiograph, limb: Limb | None = None) -> list[FoundLandmarks]:
    """The limbs on a film: one, or the two sides; the one that fits best first.

    Args:
        stages: of the model.
        film: read.
        limb: hand or foot; the better fit if not known.

    Returns:
        None, one, or two of different sides. Two views of one side are one limb here: the one
        that fits best.
    """
    if limb is None:
        best = recognised(stages, film)
        if best is None:
            return []
        limb = best.limb
    found = one_film.locate_all(stages, film, limb)
    sides = [one.orientation.side for one in found]
    return [one for i, one in enumerate(found) if one.orientation.side not in sides[:i]]


def planned_of(visit: VisitFilms) -> tuple[PlannedFilm, ...]:
    """All films of a visit, those with a known limb first."""
    return (*visit.films.values(), *visit.unplaced)


def place(stages: Stages, visit: VisitFilms) -> PlacedFilms:
    """Look at the films of a visit that nothing places, and give every film its limb.

    A film that is placed by its picture yields to one whose limb is stated, and two for one limb
    yield to each other.
    """
    films = {slot: GivenFilm(film.path, film.remarks, origins_of(film))
             for slot, film in visit.films.items()}  # fmt: skip
    problems: list[Problem] = []
    slots: list[tuple[Slot, ...]] = [(slot,) for slot in visit.films]
    wanted: dict[Slot, list[tuple[int, PlannedFilm, GivenFilm]]] = {}
    for film in visit.unplaced:
        try:
            made = _looked_at(stages, film)
        except Exception as error:  # the other films are still scored
            together = film.also or (film,)
            problems += [_problem(visit, one, *_why(error, one), one.slot) for one in together]
            slots.append(())
            continue
        for slot, given in made.items():
            wanted.setdefault(slot, []).append((len(slots), film, given))
        slots.append(())
    refused = [problem for problem in visit.rejected if problem.slot is not None]
    for slot in (slot for slot in SLOTS if slot in wanted):
        rivals = wanted[slot]
        taken = [visit.films[slot].name] if slot in visit.films else []
        taken += [problem.path_name for problem in refused if problem.slot == slot]
        if not taken and len(rivals) == 1:
            at, _, given = rivals[0]
            films[slot] = given
            slots[at] = (*slots[at], slot)
            continue
        names = [film.name for _, film, _ in rivals] + taken
        detail = (
            f"it looks like a {slot.title}, of which {len(names)} films were given "
            f"({', '.join(names)}); name it, or state its side in a manifest"
        )
        problems += [
            _problem(visit, film, Reason.DUPLICATE_FILM, detail, slot) for _, film, _ in rivals
        ]
    return PlacedFilms({slot: films[slot] for slot in SLOTS if slot in films}, tuple(problems),
                       tuple(slots))  # fmt: skip


def _looked_at(stages: Stages, film: PlannedFilm) -> dict[Slot, GivenFilm]:
    """The limbs that the picture of a film shows."""
    radiograph = read_radiograph(film.path)
    limb = film.limb.value if film.limb else None
    stated = film.sides.value if film.sides else None
    one_side = stated is not None and stated is not Sides.BOTH
    if stated is not None and one_side:
        best = one_film.locate(stages, radiograph, limb, stated.side)
        found = [best] if one_film.shows_limb(stages, best, radiograph.shape) else []
    else:
        found = limbs_on(stages, radiograph, limb)
    if not found:
        what = limb or "hand or foot"
        raise _NotPlaced(
            Reason.NOT_FOUND,
            f"no {what} was found; it must be seen from the front or the back. A name, a tag or a "
            "manifest that says what it shows helps",
        )
    if film.also and len(found) < 2:
        names = " and ".join(each.name for each in film.also)
        raise _NotPlaced(
            Reason.SAME_PICTURE,
            f"{names} are the same file, given as left and as right, and it does not show both; "
            "keep one",
        )
    made: dict[Slot, GivenFilm] = {}
    for one in found:
        side = (stated.side if stated else None) or one.orientation.side
        if limb is not None:
            one_film.check_limb(stages, Slot(side, limb), radiograph, one)
        guess = stated is None or (stated is Sides.BOTH and len(found) < 2)
        origins = origins_of(film) | ({"side": Origin.PICTURE.value} if guess else {})
        remarks = list(film.remarks)
        if film.sides is not None and guess:
            by = film.sides.origin
            remarks.append(f"the {by} states both {one.limb.plural}, and one was found")
        made[Slot(side, one.limb)] = GivenFilm(film.path, tuple(remarks), origins, radiograph, one,
                                               None if one_side else len(found))  # fmt: skip
    return made


def origins_of(film: PlannedFilm) -> dict[str, str]:
    """Who says what of a film, for its record."""
    stated = {
        "patient": film.patient, "visit": film.visit, "limb": film.limb, "side": film.sides,
    }  # fmt: skip
    made = {name: value.origin.value for name, value in stated.items() if value is not None}
    missing = {name: Origin.PICTURE.value for name in ("limb", "side") if name not in made}
    return made | missing


def _why(error: Exception, film: PlannedFilm) -> tuple[Reason, str]:
    if isinstance(error, _NotPlaced):
        return error.reason, str(error)
    return why_failed(error, film.name)


class _NotPlaced(InputError):
    """A film whose picture does not say which limb it shows."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def _problem(
    visit: VisitFilms, film: PlannedFilm, reason: Reason, detail: str, slot: Slot | None = None
) -> Problem:
    return Problem(film.name, reason, detail, visit.study, slot, visit.visit)
