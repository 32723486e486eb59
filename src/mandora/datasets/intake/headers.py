"""What a DICOM header says of a film, and the pseudonyms under which patients are kept.

A person is told from others by PatientID, its issuer and the date of birth. Only a keyed hash of
the first two leaves this module, unless the user asks for the ids themselves.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from base64 import b32encode
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mandora.core.coding import MANUFACTURER
from mandora.core.errors import InputError
from mandora.core.files import OutputError
from mandora.core.inputs import is_regular, read_bytes
from mandora.datasets.intake.rows import Facts
from mandora.datasets.intake.visits import iso_date
from mandora.images.header import FilmHeader
from mandora.images.header_limb import limb_in_header

KEY_NAME = "patient-ids.key"
"""The key beside the results, if the user keeps none."""

_KEY_BYTES = 32
_CODE_LETTERS = 12  # 60 bits: two of a million patients share a code once in two million archives
_NO_ID = re.compile(
    # a number behind the word makes it an id: ANON1 and ANON2 are two people
    r"[\W_0x]*|an[oó]n[a-zéè]*|unknown|unbekannt|none|null|nil|n/?a|nan|test|dummy|removed|"
    r"deleted|de-?identified|no[ _]?(name|id)|not[ _]available|patient(id)?|\?+",
    re.IGNORECASE,
)
"""PatientIDs that say that there is none."""

_NO_FILMS = frozenset({"SR", "SEG", "PR", "KO", "DOC"})
"""Modalities of reports, segmentations, presentation states, selections and documents."""


class Identity(NamedTuple):
    """A person, as an archive tells persons apart; never shown."""

    patient_id: str
    issuer: str
    birth_date: str


@dataclass(frozen=True)
class TagFacts:
    """What a header says.

    Attributes:
        facts: visit, limb and sides; the patient is in ``identity``.
        identity: None if the header names nobody.
        no_film: what the file is instead of a film; None if it may be one.
    """

    facts: Facts
    identity: Identity | None
    no_film: str | None = None


def read_tags(header: FilmHeader) -> TagFacts:
    """Understand a header; what its places say in two ways is remarked upon."""
    shown = limb_in_header(header)
    remarks = list(shown.remarks)
    visit = iso_date(header.study_date)
    identity = None
    if _NO_ID.fullmatch(header.patient_id):
        remarks.append("its DICOM tags hold no PatientID")
    else:
        identity = Identity(header.patient_id, header.issuer, header.birth_date)
    facts = Facts(None, visit, shown.limb, shown.sides, tuple(remarks))
    return TagFacts(facts, identity, _no_film(header))


def _no_film(header: FilmHeader) -> str | None:
    """What an export of a study holds beside its films; our own results come back with it."""
    if header.manufacturer == MANUFACTURER:
        return "a result of mandora"
    if header.modality in _NO_FILMS:
        return f"a DICOM object of modality {header.modality}"
    return None


# ── pseudonyms ─────────────────────────────────────────────────────────────────────────────


class Naming:
    """How patients of DICOM files are called.

    Args:
        key_file: holds the key of the pseudonyms; it is made, readable by its owner alone, when
            the first pseudonym is needed and it is absent. None: a new key that is not kept.
        keep_ids: call patients by PatientID, as it is.
    """

    def __init__(self, key_file: Path | None = None, *, keep_ids: bool = False) -> None:
        self._key_file, self._keep_ids = key_file, keep_ids
        self._key: bytes | None = None

    def name_of(self, person: Identity, *, with_birth_date: bool = False) -> str:
        """The name of a person in results: PatientID, or ``P-`` and 12 letters and digits.

        HMAC-SHA256 (RFC 2104) of issuer and PatientID, in base 32 (RFC 4648).

        Args:
            person: as the archive knows it.
            with_birth_date: tell two persons of one PatientID apart.

        Raises:
            InputError: if the key file cannot be used.
            OSError: if it cannot be read or made.
        """
        parts = [person.issuer, person.patient_id]
        parts += [person.birth_date] if with_birth_date else []
        if self._keep_ids:
            return " ".join(part for part in parts[1:] if part)
        if self._key is None:
            self._key = _read_or_make_key(self._key_file)
        digest = hmac.digest(self._key, "\0".join(parts).encode(), "sha256")
        return f"P-{b32encode(digest).decode()[:_CODE_LETTERS]}"


def _read_or_make_key(path: Path | None) -> bytes:
    if path is None:
        return secrets.token_bytes(_KEY_BYTES)
    if not path.exists() and not path.is_symlink():
        _make_key(path)
    if not is_regular(path):
        raise InputError(f"{path}: is no file; name the file with the key of the pseudonyms")
    key = read_bytes(path, 1 << 16).strip()
    if len(key) < _KEY_BYTES:
        raise InputError(
            f"{path}: holds fewer than {_KEY_BYTES} letters; give a longer secret, or the name of "
            "a file that does not exist, to make a key there"
        )
    return key


def _make_key(path: Path) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # written before anybody else may open it: only its owner can
        with os.fdopen(os.open(path, flags, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_hex(_KEY_BYTES) + "\n")
    except FileExistsError:
        return  # made by another run in this moment
    except OSError as error:
        raise OutputError(path, error) from error
