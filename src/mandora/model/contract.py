"""The input contract of a trained model: what its three stages take and give.

A bundle states it, so that a model is used with the sizes, orders and thresholds that it was
trained with, and so which files hold the model: :func:`model_files`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from mandora.core.anatomy import FAMILIES, LANDMARKS, SITES, Damage, Limb, Target
from mandora.core.errors import InputError
from mandora.core.records import Record
from mandora.core.settings import SymmetrySettings
from mandora.core.specs import FilmSpec, LimbThresholds, PatchLimits, PatchSpec

DAMAGE_FILE = "damage.onnx"
SYMMETRY_FILE = "symmetry.npz"
LOCATE_FILES: dict[Limb, str] = {limb: f"locate-{limb}.onnx" for limb in Limb}

_SITE_CODES = tuple(site.code for site in SITES)
_LANDMARKS = {limb: tuple(mark.name for mark in LANDMARKS[limb]) for limb in Limb}


def _all_sites(sites: tuple[str, ...]) -> tuple[str, ...]:
    if sorted(sites) != sorted(_SITE_CODES):
        raise InputError("must be the codes of mandora.core.anatomy.SITES, each once")
    return sites


SiteCodes = Annotated[tuple[str, ...], AfterValidator(_all_sites)]


class _Stated(Record):
    """Part of a contract that states each of its fields: none is taken from this version."""

    @model_validator(mode="after")
    def _states_all(self) -> Self:
        missing = [name for name in type(self).model_fields if name not in self.model_fields_set]
        if missing:
            raise InputError(f"does not state {', '.join(missing)}")
        return self


DEFAULT_THRESHOLDS = {
    Limb.HAND: LimbThresholds(
        least_fit=0.5, clear_fit=0.6, sure_fit=0.7, mirror_factor=1.2, rival_factor=1.5,
        lowest_peak=0.1, limb_share=0.30, size_range=(0.03, 0.9),
    ),
    Limb.FOOT: LimbThresholds(
        least_fit=0.67, clear_fit=0.7, sure_fit=0.7, mirror_factor=1.2, rival_factor=1.5,
        lowest_peak=0.1, limb_share=0.45, size_range=(0.03, 0.9),
    ),
}  # fmt: skip
"""Those of a new model. Bundles before schema 1.4 were used with these, whatever their model.

They were set for the packaged model by its best fit over all orientations of real films that are
not tested on: hands from 0.59 to 0.89, in plaster or from the side 0.28 to 0.56, other body parts
up to 0.47, feet taken for hands up to 0.56, noise up to 0.44. Six landmarks fit by chance far more
easily: other body parts reach 0.62 as a foot and noise 0.66; the feet of all marked films, tested
on or not, reach 0.69 to 0.91, those of simulated patients at least 0.79.
"""

DEFAULT_LIMITS = PatchLimits(
    least_window_px=22.0, widest_edge=0.19, joint_share=0.4, implant_reach=0.3
)
"""Of windows with half a side of 0.17 of the limb's size; likewise."""


class LocateContract(FilmSpec, _Stated):
    """What the localisers take and give."""

    landmarks: dict[Limb, tuple[str, ...]] = Field(description="output channels, in order")
    template: dict[Limb, tuple[tuple[float, float], ...]] = Field(
        description="mean shape of a left limb, centred, |MCP2-MCP5| or |MTP1-MTP5| = 1"
    )
    thresholds: dict[Limb, LimbThresholds] = Field(description="what its fits mean, by limb")

    @classmethod
    def of(cls, spec: FilmSpec, template: Mapping[Limb, tuple[tuple[float, float], ...]]) -> Self:
        """The contract of localisers that were trained with these settings.

        Raises:
            ValueError: if localisers with such settings cannot be used for scoring.
        """
        return cls(
            **_fields(FilmSpec, spec), landmarks=_LANDMARKS, template=template,
            thresholds=DEFAULT_THRESHOLDS,
        )  # fmt: skip

    @model_validator(mode="after")
    def _known_landmarks(self) -> Self:
        for limb in Limb:
            names = self.landmarks.get(limb, ())
            if sorted(names) != sorted(_LANDMARKS[limb]):
                raise InputError(f"landmarks of the {limb} must be those of mandora.core.anatomy")
            if limb not in self.thresholds:
                raise InputError(f"thresholds of the {limb} are missing")
            if len(self.template.get(limb, ())) != len(names):
                raise InputError(f"the {limb}'s template needs one place for each of its landmarks")
        return self

    @model_validator(mode="after")
    def _usable(self) -> Self:
        usual = {"keep_aspect": True, "channels": 1, "decode": "peak", "seeds": 1}
        unusual = [name for name, value in usual.items() if getattr(self, name) != value]
        if self.design == "all-landmarks" and unusual:
            needed = ", ".join(f"{name} = {usual[name]}" for name in unusual)
            raise InputError(f"localisers of all landmarks are used with {needed} only")
        return self


