"""The films that results refer to: what their headers say of patient, study and picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import config, dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import validate_value

from mandora.core.anatomy import SLOTS, Slot
from mandora.core.errors import InputError
from mandora.core.geometry import Affine
from mandora.core.records import FilmRecord, StudyResult

# type 2 of the patient and study modules: they are there, if empty
_EMPTY_IF_UNKNOWN = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
_KEPT = (
    *_EMPTY_IF_UNKNOWN, "IssuerOfPatientID", "StudyDescription", "PatientAge", "SOPClassUID",
    "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "InstanceNumber",
    "Modality", "Rows", "Columns", "PhotometricInterpretation", "BitsStored", "BitsAllocated",
    "PixelRepresentation", "SamplesPerPixel", "HighBit", "WindowCenter", "WindowWidth",
    "VOILUTFunction", "RescaleSlope", "RescaleIntercept", "RescaleType", "BurnedInAnnotation",
    "PatientIdentityRemoved", "DeidentificationMethod", "FrameOfReferenceUID",
    "PositionReferenceIndicator", "PatientOrientation",
)  # fmt: skip
_NEEDED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_WHO = ("PatientID", "IssuerOfPatientID")


@dataclass(frozen=True, eq=False)
class SourceFilm:
    """One film of the archive, and the limb that was scored on it.

    Attributes:
        slot: what was scored.
        record: of the film.
        header: its identity and geometry, in UTF-8, with valid values only; no pixels.
        path: its file.
    """

    slot: Slot
    record: FilmRecord
    header: Dataset
    path: Path

    @property
    def columns(self) -> int:
        """Width of the stored picture, px."""
        return int(self.header.Columns)

    @property
    def rows(self) -> int:
        """Height of the stored picture, px."""
        return int(self.header.Rows)

    @property
    def to_stored(self) -> Affine:
        """From px of the film, as it was scored, to those of the stored picture.

        They are the same but for films whose px are not square: these are scored stretched. The
        centre of the first px is (0, 0) in both.
        """
        sx = self.columns / (self.record.width or self.columns)
        sy = self.rows / (self.record.height or self.rows)
        matrix: Any = [[sx, 0.0, (sx - 1) / 2], [0.0, sy, (sy - 1) / 2]]
        return Affine(matrix, "film", "stored")


def source_films(result: StudyResult, paths: Mapping[str, Path]) -> list[SourceFilm]:
    """The films of a patient that are DICOM files and could be read.

    Args:
        result: the patient's record.
        paths: file of each film, by its name in the record.

    Returns:
        In the order of ``anatomy.SLOTS``; empty if no film is DICOM.

    Raises:
        InputError: if a header lacks what results are filed under, or the films are of several
            people.
    """
    films = []
    for record in result.films:
        path = paths.get(record.name)
        if path is not None and record.sha256 is not None and _is_dicom(path):
            slot = Slot(record.side, record.limb)
            films.append(SourceFilm(slot, record, _header(path, record), path))
    films.sort(key=lambda film: SLOTS.index(film.slot))
    check_one_patient(films)
    return films


def check_one_patient(films: list[SourceFilm]) -> None:
    """Refuse films whose headers name several people.

    Raises:
        InputError: naming the films, never the people.
    """
    people: dict[tuple[str, ...], str] = {}
    for film in films:
        who = tuple(str(film.header.get(keyword) or "") for keyword in _WHO)
        people.setdefault(who, film.record.name)
    if len(people) > 1:
        named = " and ".join(list(people.values())[:2])
        raise InputError(
            f"{named} have different PatientIDs: no DICOM objects are written for films of several "
            "people; put each person's films under an id of their own"
        )


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _header(path: Path, record: FilmRecord) -> Dataset:
    # the file was decoded in the decoding process before it got here
    read = dcmread(path, stop_before_pixels=True)
    return clean_header(read, record.name)


def clean_header(read: Dataset, name: str) -> Dataset:
    """What results repeat of a header, as valid UTF-8.

    A value that breaks the rules of DICOM is left out: an object that repeats it is refused by
    archives.

    Args:
        read: the header as it is in the file.
        name: of the film, for messages.

    Raises:
        InputError: if the film has no identity.
    """
    header = Dataset()
    for keyword in _KEPT:
        element = _valid(read, keyword)
        if element is not None:
            header.add(element)
    missing = [keyword for keyword in _NEEDED if not header.get(keyword)]
    if missing:
        raise InputError(
            f"{name}: {', '.join(missing)} is missing or not valid in the header, so nothing in an "
            "archive can refer to the film; export it again from the archive"
        )
    for keyword in _EMPTY_IF_UNKNOWN:
        if keyword not in header:
            setattr(header, keyword, "")
    for keyword in ("VOILUTSequence", "ModalityLUTSequence"):
        if keyword in read:
            header.add(read[keyword])
    header.SpecificCharacterSet = "ISO_IR 192"
    return header


def _valid(read: Dataset, keyword: str) -> DataElement | None:
    try:
        element = read[keyword]
    except KeyError:
        return None
    except Exception:  # a value that pydicom cannot convert
        return None
    value = element.value
    if value is None or value == "":
        return None
    values = value if element.VM > 1 else [value]
    try:
        for one in values:
            validate_value(element.VR, str(one) if element.VR in _TEXT else one, config.RAISE)
    except Exception:  # it cannot be repeated
        return None
    return DataElement(element.tag, element.VR, value)


_TEXT = frozenset("AE AS CS DA DS DT IS LO LT PN SH ST TM UI UT".split())
