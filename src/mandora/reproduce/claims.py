"""What the paper claims, and what a run says about each claim.

Every claim of Li & Guan 2022 (doi:10.1002/aisy.202200184) that its figures and tables support
stands in :data:`CLAIMS` with its rule in words. The rules were written before any result was
seen: change one only for a reason that has nothing to do with an outcome. In code they are in
:mod:`.claim_rules` (numbers of one method: figures 3, 7 and 9, table 1) and
:mod:`.comparison_rules` (two methods on the same patients: figures 5, 6, 8 and 10). Both end with
:func:`verdict`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from mandora.core.anatomy import Damage
from mandora.core.errors import InputError
from mandora.core.files import write_atomically
from mandora.core.settings import EquivalenceSettings
from mandora.metrics import FAMILY_TITLES, QUANTITIES
from mandora.metrics.localisation import CUTOFF

Outcome = Literal["held", "did not hold", "undecided", "not testable here"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

Sort = Literal["method", "null", "simulator"]
SORTS: Mapping[Sort, str] = {
    "method": "Of the method: they depend on the trained networks and trees.",
    "null": "Of no difference: the paper found no significant gain. Not to find one is no "
    "evidence, so they hold only if the two are shown to be alike, within a margin that was set "
    "before the run.",
    "simulator": "Of the labels alone, whatever the model. On simulated patients they test the "
    "simulator, not the method.",
}
"""What a claim is about. Outcomes are counted for each sort by itself: a claim about the simulated
labels says nothing of the method."""

ALPHA = 0.01
"""Level of significance: the paper names none, but calls p = 0.041 not significant."""
CONFIDENCE = 0.95
"""Of intervals over patients."""
EQUIVALENCE_ALPHA = 0.05
"""Level of each of the two one-sided tests of equivalence."""
FINGERS_WITHIN = 0.98  # the paper's share of finger joints
SIMILAR_SHARES = 0.02  # differ by no more than the share of finger joints that may miss
MOST_WITHIN = 0.95  # "high accuracy", for which the paper gives no number
LARGE_R, MEDIUM_R, SMALL_R = 0.5, 0.3, 0.1  # Cohen, Statistical power analysis, 1988
UBIQUITOUS = 0.9  # share of the pairs of joints
MIN_CASES = 30  # with fewer, the 95 % interval of a medium r reaches far below 0
MIN_PATIENTS = 20  # a bootstrap of fewer is too narrow, and of two it is chance
MIN_FOLDS = 3  # for means over folds that are not tested
STANDS_OUT = 2.0  # times the cells around: what the eye sees in a map as a block
R_MARGIN, RMSE_MARGIN = 0.05, 0.10  # "comparable": r lower by so much, RMSE higher by that share

NO_NUMBER = "not in the text"


@dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    Attributes:
        id: its name; the part before the first hyphen is the experiment's.
        sort: what it is about, see :data:`SORTS`.
        text: the claim, in our words.
        where: the figure or table that supports it.
        paper: the paper's number, or that its text gives none.
        rule: what counts as held.
    """

    id: str
    sort: Sort
    text: str
    where: str
    paper: str
    rule: str


@dataclass(frozen=True)
class Verdict:
    """What a run says about a claim.

    Attributes:
        claim: the claim.
        outcome: whether it held.
        number: the run's number, in words; empty if there is none.
        reason: how the outcome follows, or why there is none.
    """

    claim: Claim
    outcome: Outcome
    number: str
    reason: str


_EQUIVALENCE_INTERVAL = f"{100 * (1 - 2 * EQUIVALENCE_ALPHA):g} % interval over patients"
_EQUIVALENT = (
    f"the whole {_EQUIVALENCE_INTERVAL} of the change lies within the margin of the settings' "
    "table equivalence (two one-sided tests)"
)


