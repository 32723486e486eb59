"""What a finished run states of itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mandora.core.anatomy import Limb
from mandora.core.settings import (
    DamageSettings,
    LocateSettings,
    Settings,
    SymmetrySettings,
    TrainDamageSettings,
    TrainLocateSettings,
    TrainSymmetrySettings,
    preset,
)
from mandora.model.bundle import Bundle, Licence, open_bundle
from mandora.model.contract import DAMAGE_FILE, LOCATE_FILES, SYMMETRY_FILE, model_files
from mandora.training.bundles import contract_of
from mandora.training.bundles import make_bundle as make
from mandora.training.runs import DATA_FILE, RESULT_FILE

LOCATE = TrainLocateSettings(network=LocateSettings(input_px=64, found_threshold=0.4))
DAMAGE = TrainDamageSettings(network=DamageSettings(patch_px=48, half_window=0.2))
SYMMETRY = TrainSymmetrySettings(forest=SymmetrySettings(trees=3, depth=2, blend=0.4))
RA2 = {
    "layout": "ra2", "name": "challenge", "patients": 10, "films": 40, "pictures of joints": 0,
    "readers": {"anna": 1.0, "ben": 0.5},
}  # fmt: skip


def finished(
    run: Path,
    stages: dict[str, Settings] | None = None,
    data: dict[str, object] | None = None,
) -> Path:
    """A run whose files hold their own names."""
    run.mkdir()
    for name, settings in (stages or {
        "locate-hand": LOCATE, "locate-foot": LOCATE, "damage": DAMAGE, "symmetry": SYMMETRY,
    }).items():  # fmt: skip
        (run / f"{name}.toml").write_text(settings.to_toml(), encoding="utf-8")
    (run / DATA_FILE).write_text(json.dumps(data or {"layout": "simulated"}), encoding="utf-8")
    for name in model_files(contract_of(run)):
        (run / name).write_bytes(name.encode())
    return run


def make_bundle(run: Path, out: Path, name: str, version: str, *licence: Licence) -> Bundle:
    """A bundle of files that are no networks, as they are."""
    return make(run, out, name, version, *licence, compact=False)


def test_the_contract_states_what_the_stages_were_trained_with(tmp_path: Path) -> None:
    contract = contract_of(finished(tmp_path / "run"))
    assert contract.locate.input_px == 64
    assert contract.locate.found_threshold == 0.4
    assert (contract.damage.patch_px, contract.damage.half_window) == (48, 0.2)
    assert (contract.symmetry.trees, contract.symmetry.blend) == (3, 0.4)


@pytest.mark.parametrize(("limb", "ends"), [(Limb.HAND, (6, 9)), (Limb.FOOT, (1, 5))])
def test_the_templates_unit_is_the_limbs(tmp_path: Path, limb: Limb, ends: tuple[int, int]) -> None:
    shape = np.array(contract_of(finished(tmp_path / "run")).locate.template[limb])
    # a mean of shapes is a little smaller than each of them
    assert np.linalg.norm(shape[ends[0]] - shape[ends[1]]) == pytest.approx(1, abs=0.03)
    # a left limb as it is displayed: thumb or great toe on the right, digits up
    assert shape[0, 0] > shape[ends[0], 0] - 0.1 > shape[ends[1], 0]
    assert shape[0, 1] < shape[:, 1].max()


def test_localisers_that_take_different_films_do_not_fit_into_one_contract(tmp_path: Path) -> None:
    other = LOCATE.model_copy(update={"network": LocateSettings(input_px=128)})
    run = finished(tmp_path / "run")
    (run / "locate-foot.toml").write_text(other.to_toml(), encoding="utf-8")
    with pytest.raises(ValueError, match=r"localisers of hand and foot .* other network settings"):
        contract_of(run)


def test_a_finished_run_becomes_a_bundle(tmp_path: Path) -> None:
    run = finished(tmp_path / "run")
    (run / "locate-hand").mkdir()
    numbers = {"numbers": {"score": 0.9, "median": 0.004, "r_nh": None}}
    (run / "locate-hand" / RESULT_FILE).write_text(json.dumps(numbers), encoding="utf-8")
    bundle = make_bundle(run, tmp_path / "bundle", "mandora-test", "1.2")
    assert open_bundle(tmp_path / "bundle").sha256 == bundle.sha256
    assert bundle.manifest.contract == contract_of(run)
    assert bundle.path(DAMAGE_FILE).read_bytes() == DAMAGE_FILE.encode()
    assert "mandora" in bundle.manifest.software
    assert bundle.manifest.licence.spdx == "Apache-2.0"
    card = bundle.path("card.md").read_text(encoding="utf-8")
    assert "mandora-test 1.2" in card
    assert "For research use only" in card
    assert "| locate-hand | median 0.004 |" in card
    assert "input_px = 64" in card
    assert "not validated" in card


def test_a_bundle_of_the_published_design_has_its_files(tmp_path: Path) -> None:
    stages: dict[str, Settings] = {
        "locate-hand": preset("paper", TrainLocateSettings),
        "locate-foot": preset("paper", TrainLocateSettings),
        "damage": preset("paper", TrainDamageSettings),
        "symmetry": preset("paper", TrainSymmetrySettings),
    }
    run = finished(tmp_path / "run", stages)
    bundle = make_bundle(run, tmp_path / "bundle", "paper", "1")
    assert bundle.manifest.preset == "paper"
    assert {"locate-hand-mcp2.onnx", "locate-foot-ip.onnx", "damage-ef.onnx"} < set(
        bundle.manifest.files
    )
    assert len(model_files(bundle.manifest.contract)) == 27 + 4 + 1


def test_a_changed_preset_says_what_was_changed(tmp_path: Path) -> None:
    stages: dict[str, Settings] = {
        "locate-hand": TrainLocateSettings(), "locate-foot": TrainLocateSettings(),
        "damage": TrainDamageSettings(patients=7), "symmetry": TrainSymmetrySettings(),
    }  # fmt: skip
    bundle = make_bundle(finished(tmp_path / "run", stages), tmp_path / "bundle", "m", "1")
    assert bundle.manifest.preset == "fast, changed"
    card = bundle.path("card.md").read_text(encoding="utf-8")
    assert "Changed from the preset: damage.patients." in card


def test_films_of_others_limit_what_may_be_done_with_the_weights(tmp_path: Path) -> None:
    bundle = make_bundle(finished(tmp_path / "run", data=RA2), tmp_path / "bundle", "m", "1")
    assert bundle.manifest.licence.spdx.startswith("LicenseRef-")
    assert bundle.manifest.training_data == "challenge (ra2: 10 patients, 40 films)"
    card = bundle.path("card.md").read_text(encoding="utf-8")
    assert "agreement" in card
    assert "anna 1, ben 0.5" in card
    assert "held-out patients" in card
    own = make_bundle(
        finished(tmp_path / "own", data={**RA2, "layout": "manifest"}), tmp_path / "own-bundle",
        "m", "1",
    )  # fmt: skip
    assert "consent" in own.manifest.licence.note


def test_the_maker_may_name_another_licence(tmp_path: Path) -> None:
    run = finished(tmp_path / "run", data=RA2)
    licence = Licence(spdx="CC-BY-NC-4.0", note="as agreed")
    bundle = make_bundle(run, tmp_path / "bundle", "m", "1", licence)
    assert bundle.manifest.licence == licence


def test_an_unfinished_run_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    run = finished(tmp_path / "run")
    for name in (LOCATE_FILES[Limb.HAND], SYMMETRY_FILE):
        (run / name).unlink()
    with pytest.raises(ValueError, match=r"lacks locate-hand\.onnx, symmetry\.npz; train those"):
        make_bundle(run, tmp_path / "bundle", "mandora-test", "1")
    (run / "damage.toml").unlink()
    with pytest.raises(ValueError, match="lacks damage; train those stages first"):
        make_bundle(run, tmp_path / "bundle", "mandora-test", "1")
    assert not (tmp_path / "bundle").exists()


def test_real_films_beside_simulated_ones_decide_about_the_licence(tmp_path: Path) -> None:
    run = finished(tmp_path / "run")
    own = {**RA2, "layout": "manifest", "name": "hands", "readers": {}}
    (run / "damage-real.json").write_text(json.dumps(own), encoding="utf-8")
    made = make_bundle(run, tmp_path / "one", "m", "1")
    assert made.manifest.training_data == (
        "simulated films and real ones: hands (manifest: 10 patients, 40 films)"
    )
    assert made.manifest.licence.spdx == "LicenseRef-training-films"
    # the same films in another stage are no second data set
    (run / "locate-hand-real.json").write_text(json.dumps(own), encoding="utf-8")
    assert make_bundle(run, tmp_path / "two", "m", "1").manifest.training_data.count("hands") == 1
    (run / "damage-real.json").write_text(json.dumps(RA2), encoding="utf-8")
    (run / "locate-hand-real.json").unlink()
    licence = make_bundle(run, tmp_path / "three", "m", "1").manifest.licence
    assert licence.spdx == "LicenseRef-RA2"


def test_what_the_first_weights_were_trained_on_is_told(tmp_path: Path) -> None:
    own = {**RA2, "layout": "manifest", "name": "hands", "readers": {}}
    run = finished(tmp_path / "run", data=own)
    started = {"name": "earlier", "data": [{"layout": "simulated"}, RA2, own]}
    (run / "damage-start.json").write_text(json.dumps(started), encoding="utf-8")
    made = make_bundle(run, tmp_path / "bundle", "m", "1")
    said = made.manifest.training_data
    assert said.startswith("simulated films and real ones: hands (manifest: ")
    assert "(ra2: " in said
    assert said.count("hands") == 1
    # of two data sets with terms of their own nobody has looked into the licence
    assert made.manifest.licence.spdx == "LicenseRef-training-films"
