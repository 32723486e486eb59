"""What can go wrong with an archive."""

from __future__ import annotations


class ArchiveError(Exception):
    """An archive did not do what it was asked to; the message names it, the fault, the remedy.

    Args:
        message: for the user; nothing in it identifies a patient.
        down: whether nothing else will succeed there now, as opposed to one object or study.
    """

    def __init__(self, message: str, *, down: bool = False) -> None:
        super().__init__(message)
        self.down = down
