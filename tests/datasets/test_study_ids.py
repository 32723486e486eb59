"""An id that is accepted names a file everywhere; ids come in natural order."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mandora.datasets.study_ids import natural_key, study_id_fault


@pytest.mark.parametrize("study", ["UAB001", "Müller 3", "a.b", "x-1_2"])
def test_harmless_ids(study: str) -> None:
    assert study_id_fault(study) is None


@pytest.mark.parametrize(
    "study",
    ["", ".P1", "..", "a..b", "P1.", " P1", "P1 ", "a\\b", "a/b", "a:b", "a|b", 'a"b', "a?b", "a*b",
     "a<b", "a>b", "a\nb", "a\x7fb", "a\udcffb", "x" * 101, "\U0001f9b4" * 60],
)  # fmt: skip
def test_ids_that_are_no_safe_file_names(study: str) -> None:
    assert study_id_fault(study) is not None


@given(st.text(max_size=120))
def test_an_accepted_id_is_one_file_name(study: str) -> None:
    if study_id_fault(study) is None:
        assert Path(f"{study}.json").name == f"{study}.json"
        assert len(f"{study}.json".encode()) < 255


@given(st.lists(st.text(max_size=12)))
def test_natural_order_is_total(texts: list[str]) -> None:
    ordered = sorted(texts, key=natural_key)
    texts.reverse()
    assert sorted(texts, key=natural_key) == ordered


def test_natural_order() -> None:
    assert sorted(["p10", "P9", "p9", "p2", "p"], key=natural_key) == ["p", "p2", "P9", "p9", "p10"]
