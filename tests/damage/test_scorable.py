"""Joints that no reader would score are not scored."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from mandora.core.anatomy import LANDMARK_INDEX, LANDMARKS, LIMB_SIZE_ENDS, Limb, Side, Slot
from mandora.core.geometry import Box
from mandora.core.records import Reason
from mandora.core.specs import PatchLimits, PatchSpec
from mandora.damage.patches import Windows, cut_patches, window_box
from mandora.damage.scorable import unscorable
from mandora.images.quality import edge_widths
from mandora.model.contract import DEFAULT_LIMITS
from mandora.simulate.cohort.patients import draw_patient, simulate_film

SPEC = PatchSpec()
LIMITS = DEFAULT_LIMITS
PIP3, MCP4 = LANDMARK_INDEX[Limb.HAND]["pip3"], LANDMARK_INDEX[Limb.HAND]["mcp4"]


def reasons(
    pixels: np.ndarray, limb: Limb, boxes: dict[int, Box], limits: PatchLimits = LIMITS
) -> dict[int, Reason]:
    patches = cut_patches(SPEC, pixels, limb, boxes, mirrored=False)
    widths = edge_widths(np.stack([patch.grey for patch in patches]))
    return unscorable(patches, SPEC, limits, widths)


def a_limb(
    limb: Limb, ppmm: float = 5.0, seed: int = 4
) -> tuple[np.ndarray, dict[int, Box], float]:
    """Grey values, windows as the default design cuts them, and the size of the limb, px."""
    film = simulate_film(draw_patient(seed, 0), Slot(Side.LEFT, limb), pixels_per_mm=ppmm)
    ends = [film.landmarks[LANDMARK_INDEX[limb][name]] for name in LIMB_SIZE_ENDS[limb]]
    unit = float(np.linalg.norm(ends[0] - ends[1]))
    windows = Windows(SPEC.half_window * unit)
    boxes = {
        i: window_box(SPEC, limb, i, film.landmarks[i], windows)
        for i in range(len(LANDMARKS[limb]))
    }
    return film.bright, boxes, unit


@pytest.mark.parametrize("limb", list(Limb))
@pytest.mark.parametrize("seed", range(3))
def test_joints_of_a_plain_film_can_be_scored(limb: Limb, seed: int) -> None:
    pixels, boxes, _ = a_limb(limb, seed=seed)
    assert reasons(pixels, limb, boxes) == {}


def with_metal(pixels: np.ndarray, box: Box, half_width: float, half_height: float) -> np.ndarray:
    """A block of metal in the middle of a window; the film has room for it above the bone."""
    shown = 0.6 * pixels
    (x, y), side = box.centre, box.width
    rows, columns = np.ogrid[: pixels.shape[0], : pixels.shape[1]]
    shown[(abs(rows - y) < half_height * side) & (abs(columns - x) < half_width * side)] = 1.0
    return shown.astype(np.float32)


def test_a_ring_and_an_implant_are_told_apart() -> None:
    pixels, boxes, _ = a_limb(Limb.HAND)
    ring = with_metal(pixels, boxes[PIP3], 0.3, 0.08)
    assert reasons(ring, Limb.HAND, boxes) == {PIP3: Reason.COVERED}
    stem = with_metal(pixels, boxes[MCP4], 0.08, 0.45)
    assert reasons(stem, Limb.HAND, boxes) == {MCP4: Reason.REPLACED}


def test_metal_beside_the_joint_is_no_harm() -> None:
    pixels, boxes, _ = a_limb(Limb.HAND)
    box = boxes[PIP3]
    below = Box.around(np.add(box.centre, (0, 0.42 * box.width)), box.width / 2)
    assert reasons(with_metal(pixels, below, 0.3, 0.07), Limb.HAND, boxes) == {}


def test_coarse_and_blurred_films_show_no_joint_space() -> None:
    pixels, boxes, unit = a_limb(Limb.HAND)
    soft = ndimage.gaussian_filter(pixels, 0.04 * unit)
    found = reasons(soft, Limb.HAND, boxes)
    assert set(found.values()) == {Reason.BLURRED}
    assert len(found) > 15
    coarse, small, _ = a_limb(Limb.HAND, ppmm=0.9)
    assert set(reasons(coarse, Limb.HAND, small).values()) == {Reason.BLURRED}


def test_the_limits_are_those_of_the_model() -> None:
    pixels, boxes, _ = a_limb(Limb.HAND)
    ring = with_metal(pixels, boxes[PIP3], 0.3, 0.08)
    stem = with_metal(pixels, boxes[MCP4], 0.08, 0.45)
    for shown, changed, becomes in (
        (pixels, {"least_window_px": 1000.0}, Reason.BLURRED),
        (pixels, {"widest_edge": 0.01}, Reason.BLURRED),
        (ring, {"implant_reach": 0.02}, Reason.REPLACED),
        (stem, {"implant_reach": 0.48}, Reason.COVERED),
    ):
        limits = LIMITS.model_copy(update=changed)
        assert reasons(shown, Limb.HAND, boxes) != reasons(shown, Limb.HAND, boxes, limits)
        assert becomes in reasons(shown, Limb.HAND, boxes, limits).values()
    # the metal beside a joint lies in it if the joint is taken for more of the window
    box = boxes[PIP3]
    below = Box.around(np.add(box.centre, (0, 0.42 * box.width)), box.width / 2)
    beside = with_metal(pixels, below, 0.3, 0.07)
    limits = LIMITS.model_copy(update={"joint_share": 0.95})
    assert PIP3 in reasons(beside, Limb.HAND, boxes, limits)


def test_edges_are_as_wide_as_they_were_drawn() -> None:
    ramp = np.clip((np.arange(100) - 40) / 20, 0, 1)
    look = np.tile(ramp, (100, 1)).astype(np.float32)
    assert edge_widths(look[None])[0] == pytest.approx(0.2, abs=0.01)
    assert edge_widths(np.zeros((1, 50, 50), np.float32)).tolist() == [0]
