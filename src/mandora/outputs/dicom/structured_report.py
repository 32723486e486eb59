"""The structured report of a patient: Comprehensive SR after template TID 1500.

One report for all films, as readers expect: a patient's total is a sum over hands and feet. It
holds one measurement group for each site (with its outline on the film), for each total, each film,
the model and the record, so that :mod:`mandora.outputs.dicom.read_back` gets the same record back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from highdicom import coding_schemes
from highdicom.sr import (
    AlgorithmIdentification,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    ImageRegion,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    SourceImageForRegion,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from mandora.core import coding
from mandora.core.anatomy import target
from mandora.core.coding import MANUFACTURER, CodedTerm
from mandora.core.records import REASON_TEXT, JointScore, Record, Status
from mandora.outputs.dicom.outlines import outline_on
from mandora.outputs.dicom.series import Patient, derived_uid, model_name
from mandora.outputs.dicom.source import SourceFilm
from mandora.outputs.dicom.terms import DEGREES, NO_UNIT, PIXELS, POINTS, concept

_UNITS = {"x": PIXELS, "y": PIXELS, "half_px": PIXELS, "turn_deg": DEGREES}
Group = PlanarROIMeasurementsAndQualitativeEvaluations | MeasurementsAndQualitativeEvaluations


def structured_report(patient: Patient) -> ComprehensiveSR:
    """The report of all films of a patient, filed in the study of the first."""
    sites = list(_sites(patient))
    whole = _content(patient, [*(group for _, group in sites), *_records(patient)])
    # highdicom copies its content and searches it several times, which takes most of the time. It
    # gets one site of each film, which refers to the film, and the document the whole afterwards.
    brief = _content(patient, list(dict(reversed(sites)).values()))
    report = ComprehensiveSR(
        # a film of both hands is there twice
        evidence=list({f.header.SOPInstanceUID: f.header for f in patient.films}.values()),
        content=brief,
        is_complete=True,
        coding_schemes=[
            coding_schemes.CodingSchemeIdentificationItem(
                coding.SCHEME,
                coding.SCHEME_NAME,
                uid=coding.SCHEME_UID,
                responsible_organization=coding.SCHEME_OWNER,
            )
        ],
        **patient.shared("SR", patient.films[0]),
    )
    (scheme,) = report.CodingSchemeIdentificationSequence
    scheme.CodingSchemeUID = coding.SCHEME_UID  # highdicom takes it of registered schemes only
    report.ContentSequence = whole[0].ContentSequence
    return report


def _content(patient: Patient, groups: Sequence[Group]) -> MeasurementReport:
    content = MeasurementReport(
        observation_context=_observer(patient),
        procedure_reported=codes.cid100.ImagingProcedure,
        imaging_measurements=groups,
        title=codes.cid7021.ImagingMeasurementReport,
    )
    content[0].ContentSequence.append(_text(codes.DCM.Comment, patient.result.notice))
    return content


def _observer(patient: Patient) -> ObservationContext:
    model = patient.result.model
    device = DeviceObserverIdentifyingAttributes(
        uid=derived_uid("model", model.bundle_sha256),
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=model_name(model),
    )
    context = ObserverContext(
        observer_type=codes.DCM.Device, observer_identifying_attributes=device
    )
    return ObservationContext(observer_device_context=context)


def _algorithm(patient: Patient) -> AlgorithmIdentification:
    model = patient.result.model
    return AlgorithmIdentification(
        name=model.bundle, version=model.bundle_version,
        parameters=[f"sha256={model.bundle_sha256}"], manufacturer=MANUFACTURER,
    )  # fmt: skip


# ── sites ────────────────────────────────────────────────────────────────────────────────


def _sites(patient: Patient) -> Iterator[tuple[str, Group]]:
    """Slot and group of each site of the limbs of which a film was given."""
    films = {film.record.name: film for film in patient.films}
    by_joint: dict[str, list[JointScore]] = {}
    for score in patient.result.scores:
        if score.film is not None or score.status is not Status.MISSING:
            by_joint.setdefault(score.target.split(":")[0], []).append(score)
    for joint, scores in by_joint.items():
        slot = joint.split("-")[0]
        yield slot, _site(patient, joint, scores, films.get(scores[0].film or ""))


def _site(
    patient: Patient, joint: str, scores: Sequence[JointScore], film: SourceFilm | None
) -> Group:
    some = scores[0]
    place = FindingSite(
        anatomic_location=concept(coding.place_code(some.limb, some.site)),
        laterality=concept(coding.SIDE_CODES[some.side]),
        topographical_modifier=concept(coding.site_code(some.limb, some.site)),
    )
    finding = coding.SITE_ASSESSMENT if film else coding.SITE_WITHOUT_FILM
    shared: dict[str, Any] = {
        "tracking_identifier": _tracking(patient, joint),
        "finding_type": concept(finding),
        "finding_sites": [place],
        "measurements": [*_score_values(scores), *_place_values(some)],
        "qualitative_evaluations": list(_why_missing(scores)),
    }
    if film is None:
        return MeasurementsAndQualitativeEvaluations(**shared)
    seen = patient.seen(film, target(some.target).site.landmark_name)
    corners = outline_on(film, seen.box) if seen else None
    if corners is None:
        image = SourceImageForMeasurementGroup.from_source_image(film.header)
        return MeasurementsAndQualitativeEvaluations(**shared, source_images=[image])
    region = ImageRegion(
        graphic_type="POLYLINE",
        graphic_data=np.vstack([corners, corners[:1]]),
        source_image=SourceImageForRegion.from_source_image(film.header),
    )
    return PlanarROIMeasurementsAndQualitativeEvaluations(**shared, referenced_region=region)


def _tracking(patient: Patient, name: str) -> TrackingIdentifier:
    study = str(patient.films[0].header.StudyInstanceUID)
    return TrackingIdentifier(identifier=name, uid=derived_uid("tracking", study, name))


def _place_values(score: JointScore) -> Iterator[Measurement]:
    for name, code in coding.PLACE_FIELDS.items():
        value = getattr(score, name)
        if value is not None:
            yield _number(code, float(value), _UNITS[name])


def _score_values(scores: Sequence[JointScore]) -> Iterator[Measurement]:
    for score in scores:
        for name in coding.SCORE_FIELDS:
            value = getattr(score, name)
            if isinstance(value, int | float):
                yield _number(coding.score_code(score.kind, name), value, POINTS)


def _why_missing(scores: Sequence[JointScore]) -> Iterator[QualitativeEvaluation]:
    for score in scores:
        if score.reason is not None:
            reason = coding.reason_code(score.reason, REASON_TEXT[score.reason])
            yield _choice(coding.score_code(score.kind, "reason"), reason)
            status = coding.reason_code(score.status, score.status)
            yield _choice(coding.score_code(score.kind, "status"), status)


# ── totals, films, model ─────────────────────────────────────────────────────────────────


def _records(patient: Patient) -> Iterator[Group]:
    result = patient.result
    for total in result.totals:
        yield _record(patient, coding.TOTAL, total.name, total)
    for film in result.films:
        yield _record(patient, coding.FILM, f"film {film.side}{film.limb.upper()[0]}", film)
    yield _record(patient, coding.MODEL, "model", result.model)
    head = {n: getattr(result, n) for n in type(result).model_fields if n != "notice"}
    head = {n: value for n, value in head.items() if isinstance(value, str)}
    yield _fields(patient, coding.PATIENT, "record", head)


def _record(patient: Patient, kind: CodedTerm, name: str, record: Record) -> Group:
    return _fields(patient, kind, name, record.model_dump(mode="json"))


def _fields(patient: Patient, kind: CodedTerm, name: str, fields: dict[str, Any]) -> Group:
    """A group of the values of a record: numbers as measurements, all else as text."""
    numbers, texts = [], []
    for field, value in fields.items():
        code = coding.field_code(kind, field)
        if isinstance(value, int | float) and not isinstance(value, bool):
            numbers.append(_number(code, value, NO_UNIT))
        elif value is not None and value not in ("", [], {}):
            words = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            texts.append(_text(concept(code), words))
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(patient, name), finding_type=concept(kind),
        # once: in each group it would double the time that writing takes
        algorithm_id=_algorithm(patient) if kind is coding.MODEL else None,
        measurements=numbers,
    )  # fmt: skip
    group[0].ContentSequence.extend(texts)
    return group


# ── items ────────────────────────────────────────────────────────────────────────────────


def _number(code: CodedTerm, value: float, unit: CodedTerm) -> Measurement:
    # highdicom writes a float64 beside the decimal text, which has 16 characters only
    return Measurement(name=concept(code), value=value, unit=concept(unit))


def _choice(code: CodedTerm, value: CodedTerm) -> QualitativeEvaluation:
    return QualitativeEvaluation(name=concept(code), value=concept(value))


def _text(name: Any, value: str) -> Dataset:
    return TextContentItem(
        name=name, value=value, relationship_type=RelationshipTypeValues.CONTAINS
    )
