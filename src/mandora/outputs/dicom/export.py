"""All DICOM objects of one patient, one after the other, as files."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from pydicom.dataset import Dataset

from mandora.core.errors import InputError
from mandora.core.records import StudyResult
from mandora.damage.evidence import PatchEvidence
from mandora.outputs.dicom.capture import captures
from mandora.outputs.dicom.presentation import presentation_state
from mandora.outputs.dicom.segmentation import segmentation
from mandora.outputs.dicom.series import Patient
from mandora.outputs.dicom.source import source_films
from mandora.outputs.dicom.structured_report import structured_report

REPORT_FILE = "SR.dcm"


@dataclass(frozen=True, eq=False)
class PatientFiles:
    """What the objects of a patient are made from.

    Attributes:
        result: the record.
        paths: file of each film, by its name in the record.
        evidence: by film name, then by landmark name.
        overlays: PNG files by film name.
    """

    result: StudyResult
    paths: Mapping[str, Path]
    evidence: Mapping[str, Mapping[str, PatchEvidence]]
    overlays: Mapping[str, bytes]


def dicom_files(given: PatientFiles) -> Iterator[tuple[str, bytes]]:
    """The objects of a patient; only one is in memory at a time.

    Args:
        given: what they are made from.

    Yields:
        Name and bytes of each file.

    Raises:
        InputError: if no film is DICOM, or a header cannot be used.
    """
    films = source_films(given.result, given.paths)
    if not films:
        raise InputError(
            "no DICOM objects are written: none of the films that could be read is a DICOM file, "
            "so there is no study for them; export the films from the archive as DICOM"
        )
    patient = Patient(given.result, films)
    yield REPORT_FILE, _bytes(structured_report(patient))
    for number, film in enumerate(films, 1):
        seen = given.evidence.get(film.record.name, {})
        found = segmentation(patient, film, seen, number)
        if found is not None:
            yield f"{film.slot.code}-SEG.dcm", _bytes(found)
        drawn = presentation_state(patient, film, number)
        if drawn is not None:
            yield f"{film.slot.code}-PR.dcm", _bytes(drawn)
    overlays = {name: _opened(data) for name, data in given.overlays.items()}
    for film, page in captures(patient, overlays):
        name = "SC.dcm" if page.InstanceNumber == 1 else f"{film.slot.code}-SC.dcm"
        yield name, _bytes(page)


def _opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data), formats=("PNG",))


def _bytes(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
