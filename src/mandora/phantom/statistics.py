"""What a simulated cohort holds: totals, their correlations, and how well the readers agree."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mandora.anatomy import (
    FAMILIES,
    RA2_TOTALS,
    TARGET_INDEX,
    TARGETS,
    Damage,
    Limb,
    Side,
    Target,
)
from mandora.cohorts.ra2 import read_scores
from mandora.phantom.readers import READER_COLUMNS, READERS, READERS_CSV

QUANTILES = (0.05, 0.25, 0.50, 0.75, 0.95)
MIN_PATIENTS = 3  # two patients always correlate perfectly

Grades = NDArray[np.float64]


@dataclass(frozen=True)
class Correlation:
    """Pearson's r, or why there is none.

    Attributes:
        r: -1 to 1; None if it is not defined.
        reason: in words, if ``r`` is None.
    """

    r: float | None
    reason: str | None = None


@dataclass(frozen=True)
class Agreement:
    """How well the two readers agree, pooled over patients and targets.

    Attributes:
        r: Pearson's r between the readers; None if it is not defined.
        rmse: root mean square of their difference, in grades.
        reason: in words, if ``r`` is None.
    """

    r: float | None
    rmse: float
    reason: str | None = None


@dataclass(frozen=True)
class CohortSummary:
    """A simulated cohort in numbers; all of the true grades but for ``readers``.

    Attributes:
        patients: how many.
        zeros: share of true grades that are 0, 0..1.
        totals: RA2's name of a total → quantile (``5 %`` …) → points.
        correlations: between totals of a patient: ``narrowing-erosion``, ``left-right``,
            ``hand-foot``.
        readers: by family (``nh``, ``nf``, ``eh``, ``ef``), then by kind of damage.
    """

    patients: int
    zeros: float
    totals: Mapping[str, Mapping[str, float]]
    correlations: Mapping[str, Correlation]
    readers: Mapping[str, Agreement]

    def to_json(self) -> str:
        """One JSON object; what is not defined is null, next to its reason."""
        return json.dumps(asdict(self), allow_nan=False)


def describe_cohort(folder: Path) -> CohortSummary:
    """Sum a simulated cohort up.

    Args:
        folder: as written by :func:`mandora.phantom.cohort.simulate_cohort`; only
            ``training.csv`` and ``truth/readers.csv`` are read.

    Raises:
        ValueError: if the folder holds no simulated cohort, or its tables are damaged.
    """
    for name in ("training.csv", READERS_CSV):
        if not (folder / name).is_file():
            raise ValueError(
                f"{folder} is no simulated cohort: it has no {name}; "
                "give a folder that mandora simulate has written"
            )
    patients, true = _read_truth(folder / "training.csv")
    read = _read_readings(folder / READERS_CSV, patients, true)
    totals = {name: _total(true, partial(_is_of, Limb, kinds)) for name, kinds in _totals()}
    return CohortSummary(
        patients=len(patients),
        zeros=float((true == 0).mean()),
        totals={
            name: {f"{q:.0%}".replace("%", " %"): float(np.quantile(v, q)) for q in QUANTILES}
            for name, v in totals.items()
        },
        correlations={
            name: _between_patients(name, _total(true, first), _total(true, second))
            for name, (first, second) in _HALVES.items()
        },
        readers=_agreements(read),
    )


_HALVES: dict[str, tuple[Callable[[Target], bool], Callable[[Target], bool]]] = {
    "narrowing-erosion": (
        lambda t: t.damage is Damage.NARROWING,
        lambda t: t.damage is Damage.EROSION,
    ),
    "left-right": (lambda t: t.side is Side.LEFT, lambda t: t.side is Side.RIGHT),
    "hand-foot": (lambda t: t.limb is Limb.HAND, lambda t: t.limb is Limb.FOOT),
}


def _totals() -> list[tuple[str, tuple[Damage, ...]]]:
    """RA2's totals, the sum of all last."""
    return sorted(RA2_TOTALS.items(), key=lambda item: (len(item[1]), item[1][0] != "narrowing"))


def _is_of(limbs: Iterable[Limb], kinds: Iterable[Damage], target: Target) -> bool:
    return target.limb in limbs and target.damage in kinds


