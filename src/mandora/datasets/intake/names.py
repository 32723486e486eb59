"""Patient, visit, limb and side from the names of files and folders.

A name in mandora's own form, ``<patient>-LH.jpg``, is taken as it is: all before the last hyphen
is the patient's id. Other names are cut into words. Dates, words for limb, side and visit, and
words that say nothing are recognised; what stands before them is the patient's id.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mandora.core.anatomy import SLOTS, Limb, Slot
from mandora.core.limb_texts import MOST_COUNTED, compound, find_limb, words_of
from mandora.core.limb_words import CODES, Sides, plain
from mandora.datasets.intake import vocabulary as known
from mandora.datasets.intake.rows import Facts
from mandora.datasets.intake.visits import Span, find_dates, find_visit

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
_SHORT_END = re.compile(  # after an id with a digit, behind which no initial of a person stands
    r"(?P<id>.*\d)[-_ .]+((?P<limb>[hf])[-_ ]?)?(?P<side>[lr])([-_ ](?P<limb_after>[hf]))?"
    r"([-_ ]?\d)?",
    re.IGNORECASE,
)
_LETTERS = {"l": Sides.LEFT, "r": Sides.RIGHT}
_LEAST_CODE = 3  # letters and digits; fewer count films
_COPY_MARK = re.compile(r"\s*\(\d{1,3}\)\s*$")
_COPY_OF = re.compile(r"(copy of|kopie von|copie de|copia de|copia di|kopie van)\s+", re.I)
_CAMERA = re.compile(  # names that telephones give: date, time and a number
    r"(img|pxl|mvimg|dsc|screenshot|bildschirmfoto|whatsapp image)[-_ ](?P<date>\d{8}|\d{4}-\d\d-"
    r"\d\d)([-_ ]+(\d{6,9}|wa\d+|((at|um) )?\d{1,2}[-.]\d\d[-.]\d\d( [ap]m)?))?(?=$|[-_ .~])",
    re.IGNORECASE,
)

_VIEW = re.compile(r"(?<![^\W_])([apd])\.([apv])\.?(?![^\W_])", re.IGNORECASE)  # p.a.


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
    stem = _COPY_MARK.sub("", _COPY_OF.sub("", stem, count=1)).strip()
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
    stem = stem_of(_composed(name))
    if own := _OWN_FORM.fullmatch(stem):
        slot = Slot.parse(own["slot"])
        facts = Facts(own["patient"].strip(), None, slot.limb, Sides.of(slot.side))
        return NameFacts(facts, own_form=True)
    if _UID.fullmatch(stem) or stem.lower() in _LETTERS:
        return NameFacts(Facts(sides=_LETTERS.get(stem.lower())))
    stem = _VIEW.sub(r"\1\2", _CAMERA.sub(r"\g<date>", stem))
    said = _Reading(stem).facts(folder=False)
    if said.facts.limb is None and said.facts.sides is None and (end := _SHORT_END.fullmatch(stem)):
        return _with_short_end(end)
    return said


def _with_short_end(end: re.Match[str]) -> NameFacts:
    """What a name such as ``P1_HL``, ``P1_F_R`` or ``P1_L`` says."""
    said = _Reading(end["id"]).facts(folder=False)
    letter = (end["limb"] or end["limb_after"] or "").lower()
    limb = {"h": Limb.HAND, "f": Limb.FOOT}.get(letter)
    sides = _LETTERS[end["side"].lower()]
    shown = f"{sides} {limb}" if limb else f"the {sides} side"
    remarks = (*said.facts.remarks, f"the end of its name was taken for {shown}")
    return replace(said, facts=replace(said.facts, limb=limb, sides=sides, remarks=remarks))


def read_folder(name: str) -> Facts:
    """What a folder's name says; it names no patient if it is a word such as ``films``."""
    if _UID.fullmatch(name):
        return Facts()
    if (side := _LETTERS.get(name.lower())) is not None:
        return Facts(sides=side)
    name = _composed(name)
    bare = _COPY_MARK.sub("", name)
    if bare != name and plain(bare) not in known.TITLES:  # "New folder (2)" names nobody
        facts = _Reading(bare).facts(folder=True).facts
        if facts.patient is None:
            return facts
    return _Reading(name).facts(folder=True).facts


