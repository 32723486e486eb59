from __future__ import annotations

import json

import pytest

from mandora.core.anatomy import FAMILIES, Damage, Limb
from mandora.core.settings import (
    DamageSettings,
    LocateSettings,
    TrainDamageSettings,
    TrainLocateSettings,
    preset,
)

pytest.importorskip("torch")
import torch
from torch.utils.flop_counter import FlopCounterMode

from mandora.damage.network import build_damage_net
from mandora.locate.network import build_locate_net
from mandora.training.describe import describe_network

LOCATE = {name: preset(name, TrainLocateSettings).network for name in ("fast", "paper")}
DAMAGE = {name: preset(name, TrainDamageSettings).network for name in ("fast", "paper")}


def test_the_published_networks_cost_what_was_published() -> None:
    locate = describe_network("locate", LOCATE["paper"])
    assert f"{locate.parameters / 1e6:.2f} {locate.gmac:.1f}" == "3.10 81.2"
    assert (locate.networks, locate.passes) == (27, 54)
    assert locate.inputs == {"film": (3, 1024, 1024)}
    assert locate.outputs == {"heat_map_logits": (1, 1024, 1024)}
    damage = describe_network("damage", DAMAGE["paper"])
    assert f"{damage.parameters / 1e6:.2f} {damage.gmac:.1f}" == "5.77 38.4"
    assert (damage.networks, damage.passes) == (4, 86)
    assert damage.inputs == {"patches": (7, 384, 384)}
    assert damage.outputs == {"mask_logits": (1, 384, 384), "scores": (1,)}


def test_a_patient_costs_what_was_published() -> None:
    locate = describe_network("locate", LOCATE["paper"])
    damage = describe_network("damage", DAMAGE["paper"])
    assert f"{locate.patient_tmac + damage.patient_tmac:.1f}" == "7.7"


def test_more_seeds_cost_more_passes() -> None:
    settings = LOCATE["paper"].model_copy(update={"seeds": 5})
    described = describe_network("locate", settings)
    assert (described.networks, described.passes) == (135, 270)


def test_the_usual_networks_are_described_per_limb() -> None:
    hand, foot = (describe_network("locate", LOCATE["fast"], limb) for limb in Limb)
    damage = describe_network("damage", DAMAGE["fast"])
    assert hand.outputs["heat_map_logits"] == (21, 128, 128)
    assert foot.outputs["heat_map_logits"] == (6, 128, 128)
    assert (hand.networks, hand.passes) == (foot.networks, foot.passes) == (1, 2)
    assert damage.inputs == {"patches": (1, 112, 112), "points": ()}
    assert damage.outputs["scores"] == (2,)
    assert (damage.networks, damage.passes) == (1, 54)


@pytest.mark.parametrize("name", ["fast", "paper"])
def test_the_sums_are_those_of_the_networks(name: str) -> None:
    with torch.device("meta"), torch.no_grad():
        locate = build_locate_net(Limb.FOOT, LOCATE[name]).eval()
        family = (Limb.FOOT, Damage.EROSION) if name == "paper" else None
        damage = build_damage_net(DAMAGE[name], family).eval()
        given = [
            (locate, [torch.empty(1, LOCATE[name].channels, *[LOCATE[name].input_px] * 2)]),
            (damage, [
                torch.empty(1, DAMAGE[name].channels, *[DAMAGE[name].patch_px] * 2),
                torch.zeros(1, dtype=torch.int64),
            ]),
        ]  # fmt: skip
        described = [
            describe_network("locate", LOCATE[name], Limb.FOOT),
            describe_network("damage", DAMAGE[name], family=family),
        ]
        for (network, inputs), found in zip(given, described, strict=True):
            assert found.parameters == sum(p.numel() for p in network.parameters())
            with FlopCounterMode(display=False) as counter:
                network(*inputs)
            assert found.gmac == pytest.approx(counter.get_total_flops() / 2e9, rel=1e-9)


def test_layers_come_in_order_with_their_shapes() -> None:
    layers = describe_network("damage", DAMAGE["paper"]).layers
    names = [layer.name for layer in layers]
    assert len(set(names)) == len(names)
    by_name = {layer.name: layer for layer in layers}
    assert by_name["encoder.0.0"].output == (21, 384, 384)
    assert by_name["encoder.0.0"].parameters == 7 * 21 * 49 + 21
    assert by_name["encoder.0.0"].mac == 7 * 21 * 49 * 384 * 384
    assert by_name["rise.0"].mac == 103 * 68 * 4 * 24 * 24
    assert by_name["mask"].output == (1, 384, 384)
    assert by_name["tail.3.0"].output == (1, 24, 24)
    assert names.index("mask") < names.index("regressor.0.0") < names.index("dense")
    assert sum(layer.kind == "MaxPool2d" for layer in layers) == 8


@pytest.mark.parametrize("family", list(FAMILIES))
def test_families_differ_in_their_maximum_only(family: tuple[Limb, Damage]) -> None:
    described = describe_network("damage", DAMAGE["paper"], family=family)
    assert described.layers == describe_network("damage", DAMAGE["paper"]).layers
    assert family[0] in described.title
    assert family[1] in described.title


def test_a_description_is_json_and_text() -> None:
    described = describe_network("locate", LOCATE["paper"])
    data = json.loads(json.dumps(described.to_json()))
    assert {"parameters", "gmac", "layers", "inputs", "outputs"} <= data.keys()
    assert data["parameters"] == sum(layer["parameters"] for layer in data["layers"])
    text = described.table()
    assert "3.10 M parameters, 81.2 GMAC" in text
    assert "27 such networks; 54 passes and 4.38 TMAC per patient" in text
    assert all(layer.name in text for layer in described.layers)


def test_settings_of_the_other_stage_are_refused() -> None:
    with pytest.raises(ValueError, match="DamageSettings are not the settings of a locate network"):
        describe_network("locate", DamageSettings())
    with pytest.raises(ValueError, match="LocateSettings are not the settings of a damage network"):
        describe_network("damage", LocateSettings())
