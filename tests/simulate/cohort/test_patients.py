"""Simulated patients have damage that goes together as in real ones, and states that fit it."""

from __future__ import annotations

import numpy as np
import pytest

from mandora.core.anatomy import FAMILIES, LANDMARK_INDEX, TARGETS, Damage, Limb, Side
from mandora.simulate.cohort.patients import draw_patient, simulate_pair


@pytest.fixture(scope="module")
def grades() -> np.ndarray:
    """(300, 86) true grades."""
    patients = [draw_patient(11, i) for i in range(300)]
    return np.array([[p.grades[t.key] for t in TARGETS] for p in patients])


def columns(**wanted: object) -> list[int]:
    return [i for i, t in enumerate(TARGETS) if all(getattr(t, k) == v for k, v in wanted.items())]


def test_most_joints_are_healthy_and_totals_are_skewed(grades: np.ndarray) -> None:
    totals = grades.sum(axis=1)
    assert 0.75 < (grades == 0).mean() < 0.9
    assert totals.mean() > 2 * np.median(totals)


def test_an_ordinary_cohort_is_like_a_published_one() -> None:
    # CLEAR II, doi:10.1002/acr.20040; standard errors here 1.8 landmarks and 1.3 %
    patients = [draw_patient(0, i) for i in range(1000)]
    grades = np.array([[p.grades[t.key] for t in TARGETS] for p in patients])
    assert grades.sum(axis=1).mean() == pytest.approx(33.4, abs=4)
    assert (grades.any(axis=1)).mean() == pytest.approx(0.748, abs=0.05)
    for kind in Damage:
        assert grades[:, columns(damage=kind)].any(axis=1).mean() == pytest.approx(0.653, abs=0.07)


def test_no_grade_exceeds_its_maximum(grades: np.ndarray) -> None:
    assert (grades <= [t.maximum for t in TARGETS]).all()
    assert (grades >= 0).all()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"side": Side.LEFT}, {"side": Side.RIGHT}),
        ({"damage": Damage.NARROWING}, {"damage": Damage.EROSION}),
        ({"limb": Limb.HAND}, {"limb": Limb.FOOT}),
    ],
)
def test_damage_of_a_patient_goes_together(
    grades: np.ndarray, first: dict[str, object], second: dict[str, object]
) -> None:
    a, b = (grades[:, columns(**w)].sum(axis=1) for w in (first, second))
    assert 0.6 < np.corrcoef(a, b)[0, 1] < 0.95


def test_the_states_of_a_patient_have_the_patients_grades() -> None:
    for index in range(30):
        patient = draw_patient(3, index, severity=1.0)
        for t in TARGETS:
            state = patient.states[t.slot][t.site.name]
            narrowing = t.damage is Damage.NARROWING
            seen = state.narrowing_grade if narrowing else state.erosion_grade(t.limb)
            assert seen == patient.grades[t.key], t.key


@pytest.mark.parametrize("limb", list(Limb))
def test_both_hands_or_feet_share_one_film(limb: Limb) -> None:
    left, right = simulate_pair(draw_patient(3, 1), limb, pixels_per_mm=1.5)
    np.testing.assert_array_equal(left.pixels, right.pixels)
    assert left.spaces.shape == right.spaces.shape == left.pixels.shape
    assert (left.side, right.side) == (Side.LEFT, Side.RIGHT)
    # the left one lies on the left, and thumbs or great toes point to the middle
    assert left.landmarks[:, 0].max() < right.landmarks[:, 0].min()
    inner, outer = (
        LANDMARK_INDEX[limb][f"{'mcp' if limb is Limb.HAND else 'mtp'}{n}"] for n in (1, 5)
    )
    assert left.landmarks[inner, 0] > left.landmarks[outer, 0]
    assert right.landmarks[inner, 0] < right.landmarks[outer, 0]
    assert not ((left.spaces > 0) & (right.spaces > 0)).any()
    for made in (left, right):
        for name, outline in made.bones.items():
            assert np.isfinite(outline).all(), name


def test_grades_for_training_are_even_and_fit_their_states() -> None:
    patients = [draw_patient(3, i, severity=-9.0, even_share=0.2) for i in range(150)]
    for limb, kind in FAMILIES:
        targets = [t for t in TARGETS if (t.limb, t.damage) == (limb, kind)]
        grades = np.array([[p.grades[t.key] for t in targets] for p in patients])
        assert (grades > 0).mean() == pytest.approx(0.2, abs=0.04)
        counts = np.bincount(grades.ravel(), minlength=targets[0].maximum + 1)[1:]
        assert counts.min() > 0.4 * counts.mean()
    for t in TARGETS:
        state = patients[0].states[t.slot][t.site.name]
        narrowing = t.damage is Damage.NARROWING
        seen = state.narrowing_grade if narrowing else state.erosion_grade(t.limb)
        assert seen == patients[0].grades[t.key]
    # other draws stay as they are
    assert draw_patient(3, 0, even_share=0.2).traits == draw_patient(3, 0).traits


def test_scores_are_continuous_for_narrowing_and_rounded_to_the_grades() -> None:
    for patient in (draw_patient(3, i, severity=1.0) for i in range(20)):
        scores = np.array([patient.score(t) for t in TARGETS])
        grades = np.array([patient.grades[t.key] for t in TARGETS])
        np.testing.assert_array_equal(np.floor(scores + 0.5), grades)
        between = scores != grades
        assert between[columns(damage=Damage.NARROWING)].any()
        assert not between[columns(damage=Damage.EROSION)].any()
