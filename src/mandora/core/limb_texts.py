"""Which limb and which sides a text names: a file's name, a tag, a cell of a table.

A text is cut into words; the words are those of :mod:`mandora.core.limb_words`. Letters and short
words count only where another word makes them clear: ``re`` beside ``Hand``, ``main`` beside
``gauche``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mandora.core import limb_words as known
from mandora.core.anatomy import Limb
from mandora.core.limb_words import Sides, plain

MOST_COUNTED = 99
"""A number up to this after all other words counts films."""

_RUN = re.compile(r"[^\W_]+")
_ID_AND_CODE = re.compile(r"(.*[0-9])(LH|RH|LF|RF|lh|rh|lf|rf|[^\W\d_]{5,})")  # P001LH, P1lefthand
_PART = re.compile(r"[0-9]+|[^\W\d_]+")
_CAMEL = re.compile(r"(?<=[a-zà-ÿ])(?=[A-ZÀ-Þ])")
_PAIRS = {Sides.LEFT: {"r", "re"}, Sides.RIGHT: {"l", "li"}}


@dataclass(frozen=True)
class Word:
    """A word of a text.

    Attributes:
        text: as :func:`plain` gives it.
        start: where it begins in the text.
        end: where it ends there.
        run: number of the run of letters and digits that it is part of.
    """

    text: str
    start: int
    end: int
    run: int


@dataclass(frozen=True)
class LimbFound:
    """What words say of the film.

    Attributes:
        limb: None if they name none, or both.
        sides: None if they name none.
        used: numbers of the words that say it.
        remarks: what they say in two ways.
    """

    limb: Limb | None
    sides: Sides | None
    used: frozenset[int] = frozenset()
    remarks: tuple[str, ...] = ()


def words_of(text: str) -> list[Word]:
    """The words of a text: runs of letters, and numbers; ``rightFoot`` is two, ``P001LH`` three."""
    runs = []
    for run in _RUN.finditer(text):
        both = _ID_AND_CODE.fullmatch(run[0])
        is_code = both is not None and (len(both[2]) == 2 or compound(plain(both[2])) is not None)
        cut = run.start() + len(both[1]) if both and is_code else run.end()
        runs += [(run.start(), cut), (cut, run.end())]
    words = []
    for number, (first, last) in enumerate(run for run in runs if run[0] < run[1]):
        for part in _PART.finditer(text[first:last]):
            start = first + part.start()
            for piece in _CAMEL.split(part[0]):
                words.append(Word(plain(piece), start, start + len(piece), number))
                start += len(piece)
    return words


def limb_and_sides(text: str, *, body_part: bool = False) -> tuple[Limb | None, Sides | None]:
    """The limb and sides that a text names; None for what it does not say.

    Args:
        text: such as the title of a series.
        body_part: the text says which part of a body is shown and nothing else: a weak word that
            stands alone is meant, as ``MAIN`` or ``PIE``.
    """
    words = words_of(unicodedata.normalize("NFC", text))
    found = find_limb(words)
    if body_part and found.limb is None and not found.remarks:
        weak = {known.WEAK_LIMBS[w.text][0] for w in words if w.text in known.WEAK_LIMBS}
        if len(weak) == 1:
            return weak.pop(), found.sides
    return found.limb, found.sides


def sides_of_value(text: str) -> Sides | None:
    """What a tag or a cell says that holds a side: ``L``, ``LEFT``, ``D`` (droite), ``B`` (both).

    Returns:
        None for ``U`` (unpaired), a blank and anything else.
    """
    value = plain(text.strip(" \0.()"))
    return known.SIDE_LETTERS.get(value) or limb_and_sides(text)[1]


def find_limb(
    words: Sequence[Word], used: Iterable[int] = (), *, plural_is_both: bool = True
) -> LimbFound:
    """Find what words say of the film.

    Args:
        words: of a text.
        used: numbers of words that are something else, as parts of a date.
        plural_is_both: a plural without a side means both.
    """
    search = _Search(words, frozenset(used))
    return search.found(plural_is_both)


class _Search:
    """Words, of which some are found to name limbs and sides."""

    def __init__(self, words: Sequence[Word], used: frozenset[int]) -> None:
        self._words, self._used = words, used
        self._limbs: dict[Limb, list[int]] = {}
        self._sides: dict[Sides, list[int]] = {}
        self._runs: dict[int, list[str]] = {}
        for word in words:
            self._runs.setdefault(word.run, []).append(word.text)

    def found(self, plural_is_both: bool) -> LimbFound:
        several = self._add_clear_words()
        if not self._sides:
            self._sides = self._weak_sides() or self._lone_letters()
        if not self._limbs or not self._sides:
            self._add_codes()
        places = (*self._limbs.values(), *self._sides.values())
        used = frozenset({i for at in places for i in at} | self._other_side_words())
        remarks: tuple[str, ...] = ()
        limb = next(iter(self._limbs), None)
        if len(self._limbs) > 1:
            remarks = (
                f"the name says {' and '.join(self._limbs)}; the limb was not taken from it",
            )
            limb = None
        sides = self._one_side()
        if sides is None and several and plural_is_both and limb:
            sides = Sides.BOTH
        return LimbFound(limb, sides, used, remarks)

    def _one_side(self) -> Sides | None:
        found = set(self._sides)
        if found >= {Sides.LEFT, Sides.RIGHT}:
            return Sides.BOTH
        return next(iter(found - {Sides.BOTH}), Sides.BOTH if found else None)

    def _add_clear_words(self) -> bool:
        """Add words that mean a limb or a side wherever they stand; True if one is a plural."""
        several = False
        for i, word in enumerate(self._words):
            if i in self._used:
                continue
            if self._stands_alone(i):
                for limb in (limb for limb, words in known.LIMBS.items() if word.text in words):
                    self._limbs.setdefault(limb, []).append(i)
                    several |= word.text in known.SEVERAL
                for side in (side for side, words in known.SIDES.items() if word.text in words):
                    self._sides.setdefault(side, []).append(i)
            weak = known.WEAK_LIMBS.get(word.text)
            if weak and any(self._words[j].text in weak[1] for j in self._neighbours(i)):
                self._limbs.setdefault(weak[0], []).append(i)
        return several

    def _weak_sides(self) -> dict[Sides, list[int]]:
        """Letters and short words that mean a side beside the word for a limb."""
        found: dict[Sides, list[int]] = {}
        for i, word in enumerate(self._words):
            weak = known.WEAK_SIDES.get(word.text)
            if not weak or i in self._used or not self._stands_alone(i):
                continue
            if word.text == "sin" and not self._is_sinistra(i):
                continue
            if word.text == "b" and self._is_initial(i):
                continue
            if self._is_near_limb(i, weak[1]):
                found.setdefault(weak[0], []).append(i)
        found = self._without_initials(found)
        if len(found) == 1:  # the other half of "L + R"
            side, (at, *_) = next(iter(found.items()))
            for j in (at - 1, at + 1):
                if 0 <= j < len(self._words) and self._words[j].text in _PAIRS.get(side, ()):
                    found[Sides.BOTH] = [j]
        if Sides.BOTH in found:
            return {Sides.BOTH: [i for at in found.values() for i in at]}
        return found

    def _without_initials(self, found: dict[Sides, list[int]]) -> dict[Sides, list[int]]:
        """Without letters between a name and a limb where the side follows: ``Mueller_L_hand_R``.

        The first one is a part of the name: Mueller L. and Mueller R. are two people.
        """
        limbs = [i for at in self._limbs.values() for i in at]
        places = [i for at in found.values() for i in at]
        if not limbs or not any(i > max(limbs) for i in places):
            return found
        kept = {
            side: [i for i in at if i > min(limbs) or not self._is_initial(i)]
            for side, at in found.items()
        }
        return {side: at for side, at in kept.items() if at}

    def _is_initial(self, index: int) -> bool:
        """Whether a letter follows a word of letters, as in a person's name."""
        before = self._words[index - 1].text if index else ""
        return before.isalpha() and len(before) > 1 and not is_limb_word(before)

    def _is_sinistra(self, index: int) -> bool:
        """Whether ``sin`` is no Spanish "without"."""
        after = self._words[index + 1].text if index + 1 < len(self._words) else "0"
        return after.isdigit() or is_limb_word(after) or after in known.VIEWS

    def _lone_letters(self) -> dict[Sides, list[int]]:
        """A letter elsewhere, but not as the first word, where it is part of a name."""
        if not self._limbs:
            return {}
        letters = {
            i: known.WEAK_SIDES[w.text][0]
            for i, w in enumerate(self._words)
            if w.text in ("l", "r") and i and i not in self._used and self._stands_alone(i)
        }
        if len(set(letters.values())) == 1:
            return {next(iter(letters.values())): list(letters)}
        return {}

    def _other_side_words(self) -> frozenset[int]:
        """Words such as "re" beside a limb, which say nothing where others state the side."""
        return frozenset(
            i
            for i, word in enumerate(self._words)
            if len(word.text) > 1
            and (weak := known.WEAK_SIDES.get(word.text))
            and self._is_near_limb(i, weak[1])
        )

    def _add_codes(self) -> None:
        """Add what ``LH`` and words such as ``lefthand`` say, where nothing else does."""
        for i, word in enumerate(self._words):
            if i in self._used:
                continue
            code = known.CODES.get(word.text) if self._stands_alone(i) else None
            code = code or compound(word.text)
            if code:
                if code[1] in self._limbs or not self._limbs:
                    self._limbs.setdefault(code[1], []).append(i)
                self._sides.setdefault(code[0], []).append(i)

    def _is_near_limb(self, index: int, words: frozenset[str]) -> bool:
        limbs = {i for at in self._limbs.values() for i in at}
        return any(j in limbs and self._words[j].text in words for j in self._neighbours(index))

    def _neighbours(self, index: int) -> list[int]:
        """The words before and after, over directions of the beam: ``HAND AP LI``."""
        found = []
        for step in (-1, 1):
            j = index + step
            while 0 <= j < len(self._words) and self._words[j].text in known.VIEWS:
                j += step
            found += [j] if 0 <= j < len(self._words) else []
        return found

    def _stands_alone(self, index: int) -> bool:
        """Whether the word's run is the word, or words of this kind and a short number."""
        inside = self._runs[self._words[index].run]
        others = [text for text in inside if not is_limb_word(text)]
        return inside == [self._words[index].text] or all(
            text.isdigit() and int(text) <= MOST_COUNTED and text == inside[-1] for text in others
        )


def is_limb_word(text: str) -> bool:
    """Whether a word may name a limb or a side."""
    words = (*known.LIMBS.values(), *known.SIDES.values(), known.CODES, known.WEAK_SIDES)
    return any(text in some for some in words) or text in known.WEAK_LIMBS


def compound(text: str) -> tuple[Sides, Limb] | None:
    """Side and limb in one word, as ``lefthand``, ``linkehand``, ``rhand`` or ``handlinks``."""
    for limb, words in known.LIMBS.items():
        for word in words:
            before = text.removesuffix(word) if text.endswith(word) else ""
            after = text.removeprefix(word) if text.startswith(word) else ""
            for side, others in known.SIDES.items():
                if before in others or after in others:
                    return side, limb
                if side is not Sides.BOTH and before == side.value[0]:
                    return side, limb
    return None
