"""Codes by which results are given to other systems: SNOMED CT for places, 99MANDORA for scores.

No public code for an SvH score was found in SNOMED CT, LOINC, RadLex or DICOM, so scores have codes
of a private scheme; DICOM asks that the name of such a scheme begins with ``99``. Places have the
narrowest SNOMED code that is known for sure, and the private code of the site beside it. No code
here was guessed: a place without a known code has that of the part of the body that it lies in.
"""

from __future__ import annotations

from typing import NamedTuple

from mandora.core.anatomy import Damage, JointGroup, Limb, Side, landmark

SCHEME = "99MANDORA"
SCHEME_NAME = "mandora: Sharp/van der Heijde scores"
SCHEME_UID = "2.25.121754477754473400667686941787696662684"
"""Of the private scheme; made once, from a random UUID."""
SCHEME_OWNER = "The mandora developers"
SNOMED = "SCT"
MANUFACTURER = "mandora"
"""Maker of the DICOM objects that this program writes; by it they are known when they come back."""


class CodedTerm(NamedTuple):
    """A code of a coding scheme.

    Attributes:
        value: at most 16 characters, as DICOM wants it.
        meaning: in words, at most 64 characters.
        scheme: ``99MANDORA``, ``SCT`` (SNOMED CT), ``DCM`` or ``UCUM``.
    """

    value: str
    meaning: str
    scheme: str = SCHEME


HAND = CodedTerm("85562004", "Hand", SNOMED)
FOOT = CodedTerm("56459004", "Foot", SNOMED)
FINGER = CodedTerm("7569003", "Finger", SNOMED)
THUMB = CodedTerm("76505004", "Thumb", SNOMED)
TOE = CodedTerm("29707007", "Toe", SNOMED)
WRIST = CodedTerm("74670003", "Wrist joint", SNOMED)

LIMB_CODES: dict[Limb, CodedTerm] = {Limb.HAND: HAND, Limb.FOOT: FOOT}
SIDE_CODES: dict[Side, CodedTerm] = {
    Side.LEFT: CodedTerm("7771000", "Left", SNOMED),
    Side.RIGHT: CodedTerm("24028007", "Right", SNOMED),
}

# what SNOMED CT calls the joint itself; all other places lie in a finger, a toe, the wrist …
_KNOWN_PLACES: dict[tuple[Limb, str], CodedTerm] = {
    (Limb.HAND, "mcp2"): CodedTerm(
        "289002", "Metacarpophalangeal joint of index finger", SNOMED
    ),
    (Limb.HAND, "mcp3"): CodedTerm(
        "6059006", "Metacarpophalangeal joint of middle finger", SNOMED
    ),
    (Limb.FOOT, "ip"): CodedTerm("363670009", "Interphalangeal joint of great toe", SNOMED),
    (Limb.HAND, "ip"): THUMB,
    (Limb.HAND, "mcp1"): THUMB,
}  # fmt: skip
_KNOWN_GROUPS = {JointGroup.FINGER: FINGER, JointGroup.WRIST: WRIST, JointGroup.TOE: TOE}

_SITE_TITLES = {"nav": "navicular (scaphoid)"}  # the one site without a landmark of its own


def place_code(limb: Limb, site: str) -> CodedTerm:
    """The narrowest known SNOMED code of the place of a site.

    Args:
        limb: hand or foot.
        site: name of a site, such as ``mcp2``.
    """
    known = _KNOWN_PLACES.get((limb, site))
    if known is not None:
        return known
    return WRIST if site in _SITE_TITLES else _KNOWN_GROUPS[landmark(limb, site).group]


def site_code(limb: Limb, site: str) -> CodedTerm:
    """The private code of a site, such as ``HAND-MCP2``."""
    title = _SITE_TITLES.get(site) or landmark(limb, site).title
    return CodedTerm(f"{limb.upper()}-{site.upper()}", title)


_DAMAGE_CODES = {
    Damage.NARROWING: ("JSN", "joint space narrowing"),
    Damage.EROSION: ("ERO", "erosion"),
}
_VALUES: dict[str, tuple[str, str]] = {
    "score": ("SCORE", "SvH {} score"),
    "grade": ("GRADE", "SvH {} grade"),
    "low": ("LOW", "SvH {} grade, lowest of interval"),
    "high": ("HIGH", "SvH {} grade, highest of interval"),
    "patch_score": ("PATCH", "SvH {} score, of this joint alone"),
    "tree_score": ("TREE", "SvH {} score, expected of all joints"),
    "status": ("STATUS", "SvH {}, status"),
    "reason": ("REASON", "SvH {}, why it is not scored"),
}


def score_code(damage: Damage, field: str) -> CodedTerm:
    """The code of one value of a score.

    Args:
        damage: narrowing or erosion.
        field: ``score``, ``grade``, ``low``, ``high``, ``patch_score``, ``tree_score``, ``status``
            or ``reason``, as in :class:`~mandora.core.records.JointScore`.
    """
    (letters, words), (value, meaning) = _DAMAGE_CODES[damage], _VALUES[field]
    return CodedTerm(f"{letters}-{value}", meaning.format(words))


SCORE_FIELDS: tuple[str, ...] = tuple(_VALUES)

PLACE_FIELDS: dict[str, CodedTerm] = {
    "x": CodedTerm("PATCH-COLUMN", "Centre of the patch, column"),
    "y": CodedTerm("PATCH-ROW", "Centre of the patch, row"),
    "half_px": CodedTerm("PATCH-HALF", "Half side of the patch"),
    "turn_deg": CodedTerm("PATCH-TURN", "Turn of the patch, clockwise"),
}
"""Where a score was read, as in ``joints.csv``: px, the centre of the first one is (0, 0)."""

SITE_ASSESSMENT = CodedTerm("SVH-SITE", "SvH assessment of a site")
SITE_WITHOUT_FILM = CodedTerm("SVH-NO-IMAGE", "SvH assessment of a site, image not in DICOM")
TOTAL = CodedTerm("SVH-TOTAL", "SvH total")
FILM = CodedTerm("FILM", "Film, as it was read")
MODEL = CodedTerm("MODEL", "Model and software")
PATIENT = CodedTerm("RECORD", "Record of mandora")
JOINT_SPACE = CodedTerm("JOINT-SPACE", "Joint space")


def field_code(group: CodedTerm, field: str) -> CodedTerm:
    """The code of a value of a record that has none of its own, named like the field.

    Args:
        group: :data:`TOTAL`, :data:`FILM`, :data:`MODEL` or :data:`PATIENT`.
        field: name of a field of that record.
    """
    value = f"{group.value.removeprefix('SVH-')[:5]}-{field.upper().replace('_', '-')}"
    return CodedTerm(value[:16], field.replace("_", " "))


def reason_code(reason: str, text: str) -> CodedTerm:
    """The code of a reason for a missing score.

    Args:
        reason: as in :class:`~mandora.core.records.Reason`.
        text: of :data:`~mandora.core.records.REASON_TEXT`.
    """
    return CodedTerm(reason.upper().replace("_", "-")[:16], text[:64])
