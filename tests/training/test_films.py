"""Films to train on are upright left limbs, and their labels lie where the pixels say."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mandora.core.anatomy import LANDMARK_INDEX, LANDMARKS, TARGET_INDEX, TARGETS, Limb, Side, Slot
from mandora.datasets.dataset import Dataset, DatasetFilm, DatasetRoi, point_scores
from mandora.datasets.outlines import Outline
from mandora.datasets.score_tables import Scores
from mandora.simulate.cohort.patients import Patient, draw_patient
from mandora.training import films as films_module
from mandora.training.films import LabelledFilms, SimulatedFilms, TrainingFilm, space_between

LH, RH = Slot(Side.LEFT, Limb.HAND), Slot(Side.RIGHT, Limb.HAND)
LF, RF = Slot(Side.LEFT, Limb.FOOT), Slot(Side.RIGHT, Limb.FOOT)
MTP2, TOES = LANDMARK_INDEX[Limb.FOOT]["mtp2"], len(LANDMARKS[Limb.FOOT])

# a left foot, upright: 120 px wide and 160 high
PLACES = np.array([[85, 30], [88, 78], [62, 71], [48, 78], [33, 88], [15, 104]])


def scores(**known: float) -> Scores:
    """``LF_mtp2_narrowing=1`` and so on; the rest is unknown."""
    table = np.full(len(TARGETS), np.nan)
    for name, value in known.items():
        slot, site, damage = name.split("_")
        table[TARGET_INDEX[f"{slot}-{site}:{damage}"]] = value
    return table


def upright_foot() -> tuple[np.ndarray, np.ndarray]:
    """Grey values with a dot of its own brightness at each place, and joint spaces around them."""
    grey = np.add.outer(np.arange(160), np.arange(120)).astype(np.uint8) // 8
    spaces = np.zeros((160, 120), np.uint8)
    for i, (x, y) in enumerate(PLACES):
        grey[y, x] = 200 + 10 * i
        spaces[y, x - 2 : x + 4] = 1 + i
    return grey, spaces


def turned(picture: np.ndarray, turns: int, mirrored: bool) -> np.ndarray:
    shown = picture[:, ::-1] if mirrored else picture
    return np.ascontiguousarray(np.rot90(shown, turns))


def dots(grey: np.ndarray) -> np.ndarray:
    """(6, 2) where the dots lie on a film, found by their brightness."""
    return np.array([np.argwhere(grey == 200 + 10 * i)[0][::-1] for i in range(TOES)], float)


def square(point: int, centre: np.ndarray) -> Outline:
    corners = centre + 1.4 * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    return Outline(f"foot-{LANDMARKS[Limb.FOOT][point].name}", corners)


def write_foot(
    folder: Path, slot: Slot = LF, turns: int = 0, mirrored: bool = False, marked: int = TOES
) -> DatasetFilm:
    """A film of a foot with its joint spaces as a label map and an erosion at MTP2."""
    grey, spaces = (turned(picture, turns, mirrored) for picture in upright_foot())
    Image.fromarray(grey).save(folder / "foot.png")
    Image.fromarray(spaces).save(folder / "foot-spaces.png")
    landmarks = dots(grey)
    erosions = (square(MTP2, landmarks[MTP2]),)
    landmarks[marked:] = np.nan
    return DatasetFilm(
        "P1", slot, folder / "foot.png", landmarks, folder / "foot-spaces.png", erosions
    )


def labelled(
    folder: Path,
    *items: DatasetFilm | DatasetRoi,
    official: Mapping[str, Scores] | None = None,
    readers: Mapping[str, Mapping[str, Scores]] | None = None,
    limb: Limb = Limb.FOOT,
) -> LabelledFilms:
    films = tuple(i for i in items if isinstance(i, DatasetFilm))
    rois = tuple(i for i in items if isinstance(i, DatasetRoi))
    dataset = Dataset(
        folder, "manifest", films, rois, official or {}, readers or {}, {"ana": 3.0, "bo": 1.0}
    )
    return LabelledFilms(dataset, limb, folder / "cache")


# ── simulated films ──────────────────────────────────────────────────────────────────────


def assert_same_film(one: TrainingFilm, other: TrainingFilm) -> None:
    np.testing.assert_array_equal(one.pixels, other.pixels)
    np.testing.assert_array_equal(one.landmarks, other.landmarks)
    np.testing.assert_array_equal(one.scores, other.scores)
    np.testing.assert_array_equal(one.spaces, other.spaces)
    np.testing.assert_array_equal(one.erosions, other.erosions)


@pytest.mark.parametrize("limb", list(Limb))
def test_a_few_coarse_films_show_the_other_kind_of_limb_alone(
    limb: Limb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(films_module, "OTHER_SHARE", 1.0)
    strange = SimulatedFilms(limb, 1, 5, fine=False).film(0)
    assert strange.outside == tuple(range(len(LANDMARKS[limb])))
    assert np.isnan(strange.landmarks).all()
    assert np.isnan(strange.scores).all()
    assert strange.pixels.std() > 0.02
    monkeypatch.setattr(films_module, "OTHER_SHARE", 0.0)
    usual = SimulatedFilms(limb, 1, 5, fine=False).film(0)
    assert usual.outside == ()
    assert np.isfinite(usual.landmarks).all()


def test_simulated_films_can_be_made_again_whatever_their_number() -> None:
    first = SimulatedFilms(Limb.FOOT, 2, 5, fine=False).film(1)
    assert_same_film(SimulatedFilms(Limb.FOOT, 9, 5, fine=False).film(1), first)
    height, width = first.pixels.shape
    assert first.pixels.dtype == np.float32
    assert first.pixels.min() >= 0
    assert first.pixels.max() <= 1
    assert first.landmarks.shape == (TOES, 2)
    inside = (first.landmarks > 0) & (first.landmarks < [width, height])
    assert inside.all(axis=1).sum() >= 4, "most joints lie in view"
    assert first.spaces is not None
    assert first.erosions is not None
    assert first.spaces.shape == first.erosions.shape == first.pixels.shape
    assert np.unique(first.spaces).max() <= TOES
    patient = draw_patient(5, 1, severity=0.75, immature_share=0.3)
    grades = np.array([patient.grades[t.key] for t in TARGETS], float)
    np.testing.assert_array_equal(first.official, point_scores(grades, LF))
    # a network learns the loss of space itself
    scores = np.array([patient.score(t) for t in TARGETS])
    np.testing.assert_allclose(first.scores, point_scores(scores, LF))
    other = SimulatedFilms(Limb.FOOT, 2, 6, fine=False).film(1)
    assert other.pixels.shape != first.pixels.shape or (other.pixels != first.pixels).any()


@pytest.mark.parametrize(
    ("limb", "fine", "odd"),
    [(Limb.FOOT, False, True), (Limb.FOOT, True, False), (Limb.HAND, False, False)],
)
def test_half_of_the_feet_for_the_localiser_are_odd(
    monkeypatch: pytest.MonkeyPatch, limb: Limb, fine: bool, odd: bool
) -> None:
    class Drawn(Exception):
        pass

    seen = []

    def keep(patient: Patient, *_: object, **__: object) -> None:
        seen.append(patient.traits.shape_deviation)
        raise Drawn

    monkeypatch.setattr(films_module, "simulate_film", keep)
    monkeypatch.setattr(films_module, "simulate_pair", keep)
    for index in range(60):
        with pytest.raises(Drawn):
            SimulatedFilms(limb, 60, 5, fine).film(index)
    share = np.mean([shape_deviation > 1 for shape_deviation in seen])
    assert 0.3 < share < 0.7 if odd else share == 0
    assert max(seen) <= films_module.MOST_ODD


def test_films_for_patches_are_finer_than_those_for_the_localiser() -> None:
    fine = SimulatedFilms(Limb.FOOT, 1, 5, fine=True).film(0)
    again = SimulatedFilms(Limb.FOOT, 1, 5, fine=True).film(0)
    assert_same_film(again, fine)
    coarse = SimulatedFilms(Limb.FOOT, 1, 5, fine=False).film(0)
    ends = [LANDMARK_INDEX[Limb.FOOT][name] for name in ("mtp1", "mtp5")]
    sizes = [np.linalg.norm(np.subtract(*film.landmarks[ends])) for film in (fine, coarse)]
    assert sizes[0] > 1.7 * sizes[1]  # at least 4 px a mm, to 1.8


def test_some_fine_films_look_like_small_copies_and_keep_their_masks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def film(share: float) -> TrainingFilm:
        monkeypatch.setattr(films_module, "COPIED_SHARE", share)
        monkeypatch.setattr(films_module, "COPY_PIXELS_PER_MM", (1.6, 1.7))
        return SimulatedFilms(Limb.FOOT, 1, 5, fine=True).film(0)

    plain, copy = film(0.0), film(1.0)
    assert copy.pixels.shape == plain.pixels.shape
    assert copy.spaces is not None
    assert plain.spaces is not None
    np.testing.assert_array_equal(copy.spaces, plain.spaces)
    np.testing.assert_array_equal(copy.landmarks, plain.landmarks)
    steps = [float(np.abs(np.diff(made.pixels, axis=1)).mean()) for made in (plain, copy)]
    assert steps[1] < 0.8 * steps[0]
    shift = abs(float(copy.pixels.mean() - plain.pixels.mean()))
    assert shift < 0.01


def test_the_key_names_what_simulated_films_are_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    films = SimulatedFilms(Limb.FOOT, 4, 5, fine=True)
    assert SimulatedFilms(Limb.FOOT, 4, 5, fine=True).key == films.key
    others = [
        replace(films, limb=Limb.HAND), replace(films, count=5), replace(films, seed=6),
        replace(films, fine=False),
    ]  # fmt: skip
    keys = {films.key, *(other.key for other in others)}
    assert len(keys) == 5
    monkeypatch.setattr(films_module, "code_digest", lambda _: "a later program")
    assert films.key not in keys
    assert len(films) == 4
    assert films.name(3) == "simulated foot 3 of seed 5"


# ── films of a data set ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("slot", "turns", "mirrored"),
    [
        pytest.param(LF, 0, False, id="left"),
        pytest.param(RF, 0, True, id="right"),
        pytest.param(LF, 2, False, id="left, upside down"),
        pytest.param(RF, 2, True, id="right, upside down"),
        pytest.param(LF, 1, False, id="left, lying"),
        pytest.param(RF, 3, True, id="right, lying"),
        pytest.param(LF, 0, True, id="named left, lies like a right one"),
    ],
)
def test_every_film_becomes_an_upright_left_foot(
    tmp_path: Path, slot: Slot, turns: int, mirrored: bool
) -> None:
    film = labelled(tmp_path, write_foot(tmp_path, slot, turns, mirrored)).film(0)
    grey, spaces = upright_foot()
    np.testing.assert_allclose(film.pixels, grey / 255, atol=1e-5)
    np.testing.assert_allclose(film.landmarks, PLACES, atol=1e-9)
    np.testing.assert_array_equal(film.spaces, spaces)
    erosions = np.zeros((160, 120), np.uint8)
    x, y = PLACES[MTP2]
    erosions[y - 1 : y + 2, x - 1 : x + 2] = 1 + MTP2
    np.testing.assert_array_equal(film.erosions, erosions)
    for values in (film.pixels, film.spaces, film.erosions):
        assert values is not None
        assert values.flags.c_contiguous
    assert film.boxes == {}


@pytest.mark.parametrize("marked", [0, 3])
def test_with_few_marks_the_name_says_which_side_it_is(tmp_path: Path, marked: int) -> None:
    grey, spaces = upright_foot()
    left = labelled(tmp_path, write_foot(tmp_path, LF, marked=marked)).film(0)
    right = labelled(tmp_path, write_foot(tmp_path, RF, mirrored=True, marked=marked)).film(0)
    for film in (left, right):
        np.testing.assert_allclose(film.pixels, grey / 255, atol=1e-5)
        np.testing.assert_array_equal(film.landmarks[:marked], PLACES[:marked])
        assert np.isnan(film.landmarks[marked:]).all()
        np.testing.assert_array_equal(film.spaces, spaces)


def test_a_film_without_outlines_has_none(tmp_path: Path) -> None:
    bare = replace(write_foot(tmp_path, RF, mirrored=True), spaces=None, erosions=None)
    film = labelled(tmp_path, bare).film(0)
    assert film.spaces is None
    assert film.erosions is None


def test_training_aims_at_the_readers_and_validation_at_the_official_label(
    tmp_path: Path,
) -> None:
    films = labelled(
        tmp_path, write_foot(tmp_path),
        official={"P1": scores(LF_mtp2_narrowing=4, LF_ip_erosion=7, RF_mtp2_narrowing=1)},
        readers={
            "ana": {"P1": scores(LF_mtp2_narrowing=1, LF_mtp2_erosion=2)},
            "bo": {"P1": scores(LF_mtp2_narrowing=2)},
        },
    )  # fmt: skip
    film, nan = films.film(0), np.nan
    assert film.scores[MTP2].tolist() == [1.25, 2]  # (3 · 1 + 1 · 2) / 4
    np.testing.assert_array_equal(film.official[MTP2], [4, nan])
    assert film.scores[0, 1] == film.official[0, 1] == 7, "nobody else scored it"
    assert np.isfinite(film.scores).sum() == 3
    assert np.isfinite(film.official).sum() == 2


def test_a_patient_without_an_official_label_is_not_measured(tmp_path: Path) -> None:
    readers = {"ana": {"P1": scores(LF_mtp2_narrowing=1)}}
    film = labelled(tmp_path, write_foot(tmp_path), readers=readers).film(0)
    assert film.scores[MTP2, 0] == 1
    assert np.isnan(film.official).all()


def test_only_this_limb_is_taken_and_a_film_is_called_by_its_file(tmp_path: Path) -> None:
    foot, roi = write_foot(tmp_path), write_roi(tmp_path)
    films = labelled(tmp_path, roi, foot)
    assert [films.name(i) for i in range(len(films))] == ["foot.png"]
    hands = labelled(tmp_path, roi, foot, limb=Limb.HAND)
    assert [hands.name(i) for i in range(len(hands))] == ["MCP-I.png"]
    assert len(replace(hands, rois=False)) == 0
    handed_on = pickle.loads(pickle.dumps(films))
    assert handed_on.key == films.key
    assert_same_film(handed_on.film(0), films.film(0))


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    foot = write_foot(tmp_path)
    with pytest.raises(ValueError, match=r"foot\.png"):
        labelled(tmp_path, replace(foot, label_size=(160, 120))).film(0)
    Image.new("L", (12, 16)).save(tmp_path / "foot-spaces.png")
    with pytest.raises(ValueError, match=r"foot-spaces\.png: has 12 × 16 px"):
        labelled(tmp_path, foot).film(0)


# ── pictures of single joints ────────────────────────────────────────────────────────────

MCP2 = LANDMARK_INDEX[Limb.HAND]["mcp2"]
RADCAR = LANDMARK_INDEX[Limb.HAND]["radcar"]
BONES = np.ones((50, 40), bool)
BONES[20:24] = False  # the joint space: closing spans 40 // 20 = 2 px to each side
BONES[:, :4] = False  # beside the bones
SPACE = np.zeros((50, 40), bool)
SPACE[20:24, 5:] = True
SPACE[21:23, 5] = False  # from beside the bones the disc's tip reaches into the mouth of the gap


def write_roi(folder: Path, slot: Slot = RH, landmarks: tuple[str, ...] = ("mcp2",)) -> DatasetRoi:
    """A picture, 40 px wide and 50 high, with masks of its bones and of an erosion."""
    grey = np.add.outer(np.arange(50) * 2, np.arange(40) * 3).astype(np.uint8)
    eroded = np.zeros((50, 40), np.uint8)
    eroded[18:20, 8:12] = 255
    for name, picture in (
        ("MCP-I", grey), ("bones", np.where(BONES, 255, 0).astype(np.uint8)), ("eroded", eroded)
    ):  # fmt: skip
        Image.fromarray(picture).save(folder / f"{name}.png")
    code = slot.code
    known = {f"{code}-mcp2:narrowing": 2.0, f"{code}-mcp2:erosion": 3.0,
             f"{code}-radcar:narrowing": 1.0, f"{code}-nav:erosion": 4.0}  # fmt: skip
    served = tuple(LANDMARKS[Limb.HAND][LANDMARK_INDEX[Limb.HAND][name]] for name in landmarks)
    return DatasetRoi(
        "P2", slot, served, folder / "MCP-I.png", known, folder / "bones.png",
        folder / "eroded.png",
    )  # fmt: skip


@pytest.mark.parametrize("slot", [LH, RH])
def test_a_joint_of_its_own_is_all_of_its_patch(tmp_path: Path, slot: Slot) -> None:
    film = labelled(tmp_path, write_roi(tmp_path, slot), limb=Limb.HAND).film(0)
    grey = np.add.outer(np.arange(50) * 2, np.arange(40) * 3) / 255
    spaces = np.where(SPACE, 1 + MCP2, 0)
    erosions = np.zeros((50, 40), np.uint8)
    erosions[18:20, 8:12] = 1 + MCP2
    wanted = [grey, spaces, erosions]
    if slot is RH:
        wanted = [picture[:, ::-1] for picture in wanted]
    np.testing.assert_allclose(film.pixels, wanted[0], atol=1e-6)
    np.testing.assert_array_equal(film.spaces, wanted[1])
    np.testing.assert_array_equal(film.erosions, wanted[2])
    # its middle is the landmark, and its longer side that of the window
    assert film.landmarks[MCP2].tolist() == [19.5, 24.5]
    (box,) = film.boxes.values()
    assert (box.x0, box.y0, box.x1, box.y1) == (19.5 - 25, -0.5, 19.5 + 25, 49.5)
    assert list(film.boxes) == [MCP2]
    assert film.scores[MCP2].tolist() == [2, 3]
    others = np.arange(len(LANDMARKS[Limb.HAND])) != MCP2
    assert np.isnan(film.scores[others]).all(), "it shows no other joint"
    assert np.isnan(film.landmarks[others]).all()
    np.testing.assert_array_equal(film.official, film.scores)


def test_a_joint_may_serve_several_points(tmp_path: Path) -> None:
    roi = write_roi(tmp_path, LH, ("radcar", "mcp2"))
    film = labelled(tmp_path, roi, limb=Limb.HAND).film(0)
    assert sorted(film.boxes) == [MCP2, RADCAR]
    assert film.scores[RADCAR].tolist() == [1, 4], "the navicular is scored in its patch"
    assert film.scores[MCP2].tolist() == [2, 3]
    assert film.spaces is not None
    assert np.unique(film.spaces).tolist() == [0, 1 + RADCAR], "the first of its landmarks"


def test_a_joint_without_masks_has_none(tmp_path: Path) -> None:
    roi = replace(write_roi(tmp_path), bones=None, erosions=None)
    film = labelled(tmp_path, roi, limb=Limb.HAND).film(0)
    assert film.spaces is None
    assert film.erosions is None


@pytest.mark.parametrize("mask", ["bones", "eroded"])
def test_a_mask_of_another_size_is_refused_and_both_files_named(tmp_path: Path, mask: str) -> None:
    roi = write_roi(tmp_path)
    Image.new("L", (50, 40)).save(tmp_path / f"{mask}.png")
    with pytest.raises(
        ValueError, match=rf"{mask}\.png: has 50 × 40 px, MCP-I\.png has 40 × 50; export"
    ):
        labelled(tmp_path, roi, limb=Limb.HAND).film(0)


def test_a_mask_that_is_damaged_costs_its_joint_only(tmp_path: Path) -> None:
    roi = write_roi(tmp_path)
    (tmp_path / "bones.png").write_text("no picture", encoding="utf-8")
    with pytest.raises(ValueError, match=r"bones\.png: cannot be read as a mask"):
        labelled(tmp_path, roi, limb=Limb.HAND).film(0)


def test_the_space_between_bones_is_what_closing_them_adds() -> None:
    np.testing.assert_array_equal(space_between(BONES), SPACE)
    wide = BONES.copy()
    wide[20:25] = False  # 5 px: a disc of radius 2 lies in it
    assert not space_between(wide)[:, 8:].any()
    assert not space_between(np.ones((50, 40), bool)).any()
    assert not space_between(np.zeros((50, 40), bool)).any()


# ── the key ──────────────────────────────────────────────────────────────────────────────

READERS = {
    "ana": {"P1": scores(LF_mtp2_narrowing=1)}, "bo": {"P1": scores(LF_mtp2_narrowing=2)}
}  # fmt: skip
OFFICIAL = {"P1": scores(LF_mtp2_narrowing=4)}


def test_the_key_stays_while_content_and_labels_do(tmp_path: Path) -> None:
    def build(folder: Path) -> LabelledFilms:
        folder.mkdir()
        return labelled(folder, write_foot(folder), official=OFFICIAL, readers=READERS)

    one, other = build(tmp_path / "1"), build(tmp_path / "2")
    assert one.key == other.key
    assert one.key.startswith("manifest-foot-")


def test_the_key_changes_with_anything_that_changes_what_is_learnt(tmp_path: Path) -> None:
    foot = write_foot(tmp_path)
    moved = foot.landmarks.copy()
    moved[0, 0] += 1
    far = square(MTP2, PLACES[MTP2] + 2)
    renamed = (square(0, PLACES[MTP2]),)
    variants = [
        foot, replace(foot, landmarks=moved), replace(foot, slot=RF), replace(foot, patient="P3"),
        replace(foot, erosions=(far,)), replace(foot, erosions=renamed),
        replace(foot, erosions=()), replace(foot, erosions=None), replace(foot, spaces=None),
        replace(foot, label_size=(160, 120)),
    ]  # fmt: skip
    keys = [labelled(tmp_path, one, official=OFFICIAL, readers=READERS).key for one in variants]
    strict = {"ana": {"P1": scores(LF_mtp2_narrowing=3)}, "bo": READERS["bo"]}
    keys.append(labelled(tmp_path, foot, official=OFFICIAL, readers=strict).key)
    corrected = {"P1": scores(LF_mtp2_narrowing=3)}
    keys.append(labelled(tmp_path, foot, official=corrected, readers=READERS).key)
    for name in ("foot-spaces.png", "foot.png"):
        with Image.open(tmp_path / name) as picture:
            changed = np.array(picture)
        changed[0, 0] += 1
        Image.fromarray(changed).save(tmp_path / name)
        keys.append(labelled(tmp_path, foot, official=OFFICIAL, readers=READERS).key)
    assert len(set(keys)) == len(keys) == 14


def test_the_key_changes_with_the_labels_of_single_joints(tmp_path: Path) -> None:
    roi = write_roi(tmp_path)
    other = (LANDMARKS[Limb.HAND][RADCAR],)
    variants = [
        roi, replace(roi, slot=LH), replace(roi, landmarks=other), replace(roi, bones=None),
        replace(roi, scores={**roi.scores, "RH-mcp2:erosion": 1.0}),
        replace(roi, erosions=roi.bones),
    ]  # fmt: skip
    keys = [labelled(tmp_path, one, limb=Limb.HAND).key for one in variants]
    Image.new("L", (40, 50)).save(tmp_path / "eroded.png")
    keys.append(labelled(tmp_path, roi, limb=Limb.HAND).key)
    assert len(set(keys)) == len(keys) == 7
