from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mandora.core.anatomy import TARGETS, Damage, Limb, Side
from mandora.core.records import (
    REASON_TEXT,
    SCHEMA_VERSION,
    FilmRecord,
    JointLocation,
    JointScore,
    ModelInfo,
    Reason,
    Status,
    StudyResult,
    Total,
    read_result,
    result_schema,
)


def score_of(key: str = "LH-mcp2:narrowing", **changes: Any) -> JointScore:
    values: dict[str, Any] = {
        "target": key, "film": "p1-LH.png", "side": Side.LEFT, "limb": Limb.HAND,
        "site": "mcp2", "kind": Damage.NARROWING, "maximum": 4, "x": 10.5, "y": 20.25,
        "half_px": 31.0, "patch_score": 1.25, "tree_score": 1.75, "score": 1.5, "grade": 2,
        "status": Status.SCORED,
    }  # fmt: skip
    return JointScore(**{**values, **changes})


def result() -> StudyResult:
    """The left hand scored, one joint of it lost, the other films not given."""
    scores = []
    for t in TARGETS:
        given: dict[str, Any] = {
            "side": t.side, "limb": t.limb, "site": t.site.name, "kind": t.damage,
            "maximum": t.maximum,
        }  # fmt: skip
        if t.slot.code != "LH":
            given |= {"status": Status.MISSING, "reason": Reason.FILM_MISSING, "film": None}
        elif t.site.name == "ulna":
            given |= {"status": Status.FAILED, "reason": Reason.OUTSIDE_FILM}
        if "reason" in given:
            given |= dict.fromkeys(("patch_score", "tree_score", "score", "grade", "x", "y"))
        scores.append(score_of(t.key, **given))
    film = FilmRecord(
        name="p1-LH.png", side=Side.LEFT, limb=Limb.HAND, status=Status.SCORED,
        sha256="0" * 64, width=800, height=1000, remarks=("displayed mirrored",),
    )  # fmt: skip
    total = Total(
        name="Overall_Tol", maximum=448, observed=45.0, scored=30, expected=86,
        reason=Reason.TOO_FEW_JOINTS,
    )  # fmt: skip
    found = {"film": film.name, "limb": Limb.HAND, "side": Side.LEFT}
    return StudyResult(
        study="p1",
        films=(film,),
        locations=(
            JointLocation(**found, site="mcp2", x=10.5, y=20.25, confidence=0.9),
            JointLocation(**found, site="ulna", reason=Reason.OUTSIDE_FILM, confidence=0.4),
        ),
        scores=tuple(scores),
        totals=(total,),
        model=ModelInfo(
            bundle="b", bundle_version="1", bundle_sha256="1" * 64, preset="fast",
            software={"mandora": "0"},
        ),
    )  # fmt: skip


def changed(**changes: Any) -> dict[str, Any]:
    return {**json.loads(result().model_dump_json()), **changes}


# ── round trip ───────────────────────────────────────────────────────────────────────────


def test_a_result_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "p1.json"
    path.write_text(result().model_dump_json(indent=2), encoding="utf-8")
    assert read_result(path) == result()


def test_what_is_missing_is_null_with_a_reason_and_never_zero() -> None:
    rows = {s["target"]: s for s in changed()["scores"]}
    lost, absent = rows["LH-ulna:erosion"], rows["RF-ip:erosion"]
    assert lost["score"] is None
    assert lost["reason"] == "outside_film"
    assert absent["score"] is None
    assert absent["reason"] == "film_missing"


def test_a_file_that_is_no_result_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "notes.json"
    for text in ("{}", "not json", json.dumps(changed(colour="red"))):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=r"notes\.json is not a result of mandora"):
            read_result(path)


def test_an_unknown_field_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "p1.json"
    path.write_text(json.dumps(changed(colour="red")), encoding="utf-8")
    with pytest.raises(ValueError, match="colour"):
        read_result(path)


def test_a_result_of_another_major_version_says_so_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "p1.json"
    # what a later version may have changed besides its number
    path.write_text(json.dumps(changed(schema_version="2.0", films=7, new=1)), encoding="utf-8")
    with pytest.raises(ValueError, match="read it with the version that wrote it") as caught:
        read_result(path)
    assert "2.0" in str(caught.value)
    assert "films" not in str(caught.value)


