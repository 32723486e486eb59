"""Distances to outlines are exact, whatever grid they are computed on."""

from __future__ import annotations

import numpy as np

from mandora.simulate.anatomy.shapes import (
    Grid,
    Tube,
    blob_outline,
    resample,
    signed_distance,
    tube_outline,
)


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


def test_a_tube_reaches_from_its_base_to_the_tip_of_its_head() -> None:
    tube = Tube(base=14, shaft=8, head=11, cup=1.0, dome=2.0)
    base, head = np.array([10.0, 60.0]), np.array([10.0, 20.0])
    outline = tube_outline(base, head, tube)
    assert np.isclose(outline[:, 1].min(), 20.0)  # the tip of the head
    along = outline[np.abs(outline[:, 1] - 40.0) < 3.0, 0]
    assert np.isclose(along.max() - along.min(), tube.shaft, atol=0.6)
    at_base = outline[outline[:, 1] > 55.0, 0]
    assert np.isclose(at_base.max() - at_base.min(), tube.base, atol=0.6)
