"""The rules by which the paper's claims are judged, on cases that can be judged by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mandora.core.anatomy import LANDMARKS, SITES, TARGETS, Damage, JointGroup, Limb
from mandora.core.settings import EquivalenceSettings
from mandora.metrics import FAMILY_TITLES, Number
from mandora.metrics.agreement import SignedRanks, signed_ranks
from mandora.metrics.bootstrap import Interval
from mandora.metrics.correlations import Pairwise, joint_correlations, total_correlations
from mandora.reproduce.claim_rules import (
    joint_claims,
    localisation_claims,
    shap_claims,
    total_claims,
)
from mandora.reproduce.claims import (
    CLAIMS,
    OUTCOMES,
    SORTS,
    Verdict,
    complete,
    counts,
    least_folds,
    write_claims,
)
from mandora.reproduce.comparison_rules import (
    FoldPair,
    erosion_mask_claims,
    limit_claims,
    power_of,
    segmentation_claims,
    symmetry_claims,
)

NAN = math.nan
BASE = np.linspace(0.60, 0.69, 10)
STEPS = 0.001 * np.arange(1, 11)


MARGINS = EquivalenceSettings()


def over(low: float, high: float) -> Interval:
    """A difference over patients."""
    return Interval(Number((low + high) / 2, 900), low, high, 100, 0.0)


def pair(
    gain: np.ndarray | float, *, better: int = 1, folds: int = 10, sides: int = 1,
    wide: tuple[float, float] | None = None,
) -> FoldPair:  # fmt: skip
    """A method that adds ``gain`` to each fold, and the p value of the test.

    ``wide`` are the ends of the interval over patients; as narrow as can be if not given.
    """
    second = BASE[:folds]
    first = second + gain
    ways = {1: "greater", -1: "less"}
    test = signed_ranks(first, second, ways[better] if sides == 1 else "two-sided")  # type: ignore[arg-type]
    mean = float(np.mean(gain))
    interval = over(*(wide or (mean - 1e-6, mean + 1e-6)))
    return FoldPair(first, second, test, interval, interval)


def outcomes(verdicts: list[Verdict]) -> dict[str, str]:
    return {verdict.claim.id: verdict.outcome for verdict in verdicts}


def the(verdicts: list[Verdict], name: str) -> Verdict:
    return next(verdict for verdict in verdicts if verdict.claim.id == name)


def distances(finger: float, wrist: float, toe: float, films: int = 100) -> dict:
    """Tables in which the given shares of each joint are within the cut-off."""
    share = {JointGroup.FINGER: finger, JointGroup.WRIST: wrist, JointGroup.TOE: toe}
    made = {}
    for limb, landmarks in LANDMARKS.items():
        table = np.full((films, len(landmarks)), np.inf)
        for i, landmark in enumerate(landmarks):
            table[: round(share[landmark.group] * films), i] = 0.01
        made[limb] = table
    return made


def test_claims_name_each_experiment_of_the_paper_once() -> None:
    ids = [claim.id for claim in CLAIMS]
    assert len(ids) == len(set(ids))
    assert {i.split("-")[0] for i in ids} == {
        "locate", "mask", "erosionmask", "totals", "joints", "symmetry", "shap", "limit",
    }  # fmt: skip
    for claim in CLAIMS:
        assert all((claim.text, claim.where, claim.paper, claim.rule)), claim.id


def test_numbers_of_the_paper_are_stated_and_others_are_said_to_be_unknown() -> None:
    paper = {claim.id: claim.paper for claim in CLAIMS}
    assert paper["locate-finger"] == "more than 98.0 %"
    assert paper["symmetry-ef-r"] == "0.693 → 0.711, p = 0.041"
    assert "0.88" in paper["limit-narrowing-r"]
    assert "0.78" in paper["limit-erosion-r"]
    assert paper["mask-nh-r"] == "not in the text"


def test_what_depends_on_the_labels_alone_is_no_claim_of_the_method() -> None:
    sorts = {claim.id: claim.sort for claim in CLAIMS}
    assert {i for i, sort in sorts.items() if sort == "simulator"} == {
        "totals-narrowing-erosion", "totals-left-right", "totals-hand-foot", "joints-same",
        "joints-other", "limit-readers",
    }  # fmt: skip
    assert {i for i, sort in sorts.items() if sort == "null"} == {
        "symmetry-ef-r", *(f"erosionmask-{family}" for family in FAMILY_TITLES),
    }  # fmt: skip
    assert set(sorts.values()) == set(SORTS)


def test_outcomes_are_counted_by_sort_and_never_summed() -> None:
    verdicts = complete(total_claims({"left-right": {"films": Number(0.9, 100)}}))
    found = counts(verdicts)
    assert set(found) == set(SORTS)
    assert found["simulator"] == {
        "held": 1, "did not hold": 0, "undecided": 0, "not testable here": 5,
    }  # fmt: skip
    assert found["method"]["held"] == found["null"]["held"] == 0
    assert found["null"]["not testable here"] == 5


def equal(low: float, high: float, gain: np.ndarray | float = 0.0) -> Verdict:
    """What is said of r of foot erosion, with an interval over patients."""
    one = pair(gain, wide=(low, high))
    return the(symmetry_claims({"ef": {"r": one}}, MARGINS), "symmetry-ef-r")


def test_no_difference_is_held_only_if_it_is_shown() -> None:
    assert equal(-0.02, 0.029).outcome == "held"
    assert equal(0.0, 0.02, STEPS).outcome == "held"  # a significant gain, but within the margin
    wide = equal(-0.05, 0.06)
    assert wide.outcome == "undecided"
    assert "too wide" in wide.reason
    assert "margin ±0.030, power 0.00" in wide.reason
    # not significant, though that is all that the paper asked for
    assert equal(-0.01, 0.07, 0.001 * np.array([1, -1] * 5)).outcome == "undecided"
    assert equal(0.031, 0.2).outcome == equal(-0.2, -0.031).outcome == "did not hold"
    assert equal(0.0, 0.09, STEPS).outcome == "did not hold"  # a significant gain
    # so exact that it could have been shown, and was not
    assert equal(0.022, 0.038).outcome == "did not hold"
    lost = FoldPair(BASE, BASE, SignedRanks(Number.none("all pairs are equal")))
    verdict = the(symmetry_claims({"ef": {"r": lost}}, MARGINS), "symmetry-ef-r")
    assert (verdict.outcome, verdict.reason) == ("not testable here", "no interval over patients")


def test_margins_are_settings_and_that_of_rmse_is_a_share() -> None:
    one = pair(0.0, wide=(-0.05, 0.05))
    found = symmetry_claims({"ef": {"r": one}}, EquivalenceSettings(r=0.06))
    assert the(found, "symmetry-ef-r").outcome == "held"

    def judge(low: float, high: float) -> str:
        family = {"r": pair(0.0), "rmse": pair(0.0, wide=(low, high))}
        return the(erosion_mask_claims({"nh": family}, MARGINS), "erosionmask-nh").outcome

    share = 0.05 * float(BASE.mean())
    assert judge(-0.99 * share, 0.99 * share) == "held"
    assert judge(-1.01 * share, 1.01 * share) == "undecided"


def test_power_is_that_of_two_one_sided_tests() -> None:
    # simulated: how often the 90 % interval of an estimate with s.e. 1 lies within ±2.5
    rng = np.random.default_rng(0)
    estimate = rng.standard_normal(200_000)
    share = float((np.abs(estimate) + 1.6449 < 2.5).mean())
    assert power_of(over(-1.6449, 1.6449), 2.5) == pytest.approx(share, abs=0.005)
    assert power_of(over(-1.6449, 1.6449), 1.0) == 0
    assert power_of(over(0.0, 0.0), 1.0) == 1


def test_a_gain_must_be_seen_over_patients_too() -> None:
    def judge(one: FoldPair, quantity: str = "r") -> Verdict:
        return the(segmentation_claims({"nh": {quantity: one}}), f"mask-nh-{quantity}")

    sure = judge(pair(STEPS, wide=(0.001, 0.01)))
    assert sure.outcome == "held"
    assert "excludes 0" in sure.reason
    assert sure.number.endswith("10 folds; +0.005 (+0.001 to +0.010) over 100 patients")
    chance = judge(pair(STEPS, wide=(-0.001, 0.012)))
    assert chance.outcome == "did not hold"
    assert "holds 0" in chance.reason
    assert judge(pair(-STEPS, better=-1, wide=(-0.01, -0.001)), "rmse").outcome == "held"
    assert judge(pair(-STEPS, better=-1, wide=(-0.01, 0.001)), "rmse").outcome == "did not hold"
    unknown = pair(STEPS)
    few = replace(unknown, change=replace(unknown.change, patients=19))
    assert judge(few).outcome == "not testable here"
    assert "fewer than 20 patients" in judge(few).reason
    alone = FoldPair(unknown.first, unknown.second, unknown.test)
    assert judge(alone).outcome == "not testable here"


def test_located_joints_are_counted_by_group() -> None:
    seen = outcomes(localisation_claims(distances(0.99, 0.90, 0.98)))
    assert seen == dict.fromkeys(seen, "held")
    assert len(seen) == 4
    seen = outcomes(localisation_claims(distances(0.98, 0.98, 0.95)))
    assert seen["locate-finger"] == "did not hold"  # must be more than 98 %
    assert seen["locate-wrist"] == "did not hold"  # as easy as fingers
    assert seen["locate-toe"] == "did not hold"  # 3 percentage points fewer
    assert seen["locate-all"] == "held"
    assert outcomes(localisation_claims(distances(0.98, 0.9, 0.96)))["locate-toe"] == "held"


def test_nothing_is_as_good_as_fingers_that_were_never_located() -> None:
    verdicts = localisation_claims(distances(0.0, 0.0, 0.0))
    for name in ("locate-toe", "locate-wrist"):
        assert the(verdicts, name).outcome == "not testable here"
        assert "neither these nor joints of fingers" in the(verdicts, name).reason
    assert the(verdicts, "locate-finger").outcome == "did not hold"


def test_joints_without_truth_are_left_out_and_lost_joints_are_misses() -> None:
    tables = distances(0.99, 0.90, 0.99)
    tables[Limb.FOOT][:] = NAN
    verdicts = localisation_claims(tables)
    assert the(verdicts, "locate-toe").outcome == "not testable here"
    assert "fewer than 30 joints" in the(verdicts, "locate-toe").reason
    assert the(verdicts, "locate-finger").number == "99.0 % of 1,000 joints"
    assert the(verdicts, "locate-all").number.endswith("of 2,100 joints")
    assert set(outcomes(localisation_claims({})).values()) == {"not testable here"}


def test_segmentation_must_be_better_and_significant() -> None:
    pairs = {
        "nh": {"r": pair(STEPS), "rmse": pair(-STEPS, better=-1)},
        "eh": {"r": pair(-STEPS), "rmse": pair(STEPS, better=-1)},
        "nf": {"r": pair(STEPS * np.where(np.arange(10) < 3, -1, 1))},
    }
    verdicts = segmentation_claims(pairs)
    seen = outcomes(verdicts)
    assert len(seen) == 8
    assert seen["mask-nh-r"] == seen["mask-nh-rmse"] == "held"
    assert seen["mask-eh-r"] == seen["mask-eh-rmse"] == "did not hold"
    assert pairs["nf"]["r"].test.p.value == pytest.approx(0.0137, abs=1e-4)
    assert seen["mask-nf-r"] == "did not hold"
    assert "below 0.05" in the(verdicts, "mask-nf-r").reason
    assert seen["mask-nf-rmse"] == seen["mask-ef-r"] == "not testable here"
    assert the(verdicts, "mask-ef-r").reason == "this run has no such comparison"


@pytest.mark.parametrize("folds", [1, 2, 6])
def test_too_few_folds_can_reach_no_significance(folds: int) -> None:
    verdicts = segmentation_claims({"nh": {"r": pair(STEPS[:folds], folds=folds)}})
    verdict = the(verdicts, "mask-nh-r")
    assert verdict.outcome == "not testable here"
    assert ("1 fold;" if folds == 1 else f"{folds} folds;") in verdict.number
    assert "7 folds" in verdict.reason
    assert least_folds() == 7
    assert least_folds(2) == 8


def test_folds_without_a_value_do_not_count() -> None:
    first = BASE + STEPS
    first[0] = NAN
    test = signed_ranks(first, BASE, "greater")
    pairs = {"nh": {"r": FoldPair(first, BASE, test, over(0.001, 0.01))}}
    verdict = the(segmentation_claims(pairs), "mask-nh-r")
    assert verdict.outcome == "held"
    assert "9 of 10 folds;" in verdict.number
    nothing = FoldPair(
        np.full(10, NAN),
        BASE,
        SignedRanks(Number.none("no pair is complete")),
        reason="all scores 0",
    )
    verdict = the(segmentation_claims({"nh": {"r": nothing}}), "mask-nh-r")
    assert (verdict.outcome, verdict.number) == ("not testable here", "")
    assert verdict.reason == "all scores 0"


def test_equal_methods_improve_nothing_and_a_missing_p_is_no_evidence() -> None:
    equal = {"nh": {"r": pair(0.0)}}
    assert the(segmentation_claims(equal), "mask-nh-r").outcome == "did not hold"
    better = FoldPair(BASE + STEPS, BASE, SignedRanks(Number.none("not computed")))
    verdict = the(segmentation_claims({"nh": {"r": better}}), "mask-nh-r")
    assert verdict.outcome == "not testable here"
    assert "not computed" in verdict.reason


def test_erosion_masks_must_change_neither_quantity() -> None:
    def judge(r: FoldPair | None, rmse: FoldPair | None) -> Verdict:
        given = {"r": r, "rmse": rmse}
        family = {name: value for name, value in given.items() if value}
        return the(erosion_mask_claims({"eh": family}, MARGINS), "erosionmask-eh")

    same, unsure = pair(0.0, sides=2), pair(0.0, sides=2, wide=(-0.2, 0.2))
    gain = pair(10 * STEPS, sides=2, wide=(0.04, 0.06))
    assert judge(same, same).outcome == "held"
    assert judge(gain, same).outcome == judge(same, gain).outcome == "did not hold"
    assert judge(same, unsure).outcome == "undecided"
    assert (
        judge(gain, unsure).outcome == judge(gain, None).outcome == "did not hold"
    )  # one is enough
    assert judge(same, None).outcome == "not testable here"
    assert len(erosion_mask_claims({}, MARGINS)) == len(FAMILY_TITLES)


def test_totals_must_correlate_at_least_from_medium() -> None:
    table = {
        "narrowing-erosion": {"films": Number(0.3, 400), "patients": Number(0.2, 100)},
        "left-right": {"films": Number(0.29, 200)},
        "hand-foot": {"films": Number(0.9, 29)},
    }
    verdicts = total_claims(table)
    assert list(outcomes(verdicts).values()) == ["held", "did not hold", "not testable here"]
    assert verdicts[0].number == "films: 0.300 (n = 400), patients: 0.200 (n = 100)"
    undefined = {"left-right": {"films": Number.none("the left total does not vary", 60)}}
    verdict = the(total_claims(undefined), "totals-left-right")
    assert (verdict.outcome, verdict.reason) == (
        "not testable here",
        "the left total does not vary",
    )


def test_joints_must_correlate_almost_everywhere() -> None:
    def maps(same: np.ndarray, n: int = 100) -> dict:
        return {"same": Pairwise(same, np.full(same.shape, n))}

    r = np.full((43, 43), 0.4)
    assert the(joint_claims(maps(r)), "joints-same").outcome == "held"
    assert the(joint_claims(maps(r)), "joints-other").outcome == "not testable here"
    assert the(joint_claims(maps(r, n=29)), "joints-same").outcome == "not testable here"
    some = r.copy()
    some[:5] = 0.05  # 5 of 43 rows
    assert the(joint_claims(maps(some)), "joints-same").outcome == "did not hold"
    gaps = r.copy()
    gaps[:25] = NAN
    assert the(joint_claims(maps(gaps)), "joints-same").outcome == "not testable here"
    alone = np.eye(43)
    assert the(joint_claims(maps(alone)), "joints-same").number.startswith("0 %")


def test_correlations_of_scores_can_be_judged_as_they_are() -> None:
    rng = np.random.default_rng(3)
    share = np.clip(rng.normal(0.4, 0.2, (60, 1)) + rng.normal(0, 0.1, (60, 86)), 0, 1)
    scores = np.round(share * np.array([t.maximum for t in TARGETS]))
    verdicts = [
        *total_claims(total_correlations(scores)),
        *joint_claims(joint_correlations(scores)),
    ]  # type: ignore[arg-type]
    assert set(outcomes(verdicts).values()) == {"held"}
    scores[:] = 0
    verdicts = [
        *total_claims(total_correlations(scores)),
        *joint_claims(joint_correlations(scores)),
    ]  # type: ignore[arg-type]
    assert set(outcomes(verdicts).values()) == {"not testable here"}


def shap_maps() -> tuple[np.ndarray, np.ndarray]:
    """Maps as the paper describes them."""
    same, other = np.full((43, 43), 0.01), np.full((43, 43), 0.01)
    for i, row in enumerate(SITES):
        for j, column in enumerate(SITES):
            if row.group == column.group == "wrist" and row.damage == column.damage:
                same[i, j] = 0.04
            if row.landmark == column.landmark and row.damage != column.damage:
                same[i, j] = 0.05
    np.fill_diagonal(same, 0.5)
    np.fill_diagonal(other, 0.1)
    return same, other


def test_shap_maps_as_in_the_paper_hold_and_flat_ones_do_not() -> None:
    assert set(outcomes(shap_claims(*shap_maps())).values()) == {"held"}
    # every feature leads a little on another site than its own
    flat = np.full((43, 43), 0.01) + 0.001 * np.roll(np.eye(43), 1, axis=1)
    assert set(outcomes(shap_claims(flat, flat)).values()) == {"did not hold"}


def test_a_stronger_joint_of_the_other_side_beats_the_own_joint() -> None:
    same, other = shap_maps()
    np.fill_diagonal(other, 0.6)
    seen = outcomes(shap_claims(same, other))
    assert seen["shap-own"] == "did not hold"
    assert seen["shap-other"] == "held"


def test_sites_without_shap_values_do_not_count() -> None:
    same, other = shap_maps()
    same[:21], other[:21] = 0, NAN
    verdicts = shap_claims(same, other)
    assert the(verdicts, "shap-own").number == "22 of 22 sites"
    same[21], other[21] = 0, 0
    verdicts = shap_claims(same, other)
    assert the(verdicts, "shap-own").outcome == "not testable here"
    assert the(verdicts, "shap-damage").outcome == "not testable here"
    nothing = np.full((43, 43), NAN)
    assert set(outcomes(shap_claims(nothing, nothing)).values()) == {"not testable here"}


def limit(first: float, second: float, low: float, high: float, folds: int = 5) -> FoldPair:
    """A model and a reader, whose difference over patients lies between two ends."""
    none = SignedRanks(Number.none("not used"))
    ends = over(low, high)
    return FoldPair(np.full(folds, first), np.full(folds, second), none, ends, ends)


@pytest.mark.parametrize(
    ("low", "high", "narrowing", "erosion"),
    [
        (-0.05, 0.02, "held", "did not hold"),
        (0.1, 0.2, "held", "did not hold"),
        (-0.2, -0.06, "did not hold", "held"),
        (-0.06, 0.01, "undecided", "undecided"),
    ],
)
def test_r_is_near_the_human_limit_within_a_margin(
    low: float, high: float, narrowing: str, erosion: str
) -> None:
    one = limit(0.88 + (low + high) / 2, 0.88, low, high)
    seen = outcomes(limit_claims({kind: {"r": one} for kind in Damage}, None))
    assert seen["limit-narrowing-r"] == narrowing
    assert seen["limit-erosion-r"] == erosion
    assert seen["limit-narrowing-rmse"] == "not testable here"
    assert seen["limit-readers"] == "not testable here"


def test_rmse_may_be_a_tenth_above_the_human_limit() -> None:
    for high, expected in ((0.05, "held"), (0.051, "undecided")):
        one = limit(0.52, 0.5, 0.0, high, folds=3)
        verdicts = limit_claims({Damage.NARROWING: {"rmse": one}}, None)
        assert the(verdicts, "limit-narrowing-rmse").outcome == expected
    worse = limit(0.6, 0.5, 0.06, 0.1)
    found = outcomes(limit_claims({kind: {"rmse": worse} for kind in Damage}, None))
    assert found["limit-narrowing-rmse"] == "did not hold"
    assert found["limit-erosion-rmse"] == "held"


def test_one_fold_says_nothing_about_the_human_limit() -> None:
    one = FoldPair([0.88], [0.88], SignedRanks(Number.none("no test")))
    verdict = the(limit_claims({Damage.NARROWING: {"r": one}}, one), "limit-narrowing-r")
    assert (verdict.outcome, verdict.reason) == ("not testable here", "fewer than 3 folds")
    assert verdict.number == "model 0.880, reader 0.880, 1 fold"
    undefined = FoldPair(
        [NAN] * 5, [0.88] * 5, SignedRanks(Number.none("-")), reason="the model is constant"
    )
    verdict = the(limit_claims({Damage.NARROWING: {"r": undefined}}, None), "limit-narrowing-r")
    assert (verdict.outcome, verdict.reason) == ("not testable here", "the model is constant")


def test_readers_agree_less_on_erosion_if_a_test_says_so() -> None:
    verdict = the(limit_claims({}, pair(STEPS)), "limit-readers")
    assert verdict.outcome == "held"
    assert verdict.number.startswith("erosion → narrowing: 0.645 → 0.650, p = ")
    assert the(limit_claims({}, pair(-STEPS)), "limit-readers").outcome == "did not hold"


def test_folds_that_do_not_match_are_an_error() -> None:
    wrong = FoldPair(BASE, BASE[:9], SignedRanks(Number.none("-")))
    with pytest.raises(ValueError, match="cannot be paired"):
        segmentation_claims({"nh": {"r": wrong}})


def test_every_claim_has_a_verdict_in_the_order_of_the_paper() -> None:
    made = complete(segmentation_claims({}))
    assert [verdict.claim for verdict in made] == list(CLAIMS)
    assert made[0].reason == "this run has no result for it"
    with pytest.raises(ValueError, match="locate-finger has two verdicts"):
        complete([made[0], made[0]])


def test_claims_file_holds_all_in_plain_text(tmp_path: Path) -> None:
    verdicts = complete(segmentation_claims({"nh": {"r": pair(STEPS), "rmse": pair(STEPS)}}))
    path = tmp_path / "claims.json"
    write_claims(path, verdicts, MARGINS)
    about = json.loads(path.read_text(encoding="utf-8"))
    assert set(about["counts"]) == set(SORTS)
    assert all(list(found) == list(OUTCOMES) for found in about["counts"].values())
    assert (about["counts"]["method"]["held"], about["counts"]["method"]["did not hold"]) == (1, 1)
    assert about["equivalence"] == {"r": 0.03, "rmse": 0.05, "power": 0.8}
    assert {claim["sort"] for claim in about["claims"]} == set(SORTS)
    assert [claim["id"] for claim in about["claims"]] == [claim.id for claim in CLAIMS]
    assert all(isinstance(value, str) for claim in about["claims"] for value in claim.values())
    assert list(tmp_path.iterdir()) == [path]
