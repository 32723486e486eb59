"""The glossary explains the words that tables, records and names of landmarks use."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from mandora.core.anatomy import LANDMARKS, Damage, JointGroup, Limb
from mandora.core.ra2 import RA2_ID, RA2_TOTALS
from mandora.core.records import Reason, Status
from mandora.core.settings import PRESETS
from mandora.outputs.table import JOINT_COLUMNS, QUALITY_COLUMNS, TOTAL_COLUMNS
from mandora.scoring.batch_locate import LANDMARK_COLUMNS

DOCS = Path(__file__).resolve().parent.parent / "docs"
GLOSSARY = (DOCS / "glossary.md").read_text("utf-8")


def first_cells(page: str, section: str) -> list[str]:
    """The first column of the table below a heading."""
    text = page.split(f"## {section}\n")[1].split("\n## ")[0]
    rows = [line.split(" | ")[0].removeprefix("| ") for line in text.splitlines() if "|" in line]
    return rows[2:]


def codes(page: str, section: str) -> set[str]:
    """What the first column of a table has in code font."""
    return {code for cell in first_cells(page, section) for code in re.findall("`([^`]+)`", cell)}


def test_terms_are_in_alphabetical_order_and_explained_once() -> None:
    terms = [cell.replace("`", "").casefold() for cell in first_cells(GLOSSARY, "Terms")]
    assert terms == sorted(set(terms))


def test_every_status_is_explained() -> None:
    assert codes(GLOSSARY, "Status") == {str(status) for status in Status}


def test_every_column_is_explained() -> None:
    assert codes(GLOSSARY, "Columns") == {
        RA2_ID, *RA2_TOTALS, *JOINT_COLUMNS, *TOTAL_COLUMNS, *QUALITY_COLUMNS,
        *LANDMARK_COLUMNS,
    }  # fmt: skip


def test_every_reason_is_explained_on_the_page_that_the_glossary_names() -> None:
    assert "(score.md#reasons)" in GLOSSARY
    page = (DOCS / "score.md").read_text("utf-8")
    assert codes(page, "Reasons") == {str(reason) for reason in Reason}


def test_every_landmark_is_explained_on_the_page_that_the_glossary_names() -> None:
    assert "(scoring-system.md)" in GLOSSARY
    page = (DOCS / "scoring-system.md").read_text("utf-8")
    for limb in Limb:
        explained = codes(page, f"Sites of a {limb}")
        assert {landmark.name for landmark in LANDMARKS[limb]} <= explained


@pytest.mark.parametrize("group", [Limb, Damage, JointGroup, PRESETS])
def test_names_that_users_type_or_read_are_in_the_glossary(group: Iterable[str]) -> None:
    for name in group:
        assert re.search(rf"\b{re.escape(str(name))}\b", GLOSSARY), name


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_readers_find_the_glossary(page: str) -> None:
    text = (DOCS.parent / page).read_text("utf-8")
    assert "glossary.md" in text or "\nglossary\n" in text
