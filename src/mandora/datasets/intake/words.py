"""Patient, visit, limb and side from the names of files and folders, and from texts of tags.

A name in mandora's own form, ``<patient>-LH.jpg``, is taken as it is: all before the last hyphen
is the patient's id. Other names are cut into words. Dates, words for limb, side and visit, and
words that say nothing are recognised; what stands before them is the patient's id.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from mandora.core.anatomy import SLOTS, Limb, Slot
from mandora.datasets.intake import vocabulary as known
from mandora.datasets.intake.rows import Facts, Sides
from mandora.datasets.intake.vocabulary import plain

FILM_SUFFIXES = re.compile(
    r"\.(png|jpe?g|jpe|jfif|tiff?|dcm|dicom|ima|bmp|gif|webp|jp2|j2k|jpx|jxl|hei[cf]|avif)",
    re.IGNORECASE,
)
_OWN_FORM = re.compile(
    rf"(?P<patient>.*)-(?P<slot>{'|'.join(slot.code for slot in SLOTS)})",
    re.IGNORECASE | re.DOTALL,
)
_UID = re.compile(r"\d+(\.\d+){3,}|[0-9a-f]{32,}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I)
_COUNTER = re.compile(rf"({'|'.join(known.COUNTED)})?[0-9]+", re.IGNORECASE)
_RUN = re.compile(r"[^\W_]+")
_ID_AND_CODE = re.compile(r"(.*[0-9])(LH|RH|LF|RF)")  # P001LH
_PART = re.compile(r"[0-9]+|[^\W\d_]+")
_CAMEL = re.compile(r"(?<=[a-zà-ÿ])(?=[A-ZÀ-Þ])")
_COPY_MARK = re.compile(r"\s*\(\d{1,3}\)\s*$")
_NUMBERED = re.compile(r"([a-z]+)0*([0-9]{1,3})")

_FIRST_YEAR, _LAST_YEAR = 1950, 2049
_DATES = (
    (re.compile(r"(?<!\d)(\d{4})([-_. ])(\d{1,2})\2(\d{1,2})(?!\d)"), (0, 2, 3)),
    (re.compile(r"(?<!\d)(\d{1,2})(\.)(\d{1,2})\2(\d{4})(?!\d)"), (3, 2, 0)),
    (re.compile(r"(?<!\d)(\d{4})(\d{2})(\d{2})(?:T?\d{6})?(?!\d)"), (0, 1, 2)),
)
_SHORT_DATE = re.compile(r"(?<!\d)(\d{1,2})([-_/ ])(\d{1,2})\2(\d{4})(?!\d)")
_MONTH_DATE = re.compile(r"(?<!\d)(\d{1,2})[-_. ]?([^\W\d_]{3,10})\.?[-_ ]?(\d{4})(?!\d)")

MOST_COUNTED = 99  # a number up to this after all other words counts films


@dataclass(frozen=True)
class _Word:
    """A word of a name.

    Attributes:
        text: as :func:`plain` gives it.
        start: where it begins in the name.
        end: where it ends there.
        run: number of the run of letters and digits that it is part of.
    """

    text: str
    start: int
    end: int
    run: int


@dataclass(frozen=True)
class NameFacts:
    """What a name says, and how firmly it says whose film it is.

    Attributes:
        facts: see :class:`~mandora.datasets.intake.rows.Facts`.
        own_form: the name is ``<patient>-LH`` or so: the id is meant as it stands.
        number_only: the id is a number without letters, which may as well count files.
        date_only: there is a date where an id would be.
    """

    facts: Facts
    own_form: bool = False
    number_only: bool = False
    date_only: bool = False


def stem_of(name: str) -> str:
    """A film's name without its endings, marks of copies, and blanks around it."""
    stem, suffix = _split(name)
    while suffix:
        stem, suffix = _split(stem)
    stem = _COPY_MARK.sub("", stem).strip()
    words = stem.split()
    while len(words) > 1 and plain(words[-1].strip("-_")) in known.COPIES | {""}:
        words = words[:-1]
        stem = stem[: stem.rindex(words[-1]) + len(words[-1])]
    return _COPY_MARK.sub("", stem).strip()


