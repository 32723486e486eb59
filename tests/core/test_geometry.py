from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mandora.core.geometry import (
    Affine,
    Box,
    as_points,
    box_to_grid,
    fit_similarity,
    limb_size,
    limb_slant,
    mirror_x,
)

coordinate = st.floats(-5000, 5000, allow_nan=False, width=32)
point_sets = arrays(np.float64, st.tuples(st.integers(1, 12), st.just(2)), elements=coordinate)


@st.composite
def affines(draw: st.DrawFn, source: str = "film", target: str = "network") -> Affine:
    """Maps that can be inverted well: turned, scaled by 1/20…20, mirrored or not, shifted."""
    angle = draw(st.floats(-np.pi, np.pi))
    sx, sy = (draw(st.floats(0.05, 20)) * draw(st.sampled_from([-1, 1])) for _ in range(2))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = [[draw(coordinate)], [draw(coordinate)]]
    return Affine(np.hstack([turn @ np.diag([sx, sy]), shift]), source, target)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    x, y = draw(coordinate), draw(coordinate)
    return Box(x, y, x + draw(st.floats(0.5, 3000)), y + draw(st.floats(0.5, 3000)))


# ── landmarks and boxes ─────────────────────────────────────────────────────────────────────


def test_one_point_becomes_a_row() -> None:
    assert as_points((3, 4)).tolist() == [[3.0, 4.0]]


@pytest.mark.parametrize("wrong", [[1, 2, 3], [[1, 2, 3]], [[[1, 2]]], 5])
def test_what_is_no_list_of_points_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"shape \(N, 2\)"):
        as_points(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("corners", [(0, 0, 0, 5), (5, 0, 1, 5), (0, 5, 5, 5), (0, 0, np.nan, 5)])
def test_an_empty_box_is_refused(corners: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="x0 < x1 and y0 < y1"):
        Box(*corners)


@given(x=coordinate, y=coordinate, half=st.floats(0.5, 2000))
def test_a_box_around_a_point_is_centred_on_it(x: float, y: float, half: float) -> None:
    box = Box.around((x, y), half)
    assert box.centre == pytest.approx((x, y), abs=1e-6)
    assert (box.width, box.height) == pytest.approx((2 * half, 2 * half))


# ── affine maps ──────────────────────────────────────────────────────────────────────────


@given(affines(), point_sets)
def test_the_way_there_and_back_ends_where_it_began(there: Affine, landmarks: np.ndarray) -> None:
    np.testing.assert_allclose(there.inverse(there(landmarks)), landmarks, atol=1e-6)
    assert there.inverse.scale == pytest.approx(1 / there.scale)


@given(affines("film", "network"), affines("network", "patch"), point_sets)
def test_a_chain_does_what_its_links_do(first: Affine, then: Affine, landmarks: np.ndarray) -> None:
    chain = then @ first
    assert (chain.source, chain.target) == ("film", "patch")
    np.testing.assert_allclose(chain(landmarks), then(first(landmarks)), rtol=1e-9, atol=1e-6)
    assert chain.scale == pytest.approx(first.scale * then.scale)


def test_maps_between_frames_that_do_not_meet_are_refused() -> None:
    film_to_network = Affine(np.eye(2, 3), "film", "network")
    film_to_patch = Affine(np.eye(2, 3), "film", "patch")
    with pytest.raises(ValueError, match="cannot chain film→network with film→patch"):
        film_to_patch @ film_to_network


def test_unknown_points_stay_unknown() -> None:
    moved = mirror_x(100, "film")([[np.nan, np.nan], [10, 20]])
    assert np.isnan(moved[0]).all()
    assert moved[1].tolist() == [89, 20]


@pytest.mark.parametrize("matrix", [np.eye(3), np.full((2, 3), np.nan), np.eye(2)])
def test_what_is_no_affine_matrix_is_refused(matrix: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"finite \(2, 3\) matrix"):
        Affine(matrix, "film", "network")


def test_a_flat_map_has_no_way_back_and_says_between_which_frames() -> None:
    with pytest.raises(ValueError, match="film→network has no inverse"):
        _ = Affine(np.array([[1.0, 0, 0], [0, 0, 0]]), "film", "network").inverse


@given(boxes(), st.integers(1, 600), st.integers(1, 600))
def test_a_box_is_stretched_over_the_grid_edge_to_edge(box: Box, width: int, height: int) -> None:
    to_grid = box_to_grid(box, (width, height), "patch")
    assert (to_grid.source, to_grid.target) == ("film", "patch")
    corners = to_grid([[box.x0, box.y0], [box.x1, box.y1], box.centre])
    # pixel centres are whole numbers, so the outer edges lie half a pixel outside of them
    wanted = [
        [-0.5, -0.5],
        [width - 0.5, height - 0.5],
        [(width - 1) / 2, (height - 1) / 2],
    ]
    np.testing.assert_allclose(corners, wanted, atol=1e-3, rtol=1e-6)


@given(st.integers(1, 4000), point_sets)
def test_flipping_twice_changes_nothing(width: int, landmarks: np.ndarray) -> None:
    flip = mirror_x(width, "film")
    np.testing.assert_allclose((flip @ flip)(landmarks), landmarks, atol=1e-9)
    np.testing.assert_allclose(flip(landmarks)[:, 1], landmarks[:, 1])


def test_flipping_a_point_agrees_with_flipping_the_image() -> None:
    image = np.zeros((5, 9))
    image[3, 2] = 1
    x, y = mirror_x(9, "film")([2, 3])[0]
    assert image[:, ::-1][int(y), int(x)] == 1


# ── fitting a shape ──────────────────────────────────────────────────────────────────────


@st.composite
def shapes(draw: st.DrawFn) -> np.ndarray:
    """Points that do not all fall on one spot."""
    seed, n = draw(st.integers(0, 2**32 - 1)), draw(st.integers(2, 21))
    return np.random.default_rng(seed).normal(0, 1, (n, 2))


@given(
    shape=shapes(),
    angle=st.floats(-np.pi, np.pi),
    scale=st.floats(0.01, 500),
    shift=st.tuples(coordinate, coordinate),
)
def test_a_known_turn_size_and_shift_is_found_again(
    shape: np.ndarray, angle: float, scale: float, shift: tuple[float, float]
) -> None:
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    wanted = np.array([[c, -s, shift[0]], [s, c, shift[1]]])
    placed = shape @ wanted[:, :2].T + wanted[:, 2]
    np.testing.assert_allclose(fit_similarity(shape, placed), wanted, rtol=1e-6, atol=1e-6)


@given(shape=shapes(), seed=st.integers(0, 1000))
def test_a_fit_never_mirrors(shape: np.ndarray, seed: int) -> None:
    towards = np.random.default_rng(seed).normal(0, 1, shape.shape)
    for goal in (towards, shape * [-1, 1]):
        assert np.linalg.det(fit_similarity(shape, goal)[:, :2]) >= 0


def test_points_without_weight_do_not_matter() -> None:
    shape = np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]])
    placed = shape * 10 + 3
    placed[3] = [500, -200]
    fitted = fit_similarity(shape, placed, [1, 1, 0.5, 0])
    np.testing.assert_allclose(fitted, [[10, 0, 3], [0, 10, 3]], atol=1e-9)


