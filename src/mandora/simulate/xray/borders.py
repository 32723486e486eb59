"""The edges of a film: collimators, tilted plates, frames of scanned films."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mandora.simulate.fields import Field

Sides = tuple[float, float, float, float]
"""Left, top, right, bottom, as shares of the film's width or height."""
NOWHERE: Sides = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Border:
    """The area around the exposed part of a film.

    Lengths are shares of the film's shorter side.

    Attributes:
        cut: what the collimator cuts off; 0 leaves a side open.
        tilt: of the collimator or plate, rad, clockwise.
        value: grey value beyond, 0..1.
        opacity: 1 hides what lies beyond, with less it is seen through.
        penumbra: width of the transition.
        radius: of the corners.
        glow: grey value that the exposed area gains at its edge.
        reach: distance from the edge over which the glow falls to 1/e.
        rim: grey value of a line along the edge, 0 for none.
        frame: an outer frame along the film's sides.
        frame_value: its grey value.
    """

    cut: Sides = NOWHERE
    tilt: float = 0.0
    value: float = 0.0
    opacity: float = 1.0
    penumbra: float = 0.002
    radius: float = 0.0
    glow: float = 0.0
    reach: float = 0.05
    rim: float = 0.0
    frame: Sides = NOWHERE
    frame_value: float = 0.0

    @staticmethod
    def draw(rng: np.random.Generator, *, wide: bool) -> Border:
        """Draw one; ``wide`` covers scanned films and tilted plates as well."""
        u = rng.uniform
        cut = frame = NOWHERE
        if rng.random() < (0.62 if wide else 0.28):
            cut = _some_sides(rng, 0.5, 0.09 if wide else 0.05)
        if rng.random() < (0.17 if wide else 0.03):
            frame = _some_sides(rng, 0.55, 0.10 if wide else 0.04)
        kind = rng.random()
        white = 0.14 if wide else 0.02
        value = u(0.85, 1.0) if kind < white else u(0.05, 0.45) if kind < 0.4 else u(0.0, 0.04)
        glowing = rng.random() < 0.5
        return Border(
            cut=cut,
            tilt=float(rng.normal(0, 0.012)) if rng.random() < 0.75 else float(rng.normal(0, 0.07)),
            value=value,
            opacity=u(0.6, 0.95) if wide and rng.random() < 0.12 else 1.0,
            penumbra=float(np.exp(u(np.log(0.0008), np.log(0.012)))),
            radius=u(0.01, 0.15) if rng.random() < 0.15 else 0.0,
            glow=u(0.03, 0.3) if glowing else 0.0,
            reach=u(0.01, 0.12),
            rim=u(0.3, 1.0) if rng.random() < (0.4 if wide else 0.15) else 0.0,
            frame=frame,
            frame_value=float(rng.choice([0.0, u(0.1, 0.5), 1.0], p=[0.5, 0.25, 0.25])),
        )

    def apply(self, pixels: Field) -> Field:
        """Draw the border over a film.

        Args:
            pixels: (H, W) float32, 0..1.

        Returns:
            (H, W) float32; ``pixels`` itself where there is no border.
        """
        if any(self.cut):
            pixels = self._collimate(pixels)
        return self._frame(pixels) if any(self.frame) else pixels

    def _inside(self, shape: tuple[int, int]) -> Field:
        """Distance to the nearest collimator edge, (H, W) float32, positive inside."""
        h, w = shape
        short = min(h, w)
        x = (np.arange(w, dtype=np.float32)[None, :] + np.float32(0.5)) / short
        y = (np.arange(h, dtype=np.float32)[:, None] + np.float32(0.5)) / short
        width, height = w / short, h / short
        lean = np.float32(np.tan(self.tilt))
        across = x + lean * (y - np.float32(height / 2))
        down = y - lean * (x - np.float32(width / 2))
        left, top, right, bottom = self.cut
        far = np.float32(9.0)
        side = np.minimum(
            across - np.float32(left * width) if left else far,
            np.float32(width - right * width) - across if right else far,
        )
        end = np.minimum(
            down - np.float32(top * height) if top else far,
            np.float32(height - bottom * height) - down if bottom else far,
        )
        near = np.minimum(side, end)
        if self.radius:
            r = np.float32(self.radius)
            near = np.minimum(near, r - np.hypot(np.maximum(r - side, 0), np.maximum(r - end, 0)))
        return np.asarray(np.broadcast_to(near, shape), dtype=np.float32)

    def _collimate(self, pixels: Field) -> Field:
        inside = self._inside((pixels.shape[0], pixels.shape[1]))
        shown = np.clip(inside / np.float32(max(self.penumbra, 1e-5)) + np.float32(0.5), 0, 1)
        if self.glow:
            near = np.exp(-np.maximum(inside, 0) / np.float32(self.reach))
            pixels = np.asarray(pixels + np.float32(self.glow) * near, dtype=np.float32)
        if self.opacity < 1:
            shown = 1 - np.float32(self.opacity) * (1 - shown)
        value = np.float32(self.value)
        out = np.asarray(value + (pixels - value) * shown, dtype=np.float32)
        if self.rim:
            thick = np.float32(max(1.5 * self.penumbra, 1.2 / min(pixels.shape)))
            line = np.abs(inside - thick) < thick
            out[line] = np.maximum(out[line], np.float32(self.rim))
        return out

    def _frame(self, pixels: Field) -> Field:
        h, w = pixels.shape
        left, top, right, bottom = self.frame
        out = np.full_like(pixels, self.frame_value)
        rows = slice(round(top * h), h - round(bottom * h))
        cols = slice(round(left * w), w - round(right * w))
        out[rows, cols] = pixels[rows, cols]
        return out


def _some_sides(rng: np.random.Generator, share: float, most: float) -> Sides:
    """Draw a cut for each side with probability ``share``, for one side at least."""
    chosen = rng.random(4) < share
    chosen[rng.integers(4)] = True
    left, top, right, bottom = np.where(chosen, rng.uniform(0.004, 1.0, 4) ** 1.5 * most, 0.0)
    return float(left), float(top), float(right), float(bottom)
