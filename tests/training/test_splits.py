"""Nobody serves two purposes, and a run draws its parts once."""

from __future__ import annotations

import json
from dataclasses import astuple, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mandora.core.anatomy import SLOTS
from mandora.core.settings import LoopSettings, SplitSettings, TrainDamageSettings, preset
from mandora.datasets.dataset import Dataset, DatasetFilm
from mandora.datasets.film_labels import no_landmarks
from mandora.training.runs import Run
from mandora.training.splits import (
    SPLITS_FILE,
    Split,
    check_choice,
    run_split,
    split_patients,
    with_held,
)

PATIENTS = [f"P{i:03}" for i in range(40)]


@given(st.integers(8, 200), st.integers(0, 5), st.floats(0, 0.5))
def test_everybody_is_in_one_part(count: int, seed: int, held: float) -> None:
    names = [f"P{i}" for i in range(count)]
    parts = astuple(split_patients(names, SplitSettings(seed=seed, held=held)))
    assert sorted(name for part in parts for name in part) == sorted(names)


def test_shares_are_the_published_ones() -> None:
    paper = preset("paper", TrainDamageSettings).split
    split = split_patients(PATIENTS, paper)
    # half of 40, of which a fifth measures; 30 %, 20 %
    assert [len(part) for part in astuple(split)] == [16, 4, 12, 8]
    assert split.measured == split.held
    split = split_patients(PATIENTS, SplitSettings(held=0))
    assert [len(part) for part in astuple(split)] == [20, 0, 12, 8]
    assert split.measured == split.trees
    split = split_patients(PATIENTS, SplitSettings())
    assert [len(part) for part in astuple(split)] == [18, 2, 12, 8]
    assert split.measured == split.held


def test_the_draw_depends_on_names_and_seed_only() -> None:
    split = split_patients(PATIENTS, SplitSettings())
    assert split_patients(PATIENTS[::-1], SplitSettings()) == split
    assert split_patients(PATIENTS, SplitSettings(seed=2)) != split


def test_a_fold_keeps_some_of_the_networks_patients_from_them() -> None:
    fold = split_patients(PATIENTS, SplitSettings(held=0))
    assert with_held(fold, SplitSettings(held=0)) == fold
    split = with_held(fold, preset("paper", TrainDamageSettings).split)
    assert [len(part) for part in astuple(split)] == [16, 4, 12, 8]
    assert set(split.networks) | set(split.held) == set(fold.networks)
    assert (split.trees, split.test) == (fold.trees, fold.test)
    assert split.networks == tuple(p for p in fold.networks if p not in split.held)
    turned = replace(fold, networks=fold.networks[::-1])
    assert set(with_held(turned, SplitSettings(held=0.2)).held) == set(split.held)
    assert set(with_held(fold, SplitSettings(held=0.2, seed=9)).held) != set(split.held)
    assert with_held(split, SplitSettings(held=0.5)) == split, "whoever is held stays so"
    with pytest.raises(ValueError, match=r"1 patients for the networks are too few"):
        with_held(replace(fold, networks=("P1",)), SplitSettings(held=0.2))


def test_too_few_patients_are_refused() -> None:
    with pytest.raises(ValueError, match=r"2 patients are too few: none is left for test"):
        split_patients(["P1", "P2"], SplitSettings())


def test_some_patients_are_left_for_the_test() -> None:
    with pytest.raises(ValidationError, match="some patients are for the test"):
        SplitSettings(networks=0.7, trees=0.3)


@pytest.mark.parametrize("loop", [{"keep": "best"}, {"keep": "last", "patience": 3}])
def test_only_patients_of_the_networks_choose_their_weights(
    tmp_path: Path, loop: dict[str, object]
) -> None:
    chooses = LoopSettings().model_copy(update=loop)
    held, nobody = SplitSettings(held=0.2), SplitSettings(held=0.0)
    hand = SLOTS[0]
    films = [DatasetFilm(name, hand, tmp_path, no_landmarks(hand.limb)) for name in PATIENTS]

    def check(settings: SplitSettings, fold: Split | None = None, patients: int = 40) -> None:
        data = Dataset(tmp_path, "ra2", tuple(films[:patients]), (), {})
        run = Run(tmp_path / "run", tmp_path, data, lambda _: None, lambda *_: None, fold)
        run.check_choice(settings, chooses)

    check(held)
    check(nobody, split_patients(PATIENTS, held))
    refused = "must not choose their weights"
    with pytest.raises(ValueError, match=refused):
        check(nobody)
    # of a fold that holds nobody out, the settings say how many are: of the networks' patients
    check(held, split_patients(PATIENTS, nobody))
    with pytest.raises(ValueError, match=refused):
        check(nobody, split_patients(PATIENTS, nobody))
    # of one patient nobody can be held out
    few = held.model_copy(update={"networks": 0.3, "trees": 0.4})
    assert split_patients(PATIENTS[:3], few).held == ()
    with pytest.raises(ValueError, match=refused):
        check(few, patients=3)
    assert not (tmp_path / "run").exists(), "nothing is kept of a run that is refused"
    last = chooses.model_copy(update={"keep": "last", "patience": None})
    check_choice(split_patients(PATIENTS, nobody), last)


def test_a_run_keeps_its_split(tmp_path: Path) -> None:
    split = run_split(tmp_path / "run", PATIENTS, SplitSettings())
    kept = json.loads((tmp_path / "run" / SPLITS_FILE).read_text(encoding="utf-8"))
    assert tuple(kept["patients"]["test"]) == split.test
    assert run_split(tmp_path / "run", PATIENTS, SplitSettings()) == split
    for patients, settings in (
        (PATIENTS[1:], SplitSettings()),
        (PATIENTS, SplitSettings(seed=2)),
    ):
        with pytest.raises(ValueError, match=r"splits\.json is of other patients or another"):
            run_split(tmp_path / "run", patients, settings)


def test_ids_of_one_person_have_one_use(tmp_path: Path) -> None:
    names = [f"P{i}-{visit}" for i in range(30) for visit in range(1 + i % 3)]
    persons = {name: name.partition("-")[0] for name in names}
    split = run_split(tmp_path, names, SplitSettings(), persons)
    parts = [{persons[p] for p in part} for part in
             (split.networks, split.held, split.trees, split.test)]  # fmt: skip
    assert sum(map(len, parts)) == len(set.union(*parts)) == 30
    used = (*split.networks, *split.held, *split.trees, *split.test)
    assert sorted(used) == sorted(names)
