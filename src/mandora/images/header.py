"""What a DICOM header says of whose film it is, when it was taken and what it shows, as texts.

The texts identify the patient: they are for :mod:`mandora.datasets.intake`, which turns them into
an id and a date. They belong into no message, log or error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_MOST_LETTERS = 200  # of a text; no id or title is longer

_LINES = {
    "patient_id": ("PatientID",),
    "issuer": ("IssuerOfPatientID",),
    "birth_date": ("PatientBirthDate",),
    "study_date": ("StudyDate", "AcquisitionDate", "ContentDate", "SeriesDate"),
    "study_uid": ("StudyInstanceUID",),
    "modality": ("Modality",),
    "manufacturer": ("Manufacturer",),
}
_TEXTS = (
    "BodyPartExamined", "ViewPosition", "SeriesDescription", "ProtocolName",
    "AcquisitionDeviceProcessingDescription", "PerformedProcedureStepDescription",
    "RequestedProcedureDescription", "StudyDescription",
)  # fmt: skip
_SEQUENCES = ("AnatomicRegionSequence", "PrimaryAnatomicStructureSequence")
_MODIFIERS = ("AnatomicRegionModifierSequence", "PrimaryAnatomicStructureModifierSequence")

HEADER_KEYWORDS: list[str] = [
    *(keyword for keywords in _LINES.values() for keyword in keywords),
    "ImageLaterality", "Laterality", "SharedFunctionalGroupsSequence",
    *_SEQUENCES, *_MODIFIERS, *_TEXTS,
]  # fmt: skip
"""All that is looked at in a header."""


class FilmHeader(NamedTuple):
    """Texts of a header; blank where it says nothing. Each place has its keyword with it.

    Attributes:
        patient_id: PatientID.
        issuer: IssuerOfPatientID.
        birth_date: as stored, ``19470228``.
        study_date: likewise; the date of acquisition or content where that of the study is missing.
        study_uid: StudyInstanceUID.
        modality: as stored, ``CR``.
        manufacturer: of the device or program that made the file.
        lateralities: letters and words of laterality, the likeliest place first.
        codes: value and meaning of codes of the anatomic region and of its modifiers.
        texts: body part, view, and titles of series, protocol and study.
    """

    patient_id: str = ""
    issuer: str = ""
    birth_date: str = ""
    study_date: str = ""
    study_uid: str = ""
    modality: str = ""
    manufacturer: str = ""
    lateralities: tuple[tuple[str, str], ...] = ()
    codes: tuple[tuple[str, str, str], ...] = ()
    texts: tuple[tuple[str, str], ...] = ()

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> FilmHeader:
        """The header from what another process has sent."""
        lists = ("lateralities", "codes", "texts")
        made = {name: tuple(tuple(item) for item in content[name]) for name in lists}
        return FilmHeader(**{**content, **made})


def header_of(dataset: Dataset) -> FilmHeader:
    """The texts of a header.

    Args:
        dataset: read as far as the pixels, with at least ``HEADER_KEYWORDS``.
    """
    lines = {
        name: next((text for keyword in keywords if (text := _text(dataset, keyword))), "")
        for name, keywords in _LINES.items()
    }
    frames = list(_frame_anatomy(dataset))
    sides = [("ImageLaterality", _text(dataset, "ImageLaterality"))]
    sides += [("FrameLaterality", _text(frame, "FrameLaterality")) for frame in frames]
    sides += [("Laterality", _text(dataset, "Laterality"))]
    codes = [code for place in (dataset, *frames) for code in _codes(place)]
    texts = [(keyword, _text(dataset, keyword)) for keyword in _TEXTS]
    return FilmHeader(
        **lines,
        lateralities=tuple((place, text) for place, text in sides if text),
        codes=tuple(codes),
        texts=tuple((place, text) for place, text in texts if text),
    )


def _frame_anatomy(dataset: Dataset) -> Iterator[Dataset]:
    for group in _items(dataset, "SharedFunctionalGroupsSequence"):
        yield from _items(group, "FrameAnatomySequence")


def _codes(place: Dataset) -> Iterator[tuple[str, str, str]]:
    for keyword in _SEQUENCES:
        for region in _items(place, keyword):
            yield _code(keyword, region)
            for modifier in _MODIFIERS:
                yield from (_code(modifier, item) for item in _items(region, modifier))
    for modifier in _MODIFIERS:
        yield from (_code(modifier, item) for item in _items(place, modifier))


def _code(place: str, item: Dataset) -> tuple[str, str, str]:
    return place, _text(item, "CodeValue"), _text(item, "CodeMeaning")


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    try:
        return list(dataset.get(keyword) or ())
    except Exception:  # a damaged sequence says nothing; the others still do
        return []


def _text(dataset: Dataset, keyword: str) -> str:
    try:
        value = dataset.get(keyword)
    except Exception:  # a value that its type does not allow says nothing
        return ""
    return " ".join(str("" if value is None else value).strip(" \0").split())[:_MOST_LETTERS]
