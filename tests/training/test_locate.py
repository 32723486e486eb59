"""What the localiser learns from, and the numbers that say how well it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mandora.core.anatomy import LANDMARKS, Limb
from mandora.core.errors import InputError
from mandora.core.settings import FilmChangeSettings, LocateSettings, LoopSettings
from mandora.core.specs import FilmSpec
from mandora.images.channels import published_film_channels, standardise, stretched_film
from mandora.locate.decode import read_heat_maps
from mandora.locate.targets import heat_maps

pytest.importorskip("torch")
pytest.importorskip("kornia")
import torch
from torch import Tensor, nn

from mandora.locate.network import build_locate_net
from mandora.training import loop
from mandora.training.cache import Prepared
from mandora.training.films import TrainingFilm
from mandora.training.locate import LocateTask, prepare_films
from mandora.training.loop import fit
from mandora.training.processes import Processes
from mandora.training.task import Draw

CPU = torch.device("cpu")
MEAN = Processes(0, 1, CPU).mean
SIZE, TOES = 64, len(LANDMARKS[Limb.FOOT])
NAN = (np.nan, np.nan)
SMALL = LocateSettings(input_px=SIZE, widths=(8, 12, 16))
ANY_HEIGHT = FilmSpec(found_threshold=0)
SQUARE = LocateSettings(
    input_px=SIZE, keep_aspect=False, heat_map_stride=1, target="square", square_half_px=64,
    landmark_weight=0, decode="component", found_threshold=0.5,
)  # fmt: skip
STILL = FilmChangeSettings(share=0, part_share=0, gamma=0, noise=0, blur_share=0)


@dataclass
class FakeFilms:
    """Films of feet in memory; None is one that cannot be used."""

    films: Sequence[TrainingFilm | None]
    key: str = "fake"
    limb: Limb = Limb.FOOT

    def __len__(self) -> int:
        return len(self.films)

    def name(self, index: int) -> str:
        return f"foot {index}"

    def film(self, index: int) -> TrainingFilm:
        film = self.films[index]
        if film is None:
            raise InputError(f"foot {index}: is damaged")
        return film


def training_film(pixels: NDArray[np.float32], landmarks: Sequence[object]) -> TrainingFilm:
    unknown = np.full((TOES, 2), np.nan, np.float32)
    return TrainingFilm(pixels, np.array(landmarks, float), unknown, unknown, None, None)


def prepared(
    landmarks: Sequence[Sequence[object]],
    film_hw: tuple[float, float] = (SIZE, SIZE),
    refused: Mapping[int, str] | None = None,
    channels: int = 1,
    outside: Sequence[Sequence[bool]] | None = None,
) -> Prepared:
    """Films of noise that hold their own index in the first px."""
    rng = np.random.default_rng(0)
    count = len(landmarks)
    films = rng.standard_normal((count, channels, SIZE, SIZE)).astype(np.float16)
    films[:, :, 0, 0] = np.arange(count)[:, None]
    arrays = {
        "film": films,
        "landmarks": np.array(landmarks, np.float32),
        "outside": np.zeros((count, TOES), bool) if outside is None else np.array(outside),
        "film_hw": np.tile(np.array(film_hw, np.float32), (count, 1)),
    }
    return Prepared(arrays, refused or {})


def task(
    train: Prepared,
    settings: LocateSettings = SMALL,
    changes: FilmChangeSettings = STILL,
    held: Prepared | None = None,
    landmark: int | None = None,
) -> LocateTask:
    films = FakeFilms([None] * len(train.arrays["landmarks"]))
    return LocateTask(films, settings, changes, train, held or train, landmark)


def draws(*items: int) -> list[Draw]:
    return [Draw(item, (1, 0, place)) for place, item in enumerate(items)]


def everywhere(*places: tuple[float, float]) -> list[tuple[float, float]]:
    """These places for the first landmarks, nothing for the rest."""
    return [*places, *[NAN] * (TOES - len(places))]


ALL = [(12, 20), (20.5, 30), (30, 31), (40, 33.5), (45, 40), (50, 44)]


# ── preparing ────────────────────────────────────────────────────────────────────────────


def test_films_are_prepared_at_the_size_of_the_input(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).random((128, 64), dtype=np.float32)
    places = everywhere((31.5, 63.5), (0, 0), (63, 127))
    films = FakeFilms([training_film(pixels, places), None])
    made = prepare_films(films, SMALL, tmp_path, 1, lambda *_: None)
    arrays = made.arrays
    assert {k: (v.shape, str(v.dtype)) for k, v in arrays.items()} == {
        "film": ((2, 1, 64, 64), "float16"),
        "landmarks": ((2, 6, 2), "float32"),
        "outside": ((2, 6), "bool"),
        "film_hw": ((2, 2), "float32"),
    }
    # half as large, with 32 px beside it: x → (x + 0.5 + 32) / 2 - 0.5
    expected = everywhere((31.5, 31.5), (15.75, -0.25), (47.25, 63.25))
    np.testing.assert_allclose(arrays["landmarks"][0], expected, atol=1e-5)
    assert arrays["film_hw"][0].tolist() == [128, 64]
    film = arrays["film"][0, 0].astype(np.float64)
    assert film[:, 16:48].std() == pytest.approx(1, abs=0.01), "by what is on the film"
    assert arrays["film"][0, 0, :, :15].std() == 0, "beside the film"
    assert made.refused == {1: "foot 1: is damaged"}


def test_published_films_are_stretched_and_have_three_channels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).random((128, 64), dtype=np.float32)
    films = FakeFilms([training_film(pixels, everywhere((31.5, 63.5), (0, 0), (63, 127)))])
    prepare_films(films, SMALL, tmp_path, 1, lambda *_: None)  # must not be taken for these
    settings = SQUARE.model_copy(update={"channels": 3})
    arrays = prepare_films(films, settings, tmp_path, 1, lambda *_: None).arrays
    # x stays, y → (y + 0.5) / 2 - 0.5
    expected = everywhere((31.5, 31.5), (0, -0.25), (63, 63.25))
    np.testing.assert_allclose(arrays["landmarks"][0], expected, atol=1e-5)
    stretched, _ = stretched_film(pixels, SIZE, mirror=False)
    np.testing.assert_allclose(arrays["film"][0], published_film_channels(stretched), atol=1e-3)


def test_a_stretched_film_of_one_channel_is_standardised_too(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).random((128, 64), dtype=np.float32)
    films = FakeFilms([training_film(pixels, ALL)])
    settings = SMALL.model_copy(update={"keep_aspect": False})
    film = prepare_films(films, settings, tmp_path, 1, lambda *_: None).arrays["film"][0, 0]
    stretched, _ = stretched_film(pixels, SIZE, mirror=False)
    np.testing.assert_allclose(film, standardise(stretched), atol=2e-3)


# ── items ────────────────────────────────────────────────────────────────────────────────


def test_every_film_with_a_mark_comes_once() -> None:
    train = prepared(
        [ALL, everywhere(), everywhere((10, 10)), [(0, 0)] * TOES, ALL],
        refused={3: "foot 3: is damaged"},
    )
    items = task(train)
    orders = [items.order((1, epoch)) for epoch in range(8)]
    assert all(sorted(order) == [0, 2, 4] for order in orders)
    assert len({tuple(order) for order in orders}) > 1
    assert items.order((1, 0)) == orders[0]
    assert items.name(4) == "foot 4"
    assert sorted(task(train, landmark=0).order((1, 0))) == [0, 2, 4]
    assert sorted(task(train, landmark=1).order((1, 0))) == [0, 4], "film 2 has one mark only"
    np.testing.assert_array_equal(items.sample(2), train.arrays["film"][[0, 2]].astype(np.float32))
    assert items.sample(9).shape == (3, 1, SIZE, SIZE)


@pytest.mark.parametrize("landmark", [None, 2])
def test_without_marks_there_is_nothing_to_train_or_to_measure_on(landmark: int | None) -> None:
    marked, bare = prepared([ALL]), prepared([everywhere((10, 10))] if landmark else [everywhere()])
    with pytest.raises(ValueError, match="no foot with marked joints is left to train on"):
        task(bare, held=marked, landmark=landmark)
    with pytest.raises(ValueError, match="no foot with marked joints is left to measure on"):
        task(marked, held=bare, landmark=landmark)
    damaged = prepared([ALL], refused={0: "foot 0: is damaged"})
    with pytest.raises(ValueError, match="left to train on"):
        task(damaged, held=marked, landmark=landmark)


# ── targets ──────────────────────────────────────────────────────────────────────────────


def test_heat_maps_lie_at_the_changed_points() -> None:
    # twice as large about the middle: x → 2 x - 31.5; the last landmark leaves the view
    double = FilmChangeSettings(share=1, part_share=0, turn_deg=0, shift=0, scale=(2, 2))
    train = prepared([[(31.5, 31.5), (25, 40), (20, 18), (44, 36.25), NAN, (10, 30)]])
    batch = task(train, changes=double).batch(draws(0))
    target = batch["target"][0].numpy()
    assert target.shape == (TOES, 32, 32)
    places, heights = read_heat_maps(ANY_HEIGHT, target[:4])
    expected = [(31.5, 31.5), (18.5, 48.5), (8.5, 4.5), (56.5, 41)]
    np.testing.assert_allclose(places, expected, atol=1e-3)
    assert (heights > 0.8).all()
    # s.d. 1.6 px of the map
    assert target[1].sum() == pytest.approx(2 * np.pi * 1.6**2, rel=0.01)
    assert (target[4] == -1).all(), "not marked is not absent"
    assert not target[5].any(), "out of view is absent"


def test_what_lies_beyond_the_film_is_absent_and_not_unknown(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).random((128, 64), dtype=np.float32)
    # the second lies beside the film, where the square has background; nobody knows of the third
    # and the fourth more than that the latter lies beyond the film
    film = training_film(pixels, [(31.5, 63.5), (80, 60), NAN, NAN, (4, 4), (60, 120)])
    films = FakeFilms([replace(film, outside=(3,))])
    train = prepare_films(films, SMALL, tmp_path, 1, lambda *_: None)
    assert train.arrays["outside"][0].tolist() == [False, True, False, True, False, False]
    target = task(train).batch(draws(0))["target"][0]
    assert [bool((heat > 0.8).any()) for heat in target] == [True, False, False, False, True, True]
    assert not target[[1, 3]].any()
    assert (target[2] == -1).all()


def test_a_part_of_a_film_draws_no_peaks_for_what_it_does_not_show() -> None:
    items = task(prepared([ALL]), changes=FilmChangeSettings(part_share=1, part_half=(0.5, 0.9)))
    absent = 0
    for place in range(40):
        batch = items.batch([Draw(0, (1, 0, place))])
        x0, y0, x1, y1 = batch["shown"][0].tolist()
        for (x, y), heat in zip(ALL, batch["target"][0], strict=True):
            if not (x0 <= x < x1 and y0 <= y < y1):
                assert not heat.any()
                absent += 1
    assert 20 < absent < 140


def test_a_film_without_such_a_limb_teaches_that_there_is_nothing_to_find() -> None:
    train = prepared([ALL, everywhere(), everywhere()],
                     outside=[[False] * TOES, [True] * TOES, [False] * TOES])  # fmt: skip
    items = task(train, held=prepared([ALL]))
    assert sorted(items.order((1, 0))) == [0, 1], "of the last one nothing is known"
    assert not items.batch(draws(1))["target"].any()
    with pytest.raises(ValueError, match="left to measure on"):
        task(train, held=prepared([everywhere()], outside=[[True] * TOES]))


def test_films_of_early_epochs_are_smaller_and_so_are_their_heat_maps() -> None:
    settings = SMALL.model_copy(update={"input_px": SIZE, "widths": (8, 12)})
    items = task(prepared([ALL, ALL]), settings)
    batch = items.batch([draw._replace(small=True) for draw in draws(0, 1)])
    assert batch["side"].tolist() == [48, 48]
    assert batch["target"].shape == (2, TOES, 24, 24)
    places, heights = read_heat_maps(ANY_HEIGHT, batch["target"][0].numpy())
    np.testing.assert_allclose(places, (np.array(ALL) + 0.5) * 0.75 - 0.5, atol=0.01)
    assert (heights > 0.8).all()
    shown: list[torch.Size] = []

    class Sees(torch.nn.Module):
        def forward(self, film: torch.Tensor) -> torch.Tensor:
            shown.append(film.shape)
            return batch["target"].clone()

    assert torch.isfinite(items.loss(Sees(), batch, MEAN))
    assert shown == [(2, 1, 48, 48)]


def test_each_film_has_its_own_change() -> None:
    changes = FilmChangeSettings(share=1, part_share=0, turn_deg=20, scale=(0.9, 1.1))
    train = prepared([ALL, ALL])
    items = task(train, changes=changes)
    batch = items.batch(draws(1, 0, 1))
    assert batch["film"][:, 0, 0, 0].tolist() == [1, 0, 1]
    for matrix, target in zip(batch["matrix"].numpy(), batch["target"].numpy(), strict=True):
        places, _ = read_heat_maps(ANY_HEIGHT, target)
        expected = np.array(ALL) @ matrix[:, :2].T + matrix[:, 2]
        np.testing.assert_allclose(places, expected, atol=0.01)
    assert (batch["matrix"][0] != batch["matrix"][2]).any(), "another place, another change"
    again = items.batch([Draw(1, (1, 0, 2))])
    for name, values in again.items():
        torch.testing.assert_close(values[0], batch[name][2], atol=0, rtol=0)


def test_a_network_of_one_point_is_shown_that_point_only() -> None:
    train = prepared([ALL, ALL])
    changes = FilmChangeSettings(share=1)
    every = task(train, changes=changes).batch(draws(1, 0))
    one = task(train, changes=changes, landmark=3).batch(draws(1, 0))
    torch.testing.assert_close(one["target"], every["target"][:, 3:4])
    torch.testing.assert_close(one["matrix"], every["matrix"])


def test_the_square_of_a_cut_film_is_as_high_as_what_is_left_makes_it() -> None:
    # film 256 × 64 px: half side 64 · √(256 · 64) / 1024 = 8 px of it; 64 px of input: 8 wide,
    # 2 high. With 0.8 of the height left: 2.5 high, at (19.5 + 0.5) / 0.8 - 0.5 = 24.5.
    changes = STILL.model_copy(update={"keep_height": (0.8, 0.8)})
    train = prepared([everywhere((30, 19.5), (70, 19.5))], film_hw=(256, 64))
    batch = task(train, SQUARE, changes).batch(draws(0))
    rows, columns = np.zeros(SIZE), np.zeros(SIZE)
    rows[23:27], rows[[22, 27]] = 1, 0.5  # from 22 to 27
    columns[23:38], columns[[22, 38]] = 1, 0.5  # from 22 to 38
    np.testing.assert_allclose(batch["target"][0, 0], np.outer(rows, columns), atol=1e-4)
    # of a square around a landmark beyond the film only what reaches into it: from 62 on
    columns = np.zeros(SIZE)
    columns[62:] = 0.5, 1
    np.testing.assert_allclose(batch["target"][0, 1], np.outer(rows, columns), atol=1e-4)
    assert (batch["target"][0, 2:] == -1).all()
    np.testing.assert_allclose(batch["matrix"][0], [[1, 0, 0], [0, 1.25, 0.125]], atol=1e-6)


def test_a_square_stays_one_where_the_film_keeps_its_aspect() -> None:
    # 8 px of a film that is 256 px high are 2 px of 64, in both directions
    train = prepared([everywhere((30.5, 19.5))], film_hw=(256, 64))
    settings = SQUARE.model_copy(update={"keep_aspect": True})
    target = task(train, settings).batch(draws(0))["target"][0, 0]
    expected = np.zeros((SIZE, SIZE), np.float32)
    expected[18:22, 29:33] = 1
    np.testing.assert_allclose(target, expected, atol=1e-6)


def test_a_film_is_not_cut_where_its_lowest_joint_lies() -> None:
    changes = STILL.model_copy(update={"keep_height": (0.5, 0.5), "keep_below": 0.05})
    train = prepared(
        [everywhere((30, 20), (30, 43.5)), everywhere((30, 20), (30, 63)), everywhere((30, 20))]
    )
    batch = task(train, SQUARE, changes).batch(draws(0, 1, 2))
    kept = 1 / batch["matrix"][:, 1, 1]
    np.testing.assert_allclose(kept, [(43.5 + 0.5) / 64 + 0.05, 1, 0.5], atol=1e-6)
    # the only joint that counts for a network of one landmark is its own
    alone = task(train, SQUARE, changes, landmark=0).batch(draws(0, 1))
    np.testing.assert_allclose(1 / alone["matrix"][:, 1, 1], [0.5, 0.5], atol=1e-6)


# ── the loss ─────────────────────────────────────────────────────────────────────────────


class Watcher(nn.Module):
    """Draws the same heat maps whatever it sees, and remembers that."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(*shape))
        self.seen: list[Tensor] = []

    def forward(self, films: Tensor) -> Tensor:
        self.seen.append(films)
        return self.logits.expand(len(films), *self.logits.shape[1:])


