"""The films that results refer to: what their headers say of patient, study and picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pydicom.valuerep import validate_value

from mandora.core.anatomy import SLOTS, Slot
from mandora.core.archives import open_film
from mandora.core.errors import InputError
from mandora.core.geometry import Affine
from mandora.core.records import FilmRecord, StudyResult
from mandora.images.dicom_file import is_dicom, opened

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
    "PositionReferenceIndicator", "PatientOrientation", "PixelSpacing", "ImagerPixelSpacing",
    "PixelAspectRatio",
)  # fmt: skip
_NEEDED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_WHO = ("PatientID", "IssuerOfPatientID")
_TEXT = frozenset(
    ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UI", "UT")
)
_SAME_RATIO = 0.01  # whole numbers of px are stretched to whole numbers of px


@dataclass(frozen=True, eq=False)
class SourceFilm:
    """One film of the archive, and the limb that was scored on it.

    Attributes:
        slot: what was scored.
        record: of the film.
        header: its identity and geometry, in UTF-8, with valid values only; no pixels.
        path: its file.
        shape: (height, width) of the film as it was scored, px.

    Raises:
        InputError: if the film, as it was scored, is not the whole stored picture.
    """

    slot: Slot
    record: FilmRecord
    header: Dataset
    path: Path
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        if self.shape == (self.rows, self.columns):
            return
        stretch = (self.shape[0] / self.rows) / (self.shape[1] / self.columns)
        if not any(abs(stretch / ratio - 1) < _SAME_RATIO for ratio in _px_ratios(self.header)):
            raise InputError(
                f"{self.record.name}: the film was scored as {self.shape[1]} x {self.shape[0]} px, "
                f"its file has {self.columns} x {self.rows} px of equal sides, so places on one "
                "are not known on the other; no DICOM objects are written for it"
            )

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
        sx, sy = self.columns / self.shape[1], self.rows / self.shape[0]
        matrix: Any = [[sx, 0.0, (sx - 1) / 2], [0.0, sy, (sy - 1) / 2]]
        return Affine(matrix, "film", "stored")


def source_films(
    result: StudyResult,
    paths: Mapping[str, Path],
    shapes: Mapping[str, tuple[int, int]],
    change: Callable[[Dataset], None] = lambda header: None,
) -> list[SourceFilm]:
    """The films of a patient that are DICOM files and could be read.

    Args:
        result: the patient's record.
        paths: file of each film, by its name in the record.
        shapes: (height, width), px, of each film that could be read, as it was scored.
        change: what is done with a header before anything of it is used.

    Returns:
        In the order of ``anatomy.SLOTS``; empty if no film is DICOM.

    Raises:
        InputError: if a header lacks what results are filed under, or the films are of several
            people.
    """
    films, people = [], dict[tuple[str, ...], str]()
    for record in result.films:
        path, shape = paths.get(record.name), shapes.get(record.name)
        read = read_film(path, stop_before_pixels=True) if path and shape else None
        if path is None or shape is None or read is None:
            continue
        who = tuple(str(read.get(keyword) or "") for keyword in _WHO)
        people.setdefault(who, record.name)
        try:
            change(read)
            header = clean_header(read)
        except InputError as error:
            raise InputError(f"{record.name}: {error}") from error
        films.append(SourceFilm(Slot(record.side, record.limb), record, header, path, shape))
    if len(people) > 1:
        named = " and ".join(list(people.values())[:2])
        raise InputError(
            f"{named} have different PatientIDs: no DICOM objects are written for films of several "
            "people; put each person's films under an id of their own"
        )
    return sorted(films, key=lambda film: SLOTS.index(film.slot))


def _px_ratios(header: Dataset) -> list[float]:
    """Height of a px by its width, as far as the header says."""
    pairs = [header.get(k) for k in ("PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio")]
    return [
        float(pair[0]) / float(pair[1])
        for pair in pairs
        if pair is not None and len(pair) == 2 and float(pair[0]) > 0 and float(pair[1]) > 0
    ]


def read_film(path: Path, *, stop_before_pixels: bool = False) -> Dataset | None:
    """A film's data set; None if the file is not DICOM.

    Args:
        path: of a film that was read before, in the decoding process: its header is sound.
        stop_before_pixels: read the header only.
    """
    with open_film(path) as file:
        data = file.read()
    if not is_dicom(data):
        return None
    read = opened(data, stop_before_pixels=stop_before_pixels)
    if "TransferSyntaxUID" not in read.file_meta:  # a file that begins with its first value
        implicit = read.original_encoding[0]
        syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        read.file_meta.TransferSyntaxUID = syntax
    return read


def clean_header(read: Dataset) -> Dataset:
    """What results repeat of a header, as valid UTF-8.

    A value that breaks the rules of DICOM is left out: an object that repeats it is refused by
    archives.

    Args:
        read: the header as it is in the file.

    Raises:
        InputError: if the film has no identity; the message does not name the film yet.
    """
    header = Dataset()
    for keyword in _KEPT:
        element = _valid(read, keyword)
        if element is not None:
            header.add(element)
    missing = [keyword for keyword in _NEEDED if not header.get(keyword)]
    if missing:
        raise InputError(
            f"{', '.join(missing)} is missing or not valid in the header, so nothing in an "
            "archive can refer to the film; export it again from the archive"
        )
    for keyword in _EMPTY_IF_UNKNOWN:
        if keyword not in header:
            setattr(header, keyword, "")
    if "^" not in str(header.PatientName):
        header.PatientName = f"{header.PatientName}^"  # means the same
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
