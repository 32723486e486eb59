"""How far found joints lie from the marked ones.

All functions take the same columns, one row for each of F films: ``limb`` (F,), ``size`` (F, 2)
width and height in px, ``true`` and ``found`` (F, P, 2) px of the film, NaN where not marked or not
found. P is the number of landmarks of a hand; a foot has fewer, and NaN behind them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import LANDMARKS, JointGroup, Limb
from mandora.metrics import Arrays, Floats

CUTOFF = 0.02
"""Normalised distance below which a joint is located, as in figure 3 of the paper."""


def group_columns(limb: Limb, group: JointGroup) -> list[int]:
    """Which landmarks of a limb belong to a group of joints."""
    return [i for i, landmark in enumerate(LANDMARKS[limb]) if landmark.group is group]


def film_distances(landmarks: Arrays) -> dict[Limb, Floats]:
    """Normalised distances: of (x / width, y / height) to the truth.

    Returns:
        Limb → (films, landmarks); NaN without a truth, infinite where nothing was found.
    """
    return _distances(
        landmarks, landmarks["size"][:, None, :], np.ones(len(landmarks["limb"]), bool)
    )


def limb_distances(landmarks: Arrays) -> dict[Limb, Floats]:
    """Distances as a share of the limb's size.

    Args:
        landmarks: with one more column, ``limb_size_px`` (F,); NaN where it is not known.

    Returns:
        Limb → (films, landmarks); NaN without a truth or a size, infinite where nothing was found.
    """
    size = landmarks["limb_size_px"]
    return _distances(landmarks, size[:, None, None], np.isfinite(size))


def _distances(landmarks: Arrays, scale: Floats, known: NDArray[np.bool_]) -> dict[Limb, Floats]:
    """In units of ``scale``; only films that are ``known`` count."""
    error = np.linalg.norm((landmarks["found"] - landmarks["true"]) / scale, axis=2)
    error[~np.isfinite(error)] = np.inf
    error[~(np.isfinite(landmarks["true"]).all(axis=2) & known[:, None])] = np.nan
    return {
        limb: error[landmarks["limb"] == limb.value][:, : len(LANDMARKS[limb])] for limb in Limb
    }
