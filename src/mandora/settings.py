"""Settings of each command: small, frozen, read from and written to TOML.

Unknown keys are errors. A preset is a set of values for these classes, never a subclass.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import tomli_w
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from mandora.anatomy import POINT_INDEX, Limb

PRESETS = ("fast", "paper")


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
    # the defaults are those of ``fast``; what the paper does otherwise is at the end of the file
    return kind.model_validate(_PAPER.get(kind, {})) if name == "paper" else kind()


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
    batch_size: int = Field(32, ge=1, description="items per step, over all processes")
    optimiser: Literal["adamw", "adam"] = Field("adamw", description="`adamw` or `adam`")
    learning_rate: float = Field(2e-3, gt=0, description="highest learning rate")
    schedule: Literal["one-cycle", "steps"] = Field(
        "one-cycle", description="`one-cycle`, or `steps`: constant, lowered once"
    )
    drop_after: int | None = Field(
        None, ge=1, description="`steps`: epochs at the full rate; never lowered if absent"
    )
    drop_factor: float = Field(0.1, gt=0, le=1, description="`steps`: the rate's factor after that")
    rate_decay: float = Field(
        0.0, ge=0, description="the rate is divided by 1 + this × the number of steps done"
    )
    weight_decay: float = Field(1e-4, ge=0, description="of AdamW")
    clip_norm: float = Field(
        1.0, ge=0, description="gradients are clipped to this norm; 0: not at all"
    )
    ema: float | None = Field(
        None, gt=0, lt=1,
        description="decay per step of averaged weights, which are then what is kept",
    )  # fmt: skip
    keep: Literal["last", "best"] = Field(
        "last", description="`last` or `best` weights (by the held-out score) are exported"
    )
    patience: int | None = Field(
        None, ge=1, description="stop after so many epochs without a better held-out score"
    )
    minutes: float | None = Field(None, gt=0, description="stop after the epoch that passes this")
    checkpoint_minutes: float = Field(
        2.0, ge=0, description="time between checkpoints within an epoch; 0 after every step"
    )
    seed: int = Field(1, description="of the simulated items, their order and the first weights")
    threads: int = Field(2, ge=1, description="processor threads; processes that simulate")
    loaders: int = Field(
        0, ge=0, description="processes that prepare batches; 0 prepares them in the training one"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="`auto`, `cpu` or `cuda`")
    half: bool = Field(
        True, description="16-bit arithmetic where the processor or GPU is made for it"
    )
    deterministic: bool = Field(
        True, description="only operations that give the same bits every time"
    )


class LocateSettings(Settings):
    """The localiser's network, what it sees and what it is trained to draw."""

    design: Literal["all-points", "one-point"] = Field(
        "all-points",
        description="`all-points`: one network per limb; `one-point`: the published network, "
        "one per point",
    )
    input_px: int = Field(256, ge=64, multiple_of=32, description="side of the square input")
    keep_aspect: bool = Field(True, description="pad the film to a square instead of stretching it")
    channels: Literal[1, 3] = Field(
        1, description="1: standardised film; 3: the film and two contrast-normalised versions"
    )
    widths: tuple[int, ...] = Field(
        (16, 32, 48, 64, 96, 128), description="channels of each level, the finest first"
    )
    kernel_px: int = Field(3, ge=1, description="side of the convolutions; odd")
    heatmap_stride: int = Field(2, ge=1, description="input px per heat-map px")
    target: Literal["gaussian", "square"] = Field("gaussian", description="`gaussian` or `square`")
    sigma_px: float = Field(1.6, gt=0, description="`gaussian`: spread, heat-map px")
    square_half_px: float = Field(
        15.0, gt=0, description="`square`: half side on a film of 1024 × 1024 px"
    )
    point_weight: float = Field(
        20.0, ge=0, description="extra weight of the target's px in the cross-entropy"
    )
    decode: Literal["peak", "component"] = Field(
        "peak",
        description="`peak`: summit of the heat; `component`: middle of the largest connected "
        "region above the threshold",
    )
    found_threshold: float = Field(
        0.25, ge=0, le=1, description="heat below which a point counts as not found"
    )
    seeds: int = Field(
        1, ge=1, description="networks trained from different first weights; the median counts"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.target == "square" and self.heatmap_stride != 1:
            raise ValueError(
                "squares are drawn at full size: target 'square' needs heatmap_stride 1"
            )
        if self.channels == 3 and self.keep_aspect:
            raise ValueError("three channels are made of stretched films: set keep_aspect = false")
        return self


class FilmChangeSettings(Settings):
    """Random changes of whole films in training."""

    share: float = Field(0.9, ge=0, le=1, description="share of films that are moved")
    turn_deg: float = Field(30.0, ge=0, le=180, description="turns up to this, both ways")
    shift: float = Field(0.08, ge=0, le=0.5, description="shifts up to this share of the side")
    scale: tuple[float, float] = Field((0.7, 1.25), description="least and greatest enlargement")
    keep_height: tuple[float, float] | None = Field(
        None, description="share of the film's height that is left after its bottom is cut"
    )
    gamma: float = Field(0.4, ge=0, description="s.d. of the logarithm of gamma")
    noise: float = Field(0.04, ge=0, description="s.d. of noise, up to this share of the range")
    blur_share: float = Field(0.4, ge=0, le=1, description="share of films that are blurred")
    intensity: tuple[float, float] | None = Field(
        None, description="grey values are multiplied by something between these"
    )

    @model_validator(mode="after")
    def _cut_or_moved(self) -> Self:
        if self.keep_height is not None and self.share > 0:
            raise ValueError("films are cut (keep_height) or moved (share), not both")
        return self


# Half a window is 0.17 of the hand's size; the navicular's middle lies 0.2 from the radiocarpal
# joint, and the corners of the radius as far from its point. With larger windows than these a joint
# space has too few px. See docs/packaged-model.md.
ENLARGED = {
    "mc1": 1.15, "mul": 1.25, "lunate": 1.25, "radius": 1.6, "ulna": 1.3, "mna": 1.15,
    "radcar": 1.7,
}  # fmt: skip


def _points_of_the_hand(factors: dict[str, float]) -> dict[str, float]:
    unknown = sorted(set(factors) - set(POINT_INDEX[Limb.HAND]))
    if unknown:
        raise ValueError(
            f"a hand has no point {', '.join(unknown)}; its points are "
            f"{', '.join(POINT_INDEX[Limb.HAND])}"
        )
    return factors


Enlarged = Annotated[
    dict[str, Annotated[float, Field(ge=1, le=4)]], AfterValidator(_points_of_the_hand)
]


class DamageSettings(Settings):
    """The damage network, what it sees and what it is trained to say."""

    design: Literal["all-joints", "family"] = Field(
        "all-joints",
        description="`all-joints`: one network, told which joint it sees; `family`: the published "
        "network, one for each of the four families of targets",
    )
    patch_px: int = Field(112, ge=32, multiple_of=16, description="side of the square patch")
    window: Literal["limb", "film"] = Field(
        "limb", description="patches as large as the `limb` or the `film` makes them"
    )
    half_window: float = Field(
        0.17, gt=0, le=1, description="`limb`: half side of a patch / size of the limb"
    )
    half_window_px: float = Field(
        192.0, gt=0, description="`film`: half side of a patch on a film of 4096 × 4096 px"
    )
    enlarged: Enlarged = Field(
        ENLARGED,
        description="points of the hand whose patch is larger, and the factor; without any all "
        "patches of a hand are alike, as published",
    )
    channels: Literal[1, 7] = Field(
        1, description="1: standardised patch; 7: five versions of the film, two of the patch"
    )
    widths: tuple[int, ...] = Field(
        (16, 32, 64, 128), description="channels of each level, the finest first"
    )
    condition_width: int = Field(24, ge=1, description="width of the joint's embedding")
    head: Literal["regression", "ordinal"] = Field(
        "regression", description="`regression`, or `ordinal`: the sum of the chances of each grade"
    )
    heads: Literal["shared", "family"] = Field(
        "shared", description="last layers `shared` by hands and feet, or one pair per `family`"
    )
    mask: Literal["space", "erosion", "none"] = Field(
        "space", description="what the decoder draws: joint `space`, `erosion`, or `none`"
    )
    mask_weight: float = Field(1.0, ge=0, description="weight of the mask's cross-entropy")
    dice_weight: float = Field(0.2, ge=0, description="weight of 1 - Dice's overlap of the mask")
    score_weight: float = Field(4.0, gt=0, description="weight of the scores' squared error")


class PatchChangeSettings(Settings):
    """Random changes of joint patches in training."""

    share: float = Field(0.9, ge=0, le=1, description="share of patches that are moved")
    turn_deg: float = Field(10.0, ge=0, le=45, description="turns up to this, both ways")
    shift: float = Field(0.05, ge=0, le=0.25, description="shifts up to this share of the side")
    scale: tuple[float, float] = Field((0.88, 1.14), description="least and greatest enlargement")
    mirror_share: float = Field(0.0, ge=0, le=1, description="share that is flipped left to right")
    gamma: float = Field(0.4, ge=0, description="s.d. of the logarithm of gamma")
    noise: float = Field(0.06, ge=0, description="s.d. of noise, up to this share of the range")
    blur_share: float = Field(0.4, ge=0, le=1, description="share of patches that are blurred")
    intensity: tuple[float, float] | None = Field(
        None, description="grey values are multiplied by something between these"
    )


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


class SplitSettings(Settings):
    """Which patients of a data set serve what; patients that are left are for the test."""

    networks: float = Field(0.5, gt=0, lt=1, description="share that trains the networks")
    held: float = Field(
        0.1, ge=0, lt=1,
        description="share of these that is kept from them to measure them while they train; "
        "0: the trees' patients do",
    )  # fmt: skip
    trees: float = Field(0.3, gt=0, lt=1, description="share that trains the trees")
    seed: int = Field(1, ge=0, description="of the draw")

    @model_validator(mode="after")
    def _leaves_a_test(self) -> Self:
        if self.networks + self.trees >= 1:
            raise ValueError("networks + trees must be less than 1: some patients are for the test")
        return self


class TrainLocateSettings(Settings):
    """Training of the localisers."""

    films: int = Field(3500, ge=8, description="simulated films of each limb, without a data set")
    real_copies: int = Field(
        10, ge=1, description="times that real films are shown beside the simulated ones"
    )
    network: LocateSettings = Field(LocateSettings(), description="table `[network]`")
    changes: FilmChangeSettings = Field(FilmChangeSettings(), description="table `[changes]`")
    split: SplitSettings = Field(SplitSettings(), description="table `[split]`")
    loop: LoopSettings = Field(
        LoopSettings(epochs=12, batch_size=16, learning_rate=3e-3), description="table `[loop]`"
    )


class TrainDamageSettings(Settings):
    """Training of the damage network."""

    patients: int = Field(
        800, ge=2, description="simulated patients, one hand and foot of each, without a data set"
    )
    real_copies: int = Field(
        8, ge=1,
        description="times that real films are shown beside the simulated ones: once as they "
        "are, then with damage put into healthy joints",
    )  # fmt: skip
    oversample: bool = Field(
        False, description="show as many items with damage as without, by repeating the fewer"
    )
    network: DamageSettings = Field(DamageSettings(), description="table `[network]`")
    changes: PatchChangeSettings = Field(PatchChangeSettings(), description="table `[changes]`")
    split: SplitSettings = Field(SplitSettings(), description="table `[split]`")
    loop: LoopSettings = Field(
        LoopSettings(epochs=10, batch_size=32, learning_rate=3e-3), description="table `[loop]`"
    )


class TrainSymmetrySettings(Settings):
    """Training of the trees; their patients are others than the networks'."""

    patients: int = Field(240, ge=2, description="simulated patients, four films of each")
    cohort_seed: int = Field(7_000, ge=0, description="seed of the simulated patients")
    pixels_per_mm: float = Field(5.0, gt=0.5, description="resolution of their films")
    forest: SymmetrySettings = Field(SymmetrySettings(), description="table `[forest]`")
    split: SplitSettings = Field(SplitSettings(), description="table `[split]`")


class ReproduceSettings(Settings):
    """The paper's experiments on a data set."""

    plan: Literal["k-fold", "repeated"] = Field(
        "k-fold",
        description="`k-fold`: every patient tested once; `repeated`: 50/30/20, drawn anew each "
        "time, as published",
    )
    folds: int = Field(10, ge=1, description="parts of the k-fold plan, or repeats")
    trees_share: float = Field(0.3, gt=0, lt=1, description="of the patients, trains the trees")
    seed: int = Field(1, ge=0, description="of the folds")
    patients: int = Field(100, ge=6, description="simulated patients, without a data set")
    cohort_seed: int = Field(31, ge=0, description="of the simulated patients")
    cohort_pixels_per_mm: float | None = Field(
        None, gt=0.5, le=20, description="resolution of their films; as in real cohorts if absent"
    )
    locate: TrainLocateSettings = Field(
        # few films: small inputs and small batches make the most of the time
        TrainLocateSettings(
            network=LocateSettings(input_px=192),
            loop=LoopSettings(epochs=15, batch_size=4, learning_rate=3e-3, threads=1),
        ),
        description="table `[locate]`",
    )
    damage: TrainDamageSettings = Field(
        TrainDamageSettings(
            loop=LoopSettings(epochs=3, batch_size=16, learning_rate=2e-3, threads=1)
        ),
        description="table `[damage]`",
    )
    forest: SymmetrySettings = Field(SymmetrySettings(threads=1), description="table `[forest]`")
    more_folds: int = Field(
        1, ge=0, description="so many folds, the first, have ablations and the learning curve too"
    )
    shares: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (0.25, 0.5),
        description="learning curve: shares of the networks' patients that are trained on, with "
        "as many steps",
    )


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


