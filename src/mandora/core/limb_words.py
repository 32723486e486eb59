"""Words for hand, foot, left, right and both: the one list, for tags, names, folders and tables.

English, German, French, Spanish, Italian, Portuguese, Dutch, Swedish, Danish and Norwegian. All
are in small letters without accents, as :func:`plain` gives them. Weak words mean something else
as well, as ``main`` (French: hand) or ``der`` (Spanish: right; German: the); they count only
beside a word that says which meaning it is. How a text is read is in
:mod:`mandora.core.limb_texts`.
"""

from __future__ import annotations

import unicodedata
from enum import StrEnum

from mandora.core.anatomy import Limb, Side


class Sides(StrEnum):
    """Which limbs a film shows, of one kind: one of the two, or both."""

    LEFT = "left"
    RIGHT = "right"
    BOTH = "both"

    @property
    def side(self) -> Side | None:
        """The patient's side; None for both."""
        return {Sides.LEFT: Side.LEFT, Sides.RIGHT: Side.RIGHT}.get(self)

    @staticmethod
    def of(side: Side) -> Sides:
        """The one side."""
        return Sides.LEFT if side is Side.LEFT else Sides.RIGHT


LEFT, RIGHT, BOTH = Sides

_WHOLE = str.maketrans({"ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d"})


def plain(text: str) -> str:
    """Small letters without accents; ``ß`` becomes ``ss``, ``ø`` becomes ``o``."""
    parts = unicodedata.normalize("NFKD", text.casefold().translate(_WHOLE))
    return "".join(c for c in parts if not unicodedata.combining(c))


