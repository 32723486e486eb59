"""Distances to outlines are exact, whatever grid they are computed on."""

from __future__ import annotations

import numpy as np

from mandora.simulate.anatomy.shapes import blob_outline
from mandora.simulate.xray.distances import Grid, resample, signed_distance


def test_the_distance_to_a_circle_is_known() -> None:
    circle = blob_outline(np.array([5.0, 3.0]), (8.0, 8.0), 0.0, power=2.0, n=400)
    grid = Grid.around(circle, 2.0, 0.37)
    exact = np.hypot(grid.x[None, :] - 5.0, grid.y[:, None] - 3.0) - 4.0
    np.testing.assert_allclose(signed_distance(circle, grid), exact, atol=2e-3)


def test_the_inside_of_a_concave_outline_is_negative() -> None:
    corner = np.array([[0, 0], [4, 0], [4, 1], [1, 1], [1, 4], [0, 4]], dtype=float)
    grid = Grid(np.array([0.5, 2.5]), np.array([0.5, 2.5]))
    inside = signed_distance(corner, grid) < 0
    np.testing.assert_array_equal(inside, [[True, True], [True, False]])


def test_resampling_keeps_a_linear_field() -> None:
    grid = Grid(np.arange(0, 5.0), np.arange(0, 4.0))
    field = (2 * grid.x[None, :] - 3 * grid.y[:, None]).astype(np.float32)
    x, y = np.array([0.25, 3.5]), np.array([1.75])
    np.testing.assert_allclose(resample(field, grid, x, y), [[-4.75, 1.75]], atol=1e-5)
