"""What the imaging chain does to a film that a reader would see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mandora.core.anatomy import Limb, Side
from mandora.simulate.fields import Field
from mandora.simulate.xray.borders import Border
from mandora.simulate.xray.delivery import Delivery, small_copy
from mandora.simulate.xray.detector import Detector
from mandora.simulate.xray.exposure import Display, Imaging, deliver, expose
from mandora.simulate.xray.markers import mark

PPMM = 4.0
PLAIN = Imaging(noise=0.0, sharpen=0.0, scatter=0.0, heel=0.0, blur_mm=0.1)


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def limb(h: int = 400, w: int = 300) -> Field:
    """Air, a strip of soft tissue from top to bottom, and bone in its middle."""
    attenuation = np.zeros((h, w), np.float32)
    attenuation[:, w // 3 : w - w // 3] = 0.5
    attenuation[:, w // 2 - w // 12 : w // 2 + w // 12] = 1.5
    return attenuation


def film(imaging: Imaging, seed: int = 1, shape: tuple[int, int] = (400, 300)) -> Field:
    source = rng(seed)
    pixels = expose(limb(*shape), PPMM, imaging, source)
    pixels = mark(imaging.border.apply(pixels), PPMM, Side.LEFT, Limb.HAND, source)
    return deliver(pixels, imaging)


@pytest.mark.parametrize("wide", [False, True])
def test_any_film_is_grey_values_from_0_to_1_and_comes_out_alike_again(wide: bool) -> None:
    for seed in range(40):
        imaging = Imaging.draw(rng(seed), wide=wide)
        assert imaging == Imaging.draw(rng(seed), wide=wide)
        made = film(imaging, seed)
        assert made.dtype == np.float32
        assert np.isfinite(made).all()
        assert 0 <= made.min() <= made.max() <= 1
        np.testing.assert_array_equal(made, film(imaging, seed))


@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (7, 5), (33, 20)])
def test_tiny_films_survive(shape: tuple[int, int]) -> None:
    for seed in range(30):
        made = film(Imaging.draw(rng(seed), wide=True), seed, shape)
        assert made.shape == shape
        assert np.isfinite(made).all()


@pytest.mark.parametrize("value", [0.0, 1.0, 50.0])
def test_a_film_without_contrast_survives(value: float) -> None:
    for seed in range(10):
        flat = np.full((60, 50), value, np.float32)
        made = expose(flat, PPMM, Imaging.draw(rng(seed), wide=True), rng(seed))
        assert np.isfinite(made).all()
        assert 0 <= made.min() <= made.max() <= 1


def test_bone_is_brighter_than_soft_tissue_and_that_than_air_but_on_inverted_films() -> None:
    imagings = [Imaging.draw(rng(seed), wide=True) for seed in range(60)]
    for imaging in imagings:
        plain = replace(imaging, objects=0, border=Border(), inverted=False)
        made = deliver(expose(limb(), PPMM, plain, rng()), plain)
        air, soft_tissue, bone = (np.median(made[150:250, c]) for c in (40, 112, 150))
        assert bone > soft_tissue > air - 1e-3
        assert bone > air + 0.03


def test_the_grey_values_that_the_vendor_aims_at_are_met() -> None:
    imaging = replace(PLAIN, display=Display(air=0.2, bone=0.8, soft_tissue=0.45))
    made = expose(limb(), PPMM, imaging, rng())
    assert made[200, 40] == pytest.approx(0.2, abs=0.03)
    assert made[200, 112] == pytest.approx(0.2 + 0.45 * 0.6, abs=0.05)
    assert made[200, 150] == pytest.approx(0.8, abs=0.03)


def test_there_is_more_noise_where_less_of_the_beam_arrives() -> None:
    imaging = replace(PLAIN, noise=0.02, display=Display(soft_tissue=0.0))
    quiet = expose(limb(), PPMM, PLAIN, rng())
    made = expose(limb(), PPMM, imaging, rng())
    air, soft_tissue, bone = (made[:, c : c + 12].std() for c in (40, 108, 144))
    assert bone > soft_tissue > air > 2 * quiet[:, 40:52].std()


def test_edge_enhancement_makes_a_dark_halo_around_bone() -> None:
    flat = expose(limb(), PPMM, PLAIN, rng())
    crisp = expose(limb(), PPMM, replace(PLAIN, sharpen=1.5, sharpen_mm=0.8), rng())
    for made, deep in ((flat, False), (crisp, True)):
        beside, far = made[200, 122], made[200, 108]
        assert bool(beside < far - 0.03) is deep


def test_less_latitude_brings_thick_and_thin_parts_together() -> None:
    attenuation = limb()
    attenuation[200:] += 1.0 * (attenuation[200:] > 0)
    spread = []
    for latitude in (0.0, 0.6):
        made = expose(attenuation, PPMM, replace(PLAIN, latitude=latitude), rng())
        local = made[50, 150] - made[50, 112]
        spread.append((made[350, 112] - made[50, 112]) / local)
    assert spread[1] < 0.8 * spread[0]


def test_the_heel_effect_falls_to_the_side_it_is_told() -> None:
    down = expose(limb(), PPMM, replace(PLAIN, heel=-0.3), rng())
    side = expose(limb(), PPMM, replace(PLAIN, heel=-0.3, heel_angle=np.pi / 2), rng())
    assert down[380, 20] > down[20, 20] + 0.02
    assert side[200, 280] > side[200, 20] + 0.02


def test_hardening_takes_most_from_the_thickest_part() -> None:
    display = Display(soft_tissue=0.0, air=0.0, bone=0.9)
    places = []
    for hardening in (0.0, 0.3):
        made = expose(limb(), PPMM, replace(PLAIN, hardening=hardening, display=display), rng())
        places.append((made[200, 112] - made[200, 40]) / (made[200, 150] - made[200, 40]))
    assert places[1] > places[0] + 0.03


def test_a_burnt_film_loses_its_skin_line_and_keeps_its_bone() -> None:
    attenuation = limb()
    attenuation[:, 92:100] = 0.12  # thin soft tissue
    shown = [
        expose(attenuation, PPMM, replace(PLAIN, display=Display(burnt=burnt)), rng())
        for burnt in (0.0, 0.45)
    ]
    skin = [made[200, 96] - made[200, 40] for made in shown]
    assert skin[1] < 0.5 * skin[0]
    assert shown[1][200, 150] == pytest.approx(shown[0][200, 150], abs=0.03)


def test_film_and_linear_plates_show_the_same_limb_with_another_curve() -> None:
    imaging = replace(PLAIN, display=Display(soft_tissue=0.0))
    logarithmic = expose(limb(), PPMM, imaging, rng())
    for detector in (Detector(film=0.9), Detector(linear=0.6)):
        made = expose(limb(), PPMM, replace(imaging, detector=detector), rng())
        assert abs(made[200, 112] - logarithmic[200, 112]) > 0.02
        assert made[200, 150] > made[200, 112] > made[200, 40]


def test_a_plate_can_have_lines_a_grid_and_dust() -> None:
    clean = expose(limb(), PPMM, PLAIN, rng())
    lines, grid, dust = (
        expose(limb(), PPMM, replace(PLAIN, detector=detector), rng()) - clean
        for detector in (Detector(lines=0.01), Detector(grid=0.02), Detector(dust=20))
    )
    assert lines[:, 40:50].mean(axis=0).std() > 5 * lines[:, 40:50].std(axis=0).mean()
    assert grid[:, 40:50].mean(axis=1).std() > 5 * grid[:, 40:50].std(axis=1).mean()
    assert 0 < (np.abs(dust) > 0.02).mean() < 0.1


def test_rods_and_bars_lie_at_the_margin() -> None:
    empty = np.zeros((300, 300), np.float32)
    bright = 0
    for seed in range(12):
        imaging = replace(PLAIN, objects=2, display=Display(soft_tissue=0.0))
        made = expose(empty, PPMM, imaging, rng(seed)) > 0.3
        assert not made[85:215, 85:215].any()
        bright += bool(made.any())
    assert bright >= 10


def test_inverted_films_mirror_the_grey_values() -> None:
    pixels = expose(limb(), PPMM, PLAIN, rng())
    positive, negative = (deliver(pixels, replace(PLAIN, inverted=i)) for i in (False, True))
    np.testing.assert_allclose(positive + negative, 1, atol=1e-4)
    shares = [
        np.mean([Imaging.draw(rng(seed), wide=wide).inverted for seed in range(400)])
        for wide in (False, True)
    ]
    assert shares[0] == 0
    assert 0.02 < shares[1] < 0.09


def test_a_collimated_area_has_its_value_and_the_rest_stays() -> None:
    pixels = expose(limb(), PPMM, PLAIN, rng())
    border = Border(cut=(0.1, 0.0, 0.0, 0.2), value=0.7, frame=(0.0, 0.05, 0.0, 0.0),
                    frame_value=1.0)  # fmt: skip
    made = border.apply(pixels)
    assert (made[25:, :28] == np.float32(0.7)).all()
    assert (made[325:] == np.float32(0.7)).all()
    assert (made[:20] == 1).all()
    np.testing.assert_allclose(made[25:315, 35:], pixels[25:315, 35:], atol=1e-6)
    assert PLAIN.border.apply(pixels) is pixels


def test_borders_can_be_tilted_rounded_translucent_and_glow() -> None:
    pixels = np.full((400, 300), 0.3, np.float32)

    def place_shadow(**settings: float) -> Field:
        return Border(cut=(0.1, 0.1, 0.1, 0.1), **settings).apply(pixels)

    straight, tilted = place_shadow(), place_shadow(tilt=0.1)
    assert straight[60, 40] == straight[340, 40]
    assert (tilted[60, 40] == 0) != (tilted[340, 40] == 0)
    assert straight[45, 35] == np.float32(0.3)
    assert place_shadow(radius=0.15)[45, 35] == 0
    assert place_shadow(opacity=0.6)[5, 5] == pytest.approx(0.12)
    glowing = place_shadow(glow=0.2, reach=0.05)
    assert glowing[200, 35] > glowing[200, 60] > glowing[200, 150]
    assert place_shadow(rim=0.9).max() == pytest.approx(0.9)


def test_a_letter_appears_beside_the_limb_and_never_over_all_of_it() -> None:
    pixels = expose(limb(), PPMM, PLAIN, rng())
    touched = []
    for seed in range(40):
        made = mark(pixels, PPMM, Side.RIGHT, Limb.HAND, rng(seed))
        changed = np.abs(made - pixels) > 0.02
        assert 20 < changed.sum() < 0.15 * changed.size
        assert not np.shares_memory(made, pixels)
        touched.append(changed[:, 125:175].mean())
    assert max(touched) < 0.2
    assert np.mean(np.array(touched) > 0) < 0.3


def test_a_film_that_is_full_of_bone_still_takes_a_letter() -> None:
    full = np.full((400, 300), 0.6, np.float32)
    assert (mark(full, PPMM, Side.LEFT, Limb.FOOT, rng()) != full).any()


def test_jpeg_leaves_the_mean_and_shows_its_artefacts_when_strong() -> None:
    pixels = expose(limb(), PPMM, replace(PLAIN, noise=0.02), rng())
    errors = []
    for quality in (40, 95):
        made = Delivery(quality=quality).apply(pixels)
        assert made.mean() == pytest.approx(float(pixels.mean()), abs=0.004)
        errors.append(float(np.abs(made - pixels).mean()))
    assert errors[0] > 1.5 * errors[1] > 0


def test_bits_and_smaller_copies_cost_detail() -> None:
    pixels = expose(limb(), PPMM, replace(PLAIN, noise=0.02), rng())
    assert len(np.unique(Delivery(bits=8).apply(pixels))) <= 256
    small = Delivery(resolution=0.5).apply(pixels)
    assert small.shape == pixels.shape
    assert np.abs(np.diff(small, axis=1)).sum() < 0.8 * np.abs(np.diff(pixels, axis=1)).sum()


def test_a_small_copy_keeps_the_picture_and_loses_the_noise() -> None:
    pixels = expose(limb(), PPMM, replace(PLAIN, noise=0.02), rng())
    copy = small_copy(pixels, 0.4, quality=90)
    assert copy.shape == (round(0.4 * pixels.shape[0]), round(0.4 * pixels.shape[1]))
    assert copy.mean() == pytest.approx(float(pixels.mean()), abs=0.005)
    assert copy.min() >= 0
    assert copy.max() <= 1
    air = (slice(4, 30), slice(4, 30))
    assert copy[: air[0].stop // 3, : air[1].stop // 3].std() < 0.8 * pixels[air].std()


def test_faint_films_have_few_grey_values() -> None:
    pixels = expose(limb(), PPMM, replace(PLAIN, noise=0.02), rng())
    made = Delivery(bits=8, contrast=0.1, black=0.2).apply(pixels)
    assert made.min() >= 0.2 - 1e-3
    assert made.max() <= 0.3 + 1e-3
    assert len(np.unique(made)) <= 28
    drawn = [Delivery.draw(rng(seed), wide=True) for seed in range(300)]
    assert 0.02 < np.mean([d.contrast < 0.5 for d in drawn]) < 0.15
    assert all(Delivery.draw(rng(seed), wide=False).contrast == 1 for seed in range(100))


def test_wide_films_vary_more_than_ordinary_ones() -> None:
    drawn = {w: [Imaging.draw(rng(s), wide=w) for s in range(200)] for w in (False, True)}

    def share(wide: bool, what: str) -> float:
        return float(np.mean([any(getattr(i.border, what)) for i in drawn[wide]]))

    assert share(True, "cut") > 1.5 * share(False, "cut") > 0
    assert share(True, "frame") > share(False, "frame")
    assert np.std([i.heel for i in drawn[True]]) > np.std([i.heel for i in drawn[False]])
