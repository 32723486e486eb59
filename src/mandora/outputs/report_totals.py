"""The totals of a report: the largest ones in large print, and a table by limb and side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mandora.core.anatomy import Damage, Limb, Side
from mandora.core.records import REASON_TEXT, StudyResult, Total
from mandora.core.totals import PARTS, TOTALS, Part, TotalOf, largest_parts

_SIDES: tuple[Side | None, ...] = (*Side, None)
_OVERALL = {None: "Overall", Damage.EROSION: "Erosion", Damage.NARROWING: "Narrowing"}


@dataclass(frozen=True)
class Card:
    """One total in large print."""

    title: str
    value: float | None
    maximum: int
    interval: str | None
    text: str  # how it was made, or why there is none
    flagged: bool


@dataclass(frozen=True)
class Cell:
    """One total in the table; ``value`` is None if it is missing, for the reason in words."""

    value: float | None
    maximum: int
    interval: str | None
    mark: str  # * if pro-rated, the footnote's number if missing
    title: str  # for screen readers


@dataclass(frozen=True)
class TotalsTable:
    """Rows are limbs; columns are kinds of damage, and the sides in each.

    Attributes:
        kinds: headings of the groups of columns.
        sides: headings of the columns of each group.
        rows: the limb and its cells, in the order of the columns.
        notes: why totals are missing, by the number in the cells.
        pro_rated: whether any is.
        intervals: whether any has one.
    """

    kinds: tuple[str, ...]
    sides: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    notes: Mapping[str, str]
    pro_rated: bool
    intervals: bool


def total_cards(result: StudyResult) -> list[Card]:
    """The totals of the largest parts of the patient that have any.

    Those of all joints where there are; of a patient with hands only, those of the hands.
    """
    by_name = {total.name: total for total in result.totals}
    known = {of.part for of in TOTALS if of.name in by_name and by_name[of.name].value is not None}
    shown = largest_parts(known) or (Part(),)
    return [
        _card(of, by_name[of.name])
        for part in shown
        for of in TOTALS
        if of.part == part and of.name in by_name
    ]


def why_no_overall(result: StudyResult) -> str | None:
    """Why there is no total of all joints, in words; None if there is any."""
    overall = [total for total in result.totals if total.limb is None and total.side is None]
    if any(total.value is not None for total in overall):
        return None
    return next(iter(_reasons(overall)), None)


def totals_table(result: StudyResult) -> TotalsTable | None:
    """The totals by limb and side; None for records of before schema 1.4, which have none."""
    by_name = {total.name: total for total in result.totals}
    if any(of.name not in by_name for of in TOTALS):
        return None
    reasons = dict.fromkeys(_reasons(result.totals))
    notes = {reason: str(n) for n, reason in enumerate(reasons, start=1)}
    kinds = tuple(of.kind for of in TOTALS if of.part == PARTS[0])
    limbs: tuple[Limb | None, ...] = (*Limb, None)
    rows = []
    for limb in limbs:
        wanted = [TotalOf(Part(limb, side), kind) for kind in kinds for side in _SIDES]
        cells = tuple(_cell(of, by_name[of.name], notes) for of in wanted)
        rows.append((Part(limb).title, cells))
    return TotalsTable(
        kinds=tuple(_OVERALL[kind].lower() for kind in kinds),
        sides=tuple(side.word if side else "both" for side in _SIDES),
        rows=tuple(rows),
        notes={number: reason for reason, number in notes.items()},
        pro_rated=any(total.method == "pro-rated" for total in result.totals),
        intervals=any(total.low is not None for total in result.totals),
    )


def _card(of: TotalOf, total: Total) -> Card:
    counted = f"{total.scored} of {total.expected} scores"
    if total.value is None:
        why = _reason(total)
        text = f"Not given: {why}. {counted}; they add up to {total.observed:.1f}."
    elif total.method == "pro-rated":
        text = f"Pro-rated: {counted} add up to {total.observed:.1f}, scaled up for the missing."
    else:
        text = f"Complete: {counted}."
    kind = _OVERALL[of.kind]
    return Card(
        title=kind if of.part == Part() else f"{of.part.title.capitalize()}, {kind.lower()}",
        value=total.value,
        maximum=total.maximum,
        interval=_interval(total, " to "),
        text=text,
        flagged=total.value is None or total.method == "pro-rated",
    )


def _cell(of: TotalOf, total: Total, notes: Mapping[str, str]) -> Cell:
    title = f"{of.part.title}, {_OVERALL[of.kind].lower()}: {total.scored} of {total.expected}"
    mark = "*" if total.method == "pro-rated" else ""
    if total.value is None:
        mark = notes[_reason(total)]
    return Cell(total.value, total.maximum, _interval(total, "–"), mark, f"{title} scores")


def _interval(total: Total, between: str) -> str | None:
    return None if total.low is None else f"{total.low:.0f}{between}{total.high:.0f}"


def _reasons(totals: Iterable[Total]) -> list[str]:
    return [_reason(total) for total in totals if total.value is None]


def _reason(total: Total) -> str:
    words = REASON_TEXT[total.reason] if total.reason else "not enough joints were scored"
    return total.detail or words
