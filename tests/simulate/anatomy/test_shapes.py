"""Outlines of bones have the proportions that they are given."""

from __future__ import annotations

import numpy as np

from mandora.simulate.anatomy.shapes import Tube, tube_outline


def test_a_tube_reaches_from_its_base_to_the_tip_of_its_head() -> None:
    tube = Tube(base=14, shaft=8, head=11, cup=1.0, dome=2.0)
    base, head = np.array([10.0, 60.0]), np.array([10.0, 20.0])
    outline = tube_outline(base, head, tube)
    assert np.isclose(outline[:, 1].min(), 20.0)  # the tip of the head
    along = outline[np.abs(outline[:, 1] - 40.0) < 3.0, 0]
    assert np.isclose(along.max() - along.min(), tube.shaft, atol=0.6)
    at_base = outline[outline[:, 1] > 55.0, 0]
    assert np.isclose(at_base.max() - at_base.min(), tube.base, atol=0.6)