def test_points_that_are_not_marked_have_no_gradient() -> None:
    items = task(prepared([everywhere(*ALL[:4]), everywhere(*ALL[:5])]))
    network = Watcher((2, TOES, 32, 32))
    items.loss(network, items.batch(draws(0, 1)), MEAN).backward()
    gradient = network.logits.grad
    assert gradient is not None
    taught = [[bool(g.any()) for g in film] for film in gradient]
    assert taught == [[True] * 4 + [False] * 2, [True] * 5 + [False]]


def test_the_loss_of_squares_is_the_plain_cross_entropy() -> None:
    items = task(prepared([everywhere((30, 20))]), SQUARE)
    network = Watcher((1, TOES, SIZE, SIZE))
    with torch.no_grad():
        network.logits[0, 0] = -2.0
    loss = items.loss(network, items.batch(draws(0)), MEAN)
    # 8 × 8 px are to be 1, all others 0
    inside, outside = np.log1p(np.exp(2)), np.log1p(np.exp(-2))
    assert loss.item() == pytest.approx((64 * inside + 4032 * outside) / 4096, rel=1e-5)


def test_the_network_sees_a_standardised_film() -> None:
    train = prepared([ALL])
    items, network = task(train), Watcher((1, TOES, 32, 32))
    items.loss(network, items.batch(draws(0)), MEAN)
    film = train.arrays["film"].astype(np.float32)
    expected = ((film - film.mean()) / film.std()).clip(-4, 4)
    np.testing.assert_allclose(network.seen[0], expected, atol=5e-3)
    changed = task(train, changes=FilmChangeSettings(gamma=1, noise=0.5))
    changed.loss(network, changed.batch(draws(0)), MEAN)
    seen = network.seen[1]
    assert np.abs(seen.numpy() - expected).max() > 0.5
    assert (seen.mean().item(), seen.std().item()) == pytest.approx((0, 1), abs=0.02)


