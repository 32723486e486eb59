"""Choosing, of many peaks, those that make up a limb, and how well they fit it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mandora.core.geometry import Affine, Points, fit_similarity
from mandora.locate.decode import Peaks

GROSS_ERROR = 0.7  # limb sizes; a landmark this far from where the others put it is wrong
TYPICAL_SPREAD = 0.15  # s.d. of a landmark around the template, in limb sizes

BEYOND_SHARE = 0.15  # what a landmark beyond the film counts in the fit; one on the film counts 1
AT_THE_BORDER = 0.05  # limb sizes; of a joint nearer to the border only a half is on the film
IN_PLACE = 0.25  # a landmark beyond the border that is found so well lies on the film after all

_LOOSE_SPREAD = 0.35  # s.d. when peaks are chosen: a deformed limb must keep its own peaks
_APART = 0.4  # limb sizes; landmarks of the template that are nearer say little of the limb's turn
_MOST_PAIRS = 400
_MOST_TURN = np.radians(60.0)  # a limb that is turned further is found in another orientation
_ROUNDS = 4
_LEAST = 3  # landmarks that are believed against all others
_SMALLEST_PX = 8.0  # peaks of a smaller limb cannot be told apart

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FilmArea:
    """The film, as seen in some frame.

    Attributes:
        to_film: from px of that frame to px of the film; turns, mirrors and scales only.
        width: of the film, px.
        height: of the film, px.
    """

    to_film: Affine
    width: float
    height: float

    def beyond(self, points: Points) -> Floats:
        """(N,) how far points lie beyond the border of the film; negative on the film.

        Args:
            points: (N, 2) px of the frame, and so is the result.
        """
        on_film = self.to_film(points)
        last = np.array([self.width, self.height]) - 0.5
        away = np.maximum(-0.5 - on_film, on_film - last).max(axis=1)
        return np.asarray(away / self.to_film.scale, np.float64)


@dataclass(frozen=True, eq=False)
class ShapeFit:
    """A limb that was put together from peaks.

    Attributes:
        landmarks: (N, 2) float64, the peak that was chosen for each landmark, px of the network.
        heights: (N,) float64, 0..1, the heights of these peaks.
        matrix: (2, 3) float64, the similarity that lays the template on the landmarks.
        fit: 0..1, see :func:`goodness`.
    """

    landmarks: Points
    heights: Floats
    matrix: Floats
    fit: float


def fit_shapes(
    template: Points, peaks: Peaks, lowest_peak: float, most: int = 1, film: FilmArea | None = None
) -> list[ShapeFit]:
    """Limbs that the peaks agree on, the best first.

    Every pair of peaks of different landmarks says where the whole limb would lie; the pair that
    finds the highest peaks in place wins, and the peaks that it chose are fitted anew. Peaks of
    a limb are used up: what is left may make up a second one.

    Args:
        template: (N, 2) template of an upright left limb, in limb sizes.
        peaks: of the N heat maps.
        lowest_peak: lower ones are noise.
        most: limbs that are looked for.
        film: where the film lies; None: all of the limb is on it.
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
        fit = goodness(template, landmarks, kept, matrix, film)
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


def goodness(
    template: Points, landmarks: Points, heights: Floats, matrix: Floats, film: FilmArea | None
) -> float:
    """Mean height of the peaks, each weighted by how well it is in place, 0..1.

    A landmark that the fitted template puts beyond the film cannot have a peak and counts
    ``BEYOND_SHARE`` only, so that a part of a limb can fit well, and all of one fits better.

    Args:
        template: (N, 2) in limb sizes.
        landmarks: (N, 2) px.
        heights: (N,) of their peaks, 0..1.
        matrix: (2, 3) similarity from the template to the landmarks.
        film: where the film lies; None: all of the limb is on it.
    """
    away = distances(matrix, template, landmarks)
    evidence = heights * np.exp(-0.5 * (away / TYPICAL_SPREAD) ** 2)
    if film is None:
        return float(evidence.mean())
    evidence[film.beyond(landmarks) > 0] = 0.0
    outside = (beyond_film(template, matrix, film) > 0) & (evidence < IN_PLACE)
    return float(evidence.sum() / np.where(outside, BEYOND_SHARE, 1.0).sum())


