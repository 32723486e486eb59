from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mandora.core.anatomy import LANDMARK_INDEX, LANDMARKS, N_LANDMARKS, SITES, Damage, Limb
from mandora.core.geometry import Box
from mandora.damage.patches import Patch
from mandora.damage.scorer import (
    BATCH,
    PatchScorer,
    network_input,
    network_landmark,
    site_at,
)

SIZE = 32


def patch(limb: Limb, landmark: int, *, mirrored: bool = False, seed: int = 0) -> Patch:
    pixels = np.random.default_rng([seed, landmark]).normal(0, 1, (SIZE, SIZE)).astype(np.float32)
    return Patch(limb, landmark, Box(0, 0, 9, 9), pixels, mirrored, pixels)


def every_point(seed: int = 0) -> list[Patch]:
    return [patch(limb, i, seed=seed) for limb in Limb for i in range(len(LANDMARKS[limb]))]


class KnownNetwork:
    """Draws a mask where a patch is bright; its scores are as it is told."""

    def __init__(self, narrowing: float = 1.0, erosion: float = 2.0) -> None:
        self.values = narrowing, erosion
        self.calls: list[list[int]] = []

    def __call__(self, patches: np.ndarray, points: np.ndarray) -> list[np.ndarray]:
        assert patches.shape[1:] == (1, SIZE, SIZE)
        assert points.dtype == np.int64
        self.calls.append(points.tolist())
        scores = np.tile(np.float32(self.values), (len(points), 1))
        return [(patches > 0).astype(np.float32), scores]


def known(monkeypatch: pytest.MonkeyPatch, network: KnownNetwork) -> PatchScorer:
    monkeypatch.setattr("mandora.damage.scorer.Network", lambda path, threads: network)
    return PatchScorer(Path("unused.onnx"))


@pytest.fixture(scope="module")
def trained_like(tmp_path_factory: pytest.TempPathFactory) -> PatchScorer:
    """A small exported network with random weights."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    from mandora.core.settings import DamageSettings
    from mandora.damage.network import DamageNet
    from mandora.training.export import export_damage

    settings = DamageSettings(patch_px=SIZE, widths=(4, 6), condition_width=4)
    path = tmp_path_factory.mktemp("net") / "damage.onnx"
    torch.manual_seed(4)
    export_damage(DamageNet(settings), settings, path)
    return PatchScorer(path, threads=1)


# ── landmarks and sites ─────────────────────────────────────────────────────────────────────


def test_hands_come_first_in_the_networks_numbers() -> None:
    numbers = [network_landmark(p.limb, p.landmark) for p in every_point()]
    assert numbers == list(range(N_LANDMARKS))
    assert network_landmark(Limb.FOOT, 0) == 21


def test_every_site_is_found_at_its_point() -> None:
    for site in SITES:
        assert (
            site_at(site.limb, site.damage, LANDMARK_INDEX[site.limb][site.landmark_name]) is site
        )
    wrist = LANDMARK_INDEX[Limb.HAND]["radcar"]
    assert getattr(site_at(Limb.HAND, Damage.EROSION, wrist), "name", None) == "nav"
    assert site_at(Limb.HAND, Damage.NARROWING, LANDMARK_INDEX[Limb.HAND]["ip"]) is None


# ── what the network sees ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("shape", [(SIZE, SIZE), (1, SIZE, SIZE), (7, SIZE, SIZE)])
def test_patches_of_one_or_more_channels_are_stacked_alike(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.random((3, *shape), np.float32)
    given = [Patch(Limb.FOOT, 0, Box(0, 0, 9, 9), p, False, p) for p in pixels]
    np.testing.assert_array_equal(network_input(given), pixels.reshape(3, -1, SIZE, SIZE))


# ── scores ───────────────────────────────────────────────────────────────────────────────


def test_what_is_not_scored_at_a_point_is_missing_not_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = known(monkeypatch, KnownNetwork(0.0, 0.0))
    for given, score in zip(every_point(), scorer.score(every_point()), strict=True):
        for kind in Damage:
            site = site_at(given.limb, kind, given.landmark)
            assert score.of(kind) == (None if site is None else 0.0)
    assert sum(s.of(k) is not None for s in scorer.score(every_point()) for k in Damage) == 43


def test_narrowing_and_erosion_are_not_mixed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    (score,) = known(monkeypatch, KnownNetwork(1.5, 3.5)).score([patch(Limb.HAND, 6)])
    assert (score.narrowing, score.erosion) == (1.5, 3.5)
    assert score.of(Damage.NARROWING) == 1.5
    assert score.of(Damage.EROSION) == 3.5


@pytest.mark.parametrize(("value", "low"), [(-3.0, True), (99.0, False)])
def test_scores_never_leave_the_range_of_the_site(
    monkeypatch: pytest.MonkeyPatch, value: float, low: bool
) -> None:
    scorer = known(monkeypatch, KnownNetwork(value, value))
    for given, score in zip(every_point(), scorer.score(every_point()), strict=True):
        for kind in Damage:
            site = site_at(given.limb, kind, given.landmark)
            if site is not None:
                assert score.of(kind) == (0 if low else site.maximum)


def test_the_mask_lies_on_the_film_not_on_the_flipped_patch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scorer = known(monkeypatch, KnownNetwork())
    usual, flipped = patch(Limb.HAND, 3), patch(Limb.HAND, 3, mirrored=True)
    left, right = scorer.score([usual, flipped])
    np.testing.assert_array_equal(left.mask, usual.pixels > 0)
    np.testing.assert_array_equal(right.mask, flipped.pixels[:, ::-1] > 0)


def test_long_lists_go_through_in_batches_and_keep_their_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = KnownNetwork()
    given = every_point() + every_point(seed=1)[:5]
    scores = known(monkeypatch, network).score(given)
    calls, rest = divmod(len(given), BATCH)
    assert [len(c) for c in network.calls] == [*[BATCH] * calls, *[rest] * bool(rest)]
    for one, score in zip(given, scores, strict=True):
        np.testing.assert_array_equal(score.mask, one.pixels > 0)


def test_no_patches_need_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    network = KnownNetwork()
    assert known(monkeypatch, network).score([]) == []
    assert network.calls == []


# ── a real network ───────────────────────────────────────────────────────────────────────


def test_a_patch_gets_the_same_score_alone_and_among_others(trained_like: PatchScorer) -> None:
    given = every_point() + every_point(seed=1)
    together = trained_like.score(given)
    for i in (0, 8, BATCH - 1, BATCH, len(given) - 1):
        (alone,) = trained_like.score([given[i]])
        for kind in Damage:
            assert alone.of(kind) == pytest.approx(together[i].of(kind), abs=1e-5)
        np.testing.assert_allclose(alone.mask, together[i].mask, atol=1e-5)


def test_masks_are_probabilities_and_scores_in_range(trained_like: PatchScorer) -> None:
    for given, score in zip(every_point(), trained_like.score(every_point()), strict=True):
        assert score.mask.shape == (SIZE, SIZE)
        assert score.mask.dtype == np.float32
        assert 0 <= score.mask.min() <= score.mask.max() <= 1
        for kind in Damage:
            site = site_at(given.limb, kind, given.landmark)
            assert site is None or 0 <= score.of(kind) <= site.maximum  # type: ignore[operator]
