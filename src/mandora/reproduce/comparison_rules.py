"""Rules for claims about two methods on the same patients; the claims are in :mod:`.claims`.

A gain needs the paper's test over folds *and* an interval over patients: folds share most of
their training patients, so a test over folds alone may show a gain that comes from the choice of
patients. "No gain" needs evidence as well: two one-sided tests at 5 % (Schuirmann, J Pharmacokinet
Biopharm 1987;15:657). Both pass if the whole 90 % interval lies within the margin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from mandora.core.anatomy import Damage
from mandora.core.settings import EquivalenceSettings
from mandora.metrics import FAMILY_TITLES, QUANTITIES, same_shape
from mandora.metrics.agreement import DECIMALS, SignedRanks, signed_ranks
from mandora.metrics.bootstrap import Interval
from mandora.reproduce.claims import (
    ALPHA,
    CONFIDENCE,
    EQUIVALENCE_ALPHA,
    MIN_FOLDS,
    MIN_PATIENTS,
    R_MARGIN,
    RMSE_MARGIN,
    Outcome,
    Verdict,
    least_folds,
    verdict,
)

NO_INTERVAL = "no interval over patients"


@dataclass(frozen=True, eq=False)
class FoldPair:
    """One quantity of two methods, fold by fold, and over patients.

    Attributes:
        first: (folds,) of the method that the claim is about; NaN where it is not defined.
        second: (folds,) of the method that it is compared with.
        test: paired, one-sided towards the first being better, but two-sided for erosion masks
            and for the human limit.
        change: first less second over the patients of all folds, with a 95 % interval; None if
            there is none.
        equivalence: the same with a 90 % interval, for the test of equivalence.
        reason: why there is no value, if there is none.
    """

    first: ArrayLike
    second: ArrayLike
    test: SignedRanks
    change: Interval | None = None
    equivalence: Interval | None = None
    reason: str = "no fold has both values"


FoldPairs = Mapping[str, Mapping[str, FoldPair]]
"""``nh``, ``eh``, ``nf``, ``ef`` → ``r``, ``rmse`` → values; what was not run is left out."""


class Change(NamedTuple):
    """What the first method changes, by the test over folds alone.

    ``significant`` is None where it cannot be told; ``second`` is the mean of the other method.
    """

    significant: bool | None
    number: str
    reason: str
    second: float = np.nan


def fold_change(
    pair: FoldPair | None, quantity: str, sides: Literal[1, 2] = 1, better: str = "better"
) -> Change:
    """Whether the mean over folds is better, and significantly so."""
    if pair is None:
        return Change(None, "", "this run has no such comparison")
    one, two = same_shape(pair.first, pair.second)
    both = np.isfinite(one) & np.isfinite(two)
    n, least = int(both.sum()), least_folds(sides)
    if n == 0:
        return Change(None, "", pair.reason)
    first, second = float(one[both].mean()), float(two[both].mean())
    p = f"p = {pair.test.p.value:.2g}" if pair.test.p.reason is None else "no p"
    number = f"{second:.3f} → {first:.3f}, {p}, {_folds(n, both.size)}{_over_patients(pair.change)}"
    gain = round((first - second) * _gain_sign(quantity), DECIMALS)
    if n < least:
        why = f"a test needs {least} folds or more to reach p < {ALPHA:g}"
        return Change(None, number, why, second)
    if gain <= 0:
        return Change(False, number, f"the mean over folds is not {better}", second)
    if pair.test.p.reason is not None:
        return Change(None, number, f"no p value: {pair.test.p.reason}", second)
    if pair.test.p.value < ALPHA:
        return Change(True, number, f"{better}, and p is below {ALPHA:g}", second)
    usual = ", though below 0.05" if pair.test.p.value < 0.05 else ""
    return Change(False, number, f"{better}, but p is not below {ALPHA:g}{usual}", second)


def _gain_sign(quantity: str) -> int:
    """The sign of a gain."""
    return 1 if quantity == "r" else -1


def _folds(n: int, of: int) -> str:
    return f"{n}{f' of {of}' if n < of else ''} {'fold' if of == 1 else 'folds'}"


def _missing_evidence(interval: Interval | None) -> str:
    """Why an interval over patients decides nothing; empty if it can decide."""
    if interval is None:
        return NO_INTERVAL
    if interval.reason is not None:
        return f"{NO_INTERVAL}: {interval.reason}"
    few = interval.patients < MIN_PATIENTS
    return f"an interval over fewer than {MIN_PATIENTS} patients says too little" if few else ""


def _over_patients(change: Interval | None) -> str:
    if change is None or change.reason is not None:
        return ""
    ends = f"{change.number.value:+.3f} ({change.low:+.3f} to {change.high:+.3f})"
    return f"; {ends} over {change.patients} patients".replace("-", "−")


# ── a gain: figures 5 and 8 ──────────────────────────────────────────────────────────────


def segmentation_claims(pairs: FoldPairs) -> list[Verdict]:
    """Figure 5: first with the joint-space mask, second without; p one-sided."""
    return [
        _gains(f"mask-{family}-{quantity}", pairs.get(family, {}).get(quantity), quantity)
        for family in FAMILY_TITLES
        for quantity in QUANTITIES
    ]


def symmetry_claims(pairs: FoldPairs, margins: EquivalenceSettings) -> list[Verdict]:
    """Figure 8: first the blend with the trees, second patch scores alone; p one-sided."""
    made = []
    for family in FAMILY_TITLES:
        for quantity in QUANTITIES:
            name, pair = f"symmetry-{family}-{quantity}", pairs.get(family, {}).get(quantity)
            if name == "symmetry-ef-r":
                made.append(verdict(name, *_unchanged(pair, quantity, margins)))
            else:
                made.append(_gains(name, pair, quantity))
    return made


def _gains(name: str, pair: FoldPair | None, quantity: str) -> Verdict:
    change = fold_change(pair, quantity)
    outcome, reason = change.significant, change.reason
    if outcome and pair is not None:
        outcome, more = _gain_over_patients(pair.change, quantity)
        reason = f"{reason}; {more}"
    return verdict(name, outcome, change.number, reason)


def _gain_over_patients(change: Interval | None, quantity: str) -> tuple[bool | None, str]:
    """Whether the interval over patients shows the gain, too."""
    reason = _missing_evidence(change)
    if change is None or reason:
        return None, reason
    worst = change.low if quantity == "r" else -change.high
    words = f"{100 * CONFIDENCE:g} % interval over patients"
    return worst > 0, f"the {words} {'excludes' if worst > 0 else 'holds'} 0"


# ── no gain: figure 6, and r of foot erosion in figure 8 ─────────────────────────────────


def erosion_mask_claims(pairs: FoldPairs, margins: EquivalenceSettings) -> list[Verdict]:
    """Figure 6: first with erosion masks, second without; p two-sided."""
    made = []
    for family in FAMILY_TITLES:
        parts = {
            word: _unchanged(pairs.get(family, {}).get(quantity), quantity, margins, 2)
            for quantity, word in QUANTITIES.items()
        }
        found = [outcome for outcome, *_ in parts.values()]
        order: tuple[Outcome, ...] = ("did not hold", "not testable here", "undecided", "held")
        outcome = next(one for one in order if one in found)
        number = "; ".join(f"{word} {number}" for word, (_, number, _) in parts.items() if number)
        reasons = [f"{word}: {reason}" for word, (*_, reason) in parts.items()]
        if len({reason for *_, reason in parts.values()}) == 1:
            reasons = [parts["r"][2]]
        made.append(verdict(f"erosionmask-{family}", outcome, number, "; ".join(reasons)))
    return made


def _unchanged(
    pair: FoldPair | None, quantity: str, margins: EquivalenceSettings, sides: Literal[1, 2] = 1
) -> tuple[Outcome, str, str]:
    """Whether two methods are shown to be alike: outcome, number, reason."""
    change = fold_change(pair, quantity, sides)
    if pair is None or not change.number:
        return "not testable here", change.number, change.reason
    reason = _missing_evidence(pair.equivalence)
    if pair.equivalence is None or reason:
        return "not testable here", change.number, reason
    margin = margins.r if quantity == "r" else margins.rmse * change.second
    low, high, power = (
        pair.equivalence.low,
        pair.equivalence.high,
        power_of(pair.equivalence, margin),
    )
    shown = f"{low:+.3f} to {high:+.3f}".replace("-", "−")
    words = (
        f"{100 * (1 - 2 * EQUIVALENCE_ALPHA):g} % interval {shown}, margin ±{margin:.3f}, power "
        f"{power:.2f}{_over_folds(pair, margin)}"
    )
    if -margin < low and high < margin:
        return "held", change.number, f"alike: {words}"
    if low >= margin or high <= -margin:
        return "did not hold", change.number, f"they differ by the margin or more: {words}"
    if change.significant:
        return "did not hold", change.number, f"{change.reason}: {words}"
    if power < margins.power:
        return "undecided", change.number, f"the interval is too wide to tell: {words}"
    return "did not hold", change.number, f"not shown to be alike: {words}"


def power_of(interval: Interval, margin: float) -> float:
    """The chance that two one-sided tests show equivalence of methods that do not differ.

    Args:
        interval: of the difference, at the level of those tests (90 %).
        margin: of equivalence.

    Returns:
        0 to 1, by the normal approximation: 2 Φ(margin / s.e. − z) − 1.
    """
    z = float(stats.norm.ppf(1 - EQUIVALENCE_ALPHA))
    error = (interval.high - interval.low) / (2 * z)
    if error == 0:
        return 1.0
    return max(0.0, float(2 * stats.norm.cdf(margin / error - z) - 1))


def _over_folds(pair: FoldPair, margin: float) -> str:
    """The two one-sided signed-rank tests over folds, for the record."""
    first, second = same_shape(pair.first, pair.second)
    tests = (
        signed_ranks(first, second - margin, "greater").p,
        signed_ranks(first, second + margin, "less").p,
    )
    if any(p.reason for p in tests):
        return ""
    return f", over folds p = {max(p.value for p in tests):.2g}"


# ── the human limit: figure 10 ───────────────────────────────────────────────────────────


def limit_claims(
    damages: Mapping[Damage, Mapping[str, FoldPair]], readers: FoldPair | None
) -> list[Verdict]:
    """Figure 10; without a second reader give an empty mapping and None.

    Args:
        damages: kind → ``r``, ``rmse`` → first the model, second the other reader, both against
            the reader that is the reference. Their p is shown and not used: not to differ
            significantly is no evidence of being alike.
        readers: r between the two readers: first of narrowing, second of erosion.
    """
    made = []
    for damage in Damage:
        for quantity in QUANTITIES:
            pair = damages.get(damage, {}).get(quantity)
            made.append(_limit(damage, quantity, pair))
    change = fold_change(readers, "r", better="higher for narrowing")
    number = f"erosion → narrowing: {change.number}" if change.number else ""
    reason = change.reason if readers else "this run has no second reader"
    return [*made, verdict("limit-readers", change.significant, number, reason)]


def _limit(damage: Damage, quantity: str, pair: FoldPair | None) -> Verdict:
    name = f"limit-{damage}-{quantity}"
    if pair is None:
        return verdict(name, None, "", "this run has no second reader")
    model, reader = same_shape(pair.first, pair.second)
    both = np.isfinite(model) & np.isfinite(reader)
    n = int(both.sum())
    if n == 0:
        return verdict(name, None, "", pair.reason)
    ours, theirs = float(model[both].mean()), float(reader[both].mean())
    p = "" if pair.test.p.reason else f", p = {pair.test.p.value:.2g}"
    number = (
        f"model {ours:.3f}, reader {theirs:.3f}{p}, {_folds(n, both.size)}"
        f"{_over_patients(pair.change)}"
    )
    if n < MIN_FOLDS:
        return verdict(name, None, number, f"fewer than {MIN_FOLDS} folds")
    reason = _missing_evidence(pair.equivalence)
    if pair.equivalence is None or reason:
        return verdict(name, None, number, reason)
    margin = R_MARGIN if quantity == "r" else RMSE_MARGIN * theirs
    gains = sorted(
        _gain_sign(quantity) * end for end in (pair.equivalence.low, pair.equivalence.high)
    )
    worst, best = (round(gain, DECIMALS) for gain in gains)
    near = damage is Damage.NARROWING
    if worst >= -margin:
        return verdict(name, near, number, "the model is comparable to a reader")
    if best < -margin:
        return verdict(name, not near, number, "the model is worse than a reader")
    return verdict(name, "undecided", number, "the margin lies within the interval over patients")