class DamageContract(PatchSpec, _Stated):
    """What the damage networks take and give."""

    landmarks: dict[Limb, tuple[str, ...]] = Field(
        description="in the order of the condition that says which joint a patch shows"
    )
    limits: PatchLimits

    @classmethod
    def of(cls, spec: PatchSpec) -> Self:
        """The contract of networks that were trained with these settings."""
        return cls(**_fields(PatchSpec, spec), landmarks=_LANDMARKS, limits=DEFAULT_LIMITS)


def _fields(kind: type[Record], settings: Record) -> dict[str, Any]:
    """What settings state of what they share with a contract."""
    return {name: getattr(settings, name) for name in kind.model_fields}


class SymmetryContract(Record):
    """What the symmetry trees take and give."""

    trees: int = Field(ge=1, description="per site")
    depth: int = Field(ge=1)
    blend: float = Field(ge=0, le=1, description="share of the trees in the final score")
    sites: SiteCodes = Field(description="site codes, in the order of the forests")

    @classmethod
    def of(cls, settings: SymmetrySettings) -> Self:
        """The contract of trees that were trained with these settings."""
        return cls(
            trees=settings.trees, depth=settings.depth, blend=settings.blend, sites=_SITE_CODES
        )


class Spread(Record):
    """How far the truth lies from a score, SvH points: between these, at the stated level."""

    low: float = Field(description="truth less score, lower end")
    high: float = Field(description="upper end")
    cases: int = Field(ge=1, description="that this was measured on")

    def around(self, score: float, maximum: float, scale: float = 1.0) -> tuple[float, float]:
        """The interval of a score, from 0 to the maximum; it holds the score.

        Args:
            score: SvH points.
            maximum: that it can reach.
            scale: both ends are so many times as far away.
        """
        low, high = score + self.low * scale, score + self.high * scale
        return max(min(low, score), 0.0), min(max(high, score), maximum)


class GradeRange(Record):
    """The scores that joints of one grade have, at the stated level; others speak against it."""

    low: float = Field(ge=0, description="least score, SvH points")
    high: float = Field(ge=0, description="greatest")
    patients: int = Field(
        ge=0, description="with such joints, or with those of grades taken together; 0: not known"
    )


