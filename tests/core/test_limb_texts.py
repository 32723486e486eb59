from __future__ import annotations

import pytest

from mandora.core.anatomy import Limb
from mandora.core.limb_texts import limb_and_sides, sides_of_value
from mandora.core.limb_words import Sides

HAND, FOOT, (LEFT, RIGHT, BOTH) = Limb.HAND, Limb.FOOT, Sides


@pytest.mark.parametrize(
    ("text", "limb", "side"),
    [
        ("HAND", HAND, None),
        ("left hand", HAND, LEFT),
        ("WRIST", HAND, None),
        ("L_FOOT", FOOT, LEFT),
        ("TOE", FOOT, None),
        ("HAND FOOT", None, None),
        ("CHEST", None, None),
        ("HANDLE", None, None),
        ("", None, None),
        ("LHAND", HAND, LEFT),
        ("HANDRT", HAND, RIGHT),
        ("LeftFoot", FOOT, LEFT),
        ("Hand links d.v.", HAND, LEFT),
        ("Vorfuß re.", FOOT, RIGHT),
        ("Hände bds.", HAND, BOTH),
        ("linke und rechte Hand", HAND, BOTH),
        ("MAIN GAUCHE", HAND, LEFT),
        ("pied droit face", FOOT, RIGHT),
        ("Mano izquierda", HAND, LEFT),
        ("pie derecho", FOOT, RIGHT),
        ("MANO DX", HAND, RIGHT),
        ("Piede sinistro", FOOT, LEFT),
        ("DX HAND L", HAND, LEFT),
        ("Mão direita", HAND, RIGHT),
        ("PÉ ESQUERDO", FOOT, LEFT),
        ("linker voet", FOOT, LEFT),
        ("Hånd venstre", HAND, LEFT),
        ("hands", HAND, BOTH),
        ("BOTH FEET L+R", FOOT, BOTH),
    ],
)
def test_limb_and_side_in_words(text: str, limb: Limb | None, side: Sides | None) -> None:
    assert limb_and_sides(text) == (limb, side)


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("L", LEFT), ("R", RIGHT), ("l ", LEFT), ("RIGHT\0", RIGHT), ("links", LEFT), ("D", RIGHT),
        ("G", LEFT), ("B", BOTH), ("U", None), ("", None), ("X", None),
    ],
)  # fmt: skip
def test_values_of_laterality_tags(text: str, side: Sides | None) -> None:
    assert sides_of_value(text) is side
