from __future__ import annotations

import pytest

from mandora.anatomy import N_POINTS, POINT_INDEX, SITES, Damage, Site, target
from mandora.damage.scorer import network_point
from mandora.settings import DamageSettings

pytest.importorskip("torch")
import torch

from mandora.damage.network import DamageNet, point_maxima

SMALL = DamageSettings(patch_px=32, widths=(4, 6, 8), condition_width=5)


def network(seed: int = 0) -> DamageNet:
    torch.manual_seed(seed)
    return DamageNet(SMALL).eval()


def patches(count: int) -> torch.Tensor:
    return torch.randn(count, 1, 32, 32, generator=torch.Generator().manual_seed(1))


def row_of(site: Site) -> int:
    return network_point(site.limb, POINT_INDEX[site.limb][site.point_name])


def test_every_point_has_the_maxima_of_its_sites() -> None:
    maxima = point_maxima()
    assert maxima.shape == (N_POINTS, 2)
    for site in SITES:
        row = row_of(site)
        assert maxima[row, 0 if site.damage is Damage.NARROWING else 1] == site.maximum
    # 86 scores of two sides are 43 of one; nothing else may count
    assert int((maxima > 0).sum()) == len(SITES)


def test_masks_have_the_size_of_the_patches() -> None:
    with torch.no_grad():
        masks, scores = network()(patches(3), torch.tensor([0, 15, 22]))
    assert masks.shape == (3, 1, 32, 32)
    assert scores.shape == (3, 2)


def test_scores_stay_between_zero_and_the_sites_maximum() -> None:
    points = torch.arange(N_POINTS)
    with torch.no_grad():
        _, scores = network()(1000 * patches(N_POINTS), points)
    assert (scores >= 0).all()
    assert (scores <= point_maxima()).all()
    # no narrowing is scored at the thumb's IP
    assert scores[row_of(target("LH-ip:erosion").site), 0] == 0


def test_one_patch_is_scored_differently_at_different_points() -> None:
    one = patches(1).expand(4, -1, -1, -1)
    with torch.no_grad():
        _, scores = network()(one, torch.tensor([1, 2, 6, 7]))
    assert scores.unique(dim=0).shape[0] == 4


def test_the_scores_are_read_through_the_mask() -> None:
    net, points = network(), torch.tensor([1, 6, 22])
    with torch.no_grad():
        _, before = net(patches(3), points)
        net.mask.weight.zero_()
        net.mask.bias.zero_()
        masks, after = net(patches(3), points)
    assert not masks.any()
    assert (before - after).abs().max() > 1e-5


def test_the_scores_teach_the_mask() -> None:
    net = network()
    _, scores = net(patches(2), torch.tensor([1, 6]))
    scores.sum().backward()
    assert net.mask.weight.grad.abs().sum() > 0


def test_each_patch_is_scored_by_itself() -> None:
    net, points = network(), torch.tensor([1, 6, 22])
    with torch.no_grad():
        together = net(patches(3), points)
        alone = [net(patches(3)[i : i + 1], points[i : i + 1]) for i in range(3)]
    for k in range(2):
        torch.testing.assert_close(
            together[k], torch.cat([a[k] for a in alone]), atol=1e-5, rtol=1e-4
        )


def test_the_network_leaves_room_in_a_bundle() -> None:
    bundle = 25e6  # bytes, networks and trees of a bundle together
    assert 4 * sum(p.numel() for p in DamageNet(DamageSettings()).parameters()) < bundle / 2
