"""Judging the paper's claims from plain numbers, by the rules of :mod:`.claims`.

Each function named ``*_claims`` judges the claims of one experiment. Where numbers are missing or
too few, a claim is "not testable here" for a reason: nothing is held for want of evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from mandora.anatomy import FAMILIES, POINTS, SITES, Damage, JointGroup, Limb
from mandora.evaluation import Floats, Number, Table, same_shape
from mandora.evaluation.agreement import DECIMALS, Pairwise
from mandora.evaluation.claims import (
    ALPHA,
    BY_ID,
    CUTOFF,
    FAMILY_TITLES,
    FINGERS_WITHIN,
    LARGE_R,
    MEDIUM_R,
    MIN_CASES,
    MIN_FOLDS,
    MOST_WITHIN,
    QUANTITIES,
    R_MARGIN,
    RMSE_MARGIN,
    SIMILAR_SHARES,
    SMALL_R,
    STANDS_OUT,
    UBIQUITOUS,
    Held,
    Verdict,
    least_folds,
)


@dataclass(frozen=True, eq=False)
class FoldPair:
    """One quantity of two methods, fold by fold.

    Attributes:
        first: (folds,) of the method that the claim is about; NaN where it is not defined.
        second: (folds,) of the method that it is compared with.
        p: of the paired test, see :func:`mandora.evaluation.agreement.signed_ranks`;
            one-sided, towards the first being better, but two-sided for erosion masks.
        reason: why there is no value, if there is none.
    """

    first: ArrayLike
    second: ArrayLike
    p: Number
    reason: str = "no fold has both values"


FoldPairs = Mapping[str, Mapping[str, FoldPair]]
"""``nh``, ``eh``, ``nf``, ``ef`` → ``r``, ``rmse`` → values; what was not run is left out."""


def _verdict(name: str, outcome: bool | None, number: str, reason: str) -> Verdict:
    held: Held = "not testable here"
    if outcome is not None:
        held = "held" if outcome else "did not hold"
    return Verdict(BY_ID[name], held, number, reason)


class _Change(NamedTuple):
    """What the first method changes; ``significant`` is None where it cannot be told."""

    better: bool
    significant: bool | None
    number: str
    reason: str


def _change(
    pair: FoldPair | None, quantity: str, sides: Literal[1, 2] = 1, better: str = "better"
) -> _Change:
    if pair is None:
        return _Change(False, None, "", "this run has no such comparison")
    one, two = same_shape(pair.first, pair.second)
    both = np.isfinite(one) & np.isfinite(two)
    n, least = int(both.sum()), least_folds(sides)
    if n == 0:
        return _Change(False, None, "", pair.reason)
    first, second = float(one[both].mean()), float(two[both].mean())
    p = f"p = {pair.p.value:.2g}" if pair.p.reason is None else "no p"
    number = f"{second:.3f} → {first:.3f}, {p}, {_folds(n, both.size)}"
    gain = round((first - second) * (1 if quantity == "r" else -1), DECIMALS)
    if n < least:
        why = f"a test needs {least} folds or more to reach p < {ALPHA:g}"
        return _Change(gain > 0, None, number, why)
    if gain <= 0:
        return _Change(False, False, number, f"the mean over folds is not {better}")
    if pair.p.reason is not None:
        return _Change(True, None, number, f"no p value: {pair.p.reason}")
    if pair.p.value < ALPHA:
        return _Change(True, True, number, f"{better}, and p is below {ALPHA:g}")
    usual = ", though below 0.05" if pair.p.value < 0.05 else ""
    return _Change(True, False, number, f"{better}, but p is not below {ALPHA:g}{usual}")


def _folds(n: int, of: int) -> str:
    return f"{n}{f' of {of}' if n < of else ''} {'fold' if of == 1 else 'folds'}"


def _judge_families(name: str, pairs: FoldPairs) -> list[Verdict]:
    made = []
    for family in FAMILY_TITLES:
        for quantity in QUANTITIES:
            claim = f"{name}-{family}-{quantity}"
            change = _change(pairs.get(family, {}).get(quantity), quantity)
            outcome = change.significant
            if claim == "symmetry-ef-r" and outcome is not None:
                outcome = change.better and not outcome
            made.append(_verdict(claim, outcome, change.number, change.reason))
    return made


def localisation_claims(distances: Mapping[Limb, ArrayLike]) -> list[Verdict]:
    """Figure 3.

    Args:
        distances: as for :func:`mandora.evaluation.figures.localisation`: (films, points)
            normalised distances; NaN: no truth, left out; infinite: not found, a miss.
    """
    cases: dict[str, list[Floats]] = {str(group): [] for group in JointGroup}
    for limb, table in distances.items():
        for point, column in zip(POINTS[limb], np.asarray(table, dtype=float).T, strict=True):
            cases[point.group].append(column[~np.isnan(column)])
    cases["all"] = [column for columns in cases.values() for column in columns]
    known = {name: np.concatenate([*columns, []]) for name, columns in cases.items()}
    share = {name: float((k < CUTOFF).mean()) if k.size else np.nan for name, k in known.items()}
    finger = share["finger"]
    rules = {
        "finger": finger > FINGERS_WITHIN,
        "wrist": share["wrist"] < finger,
        "toe": round(abs(share["toe"] - finger), DECIMALS) <= SIMILAR_SHARES,
        "all": share["all"] >= MOST_WITHIN,
    }
    made = []
    for name, outcome in rules.items():
        relative = name in ("wrist", "toe")
        few = [g for g in (name, *["finger"] * relative) if known[g].size < MIN_CASES]
        lost = relative and finger == 0 == share[name]  # nothing can be said to be as good
        n = known[name].size
        number = f"{100 * share[name]:.1f} % of {n:,} joints" if n else ""
        if few:
            reason = f"fewer than {MIN_CASES} joints with a known place: {' and '.join(few)}"
        elif lost:
            reason = "neither these nor joints of fingers were located"
        elif relative:
            reason = f"fingers: {100 * finger:.1f} %"
        else:
            lowest = min((c < CUTOFF).mean() for c in cases[name] if c.size)
            reason = f"lowest of a joint: {100 * lowest:.1f} %"
        made.append(_verdict(f"locate-{name}", None if few or lost else outcome, number, reason))
    return made


def segmentation_claims(pairs: FoldPairs) -> list[Verdict]:
    """Figure 5: first with the joint-space mask, second without; p one-sided."""
    return _judge_families("mask", pairs)


def symmetry_claims(pairs: FoldPairs) -> list[Verdict]:
    """Figure 8: first the blend with the trees, second patch scores alone; p one-sided."""
    return _judge_families("symmetry", pairs)


def erosion_mask_claims(pairs: FoldPairs) -> list[Verdict]:
    """Figure 6: first with erosion masks, second without; p two-sided."""
    made = []
    for family in FAMILY_TITLES:
        changes = {
            word: _change(pairs.get(family, {}).get(quantity), quantity, 2)
            for quantity, word in QUANTITIES.items()
        }
        found = [change.significant for change in changes.values()]
        outcome = False if True in found else None if None in found else True
        number = "; ".join(f"{word} {c.number}" for word, c in changes.items() if c.number)
        reasons = [f"{word}: {change.reason}" for word, change in changes.items()]
        if len({change.reason for change in changes.values()}) == 1:
            reasons = [changes["r"].reason]
        made.append(_verdict(f"erosionmask-{family}", outcome, number, "; ".join(reasons)))
    return made


def total_claims(totals: Table) -> list[Verdict]:
    """Table 1, from :func:`mandora.evaluation.agreement.total_correlations`."""
    made = []
    for name in ("narrowing-erosion", "left-right", "hand-foot"):
        parts = totals.get(name, {})
        r = parts.get("films", Number.none("this run has no totals"))
        known = {part: n for part, n in parts.items() if n.reason is None}
        number = ", ".join(
            f"{part}: {known[part].value:.3f} (n = {known[part].n})"
            for part in ("films", "patients") if part in known
        )  # fmt: skip
        reason = r.reason or (f"fewer than {MIN_CASES} cases" if r.n < MIN_CASES else None)
        outcome = None if reason else r.value >= MEDIUM_R
        made.append(_verdict(f"totals-{name}", outcome, number, reason or _size(r.value)))
    return made


def _size(r: float) -> str:
    return "high" if r >= LARGE_R else "medium" if r >= MEDIUM_R else "lower than medium"


def joint_claims(maps: Mapping[str, Pairwise]) -> list[Verdict]:
    """Figure 7, from :func:`mandora.evaluation.agreement.joint_correlations`."""
    made = []
    for name in ("same", "other"):
        number, reason, outcome = "", "this run has no correlations of joints", None
        if name in maps:
            pairs = np.ones(maps[name].r.shape, dtype=bool)
            if name == "same":
                np.fill_diagonal(pairs, False)  # a joint and itself
            enough = pairs & (maps[name].n >= MIN_CASES) & np.isfinite(maps[name].r)
            r = maps[name].r[enough]
            reason = f"fewer than half of the pairs vary in {MIN_CASES} cases or more"
            if r.size:
                share = float((r >= SMALL_R).mean())
                number = f"{100 * share:.0f} % of {r.size:,} pairs; median r {np.median(r):.2f}"
            if 2 * r.size >= pairs.sum():
                outcome = share >= UBIQUITOUS
                reason = f"{r.size:,} of {int(pairs.sum()):,} pairs have an r"
        made.append(_verdict(f"joints-{name}", outcome, number, reason))
    return made


def shap_claims(same: ArrayLike, other: ArrayLike) -> list[Verdict]:
    """Figure 9, tables 2 and 3.

    Args:
        same: (43, 43) mean |SHAP|; row: the site that is predicted, column: the site of the same
            side whose patch score is the feature; both as ``anatomy.SITES``. A row that holds NaN
            or nothing but 0, such as that of a site without damage, does not count.
        other: likewise, of the other side's features.
    """
    here, there = same_shape(same, other)
    return [
        _leads("own", np.hstack([here, there])),
        _clusters("wrist", here, _wrist_blocks()),
        _clusters("damage", here, _damage_blocks()),
        _leads("other", there),
    ]


def _leads(name: str, features: Floats) -> Verdict:
    """Whether the feature on the diagonal is the largest of its row."""
    known = _rows_that_count(features)
    first = known & (np.diagonal(features) >= np.nan_to_num(features).max(axis=1))
    rows, wins = int(known.sum()), int(first.sum())
    reason = f"{rows} of {len(SITES)} sites have SHAP values"
    if 2 * rows < len(SITES):
        return _verdict(f"shap-{name}", None, "", f"{reason}; half are needed")
    return _verdict(f"shap-{name}", 2 * wins > rows, f"{wins} of {rows} sites", reason)


def _rows_that_count(features: Floats) -> np.ndarray:
    return np.isfinite(features).all(axis=1) & (np.nan_to_num(features).max(axis=1) > 0)


Block = tuple[str, np.ndarray, np.ndarray]
"""Name, cells inside and cells around, both (43, 43) bool."""


def _clusters(name: str, features: Floats, blocks: list[Block]) -> Verdict:
    """Whether some cells of the map are far larger than those around them, in all blocks."""
    known = _rows_that_count(features)[:, None]
    times = {}
    for title, inside, around in blocks:
        if not (inside & known).any() or not (around & known).any():
            return _verdict(f"shap-{name}", None, "", f"{title}: no site has SHAP values")
        high, low = features[inside & known].mean(), features[around & known].mean()
        times[title] = float(high / low) if low > 0 else np.inf if high > 0 else 0.0
    number = "; ".join(f"{title} {ratio:.1f}×" for title, ratio in times.items())
    weak = [title for title, ratio in times.items() if ratio < STANDS_OUT]
    reason = f"below {STANDS_OUT:g}×: {', '.join(weak)}" if weak else "all stand out"
    return _verdict(f"shap-{name}", not weak, number, reason)


def _sites(attribute: str) -> np.ndarray:
    return np.array([str(getattr(site, attribute)) for site in SITES])


def _wrist_blocks() -> list[Block]:
    damage, group = _sites("damage"), _sites("group")
    self = np.eye(len(SITES), dtype=bool)
    made = []
    for kind in Damage:
        wrist, finger = ((group == g) & (damage == kind) for g in ("wrist", "finger"))
        made.append((str(kind), np.outer(wrist, wrist) & ~self, np.outer(wrist, finger)))
    return made


def _damage_blocks() -> list[Block]:
    damage, limb, point = _sites("damage"), _sites("limb"), _sites("point_name")
    joint = point[:, None] == point
    made = []
    for place, kind in FAMILIES:
        rows, columns = ((limb == place) & (damage == d) for d in (kind, kind.other))
        rectangle = np.outer(rows, columns)
        made.append((f"{place} {kind}", rectangle & joint, rectangle & ~joint))
    return made


def limit_claims(
    damages: Mapping[Damage, Mapping[str, FoldPair]], readers: FoldPair | None
) -> list[Verdict]:
    """Figure 10; without a second reader give an empty mapping and None.

    Args:
        damages: kind → ``r``, ``rmse`` → first the model, second the other reader, both against
            the reader that is the reference. Their p is not used: not to differ significantly is
            no evidence of being alike.
        readers: r between the two readers: first of narrowing, second of erosion.
    """
    made = []
    for damage in Damage:
        for quantity in QUANTITIES:
            pair = damages.get(damage, {}).get(quantity)
            made.append(_limit(damage, quantity, pair))
    change = _change(readers, "r", better="higher for narrowing")
    number = f"erosion → narrowing: {change.number}" if change.number else ""
    reason = change.reason if readers else "this run has no second reader"
    return [*made, _verdict("limit-readers", change.significant, number, reason)]


def _limit(damage: Damage, quantity: str, pair: FoldPair | None) -> Verdict:
    name = f"limit-{damage}-{quantity}"
    if pair is None:
        return _verdict(name, None, "", "this run has no second reader")
    model, reader = same_shape(pair.first, pair.second)
    both = np.isfinite(model) & np.isfinite(reader)
    n = int(both.sum())
    if n == 0:
        return _verdict(name, None, "", pair.reason)
    ours, theirs = float(model[both].mean()), float(reader[both].mean())
    number = f"model {ours:.3f}, reader {theirs:.3f}, {_folds(n, both.size)}"
    if n < MIN_FOLDS:
        return _verdict(name, None, number, f"fewer than {MIN_FOLDS} folds")
    lag = theirs - ours if quantity == "r" else ours - (1 + RMSE_MARGIN) * theirs
    near = round(lag, DECIMALS) <= (R_MARGIN if quantity == "r" else 0)
    reason = "the model is comparable to a reader" if near else "the model is worse than a reader"
    return _verdict(name, near == (damage is Damage.NARROWING), number, reason)
