from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mandora.core.csv_text import Unescaped, csv_rows, csv_text, escape_formula, unescape_formula

texts = st.text(st.one_of(st.sampled_from("='+-@\t\r\n\", 1e."), st.characters(codec="utf-8")))


@given(st.lists(st.lists(texts, min_size=1), min_size=1))
def test_what_is_written_is_read_back(rows: list[list[str]]) -> None:
    assert [row for _, row in csv_rows(csv_text(rows))] == rows


@given(texts)
def test_no_cell_begins_as_a_formula(text: str) -> None:
    (cell,) = next(csv.reader(io.StringIO(csv_text([[text or "x"]]), newline="")))
    if cell[:1] in set("=@\t\r\n"):
        pytest.fail(repr(cell))
    if cell[:1] in set("+-"):
        float(cell)


@pytest.mark.parametrize("number", ["-0.5", "+3", "-1e-5", "-inf", "-.5", "0", "", "12.5000"])
def test_numbers_stay_numbers(number: str) -> None:
    assert escape_formula(number) == number == unescape_formula(escape_formula(number))
    assert csv_text([[-0.5, 3]]) == "-0.5,3\n"


@pytest.mark.parametrize("text", ["=1+1", "+41 79", "-P1-LH.jpg", "@x", "\tx", "\rx", "\uff1d1"])
def test_formulas_are_marked_as_text(text: str) -> None:
    assert escape_formula(text) == f"'{text}"
    assert escape_formula(escape_formula(text)) == f"''{text}"
    assert escape_formula(Unescaped(text)) == text
