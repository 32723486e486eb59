"""Reports that take the place of earlier ones, for instance because a film came late."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset

from mandora.core.files import write_atomically

REPORT_FILE = "SR.dcm"
_WHOSE = ("PatientID", "IssuerOfPatientID", "StudyDate")


def note_predecessors(folder: Path, earlier: Sequence[Path]) -> None:
    """Have each report in a folder name the latest earlier one of the same patient and day.

    Readers then show the new one in its place (DICOM PS3.3 C.17.2, Predecessor Documents Sequence).

    Args:
        folder: of a run, with reports that were not sent yet.
        earlier: reports of earlier runs that were sent, the latest last.

    Raises:
        OutputError: if a report cannot be written.
    """
    by_patient = {_whose(old): old for old in map(_header, earlier)}
    for path in sorted(folder.rglob(REPORT_FILE)) if by_patient else ():
        report = dcmread(path)
        old = by_patient.get(_whose(report))
        if old is None or old.SOPInstanceUID == report.SOPInstanceUID:
            continue
        report.PredecessorDocumentsSequence = [_reference(old)]
        buffer = io.BytesIO()
        report.save_as(buffer, enforce_file_format=True)
        write_atomically(path, buffer.getvalue())


def _header(path: Path) -> Dataset:
    wanted = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", *_WHOSE]
    return dcmread(path, specific_tags=["SpecificCharacterSet", *wanted])


def _whose(report: Dataset) -> tuple[str, ...]:
    return tuple(str(report.get(tag) or "") for tag in _WHOSE)


def _reference(report: Dataset) -> Dataset:
    """To one object, by study and series: macro of DICOM PS3.3 table C.17-3."""
    one, series, study = Dataset(), Dataset(), Dataset()
    one.ReferencedSOPClassUID = report.SOPClassUID
    one.ReferencedSOPInstanceUID = report.SOPInstanceUID
    series.SeriesInstanceUID, series.ReferencedSOPSequence = report.SeriesInstanceUID, [one]
    study.StudyInstanceUID, study.ReferencedSeriesSequence = report.StudyInstanceUID, [series]
    return study
