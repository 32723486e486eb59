"""From what the beam passed to the picture: detector, display, borders, letters.

Intensity falls off by Beer-Lambert, gains scatter, noise and blur, and is shown as a vendor's
processing would show it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from mandora.anatomy import Limb, Side

Field = NDArray[np.float32]


@dataclass(frozen=True)
class Imaging:
    """Everything between the limb and the picture file.

    Attributes:
        blur_mm: focal spot and motion, s.d.
        noise: quantum noise at full beam, relative.
        scatter: share of the signal that is haze.
        heel: change of the beam's strength over the film.
        black: grey value of the bare film, 0..1.
        white: grey value of the densest bone.
        gamma: curve between the two.
        sharpen: strength of the vendor's edge enhancement.
        soft: weight of soft tissue relative to bone (beam quality).
        collimation: share of the film that is cut off on left, top, right, bottom.
        collimation_value: grey value there.
        marker: show a lead letter.
        ring: shadow of a ring on this finger (2-5), 0 for none.
    """

    blur_mm: float = 0.15
    noise: float = 0.01
    scatter: float = 0.2
    heel: float = 0.05
    black: float = 0.06
    white: float = 0.9
    gamma: float = 1.0
    sharpen: float = 0.3
    soft: float = 1.0
    collimation: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    collimation_value: float = 0.0
    collimation_tilt: float = 0.0
    marker: bool = True
    ring: int = 0

    @staticmethod
    def draw(rng: np.random.Generator, *, wide: bool) -> Imaging:
        """At random; ``wide`` covers old and badly exposed films as well."""
        u = rng.uniform
        cut = np.where(rng.random(4) < (0.35 if wide else 0.15), u(0.0, 0.07, 4), 0.0)
        return Imaging(
            blur_mm=u(0.08, 0.45) if wide else u(0.08, 0.22),
            noise=u(0.002, 0.03) if wide else u(0.003, 0.015),
            scatter=u(0.05, 0.6),
            heel=u(-0.3, 0.3) if wide else u(-0.12, 0.12),
            black=u(0.0, 0.35) if wide else u(0.02, 0.15),
            white=u(0.6, 1.0) if wide else u(0.8, 1.0),
            gamma=float(np.exp(rng.normal(0, 0.35 if wide else 0.15))),
            sharpen=float(np.clip(rng.normal(0.4, 0.5), 0.0, 1.6)),
            soft=u(0.6, 1.7) if wide else u(0.8, 1.2),
            collimation=(float(cut[0]), float(cut[1]), float(cut[2]), float(cut[3])),
            collimation_value=float(rng.choice([0.0, 0.0, 0.02, 1.0 if wide else 0.0])),
            collimation_tilt=rng.normal(0, 0.03) if wide else 0.0,
            marker=bool(rng.random() < 0.7),
            ring=int(rng.integers(2, 6)) if rng.random() < 0.05 else 0,
        )


def expose(attenuation: Field, ppmm: float, imaging: Imaging, rng: np.random.Generator) -> Field:
    """Turn attenuation into grey values.

    Args:
        attenuation: (H, W) float32, line integral of the attenuation coefficient.
        ppmm: px per mm.
        imaging: of this film.
        rng: source of the noise.

    Returns:
        (H, W) float32, bright is dense; may exceed 0..1 a little.
    """
    beam = np.exp(-ndimage.gaussian_filter(attenuation, imaging.blur_mm * ppmm, truncate=3.0))
    # scatter is smooth: compute it on a coarse copy
    k = max(1, round(3 * ppmm))
    coarse = ndimage.gaussian_filter(beam[::k, ::k], 15.0 * ppmm / k, mode="nearest")
    zoom = (beam.shape[0] / coarse.shape[0], beam.shape[1] / coarse.shape[1])
    haze = ndimage.zoom(coarse, zoom, order=1)
    signal = beam + imaging.scatter * haze
    heel = 1 + imaging.heel * np.linspace(-0.5, 0.5, beam.shape[0], dtype=np.float32)
    signal = signal / (1 + imaging.scatter) * heel[:, None]
    grain = rng.standard_normal(beam.shape, dtype=np.float32)
    signal = signal + imaging.noise * np.sqrt(np.maximum(signal, 1e-3)) * grain
    shown = -np.log(np.maximum(signal, 1e-3))
    if imaging.sharpen > 0.05:
        smooth = ndimage.gaussian_filter(shown, 0.9 * ppmm, truncate=2.5)
        shown = shown + imaging.sharpen * (shown - smooth)
    low, high = np.percentile(shown[::5, ::5], [1.0, 99.5])
    scaled = np.clip((shown - low) / max(high - low, 1e-6), 0, 1.3)
    grey = imaging.black + (imaging.white - imaging.black) * scaled**imaging.gamma
    return np.asarray(grey, np.float32)


def collimate(pixels: Field, imaging: Imaging) -> Field:
    """Cut the film's borders, possibly a little tilted."""
    if not any(imaging.collimation):
        return pixels
    h, w = pixels.shape
    x = np.linspace(0, 1, w, dtype=np.float32)[None, :]
    y = np.linspace(0, 1, h, dtype=np.float32)[:, None]
    x, y = x + imaging.collimation_tilt * (y - 0.5), y - imaging.collimation_tilt * (x - 0.5)
    left, top, right, bottom = imaging.collimation
    out = np.zeros(pixels.shape, bool)
    beyond = (x < left, y < top, x > 1 - right, y > 1 - bottom)
    for edge, region in zip(imaging.collimation, beyond, strict=True):
        if edge > 0:
            out |= region
    return np.where(out, np.float32(imaging.collimation_value), pixels)


def mark(pixels: Field, ppmm: float, side: Side, limb: Limb, rng: np.random.Generator) -> Field:
    """A lead letter in a corner that the limb does not fill."""
    h, w = pixels.shape
    size = max(8, round(9 * ppmm * rng.uniform(0.8, 1.6)))
    tag = Image.new("L", (2 * size, round(1.6 * size)), 0)
    draw = ImageDraw.Draw(tag)
    if rng.random() < 0.4:
        draw.rectangle([0, 0, 2 * size - 1, round(1.6 * size) - 1], fill=90)
    text = str(side) if rng.random() < 0.7 else f"{side} {rng.integers(1, 99)}"
    draw.text((0.3 * size, 0.1 * size), text, fill=255, font=ImageFont.load_default(size))
    tag = tag.rotate(float(rng.normal(0, 12)), expand=True)
    stamp = np.asarray(tag, dtype=np.float32) / 255
    th, tw = stamp.shape
    if th >= h // 2 or tw >= w // 2:
        return pixels
    low = 0.02 if limb is Limb.FOOT else 0.35
    y = int(rng.uniform(low, 0.8) * (h - th))
    x = int((rng.uniform(0.0, 0.06) if rng.random() < 0.5 else rng.uniform(0.94, 1.0)) * (w - tw))
    out = pixels.copy()
    patch = out[y : y + th, x : x + tw]
    out[y : y + th, x : x + tw] = np.maximum(patch, stamp * rng.uniform(0.75, 1.0))
    return out