def word_set(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


LIMBS: dict[Limb, frozenset[str]] = {
    Limb.HAND: word_set(
        "hand hands wrist wrists finger fingers thumb thumbs metacarpal metacarpals carpus "
        "hande haende hde handen fingern handgelenk handgelenke handwurzel mittelhand handskelett "
        "daumen mains poignet poignets doigt doigts pouce mano manos muneca munecas pulgar carpo "
        "mani polso polsi pollice mao maos punho punhos polegar pols polsen vinger vingers duim "
        "handled handleden haand haender hender handledd"
    ),
    Limb.FOOT: word_set(
        "foot feet forefoot forefeet toe toes metatarsal metatarsals hallux "
        "fuss fusse fuesse fussen vorfuss vorfusse vorfuesse mittelfuss zeh zehe zehen grosszehe "
        "pied pieds orteil orteils avantpied pies antepie antepies piede piedi avampiede "
        "avampiedi pes antepe voet voeten voorvoet voorvoeten tenen "
        "fot fotter fod fodder foetter framfot forfod forfot"
    ),
}
"""Words that mean a limb wherever they stand."""

SEVERAL = word_set(
    "hands wrists hande haende hde handen mains poignets manos munecas mani polsi maos punhos "
    "polsen haender hender handleden feet forefeet fusse fuesse vorfusse vorfuesse pieds pies "
    "antepies piedi avampiedi pes voeten voorvoeten fotter fodder foetter"
)
"""Of these, plural: where no side is stated they mean both. Fingers and toes are several anyway."""

SIDES: dict[Sides, frozenset[str]] = {
    LEFT: word_set(
        "left lt lft links lks linker linke linkes linken gauche gche izquierda izquierdo izda "
        "izdo izqda izqdo izq sinistra sinistro esquerda esquerdo esq sx sinister venstre vanster"
    ),
    RIGHT: word_set(
        "right rt rgt rechts rts rechte rechter rechtes rechten droite droit drte derecha derecho "
        "dcha dcho drcha destra destro direita direito dta dto dexter dextra dext hoyre hojre "
        "hoger"
    ),
    BOTH: word_set(
        "both bilateral bilat bilateraux bilaterale bilaterali bilateraal beide beiden beider "
        "beidseits beids beidseitig bds bdsts bdst ambas ambos entrambe entrambi ambedue amba deux "
        "leftright rightleft begge bada"
    ),
}
"""Words that mean a side wherever they stand."""

CODES: dict[str, tuple[Sides, Limb]] = {
    "lh": (LEFT, Limb.HAND), "rh": (RIGHT, Limb.HAND),
    "lf": (LEFT, Limb.FOOT), "rf": (RIGHT, Limb.FOOT),
}  # fmt: skip
"""Limb and side in one."""

_FRENCH, _SPANISH = (
    word_set("main mains pied pieds poignet"),
    word_set("mano manos pie pies muneca"),
)
_ITALIAN = word_set("mano mani piede piedi polso avampiede")
_PORTUGUESE = word_set("mao maos pe pes punho antepe")
_GERMAN = word_set(
    "hand hande haende hde hd fuss fusse fuesse vorfuss vorfusse vf handgelenk finger zehen zehe"
)
_DUTCH = word_set("hand voet pols handen voeten voorvoet")
_ANY = LIMBS[Limb.HAND] | LIMBS[Limb.FOOT] | {"main", "pie", "pe", "hd", "vf"}

WEAK_SIDES: dict[str, tuple[Sides, frozenset[str]]] = {
    "l": (LEFT, _ANY), "r": (RIGHT, _ANY), "b": (BOTH, _ANY),
    "li": (LEFT, _GERMAN | _DUTCH), "lk": (LEFT, _GERMAN),
    "re": (RIGHT, _GERMAN | _DUTCH), "g": (LEFT, _FRENCH),
    "d": (RIGHT, _FRENCH | _SPANISH | _ITALIAN | _PORTUGUESE),
    "gau": (LEFT, _FRENCH), "dr": (RIGHT, _FRENCH), "dte": (RIGHT, _FRENCH),
    "i": (LEFT, _SPANISH), "iz": (LEFT, _SPANISH), "der": (RIGHT, _SPANISH),
    "s": (LEFT, _ITALIAN), "sin": (LEFT, _ITALIAN), "sn": (LEFT, _ITALIAN),
    "dx": (RIGHT, _ITALIAN), "des": (RIGHT, _ITALIAN), "ds": (RIGHT, _ITALIAN),
    "e": (LEFT, _PORTUGUESE), "dir": (RIGHT, _PORTUGUESE),
    "link": (LEFT, _DUTCH), "recht": (RIGHT, _DUTCH),
}  # fmt: skip
"""Words that mean a side only beside one of these words for a limb."""

SIDE_LETTERS: dict[str, Sides] = {
    **dict.fromkeys("lgise", LEFT), **dict.fromkeys("rd", RIGHT), "b": BOTH,
    "li": LEFT, "re": RIGHT, "sin": LEFT, "sx": LEFT, "dx": RIGHT, "dir": RIGHT,
}  # fmt: skip
"""What is a side where nothing but a side can stand: L, gauche, izquierda; R, droite, destra …"""

WEAK_LIMBS: dict[str, tuple[Limb, frozenset[str]]] = {
    "main": (Limb.HAND, word_set("gauche gche droite drte g d gau dte dr deux")),
    "pie": (Limb.FOOT, word_set("izquierdo izdo izqdo izq derecho dcho der dcha izda d i iz")),
    "pe": (Limb.FOOT, word_set("direito esquerdo esq dir dto d e")),
    "hd": (Limb.HAND, word_set("li re lk l r links rechts linke rechte bds")),
    "vf": (Limb.FOOT, word_set("li re lk l r links rechts bds")),
}
"""Words that mean a limb only beside one of these words for a side, or as a whole body part."""

VIEWS = word_set(
    "ap pa dp dv ob obl oblique oblik schrag seitlich lat lateral face profil axial frontal "
    "volar dorsal standing stehend bel belastet norgaard"
)
"""Directions of the beam; they may stand between limb and side."""
