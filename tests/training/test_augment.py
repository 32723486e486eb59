"""Changes of pictures follow from keys alone, and landmarks and masks follow the pixels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mandora.core.geometry import Box
from mandora.core.settings import (
    FilmChangeSettings,
    PatchChangeSettings,
    TrainDamageSettings,
    TrainLocateSettings,
    preset,
)
from mandora.images.channels import standardise

pytest.importorskip("torch")
pytest.importorskip("kornia")
import torch
from torch import Tensor

from mandora.training.augment import (
    Change,
    Key,
    StoredFilm,
    as_batch,
    draw_film_change,
    draw_patch_change,
    expose,
    move,
    px_shown,
    smaller,
    smaller_px,
    standardise_batch,
)
from mandora.training.task import Batch

SIZE, STORED = 96, 120
STILL = {"share": 0.0, "gamma": 0.0, "noise": 0.0, "blur_share": 0.0}
Draws = Callable[[Key], Change]


WHOLE = Box(-0.5, -0.5, SIZE - 0.5, SIZE - 0.5)


def film_change(key: Key, lowest_px: float = 0.0, **changed: object) -> Change:
    """Of a film that fills its picture, with one landmark, so that it stays whole."""
    settings = FilmChangeSettings.model_validate({"part_share": 0.0, **changed})
    stored = StoredFilm(SIZE, WHOLE, np.array([[7.0, lowest_px]]))
    return draw_film_change(key, settings, stored)


def patch_change(key: Key, **changed: object) -> Change:
    return draw_patch_change(key, PatchChangeSettings.model_validate(changed), STORED, SIZE, 2.0)


def drawn(draw: Draws, count: int) -> list[Change]:
    return [draw((1, 2, place)) for place in range(count)]


def exposed(
    picture: Tensor, gamma: float = 1, noise: float = 0, blur: float = 0, factor: float = 1,
    seed: int = 0,
) -> Tensor:  # fmt: skip
    """One (H, W) picture, exposed alone."""
    batch = as_batch([Change(np.eye(3)[:2], (gamma, noise, blur, factor), seed)])
    return expose(picture[None, None], batch)[0, 0]


# ── what is drawn ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("draw", [film_change, patch_change])
def test_a_change_follows_from_its_key_alone(draw: Draws) -> None:
    first = draw((1, 2, 3))
    np.random.default_rng(0).random(5)
    draw((9, 9, 9))
    again = draw((1, 2, 3))
    np.testing.assert_array_equal(again.matrix, first.matrix)
    assert (again.exposure, again.seed) == (first.exposure, first.seed)
    for key in ((0, 2, 3), (1, 0, 3), (1, 2, 0)):  # seed, epoch, place
        other = draw(key)
        assert other.seed != first.seed
        assert other.exposure != first.exposure
        assert (other.matrix != first.matrix).any()


def test_nothing_is_changed_where_nothing_is_to_be() -> None:
    film = film_change((1, 0, 0), **STILL)
    np.testing.assert_array_equal(film.matrix, np.eye(3)[:2])
    patch = patch_change((1, 0, 0), **STILL)
    np.testing.assert_array_equal(patch.matrix, [[1, 0, -12], [0, 1, -12]])  # (96 - 120) / 2
    assert film.exposure == patch.exposure == (1, 0, 0, 1)
    picture = torch.rand(1, 1, STORED, STORED, generator=torch.Generator().manual_seed(0))
    middle = move(picture, as_batch([patch]), SIZE)
    torch.testing.assert_close(middle, picture[:, :, 12:108, 12:108], atol=1e-4, rtol=0)


def test_films_are_enlarged_about_their_middle() -> None:
    # the middle of 96 px is 47.5: what lies 10 px left of it then lies 20 px left of it
    change = film_change((1, 0, 0), share=1, scale=(2, 2), turn_deg=0, shift=0)
    places = np.array([[47.5, 47.5], [37.5, 47.5], [47.5, 50.5]])
    np.testing.assert_allclose(change(places), [[47.5, 47.5], [27.5, 47.5], [47.5, 53.5]])


@pytest.mark.parametrize(
    ("draw", "turn_deg", "shift", "scale"),
    [(film_change, 30, 0.08, (0.7, 1.25)), (patch_change, 10, 0.05, (0.88, 1.14))],
)
def test_moves_stay_within_their_limits_and_reach_them(
    draw: Draws, turn_deg: float, shift: float, scale: tuple[float, float]
) -> None:
    changes = drawn(draw, 400)
    side = SIZE if draw is film_change else STORED
    still = np.array([[1, 0, (SIZE - side) / 2], [0, 1, (SIZE - side) / 2]])
    moved = [c for c in changes if (c.matrix != still).any()]
    assert 0.85 < len(moved) / len(changes) < 0.95  # nine of ten
    linear = np.array([c.matrix[:, :2] for c in moved])
    turns = np.degrees(np.arctan2(linear[:, 1, 0], linear[:, 0, 0]))
    assert -turn_deg <= turns.min() < -0.9 * turn_deg
    assert 0.9 * turn_deg < turns.max() <= turn_deg
    scales = np.sqrt(np.linalg.det(linear))
    assert scale[0] <= scales.min() < scale[0] + 0.03
    assert scale[1] - 0.03 < scales.max() <= scale[1]
    middle = np.array([c(np.full((1, 2), (side - 1) / 2))[0] for c in moved]) - (SIZE - 1) / 2
    assert 0.9 * shift * SIZE < np.abs(middle).max() <= shift * SIZE + 1e-4


def test_exposures_stay_within_their_limits() -> None:
    changes = drawn(lambda key: film_change(key, intensity=(0.8, 1.2)), 400)
    gamma, noise, blur, factor = np.array([c.exposure for c in changes]).T
    assert np.log(gamma).std() == pytest.approx(0.4, rel=0.1)
    assert np.log(gamma).mean() == pytest.approx(0, abs=0.06)
    assert 0 <= noise.min() < noise.max() <= 0.04
    assert (blur > 0).mean() == pytest.approx(0.4, abs=0.08)
    assert blur.max() <= 1
    assert 0.8 <= factor.min() < 0.82
    assert 1.18 < factor.max() <= 1.2


# ── the published changes ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("film_scale", [0.8, 1.0, 3.2, 6.0])
def test_published_patches_are_shifted_and_mirrored_and_nothing_else(film_scale: float) -> None:
    settings, stored = preset("paper", TrainDamageSettings).changes, 404
    changes = drawn(lambda key: draw_patch_change(key, settings, stored, 384, film_scale), 400)
    # the stored patch shows 384 / scale + 20 px of the film
    zoom = (384 / film_scale + 20) / stored * film_scale
    mirrored = np.array([c.matrix[0, 0] < 0 for c in changes])
    assert 0.4 < mirrored.mean() < 0.6
    for change, flipped in zip(changes, mirrored, strict=True):
        linear = [[-zoom if flipped else zoom, 0], [0, zoom]]
        np.testing.assert_allclose(change.matrix[:, :2], linear, atol=1e-12)
    # the joint lies in the middle of the stored patch; where is it on the changed one?
    middle = np.array([c(np.full((1, 2), 201.5))[0] for c in changes]) - 191.5
    on_film = middle / film_scale
    np.testing.assert_allclose(on_film, np.round(on_film), atol=1e-3)  # whole px of the film
    for axis in (0, 1):
        assert set(np.round(on_film[:, axis])) == set(range(-10, 11))
    # nothing of the changed patch lies beyond the stored one
    corners = np.array([[-0.5, -0.5], [383.5, 383.5]])
    seen = [(corners - c.matrix[:, 2]) @ np.linalg.inv(c.matrix[:, :2]).T for c in changes]
    assert np.min(seen) == pytest.approx(-0.5)
    assert np.max(seen) == pytest.approx(403.5)
    gamma, noise, blur, factor = np.array([c.exposure for c in changes]).T
    assert (gamma == 1).all()
    assert not noise.any()
    assert not blur.any()
    assert 0.9 <= factor.min() < 0.91
    assert 1.14 < factor.max() <= 1.15


def test_published_films_are_cut_and_brightened_and_nothing_else() -> None:
    settings = preset("paper", TrainLocateSettings).changes
    stored = StoredFilm(1024, Box(-0.5, -0.5, 1023.5, 1023.5), np.array([[7.0, 100.0]]), 200.0)
    changes = drawn(lambda key: draw_film_change(key, settings, stored), 400)
    assert {change.shown for change in changes} == {(-0.5, -0.5, 1023.5, 1023.5)}
    for change in changes:
        np.testing.assert_array_equal(change.matrix[0], [1, 0, 0])
        assert change.matrix[1, 0] == 0
        assert change.exposure[:3] == (1, 0, 0)
    kept = 1 / np.array([c.matrix[1, 1] for c in changes])
    assert 0.85 <= kept.min() < 0.86
    assert 0.94 < kept.max() <= 0.95
    factor = np.array([c.exposure[3] for c in changes])
    assert 0.9 <= factor.min() < factor.max() <= 1.15


# ── the cut ──────────────────────────────────────────────────────────────────────────────


def cut(lowest_px: float, keep: tuple[float, float] = (0.75, 0.75)) -> Change:
    return film_change((1, 0, 0), lowest_px, **STILL, keep_height=keep)


def test_what_is_left_of_a_cut_film_fills_its_height() -> None:
    rows = torch.arange(SIZE, dtype=torch.float32)
    film = torch.where(rows < 72, rows, 1000.0)[:, None].expand(SIZE, SIZE)[None, None]
    seen = move(film, as_batch([cut(20)]), SIZE)[0, 0]
    # rows 0 … 71 cover all 96 now: row y shows what was at (y + 0.5) · 0.75 - 0.5
    expected = (rows + 0.5) * 0.75 - 0.5
    for column in (0, 50, 95):
        torch.testing.assert_close(seen[1:95, column], expected[1:95], atol=1e-3, rtol=0)
    assert seen[0, 0] == pytest.approx(0, abs=1e-3), "beyond the border it is as on it"


def test_a_film_is_never_cut_nearer_to_the_lowest_point_than_a_hundredth() -> None:
    lowest = 78.0  # of 96: 78.5 / 96 + 0.01 must be left where 0.75 was drawn
    left = 78.5 + 0.96  # px of 96
    assert cut(lowest).matrix[1, 1] == pytest.approx(96 / left)
    np.testing.assert_allclose(cut(lowest)(np.array([[7, left - 0.5]])), [[7, 95.5]], atol=1e-4)
    for change in drawn(
        lambda key: film_change(key, lowest, **STILL, keep_height=(0.5, 0.95)), 100
    ):
        assert change(np.array([[7.0, left - 0.5]]))[0, 1] <= 95.5 + 1e-4
        assert change(np.array([[7.0, -0.5]]))[0] == pytest.approx([7, -0.5])  # the top stays
        assert change.matrix[1, 1] >= 1 / 0.95 - 1e-9
    for beyond in (95.0, 95.5, 140.0):
        assert cut(beyond).matrix[1] == pytest.approx([0, 1, 0])


# ── parts ────────────────────────────────────────────────────────────────────────────────

FILM = Box(15.5, -0.5, 79.5, 95.5)  # in a picture of 96 px, with background on both sides
LIMB = np.array([[x, y] for x in (25.0, 40.0, 55.0, 70.0) for y in (12.0, 40.0, 60.0, 85.0)])
PARTS = {"part_share": 1.0, "part_half": (0.5, 1.2), "part_scale": (0.7, 1.6)}


def part_of(key: Key, landmarks: np.ndarray = LIMB, limb_px: float | None = 20.0) -> Change:
    settings = FilmChangeSettings.model_validate(PARTS)
    return draw_film_change(key, settings, StoredFilm(SIZE, FILM, landmarks, limb_px))


def test_a_part_lacks_some_of_the_landmarks_and_shows_others() -> None:
    changes = drawn(part_of, 300)
    stored = StoredFilm(SIZE, FILM, LIMB)
    shown = [stored.inside(Box(*c.shown)) for c in changes if c.shown is not None]
    counts = np.array([inside.sum() for inside in shown])
    assert len(counts) == 300
    assert 0.85 < (counts >= 3).mean() < 1, "a few parts lie anywhere"
    assert (counts < len(LIMB)).mean() > 0.95, "where no part was drawn the film stays whole"
    assert len(set(counts)) >= 5, "few landmarks are left, or many"
    assert np.array(shown).mean(axis=0).min() > 0.2, "each landmark is often shown"
    edges = np.array([c.shown for c in changes])
    assert (edges[:, 0] >= 15.5).all(), "a part lies on the film"
    assert (edges[:, 2] <= 79.5).all()
    one_side = (edges == [15.5, -0.5, 79.5, 95.5]).sum(axis=1) == 3
    assert 0.2 < one_side.mean() < 0.5, "some lack one side of the film only"


def test_parts_are_shown_larger_and_often_in_the_middle() -> None:
    changes = drawn(part_of, 300)
    scales = np.array([np.sqrt(np.linalg.det(c.matrix[:, :2])) for c in changes])
    assert 0.7 <= scales.min() < 0.75
    assert 1.55 < scales.max() <= 1.6
    middles = np.array([c(np.array([Box(*c.shown).centre]))[0] for c in changes if c.shown])
    off = np.abs(middles - (SIZE - 1) / 2).max(axis=1)
    assert 0.4 < (off <= 0.08 * SIZE + 1e-3).mean() < 0.8


def test_a_film_of_few_known_landmarks_stays_whole() -> None:
    for landmarks, size in ((LIMB[:3], 20.0), (LIMB, None)):
        change = part_of((1, 0, 0), landmarks, size)
        assert change.shown == (15.5, -0.5, 79.5, 95.5)


def test_what_is_not_shown_becomes_background_and_does_not_count() -> None:
    picture = torch.rand(1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    picture[..., 60:] = 50.0  # bright metal that the part does not show
    change = film_change((1, 0, 0), **STILL)._replace(shown=(9.5, 19.5, 39.5, 59.5))
    batch = as_batch([change])
    shown = px_shown(batch, SIZE)
    assert shown[0, 0].nonzero().min(0).values.tolist() == [20, 10]
    assert shown[0, 0].nonzero().max(0).values.tolist() == [59, 39]
    seen = standardise_batch(move(picture, batch, SIZE), shown)[0, 0]
    part = seen[20:60, 10:40]
    assert part.mean() == pytest.approx(0, abs=1e-5)
    assert part.std(correction=0) == pytest.approx(1, abs=1e-4)
    beyond = seen[~shown[0, 0]]
    assert len(set(beyond.tolist())) == 1
    assert (part < beyond[0]).float().mean() == pytest.approx(0.05, abs=0.02)


# ── landmarks follow the pixels ─────────────────────────────────────────────────────────────


def dots(places: np.ndarray, size: int) -> Tensor:
    """(B, 1, S, S) dark pictures, each with one soft bright dot at (x, y)."""
    rows, columns = np.mgrid[:size, :size]
    x, y = places[:, 0, None, None], places[:, 1, None, None]
    away = (columns - x) ** 2 + (rows - y) ** 2
    return torch.from_numpy(np.exp(-away / (2 * 3.0**2)).astype(np.float32))[:, None]


def centres(pictures: Tensor) -> np.ndarray:
    """(B, 2) where the bright dots lie."""
    grey = pictures[:, 0].numpy()
    grey = np.where(grey > 0.05 * grey.max(axis=(1, 2), keepdims=True), grey, 0)
    rows, columns = np.mgrid[: grey.shape[1], : grey.shape[2]]
    total = grey.sum(axis=(1, 2))
    return np.stack([(grey * columns).sum((1, 2)), (grey * rows).sum((1, 2))], 1) / total[:, None]


@pytest.mark.parametrize(
    ("draw", "side"),
    [
        pytest.param(film_change, SIZE, id="film"),
        pytest.param(
            lambda key: film_change(key, 70, **STILL, keep_height=(0.7, 0.9)), SIZE, id="cut"
        ),
        pytest.param(patch_change, STORED, id="patch"),
        pytest.param(lambda key: patch_change(key, mirror_share=1.0), STORED, id="mirrored"),
    ],
)
def test_points_move_with_the_pixels(draw: Draws, side: int) -> None:
    places = side / 2 + np.random.default_rng(0).uniform(-18, 18, (24, 2))
    changes = drawn(draw, len(places))
    pictures = dots(places, side)
    found = centres(move(pictures, as_batch(changes), SIZE))
    expected = np.array([c(p[None])[0] for c, p in zip(changes, places, strict=True)])
    in_view = ((expected > 14) & (expected < SIZE - 14)).all(axis=1)
    assert in_view.sum() >= 16
    assert np.abs(found - expected)[in_view].max() < 0.15
    as_stored = places - (side - SIZE) / 2
    assert np.median(np.linalg.norm(expected - as_stored, axis=1)) > 2, "most are moved"


def test_a_smaller_picture_shows_the_same() -> None:
    """Its px hold what those of the full one hold, and its landmarks lie where its pixels say."""
    side = smaller_px(SIZE, 16)
    assert side == 64
    change = film_change((1, 2, 3))
    less = smaller(change, side / SIZE)
    corners = np.array([[-0.5, -0.5], [SIZE - 0.5, SIZE - 0.5], [(SIZE - 1) / 2] * 2])
    stays = smaller(Change(np.eye(3)[:2], change.exposure, change.seed), side / SIZE)
    expected = [[-0.5, -0.5], [side - 0.5, side - 0.5], [(side - 1) / 2] * 2]
    np.testing.assert_allclose(stays(corners), expected, atol=1e-5)
    rows = torch.linspace(0, 1, SIZE)[None, None, :, None].expand(1, 1, SIZE, SIZE)
    full, small = (
        move(rows.contiguous(), as_batch([c]), s) for c, s in ((change, SIZE), (less, side))
    )
    places = np.array([[30.0, 40.0], [50.0, 44.0]])
    for picture, c in ((full, change), (small, less)):
        x, y = np.rint(c(places)).astype(int).T
        np.testing.assert_allclose(picture[0, 0, y, x], places[:, 1] / (SIZE - 1), atol=0.02)


def test_a_smaller_side_can_be_halved_as_often() -> None:
    assert smaller_px(112, 16) == 80
    assert smaller_px(256, 64) == 192
    assert smaller_px(64, 64) == 64, "it has no smaller one"


def test_a_mirrored_patch_is_the_flipped_one() -> None:
    picture = torch.rand(1, 1, STORED, STORED, generator=torch.Generator().manual_seed(0))
    kept = patch_change((1, 0, 0), **STILL)
    flipped = patch_change((1, 0, 0), **STILL, mirror_share=1.0)
    seen = move(picture.expand(2, -1, -1, -1), as_batch([kept, flipped]), SIZE)
    torch.testing.assert_close(seen[1], seen[0].flip(2), atol=1e-5, rtol=0)


# ── grey values ──────────────────────────────────────────────────────────────────────────


def test_gamma_bends_the_range_of_a_picture() -> None:
    got = exposed(torch.tensor([[2.0, 4.0], [6.0, 3.0]]), gamma=2)
    np.testing.assert_allclose(got, [[0, 0.25], [1, 0.0625]], atol=1e-6)


def test_brightness_multiplies_what_is_left() -> None:
    got = exposed(torch.tensor([[2.0, 4.0], [6.0, 3.0]]), gamma=2, factor=0.9)
    np.testing.assert_allclose(got, [[0, 0.225], [0.9, 0.05625]], atol=1e-6)


def test_blur_is_a_mean_over_nine_px() -> None:
    landmark = torch.zeros(7, 7)
    landmark[3, 3] = 1
    soft = exposed(landmark, blur=1)
    expected = torch.zeros(7, 7)
    expected[2:5, 2:5] = 1 / 9
    torch.testing.assert_close(soft, expected, atol=2e-4, rtol=0)
    assert exposed(landmark, blur=0.5)[3, 3] == pytest.approx((1 + 1 / 9) / 2, abs=2e-4)
    corner = torch.zeros(7, 7)
    corner[0, 0] = 1
    assert exposed(corner, blur=1)[0, 0] == pytest.approx(1 / 4, abs=2e-4)  # over 4 px


def test_noise_is_as_strong_as_it_is_said_to_be() -> None:
    ramp = torch.linspace(0, 1, 64).expand(64, 64)
    grain = exposed(ramp, noise=0.1, seed=5) - exposed(ramp)
    assert grain.std() == pytest.approx(0.1, rel=0.05)
    assert grain.mean() == pytest.approx(0, abs=0.01)


def test_noise_follows_from_its_seed_and_not_from_the_batch() -> None:
    films = torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    seeds = (5, 2**62 - 1, 5)
    changes = [Change(np.eye(3)[:2], (1.0, 0.2, 0.0, 1.0), seed) for seed in seeds]
    together = expose(films, as_batch(changes))
    torch.manual_seed(99)  # the common generator has no part in it
    for i, change in enumerate(changes):
        alone = expose(films[i : i + 1], as_batch([change]))
        torch.testing.assert_close(together[i], alone[0], atol=0, rtol=0)
    clean = expose(films, as_batch([c._replace(exposure=(1, 0, 0, 1)) for c in changes]))
    grain = together - clean
    torch.testing.assert_close(grain[0], grain[2], atol=1e-6, rtol=0)
    assert (grain[0] - grain[1]).abs().max() > 0.1


def test_a_batch_holds_the_numbers_of_its_items() -> None:
    changes = drawn(film_change, 3)
    batch: Batch = as_batch(changes)
    assert {k: tuple(v.shape) for k, v in batch.items()} == {
        "matrix": (3, 2, 3), "exposure": (3, 4), "noise_seed": (3,), "shown": (3, 4)
    }  # fmt: skip
    assert batch["noise_seed"].tolist() == [c.seed for c in changes]
    np.testing.assert_allclose(batch["matrix"][1], changes[1].matrix, rtol=1e-6)
    np.testing.assert_allclose(batch["exposure"][2], changes[2].exposure, rtol=1e-6)


def test_a_flat_film_survives_exposure() -> None:
    flat = exposed(torch.full((8, 8), 0.3), gamma=0.5, blur=1)
    assert torch.isfinite(standardise_batch(flat[None, None])).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_training_and_scoring_standardise_alike(seed: int) -> None:
    films = np.random.default_rng(seed).gamma(0.3, 2, (3, 40, 30)).astype(np.float32)
    batch = standardise_batch(torch.from_numpy(films)[:, None])[:, 0].numpy()
    assert batch.max() == 4, "something is clipped"
    for film, got in zip(films, batch, strict=True):
        np.testing.assert_allclose(got, standardise(film), atol=1e-4)
