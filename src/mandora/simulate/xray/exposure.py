"""From attenuation to the picture: beam, detector, processing, display.

Intensity falls off by Beer-Lambert, gains scatter and noise, and is shown as a vendor's
processing would show it. What lies over the picture is in :mod:`mandora.simulate.xray.borders`
and :mod:`mandora.simulate.xray.markers`, how it is stored in
:mod:`mandora.simulate.xray.delivery`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mandora.simulate.fields import Field, enlarge, shrink, smooth
from mandora.simulate.xray.borders import Border
from mandora.simulate.xray.delivery import Delivery
from mandora.simulate.xray.detector import Detector
from mandora.simulate.xray.objects import add_objects

INVERTED = 0.0  # share of ordinary films on which bone is dark
INVERTED_WIDE = 0.05
LIMB = 0.06  # attenuation above which there is something other than air
TOE = 0.05  # softness of clipping below air; the step from air to bone is 1


@dataclass(frozen=True)
class Display:
    """Grey values that the vendor aims at.

    Attributes:
        air: grey value of the bare film, 0..1.
        bone: grey value of dense bone.
        soft_tissue: place of soft tissue between ``air``, 0, and ``bone``, 1; with 0 it is not
            set, and the grey values are spread over the range of the whole film.
        burnt: share of the step from air to soft tissue that is clipped; the skin line goes first.
        shoulder: highest grey value, which values above bone approach.
    """

    air: float = 0.06
    bone: float = 0.7
    soft_tissue: float = 0.5
    burnt: float = 0.0
    shoulder: float = 1.0

    @staticmethod
    def draw(rng: np.random.Generator, *, wide: bool) -> Display:
        """Draw one of a few vendors' styles; ``wide`` covers flat and pale films as well."""
        u = rng.uniform
        shares = [0.60, 0.22, 0.12, 0.06] if wide else [0.6, 0.33, 0.05, 0.02]
        style = rng.choice(["black", "grey", "flat", "pale"], p=shares)
        air, rise = {
            "black": (u(0.0, 0.06), u(0.40, 0.68)),
            "grey": (u(0.10, 0.36), u(0.36, 0.54)),
            "flat": (u(0.08, 0.24), u(0.05, 0.16)),
            "pale": (u(0.38, 0.56), u(0.18, 0.34)),
        }[str(style)]
        anatomical = rng.random() < 0.85
        # a flat film is shown in a grey-value window that is too wide: nothing is near white
        most = air + 1.5 * rise if style == "flat" else u(0.85, 1.08)
        return Display(
            air=air,
            bone=min(air + rise, 0.9),
            soft_tissue=float(np.clip(rng.normal(0.53, 0.065 if wide else 0.045), 0.32, 0.72))
            if anatomical
            else 0.0,
            burnt=u(0.0, 0.35) if rng.random() < (0.35 if wide else 0.2) else -u(0.0, 0.15),
            shoulder=max(most, min(air + 1.2 * rise, 1.0)),
        )


