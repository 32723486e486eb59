"""Outlines of bones have the proportions that they are given."""

from __future__ import annotations

import numpy as np

from mandora.simulate.anatomy.shapes import (
    SMOOTH,
    Flank,
    Form,
    Tube,
    half_width,
    tube_outline,
    with_osteophytes,
)


def test_a_tube_reaches_from_its_base_to_the_tip_of_its_head() -> None:
    tube = Tube(base=14, shaft=8, head=11, cup=1.0, dome=2.0)
    base, head = np.array([10.0, 60.0]), np.array([10.0, 20.0])
    outline = tube_outline(base, head, tube)
    assert np.isclose(outline[:, 1].min(), 20.0)  # the tip of the head
    along = outline[np.abs(outline[:, 1] - 40.0) < 3.0, 0]
    assert np.isclose(along.max() - along.min(), tube.shaft, atol=0.6)
    at_base = outline[outline[:, 1] > 55.0, 0]
    assert np.isclose(at_base.max() - at_base.min(), tube.base, atol=0.6)


def test_sides_bulge_where_the_form_says() -> None:
    tube = Tube(base=12, shaft=6, head=12, neck=1.2)
    form = Form(inner=Flank(dip=0.1, tubercle=0.2), outer=Flank(base_spur=0.3))
    behind = np.array([0.48, 0.74, 1.6]) * tube.head
    bulge = half_width(tube, form.inner, 60.0, 60.0 - behind)
    even = half_width(tube, Flank(), 60.0, 60.0 - behind)
    assert bulge[0] < even[0] - 0.3  # the groove
    assert bulge[1] > even[1] + 0.8  # the tubercle
    assert even[2] < 0.75 * even[0]  # the neck
    plain, made = (
        tube_outline(np.array([0.0, 60.0]), np.array([0.0, 0.0]), tube, f) for f in (SMOOTH, form)
    )
    right, left = made[:, 0] - plain[:, 0], plain[:, 0] - made[:, 0]
    assert right[plain[:, 0] > 0].max() > 0.5 > right[plain[:, 0] > 0].min()
    assert left[(plain[:, 0] < 0) & (plain[:, 1] < 20)].max() < 0.01  # the other side's head


def test_osteophytes_stand_out_at_the_joint_and_make_it_denser() -> None:
    tube, rng = Tube(base=20, shaft=13, head=20, neck=1.0), np.random.default_rng(0)
    worn = with_osteophytes(SMOOTH, True, 0.8, rng)
    at = np.array([1.0, 30.0, 56.0])  # base, shaft, margin of the head of a bone of 60 mm
    more = half_width(tube, worn.inner, 60.0, at) - half_width(tube, Flank(), 60.0, at)
    assert more[2] > 0.3
    assert np.allclose(more[:2], 0, atol=0.01)
    assert worn.spongy[1] > 1.3
    assert worn.spongy[0] == 1
    assert with_osteophytes(SMOOTH, False, 0.0, rng) == SMOOTH
