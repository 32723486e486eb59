from __future__ import annotations

import pytest

from mandora.core import coding
from mandora.core.anatomy import SITES, Damage, Limb
from mandora.core.coding import CodedTerm
from mandora.core.records import REASON_TEXT, FilmRecord, ModelInfo, StudyResult, Total

RECORDS = {
    coding.TOTAL: Total, coding.FILM: FilmRecord, coding.MODEL: ModelInfo,
    coding.PATIENT: StudyResult,
}  # fmt: skip


def private_codes() -> list[CodedTerm]:
    return [
        *{coding.site_code(s.limb, s.name) for s in SITES},
        *(coding.score_code(kind, field) for kind in Damage for field in coding.SCORE_FIELDS),
        *coding.PLACE_FIELDS.values(),
        *(coding.reason_code(reason, text) for reason, text in REASON_TEXT.items()),
        *(coding.field_code(of, name) for of, record in RECORDS.items()
          for name in record.model_fields),
        coding.SITE_ASSESSMENT, coding.SITE_WITHOUT_FILM, coding.JOINT_SPACE, *RECORDS,
    ]  # fmt: skip


def test_each_private_code_means_one_thing() -> None:
    codes = private_codes()
    assert len({c.value for c in codes}) == len(codes)
    assert {c.scheme for c in codes} == {"99MANDORA"}


def test_codes_are_as_short_as_dicom_wants_them() -> None:
    # value representation SH and LO, DICOM PS3.5
    assert max(len(c.value) for c in private_codes()) <= 16
    assert max(len(c.meaning) for c in private_codes()) <= 64


@pytest.mark.parametrize(
    ("limb", "site", "value"),
    [
        (Limb.HAND, "mcp2", "289002"),
        (Limb.HAND, "mcp3", "6059006"),
        (Limb.HAND, "mcp4", "7569003"),
        (Limb.HAND, "ip", "76505004"),
        (Limb.HAND, "nav", "74670003"),
        (Limb.HAND, "ulna", "74670003"),
        (Limb.FOOT, "ip", "363670009"),
        (Limb.FOOT, "mtp5", "29707007"),
    ],
)
def test_places_have_the_narrowest_known_code(limb: Limb, site: str, value: str) -> None:
    assert coding.place_code(limb, site).value == value


def test_codes_of_places_are_those_that_the_dicom_standard_lists() -> None:
    # the three joints that have a code of their own are not in the standard's tables
    pytest.importorskip("pydicom")
    from pydicom.sr.codedict import codes

    listed = {}
    for name in codes.SCT.dir():
        code = getattr(codes.SCT, name)
        listed.setdefault(code.value, set()).add(code.meaning.lower())
    places = {coding.place_code(s.limb, s.name) for s in SITES}
    places |= {*coding.LIMB_CODES.values(), *coding.SIDE_CODES.values()}
    unlisted = {p.value for p in places if p.value not in listed}
    assert unlisted == {"289002", "6059006", "363670009"}
    for place in places:
        if place.value in listed:
            assert any(place.meaning.lower() in words for words in listed[place.value])
