from __future__ import annotations

import pytest

from mandora.core.anatomy import (
    FAMILIES,
    LANDMARKS,
    N_LANDMARKS,
    RA2_COLUMNS,
    SITES,
    SLOTS,
    TARGETS,
    Damage,
    JointGroup,
    Limb,
    Side,
    Slot,
    Target,
    landmark,
    maximum_total,
    target,
    target_from_ra2,
    targets_of,
    tree_features,
)

# RAM-H1200: stems as its authors write them, JSON keys BE_<stem> and JSN_<stem>
FINGER_STEMS = [
    *(f"MCP-{letter}" for letter in "TIMRS"),  # thumb, index, middle, ring, small
    *(f"PIP-{letter}" for letter in "IMRS"),
]
RAM_EROSION_STEMS = [*FINGER_STEMS, "IP", "R", "U", "L", "S", "Tm", "CMC-T"]
RAM_NARROWING_STEMS = [*FINGER_STEMS, "CMC-M", "CMC-R", "CMC-S", "SC", "SR", "STT"]


def test_a_patient_has_86_scores_at_43_sites_and_27_points() -> None:
    assert len(TARGETS) == len({t.key for t in TARGETS}) == 86
    assert len(SITES) == 43
    assert N_LANDMARKS == 27
    assert {limb: len(points) for limb, points in LANDMARKS.items()} == {
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


# ── RA2 ──────────────────────────────────────────────────────────────────────────────────


def test_ra2_columns_are_those_of_the_first_release() -> None:
    assert len(RA2_COLUMNS) == len(set(RA2_COLUMNS)) == 90
    assert RA2_COLUMNS[:4] == (
        "Patient_ID", "Overall_Tol", "Overall_erosion", "Overall_narrowing",
    )  # fmt: skip
    assert RA2_COLUMNS[4:20] == (
        "LH_mcp_E__ip",
        "LH_pip_E__2", "LH_pip_E__3", "LH_pip_E__4", "LH_pip_E__5",
        "LH_mcp_E__1", "LH_mcp_E__2", "LH_mcp_E__3", "LH_mcp_E__4", "LH_mcp_E__5",
        "LH_wrist_E__mc1", "LH_wrist_E__mul", "LH_wrist_E__nav", "LH_wrist_E__lunate",
        "LH_wrist_E__radius", "LH_wrist_E__ulna",
    )  # fmt: skip
    # after 4 + 2·16 + 2·6 erosion columns comes the narrowing of the left hand
    assert RA2_COLUMNS[48:63] == (
        "LH_pip_J__2", "LH_pip_J__3", "LH_pip_J__4", "LH_pip_J__5",
        "LH_mcp_J__1", "LH_mcp_J__2", "LH_mcp_J__3", "LH_mcp_J__4", "LH_mcp_J__5",
        "LH_wrist_J__cmc3", "LH_wrist_J__cmc4", "LH_wrist_J__cmc5",
        "LH_wrist_J__mna", "LH_wrist_J__capnlun", "LH_wrist_J__radcar",
    )  # fmt: skip
    # the two that a later release swaps stand at 78 and 84 there
    assert RA2_COLUMNS[78] == "LF_mtp_J__ip"
    assert RA2_COLUMNS[84:] == ("RF_mtp_J__ip", *(f"RF_mtp_J__{n}" for n in range(1, 6)))


def test_every_ra2_column_leads_back_to_its_target() -> None:
    assert [target_from_ra2(c) for c in RA2_COLUMNS[4:]] == list(TARGETS)


@pytest.mark.parametrize("column", ["Overall_Tol", "LH_mcp_J__ip", "lh_mcp_E__ip", ""])
def test_what_is_no_score_column_is_refused_by_name(column: str) -> None:
    with pytest.raises(ValueError, match=f"'{column}' is no RA2 score column"):
        target_from_ra2(column)


# ── names ────────────────────────────────────────────────────────────────────────────────


def test_ram_keys_are_those_of_the_data_set() -> None:
    erosion = [s.ram_key for s in FAMILIES[Limb.HAND, Damage.EROSION]]
    narrowing = [s.ram_key for s in FAMILIES[Limb.HAND, Damage.NARROWING]]
    assert sorted(map(str, erosion)) == sorted(f"BE_{s}" for s in RAM_EROSION_STEMS)
    assert sorted(map(str, narrowing)) == sorted(f"JSN_{s}" for s in RAM_NARROWING_STEMS)
    assert all(s.ram_key is None for s in SITES if s.limb is Limb.FOOT)


@pytest.mark.parametrize(
    ("key", "ram"),
    [
        ("LH-nav:erosion", "BE_S"),
        ("LH-mul:erosion", "BE_Tm"),
        ("LH-mc1:erosion", "BE_CMC-T"),
        ("LH-ip:erosion", "BE_IP"),
        ("LH-mcp5:erosion", "BE_MCP-S"),
        ("LH-pip2:narrowing", "JSN_PIP-I"),
        ("LH-mcp1:narrowing", "JSN_MCP-T"),
        ("LH-cmc3:narrowing", "JSN_CMC-M"),
        ("LH-mna:narrowing", "JSN_STT"),
        ("LH-capnlun:narrowing", "JSN_SC"),
        ("LH-radcar:narrowing", "JSN_SR"),
    ],
)
def test_ram_keys_name_the_same_joint(key: str, ram: str) -> None:
    assert target(key).site.ram_key == ram


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
    with pytest.raises(ValueError, match=r"'LH-ip:narrowing' is no target"):
        target("LH-ip:narrowing")  # the thumb's IP has no narrowing score


def test_slots_are_read_in_any_case_and_others_refused() -> None:
    assert [Slot.parse(s.code.lower()) for s in SLOTS] == list(SLOTS)
    assert Slot.parse("RF").title == "right foot"
    with pytest.raises(ValueError, match="use one of LH, RH, LF, RF"):
        Slot.parse("LX")


# ── landmarks ───────────────────────────────────────────────────────────────────────────────


def test_every_site_is_read_at_a_point_of_its_limb() -> None:
    for site in SITES:
        assert site.landmark.limb is site.limb
        wanted = "radcar" if site.name == "nav" else site.name
        assert site.landmark.name == wanted
    scored = {(s.limb, s.landmark_name) for s in SITES}
    assert scored == {(p.limb, p.name) for points in LANDMARKS.values() for p in points}


def test_one_point_carries_at_most_one_site_of_each_kind() -> None:
    for family in FAMILIES.values():
        places = [s.landmark_name for s in family]
        assert len(places) == len(set(places))


def test_groups_are_those_of_the_papers_figures() -> None:
    assert target("LH-ip:erosion").site.group is JointGroup.FINGER
    assert target("LH-mc1:erosion").site.group is JointGroup.WRIST
    assert target("RF-ip:narrowing").site.group is JointGroup.TOE


def test_an_unknown_point_is_refused_with_the_known_ones() -> None:
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


# ── features of the trees ────────────────────────────────────────────────────────────────


def test_trees_see_all_86_scores_once_and_own_family_first() -> None:
    for t in TARGETS:
        features = tree_features(t)
        assert {f.key for f in features} == {x.key for x in TARGETS}
        assert len(features) == 86
        own = FAMILIES[t.limb, t.damage]
        assert features[: len(own)] == tuple(Target(t.side, s) for s in own)
        assert features[len(own) : 2 * len(own)] == tuple(Target(t.side.other, s) for s in own)


def test_feature_blocks_stand_in_the_papers_order() -> None:
    blocks: list[str] = []
    for f in tree_features(target("RF-mtp2:narrowing")):
        block = f"{f.slot.code}{f.damage.value[0]}"
        if not blocks or blocks[-1] != block:
            blocks.append(block)
    # same damage: this side, other side; other extremity; then the other damage likewise
    assert blocks == ["RFn", "LFn", "RHn", "LHn", "RFe", "LFe", "RHe", "LHe"]


def test_features_of_left_and_right_can_be_pooled() -> None:
    for t in TARGETS:
        assert tuple(f.mirror for f in tree_features(t)) == tree_features(t.mirror)


def test_enums_know_their_opposites() -> None:
    for kind in (Limb, Side, Damage):
        for member in kind:
            assert member.other is not member
            assert member.other.other is member
