from __future__ import annotations

import pytest

from mandora.core.anatomy import (
    FAMILIES,
    LANDMARK_INDEX,
    N_LANDMARKS,
    SITES,
    Damage,
    Limb,
    Site,
    target,
)
from mandora.core.settings import DamageSettings, TrainDamageSettings, preset
from mandora.damage.scorer import network_landmark

pytest.importorskip("torch")
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mandora.damage.network import (
    FIRST_FOOT_LANDMARK,
    GRADES,
    DamageNet,
    DamageOutput,
    PublishedDamageNet,
    build_damage_net,
    landmark_maxima,
)

SMALL = DamageSettings(patch_px=32, widths=(4, 6, 8), condition_width=5)


def network(seed: int = 0) -> DamageNet:
    torch.manual_seed(seed)
    return DamageNet(SMALL).eval()


def patches(count: int) -> torch.Tensor:
    return torch.randn(count, 1, 32, 32, generator=torch.Generator().manual_seed(1))


def row_of(site: Site) -> int:
    return network_landmark(site.limb, LANDMARK_INDEX[site.limb][site.landmark_name])


def test_every_point_has_the_maxima_of_its_sites() -> None:
    maxima = landmark_maxima()
    assert maxima.shape == (N_LANDMARKS, 2)
    for site in SITES:
        row = row_of(site)
        assert maxima[row, 0 if site.damage is Damage.NARROWING else 1] == site.maximum
    # 86 scores of two sides are 43 of one; nothing else may count
    assert int((maxima > 0).sum()) == len(SITES)


def test_masks_have_the_size_of_the_patches() -> None:
    with torch.no_grad():
        masks, scores, _ = network()(patches(3), torch.tensor([0, 15, 22]))
    assert masks.shape == (3, 1, 32, 32)
    assert scores.shape == (3, 2)


def test_scores_stay_between_zero_and_the_sites_maximum() -> None:
    points = torch.arange(N_LANDMARKS)
    with torch.no_grad():
        _, scores, _ = network()(1000 * patches(N_LANDMARKS), points)
    assert (scores >= 0).all()
    assert (scores <= landmark_maxima()).all()
    # no narrowing is scored at the thumb's IP
    assert scores[row_of(target("LH-ip:erosion").site), 0] == 0


def test_one_patch_is_scored_differently_at_different_points() -> None:
    one = patches(1).expand(4, -1, -1, -1)
    with torch.no_grad():
        _, scores, _ = network()(one, torch.tensor([1, 2, 6, 7]))
    assert scores.unique(dim=0).shape[0] == 4


def test_the_scores_are_read_through_the_mask() -> None:
    net, points = network(), torch.tensor([1, 6, 22])
    with torch.no_grad():
        _, before, _ = net(patches(3), points)
        net.mask.weight.zero_()
        net.mask.bias.zero_()
        masks, after, _ = net(patches(3), points)
    assert not masks.any()
    assert (before - after).abs().max() > 1e-5


def test_the_scores_teach_the_mask() -> None:
    net = network()
    _, scores, _ = net(patches(2), torch.tensor([1, 6]))
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


def test_nothing_is_left_to_chance_in_training() -> None:
    # two processes would draw differently
    assert not any(isinstance(layer, nn.Dropout) for layer in DamageNet(DamageSettings()).modules())


# ── variants ─────────────────────────────────────────────────────────────────────────────

VARIANTS = [
    {"head": head, "heads": heads, "mask": mask, "channels": channels, "bottleneck": bottleneck}
    for head in ("regression", "ordinal")
    for heads in ("shared", "family")
    for mask, channels in (("space", 1), ("erosion", 1), ("none", 1), ("none", 7), ("space", 7))
    for bottleneck in (False, True)
]


def variant(**update: object) -> DamageNet:
    torch.manual_seed(0)
    return DamageNet(SMALL.model_copy(update=update)).eval()


@pytest.mark.parametrize("update", VARIANTS)
def test_every_variant_gives_masks_and_scores_on_the_scale(update: dict[str, object]) -> None:
    net, points = variant(**update), torch.arange(N_LANDMARKS)
    seen = 100 * torch.randn(N_LANDMARKS, int(str(update["channels"])), 32, 32)
    with torch.no_grad():
        output = net(seen, points)
    masks, scores, _ = output
    assert masks.shape == (N_LANDMARKS, 1, 32, 32)
    assert scores.shape == (N_LANDMARKS, 2)
    assert (scores >= 0).all()
    assert (scores <= landmark_maxima() + 1e-5).all()
    assert isinstance(output, DamageOutput)
    if update["mask"] == "none":
        assert (torch.sigmoid(masks) < 1e-8).all()


