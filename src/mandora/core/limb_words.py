"""Which limb and which side a few words name, in the languages that archives write.

English, German, French, Spanish, Italian, Portuguese, Dutch, Swedish, Danish and Norwegian. For
short texts only, such as a body part or the title of a series: in a sentence a word such as
``main`` or ``re`` has other meanings.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Set

from mandora.core.anatomy import Limb, Side


def _set(words: str) -> Set[str]:
    return frozenset(words.split())


_LIMBS: dict[Limb, Set[str]] = {
    Limb.HAND: _set(
        "hand hands wrist wrists finger fingers thumb thumbs metacarpal metacarpals carpus "
        "hande haende handgelenk handgelenke handwurzel mittelhand handskelett daumen "
        "main mains poignet poignets doigt doigts pouce mano manos muneca munecas pulgar carpo "
        "mani polso polsi pollice mao maos punho punhos polegar "
        "handen pols polsen vinger vingers duim hander handled haand haender hender"
    ),
    Limb.FOOT: _set(
        "foot feet forefoot forefeet toe toes metatarsal metatarsals hallux "
        "fuss fusse fuesse vorfuss vorfusse vorfuesse mittelfuss zeh zehe zehen grosszehe "
        "pied pieds avantpied orteil orteils pie pies antepie piede piedi avampiede "
        "pe pes antepe voet voeten voorvoet tenen fot fotter fod fodder foetter"
    ),
}
_SIDES: dict[Side, Set[str]] = {
    Side.LEFT: _set(
        "l lt lft left li lks links linke linken linker linkes gauche izq izda izquierda "
        "izquierdo sin sx sinistra sinistro sinister esq esquerda esquerdo venstre vanster"
    ),
    Side.RIGHT: _set(
        "r rt rgt right re rts rechts rechte rechten rechter rechtes droit droite dcha derecha "
        "derecho dx destra destro dext dexter dir direita direito hoyre hojre hoger"
    ),
}
_BOTH = _set(
    "both bilateral bilat bil bds beide beiden beids beidseits ambas ambos entrambi entrambe "
    "ambedue deux begge bada"
)
_PLURALS = _set(
    "hands hande haende mains manos mani maos handen hander haender hender feet fusse fuesse "
    "pieds pies piedi pes voeten fotter fodder foetter"
)
_ITALIAN = _set("mano mani polso polsi piede piedi avampiede dito dita")
# letters that tags of laterality have besides L and R: gauche, izquierda, sinistra, esquerda;
# droite, derecha, destra, direita
_LETTERS = {**dict.fromkeys("lgise", Side.LEFT), **dict.fromkeys("rd", Side.RIGHT)}
_SPECIAL = str.maketrans({"ß": "ss", "ø": "o", "æ": "ae", "å": "a"})
_WORD = re.compile(r"[a-z]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_FUSED = re.compile(r"(left|right|lt|rt|l|r)?([a-z]+?)(left|right|lt|rt|l|r)?")


def words_of(text: str) -> list[str]:
    """The words of a text in small letters without accents; ``LHAND`` is ``l`` and ``hand``."""
    plain = unicodedata.normalize("NFKD", _CAMEL.sub(" ", text).lower().translate(_SPECIAL))
    letters = "".join(c for c in plain if not unicodedata.combining(c))
    return [part for word in _WORD.findall(letters) for part in _parts(word)]


def _parts(word: str) -> list[str]:
    if not _is_limb(word):
        match = _FUSED.fullmatch(word)
        if match and (match[1] or match[3]) and _is_limb(match[2]):
            return [part for part in match.groups() if part]
    return [word]


def _is_limb(word: str) -> bool:
    return any(word in known for known in _LIMBS.values())


def limb_named(text: str) -> Limb | None:
    """Find the limb that the words of a body part name, e.g. ``LEFT HAND`` or ``Vorfuß``.

    Returns:
        None if they name neither hand nor foot, or both.
    """
    words = set(words_of(text))
    limbs = [limb for limb, known in _LIMBS.items() if words & known]
    return limbs[0] if len(limbs) == 1 else None


def side_named(text: str) -> Side | None:
    """Find the side that words name, e.g. ``Hand links`` or ``LHAND``.

    Returns:
        None if they name no side, or both.
    """
    words = set(words_of(text))
    if words & (_BOTH | _PLURALS):
        return None
    if not words & _ITALIAN:
        words -= {"dx", "sx"}  # DX is digital radiography
    sides = [side for side, known in _SIDES.items() if words & known]
    return sides[0] if len(sides) == 1 else None


def side_of_tag(text: str) -> Side | None:
    """The side that a value of a laterality tag means: ``L``, ``r``, ``LEFT``, ``D`` (droite).

    Returns:
        None for ``B`` (both), ``U`` (unpaired), a blank and anything else.
    """
    value = text.strip(" \0").lower()
    return _LETTERS.get(value) or side_named(value)
