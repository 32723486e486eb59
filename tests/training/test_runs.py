from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mandora.anatomy import TARGETS, Limb
from mandora.bundle import DAMAGE_FILE, LOCATE_FILES, SYMMETRY_FILE, open_bundle
from mandora.settings import (
    DamageSettings,
    LocateSettings,
    LoopSettings,
    Settings,
    SymmetrySettings,
    TrainDamageSettings,
    TrainLocateSettings,
    TrainSymmetrySettings,
)

pytest.importorskip("torch")
pytest.importorskip("kornia")
pytest.importorskip("onnx")
pytest.importorskip("sklearn")

from mandora.training import runs
from mandora.training.runs import (
    contract_of,
    make_bundle,
    run_damage,
    run_locate,
    run_symmetry,
)

LOCATE = TrainLocateSettings(
    films=8, network=LocateSettings(input_px=64, found_threshold=0.4), loop=LoopSettings(epochs=1)
)
DAMAGE = TrainDamageSettings(patients=2, network=DamageSettings(patch_px=48, half_window=0.2))
SYMMETRY = TrainSymmetrySettings(
    patients=30, forest=SymmetrySettings(trees=3, depth=2, blend=0.4, threads=1)
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose trainings and exports are pretended; its files hold their stage's name."""

    def no_training(*args: Any) -> None: ...

    def no_export(network: None, settings: Settings, path: Path) -> float:
        path.write_bytes(path.name.encode())
        return 0.0

    def no_scoring(settings: TrainSymmetrySettings, run: Path) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(0)
        maxima = np.array([t.maximum for t in TARGETS])
        truth = rng.integers(0, maxima + 1, (settings.patients, len(TARGETS))).astype(float)
        patch = np.clip(truth + rng.normal(0, 1, truth.shape), 0, maxima)
        patch[3, :10] = np.nan
        return patch, truth

    for name in ("train_locator", "train_damage"):
        monkeypatch.setattr(runs, name, no_training)
    for name in ("export_locator", "export_damage"):
        monkeypatch.setattr(runs, name, no_export)
    monkeypatch.setattr(runs, "patch_scores", no_scoring)
    return tmp_path / "run"


def quiet(_: str) -> None: ...


def train_all(run: Path) -> None:
    for limb in Limb:
        run_locate(limb, LOCATE, run, quiet)
    run_damage(DAMAGE, run, quiet)
    run_symmetry(SYMMETRY, run, quiet)


# ── folders ──────────────────────────────────────────────────────────────────────────────


def test_each_stage_leaves_its_file_and_its_settings(run: Path) -> None:
    lines: list[str] = []
    run_locate(Limb.HAND, LOCATE, run, lines.append)
    assert (run / LOCATE_FILES[Limb.HAND]).exists()
    settings = TrainLocateSettings.from_toml(run / "locate-hand" / "settings.toml")
    assert settings == LOCATE
    assert LOCATE_FILES[Limb.HAND] in lines[-1]


def test_a_run_goes_on_with_the_same_settings_only(run: Path) -> None:
    run_damage(DAMAGE, run, quiet)
    run_damage(DAMAGE, run, quiet)
    with pytest.raises(ValueError, match=r"damage was begun with other settings.*settings\.toml"):
        run_damage(DAMAGE.model_copy(update={"patients": 3}), run, quiet)
    assert TrainDamageSettings.from_toml(run / "damage" / "settings.toml") == DAMAGE


def test_trees_need_the_networks_first_and_are_told_which(run: Path) -> None:
    run_locate(Limb.HAND, LOCATE, run, quiet)
    with pytest.raises(ValueError, match=r"lacks locate-foot\.onnx, damage\.onnx; train those"):
        run_symmetry(SYMMETRY, run, quiet)


def test_trees_leave_their_table_and_their_numbers(run: Path) -> None:
    train_all(run)
    table = (run / "symmetry" / "patch_scores.csv").read_text(encoding="utf-8").splitlines()
    assert table[0] == "patient,target,patch_score,true_grade"
    assert len(table) == 1 + SYMMETRY.patients * len(TARGETS)
    # a joint that was not found is empty, not 0
    assert [row.split(",")[2] for row in table if row.startswith("3,")][:10] == [""] * 10
    numbers = json.loads((run / "symmetry" / "metrics.json").read_text(encoding="utf-8"))
    assert numbers["held_out_patients"] == 6
    assert {f"r_{c}_{k}" for c in ("nh", "nf", "eh", "ef") for k in ("patch", "final")} < set(
        numbers
    )


# ── contract and bundle ──────────────────────────────────────────────────────────────────


def test_the_contract_states_what_the_stages_were_trained_with(run: Path) -> None:
    train_all(run)
    contract = contract_of(run)
    assert contract.locate.input_px == 64
    assert contract.locate.found_threshold == 0.4
    assert (contract.damage.patch_px, contract.damage.half_window) == (48, 0.2)
    assert (contract.symmetry.trees, contract.symmetry.blend) == (3, 0.4)


@pytest.mark.parametrize(("limb", "ends"), [(Limb.HAND, (6, 9)), (Limb.FOOT, (1, 5))])
def test_the_templates_unit_is_the_limbs(run: Path, limb: Limb, ends: tuple[int, int]) -> None:
    train_all(run)
    shape = np.array(contract_of(run).locate.template[limb])
    # a mean of shapes is a little smaller than each of them
    assert np.linalg.norm(shape[ends[0]] - shape[ends[1]]) == pytest.approx(1, abs=0.03)
    # a left limb as it is displayed: thumb or great toe on the right, digits up
    assert shape[0, 0] > shape[ends[0], 0] - 0.1 > shape[ends[1], 0]
    assert shape[0, 1] < shape[:, 1].max()


def test_localisers_that_take_different_films_do_not_fit_into_one_contract(run: Path) -> None:
    run_locate(Limb.HAND, LOCATE, run, quiet)
    other = LOCATE.model_copy(update={"network": LocateSettings(input_px=128)})
    run_locate(Limb.FOOT, other, run, quiet)
    run_damage(DAMAGE, run, quiet)
    with pytest.raises(ValueError, match=r"localisers of hand and foot .* other network settings"):
        contract_of(run)


def test_a_finished_run_becomes_a_bundle(run: Path, tmp_path: Path) -> None:
    train_all(run)
    history = {"epoch": 1, "loss": 0.1, "median": 0.004, "minutes": 3.0}
    path = run / "locate-hand" / "history.jsonl"
    path.write_text(json.dumps(history) + "\n", encoding="utf-8")
    bundle = make_bundle(run, tmp_path / "bundle", "mandora-test", "1.2")
    assert open_bundle(tmp_path / "bundle").sha256 == bundle.sha256
    assert bundle.manifest.contract == contract_of(run)
    assert bundle.path(DAMAGE_FILE).read_bytes() == DAMAGE_FILE.encode()
    assert "mandora" in bundle.manifest.software
    card = bundle.path("card.md").read_text(encoding="utf-8")
    assert "mandora-test 1.2" in card
    assert "For research use only" in card
    assert "median 0.004" in card
    assert "not validated" in card


def test_an_unfinished_run_is_refused_with_the_stages_it_lacks(run: Path, tmp_path: Path) -> None:
    run_locate(Limb.FOOT, LOCATE, run, quiet)
    with pytest.raises(ValueError, match="train those stages first") as caught:
        make_bundle(run, tmp_path / "bundle", "mandora-test", "1")
    lacking = {LOCATE_FILES[Limb.HAND], DAMAGE_FILE, SYMMETRY_FILE}
    assert all(name in str(caught.value) for name in lacking)
    assert LOCATE_FILES[Limb.FOOT] not in str(caught.value)
    assert not (tmp_path / "bundle").exists()
