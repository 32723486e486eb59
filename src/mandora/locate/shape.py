"""Choosing, of many peaks, those that make up a limb, and how well they fit it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mandora.core.geometry import Points, fit_similarity
from mandora.locate.decode import Peaks

GROSS_ERROR = 0.7  # limb sizes; a landmark this far from where the others put it is wrong
TYPICAL_SPREAD = 0.15  # s.d. of a landmark around the template, in limb sizes

_LOOSE_SPREAD = 0.35  # s.d. when peaks are chosen: a deformed limb must keep its own peaks
_APART = 0.4  # limb sizes; landmarks of the template that are nearer say little of the limb's turn
_MOST_PAIRS = 400
_MOST_TURN = np.radians(60.0)  # a limb that is turned further is found in another orientation
_ROUNDS = 4
_SMALLEST_PX = 8.0  # peaks of a smaller limb cannot be told apart

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ShapeFit:
    """A limb that was put together from peaks.

    Attributes:
        landmarks: (N, 2) float64, the peak that was chosen for each landmark, px of the network.
        heights: (N,) float64, 0..1, the heights of these peaks.
        matrix: (2, 3) float64, the similarity that lays the template on the landmarks.
        fit: 0..1, mean height of the peaks, each weighted by how well it is in place.
    """

    landmarks: Points
    heights: Floats
    matrix: Floats
    fit: float


def fit_shapes(template: Points, peaks: Peaks, lowest_peak: float, most: int = 1) -> list[ShapeFit]:
    """Limbs that the peaks agree on, the best first.

    Every pair of peaks of different landmarks says where the whole limb would lie; the pair that
    finds the highest peaks in place wins, and the peaks that it chose are fitted anew. Peaks of
    a limb are used up: what is left may make up a second one.

    Args:
        template: (N, 2) template of an upright left limb, in limb sizes.
        peaks: of the N heat maps.
        lowest_peak: lower ones are noise.
        most: limbs that are looked for.
    """
    shape = _complex(template)
    places = _complex(peaks.places)
    heights = np.where(peaks.heights < lowest_peak, 0.0, peaks.heights)
    found: list[ShapeFit] = []
    while len(found) < most:
        start = _best_pair(shape, places, heights)
        if start is None:
            break
        zoom, shift = start
        for _ in range(_ROUNDS):
            away = np.abs(zoom * shape[:, None] + shift - places) / abs(zoom)
            weight = heights * np.exp(-0.5 * (away / _LOOSE_SPREAD) ** 2)
            chosen = weight.argmax(axis=1)
            every = np.arange(len(shape))
            weights = weight[every, chosen]
            matrix = fit_similarity(template, peaks.places[every, chosen], weights)
            zoom, shift = complex(matrix[0, 0], matrix[1, 0]), complex(*matrix[:, 2])
            if abs(zoom) < _SMALLEST_PX:
                return found
        landmarks, kept = peaks.places[every, chosen], peaks.heights[every, chosen]
        fit = goodness(kept, distances(matrix, template, landmarks))
        found.append(ShapeFit(landmarks, kept, matrix, fit))
        used = np.abs(places[:, :, None] - _complex(landmarks)[None, None, :]).min(axis=2)
        heights = np.where(used < 0.5 * _APART * abs(zoom), 0.0, heights)
    return found


def _best_pair(
    shape: NDArray[np.complex128], places: NDArray[np.complex128], heights: Floats
) -> tuple[complex, complex] | None:
    """Zoom (with turn) and shift from the pair of peaks that most other peaks agree with."""
    landmark, rank = np.nonzero(heights)
    at, height = places[landmark, rank], heights[landmark, rank]
    i, j = np.triu_indices(len(landmark), 1)
    across = shape[landmark[i]] - shape[landmark[j]]
    useful = np.abs(across) >= _APART
    i, j, across = i[useful], j[useful], across[useful]
    zoom = (at[i] - at[j]) / across
    upright = (np.abs(np.angle(zoom)) < _MOST_TURN) & (np.abs(zoom) > _SMALLEST_PX)
    i, j, zoom = i[upright], j[upright], zoom[upright]
    if not len(i):
        return None
    best = np.argsort(-height[i] * height[j], kind="stable")[:_MOST_PAIRS]
    zoom, shift = zoom[best], at[i[best]] - zoom[best] * shape[landmark[i[best]]]
    expected = zoom[:, None] * shape + shift[:, None]
    away = np.abs(expected[:, :, None] - places) / np.abs(zoom)[:, None, None]
    gain = (heights * np.exp(-0.5 * (away / TYPICAL_SPREAD) ** 2)).max(axis=2).sum(axis=1)
    winner = int(gain.argmax())
    return complex(zoom[winner]), complex(shift[winner])


def distances(matrix: Floats, template: Points, landmarks: Points) -> Floats:
    """How far each landmark lies from its place in a fitted template, in limb sizes.

    Args:
        matrix: (2, 3) similarity from the template to the landmarks.
        template: (N, 2) in limb sizes.
        landmarks: (N, 2) px.
    """
    size = max(float(np.hypot(matrix[0, 0], matrix[1, 0])), 1e-6)
    expected = template @ matrix[:, :2].T + matrix[:, 2]
    return np.asarray(np.linalg.norm(landmarks - expected, axis=1) / size, np.float64)


def goodness(heights: Floats, away: Floats) -> float:
    """Mean height of the peaks, each weighted by how well it is in place, 0..1."""
    return float((heights * np.exp(-0.5 * (away / TYPICAL_SPREAD) ** 2)).mean())


def plausible(
    template: Points, landmarks: Points, heights: Floats, threshold: float
) -> tuple[NDArray[np.bool_], float]:
    """Which landmarks are plausible, and how well they fit a limb.

    Args:
        template: (N, 2) in limb sizes.
        landmarks: (N, 2) px, finite.
        heights: (N,) of their peaks, 0..1.
        threshold: a landmark with a lower peak is not.

    Returns:
        (N,) the landmarks that are neither too faint nor grossly out of place, and the fit, 0..1.
    """
    sure = without_gross_errors(template, landmarks, heights, heights >= threshold)
    if sure.sum() < 2:
        return sure, 0.0
    matrix = fit_similarity(template[sure], landmarks[sure], heights[sure])
    return sure, goodness(heights, distances(matrix, template, landmarks))


def without_gross_errors(
    template: Points, landmarks: Points, weights: Floats, sure: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Drop wrong landmarks, one by one, until the rest agree.

    The suspect is the landmark without which the others fit best, and is compared with them alone:
    in a foot with six landmarks, a wrong one would draw a common fit to itself, and right ones
    would be thrown out.

    Args:
        template: (N, 2) in limb sizes.
        landmarks: (N, 2) px, finite.
        weights: (N,) not negative.
        sure: (N,) landmarks to check; the others are not used.

    Returns:
        (N,) the sure landmarks without those that lie ``GROSS_ERROR`` or more astray.
    """
    sure = sure.copy()
    while sure.sum() > 3:  # of three landmarks nobody can say which one is wrong
        best, suspect, away = np.inf, -1, 0.0
        for i in np.flatnonzero(sure):
            others = sure.copy()
            others[i] = False
            matrix = fit_similarity(template[others], landmarks[others], weights[others])
            astray = distances(matrix, template, landmarks)
            rest = float((astray[others] ** 2).sum())
            if rest < best:
                best, suspect, away = rest, int(i), float(astray[i])
        if away < GROSS_ERROR:
            break
        sure[suspect] = False
    return sure


def _complex(xy: Floats) -> NDArray[np.complex128]:
    return np.asarray(xy[..., 0] + 1j * xy[..., 1], np.complex128)
