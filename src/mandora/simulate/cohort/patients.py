"""Simulated patients: their damage and their films.

Every random number depends only on (seed, patient, purpose), so that a film does not depend on
which other films are made, in which order, or by how many processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from mandora.core.anatomy import SLOTS, TARGETS, Damage, JointGroup, Limb, Side, Slot, Target
from mandora.core.ra2 import RA2_ID, RA2_TOTALS, ra2_column
from mandora.simulate.anatomy.foot import build_foot
from mandora.simulate.anatomy.hand import build_hand
from mandora.simulate.anatomy.joint_state import JointState, draw_state
from mandora.simulate.anatomy.skeleton import Skeleton, Traits
from mandora.simulate.anatomy.wrist import WRIST_ANCHORS
from mandora.simulate.cohort.frequencies import grade_at, grade_limits
from mandora.simulate.xray.exposure import Imaging
from mandora.simulate.xray.placement import Placement
from mandora.simulate.xray.render import SimulatedFilm, render, render_pair

# purposes of random streams; 4 is that of readers.py, 5 that of progression.py
_TRAITS, _GRADES, _SHAPE, _FILM = range(4)
_EVEN = 6

# Shared parts of the variance of damage: by patient, by hands or feet, by kind of damage, by the
# same joint of both sides, by narrowing and erosion of one joint, by side, by joints of one kind
# (fingers, wrist, toes), and by neighbours in the wrist. The rest is each target's own.
_COMMON = {
    "patient": 0.53, "limb": 0.08, "damage": 0.04, "pair": 0.12, "joint": 0.07, "side": 0.02,
    "group": 0.03,
}  # fmt: skip
_WRIST = 0.08

BUILD = {Limb.HAND: build_hand, Limb.FOOT: build_foot}
"""The function that builds the skeleton of a limb."""
_WRIST_SITES = frozenset(t.site.name for t in TARGETS if t.site.group is JointGroup.WRIST)


@dataclass(frozen=True)
class Patient:
    """One simulated patient at one visit.

    Attributes:
        name: study id.
        seed: of the cohort.
        index: within the cohort.
        traits: build of the bones.
        states: latent damage of each site, by film.
        grades: true SvH grade by target key.
        burden: normal score of damage by target key, in s.d. of an ordinary cohort; the grades
            are cut from it, see :mod:`mandora.simulate.cohort.frequencies`.
        visit: 1 for the first.
        years: since the first visit.
    """

    name: str
    seed: int
    index: int
    traits: Traits
    states: Mapping[Slot, Mapping[str, JointState]]
    grades: Mapping[str, int]
    burden: Mapping[str, float]
    visit: int = 1
    years: float = 0.0

    def score(self, target: Target) -> float:
        """The true score as a continuous number, as far as the state tells more than the grade.

        Of narrowing, :attr:`JointState.narrowing_score`; of erosion, the grade.
        """
        if target.damage is Damage.NARROWING:
            return self.states[target.slot][target.site.name].narrowing_score
        return float(self.grades[target.key])


def patient_name(index: int) -> str:
    """Study id of patient ``index`` of any cohort."""
    return f"SIM{index + 1:04d}"


def draw_patient(
    seed: int,
    index: int,
    *,
    severity: float = 0.0,
    immature_share: float = 0.0,
    even_share: float = 0.0,
) -> Patient:
    """Patient ``index`` of cohort ``seed`` at the first visit.

    Args:
        seed: of the cohort.
        index: within the cohort.
        severity: 0 is an ordinary cohort; each unit moves it by one s.d. of damage.
        immature_share: share of patients with open growth plates.
        even_share: share of targets whose grade does not follow from the severity: every grade
            from 1 on is as likely, whatever the joints around have. For training.
    """
    traits = Traits.draw(np.random.default_rng([seed, index, _TRAITS]), immature_share)
    rng = np.random.default_rng([seed, index, _GRADES])
    burden = _draw_burden(rng, severity)
    if even_share:
        burden |= _even_burden(np.random.default_rng([seed, index, _EVEN]), even_share)
    grades = {t: grade_at(t, burden[t.key]) for t in TARGETS}
    states: dict[Slot, dict[str, JointState]] = {}
    for slot in SLOTS:
        by_name: dict[str, dict[Damage, int]] = {}
        for target in TARGETS:
            if target.slot == slot:
                by_name.setdefault(target.site.name, {})[target.damage] = grades[target]
        states[slot] = {
            name: draw_state(
                rng, kinds.get(Damage.NARROWING, 0), kinds.get(Damage.EROSION, 0), slot.limb,
                bare_areas(name), slides=slides(name),
            )
            for name, kinds in by_name.items()
        }  # fmt: skip
    return Patient(
        patient_name(index), seed, index, traits, states,
        {t.key: g for t, g in grades.items()}, burden,
    )  # fmt: skip


def bare_areas(site: str) -> int:
    """Number of bare areas of a site, where erosions start."""
    return WRIST_ANCHORS if site in _WRIST_SITES else 4


def slides(site: str) -> bool:
    """A joint of a finger or toe can be subluxated; the bones of the wrist stay in place."""
    return site not in _WRIST_SITES


def _draw_burden(rng: np.random.Generator, severity: float) -> dict[str, float]:
    """Correlated burdens, the normal scores of a Gaussian copula."""
    drawn: dict[tuple[object, ...], float] = {}

    def common(kind: str, share: float, *what: object) -> float:
        key = (kind, *what)
        if key not in drawn:
            drawn[key] = float(rng.standard_normal()) * float(np.sqrt(share))
        return drawn[key]

    burden = {}
    for t in TARGETS:
        what: dict[str, tuple[object, ...]] = {
            "patient": (), "limb": (t.limb,), "damage": (t.damage,),
            "pair": (t.limb, t.site.name), "joint": (t.slot, t.site.name), "side": (t.side,),
            "group": (t.slot, t.site.group, t.damage),
        }  # fmt: skip
        z, left = severity, 1 - sum(_COMMON.values())
        for kind, share in _COMMON.items():
            z += common(kind, share, *what[kind])
        if t.site.group is JointGroup.WRIST:
            z, left = z + common("wrist", _WRIST, t.slot, t.damage), left - _WRIST
        burden[t.key] = z + float(np.sqrt(left)) * float(rng.standard_normal())
    return burden


def _even_burden(rng: np.random.Generator, share: float) -> dict[str, float]:
    """Burdens of some targets, such that each of their grades from 1 on is as likely."""
    burden = {}
    for t in TARGETS:
        chosen, grade = rng.random() < share, int(rng.integers(1, t.maximum + 1))
        if chosen:
            limits = [*grade_limits(t), grade_limits(t)[-1] + 1.0]
            burden[t.key] = float(rng.uniform(limits[grade - 1], limits[grade]))
    return burden


def simulate_film(
    patient: Patient, slot: Slot, *, wide: bool = False, pixels_per_mm: float | None = None
) -> SimulatedFilm:
    """One film of a patient.

    Args:
        patient: as drawn, or at a later visit.
        slot: which limb.
        wide: cover bad framing and exposure as well, for training.
        pixels_per_mm: fixed resolution; None: drawn as in real cohorts.
    """
    skeleton, film = _skeleton(patient, slot)
    placement = Placement.draw(skeleton, slot.side, film, wide=wide, pixels_per_mm=pixels_per_mm)
    return render(skeleton, placement, Imaging.draw(film, wide=wide), film)


def simulate_pair(
    patient: Patient, limb: Limb, *, wide: bool = False, pixels_per_mm: float | None = None
) -> tuple[SimulatedFilm, SimulatedFilm]:
    """One film of both hands or both feet: the left one on the left, thumbs or great toes inside.

    Args:
        patient: as drawn, or at a later visit.
        limb: hands or feet.
        wide: cover bad framing and exposure as well, for training.
        pixels_per_mm: fixed resolution; None: drawn as in real cohorts.

    Returns:
        The film with the truth of the left limb, and the same film with that of the right.
    """
    (left, film), (right, other) = (_skeleton(patient, Slot(side, limb)) for side in Side)
    first = Placement.draw(left, Side.LEFT, film, wide=wide, pixels_per_mm=pixels_per_mm)
    second = Placement.draw(right, Side.RIGHT, other, wide=wide, pixels_per_mm=first.pixels_per_mm)
    height = max(first.height, second.height)
    halves = (
        replace(first, height=height),
        replace(second, height=height, pixels_per_mm=first.pixels_per_mm),
    )
    return render_pair((left, right), halves, Imaging.draw(film, wide=wide), film)


def _skeleton(patient: Patient, slot: Slot) -> tuple[Skeleton, np.random.Generator]:
    """A limb of a patient, and the random generator for the rest of its film."""
    place = SLOTS.index(slot)
    shape = np.random.default_rng([patient.seed, patient.index, _SHAPE, slot.limb is Limb.HAND])
    film = np.random.default_rng([patient.seed, patient.index, _FILM, place])
    skeleton = BUILD[slot.limb](patient.traits, patient.states[slot], shape, film)
    if patient.visit > 1:  # the same bones; their position on the film is drawn again
        film = np.random.default_rng([patient.seed, patient.index, _FILM, place, patient.visit])
    return skeleton, film


def true_row(patient: Patient) -> dict[str, str]:
    """The patient's row of RA2's ``training.csv``."""
    row = {RA2_ID: patient.name}
    for name, kinds in RA2_TOTALS.items():
        row[name] = str(sum(patient.grades[t.key] for t in TARGETS if t.damage in kinds))
    row.update({ra2_column(t): str(patient.grades[t.key]) for t in TARGETS})
    return row


@cache
def bone_names(limb: Limb) -> tuple[str, ...]:
    """The bones of an adult's film, in the order in which they are drawn."""
    rng = np.random.default_rng(0)
    skeleton = BUILD[limb](Traits(), {}, rng, rng)
    return tuple(bone.name for bone in skeleton.bones if bone.anatomical)
