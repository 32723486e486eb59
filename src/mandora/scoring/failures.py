"""Which reason a film or a patient fails for, from the exception that was raised."""

from __future__ import annotations

import logging

from mandora.core.errors import InputError, UntrainedLimb, WrongLimb
from mandora.core.records import Reason
from mandora.images.radiograph import UnreadableFilm

_LOG = logging.getLogger(__name__)


def why_failed(error: Exception, item: str) -> tuple[Reason, str]:
    """Why an item failed: its film cannot be used, or the program has a fault, which is logged.

    Args:
        error: what was raised.
        item: name of the film or the patient, for the log.

    Returns:
        The reason as a code, and what went wrong in words.
    """
    if isinstance(error, UnreadableFilm):
        return Reason.FILM_UNREADABLE, str(error)
    if isinstance(error, UntrainedLimb):
        return Reason.LIMB_UNTRAINED, str(error)
    if isinstance(error, WrongLimb):
        return Reason.WRONG_LIMB, str(error)
    if isinstance(error, InputError):
        return Reason.STAGE_FAILED, str(error)
    _LOG.debug("%s: where it failed", item, exc_info=error)
    if isinstance(error, MemoryError):
        return Reason.STAGE_FAILED, "there is not enough memory for it; close other programs"
    detail = f"{type(error).__name__}: {error}"
    _LOG.error("%s: fault of the program: %s", item, detail)
    return Reason.PROGRAM_FAULT, detail
