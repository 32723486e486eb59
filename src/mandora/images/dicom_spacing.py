"""Which pixel spacing the tags of a DICOM file state, and whether its px are square.

No text quotes a tag's content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mandora.images.dicom_file import numbers
from mandora.images.radiograph import checked_spacing_mm

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

LEAST_RATIO, MOST_RATIO = 1.01, 4.0
"""Of the two sides of a px: below, it is taken for square; above, the header is not believed."""


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
