"""How a limb lies on a film: turned, mirrored, with dark bone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import Side
from mandora.core.geometry import Affine, Points, fit_similarity

CERTAIN_LANDMARKS = 4
"""With fewer it is not certain how a limb lies."""

_MIN_LANDMARKS = 3  # two fit either way

Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class Orientation:
    """How a limb lies on a film.

    Attributes:
        turns: quarter turns anticlockwise that bring fingers or toes up, 0..3.
        mirrored: then it looks like a right limb.
        inverted: bone is dark.
    """

    turns: int = 0
    mirrored: bool = False
    inverted: bool = False

    @property
    def side(self) -> Side:
        """The side that the limb looks like. The patient's is the other one on mirrored films."""
        return Side.RIGHT if self.mirrored else Side.LEFT

    def upright(self, pixels: Pixels) -> Pixels:
        """The film with fingers or toes up and bright bone; not mirrored.

        Args:
            pixels: (H, W) float32, 0..1.

        Returns:
            (H, W) or (W, H) float32, 0..1.
        """
        turned = np.rot90(pixels, self.turns)
        return np.ascontiguousarray(1 - turned if self.inverted else turned)

    def as_given(self, pixels: Pixels) -> Pixels:
        """A square of the upright film turned back: a mask, say. Grey values stay.

        Args:
            pixels: (S, S) float32.
        """
        return np.ascontiguousarray(np.rot90(pixels, -self.turns))

    def to_upright(self, shape: tuple[int, int]) -> Affine:
        """The map from px of the film to px of :meth:`upright`.

        Args:
            shape: (height, width) of the film, px.
        """
        right, bottom = shape[1] - 1.0, shape[0] - 1.0
        matrix = (
            [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
            [[0.0, 1.0, 0.0], [-1.0, 0.0, right]],
            [[-1.0, 0.0, right], [0.0, -1.0, bottom]],
            [[0.0, -1.0, bottom], [1.0, 0.0, 0.0]],
        )[self.turns]
        return Affine(np.array(matrix), "film", "upright")


def orientation_of(to_film: Affine, inverted: bool) -> Orientation:
    """How a limb lies on a film.

    Args:
        to_film: from the template of a left limb to px of the film.
        inverted: bone is dark.
    """
    x, y = -to_film.matrix[:, 1]  # where up in the template points to on the film
    turns = round(float(np.degrees(np.arctan2(x, -y))) / 90) % 4
    return Orientation(turns, bool(np.linalg.det(to_film.matrix[:, :2]) < 0), inverted)


def mirror_misfits(landmarks: Points, template: Points) -> tuple[float, float] | None:
    """How badly known landmarks fit a template as it is, and mirrored: the one mirror test.

    Args:
        landmarks: (N, 2) px of the film; NaN where not known.
        template: (N, 2) template of a left limb.

    Returns:
        Root mean square distances in limb sizes: 0 for a perfect fit. None if fewer than three
        landmarks are known or all lie at one place: two fit either way.
    """
    fits = _mirror_fits(landmarks, template)
    return (fits[0][1], fits[1][1]) if fits else None


def _mirror_fits(landmarks: Points, template: Points) -> list[tuple[Affine, float]]:
    """The best map from the template as it is, and from its mirror image, with its misfit."""
    known = np.isfinite(landmarks).all(axis=1)
    if known.sum() < _MIN_LANDMARKS or not np.ptp(landmarks[known], axis=0).any():
        return []
    made = []
    for sign in (1.0, -1.0):
        fitted = fit_similarity(template[known] * [sign, 1], landmarks[known]) * [sign, 1, 1]
        to_film = Affine(fitted, "template", "film")
        away = landmarks[known] - to_film(template[known])
        misfit = np.sqrt((away**2).sum(axis=1).mean()) / max(to_film.scale, 1e-9)
        made.append((to_film, float(misfit)))
    return made


def orientation_of_landmarks(landmarks: Points, template: Points, side: Side) -> Orientation:
    """How a limb lies, from landmarks that are known; its name or side may be wrong about that.

    Args:
        landmarks: (N, 2) px of the film; NaN where not known.
        template: (N, 2) template of a left limb.
        side: taken for true where fewer than four landmarks are known.
    """
    fits = _mirror_fits(landmarks, template)
    if not fits or np.isfinite(landmarks).all(axis=1).sum() < CERTAIN_LANDMARKS:
        return Orientation(mirrored=side is Side.RIGHT)
    return orientation_of(min(fits, key=lambda fit: fit[1])[0], inverted=False)


def orientations(turns: Sequence[int] = range(4), *, inverted: bool = False) -> list[Orientation]:
    """Each turn as shown and in the mirror."""
    return [Orientation(t, mirrored, inverted) for t, mirrored in product(turns, (False, True))]