def test_the_published_network_sees_its_channels_brightened() -> None:
    train = prepared([ALL], channels=3)
    settings = SQUARE.model_copy(update={"channels": 3})
    changes = STILL.model_copy(update={"intensity": (0.5, 0.5), "noise": 9.0, "gamma": 9.0})
    items, network = task(train, settings, changes), Watcher((1, TOES, SIZE, SIZE))
    items.loss(network, items.batch(draws(0)), MEAN)
    np.testing.assert_allclose(
        network.seen[0], train.arrays["film"].astype(np.float32) / 2, atol=1e-3
    )


# ── measuring ────────────────────────────────────────────────────────────────────────────


class Oracle(nn.Module):
    """Draws heat maps where it is told to; a film's first px says which film it is."""

    def __init__(self, places: NDArray[np.floating], stride: int = 2) -> None:
        super().__init__()
        self.places, self.stride = places, stride

    def forward(self, films: Tensor) -> Tensor:
        assert len(films) <= 16
        rows = films[:, 0, 0, 0].round().int().tolist()
        maps = np.stack([heat_maps(self.places[row], SIZE, self.stride, 1.6) for row in rows])
        return torch.logit(torch.from_numpy(maps).clamp(1e-6, 1 - 1e-6))


def held_out(count: int = 18) -> Prepared:
    return prepared([[(x + i / 4, y + i / 8) for x, y in ALL] for i in range(count)])