def read_name(name: str) -> NameFacts:
    """What a film's name says.

    Args:
        name: of the file, with or without its ending.
    """
    stem = stem_of(name)
    if own := _OWN_FORM.fullmatch(stem):
        slot = Slot.parse(own["slot"])
        facts = Facts(own["patient"], None, slot.limb, Sides.of(slot.side))
        return NameFacts(facts, own_form=True)
    if _UID.fullmatch(stem):
        return NameFacts(Facts())
    return _Reading(stem).facts(folder=False)


def read_folder(name: str) -> Facts:
    """What a folder's name says; it names no patient if it is a word such as ``films``."""
    if _UID.fullmatch(name):
        return Facts()
    return _Reading(name).facts(folder=True).facts


def iso_date(stored: str) -> str | None:
    """A date as DICOM stores it, ``20190302`` or ``2019.03.02``, as ``2019-03-02``."""
    digits = stored.replace(".", "").replace("-", "")
    if len(digits) != 8 or not digits.isascii() or not digits.isdigit():
        return None
    return _iso(int(digits[:4]), int(digits[4:6]), int(digits[6:]))


def limb_and_sides(text: str) -> tuple[Limb | None, Sides | None]:
    """The limb and side that a text names, such as a body part; None for what it does not say."""
    facts = _Reading(text).facts(folder=False).facts
    return facts.limb, facts.sides


