"""Which limb, side and pixel spacing the tags of a DICOM file state.

Nothing here reads a tag that is about the patient, and no text quotes a tag's content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mandora.core.anatomy import Limb, Side
from mandora.core.limb_words import limb_named, side_named, side_of_tag
from mandora.images.dicom_file import numbers
from mandora.images.radiograph import FilmTags, checked_spacing_mm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset

WANTED = [
    "ImageLaterality", "Laterality", "BodyPartExamined", "AnatomicRegionSequence",
    "SharedFunctionalGroupsSequence", "ViewPosition", "SeriesDescription", "ProtocolName",
    "PerformedProcedureStepDescription", "StudyDescription",
]  # fmt: skip
"""Keywords that :func:`film_tags` looks at."""

_TEXTS = ("ViewPosition", "SeriesDescription", "ProtocolName",
          "PerformedProcedureStepDescription", "StudyDescription")  # fmt: skip
# SNOMED CT, and SNOMED RT of older devices (DICOM PS3.16, CID 4031 and CID 244)
_LIMB_CODES = {
    "85562004": Limb.HAND, "74670003": Limb.HAND, "7569003": Limb.HAND, "76505004": Limb.HAND,
    "T-D8700": Limb.HAND, "T-15460": Limb.HAND, "T-D8800": Limb.HAND, "T-D8810": Limb.HAND,
    "56459004": Limb.FOOT, "29707007": Limb.FOOT, "T-D9700": Limb.FOOT, "T-D9800": Limb.FOOT,
}  # fmt: skip
_SIDE_CODES = {
    "7771000": Side.LEFT, "G-A101": Side.LEFT, "24028007": Side.RIGHT, "G-A100": Side.RIGHT,
}  # fmt: skip
_BOTH = ("51440002", "G-A102")
LEAST_RATIO, MOST_RATIO = 1.01, 4.0
"""Of the two sides of a px: below, it is taken for square; above, the header is not believed."""


def film_tags(dataset: Dataset) -> FilmTags:
    """Side and limb.

    Coded places come first: ImageLaterality, FrameLaterality, Laterality and the region's
    modifier for the side, BodyPartExamined and the region for the limb. Where these say nothing,
    words of ViewPosition, of the descriptions of series, step and study, and of the protocol do.
    """
    regions = list(_regions(dataset))
    body_part = str(dataset.get("BodyPartExamined") or "")
    texts = [str(dataset.get(keyword) or "") for keyword in _TEXTS]
    return FilmTags(_side(dataset, regions, [body_part, *texts]), _limb(regions, body_part, texts))


def _frame_anatomy(dataset: Dataset) -> Iterator[Dataset]:
    for group in dataset.get("SharedFunctionalGroupsSequence") or ():
        yield from group.get("FrameAnatomySequence") or ()


def _regions(dataset: Dataset) -> Iterator[Dataset]:
    for place in (dataset, *_frame_anatomy(dataset)):
        yield from place.get("AnatomicRegionSequence") or ()


def _side(dataset: Dataset, regions: list[Dataset], texts: list[str]) -> Side | None:
    stated = [dataset.get("ImageLaterality")]
    stated += [place.get("FrameLaterality") for place in _frame_anatomy(dataset)]
    stated += [dataset.get("Laterality")]
    for value in (str(one or "").strip(" \0") for one in stated):
        side = side_of_tag(value)
        if side or value.upper() == "B":  # U, unpaired, is what devices fill in by themselves
            return side
    for item in (m for r in regions for m in r.get("AnatomicRegionModifierSequence") or ()):
        code = str(item.get("CodeValue") or "")
        side = _SIDE_CODES.get(code) or side_named(str(item.get("CodeMeaning") or ""))
        if side or code in _BOTH:
            return side
    return next((side for text in texts if (side := side_named(text))), None)


def _limb(regions: list[Dataset], body_part: str, texts: list[str]) -> Limb | None:
    meanings = [str(item.get("CodeMeaning") or "") for item in regions]
    codes = [str(item.get("CodeValue") or "") for item in regions]
    stated = {*map(_LIMB_CODES.get, codes), *map(limb_named, [body_part, *meanings])} - {None}
    if stated:
        return stated.pop() if len(stated) == 1 else None
    return next((limb for text in texts if (limb := limb_named(text))), None)


def px_ratio(dataset: Dataset) -> float:
    """Distance between rows / distance between columns; 1 where px are, or seem, square."""
    for keyword in ("PixelAspectRatio", "PixelSpacing", "ImagerPixelSpacing"):
        stated = numbers(dataset, keyword)
        if len(stated) == 2 and min(stated) > 0:
            ratio = stated[0] / stated[1]
            off = max(ratio, 1 / ratio)
            return ratio if LEAST_RATIO < off <= MOST_RATIO else 1.0
    return 1.0


def spacing_mm(dataset: Dataset, ratio: float, remarks: list[str]) -> float | None:
    """Mm per px of the film with square px, as far as the file states what can be true.

    Args:
        dataset: of the film.
        ratio: as from :func:`px_ratio`.
        remarks: what is wrong with the stated value is added to them.
    """
    keyword = "PixelSpacing" if dataset.get_item("PixelSpacing") else "ImagerPixelSpacing"
    if not (dataset.get_item(keyword) and dataset.get_item(keyword).value):
        return None
    stated = numbers(dataset, keyword)
    shape = int(dataset.Rows), int(dataset.Columns)
    if len(stated) == 2 and ratio != 1:
        # the finer of the two is kept: the film is resampled in the other direction
        finer = min(stated)
        if abs(stated[0] / stated[1] - ratio) < 0.01 * ratio:
            shape = (round(shape[0] * stated[0] / finer), round(shape[1] * stated[1] / finer))
            stated = [finer, finer]
    value, remark = checked_spacing_mm(stated, shape)
    if remark:
        remarks.append(f"{keyword} {remark}; it was not used")
    elif keyword == "ImagerPixelSpacing":
        remarks.append("the spacing is the detector's (ImagerPixelSpacing): magnification is in it")
    return value
