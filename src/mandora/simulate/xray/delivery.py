"""How a film is stored: resolution, grey levels, JPEG."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from mandora.simulate.fields import Field, resize


@dataclass(frozen=True)
class Delivery:
    """How a film is stored.

    Attributes:
        resolution: share of the pixels per side that a smaller copy has.
        bits: of a grey value.
        quality: of the JPEG compression, 1..100; 0 for none.
        contrast: share of the grey values that the film uses.
        black: the lowest grey value, 0..1.
    """

    resolution: float = 1.0
    bits: int = 16
    quality: int = 0
    contrast: float = 1.0
    black: float = 0.0

    @staticmethod
    def draw(rng: np.random.Generator, *, wide: bool) -> Delivery:
        """Draw it; ``wide`` covers small copies, strong compression and faint films as well."""
        copied = rng.random() < (0.25 if wide else 0.06)
        squeezed = rng.random() < (0.12 if wide else 0.02)
        quality = int(rng.integers(40, 75) if squeezed else rng.integers(80, 96))
        # scans that were stored without a grey-value window have a dozen grey values for bone
        faint = wide and rng.random() < 0.07
        return Delivery(
            resolution=float(rng.uniform(0.45 if wide else 0.7, 0.95)) if copied else 1.0,
            bits=int(rng.choice([8, 8, 10, 12, 16])),
            quality=quality if squeezed or rng.random() < 0.6 else 0,
            contrast=float(np.exp(rng.uniform(np.log(0.08), np.log(0.4)))) if faint else 1.0,
            black=float(rng.uniform(0, 0.25)) if faint else 0.0,
        )

    def apply(self, pixels: Field) -> Field:
        """The film as stored.

        Args:
            pixels: (H, W) float32; values outside of 0..1 are clipped.

        Returns:
            (H, W) float32, 0..1.
        """
        h, w = pixels.shape
        if self.resolution < 1:
            small = (max(1, round(h * self.resolution)), max(1, round(w * self.resolution)))
            pixels = resize(pixels, small, Image.Resampling.BOX)
            pixels = resize(pixels, (h, w), Image.Resampling.BICUBIC)
        pixels = self.black + self.contrast * np.clip(pixels, 0, 1)
        if self.quality:
            return _jpeg(pixels, self.quality)
        steps = np.float32(2**self.bits - 1)
        return np.asarray(np.rint(pixels * steps) / steps, dtype=np.float32)


def small_copy(pixels: Field, share: float, quality: int) -> Field:
    """A smaller JPEG of a film, as archives of teaching films and data sets keep them.

    Args:
        pixels: (H, W) float32; values outside of 0..1 are clipped.
        share: of the px per side that the copy has.
        quality: of the JPEG compression, 1..100.

    Returns:
        (h, w) float32, 0..1.
    """
    h, w = pixels.shape
    small = (max(1, round(h * share)), max(1, round(w * share)))
    return _jpeg(np.clip(resize(pixels, small, Image.Resampling.BOX), 0, 1), quality)


def _jpeg(pixels: Field, quality: int) -> Field:
    """(H, W) float32, 0..1, what is left of a film after JPEG compression."""
    with io.BytesIO() as file:
        grey = Image.fromarray(np.rint(pixels * 255).astype(np.uint8))
        grey.save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file), dtype=np.float32) / np.float32(255)
