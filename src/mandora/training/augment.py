"""Changes of a training film that do not change what it shows."""

from __future__ import annotations

import kornia.augmentation as K
import torch
from torch import Tensor


class FilmAugmenter:
    """Random position, size, turn and exposure of whole films, with their points."""

    def __init__(self) -> None:
        self._space = K.AugmentationSequential(
            K.RandomAffine(
                degrees=30.0, translate=(0.08, 0.08), scale=(0.7, 1.25), p=0.9,
                padding_mode="border",
            ),
            data_keys=["input", "keypoints"],
        )  # fmt: skip

    def __call__(self, films: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, S, S) standardised films and (B, N, 2) px points, both changed alike."""
        films, points = self._space(films, points)
        return standardise_batch(change_exposure(films)), points


def change_exposure(films: Tensor) -> Tensor:
    """Gamma, noise and blur; the grey values need standardising afterwards."""
    count = films.shape[0]
    low, high = films.amin((1, 2, 3), keepdim=True), films.amax((1, 2, 3), keepdim=True)
    unit = (films - low) / (high - low).clamp_min(1e-6)
    gamma = torch.exp(0.4 * torch.randn(count, 1, 1, 1))
    unit = unit.clamp_min(1e-4) ** gamma
    noise = 0.04 * torch.rand(count, 1, 1, 1)
    unit = unit + noise * torch.randn_like(unit)
    soft = torch.nn.functional.avg_pool2d(unit, 3, stride=1, padding=1, count_include_pad=False)
    share = torch.rand(count, 1, 1, 1) * (torch.rand(count, 1, 1, 1) < 0.4)
    return torch.lerp(unit, soft, share)


def standardise_batch(images: Tensor) -> Tensor:
    """Mean 0 and s.d. 1 per image, clipped to ±4, as ``images.channels.standardise``."""
    mean = images.mean((1, 2, 3), keepdim=True)
    spread = images.std((1, 2, 3), keepdim=True, correction=0).clamp_min(1e-6)
    return ((images - mean) / spread).clamp(-4.0, 4.0)


class PatchAugmenter:
    """Random shift, turn, size and exposure of joint patches, with their masks."""

    def __init__(self, size_px: int) -> None:
        self._space = K.AugmentationSequential(
            K.RandomAffine(
                degrees=10.0, translate=(0.05, 0.05), scale=(0.88, 1.14), p=0.9,
                padding_mode="border",
            ),
            K.CenterCrop(size_px),
            data_keys=["input", "mask"],
        )  # fmt: skip

    def __call__(self, patches: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, T, T) patches and masks → (B, 1, S, S), both changed alike.

        T has a margin around S, so that nothing empty turns into view. The patches come back
        standardised, the masks as 0..1.
        """
        patches, masks = self._space(patches, masks)
        return standardise_batch(change_exposure(patches)), masks.clamp(0, 1)
