"""The input contract of a trained model: what its three stages take and give.

A bundle states it, so that a model is used with the sizes, orders and thresholds that it was
trained with, and so which files hold the model: :func:`model_files`.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from mandora.core.anatomy import FAMILIES, LANDMARKS, SITES, Damage, Limb, Target
from mandora.core.errors import InputError
from mandora.core.records import Record
from mandora.core.settings import DamageSettings, Enlarged, LocateSettings, SymmetrySettings

DAMAGE_FILE = "damage.onnx"
SYMMETRY_FILE = "symmetry.npz"
LOCATE_FILES: dict[Limb, str] = {limb: f"locate-{limb}.onnx" for limb in Limb}

_SITE_CODES = tuple(site.code for site in SITES)


def _all_sites(sites: tuple[str, ...]) -> tuple[str, ...]:
    if sorted(sites) != sorted(_SITE_CODES):
        raise InputError("must be the codes of mandora.core.anatomy.SITES, each once")
    return sites


SiteCodes = Annotated[tuple[str, ...], AfterValidator(_all_sites)]


class LocateContract(Record):
    """What the localisers take and give.

    ``all-points``: one network per limb looks at the film from many sides. ``one-point``: the
    published way, one network (or several, of other seeds) per point looks at the whole film.
    Fields that the first bundles did not state have the values that describe these.
    """

    design: Literal["all-points", "one-point"] = "all-points"
    input_px: int = Field(ge=1, description="side of the square input")
    keep_aspect: bool = Field(True, description="films are padded to a square, not stretched")
    channels: Literal[1, 3] = Field(
        1, description="1: standardised film; 3: the film and two contrast-normalised versions"
    )
    heatmap_stride: int = Field(ge=1, description="input px per heat-map px")
    decode: Literal["peak", "component"] = Field(
        "peak", description="`peak`: summit of the heat; `component`: largest region's middle"
    )
    found_threshold: float = Field(
        ge=0, le=1, description="heat below which a peak, and up to which a region is not found"
    )
    corner: float = Field(
        0.05, ge=0, lt=0.5,
        description="several networks: places within this share of two borders do not count",
    )  # fmt: skip
    seeds: int = Field(1, ge=1, le=99, description="networks per point, the median counts")
    points: dict[Limb, tuple[str, ...]] = Field(description="output channels, in order")
    template: dict[Limb, tuple[tuple[float, float], ...]] = Field(
        description="mean shape of a left limb, centred, |MCP2-MCP5| or |MTP1-MTP5| = 1"
    )

    @classmethod
    def of(
        cls, settings: LocateSettings, template: dict[Limb, tuple[tuple[float, float], ...]]
    ) -> Self:
        """The contract of localisers that were trained with these settings.

        Raises:
            ValueError: if localisers with such settings cannot be used for scoring.
        """
        return cls(
            design=settings.design,
            input_px=settings.input_px,
            keep_aspect=settings.keep_aspect,
            channels=settings.channels,
            heatmap_stride=settings.heatmap_stride,
            decode=settings.decode,
            found_threshold=settings.found_threshold,
            corner=settings.corner,
            seeds=settings.seeds,
            points={limb: tuple(p.name for p in LANDMARKS[limb]) for limb in Limb},
            template=template,
        )

    @model_validator(mode="after")
    def _known_points(self) -> Self:
        for limb in Limb:
            names = self.points.get(limb, ())
            if sorted(names) != sorted(p.name for p in LANDMARKS[limb]):
                raise InputError(f"points of the {limb} must be those of mandora.core.anatomy")
            if len(self.template.get(limb, ())) != len(names):
                raise InputError(f"the {limb}'s template needs one place for each of its points")
        return self

    @model_validator(mode="after")
    def _usable(self) -> Self:
        usual = {"keep_aspect": True, "channels": 1, "decode": "peak", "seeds": 1}
        unusual = [name for name, value in usual.items() if getattr(self, name) != value]
        if self.design == "all-points" and unusual:
            needed = ", ".join(f"{name} = {usual[name]}" for name in unusual)
            raise InputError(f"localisers of all points are used with {needed} only")
        if self.channels == 3 and self.keep_aspect:
            raise InputError(
                "three channels are made of stretched films only; "
                "use keep_aspect = False, or channels = 1"
            )
        return self


class DamageContract(Record):
    """What the damage networks take and give.

    ``all-joints``: one network, told which joint it sees. ``family``: the published way, one
    network for each of the four families of targets. Fields that the first bundles did not state
    have the values that describe these.
    """

    design: Literal["all-joints", "family"] = "all-joints"
    patch_px: int = Field(ge=1, description="side of the square patch")
    channels: Literal[1, 7] = Field(
        1, description="1: standardised patch; 7: five versions of the film, two of the patch"
    )
    patch_range: float = Field(
        1.0, gt=0, description="7: what the two versions of the patch are multiplied by"
    )
    window: Literal["limb", "film"] = Field(
        "limb", description="patches as large as the limb or the film makes them"
    )
    half_window: float = Field(
        gt=0, le=1, description="`limb`: half side of a patch / size of the limb (of all points)"
    )
    half_window_px: float = Field(
        192.0, gt=0, description="`film`: half side of a patch on a film of 4096 × 4096 px"
    )
    enlarged: Enlarged = Field(
        {}, description="points of the hand whose patch is larger, and the factor"
    )
    mask: Literal["space", "erosion", "none"] = Field("space", description="what is drawn")
    points: dict[Limb, tuple[str, ...]] = Field(description="points, in the order of the condition")

    @classmethod
    def of(cls, settings: DamageSettings) -> Self:
        """The contract of networks that were trained with these settings."""
        return cls(
            design=settings.design,
            patch_px=settings.patch_px,
            channels=settings.channels,
            patch_range=settings.patch_range,
            window=settings.window,
            half_window=settings.half_window,
            half_window_px=settings.half_window_px,
            enlarged=settings.enlarged,
            mask=settings.mask,
            points={limb: tuple(p.name for p in LANDMARKS[limb]) for limb in Limb},
        )


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


class IntervalContract(Record):
    """How sure scores are, measured on patients who trained nothing.

    Split conformal prediction, by family of targets and by how high the score is (Vovk,
    Gammerman & Shafer 2005, Algorithmic Learning in a Random World, section 4.5).
    """

    level: float = Field(gt=0, lt=1, description="share of the truths that lie within")
    edges: tuple[float, ...] = Field(
        description="of the bands of scores, as shares of the maximum, rising"
    )
    joints: dict[str, tuple[Spread, ...]] = Field(
        description="by `hand narrowing` and so on: one for each band, the lowest first"
    )
    totals: dict[str, Spread] = Field(
        description="by RA2's name, for each unit of `total_scale`; none of too few patients"
    )
    patients: int = Field(ge=1, description="that this was measured on")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if list(self.edges) != sorted(set(self.edges)):
            raise InputError(f"edges {self.edges} do not rise")
        short = [name for name, s in self.joints.items() if len(s) != len(self.edges) + 1]
        if short:
            raise InputError(f"{short[0]} needs {len(self.edges) + 1} spreads")
        return self

    def of_joint(self, target: Target, score: float) -> tuple[float, float] | None:
        """Lower and upper end, SvH points; None if the family was not measured."""
        spreads = self.joints.get(f"{target.limb} {target.damage}")
        if spreads is None:
            return None
        band = sum(score / target.maximum >= edge for edge in self.edges)
        return spreads[band].around(score, target.maximum)

    def of_total(
        self, name: str, value: float, maximum: float, seen: float = 1.0
    ) -> tuple[float, float] | None:
        """Lower and upper end, SvH points; None if the total was not measured.

        Args:
            name: RA2's.
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


# ── the files that hold the model ────────────────────────────────────────────────────────


def locate_file(limb: Limb, point: str | None = None, seed: int = 1) -> str:
    """The name of one localiser's file: ``locate-hand.onnx``, ``locate-hand-mcp2.2.onnx``.

    Args:
        limb: hand or foot.
        point: the only point that it finds; None: all of them.
        seed: which of several networks, from 1.
    """
    if point is None:
        return LOCATE_FILES[limb]
    return f"locate-{limb}-{point}{f'.{seed}' if seed > 1 else ''}.onnx"


def locate_files(limb: Limb, contract: LocateContract) -> tuple[str, ...]:
    """The files of one limb's localisers: point by point, seed by seed."""
    if contract.design == "all-points":
        return (locate_file(limb),)
    seeds = range(1, contract.seeds + 1)
    return tuple(locate_file(limb, p, seed) for p in contract.points[limb] for seed in seeds)


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
