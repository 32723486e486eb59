"""Rules for claims about the numbers of one method; the claims are in :mod:`.claims`.

Each function named ``*_claims`` gives the verdicts of one experiment. Where numbers are missing or
too few, a claim is "not testable here", with the reason: missing evidence never counts for a claim.
Rules that compare two methods are in :mod:`.comparison_rules`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from mandora.core.anatomy import FAMILIES, LANDMARKS, SITES, Damage, JointGroup, Limb
from mandora.metrics import Floats, Number, Table, same_shape
from mandora.metrics.agreement import DECIMALS
from mandora.metrics.correlations import Pairwise
from mandora.metrics.localisation import CUTOFF
from mandora.reproduce.claims import (
    FINGERS_WITHIN,
    LARGE_R,
    MEDIUM_R,
    MIN_CASES,
    MOST_WITHIN,
    SIMILAR_SHARES,
    SMALL_R,
    STANDS_OUT,
    UBIQUITOUS,
    Verdict,
    verdict,
)


def localisation_claims(distances: Mapping[Limb, ArrayLike]) -> list[Verdict]:
    """Figure 3.

    Args:
        distances: as for :func:`mandora.evaluation.figures.localisation`: (films, landmarks)
            normalised distances; NaN: no truth, left out; infinite: not found, a miss.
    """
    cases: dict[str, list[Floats]] = {str(group): [] for group in JointGroup}
    for limb, table in distances.items():
        for landmark, column in zip(LANDMARKS[limb], np.asarray(table, dtype=float).T, strict=True):
            cases[landmark.group].append(column[~np.isnan(column)])
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
        lost = relative and finger == 0 == share[name]  # nothing is left to compare
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
        made.append(verdict(f"locate-{name}", None if few or lost else outcome, number, reason))
    return made


def total_claims(totals: Table) -> list[Verdict]:
    """Table 1, from :func:`mandora.metrics.correlations.total_correlations`."""
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
        made.append(verdict(f"totals-{name}", outcome, number, reason or _size(r.value)))
    return made


def _size(r: float) -> str:
    return "high" if r >= LARGE_R else "medium" if r >= MEDIUM_R else "lower than medium"


def joint_claims(maps: Mapping[str, Pairwise]) -> list[Verdict]:
    """Figure 7, from :func:`mandora.metrics.correlations.joint_correlations`."""
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
        made.append(verdict(f"joints-{name}", outcome, number, reason))
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
        return verdict(f"shap-{name}", None, "", f"{reason}; half are needed")
    return verdict(f"shap-{name}", 2 * wins > rows, f"{wins} of {rows} sites", reason)


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
            return verdict(f"shap-{name}", None, "", f"{title}: no site has SHAP values")
        high, low = features[inside & known].mean(), features[around & known].mean()
        times[title] = float(high / low) if low > 0 else np.inf if high > 0 else 0.0
    number = "; ".join(f"{title} {ratio:.1f}×" for title, ratio in times.items())
    weak = [title for title, ratio in times.items() if ratio < STANDS_OUT]
    reason = f"below {STANDS_OUT:g}×: {', '.join(weak)}" if weak else "all stand out"
    return verdict(f"shap-{name}", not weak, number, reason)


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
    damage, limb, landmark = _sites("damage"), _sites("limb"), _sites("landmark_name")
    joint = landmark[:, None] == landmark
    made = []
    for place, kind in FAMILIES:
        rows, columns = ((limb == place) & (damage == d) for d in (kind, kind.other))
        rectangle = np.outer(rows, columns)
        made.append((f"{place} {kind}", rectangle & joint, rectangle & ~joint))
    return made
