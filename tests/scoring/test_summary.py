from __future__ import annotations

from pathlib import Path

import pytest

from mandora.core.records import REASON_TEXT, Reason
from mandora.datasets.intake.rows import Problem
from mandora.scoring.summary import first_few, problem_line

WHY = REASON_TEXT[Reason.FILM_UNREADABLE]


@pytest.mark.parametrize(
    ("name", "study", "item"),
    [
        ("scan.png", None, "scan.png"),
        ("P1-LH.png", "P1", "P1-LH.png"),
        ("IM0001", "P1", "P1/IM0001"),
        ("", "P1", "P1"),
    ],
)
def test_a_line_names_patient_and_film_once(name: str, study: str | None, item: str) -> None:
    problem = Problem(name, Reason.FILM_UNREADABLE, "it is empty", study)
    assert problem_line(problem) == f"{item}: {WHY}: it is empty"


def test_a_detail_over_several_lines_becomes_one() -> None:
    problem = Problem("a.png", Reason.FILM_UNREADABLE, "a.png: torn\n  in two")
    assert problem_line(problem) == f"a.png: {WHY}: torn in two"


def test_of_many_paths_only_a_few_are_listed() -> None:
    paths = [Path(f"{i}.png") for i in range(7)]
    assert first_few(paths[:2]) == "0.png, 1.png"
    assert first_few(paths) == "0.png, 1.png, 2.png, 3.png, 4.png and 2 more"
