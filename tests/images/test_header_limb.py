"""Limb and side from every place of a header that states them."""

from __future__ import annotations

from typing import Any

import pytest

from mandora.core.anatomy import Limb, Side
from mandora.images.header import header_of
from mandora.images.header_limb import limb_in_header

pytest.importorskip("pydicom")

from pydicom.dataset import Dataset


def item(**tags: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def code(value: str, meaning: str = "", **tags: Any) -> Dataset:
    return item(CodeValue=value, CodingSchemeDesignator="SCT", CodeMeaning=meaning, **tags)


LEFT_HAND = code("85562004", AnatomicRegionModifierSequence=[code("7771000")])
FRAME = item(FrameAnatomySequence=[
    item(FrameLaterality="R", AnatomicRegionSequence=[code("56459004")])
])  # fmt: skip


@pytest.mark.parametrize(
    ("tags", "side", "limb"),
    [
        ({"AnatomicRegionSequence": [LEFT_HAND]}, Side.LEFT, Limb.HAND),
        ({"SharedFunctionalGroupsSequence": [FRAME]}, Side.RIGHT, Limb.FOOT),
        ({"BodyPartExamined": "LHAND"}, Side.LEFT, Limb.HAND),
        ({"BodyPartExamined": "VORFUSS", "Laterality": "R"}, Side.RIGHT, Limb.FOOT),
        ({"BodyPartExamined": "MAIN", "ImageLaterality": "G"}, Side.LEFT, Limb.HAND),
        ({"BodyPartExamined": "PIEDE", "ImageLaterality": "RIGHT"}, Side.RIGHT, Limb.FOOT),
        ({"SeriesDescription": "Hand li. d.v."}, Side.LEFT, Limb.HAND),
        ({"ProtocolName": "pie derecho AP"}, Side.RIGHT, Limb.FOOT),
        ({"BodyPartExamined": "EXTREMITY", "SeriesDescription": "R Foot"}, Side.RIGHT, Limb.FOOT),
        # what is coded goes before what is written
        ({"ImageLaterality": "L", "SeriesDescription": "Hand R"}, Side.LEFT, Limb.HAND),
        ({"BodyPartExamined": "HAND", "StudyDescription": "Foot"}, None, Limb.HAND),
        # both, and contradictions
        ({"ImageLaterality": "B", "SeriesDescription": "Hand R"}, None, Limb.HAND),
        ({"ImageLaterality": "U", "SeriesDescription": "Hand R"}, Side.RIGHT, Limb.HAND),
        ({"SeriesDescription": "Hands L + R"}, None, Limb.HAND),
        ({"StudyDescription": "hands and feet"}, None, None),
        ({"BodyPartExamined": "FOOT", "AnatomicRegionSequence": [LEFT_HAND]}, Side.LEFT, Limb.FOOT),
        ({"PatientName": "Hand^Left", "PatientComments": "foot R"}, None, None),
    ],
)
def test_side_and_limb(tags: dict[str, Any], side: Side | None, limb: Limb | None) -> None:
    shown = limb_in_header(header_of(item(**tags)))
    assert (shown.sides and shown.sides.side, shown.limb) == (side, limb)
