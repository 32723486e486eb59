"""Studies of a DICOMweb service: their films come, their results go."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydicom import dcmread

from mandora.archive.errors import ArchiveError
from mandora.archive.films import digest
from mandora.archive.web import WebArchive
from mandora.core.errors import InputError
from mandora.core.files import make_output_folder, write_atomically
from mandora.outputs.dicom_folder import FOLDER


@contextmanager
def fetched(
    archive: WebArchive, studies: Sequence[str], out: Path,
    step: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[list[Path]]:  # fmt: skip
    """The films of studies, as files while the block runs; they are removed at its end.

    Args:
        archive: where they are.
        studies: Study Instance UIDs.
        out: folder of the results, in which they lie for this time.
        step: called with the number of studies that are there, and of all.

    Raises:
        InputError: if a study cannot be fetched whole; the message names the server, not the study.
        OSError: if the folder cannot be written.
    """
    make_output_folder(out)
    with tempfile.TemporaryDirectory(dir=out, prefix=".films-") as folder:
        films = []
        for done, study in enumerate(dict.fromkeys(studies), 1):
            try:
                for uid, data in archive.films(study):
                    films.append(Path(folder) / f"{digest(uid)}.dcm")
                    write_atomically(films[-1], data)
            except ArchiveError as error:
                raise InputError(f"study {done}: {error}; nothing was scored") from None
            step(done, len(studies))
        yield films


def store_results(archive: WebArchive, out: Path, studies: Sequence[str]) -> int:
    """Send the DICOM objects of a run that belong to studies; returns how many were sent.

    Args:
        archive: who gets them.
        out: folder of the run.
        studies: Study Instance UIDs; objects of others, of earlier runs, are not sent.

    Raises:
        ArchiveError: if the archive does not take one; those after it are not sent.
    """
    of_studies = [
        path for path in sorted((out / FOLDER).rglob("*.dcm"))
        if dcmread(path, specific_tags=["StudyInstanceUID"]).get("StudyInstanceUID") in studies
    ]  # fmt: skip
    archive.store(of_studies, lambda path: None)
    return len(of_studies)