def beyond_film(template: Points, matrix: Floats, film: FilmArea) -> Floats:
    """(N,) limb sizes by which a fitted template puts each landmark beyond the film.

    Negative on the film. ``matrix``: (2, 3) from the template to px of the film area's frame.
    """
    size = max(float(np.hypot(matrix[0, 0], matrix[1, 0])), 1e-6)
    return film.beyond(template @ matrix[:, :2].T + matrix[:, 2]) / size


@dataclass(frozen=True, eq=False)
class Checked:
    """What is believed of the landmarks of a limb.

    Attributes:
        sure: (N,) bool, those that are neither too faint, nor beyond the film, nor grossly out of
            place.
        outside: (N,) bool, those that lie beyond the film; never sure.
        fit: 0..1, see :func:`goodness`.
    """

    sure: NDArray[np.bool_]
    outside: NDArray[np.bool_]
    fit: float


def checked(
    template: Points, landmarks: Points, heights: Floats, threshold: float, film: FilmArea
) -> Checked:
    """Which landmarks are plausible, which lie beyond the film, and how well they fit a limb.

    A landmark lies beyond the film if its peak does or lies at the border, if the others put it
    clearly beyond the film, all the more if its peak is low, or if it has no peak and the others
    put it near the border. The further it is from them, the less certain is where they put it.

    Args:
        template: (N, 2) in limb sizes.
        landmarks: (N, 2) px, finite.
        heights: (N,) of their peaks, 0..1.
        threshold: a landmark with a lower peak is not plausible.
        film: where the film lies.
    """
    sure = without_gross_errors(template, landmarks, heights, heights >= threshold)
    sure &= film.beyond(landmarks) <= 0
    if sure.sum() < 2:
        return Checked(sure, np.zeros_like(sure), 0.0)
    matrix = _laid(template, landmarks, heights, sure, film)
    # the network may see a peak near the border for what lies beyond it
    while sure.sum() > _LEAST:
        excess = beyond_film(template, matrix, film) - heights * _uncertain(template, sure)
        worst = int(np.where(sure, excess, -np.inf).argmax())
        if excess[worst] <= 0:
            break
        sure[worst] = False
        matrix = _laid(template, landmarks, heights, sure, film)
    fit = goodness(template, landmarks, heights, matrix, film)
    outside = ~sure & (beyond_film(template, matrix, film) > -_uncertain(template, sure))
    outside |= (heights >= threshold) & (film.beyond(landmarks) > 0)
    outside |= sure & (film.beyond(landmarks) > -AT_THE_BORDER * np.hypot(*matrix[:, 0]))
    return Checked(sure & ~outside, outside, fit)


def _laid(
    template: Points, landmarks: Points, heights: Floats, sure: NDArray[np.bool_], film: FilmArea
) -> Floats:
    """(2, 3) the similarity that lays the template on the sure landmarks.

    By least squares, or with less weight on those that lie far from their place, whichever makes
    the better fit: peaks beside the wrist for fingers that are not on the film would pull the
    template into the film.
    """
    weights = np.where(sure, heights, 0.0)
    found = [fit_similarity(template, landmarks, weights)]
    for _ in range(_ROUNDS):
        away = distances(found[-1], template, landmarks)
        near = weights * np.exp(-0.5 * (away / TYPICAL_SPREAD) ** 2)
        if not near.sum() > 0:
            break
        found.append(fit_similarity(template, landmarks, near))
    return max((found[0], found[-1]), key=lambda m: goodness(template, landmarks, heights, m, film))


def _uncertain(template: Points, sure: NDArray[np.bool_]) -> Floats:
    """(N,) limb sizes by which the sure landmarks may put each of the others, or itself, wrong."""
    apart = np.linalg.norm(template[:, None] - template[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    return np.asarray(TYPICAL_SPREAD * (1 + apart[:, sure].min(axis=1)), np.float64)


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
