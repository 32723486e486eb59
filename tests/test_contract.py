from __future__ import annotations

import pytest
from pydantic import ValidationError

from mandora.anatomy import POINTS, SITES, Limb
from mandora.contract import Contract, DamageContract, LocateContract, SymmetryContract
from mandora.settings import DamageSettings, LocateSettings, SymmetrySettings

TEMPLATE = {limb: tuple((0.5, 0.25) for _ in POINTS[limb]) for limb in Limb}


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
    assert (made.symmetry.trees, made.symmetry.depth, made.symmetry.blend) == (7, 2, 0.3)


def test_a_contract_states_the_order_of_points_and_sites() -> None:
    made = contract()
    for limb in Limb:
        names = tuple(p.name for p in POINTS[limb])
        assert made.locate.points[limb] == made.damage.points[limb] == names
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
