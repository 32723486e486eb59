"""Two readers of the simulated patients, with errors like those of human readers.

A reader's grade is the true one plus an error that grows with the damage: readers agree on healthy
joints and differ on damaged ones. A part of the error is the reader's leniency with this patient,
which all joints share; the rest is each joint's own. Readers see the films of all visits together:
most of a joint's error is the same at each visit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mandora.core.anatomy import TARGETS, Damage
from mandora.core.errors import InputError
from mandora.simulate.cohort.patients import Patient

READERS = (1, 2)
READERS_CSV = "truth/readers.csv"
READER_NAMES = tuple(f"reader_{r}" for r in READERS)
READER_COLUMNS = ("patient", "target", "true_grade", *READER_NAMES)

# Purpose of the random stream; 0 to 3 are those of the truth and the films, in patients.py.
_READING = 4

_LENIENCY = 0.15  # share of the error's variance that is the reader's leniency with the patient

# Correlation of a joint's own error at a later visit with that at the first. Chosen so that the
# smallest detectable change of an ordinary cohort is about 3 points, as in trials.
_PERSISTENCE = 0.97


@dataclass(frozen=True)
class _Spread:
    """S.d. of the error before rounding: that of a healthy joint, and what each grade adds."""

    healthy: float
    per_grade: float


# Chosen so that the two readers' grades in an ordinary cohort correlate with r = 0.88 for
# narrowing and 0.78 for erosion, over all patients and joints.
_SPREAD = {Damage.NARROWING: _Spread(0.315, 0.105), Damage.EROSION: _Spread(0.38, 0.39)}


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
    leniency = float(np.sqrt(_LENIENCY)) * float(rng.standard_normal())
    own = rng.standard_normal(len(TARGETS))
    if patient.visit > 1:
        rng = np.random.default_rng([patient.seed, patient.index, _READING, reader, patient.visit])
        new = rng.standard_normal(len(TARGETS))
        own = _PERSISTENCE * own + np.sqrt(1 - _PERSISTENCE**2) * new
    own = np.sqrt(1 - _LENIENCY) * own
    grades = {}
    for target, error in zip(TARGETS, own, strict=True):
        true, spread = patient.grades[target.key], _SPREAD[target.damage]
        seen = true + (spread.healthy + spread.per_grade * true) * (leniency + float(error))
        grades[target.key] = min(max(round(seen), 0), target.maximum)
    return grades


def reading_rows(patient: Patient) -> list[list[str]]:
    """The patient's 86 rows of ``truth/readers.csv``, in the order of the targets."""
    seen = [read_grades(patient, reader) for reader in READERS]
    return [
        [patient.name, t.key, str(patient.grades[t.key]), *(str(grades[t.key]) for grades in seen)]
        for t in TARGETS
    ]