def test_the_chances_of_an_ordinal_head_fall_with_the_grade_and_add_up_to_the_score() -> None:
    net, points = variant(head="ordinal"), torch.arange(N_LANDMARKS)
    with torch.no_grad():
        _, scores, logits = net(10 * patches(N_LANDMARKS), points)
    assert logits.shape == (N_LANDMARKS, 2, GRADES)
    assert (logits.diff(dim=2) < 0).all(), "no higher grade is likelier"
    chances = torch.sigmoid(logits)
    for i, (narrowing, erosion) in enumerate(landmark_maxima().int().tolist()):
        assert scores[i, 0].item() == pytest.approx(
            chances[i, 0, :narrowing].sum().item(), abs=1e-5
        )
        assert scores[i, 1].item() == pytest.approx(chances[i, 1, :erosion].sum().item(), abs=1e-5)


def test_an_ordinal_head_can_say_any_score() -> None:
    net = variant(head="ordinal")
    points = torch.tensor([1, FIRST_FOOT_LANDMARK])  # maxima 4 and 5, 4 and 10
    for bias, wanted in ((-30.0, [[0, 0], [0, 0]]), (300.0, [[4, 5], [4, 10]])):
        with torch.no_grad():
            net.scores[-1].bias.zero_()
            net.scores[-1].bias[[0, GRADES]] = bias
            _, scores, _ = net(patches(2), points)
        torch.testing.assert_close(scores, torch.tensor(wanted).float(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("head", ["regression", "ordinal"])
def test_heads_of_families_are_separate(head: str) -> None:
    net = variant(head=head, heads="family")
    points = torch.tensor([1, 6, FIRST_FOOT_LANDMARK, N_LANDMARKS - 1])
    with torch.no_grad():
        _, before, _ = net(patches(4), points)
    for i, (limb, kind) in enumerate(FAMILIES):
        with torch.no_grad():
            net.scores[i][-1].bias += 1
            _, after, _ = net(patches(4), points)
            net.scores[i][-1].bias -= 1
        changed = (after - before).abs() > 1e-4
        expected = torch.zeros(4, 2, dtype=torch.bool)
        rows = slice(0, 2) if limb is Limb.HAND else slice(2, 4)
        expected[rows, 0 if kind is Damage.NARROWING else 1] = True
        assert torch.equal(changed, expected)


def test_a_foot_teaches_nothing_to_the_hands_heads() -> None:
    net = variant(heads="family")
    _, scores, _ = net(patches(2), torch.tensor([FIRST_FOOT_LANDMARK, FIRST_FOOT_LANDMARK + 3]))
    scores[:, 1].sum().backward()
    taught = [float(layers[-1].weight.grad.abs().sum()) > 0 for layers in net.scores]
    assert taught == [family == (Limb.FOOT, Damage.EROSION) for family in FAMILIES]


def test_without_a_mask_the_scores_have_no_weights_for_it() -> None:
    with_mask, without = variant(), variant(mask="none")
    assert without.mask is None
    assert without.regressor[0][0].in_channels == with_mask.regressor[0][0].in_channels - 4


@pytest.mark.parametrize("mask", ["space", "none"])
@pytest.mark.parametrize("bottleneck", [True, False])
def test_with_a_bottleneck_nothing_goes_past_mask_and_decoder(mask: str, bottleneck: bool) -> None:
    net, points = variant(mask=mask, bottleneck=bottleneck), torch.tensor([6, 6])
    for level in net.encoder:  # neither mask nor decoder learn anything of the patch
        level.register_forward_hook(lambda _m, _i, out: torch.zeros_like(out))
    with torch.no_grad():
        _, scores, _ = net(patches(2), points)
    assert torch.equal(scores[0], scores[1]) == bottleneck


def test_with_a_bottleneck_the_mask_is_still_read_and_taught() -> None:
    net, points = variant(bottleneck=True), torch.tensor([6, 22])
    before = net(patches(2), points)[1]
    before.sum().backward()
    assert net.mask.weight.grad.abs().sum() > 0
    with torch.no_grad():
        net.mask.weight.neg_()
        assert (net(patches(2), points)[1] - before).abs().min() > 1e-7


def test_the_default_network_has_no_bottleneck_and_the_layers_it_always_had() -> None:
    net = DamageNet(DamageSettings())
    shapes = {name: tuple(weight.shape) for name, weight in net.state_dict().items()}
    assert shapes["regressor.0.0.weight"] == (32, 4 + 4 + 16, 3, 3)  # patch, mask, decoder
    assert sum(weight.numel() for weight in net.parameters()) == 960_654


# ── the published network ────────────────────────────────────────────────────────────────

PAPER = preset("paper", TrainDamageSettings).network
TINY = PAPER.model_copy(update={"patch_px": 32, "widths": (6, 9, 13)})


def published(maximum: float = 4, **update: object) -> PublishedDamageNet:
    torch.manual_seed(0)
    return PublishedDamageNet(maximum, TINY.model_copy(update=update)).eval()


def seven(count: int) -> torch.Tensor:
    return torch.randn(count, 7, 32, 32, generator=torch.Generator().manual_seed(1))


def test_the_published_network_has_the_published_size_and_cost() -> None:
    with torch.device("meta"):
        net = PublishedDamageNet(4, PAPER).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            mask, scores, _ = net(torch.empty(1, 7, 384, 384))
    assert (mask.shape, scores.shape) == ((1, 1, 384, 384), (1, 1))
    assert f"{sum(p.numel() for p in net.parameters()) / 1e6:.2f}" == "5.77"
    assert f"{counter.get_total_flops() / 2e9:.1f}" == "38.4"


def test_the_published_network_has_the_published_widths() -> None:
    net = PublishedDamageNet(4, PAPER)

    def widths(layers: nn.Module) -> list[int]:
        return [m.out_channels for m in layers.modules() if isinstance(m, nn.Conv2d)]

    assert widths(net.encoder) == [21, 21, 31, 31, 46, 46, 69, 69, 103, 103]
    assert widths(net.decoder) == [68, 68, 45, 45, 30, 30, 20, 20]
    assert widths(net.regressor) == [31, 31, 46, 46, 69, 69, 103, 103]
    assert widths(net.tail) == [84, 42, 7, 1]
    assert [widths(m) for m in (net.before_mask, net.mask, net.after_mask)] == [[7], [1], [7]]
    assert net.after_mask[0].in_channels == 1, "the regressor starts from the mask alone"
    assert net.dense.in_features == 24 * 24
    # at 192 px: 7 channels from the mask and 30 of the decoder
    assert net.regressor[0][0].in_channels == 7 + 30
    assert net.regressor[3][0].in_channels == 69 + 103


def test_the_published_score_is_read_from_the_mask() -> None:
    net = published()
    with torch.no_grad():
        mask, before, _ = net(seven(2))
        net.mask.weight.neg_()
        other, after, _ = net(seven(2))
    torch.testing.assert_close(other, -mask)
    assert (before - after).abs().min() > 1e-6


def test_the_published_score_is_read_from_the_decoder_too() -> None:
    net = published()
    kept = []
    hook = net.decoder[-2].register_forward_hook(lambda _m, _i, out: kept.append(out))
    net(seven(2))[1].sum().backward()
    hook.remove()
    for level in net.regressor:
        first = level[0].weight.grad
        # the decoder's features are the last of what each level sees
        assert float(first[:, -1].abs().sum()) > 0
    assert len(kept) == 1


def test_the_published_score_teaches_the_mask_and_all_that_lies_before_it() -> None:
    net = published().train()
    net(seven(4))[1].sum().backward()
    for part in (net.mask, net.before_mask, net.after_mask, net.encoder, net.decoder, net.rise):
        assert sum(float(p.grad.abs().sum()) for p in part.parameters()) > 0


def test_the_mask_does_not_depend_on_the_regressor() -> None:
    net = published()
    net(seven(2))[0].sum().backward()
    assert all(p.grad is None for p in net.regressor.parameters())


@pytest.mark.parametrize("maximum", [4, 5, 10])
def test_published_scores_lie_between_zero_and_the_maximum(maximum: int) -> None:
    net = published(maximum)
    with torch.no_grad():
        _, scores, logits = net(1000 * seven(8))
        torch.testing.assert_close(scores, maximum * torch.sigmoid(logits))
        net.dense.weight.zero_()
        net.dense.bias.fill_(30)
        assert net(seven(1))[1].item() == pytest.approx(maximum)
    assert ((scores >= 0) & (scores <= maximum)).all()


def test_the_published_network_may_be_told_the_point_and_does_not_mind() -> None:
    net = published()
    with torch.no_grad():
        torch.testing.assert_close(net(seven(2)), net(seven(2), torch.tensor([3, 4])))


def test_without_its_mask_the_published_network_keeps_the_rest() -> None:
    full, without = published(), published(mask="none")
    lost = full.state_dict().keys() - without.state_dict().keys()
    assert {name.split(".")[0] for name in lost} == {"before_mask", "mask", "after_mask"}
    with torch.no_grad():
        mask, scores, _ = without(seven(3))
    assert (torch.sigmoid(mask) < 1e-8).all()
    assert scores.unique().numel() == 3
    scores = without.train()(seven(3))[1]
    scores.sum().backward()
    assert all(p.grad is not None for p in without.decoder[:-1].parameters())


def test_settings_that_the_published_network_cannot_follow_are_refused() -> None:
    with pytest.raises(ValueError, match="has one regression head"):
        published(head="ordinal")
    with pytest.raises(ValueError, match="has one regression head"):
        published(heads="family")
    with pytest.raises(ValueError, match="patch_px 34 cannot be halved 2 times"):
        published(patch_px=34)
    with pytest.raises(ValueError, match="set bottleneck = true"):
        published(bottleneck=False)


def test_the_design_chooses_the_network() -> None:
    assert isinstance(build_damage_net(SMALL), DamageNet)
    maxima = {}
    for family in FAMILIES:
        net = build_damage_net(TINY, family)
        assert isinstance(net, PublishedDamageNet)
        maxima[family] = net.maximum
    assert list(maxima.values()) == [4, 5, 4, 10]
    with pytest.raises(ValueError, match="one network per family"):
        build_damage_net(TINY)
    with pytest.raises(ValueError, match="has no family"):
        build_damage_net(SMALL, (Limb.HAND, Damage.EROSION))