class _Reading:
    """One name cut into words, of which more and more are understood."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._remarks: list[str] = []
        self._visit, dated = self._date()
        self._words = _cut(name)
        self._used = {i for i, w in enumerate(self._words) if _within(w, dated)}
        self._dated = set(self._used)

    def facts(self, *, folder: bool) -> NameFacts:
        limb, sides = self._limb_and_sides(plural_is_both=not folder)
        named = self._named_visit(folder)
        patient = self._patient()
        only_date = not patient and bool(self._dated)
        facts = Facts(patient or None, self._visit or named, limb, sides, tuple(self._remarks))
        return NameFacts(facts, number_only=patient.isdigit(), date_only=only_date)

    # ── dates and visits ──────────────────────────────────────────────────────────────────

    def _date(self) -> tuple[str | None, list[tuple[int, int]]]:
        """The date in the name, and where dates stand in it."""
        found: dict[tuple[int, int], str] = {}
        for pattern, order in _DATES:
            for match in pattern.finditer(self._name):
                year, month, day = (int(match.groups()[i]) for i in order)
                made = _iso(year, month, day)
                if made and not _overlaps(match.span(), found):
                    found[match.span()] = made
        for match in _MONTH_DATE.finditer(self._name):
            month = known.MONTHS.get(plain(match[2]), 0)
            made = _iso(int(match[3]), month, int(match[1]))
            if made and not _overlaps(match.span(), found):
                found[match.span()] = made
        for match in _SHORT_DATE.finditer(self._name):
            if _overlaps(match.span(), found):
                continue
            first, second, year = int(match[1]), int(match[3]), int(match[4])
            options = {_iso(year, second, first), _iso(year, first, second)} - {None}
            if len(options) == 1:
                found[match.span()] = options.pop() or ""
            elif options:
                found[match.span()] = ""
                self._remarks.append(
                    f"{match[0]} may be two dates, and was not taken for a visit; write dates as "
                    f"{year}-{second:02}-{first:02}"
                )
        spans = sorted(found)
        dates = list(dict.fromkeys(found[span] for span in spans if found[span]))
        if len(dates) > 1:
            # the first one is an id, or a date of birth
            self._remarks.append(f"the name has {len(dates)} dates; the last one was taken")
            spans = [span for span in spans if found[span] in ("", dates[-1])]
        return (dates[-1] if dates else None), spans

    def _named_visit(self, folder: bool) -> str | None:
        """A visit such as ``baseline``, ``week 12`` or ``V2``.

        A short one is no visit where it may be an id: as the first word of a film's name.
        """
        for i, word in enumerate(self._words):
            if i in self._used:
                continue
            whole = self._run_text(word.run)
            if whole == word.text and word.text in known.FIRST_VISITS:
                self._used.add(i)
                return "baseline" if word.text == "bl" else word.text
            kind = known.VISIT_WORDS.get(word.text)
            after = self._words[i + 1] if i + 1 < len(self._words) else None
            if not kind or after is None or not after.text.isdigit():
                continue
            together = whole == word.text + after.text
            if len(word.text) <= 2:
                alone = all(j in self._used or j in (i, i + 1) for j in range(len(self._words)))
                fits = together and len(after.text) <= 2 and (alone if folder else i > 0)
            else:
                fits = (together or whole == word.text) and len(after.text) <= 3
            if fits:
                self._used |= {i, i + 1}
                return f"{kind}-{int(after.text)}"
        return None

    # ── limb and side ─────────────────────────────────────────────────────────────────────

    def _limb_and_sides(self, plural_is_both: bool) -> tuple[Limb | None, Sides | None]:
        limbs: dict[Limb, list[int]] = {}
        sides: dict[Sides, list[int]] = {}
        several = False
        for i, word in enumerate(self._words):
            if i in self._used:
                continue
            if self._stands_alone(i):
                for limb in (limb for limb, words in known.LIMBS.items() if word.text in words):
                    limbs.setdefault(limb, []).append(i)
                    several |= word.text in known.SEVERAL
                for side in (side for side, words in known.SIDES.items() if word.text in words):
                    sides.setdefault(side, []).append(i)
            weak = known.WEAK_LIMBS.get(word.text)
            if weak and self._beside(i, weak[1]):
                limbs.setdefault(weak[0], []).append(i)
        if not sides:
            sides = self._weak_sides([i for places in limbs.values() for i in places])
        if not limbs or not sides:
            self._add_codes(limbs, sides)
        self._used |= {i for places in (*limbs.values(), *sides.values()) for i in places}
        self._used |= self._other_side_words([i for places in limbs.values() for i in places])
        only = self._only(limbs, "limb")
        found = set(sides)
        if found >= {Sides.LEFT, Sides.RIGHT}:
            return only, Sides.BOTH
        one = next(iter(found - {Sides.BOTH}), Sides.BOTH if found else None)
        if one is None and several and plural_is_both and only:
            one = Sides.BOTH
        return only, one

    def _weak_sides(self, limbs: Sequence[int]) -> dict[Sides, list[int]]:
        """Letters and short words that mean a side beside the word for a limb, or as a pair."""
        found: dict[Sides, list[int]] = {}
        for i, word in enumerate(self._words):
            weak = known.WEAK_SIDES.get(word.text)
            if not weak or i in self._used or not self._stands_alone(i):
                continue
            near = [j for j in limbs if abs(j - i) == 1 and self._words[j].text in weak[1]]
            after = self._words[i + 1].text if i + 1 < len(self._words) else "0"
            if word.text == "sin" and not (after.isdigit() or _is_limb_word(after)):
                continue  # Spanish: without
            if near:
                found.setdefault(weak[0], []).append(i)
        if len(found) == 1:  # the other half of "L + R"
            (side, (at, *_)) = next(iter(found.items()))
            other = {Sides.LEFT: {"r", "re"}, Sides.RIGHT: {"l", "li"}}.get(side, set())
            for j in (at - 1, at + 1):
                if 0 <= j < len(self._words) and self._words[j].text in other:
                    found[Sides.BOTH] = [j]
        if found.keys() >= {Sides.BOTH}:
            places = [i for at in found.values() for i in at]
            return {Sides.BOTH: places}
        if found or not limbs:
            return found
        # a single letter elsewhere, but not as the first word, where it is part of a name
        letters = {
            i: known.WEAK_SIDES[w.text][0]
            for i, w in enumerate(self._words)
            if w.text in ("l", "r") and i and i not in self._used and self._stands_alone(i)
        }
        if len(set(letters.values())) == 1:
            return {next(iter(letters.values())): list(letters)}
        return {}

    def _other_side_words(self, limbs: Sequence[int]) -> set[int]:
        """Words such as "re" beside a limb, which say nothing where others state the side."""
        found = set()
        for i, word in enumerate(self._words):
            weak = known.WEAK_SIDES.get(word.text)
            if weak and len(word.text) > 1:
                near = [j for j in limbs if abs(j - i) == 1 and self._words[j].text in weak[1]]
                found |= {i} if near else set()
        return found

    def _add_codes(self, limbs: dict[Limb, list[int]], sides: dict[Sides, list[int]]) -> None:
        """Add what ``LH`` and words such as ``lefthand`` say, where nothing else does."""
        for i, word in enumerate(self._words):
            if i in self._used:
                continue
            code = known.CODES.get(word.text) if self._stands_alone(i) else None
            code = code or _compound(word.text)
            if code:
                if code[1] in limbs or not limbs:
                    limbs.setdefault(code[1], []).append(i)
                sides.setdefault(code[0], []).append(i)

    def _only(self, found: dict[Limb, list[int]], what: str) -> Limb | None:
        if len(found) > 1:
            self._remarks.append(
                f"the name says {' and '.join(found)}; the {what} was not taken from it"
            )
            return None
        return next(iter(found), None)

    def _stands_alone(self, index: int) -> bool:
        """Whether the word's run is the word, or words of this kind and a short number."""
        whole = self._run_text(self._words[index].run)
        inside = [w.text for w in self._words if w.run == self._words[index].run]
        others = [text for text in inside if not _is_limb_word(text)]
        return whole == self._words[index].text or all(
            text.isdigit() and int(text) <= MOST_COUNTED and text == inside[-1] for text in others
        )

    def _beside(self, index: int, words: frozenset[str]) -> bool:
        near = (index - 1, index + 1)
        return any(0 <= j < len(self._words) and self._words[j].text in words for j in near)

    def _run_text(self, run: int) -> str:
        return "".join(word.text for word in self._words if word.run == run)

    # ── the patient ───────────────────────────────────────────────────────────────────────

    def _patient(self) -> str:
        """What stands before all that was understood; else a number or code after it."""
        runs: dict[int, list[int]] = {}
        for i, word in enumerate(self._words):
            runs.setdefault(word.run, []).append(i)
        blocks: list[list[int]] = [[]]  # of runs that nothing separates
        noise: list[int] = []
        for run, words in runs.items():
            if all(i in self._used for i in words):
                blocks.append([])
                noise = []
            elif self._is_noise(run, words):
                noise.append(run)
            else:
                # words such as "van der" in a name belong to it
                kept = noise if blocks[-1] or self._are_particles(noise) else []
                blocks[-1] += [*kept, run]
                noise = []
        first, *later = [self._text(block, runs) for block in blocks]
        if first:
            return first
        for text in later:
            digits = sum(c.isdigit() for c in text)
            if digits and len(text) >= 3:
                return text
        return ""

    def _are_particles(self, runs: Sequence[int]) -> bool:
        return all(self._run_text(run) in known.PARTICLES for run in runs)

    def _is_noise(self, run: int, words: Sequence[int]) -> bool:
        text = self._run_text(run)
        if text in known.NOISE or all(self._words[i].text in known.NOISE for i in words):
            return True
        counted = _COUNTER.fullmatch(text)
        if counted and counted[1]:
            return True  # IM0001
        before = self._run_text(run - 1) if run else ""
        return text.isdigit() and before in known.COUNTED

    def _text(self, block: Sequence[int], runs: dict[int, list[int]]) -> str:
        if not block:
            return ""
        start = self._words[runs[block[0]][0]].start
        end = self._words[runs[block[-1]][-1]].end
        text = self._name[start:end].strip()
        return "" if plain(text) in known.TITLES else text


