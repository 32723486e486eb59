"""What is wrong, or worth knowing, in a data set: one record for each place."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """What a finding means for training."""

    ERROR = "error"  # must be mended before training
    WARNING = "warning"  # should be looked at; training works
    NOTE = "note"  # handled; good to know


@dataclass(frozen=True)
class Finding:
    """One thing found in a data set.

    Attributes:
        severity: whether training can go on.
        code: short and stable, for programs, e.g. ``score-out-of-range``.
        file: path relative to the data set, with forward slashes.
        row: line of the file, the header being 1; None where there are no rows.
        message: what is wrong and what to do.
    """

    severity: Severity
    code: str
    file: str
    row: int | None
    message: str

    def __str__(self) -> str:
        place = self.file if self.row is None else f"{self.file}, row {self.row}"
        return f"{place}: {self.severity}: {self.message} [{self.code}]"
