"""Distances are shares of the film or of the limb; what was not found is infinitely far."""

from __future__ import annotations

import numpy as np
import pytest

from mandora.core.anatomy import LANDMARKS, JointGroup, Limb
from mandora.metrics.localisation import film_distances, group_columns, limb_distances

COUNT = len(LANDMARKS[Limb.HAND])


@pytest.fixture
def landmarks() -> dict[str, np.ndarray]:
    """Of a hand three joints are marked, of a foot two."""
    true = np.full((2, COUNT, 2), np.nan)
    true[0, :3], true[1, :2] = 100.0, 100.0
    found = true.copy()
    found[0, 0] += (3, 8)
    found[0, 1] = np.nan
    return {
        "limb": np.array(["hand", "foot"]), "true": true, "found": found,
        "size": np.array([[300.0, 200.0], [np.nan, np.nan]]),
        "limb_size_px": np.array([50.0, np.nan]),
    }  # fmt: skip


def test_distances_are_shares_of_width_and_height(landmarks: dict[str, np.ndarray]) -> None:
    error = film_distances(landmarks)
    assert error[Limb.HAND][0, 0] == pytest.approx(np.hypot(3 / 300, 8 / 200))
    assert error[Limb.HAND][0, 1] == np.inf
    assert error[Limb.HAND][0, 2] == 0
    assert np.isnan(error[Limb.HAND][0, 3:]).all()
    assert error[Limb.FOOT].shape == (1, len(LANDMARKS[Limb.FOOT]))
    # a film that could not be read has no size: its marked joints are missed
    assert np.isinf(error[Limb.FOOT][0, :2]).all()


def test_distances_are_shares_of_the_limb(landmarks: dict[str, np.ndarray]) -> None:
    error = limb_distances(landmarks)
    assert error[Limb.HAND][0, 0] == pytest.approx(np.hypot(3, 8) / 50)
    assert error[Limb.HAND][0, 1] == np.inf
    assert np.isnan(error[Limb.HAND][0, 3:]).all()
    assert np.isnan(error[Limb.FOOT]).all()  # how large the foot is, is not known


def test_every_point_is_in_one_group() -> None:
    for limb in Limb:
        columns = [i for group in JointGroup for i in group_columns(limb, group)]
        assert sorted(columns) == list(range(len(LANDMARKS[limb])))