def _cut(name: str) -> list[_Word]:
    words = []
    runs = []
    for run in _RUN.finditer(name):
        both = _ID_AND_CODE.fullmatch(run[0])
        cut = run.start() + len(both[1]) if both else run.end()
        runs += [(run.start(), cut), (cut, run.end())]
    for number, (first, last) in enumerate(run for run in runs if run[0] < run[1]):
        for part in _PART.finditer(name[first:last]):
            start = first + part.start()
            for piece in _CAMEL.split(part[0]):
                words.append(_Word(plain(piece), start, start + len(piece), number))
                start += len(piece)
    return words


def _compound(text: str) -> tuple[Sides, Limb] | None:
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


def _is_limb_word(text: str) -> bool:
    words = (*known.LIMBS.values(), *known.SIDES.values(), known.CODES, known.WEAK_SIDES)
    return any(text in some for some in words) or text in known.WEAK_LIMBS


def _split(name: str) -> tuple[str, str]:
    stem, dot, suffix = name.rpartition(".")
    return (stem, suffix) if stem and dot and FILM_SUFFIXES.fullmatch("." + suffix) else (name, "")


def _iso(year: int, month: int, day: int) -> str | None:
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        return None
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return None


def _within(word: _Word, spans: Sequence[tuple[int, int]]) -> bool:
    return any(start <= word.start and word.end <= end for start, end in spans)


def _overlaps(span: tuple[int, int], others: dict[tuple[int, int], str]) -> bool:
    return any(span[0] < end and start < span[1] for start, end in others)
