"""Damage that is inflicted on a film is what it claims to be, and nothing else changes."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from mandora.core.anatomy import (
    FAMILIES,
    LANDMARK_INDEX,
    LANDMARKS,
    SLOTS,
    Damage,
    JointGroup,
    Limb,
    Site,
    Slot,
)
from mandora.images.read import read_radiograph
from mandora.inflict.inflicted import Inflicted, inflict
from mandora.inflict.joint_line import ExpectedLine, find_joint_line
from mandora.inflict.region import Frame
from mandora.inflict.sites import JOINTS, LimbLandmarks
from mandora.simulate.cohort.patients import draw_patient, simulate_film
from mandora.simulate.xray.render import SimulatedFilm

Film = tuple[np.ndarray, np.ndarray]
UNIT = {Limb.HAND: ("mcp2", "mcp5"), Limb.FOOT: ("mtp1", "mtp5")}


@pytest.fixture(scope="module")
def healthy() -> dict[str, Film]:
    """Pixels and landmarks of the four films of a patient without damage, by slot."""
    patient = draw_patient(6, 0, severity=-8.0)
    found = {}
    for slot in SLOTS:
        film = simulate_film(patient, slot, pixels_per_mm=5)
        found[slot.code] = film.pixels, film.landmarks
    return found


def place(landmarks: np.ndarray, name: str) -> np.ndarray:
    limb = next(limb for limb in Limb if len(LANDMARKS[limb]) == len(landmarks))
    return landmarks[LANDMARK_INDEX[limb][name]]


def size(landmarks: np.ndarray) -> float:
    limb = next(limb for limb in Limb if len(LANDMARKS[limb]) == len(landmarks))
    first, last = (place(landmarks, name) for name in UNIT[limb])
    return float(np.hypot(*(first - last)))


def contrast(pixels: np.ndarray) -> float:
    """Between bone and what is around the limb; films differ tenfold in it."""
    low, high = np.percentile(pixels, [5, 75])
    return float(high - low)


def darkness(pixels: np.ndarray, result: Inflicted) -> float:
    """How much darker the middle of the joint space is than what is beside it."""
    line = result.line[len(result.line) // 3 : -len(result.line) // 3]
    step = np.gradient(line, axis=0)
    normal = np.stack([-step[:, 1], step[:, 0]], axis=1) / np.hypot(*step.T)[:, None]
    reach = 0.2 * np.hypot(*(result.line[-1] - result.line[0]))
    places = line + np.linspace(-reach, reach, 61)[:, None, None] * normal
    x, y = np.rint(places).astype(int).transpose(2, 0, 1)
    grey = pixels[y, x].mean(axis=1)
    level = min(grey[:30].max(), grey[31:].max())
    return float(np.clip(level - grey[15:46], 0, None).sum())


@pytest.mark.parametrize(
    ("code", "site"), [("LH", "pip3"), ("LH", "mcp2"), ("RH", "mcp5"), ("LF", "mtp2")]
)
def test_the_joint_space_vanishes_with_the_grade(
    healthy: dict[str, Film], code: str, site: str
) -> None:
    pixels, landmarks = healthy[code]
    left = []
    for grade in (2, 3, 4):
        result = inflict(pixels, landmarks, site, narrowing=grade, seed=2)
        assert result.narrowing == result.state.narrowing_grade == grade
        left.append(darkness(result.pixels, result))
    assert darkness(pixels, result) > left[0] > left[1] > left[2]


@pytest.mark.parametrize(
    ("code", "site"), [("LH", "pip3"), ("RH", "mcp2"), ("LH", "lunate"), ("RF", "mtp1")]
)
def test_erosions_take_bone_away_and_more_with_the_grade(
    healthy: dict[str, Film], code: str, site: str
) -> None:
    pixels, landmarks = healthy[code]
    areas = []
    for grade in (1, 3, 5):
        result = inflict(pixels, landmarks, site, erosion=grade, seed=1)
        assert result.erosion == grade
        eroded = result.eroded
        assert result.pixels[eroded].mean() < pixels[eroded].mean() - 0.03 * contrast(pixels)
        areas.append(int(eroded.sum()))
    assert 0 < areas[0] < areas[2]


@pytest.mark.parametrize("code", ["LH", "RF"])
def test_every_site_can_be_damaged_by_every_grade(healthy: dict[str, Film], code: str) -> None:
    pixels, landmarks = healthy[code]
    refused, calls = [], 0
    for damage in Damage:
        for site in FAMILIES[Slot.parse(code).limb, damage]:
            for grade in range(1, site.maximum + 1, 2):
                calls += 1
                try:
                    result = inflict(pixels, landmarks, site.name, **{str(damage): grade})
                except ValueError as error:  # where bones lie over each other
                    refused.append(str(error))
                    continue
                assert (result.pixels != pixels).any(), (site.name, damage, grade)
                assert result.pixels.dtype == np.float32
                assert result.pixels.min() >= 0
                assert result.pixels.max() <= 1
                check_locality(pixels, landmarks, site, result)
    assert len(refused) < 0.1 * calls, refused
    assert all(re.search(r"no joint line|seen nowhere", text) for text in refused)


def check_locality(
    pixels: np.ndarray, landmarks: np.ndarray, site: Site, result: Inflicted
) -> None:
    """Bit for bit the film it was, but for the neighbourhood of the site."""
    y, x = np.nonzero(result.pixels != pixels)
    away = np.hypot(x - result.landmark[0], y - result.landmark[1]).max()
    assert away < 0.7 * size(landmarks), site.name


def test_no_grade_gives_back_the_very_pixels(healthy: dict[str, Film]) -> None:
    for code in ("LH", "RH"):
        pixels, landmarks = healthy[code]
        result = inflict(pixels, landmarks, "mcp3", narrowing=0, erosion=None)
        assert np.array_equal(result.pixels, pixels)
        assert not result.eroded.any()
        np.testing.assert_allclose(result.landmark, place(landmarks, "mcp3"))


@pytest.mark.parametrize("code", ["LH", "RH"])
@pytest.mark.parametrize("site", ["mul", "lunate", "radius", "ulna"])
@pytest.mark.parametrize("grade", [0, 3])
def test_the_landmark_of_a_bone_stays_where_it_is(
    healthy: dict[str, Film], code: str, site: str, grade: int
) -> None:
    # also where the middle of the bone lies elsewhere: a patch around it would tell the damage
    pixels, landmarks = healthy[code]
    result = inflict(pixels, landmarks, site, erosion=grade, seed=1)
    np.testing.assert_allclose(result.landmark, place(landmarks, site))


def test_the_same_seed_gives_the_same_film_and_another_one_another(
    healthy: dict[str, Film],
) -> None:
    pixels, landmarks = healthy["LH"]
    first, again, other = (
        inflict(pixels, landmarks, "mcp2", narrowing=2, erosion=3, seed=seed) for seed in (7, 7, 8)
    )
    assert np.array_equal(first.pixels, again.pixels)
    assert first.state == again.state
    assert not np.array_equal(first.pixels, other.pixels)


def test_a_mirrored_film_gets_the_mirror_image(healthy: dict[str, Film]) -> None:
    pixels, landmarks = healthy["LH"]
    width = pixels.shape[1] - 1
    mirrored = np.ascontiguousarray(pixels[:, ::-1])
    for site, grades in (("mcp2", {"narrowing": 1, "erosion": 4}), ("nav", {"erosion": 3})):
        result = inflict(pixels, landmarks, site, **grades)
        twin = inflict(mirrored, landmarks * [-1, 1] + [width, 0], site, **grades)
        assert np.array_equal(twin.pixels[:, ::-1], result.pixels)
        assert np.array_equal(twin.eroded[:, ::-1], result.eroded)
        np.testing.assert_allclose(twin.line * [-1, 1] + [width, 0], result.line)


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_a_turned_film_has_its_joint_where_the_upright_one_has(
    healthy: dict[str, Film], quarter_turns: int
) -> None:
    pixels, landmarks = healthy["LH"]
    turned, places = pixels, landmarks
    for _ in range(quarter_turns):
        turned = np.rot90(turned)
        places = np.column_stack([places[:, 1], turned.shape[0] - 1 - places[:, 0]])
    upright = inflict(pixels, landmarks, "pip2", narrowing=3)
    result = inflict(np.ascontiguousarray(turned), places, "pip2", narrowing=3)
    line = upright.line
    for turn in range(quarter_turns):
        height = pixels.shape[1] if turn % 2 == 0 else pixels.shape[0]
        line = np.column_stack([line[:, 1], height - 1 - line[:, 0]])
    np.testing.assert_allclose(result.line, line, atol=0.5)


def test_an_error_of_the_points_is_no_harm(healthy: dict[str, Film]) -> None:
    pixels, landmarks = healthy["LH"]
    rng = np.random.default_rng(0)
    for site in ("pip3", "mcp2", "mcp4"):
        middle = inflict(pixels, landmarks, site, narrowing=2).line.mean(axis=0)
        for _ in range(4):
            shifted = landmarks + rng.normal(0, 0.01 * size(landmarks), landmarks.shape)
            found = inflict(pixels, shifted, site, narrowing=2).line.mean(axis=0)
            # along the joint the line begins where the landmark says; across, where the space is
            assert np.hypot(*(found - middle)) < 0.04 * size(landmarks)


@pytest.mark.parametrize("beyond", [0.6, 0.75, 0.85])
@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("faint", [1.0, 0.6])
def test_a_growth_plate_is_not_taken_for_the_joint(beyond: float, side: int, faint: float) -> None:
    """Not even if the landmark was set beyond the middle between the two, as localisers do."""
    rows, columns = np.mgrid[:200, :200].astype(float)
    bone = np.clip(25.5 - abs(columns - 100), 0, 1) * (0.6 + 0.01 * np.sin(rows / 3))
    plate = 12.0 * side  # distal of the joint, or proximal
    for row, width, depth in ((120.0, 5.0, faint), (120 - plate, 4.0, 1.0)):
        bone *= 1 - 0.8 * depth * np.clip(width / 2 + 0.5 - abs(rows - row), 0, 1)
    pixels = (0.1 + ndimage.gaussian_filter(bone, 0.7)).astype(np.float32)
    frame = Frame(np.array([100.0, 120 - beyond * plate]), np.array([0.0, -1.0]))
    found, blind = (
        find_joint_line(pixels, frame, ExpectedLine(50, 5, 6.0, reach)).line[:, 1].mean()
        for reach in (plate, 0.0)
    )
    assert found == pytest.approx(120, abs=1)
    if beyond > 0.8:
        assert blind == pytest.approx(120 - plate, abs=1), "what happens without the rule"


@pytest.mark.parametrize("below", [0.0, 6.0, 10.0])
def test_a_joint_around_a_head_is_not_taken_for_the_straight_one_beside_it(below: float) -> None:
    """The capitate's joint, and the darker one of the radius proximal of it."""
    rows, columns = np.mgrid[:240, :240].astype(float)
    radius, middle = 32.0, 120.0  # of the head, and the row of its lowest landmark
    away = np.hypot(columns - 120, rows - (middle - radius)) - radius
    bone = 0.7 + 0.01 * np.sin(rows / 3) * np.cos(columns / 4)
    around = (rows > middle - radius) & (abs(columns - 120) < 1.2 * radius)
    bone -= 0.2 * np.clip(3.0 - abs(away), 0, 1) * around
    bone -= 0.5 * np.clip(4.0 - abs(rows - middle - 24), 0, 1)
    pixels = (0.1 + ndimage.gaussian_filter(bone, 0.7)).astype(np.float32)
    frame = Frame(np.array([120.0, middle + below]), np.array([0.0, -1.0]))
    found, blind = (
        find_joint_line(pixels, frame, ExpectedLine(62, 6, 5.0, round_of=r)).line
        for r in (31.0, 0.0)
    )
    inner = slice(8, -8)  # within 0.27 of the width from the middle
    off = np.hypot(*(found - [120, middle - radius]).T) - radius
    assert np.abs(off[inner]).max() < 1.5
    if below > 8:
        assert np.median(blind[inner, 1]) > middle + 15, "what happens without the rule"


