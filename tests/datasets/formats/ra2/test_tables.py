"""RA2's tables: columns are found by name, whatever their order, and every fault is told."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mandora.core.anatomy import TARGET_INDEX, TARGETS, target
from mandora.core.ra2 import RA2_COLUMNS, RA2_ID, RA2_TOTALS, ra2_column
from mandora.datasets.findings import Report
from mandora.datasets.formats.ra2.tables import (
    Template,
    format_row,
    read_patient_scores,
    read_scores,
    read_template,
)

WriteTable = Callable[..., Path]
SWAPPED = list(RA2_COLUMNS)
_a, _b = SWAPPED.index("LF_mtp_J__ip"), SWAPPED.index("RF_mtp_J__ip")
SWAPPED[_a], SWAPPED[_b] = SWAPPED[_b], SWAPPED[_a]


def codes(report: Report) -> list[tuple[str, int | None]]:
    return [(f.code, f.row) for f in report.findings]


def write(
    path: Path, columns: list[str], *rows: dict[str, object], encoding: str = "utf-8"
) -> Path:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, restval="")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(buffer.getvalue(), encoding=encoding, newline="")
    return path


def full_row(patient: str = "P1") -> dict[str, object]:
    """Every target has another score as far as its range allows."""
    return {RA2_ID: patient} | {ra2_column(t): i % (t.maximum + 1) for i, t in enumerate(TARGETS)}


def problems(path: Path) -> str:
    with pytest.raises(ValueError, match=r"t\.csv: ") as caught:
        read_scores(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("columns", [list(RA2_COLUMNS), SWAPPED, list(reversed(RA2_COLUMNS))])
def test_scores_are_read_by_name_in_any_order(tmp_path: Path, columns: list[str]) -> None:
    row = full_row() | {"LF_mtp_J__ip": 1, "RF_mtp_J__ip": 3}
    scores = read_scores(write(tmp_path / "training.csv", columns, row))["P1"]
    assert list(scores) == [t.key for t in TARGETS]
    assert scores["LF-ip:narrowing"] == 1
    assert scores["RF-ip:narrowing"] == 3
    assert all(scores[t.key] == row[ra2_column(t)] for t in TARGETS)


def test_blank_and_absent_columns_are_missing_not_zero(tmp_path: Path) -> None:
    columns = [RA2_ID, "LH_mcp_E__1", "LH_mcp_E__2"]
    path = write(tmp_path / "t.csv", columns, {RA2_ID: "P1", "LH_mcp_E__1": 0})
    scores = read_scores(path)["P1"]
    assert scores["LH-mcp1:erosion"] == 0
    assert math.isnan(scores["LH-mcp2:erosion"])
    assert math.isnan(scores["RH-mcp2:erosion"])


def test_a_byte_order_mark_blank_lines_and_blanks_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbfPatient_ID, LH_mcp_E__1\r\n\r\n P1 , 2.5 \r\n,\r\n")
    assert read_scores(path)["P1"]["LH-mcp1:erosion"] == 2.5


def test_every_problem_is_listed_with_row_and_column(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "Patient_ID,LH_mcp_E__1,LH_mcp_J__1,Overall_Tol,LH_mcp_X__9\n"
        "P1,6,4,449,\n"
        "P2,x,-1,448,\n"
        "P1,1,1,1,\n"
        ",1,1,1,\n"
        "P3,1\n"
        "P4,01. Jan,1e1,,\n"
    )
    message = problems(path)
    for part in (
        "column 'LH_mcp_X__9'",
        "row 2: column LH_mcp_E__1: 6 is outside 0…5; correct it or leave the cell blank",
        "row 2: column Overall_Tol: 449 is outside 0…448; correct it or leave the cell blank",
        "row 3: column LH_mcp_E__1: 'x' is no number",
        "row 3: column LH_mcp_J__1: -1 is outside 0…4; correct it or leave the cell blank",
        "row 4: patient 'P1' is in row 2 already",
        "row 5: column Patient_ID is blank",
        "row 6: has 2 cells",
        "row 7: column LH_mcp_E__1: '01. Jan' is no number",
        "row 7: column LH_mcp_J__1: 1e1 is outside",
    ):
        assert part in message
    assert "10 problems" in message


@pytest.mark.parametrize("cell", ["inf", "1_0", "٣", "0x1", "1,0,0", "1.0,0", "--1", "x"])
def test_only_plain_numbers_are_numbers(tmp_path: Path, cell: str) -> None:
    row = {RA2_ID: "P1", "LF_mtp_E__1": cell}
    path = write(tmp_path / "t.csv", [RA2_ID, "LF_mtp_E__1"], row)
    assert "is no number" in problems(path)


@pytest.mark.parametrize("cell", ["NA", "n/a", "NaN", "#N/A", "-", ".", "\u2013", "NULL"])
def test_words_for_no_value_are_missing(tmp_path: Path, cell: str) -> None:
    row = {RA2_ID: "P1", "LF_mtp_E__1": cell}
    path = write(tmp_path / "t.csv", [RA2_ID, "LF_mtp_E__1"], row)
    assert math.isnan(read_scores(path)["P1"]["LF-mtp1:erosion"])


def test_a_table_of_a_german_excel(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("Gelesen von AB;;\r\nPATIENT_ID;LH_MCP_E__1;\r\nP1;1,5;\r\n".encode("utf-16"))
    assert read_scores(path)["P1"]["LH-mcp1:erosion"] == 1.5


def test_headers_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("LH_mcp_E__1\n1\n")
    assert "Patient_ID is missing" in problems(path)
    path.write_text("Patient_ID,LH_mcp_E__1,LH_mcp_E__1\nP1,1,2\n")
    assert "LH_mcp_E__1 is there 2 times" in problems(path)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\x00", b'Patient_ID\n"P1\n'])
def test_files_that_are_no_tables(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    for read in (read_scores, read_template):
        with pytest.raises(ValueError, match=r"t\.csv"):
            read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for read in (read_scores, read_template):
        with pytest.raises(ValueError, match=r"absent\.csv"):
            read(tmp_path / "absent.csv")


def test_a_template_keeps_its_own_order(tmp_path: Path) -> None:
    columns = ["RF_mtp_J__ip", RA2_ID, "Overall_Tol"]
    path = write(tmp_path / "template.csv", columns, {RA2_ID: "P10"}, {RA2_ID: "P2"})
    assert read_template(path) == Template(tuple(columns), ("P10", "P2"))


def test_a_template_may_hold_anything_in_its_cells(tmp_path: Path) -> None:
    row = {RA2_ID: "P1", "Overall_Tol": "to predict"}
    path = write(tmp_path / "template.csv", [RA2_ID, "Overall_Tol"], row)
    assert read_template(path).patients == ("P1",)


def test_templates_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "template.csv"
    path.write_text("Overall_Tol,LH_mcp_E__17\n1,1\n")
    with pytest.raises(ValueError, match=r"row 1: column Patient_ID is missing; add it"):
        read_template(path)
    path.write_text("Patient_ID,LH_mcp_E__17\nP1,1\n")
    with pytest.raises(ValueError, match="column 'LH_mcp_E__17' is not known here"):
        read_template(path)
    path.write_text("Patient_ID,Overall_Tol\nP1,\nP1,\n")
    with pytest.raises(ValueError, match="patient 'P1' is in row 2 already"):
        read_template(path)


def test_rows_follow_the_template_and_leave_missing_values_blank() -> None:
    cells = format_row(
        ["RF_mtp_J__ip", RA2_ID, "Overall_Tol", "LH_mcp_E__1", "LH_mcp_E__2", "LH_mcp_E__3"],
        "P1",
        {"RF-ip:narrowing": 1.23456, "LH-mcp1:erosion": None, "LH-mcp2:erosion": math.nan},
        {"Overall_Tol": 17},
    )
    assert cells == ["1.2346", "P1", "17.0000", "", "", ""]


def test_rows_refuse_what_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="LH_mcp_E__17"):
        format_row(["LH_mcp_E__17"], "P1", {}, {})
    with pytest.raises(ValueError, match="infinite"):
        format_row(["Overall_Tol"], "P1", {}, {"Overall_Tol": math.inf})


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), columns=st.permutations(RA2_COLUMNS))
def test_what_is_written_is_read_back(
    tmp_path: Path, data: st.DataObject, columns: list[str]
) -> None:
    scores = {
        key: data.draw(st.none() | st.floats(0, target(key).maximum))
        for key in data.draw(st.sets(st.sampled_from([t.key for t in TARGETS]), max_size=10))
    }
    totals = dict.fromkeys(RA2_TOTALS, 3.0)
    path = tmp_path / "predictions.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, format_row(columns, "P1", scores, totals)])
    read = read_scores(path)["P1"]
    for key, value in read.items():
        expected = scores.get(key)
        assert math.isnan(value) if expected is None else abs(value - expected) <= 5.1e-5


def test_every_fault_has_its_row_and_the_rest_is_read(
    tmp_path: Path, write_table: WriteTable
) -> None:
    path = write_table(
        tmp_path / "t.csv",
        "Patient_ID,LH_mcp_E__1,LH_mcp_J__1,Overall_Tol",
        "P1,6,4,", "P2,x,1,449", ",1,1,", "P1,1,1,", "P3,2.5,1,",
    )  # fmt: skip
    report = Report(tmp_path)
    scores, lines = read_patient_scores(path, report)
    assert sorted(codes(report), key=lambda c: c[1] or 0) == [
        ("score-out-of-range", 2), ("score-not-a-number", 3), ("score-out-of-range", 3),
        ("patient-blank", 4), ("patient-repeated", 5),
    ]  # fmt: skip
    assert any("LH_mcp_E__1: 6 is outside 0…5" in f.message for f in report.findings)
    assert lines == {"P1": 2, "P2": 3, "P3": 6}
    assert math.isnan(scores["P1"][TARGET_INDEX["LH-mcp1:erosion"]]), "a bad cell is missing"
    assert scores["P1"][TARGET_INDEX["LH-mcp1:narrowing"]] == 4
    assert scores["P3"][TARGET_INDEX["LH-mcp1:erosion"]] == 2.5


def test_totals_are_compared_with_the_joints(tmp_path: Path, write_table: WriteTable) -> None:
    columns = [c for c in RA2_COLUMNS if c not in ("Overall_erosion", "Overall_narrowing")]
    rows = [[p, total, *([0] * 85), 3] for p, total in (("P1", 3), ("P2", 4), ("P3", ""))]
    rows.append(["P4", 9, *([0] * 85), ""])  # a joint is missing: there is no sum to compare with
    report = Report(tmp_path)
    read_patient_scores(write_table(tmp_path / "t.csv", columns, *rows), report)
    assert codes(report) == [("total-differs", 3)]
    assert "says 4, the joints add up to 3" in report.findings[0].message
