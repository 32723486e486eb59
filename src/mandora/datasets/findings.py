"""What is wrong in a data set, or good to know: one finding for each place."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from mandora.core.errors import InputError


class Severity(StrEnum):
    """What a finding means for training."""

    ERROR = "error"  # must be corrected before training
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


@dataclass
class Report:
    """What was found in a data set, in the order in which it was read.

    Attributes:
        root: the data set's folder; files are named relative to it.
        findings: so far.
    """

    root: Path
    findings: list[Finding] = field(default_factory=list)

    def error(self, code: str, path: Path, message: str, row: int | None = None) -> None:
        """Note what keeps training from starting."""
        self._add(Severity.ERROR, code, path, message, row)

    def warning(self, code: str, path: Path, message: str, row: int | None = None) -> None:
        """Note what should be looked at."""
        self._add(Severity.WARNING, code, path, message, row)

    def note(self, code: str, path: Path, message: str, row: int | None = None) -> None:
        """Note what is good to know."""
        self._add(Severity.NOTE, code, path, message, row)

    def not_read(self, code: str, path: Path, error: Exception) -> None:
        """Note a file that a reader has refused, in the reader's words."""
        self.error(code, path, str(error).removeprefix(f"{path}: "))

    @property
    def errors(self) -> list[Finding]:
        """The errors among the findings."""
        return [finding for finding in self.findings if finding.severity is Severity.ERROR]

    def raise_errors(self, path: Path) -> None:
        """Raise all errors at once, if there are any.

        Args:
            path: the only file that was read.

        Raises:
            InputError: with one line for each error and its row.
        """
        errors = sorted(self.errors, key=lambda f: f.row or 0)
        lines = [f.message if f.row is None else f"row {f.row}: {f.message}" for f in errors]
        if len(lines) == 1:
            raise InputError(f"{path}: {lines[0]}")
        if lines:
            raise InputError("\n  ".join([f"{path}: {len(lines)} problems to correct", *lines]))

    def _add(
        self, severity: Severity, code: str, path: Path, message: str, row: int | None
    ) -> None:
        self.findings.append(Finding(severity, code, self.name_of(path), row, message))

    def name_of(self, path: Path) -> str:
        """A file's name in findings: relative to the data set where it lies in it."""
        if path == self.root:
            return path.name or path.as_posix()
        inside = path.is_relative_to(self.root)
        return (path.relative_to(self.root) if inside else path).as_posix()