# Where the published method departs from the defaults; the numbers are those of Li & Guan 2022
# and of the authors' program.
_PAPER: dict[type[Settings], dict[str, Any]] = {
    TrainLocateSettings: {
        "split": {"held": 0.0},
        "network": {
            "design": "one-point", "input_px": 1024, "keep_aspect": False, "channels": 3,
            "widths": (9, 18, 36, 72, 144), "kernel_px": 7, "heatmap_stride": 1,
            "target": "square", "square_half_px": 15.0, "point_weight": 0.0,
            "decode": "component", "found_threshold": 0.5,
        },
        "changes": {
            "share": 0.0, "turn_deg": 0.0, "shift": 0.0, "scale": (1.0, 1.0),
            "keep_height": (0.85, 0.95), "gamma": 0.0, "noise": 0.0, "blur_share": 0.0,
            "intensity": (0.9, 1.15),
        },
        "loop": {
            "epochs": 100, "batch_size": 5, "optimiser": "adam", "learning_rate": 1e-3,
            "schedule": "steps", "drop_after": 50, "rate_decay": 1e-5, "weight_decay": 0.0,
            "clip_norm": 0.0, "half": False,
        },
    },
    TrainDamageSettings: {
        "split": {"held": 0.0},
        "oversample": True,
        "network": {
            "design": "family", "patch_px": 384, "window": "film", "half_window_px": 192.0,
            "enlarged": {}, "channels": 7, "widths": (21, 31, 46, 69, 103), "mask_weight": 1.0,
            "dice_weight": 0.0, "score_weight": 1.0,
        },
        "changes": {
            "share": 1.0, "turn_deg": 0.0, "shift": 10 / 384, "scale": (1.0, 1.0),
            "mirror_share": 0.5, "gamma": 0.0, "noise": 0.0, "blur_share": 0.0,
            "intensity": (0.9, 1.15),
        },
        "loop": {
            "epochs": 50, "batch_size": 20, "optimiser": "adam", "learning_rate": 1e-3,
            "schedule": "steps", "drop_after": 10, "rate_decay": 1e-5, "weight_decay": 0.0,
            "clip_norm": 0.0, "half": False,
        },
    },
    TrainSymmetrySettings: {"forest": {"drop_extremity": 0.0}, "split": {"held": 0.0}},
}  # fmt: skip
