from __future__ import annotations

import numpy as np
import pytest

from mandora.images.channels import FilmStatistics, patch_channels

pytest.importorskip("torch")
import torch

from mandora.training.channels import patch_channels_batch


def pictures() -> np.ndarray:
    rng = np.random.default_rng(3)
    random = rng.random((4, 24, 24)).astype(np.float32)
    random[1] = 0.4 + 0.1 * random[1]
    random[2] = 0.3  # flat
    random[3, :12] = 0  # an empty background
    return random


def test_a_batch_has_the_numbers_of_its_items() -> None:
    films = pictures()
    statistics = [FilmStatistics.of(f) for f in films]
    vectors = torch.from_numpy(np.stack([s.vector for s in statistics]))
    batch = torch.from_numpy(films)[:, None]
    each = [patch_channels(f, s, 255.0) for f, s in zip(films, statistics, strict=True)]
    got = patch_channels_batch(batch, vectors, 255.0).numpy()
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, np.stack(each), rtol=1e-4, atol=1e-5)


def test_patches_are_transformed_by_their_own_film() -> None:
    films = pictures()[:2]
    vectors = torch.from_numpy(np.stack([FilmStatistics.of(f).vector for f in films]))
    patch = torch.from_numpy(films[:1, None]).expand(2, 1, 24, 24)
    seen = patch_channels_batch(patch, vectors, 1.0)
    assert not torch.allclose(seen[0, 1:5], seen[1, 1:5])
    torch.testing.assert_close(seen[0, 5:], seen[1, 5:])


def test_statistics_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="2 pictures need statistics of shape"):
        patch_channels_batch(torch.rand(2, 1, 8, 8), torch.rand(1, FilmStatistics.SIZE), 1.0)