def test_without_a_growth_plate_the_joint_is_where_it_was(healthy: dict[str, Film]) -> None:
    pixels, landmarks = healthy["LH"]
    limb = LimbLandmarks.of(landmarks, pixels.shape)
    for site in ("pip2", "pip3", "pip4", "pip5", "radcar"):
        joint = JOINTS[Limb.HAND][site]
        frame = Frame(limb.known(site, site), limb.axis(site, joint.axes))
        sizes = [v * limb.size_px for v in (joint.width, joint.gap, 0.02)]
        plain, wary = (
            find_joint_line(pixels, frame, ExpectedLine(*sizes, reach)).line
            for reach in (0.0, joint.plate * limb.size_px)
        )
        assert joint.plate
        np.testing.assert_array_equal(plain, wary)


@pytest.mark.parametrize("site", ["nav", "lunate", "mul", "radius", "ulna"])
def test_a_bone_of_the_wrist_that_is_not_seen_is_not_eroded(
    healthy: dict[str, Film], site: str
) -> None:
    pixels, landmarks = healthy["LH"]
    x, y = LimbLandmarks.of(landmarks, pixels.shape).place(site)
    rows, columns = np.ogrid[: pixels.shape[0], : pixels.shape[1]]
    reach = 0.6 if site in ("radius", "ulna") else 0.35
    hidden = np.hypot(rows - y, columns - x) < reach * size(landmarks)
    flat = np.where(hidden, np.float32(0.6), pixels)
    with pytest.raises(ValueError, match=rf"{site}: .* seen nowhere .* leave this site out"):
        inflict(flat, landmarks, site, erosion=3)
    assert inflict(pixels, landmarks, site, erosion=3).eroded.any()


