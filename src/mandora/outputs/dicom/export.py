"""All DICOM objects of one patient, one after the other, as files."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TypeVar

from PIL import Image
from pydicom.dataset import Dataset

from mandora.core.errors import InputError
from mandora.outputs.dicom.capture import captures
from mandora.outputs.dicom.deidentify import Pseudonyms, anonymous_result, deidentify
from mandora.outputs.dicom.predecessors import REPORT_FILE
from mandora.outputs.dicom.presentation import presentation_state
from mandora.outputs.dicom.segmentation import segmentation
from mandora.outputs.dicom.series import Patient
from mandora.outputs.dicom.source import read_film, source_films
from mandora.outputs.dicom.structured_report import structured_report
from mandora.outputs.dicom_folder import PatientFiles

_T = TypeVar("_T")


def dicom_files(
    given: PatientFiles, pseudonyms: Pseudonyms | None = None
) -> Iterator[tuple[str, bytes]]:
    """The objects of a patient; only one is in memory at a time.

    Args:
        given: what they are made from.
        pseudonyms: if given, nothing identifies the patient, and a copy of each film that the
            objects refer to comes with them.

    Yields:
        Name and bytes of each file.

    Raises:
        InputError: if no film is DICOM, or a header cannot be used.
    """
    change: Callable[[Dataset], None] = _unchanged
    if pseudonyms is not None:
        change = partial(deidentify, patient=given.result.study, pseudonyms=pseudonyms)
        given = _without_names(given, pseudonyms)
    films = source_films(given.result, given.paths, given.shapes, change)
    if not films:
        raise InputError(
            "no DICOM objects are written: none of the films that could be read is a DICOM file, "
            "so there is no study for them; export the films from the archive as DICOM"
        )
    if pseudonyms is not None:
        # a film of both hands is one file
        for film in {film.path: film for film in reversed(films)}.values():
            read = read_film(film.path)
            assert read is not None  # its header was read
            change(read)
            yield f"{film.slot.code}.dcm", _bytes(read)
    patient = Patient(given.result, films, given.evidence)
    yield from _objects(patient)
    overlays = {name: _opened(data) for name, data in given.overlays.items()}
    for film, page in captures(patient, overlays):
        name = "SC.dcm" if page.InstanceNumber == 1 else f"{film.slot.code}-SC.dcm"
        yield name, _bytes(page)


def _objects(patient: Patient) -> Iterator[tuple[str, bytes]]:
    yield REPORT_FILE, _bytes(structured_report(patient))
    for number, film in enumerate(patient.films, 1):
        found = segmentation(patient, film, number)
        if found is not None:
            yield f"{film.slot.code}-SEG.dcm", _bytes(found)
        drawn = presentation_state(patient, film, number)
        if drawn is not None:
            yield f"{film.slot.code}-PR.dcm", _bytes(drawn)


def _unchanged(header: Dataset) -> None:
    """What is done with a header that is kept as it is."""


def _without_names(given: PatientFiles, pseudonyms: Pseudonyms) -> PatientFiles:
    """The same, with names of films that say nothing but which limb they show."""
    result, names = anonymous_result(given.result, pseudonyms)

    def renamed(table: Mapping[str, _T]) -> dict[str, _T]:
        return {names[name]: value for name, value in table.items()}

    return PatientFiles(
        result, renamed(given.paths), renamed(given.shapes), renamed(given.evidence),
        renamed(given.overlays),
    )  # fmt: skip


def _opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data), formats=("PNG",))


def _bytes(dataset: Dataset) -> bytes:
    name = str(dataset.get("PatientName", "")).removesuffix("^")
    if "^" not in name:  # the header got the caret for highdicom, which warns of such names
        dataset.add_new("PatientName", "PN", name)  # the element itself is shared with the header
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
