"""A structured report of mandora, read back to the record that it was written from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from mandora.core import coding
from mandora.core.anatomy import TARGETS, Damage, Target
from mandora.core.coding import CodedTerm
from mandora.core.errors import InputError
from mandora.core.files import AnyPath
from mandora.core.records import (
    REASON_TEXT,
    FilmRecord,
    JointScore,
    ModelInfo,
    Reason,
    Record,
    Status,
    StudyResult,
    Total,
)

_REASONS = {coding.reason_code(reason, text).value: reason for reason, text in REASON_TEXT.items()}
_STATUS = {coding.reason_code(status, status).value: status for status in Status}
_SCORES = {
    coding.score_code(kind, field).value: (kind, field)
    for kind in Damage
    for field in coding.SCORE_FIELDS
}
_PLACES = {code.value: field for field, code in coding.PLACE_FIELDS.items()}
_IMAGING_MEASUREMENTS, _GROUP = "126010", "125007"
_TRACKING, _FINDING, _COMMENT = "112039", "121071", "121106"


def read_structured_report(path: AnyPath) -> StudyResult:
    """Read a structured report that ``mandora score --dicom`` has written.

    Args:
        path: of the file.

    Returns:
        The record that it was written from, but for its ``locations``: a report gives the places
        of scores only.

    Raises:
        InputError: if the file is no such report.
    """
    try:
        with Path(path).open("rb") as file:
            report = dcmread(file)
        groups = list(_groups(report))
    except (InvalidDicomError, OSError, ValueError, AttributeError) as error:
        raise InputError(f"{path} cannot be read as a DICOM structured report: {error}") from error
    if not any(kind == coding.MODEL.value for kind, _, _ in groups):
        raise InputError(
            f"{path} is not a structured report of mandora; give an SR.dcm that "
            "`mandora score --dicom` has written"
        )
    try:
        return _result(groups, _notice(report))
    except (ValidationError, KeyError, ValueError) as error:
        raise InputError(f"{path} is not a whole report of mandora: {error}") from error


Values = dict[str, Any]
"""By code: numbers, texts, or codes of the scheme."""


def _groups(report: Dataset) -> Iterator[tuple[str, str, Values]]:
    """Of each measurement group what it is about, its name and its values."""
    for part in report.ContentSequence:
        if _name(part) != _IMAGING_MEASUREMENTS:
            continue
        for group in part.ContentSequence:
            if _name(group) != _GROUP:
                continue
            values = {_name(item): _value(item) for item in group.ContentSequence}
            yield str(values.get(_FINDING, "")), str(values.get(_TRACKING, "")), values


def _name(item: Dataset) -> str:
    named = item.get("ConceptNameCodeSequence")
    return str(named[0].CodeValue) if named else ""


def _value(item: Dataset) -> Any:
    if item.ValueType == "NUM":
        measured = item.MeasuredValueSequence[0]
        exact = measured.get("FloatingPointValue")
        return int(measured.NumericValue) if exact is None else float(exact)
    if item.ValueType == "CODE":
        return str(item.ConceptCodeSequence[0].CodeValue)
    return str(item.get("TextValue", ""))


def _notice(report: Dataset) -> str:
    return next(str(i.TextValue) for i in report.ContentSequence if _name(i) == _COMMENT)


def _result(groups: Iterable[tuple[str, str, Values]], notice: str) -> StudyResult:
    sites: dict[str, Values] = {}
    totals, films, model, head = [], [], None, None
    for kind, name, values in groups:
        if kind in (coding.SITE_ASSESSMENT.value, coding.SITE_WITHOUT_FILM.value):
            sites[name] = values
        elif kind == coding.TOTAL.value:
            totals.append(Total.model_validate(_fields(Total, coding.TOTAL, values)))
        elif kind == coding.FILM.value:
            films.append(FilmRecord.model_validate(_fields(FilmRecord, coding.FILM, values)))
        elif kind == coding.MODEL.value:
            model = ModelInfo.model_validate(_fields(ModelInfo, coding.MODEL, values))
        elif kind == coding.PATIENT.value:
            head = _fields(StudyResult, coding.PATIENT, values)
    if model is None or head is None:
        raise ValueError("it does not say which model or patient it is of")
    by_slot = {f"{f.side}{f.limb.upper()[0]}": f for f in films}
    scores = [_score(t, sites.get(t.joint), by_slot.get(t.slot.code)) for t in TARGETS]
    return StudyResult(
        **head, notice=notice, films=tuple(films), locations=(), scores=tuple(scores),
        totals=tuple(totals), model=model,
    )  # fmt: skip


def _fields(record: type[Record], kind: CodedTerm, values: Values) -> dict[str, Any]:
    found = {}
    for name in record.model_fields:
        value = values.get(coding.field_code(kind, name).value)
        if isinstance(value, str) and value[:1] in ("[", "{"):
            value = json.loads(value)
        if value is not None:
            found[name] = value
    return found


def _score(target: Target, values: Values | None, film: FilmRecord | None) -> JointScore:
    shared = {
        "target": target.key, "side": target.side, "limb": target.limb,
        "site": target.site.name, "kind": target.damage, "maximum": target.maximum,
    }  # fmt: skip
    if values is None:
        return JointScore(**shared, status=Status.MISSING, reason=Reason.FILM_MISSING)
    found: dict[str, Any] = {"film": film.name if film else None, "status": Status.SCORED}
    for code, value in values.items():
        if code in _PLACES:
            found[_PLACES[code]] = value
        kind, field = _SCORES.get(code, (None, ""))
        if kind is target.damage:
            names: dict[str, dict[str, Any]] = {"reason": _REASONS, "status": _STATUS}
            found[field] = names[field][value] if field in names else value
    return JointScore(**shared, **found)
