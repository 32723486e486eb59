"""Networks with random weights, to measure speed: they take as long as trained ones."""

from __future__ import annotations

from pathlib import Path

import torch

from mandora.core.anatomy import FAMILIES, Limb
from mandora.core.settings import SymmetrySettings, TrainDamageSettings, TrainLocateSettings, preset
from mandora.damage.network import build_damage_net
from mandora.locate.network import build_locate_net
from mandora.model.contract import (
    Contract,
    DamageContract,
    SymmetryContract,
    damage_files,
    locate_files,
)
from mandora.training.bundles import locate_contract
from mandora.training.export import export_damage, export_locator


def export_untrained(name: str, folder: Path) -> tuple[Contract, dict[str, Path]]:
    """Export networks of a preset with random weights.

    Networks that differ in their weights only share one file.

    Args:
        name: of the preset, ``paper`` or ``fast``.
        folder: gets the files.

    Returns:
        The contract, and the files by their names in a bundle, without trees.

    Raises:
        ValueError: if there is no such preset.
    """
    torch.manual_seed(0)
    locate = preset(name, TrainLocateSettings).network
    damage = preset(name, TrainDamageSettings).network
    contract = Contract(
        locate=locate_contract(locate),
        damage=DamageContract.of(damage),
        symmetry=SymmetryContract.of(SymmetrySettings()),
    )
    files: dict[str, Path] = {}
    for limb in Limb:
        same = locate.design == "one-landmark" and limb is not Limb.HAND
        path = folder / f"locate-{Limb.HAND if same else limb}.onnx"
        if not same:
            export_locator(build_locate_net(limb, locate), locate, path)
        files |= dict.fromkeys(locate_files(limb, contract.locate), path)
    path = folder / "damage.onnx"
    family = None if damage.design == "all-joints" else next(iter(FAMILIES))
    export_damage(build_damage_net(damage, family), damage, path)
    return contract, {**files, **dict.fromkeys(damage_files(contract.damage), path)}
