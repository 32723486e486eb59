"""De-identification of films and results: DICOM PS3.15, Basic Application Confidentiality Profile.

Which attributes are removed, emptied or replaced is the table E.1-1 of the standard, as the package
``dicom-anonymizer`` has it. How each is done is here, so that it reaches into sequences and gives
the same UIDs and pseudonyms for the same key in every run.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

from dicomanonymizer.dicomfields_selector import dicom_anonymization_database_selector
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sr.codedict import codes

from mandora import __version__
from mandora.core.errors import InputError
from mandora.core.files import write_atomically
from mandora.core.inputs import read_bytes
from mandora.core.records import FilmRecord, Record, StudyResult

KEY_FILE = "deidentification.key"
_EDITION = "dicomfields_2026c"  # of the standard
_KEY_BYTES = 32
_OF_RESULT = frozenset(
    ("schema_version", "study", "notice", "films", "locations", "scores", "totals", "model")
)
_OF_FILM = frozenset(
    ("name", "side", "limb", "status", "reason", "width", "height", "spacing_mm")
)  # not what is said in words: it may quote names of files
_UIDS_OF_THE_STANDARD = "1.2.840.10008."  # of SOP classes, transfer syntaxes: they identify nobody


@dataclass(frozen=True)
class Pseudonyms:
    """Names and UIDs that nobody can trace back who has not the key.

    Attributes:
        key: secret bytes; the same key gives the same pseudonyms.
    """

    key: bytes

    @staticmethod
    def of_folder(folder: Path) -> Pseudonyms:
        """With the key that lies in a folder of results; it is made if there is none.

        Raises:
            InputError: if the file is no key.
            OutputError: if it cannot be written.
        """
        path = folder / KEY_FILE
        if path.exists():
            try:
                key = bytes.fromhex(read_bytes(path).decode("ascii").strip())
            except ValueError:
                key = b""
            if len(key) != _KEY_BYTES:
                raise InputError(f"{path} is no key of mandora; remove it, and a new one is made")
            return Pseudonyms(key)
        made = secrets.token_bytes(_KEY_BYTES)
        write_atomically(path, made.hex().encode() + b"\n")
        path.chmod(0o600)
        return Pseudonyms(made)

    def name(self, patient: str) -> str:
        """The pseudonym of a patient: ``P-`` and 16 hexadecimal digits."""
        return f"P-{self._digest('patient', patient).hex()[:16].upper()}"

    def uid(self, original: str) -> str:
        """The UID that stands for another one, under the root 2.25."""
        if original.startswith(_UIDS_OF_THE_STANDARD):
            return original
        return f"2.25.{UUID(bytes=self._digest('uid', original)[:16], version=4).int}"

    def _digest(self, kind: str, text: str) -> bytes:
        return hmac.digest(self.key, f"{kind}\n{text}".encode(), hashlib.sha256)


def anonymous_result(
    result: StudyResult, pseudonyms: Pseudonyms
) -> tuple[StudyResult, dict[str, str]]:
    """A record that neither names the patient nor files, and from which no file can be found.

    Args:
        result: the record.
        pseudonyms: of the run.

    Returns:
        The record, and the new name of each film by its old one.
    """
    names = {f.name: f"{f.side}{f.limb.value[0].upper()}.dcm" for f in result.films}
    unknown = _defaults(FilmRecord, _OF_FILM)
    films = tuple(f.model_copy(update={**unknown, "name": names[f.name]}) for f in result.films)
    scores = tuple(
        s.model_copy(update={"film": names.get(s.film, s.film) if s.film else None})
        for s in result.scores
    )
    changed = {
        **_defaults(StudyResult, _OF_RESULT),
        "study": pseudonyms.name(result.study), "films": films, "scores": scores, "locations": (),
    }  # fmt: skip
    return result.model_copy(update=changed), names


def _defaults(record: type[Record], kept: frozenset[str]) -> dict[str, Any]:
    """What stands in the place of all fields but some: a field that is new may identify."""
    fields = {n: f for n, f in record.model_fields.items() if n not in kept}
    return {n: f.get_default(call_default_factory=True) for n, f in fields.items()}


def deidentify(dataset: Dataset, patient: str, pseudonyms: Pseudonyms) -> None:
    """De-identify a film in place, its header or the whole file.

    Args:
        dataset: read from the film's file.
        patient: id of the patient in this run.
        pseudonyms: of the run.

    Raises:
        InputError: if the film says that names are written in its picture.
    """
    if str(dataset.get("BurnedInAnnotation", "")).upper() == "YES":
        raise InputError(
            "its header says that text is written in the picture, which may name the patient "
            "(BurnedInAnnotation YES): it is not de-identified; cover the text in another program"
        )
    _clean(dataset, pseudonyms)
    dataset.PatientID = dataset.PatientName = pseudonyms.name(patient)
    dataset.PatientIdentityRemoved = "YES"
    dataset.LongitudinalTemporalInformationModified = "REMOVED"
    dataset.DeidentificationMethod = f"mandora {__version__}: PS3.15 Basic Profile"
    method = codes.DCM.BasicApplicationConfidentialityProfile
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = method.value, method.scheme_designator
    item.CodeMeaning = method.meaning
    dataset.DeidentificationMethodCodeSequence = [item]
    meta = getattr(dataset, "file_meta", None)
    if meta is not None:
        meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        for element in list(meta):
            # who sent and received the file, and what makers added
            if element.keyword.endswith("ApplicationEntityTitle") or "Private" in element.keyword:
                del meta[element.tag]
    if hasattr(dataset, "preamble"):
        dataset.preamble = b"\0" * 128


def _clean(dataset: Dataset, pseudonyms: Pseudonyms) -> None:
    dataset.remove_private_tags()
    single, masked = _actions()
    for element in list(dataset):
        tag = (element.tag.group, element.tag.element)
        action = single.get(tag)
        for (group, number, group_mask, number_mask), of_range in masked:
            if tag[0] & group_mask == group & group_mask and (
                tag[1] & number_mask == number & number_mask
            ):
                action = of_range
        if action is not None:
            action(dataset, element, pseudonyms)
        if element.VR == "SQ" and element.tag in dataset:
            for item in dataset[element.tag].value:
                _clean(item, pseudonyms)


# ── actions of the table ─────────────────────────────────────────────────────────────────

Action = Callable[[Dataset, DataElement, Pseudonyms], None]


def _remove(dataset: Dataset, element: DataElement, pseudonyms: Pseudonyms) -> None:
    del dataset[element.tag]


def _empty(dataset: Dataset, element: DataElement, pseudonyms: Pseudonyms) -> None:
    element.value = [] if element.VR == "SQ" else None


def _replace(dataset: Dataset, element: DataElement, pseudonyms: Pseudonyms) -> None:
    """A value of the same kind that says nothing; sequences stay, and their items are cleaned."""
    if element.VR == "UI":
        _replace_uids(dataset, element, pseudonyms)
    elif element.VR in _DUMMIES:
        element.value = _DUMMIES[element.VR]
    elif element.VR != "SQ":
        del dataset[element.tag]  # no dummy of this kind


def _replace_uids(dataset: Dataset, element: DataElement, pseudonyms: Pseudonyms) -> None:
    if element.VR != "UI" or not element.value:
        return
    several = isinstance(element.value, MultiValue | list)
    new = [pseudonyms.uid(str(uid)) for uid in (element.value if several else [element.value])]
    element.value = new if several else new[0]


_DUMMIES = {
    **dict.fromkeys(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"), "ANONYMIZED"),
    "DA": "19000101", "DT": "19000101000000", "TM": "000000", "AS": "000Y", "DS": "0", "IS": "0",
    **dict.fromkeys(("FD", "FL", "SL", "SS", "UL", "US"), 0),
}  # fmt: skip
# where the table leaves a choice, what is needed for a valid object decides
_ACTIONS: dict[str, Action] = {
    "X_TAGS": _remove, "Z_TAGS": _empty, "X_Z_TAGS": _empty, "D_TAGS": _replace,
    "Z_D_TAGS": _replace, "X_D_TAGS": _replace, "X_Z_D_TAGS": _replace, "U_TAGS": _replace_uids,
    "X_Z_U_STAR_TAGS": _replace_uids,
}  # fmt: skip
Mask = tuple[int, int, int, int]


@lru_cache(maxsize=1)
def _actions() -> tuple[dict[tuple[int, int], Action], list[tuple[Mask, Action]]]:
    """What is done with each attribute, and with attributes that repeat, by a mask of the tag."""
    tables: dict[str, Iterable[tuple[int, ...]]] = dicom_anonymization_database_selector(_EDITION)
    single: dict[tuple[int, int], Action] = {}
    masked: list[tuple[Mask, Action]] = []
    for name, action in _ACTIONS.items():
        for tag in tables[name]:
            if len(tag) == 4:
                masked.append(((tag[0], tag[1], tag[2], tag[3]), action))
            else:
                single[tag[0], tag[1]] = action
    return single, masked
