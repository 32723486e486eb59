"""One rule for totals, for one patient and for many."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mandora.core.anatomy import SLOTS, TARGETS, Damage, Limb, Side, Slot, Target, maximum_total
from mandora.core.ra2 import RA2_TOTALS
from mandora.core.totals import (
    PARTS,
    TOTALS,
    Part,
    all_totals,
    largest_parts,
    no_film_of,
    ra2_totals,
    sum_scores,
)


def is_narrowing(target: Target) -> bool:
    return target.damage is Damage.NARROWING


def scores(value: float, lost: int = 0) -> np.ndarray:
    """A patient whose first narrowing scores are missing."""
    row = np.full(len(TARGETS), value)
    row[[i for i, target in enumerate(TARGETS) if is_narrowing(target)][:lost]] = np.nan
    return row


def test_a_total_over_all_joints_is_their_sum() -> None:
    made = ra2_totals(scores(1.25))
    assert list(made) == list(RA2_TOTALS)
    assert [t.value[0] for t in made.values()] == [86 * 1.25, 44 * 1.25, 42 * 1.25]
    assert [t.expected for t in made.values()] == [86, 44, 42]
    assert [t.maximum for t in made.values()] == [maximum_total(), 280, 168]


def test_a_total_is_pro_rated_from_four_fifths_of_its_maximum_on() -> None:
    # narrowing has 42 sites of 4 points: 34 of them are 81 %, 33 are 79 %
    patients = np.stack([scores(1.0), scores(1.0, lost=8), scores(1.0, lost=9), scores(np.nan)])
    made = sum_scores(patients, is_narrowing)
    assert made.scored.tolist() == [42, 34, 33, 0]
    assert made.observed.tolist() == [42, 34, 33, 0]
    assert made.share == pytest.approx(np.array([42, 34, 33, 0]) / 42)
    assert made.value == pytest.approx([42, 42, math.nan, math.nan], nan_ok=True)


def test_a_missing_score_counts_by_its_maximum() -> None:
    # a foot is 84 of 448 points and 12 of 86 scores
    row = np.where([t.slot.code == "LF" for t in TARGETS], np.nan, 1.0)
    assert sum_scores(row).value[0] == pytest.approx(74 * 448 / 364)


def test_a_table_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(patients, 86\), got \(1, 85\)"):
        sum_scores(np.zeros(85))


MAXIMA = {  # of both kinds, erosion, narrowing
    "hands": (280, 160, 120), "feet": (168, 120, 48), "left": (224, 140, 84),
    "right": (224, 140, 84), "LH": (140, 80, 60), "RH": (140, 80, 60), "LF": (84, 60, 24),
    "RF": (84, 60, 24),
}  # fmt: skip


def test_every_limb_side_and_film_has_totals_of_its_own() -> None:
    assert [t.name for t in TOTALS[:3]] == list(RA2_TOTALS)
    parts = {
        f"{part}:{kind}": maximum
        for part, maxima in MAXIMA.items()
        for kind, maximum in zip(("total", "erosion", "narrowing"), maxima, strict=True)
    }
    assert {t.name: t.maximum for t in TOTALS[3:]} == parts


def test_totals_of_parts_add_up_to_those_of_the_whole() -> None:
    made = {name: t.value[0] for name, t in all_totals(np.arange(len(TARGETS)) % 5).items()}
    for kind in ("total", "erosion", "narrowing"):
        whole = made["Overall_Tol" if kind == "total" else f"Overall_{kind}"]
        for parts in (("hands", "feet"), ("left", "right"), ("LH", "RH", "LF", "RF")):
            assert sum(made[f"{part}:{kind}"] for part in parts) == pytest.approx(whole)


def test_a_part_is_read_from_its_films() -> None:
    films = {part.title: [slot.code for slot in part.slots] for part in PARTS}
    assert films["all joints"] == [slot.code for slot in SLOTS]
    assert (films["feet"], films["left side"]) == (["LF", "RF"], ["LH", "LF"])
    assert films["right hand"] == ["RH"]


def test_only_the_largest_parts_are_kept() -> None:
    hand, left = Part(limb=Limb.HAND), Part(side=Side.LEFT)
    films = [Part(slot.limb, slot.side) for slot in SLOTS]
    assert largest_parts(PARTS) == (Part(),)
    assert largest_parts([*films[:2], hand]) == (hand,)
    assert largest_parts([films[1], left, films[0], films[2]]) == (left, films[1])
    assert largest_parts([]) == ()


@pytest.mark.parametrize(
    ("codes", "words"),
    [("LF RF", "the feet"), ("RH", "the right hand"), ("RF LH RH", "the hands or the right foot")],
)
def test_films_that_were_not_given_are_named(codes: str, words: str) -> None:
    slots = [Slot.parse(code) for code in codes.split()]
    assert no_film_of(slots) == f"no film of {words} was given"
