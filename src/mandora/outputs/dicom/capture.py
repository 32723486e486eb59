"""The report as pictures (secondary capture): every viewer shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from highdicom.sc import SCImage
from PIL import Image
from pydicom.uid import JPEGBaseline8Bit

from mandora.outputs.dicom.series import Patient
from mandora.outputs.dicom.source import SourceFilm
from mandora.outputs.overlay import retitled
from mandora.outputs.summary_page import draw_summary


def captures(
    patient: Patient, overlays: Mapping[str, Image.Image]
) -> Iterator[tuple[SourceFilm, SCImage]]:
    """The pages of a patient's report: totals and all scores, then one page for each film.

    Args:
        patient: whose report it is.
        overlays: by film name.

    Yields:
        The film in whose study the page lies, and the page. No page shows a name, an id or the
        name of a file: these are in the header, where archives can correct or remove them.
    """
    films = patient.films
    yield films[0], _page(patient, films[0], draw_summary(patient.result), 1, "B")
    for number, film in enumerate(films, 2):
        overlay = overlays.get(film.record.name)
        if overlay is not None:
            image, side = retitled(overlay, film.slot.title), film.slot.side.value
            yield film, _page(patient, film, image, number, side)


def _page(
    patient: Patient, film: SourceFilm, image: Image.Image, number: int, laterality: str
) -> SCImage:
    header = film.header
    # the colours of two columns share their values, so the number of columns is even
    even = image.convert("RGB").crop((0, 0, image.width // 2 * 2, image.height // 2 * 2))
    page = SCImage(
        pixel_array=np.asarray(even),
        photometric_interpretation="YBR_FULL_422",
        bits_allocated=8,
        coordinate_system="PATIENT",
        study_instance_uid=header.StudyInstanceUID,
        patient_id=header.PatientID,
        patient_name=header.PatientName,
        patient_birth_date=header.PatientBirthDate,
        patient_sex=header.PatientSex or None,
        accession_number=header.AccessionNumber,
        study_id=header.StudyID,
        study_date=header.StudyDate or None,
        study_time=header.StudyTime or None,
        referring_physician_name=header.ReferringPhysicianName,
        patient_orientation=("L", "F"),  # highdicom wants one
        transfer_syntax_uid=JPEGBaseline8Bit,
        specific_character_set="ISO_IR 192",
        **patient.shared("SC", film, number),
    )
    page.PatientOrientation = []  # a page of a report has none
    page.ImageLaterality = laterality
    page.copy_patient_and_study_information(header)
    if header.get("BurnedInAnnotation") == "YES":  # as what is written on the film itself
        page.BurnedInAnnotation = "YES"
    return page
