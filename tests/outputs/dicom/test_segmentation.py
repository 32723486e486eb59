from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="needs the extra dicom")

from mandora.core.anatomy import LANDMARKS, Limb, Slot
from mandora.core.geometry import Box
from mandora.damage.evidence import PatchEvidence
from mandora.outputs.dicom.segmentation import joints_with_a_space, segments


def seen(name: str, centre: tuple[float, float], mask: Any, turn_deg: float = 0.0) -> Any:
    box = Box.around(centre, len(mask) / 2, turn_deg=turn_deg)  # one px of the mask is one of film
    return {name: PatchEvidence(name, box, np.asarray(mask, np.float32))}


def test_a_mask_lies_on_the_very_px_that_it_was_seen_on(share: Any, given: Any) -> None:
    film = share(given).films[0]
    mask = np.zeros((8, 8))
    mask[1, 2:7] = mask[1:5, 2] = 1  # an L on its head: neither symmetric nor square
    found = segments(film, seen("pip2", (100.5, 200.5), mask))
    expected = np.zeros((480, 320), bool)
    expected[197:205, 97:105] = mask > 0
    assert found.sites == ("pip2",)
    np.testing.assert_array_equal(found.labels > 0, expected)


def test_a_turned_mask_is_turned_clockwise(share: Any, given: Any) -> None:
    film = share(given).films[0]
    mask = np.zeros((20, 20))
    mask[8:12, 12:18] = 1  # right of the centre
    found = segments(film, seen("pip2", (100.0, 200.0), mask, turn_deg=90.0))
    rows, columns = np.nonzero(found.labels)
    assert abs(rows.mean() - 205) < 1  # below the centre after a quarter turn
    assert abs(columns.mean() - 100) < 1


def test_what_lies_beyond_the_film_is_cut_off(share: Any, given: Any) -> None:
    film = share(given).films[0]
    found = segments(film, seen("pip2", (-0.5, 479.5), np.ones((20, 20))))
    assert (found.labels > 0).sum() == 100
    assert found.labels[470:, :10].all()
    assert segments(film, seen("pip2", (-100.0, 20.0), np.ones((20, 20)))).sites == ()


def test_where_patches_overlap_the_surer_one_wins(share: Any, given: Any) -> None:
    film = share(given).films[0]
    sure, less = np.full((20, 20), 0.9), np.full((20, 20), 0.6)
    found = segments(film, seen("mcp2", (99.5, 99.5), less) | seen("pip2", (107.5, 99.5), sure))
    assert found.sites == ("pip2", "mcp2")
    assert found.labels[100, 92:117].tolist() == [2] * 6 + [1] * 19


def test_a_joint_without_a_space_has_no_segment(share: Any, given: Any) -> None:
    film = share(given).films[0]
    faint = seen("pip2", (50.0, 50.0), np.full((20, 20), 0.4))
    found = segments(film, faint | seen("mcp5", (99.5, 99.5), np.ones((4, 4))))
    assert found.sites == ("mcp5",)
    assert set(np.unique(found.labels)) == {0, 1}


def test_bones_of_the_wrist_have_no_joint_space() -> None:
    assert len(joints_with_a_space(Slot.parse("LF"))) == 6
    hand = joints_with_a_space(Slot.parse("RH"))
    bones = {p.name for p in LANDMARKS[Limb.HAND]} - set(hand)
    assert bones == {"mc1", "mul", "lunate", "radius", "ulna"}


def test_each_joint_is_a_segment_in_the_frame_of_the_film(read: Any, given: Any) -> None:
    made = read("RH-SEG.dcm")
    assert (made.Rows, made.Columns) == (480, 320)
    labels = [s.SegmentLabel for s in made.SegmentSequence]
    assert len(labels) == 15  # PIP3 was not found
    assert labels[0] == "RH IP joint space"
    region = made.SegmentSequence[0].AnatomicRegionSequence[0]
    assert region.AnatomicRegionModifierSequence[0].CodeMeaning == "Right"
    assert made.ReferencedSeriesSequence[0].ReferencedInstanceSequence[
        0
    ].ReferencedSOPInstanceUID == ("1.2.77.9.1")
    mask = made.pixel_array[0] > 0
    box = given.evidence["RH.dcm"]["ip"].box
    rows, columns = np.nonzero(mask)
    assert (columns.mean(), rows.mean()) == (box.centre[0] - 0.5 + 0.5, box.centre[1])
