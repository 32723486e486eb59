"""The report: one patient's result as one HTML file without scripts or other files."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jinja2
from PIL import Image

from mandora.core.anatomy import (
    FAMILIES,
    LANDMARKS,
    SLOTS,
    Damage,
    Limb,
    Side,
    Slot,
    Target,
    target,
)
from mandora.core.findings import Check, Outcome
from mandora.core.records import REASON_TEXT, JointScore, StudyResult
from mandora.outputs.report_totals import total_cards, totals_table, why_no_overall

# at these sizes four noisy films still make a report of less than 3 MB
_OVERLAY_BYTES = 400_000
_STEPS = ((85, 1.0), (75, 1.0), (65, 1.0), (60, 0.75), (50, 0.5))  # quality, scale
_CROP_QUALITY = 85

_COLUMNS = tuple((side, kind) for side in Side for kind in (Damage.NARROWING, Damage.EROSION))

Crops = Mapping[str, Mapping[str, Image.Image]]
"""By film name, then by landmark name: see :func:`mandora.outputs.crops.joint_crops`."""


def render_report(
    result: StudyResult,
    overlays: Mapping[str, Image.Image],
    crops: Crops,
    created: str | None = None,
) -> str:
    """Write one patient's report.

    Args:
        result: the record.
        overlays: by film name; films without one are only listed.
        crops: evidence by film and landmark name; scores without a crop are not links.
        created: time of the computation, as printed; left out if not given.

    Returns:
        HTML with every picture embedded. Equal arguments give equal text.
    """
    evidence = _evidence(result, crops)
    linked = {joint.anchor for group in evidence for joint in group.joints}
    tables = [_table(result, limb, linked) for limb in Limb]
    return _template().render(
        result=result,
        created=created,
        cards=total_cards(result),
        no_overall=why_no_overall(result),
        totals=totals_table(result),
        figures=_figures(result, overlays),
        tables=tables,
        notes=_notes(result),
        evidence=evidence,
        reasons={reason.value: text for reason, text in REASON_TEXT.items()},
        films=[(Slot(f.side, f.limb).title, f) for f in result.films],
        told=_told(result),
        quality=_quality(result),
    )


@dataclass(frozen=True)
class _Quality:
    """The findings on the films of a patient.

    Attributes:
        summary: how many checks ended how.
        titles: of the films.
        rows: each check and its outcome on each film.
    """

    summary: str
    titles: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def _quality(result: StudyResult) -> _Quality | None:
    """The findings; None for records of before schema 1.5, which have none."""
    made = [{f.check: f.outcome for f in film.findings} for film in result.films]
    count = Counter(outcome for film in made for outcome in film.values())
    if not count:
        return None
    words = {"pass": "passed", "fixed": "fixed", "warn": "to look at", "refuse": "refused"}
    summary = ", ".join(f"{count[o]} {words[o.value]}" for o in Outcome if count[o])
    total = sum(count.values())
    return _Quality(
        f"{total} {'check' if total == 1 else 'checks'}, {summary}",
        tuple(Slot(film.side, film.limb).title for film in result.films),
        tuple(
            (check.value, tuple(film[check].value if check in film else "–" for film in made))
            for check in Check if any(check in film for film in made)
        ),
    )  # fmt: skip


def _told(result: StudyResult) -> list[tuple[str, str, list[str]]]:
    """What is said of each film at the top: why it was refused, and remarks."""
    told = []
    for film in result.films:
        reason = [REASON_TEXT[film.reason]] if film.reason else []
        lines = [*reason, *([film.detail] if film.detail else []), *film.told]
        if lines:
            told.append((Slot(film.side, film.limb).title, film.name, lines))
    return told


@dataclass(frozen=True)
class _Cell:
    """A score in the table; ``score`` is None if it is missing, for the reason in words."""

    score: float | None
    grade: int | None
    heat: int  # 0..10, tenths of the maximum
    reason: str | None
    note: str  # the footnote's letter
    anchor: str | None
    label: str  # for screen readers


@dataclass(frozen=True)
class _Row:
    name: str
    title: str
    cells: tuple[_Cell | None, ...]  # None where SvH has no such score


@dataclass(frozen=True)
class _Table:
    limb: str
    columns: tuple[tuple[str, str, int], ...]  # side, kind, maximum
    rows: tuple[_Row, ...]


@dataclass(frozen=True)
class _EvidenceJoint:
    anchor: str
    name: str
    title: str
    image: str
    scores: tuple[str, ...]


@dataclass(frozen=True)
class _EvidenceGroup:
    title: str
    joints: tuple[_EvidenceJoint, ...]


def _notes(result: StudyResult) -> dict[str, str]:
    """A footnote letter for each reason that occurs, by the reason in words."""
    reasons = dict.fromkeys(REASON_TEXT[s.reason] for s in result.scores if s.reason)
    return {reason: chr(ord("a") + i) for i, reason in enumerate(reasons)}


def _anchor(slot: Slot, landmark: str) -> str:
    return f"joint-{slot.code}-{landmark}"


def _table(result: StudyResult, limb: Limb, linked: set[str]) -> _Table:
    scores = {s.target: s for s in result.scores}
    notes = _notes(result)
    families = {kind: {s.name: s for s in FAMILIES[limb, kind]} for kind in Damage}
    rows = []
    for name in _site_names(limb):
        cells: list[_Cell | None] = []
        for side, kind in _COLUMNS:
            site = families[kind].get(name)
            if site is None:
                cells.append(None)
            else:
                wanted = Target(side, site)
                cells.append(_cell(scores[wanted.key], wanted, notes, linked))
        some = families[Damage.EROSION].get(name) or families[Damage.NARROWING][name]
        # the navicular is looked up at the radiocarpal joint but is a bone of its own
        title = "navicular (scaphoid)" if name != some.landmark_name else some.landmark.title
        rows.append(_Row(name, title, tuple(cells)))
    columns = tuple(
        (side.word, kind.value, FAMILIES[limb, kind][0].maximum) for side, kind in _COLUMNS
    )
    return _Table(limb.value, columns, tuple(rows))


def _site_names(limb: Limb) -> list[str]:
    """The sites of both kinds in one list, erosion's order first: it has the bones."""
    both = (*FAMILIES[limb, Damage.EROSION], *FAMILIES[limb, Damage.NARROWING])
    return list(dict.fromkeys(s.name for s in both))


