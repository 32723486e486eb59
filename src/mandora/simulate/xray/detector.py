"""The detector: its noise, its flaws and its characteristic curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from mandora.simulate.fields import Field, soften

DARKEST, BRIGHTEST = 1e-3, 8.0  # range of signals that a detector records; the bare beam is 1


@dataclass(frozen=True)
class Detector:
    """The detector of one film.

    Attributes:
        electronic: noise that does not depend on the signal, relative to the bare beam.
        spread: share of its signal that a pixel gives to each neighbour.
        lines: strength of fixed lines, relative.
        grid: strength of the shadow of an anti-scatter grid, relative.
        period_px: of the grid.
        dust: specks and scratches.
        linear: 0 records the signal's logarithm, 1 the signal.
        film: 0 is digital, 1 has the toe and shoulder of photographic film.
    """

    electronic: float = 0.0
    spread: float = 0.1
    lines: float = 0.0
    grid: float = 0.0
    period_px: float = 3.0
    dust: int = 0
    linear: float = 0.0
    film: float = 0.0

    @staticmethod
    def draw(rng: np.random.Generator, *, wide: bool) -> Detector:
        """Draw one; ``wide`` covers old plates and photographic film as well."""
        u = rng.uniform
        return Detector(
            electronic=float(np.exp(u(np.log(2e-4), np.log(4e-3 if wide else 1.5e-3)))),
            spread=u(0.02, 0.28),
            lines=u(0.0005, 0.005) if rng.random() < (0.2 if wide else 0.1) else 0.0,
            grid=u(0.001, 0.008) if rng.random() < (0.08 if wide else 0.03) else 0.0,
            period_px=u(2.2, 7.0),
            dust=int(rng.integers(1, 25)) if rng.random() < (0.15 if wide else 0.04) else 0,
            linear=u(0.0, 0.5) if rng.random() < 0.25 else 0.0,
            film=u(0.2, 0.9) if rng.random() < (0.35 if wide else 0.2) else 0.0,
        )

    def add_noise(self, signal: Field, noise: float, rng: np.random.Generator) -> None:
        """Add quantum and electronic noise, fixed lines and the shadow of a grid.

        Args:
            signal: (H, W) float32, the bare beam is 1; changed.
            noise: standard deviation of the quantum noise in the bare beam.
            rng: source of randomness.
        """
        h, w = signal.shape
        if noise or self.electronic:
            drawn = soften(rng.standard_normal((h, w), dtype=np.float32), self.spread)
            variance = np.maximum(signal, 0) * np.float32(noise**2)
            variance += np.float32(self.electronic**2)
            np.sqrt(variance, out=variance)
            drawn *= variance
            signal += drawn
        if self.lines:
            signal *= 1 + np.float32(self.lines) * rng.standard_normal((1, w), dtype=np.float32)
        if self.grid:
            phase = np.arange(h, dtype=np.float32) * np.float32(2 * np.pi / self.period_px)
            signal *= 1 + np.float32(self.grid) * np.sin(phase)[:, None]

    def record(self, signal: Field) -> Field:
        """(H, W) float32, the recorded density; the bare beam is 0."""
        signal = np.clip(signal, DARKEST, BRIGHTEST)
        shown = -np.log(signal)
        if self.linear:
            shown += np.float32(self.linear) * (1 - signal - shown)
        return np.asarray(shown, dtype=np.float32)

    def add_dust(self, shown: Field, rng: np.random.Generator) -> None:
        """Add specks and scratches, all bright or all dark, to ``shown``, which changes."""
        if not self.dust:
            return
        h, w = shown.shape
        image = Image.new("L", (w, h), 0)
        canvas = ImageDraw.Draw(image)
        for _ in range(self.dust):
            x, y = rng.uniform(0, w), rng.uniform(0, h)
            if rng.random() < 0.12:
                length, turn = rng.uniform(0.02, 0.25) * min(h, w), rng.uniform(0, np.pi)
                end = x + length * np.cos(turn), y + length * np.sin(turn)
                canvas.line([(x, y), end], fill=int(rng.integers(20, 120)))
            else:
                r = rng.uniform(0.2, 1.5)
                canvas.ellipse([x - r, y - r, x + r, y + r], fill=int(rng.integers(60, 255)))
        strength = np.float32(rng.choice([-1.0, 1.0]) * rng.uniform(0.05, 0.4) / 255)
        shown += np.asarray(image, dtype=np.float32) * strength

    def bend(self, z: Field) -> Field:
        """Apply the toe and shoulder of film to values with air at 0 and bone at 1."""
        if not self.film:
            return z
        t = np.clip(z, 0, 1)
        return np.asarray(z + np.float32(self.film) * (t * t * (3 - 2 * t) - t), dtype=np.float32)
