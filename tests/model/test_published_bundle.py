"""A small bundle of the published design, from its files to the scores of a patient."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mandora.core.anatomy import LANDMARKS, SLOTS, TARGETS, Damage, Limb, Side, Slot
from mandora.core.records import Reason, Status
from mandora.core.settings import SymmetrySettings, TrainDamageSettings, TrainLocateSettings, preset
from mandora.locate.template import limb_template
from mandora.model.bundle import (
    BUNDLE_SCHEMA,
    Bundle,
    BundleError,
    BundleInfo,
    Licence,
    open_bundle,
    write_bundle,
)
from mandora.model.contract import (
    SYMMETRY_FILE,
    Contract,
    DamageContract,
    LocateContract,
    SymmetryContract,
    damage_files,
    locate_file,
    locate_files,
    model_files,
)
from mandora.scoring.pipeline import Pipeline
from mandora.simulate.cohort.patients import draw_patient, simulate_film

# the published settings, but for what makes them slow
LOCATE = preset("paper", TrainLocateSettings).network.model_copy(
    update={"input_px": 64, "widths": (3, 4), "seeds": 2}
)
DAMAGE = preset("paper", TrainDamageSettings).network.model_copy(
    update={"patch_px": 32, "widths": (4, 5)}
)
TREES = SymmetrySettings(trees=2, depth=2, threads=1)
CONTRACT = Contract(
    locate=LocateContract.of(
        LOCATE, {limb: tuple(map(tuple, limb_template(limb).tolist())) for limb in Limb}
    ),
    damage=DamageContract.of(DAMAGE),
    symmetry=SymmetryContract.of(TREES),
)
INFO = BundleInfo(
    name="tiny-published", version="0.1", preset="paper", created="2026-01-31", contract=CONTRACT,
    licence=Licence(spdx="Apache-2.0"), software={}, training_data="nothing",
)  # fmt: skip


def network_that_draws(place_xy: np.ndarray, path: Path) -> None:
    """A localiser that draws a square of 3 × 3 px at one place of whatever it is shown."""
    onnx = pytest.importorskip("onnx")
    h, kind, size = onnx.helper, onnx.TensorProto, LOCATE.input_px
    heat = np.full((1, 1, size, size), 0.001, np.float32)  # black in a picture of 8 bits
    x, y = np.round(place_xy * size - 0.5).astype(int)
    heat[0, 0, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2] = 0.9
    shape = ["batch", 3, size, size]
    graph = h.make_graph(
        [
            h.make_node("ReduceMean", ["film"], ["grey"], axes=[1], keepdims=1),
            h.make_node("Mul", ["grey", "nothing"], ["dark"]),
            h.make_node("Add", ["dark", "heat"], ["heat_maps"]),
        ],
        "localiser",
        [h.make_tensor_value_info("film", kind.FLOAT, shape)],
        [h.make_tensor_value_info("heat_maps", kind.FLOAT, ["batch", 1, size, size])],
        [
            h.make_tensor("nothing", kind.FLOAT, [1], [0.0]),
            h.make_tensor("heat", kind.FLOAT, heat.shape, heat.tobytes(), raw=True),
        ],
    )
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the four damage networks, untrained, and of the trees."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    from mandora.damage.network import build_damage_net
    from mandora.training.export import export_damage
    from mandora.training.symmetry import train_forest

    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(1)
    first, *others = damage_files(CONTRACT.damage)
    network = build_damage_net(DAMAGE, (Limb.HAND, Damage.NARROWING))
    export_damage(network, DAMAGE, folder / first)
    for name in others:  # one export is slow enough
        shutil.copyfile(folder / first, folder / name)
    truth = np.random.default_rng(1).uniform(0, [t.maximum for t in TARGETS], (12, len(TARGETS)))
    train_forest(truth, truth, TREES).save(folder / SYMMETRY_FILE)
    return folder


def write(run: Path, out: Path) -> Bundle:
    files: dict[str, bytes | Path] = {name: run / name for name in model_files(CONTRACT)}
    return write_bundle(out, INFO, {**files, "card.md": b"for tests"})


@pytest.fixture(scope="module")
def bundle(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Localisers that know where the joints of ``small_films``' left limbs lie."""
    for limb in Limb:
        film = simulate_film(draw_patient(11, 0), Slot(Side.LEFT, limb), pixels_per_mm=2)
        places = (film.landmarks + 0.5) / film.pixels.shape[::-1]
        for point, place in zip(LANDMARKS[limb], places, strict=True):
            for seed in (1, 2):
                network_that_draws(place, run / locate_file(limb, point.name, seed))
    return write(run, tmp_path_factory.mktemp("bundle") / "published")


