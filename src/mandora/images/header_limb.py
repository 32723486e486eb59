"""Which limb and which sides a DICOM header says that a film shows: the one reader of these tags.

Coded places come first: ImageLaterality, FrameLaterality, Laterality and the region's modifier for
the side, BodyPartExamined and the region for the limb. Then come words of the titles of series,
protocol and study. No remark quotes what a tag holds; it may be a name.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

from mandora.core.anatomy import Limb
from mandora.core.limb_texts import limb_and_sides, sides_of_value
from mandora.core.limb_words import Sides
from mandora.images.header import FilmHeader

_LIMB_CODES = {
    "85562004": Limb.HAND, "T-D8700": Limb.HAND, "8205005": Limb.HAND, "T-D8800": Limb.HAND,
    "74670003": Limb.HAND, "7569003": Limb.HAND, "T-D8810": Limb.HAND, "76505004": Limb.HAND,
    "T-15460": Limb.HAND,
    "56459004": Limb.FOOT, "T-D9700": Limb.FOOT, "29707007": Limb.FOOT, "T-D9800": Limb.FOOT,
    "285519001": Limb.FOOT,
}  # fmt: skip
_SIDE_CODES = {
    "7771000": Sides.LEFT, "G-A101": Sides.LEFT, "24028007": Sides.RIGHT, "G-A100": Sides.RIGHT,
    "51440002": Sides.BOTH, "G-A102": Sides.BOTH,
}  # fmt: skip
"""SNOMED CT, and SNOMED RT of older devices: DICOM PS3.16, CID 4031 and CID 244."""

_BODY_PART = "BodyPartExamined"

Value = TypeVar("Value")


class HeaderLimb(NamedTuple):
    """What a header says of the film.

    Attributes:
        limb: None if it says none.
        sides: None if it says none.
        remarks: which of its places differ, and which one was believed.
    """

    limb: Limb | None
    sides: Sides | None
    remarks: tuple[str, ...] = ()


def limb_in_header(header: FilmHeader) -> HeaderLimb:
    """Limb and sides by the first place that states them; another one is remarked upon."""
    remarks: list[str] = []
    sides = _first(_stated_sides(header), remarks)
    limb = _first(_stated_limbs(header), remarks)
    return HeaderLimb(limb, sides, tuple(remarks))


def _stated_sides(header: FilmHeader) -> list[tuple[str, Sides]]:
    stated: list[tuple[str, Sides]] = []
    for place, text in header.lateralities:
        side = sides_of_value(text)
        stated += [(place, side)] if side else []
    for place, code, meaning in header.codes:
        side = _SIDE_CODES.get(code) or limb_and_sides(meaning)[1]
        stated += [(place, side)] if side else []
    for place, text in header.texts:
        # "both" in a title is about the study, and says nothing against a film of one side
        side = limb_and_sides(text, body_part=place == _BODY_PART)[1]
        if side and not (side is Sides.BOTH and stated):
            stated.append((place, side))
    return stated


def _stated_limbs(header: FilmHeader) -> list[tuple[str, Limb]]:
    coded: list[tuple[str, Limb]] = []
    for place, code, meaning in header.codes:
        limb = _LIMB_CODES.get(code) or limb_and_sides(meaning, body_part=True)[0]
        coded += [(place, limb)] if limb else []
    found = [
        (place, limb_and_sides(text, body_part=place == _BODY_PART)[0])
        for place, text in header.texts
    ]
    first = [(place, limb) for place, limb in found if limb and place == _BODY_PART]
    others = [(place, limb) for place, limb in found if limb and place != _BODY_PART]
    return [*first, *coded, *others]


def _first(stated: list[tuple[str, Value]], remarks: list[str]) -> Value | None:
    if not stated:
        return None
    place, value = stated[0]
    for other, differs in stated[1:]:
        if differs != value:
            remarks.append(
                f"its DICOM tags differ: {place} says {value}, {other} says {differs}; "
                f"{place} was believed"
            )
            break
    return value