@pytest.mark.parametrize(
    ("shape", "weights"), [([[1, 2]], None), ([[1, 2], [1, 2]], None), ([[0, 0], [1, 1]], [1, 0])]
)
def test_one_spot_has_no_size_and_is_refused(
    shape: list[list[float]], weights: list[float] | None
) -> None:
    with pytest.raises(ValueError, match="two distinct landmarks"):
        fit_similarity(shape, shape, weights)


FOOT = np.array([[0.5, -0.6], [0.5, -0.1], [0.2, -0.15], [0.0, -0.05], [-0.25, 0.05], [-0.45, 0.3]])


@pytest.mark.parametrize("size", [12.0, 200.0])
@pytest.mark.parametrize("angle", [0.0, 0.4, np.pi])
@pytest.mark.parametrize("mirror", [1, -1])
def test_the_size_of_a_limb_is_the_same_wherever_it_lies(
    size: float, angle: float, mirror: int
) -> None:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks = FOOT * [mirror, 1] @ turn.T * size + [300, 900]
    assert limb_size(landmarks, FOOT) == pytest.approx(size)


@pytest.mark.parametrize("known", [(0, 5), (1, 2, 3), (0, 1, 3, 4, 5)])
def test_points_that_are_not_known_do_not_change_the_size(known: tuple[int, ...]) -> None:
    landmarks = np.full((6, 2), np.nan)
    landmarks[list(known)] = FOOT[list(known)] * 50 + [80, 80]
    assert limb_size(landmarks, FOOT) == pytest.approx(50)


@pytest.mark.parametrize("wrong", range(6))
def test_one_wrong_point_hardly_changes_the_size(wrong: int) -> None:
    landmarks = FOOT * 50 + [80, 80]
    landmarks[wrong] += [400, -300]
    assert limb_size(landmarks, FOOT) == pytest.approx(50, rel=1e-6)


def test_the_size_is_the_middle_one_of_all_pairs() -> None:
    # sides 1, 1 and √2; here 30, 40 and 50: 30, 40 and 35.4 times as long
    shape = [[0, 0], [1, 0], [0, 1]]
    assert limb_size([[0, 0], [30, 0], [0, 40]], shape) == pytest.approx(50 / np.sqrt(2))


@pytest.mark.parametrize("known", [0, 1])
def test_a_limb_of_which_too_little_is_known_has_no_size(known: int) -> None:
    landmarks = np.full((6, 2), np.nan)
    landmarks[:known] = FOOT[:known]
    with pytest.raises(ValueError, match=rf"^{known} of 6 landmarks are known, at least 2 at diff"):
        limb_size(landmarks, FOOT)
    with pytest.raises(ValueError, match="6 of 6 landmarks are known, at least 2 at different"):
        limb_size(np.full((6, 2), 7.0), FOOT)


