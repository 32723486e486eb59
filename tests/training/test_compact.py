"""Weights of 8 bits: what is stored, how close it is, what stays as it is."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from mandora.core.anatomy import Limb
from mandora.core.inference import Network
from mandora.core.settings import DamageSettings, LocateSettings
from mandora.model.bundle import Bundle, open_bundle

pytest.importorskip("torch")
pytest.importorskip("onnxscript")
import onnx
import torch
from torch import nn

from mandora.damage.network import build_damage_net
from mandora.locate.network import build_locate_net
from mandora.model.contract import DAMAGE_FILE, LOCATE_FILES
from mandora.training import compact as module
from mandora.training.compact import (
    LIMITS,
    compact_bundle,
    compact_network,
    round_weights,
    rounded,
)
from mandora.training.export import (
    export_damage,
    export_locator,
    simulated_films,
    simulated_patches,
)

LOCATE = LocateSettings(input_px=64, widths=(16, 24, 32))
DAMAGE = DamageSettings(patch_px=32, widths=(16, 24, 32), condition_width=8)


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[nn.Module, Path]]:
    """A localiser and a damage network with random weights, as a run leaves them."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("run")
    locate, damage = build_locate_net(Limb.FOOT, LOCATE), build_damage_net(DAMAGE, None)
    locate.train()(torch.from_numpy(simulated_films(LOCATE)))
    patches = simulated_patches(DAMAGE)
    damage.train()(*(torch.from_numpy(patches[name]) for name in ("patches", "points")))
    export_locator(locate, LOCATE, folder / "locate.onnx")
    export_damage(damage, DAMAGE, folder / "damage.onnx")
    return {
        "locate": (locate.eval(), folder / "locate.onnx"),
        "damage": (damage.eval(), folder / "damage.onnx"),
    }


def outputs_of_torch(name: str, network: nn.Module) -> list[np.ndarray]:
    with torch.no_grad():
        if name == "locate":
            return [torch.sigmoid(network(torch.from_numpy(simulated_films(LOCATE)))).numpy()]
        batch = simulated_patches(DAMAGE)
        masks, scores, _ = network(*(torch.from_numpy(batch[k]) for k in ("patches", "points")))
        return [torch.sigmoid(masks).numpy(), scores.numpy()]


INPUTS = {"film": {"film": simulated_films(LOCATE)}, "patches": simulated_patches(DAMAGE)}


@pytest.mark.parametrize("name", ["locate", "damage"])
def test_a_compact_network_agrees_with_the_trained_one(networks, tmp_path, name) -> None:
    network, path = networks[name]
    made = compact_network(path, INPUTS)
    assert len(made.data) < 0.5 * path.stat().st_size
    (tmp_path / "compact.onnx").write_bytes(made.data)
    compact = Network(tmp_path / "compact.onnx", 1)
    batch = INPUTS[compact.inputs[0]]
    wanted = outputs_of_torch(name, network)
    for output, got, want in zip(compact.outputs, compact(**batch), wanted, strict=True):
        difference = float(np.abs(got - want).max())
        assert 0 < difference <= LIMITS[output]
        assert difference == pytest.approx(made.differences[output], abs=1e-3)
    assert made.is_close
    left = sorted(p.name for p in path.parent.iterdir())
    assert left == ["damage.onnx", "locate.onnx"], "no temporary file"


def test_each_channel_has_its_own_scale_and_is_off_by_half_a_step_at_most() -> None:
    weights = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    weights[1] *= 1000
    weights[2] = 0
    whole, scale = rounded(weights, 0)
    assert (whole.dtype, scale.shape) == (np.int8, (4, 1, 1, 1))
    assert (np.abs(whole).max(axis=(1, 2, 3)) == [127, 127, 0, 127]).all()
    assert (np.abs(whole * scale - weights) <= 0.5001 * scale).all()
    assert rounded(weights, 1)[1].shape == (1, 3, 1, 1)


def test_only_large_weights_of_layers_are_rounded_and_only_once(networks) -> None:
    model = onnx.load(networks["damage"][1])
    before = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    round_weights(model)
    after = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    gone = before.keys() - after.keys()
    layers = {n.input[1]: n for n in model.graph.node if n.op_type in ("Conv", "Gemm")}
    large = {n for n in layers if n in before and before[n].size >= 1024}
    assert gone == large
    for name in gone:
        axis = 0 if before[name].ndim == 4 else int(np.argmax(after[f"{name}.scale"].shape))
        assert after[f"{name}.scale"].shape[axis] == before[name].shape[axis]
        made = after[f"{name}.int8"] * after[f"{name}.scale"]
        np.testing.assert_allclose(made, before[name], atol=float(after[f"{name}.scale"].max()) / 2)
    once = model.SerializeToString()
    round_weights(model)
    assert model.SerializeToString() == once


