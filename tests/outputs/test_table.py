from __future__ import annotations

import csv
import math
import resource
from pathlib import Path

import pytest

from mandora.core.anatomy import TARGETS
from mandora.core.files import OutputError
from mandora.core.findings import Check, Outcome
from mandora.core.ra2 import RA2_COLUMNS, ra2_column
from mandora.core.records import Finding, Reason
from mandora.core.totals import TOTALS
from mandora.datasets.formats.ra2.tables import Template
from mandora.outputs.row_file import RowFile
from mandora.outputs.table import ProblemRow, TableWriter
from mandora.scoring.assembly import totals


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _patients(path: Path) -> list[str]:
    return [row["Patient_ID"] for row in _rows(path)]


def test_scores_hold_continuous_values_by_column_name(patient, tmp_path) -> None:
    with TableWriter(tmp_path) as tables:
        tables.write(patient.result)
    (row,) = _rows(tmp_path / "scores.csv")
    assert tuple(row) == RA2_COLUMNS
    for aim, score in zip(TARGETS, patient.result.scores, strict=True):
        if score.score is None:
            assert row[ra2_column(aim)] == ""
        else:
            assert row[ra2_column(aim)] == f"{score.score:.4f}"
    totals = {t.name: t.value for t in patient.result.totals}
    assert float(row["Overall_Tol"]) == pytest.approx(totals["Overall_Tol"], abs=1e-4)
    assert row["Overall_narrowing"] == ""  # not given, and so no number


def test_joints_hold_86_rows_with_places_and_reasons(patient, tmp_path) -> None:
    with TableWriter(tmp_path) as tables:
        tables.write(patient.result)
    text = (tmp_path / "joints.csv").read_text(encoding="utf-8")
    assert text.splitlines()[0] == (
        "patient,visit,film,side,site,kind,x,y,score,grade,low,high,status,reason,remarks"
    )
    rows = _rows(tmp_path / "joints.csv")
    assert len(rows) == 86
    mcp2 = next(r for r in rows if (r["side"], r["site"], r["kind"]) == ("L", "mcp2", "erosion"))
    score = patient.result.scores[[t.key for t in TARGETS].index("LH-mcp2:erosion")]
    assert mcp2 == {
        "patient": "P001", "visit": "", "film": "P001-LH.png", "side": "L", "site": "mcp2",
        "kind": "erosion",
        "x": f"{score.x:.1f}", "y": f"{score.y:.1f}", "score": f"{score.score:.4f}",
        "grade": str(score.grade), "low": "", "high": "", "status": "scored", "reason": "",
        "remarks": "turned by 180 degrees",
    }  # fmt: skip
    lost = [r for r in rows if r["site"] == "pip3" and r["side"] == "L"]
    assert {(r["score"], r["grade"], r["status"], r["reason"]) for r in lost} == {
        ("", "", "failed", "not_found")
    }


def test_totals_have_a_row_each_with_what_they_are_of(patient, tmp_path) -> None:
    result = patient.result.model_copy(update={"totals": totals(patient.result.scores)})
    with TableWriter(tmp_path) as tables:
        tables.write(result)
    found = {r["total"]: r for r in _rows(tmp_path / "totals.csv")}
    assert list(found) == [t.name for t in TOTALS]
    foot = next(t for t in result.totals if t.name == "LF:erosion")
    assert found["LF:erosion"] == {
        "visit": "",
        "patient": "P001", "total": "LF:erosion", "limb": "foot", "side": "L", "kind": "erosion",
        "value": f"{foot.value:.4f}", "low": "", "high": "", "maximum": "60",
        "observed": f"{foot.observed:.4f}", "scored": "6", "expected": "6", "method": "complete",
        "reason": "",
    }  # fmt: skip
    overall = found["Overall_Tol"]
    assert (overall["limb"], overall["side"], overall["kind"]) == ("both", "both", "both")
    assert (overall["method"], overall["reason"]) == ("", "too_few_joints")
    assert found["hands:total"]["method"] == "pro-rated"  # a joint is not found
    unread = found["RF:total"]
    assert (unread["value"], unread["observed"], unread["scored"]) == ("", "", "0")
    assert unread["reason"] == "film_unreadable"


def test_findings_have_a_row_each_and_refused_files_too(patient, tmp_path) -> None:
    warned = Finding(check=Check.EXPOSURE, outcome=Outcome.WARN, words="clipped")
    films = (patient.result.films[0].model_copy(update={"findings": (warned,)}),)
    with TableWriter(tmp_path) as tables:
        tables.write(patient.result.model_copy(update={"films": films}))
        tables.write_problem(ProblemRow("notes.jpg", Reason.UNKNOWN_NAME, remarks="no limb"))
        tables.write_problem(ProblemRow("", Reason.PROGRAM_FAULT, "P2"))
    found, refused = _rows(tmp_path / "quality.csv")
    assert found == {
        "patient": "P001", "visit": "", "film": "P001-LH.png", "side": "L", "limb": "hand",
        "check": "exposure", "outcome": "warn", "words": "clipped",
    }  # fmt: skip
    assert (refused["film"], refused["check"], refused["outcome"], refused["words"]) == (
        "notes.jpg", "file", "refuse", "no limb",
    )  # fmt: skip
    joints = _rows(tmp_path / "joints.csv")
    assert joints[0]["remarks"] == "turned by 180 degrees; exposure: warn: clipped"


