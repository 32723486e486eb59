from __future__ import annotations

import pytest
from pydantic import ValidationError

from mandora.core.anatomy import FAMILIES, LANDMARKS, SITES, Damage, Limb
from mandora.core.settings import (
    DamageSettings,
    LocateSettings,
    SymmetrySettings,
    TrainDamageSettings,
    TrainLocateSettings,
    preset,
)
from mandora.model.contract import (
    Contract,
    DamageContract,
    LocateContract,
    SymmetryContract,
    damage_file,
    damage_files,
    locate_file,
    locate_files,
    model_files,
)

TEMPLATE = {limb: tuple((0.5, 0.25) for _ in LANDMARKS[limb]) for limb in Limb}


def contract() -> Contract:
    return Contract(
        locate=LocateContract.of(LocateSettings(input_px=128, found_threshold=0.4), TEMPLATE),
        damage=DamageContract.of(DamageSettings(patch_px=64, half_window=0.2)),
        symmetry=SymmetryContract.of(SymmetrySettings(trees=7, depth=2, blend=0.3)),
    )


def test_a_contract_repeats_what_the_stages_were_trained_with() -> None:
    made = contract()
    assert (made.locate.input_px, made.locate.found_threshold) == (128, 0.4)
    assert (made.damage.patch_px, made.damage.half_window) == (64, 0.2)
    assert made.damage.enlarged == DamageSettings().enlarged
    assert (made.symmetry.trees, made.symmetry.depth, made.symmetry.blend) == (7, 2, 0.3)


def published() -> Contract:
    locate = preset("paper", TrainLocateSettings).network
    return Contract(
        locate=LocateContract.of(locate.model_copy(update={"seeds": 3}), TEMPLATE),
        damage=DamageContract.of(preset("paper", TrainDamageSettings).network),
        symmetry=SymmetryContract.of(SymmetrySettings()),
    )


def test_a_contract_states_the_published_design() -> None:
    made = published()
    locate, damage = made.locate, made.damage
    assert (locate.design, locate.input_px, locate.channels) == ("one-landmark", 1024, 3)
    assert (locate.keep_aspect, locate.heat_map_stride, locate.seeds) == (False, 1, 3)
    assert (locate.decode, locate.found_threshold) == ("component", 0.5 / 255)
    assert locate.corner == 0.01
    assert damage.patch_range == 255
    assert (damage.design, damage.patch_px, damage.channels) == ("family", 384, 7)
    assert (damage.window, damage.half_window_px, damage.mask) == ("film", 192, "space")
    assert damage.enlarged == {}
    assert Contract.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"keep_aspect": False}, "used with keep_aspect = True only"),
        (
            {"keep_aspect": False, "channels": 3, "seeds": 2},
            "used with keep_aspect = True, channels = 1, seeds = 1 only",
        ),
        ({"decode": "component"}, "used with decode = peak only"),
        ({"design": "one-landmark", "channels": 3}, "use keep_aspect = false, or channels = 1"),
    ],
)
def test_localisers_that_cannot_be_used_have_no_contract(
    changed: dict[str, object], says: str
) -> None:
    with pytest.raises(ValidationError, match=says):
        LocateContract.of(LocateSettings().model_copy(update=changed), TEMPLATE)


# ── files ────────────────────────────────────────────────────────────────────────────────


def test_the_default_design_has_one_file_for_each_network() -> None:
    assert model_files(contract()) == (
        "locate-hand.onnx", "locate-foot.onnx", "damage.onnx", "symmetry.npz"
    )  # fmt: skip


def test_the_published_design_has_a_file_for_each_point_seed_and_family() -> None:
    made = published()
    files = locate_files(Limb.HAND, made.locate)
    assert files[:4] == (
        "locate-hand-ip.onnx", "locate-hand-ip.2.onnx", "locate-hand-ip.3.onnx",
        "locate-hand-pip2.onnx",
    )  # fmt: skip
    assert len(files) == 3 * 21
    assert damage_files(made.damage) == tuple(damage_file(family) for family in FAMILIES)
    assert set(damage_files(made.damage)) == {
        "damage-nh.onnx", "damage-nf.onnx", "damage-eh.onnx", "damage-ef.onnx"
    }  # fmt: skip
    everything = model_files(made)
    assert len(everything) == len(set(everything)) == 3 * 27 + 4 + 1
    assert everything[-1] == "symmetry.npz"


def test_one_file_can_be_named() -> None:
    assert locate_file(Limb.FOOT) == "locate-foot.onnx"
    assert locate_file(Limb.HAND, "mcp2") == "locate-hand-mcp2.onnx"
    assert locate_file(Limb.HAND, "mcp2", seed=2) == "locate-hand-mcp2.2.onnx"
    assert damage_file() == "damage.onnx"
    assert damage_file((Limb.FOOT, Damage.NARROWING)) == "damage-nf.onnx"


# ── what a contract must hold ────────────────────────────────────────────────────────────


def test_a_contract_states_the_order_of_points_and_sites() -> None:
    made = contract()
    for limb in Limb:
        names = tuple(p.name for p in LANDMARKS[limb])
        assert made.locate.landmarks[limb] == made.damage.landmarks[limb] == names
    assert made.symmetry.sites == tuple(site.code for site in SITES)


def test_a_contract_survives_json() -> None:
    assert Contract.model_validate_json(contract().model_dump_json()) == contract()


def test_a_template_has_one_place_for_each_point() -> None:
    short = {**TEMPLATE, Limb.FOOT: TEMPLATE[Limb.FOOT][:-1]}
    with pytest.raises(ValidationError, match="foot's template"):
        LocateContract.of(LocateSettings(), short)


@pytest.mark.parametrize("sites", [(), ("mcp2",), tuple(s.code for s in SITES) * 2])
def test_sites_are_all_there_and_each_once(sites: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError, match="each once"):
        SymmetryContract(trees=1, depth=1, blend=0.5, sites=sites)
