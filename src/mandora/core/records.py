"""Results as frozen, versioned records: the scores of a study, and why some are missing.

Every record is a pydantic model that refuses unknown fields, so that a result written by one
version is either read back whole or refused with the field's name. Missing numbers are
``null`` in JSON with a :class:`Reason` beside them, never 0 and never NaN.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mandora.core.anatomy import TARGETS, Damage, Limb, Side
from mandora.core.errors import InputError
from mandora.core.files import AnyPath
from mandora.core.findings import SEVERITY, Check, Outcome
from mandora.core.inputs import read_bytes

SCHEMA_VERSION = "1.5"
RESEARCH_NOTICE = (
    "For research use only. Not a medical device; not for diagnosis or treatment decisions."
)


class Reason(StrEnum):
    """Why a number is missing. The text for people is :data:`REASON_TEXT`."""

    FILM_MISSING = "film_missing"
    FILM_UNREADABLE = "film_unreadable"
    LIMB_UNTRAINED = "limb_untrained"
    DUPLICATE_FILM = "duplicate_film"
    UNKNOWN_NAME = "unknown_name"
    NO_PATIENT = "no_patient"
    BAD_STUDY_ID = "bad_study_id"
    GUESSED = "guessed"
    SAME_PICTURE = "same_picture"
    WRONG_LIMB = "wrong_limb"
    NOT_FOUND = "not_found"
    OUTSIDE_FILM = "outside_film"
    COVERED = "covered"
    REPLACED = "replaced"
    BLURRED = "blurred"
    TOO_FEW_JOINTS = "too_few_joints"
    STAGE_FAILED = "stage_failed"
    PROGRAM_FAULT = "program_fault"
    OUTPUT_FAILED = "output_failed"


REASON_TEXT: dict[Reason, str] = {
    Reason.FILM_MISSING: "no film of this limb was given",
    Reason.FILM_UNREADABLE: "the film could not be read",
    Reason.LIMB_UNTRAINED: "the model was not trained on films of this limb",
    Reason.DUPLICATE_FILM: "more than one film was given for this limb",
    Reason.UNKNOWN_NAME: "this is no film, or nothing says which limb it shows",
    Reason.NO_PATIENT: "nothing says whose film this is",
    Reason.BAD_STUDY_ID: "the patient id cannot be used as a file name",
    Reason.GUESSED: "only the picture could say which limb this is",
    Reason.SAME_PICTURE: "the same picture was given for another limb",
    Reason.WRONG_LIMB: "the film shows another limb than the one that it is given as",
    Reason.NOT_FOUND: "the joint was not found on the film",
    Reason.OUTSIDE_FILM: "the joint lies outside the film",
    Reason.COVERED: "something dense covers the joint, as a ring, a splint or plaster",
    Reason.REPLACED: "something dense runs through the joint, as an implant",
    Reason.BLURRED: "the film is too coarse or too blurred at the joint",
    Reason.TOO_FEW_JOINTS: "too few joints were scored for a total",
    Reason.STAGE_FAILED: "the film could not be scored",
    Reason.PROGRAM_FAULT: "the program failed, through a fault of its own; please report it",
    Reason.OUTPUT_FAILED: "the results could not be written",
}


class Status(StrEnum):
    """The outcome of one joint score, or of a film."""

    SCORED = "scored"
    MISSING = "missing"  # no film was given, or the joint is not on it
    FAILED = "failed"  # a film was given and could not be scored


class Record(BaseModel):
    """Base of all records: frozen, no unknown fields, no NaN."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="null"
    )


class Finding(Record):
    """One finding of the quality gate on one film."""

    check: Check
    outcome: Outcome
    words: str = Field("", description="what was found or done, for people")

    def __str__(self) -> str:
        return f"{self.check}: {self.outcome}: {self.words}"


def refused_check(reason: Reason) -> Check:
    """The check that a film which is refused for a reason does not pass."""
    by_picture = (Reason.WRONG_LIMB, Reason.NOT_FOUND)
    return Check.BODY_PART if reason in by_picture else Check.FILE


def merged(*given: Finding) -> tuple[Finding, ...]:
    """One finding for each check, in the order of the checks.

    Args:
        given: any number for a check: the worst outcome counts, and its words.
    """
    made: dict[Check, Finding] = {}
    for finding in given:
        before = made.get(finding.check)
        step = SEVERITY[finding.outcome] - (SEVERITY[before.outcome] if before else -1)
        if step > 0 or before is None:
            made[finding.check] = finding
        elif step == 0 and finding.words and finding.words not in before.words:
            both = "; ".join(words for words in (before.words, finding.words) if words)
            made[finding.check] = before.model_copy(update={"words": both})
    return tuple(made[check] for check in Check if check in made)


class FilmRecord(Record):
    """One film of a study, as it was given."""

    name: str = Field(description="file name without folder, as the user gave it")
    side: Side
    limb: Limb
    status: Status
    reason: Reason | None = None
    detail: str | None = Field(None, description="what went wrong, in words")
    sha256: str | None = Field(None, description="hash of the file's bytes")
    width: int | None = Field(None, description="px")
    height: int | None = Field(None, description="px")
    spacing_mm: float | None = Field(None, description="mm per px, if the file states it")
    remarks: tuple[str, ...] = Field((), description="on how it was found, read and placed")
    findings: tuple[Finding, ...] = Field((), description="of the quality gate, one a check")
    origins: dict[str, str] = Field(
        default_factory=dict,
        description="who says patient, visit, limb and side: manifest, tag, name, folder, picture",
    )

    @property
    def guessed(self) -> bool:
        """Whether only the picture said which limb or side this is."""
        return "picture" in (self.origins.get("limb"), self.origins.get("side"))

    @property
    def told(self) -> tuple[str, ...]:
        """What a user should know: remarks, and findings that are no pass and no refusal.

        A refusal is told by ``reason`` and ``detail``.
        """
        quiet = (Outcome.PASS, Outcome.REFUSE)
        return (*self.remarks, *(str(f) for f in self.findings if f.outcome not in quiet))


