"""Tables that grow by whole rows, safe file names, folders for results."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from mandora.core.cells import csv_text
from mandora.core.errors import InputError
from mandora.core.files import OutputError, beside, write_atomically


class RowFile:
    """A CSV file that grows by whole rows, which are on the disk as soon as they are appended.

    Args:
        path: the file; an older one is replaced.
        header: names of the columns.

    Attributes:
        path: the file.
        size: its length in bytes.

    Raises:
        OutputError: if the file cannot be opened.
    """

    def __init__(self, path: Path, header: Sequence[str]) -> None:
        self.path = path
        # the header replaces an older table in one step; a reader never sees an empty file
        write_atomically(path, csv_text([header]).encode())
        try:
            self._file = path.open("r+b", buffering=0)
            self.size = self._file.seek(0, os.SEEK_END)
        except OSError as error:
            raise OutputError(path, error) from error

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._file.closed

    def append(self, text: str) -> None:
        """Append whole rows, see :func:`mandora.core.cells.csv_text`.

        Raises:
            OutputError: if the disk refuses; the file then holds what it held before.
        """
        data = memoryview(text.encode())
        try:
            try:
                while data:
                    data = data[self._file.write(data) or 0 :]
                os.fsync(self._file.fileno())
            except BaseException:
                self.cut(self.size)
                raise
        except OSError as error:
            raise OutputError(self.path, error) from error
        self.size = self._file.tell()

    def cut(self, size: int) -> None:
        """Take rows back: shorten the file to what it held at an earlier ``size``."""
        # giving space back does not fail for want of space; anything else leaves a torn row
        with suppress(OSError):
            self._file.truncate(size)
            self._file.seek(size)
        self.size = size

    def close(self) -> None:
        """Close the file as it is; calling it twice does no harm."""
        self._file.close()


def make_output_folder(folder: Path) -> None:
    """Make a folder and prove that files can be written into it.

    Raises:
        ValueError: if the path is a file.
        OSError: if the folder cannot be made or written; the message names it.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file, not a folder; give another output folder")
    probe = beside(folder / "probe")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            probe.write_bytes(b"mandora\n")
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        cause = error.strerror or str(error)
        raise OSError(
            error.errno,
            f"cannot write into the output folder {folder}: {cause}; "
            "give another folder, or make room or ask for write access there",
        ) from error
