from __future__ import annotations

import pytest

from mandora.core.anatomy import Limb, Side
from mandora.core.limb_words import limb_named, side_named, side_of_tag

HAND, FOOT, LEFT, RIGHT = Limb.HAND, Limb.FOOT, Side.LEFT, Side.RIGHT


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
        ("Hände bds.", HAND, None),
        ("linke und rechte Hand", HAND, None),
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
        ("hands", HAND, None),
        ("BOTH FEET L+R", FOOT, None),
    ],
)
def test_limb_and_side_in_words(text: str, limb: Limb | None, side: Side | None) -> None:
    assert (limb_named(text), side_named(text)) == (limb, side)


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("L", LEFT), ("R", RIGHT), ("l ", LEFT), ("RIGHT\0", RIGHT), ("links", LEFT), ("D", RIGHT),
        ("G", LEFT), ("B", None), ("U", None), ("", None), ("X", None),
    ],
)  # fmt: skip
def test_values_of_laterality_tags(text: str, side: Side | None) -> None:
    assert side_of_tag(text) is side