def test_problem_outside_a_patient_is_a_row_of_its_own(patient, tmp_path) -> None:
    with TableWriter(tmp_path) as tables:
        tables.write_problem(ProblemRow('holiday, "beach".jpg', Reason.UNKNOWN_NAME))
        tables.write(patient.result)
        tables.write_problem(ProblemRow("..-LH.jpg", Reason.BAD_STUDY_ID, side="L"))
    rows = _rows(tmp_path / "joints.csv")
    assert len(rows) == 88
    assert {k: v for k, v in rows[0].items() if v} == {
        "film": 'holiday, "beach".jpg', "status": "failed", "reason": "unknown_name",
    }  # fmt: skip
    assert (rows[-1]["side"], rows[-1]["reason"]) == ("L", "bad_study_id")
    assert _patients(tmp_path / "scores.csv") == ["P001"]


def test_rows_are_on_the_disk_before_the_run_ends(new_patient, tmp_path) -> None:
    with TableWriter(tmp_path) as tables:
        for n in (1, 2):
            tables.write(new_patient(f"P{n}").result)
            assert len(_patients(tmp_path / "scores.csv")) == n
            assert len(_rows(tmp_path / "joints.csv")) == 86 * n


def test_earlier_tables_are_started_anew(new_patient, tmp_path) -> None:
    for name in ("old", "new"):
        with TableWriter(tmp_path) as tables:
            tables.write(new_patient(name).result)
    assert _patients(tmp_path / "scores.csv") == ["new"]
    assert {r["patient"] for r in _rows(tmp_path / "joints.csv")} == {"new"}


def test_template_gives_columns_and_order(new_patient, tmp_path) -> None:
    columns = ("Patient_ID", "Overall_Tol", *reversed(RA2_COLUMNS[4:]))
    template = Template(columns=columns, patients=("B", "absent", "A"))
    with TableWriter(tmp_path, template) as tables:
        for name in ("A", "B", "extra"):
            tables.write(new_patient(name).result)
        assert _patients(tmp_path / "scores.csv") == ["A", "B", "extra"]
    rows = _rows(tmp_path / "scores.csv")
    assert tuple(rows[0]) == columns
    assert [r["Patient_ID"] for r in rows] == ["B", "absent", "A", "extra"]
    assert {v for k, v in rows[1].items() if k != "Patient_ID"} == {""}
    score = new_patient("A").result.scores[0]
    assert math.isclose(float(rows[2][ra2_column(TARGETS[0])]), score.score, abs_tol=1e-4)
    assert not list(tmp_path.glob(".*"))


def test_interrupted_run_claims_nothing_of_patients_it_did_not_reach(new_patient, tmp_path) -> None:
    template = Template(columns=RA2_COLUMNS, patients=("A", "B", "C"))
    with pytest.raises(KeyboardInterrupt), TableWriter(tmp_path, template) as tables:  # noqa: PT012
        tables.write(new_patient("B").result)
        raise KeyboardInterrupt
    assert _patients(tmp_path / "scores.csv") == ["B"]


def test_same_patient_twice_is_refused(patient, tmp_path) -> None:
    with TableWriter(tmp_path) as tables:
        tables.write(patient.result)
        with pytest.raises(ValueError, match="P001 was already written"):
            tables.write(patient.result)
    assert _patients(tmp_path / "scores.csv") == ["P001"]


def test_row_that_does_not_fit_is_taken_back_whole(new_patient, tmp_path) -> None:
    """The kernel writes up to the limit and then refuses, as a disk does that fills up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with TableWriter(tmp_path) as tables:
        tables.write(new_patient("A").result)
        size = (tmp_path / "joints.csv").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1000, hard))
        try:
            with pytest.raises(OutputError, match=r"cannot write .*joints\.csv"):
                tables.write(new_patient("B").result)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert (tmp_path / "joints.csv").stat().st_size == size
        assert {r["patient"] for r in _rows(tmp_path / "totals.csv")} == {"A"}
        tables.write(new_patient("B").result)  # there is room again
    assert _patients(tmp_path / "scores.csv") == ["A", "B"]
    assert [r["patient"] for r in _rows(tmp_path / "joints.csv")] == ["A"] * 86 + ["B"] * 86


def test_a_table_that_refuses_takes_the_rows_of_the_others_back(
    new_patient, tmp_path, monkeypatch
) -> None:
    append = RowFile.append

    def refuse(self: RowFile, text: str) -> None:
        if self.path.name == "scores.csv" and text.startswith("B,"):
            raise OutputError(self.path, OSError("no space"))
        append(self, text)

    monkeypatch.setattr(RowFile, "append", refuse)
    with TableWriter(tmp_path) as tables:
        tables.write(new_patient("A").result)
        with pytest.raises(OutputError, match=r"scores\.csv"):
            tables.write(new_patient("B").result)
    for name in ("joints.csv", "totals.csv"):
        assert {r["patient"] for r in _rows(tmp_path / name)} == {"A"}


def test_control_characters_in_names_do_nothing(new_patient, tmp_path) -> None:
    with TableWriter(tmp_path) as tables:
        tables.write_problem(ProblemRow("\x1b]0;evil\x07P1.png", Reason.UNKNOWN_NAME, "P\u202e1"))
        tables.write(new_patient("A", {"LH": "\x1b[31mleft.png"}).result)
    text = (tmp_path / "joints.csv").read_text(encoding="utf-8")
    assert "\\x1b]0;evil\\x07P1.png" in text
    assert "P\\u202e1" in text
    assert "\\x1b[31mleft.png" in text
    assert all(c.isprintable() or c == "\n" for c in text)
