from __future__ import annotations

import pytest

from mandora.core.anatomy import LANDMARKS, Limb
from mandora.core.settings import LocateSettings, TrainLocateSettings, preset

pytest.importorskip("torch")
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mandora.locate.network import LocateNet, PublishedLocateNet, build_locate_net

SMALL = LocateSettings(input_px=64, widths=(4, 6, 8))
PAPER = preset("paper", TrainLocateSettings).network
TINY = PAPER.model_copy(update={"input_px": 64, "widths": (3, 6, 12)})


@pytest.mark.parametrize("limb", list(Limb))
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_one_heat_map_per_point_at_the_stated_stride(limb: Limb, stride: int) -> None:
    settings = SMALL.model_copy(update={"heat_map_stride": stride})
    with torch.no_grad():
        maps = LocateNet(len(LANDMARKS[limb]), settings)(torch.zeros(2, 1, 64, 64))
    assert maps.shape == (2, len(LANDMARKS[limb]), 64 // stride, 64 // stride)


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
        for p in LocateNet(len(LANDMARKS[limb]), LocateSettings()).parameters()
    )
    assert 4 * parameters < bundle / 2


def test_other_channels_and_kernels_can_be_set() -> None:
    settings = SMALL.model_copy(update={"channels": 3, "kernel_px": 5})
    with torch.no_grad():
        maps = LocateNet(2, settings)(torch.zeros(1, 3, 64, 64))
    assert maps.shape == (1, 2, 32, 32)
    with pytest.raises(ValueError, match="kernel_px 4 is even; use an odd side"):
        LocateNet(2, SMALL.model_copy(update={"kernel_px": 4}))


# ── the published network ────────────────────────────────────────────────────────────────


def test_the_published_localiser_has_the_published_size_and_cost() -> None:
    with torch.device("meta"):
        net = PublishedLocateNet(PAPER).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            logits = net(torch.empty(1, 3, 1024, 1024))
    assert logits.shape == (1, 1, 1024, 1024)
    assert f"{sum(p.numel() for p in net.parameters()) / 1e6:.2f}" == "3.10"
    assert f"{counter.get_total_flops() / 2e9:.1f}" == "81.2"


def test_the_published_localiser_has_pairs_of_wide_convolutions() -> None:
    net = PublishedLocateNet(PAPER)
    convolutions = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    # 8 and 2 at the bottom, 8 on the way up, and the last of 1 × 1
    assert [c.kernel_size for c in convolutions] == [(7, 7)] * 18 + [(1, 1)]
    assert [c.out_channels for c in convolutions] == [
        9, 9, 18, 18, 36, 36, 72, 72, 144, 144, 72, 72, 36, 36, 18, 18, 9, 9, 1,
    ]  # fmt: skip
    rises = [m for m in net.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert [(r.kernel_size, r.stride) for r in rises] == [((2, 2), (2, 2))] * 4
    order = [type(m) for m in net.encoder[0]]
    assert order == [nn.Conv2d, nn.ReLU, nn.BatchNorm2d] * 2


def test_every_level_of_the_published_localiser_reaches_the_output() -> None:
    torch.manual_seed(0)
    net = PublishedLocateNet(TINY)
    net(torch.randn(2, 3, 64, 64)).square().mean().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
    for level in (*net.encoder, *net.decoder, *net.rise):
        assert sum(float(p.grad.abs().sum()) for p in level.parameters()) > 0


def test_the_published_localiser_sees_a_mirrored_film_like_its_mirrored_weights() -> None:
    torch.manual_seed(0)
    net, film = PublishedLocateNet(TINY).eval(), torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        usual = net(film)
        for layer in net.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                layer.weight.copy_(layer.weight.flip(3))
        mirrored = net(film.flip(3))
    # holds if nothing but the weights knows left from right: padding, pooling, skips
    torch.testing.assert_close(mirrored.flip(3), usual, atol=1e-4, rtol=1e-4)


def test_settings_that_the_published_localiser_cannot_follow_are_refused() -> None:
    with pytest.raises(ValueError, match="heat_map_stride is 2; set it to 1"):
        PublishedLocateNet(PAPER.model_copy(update={"heat_map_stride": 2}))
    with pytest.raises(ValueError, match="input_px 1000 cannot be halved 4 times"):
        PublishedLocateNet(PAPER.model_copy(update={"input_px": 1000}))


@pytest.mark.parametrize("limb", list(Limb))
def test_the_design_chooses_the_network(limb: Limb) -> None:
    usual = build_locate_net(limb, SMALL)
    assert isinstance(usual, LocateNet)
    assert usual.head.out_channels == len(LANDMARKS[limb])
    assert isinstance(build_locate_net(limb, TINY), PublishedLocateNet)
