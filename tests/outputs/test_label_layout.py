from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mandora.outputs.label_layout import Rect, place_beside, stack_in_margin

BOUNDS = Rect(0, 0, 1000, 1000)


def test_labels_of_separate_joints_cover_no_joint_and_no_label() -> None:
    boxes = [Rect(x, y, x + 60, y + 60) for x in (100, 300, 500) for y in (100, 300)]
    labels = place_beside(boxes, [(80, 40)] * 6, BOUNDS)
    for i, label in enumerate(labels):
        assert all(label.overlap(box) == 0 for box in boxes)
        assert all(label.overlap(other) == 0 for other in labels[i + 1 :])


def test_labels_of_overlapping_joints_leave_the_joint_spaces_free() -> None:
    boxes = [Rect(x, 400, x + 100, 500) for x in (300, 360, 420, 480)]
    labels = place_beside(boxes, [(90, 45)] * 4, BOUNDS)
    for i, label in enumerate(labels):
        assert all(label.overlap(box.core(0.5)) == 0 for box in boxes)
        assert all(label.overlap(other) == 0 for other in labels[i + 1 :])


def test_label_of_a_joint_in_the_corner_stays_on_the_picture() -> None:
    (label,) = place_beside([Rect(940, 940, 1010, 1010)], [(100, 40)], BOUNDS)
    assert label.overlap(BOUNDS) == label.area


def test_no_labels_is_fine() -> None:
    assert place_beside([], [], BOUNDS) == []
    assert stack_in_margin([], 10, 0, 100) == []


@given(st.lists(st.floats(-50, 650), max_size=12).map(sorted))
def test_stacked_labels_keep_order_and_distance_and_stay_inside(wanted: list[float]) -> None:
    centres = stack_in_margin(wanted, 30.0, 0.0, 600.0)
    assert len(centres) == len(wanted)
    assert all(b - a >= 30 - 1e-6 for a, b in pairwise(centres))
    assert all(15 - 1e-6 <= c <= 585 + 1e-6 for c in centres)


def test_labels_with_room_lie_where_they_belong() -> None:
    assert stack_in_margin([100, 200, 500], 30, 0, 600) == [100, 200, 500]
