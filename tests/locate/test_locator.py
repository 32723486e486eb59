"""The locator around a network that knows where limbs lie, and sees upright left ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from mandora.core.anatomy import LANDMARK_INDEX, LANDMARKS, Limb, Side
from mandora.core.geometry import Affine
from mandora.core.records import Reason
from mandora.core.specs import FilmSpec
from mandora.locate.field_of_view import FieldOfView
from mandora.locate.locator import FoundLandmarks, Locator, Search
from mandora.locate.orientation import Orientation
from mandora.locate.targets import heat_maps
from mandora.model.contract import DEFAULT_THRESHOLDS

SIZE, STRIDE, SIGMA = 128, 2, 1.6
SPEC = FilmSpec(input_px=SIZE, heat_map_stride=STRIDE, found_threshold=0.25)
FOOT = np.array([[0.5, -0.6], [0.5, -0.1], [0.2, -0.15], [0.0, -0.05], [-0.25, 0.05], [-0.45, 0.3]])
HAND = np.random.default_rng(3).uniform(-1, 1, (21, 2)) * [0.9, 1.2]
SHAPES = {Limb.FOOT: FOOT - FOOT.mean(axis=0), Limb.HAND: HAND - HAND.mean(axis=0)}
UNSEEN = 0.03  # height of the peaks of a limb that the network does not recognise


@dataclass
class Shown:
    """A limb on the film: where its landmarks are, and how it lies there."""

    landmarks: np.ndarray
    orientation: Orientation = field(default_factory=Orientation)
    heights: np.ndarray | float = 0.9
    angle: float = 0.0  # degrees that it is turned beyond its orientation
    smallest_px: float = 0.0  # side of the film that may be seen at once
    largest: float = np.inf  # share of the view that a limb size may take


def shown(
    limb: Limb, *, orientation: Orientation | None = None, unit: float = 60.0, angle: float = 0.0,
    centre: tuple[float, float] = (150, 200), **more: object,
) -> Shown:  # fmt: skip
    """A limb of the mean shape."""
    orientation = orientation or Orientation()
    landmarks = SHAPES[limb] * ([-1.0, 1.0] if orientation.mirrored else [1.0, 1.0])
    turn = np.radians(angle + 90 * orientation.turns)
    landmarks = landmarks @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return Shown(landmarks * unit + centre, orientation, angle=angle, **more)  # type: ignore[arg-type]


class KnownNetwork:
    """Gives the peaks of the limbs that a look shows as it wants to see them.

    Args:
        limbs: what the film shows.
        wrong: height of the peaks, as a share, where a limb looks like a right one.
        guesses: see landmarks beyond the film as well.
    """

    def __init__(self, limbs: list[Shown], wrong: float, guesses: bool) -> None:
        self.limbs, self.wrong, self.guesses = limbs, wrong, guesses
        self.batches: list[int] = []

    def __call__(self, film: np.ndarray) -> list[np.ndarray]:
        assert film.shape[1:] == (1, SIZE, SIZE)
        self.batches.append(len(film))
        return [np.stack([self._maps(look[0, 0]) for look in film]).astype(np.float32)]

    def _maps(self, told: np.ndarray) -> np.ndarray:
        to_film = Affine(told[:6].reshape(2, 3).astype(float), "network", "film")
        inverted, part = bool(told[6]), told[7:11]
        maps = []
        for limb in self.limbs:
            landmarks = to_film.inverse(limb.landmarks)
            share = self._share(limb, to_film, inverted)
            inside = ((limb.landmarks >= part[:2]) & (limb.landmarks <= part[2:])).all(axis=1)
            heights = limb.heights * share * np.where(inside | self.guesses, 1, UNSEEN)
            maps.append(heat_maps(landmarks, SIZE, STRIDE, SIGMA) * heights[:, None, None])
        return np.max(maps, axis=0)

    def _share(self, limb: Shown, to_film: Affine, inverted: bool) -> float:
        up = to_film.inverse.matrix[:, :2] @ limb_up(limb)
        upright = np.degrees(abs(np.arctan2(up[0], -up[1]))) < 46
        if not upright or inverted != limb.orientation.inverted:
            return UNSEEN
        if limb.smallest_px and to_film.scale * SIZE > limb.smallest_px:
            return UNSEEN
        unit = np.linalg.norm(limb.landmarks[0] - limb.landmarks[1]) / np.linalg.norm(
            SHAPES[Limb.HAND][0] - SHAPES[Limb.HAND][1]
        )
        if unit / to_film.scale > limb.largest * SIZE:
            return UNSEEN
        mirrored = np.linalg.det(to_film.matrix[:, :2]) < 0
        return 1.0 if mirrored == limb.orientation.mirrored else self.wrong


def limb_up(limb: Shown) -> np.ndarray:
    turn = np.radians(limb.angle + 90 * limb.orientation.turns)
    return np.array([np.sin(turn), -np.cos(turn)])


def tell(look: FieldOfView, pixels: np.ndarray, size_px: int) -> np.ndarray:
    """Instead of pixels, how the look lies on the film."""
    told = np.zeros((size_px, size_px), np.float32)
    part = look.part or (0, 0, pixels.shape[1], pixels.shape[0])
    told[0, :11] = [*look.to_film.matrix.ravel(), look.inverted, *part]
    return told


Make = Callable[..., Locator]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setattr(FieldOfView, "sample", tell)

    def locator(
        limb: Limb, *limbs: Shown, wrong: float = 0.1, guesses: bool = False, **changed: object
    ) -> Locator:
        network = KnownNetwork(list(limbs), wrong, guesses)
        monkeypatch.setattr("mandora.locate.locator.Network", lambda path, threads: network)
        thresholds = DEFAULT_THRESHOLDS[limb].model_copy(update=changed)
        return Locator(Path("unused.onnx"), limb, SPEC, thresholds, SHAPES[limb])

    return locator


def batches(locator: Locator) -> list[int]:
    return locator._network.batches  # type: ignore[attr-defined, no-any-return]


def film(height: int = 400, width: int = 300) -> np.ndarray:
    return np.zeros((height, width), np.float32)


def assert_found(found: FoundLandmarks, limb: Shown) -> None:
    assert found.reasons == (None,) * len(limb.landmarks)
    # one px of this network is about 3 px of the film
    np.testing.assert_allclose(found.landmarks, limb.landmarks, atol=2.5)
    assert found.orientation == limb.orientation


@pytest.mark.parametrize("limb", list(Limb))
@pytest.mark.parametrize("side", [Side.LEFT, None])
def test_an_upright_limb_costs_one_batch_of_two_looks_and_one_look_at_it_alone(
    make: Make, limb: Limb, side: Side | None
) -> None:
    hand = shown(limb)
    locator = make(limb, hand)
    found = locator.locate(film(), side)
    assert found.limb is limb
    assert_found(found, hand)
    assert ((found.confidence > 0.7) & (found.confidence <= 0.9)).all()
    assert found.fit == pytest.approx(found.confidence.mean(), rel=0.02)
    assert batches(locator) == [2, 1]


@pytest.mark.parametrize("limb", list(Limb))
@pytest.mark.parametrize(
    "orientation",
    [Orientation(*v) for v in product(range(4), (False, True), (False, True))],
    ids=str,
)
def test_a_limb_is_found_however_it_lies(make: Make, limb: Limb, orientation: Orientation) -> None:
    lying = shown(limb, orientation=orientation)
    assert_found(make(limb, lying).locate(film()), lying)


@pytest.mark.parametrize("angle", [-40, -20, 20, 40])
def test_a_slanting_limb_is_found_in_its_nearest_view(make: Make, angle: float) -> None:
    hand = shown(Limb.HAND, orientation=Orientation(turns=1), angle=angle)
    assert_found(make(Limb.HAND, hand).locate(film()), hand)


def test_a_film_is_searched_no_longer_than_it_may(make: Make) -> None:
    locator = make(Limb.HAND, shown(Limb.HAND, orientation=Orientation(turns=2)))
    assert np.isnan(locator.locate(film(), search=Search.UPRIGHT).landmarks).all()
    assert batches(locator) == [2]


def test_a_known_side_is_doubted_only_where_the_mirror_fits_far_better(make: Make) -> None:
    hand = shown(Limb.HAND)  # looks like a left one
    wrong = make(Limb.HAND, hand, wrong=0.5).locate(film(), Side.RIGHT)
    assert wrong.orientation.side is Side.LEFT


def pair(limb: Limb) -> tuple[Shown, Shown]:
    """A limb that looks like a left one beside its mirror image."""
    left = shown(limb, centre=(160, 200))
    return left, shown(limb, orientation=Orientation(mirrored=True), centre=(440, 200))


@pytest.mark.parametrize("limb", list(Limb))
def test_two_limbs_on_a_film_are_found_as_two(make: Make, limb: Limb) -> None:
    both = pair(limb)
    found = make(limb, *both).locate_all(film(400, 600))
    assert len(found) == 2
    for one in found:
        assert_found(one, both[one.orientation.mirrored])


@pytest.mark.parametrize("limb", list(Limb))
def test_of_two_limbs_the_one_of_the_stated_side_is_taken(make: Make, limb: Limb) -> None:
    left, right = pair(limb)
    locator = make(limb, left, right)
    assert_found(locator.locate(film(400, 600), Side.LEFT), left)
    assert_found(locator.locate(film(400, 600), Side.RIGHT), right)


def test_two_views_of_one_hand_do_not_mix(make: Make) -> None:
    better = shown(Limb.HAND, centre=(160, 200))
    worse = shown(Limb.HAND, centre=(440, 200), heights=0.7)
    # both hands' peaks lie in the same heat maps, and the worse one has the higher peak in one
    better.heights = np.full(21, 0.9)
    better.heights[4] = 0.6
    locator = make(Limb.HAND, better, worse)
    assert_found(locator.locate(film(400, 600)), better)
    first, second = locator.locate_all(film(400, 600))
    assert_found(first, better)
    assert_found(second, worse)


def test_a_limb_too_small_to_be_seen_beside_the_other_is_looked_for_in_parts_of_the_film(
    make: Make,
) -> None:
    left, right = pair(Limb.FOOT)
    right.smallest_px = 450  # not seen on the whole film, which is 600 px long
    found = make(Limb.FOOT, left, right).locate_all(film(400, 600))
    assert {one.orientation.side for one in found} == set(Side)
    for one in found:
        assert_found(one, right if one.orientation.mirrored else left)
    assert_found(make(Limb.FOOT, left, right).locate(film(400, 600), Side.RIGHT), right)


def test_a_small_foot_that_looks_like_the_other_ones_side_is_looked_for_again(make: Make) -> None:
    left, right = pair(Limb.FOOT)
    right.smallest_px = 450
    taken_for = shown(Limb.FOOT, centre=(440, 200), heights=0.9)
    found = make(Limb.FOOT, left, taken_for, right).locate_all(film(400, 600))
    by_side = {one.orientation.side: one for one in found}
    assert by_side.keys() == set(Side)
    assert_found(by_side[Side.RIGHT], right)


@pytest.mark.parametrize("side", [None, Side.LEFT])
def test_a_better_view_is_sought_beside_a_poor_one(make: Make, side: Side | None) -> None:
    """As of a hand from the front that is seen only when the oblique one is out of sight."""
    front = shown(Limb.HAND, centre=(160, 200), smallest_px=450)
    oblique = shown(Limb.HAND, centre=(440, 200), heights=0.66)
    assert_found(make(Limb.HAND, front, oblique).locate(film(400, 600), side), front)
    worse = replace(front, heights=0.62)  # clear, too, but no better
    assert_found(make(Limb.HAND, worse, oblique).locate(film(400, 600), side), oblique)
    alone = make(Limb.HAND, front, replace(oblique, heights=0.8))
    alone.locate(film(400, 600), side)
    assert batches(alone) == [2, 1], "a good view is believed at once"


# ── the thresholds of the model ──────────────────────────────────────────────────────────


def test_a_limb_is_clear_from_the_fit_that_the_model_states(make: Make) -> None:
    hand = shown(Limb.HAND, heights=0.55)
    searched, believed = (make(Limb.HAND, hand, clear_fit=fit) for fit in (0.6, 0.5))
    for locator in (searched, believed):
        assert_found(locator.locate(film()), hand)
    assert sum(batches(searched)) > 20 > 3 == sum(batches(believed)[:2])


def test_the_other_side_must_fit_better_by_the_factor_that_the_model_states(make: Make) -> None:
    left, right = pair(Limb.HAND)
    right.heights = 0.7  # of 0.9
    for factor, side in ((1.1, Side.LEFT), (1.4, Side.RIGHT)):
        locator = make(Limb.HAND, left, right, mirror_factor=factor)
        found = locator.locate(film(400, 600), Side.RIGHT, search=Search.UPRIGHT)
        assert found.orientation.side is side


def test_peaks_below_the_lowest_of_the_model_are_noise(make: Make) -> None:
    hand = shown(Limb.HAND, heights=0.3)
    assert_found(make(Limb.HAND, hand).locate(film()), hand)
    assert np.isnan(make(Limb.HAND, hand, lowest_peak=0.35).locate(film()).landmarks).all()


def test_a_limb_is_seen_alone_as_large_as_the_model_states(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    scales = []

    def watch(look: FieldOfView, pixels: np.ndarray, size_px: int) -> np.ndarray:
        scales.append(look.to_film.scale)
        return tell(look, pixels, size_px)

    monkeypatch.setattr(FieldOfView, "sample", watch)
    hand = shown(Limb.HAND, unit=60.0)
    for share in (0.3, 0.2):
        make(Limb.HAND, hand, limb_share=share).locate(film())
        assert 60.0 / scales[-1] == pytest.approx(share * SIZE, rel=0.05)


def test_one_limb_is_not_found_twice(make: Make) -> None:
    hand = shown(Limb.HAND)
    found, *others = make(Limb.HAND, hand, wrong=0.6).locate_all(film())
    assert_found(found, hand)
    assert all(other.fit < 0.2 for other in others)


def test_a_point_beyond_the_edge_of_the_film_has_no_position(make: Make) -> None:
    hand = shown(Limb.HAND, unit=140, centre=(150, 200))
    beyond = (hand.landmarks[:, 0] < -0.5) | (hand.landmarks[:, 0] > 249.5)
    assert 0 < beyond.sum() < 8
    # the network guesses where a landmark lies that it cannot see
    found = make(Limb.HAND, hand, guesses=True).locate(film(400, 250), Side.LEFT)
    assert {r for r, out in zip(found.reasons, beyond, strict=True) if out} == {Reason.OUTSIDE_FILM}
    assert np.isnan(found.landmarks[beyond]).all()
    at_the_border = np.abs(hand.landmarks[:, 0] - 124.5) > 124.5 - 0.1 * 140
    assert np.isfinite(found.landmarks[~beyond & ~at_the_border]).all()


@pytest.mark.parametrize("orientation", [Orientation(), Orientation(turns=2, mirrored=True)])
def test_a_part_of_a_limb_that_fills_the_film_is_found_and_the_rest_is_outside(
    make: Make, orientation: Orientation
) -> None:
    # a film of 120 x 120 px of a hand of 100 px: seen whole it is far too large for the network
    hand = shown(Limb.HAND, unit=100, centre=(60, -20 + 160 * (orientation.turns // 2)),
                 orientation=orientation)  # fmt: skip
    at_the_border = 0.06 * 100
    inside = (np.abs(hand.landmarks - 59.5) < 60 - at_the_border).all(axis=1)
    assert 5 <= inside.sum() <= 12
    hand.largest = 0.6
    found = make(Limb.HAND, hand).locate(film(120, 120), orientation.side)
    assert found.orientation == orientation
    np.testing.assert_allclose(found.landmarks[inside], hand.landmarks[inside], atol=4)
    assert np.isnan(found.landmarks[~inside]).all()
    assert {r for r, seen in zip(found.reasons, inside, strict=True) if not seen} == {
        Reason.OUTSIDE_FILM
    }
    assert found.fit > 0.6


def test_a_faint_point_is_not_found(make: Make) -> None:
    hand = shown(Limb.HAND)
    lost = LANDMARK_INDEX[Limb.HAND]["mcp3"]
    hand.heights = np.where(np.arange(21) == lost, 0.2, 0.9)
    found = make(Limb.HAND, hand).locate(film(), Side.LEFT)
    assert found.reasons[lost] is Reason.NOT_FOUND
    assert np.isnan(found.landmarks[lost]).all()
    assert [r for r in found.reasons if r] == [Reason.NOT_FOUND]


@pytest.mark.parametrize("limb", list(Limb))
@pytest.mark.parametrize("shift", [(75, 15), (-65, -40), (0, 75)])
def test_only_the_point_that_is_grossly_out_of_place_is_dropped(
    make: Make, limb: Limb, shift: tuple[int, int]
) -> None:
    for astray in range(len(LANDMARKS[limb])):
        lying = shown(limb)
        lying.landmarks[astray] += shift
        found = make(limb, lying).locate(film(400, 400), Side.LEFT)
        wanted = [Reason.NOT_FOUND if i == astray else None for i in range(len(lying.landmarks))]
        assert list(found.reasons) == wanted


def test_an_odd_shape_fits_worse_than_the_usual_one(make: Make) -> None:
    usual = make(Limb.HAND, shown(Limb.HAND)).locate(film(), Side.LEFT)
    hand = shown(Limb.HAND)
    hand.landmarks += np.random.default_rng(0).normal(0, 12, hand.landmarks.shape)
    odd = make(Limb.HAND, hand).locate(film(), Side.LEFT)
    assert odd.fit < 0.8 * usual.fit


def test_a_film_with_no_limb_gives_no_points_and_no_error(make: Make) -> None:
    locator = make(Limb.FOOT, shown(Limb.FOOT, heights=0.0))
    found = locator.locate(film())
    assert set(found.reasons) == {Reason.NOT_FOUND}
    assert np.isnan(found.landmarks).all()
    assert found.fit == 0
    assert locator.locate_all(film()) == []


def test_points_of_a_large_film_come_back_in_its_own_px(make: Make) -> None:
    # it is looked at as 900 x 1024, in which the fake's limb lies
    hand = shown(Limb.HAND, unit=120, centre=(450, 500))
    found = make(Limb.HAND, hand).locate(film(3072, 2700))
    np.testing.assert_allclose(found.landmarks, 3 * hand.landmarks + 1, atol=20)
    # less than a px of the network astray
    assert np.abs(found.landmarks - 3 * hand.landmarks - 1).mean() < 6


def test_names_follow_the_points() -> None:
    assert tuple(LANDMARK_INDEX[Limb.FOOT]) == ("ip", "mtp1", "mtp2", "mtp3", "mtp4", "mtp5")
