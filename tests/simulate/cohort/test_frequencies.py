"""Sites differ in how often they are damaged, and families keep their shares."""

from __future__ import annotations

import numpy as np
import pytest

from mandora.core.anatomy import FAMILIES, TARGETS, Damage, Limb
from mandora.simulate.cohort.frequencies import grade_at, grade_limits
from mandora.simulate.cohort.patients import draw_patient


@pytest.fixture(scope="module")
def grades() -> dict[str, np.ndarray]:
    """Grades of 1000 patients by target."""
    patients = [draw_patient(2, i) for i in range(1000)]
    return {t.key: np.array([p.grades[t.key] for p in patients]) for t in TARGETS}


def damaged(grades: dict[str, np.ndarray], limb: Limb, kind: Damage) -> dict[str, float]:
    """Share of damaged joints by site, both sides together."""
    shares: dict[str, list[float]] = {}
    for t in TARGETS:
        if (t.limb, t.damage) == (limb, kind):
            shares.setdefault(t.site.name, []).append(float((grades[t.key] > 0).mean()))
    return {site: float(np.mean(both)) for site, both in shares.items()}


def test_the_sites_that_are_published_as_most_damaged_are(grades: dict[str, np.ndarray]) -> None:
    feet = damaged(grades, Limb.FOOT, Damage.EROSION)
    assert max(feet, key=feet.__getitem__) == "mtp5"
    assert feet["mtp5"] > 1.5 * np.mean(list(feet.values()))
    hands = damaged(grades, Limb.HAND, Damage.EROSION)
    assert set(sorted(hands, key=hands.__getitem__)[-4:]) == {"ulna", "mcp2", "mcp3", "nav"}
    assert hands["pip3"] > hands["pip5"] > hands["mul"]
    spaces = damaged(grades, Limb.HAND, Damage.NARROWING)
    assert set(sorted(spaces, key=spaces.__getitem__)[-3:]) == {"radcar", "mcp2", "mcp3"}


@pytest.mark.parametrize(
    ("limb", "kind", "share"),
    [
        (Limb.HAND, Damage.NARROWING, 0.163), (Limb.FOOT, Damage.NARROWING, 0.154),
        (Limb.HAND, Damage.EROSION, 0.135), (Limb.FOOT, Damage.EROSION, 0.15),
    ],
)  # fmt: skip
def test_the_mean_share_of_a_family_is_kept(
    grades: dict[str, np.ndarray], limb: Limb, kind: Damage, share: float
) -> None:
    shares = damaged(grades, limb, kind)
    assert len(shares) == len(FAMILIES[limb, kind])
    assert np.mean(list(shares.values())) == pytest.approx(share, abs=0.02)


def test_limits_rise_and_a_grade_is_between_its_limits() -> None:
    for t in TARGETS:
        limits = grade_limits(t)
        assert len(limits) == t.maximum
        assert (np.diff(limits) > 0).all()
        assert grade_at(t, limits[0] - 1e-6) == 0
        assert grade_at(t, limits[-1] + 1e-6) == t.maximum
