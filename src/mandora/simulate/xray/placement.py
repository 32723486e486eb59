"""The position of a limb on its film: size, turn and framing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mandora.core.anatomy import Limb, Side
from mandora.simulate.anatomy.shapes import Array, turn
from mandora.simulate.anatomy.skeleton import Skeleton

BEYOND_MM = 25.0  # of forearm or midfoot that a film shows below the lowest landmark


@dataclass(frozen=True)
class Placement:
    """The position of a limb on its film.

    Attributes:
        width: px.
        height: px.
        pixels_per_mm: resolution.
        angle: clockwise turn, rad.
        centre: where the middle of the localisation landmarks lies, as fractions of the film.
        side: a right limb is the mirror image of a left one.
    """

    width: int
    height: int
    pixels_per_mm: float
    angle: float
    centre: tuple[float, float]
    side: Side

    @staticmethod
    def draw(
        skeleton: Skeleton,
        side: Side,
        rng: np.random.Generator,
        *,
        wide: bool,
        pixels_per_mm: float | None = None,
    ) -> Placement:
        """Draw one.

        Args:
            skeleton: of the limb.
            side: the patient's side.
            rng: source of randomness.
            wide: cover poorly framed films as well; otherwise the whole limb lies on the film,
                as in real cohorts.
            pixels_per_mm: fixed resolution; None: drawn as in real cohorts.
        """
        hand = skeleton.limb is Limb.HAND
        aspect = float(np.clip(rng.normal(1.35 if hand else 1.47, 0.08), 1.1, 1.75))
        if wide:
            share = rng.uniform(0.19, 0.42) if hand else rng.uniform(0.22, 0.62)
            angle = float(np.clip(rng.normal(0, 0.16), -0.5, 0.5))
            if rng.random() < 0.3:
                aspect = rng.uniform(0.85, 1.3)
        else:
            share = np.clip(rng.normal(0.36 if hand else 0.55, 0.03 if hand else 0.06), 0.25, 0.68)
            angle = float(np.clip(rng.normal(0, 0.07), -0.2, 0.2))
        (left, top), (right, bottom) = _extent(skeleton, angle)
        width_mm = skeleton.size_mm / share
        if not wide:
            width_mm = max(width_mm, 1.06 * (right - left), (bottom - top) / 1.55)
            aspect = max(aspect, 1.02 * (bottom - top) / width_mm)
        height_mm = width_mm * aspect
        if pixels_per_mm is None:
            median = 1104 if hand else 832
            width = int(np.clip(rng.lognormal(np.log(median), 0.22), 0.55 * median, 1.9 * median))
        else:
            width = round(width_mm * pixels_per_mm)
        spread = 0.025 if not wide else 0.09 if share < 0.3 else 0.055
        middle = (0.50, 0.60) if hand else (0.51, 0.37)
        x = float(np.clip(rng.normal(middle[0], spread), 0.33, 0.67))
        y = float(np.clip(rng.normal(middle[1], spread), 0.2, 0.75))
        if not wide:
            x = float(np.clip(x, 0.02 - left / width_mm, 0.98 - right / width_mm))
            y = min(y, 0.995 - bottom / height_mm)
        y = max(y, 0.015 - top / height_mm)  # fingertips and toes stay on the film
        centre = (x if side is Side.LEFT else 1 - x, y)
        return Placement(width, round(width * aspect), width / width_mm, angle, centre, side)


def _extent(skeleton: Skeleton, angle: float) -> Array:
    """How far the turned limb reaches around the middle of its landmarks.

    Forearm and hindfoot extend beyond the lower edge; only the first centimetres below the lowest
    landmark count.

    Returns:
        (2, 2) mm, lower and upper bounds of (x, y).
    """
    lowest = skeleton.landmarks[:, 1].max()
    ends = [
        (place, radius)
        for rod in skeleton.soft_tissue
        if rod.end[1] < lowest
        for place, radius in zip((rod.start, rod.end), rod.radius, strict=True)
    ]
    places = (np.array([p for p, _ in ends]) - skeleton.landmarks.mean(axis=0)) @ turn(angle).T
    radii = np.array([r for _, r in ends])[:, None]
    lower, upper = (places - radii).min(axis=0), (places + radii).max(axis=0)
    turned = (skeleton.landmarks - skeleton.landmarks.mean(axis=0)) @ turn(angle).T
    upper[1] = turned[:, 1].max() + BEYOND_MM
    return np.stack([lower, upper])