def measured(
    shift: NDArray[np.floating] | tuple[float, float],
    settings: LocateSettings = SMALL,
    held: Prepared | None = None,
    landmark: int | None = None,
) -> dict[str, float]:
    """Numbers of a network whose heat maps lie ``shift`` px off the truth."""
    held = held or held_out()
    places = held.arrays["landmarks"] + np.asarray(shift)
    network = Oracle(
        places if landmark is None else places[:, [landmark]], settings.heat_map_stride
    )
    with torch.no_grad():
        return task(held_out(1), settings, held=held, landmark=landmark).validate(network, CPU)


@pytest.mark.parametrize("landmark", [None, 4])
def test_who_finds_every_point_has_the_best_score(landmark: int | None) -> None:
    numbers = measured((0, 0), landmark=landmark)
    assert numbers["score"] == numbers["within_0.01"] == numbers["within_0.02"] == 1
    assert numbers["median"] < 1e-3


def test_regions_of_coarse_maps_are_placed_in_px_of_the_film() -> None:
    regions = SMALL.model_copy(update={"decode": "component", "found_threshold": 0.5})
    assert regions.heat_map_stride == 2
    numbers = measured((0, 0), regions)
    assert numbers["within_0.02"] == 1
    assert numbers["median"] < 0.015  # a region's middle is right to half a px of the map


