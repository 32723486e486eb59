"""Settings of each command: small, frozen, read from and written to TOML.

Unknown keys are errors. A preset is a set of values for these classes, never a subclass.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Self, TypeVar

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError

PRESETS = ("fast",)


class Settings(BaseModel):
    """Base of all settings: frozen, unknown keys refused, TOML in and out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def from_toml(cls, path: Path, base: Self | None = None) -> Self:
        """Read settings from a file.

        Args:
            path: the file.
            base: what keys that are absent keep, in tables as well; without it, each table
                has the defaults of its own class.

        Raises:
            ValueError: naming the file and every key that is wrong.
        """
        try:
            given = tomllib.loads(path.read_text(encoding="utf-8"))
            values = _merged(base.model_dump(exclude_none=True), given) if base else given
            return cls.model_validate(values)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is not valid TOML: {error}") from error
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()
            )
            raise ValueError(f"{path} does not fit {cls.__name__}: {problems}") from error

    def to_toml(self) -> str:
        """The settings as TOML; keys without a value are left out."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))


S = TypeVar("S", bound=Settings)


def preset(name: str, kind: type[S]) -> S:
    """The settings of a preset.

    Raises:
        ValueError: if there is no such preset.
    """
    if name not in PRESETS:
        raise ValueError(f"there is no preset {name!r}; use {' or '.join(PRESETS)}")
    return kind()  # the defaults are those of ``fast``


def _merged(base: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """``base`` with the keys of ``given``, table by table."""
    merged = dict(base)
    for key, value in given.items():
        known = base.get(key)
        both = isinstance(value, dict) and isinstance(known, dict)
        merged[key] = _merged(known, value) if both and known is not None else value
    return merged


class LoopSettings(Settings):
    """The training loop, shared by both networks."""

    epochs: int = Field(24, ge=1, description="passes over the training items")
    batch_size: int = Field(32, ge=1, description="items per step")
    learning_rate: float = Field(2e-3, gt=0, description="highest rate of the one-cycle schedule")
    weight_decay: float = Field(1e-4, ge=0, description="of AdamW")
    clip_norm: float = Field(1.0, gt=0, description="gradients are clipped to this norm")
    seed: int = Field(1, description="of the simulated items, their order and the first weights")
    threads: int = Field(2, ge=1, description="processor threads; processes that simulate")
    minutes: float | None = Field(None, gt=0, description="stop after the epoch that passes this")


class LocateSettings(Settings):
    """The ``fast`` localiser: one U-Net per limb, all points in one pass."""

    input_px: int = Field(256, ge=64, multiple_of=32, description="side of the square input")
    widths: tuple[int, ...] = Field(
        (16, 32, 48, 64, 96, 128), description="channels of each level, the finest first"
    )
    heatmap_stride: int = Field(2, ge=1, description="input px per heat-map px")
    sigma_px: float = Field(1.6, gt=0, description="target spread, heat-map px")
    found_threshold: float = Field(
        0.25, ge=0, le=1, description="peak below which a point counts as not found"
    )


class DamageSettings(Settings):
    """The ``fast`` damage network: one for all joints of both limbs."""

    patch_px: int = Field(112, ge=32, multiple_of=16, description="side of the square patch")
    half_window: float = Field(
        0.17, gt=0, le=1, description="half side of a patch / size of the limb"
    )
    widths: tuple[int, ...] = Field(
        (20, 40, 72, 112), description="channels of each level, the finest first"
    )
    condition_width: int = Field(24, ge=1, description="width of the joint's embedding")
    mask_weight: float = Field(1.0, ge=0, description="weight of the mask's cross-entropy")


class SymmetrySettings(Settings):
    """The trees over the 86 patch scores, as published."""

    trees: int = Field(500, ge=1, description="per site")
    depth: int = Field(4, ge=1, le=8, description="questions from the root to a leaf, at most")
    blend: float = Field(0.5, ge=0, le=1, description="share of the trees in the final score")
    max_features: float = Field(
        1.0, gt=0, le=1, description="share of the features that are tried at each split"
    )
    drop_extremity: float = Field(
        0.25,
        ge=0,
        lt=1,
        description="share of training rows that lose the other extremity, the other side or both",
    )
    seed: int = Field(1, description="of the trees and of the rows that lose films")
    threads: int = Field(
        2, ge=1, description="processor threads; processes that score the simulated patients"
    )


class TrainLocateSettings(Settings):
    """Training of the localisers."""

    films: int = Field(3500, ge=8, description="simulated films of each limb")
    network: LocateSettings = Field(LocateSettings(), description="table `[network]`")
    loop: LoopSettings = Field(
        LoopSettings(epochs=10, batch_size=16, learning_rate=3e-3), description="table `[loop]`"
    )


class TrainDamageSettings(Settings):
    """Training of the damage network."""

    patients: int = Field(600, ge=2, description="simulated patients, one hand and foot of each")
    network: DamageSettings = Field(DamageSettings(), description="table `[network]`")
    loop: LoopSettings = Field(
        LoopSettings(epochs=8, batch_size=32, learning_rate=2e-3), description="table `[loop]`"
    )


class TrainSymmetrySettings(Settings):
    """Training of the trees; their patients are others than the networks'."""

    patients: int = Field(240, ge=2, description="simulated patients, four films of each")
    cohort_seed: int = Field(7_000, ge=0, description="seed of the simulated patients")
    pixels_per_mm: float = Field(5.0, gt=0.5, description="resolution of their films")
    forest: SymmetrySettings = Field(SymmetrySettings(), description="table `[forest]`")


class SimulateSettings(Settings):
    """A simulated cohort."""

    patients: int = Field(ge=1, description="four films of each at each visit")
    visits: int = Field(1, ge=1, le=50, description="about a year apart; damage goes on")
    seed: int = Field(0, ge=0, description="same seed, same films")
    pixels_per_mm: float | None = Field(
        None, gt=0.5, le=20, description="fixed resolution; drawn like real cohorts if absent"
    )
    pairs: bool = Field(False, description="films of both hands and of both feet as well")
    wide: bool = Field(False, description="poor framing and exposure too, as in training")
    workers: int = Field(1, ge=1, description="processes")
