from __future__ import annotations

import numpy as np
import pytest

from mandora.core.anatomy import LANDMARK_INDEX, LANDMARKS, Limb
from mandora.core.geometry import Box, limb_size, mirror_x
from mandora.core.settings import TrainDamageSettings, preset
from mandora.core.specs import PatchSpec
from mandora.damage.patches import Windows, cut_patches, window_box
from mandora.images.channels import FilmStatistics, patch_channels

FOOT = np.array([[0.5, -0.6], [0.5, -0.1], [0.2, -0.15], [0.0, -0.05], [-0.25, 0.05], [-0.45, 0.3]])
MTP1, IP = LANDMARK_INDEX[Limb.FOOT]["mtp1"], LANDMARK_INDEX[Limb.FOOT]["ip"]

ALIKE = PatchSpec(patch_px=32, enlarged={})


def film(height: int = 240, width: int = 180) -> np.ndarray:
    rng = np.random.default_rng(5)
    coarse = rng.random((height // 10, width // 10)).astype(np.float32)
    return np.kron(coarse, np.ones((10, 10), np.float32))


# ── windows ──────────────────────────────────────────────────────────────────────────────


def test_a_window_follows_the_limb_and_the_great_toe_has_a_larger_one() -> None:
    small = window_box(ALIKE, Limb.FOOT, 3, (50, 60), Windows(40 * 0.2))
    large = window_box(ALIKE, Limb.FOOT, 3, (50, 60), Windows(80 * 0.2))
    assert small.centre == (50, 60)
    assert (small.width, small.height) == pytest.approx((16, 16))
    assert large.width == pytest.approx(2 * small.width)
    assert window_box(ALIKE, Limb.FOOT, MTP1, (50, 60), Windows(40 * 0.2)).width == pytest.approx(
        16 * 1.5
    )
    assert window_box(ALIKE, Limb.FOOT, IP, (50, 60), Windows(40 * 0.2)).width == pytest.approx(
        16 * 1.4
    )
    hand = {
        window_box(ALIKE, Limb.HAND, i, (0, 0), Windows(40 * 0.2)).width
        for i in range(len(LANDMARKS[Limb.HAND]))
    }
    assert len(hand) == 1


def test_a_window_is_enlarged_at_points_of_the_hand_that_are_named() -> None:
    enlarged = {"radius": 1.6, "ip": 2.0}
    spec = PatchSpec(enlarged=enlarged)
    widths = {
        limb: [
            window_box(spec, limb, i, (5, 7), Windows(8)).width
            for i, _ in enumerate(LANDMARKS[limb])
        ]
        for limb in Limb
    }
    for i, place in enumerate(LANDMARKS[Limb.HAND]):
        assert widths[Limb.HAND][i] == pytest.approx(16 * enlarged.get(place.name, 1.0))
    assert widths[Limb.FOOT][IP] == pytest.approx(16 * 1.4), "the toe's joint is another"
    assert window_box(spec, Limb.HAND, 13, (5, 7), Windows(8)).centre == (5, 7)


@pytest.mark.parametrize(
    ("site", "toward", "share"),
    [("radius", (0.165, 0.0), 0.8), ("radcar", (0.126, -0.155), 0.6), ("ulna", (0.128, 0.07), 0.8)],
)
def test_the_default_windows_hold_the_bones_that_are_scored_in_them(
    site: str, toward: tuple[float, float], share: float
) -> None:
    """Where erosions of radius and ulna begin, and the navicular's middle, from their landmarks."""
    spec = PatchSpec()
    landmark = LANDMARK_INDEX[Limb.HAND][site]
    box = window_box(spec, Limb.HAND, landmark, (0, 0), Windows(spec.half_window))
    assert max(map(abs, toward)) < share * box.width / 2
    published = window_box(ALIKE, Limb.HAND, landmark, (0, 0), Windows(spec.half_window))
    assert max(map(abs, toward)) > 0.7 * published.width / 2, "why it is enlarged"


def test_a_joint_looks_the_same_on_a_larger_sheet() -> None:
    one = film()
    sheet = np.full((600, 700), 0.1, np.float32)
    sheet[100:340, 200:380] = one
    landmarks = FOOT * 60 + [90, 120]
    seen = []
    for pixels, shift in ((one, [0, 0]), (sheet, [200, 100])):
        unit = limb_size(landmarks + shift, FOOT)
        boxes = {
            i: window_box(ALIKE, Limb.FOOT, i, landmarks[i] + shift, Windows(unit * 0.2))
            for i in range(6)
        }
        seen.append(cut_patches(ALIKE, pixels, Limb.FOOT, boxes, mirrored=False))
    for alone, among in zip(*seen, strict=True):
        np.testing.assert_allclose(alone.pixels, among.pixels, atol=1e-4)


def test_a_joint_looks_the_same_on_a_finer_film() -> None:
    coarse = film()
    fine = np.kron(coarse, np.ones((2, 2), np.float32))
    landmarks = FOOT * 60 + [90, 120]
    seen = []
    for pixels, places in ((coarse, landmarks), (fine, landmarks * 2 + 0.5)):
        unit = limb_size(places, FOOT)
        box = window_box(ALIKE, Limb.FOOT, MTP1, places[MTP1], Windows(unit * 0.3))
        seen.append(cut_patches(ALIKE, pixels, Limb.FOOT, {MTP1: box}, mirrored=False)[0].pixels)
    assert np.corrcoef(seen[0].ravel(), seen[1].ravel())[0, 1] > 0.99


# ── patches ──────────────────────────────────────────────────────────────────────────────


def test_a_right_joint_looks_like_the_left_one_on_the_mirrored_film() -> None:
    pixels, flip = film(), mirror_x(180, "film")
    places = {0: (40.3, 50.1), 4: (120.0, 200.7)}
    boxes = {i: Box.around(p, 20) for i, p in places.items()}
    flipped = {i: Box.around(flip(p), 20) for i, p in places.items()}
    left = cut_patches(ALIKE, pixels, Limb.FOOT, boxes, mirrored=False)
    mirrored = np.ascontiguousarray(pixels[:, ::-1])
    right = cut_patches(ALIKE, mirrored, Limb.FOOT, flipped, mirrored=True)
    for usual, mirrored in zip(left, right, strict=True):
        assert (usual.mirrored, mirrored.mirrored) == (False, True)
        np.testing.assert_allclose(mirrored.pixels, usual.pixels, atol=1e-4)


def test_patches_know_where_they_came_from_and_are_standardised() -> None:
    boxes = {5: Box.around((60, 60), 15), 2: Box.around((100, 150), 15)}
    patches = cut_patches(ALIKE, film(), Limb.HAND, boxes, mirrored=False)
    assert [(p.limb, p.landmark, p.box) for p in patches] == [
        (Limb.HAND, i, box) for i, box in boxes.items()
    ]
    for patch in patches:
        assert patch.pixels.shape == (32, 32)
        assert patch.pixels.dtype == np.float32
        assert float(patch.pixels.mean()) == pytest.approx(0, abs=1e-4)
        assert float(patch.pixels.std()) == pytest.approx(1, abs=1e-3)


def test_a_patch_over_the_edge_of_the_film_is_whole() -> None:
    (patch,) = cut_patches(ALIKE, film(), Limb.HAND, {0: Box.around((2, 3), 20)}, mirrored=False)
    assert patch.pixels.shape == (32, 32)
    assert np.isfinite(patch.pixels).all()
    assert np.ptp(patch.pixels[:12]) == pytest.approx(0, abs=1e-5)  # beyond the film


def test_no_boxes_give_no_patches() -> None:
    assert cut_patches(ALIKE, film(), Limb.HAND, {}, mirrored=True) == []


# ── the published patches ────────────────────────────────────────────────────────────────

PAPER = preset("paper", TrainDamageSettings).network


def test_the_published_window_follows_the_film() -> None:
    assert PAPER.half_px((4096, 4096)) == 192
    assert PAPER.half_px((2048, 2048)) == 96
    assert PAPER.half_px((4096, 1024), 77.0) == 96


def test_the_published_window_is_enlarged_for_the_great_toe() -> None:
    half = PAPER.half_px((4096, 4096))
    widths = [window_box(ALIKE, Limb.FOOT, i, (900, 900), Windows(half)).width for i in range(6)]
    assert widths[IP] == pytest.approx(384 * 1.4)
    assert widths[MTP1] == pytest.approx(384 * 1.5)
    assert widths[2:] == [384] * 4
    assert window_box(ALIKE, Limb.HAND, 0, (5, 7), Windows(half)).centre == (5, 7), (
        "not moved onto the film"
    )


def test_the_usual_window_follows_the_limb() -> None:
    spec = PatchSpec(half_window=0.2)
    assert spec.half_px((4096, 4096), 40) == spec.half_px((500, 900), 40) == pytest.approx(8)
    assert window_box(ALIKE, Limb.FOOT, MTP1, (50, 60), Windows(8)).width == pytest.approx(24)
    with pytest.raises(ValueError, match="needs the size of the limb"):
        spec.half_px((4096, 4096))


@pytest.mark.parametrize("mirrored", [False, True])
def test_published_patches_have_the_seven_channels_of_the_film(mirrored: bool) -> None:
    pixels = film()
    box = Box(19.5, 29.5, 51.5, 61.5)  # px 20…51 and 30…61, whole
    spec = PatchSpec(patch_px=32, channels=7, patch_range=255)
    (patch,) = cut_patches(spec, pixels, Limb.HAND, {0: box}, mirrored=mirrored)
    expected = patch_channels(pixels[30:62, 20:52], FilmStatistics.of(pixels), 255)
    seen = patch.pixels[:, :, ::-1] if mirrored else patch.pixels
    assert patch.pixels.shape == (7, 32, 32)
    np.testing.assert_allclose(seen, expected, rtol=1e-5, atol=1e-5)


def test_published_patches_are_padded_at_the_border() -> None:
    pixels = film()
    spec, box = PatchSpec(patch_px=32, channels=7), Box(-16.5, -0.5, 15.5, 31.5)
    (patch,) = cut_patches(spec, pixels, Limb.HAND, {0: box}, mirrored=False)
    # half of it lies beyond the film and is flat; the rest is as on the film, not stretched
    assert np.ptp(patch.pixels[:, :, :16], axis=(1, 2)).max() == pytest.approx(0, abs=1e-5)
    np.testing.assert_allclose(patch.pixels[0, :, 16:], pixels[:32, :16], atol=1e-6)