def _claims() -> Iterator[Claim]:
    shares = [
        ("finger", "Nearly all finger joints are located", "c", "more than 98.0 %",
         f"more than {_percent(FINGERS_WITHIN)} of all finger joints"),
        ("wrist", "Fewer joints of the wrist than of fingers are located", "d", NO_NUMBER,
         "the share is smaller than that of fingers"),
        ("toe", "Joints of toes are located about as well as those of fingers", "e", NO_NUMBER,
         f"the shares differ by at most {100 * SIMILAR_SHARES:g} percentage points"),
        ("all", "Joints are located with high accuracy overall", "c–e", NO_NUMBER,
         f"at least {_percent(MOST_WITHIN)} of all joints"),
    ]  # fmt: skip
    for name, text, panel, paper, rule in shares:
        text += f" (within {CUTOFF:g} of the film's size)"
        yield Claim(f"locate-{name}", "method", text, f"Fig. 3{panel}", paper, rule)
    yield from _improvements("mask", "Segmenting joint spaces", "Fig. 5")
    for family, title in FAMILY_TITLES.items():
        panels = _panels(family)
        rule = f"neither r nor RMSE changes: {_EQUIVALENT}"
        text = f"Segmenting erosions does not improve {title}"
        yield Claim(f"erosionmask-{family}", "null", text, f"Fig. 6{panels}", NO_NUMBER, rule)
    for name in ("narrowing-erosion", "left-right", "hand-foot"):
        text = f"Total damage correlates from medium to high: {' with '.join(name.split('-'))}"
        rule = f"Pearson's r over films is {MEDIUM_R:g} or more"
        yield Claim(f"totals-{name}", "simulator", text, "Table 1", NO_NUMBER, rule)
    for name, panel in (("same", "a"), ("other", "b")):
        text = f"Joints correlate with almost all joints of the {name} side"
        rule = f"r is {SMALL_R:g} or more in at least {_percent(UBIQUITOUS)} of the pairs"
        yield Claim(f"joints-{name}", "simulator", text, f"Fig. 7{panel}", NO_NUMBER, rule)
    for claim in _improvements("symmetry", "The symmetry stage", "Fig. 8"):
        if claim.id != "symmetry-ef-r":
            yield claim
            continue
        text = "The symmetry stage does not raise r of foot erosion significantly"
        paper = "0.693 → 0.711, p = 0.041"
        yield Claim(claim.id, "null", text, claim.where, paper, f"r does not change: {_EQUIVALENT}")
    most, times = "mean |SHAP| for more than half of the sites", f"at least {STANDS_OUT:g} times"
    shap = [
        ("own", "The strongest predictor of a score is generally the joint's own patch score",
         "a, Table 2", f"of all 86 features it has the largest {most}"),
        ("wrist", "Joints of the wrist predict each other", "a",
         f"mean |SHAP| of other wrist sites is {times} that of fingers, for both damages"),
        ("damage", "Narrowing and erosion of the same joint predict each other", "a",
         f"mean |SHAP| of the joint's other damage is {times} that of other joints' other damage, "
            "in all four rectangles"),
        ("other", "On the other side, the counterpart joint is the strongest predictor",
         "b, Table 3", f"of the other side's features it has the largest {most}"),
    ]  # fmt: skip
    for name, text, panel, rule in shap:
        yield Claim(f"shap-{name}", "method", text, f"Fig. 9{panel}", NO_NUMBER, rule)
    for damage, paper in ((Damage.NARROWING, "readers: 0.88"), (Damage.EROSION, "readers: 0.78")):
        near = damage is Damage.NARROWING
        for quantity, panel in zip(QUANTITIES, _panels(damage), strict=True):
            does = "is comparable to" if near else "still falls short of"
            text = f"{QUANTITIES[quantity]} of {damage} {does} that between two readers"
            margin = f"{R_MARGIN:g} lower" if quantity == "r" else f"{_percent(RMSE_MARGIN)} higher"
            most = "at most" if near else "more than"
            rule = f"the whole {_EQUIVALENCE_INTERVAL} is {most} {margin} than the reader's number"
            known = f"{paper} (about); model: {NO_NUMBER}" if quantity == "r" else NO_NUMBER
            name = f"limit-{damage}-{quantity}"
            yield Claim(name, "method", text, f"Fig. 10{panel}", known, rule)
    text = "Readers agree less on erosion than on narrowing"
    rule = f"mean r over folds is lower, with {_significance()}"
    paper = "about 0.78 against about 0.88"
    yield Claim("limit-readers", "simulator", text, "Fig. 10ac", paper, rule)


