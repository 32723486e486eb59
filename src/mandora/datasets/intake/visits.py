"""Dates and visits in names: ``20190302``, ``02Mar2019``, ``week 12``, ``V2``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from mandora.core.limb_texts import Word
from mandora.core.limb_words import plain
from mandora.datasets.intake import vocabulary as known

_FIRST_YEAR, _LAST_YEAR = 1950, 2049
_FIRST_FILM_YEAR = 1990  # few archives hold older films; behind a name it is a date of birth
_DATES = (
    (re.compile(r"(?<!\d)(\d{4})([-_. ])(\d{1,2})\2(\d{1,2})(?!\d)"), (0, 2, 3)),
    (re.compile(r"(?<!\d)(\d{1,2})(\.)(\d{1,2})\2(\d{4})(?!\d)"), (3, 2, 0)),
    (re.compile(r"(?<!\d)(\d{4})(\d{2})(\d{2})(?:T?\d{6})?(?!\d)"), (0, 1, 2)),
)
_SHORT_DATE = re.compile(r"(?<!\d)(\d{1,2})([-_/ ])(\d{1,2})\2(\d{4})(?!\d)")
_MONTH_DATE = re.compile(r"(?<!\d)(\d{1,2})[-_. ]?([^\W\d_]{3,10})\.?[-_ ]?(\d{4})(?!\d)")
_VISIT_ALONE = re.compile(r"([a-z]{1,2})[ _-]?0*(\d{1,2})")
_YEAR = re.compile(r"(199|20[0-4])\d")
_MONTHS_OF_VISITS = frozenset({0, 1, 2, 3, 6, 9, 12, 18, 24, 30, 36, 48, 60, 72, 84, 96})
"""``12M`` may be a visit; ``45M`` is a man of 45 years."""

Span = tuple[int, int]


@dataclass(frozen=True)
class DatesFound:
    """Dates in a name.

    Attributes:
        visit: the one that is taken for the visit, ``2019-03-02``.
        spans: where dates stand that are no part of an id.
        early: where dates stand that are of birth if the rest of the id is a name.
        remarks: what may be read in two ways.
    """

    visit: str | None
    spans: tuple[Span, ...]
    early: tuple[Span, ...]
    remarks: tuple[str, ...] = ()


def iso_date(stored: str) -> str | None:
    """A date as DICOM stores it, ``20190302`` or ``2019.03.02``, as ``2019-03-02``."""
    digits = stored.replace(".", "").replace("-", "")
    if len(digits) != 8 or not digits.isascii() or not digits.isdigit():
        return None
    return _iso(int(digits[:4]), int(digits[4:6]), int(digits[6:]))


def find_dates(name: str) -> DatesFound:
    """Find the dates in a name; one behind a word such as "geb." is a part of the id."""
    remarks: list[str] = []
    found = _clear_dates(name)
    _add_short_dates(name, found, remarks)
    spans = sorted(span for span in found if not _is_birth(name, span))
    dates = list(dict.fromkeys(found[span] for span in spans if found[span]))
    if len(dates) > 1:
        # the first one is an id, or a date of birth
        remarks.append(f"the name has {len(dates)} dates; the last one was taken")
        spans = [span for span in spans if found[span] in ("", dates[-1])]
    early = [span for span in spans if found[span] and int(found[span][:4]) < _FIRST_FILM_YEAR]
    return DatesFound(dates[-1] if dates else None, tuple(spans), tuple(early), tuple(remarks))


def _clear_dates(name: str) -> dict[Span, str]:
    found: dict[Span, str] = {}
    for pattern, order in _DATES:
        for match in pattern.finditer(name):
            year, month, day = (int(match.groups()[i]) for i in order)
            made = _iso(year, month, day)
            if made and not _overlaps(match.span(), found):
                found[match.span()] = made
    for match in _MONTH_DATE.finditer(name):
        made = _iso(int(match[3]), known.MONTHS.get(plain(match[2]), 0), int(match[1]))
        if made and not _overlaps(match.span(), found):
            found[match.span()] = made
    return found


def _add_short_dates(name: str, found: dict[Span, str], remarks: list[str]) -> None:
    """Add dates such as 02-03-2019; blank where day and month may be exchanged."""
    for match in _SHORT_DATE.finditer(name):
        if _overlaps(match.span(), found):
            continue
        first, second, year = int(match[1]), int(match[3]), int(match[4])
        options = {_iso(year, second, first), _iso(year, first, second)} - {None}
        if len(options) == 1:
            found[match.span()] = options.pop() or ""
        elif options:
            found[match.span()] = ""
            remarks.append(
                f"{match[0]} may be two dates, and was not taken for a visit; write dates as "
                f"{year}-{second:02}-{first:02}"
            )


def _is_birth(name: str, span: Span) -> bool:
    before = name[: span[0]].rstrip(" ._-:(")
    word = re.search(r"[^\W\d_]+$", before)
    return before.endswith("*") or (word is not None and plain(word[0]) in known.BIRTH)


def find_visit(words: Sequence[Word], used: set[int], *, folder: bool) -> str | None:
    """A visit such as ``baseline``, ``week 12`` or ``V2``.

    A short one is no visit where it may be an id: as the first word of a film's name.

    Args:
        words: of a name.
        used: numbers of words that are something else; those of the visit are added.
        folder: the name is a folder's.
    """
    runs: dict[int, str] = {}
    for word in words:
        runs[word.run] = runs.get(word.run, "") + word.text
    for i, word in enumerate(words):
        if i in used:
            continue
        whole = runs[word.run]
        if whole == word.text and word.text in known.FIRST_VISITS:
            used.add(i)
            return "baseline" if word.text == "bl" else word.text
        if i + 1 == len(words):
            continue
        after = words[i + 1]
        together = whole == word.text + after.text
        apart = whole == word.text and runs[after.run] == after.text
        alone = all(j in used or j in (i, i + 1) for j in range(len(words)))
        free = alone if folder else i > 0
        visit = _word_and_number(word.text, after.text, together, apart, free)
        visit = visit or _number_and_unit(word.text, after.text, together, apart, free)
        if visit:
            used |= {i, i + 1}
            return visit
    return None


def _word_and_number(word: str, number: str, together: bool, apart: bool, free: bool) -> str | None:
    """``week 12``, ``V2``.

    Args:
        word: of a visit.
        number: what follows it.
        together: nothing is between them or beside them.
        apart: they are two words.
        free: whether a short one can be a visit at this place.
    """
    kind = known.VISIT_WORDS.get(word)
    if not kind or not number.isdigit():
        return None
    if len(word) <= 2:
        fits = together and len(number) <= 2 and free
    else:
        fits = (together or apart) and len(number) <= 3
    return f"{kind}-{int(number)}" if fits else None


def _number_and_unit(number: str, unit: str, together: bool, apart: bool, free: bool) -> str | None:
    """``12 months``, ``52wk``, ``12M``; arguments as above."""
    if not number.isdigit() or len(number) > 3 or not free:
        return None
    if unit == "m" and together and int(number) in _MONTHS_OF_VISITS:
        return f"month-{int(number)}"
    kind = known.UNITS.get(unit)
    return f"{kind}-{int(number)}" if kind and (together or apart) else None


def visit_alone(text: str) -> str | None:
    """The visit that an id such as ``V1``, ``M12`` or ``2019`` may be as well."""
    if _YEAR.fullmatch(text):
        return text
    match = _VISIT_ALONE.fullmatch(plain(text))
    kind = known.VISIT_WORDS.get(match[1]) if match else None
    # T1 is a usual name of test persons
    return f"{kind}-{int(match[2])}" if match and kind in ("visit", "week", "month") else None


def _iso(year: int, month: int, day: int) -> str | None:
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        return None
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return None


def _overlaps(span: Span, others: dict[Span, str]) -> bool:
    return any(span[0] < end and start < span[1] for start, end in others)
