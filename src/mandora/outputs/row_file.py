"""A table on the disk that grows by whole rows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from mandora.core.csv_text import csv_text
from mandora.core.files import OutputError, write_atomically


class RowFile:
    """A CSV file that grows by whole rows, which are on the disk as soon as they are appended.

    A context manager, which closes the file.

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

    def append(self, text: str) -> None:
        """Append whole rows, see :func:`mandora.core.csv_text.csv_text`.

        Raises:
            OutputError: if the disk refuses; the file is then as before.
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
        """Remove rows: shorten the file to an earlier ``size``."""
        # a full disk does not prevent it; any other failure leaves a part of a row
        with suppress(OSError):
            self._file.truncate(size)
            self._file.seek(size)
        self.size = size

    def close(self) -> None:
        """Close the file as it is; may be called twice."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