def _improvements(name: str, what: str, figure: str) -> Iterator[Claim]:
    rule = (
        f"the mean over folds is better, with {_significance()}, and so is the whole "
        f"{_percent(CONFIDENCE)} interval of the change over patients"
    )
    for family, title in FAMILY_TITLES.items():
        for quantity, panel in zip(QUANTITIES, _panels(family), strict=True):
            does = "raises r" if quantity == "r" else "lowers RMSE"
            text = f"{what} {does} of {title} significantly"
            where = f"{figure}{panel}"
            yield Claim(f"{name}-{family}-{quantity}", "method", text, where, NO_NUMBER, rule)


def least_folds(sides: Literal[1, 2] = 1) -> int:
    """The fewest folds with which an exact signed-rank test can reach :data:`ALPHA`."""
    return next(n for n in range(1, 99) if sides * 0.5**n < ALPHA)


def _significance() -> str:
    return f"one-sided p < {ALPHA:g} over {least_folds()} or more folds"


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def _panels(family: str) -> str:
    """Of r and RMSE, in the figures with four panels."""
    return "ab" if family.startswith("n") else "cd"


CLAIMS: tuple[Claim, ...] = tuple(_claims())
"""Every claim, in the order of the paper."""
BY_ID = {claim.id: claim for claim in CLAIMS}


_IN_WORDS: Mapping[bool | None, Outcome] = {
    True: "held", False: "did not hold", None: "not testable here",
}  # fmt: skip


def verdict(name: str, outcome: bool | Outcome | None, number: str, reason: str) -> Verdict:
    """The verdict on a claim by its id; None: not testable here."""
    words = outcome if isinstance(outcome, str) else _IN_WORDS[outcome]
    return Verdict(BY_ID[name], words, number, reason)


def complete(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """One verdict for each claim, in the order of :data:`CLAIMS`; those without are not testable.

    Args:
        verdicts: in any order.

    Raises:
        ValueError: if a claim has two verdicts.
    """
    made: dict[str, Verdict] = {}
    for one in verdicts:
        if one.claim.id in made:
            raise InputError(f"claim {one.claim.id} has two verdicts; give one")
        made[one.claim.id] = one
    missing = "this run has no result for it"
    return tuple(made.get(c.id, verdict(c.id, None, "", missing)) for c in CLAIMS)


def counts(verdicts: Iterable[Verdict]) -> dict[Sort, dict[Outcome, int]]:
    """How many claims of each sort had which outcome; there is no sum over sorts."""
    found = Counter((one.claim.sort, one.outcome) for one in verdicts)
    return {sort: {outcome: found[sort, outcome] for outcome in OUTCOMES} for sort in SORTS}


def write_claims(path: Path, verdicts: Iterable[Verdict], margins: EquivalenceSettings) -> None:
    """Write ``claims.json``: outcomes counted by sort, the margins, then each claim.

    A claim has the keys ``id``, ``sort``, ``text``, ``where``, ``paper``, ``rule``, ``held``,
    ``number`` and ``reason``, all of them text. The file is replaced as a whole.
    """
    made = list(verdicts)
    about = {
        "counts": counts(made),
        "equivalence": margins.model_dump(),
        "claims": [
            {**asdict(v.claim), "held": v.outcome, "number": v.number, "reason": v.reason}
            for v in made
        ],
    }
    text = json.dumps(about, indent=1, ensure_ascii=False)
    write_atomically(path, f"{text}\n".encode())
