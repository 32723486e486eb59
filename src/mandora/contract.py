"""The input contract of a trained model: what its three stages take and give.

A bundle states it, so that a model is used with the sizes, orders and thresholds that it was
trained with.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from mandora.anatomy import POINTS, SITES, Limb
from mandora.records import Record
from mandora.settings import DamageSettings, LocateSettings, SymmetrySettings

_SITE_CODES = tuple(site.code for site in SITES)


def _all_sites(sites: tuple[str, ...]) -> tuple[str, ...]:
    if sorted(sites) != sorted(_SITE_CODES):
        raise ValueError("must be the codes of mandora.anatomy.SITES, each once")
    return sites


SiteCodes = Annotated[tuple[str, ...], AfterValidator(_all_sites)]


class LocateContract(Record):
    """What the two localisers take and give."""

    input_px: int = Field(ge=1, description="side of the square input")
    channels: int = Field(1, ge=1)
    heatmap_stride: int = Field(ge=1, description="input px per heat-map px")
    found_threshold: float = Field(ge=0, le=1, description="peak below which: not found")
    points: dict[Limb, tuple[str, ...]] = Field(description="output channels, in order")
    template: dict[Limb, tuple[tuple[float, float], ...]] = Field(
        description="mean shape of a left limb, centred, |MCP2-MCP5| or |MTP1-MTP5| = 1"
    )

    @classmethod
    def of(
        cls, settings: LocateSettings, template: dict[Limb, tuple[tuple[float, float], ...]]
    ) -> Self:
        """The contract of localisers that were trained with these settings."""
        return cls(
            input_px=settings.input_px,
            heatmap_stride=settings.heatmap_stride,
            found_threshold=settings.found_threshold,
            points={limb: tuple(p.name for p in POINTS[limb]) for limb in Limb},
            template=template,
        )

    @model_validator(mode="after")
    def _known_points(self) -> Self:
        for limb in Limb:
            names = self.points.get(limb, ())
            if sorted(names) != sorted(p.name for p in POINTS[limb]):
                raise ValueError(f"points of the {limb} must be those of mandora.anatomy")
            if len(self.template.get(limb, ())) != len(names):
                raise ValueError(f"the {limb}'s template needs one place for each of its points")
        return self


class DamageContract(Record):
    """What the damage network takes and gives."""

    patch_px: int = Field(ge=1, description="side of the square patch")
    channels: int = Field(1, ge=1)
    half_window: float = Field(gt=0, le=1, description="half side of a patch / size of the limb")
    points: dict[Limb, tuple[str, ...]] = Field(description="points, in the order of the condition")

    @classmethod
    def of(cls, settings: DamageSettings) -> Self:
        """The contract of a network that was trained with these settings."""
        return cls(
            patch_px=settings.patch_px,
            half_window=settings.half_window,
            points={limb: tuple(p.name for p in POINTS[limb]) for limb in Limb},
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


class Contract(Record):
    """The input contract of the three stages."""

    locate: LocateContract
    damage: DamageContract
    symmetry: SymmetryContract
