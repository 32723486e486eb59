from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mandora.anatomy import FAMILIES, N_POINTS, POINTS, Damage, Limb
from mandora.damage.scorer import network_point, site_at
from mandora.settings import DamageSettings, LoopSettings

pytest.importorskip("torch")
pytest.importorskip("kornia")

from mandora.training import damage
from mandora.training.damage import FIRST_POINT, PatchSet, simulate_patches, train_damage

SMALL = DamageSettings(patch_px=32, widths=(6, 8, 12), condition_width=4)
STORED = 40  # px: patches are stored with a margin


def stripes(patients: int, seed: int, settings: DamageSettings, workers: int) -> PatchSet:
    """Patches with a bright stripe: the narrower the stripe, the more narrowing."""
    rng = np.random.default_rng(seed)
    count = patients * N_POINTS
    pixels = rng.integers(20, 60, (count, STORED, STORED)).astype(np.uint8)
    masks = np.zeros_like(pixels)
    points = np.tile(np.arange(N_POINTS), patients)
    scores = np.full((count, 2), np.nan, np.float32)
    limbs = [(limb, i) for limb in Limb for i in range(len(POINTS[limb]))]
    for k in range(count):
        limb, i = limbs[points[k]]
        share = float(rng.random())
        rows = slice(20 - round(9 * (1 - share)) - 1, 20 + round(9 * (1 - share)) + 1)
        pixels[k, rows] = 220
        masks[k, rows] = 255
        for column, kind in enumerate((Damage.NARROWING, Damage.EROSION)):
            site = site_at(limb, kind, i)
            if site is not None:
                scores[k, column] = round(share * site.maximum)
    return PatchSet(pixels, masks, points, scores)


def test_a_damage_network_learns_masks_and_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(damage, "simulate_patches", stripes)
    loop = LoopSettings(epochs=6, batch_size=16, learning_rate=1e-2, threads=1)
    lines: list[str] = []
    network = train_damage(SMALL, loop, 8, tmp_path, lines.append)
    assert not network.training
    numbers = dict(part.split(" ") for part in lines[-1].split("  "))
    # a missing narrowing score (thumb, ulna …) must not poison the loss
    assert all(np.isfinite(float(v)) for v in numbers.values())
    assert float(numbers["dice"]) > 0.7
    assert float(numbers["r_nh"]) > 0.4
    assert {"r_nf", "r_eh", "r_ef"} <= set(numbers)


def test_the_same_settings_train_the_same_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(damage, "simulate_patches", stripes)
    loop = LoopSettings(epochs=1, batch_size=32, threads=1)
    weights = [
        train_damage(SMALL, loop, 2, tmp_path / name, lambda _: None).state_dict()
        for name in ("a", "b")
    ]
    for name, value in weights[0].items():
        np.testing.assert_array_equal(value.numpy(), weights[1][name].numpy())


@pytest.fixture(scope="module")
def patches() -> PatchSet:
    return simulate_patches(1, 5, SMALL, workers=1)


def test_simulated_patches_are_numbered_as_in_scoring(patches: PatchSet) -> None:
    for limb in Limb:
        assert FIRST_POINT[limb] == network_point(limb, 0)
    assert 20 < len(patches.points) <= N_POINTS
    assert len(set(patches.points.tolist())) == len(patches.points)
    assert patches.pixels.shape == patches.masks.shape == (len(patches.points), STORED, STORED)
    assert patches.pixels.dtype == patches.masks.dtype == np.uint8


def test_simulated_scores_are_grades_of_the_sites_and_missing_elsewhere(
    patches: PatchSet,
) -> None:
    for number, row in zip(patches.points, patches.scores, strict=True):
        limb = Limb.HAND if number < FIRST_POINT[Limb.FOOT] else Limb.FOOT
        for value, kind in zip(row, (Damage.NARROWING, Damage.EROSION), strict=True):
            site = site_at(limb, kind, int(number) - FIRST_POINT[limb])
            if site is None:
                assert np.isnan(value)
            else:
                assert value in range(site.maximum + 1)


def test_most_patches_of_joints_with_a_space_show_it(patches: PatchSet) -> None:
    narrowing = np.isfinite(patches.scores[:, 0])
    drawn = (patches.masks > 127).any(axis=(1, 2))
    assert drawn[narrowing].mean() > 0.6
    assert len(FAMILIES[Limb.FOOT, Damage.NARROWING]) == 6


def test_simulated_patches_follow_from_the_seed(patches: PatchSet) -> None:
    again = simulate_patches(1, 5, SMALL, workers=1)
    np.testing.assert_array_equal(again.pixels, patches.pixels)
    np.testing.assert_array_equal(again.scores, patches.scores)
    other = simulate_patches(1, 6, SMALL, workers=1)
    assert other.pixels.shape != patches.pixels.shape or (other.pixels != patches.pixels).any()
