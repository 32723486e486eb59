"""A test fails on any overlap of the parts of a fold."""

from __future__ import annotations

import json
from dataclasses import astuple, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mandora.core.settings import SplitSettings
from mandora.reproduce.folds import (
    FOLDS_FILE,
    check_folds,
    k_folds,
    read_folds,
    repeated,
    write_or_check_folds,
)

PATIENTS = [f"P{i:03}" for i in range(23)]


@given(st.integers(10, 60), st.integers(4, 10), st.integers(0, 3))
def test_everybody_is_tested_once_and_serves_one_purpose(count: int, k: int, seed: int) -> None:
    names = [f"P{i}" for i in range(count)]
    folds = k_folds(names, k, 0.3, seed)
    assert sorted(name for fold in folds for name in fold.split.test) == sorted(names)
    for fold in folds:
        parts = astuple(fold.split)
        assert sorted(name for part in parts for name in part) == sorted(names)
        assert fold.split.networks
        assert fold.split.trees
    check_folds(folds)


def test_parts_are_of_near_equal_size() -> None:
    folds = k_folds(PATIENTS, 10, 0.3, 1)
    assert [len(fold.split.test) for fold in folds] == [3] * 3 + [2] * 7
    assert {len(fold.split.trees) for fold in folds} <= {6, 7, 8, 9}


def test_the_draw_depends_on_names_and_seed_only() -> None:
    folds = k_folds(PATIENTS, 5, 0.3, 1)
    assert k_folds(PATIENTS[::-1], 5, 0.3, 1) == folds
    assert k_folds(PATIENTS, 5, 0.3, 2) != folds


def test_repeats_are_the_published_split_with_ten_seeds() -> None:
    folds = repeated(PATIENTS, 10, SplitSettings(held=0.0))
    assert len({fold.split.test for fold in folds}) == 10
    assert {tuple(map(len, astuple(fold.split))) for fold in folds} == {(12, 0, 7, 4)}
    check_folds(folds)


@pytest.mark.parametrize(("count", "k"), [(3, 5), (20, 2)])
def test_what_cannot_be_folded_is_refused(count: int, k: int) -> None:
    with pytest.raises(ValueError, match="folds"):
        k_folds(PATIENTS[:count], k, 0.3, 1)


@pytest.mark.parametrize("part", ["networks", "held", "trees"])
def test_any_overlap_is_found(part: str) -> None:
    folds = k_folds(PATIENTS, 5, 0.3, 1)
    stray = folds[2].split.test[0]
    split = replace(folds[2].split, **{part: (*getattr(folds[2].split, part), stray)})
    broken = (*folds[:2], replace(folds[2], split=split), *folds[3:])
    with pytest.raises(ValueError, match=f"fold-03: patient {stray} is in both {part} and test"):
        check_folds(broken)


def test_a_patient_who_is_tested_twice_is_found() -> None:
    folds = k_folds(PATIENTS, 5, 0.3, 1)
    with pytest.raises(ValueError, match="is tested in two folds"):
        check_folds((*folds, replace(folds[0], name="fold-06")))


def test_folds_are_kept(tmp_path: Path) -> None:
    path, folds = tmp_path / FOLDS_FILE, k_folds(PATIENTS, 5, 0.3, 1)
    assert write_or_check_folds(path, folds) == folds
    assert write_or_check_folds(path, folds) == read_folds(path) == folds
    with pytest.raises(ValueError, match="holds other folds"):
        write_or_check_folds(path, k_folds(PATIENTS, 5, 0.3, 2))
    about = json.loads(path.read_text(encoding="utf-8"))
    about["fold-01"]["trees"].append(about["fold-01"]["test"][0])
    path.write_text(json.dumps(about), encoding="utf-8")
    with pytest.raises(ValueError, match="is in both trees and test"):
        write_or_check_folds(path, folds)
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(ValueError, match="holds no folds"):
        read_folds(path)
