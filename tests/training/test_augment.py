from __future__ import annotations

import numpy as np
import pytest

from mandora.images.channels import standardise

pytest.importorskip("torch")
pytest.importorskip("kornia")
import torch

from mandora.training.augment import (
    FilmAugmenter,
    PatchAugmenter,
    change_exposure,
    standardise_batch,
)

SIZE = 96


def dots(places: torch.Tensor) -> torch.Tensor:
    """(B, 1, S, S) dark films, each with one soft bright dot at (x, y)."""
    rows, cols = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    x, y = places[:, 0, None, None], places[:, 1, None, None]
    return torch.exp(-((cols - x) ** 2 + (rows - y) ** 2) / (2 * 4.0**2))[:, None]


def centre(picture: torch.Tensor) -> torch.Tensor:
    """(2,) where the bright dot lies."""
    bright = picture[0] - picture[0].min()
    bright = torch.where(bright > 0.6 * bright.max(), bright, torch.zeros_like(bright))
    rows, cols = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    return torch.stack([(bright * cols).sum(), (bright * rows).sum()]) / bright.sum()


def test_points_move_with_the_film() -> None:
    torch.manual_seed(0)
    places = 30 + 36 * torch.rand(24, 2)
    films, points = FilmAugmenter()(dots(places), places[:, None])
    assert films.shape == (24, 1, SIZE, SIZE)
    assert points.shape == (24, 1, 2)
    moved = (points[:, 0] - places).norm(dim=1)
    assert moved.median() > 1  # most films are changed
    found = torch.stack([centre(f) for f in films])
    assert (found - points[:, 0]).norm(dim=1).max() < 1.0


def test_the_same_seed_draws_the_same_changes() -> None:
    places = torch.full((4, 2), 40.0)
    drawn = []
    for _ in range(2):
        torch.manual_seed(3)
        drawn.append(FilmAugmenter()(dots(places), places[:, None]))
    torch.testing.assert_close(drawn[0], drawn[1], atol=0, rtol=0)


def test_masks_move_with_their_patches() -> None:
    torch.manual_seed(0)
    patches = dots(SIZE / 2 + 20 * (torch.rand(16, 2) - 0.5))
    masks = (patches > 0.5).float()
    out, drawn = PatchAugmenter(72)(patches, masks)
    assert out.shape == drawn.shape == (16, 1, 72, 72)
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    for patch, mask in zip(out, drawn, strict=True):
        inside, outside = patch[mask > 0.5], patch[mask < 0.5]
        # the dot is the brightest thing in the patch, and the mask lies on it
        assert inside.median() > outside.quantile(0.95)


def test_augmented_films_look_to_the_network_like_those_it_will_meet() -> None:
    torch.manual_seed(1)
    films, _ = FilmAugmenter()(torch.randn(5, 1, SIZE, SIZE), torch.full((5, 1, 2), 40.0))
    assert films.abs().max() <= 4
    torch.testing.assert_close(films.mean((1, 2, 3)), torch.zeros(5), atol=0.05, rtol=0)
    torch.testing.assert_close(films.std((1, 2, 3)), torch.ones(5), atol=0.05, rtol=0)


def test_exposure_keeps_places_and_the_order_of_dark_and_bright() -> None:
    torch.manual_seed(2)
    ramp = torch.linspace(0, 1, SIZE).expand(6, 1, SIZE, SIZE)
    changed = change_exposure(ramp).mean(2)[:, 0]
    assert torch.isfinite(changed).all()
    assert (changed[:, -10:].mean(1) > changed[:, :10].mean(1)).all()
    assert (changed - ramp[0, 0, 0]).abs().max() > 0.05


def test_a_flat_film_survives_exposure() -> None:
    assert torch.isfinite(standardise_batch(change_exposure(torch.full((2, 1, 8, 8), 0.3)))).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_training_and_scoring_standardise_alike(seed: int) -> None:
    films = np.random.default_rng(seed).gamma(0.3, 2, (3, 40, 30)).astype(np.float32)
    batch = standardise_batch(torch.from_numpy(films)[:, None])[:, 0].numpy()
    for film, got in zip(films, batch, strict=True):
        np.testing.assert_allclose(got, standardise(film), atol=1e-4)
