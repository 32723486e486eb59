"""The patch scores that train the trees come from the run's networks, patient by patient."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mandora.anatomy import TARGET_INDEX, TARGETS, Limb, Side, Slot
from mandora.cohorts.dataset import Dataset, DatasetFilm
from mandora.locate.views import View
from mandora.phantom.patients import draw_patient
from mandora.training import out_of_sample
from mandora.training.out_of_sample import (
    SCORES_FILE,
    FoundLimb,
    LabelledPatients,
    LocatedPatients,
    Seen,
    SimulatedPatients,
    patch_scores,
)

FIRST = TARGETS[0].key
PATIENTS = SimulatedPatients(4, 7, 2.0)


class Networks:
    """Stands for the run's networks: scores of a patient are its number."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[int] = []
        self.hashes = {"damage.onnx": "a"}
        self.stop_at = 99
        monkeypatch.setattr(out_of_sample, "_look", self.look)
        monkeypatch.setattr(out_of_sample, "_hashes", lambda *_: self.hashes)

    def look(self, patients: Any, files: Any, contract: Any, true: bool, index: int) -> Seen:
        if index == self.stop_at:
            raise KeyboardInterrupt
        self.seen.append(index)
        scores = np.full(len(TARGETS), np.nan)
        scores[0] = index / 3
        return Seen(scores, ("no foot was found",) if index == 2 else ())


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> Networks:
    return Networks(monkeypatch)


def score(folder: Path, patients: Any = PATIENTS) -> tuple[np.ndarray, list[str]]:
    lines: list[str] = []
    contract: Any = SimpleNamespace(model_dump_json=str)
    table = patch_scores(patients, {}, contract, folder, 1, lines.append, lambda *_: None)
    return table, lines


def test_missing_scores_stay_missing_and_films_that_failed_are_told(
    tmp_path: Path, networks: Networks
) -> None:
    table, lines = score(tmp_path)
    assert table.shape == (4, len(TARGETS))
    np.testing.assert_allclose(table[:, 0], np.arange(4) / 3)
    assert np.isnan(table[:, 1:]).all()
    assert lines == [f"{PATIENTS.name(2)}: no foot was found"]


def test_a_stop_costs_the_patients_that_were_looked_at(tmp_path: Path, networks: Networks) -> None:
    networks.stop_at = 2
    with pytest.raises(KeyboardInterrupt):
        score(tmp_path)
    networks.stop_at = 99
    path = tmp_path / SCORES_FILE
    path.write_text(path.read_text(encoding="utf-8") + '{"patient": "half', encoding="utf-8")
    networks.seen.clear()
    table, _ = score(tmp_path)
    assert networks.seen == [2, 3]
    np.testing.assert_allclose(table[:, 0], np.arange(4) / 3, atol=1e-4)


def test_scores_of_other_networks_or_patients_are_not_used(
    tmp_path: Path, networks: Networks
) -> None:
    score(tmp_path)
    networks.seen.clear()
    score(tmp_path)
    assert networks.seen == []
    networks.hashes = {"damage.onnx": "b"}
    score(tmp_path)
    assert networks.seen == [0, 1, 2, 3]
    score(tmp_path, SimulatedPatients(4, 8, 2.0))
    assert networks.seen == [0, 1, 2, 3] * 2
    head = json.loads((tmp_path / SCORES_FILE).read_text(encoding="utf-8").splitlines()[0])
    assert head["networks"] == {"damage.onnx": "b"}


def test_simulated_patients_are_those_of_their_seed() -> None:
    patient = draw_patient(7, 1)
    assert PATIENTS.name(1) == patient.name
    truth = PATIENTS.truth(1)
    assert truth[TARGET_INDEX[FIRST]] == patient.grades[FIRST]
    films = list(PATIENTS.films(1))
    assert len({film.slot for film in films}) == 4
    height, width = films[0].read().pixels.shape
    assert (films[0].points < (width, height)).all()
    assert films[0].read().name == f"{patient.name}-{films[0].slot.code}"


def test_labelled_patients_are_read_film_by_film(tmp_path: Path, small_films: Path) -> None:
    left = small_films / "P1-LF.png"
    broken = tmp_path / "P2-LF.png"
    broken.write_bytes(b"no film")
    slot = Slot(Side.LEFT, Limb.FOOT)
    films = tuple(
        DatasetFilm(name, slot, path, np.zeros((6, 2)))
        for name, path in (("P1", left), ("P2", broken), ("P3", left))
    )
    official, merged = np.zeros(len(TARGETS)), np.ones(len(TARGETS))
    labelled = Dataset(
        tmp_path, "ra2", films, (), {"P1": official}, {"anna": {"P1": merged}}, {"anna": 1.0}
    )
    patients = LabelledPatients(labelled, ("P2", "P1", "P0"))
    assert [patients.name(i) for i in range(len(patients))] == ["P2", "P1"]
    assert (patients.truth(1) == merged).all()
    assert (patients.official(1) == official).all()
    assert np.isnan(patients.official(0)).all()
    ((_, read, points, view),) = patients.films(1)
    assert read().pixels.ndim == 2
    assert points is films[0].points
    assert view is None
    ((_, read, _, _),) = patients.films(0)
    with pytest.raises(ValueError, match="P2-LF"):
        read()
    assert LabelledPatients(labelled, ("P1",)).key != patients.key
    found = {film.path: FoundLimb(np.full((6, 2), 7.0), View(2, mirrored=True)) for film in films}
    located = LocatedPatients(labelled, ("P2", "P1"), found)
    ((_, _, points, view),) = located.films(1)
    assert (points == 7).all()
    assert view == View(2, mirrored=True)
    other = {**found, left: FoundLimb(np.full((6, 2), 8.0), View(2, mirrored=True))}
    keys = {patients.key, located.key, LocatedPatients(labelled, ("P2", "P1"), other).key}
    assert len(keys) == 3
