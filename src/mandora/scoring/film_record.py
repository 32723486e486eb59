"""What is recorded of one film: that it was scored, and what its user should know, or why not."""

from __future__ import annotations

from mandora.core.anatomy import Limb, Slot
from mandora.core.records import FilmRecord, Reason, Status
from mandora.images.radiograph import Radiograph
from mandora.locate.locator import FoundLandmarks


def failed_record(name: str, slot: Slot, reason: Reason, detail: str) -> FilmRecord:
    """A film that was given and cannot be examined.

    Args:
        name: of the film.
        slot: what it is given as.
        reason: why, as a code.
        detail: why and what to do, in words.
    """
    return FilmRecord(
        name=name, side=slot.side, limb=slot.limb, status=Status.FAILED, reason=reason,
        detail=detail,
    )  # fmt: skip


def not_found_record(slot: Slot, film: Radiograph) -> FilmRecord:
    """A film that does not show the limb that it is given as.

    What contradicts its name is not remarked upon: a film that shows nothing contradicts nothing.
    """
    detail = (
        f"no {slot.limb} was found on the film; check that it shows the {slot.title} or a part "
        "of it, not from the side"
    )
    outcome = {"status": Status.FAILED, "reason": Reason.NOT_FOUND, "detail": detail}
    return _record(slot, film).model_copy(update=outcome)


def scored_record(slot: Slot, film: Radiograph, found: FoundLandmarks) -> FilmRecord:
    """A film that was scored, with remarks on what it lacks and on what contradicts its name."""
    outside = found.reasons.count(Reason.OUTSIDE_FILM)
    lacking = [
        f"the film shows a part of the {slot.limb}: {outside} of {len(found.reasons)} joints that "
        "are looked for lie outside it and have no score"
    ]
    remarks = lacking * (outside > 0) + _contradictions(slot, film, found)
    return _record(slot, film, tuple(remarks))


def _record(slot: Slot, film: Radiograph, remarks: tuple[str, ...] = ()) -> FilmRecord:
    size = film.width, film.height
    width, height = (round(n * px) for n, px in zip(size, film.file_px, strict=True))
    return FilmRecord(
        name=film.name, side=slot.side, limb=slot.limb, status=Status.SCORED,
        sha256=film.sha256, width=width, height=height, spacing_mm=film.spacing_mm,
        remarks=(*film.remarks, *remarks),
    )  # fmt: skip


def _contradictions(slot: Slot, film: Radiograph, found: FoundLandmarks) -> list[str]:
    remarks = []
    lies = found.orientation
    if lies.side is not slot.side:
        remarks.append(
            f"the limb looks like a {'right' if lies.mirrored else 'left'} one: the "
            f"film is displayed mirrored or is not the {slot.title}; scored as the {slot.title}"
        )
    if lies.turns:
        digits = "fingers" if slot.limb is Limb.HAND else "toes"
        where = ("up", "right", "down", "left")[lies.turns]
        remarks.append(
            f"the {digits} point {where}: the limb was scored as if the film was upright"
        )
    if lies.inverted:
        remarks.append("bone is dark on the film: the limb was scored with inverted grey values")
    if film.side not in (None, slot.side) or film.limb not in (None, slot.limb):
        remarks.append(f"the file's tags do not say {slot.title}; the name was believed")
    return remarks