class JointLocation(Record):
    """Where the localiser found a point, in px of the original film."""

    film: str
    limb: Limb
    side: Side
    site: str
    x: float | None = None
    y: float | None = None
    confidence: float | None = Field(None, ge=0, le=1)
    reason: Reason | None = None

    @model_validator(mode="after")
    def _placed_or_reason(self) -> JointLocation:
        if (self.x is None or self.y is None) and self.reason is None:
            raise InputError(f"{self.site} has no position; give the reason why")
        return self


class JointScore(Record):
    """One of the 86 scores. ``score`` is continuous; ``grade`` is it rounded to an integer."""

    target: str = Field(description="e.g. LH-mcp2:narrowing")
    film: str | None = None
    side: Side
    limb: Limb
    site: str
    kind: Damage
    maximum: int
    x: float | None = Field(None, description="centre of the patch, px of the film")
    y: float | None = None
    half_px: float | None = Field(None, description="half side of the patch, px of the film")
    turn_deg: float | None = Field(
        None, description="turn of the patch about its centre, degrees, clockwise on the film"
    )
    patch_score: float | None = Field(None, description="from this joint's patch alone")
    tree_score: float | None = Field(None, description="from all joints of the patient")
    score: float | None = Field(None, description="the blend of the two")
    grade: int | None = None
    low: float | None = Field(
        None, description="lowest grade of the interval, a whole number, if the model has one"
    )
    high: float | None = Field(None, description="highest grade of the interval")
    status: Status
    reason: Reason | None = None

    @model_validator(mode="after")
    def _scored_or_reason(self) -> JointScore:
        if self.status is Status.SCORED:
            if self.score is None or self.grade is None:
                raise InputError(f"{self.target} is marked scored but has no score")
            if not 0 <= self.score <= self.maximum:
                raise InputError(f"{self.target} has score {self.score}, outside 0…{self.maximum}")
        elif self.reason is None or self.score is not None:
            raise InputError(f"{self.target} is {self.status}: it needs a reason and no score")
        return self


class Total(Record):
    """A sum of scores, see :mod:`mandora.core.totals`; ``value`` is None if too few are there."""

    name: str = Field(description="RA2's of all joints; else e.g. hands:narrowing, LH:total")
    limb: Limb | None = Field(None, description="null: both")
    side: Side | None = Field(None, description="null: both")
    kind: Damage | None = Field(None, description="null: both; also in records before schema 1.4")
    maximum: int
    observed: float = Field(description="sum over the joints that were scored")
    scored: int
    expected: int
    value: float | None = None
    low: float | None = Field(None, description="lower end of the interval, if the model has one")
    high: float | None = Field(None, description="upper end")
    method: Literal["complete", "pro-rated"] | None = None
    reason: Reason | None = None
    detail: str | None = Field(None, description="which films were not given, in words")


class ModelInfo(Record):
    """Which model and software gave the result."""

    bundle: str
    bundle_version: str
    bundle_sha256: str
    preset: str
    trained_on: str = Field("", description="what the model was trained on, in words")
    interval_level: float | None = Field(
        None, description="share of true scores within the intervals, if it was measured"
    )
    interval_data: str | None = Field(
        None, description="the patients on whom the intervals were measured, in words"
    )
    software: dict[str, str] = Field(description="versions of the packages that computed")


class StudyResult(Record):
    """The result of one patient's films."""

    schema_version: str = SCHEMA_VERSION
    study: str
    visit: str | None = Field(None, description="date or name of the visit, if it is known")
    notice: str = RESEARCH_NOTICE
    films: tuple[FilmRecord, ...]
    locations: tuple[JointLocation, ...]
    scores: tuple[JointScore, ...]
    totals: tuple[Total, ...]
    model: ModelInfo

    @model_validator(mode="before")
    @classmethod
    def _same_schema(cls, data: Any) -> Any:
        # before the fields are checked: their errors would not say that the schema is another one
        found = data.get("schema_version") if isinstance(data, dict) else None
        if isinstance(found, str) and found.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
            raise InputError(
                f"the record has schema {found}, this version reads "
                f"{SCHEMA_VERSION}; read it with the version that wrote it"
            )
        return data

    @model_validator(mode="after")
    def _whole(self) -> StudyResult:
        if [s.target for s in self.scores] != [t.key for t in TARGETS]:
            raise InputError("a study result has all 86 targets, in the order of anatomy")
        return self

    @property
    def complete(self) -> bool:
        """True if nothing that was given failed."""
        return all(f.status is not Status.FAILED for f in self.films) and all(
            s.status is not Status.FAILED for s in self.scores
        )


def result_schema() -> dict[str, Any]:
    """The JSON Schema of :class:`StudyResult`."""
    return StudyResult.model_json_schema()


def read_result(path: AnyPath) -> StudyResult:
    """Read a ``results/<patient>.json`` back.

    Raises:
        ValueError: if it is not such a file; the message names the file and the field.
    """
    try:
        return StudyResult.model_validate_json(read_bytes(Path(path)))
    except ValidationError as error:
        raise InputError(f"{path} is not a result of mandora: {error}") from error