def test_distances_are_shares_of_the_side() -> None:
    # 1 px of 64 is 0.0156
    numbers = measured((0.6, 0.8))
    assert (numbers["score"], numbers["within_0.02"]) == (0, 1)
    assert numbers["median"] == pytest.approx(1 / 64, rel=0.01)
    # half of the films off by 0.3 px (0.0047), a third of them by 1 px, the rest by 5
    shift = np.zeros((18, 1, 2))
    shift[:9], shift[9:15], shift[15:] = (0.3, 0), (0, 1), (3, 4)
    numbers = measured(shift)
    assert numbers["within_0.01"] == numbers["score"] == pytest.approx(9 / 18)
    assert numbers["within_0.02"] == pytest.approx(15 / 18)


def test_what_is_not_found_counts_as_missed() -> None:
    component = SMALL.model_copy(update={"decode": "component", "found_threshold": 0.5})
    settings = component.model_copy(update={"heat_map_stride": 1})
    shift = np.zeros((18, 1, 2))
    shift[12:] = 500  # out of the picture: an empty map
    numbers = measured(shift, settings)
    assert numbers["within_0.02"] == pytest.approx(12 / 18)
    nothing = measured((500, 500), settings)
    assert nothing == {"score": 0, "within_0.01": 0, "within_0.02": 0, "median": 1}
    assert measured((500, 500))["within_0.02"] == 0, "a peak in an empty map is no hit"


