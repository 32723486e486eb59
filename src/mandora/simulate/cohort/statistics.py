"""What a simulated cohort holds, next to what is published about real ones.

Totals, correlations of damage, agreement of the readers, and changes of the totals.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

from mandora.core.anatomy import TARGETS, JointGroup
from mandora.metrics import GROUPS, Number
from mandora.metrics.agreement import smallest_detectable_change
from mandora.metrics.correlations import total_correlations
from mandora.metrics.joints import by_family
from mandora.simulate.cohort.tables import Grades, VisitTables, read_visits

QUANTILES = (0.05, 0.25, 0.50, 0.75, 0.95)
MIN_PATIENTS = 3  # two patients always correlate perfectly

_TOTALS = {"Overall_narrowing": "narrowing", "Overall_erosion": "erosion", "Overall_Tol": "all"}
"""RA2's names of the totals → group of targets, see :data:`mandora.metrics.GROUPS`."""
_FAMILIES = ("nh", "nf", "eh", "ef")

# Li & Guan 2022, doi:10.1002/aisy.202200184, in words where its text has no number; and the
# cohort CLEAR II, whose films are part of that paper's data: Bridges et al. 2010,
# doi:10.1002/acr.20040, 167 patients with RA of any duration.
_ABOVE = "above other pairs"
PUBLISHED: Mapping[str, Mapping[str, str]] = {
    "damaged": {
        "Overall_Tol": "74.8 % (CLEAR II)",
        "Overall_narrowing": "65.3 % (CLEAR II)",
        "Overall_erosion": "65.3 % (CLEAR II)",
    },
    "means": {"Overall_Tol": "33.4 (CLEAR II)"},
    "correlations": dict.fromkeys(
        ("narrowing-erosion", "left-right", "hand-foot"), "medium to high"
    ),
    "pairs": {
        "same joint, narrowing-erosion": _ABOVE,
        "same joint, left-right": _ABOVE,
        "same wrist and kind": _ABOVE,
        "hand-foot": "above 0",
        "other": "above 0",
    },
    "readers": {"narrowing": "about 0.88", "erosion": "about 0.78"},
}


@dataclass(frozen=True)
class Correlation:
    """Pearson's r, or the reason why it is not defined.

    Attributes:
        r: -1 to 1; None if it is not defined.
        reason: in words, if ``r`` is None.
    """

    r: float | None
    reason: str | None = None

    @staticmethod
    def of(number: Number) -> Correlation:
        """From a number of :mod:`mandora.metrics`."""
        return Correlation(None if number.reason else number.value, number.reason)


@dataclass(frozen=True)
class Agreement:
    """Agreement of the two readers, pooled over patients and targets.

    Attributes:
        r: Pearson's r between the readers; None if it is not defined.
        rmse: root mean square of their difference, in grades.
        reason: in words, if ``r`` is None.
    """

    r: float | None
    rmse: float
    reason: str | None = None


@dataclass(frozen=True)
class Change:
    """How a total has changed since the first visit.

    Attributes:
        visit: 2 or more.
        total: RA2's name of the total.
        years: mean time since the first visit.
        mean: of the true changes, points.
        sd: of the true changes; None for fewer than :data:`MIN_PATIENTS` patients.
        progressed: share of patients with more true damage, 0..1.
        sdc: smallest change that the mean of the two readers can tell from error, points:
            1.96 SD(difference of their change scores) / (√2 √2) (Bruynesteyn et al., Ann Rheum
            Dis 2005;64:179); None for fewer than :data:`MIN_PATIENTS` patients.
        detectable: share of patients whose true change is above 0 and at least ``sdc``.
        reason: in words, if something is None.
    """

    visit: int
    total: str
    years: float
    mean: float
    sd: float | None
    progressed: float
    sdc: float | None
    detectable: float | None
    reason: str | None = None


@dataclass(frozen=True)
class CohortSummary:
    """A simulated cohort in numbers.

    Numbers are of the true grades, except ``readers`` and the SDCs, and of the first visit, except
    ``changes``.

    Attributes:
        patients: number.
        visits: number.
        zeros: share of true grades that are 0, 0..1.
        zeros_by_family: the same by family (``nh``, ``nf``, ``eh``, ``ef``).
        totals: RA2's name of a total → quantile (``5 %`` …) → points.
        means: RA2's name of a total → mean over patients.
        damaged: RA2's name of a total → share of patients in whom it is above 0.
        correlations: between totals of a patient: ``narrowing-erosion``, ``left-right``,
            ``hand-foot``.
        pairs: mean correlation of pairs of targets over patients, by kind of pair.
        readers: by family, then by kind of damage.
        changes: by later visit and total; none if there is one visit.
        published: by attribute and its key, what is published of real cohorts, in words.
    """

    patients: int
    visits: int
    zeros: float
    zeros_by_family: Mapping[str, float]
    totals: Mapping[str, Mapping[str, float]]
    means: Mapping[str, float]
    damaged: Mapping[str, float]
    correlations: Mapping[str, Correlation]
    pairs: Mapping[str, Correlation]
    readers: Mapping[str, Agreement]
    changes: tuple[Change, ...]
    published: Mapping[str, Mapping[str, str]]

    def to_json(self) -> str:
        """One JSON object; what is not defined is null, next to its reason."""
        return json.dumps(asdict(self), allow_nan=False)