def test_weights_that_another_node_uses_too_stay_as_they_are() -> None:
    h, kind = onnx.helper, onnx.TensorProto
    weights = np.ones((32, 64), np.float32)
    graph = h.make_graph(
        [
            h.make_node("Gemm", ["x", "w"], ["y"], transB=1),
            h.make_node("Gemm", ["x", "v"], ["z"]),
            h.make_node("Add", ["w", "w"], ["twice"]),
        ],
        "shared",
        [h.make_tensor_value_info("x", kind.FLOAT, [1, 64])],
        [h.make_tensor_value_info(n, kind.FLOAT, None) for n in ("y", "z", "twice")],
        [onnx.numpy_helper.from_array(a, n) for n, a in (("w", weights), ("v", weights.T))],
    )
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)])
    round_weights(model)
    shapes = {t.name: tuple(t.dims) for t in model.graph.initializer}
    assert shapes == {"w": (32, 64), "v.int8": (64, 32), "v.scale": (1, 32)}


@pytest.fixture
def bundle(networks, tiny_bundle, tmp_path) -> Bundle:
    """A bundle whose networks are large enough to be rounded."""
    from mandora.model.bundle import BundleInfo, write_bundle
    from mandora.model.contract import DamageContract, LocateContract

    tiny = open_bundle(tiny_bundle)
    contract = tiny.manifest.contract
    contract = contract.model_copy(
        update={
            "locate": LocateContract.of(LOCATE, contract.locate.template),
            "damage": DamageContract.of(DAMAGE),
        }
    )
    info = tiny.manifest.model_dump(include=set(BundleInfo.model_fields))
    files = {name: tiny.path(name) for name in tiny.manifest.files}
    files |= dict.fromkeys(LOCATE_FILES.values(), networks["locate"][1])
    files[DAMAGE_FILE] = networks["damage"][1]
    return write_bundle(tmp_path / "given", BundleInfo(**info | {"contract": contract}), files)


def test_a_bundle_is_compacted_and_its_card_says_so(bundle, tmp_path) -> None:
    made = compact_bundle(bundle, tmp_path / "compact")
    before, after = bundle.manifest, made.manifest
    assert after.contract == before.contract
    assert after.files["symmetry.npz"] == before.files["symmetry.npz"]
    for name in (*LOCATE_FILES.values(), DAMAGE_FILE):
        assert after.files[name].bytes < 0.5 * before.files[name].bytes
    card = made.path(after.card).read_text(encoding="utf-8")
    assert card.startswith(bundle.path(before.card).read_text(encoding="utf-8").rstrip())
    assert "## Storage" in card
    assert "`damage.onnx`: masks 0.0" in card
    with pytest.raises(ValueError, match="in 8 bits already"):
        compact_bundle(made, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_network_that_would_differ_too_much_stays_as_it_is(
    bundle, tmp_path, monkeypatch, caplog
) -> None:
    monkeypatch.setitem(module.LIMITS, "scores", 1e-9)
    with caplog.at_level(logging.WARNING, "mandora"):
        made = compact_bundle(bundle, tmp_path / "compact")
    files = made.manifest.files
    assert files[DAMAGE_FILE] == bundle.manifest.files[DAMAGE_FILE]
    assert files["locate-hand.onnx"].bytes < bundle.manifest.files["locate-hand.onnx"].bytes
    assert "damage.onnx keeps weights of 32 bits" in caplog.text
    card = made.path(made.manifest.card).read_text(encoding="utf-8")
    assert card.count("this one keeps weights of 32 bits") == 1


def test_scales_are_applied_when_the_file_is_opened_not_in_every_call(networks, tmp_path) -> None:
    import onnxruntime as ort

    model = onnx.load(networks["locate"][1])
    round_weights(model)
    options, out = ort.SessionOptions(), tmp_path / "optimised.onnx"
    options.optimized_model_filepath = str(out)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    kinds = {node.op_type for node in onnx.load(out).graph.node}
    assert not kinds & {"Cast", "Mul"}
