from __future__ import annotations

import pytest

from mandora.anatomy import POINTS, Limb
from mandora.settings import LocateSettings

pytest.importorskip("torch")
import torch

from mandora.locate.network import LocateNet

SMALL = LocateSettings(input_px=64, widths=(4, 6, 8))


@pytest.mark.parametrize("limb", list(Limb))
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_one_heat_map_per_point_at_the_stated_stride(limb: Limb, stride: int) -> None:
    settings = SMALL.model_copy(update={"heatmap_stride": stride})
    with torch.no_grad():
        maps = LocateNet(len(POINTS[limb]), settings)(torch.zeros(2, 1, 64, 64))
    assert maps.shape == (2, len(POINTS[limb]), 64 // stride, 64 // stride)


def test_an_untrained_network_finds_nothing() -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        peaks = torch.sigmoid(LocateNet(6, SMALL).eval()(torch.randn(2, 1, 64, 64)))
    assert peaks.max() < LocateSettings().found_threshold


def test_two_localisers_leave_room_in_a_bundle() -> None:
    bundle = 25e6  # bytes, networks and trees of a bundle together
    parameters = sum(
        p.numel()
        for limb in Limb
        for p in LocateNet(len(POINTS[limb]), LocateSettings()).parameters()
    )
    assert 4 * parameters < bundle / 2