def side_folder(name: str) -> Sides | None:
    """The side that a folder in a patient's folder is; ``Li`` and ``Re`` are names of people."""
    return {"li": Sides.LEFT, "re": Sides.RIGHT}.get(name.lower()) if name != name.title() else None


def _composed(name: str) -> str:
    # the same name is written in two ways, an umlaut as one letter (Windows) or as two (macOS)
    return unicodedata.normalize("NFC", name)


class _Reading:
    """One name cut into words, of which more and more are understood."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._words = words_of(name)
        self._used: set[int] = set()

    def facts(self, *, folder: bool) -> NameFacts:
        dates = find_dates(self._name)
        dated = self._within(dates.spans)
        self._used = set(dated)
        found = find_limb(self._words, self._used, plural_is_both=not folder)
        self._used |= found.used
        named = find_visit(self._words, self._used, folder=folder)
        patient, visit = self._patient(), dates.visit
        remarks = [*dates.remarks, *found.remarks]
        if dates.early and patient and not any(c.isdigit() for c in patient):
            # people of one surname would become one patient
            self._used -= self._within(dates.early)
            patient, visit = self._patient(), None
            remarks.append(
                "a date before 1990 was taken for a date of birth and is a part of the patient's "
                "id; if it is the film's, say so in a manifest"
            )
        facts = Facts(
            patient or None, visit or named, found.limb, found.sides, tuple(remarks)
        )  # fmt: skip
        only_date = not patient and bool(dated)
        return NameFacts(facts, number_only=patient.isdigit(), date_only=only_date)

    def _within(self, spans: Sequence[Span]) -> set[int]:
        return {
            i
            for i, word in enumerate(self._words)
            if any(start <= word.start and word.end <= end for start, end in spans)
        }

    def _patient(self) -> str:
        """What stands before all that was understood; else a number or code after it."""
        runs: dict[int, list[int]] = {}
        for i, word in enumerate(self._words):
            runs.setdefault(word.run, []).append(i)
        blocks: list[list[int]] = [[]]  # of runs that nothing separates
        noise: list[int] = []
        for run, words in runs.items():
            if self._is_understood(words):
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
        codes = (t for t in later if any(c.isdigit() for c in t) and len(t) >= _LEAST_CODE)
        code = next(codes, "")
        if first and code and not any(c.isdigit() for c in first):
            return f"{first} {code}"  # of a hospital and a patient, or of a person and a film
        return first or code

    def _is_understood(self, words: Sequence[int]) -> bool:
        """Whether all is; a short number behind a word for the film counts films: ``RFoot2``."""
        *others, last = words
        number = self._words[last].text
        if len(others) == 1 and number.isdigit() and int(number) <= MOST_COUNTED:
            code = self._words[others[0]].text  # HAND01 may be an id
            if code in CODES or compound(code) is not None:
                return others[0] in self._used
        return all(i in self._used for i in words)

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
        is_views = len(text) == 1 and self._run_text(run + 1) in known.SEVERAL_VIEWS
        return text.isdigit() and (before in known.COUNTED or is_views)

    def _run_text(self, run: int) -> str:
        return "".join(word.text for word in self._words if word.run == run)

    def _text(self, block: Sequence[int], runs: dict[int, list[int]]) -> str:
        if not block:
            return ""
        start = self._words[runs[block[0]][0]].start
        end = self._words[runs[block[-1]][-1]].end
        end += "(" in self._name[start:end] and self._name[end : end + 1] == ")"
        text = self._name[start:end].strip()
        return "" if plain(text) in known.TITLES else text


def _split(name: str) -> tuple[str, str]:
    stem, dot, suffix = name.rpartition(".")
    return (stem, suffix) if stem and dot and FILM_SUFFIXES.fullmatch("." + suffix) else (name, "")