def _cell(score: JointScore, of: Target, notes: Mapping[str, str], linked: set[str]) -> _Cell:
    reason = REASON_TEXT[score.reason] if score.reason else None
    anchor = _anchor(of.slot, of.site.landmark_name)
    return _Cell(
        score=score.score,
        grade=score.grade,
        heat=0 if score.score is None else round(10 * score.score / score.maximum),
        reason=reason,
        note=notes[reason] if reason else "",
        anchor=anchor if anchor in linked else None,
        label=f"{of.side.word} {of.site.name} {of.damage}",
    )


def _figures(result: StudyResult, overlays: Mapping[str, Image.Image]) -> list[dict[str, Any]]:
    figures: list[dict[str, Any]] = []
    for slot in SLOTS:
        for film in result.films:
            if Slot(film.side, film.limb) == slot and film.name in overlays:
                here = [s for s in result.scores if s.film == film.name and s.score is not None]
                alt = f"{slot.title}, {film.name}: boxes, joint spaces and scores of {len(here)} "
                figures.append(
                    {
                        "anchor": f"film-{len(figures) + 1}",
                        "title": slot.title,
                        "name": film.name,
                        "image": _overlay_uri(overlays[film.name]),
                        "alt": alt + "joint scores; the same numbers are in the tables below",
                    }
                )
    return figures


def _evidence(result: StudyResult, crops: Crops) -> list[_EvidenceGroup]:
    groups = []
    for slot in SLOTS:
        by_landmark: dict[str, list[JointScore]] = {}
        for s in result.scores:
            if (s.side, s.limb) == (slot.side, slot.limb) and s.film in crops:
                by_landmark.setdefault(target(s.target).site.landmark_name, []).append(s)
        joints = tuple(
            _EvidenceJoint(
                anchor=_anchor(slot, landmark.name),
                name=landmark.name,
                title=landmark.title,
                image=_crop_uri(crops[found[0].film or ""][landmark.name]),
                scores=tuple(_score_words(s, landmark.name) for s in found),
            )
            for landmark in LANDMARKS[slot.limb]
            if (found := _narrowing_first(by_landmark.get(landmark.name, ())))
            and landmark.name in crops[found[0].film or ""]
        )
        if joints:
            groups.append(_EvidenceGroup(slot.title, joints))
    return groups


def _narrowing_first(scores: Sequence[JointScore]) -> list[JointScore]:
    return sorted(scores, key=lambda s: s.kind is Damage.EROSION)


def _score_words(score: JointScore, landmark: str) -> str:
    what = score.kind.value if score.site == landmark else f"{score.site} {score.kind}"
    if score.score is None:
        return f"{what}: –"
    interval = "" if score.low is None else _interval_words(score.low, score.high)
    return f"{what} {score.score:.2f}{interval}, grade {score.grade} of {score.maximum}"


def _interval_words(low: float, high: float | None) -> str:
    """(0–2) for a set of grades, (1) for a single one."""
    if high is None or low == high:
        return f" ({low:g})"
    return f" ({low:g}–{high:g})"


def _overlay_uri(image: Image.Image) -> str:
    for quality, scale in _STEPS:
        size = round(image.width * scale), round(image.height * scale)
        data = _jpeg(image if scale == 1 else image.resize(size), quality)
        if len(data) <= _OVERLAY_BYTES:
            break
    return _data_uri(data)


def _crop_uri(image: Image.Image) -> str:
    return _data_uri(_jpeg(image, _CROP_QUALITY))


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()


def _data_uri(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


@lru_cache(maxsize=1)
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mandora.outputs", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")