def describe_cohort(folder: Path) -> CohortSummary:
    """Describe a simulated cohort.

    Args:
        folder: as written by :func:`mandora.simulate.cohort.folder.simulate_cohort`; only
            ``training.csv``, ``truth/readers.csv`` and ``truth/visits.csv`` of each visit are
            read.

    Raises:
        ValueError: if the folder holds no simulated cohort, or its tables are damaged.
    """
    return describe_visits(read_visits(folder))


def describe_visits(visits: Sequence[VisitTables]) -> CohortSummary:
    """Describe a cohort from its tables, the first visit first."""
    true = visits[0].true
    totals = {name: _total(true, name) for name in _TOTALS}
    return CohortSummary(
        patients=len(true),
        visits=len(visits),
        zeros=float((true == 0).mean()),
        zeros_by_family={name: float((true[:, GROUPS[name]] == 0).mean()) for name in _FAMILIES},
        totals={
            name: {f"{100 * q:.0f} %": float(np.quantile(v, q)) for q in QUANTILES}
            for name, v in totals.items()
        },
        means={name: float(v.mean()) for name, v in totals.items()},
        damaged={name: float((v > 0).mean()) for name, v in totals.items()},
        correlations={
            name: Correlation.of(parts["patients"])
            for name, parts in total_correlations(true).items()
        },
        pairs=_pairs(true),
        readers=_agreements(visits[0].read),
        changes=tuple(
            _change(number, name, visits[0], later)
            for number, later in enumerate(visits[1:], start=2)
            for name in _TOTALS
        ),
        published=PUBLISHED,
    )


def _total(grades: Grades, name: str) -> Grades:
    """(patients,) points, a total by RA2's name."""
    return np.asarray(grades[:, GROUPS[_TOTALS[name]]].sum(axis=1))


@cache
def _kinds_of_pairs() -> dict[str, tuple[list[int], list[int]]]:
    """The columns of the pairs of each kind."""
    kinds: dict[str, tuple[list[int], list[int]]] = {k: ([], []) for k in PUBLISHED["pairs"]}
    for i, a in enumerate(TARGETS):
        for j, b in enumerate(TARGETS[:i]):
            if a.joint == b.joint:
                kind = "same joint, narrowing-erosion"
            elif a.mirror == b:
                kind = "same joint, left-right"
            elif a.limb is not b.limb:
                kind = "hand-foot"
            elif (a.slot, a.damage) == (b.slot, b.damage) and (
                a.site.group is b.site.group is JointGroup.WRIST
            ):
                kind = "same wrist and kind"
            else:
                kind = "other"
            kinds[kind][0].append(i)
            kinds[kind][1].append(j)
    return kinds


def _pairs(true: Grades) -> dict[str, Correlation]:
    """The mean of the correlations that are defined, by kind of pair."""
    if len(true) < MIN_PATIENTS:
        few = Correlation(None, f"fewer than {MIN_PATIENTS} patients")
        return dict.fromkeys(_kinds_of_pairs(), few)
    spread = true.std(axis=0)
    varies = spread > 0
    z = (true - true.mean(axis=0)) / np.where(varies, spread, 1)
    r = z.T @ z / len(true)
    found = {}
    for kind, (first, second) in _kinds_of_pairs().items():
        values = r[first, second][varies[first] & varies[second]]
        none = Correlation(None, "every grade is the same in all patients")
        found[kind] = Correlation(float(values.mean())) if values.size else none
    return found


def _agreements(read: Grades) -> dict[str, Agreement]:
    """By family, then by kind of damage; ``read`` is (2, patients, targets)."""
    compared = by_family(read[0], read[1], ("r", "rmse"), ("reader 1", "reader 2"))
    agreements = {}
    for name in (*_FAMILIES, "narrowing", "erosion"):
        r = Correlation.of(compared[name]["r"])
        agreements[name] = Agreement(r.r, compared[name]["rmse"].value, r.reason)
    return agreements


def _change(number: int, name: str, first: VisitTables, later: VisitTables) -> Change:
    """How a total has changed from the first visit to visit ``number``."""
    true = _total(later.true, name) - _total(first.true, name)
    one, two = (
        _total(after, name) - _total(before, name)
        for before, after in zip(first.read, later.read, strict=True)
    )
    always = (number, name, float(later.years.mean()), float(true.mean()))
    progressed = float((true > 0).mean())
    if len(true) < MIN_PATIENTS:
        reason = f"fewer than {MIN_PATIENTS} patients"
        return Change(*always, None, progressed, None, None, reason)
    sdc = smallest_detectable_change(one, two).value
    detectable = float(((true > 0) & (true >= sdc)).mean())
    return Change(*always, float(true.std(ddof=1)), progressed, sdc, detectable)
