"""The settings of each command."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from mandora.core.errors import InputError
from mandora.core.settings.base import LoopSettings, Settings
from mandora.core.settings.networks import (
    DamageSettings,
    FilmChangeSettings,
    LocateSettings,
    PatchChangeSettings,
    SymmetrySettings,
)


class SplitSettings(Settings):
    """How the patients of a data set are divided; the patients that are left are the test set."""

    networks: float = Field(0.5, gt=0, lt=1, description="share that trains the networks")
    held: float = Field(
        0.1, ge=0, lt=1,
        description="share of the networks' patients that do not train them but measure them after "
        "each epoch; with 0 the trees' patients measure them",
    )  # fmt: skip
    trees: float = Field(0.3, gt=0, lt=1, description="share that trains the trees")
    seed: int = Field(1, ge=0, description="seed of the random division")

    @model_validator(mode="after")
    def _leaves_a_test(self) -> Self:
        if self.networks + self.trees >= 1:
            raise InputError("networks + trees must be less than 1: some patients are for the test")
        return self


def _check_small(design: str, loop: LoopSettings) -> None:
    if loop.small_share and design in ("one-landmark", "family"):
        raise InputError(
            f"a network of design {design!r} takes items of one size only; leave out "
            "loop.small_share"
        )


Copies = PositiveInt | tuple[PositiveInt, ...]


class TrainLocateSettings(Settings):
    """Training of the localisers."""

    films: int = Field(3500, ge=8, description="simulated films of each limb, without a data set")
    real_copies: Copies = Field(
        10,
        description="how often an epoch shows each real film (`--real`): one number, or one for "
        "each data set in the order of `--real`",
    )
    network: LocateSettings = Field(LocateSettings(), description="table `[network]`")
    changes: FilmChangeSettings = Field(FilmChangeSettings(), description="table `[changes]`")
    split: SplitSettings = Field(SplitSettings(), description="table `[split]`")
    loop: LoopSettings = Field(
        LoopSettings(epochs=6, small_share=0.7, batch_size=8, learning_rate=2e-3),
        description="table `[loop]`",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _check_small(self.network.design, self.loop)
        return self


class TrainDamageSettings(Settings):
    """Training of the damage network."""

    patients: int = Field(
        800, ge=2, description="simulated patients, one hand and foot of each, without a data set"
    )
    real_copies: Copies = Field(
        8,
        description="how often an epoch shows each real film (`--real`), once as it is, the other "
        "times with damage put into healthy joints: one number, or one for each data set in the "
        "order of `--real`",
    )
    oversample: bool = Field(
        False,
        description="show as many patches with damage as without, by the official score: random "
        "ones of the rarer kind are repeated, the same in each epoch",
    )
    network: DamageSettings = Field(DamageSettings(), description="table `[network]`")
    changes: PatchChangeSettings = Field(PatchChangeSettings(), description="table `[changes]`")
    split: SplitSettings = Field(SplitSettings(), description="table `[split]`")
    loop: LoopSettings = Field(
        LoopSettings(epochs=7, small_share=0.6, batch_size=16, learning_rate=2e-3),
        description="table `[loop]`",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _check_small(self.network.design, self.loop)
        return self


class TrainSymmetrySettings(Settings):
    """Training of the trees, on patients that did not train the networks."""

    patients: int = Field(240, ge=2, description="simulated patients, four films of each")
    cohort_seed: int = Field(7_000, ge=0, description="seed of the simulated patients")
    pixels_per_mm: float = Field(5.0, gt=0.5, description="resolution of their films")
    forest: SymmetrySettings = Field(SymmetrySettings(), description="table `[forest]`")
    split: SplitSettings = Field(SplitSettings(), description="table `[split]`")


class EquivalenceSettings(Settings):
    """Which differences count as none, where the paper expects none; stated before a run."""

    r: float = Field(0.03, gt=0, lt=1, description="smaller differences of r count as none")
    rmse: float = Field(
        0.05, gt=0, lt=1, description="likewise of RMSE, as a share of the RMSE it is compared with"
    )
    power: float = Field(
        0.8, gt=0, lt=1,
        description="least power of the test of equivalence: with less, a claim that is not shown "
        "is undecided, not refuted",
    )  # fmt: skip


class ReproduceSettings(Settings):
    """The paper's experiments on a data set."""

    plan: Literal["k-fold", "repeated"] = Field(
        "k-fold",
        description="`k-fold`: every patient is tested once; `repeated`: 50/30/20 %, "
        "drawn again for each repeat, as published",
    )
    folds: int = Field(10, ge=1, description="parts of the k-fold plan, or repeats")
    trees_share: float = Field(0.3, gt=0, lt=1, description="share of the patients for the trees")
    seed: int = Field(1, ge=0, description="seed of the folds")
    patients: int = Field(100, ge=6, description="simulated patients, without a data set")
    cohort_seed: int = Field(31, ge=0, description="seed of the simulated patients")
    cohort_pixels_per_mm: float | None = Field(
        None, gt=0.5, le=20, description="resolution of their films; as in real cohorts if absent"
    )
    locate: TrainLocateSettings = Field(
        # few films: small inputs and small batches use the time best
        TrainLocateSettings(
            network=LocateSettings(input_px=192),
            split=SplitSettings(held=0.0),
            loop=LoopSettings(epochs=15, batch_size=4, learning_rate=3e-3, threads=1),
        ),
        description="table `[locate]`",
    )
    damage: TrainDamageSettings = Field(
        TrainDamageSettings(
            split=SplitSettings(held=0.0),
            loop=LoopSettings(epochs=3, batch_size=16, learning_rate=2e-3, threads=1),
        ),
        description="table `[damage]`",
    )
    forest: SymmetrySettings = Field(SymmetrySettings(threads=1), description="table `[forest]`")
    bottleneck_arms: bool = Field(
        True,
        description="also train damage networks with the published bottleneck, with and without "
        "joint-space masks, in all folds, for figure 5 as published. Without effect if "
        "`[damage.network] bottleneck` is true: then all networks have it",
    )
    shap_rows: Literal["as they are", "both orders"] = Field(
        "both orders",
        description="test rows that are explained: `as they are`, as published, or in `both "
        "orders` of the other extremity's sides, as they are predicted from",
    )
    official: Literal["reader", "truth"] = Field(
        "reader",
        description="what the scores of a simulated cohort are compared with: those of its first "
        "`reader`, who makes errors as people do, or the `truth`. Other data sets have an "
        "official label",
    )
    equivalence: EquivalenceSettings = Field(
        EquivalenceSettings(), description="table `[equivalence]`"
    )
    more_folds: int = Field(
        1,
        ge=0,
        description="number of folds, the first ones, with ablations and a learning curve",
    )
    shares: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (0.25, 0.5),
        description="learning curve: shares of the networks' patients that train them, in the same "
        "number of steps",
    )


class SimulateSettings(Settings):
    """A simulated cohort."""

    patients: int = Field(ge=1, description="four films of each at each visit")
    visits: int = Field(1, ge=1, le=50, description="about a year apart; damage progresses")
    seed: int = Field(0, ge=0, description="the same seed gives the same films")
    pixels_per_mm: float | None = Field(
        None,
        gt=0.5,
        le=20,
        description="resolution; varies as in real cohorts if absent",
    )
    pairs: bool = Field(False, description="also films that show both hands or both feet")
    wide: bool = Field(False, description="poor framing and exposure too, as in training")
    workers: int = Field(1, ge=1, description="processes")
