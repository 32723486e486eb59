"""One patient's scores as one picture: totals, all scores, reasons, model and notice."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image, ImageDraw, ImageFont

from mandora.core.anatomy import FAMILIES, Damage, Limb, Side
from mandora.core.records import REASON_TEXT, JointScore, Status, StudyResult
from mandora.outputs.report_totals import Card, total_cards

_WIDTH, _LINE, _LEFT = 1100, 27, 40
_TITLE_PX, _TEXT_PX = 30, 19
_GROUND, _INK, _PALE, _RULE = (255, 255, 255), (20, 24, 28), (96, 104, 110), (205, 210, 214)
_COLUMNS = tuple((side, kind) for side in Side for kind in (Damage.NARROWING, Damage.EROSION))
_COLUMN_X = (470, 620, 790, 940)  # where the numbers begin


def draw_summary(result: StudyResult) -> Image.Image:
    """Draw the page; nothing on it identifies the patient.

    Args:
        result: the record.

    Returns:
        RGB, 1100 px wide.
    """
    lines = list(_lines(result))
    page = Image.new("RGB", (_WIDTH, (len(lines) + 2) * _LINE), _GROUND)
    draw = ImageDraw.Draw(page)
    for i, line in enumerate(lines):
        y = (i + 1) * _LINE
        for x, words, colour, size in line:
            draw.text((x, y), words, fill=colour, font=ImageFont.load_default(size))
        if line and line[0][3] == _TITLE_PX:
            draw.line((_LEFT, y + 38, _WIDTH - _LEFT, y + 38), fill=_RULE, width=2)
    return page


_Piece = tuple[int, str, tuple[int, int, int], int]  # x, words, colour, size
_Line = list[_Piece]


def _lines(result: StudyResult) -> Iterator[_Line]:
    yield _title("Sharp/van der Heijde scores")
    yield []
    yield _words(result.notice)
    yield []
    for card in total_cards(result):
        yield _words(_total(card), _INK)
    notes = _notes(result)
    for limb in Limb:
        if any(s.limb is limb and s.score is not None for s in result.scores):
            yield []
            yield from _table(result, limb, notes)
    if notes:
        yield []
    for reason, letter in notes.items():
        yield _words(f"{letter}  not scored: {reason}")
    yield []
    model = result.model
    yield _words(
        f"model {model.bundle} {model.bundle_version}, mandora {model.software.get('mandora', '')}"
    )
    yield _words(f"sha256 {model.bundle_sha256}")


def _table(result: StudyResult, limb: Limb, notes: dict[str, str]) -> Iterator[_Line]:
    scores = {(s.site, s.side, s.kind): s for s in result.scores if s.limb is limb}
    yield _title("Hands" if limb is Limb.HAND else "Feet")
    heads = [
        f"{side.word} {kind.value[0].upper()} 0 to {FAMILIES[limb, kind][0].maximum}"
        for side, kind in _COLUMNS
    ]
    yield []
    yield [
        (_LEFT, "N narrowing, E erosion (interval)", _PALE, _TEXT_PX),
        *((x, head, _PALE, _TEXT_PX) for x, head in zip(_COLUMN_X, heads, strict=True)),
    ]
    for name in dict.fromkeys(s.name for kind in Damage for s in FAMILIES[limb, kind]):
        cells = [_cell(scores.get((name, side, kind)), notes) for side, kind in _COLUMNS]
        yield [
            (_LEFT, name.upper(), _INK, _TEXT_PX),
            *((x, cell, _INK, _TEXT_PX) for x, cell in zip(_COLUMN_X, cells, strict=True)),
        ]


def _cell(score: JointScore | None, notes: dict[str, str]) -> str:
    if score is None:  # SvH has no such score
        return ""
    if score.score is None:
        return f"-  {notes[REASON_TEXT[score.reason]]}" if score.reason else "-"
    if score.low is None or score.high is None:
        return f"{score.score:.1f}"
    # the font has no dash
    grades = f"{score.low:g}" if score.low == score.high else f"{score.low:g}-{score.high:g}"
    return f"{score.score:.1f}  ({grades})"


def _notes(result: StudyResult) -> dict[str, str]:
    """A letter for each reason that occurs, by the reason in words."""
    reasons = dict.fromkeys(
        REASON_TEXT[s.reason] for s in result.scores if s.reason and s.status is not Status.SCORED
    )
    return {reason: chr(ord("a") + i) for i, reason in enumerate(reasons)}


def _total(card: Card) -> str:
    if card.value is None:
        return f"{card.title}: {card.text}"
    interval = f", interval {card.interval}" if card.interval else ""
    return f"{card.title}: {card.value:.1f} of {card.maximum}{interval}. {card.text}"


def _title(words: str) -> _Line:
    return [(_LEFT, words, _INK, _TITLE_PX)]


def _words(words: str, colour: tuple[int, int, int] = _PALE) -> _Line:
    return [(_LEFT, words, colour, _TEXT_PX)]
