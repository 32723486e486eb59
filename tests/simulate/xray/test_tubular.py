"""Tubular bones cast the shadows that solids of their shape would cast."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mandora.simulate.anatomy.shapes import Form, Tube, base_profile, head_profile
from mandora.simulate.anatomy.skeleton import TubeState
from mandora.simulate.xray.tubular import cast_shadow, growth_plate, place_shadow

TUBE = Tube(14, 8, 11, cup=2.0, dome=2.0, rim=0.8)
SOLID = TubeState(cortex=(9.0, 9.0, 9.0), endplate=(0.7, 0.5))  # compact bone all through
LENGTH, STEP = 40.0, 0.25


def shadow(tube: Tube = TUBE, tube_state: TubeState = SOLID):  # type: ignore[no-untyped-def]
    return cast_shadow(tube, LENGTH, tube_state, STEP, np.random.default_rng(1))


def row(field: np.ndarray, start: float, at: float) -> np.ndarray:
    return field[round((at - start) / STEP)]


def test_the_middle_of_the_shaft_is_as_thick_as_its_ellipse() -> None:
    made = shadow()
    across = row(made.dense + made.spongy, made.start[0], LENGTH / 2)
    assert across.max() == pytest.approx(0.85 * 8, rel=0.05)
    # the area under an ellipse's chords is the area of the ellipse
    assert across.sum() * STEP == pytest.approx(np.pi * 4 * 3.4, rel=0.08)


def test_a_shaft_has_bright_edges_and_a_dark_canal() -> None:
    made = shadow(tube_state=TubeState(cortex=(0.5, 1.6, 0.45)))
    across = row(made.dense, made.start[0], LENGTH / 2)
    inside = np.flatnonzero(across > 0.5)
    edge = across[inside[0] : inside[0] + 8].max()
    assert edge > 1.2 * across[len(across) // 2]
    assert row(made.spongy, made.start[0], LENGTH / 2).max() > 0


def test_the_shadow_ends_where_the_joint_surfaces_are() -> None:
    made = shadow()
    middle = made.dense[:, made.dense.shape[1] // 2] + made.spongy[:, made.dense.shape[1] // 2]
    covered = np.flatnonzero(middle > 0.3)
    first, last = (made.start[0] + STEP * covered[i] for i in (0, -1))
    assert first == pytest.approx(0.0, abs=1.2)  # rims before and behind reach a little further
    assert last == pytest.approx(LENGTH, abs=0.8)


def test_pitch_smears_the_base_along_the_axis() -> None:
    flat, steep = shadow(), shadow(tube_state=replace(SOLID, pitch=0.5))

    def band(made) -> float:  # type: ignore[no-untyped-def]
        """Length over which the base's shadow grows from a tenth to nine tenths, mm."""
        line = made.dense[:, made.dense.shape[1] // 2]
        full = line[round((8 - made.start[0]) / STEP)]
        return float(STEP * (np.argmax(line > 0.9 * full) - np.argmax(line > 0.1 * full)))

    assert band(steep) > band(flat) + 2.0


def test_porosity_takes_bone_from_its_end_only() -> None:
    whole, thin = shadow(), shadow(tube_state=replace(SOLID, porosity=(0.4, 0.0)))
    for at, share in ((2.0, 0.62), (LENGTH - 3.0, 1.0)):
        ratio = (
            row(thin.dense, thin.start[0], at).sum() / row(whole.dense, whole.start[0], at).sum()
        )
        assert ratio == pytest.approx(share, abs=0.04)


def test_a_growth_plate_is_a_dark_cleft_between_dense_lines() -> None:
    off = np.linspace(-4, 4, 161, dtype=np.float32)
    left = growth_plate(off, np.zeros_like(off), np.float32(6.0))
    assert left.min() < 0.7
    assert left[: np.argmin(left)].max() > 1.05
    assert left[np.argmin(left) :].max() > 1.05
    assert left[[0, -1]] == pytest.approx(1.0, abs=0.02)


def test_a_closed_growth_plate_is_one_dense_line() -> None:
    off = np.linspace(-4, 4, 161, dtype=np.float32)
    left = growth_plate(off, np.zeros_like(off), np.float32(6.0), closing=1.0)
    assert left.min() > 0.999
    assert left.max() > 1.2
    dense = off[left > 1.1]
    assert np.ptp(dense) < 1.2


@pytest.mark.parametrize("angle", [0.0, 0.7, 2.5])
def test_laying_a_bone_keeps_its_bone(angle: float) -> None:
    made = shadow()
    up = np.array([np.sin(angle), -np.cos(angle)])
    ppmm = 3.0
    laid = place_shadow(made, np.array([60.0, 60.0]), up, ppmm, (400, 400))
    assert laid is not None
    dense, spongy, rows, cols = laid
    assert dense.shape == (rows.stop - rows.start, cols.stop - cols.start) == spongy.shape
    volume = dense.sum() / ppmm**2
    assert volume == pytest.approx(made.dense.sum() * STEP**2, rel=0.02)
    y, x = np.indices(dense.shape)
    middle = np.array([(x * dense).sum(), (y * dense).sum()]) / dense.sum()
    middle = (middle + np.array([cols.start + 0.5, rows.start + 0.5])) / ppmm
    assert (middle - [60, 60]) @ up == pytest.approx(LENGTH / 2, abs=3.0)
    assert abs((middle - [60, 60]) @ [-up[1], up[0]]) < 0.3


def test_a_bone_beside_the_film_leaves_nothing() -> None:
    assert (
        place_shadow(shadow(), np.array([500.0, 0.0]), np.array([0.0, -1.0]), 2.0, (100, 100))
        is None
    )


def test_the_same_draw_gives_the_same_trabeculae() -> None:
    first, second = shadow(tube_state=TubeState()), shadow(tube_state=TubeState())
    np.testing.assert_array_equal(first.spongy, second.spongy)


def test_sockets_are_hollow_and_heads_are_round() -> None:
    share = np.array([0.0, 0.5])
    base, head = base_profile(replace(TUBE, notch=0.0), share), head_profile(TUBE, share)
    assert base[1] < base[0]  # the rim reaches towards the head before it
    assert head[1] > head[0]  # and the head falls back
    np.testing.assert_allclose(base_profile(TUBE, -share), base_profile(TUBE, share))
    tilted = base_profile(TUBE, share, tilt=0.1) - base_profile(TUBE, share)
    np.testing.assert_allclose(tilted, 0.1 * share * TUBE.base / 2)


def formed(**changes: object) -> np.ndarray:
    """What a bone of spongy bone with some form takes of the beam, mm."""
    state = TubeState(form=Form(grain=0.0, **changes))  # type: ignore[arg-type]
    made = shadow(replace(TUBE, neck=1.2), state)
    assert made.dense.min() >= 0
    assert made.spongy.min() >= 0
    return made.dense + made.spongy


def test_wedged_sides_are_thinner_and_the_middle_is_not() -> None:
    even, wedged = formed(), formed(wedge=(0.0, 1.0))
    at, middle = round((LENGTH - 5 + 5) / STEP), even.shape[1] // 2
    side = middle + round(4.2 / STEP)
    assert wedged[at, side] < 0.75 * even[at, side]
    assert wedged[at, middle] == pytest.approx(even[at, middle], rel=0.02)


def test_pits_and_cysts_take_bone_and_condyles_add_some() -> None:
    even = formed()
    behind = round((5 + LENGTH - 0.58 * TUBE.head) / STEP)
    side = even.shape[1] // 2 + round(0.72 * TUBE.head / 2 / STEP)
    assert formed(pits=(0.4, 0.0))[behind, side] < 0.75 * even[behind, side]
    other = formed(pits=(0.0, 0.4))[behind, side]
    assert other == pytest.approx(even[behind, side], rel=0.02)
    inside = np.index_exp[round((5 + LENGTH - 0.5 * TUBE.head) / STEP), even.shape[1] // 2]
    assert formed(cyst=(0.5, 0.0, 1.5))[inside] < 0.8 * even[inside]
    assert formed(condyles=(3.0, 3.0)).sum() > 1.01 * even.sum()


def test_a_thin_shell_and_thick_plates_are_what_the_form_says() -> None:
    usual, thin = shadow(tube_state=TubeState()), shadow(
        tube_state=TubeState(form=Form(shell=(1.0, 0.5, 1.0)))
    )  # fmt: skip
    assert (
        row(thin.dense, thin.start[0], 20).sum() < 0.7 * row(usual.dense, usual.start[0], 20).sum()
    )
    thick = shadow(tube_state=TubeState(form=Form(plates=(2.0, 1.0))))
    assert thick.dense[: round(10 / STEP)].sum() > 1.1 * usual.dense[: round(10 / STEP)].sum()
