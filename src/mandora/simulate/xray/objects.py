"""Objects in the beam beside the limb: rods, bars and blocks of wood."""

from __future__ import annotations

import numpy as np

from mandora.simulate.fields import Field

MARGIN = 0.13  # share of the film's side within which they lie


def add_objects(attenuation: Field, ppmm: float, count: int, rng: np.random.Generator) -> Field:
    """Add the shadows of objects along the film's sides.

    Args:
        attenuation: (H, W) float32, line integral of the attenuation coefficient.
        ppmm: px per mm.
        count: number of objects.
        rng: source of randomness.

    Returns:
        (H, W) float32; a new array unless ``count`` is 0.
    """
    if not count:
        return attenuation
    out = attenuation.copy()
    for _ in range(count):
        upright = bool(rng.random() < 0.7)
        _lay(out if upright else out.T, ppmm, rng)
    return out


def _lay(field: Field, ppmm: float, rng: np.random.Generator) -> None:
    """Add one object along the left or right side of ``field``, which changes."""
    h, w = field.shape
    kind = rng.choice(["rod", "bar", "wood"], p=[0.4, 0.4, 0.2])
    half = ppmm * rng.uniform(1.5, 5.0) if kind != "wood" else ppmm * rng.uniform(6.0, 15.0)
    half = float(min(half, 0.5 * MARGIN * w))
    middle = rng.uniform(0.0, MARGIN) * w - 0.3 * half
    lean = rng.normal(0, 0.03)
    # it runs off the film at one end or both
    first, last = (0, h) if rng.random() < 0.6 else (0, int(rng.uniform(0.3, 0.9) * h))
    if rng.random() < 0.5:
        first, last = h - last, h - first
    rows = np.arange(first, last)
    reach = int(min(w, middle + half + abs(lean) * h / 2 + 2))
    if not rows.size or reach < 2:
        return
    flip = rng.random() < 0.5
    window = field[:, ::-1][rows[0] : rows[-1] + 1, :reach] if flip else (
        field[rows[0] : rows[-1] + 1, :reach]
    )  # fmt: skip
    x = np.arange(reach, dtype=np.float32)[None, :]
    y = rows.astype(np.float32)[:, None] - np.float32(h / 2)
    away = np.abs(x - np.float32(middle) - np.float32(lean) * y) / np.float32(half)
    if kind == "rod":
        window += np.float32(rng.uniform(0.6, 4.0)) * np.sqrt(np.maximum(1 - away**2, 0))
    elif kind == "bar":
        window += np.float32(rng.uniform(0.15, 3.0)) * (away < 1)
    else:
        rings = np.cumsum(rng.normal(0, 1, reach)).astype(np.float32)
        grain = 1 + np.float32(0.06) * np.sin(rings[None, :] + y * np.float32(0.004))
        window += np.float32(rng.uniform(0.15, 0.6)) * (away < 1) * grain
