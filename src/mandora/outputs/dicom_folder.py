"""The folder ``dicom/`` of a run: the DICOM objects of each patient."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mandora.core.csv_text import csv_text
from mandora.core.errors import InputError
from mandora.core.files import OutputError, make_output_folder, write_atomically
from mandora.core.inputs import listed
from mandora.core.records import StudyResult
from mandora.damage.evidence import PatchEvidence

if TYPE_CHECKING:
    from mandora.outputs.dicom.deidentify import Pseudonyms

_LOG = logging.getLogger(__name__)
FOLDER = "dicom"
PSEUDONYMS_FILE = "pseudonyms.csv"
_OURS = re.compile(r"(SR|SC|[LR][HF](-(SEG|PR|SC))?)\.dcm")


@dataclass(frozen=True, eq=False)
class PatientFiles:
    """What the DICOM objects of a patient are made from.

    Attributes:
        result: the record.
        paths: file of each film, by its name in the record.
        shapes: (height, width), px, of each film that could be read, as it was scored.
        evidence: by film name, then by landmark name.
        overlays: PNG files by film name.
        visit: name of the visit, if the patient has several: each has a folder of its own.
    """

    result: StudyResult
    paths: Mapping[str, Path]
    shapes: Mapping[str, tuple[int, int]]
    evidence: Mapping[str, Mapping[str, PatchEvidence]]
    overlays: Mapping[str, bytes]
    visit: str | None = None


class DicomFolder:
    """Writes the DICOM objects of patients, each patient's into a folder of its own.

    Args:
        out: folder of the run; ``dicom/<patient>/`` is made in it, or ``dicom/<patient>/<visit>/``.
        deidentify: names and UIDs are replaced by pseudonyms, also that of the folder. Their key
            and the list of patients lie in ``out``, beside ``dicom/``.

    Raises:
        ValueError: if the extra ``dicom`` is not installed, the folder holds other files, or the
            key cannot be used.
        OSError: if the folder cannot be made or written.
    """

    def __init__(self, out: Path, *, deidentify: bool = False) -> None:
        lacking = [n for n in ("highdicom", "dicomanonymizer") if find_spec(n) is None]
        if lacking:
            raise InputError(
                "writing DICOM files needs more packages; run: pip install mandora[dicom]"
            )
        self._folder = out / FOLDER
        make_output_folder(self._folder)
        if (foreign := _foreign(self._folder)) is not None:
            raise InputError(
                f"{self._folder} holds files that are no results of mandora, such as {foreign}; "
                "give another output folder, so that films and results are kept apart"
            )
        self._list = out / PSEUDONYMS_FILE
        self._listed: dict[str, str] = {}
        self._pseudonyms: Pseudonyms | None = None
        if deidentify:
            from mandora.outputs.dicom.deidentify import Pseudonyms

            self._pseudonyms = Pseudonyms.of_folder(out)

    def write(self, given: PatientFiles) -> tuple[Path, ...]:
        """Write the objects of one patient; those of an earlier run are removed.

        If one cannot be written, none of this patient stays.

        Raises:
            ValueError: if no film is DICOM or a header cannot be used; the message says why.
            OutputError: if a file cannot be written.
        """
        from mandora.outputs.dicom.export import dicom_files

        study, pseudonyms = given.result.study, self._pseudonyms
        folder = self._folder / (pseudonyms.name(study) if pseudonyms else study)
        patient = folder.name
        if given.visit is not None:  # its name may be a date
            folder /= pseudonyms.name(f"{study} {given.visit}") if pseudonyms else given.visit
        written: list[Path] = []
        try:
            with quiet():
                for name, data in dicom_files(given, pseudonyms):
                    folder.mkdir(parents=True, exist_ok=True)
                    write_atomically(folder / name, data)
                    written.append(folder / name)
        except BaseException as error:
            _remove_ours(folder, [])
            if isinstance(error, InputError | OutputError) or not isinstance(error, Exception):
                raise
            # the texts of pydicom and highdicom may quote the header
            _LOG.debug("%s: DICOM objects", study, exc_info=error)
            raise InputError(
                f"no DICOM objects can be made of the films' headers ({type(error).__name__}); "
                "export the films from the archive again"
            ) from None
        _remove_ours(folder, written)
        if pseudonyms:
            self._listed[study] = patient
            rows = [("patient", "pseudonym"), *self._listed.items()]
            write_atomically(self._list, csv_text(rows).encode())
        return tuple(written)


@contextmanager
def quiet() -> Iterator[None]:
    """Without what pydicom and highdicom say of values that are not valid: they quote them."""
    loggers = [logging.getLogger(name) for name in ("pydicom", "highdicom")]
    before = [logger.disabled for logger in loggers]
    try:
        for logger in loggers:
            logger.disabled = True
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, was in zip(loggers, before, strict=True):
            logger.disabled = was


def _foreign(folder: Path) -> str | None:
    """The name of a file that is not ours, in the folder or one of the folders in it."""
    for path in sorted(folder.rglob("*")):
        if not path.is_dir() and not _OURS.fullmatch(path.name):
            return path.name
    return None


def _remove_ours(folder: Path, kept: list[Path]) -> None:
    """Remove objects of mandora from a folder: an earlier run may have had more films."""
    try:
        for path in listed(folder) if folder.is_dir() else ():
            if _OURS.fullmatch(path.name) and path not in kept:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(folder, error) from error