def test_a_later_minor_version_is_read() -> None:
    major = SCHEMA_VERSION.split(".")[0]
    assert StudyResult.model_validate(changed(schema_version=f"{major}.9")).study == "p1"


def test_a_record_without_totals_of_parts_is_read() -> None:
    old = changed(schema_version="1.3")
    for field in ("limb", "side", "kind", "detail"):
        del old["totals"][0][field]
    total = StudyResult.model_validate(old).totals[0]
    assert (total.name, total.limb, total.side) == ("Overall_Tol", None, None)


def test_a_result_lacks_no_target() -> None:
    with pytest.raises(ValidationError, match="all 86 targets"):
        StudyResult.model_validate(changed(scores=changed()["scores"][1:]))


def test_a_record_does_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        result().study = "p2"


# ── numbers ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("field", ["score", "patch_score", "tree_score", "x"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_are_finite(field: str, value: float) -> None:
    with pytest.raises(ValidationError, match=field):
        score_of(**{field: value})


@pytest.mark.parametrize("value", [-0.01, 4.01])
def test_a_score_outside_its_range_is_refused_with_the_target(value: float) -> None:
    with pytest.raises(ValidationError, match=r"LH-mcp2:narrowing has score .* outside 0…4"):
        score_of(score=value)


@pytest.mark.parametrize("lacking", ["score", "grade"])
def test_scored_without_a_score_is_refused(lacking: str) -> None:
    with pytest.raises(ValidationError, match="marked scored but has no score"):
        score_of(**{lacking: None})


def test_missing_without_a_reason_is_refused() -> None:
    with pytest.raises(ValidationError, match="needs a reason"):
        score_of(status=Status.MISSING, score=None, grade=None)


def test_missing_with_a_score_is_refused() -> None:
    with pytest.raises(ValidationError, match="needs a reason and no score"):
        score_of(status=Status.FAILED, reason=Reason.NOT_FOUND)


def test_a_joint_without_a_place_needs_a_reason() -> None:
    given: dict[str, Any] = {"film": "f", "limb": "hand", "side": "L", "site": "mcp2"}
    with pytest.raises(ValidationError, match="mcp2 has no position"):
        JointLocation(**given, x=3.0)
    with pytest.raises(ValidationError, match="confidence"):
        JointLocation(**given, x=3.0, y=4.0, confidence=1.5)


# ── schema ───────────────────────────────────────────────────────────────────────────────


SCHEMA: dict[str, Any] = json.loads(json.dumps(result_schema()))  # it is plain JSON


def refused(schema: dict[str, Any], value: Any, at: str = "$") -> list[str]:
    """What a JSON value violates of a schema: types, enums, required and unknown fields."""
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    if "anyOf" in schema:
        each = [refused(s, value, at) for s in schema["anyOf"]]
        return [] if [] in each else [f"{at}: fits none"]
    kinds: dict[str, Any] = {
        "object": dict, "array": list, "string": str, "integer": int,
        "number": (int, float), "null": type(None),
    }  # fmt: skip
    if "type" in schema and not isinstance(value, kinds[schema["type"]]):
        return [f"{at}: {value!r} is no {schema['type']}"]
    if value not in schema.get("enum", [value]):
        return [f"{at}: {value!r} is not allowed"]
    problems: list[str] = []
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        problems += [f"{at}.{n}: lacking" for n in schema.get("required", ()) if n not in value]
        for name, part in value.items():
            if name in properties:
                problems += refused(properties[name], part, f"{at}.{name}")
            elif schema.get("additionalProperties") is False:
                problems.append(f"{at}.{name}: unknown")
    if isinstance(value, list):
        for i, part in enumerate(value):
            problems += refused(schema.get("items", {}), part, f"{at}[{i}]")
    return problems


def test_a_written_result_fits_the_exported_schema() -> None:
    assert refused(SCHEMA, changed()) == []
    assert refused(SCHEMA, changed(colour="red")) == ["$.colour: unknown"]
    assert refused(SCHEMA, changed(study=7)) == ["$.study: 7 is no string"]


def test_the_schema_explains_its_units() -> None:
    joint = result_schema()["$defs"]["JointScore"]["properties"]
    assert "px" in joint["x"]["description"]


def test_every_reason_has_words_for_people() -> None:
    assert set(REASON_TEXT) == set(Reason)
    assert len(set(REASON_TEXT.values())) == len(Reason)