@pytest.fixture(scope="module")
def patient(small_films: Path) -> dict[Slot, Path]:
    return {slot: small_films / f"P1-{slot.code}.png" for slot in SLOTS}


def test_a_bundle_of_the_published_design_scores_a_patient(
    bundle: Bundle, patient: dict[Slot, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # right limbs are looked for where the left ones lie: what a patch shows there is accident
    monkeypatch.setattr("mandora.scoring.quality.unscorable", lambda *of: {})
    assert len(bundle.manifest.files) == 2 * 27 + 4 + 2
    scored = Pipeline.from_bundle(open_bundle(bundle.folder), 1).score("P1", patient)
    result = scored.result
    assert (result.model.preset, result.model.bundle_sha256) == ("paper", bundle.sha256)
    assert [s.target for s in result.scores] == [t.key for t in TARGETS]
    assert {s.status for s in result.scores} == {Status.SCORED}
    for score in result.scores:
        assert score.patch_score is not None
        assert score.tree_score is not None
        assert score.score == pytest.approx((score.patch_score + score.tree_score) / 2)
    # as many as there are patches, but for empty ones: the four networks are copies of one
    assert len({s.patch_score for s in result.scores}) in range(50, 55)
    assert result.totals[0].method == "complete"
    masks = [e.mask for film in scored.evidence.values() for e in film.values()]
    assert {mask.shape for mask in masks} == {(32, 32)}
    assert len(masks) == 54
    # the left films are those that the localisers know
    for limb in Limb:
        truth = simulate_film(draw_patient(11, 0), Slot(Side.LEFT, limb), pixels_per_mm=2)
        found = [(p.x, p.y) for p in result.locations if (p.side, p.limb) == (Side.LEFT, limb)]
        away = np.abs(np.array(found) - truth.landmarks) / truth.pixels.shape[::-1]
        assert away.max() <= 0.5 / 64 + 1e-6, "half a px of the heat map"


def changed_contract(
    bundle: Bundle, out: Path, name: str, change: Callable[[dict[str, Any]], object]
) -> Path:
    """A copy of a bundle that states something else."""
    folder = out / name
    shutil.copytree(bundle.folder, folder)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def test_the_bundle_says_what_a_corner_is(
    bundle: Bundle, patient: dict[Slot, Path], tmp_path: Path
) -> None:
    """One of two networks draws in a corner: is the other believed, or the place between?"""
    run = tmp_path / "run"
    shutil.copytree(bundle.folder, run)
    for name in locate_files(Limb.FOOT, CONTRACT.locate):
        if name.endswith(".2.onnx"):
            network_that_draws(np.array([0.01, 0.01]), run / name)
    doubtful = write(run, tmp_path / "doubtful")
    slot, found = Slot(Side.LEFT, Limb.FOOT), {}
    for corner in (0.05, 0.0):
        folder = changed_contract(
            doubtful, tmp_path, str(corner),
            lambda m, corner=corner: m["contract"]["locate"].update(corner=corner),
        )  # fmt: skip
        result = Pipeline.from_bundle(open_bundle(folder), 1).score("P1", {slot: patient[slot]})
        found[corner] = [(p.x, p.y) for p in result.result.locations]
    usual = Pipeline.from_bundle(bundle, 1).score("P1", {slot: patient[slot]}).result.locations
    assert found[0.05] == [(p.x, p.y) for p in usual]
    assert found[0.0] != found[0.05]


def test_an_earlier_bundle_is_scored_with_the_channels_that_it_was_trained_with(
    bundle: Bundle, patient: dict[Slot, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("mandora.scoring.quality.unscorable", lambda *of: {})
    slot = Slot(Side.LEFT, Limb.FOOT)

    def scores(folder: Path) -> list[float | None]:
        result = Pipeline.from_bundle(open_bundle(folder), 1).score("P1", {slot: patient[slot]})
        return [s.patch_score for s in result.result.scores]

    def as_before(manifest: dict[str, Any]) -> None:
        manifest["schema_version"] = "1.2"
        locate, damage = manifest["contract"]["locate"], manifest["contract"]["damage"]
        del locate["corner"], locate["thresholds"], damage["patch_range"], damage["limits"]
        locate["design"] = "one-point"
        locate["heatmap_stride"] = locate.pop("heat_map_stride")
        for stage in (locate, damage):
            stage["points"] = stage.pop("landmarks")

    with_contract = partial(changed_contract, bundle, tmp_path)
    unit = with_contract("unit", lambda m: m["contract"]["damage"].update(patch_range=1.0))
    earlier = with_contract("earlier", as_before)
    assert scores(earlier) == scores(unit)
    assert scores(earlier) != scores(bundle.folder)
    stated = open_bundle(bundle.folder).manifest
    assert (stated.schema_version, stated.contract.damage.patch_range) == (BUNDLE_SCHEMA, 255)


def test_a_film_that_shows_nothing_is_refused(bundle: Bundle, noise_film, tmp_path: Path) -> None:
    # a localiser that draws in a corner has found nothing
    folder = tmp_path / "run"
    shutil.copytree(bundle.folder, folder)
    (folder / "manifest.json").unlink()
    for limb in Limb:
        for name in locate_files(limb, CONTRACT.locate):
            network_that_draws(np.array([0.02, 0.02]), folder / name)
    pipeline = Pipeline.from_bundle(write(folder, tmp_path / "blind"), 1)
    result = pipeline.score("P1", {SLOTS[0]: noise_film(tmp_path / "P1-LH.png")}).result
    hand = [s for s in result.scores if (s.side, s.limb) == (Side.LEFT, Limb.HAND)]
    assert {(s.score, s.reason) for s in hand} == {(None, Reason.NOT_FOUND)}


@pytest.mark.slow  # a second export
def test_untrained_localisers_cost_scores_and_raise_nothing(
    run: Path, patient: dict[Slot, Path], tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    from mandora.locate.network import build_locate_net
    from mandora.training.export import export_locator

    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    torch.manual_seed(2)
    first, *others = (n for limb in Limb for n in locate_files(limb, CONTRACT.locate))
    export_locator(build_locate_net(Limb.HAND, LOCATE), LOCATE, folder / first)
    for name in others:
        shutil.copyfile(folder / first, folder / name)
    result = Pipeline.from_bundle(write(folder, tmp_path / "untrained"), 1).score("P1", patient)
    assert len(result.result.scores) == 86
    for score in result.result.scores:
        assert (score.score is None) == (score.reason is not None)


def test_a_bundle_without_one_of_the_networks_is_refused(run: Path, tmp_path: Path) -> None:
    lacking = "locate-hand-mcp2.2.onnx", "damage-ef.onnx"
    files = {name: b"x" for name in model_files(CONTRACT) if name not in lacking}
    with pytest.raises(BundleError, match=r"locate-hand-mcp2\.2\.onnx, damage-ef\.onnx"):
        write_bundle(tmp_path / "new", INFO, {**files, "card.md": b"for tests"})
    assert not (tmp_path / "new").exists()
