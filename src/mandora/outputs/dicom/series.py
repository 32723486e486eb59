"""What all objects of one patient share: their UIDs, their series and the maker's name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from uuid import UUID, uuid5

from highdicom import UID

from mandora import __version__
from mandora.core.coding import MANUFACTURER
from mandora.core.records import ModelInfo, StudyResult
from mandora.damage.evidence import PatchEvidence
from mandora.outputs.dicom.source import SourceFilm

_NAMESPACE = UUID("6d0c2f3e-5f0b-5c39-9a57-0a4d6b0c77b1")  # of all names made here

# numbers that scanners do not use, so that the series stand together at the end of a study
SERIES_NUMBERS = {"SR": 9101, "SC": 9102, "SEG": 9103, "PR L": 9104, "PR R": 9105}
SERIES_TITLES = {
    "SR": "mandora: SvH scores, structured report (research use only)",
    "SEG": "mandora: joint spaces (research use only)",
    "PR": "mandora: boxes and scores on the film (research use only)",
    "SC": "mandora: SvH report (research use only)",
}


def derived_uid(*parts: str) -> UID:
    """A UID under the root 2.25 (of UUIDs), made of names: the same names give the same UID."""
    return UID(f"2.25.{uuid5(_NAMESPACE, chr(10).join(parts)).int}")


@dataclass(frozen=True, eq=False)
class Patient:
    """What is written of one patient in one run.

    Attributes:
        result: the record.
        films: the patient's films in the archive; at least one.
        evidence: by film name, then by landmark name.
        made_at: written into the objects as the time of their content.
    """

    result: StudyResult
    films: list[SourceFilm]
    evidence: Mapping[str, Mapping[str, PatchEvidence]]
    made_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def seen(self, film: SourceFilm, landmark: str) -> PatchEvidence | None:
        """The patch at a landmark of a film; None where there is none."""
        return self.evidence.get(film.record.name, {}).get(landmark)

    @cached_property
    def content(self) -> str:
        """A digest of all that the objects are made from: films, scores, model and software."""
        digest = hashlib.sha256(self.result.model_dump_json().encode())
        for film in self.films:
            digest.update(str(film.header.SOPInstanceUID).encode())
        return digest.hexdigest()

    def object_uid(self, kind: str, *which: str) -> UID:
        """The SOP Instance UID of an object."""
        return derived_uid("object", self.content, kind, *which)

    def series_uid(self, kind: str, film: SourceFilm) -> UID:
        """The UID of the series of all objects of a kind in the study of a film."""
        kind = _series_kind(kind, film)
        return derived_uid("series", self.content, kind, str(film.header.StudyInstanceUID))

    def shared(self, kind: str, film: SourceFilm, number: int = 1) -> dict[str, Any]:
        """The arguments that all constructors of highdicom take.

        Args:
            kind: ``SR``, ``SEG``, ``PR`` or ``SC``.
            film: in whose study the object lies.
            number: of the object in its series.
        """
        shared: dict[str, Any] = {
            "series_instance_uid": self.series_uid(kind, film),
            "series_number": SERIES_NUMBERS[_series_kind(kind, film)],
            "series_description": SERIES_TITLES[kind],
            "sop_instance_uid": self.object_uid(kind, film.slot.code, str(number)),
            "instance_number": number,
            "manufacturer": MANUFACTURER,
            "manufacturer_model_name": model_name(self.result.model),
            "device_serial_number": self.result.model.bundle_sha256[:16],
            "software_versions": f"mandora {__version__}",
        }
        if kind != "PR":  # presentation states have a creation date in its place
            shared |= {"content_date": self.made_at.date(), "content_time": self.made_at.time()}
        return shared


def _series_kind(kind: str, film: SourceFilm) -> str:
    # the series of a presentation state has a side, so each side has one
    return f"{kind} {film.slot.side}" if kind == "PR" else kind


def model_name(model: ModelInfo) -> str:
    """Name and version of a model, short enough for a header."""
    return f"{model.bundle} {model.bundle_version}"[:64]
