"""Impressions belong to sites of films, and everything that is wrong with them is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mandora.core.anatomy import Limb, Side, Slot
from mandora.datasets.dataset import DatasetFilm
from mandora.datasets.film_labels import FilmLabels, no_landmarks
from mandora.datasets.findings import Report
from mandora.datasets.impressions import Impression, read_impressions

HEAD = "film,site,impression"


@pytest.fixture
def read(tmp_path: Path, write_table: Callable[..., Path]) -> Callable[..., object]:
    """Impressions of a hand ``h`` and a foot ``f``, and the codes and rows of what is wrong."""

    def read(*lines: str) -> tuple[dict[int, dict[str, Impression]], list[tuple[str, int | None]]]:
        report = Report(tmp_path)
        films = FilmLabels(
            (
                DatasetFilm("P1", Slot(Side.LEFT, limb), tmp_path / name, no_landmarks(limb))
                for limb, name in ((Limb.HAND, "h.png"), (Limb.FOOT, "f.png"))
            ),
            report,
        )
        found = read_impressions(write_table(tmp_path / "impressions.csv", *lines), films, report)
        return found, [(f.code, f.row) for f in report.findings]

    return read


def test_impressions_by_film_and_site(read: Callable[..., object]) -> None:
    found = read(HEAD, "h.png,nav,damaged", "h.png,mcp2,normal", "f,ip,unclear")
    assert found == (
        {
            0: {"nav": Impression.DAMAGED, "mcp2": Impression.NORMAL},
            1: {"ip": Impression.UNCLEAR},
        },
        [],
    )


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["h.png,mtp1,normal"], [("site-unknown", 2)]),
        (["h.png,mcp2,fine"], [("impression-unknown", 2)]),
        (["h.png,mcp2,normal", "h,mcp2,damaged"], [("impression-repeated", 3)]),
        (["x.png,mcp2,normal"], [("film-unknown", 2)]),
    ],
)
def test_rows_that_say_nothing(
    read: Callable[..., object], rows: list[str], expected: list[tuple[str, int]]
) -> None:
    found, faults = read(HEAD, *rows)
    assert faults == expected
    assert sum(map(len, found.values())) == len(rows) - 1


def test_the_limb_of_a_row_is_that_of_its_film(read: Callable[..., object]) -> None:
    found, faults = read("film,limb,site,impression", "h.png,foot,ip,normal")
    assert (found, faults) == ({}, [("limb-differs", 2)])