@dataclass(frozen=True)
class Imaging:
    """Everything from the limb to the picture file.

    Attributes:
        blur_mm: focal spot and motion, s.d.
        noise: quantum noise at full beam, relative.
        scatter: scattered radiation, relative to the primary beam.
        hardening: how much less a thick part attenuates: a becomes a / (1 + hardening a).
        heel: change of the beam's strength over the film.
        heel_angle: direction in which it falls, rad, 0 is down, clockwise.
        vignette: loss of the beam towards the corners, negative for a gain.
        sharpen: strength of the vendor's edge enhancement.
        sharpen_mm: its reach, s.d.; a wide one makes halos.
        latitude: share of the coarse structures, s.d. 8 mm, that is removed.
        soft: weight of soft tissue relative to bone (beam quality).
        objects: how many rods, bars or blocks lie along the sides.
        marker: show letters.
        ring: shadow of a ring on this finger (2-5), 0 for none.
        inverted: bone is dark.
        detector: noise, flaws and curve of the plate.
        display: grey values.
        border: collimation and frame.
        delivery: how the film is stored.
    """

    blur_mm: float = 0.15
    noise: float = 0.01
    scatter: float = 0.2
    hardening: float = 0.05
    heel: float = 0.05
    heel_angle: float = 0.0
    vignette: float = 0.0
    sharpen: float = 0.3
    sharpen_mm: float = 0.9
    latitude: float = 0.0
    soft: float = 1.0
    objects: int = 0
    marker: bool = True
    ring: int = 0
    inverted: bool = False
    detector: Detector = field(default_factory=Detector)
    display: Display = field(default_factory=Display)
    border: Border = field(default_factory=Border)
    delivery: Delivery = field(default_factory=Delivery)

    @staticmethod
    def draw(rng: np.random.Generator, *, wide: bool) -> Imaging:
        """Draw all of it; ``wide`` covers old and badly exposed films as well."""
        u = rng.uniform
        return Imaging(
            blur_mm=u(0.05, 0.35) if wide else u(0.05, 0.16),
            noise=float(np.exp(rng.normal(np.log(0.008), 0.7 if wide else 0.35))),
            scatter=u(0.05, 0.6),
            hardening=u(0.0, 0.12),
            heel=u(-0.3, 0.3) if wide else u(-0.12, 0.12),
            heel_angle=u(0.0, np.pi),
            vignette=u(-0.15, 0.35) if wide else u(-0.05, 0.15),
            sharpen=float(np.clip(rng.normal(0.6, 0.5), 0.0, 2.2 if wide else 1.5)),
            sharpen_mm=float(np.exp(u(np.log(0.18), np.log(4.0 if wide else 2.0)))),
            latitude=u(0.05, 0.45 if wide else 0.35) if rng.random() < 0.55 else 0.0,
            soft=u(0.6, 1.7) if wide else u(0.8, 1.2),
            objects=int(rng.integers(1, 3)) if rng.random() < (0.12 if wide else 0.03) else 0,
            marker=bool(rng.random() < 0.85),
            ring=int(rng.integers(2, 6)) if rng.random() < 0.05 else 0,
            inverted=bool(rng.random() < (INVERTED_WIDE if wide else INVERTED)),
            detector=Detector.draw(rng, wide=wide),
            display=Display.draw(rng, wide=wide),
            border=Border.draw(rng, wide=wide),
            delivery=Delivery.draw(rng, wide=wide),
        )


def expose(attenuation: Field, ppmm: float, imaging: Imaging, rng: np.random.Generator) -> Field:
    """Turn attenuation into grey values.

    Args:
        attenuation: (H, W) float32, line integral of the attenuation coefficient.
        ppmm: px per mm.
        imaging: of this film.
        rng: source of the noise.

    Returns:
        (H, W) float32, 0..1, bright is dense.
    """
    passed = add_objects(attenuation, ppmm, imaging.objects, rng)
    signal = _beam(passed, ppmm, imaging)
    imaging.detector.add_noise(signal, imaging.noise, rng)
    shown = _process(imaging.detector.record(signal), ppmm, imaging)
    imaging.detector.add_dust(shown, rng)
    return _to_grey(shown, attenuation, imaging)


def deliver(pixels: Field, imaging: Imaging) -> Field:
    """Store the picture; the last step.

    Args:
        pixels: (H, W) float32, bright is dense.
        imaging: of this film.

    Returns:
        (H, W) float32, 0..1; bright is dense unless the film is inverted.
    """
    return imaging.delivery.apply(1 - pixels if imaging.inverted else pixels)


