"""The locator around a network that is known: whatever it is shown, it knows where to point."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mandora.anatomy import POINT_INDEX, POINTS, Limb, Side
from mandora.images.channels import whole_film
from mandora.locate.locator import Locator
from mandora.locate.targets import heat_maps
from mandora.records import Reason

SIZE, STRIDE, SIGMA = 128, 2, 1.6
FOOT = np.array([[0.5, -0.6], [0.5, -0.1], [0.2, -0.15], [0.0, -0.05], [-0.25, 0.05], [-0.45, 0.3]])
RNG = np.random.default_rng(3)
HAND = RNG.uniform(-1, 1, (21, 2)) * [0.9, 1.2]
SHAPES = {Limb.FOOT: FOOT, Limb.HAND: HAND}


class KnownNetwork:
    """Sees a left limb where the left half of the picture is the brighter one.

    Args:
        points: (N, 2) px of the network's input, where a left limb's points are.
        peaks: height of each peak in a left limb.
        wrong: factor on the peaks where the limb looks like a right one.
    """

    def __init__(self, points: np.ndarray, peaks: np.ndarray, wrong: float) -> None:
        self.points, self.peaks, self.wrong = points, peaks, wrong

    def __call__(self, film: np.ndarray) -> list[np.ndarray]:
        assert film.shape[1:] == (1, SIZE, SIZE)
        maps = []
        for (view,) in film:
            left = view[:, : SIZE // 2].mean() > view[:, SIZE // 2 :].mean()
            here = heat_maps(self.points, SIZE, STRIDE, SIGMA) * self.peaks[:, None, None]
            maps.append(here if left else here * np.float32(self.wrong))
        return [np.stack(maps).astype(np.float32)]


@pytest.fixture
def locator(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    def make(
        limb: Limb, points: np.ndarray, *, peaks: dict[str, float] | None = None, wrong: float = 0.1
    ) -> Locator:
        heights = np.full(len(points), 0.9, np.float32)
        for name, height in (peaks or {}).items():
            heights[POINT_INDEX[limb][name]] = height
        network = KnownNetwork(points, heights, wrong)
        monkeypatch.setattr("mandora.locate.locator.Network", lambda path, threads: network)
        return Locator(
            Path("unused.onnx"), limb, input_px=SIZE, stride=STRIDE, found_threshold=0.25,
            template=SHAPES[limb],
        )  # fmt: skip

    return make


def film(height: int = 400, width: int = 300) -> np.ndarray:
    """A film that the known network takes for a left limb; its mirror image for a right one."""
    pixels = np.full((height, width), 0.2, np.float32)
    pixels[:, : width // 2] = 0.8
    return pixels


def placed(limb: Limb, unit: float = 25.0, centre: tuple[float, float] = (64, 62)) -> np.ndarray:
    return SHAPES[limb] * unit + centre


def on_film(points: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """What lies at these px of the network lies here on the film."""
    return whole_film(pixels, SIZE, mirror=False)[1].inverse(points)


@pytest.mark.parametrize("limb", list(Limb))
@pytest.mark.parametrize("side", [Side.LEFT, None])
def test_points_come_back_in_px_of_the_film(locator, limb: Limb, side: Side | None) -> None:  # type: ignore[no-untyped-def]
    pixels = film()
    found = locator(limb, placed(limb)).locate(pixels, side)
    assert found.limb is limb
    assert found.view is Side.LEFT
    assert found.reasons == (None,) * len(POINTS[limb])
    # one px of this network is 3.1 px of the film
    np.testing.assert_allclose(found.points, on_film(placed(limb), pixels), atol=2)
    assert ((found.confidence > 0.7) & (found.confidence <= 0.9)).all()
    assert found.fit == pytest.approx(found.confidence.mean(), rel=0.02)


@pytest.mark.parametrize("known", [True, False])
def test_a_mirrored_film_of_a_right_limb_gives_mirrored_points(locator, known: bool) -> None:  # type: ignore[no-untyped-def]
    finder, pixels = locator(Limb.HAND, placed(Limb.HAND)), film()
    left = finder.locate(pixels, Side.LEFT if known else None)
    right = finder.locate(np.ascontiguousarray(pixels[:, ::-1]), Side.RIGHT if known else None)
    assert right.view is Side.RIGHT
    np.testing.assert_allclose(right.points[:, 0], 299 - left.points[:, 0], atol=1e-6)
    np.testing.assert_allclose(right.points[:, 1], left.points[:, 1], atol=1e-6)
    np.testing.assert_allclose(right.confidence, left.confidence)
    assert right.fit == pytest.approx(left.fit)


def test_a_known_side_is_doubted_only_where_the_mirror_fits_far_better(locator) -> None:  # type: ignore[no-untyped-def]
    pixels = film()  # looks like a left limb
    points = placed(Limb.HAND)
    assert locator(Limb.HAND, points, wrong=0.5).locate(pixels, Side.RIGHT).view is Side.LEFT
    assert locator(Limb.HAND, points, wrong=0.8).locate(pixels, Side.RIGHT).view is Side.RIGHT
    assert locator(Limb.HAND, points, wrong=0.8).locate(pixels, None).view is Side.LEFT


def test_a_point_beyond_the_edge_of_the_film_has_no_position(locator) -> None:  # type: ignore[no-untyped-def]
    # a narrow film in the middle of the square: its right edge is column 64 + 24
    pixels, points = film(400, 150), placed(Limb.FOOT, unit=40, centre=(72, 60))
    found = locator(Limb.FOOT, points).locate(pixels, Side.LEFT)
    beyond = {"ip", "mtp1"}  # at column 92
    assert {
        n for n, r in zip(tuple(POINT_INDEX[Limb.FOOT]), found.reasons, strict=True) if r
    } == beyond
    assert set(found.reasons) == {None, Reason.OUTSIDE_FILM}
    assert np.isnan(found.points[:2]).all()
    assert np.isfinite(found.points[2:]).all()


def test_a_faint_point_is_not_found(locator) -> None:  # type: ignore[no-untyped-def]
    found = locator(Limb.HAND, placed(Limb.HAND), peaks={"mcp3": 0.2}).locate(film(), Side.LEFT)
    lost = POINT_INDEX[Limb.HAND]["mcp3"]
    assert found.reasons[lost] is Reason.NOT_FOUND
    assert np.isnan(found.points[lost]).all()
    assert [r for r in found.reasons if r] == [Reason.NOT_FOUND]


@pytest.mark.parametrize("limb", list(Limb))
@pytest.mark.parametrize("shift", [(45, 10), (-40, -25), (0, 45)])
def test_only_the_point_that_is_grossly_out_of_place_is_dropped(  # type: ignore[no-untyped-def]
    locator, limb: Limb, shift: tuple[int, int]
) -> None:
    for astray in range(len(POINTS[limb])):
        points = placed(limb, unit=22)
        points[astray] = np.clip(points[astray] + shift, 5, SIZE - 6)
        if np.linalg.norm(points[astray] - placed(limb, unit=22)[astray]) < 25:
            continue
        found = locator(limb, points).locate(film(400, 400), Side.LEFT)
        wanted = [Reason.NOT_FOUND if i == astray else None for i in range(len(points))]
        assert list(found.reasons) == wanted


def test_an_odd_shape_fits_worse_than_the_usual_one(locator) -> None:  # type: ignore[no-untyped-def]
    usual = locator(Limb.HAND, placed(Limb.HAND)).locate(film(), Side.LEFT)
    jitter = np.random.default_rng(0).normal(0, 5, HAND.shape)
    odd = locator(Limb.HAND, placed(Limb.HAND) + jitter).locate(film(), Side.LEFT)
    assert odd.fit < 0.8 * usual.fit


def test_a_film_with_no_limb_gives_no_points_and_no_error(locator) -> None:  # type: ignore[no-untyped-def]
    none = dict.fromkeys(tuple(POINT_INDEX[Limb.FOOT]), 0.0)
    found = locator(Limb.FOOT, placed(Limb.FOOT), peaks=none).locate(film())
    assert set(found.reasons) == {Reason.NOT_FOUND}
    assert np.isnan(found.points).all()
    assert found.fit == 0


def test_names_follow_the_points() -> None:
    assert tuple(POINT_INDEX[Limb.FOOT]) == ("ip", "mtp1", "mtp2", "mtp3", "mtp4", "mtp5")
