"""Two readers of the simulated patients, with errors like those of human readers.

A reader sees the damage of a joint with an error, and gives the grade whose limits the impression
lies between. The error is largest where damage is mild: a healthy joint and a destroyed one are
clear. It is bounded: nobody takes a destroyed joint for a healthy one. Each reader sets the limits
of the grades in a way of their own, and is lenient or strict with a patient, which all joints
share; the rest is each joint's own. Readers see the films of all visits together: most of a
joint's error is the same at each visit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import TARGETS, Damage, Limb
from mandora.core.errors import InputError
from mandora.simulate.cohort.patients import Patient

READERS = (1, 2)
READERS_CSV = "truth/readers.csv"
READER_NAMES = tuple(f"reader_{r}" for r in READERS)
READER_COLUMNS = ("patient", "target", "true_grade", *READER_NAMES)

# Purpose of the random stream; 0 to 3 are those of the truth and the films, in patients.py.
_READING = 4

_LENIENCY = 0.15  # share of the error's variance that is the reader's leniency with the patient

# S.d. of a reader's limits around the middle between two grades: of all limits together (a strict
# reader has low ones), and of each limit.
_STRICTNESS, _OWN_LIMITS = 0.07, 0.05

# Correlation of a joint's own error at a later visit with that at the first. Chosen so that the
# smallest detectable change of an ordinary cohort is about 3 points, as in trials.
_PERSISTENCE = 0.97


@dataclass(frozen=True)
class _Spread:
    """S.d. of the error, and its bound, both in grades.

    Attributes:
        healthy: of a joint without damage.
        mild: from grade 1 to the middle of the scale.
        destroyed: of a joint with the highest grade.
        bound: no error reaches it.
    """

    healthy: float
    mild: float
    destroyed: float
    bound: float

    def of(self, score: float, maximum: int) -> float:
        """S.d. of the error of a joint with this true score."""
        knots = (0.0, 1.0, 0.5 * maximum, float(maximum))
        return float(np.interp(score, knots, (self.healthy, self.mild, self.mild, self.destroyed)))


# Chosen so that the two readers' grades in an ordinary cohort correlate with r = 0.88 for
# narrowing and 0.78 for erosion, over all patients and joints.
_NARROWING = _Spread(0.33, 0.58, 0.33, 2.0)
_SPREAD = {
    (Limb.HAND, Damage.NARROWING): _NARROWING, (Limb.FOOT, Damage.NARROWING): _NARROWING,
    (Limb.HAND, Damage.EROSION): _Spread(0.43, 1.6, 1.2, 2.5),
    (Limb.FOOT, Damage.EROSION): _Spread(0.43, 3.4, 2.4, 4.0),
}  # fmt: skip


def read_grades(patient: Patient, reader: int) -> dict[str, int]:
    """The grades that a reader gives to a patient at a visit.

    The errors depend only on (seed, patient, purpose, reader, visit), not on other readers.

    Args:
        patient: as drawn.
        reader: number of the reader, at least 1; :data:`READERS` are those of a cohort.

    Returns:
        SvH grade by target key for all 86 targets, 0 to the target's maximum.

    Raises:
        ValueError: if there is no such reader.
    """
    if reader < 1:
        raise InputError(f"there is no reader {reader}; the first is 1")
    rng = np.random.default_rng([patient.seed, patient.index, _READING, reader])
    leniency = float(rng.standard_normal())
    own = rng.standard_normal(len(TARGETS))
    if patient.visit > 1:
        rng = np.random.default_rng([patient.seed, patient.index, _READING, reader, patient.visit])
        new = rng.standard_normal(len(TARGETS))
        own = _PERSISTENCE * own + np.sqrt(1 - _PERSISTENCE**2) * new
    errors = np.sqrt(_LENIENCY) * leniency + np.sqrt(1 - _LENIENCY) * own
    limits = _limits(patient.seed, reader)
    grades = {}
    for target, error in zip(TARGETS, errors, strict=True):
        true = patient.score(target)
        spread = _SPREAD[target.limb, target.damage]
        off = spread.of(true, target.maximum) * float(error)
        seen = true + spread.bound * np.tanh(off / spread.bound)
        own_limits = limits[target.damage][: target.maximum]
        grades[target.key] = int(np.searchsorted(own_limits, seen, side="right"))
    return grades


@cache
def _limits(seed: int, reader: int) -> dict[Damage, NDArray[np.float64]]:
    """Where a reader of a cohort sets the limits of the grades from 1 on, by kind of damage."""
    rng = np.random.default_rng([seed, _READING, reader])
    between = 0.5 + np.arange(max(t.maximum for t in TARGETS))
    limits = {}
    for damage in Damage:
        strictness = _STRICTNESS * rng.standard_normal()
        limits[damage] = between - strictness + _OWN_LIMITS * rng.standard_normal(len(between))
    return limits


def reading_rows(patient: Patient) -> list[list[str]]:
    """The patient's 86 rows of ``truth/readers.csv``, in the order of the targets."""
    seen = [read_grades(patient, reader) for reader in READERS]
    return [
        [patient.name, t.key, str(patient.grades[t.key]), *(str(grades[t.key]) for grades in seen)]
        for t in TARGETS
    ]