def test_damage_adds_up_over_calls(healthy: dict[str, Film]) -> None:
    pixels, landmarks = healthy["LH"]
    first = inflict(pixels, landmarks, "mcp2", narrowing=3)
    both = inflict(first.pixels, landmarks, "pip5", erosion=2)
    alone = inflict(pixels, landmarks, "pip5", erosion=2)
    assert np.array_equal(both.eroded, alone.eroded)
    assert (both.pixels != alone.pixels).any()


def test_the_point_moves_with_the_film(healthy: dict[str, Film]) -> None:
    pixels, landmarks = healthy["LH"]
    result = inflict(pixels, landmarks, "mcp2", narrowing=3)
    moved = result.landmark - place(landmarks, "mcp2")
    assert np.hypot(*moved) < 0.03 * size(landmarks)


# ── what becomes of outlines ─────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def outlined() -> dict[str, SimulatedFilm]:
    """A hand and a foot without damage, by slot, with the outlines of their joint spaces."""
    patient = draw_patient(6, 0, severity=-8.0)
    return {
        code: simulate_film(patient, Slot.parse(code), pixels_per_mm=5) for code in ("RH", "LF")
    }


@pytest.mark.parametrize(
    ("code", "site"),
    [("RH", "pip3"), ("RH", "mcp2"), ("RH", "radcar"), ("LF", "mtp2"), ("LF", "mtp3")],
)
@pytest.mark.parametrize("grade", [1, 2, 3])
def test_the_outline_of_a_space_narrows_with_it(
    outlined: dict[str, SimulatedFilm], code: str, site: str, grade: int
) -> None:
    film = outlined[code]
    label = 1 + LANDMARK_INDEX[film.limb][site]
    done = inflict(film.bright, film.landmarks, site, narrowing=grade, seed=1, spaces=film.spaces)
    assert done.spaces is not None
    before, after = film.spaces == label, done.spaces == label
    left = after.sum() / before.sum()
    # what is lost of the space is lost of its outline; the displacement fades at its ends
    lost = done.state.loss / 2 if done.state.focal else done.state.loss
    assert 1 - 1.1 * min(lost, 0.92) - 0.1 < left < 1 - 0.5 * lost
    # and it lies where the space is now, whose middle has not moved
    middle = done.line[len(done.line) // 4 : -len(done.line) // 4]
    columns, rows = np.rint(middle).astype(int).T
    assert ndimage.distance_transform_edt(~after)[rows, columns].max() < 1.5
    if grade < 3:  # the outline holds a bone's end plate, which is most of what is left then
        closed = before & ~after  # bone has come here
        assert done.pixels[after].mean() < done.pixels[closed].mean() - 0.01
    assert np.isin(done.spaces, film.spaces).all()


@pytest.mark.parametrize(("code", "site"), [("RH", "pip3"), ("LF", "mtp1")])
def test_a_joint_that_bone_bridges_has_no_space(
    outlined: dict[str, SimulatedFilm], code: str, site: str
) -> None:
    film = outlined[code]
    label = 1 + LANDMARK_INDEX[film.limb][site]
    done = inflict(film.bright, film.landmarks, site, narrowing=4, spaces=film.spaces)
    assert done.state.fused
    assert done.spaces is not None
    assert not (done.spaces == label).any()
    assert set(np.unique(done.spaces)) == set(np.unique(film.spaces)) - {label}
    assert (film.spaces == label).any(), "what was given stays as it was"


@pytest.mark.parametrize("site", ["mcp2", "nav", "ulna"])
def test_erosions_are_added_to_those_that_were_known(
    outlined: dict[str, SimulatedFilm], site: str
) -> None:
    film = outlined["RH"]
    known = np.zeros_like(film.erosions)
    known[:20, :20] = 3
    done = inflict(film.bright, film.landmarks, site, erosion=3, erosions=known, spaces=film.spaces)
    label = 1 + LANDMARK_INDEX[Limb.HAND]["radcar" if site == "nav" else site]
    assert done.eroded.any()
    np.testing.assert_array_equal(done.erosions, np.where(done.eroded, label, known))
    np.testing.assert_array_equal(done.spaces, film.spaces)  # bone is gone, the space is not


def test_erosions_move_with_the_bone_they_are_in(outlined: dict[str, SimulatedFilm]) -> None:
    film = outlined["RH"]
    first = inflict(film.bright, film.landmarks, "mcp2", erosion=3, erosions=film.erosions)
    both = inflict(first.pixels, film.landmarks, "mcp2", narrowing=3, erosions=first.erosions)
    assert both.erosions is not None
    was, now = (np.argwhere(e == 1 + LANDMARK_INDEX[Limb.HAND]["mcp2"])
                for e in (first.erosions, both.erosions))  # fmt: skip
    assert len(now) == pytest.approx(len(was), rel=0.1)
    assert 0.2 < np.hypot(*(now.mean(axis=0) - was.mean(axis=0))) < 0.03 * size(film.landmarks)


def test_outlines_of_a_mirrored_film_are_mirrored(outlined: dict[str, SimulatedFilm]) -> None:
    film = outlined["RH"]
    given = {"spaces": film.spaces, "erosions": film.erosions}
    damage = {"narrowing": 3, "erosion": 4}
    result = inflict(film.bright, film.landmarks, "mcp3", **damage, **given)
    twin = inflict(
        np.ascontiguousarray(film.bright[:, ::-1]),
        film.landmarks * [-1, 1] + [film.bright.shape[1] - 1, 0],
        "mcp3", **damage, **{name: np.ascontiguousarray(m[:, ::-1]) for name, m in given.items()},
    )  # fmt: skip
    for name in given:
        assert (getattr(result, name) != given[name]).any()
        np.testing.assert_array_equal(getattr(twin, name)[:, ::-1], getattr(result, name))


def test_what_was_not_outlined_stays_unknown(healthy: dict[str, Film]) -> None:
    result = inflict(*healthy["LH"], "mcp2", narrowing=2, erosion=2)
    assert result.spaces is result.erosions is None
    pixels, landmarks = healthy["LH"]
    with pytest.raises(ValueError, match="erosions must be a uint8 map of the film's shape"):
        inflict(pixels, landmarks, "mcp2", narrowing=2, erosions=np.zeros((4, 4), np.uint8))


@pytest.mark.parametrize(
    ("site", "grades", "message"),
    [
        ("mcp9", {"narrowing": 1}, "has no site 'mcp9'"),
        ("mtp1", {"narrowing": 1}, "a hand has no site"),
        ("mcp2", {"narrowing": 5}, "0 to 4, got 5"),
        ("mcp2", {"erosion": -1}, "0 to 5, got -1"),
        ("mcp2", {"erosion": 1.5}, "whole number"),
        ("cmc3", {"erosion": 1}, "not scored there"),
        ("ulna", {"narrowing": 1}, "not scored there"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(
    healthy: dict[str, Film], site: str, grades: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        inflict(*healthy["LH"], site, **grades)


def test_points_that_are_no_use_are_refused(healthy: dict[str, Film]) -> None:
    pixels, landmarks = healthy["LH"]
    with pytest.raises(ValueError, match="20 landmarks"):
        inflict(pixels, landmarks[:20], "mcp2", narrowing=1)
    lost = landmarks.copy()
    lost[LANDMARK_INDEX[Limb.HAND]["pip3"]] = np.nan
    with pytest.raises(ValueError, match="pip3 is unknown"):
        inflict(pixels, lost, "pip3", narrowing=1)
    lost[LANDMARK_INDEX[Limb.HAND]["pip3"]] = (-5, 10)
    with pytest.raises(ValueError, match="has to lie on the film"):
        inflict(pixels, lost, "pip3", narrowing=1)
    alone = np.full_like(landmarks, np.nan)
    alone[LANDMARK_INDEX[Limb.HAND]["mcp2"]] = place(landmarks, "mcp2")
    with pytest.raises(ValueError, match="1 of 21 landmarks are known"):
        inflict(pixels, alone, "mcp2", narrowing=1)
    alone = np.full_like(landmarks, np.nan)
    for name in ("mcp2", "pip3"):
        alone[LANDMARK_INDEX[Limb.HAND][name]] = place(landmarks, name)
    with pytest.raises(ValueError, match="which way the hand lies"):
        inflict(pixels, alone, "pip3", narrowing=1)


@pytest.mark.parametrize("code", ["LH", "RH", "LF", "RF"])
def test_points_that_are_not_needed_may_be_lacking(healthy: dict[str, Film], code: str) -> None:
    """Not even those that the units of the mean shape are stated in."""
    pixels, landmarks = healthy[code]
    known = landmarks.copy()
    limb = Slot.parse(code).limb
    for name in UNIT[limb]:
        known[LANDMARK_INDEX[limb][name]] = np.nan
    if limb is Limb.FOOT:  # these tell which way it lies
        known[LANDMARK_INDEX[limb]["mtp1"]] = place(landmarks, "mtp1")
    site = "pip3" if limb is Limb.HAND else "mtp3"
    whole, part = (inflict(pixels, given, site, narrowing=2) for given in (landmarks, known))
    assert np.hypot(*(whole.line - part.line).T).max() < 0.02 * size(landmarks)
    assert (part.pixels != pixels).any()


def test_a_film_that_shows_no_joint_there_is_refused(healthy: dict[str, Film]) -> None:
    pixels, landmarks = healthy["LH"]
    with pytest.raises(ValueError, match=r"pip3: no joint line was found near .* correct"):
        inflict(np.full_like(pixels, 0.5), landmarks, "pip3", narrowing=2)
    with pytest.raises(ValueError, match="give the film in full size"):
        inflict(pixels[::8, ::8].copy(), landmarks / 8, "pip3", narrowing=2)
    with pytest.raises(ValueError, match="float32"):
        inflict(pixels.astype(np.float64), landmarks, "pip3", narrowing=2)  # type: ignore[arg-type]


# ── grades ───────────────────────────────────────────────────────────────────────────────


def across_bone(pixels: np.ndarray, result: Inflicted, level: float) -> np.ndarray:
    """Which tenths of the bone's width are eroded at ``level`` widths beyond the joint line."""
    line = result.line
    width = np.hypot(*(line[-1] - line[0])) / 0.9
    step = np.gradient(line, axis=0)
    normal = np.stack([step[:, 1], -step[:, 0]], axis=1) / np.hypot(*step.T)[:, None]
    x, y = np.rint(line + level * width * normal).astype(int).T
    return np.asarray(result.eroded[y, x])


@pytest.mark.parametrize(("code", "site"), [("LH", "mcp2"), ("LH", "pip3"), ("RF", "mtp3")])
def test_grade_5_in_one_is_the_collapse_of_the_bones_end(
    healthy: dict[str, Film], code: str, site: str
) -> None:
    pixels, landmarks = healthy[code]
    collapses = 0
    for seed in range(12):
        try:
            result = inflict(pixels, landmarks, site, erosion=5, seed=seed)
        except ValueError:  # many small ones of which one is not seen
            continue
        if len(result.state.erosions) > 1:
            continue
        collapses += 1
        level = 0.15 if result.state.erosions[0].anchor % 2 else -0.15
        gone = max((across_bone(pixels, result, sign * level) for sign in (1, -1)), key=np.sum)
        # over the whole width, but for some bone that is left
        assert gone[4:-4].mean() > 0.6
        assert gone[:15].any()
        assert gone[-15:].any()
        before, after = pixels[result.eroded].mean(), result.pixels[result.eroded].mean()
        assert after < before - 0.06 * contrast(pixels)
    assert collapses > 1


def test_an_erosion_of_3_crosses_the_middle_and_one_of_1_does_not(
    healthy: dict[str, Film],
) -> None:
    pixels, landmarks = healthy["LH"]
    for grade, crosses in ((1, False), (3, True)):
        seen = []
        for seed in range(20):
            result = inflict(pixels, landmarks, "mcp3", erosion=grade, seed=seed)
            if len(result.state.erosions) > 1:
                continue
            y, x = np.nonzero(result.eroded)
            middle, direction = result.line.mean(axis=0), result.line[-1] - result.line[0]
            off = (np.column_stack([x, y]) - middle) @ (direction / np.hypot(*direction))
            half = np.hypot(*direction) / 2
            seen.append(off.min() < 0.15 * half and off.max() > -0.15 * half)
        assert len(seen) > 3
        assert np.mean(seen) > 0.7 if crosses else np.mean(seen) < 0.3, (grade, seen)


def test_narrowing_is_a_continuous_score_that_rounds_to_the_grade(healthy: dict[str, Film]) -> None:
    pixels, landmarks = healthy["LH"]
    doubtful = 0
    for seed in range(8):
        result = inflict(pixels, landmarks, "mcp3", narrowing=1, seed=seed)
        score = result.scores[Damage.NARROWING]
        assert score == result.state.narrowing_score
        assert np.floor(score + 0.5) == result.narrowing == 1
        assert result.scores[Damage.EROSION] == 0
        doubtful += not result.state.focal
        assert (result.pixels != pixels).any()
    assert 0 < doubtful < 8, "grade 1 is focal or doubtful"


# ── coarse films, and parts of limbs ─────────────────────────────────────────────────────


def coarse(film: Film, times: int) -> Film:
    """The film with pixels of ``times`` × ``times`` of its own."""
    pixels, landmarks = film
    rows, columns = (n // times for n in pixels.shape)
    blocks = pixels[: rows * times, : columns * times].reshape(rows, times, columns, times)
    return blocks.mean(axis=(1, 3)).astype(np.float32), (landmarks - (times - 1) / 2) / times


@pytest.mark.parametrize(("code", "site"), [("LH", "mcp3"), ("LH", "pip2"), ("RF", "mtp2")])
def test_a_coarse_film_is_damaged_like_a_fine_one(
    healthy: dict[str, Film], code: str, site: str
) -> None:
    film = coarse(healthy[code], 4)
    pixels, landmarks = film
    assert 60 < size(landmarks) < 110
    left = []
    for grade in (2, 3, 4):
        result = inflict(pixels, landmarks, site, narrowing=grade, seed=2)
        left.append(darkness(result.pixels, result))
        away = np.hypot(*(np.argwhere(result.pixels != pixels)[:, ::-1] - result.landmark).T)
        assert away.max() < 0.6 * size(landmarks)
    assert darkness(pixels, result) > left[0] > left[1] > left[2]
    fine = inflict(*healthy[code], site, narrowing=2, seed=2)
    middle = (fine.line - 1.5) / 4
    assert np.hypot(*(result.line.mean(axis=0) - middle.mean(axis=0))) < 0.03 * size(landmarks)
    areas = [int(inflict(*film, site, erosion=g, seed=4).eroded.sum()) for g in (1, 3, 5)]
    assert 0 < areas[0] < areas[1]


def test_maps_of_a_coarse_film_narrow_with_it(outlined: dict[str, SimulatedFilm]) -> None:
    film = outlined["RH"]
    pixels, landmarks = coarse((film.bright, film.landmarks), 4)
    spaces = np.ascontiguousarray(film.spaces[2::4, 2::4][: pixels.shape[0], : pixels.shape[1]])
    label = 1 + LANDMARK_INDEX[Limb.HAND]["mcp2"]
    counts = [int((spaces == label).sum())]
    for grade in (2, 4):
        done = inflict(pixels, landmarks, "mcp2", narrowing=grade, spaces=spaces, seed=1)
        assert done.spaces is not None
        counts.append(int((done.spaces == label).sum()))
    assert counts[0] > counts[1] > counts[2] == 0


@pytest.mark.parametrize("code", ["LH", "RH"])
def test_a_wrist_without_fingers_can_be_damaged(healthy: dict[str, Film], code: str) -> None:
    pixels, landmarks = healthy[code]
    wrist = [m.name for m in LANDMARKS[Limb.HAND] if m.group is JointGroup.WRIST]
    alone = np.full_like(landmarks, np.nan)
    for name in wrist:
        alone[LANDMARK_INDEX[Limb.HAND][name]] = place(landmarks, name)
    for site in ("cmc3", "cmc5", "radcar", "mna"):
        whole, part = (inflict(pixels, at, site, narrowing=2) for at in (landmarks, alone))
        assert np.hypot(*(whole.line - part.line).T).mean() < 0.04 * size(landmarks), site
    for site in ("mc1", "lunate", "radius", "ulna"):
        result = inflict(pixels, alone, site, erosion=3)
        assert result.eroded.any(), site


@pytest.mark.films
def test_real_films_keep_their_grain(films: Path) -> None:
    from scipy.ndimage import gaussian_filter

    with (films / "films.csv").open(newline="") as file:
        name, path = next(
            (r["film"], films / r["file"]) for r in csv.DictReader(file) if r["set"] == "dha"
        )
    landmarks = np.full((len(LANDMARKS[Limb.HAND]), 2), np.nan)
    with (films / "joints.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["film"] == name and row["site"] in LANDMARK_INDEX[Limb.HAND]:
                landmarks[LANDMARK_INDEX[Limb.HAND][row["site"]]] = float(row["x"]), float(row["y"])
    film = read_radiograph(path)
    for site in ("pip3", "mcp2", "mcp5"):
        result = inflict(film, landmarks, site, narrowing=2)
        changed = film.pixels != result.pixels
        fine = [p - gaussian_filter(p, 1.0) for p in (film.pixels, result.pixels)]
        before, after = (f[changed].std() for f in fine)
        assert after == pytest.approx(before, rel=0.15)
