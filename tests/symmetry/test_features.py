from __future__ import annotations

import numpy as np
import pytest

from mandora.core.anatomy import FAMILIES, SITES, TARGETS, Damage, Limb, Side, Target, target
from mandora.symmetry.features import feature_rows, target_values, tree_features

MCP2 = target("LH-mcp2:narrowing").site


def numbered(patients: int = 2) -> np.ndarray:
    """A score table in which every cell names its patient and target."""
    return np.arange(patients)[:, None] * 1000.0 + np.arange(len(TARGETS))


def named(row: np.ndarray) -> list[str]:
    return [TARGETS[int(value) % 1000].key for value in row]


def test_each_patient_gives_two_rows_for_each_side():
    rows = feature_rows(numbered(3), MCP2)
    assert rows.shape == (12, 86)
    assert [int(row[0]) // 1000 for row in rows] == [0] * 4 + [1] * 4 + [2] * 4


@pytest.mark.parametrize("site", SITES, ids=lambda s: s.code)
def test_features_stand_in_the_order_of_the_paper(site):
    left, _, right, _ = feature_rows(numbered(1), site)
    assert named(left) == [t.key for t in tree_features(Target(Side.LEFT, site))]
    assert named(right) == [t.key for t in tree_features(Target(Side.RIGHT, site))]


@pytest.mark.parametrize("site", SITES, ids=lambda s: s.code)
def test_every_row_holds_every_score_once(site):
    for row in feature_rows(numbered(1), site):
        assert sorted(row) == sorted(numbered(1)[0])


def test_the_second_row_exchanges_the_sides_of_the_other_extremity_only():
    left, exchanged, *_ = (named(row) for row in feature_rows(numbered(1), MCP2))
    for before, after in zip(left, exchanged, strict=True):
        moved = target(before)
        expected = moved.mirror if moved.limb is Limb.FOOT else moved
        assert target(after) == expected


def test_the_own_score_stands_in_the_same_column_for_both_sides():
    rows = feature_rows(numbered(1), MCP2)
    own = [t.site for t in tree_features(Target(Side.LEFT, MCP2))].index(MCP2)
    assert [named(row)[own] for row in rows] == ["LH-mcp2:narrowing"] * 2 + [
        "RH-mcp2:narrowing"
    ] * 2


def test_true_scores_line_up_with_the_rows():
    values = target_values(numbered(2), MCP2)
    assert named(values) == (["LH-mcp2:narrowing"] * 2 + ["RH-mcp2:narrowing"] * 2) * 2
    assert values[4] >= 1000


def test_mirroring_a_patient_exchanges_the_left_and_the_right_rows():
    table = numbered(1)
    mirrored = table[:, [TARGETS.index(t.mirror) for t in TARGETS]]
    left, left2, right, right2 = feature_rows(table, MCP2)
    assert np.array_equal(feature_rows(mirrored, MCP2), [right, right2, left, left2])


def test_missing_stays_missing():
    table = numbered(1)
    table[0, [t.limb is Limb.FOOT for t in TARGETS]] = np.nan
    rows = feature_rows(table, MCP2)
    assert (np.isnan(rows).sum(axis=1) == 24).all()


@pytest.mark.parametrize("shape", [(86,), (2, 85), (2, 86, 1)])
def test_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match="86"):
        feature_rows(np.zeros(shape), MCP2)


def test_an_infinite_score_is_refused_by_name():
    table = np.zeros((2, 86))
    table[1, 3] = np.inf
    with pytest.raises(ValueError, match=TARGETS[3].key):
        feature_rows(table, MCP2)


def test_the_four_families_come_in_the_order_of_the_predicted_one():
    erosion = target("RF-mtp1:erosion").site
    first = feature_rows(numbered(1), erosion)[2]
    families = [(target(k).damage, target(k).limb) for k in named(first)]
    assert list(dict.fromkeys(families)) == [
        (Damage.EROSION, Limb.FOOT),
        (Damage.EROSION, Limb.HAND),
        (Damage.NARROWING, Limb.FOOT),
        (Damage.NARROWING, Limb.HAND),
    ]


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
