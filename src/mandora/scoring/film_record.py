"""What is recorded of one film: that it was scored, and how it was judged, or why not."""

from __future__ import annotations

from collections.abc import Iterable

from mandora.core.anatomy import Slot
from mandora.core.records import FilmRecord, Finding, Reason, Status, merged
from mandora.images.radiograph import Radiograph
from mandora.scoring.findings import refusal


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
        detail=detail, findings=(refusal(reason, detail),),
    )  # fmt: skip


def not_found_record(slot: Slot, film: Radiograph) -> FilmRecord:
    """A film that does not show the limb that it is given as.

    What contradicts its name is not remarked upon: a film that shows nothing contradicts nothing.
    """
    detail = (
        f"no {slot.limb} was found on the film; check that it shows the {slot.title} or a part "
        "of it, not from the side"
    )
    outcome = {
        "status": Status.FAILED, "reason": Reason.NOT_FOUND, "detail": detail,
        "findings": (refusal(Reason.NOT_FOUND, detail),),
    }  # fmt: skip
    return _record(slot, film).model_copy(update=outcome)


def scored_record(slot: Slot, film: Radiograph, findings: Iterable[Finding]) -> FilmRecord:
    """A film that was scored, and how it was judged.

    Args:
        slot: what the film is given as.
        film: read.
        findings: of the quality gate, any number for a check.
    """
    return _record(slot, film).model_copy(update={"findings": merged(*findings)})


def _record(slot: Slot, film: Radiograph) -> FilmRecord:
    size = film.width, film.height
    width, height = (round(n * px) for n, px in zip(size, film.file_px, strict=True))
    return FilmRecord(
        name=film.name, side=slot.side, limb=slot.limb, status=Status.SCORED,
        sha256=film.sha256, width=width, height=height, spacing_mm=film.spacing_mm,
        remarks=film.remarks,
    )  # fmt: skip
