from __future__ import annotations

import pytest

from mandora.core.anatomy import (
    FAMILIES,
    LANDMARKS,
    N_LANDMARKS,
    SITES,
    SLOTS,
    TARGETS,
    Damage,
    JointGroup,
    Limb,
    Side,
    Slot,
    landmark,
    maximum_total,
    target,
    targets_of,
)


def test_a_patient_has_86_scores_at_43_sites_and_27_landmarks() -> None:
    assert len(TARGETS) == len({t.key for t in TARGETS}) == 86
    assert len(SITES) == 43
    assert N_LANDMARKS == 27
    assert {limb: len(landmarks) for limb, landmarks in LANDMARKS.items()} == {
        Limb.HAND: 21,
        Limb.FOOT: 6,
    }


def test_totals_are_280_erosion_168_narrowing_448_overall() -> None:
    def total(kind: Damage) -> int:
        return maximum_total(t for t in TARGETS if t.damage is kind)

    assert total(Damage.EROSION) == 280
    assert total(Damage.NARROWING) == 168
    assert maximum_total() == 448


@pytest.mark.parametrize(
    ("code", "sites", "highest"), [("LH", 31, 60 + 80), ("RH", 31, 140), ("LF", 12, 84)]
)
def test_each_film_has_its_own_sites_and_maximum(code: str, sites: int, highest: int) -> None:
    targets = targets_of(Slot.parse(code))
    assert len(targets) == sites
    assert maximum_total(targets) == highest
    assert {t.slot.code for t in targets} == {code}


def test_the_four_films_cover_every_target_once() -> None:
    keys = [t.key for slot in SLOTS for t in targets_of(slot)]
    assert sorted(keys) == sorted(t.key for t in TARGETS)


# ── names ────────────────────────────────────────────────────────────────────────────────


def test_short_codes_count_through_the_families() -> None:
    codes = {
        (limb, kind): [s.code for s in FAMILIES[limb, kind]] for limb in Limb for kind in Damage
    }
    assert codes == {
        (Limb.HAND, Damage.NARROWING): [f"nh{i}" for i in range(15)],
        (Limb.FOOT, Damage.NARROWING): [f"nf{i}" for i in range(6)],
        (Limb.HAND, Damage.EROSION): [f"eh{i}" for i in range(16)],
        (Limb.FOOT, Damage.EROSION): [f"ef{i}" for i in range(6)],
    }
    assert target("LH-nav:erosion").site.code == "eh12"  # as the paper writes it


def test_every_target_is_found_by_its_key() -> None:
    assert [target(t.key) for t in TARGETS] == list(TARGETS)
    assert target("RF-mtp1:erosion").maximum == 10
    with pytest.raises(ValueError, match=r"'LH-ip:narrowing' is not a target"):
        target("LH-ip:narrowing")  # the thumb's IP has no narrowing score


def test_slots_are_read_in_any_case_and_others_refused() -> None:
    assert [Slot.parse(s.code.lower()) for s in SLOTS] == list(SLOTS)
    assert Slot.parse("RF").title == "right foot"
    with pytest.raises(ValueError, match="use one of LH, RH, LF, RF"):
        Slot.parse("LX")


# ── landmarks ───────────────────────────────────────────────────────────────────────────────


def test_every_site_is_read_at_a_landmark_of_its_limb() -> None:
    for site in SITES:
        assert site.landmark.limb is site.limb
        wanted = "radcar" if site.name == "nav" else site.name
        assert site.landmark.name == wanted
    scored = {(s.limb, s.landmark_name) for s in SITES}
    assert scored == {(p.limb, p.name) for landmarks in LANDMARKS.values() for p in landmarks}


def test_one_landmark_carries_at_most_one_site_of_each_kind() -> None:
    for family in FAMILIES.values():
        names = [s.landmark_name for s in family]
        assert len(names) == len(set(names))


def test_groups_are_those_of_the_papers_figures() -> None:
    assert target("LH-ip:erosion").site.group is JointGroup.FINGER
    assert target("LH-mc1:erosion").site.group is JointGroup.WRIST
    assert target("RF-ip:narrowing").site.group is JointGroup.TOE


def test_an_unknown_landmark_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        ValueError, match=r"a foot has no landmark 'mcp2'; known landmarks: ip, mtp1"
    ):
        landmark(Limb.FOOT, "mcp2")


# ── left and right ───────────────────────────────────────────────────────────────────────


def test_the_mirror_image_is_the_same_site_on_the_other_side() -> None:
    for t in TARGETS:
        assert t.mirror.site is t.site
        assert t.mirror.side is t.side.other
        assert t.mirror.mirror is t


def test_enums_know_their_opposites() -> None:
    for kind in (Limb, Side, Damage):
        for member in kind:
            assert member.other is not member
            assert member.other.other is member