class IntervalContract(Record):
    """How sure scores are, measured on patients who trained nothing.

    For joints, sets of neighbouring whole grades: all that the score does not speak against, and
    the nearest one, see :mod:`mandora.metrics.conformal`. Bundles before schema 1.5 state spreads
    of errors by how high the score is instead (``edges`` and ``joints``).
    """

    level: float = Field(gt=0, lt=1, description="share of the truths that lie within")
    grades: dict[str, tuple[GradeRange, ...]] = Field(
        default_factory=dict,
        description="by `hand narrowing` and so on: one for each grade, 0 first",
    )
    edges: tuple[float, ...] = Field(
        (), description="of the bands of scores, as shares of the maximum, rising"
    )
    joints: dict[str, tuple[Spread, ...]] = Field(
        default_factory=dict,
        description="by `hand narrowing` and so on: one for each band, the lowest first",
    )
    totals: dict[str, Spread] = Field(
        description="by the total's name, for each unit of `total_scale`; none of too few patients"
    )
    patients: int = Field(ge=1, description="that this was measured on")
    data_sets: dict[str, int] = Field(
        default_factory=dict, description="patients by the name of the data set; empty: not stated"
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if list(self.edges) != sorted(set(self.edges)):
            raise InputError(f"edges {self.edges} do not rise")
        short = [name for name, s in self.joints.items() if len(s) != len(self.edges) + 1]
        if short:
            raise InputError(f"{short[0]} needs {len(self.edges) + 1} spreads")
        for name, ranges in self.grades.items():
            ends = [(r.low, r.high) for r in ranges]
            if any(a > c or b > d for (a, b), (c, d) in pairwise(ends)):
                raise InputError(f"{name}: the ranges of grades do not rise with the grade")
        return self

    @property
    def measured_on(self) -> str:
        """The patients in words."""
        if not self.data_sets:
            return f"{self.patients} patients"
        return " and ".join(f"{name} ({count} patients)" for name, count in self.data_sets.items())

    def of_joint(self, target: Target, score: float) -> tuple[int, int] | None:
        """The lowest and the highest grade of the set; None if the family was not measured.

        The grade that is nearest to the score is always in it.
        """
        family, nearest = f"{target.limb} {target.damage}", math.floor(score + 0.5)
        if family in self.grades:
            ranges = enumerate(self.grades[family])
            grades = [nearest, *(g for g, r in ranges if r.low <= score <= r.high)]
            return min(grades), max(grades)
        spreads = self.joints.get(family)
        if spreads is None:
            return None
        band = sum(score / target.maximum >= edge for edge in self.edges)
        low, high = spreads[band].around(score, target.maximum)
        return min(math.ceil(low), nearest), max(math.floor(high), nearest)

    def of_total(
        self, name: str, value: float, maximum: float, seen: float = 1.0
    ) -> tuple[float, float] | None:
        """Lower and upper end, SvH points; None if the total was not measured.

        Args:
            name: of the total, see :data:`mandora.core.totals.TOTALS`.
            value: of the total.
            maximum: that it can reach.
            seen: share of the total's joints that was seen: what was not makes it wider.
        """
        if name not in self.totals:
            return None
        return self.totals[name].around(value, maximum, total_scale(value) / seen)


def total_scale(value: float) -> float:
    """How uncertain a total is, compared with a total of 0: errors of many joints add up."""
    return math.sqrt(value + 1)


class Contract(Record):
    """The input contract of the three stages."""

    locate: LocateContract
    damage: DamageContract
    symmetry: SymmetryContract
    intervals: IntervalContract | None = Field(
        None, description="how sure scores are; absent if that was not measured"
    )

    def with_thresholds(self, thresholds: Mapping[Limb, LimbThresholds]) -> Self:
        """The contract with other thresholds of these limbs."""
        changed = {**self.locate.thresholds, **thresholds}
        locate = self.locate.model_copy(update={"thresholds": changed})
        return self.model_copy(update={"locate": locate})


# ── the files that hold the model ────────────────────────────────────────────────────────


def locate_file(limb: Limb, landmark: str | None = None, seed: int = 1) -> str:
    """The name of one localiser's file: ``locate-hand.onnx``, ``locate-hand-mcp2.2.onnx``.

    Args:
        limb: hand or foot.
        landmark: the only one that it finds; None: all of them.
        seed: which of several networks, from 1.
    """
    if landmark is None:
        return LOCATE_FILES[limb]
    return f"locate-{limb}-{landmark}{f'.{seed}' if seed > 1 else ''}.onnx"


def locate_files(limb: Limb, contract: LocateContract) -> tuple[str, ...]:
    """The files of one limb's localisers: landmark by landmark, seed by seed."""
    if contract.design == "all-landmarks":
        return (locate_file(limb),)
    seeds = range(1, contract.seeds + 1)
    return tuple(
        locate_file(limb, name, seed) for name in contract.landmarks[limb] for seed in seeds
    )


def damage_file(family: tuple[Limb, Damage] | None = None) -> str:
    """The name of one damage network's file: ``damage.onnx``, ``damage-nh.onnx``.

    Args:
        family: the targets that it scores; None: all of them.
    """
    if family is None:
        return DAMAGE_FILE
    limb, kind = family
    return f"damage-{kind.value[0]}{limb.value[0]}.onnx"


def damage_files(contract: DamageContract) -> tuple[str, ...]:
    """The files of the damage networks."""
    if contract.design == "all-joints":
        return (damage_file(),)
    return tuple(damage_file(family) for family in FAMILIES)


def model_files(contract: Contract) -> tuple[str, ...]:
    """The files of all three stages, as a bundle must have them."""
    locators = (name for limb in Limb for name in locate_files(limb, contract.locate))
    return (*locators, *damage_files(contract.damage), SYMMETRY_FILE)
