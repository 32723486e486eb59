"""What an archive has that can be scored, and what is scored together."""

from __future__ import annotations

import hashlib

from pydicom.dataset import Dataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
)

from mandora.core.coding import MANUFACTURER

FILMS = (
    ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing, SecondaryCaptureImageStorage,
)  # fmt: skip
"""SOP classes of films."""
PERSON = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "StudyDate")
"""Tags that say whose film it is, and of which day."""
_NEEDED = ("PatientID", "PatientBirthDate", "StudyDate")


def is_ours(header: Dataset) -> bool:
    """Whether mandora made the object."""
    return bool(header.get("Manufacturer") == MANUFACTURER)


def scored_with(header: Dataset, *, join_studies: bool) -> str:
    """Equal for films that are scored together: of one study, or of one patient and day.

    Two studies are of one patient only if all of :data:`PERSON` is the same, and number, birth
    date and day are there: films without identity often share a number such as ``ANONYMOUS``.

    Args:
        header: with the tags of :data:`PERSON` and the Study Instance UID.
        join_studies: whether studies of a day are scored together at all.
    """
    if not join_studies or not all(str(header.get(tag) or "").strip() for tag in _NEEDED):
        return str(header.StudyInstanceUID)
    return "\n".join(str(header.get(tag) or "").strip() for tag in PERSON)


def digest(identity: str) -> str:
    """A name for a file or folder that identifies nobody."""
    return hashlib.sha256(identity.encode()).hexdigest()[:32]
