"""The made-up patient with its films as DICOM files."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mandora.outputs.dicom_folder import PatientFiles

SLOTS = ("LH", "RH", "LF", "RF")


def film_file(path: Path, pixels: np.ndarray, **tags: Any) -> Path:
    """A whole and valid CR film of 12 bits; a tag with the value None is left out."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID, ds.SOPInstanceUID = ComputedRadiographyImageStorage, f"1.2.3.{len(path.name)}.1"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.77.5", "1.2.77.6"
    ds.PatientName, ds.PatientID, ds.IssuerOfPatientID = "Müller^Anna", "SECRET-1", "HOSP"
    ds.PatientBirthDate, ds.PatientSex = "19600229", "F"
    ds.StudyDate, ds.StudyTime, ds.StudyID = "20200103", "101112", "ST-9"
    ds.AccessionNumber, ds.ReferringPhysicianName = "ACC-4711", "House^Greg"
    ds.Modality, ds.BodyPartExamined, ds.ViewPosition = "CR", "HAND", "AP"
    ds.Laterality, ds.PatientOrientation, ds.Manufacturer = "L", ["L", "F"], "Maker"
    ds.SeriesNumber, ds.InstanceNumber, ds.BurnedInAnnotation = 1, 1, "NO"
    ds.Rows, ds.Columns = pixels.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.PixelData = pixels.astype(np.uint16).tobytes()
    for keyword, value in tags.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.save_as(path, enforce_file_format=True)
    return path


def as_files(patient: Any, folder: Path, **tags: Any) -> PatientFiles:
    """The patient with a DICOM file for each film that it has."""
    from mandora.outputs.pictures import draw_pictures

    paths = {}
    for i, record in enumerate(patient.result.films):
        shape = record.height or 480, record.width or 320
        own = {"SOPInstanceUID": f"1.2.77.9.{i}", "SeriesInstanceUID": f"1.2.77.6.{i}"} | tags
        paths[record.name] = film_file(folder / record.name, np.full(shape, 900), **own)
    shapes = {name: film.pixels.shape for name, film in patient.radiographs.items()}
    pictures = draw_pictures(patient.result, patient.radiographs, patient.evidence)
    return PatientFiles(patient.result, paths, shapes, patient.evidence, pictures.overlays)


def shared_by(given: PatientFiles) -> Any:
    """What the objects share, a ``series.Patient``."""
    from mandora.outputs.dicom.series import Patient
    from mandora.outputs.dicom.source import source_films

    return Patient(
        given.result, source_films(given.result, given.paths, given.shapes), given.evidence
    )


@pytest.fixture(scope="session")
def new_film() -> Callable[..., Path]:
    return film_file


@pytest.fixture(scope="session")
def as_dicom() -> Callable[..., PatientFiles]:
    return as_files


@pytest.fixture(scope="session")
def share() -> Callable[[PatientFiles], Any]:
    return shared_by


@pytest.fixture(scope="session")
def given(new_patient: Any, tmp_path_factory: pytest.TempPathFactory) -> PatientFiles:
    patient = new_patient("P001", {slot: f"{slot}.dcm" for slot in SLOTS})
    return as_files(patient, tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="session")
def objects(given: PatientFiles) -> Mapping[str, bytes]:
    """All files of the patient; made once, since a report takes a second or two."""
    from mandora.outputs.dicom.export import dicom_files

    return dict(dicom_files(given))


@pytest.fixture
def read(objects: Mapping[str, bytes]) -> Any:
    from pydicom import dcmread

    def of(name: str) -> Any:
        return dcmread(io.BytesIO(objects[name]))

    return of


@pytest.fixture(scope="session")
def folder_of_objects(
    objects: Mapping[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("objects")
    for name, data in objects.items():
        (folder / name).write_bytes(data)
    return folder