def test_only_marks_in_view_are_measured() -> None:
    landmarks = [everywhere((30, 20), (-5, 20), (70, 20), (20, 64.5), (40, 30)), everywhere()]
    held = prepared([*landmarks, [(0, 0)] * TOES], refused={2: "foot 2: is damaged"})
    shift = np.zeros((3, TOES, 2))
    shift[0, 4] = 9
    assert measured(shift, held=held)["score"] == 0.5
    # and of a refused film nothing
    assert task(held_out(1), held=held).sample(9).shape == (1, 1, SIZE, SIZE)


# ── all together ─────────────────────────────────────────────────────────────────────────


def corners(count: int, seed: int) -> FakeFilms:
    """Films with a bright square; the six landmarks of a foot lie around it, always alike."""
    rng, films = np.random.default_rng(seed), []
    for _ in range(count):
        pixels = rng.uniform(0, 0.2, (SIZE, SIZE)).astype(np.float32)
        x, y = rng.integers(20, SIZE - 32, 2)
        pixels[y : y + 12, x : x + 12] = 1
        around = [(0, 0), (11, 0), (0, 11), (11, 11), (5.5, 0), (5.5, 11)]
        films.append(training_film(pixels, np.add(around, (x, y)).tolist()))
    return FakeFilms(films, f"corners {count} {seed}")


def test_a_localiser_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "draw_curves", lambda rows, path: None)
    train, held = (
        prepare_films(films, SMALL, tmp_path, 1, lambda *_: None)
        for films in (corners(48, 1), corners(8, 2))
    )
    items = LocateTask(corners(48, 1), SMALL, FilmChangeSettings(), train, held)
    settings = LoopSettings(
        epochs=6, batch_size=8, learning_rate=1e-2, threads=1, half=False, device="cpu"
    )
    torch.manual_seed(0)
    network = build_locate_net(Limb.FOOT, SMALL)
    with torch.no_grad():
        before = items.validate(network.eval(), CPU)["median"]
    outcome = fit(network, settings, items, tmp_path / "run", lambda _: None)
    assert outcome.numbers["median"] < 0.4 * before
    assert outcome.numbers["within_0.02"] > 0.3