# ── turned boxes ─────────────────────────────────────────────────────────────────────────


def turned(xy: np.ndarray, degrees: float) -> np.ndarray:
    """Turned clockwise on the image."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return xy @ np.array([[cos, sin], [-sin, cos]])


@given(degrees=st.floats(-180, 180), half=st.floats(1, 500))
def test_a_turned_box_keeps_its_sides_and_its_centre(degrees: float, half: float) -> None:
    box = Box.around((30, -12), half, turn_deg=degrees)
    corners = box.corners
    np.testing.assert_allclose(corners.mean(axis=0), (30, -12), atol=1e-6)
    sides = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    np.testing.assert_allclose(sides, 2 * half, rtol=1e-6)
    expected = turned(np.array([[-half, -half]]), degrees) + np.array([30, -12])
    np.testing.assert_allclose(corners[:1], expected, atol=1e-6 * half + 1e-6)
    bounds = box.bounds
    assert (bounds.turn_deg, bounds.frame) == (0, "film")
    np.testing.assert_allclose((bounds.x0, bounds.y0), corners.min(axis=0), atol=1e-9)
    np.testing.assert_allclose((bounds.x1, bounds.y1), corners.max(axis=0), atol=1e-9)


def test_a_turned_box_knows_what_lies_in_it() -> None:
    box = Box.around((0, 0), 10, turn_deg=45)
    points = [(0, 13.9), (9.5, 9.5), (0, 0), (-7, 7), (np.nan, 0)]
    assert box.holds(points).tolist() == [True, False, True, True, False]
    assert Box.around((0, 0), 10).holds(points).tolist() == [False, True, True, True, False]


def test_a_grid_over_a_turned_box_is_turned_with_it() -> None:
    to_grid = box_to_grid(Box.around((50, 60), 8, turn_deg=90), (16, 16), "patch")
    # clockwise: what is right of the centre was above it
    np.testing.assert_allclose(to_grid([(50, 60), (55, 60)]), [(7.5, 7.5), (7.5, 2.5)], atol=1e-9)


def test_a_box_turned_by_nothing_that_is_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="number of degrees"):
        Box(0, 0, 1, 1, turn_deg=float("nan"))


# ── slant ────────────────────────────────────────────────────────────────────────────────

HAND = np.array(
    [[1.0, -0.5], [0.4, -1.3], [-0.06, -1.36], [-0.47, -1.17], [0.34, -0.62], [-0.04, -0.63],
     [-0.34, -0.5], [0.23, 0.52], [-0.13, 0.81], [0.05, 0.94], [-0.35, 0.98]]
)  # fmt: skip
WRIST = range(7, 11)


@given(degrees=st.floats(-179, 179), size=st.floats(1, 900), mirrored=st.booleans())
def test_the_slant_of_a_limb_is_the_turn_of_its_template(
    degrees: float, size: float, mirrored: bool
) -> None:
    shape = HAND * [-1 if mirrored else 1, 1]
    xy = turned(shape, degrees) * size + (300, 200)
    assert limb_slant(xy, HAND, mirrored=mirrored) == pytest.approx(degrees, abs=1e-6)
    flipped = xy * [-1, 1]  # the film in the mirror
    assert limb_slant(flipped, HAND, mirrored=not mirrored) == pytest.approx(-degrees, abs=1e-6)


def test_the_slant_follows_from_what_is_known() -> None:
    xy = turned(HAND, 170) * 80
    for known in (range(11), WRIST, range(4), (0, 8), (9, 10)):
        part = np.full_like(xy, np.nan)
        part[list(known)] = xy[list(known)]
        assert limb_slant(part, HAND) == pytest.approx(170)
    for few in ((), (3,)):
        part = np.full_like(xy, np.nan)
        part[list(few)] = xy[list(few)]
        with pytest.raises(ValueError, match=r"at least 2 at different places .* limb slants"):
            limb_slant(part, HAND)
    with pytest.raises(ValueError, match="at least 2 at different places"):
        limb_slant(np.zeros_like(xy), HAND)


def test_a_crooked_finger_or_a_wrong_landmark_hardly_changes_the_slant() -> None:
    xy = turned(HAND, 30) * 80
    crooked = xy.copy()
    crooked[1] = xy[4] + turned(xy[1] - xy[4], 60)
    wrong = xy.copy()
    wrong[8] += (120, -150)
    for changed in (crooked, wrong):
        assert limb_slant(changed, HAND) == pytest.approx(30, abs=2)
        matrix = fit_similarity(HAND, changed)
        by_squares = np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))
        assert abs(limb_slant(changed, HAND) - 30) < abs(by_squares - 30)


def test_errors_of_places_on_a_part_of_the_limb_turn_it_by_a_few_degrees() -> None:
    rng = np.random.default_rng(0)
    for known, most in ((range(11), 1.5), (WRIST, 5)):
        found = [
            limb_slant((HAND + rng.normal(0, 0.025, HAND.shape))[known] * 80, HAND[known])
            for _ in range(200)
        ]
        assert np.std(found) < most
