"""What the damage network learns from, and the numbers that say how well it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from mandora.core.anatomy import LANDMARK_INDEX, LANDMARKS, Damage, JointGroup, Limb
from mandora.core.geometry import Box
from mandora.core.settings import (
    DamageSettings,
    LoopSettings,
    PatchChangeSettings,
    TrainDamageSettings,
    preset,
)
from mandora.damage.patches import cut_patches
from mandora.images.channels import FilmStatistics, sample_box, standardise
from mandora.locate.template import limb_template

pytest.importorskip("torch")
pytest.importorskip("kornia")
import torch
from torch import Tensor, nn

from mandora.damage.network import DamageOutput, build_damage_net
from mandora.training import damage, loop, patches
from mandora.training.cache import Arrays, Prepared
from mandora.training.damage import DamageTask, Family
from mandora.training.films import TrainingFilm
from mandora.training.loop import fit
from mandora.training.patches import prepare_patches, stored_px
from mandora.training.processes import Processes
from mandora.training.task import Draw

CPU = torch.device("cpu")
MEAN = Processes(0, 1, CPU).mean
PATCH = 32
HAND, FOOT = Limb.HAND, Limb.FOOT
NARROWING, EROSION = Damage.NARROWING, Damage.EROSION
TOES = len(LANDMARKS[FOOT])
IP, MTP1, MTP2, MTP3, MTP4, MTP5 = range(TOES)
NAN = np.nan

# half a window of the whole film is 16 px on a film of 256 × 256 px
BY_FILM = DamageSettings(
    patch_px=PATCH, window="film", half_window_px=256, along="film", widths=(6, 8, 12)
)
BY_LIMB = BY_FILM.model_copy(update={"window": "limb", "half_window": 0.2})
STILL = PatchChangeSettings(share=0, gamma=0, noise=0, blur_share=0)
UNMOVED = PatchChangeSettings(share=0, turn_deg=0, shift=0, scale=(1, 1), gamma=0, noise=0,
                              blur_share=0)  # fmt: skip


@dataclass
class FakeFilms:
    """Films of one limb in memory."""

    films: Sequence[TrainingFilm]
    limb: Limb = FOOT
    key: str = "fake"

    def __len__(self) -> int:
        return len(self.films)

    def name(self, index: int) -> str:
        return f"film {index}"

    def film(self, index: int) -> TrainingFilm:
        return self.films[index]


ROOM = np.zeros((256, 256), np.uint8)


def grey_film(seed: int = 0) -> NDArray[np.float32]:
    """256 × 256 px, a smooth structure with some noise, in whole 255ths."""
    rng = np.random.default_rng(seed)
    waves = np.sin(np.arange(256) / 9)
    film = 0.5 + 0.2 * np.add.outer(waves, waves[::-1]) + rng.uniform(-0.1, 0.1, (256, 256))
    return (np.round(film.clip(0, 1) * 255) / 255).astype(np.float32)


def training_film(
    places: Mapping[int, tuple[float, float]],
    pixels: NDArray[np.float32] | None = None,
    spaces: NDArray[np.uint8] | None = None,
    erosions: NDArray[np.uint8] | None = None,
    limb: Limb = FOOT,
) -> TrainingFilm:
    landmarks = np.full((len(LANDMARKS[limb]), 2), np.nan)
    for index, place in places.items():
        landmarks[index] = place
    scores = np.arange(2.0 * len(landmarks), dtype=np.float32).reshape(-1, 2)
    pixels = grey_film() if pixels is None else pixels
    return TrainingFilm(pixels, landmarks, scores, scores + 1, spaces, erosions)


def patches_of(
    film: TrainingFilm,
    cache: Path,
    settings: DamageSettings = BY_FILM,
    side_px: int = PATCH,
    limb: Limb = FOOT,
) -> Arrays:
    """The arrays of one film."""
    films = FakeFilms([film], limb)
    made = prepare_patches(films, settings, side_px, cache, 1, lambda *_: None)
    assert made.refused == {}
    return {name: values[0] for name, values in made.arrays.items()}


# ── preparing ────────────────────────────────────────────────────────────────────────────


def test_stored_patches_have_room_for_their_changes() -> None:
    paper = preset("paper", TrainDamageSettings)
    assert stored_px(paper.network, paper.changes) == 384 + 2 * 10
    assert stored_px(BY_FILM, UNMOVED) == PATCH
    assert stored_px(BY_FILM, UNMOVED.model_copy(update={"centre_film_px": 3})) == PATCH + 2 * 3
    shifted = UNMOVED.model_copy(update={"shift": 0.125})
    assert stored_px(BY_FILM, shifted) == PATCH + 2 * 4
    usual = TrainDamageSettings()
    # half of what the corners would need, (cos 10° + sin 10°) / 0.88, and the shift
    margin = 112 * ((1.158456 / 0.88 - 1) / 4 + 0.05)
    assert stored_px(usual.network, usual.changes) == 112 + 2 * int(np.ceil(margin))


def test_a_patch_is_the_window_around_its_joint(tmp_path: Path) -> None:
    film = training_film({MTP2: (99.5, 59.5), MTP3: (140.5, 200.5)})
    made = patches_of(film, tmp_path)
    assert {k: (v.shape, str(v.dtype)) for k, v in made.items()} == {
        "pixels": ((6, 32, 32), "uint8"), "masks": ((6, 32, 32), "uint8"),
        "usable": ((6,), "bool"), "has_mask": ((6,), "bool"),
        "scores": ((6, 2), "float32"), "official": ((6, 2), "float32"),
        "film_scale": ((6,), "float32"),
        "statistics": ((FilmStatistics.SIZE,), "float32"),
    }  # fmt: skip
    grey = np.round(film.pixels * 255)
    # 16 px to each side of the px border at 99.5
    np.testing.assert_array_equal(made["pixels"][MTP2], grey[44:76, 84:116])
    np.testing.assert_array_equal(made["pixels"][MTP3], grey[185:217, 125:157])
    assert made["usable"].tolist() == [False, False, True, True, False, False]
    assert not made["pixels"][MTP4].any()
    assert not made["has_mask"].any()
    np.testing.assert_array_equal(made["scores"], film.scores)
    np.testing.assert_array_equal(made["official"], film.official)
    np.testing.assert_array_equal(made["statistics"], FilmStatistics.of(film.pixels).vector)


def test_the_great_toe_has_a_larger_window(tmp_path: Path) -> None:
    film = training_film({IP: (99.5, 59.5), MTP1: (119.5, 139.5), MTP2: (180, 139.5)})
    made = patches_of(film, tmp_path)
    fill = float(np.percentile(film.pixels[::8, ::8], 5))
    for landmark, half in ((IP, 16 * 1.4), (MTP1, 16 * 1.5), (MTP2, 16.0)):
        window = sample_box(film.pixels, Box.around(film.landmarks[landmark], half), PATCH, fill)
        np.testing.assert_array_equal(made["pixels"][landmark], np.round(window * 255))
    # on a hand nothing is enlarged
    hand = training_film({0: (99.5, 59.5)}, limb=HAND)
    made = patches_of(hand, tmp_path / "hand", limb=HAND)
    np.testing.assert_array_equal(made["pixels"][0], np.round(hand.pixels * 255)[44:76, 84:116])


def test_the_published_window_follows_the_size_of_the_film(tmp_path: Path) -> None:
    # half of the film: √(128 · 256) / 4096 · 256 = 11.3 px
    film = training_film({MTP2: (99.5, 59.5)}, grey_film()[:128])
    fill = float(np.percentile(film.pixels[::8, ::8], 5))
    half = 256 * np.sqrt(128 * 256) / 4096
    window = sample_box(film.pixels, Box.around((99.5, 59.5), half), PATCH, fill)
    np.testing.assert_array_equal(
        patches_of(film, tmp_path)["pixels"][MTP2], np.round(window * 255)
    )


def test_a_margin_shows_more_at_the_same_scale(tmp_path: Path) -> None:
    film = training_film({MTP2: (99.5, 59.5)})
    made = patches_of(film, tmp_path, side_px=PATCH + 8)
    np.testing.assert_array_equal(made["pixels"][MTP2], np.round(film.pixels * 255)[40:80, 80:120])


@pytest.mark.parametrize("landmark", [IP, MTP2])
def test_centres_are_moved_by_px_of_the_film_whatever_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, landmark: int
) -> None:
    """What is seen is what would have been cut about the moved centre."""
    rows, columns = np.mgrid[:256, :256]
    smooth = (0.5 + 0.2 * np.sin(rows / 9) + 0.2 * np.cos(columns / 11)).astype(np.float32)
    moved = UNMOVED.model_copy(update={"centre_film_px": 10})
    for half_window_px, half in ((256, 16.0), (640, 40.0)):  # px of this film
        settings = BY_FILM.model_copy(
            update={"half_window_px": half_window_px, "channels": 7, "patch_px": 64}
        )
        side = stored_px(settings, moved)
        assert side == 84
        film = training_film({landmark: (128.0, 120.0)}, smooth)
        films, folder = FakeFilms([film]), tmp_path / str(half)
        made = prepare_patches(films, settings, side, folder, 1, lambda *_: None, 10)
        half *= LANDMARKS[FOOT][landmark].enlargement
        assert made.arrays["film_scale"][0, landmark] == pytest.approx(64 / (2 * half))
        items = task((FOOT, made), network=settings, changes=moved)
        shifts = set()
        for place in range(4):
            batch = items.batch([Draw(0, (1, 0, place))])
            network = Says({})
            network.mask = nn.Parameter(torch.zeros(1, 1, 64, 64))
            items.loss(network, batch, MEAN)
            seen = network.seen[0][0, 0].numpy()
            offsets = [(x, y) for x in range(-10, 11) for y in range(-10, 11)]
            away = [
                np.abs(sample_box(smooth, Box.around((128 + x, 120 + y), half), 64, 0) - seen).max()
                for x, y in offsets
            ]
            assert min(away) < 5e-3  # a px beside it is 0.02 away
            shifts.add(offsets[int(np.argmin(away))])
        assert len(shifts) > 1


def test_what_lies_beyond_the_film_is_background(tmp_path: Path) -> None:
    pixels = grey_film().clip(0.2, 1)
    pixels[::8, ::8] = 0.6  # where the background is measured
    pixels[:24:8, ::8] = 51 / 255  # 3 of 32 rows of it are darker: more than 5 %
    film = training_film({MTP2: (3.5, 99.5), MTP3: (255.4, 99.5), MTP4: (256, 99.5)}, pixels)
    made = patches_of(film, tmp_path)
    patch = made["pixels"][MTP2]  # columns -12 … 19
    assert (patch[:, :12] == 51).all()
    np.testing.assert_array_equal(patch[:, 12:], np.round(pixels * 255)[84:116, :20])
    usable = [MTP2, MTP3]  # the last one lies beyond
    assert np.flatnonzero(made["usable"]).tolist() == usable


def test_windows_follow_the_size_of_the_limb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patches, "PLACE_ERROR", dict.fromkeys(JointGroup, 0.0))
    monkeypatch.setattr(patches, "SIZE_ERROR", 0.0)
    landmarks = limb_template(FOOT) * 80 + (140, 120)  # 80 px a unit: half a window is 16 px
    fill = float(np.percentile(grey_film()[::8, ::8], 5))
    for known in (range(TOES), (IP, MTP3, MTP4, MTP5), (MTP1, MTP3)):
        film = training_film({i: tuple(landmarks[i]) for i in known})
        made = patches_of(film, tmp_path / str(known), BY_LIMB)
        window = sample_box(film.pixels, Box.around(landmarks[MTP3], 16), PATCH, fill)
        np.testing.assert_allclose(made["pixels"][MTP3], window * 255, atol=0.6)


def test_patches_of_a_slanting_limb_are_those_of_an_upright_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patches, "PLACE_ERROR", dict.fromkeys(JointGroup, 0.0))
    monkeypatch.setattr(patches, "SIZE_ERROR", 0.0)
    settings = BY_LIMB.model_copy(update={"along": "limb"})
    landmarks = limb_template(FOOT) * 60 + (127.5, 127.5)
    wave = ndimage.gaussian_filter(np.random.default_rng(3).random((256, 256)), 4)
    wave = ((wave - wave.min()) / np.ptp(wave)).astype(np.float32)
    made = []
    for degrees in (0, 35):
        pixels = np.asarray(Image.fromarray(wave).rotate(-degrees, Image.Resampling.BICUBIC))
        cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        places = (landmarks - 127.5) @ [[cos, sin], [-sin, cos]] + 127.5
        space = (pixels > 0.6).astype(np.uint8)
        film = training_film(dict(enumerate(map(tuple, places))), pixels.clip(0, 1), space, space)
        made.append(patches_of(film, tmp_path / str(degrees), settings))
    for i in range(TOES):
        upright, slanting = (m["pixels"][i].astype(float) for m in made)
        assert np.abs(upright - slanting).max() < 0.05 * 255
        masks = [m["masks"][i] > 127 for m in made]
        assert (masks[0] != masks[1]).mean() < 0.04


@pytest.mark.parametrize(
    "changed",
    [
        {"window": "limb"},
        {"half_window_px": 200.0},
        {"along": "limb"},
        {"channels": 7},
        {"mask": "erosion"},
    ],
)
def test_other_settings_make_other_patches(tmp_path: Path, changed: dict[str, object]) -> None:
    spaces = np.ones((256, 256), np.uint8)
    places = {MTP1: (180, 100), MTP5: (116, 148), MTP2: (149.5, 99.5)}
    film = training_film(places, spaces=spaces, erosions=spaces * 0)
    usual, other = (
        patches_of(film, tmp_path, settings)
        for settings in (BY_FILM, BY_FILM.model_copy(update=changed))
    )
    assert any((usual[name] != other[name]).any() for name in ("pixels", "masks"))


def test_a_limb_of_unknown_size_is_refused(tmp_path: Path) -> None:
    films = FakeFilms([training_film({IP: (99, 59)})])
    made = prepare_patches(films, BY_LIMB, PATCH, tmp_path, 1, lambda *_: None)
    assert list(made.refused) == [0]
    assert made.refused[0].startswith("1 of 6 landmarks are known, at least 2")
    assert not made.arrays["usable"].any()


def test_a_film_of_a_part_of_a_limb_trains_as_the_whole_limb_would(tmp_path: Path) -> None:
    landmarks = limb_template(HAND) * 40 + (128, 128)
    names = [landmark.name for landmark in LANDMARKS[HAND]]
    wrist = [i for i, known in enumerate(LANDMARKS[HAND]) if known.group is JointGroup.WRIST]
    whole, part = (
        patches_of(
            training_film({i: tuple(landmarks[i]) for i in chosen}, limb=HAND), tmp_path / name,
            BY_LIMB, limb=HAND,
        )
        for name, chosen in (("whole", range(len(names))), ("part", wrist))
    )  # fmt: skip
    # fingers that are known to lie beyond the film tell the limb's size, and give no patch
    beyond = training_film(
        {i: tuple(landmarks[i]) for i in wrist} | {names.index("pip3"): (-300.0, -300.0)}, limb=HAND
    )
    off = patches_of(beyond, tmp_path / "beyond", BY_LIMB, limb=HAND)
    assert whole["usable"].all()
    for made in (part, off):
        assert np.flatnonzero(made["usable"]).tolist() == wrist
    np.testing.assert_allclose(part["film_scale"][wrist], whole["film_scale"][wrist], rtol=0.13)


def test_windows_of_the_limb_err_as_the_localiser_does(tmp_path: Path) -> None:
    # with a bright dot at each joint: where is it on its patch?
    landmarks = limb_template(FOOT) * 80 + (140, 120)  # 80 px a unit; no dot is on another's patch
    places = {i: tuple(landmarks[i]) for i in (MTP1, MTP3, MTP5)}
    pixels = np.zeros((256, 256), np.float32)
    for x, y in places.values():
        rows, columns = np.mgrid[:256, :256]
        pixels += np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 18).astype(np.float32)
    film = training_film(places, pixels.clip(0, 1))
    settings = BY_LIMB.model_copy(update={"half_window": 0.2})
    found = []
    for folder in ("1", "2"):
        made = patches_of(film, tmp_path / folder, settings)["pixels"].astype(float)
        grid = np.arange(PATCH)
        for i in (MTP3, MTP5):
            total = made[i].sum()
            found.append([(made[i].sum(a) @ grid) / total - 15.5 for a in (0, 1)])
    off = np.array(found).reshape(2, 2, 2)
    np.testing.assert_array_equal(off[0], off[1])  # drawn from the film's number
    assert 0.1 < np.abs(off).max() < 4 * 0.012 * 80  # s.d. 0.96 px
    assert (np.abs(off[0] - off[0, 0]).max(axis=1)[1:] > 0.1).all(), "each joint has its own"


def test_erosions_that_are_known_in_part_teach_where_they_are(tmp_path: Path) -> None:
    landmarks = limb_template(FOOT) * 80 + (140, 120)
    known = np.array([True, True, True, True, False, True])  # not MTP4
    film = replace(
        training_film({i: tuple(landmarks[i]) for i in range(TOES)}, erosions=np.zeros_like(ROOM)),
        erosions_known=known,
    )
    for half_window, taught in ((0.1, known), (0.25, known & [1, 1, 1, 0, 0, 0])):
        settings = BY_LIMB.model_copy(update={"mask": "erosion", "half_window": half_window})
        made = patches_of(film, tmp_path / f"{half_window}", settings)
        # not where the window holds a joint of which nothing is known
        np.testing.assert_array_equal(made["has_mask"], taught)
        assert made["usable"].all()


def test_masks_are_cut_with_their_patches(tmp_path: Path) -> None:
    spaces, erosions = (np.zeros((256, 256), np.uint8) for _ in range(2))
    spaces[57:62, 84:100] = 1 + MTP2
    erosions[44:50, 100:120] = 1 + MTP2
    film = training_film({MTP2: (99.5, 59.5), MTP3: (140.5, 200.5)}, None, spaces, erosions)
    made = patches_of(film, tmp_path)
    np.testing.assert_array_equal(made["masks"][MTP2], 255 * (spaces > 0)[44:76, 84:116])
    assert not made["masks"][MTP3].any()
    # no joint space in the patch is known, too
    assert made["has_mask"].tolist() == made["usable"].tolist()
    eroded = BY_FILM.model_copy(update={"mask": "erosion"})
    made = patches_of(film, tmp_path, eroded)
    np.testing.assert_array_equal(made["masks"][MTP2], 255 * (erosions > 0)[44:76, 84:116])
    bare = patches_of(replace(film, spaces=None), tmp_path / "bare")
    assert not bare["has_mask"].any()
    assert not patches_of(replace(film, erosions=None), tmp_path / "none", eroded)["has_mask"].any()


def test_a_joint_of_its_own_has_its_own_window(tmp_path: Path) -> None:
    pixels = grey_film()[:24, :32]
    whole = Box.around((15.5, 11.5), 16)
    film = replace(training_film({MTP2: (15.5, 11.5)}, pixels), boxes={MTP2: whole})
    made = patches_of(film, tmp_path, BY_LIMB)  # nobody asks for the size of the limb
    grey = np.round(pixels * 255)
    np.testing.assert_array_equal(made["pixels"][MTP2, 4:28], grey)
    assert np.ptp(made["pixels"][MTP2, :4]) == 0, "above it is background"
    assert np.flatnonzero(made["usable"]).tolist() == [MTP2]
    wider = patches_of(film, tmp_path / "wider", BY_LIMB, PATCH + 8)
    np.testing.assert_array_equal(wider["pixels"][MTP2, 8:32, 4:36], grey)


# ── items ────────────────────────────────────────────────────────────────────────────────


def prepared(
    limb: Limb,
    known: Mapping[tuple[int, int], tuple[float, float]],
    count: int = 1,
    side: int = PATCH,
    depth: str = "uint8",
) -> Prepared:
    """Patches of noise, whose scores are given by (film, landmark); the others are not usable."""
    rng, places = np.random.default_rng(len(known)), (count, len(LANDMARKS[limb]))
    arrays: Arrays = {
        "pixels": rng.integers(0, np.iinfo(depth).max, (*places, side, side)).astype(depth),
        "masks": np.zeros((*places, side, side), np.uint8),
        "usable": np.zeros(places, bool),
        "has_mask": np.zeros(places, bool),
        "scores": np.full((*places, 2), np.nan, np.float32),
        "film_scale": np.ones(places, np.float32),
        "statistics": np.zeros((count, FilmStatistics.SIZE), np.float32),
    }
    for place, scores in known.items():
        arrays["scores"][place], arrays["usable"][place] = scores, True
    arrays["official"] = arrays["scores"].copy()
    return Prepared(arrays, {})


def task(
    *parts: tuple[Limb, Prepared],
    held: Prepared | None = None,
    family: Family | None = None,
    network: DamageSettings = BY_FILM,
    changes: PatchChangeSettings = UNMOVED,
    oversample: bool = False,
) -> DamageTask:
    train = dict(parts)
    films = {limb: FakeFilms([], limb) for limb in train}
    settings = TrainDamageSettings(network=network, changes=changes, oversample=oversample)
    measured = train if held is None else {parts[0][0]: held}
    return DamageTask(films, settings, train, measured, family)


def draws(*items: int) -> list[Draw]:
    return [Draw(item, (1, 0, place)) for place, item in enumerate(items)]


def hand(name: str) -> int:
    return LANDMARK_INDEX[HAND][name]


def test_every_patch_with_something_to_learn_is_an_item() -> None:
    feet = prepared(FOOT, {(0, MTP2): (1, NAN), (1, MTP3): (NAN, NAN), (1, MTP5): (0, 0)}, 2)
    hands = prepared(HAND, {(0, hand("ip")): (NAN, 2)})
    items = task((HAND, hands), (FOOT, feet))
    assert sorted(items.order((1, 0))) == [0, 1, 2]
    names = [items.name(i) for i in range(3)]
    assert names == ["film 0 ip", "film 0 mtp2", "film 1 mtp5"]
    # with a joint space there is something to learn without a score
    feet.arrays["has_mask"][1, MTP3] = True
    assert len(task((HAND, hands), (FOOT, feet)).order((1, 0))) == 4
    blind = BY_FILM.model_copy(update={"mask": "none"})
    assert len(task((HAND, hands), (FOOT, feet), network=blind).order((1, 0))) == 3
    # a patch beyond its film has nothing to show
    feet.arrays["usable"][0, MTP2] = False
    assert len(task((HAND, hands), (FOOT, feet)).order((1, 0))) == 3


def test_a_family_counts_its_own_scores_only() -> None:
    feet = prepared(FOOT, {(0, MTP2): (1, NAN), (0, MTP3): (2, 7), (0, MTP4): (NAN, 3)})
    hands = prepared(HAND, {(0, hand("mcp2")): (1, 1)})
    feet.arrays["has_mask"][0, MTP5] = feet.arrays["usable"][0, MTP5] = True
    items = task((HAND, hands), (FOOT, feet), family=(FOOT, EROSION))
    assert [items.name(i) for i in range(len(items.order((1, 0))))] == [
        "film 0 mtp3",
        "film 0 mtp4",
    ]
    batch = items.batch(draws(0, 1))
    assert batch["scores"].tolist() == batch["official"].tolist() == [[7], [3]]
    narrowed = task((FOOT, feet), family=(FOOT, NARROWING))
    assert narrowed.batch(draws(0, 1))["scores"].tolist() == [[1], [2]]


def test_without_scores_there_is_nothing_to_train_or_to_measure_on() -> None:
    known, bare = prepared(FOOT, {(0, MTP2): (1, NAN)}), prepared(FOOT, {})
    with pytest.raises(ValueError, match="no patch with a known score is left to train on"):
        task((FOOT, bare), held=known)
    with pytest.raises(ValueError, match="no patch with a known score is left to measure on"):
        task((FOOT, known), held=bare)
    with pytest.raises(ValueError, match="left to train on"):
        task((FOOT, known), family=(FOOT, EROSION))
    with pytest.raises(ValueError, match="left to train on"):
        task((FOOT, known), family=(HAND, NARROWING))


SCORED = {
    (0, IP): (0, 0), (0, MTP1): (0, 4), (0, MTP2): (3, 0), (0, MTP3): (0, 0), (0, MTP4): (NAN, 0),
    (0, MTP5): (0, NAN), (1, IP): (0, 0),
}  # fmt: skip


@pytest.mark.parametrize(
    ("family", "damaged", "healthy"),
    [
        (None, {"film 0 mtp1", "film 0 mtp2"}, 5),
        ((FOOT, NARROWING), {"film 0 mtp2"}, 5),
        ((FOOT, EROSION), {"film 0 mtp1"}, 5),
    ],
)
def test_damaged_and_healthy_are_equally_many(
    family: Family | None, damaged: set[str], healthy: int
) -> None:
    feet = prepared(FOOT, SCORED, 2)
    plain = task((FOOT, feet), family=family)
    assert sorted(plain.order((1, 0))) == list(range(len(damaged) + healthy))
    items = task((FOOT, feet), family=family, oversample=True)
    orders = [items.order((1, epoch)) for epoch in range(6)]
    for order in orders:
        names = [items.name(i) for i in order]
        assert len(order) == 2 * healthy
        assert sum(name in damaged for name in names) == healthy
        assert set(names) == {items.name(i) for i in range(len(damaged) + healthy)}
    assert len({tuple(order) for order in orders}) > 1
    assert len({tuple(sorted(order)) for order in orders}) == 1, "drawn once, not each epoch"
    assert items.order((1, 3)) == orders[3]


def test_the_official_score_says_what_is_damaged() -> None:
    # readers see damage at two joints, the official score at one; the fourth has none
    known = {(0, IP): (0.4, 0), (0, MTP1): (0, 2), (0, MTP2): (0, 0), (0, MTP3): (2, 1)}
    feet = prepared(FOOT, known)
    feet.arrays["official"][0, [IP, MTP1, MTP3]] = [[0, 0], [0, 1], [NAN, NAN]]
    order = task((FOOT, feet), oversample=True).order((1, 0))
    assert sorted(order) == [0, 1, 1, 2, 3]
    order = task((FOOT, feet), family=(FOOT, NARROWING), oversample=True).order((1, 0))
    assert sorted(order) == [0, 1, 2, 3], "nobody is officially damaged"


def test_the_healthy_are_repeated_where_they_are_fewer() -> None:
    known = {(0, IP): (0, 0), (0, MTP1): (0, 4), (0, MTP2): (3, 0), (0, MTP3): (1, 1)}
    order = task((FOOT, prepared(FOOT, known)), oversample=True).order((1, 0))
    assert sorted(order) == [0, 0, 0, 1, 2, 3]
    healthy = prepared(FOOT, {(0, IP): (0, 0), (0, MTP1): (0, 0)})
    assert sorted(task((FOOT, healthy), oversample=True).order((1, 0))) == [0, 1]


# ── the loss ─────────────────────────────────────────────────────────────────────────────


class Says(nn.Module):
    """Gives each landmark the scores it is told to, and one mask to all; remembers what it saw."""

    def __init__(self, scores: Mapping[int, Sequence[float]], kinds: int = 2) -> None:
        super().__init__()
        table = torch.zeros(27, kinds)
        for landmark, values in scores.items():
            table[landmark] = torch.tensor(values, dtype=torch.float32)
        self.table = nn.Parameter(table)
        self.mask = nn.Parameter(torch.zeros(9, 1, PATCH, PATCH))
        self.seen: list[Tensor] = []

    def forward(self, seen: Tensor, landmarks: Tensor) -> object:
        self.seen.append(seen)
        scores, mask = self.table[landmarks], self.mask[: len(landmarks)]
        return DamageOutput(mask, scores, scores)


def foot(landmark: int) -> int:
    """As the network knows it: feet come after the 21 landmarks of the hand."""
    return 21 + landmark


def test_patches_of_early_epochs_are_smaller() -> None:
    feet = prepared(FOOT, {(0, MTP2): (4, 10), (0, MTP3): (0, 0)}, side=2 * PATCH)
    network = BY_FILM.model_copy(update={"widths": (8, 12, 16), "patch_px": 2 * PATCH})
    items = task((FOOT, feet), network=network)
    full = items.batch(draws(0, 1))
    small = items.batch([draw._replace(small=True) for draw in draws(0, 1)])
    assert full["side"].tolist() == [2 * PATCH] * 2
    side = small["side"][0].item()
    assert side < 2 * PATCH
    assert side % 8 == 0
    looks = Says({foot(MTP2): (4, 5)})
    looks.mask = nn.Parameter(torch.zeros(2, 1, side, side))
    assert torch.isfinite(items.loss(looks, small, MEAN))
    assert looks.seen[0].shape == (2, 1, side, side)


def test_scores_are_measured_as_shares_of_their_own_maximum() -> None:
    hands = prepared(HAND, {(0, hand("ip")): (NAN, 5), (0, hand("mcp2")): (2, 1)})
    feet = prepared(FOOT, {(0, MTP2): (4, 10)})
    network = Says({hand("ip"): (4, 0), hand("mcp2"): (1, 3), foot(MTP2): (4, 5)})
    blind = BY_FILM.model_copy(update={"mask": "none", "score_weight": 2.0})
    items = task((HAND, hands), (FOOT, feet), network=blind)
    batch = items.batch(draws(0, 1, 2))
    assert batch["landmarks"].tolist() == [hand("ip"), hand("mcp2"), foot(MTP2)]
    loss = items.loss(network, batch, MEAN)
    # ((1 - 2) / 4)², ((3 - 1) / 5)², (5 / 5)², 0, (5 / 10)²; the thumb has no narrowing
    errors = [0.0625, 0.16, 1, 0, 0.25]
    assert loss.item() == pytest.approx(2 * sum(errors) / 5)
    loss.backward()
    gradient = network.table.grad
    assert gradient is not None
    assert gradient[hand("ip"), 0] == 0
    assert gradient[hand("ip"), 1] != 0
    assert gradient[hand("mcp3")].tolist() == [0, 0]


def test_a_family_has_one_score_and_its_own_maximum() -> None:
    hands = prepared(HAND, {(0, hand("ip")): (NAN, 5), (0, hand("mcp2")): (2, 1)})
    network = Says({hand("ip"): (0,), hand("mcp2"): (3,)}, kinds=1)
    blind = BY_FILM.model_copy(update={"mask": "none", "score_weight": 1.0})
    items = task((HAND, hands), family=(HAND, EROSION), network=blind)
    assert items.loss(network, items.batch(draws(0, 1)), MEAN).item() == pytest.approx(1.16 / 2)
    network.table.data[hand("mcp2")] = 4
    items = task((HAND, hands), family=(HAND, NARROWING), network=blind)
    assert items.loss(network, items.batch(draws(0)), MEAN).item() == pytest.approx(0.5**2)


def test_training_aims_at_its_own_label() -> None:
    feet = prepared(FOOT, {(0, MTP2): (1, 2.5)})
    feet.arrays["official"][0, MTP2] = 4, 10
    blind = BY_FILM.model_copy(update={"mask": "none"})
    items, network = task((FOOT, feet), network=blind), Says({foot(MTP2): (1, 2.5)})
    assert items.loss(network, items.batch(draws(0)), MEAN).item() == 0
    with torch.no_grad():
        numbers = items.validate(network, CPU)
    assert (numbers["rmse_nf"], numbers["rmse_ef"]) == (3, 7.5)


def test_patches_without_a_mask_have_no_gradient_for_it() -> None:
    feet = prepared(FOOT, {(0, MTP2): (1, 2), (0, MTP3): (1, 2)})
    feet.arrays["has_mask"][0, MTP3] = True
    feet.arrays["masks"][0, MTP3, :, :8] = 255
    plain = BY_FILM.model_copy(update={"dice_weight": 0.0})
    items, network = task((FOOT, feet), network=plain), Says({})
    items.loss(network, items.batch(draws(0, 1)), MEAN).backward()
    gradient = network.mask.grad
    assert gradient is not None
    assert not gradient[0].any()
    # at even chances the slope of the cross-entropy is (0.5 - mask) / number of px
    expected = torch.full((PATCH, PATCH), 0.5)
    expected[:, :8] = -0.5
    torch.testing.assert_close(gradient[1, 0] * PATCH**2, expected, atol=1e-3, rtol=0)


def test_masks_move_with_their_patches() -> None:
    side, count = 48, 6
    rows, columns = np.mgrid[:side, :side]
    feet = prepared(FOOT, {(0, i): (1, 1) for i in range(count)}, side=side)
    for i in range(count):
        away = (rows - 20 - i) ** 2 + (columns - 27) ** 2
        feet.arrays["pixels"][0, i] = feet.arrays["masks"][0, i] = np.round(
            255 * np.exp(-away / 40)
        )
    feet.arrays["has_mask"][:] = True
    changes = PatchChangeSettings(share=1, gamma=0, noise=0, blur_share=0, mirror_share=0.5)
    items, network = task((FOOT, feet), changes=changes), Says({})
    batch = items.batch(draws(*range(count)))
    items.loss(network, batch, MEAN).backward()
    gradient = network.mask.grad
    assert gradient is not None
    masks = 0.5 - gradient[:count, 0] * count * PATCH**2  # as above
    seen = network.seen[0][:, 0]
    middles = np.array([np.unravel_index(int(m.argmax()), (PATCH, PATCH)) for m in masks])
    assert np.ptp(middles, axis=0).min() > 3, "they are moved"
    for patch, mask in zip(seen, masks, strict=True):
        together = np.corrcoef(patch.flatten().numpy(), mask.detach().flatten().numpy())[0, 1]
        assert together > 0.99  # but for what is clipped of the standardised patch


def test_the_network_sees_a_standardised_patch() -> None:
    feet = prepared(FOOT, {(0, MTP2): (1, 1)}, side=PATCH + 8)
    items, network = task((FOOT, feet), changes=STILL), Says({})
    items.loss(network, items.batch(draws(0)), MEAN)
    stored = feet.arrays["pixels"][0, MTP2].astype(np.float32)
    np.testing.assert_allclose(network.seen[0][0, 0], standardise(stored[4:36, 4:36]), atol=2e-3)
    mirrored = STILL.model_copy(update={"mirror_share": 1.0})
    items = task((FOOT, feet), changes=mirrored)
    items.loss(network, items.batch(draws(0)), MEAN)
    torch.testing.assert_close(network.seen[1], network.seen[0].flip(3), atol=2e-3, rtol=0)
    noisy = task((FOOT, feet), changes=STILL.model_copy(update={"noise": 0.5}))
    noisy.loss(network, noisy.batch(draws(0)), MEAN)
    assert (network.seen[2] - network.seen[0]).abs().max() > 0.1
    # what is measured and exported has no noise
    for shown in (noisy, items):
        np.testing.assert_allclose(shown.sample(1)[0], network.seen[0], atol=2e-3)


def test_seven_channels_are_those_of_scoring(tmp_path: Path) -> None:
    seven = BY_FILM.model_copy(update={"channels": 7, "patch_range": 255.0})
    films = FakeFilms([
        training_film({MTP1: (60, 60.3), MTP2: (99.5, 59.5)}, grey_film(seed) ** (1 + seed))
        for seed in range(2)
    ])  # fmt: skip
    made = prepare_patches(films, seven, PATCH, tmp_path, 1, lambda *_: None)
    assert made.arrays["pixels"].dtype == np.uint16
    expected = np.stack([
        patch.pixels
        for film in films.films
        for patch in cut_patches(
            seven, film.pixels, FOOT,
            {MTP1: Box.around((60, 60.3), 24), MTP2: Box.around((99.5, 59.5), 16)},
            mirrored=False,
        )
    ])  # fmt: skip
    assert expected.shape == (4, 7, PATCH, PATCH)
    items, network = task((FOOT, made), network=seven), Says({})
    items.loss(network, items.batch(draws(0, 1, 2, 3)), MEAN)
    # channels 3, 6 and 7 reach 255
    spans = np.ptp(expected, axis=(0, 2, 3))[:, None, None]
    np.testing.assert_allclose(network.seen[0].numpy() / spans, expected / spans, atol=1e-3)
    patches, landmarks = items.sample(4)
    np.testing.assert_allclose(patches / spans, expected / spans, atol=1e-3)
    assert landmarks.tolist() == [foot(MTP1), foot(MTP2)] * 2
    with torch.no_grad():
        items.validate(network, CPU)
    np.testing.assert_array_equal(network.seen[1], patches)
    # brightness multiplies all of them
    half = UNMOVED.model_copy(update={"intensity": (0.5, 0.5)})
    items = task((FOOT, made), network=seven, changes=half)
    items.loss(network, items.batch(draws(0, 1, 2, 3)), MEAN)
    torch.testing.assert_close(network.seen[2], network.seen[0] / 2)


# ── measuring ────────────────────────────────────────────────────────────────────────────


def test_r_and_rmse_of_each_family() -> None:
    hands = prepared(HAND, {
        (0, hand("mcp2")): (0, 0), (0, hand("mcp3")): (2, 5), (0, hand("mcp4")): (4, NAN),
        (0, hand("ip")): (NAN, 2),
    })  # fmt: skip
    feet = prepared(FOOT, {(0, MTP2): (1, 8), (0, MTP3): (1, 2), (0, MTP4): (2, 2)})
    network = Says({
        hand("mcp2"): (1, 1), hand("mcp3"): (2, 1), hand("mcp4"): (3, 1), hand("ip"): (4, 1),
        foot(MTP2): (2, 4), foot(MTP3): (0, 0), foot(MTP4): (4, 2),
    })  # fmt: skip
    items = task((HAND, hands), (FOOT, feet))
    with torch.no_grad():
        numbers = items.validate(network, CPU)
    assert numbers["r_nh"] == pytest.approx(1)  # 1, 2, 3 against 0, 2, 4
    assert numbers["rmse_nh"] == pytest.approx(np.sqrt(2 / 3))
    assert np.isnan(numbers["r_eh"]), "it says the same of all"
    assert numbers["rmse_eh"] == pytest.approx(np.sqrt((1 + 16 + 1) / 3))
    # 2, 0, 4 against 1, 1, 2: deviations 0, -2, 2 and -1/3, -1/3, 2/3
    assert numbers["r_nf"] == pytest.approx(2 / np.sqrt(8 * 6 / 9))
    assert numbers["rmse_nf"] == pytest.approx(np.sqrt((1 + 1 + 4) / 3))
    # 4, 0, 2 against 8, 2, 2: deviations 2, -2, 0 and 4, -2, -2
    assert numbers["r_ef"] == pytest.approx(12 / np.sqrt(8 * 24))
    assert numbers["rmse_ef"] == pytest.approx(np.sqrt((16 + 4 + 0) / 3))
    assert numbers["score"] == pytest.approx(
        np.mean([numbers["r_nh"], numbers["r_nf"], numbers["r_ef"]])
    )
    assert np.isnan(numbers["dice"]), "nothing is drawn and nothing is known"


def test_a_family_is_measured_alone() -> None:
    feet = prepared(FOOT, {(0, MTP2): (1, 8), (0, MTP3): (1, 2), (0, MTP4): (2, 2)})
    items = task((FOOT, feet), family=(FOOT, EROSION))
    network = Says({foot(MTP2): (4,), foot(MTP3): (0,), foot(MTP4): (2,)}, kinds=1)
    with torch.no_grad():
        numbers = items.validate(network, CPU)
    assert set(numbers) == {"score", "dice", "r_ef", "rmse_ef"}
    assert numbers["rmse_ef"] == pytest.approx(np.sqrt(20 / 3))
    assert numbers["score"] == numbers["r_ef"] == pytest.approx(12 / np.sqrt(8 * 24))


def test_measuring_compares_with_the_official_label_where_there_is_one() -> None:
    train = prepared(FOOT, {(0, MTP2): (1, 1)})
    held = prepared(FOOT, {(0, i): (1, 1) for i in (MTP1, MTP2, MTP3, MTP4)})
    held.arrays["official"][0, [MTP1, MTP2, MTP3, MTP4]] = [
        [2, NAN], [3, NAN], [1, NAN], [NAN, NAN],
    ]  # fmt: skip
    items = task((FOOT, train), held=held)
    network = Says({
        foot(MTP1): (2, 1), foot(MTP2): (2, 1), foot(MTP3): (1, 2), foot(MTP4): (0, 3),
    })  # fmt: skip
    with torch.no_grad():
        numbers = items.validate(network, CPU)
    assert numbers["rmse_nf"] == pytest.approx(np.sqrt(1 / 3))
    assert numbers["r_nf"] == pytest.approx(np.sqrt(3) / 2)
    assert "rmse_ef" not in numbers
    assert np.isnan(numbers["r_ef"])


def test_dice_of_the_masks_that_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    feet = prepared(FOOT, {(0, i): (1, 1) for i in (MTP2, MTP3, MTP4)}, side=PATCH + 4)
    feet.arrays["has_mask"][0, [MTP2, MTP4]] = True
    feet.arrays["masks"][0, MTP2, :, : 2 + 16] = 255  # 2 px of margin: half of the patch
    feet.arrays["masks"][0, MTP3] = 255  # not known: does not count
    network = Says({})
    network.mask.data[:] = -1
    network.mask.data[:2, :, :16] = 1  # the upper half of the first two
    items = task((FOOT, feet), changes=STILL)
    with torch.no_grad():
        one = items.validate(network, CPU)["dice"]
        assert one == pytest.approx(2 * 256 / (512 + 512))
        network.mask.data[2, :, :, :4] = 1  # where no space is
        assert items.validate(network, CPU)["dice"] == pytest.approx(512 / (1024 + 128))
        # and so it is in batches of one, of which each gets the first mask
        monkeypatch.setattr(damage, "VALIDATION_BATCH", 1)
        assert items.validate(network, CPU)["dice"] == pytest.approx(512 / (1024 + 512))


# ── all together ─────────────────────────────────────────────────────────────────────────


def stripes(count: int, seed: int) -> Prepared:
    """Patches with a bright stripe: the narrower the stripe, the more damage."""
    rng, side = np.random.default_rng(seed), PATCH + 10
    known = {(film, landmark): (0.0, 0.0) for film in range(count) for landmark in range(TOES)}
    feet = prepared(FOOT, known, count, side)
    pixels, masks = feet.arrays["pixels"], feet.arrays["masks"]
    pixels //= 5
    for place in known:
        share = rng.random()
        half = 2 + round(9 * (1 - share))
        rows = slice(side // 2 - half, side // 2 + half)
        pixels[(*place, rows)], masks[(*place, rows)] = 220, 255
        feet.arrays["scores"][place] = np.round([4 * share, 10 * share])
    feet.arrays["official"][:] = feet.arrays["scores"]
    feet.arrays["has_mask"][:] = True
    return feet


def test_a_damage_network_learns_masks_and_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "draw_curves", lambda rows, path: None)
    small = DamageSettings(patch_px=PATCH, widths=(6, 8, 12), condition_width=4)
    items = task(
        (FOOT, stripes(24, 1)), held=stripes(6, 2), network=small, changes=PatchChangeSettings()
    )
    settings = LoopSettings(
        epochs=6, batch_size=16, learning_rate=1e-2, threads=1, half=False, device="cpu"
    )
    torch.manual_seed(0)
    outcome = fit(build_damage_net(small), settings, items, tmp_path, lambda _: None)
    assert outcome.numbers["dice"] > 0.7
    assert outcome.numbers["r_nf"] > 0.5
    assert outcome.numbers["r_ef"] > 0.5
