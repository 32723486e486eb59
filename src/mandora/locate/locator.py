"""Finding all points of one limb on one film."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mandora.anatomy import Limb, Side
from mandora.geometry import Points, fit_similarity, mirror_x
from mandora.images.channels import whole_film
from mandora.inference import Network
from mandora.locate.decode import decode
from mandora.records import Reason

GROSS_ERROR = 0.7  # a point this far from where the rest of the limb puts it is wrong, in units
MIRROR_FACTOR = 1.5  # so much better must the mirrored view fit before a known side is doubted
TYPICAL_SPREAD = 0.15  # s.d. of a point around the mean shape, in units of the limb's size


@dataclass(frozen=True, eq=False)
class FoundPoints:
    """What the localiser says of one limb on one film.

    Attributes:
        limb: hand or foot.
        view: the side whose usual display the limb was found in; differs from the patient's
            side where a film is displayed mirrored.
        points: (N, 2) float64, (x, y), px of the film, order of ``anatomy.POINTS[limb]``; NaN
            where a point was not found.
        confidence: (N,) float64, 0..1: height of the heat map's peak.
        reasons: why a point has no position; None where it has one.
        fit: 0..1, how well peaks and shape fit a limb of this kind and side.
    """

    limb: Limb
    view: Side
    points: Points
    confidence: NDArray[np.float64]
    reasons: tuple[Reason | None, ...]
    fit: float


class Locator:
    """One limb's localiser.

    Args:
        path: ONNX file.
        limb: which limb it was trained for.
        input_px: side of its input.
        stride: input px per heat-map px.
        found_threshold: peak below which a point counts as not found.
        template: (N, 2) mean shape of a left limb, in units of its size.
        threads: processor threads.
    """

    def __init__(
        self, path: Path, limb: Limb, *, input_px: int, stride: int, found_threshold: float,
        template: Points, threads: int = 2,
    ) -> None:  # fmt: skip
        self.limb = limb
        self.template = template
        self._network = Network(path, threads)
        self._input_px, self._stride, self._threshold = input_px, stride, found_threshold

    def locate(self, pixels: NDArray[np.float32], side: Side | None = None) -> FoundPoints:
        """Find the points of a limb.

        The film is read as shown and in the mirror; a known side is believed unless the other
        one fits far better, as it does where an archive displays its films mirrored.

        Args:
            pixels: (H, W) float32, 0..1, bright bone, fingers or toes up.
            side: the patient's side, if known.
        """
        found = {f.view: f for f in self._search(pixels)}
        left, right = found[Side.LEFT], found[Side.RIGHT]
        if side is None:
            return left if left.fit >= right.fit else right
        usual, other = found[side], found[side.other]
        return other if other.fit > MIRROR_FACTOR * usual.fit else usual

    def _search(self, pixels: NDArray[np.float32]) -> list[FoundPoints]:
        sides = tuple(Side)
        square, to_network = whole_film(pixels, self._input_px, mirror=False)
        flip = mirror_x(self._input_px, "network")
        views = [(square, to_network), (square[:, ::-1], flip @ to_network)]
        batch = np.stack([square for square, _ in views])[:, None]
        (maps,) = self._network(film=batch)
        found = []
        for side, heat, (_, to_network) in zip(sides, maps, views, strict=True):
            points, confidence = decode(heat, self._stride)
            found.append(self._judge(to_network.inverse(points), confidence, side, pixels.shape))
        return found

    def _judge(
        self, points: Points, confidence: NDArray[np.float64], side: Side, shape: tuple[int, ...]
    ) -> FoundPoints:
        """Drop what is too faint, outside the film or grossly out of place."""
        mean = self.template * ([-1.0, 1.0] if side is Side.RIGHT else [1.0, 1.0])
        sure = _without_gross_errors(mean, points, confidence, confidence >= self._threshold)
        away = np.full(len(points), np.inf)
        if sure.sum() >= 2:
            away = _distances(mean, points, confidence, sure)
        height, width = shape[:2]
        inside: NDArray[np.bool_] = np.all(
            (points >= -0.5) & (points < [width - 0.5, height - 0.5]), axis=1
        )
        reasons = tuple(
            None if ok and within else (Reason.OUTSIDE_FILM if ok else Reason.NOT_FOUND)
            for ok, within in zip(sure, inside, strict=True)
        )
        kept = np.where((sure & inside)[:, None], points, np.nan)
        likeness = np.exp(-0.5 * (away / TYPICAL_SPREAD) ** 2)
        fit = float((confidence * likeness).mean())
        return FoundPoints(self.limb, side, kept, confidence, reasons, fit)


def _distances(
    mean: Points, points: Points, weights: NDArray[np.float64], used: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """How far each point lies from where the used ones put it, in units of the limb."""
    matrix = fit_similarity(mean[used], points[used], weights[used])
    size = max(float(np.hypot(matrix[0, 0], matrix[1, 0])), 1e-6)
    expected = mean @ matrix[:, :2].T + matrix[:, 2]
    return np.asarray(np.linalg.norm(points - expected, axis=1) / size, np.float64)


def _without_gross_errors(
    mean: Points, points: Points, weights: NDArray[np.float64], sure: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Drop wrong points, one by one, until the rest agree.

    The suspect is the point without which the others fit best, and it is judged by them alone:
    in a foot with six points, a wrong one would draw a common fit to itself, and right ones
    would be thrown out.
    """
    sure = sure.copy()
    while sure.sum() > 3:  # of three points nobody can say which one is wrong
        best, suspect, away = np.inf, -1, 0.0
        for i in np.flatnonzero(sure):
            others = sure.copy()
            others[i] = False
            distances = _distances(mean, points, weights, others)
            rest = float((distances[others] ** 2).sum())
            if rest < best:
                best, suspect, away = rest, int(i), float(distances[i])
        if away < GROSS_ERROR:
            break
        sure[suspect] = False
    return sure