def _beam(attenuation: Field, ppmm: float, imaging: Imaging) -> Field:
    """What reaches the plate, (H, W) float32, the bare beam is 1."""
    hard = np.float32(imaging.hardening)
    beam = np.exp(-(attenuation / (1 + hard * attenuation) if hard else attenuation))
    beam = smooth(np.asarray(beam, np.float32), imaging.blur_mm * ppmm)
    if imaging.scatter:
        # near haze from the limb, and glare from all over the plate
        factor = max(1, min(round(3 * ppmm), min(beam.shape) // 4))
        coarse = shrink(beam, factor)
        haze = 0.7 * smooth(coarse, 12.0 * ppmm / factor) + 0.3 * coarse.mean()
        share = np.float32(imaging.scatter / (1 + imaging.scatter))
        beam = beam * (1 - share)
        beam += enlarge(share * haze, factor, (beam.shape[0], beam.shape[1]))
    h, w = beam.shape
    x = np.linspace(-0.5, 0.5, w, dtype=np.float32)[None, :]
    y = np.linspace(-0.5, 0.5, h, dtype=np.float32)[:, None]
    right, down = np.sin(imaging.heel_angle), np.cos(imaging.heel_angle)
    fall = np.float32(imaging.vignette)
    across = np.float32(imaging.heel * right) * x - fall * x * x
    along = 1 + np.float32(imaging.heel * down) * y - fall * y * y
    return np.asarray(beam * (across + along), dtype=np.float32)


def _process(shown: Field, ppmm: float, imaging: Imaging) -> Field:
    """Edge enhancement and latitude reduction."""
    out = shown
    if imaging.sharpen > 0.02:
        detail = shown - smooth(shown, imaging.sharpen_mm * ppmm)
        out = shown + np.float32(imaging.sharpen) * detail
    if imaging.latitude:
        out = out - np.float32(imaging.latitude) * smooth(shown, 8.0 * ppmm)
    return np.asarray(out, dtype=np.float32)


def _to_grey(shown: Field, attenuation: Field, imaging: Imaging) -> Field:
    """Look-up table from processed signal to grey values, (H, W) float32, 0..1."""
    display = imaging.display
    low, middle, high = _anchors(shown[::5, ::5], attenuation[::5, ::5])
    if not display.soft_tissue:
        low, high = (float(v) for v in np.percentile(shown[::5, ::5], [1.0, 97.0]))
    low += display.burnt * max(middle - low, 0.0)
    span = max(high - low, 0.05)
    z = (shown - np.float32(low)) * np.float32(1 / span)
    # clips softly below air, and keeps air and bone where they are
    z = (z + np.sqrt(z * z + np.float32(TOE**2)) - np.float32(TOE)) / np.float32(2 - TOE)
    if display.soft_tissue:
        # z / (z + bend (1 - z)) keeps 0 and 1 and brings soft tissue to its grey value
        place = float(np.clip((middle - low) / span, 0.05, 0.9))
        bend = float(
            np.clip(
                place * (1 - display.soft_tissue) / (display.soft_tissue * (1 - place)), 0.3, 2.2
            )
        )
        np.minimum(z, np.float32(1.0 + 0.3 / bend), out=z)
        z = z / (z * np.float32(1 - bend) + np.float32(bend))
    z = imaging.detector.bend(z)
    rise = np.float32(display.bone - display.air)
    grey = np.float32(display.air) + rise * z
    room = np.float32(max(display.shoulder - display.bone, 1e-3))
    above = grey > display.bone
    over = grey[above] - np.float32(display.bone)
    grey[above] = np.float32(display.bone) + room * np.tanh(over / room)
    return np.asarray(np.clip(grey, 0, 1), dtype=np.float32)


def _anchors(shown: Field, attenuation: NDArray[np.float32]) -> tuple[float, float, float]:
    """Typical signals of air, soft tissue and bone; of the whole film if it shows no limb."""
    limb = attenuation > LIMB
    if min(limb.sum(), (~limb).sum()) < 20:
        low, middle, high = np.percentile(shown, [1.0, 50.0, 97.0])
    else:
        low = np.percentile(shown[~limb], 50.0)
        middle, high = np.percentile(shown[limb], [35.0, 90.0])
    return float(low), float(middle), float(high)
