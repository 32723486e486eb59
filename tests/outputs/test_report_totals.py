"""The totals of a report, by limb and side."""

from __future__ import annotations

from mandora.core.records import Reason, Status, StudyResult
from mandora.outputs.report_totals import total_cards, totals_table, why_no_overall
from mandora.scoring.assembly import totals


def given(result: StudyResult, *films: str) -> StudyResult:
    """A patient of whom these films were given, and all totals that follow."""
    gone = {
        "film": None, "score": None, "grade": None, "status": Status.MISSING,
        "reason": Reason.FILM_MISSING,
    }  # fmt: skip
    scores = tuple(s if s.target[:2] in films else s.model_copy(update=gone) for s in result.scores)
    return result.model_copy(update={"scores": scores, "totals": totals(scores)})


def test_hands_alone_are_in_large_print(patient) -> None:
    hands = given(patient.result, "LH", "RH")
    cards = total_cards(hands)
    assert [(c.title, c.maximum) for c in cards] == [
        ("Hands, overall", 280), ("Hands, erosion", 160), ("Hands, narrowing", 120)
    ]  # fmt: skip
    assert all(c.value is not None for c in cards)
    assert why_no_overall(hands) == "no film of the feet was given"


def test_all_joints_are_in_large_print_where_they_have_totals(patient) -> None:
    whole = given(patient.result, "LH", "RH", "LF")
    assert [c.title for c in total_cards(whole)] == ["Overall", "Erosion", "Narrowing"]
    assert why_no_overall(whole) is None


def test_a_patient_without_any_total_is_told_why(patient) -> None:
    nothing = given(patient.result)
    assert [c.value for c in total_cards(nothing)] == [None] * 3
    assert why_no_overall(nothing) == "no film of the hands or the feet was given"


def test_the_table_has_each_total_once_with_its_maximum_and_mark(patient) -> None:
    left = given(patient.result, "LH", "LF")
    table = totals_table(left)
    assert table is not None
    assert (table.kinds, table.sides) == (
        ("overall", "erosion", "narrowing"), ("left", "right", "both")
    )  # fmt: skip
    cells = dict(table.rows)
    assert [c.maximum for c in cells["feet"]] == [84, 84, 168, 60, 60, 120, 24, 24, 48]
    hand, right, both = cells["hands"][:3]
    # one joint of the left hand is not found: 54 of 60 points of narrowing are there
    assert hand.value is not None
    assert hand.mark == "*"
    assert table.pro_rated
    assert (right.value, both.value) == (None, None)
    assert table.notes[right.mark] == "no film of the right hand was given"
    assert sum(len(row) for row in cells.values()) == len(left.totals)


def test_a_record_of_before_totals_of_parts_has_no_table(patient) -> None:
    assert len(patient.result.totals) == 3
    assert totals_table(patient.result) is None
    assert [c.title for c in total_cards(patient.result)] == ["Overall", "Erosion", "Narrowing"]
