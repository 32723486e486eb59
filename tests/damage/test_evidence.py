from __future__ import annotations

import numpy as np
import pytest

from mandora.core.geometry import Box
from mandora.damage.evidence import PatchEvidence

BOX = Box(0, 0, 10, 10)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.zeros((3, 4)), "square"),
        (np.full((4, 4), 1.5), "0..1"),
        (np.full((4, 4), np.nan), "0..1"),
    ],
)
def test_bad_mask_is_refused_with_the_joint_named(mask: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=rf"mcp2.*{words}"):
        PatchEvidence("mcp2", BOX, mask)


def test_box_in_another_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="map its box to 'film'"):
        PatchEvidence("mcp2", Box(0, 0, 10, 10, "network"), np.zeros((4, 4)))


def test_evidence_does_not_change_with_the_array_it_came_from() -> None:
    mask = np.zeros((4, 4), dtype=np.float32)
    evidence = PatchEvidence("mcp2", BOX, mask)
    mask[:] = 1
    assert evidence.mask.max() == 0
    with pytest.raises(ValueError, match="read-only"):
        evidence.mask[0, 0] = 1
