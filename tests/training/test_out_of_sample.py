"""The patch scores that train the trees come from the run's networks, patient by patient."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mandora.core.anatomy import TARGET_INDEX, TARGETS, Limb, Side, Slot
from mandora.datasets.dataset import Dataset, DatasetFilm
from mandora.locate.orientation import Orientation
from mandora.simulate.cohort.patients import draw_patient
from mandora.training import out_of_sample
from mandora.training.out_of_sample import (
    SCORES_FILE,
    FoundLimb,
    LabelledPatients,
    LocatedPatients,
    PatientScores,
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
        monkeypatch.setattr(out_of_sample, "_score_patient", self.look)
        monkeypatch.setattr(out_of_sample, "_hashes", lambda *_: self.hashes)

    def look(
        self, patients: Any, files: Any, contract: Any, true: bool, index: int
    ) -> PatientScores:
        if index == self.stop_at:
            raise KeyboardInterrupt
        self.seen.append(index)
        scores = np.full(len(TARGETS), np.nan)
        scores[0] = index / 3
        return PatientScores(scores, ("no foot was found",) if index == 2 else ())


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> Networks:
    return Networks(monkeypatch)


def score(
    folder: Path, patients: Any = PATIENTS, contract: str = "", workers: int = 1
) -> tuple[np.ndarray, list[str]]:
    lines: list[str] = []
    stated: Any = SimpleNamespace(model_dump_json=lambda: contract)
    table = patch_scores(patients, {}, stated, folder, workers, lines.append, lambda *_: None)
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


@pytest.mark.parametrize("torn", ['{"patient": "half', "\0\0\0\n"])
def test_a_line_that_a_crash_has_torn_is_written_again(
    tmp_path: Path, networks: Networks, torn: str
) -> None:
    score(tmp_path)
    path = tmp_path / SCORES_FILE
    whole = path.read_text(encoding="utf-8")
    lines = whole.splitlines(keepends=True)
    path.write_text("".join([*lines[:3], torn]), encoding="utf-8")
    networks.seen.clear()
    score(tmp_path)
    assert networks.seen == [2, 3]
    assert path.read_text(encoding="utf-8") == whole


def test_scores_of_another_contract_or_of_other_code_are_not_used(
    tmp_path: Path, networks: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    for contract, again in (("0.5", 4), ("0.5", 0), ("0.6", 4)):
        networks.seen.clear()
        score(tmp_path, contract=contract)
        assert len(networks.seen) == again
    networks.seen.clear()
    monkeypatch.setattr(out_of_sample, "code_digest", lambda used: "a later program")
    score(tmp_path, contract="0.6")
    assert len(networks.seen) == 4


def test_scores_of_a_data_set_that_was_corrected_are_not_used(
    tmp_path: Path, networks: Networks, small_films: Path
) -> None:
    path, slot = small_films / "P1-LF.png", Slot(Side.LEFT, Limb.FOOT)
    mask = tmp_path / "mask.png"
    mask.write_bytes(b"joint spaces")
    films = (DatasetFilm("P1", slot, path, np.zeros((6, 2)), mask),)
    readers = {"anna": {"P1": np.ones(len(TARGETS))}}

    def scored(official: float = 0.0, who: tuple[str, ...] = ("P1",)) -> int:
        networks.seen.clear()
        known = {"P1": np.full(len(TARGETS), official), "P2": np.zeros(len(TARGETS))}
        score(tmp_path, LabelledPatients(Dataset(tmp_path, "ra2", films, (), known, readers), who))
        return len(networks.seen)

    assert [scored(), scored(), scored(1.0), scored(1.0)] == [1, 0, 1, 0]
    mask.write_bytes(b"corrected")
    assert [scored(1.0), scored(1.0, ("P1", "P2"))] == [1, 0], "who has no film does not count"


KILLS = """
import os, signal

import numpy as np

from mandora.core.anatomy import TARGETS
from mandora.training.out_of_sample import PatientScores

def look(patients, files, contract, at_known_landmarks, index):
    if index == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return PatientScores(np.full(len(TARGETS), index / 2), ())
"""


def test_a_patient_that_kills_its_process_is_told_and_the_others_are_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "killing_look.py").write_text(KILLS, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    from killing_look import look  # type: ignore[import-not-found]

    monkeypatch.setattr(out_of_sample, "_score_patient", look)
    table, lines = score(tmp_path, workers=2)
    np.testing.assert_array_equal(table[:, 0], [0, np.nan, 1, 1.5])
    (line,) = lines
    assert line.startswith(f"{PATIENTS.name(1)}: the process that worked on it was killed")


def test_simulated_patients_are_those_of_their_seed() -> None:
    patient = draw_patient(7, 1)
    assert PATIENTS.name(1) == patient.name
    truth = PATIENTS.truth(1)
    assert truth[TARGET_INDEX[FIRST]] == patient.grades[FIRST]
    films = list(PATIENTS.films(1))
    assert len({film.slot for film in films}) == 4
    height, width = films[0].read().pixels.shape
    assert (films[0].landmarks < (width, height)).all()
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
    ((_, read, landmarks, orientation),) = patients.films(1)
    assert read().pixels.ndim == 2
    assert landmarks is films[0].landmarks
    assert orientation is None
    ((_, read, _, _),) = patients.films(0)
    with pytest.raises(ValueError, match="P2-LF"):
        read()
    assert LabelledPatients(labelled, ("P1",)).key != patients.key
    found = {
        film.path: FoundLimb(np.full((6, 2), 7.0), Orientation(2, mirrored=True)) for film in films
    }
    located = LocatedPatients(labelled, ("P2", "P1"), found)
    ((_, _, landmarks, orientation),) = located.films(1)
    assert (landmarks == 7).all()
    assert orientation == Orientation(2, mirrored=True)
    other = {**found, left: FoundLimb(np.full((6, 2), 8.0), Orientation(2, mirrored=True))}
    keys = {patients.key, located.key, LocatedPatients(labelled, ("P2", "P1"), other).key}
    assert len(keys) == 3