def _columns(wanted: Callable[[Target], bool]) -> list[int]:
    return [i for i, t in enumerate(TARGETS) if wanted(t)]


def _total(grades: Grades, wanted: Callable[[Target], bool]) -> Grades:
    """(patients,) sums of some of the targets."""
    return np.asarray(grades[:, _columns(wanted)].sum(axis=1))


def _between_patients(name: str, first: Grades, second: Grades) -> Correlation:
    if len(first) < MIN_PATIENTS:
        return Correlation(None, f"fewer than {MIN_PATIENTS} patients")
    one, other = name.split("-")
    return _pearson({f"the {one} total": first, f"the {other} total": second})


def _pearson(columns: Mapping[str, Grades]) -> Correlation:
    for which, values in columns.items():
        if np.ptp(values) == 0:
            return Correlation(None, f"{which} is {values.flat[0]:g} everywhere")
    return Correlation(float(np.corrcoef([values.ravel() for values in columns.values()])[0, 1]))


def _agreements(read: Grades) -> dict[str, Agreement]:
    """Families, then kinds of damage; ``read`` is (readers, patients, targets)."""
    groups: dict[str, list[int]] = {}
    for damage in Damage:
        for limb in Limb:
            code = FAMILIES[limb, damage][0].code.rstrip("0123456789")
            groups[code] = _columns(partial(_is_of, (limb,), (damage,)))
    for damage in Damage:
        groups[str(damage)] = _columns(partial(_is_of, Limb, (damage,)))
    agreements = {}
    for name, columns in groups.items():
        first, second = read[0][:, columns], read[1][:, columns]
        found = _pearson({"reader 1": first, "reader 2": second})
        rmse = float(np.sqrt(((first - second) ** 2).mean()))
        agreements[name] = Agreement(found.r, rmse, found.reason)
    return agreements


def _read_truth(path: Path) -> tuple[dict[str, int], Grades]:
    """Row by patient, and the (patients, 86) true grades."""
    scores = read_scores(path)
    if not scores:
        raise ValueError(f"{path}: has no patients; make the cohort again")
    for patient, row in scores.items():
        missing = [key for key, grade in row.items() if math.isnan(grade)]
        if missing:
            raise ValueError(
                f"{path}: patient {patient} has no grade for {missing[0]}; a simulated cohort "
                "has all of them, make it again"
            )
    rows = {patient: i for i, patient in enumerate(scores)}
    return rows, np.array([[row[t.key] for t in TARGETS] for row in scores.values()])


def _read_readings(path: Path, patients: Mapping[str, int], true: Grades) -> Grades:
    """(readers, patients, 86) grades of the readers, checked against the true ones."""
    grades = np.full((len(READERS), *true.shape), np.nan)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = csv.reader(file)
            if tuple(next(lines, ())) != READER_COLUMNS:
                raise ValueError(f"{path}: its header is not {','.join(READER_COLUMNS)}")
            for line in lines:
                where = f"{path}: line {lines.line_num}"
                row, column, truth, read = _reading(line, where, patients)
                if truth != true[row, column] or not np.isnan(grades[0, row, column]):
                    raise ValueError(
                        f"{where}: is not the one reading of a grade of training.csv; "
                        "make the cohort again"
                    )
                grades[:, row, column] = read
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: is no CSV file ({error}); make the cohort again") from error
    missing = int(np.isnan(grades[0]).sum())
    if missing:
        raise ValueError(f"{path}: lines missing: {missing}; make the cohort again")
    return grades


def _reading(
    line: list[str], where: str, patients: Mapping[str, int]
) -> tuple[int, int, int, tuple[int, int]]:
    """Row, column, true grade and the readers' grades of one line."""
    try:
        patient, key, *cells = line
        row, column = patients[patient], TARGET_INDEX[key]
        truth, first, second = (int(cell) for cell in cells)
    except (KeyError, ValueError):
        raise ValueError(
            f"{where}: is no reading of a patient of training.csv; make the cohort again"
        ) from None
    maximum = TARGETS[column].maximum
    if not (0 <= first <= maximum and 0 <= second <= maximum):
        raise ValueError(f"{where}: a grade is outside 0…{maximum}; make the cohort again")
    return row, column, truth, (first, second)
