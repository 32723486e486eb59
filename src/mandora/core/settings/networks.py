"""The networks, what they see, how it is changed in training, and the trees."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from mandora.core.errors import InputError
from mandora.core.settings.base import Settings
from mandora.core.specs import FilmSpec, PatchSpec


class LocateSettings(FilmSpec, Settings):
    """The localiser's network, what it sees and what it is trained to draw."""

    widths: tuple[int, ...] = Field(
        (16, 32, 48, 64, 96, 128), description="channels of each level, the finest first"
    )
    kernel_px: int = Field(3, ge=1, description="side of the convolutions; odd")
    target: Literal["gaussian", "square"] = Field("gaussian", description="`gaussian` or `square`")
    sigma_px: float = Field(1.6, gt=0, description="`gaussian`: spread, heat-map px")
    square_half_px: float = Field(
        15.0, gt=0, description="`square`: half side on a film of 1024 × 1024 px"
    )
    landmark_weight: float = Field(
        20.0, ge=0, description="extra weight of the target's px in the cross-entropy"
    )

    @model_validator(mode="after")
    def _squares_at_full_size(self) -> Self:
        if self.target == "square" and self.heat_map_stride != 1:
            raise InputError(
                "squares are drawn at full size: target 'square' needs heat_map_stride 1"
            )
        return self


class FilmChangeSettings(Settings):
    """Random changes of whole films in training."""

    share: float = Field(0.9, ge=0, le=1, description="share of films that are moved")
    turn_deg: float = Field(30.0, ge=0, le=180, description="turns up to this, both ways")
    shift: float = Field(0.08, ge=0, le=0.5, description="shifts up to this share of the side")
    scale: tuple[float, float] = Field((0.7, 1.25), description="least and greatest enlargement")
    part_share: float = Field(
        0.38, ge=0, le=1,
        description="share of films of which only a part is shown, as a wrist or a few digits; it "
        "lacks some of the landmarks that are on the film",
    )  # fmt: skip
    part_half: tuple[float, float] = Field(
        (0.4, 1.3), description="least and greatest half side of such a part, limb sizes"
    )
    part_scale: tuple[float, float] = Field(
        (0.7, 1.6), description="least and greatest enlargement of such a part"
    )
    keep_height: tuple[float, float] | None = Field(
        None, description="share of the film's height that is left after its bottom is cut"
    )
    keep_below: float = Field(
        0.01, ge=0, lt=1,
        description="the bottom is never cut nearer to a joint that is looked for than this share "
        "of the height",
    )  # fmt: skip
    gamma: float = Field(0.4, ge=0, description="s.d. of the logarithm of gamma")
    noise: float = Field(0.04, ge=0, description="s.d. of noise, up to this share of the range")
    blur_share: float = Field(0.4, ge=0, le=1, description="share of films that are blurred")
    intensity: tuple[float, float] | None = Field(
        None, description="grey values are multiplied by something between these"
    )

    @model_validator(mode="after")
    def _cut_or_moved(self) -> Self:
        if self.keep_height is not None and max(self.share, self.part_share) > 0:
            raise InputError("films are cut (keep_height) or moved (share, part_share), not both")
        return self


class DamageSettings(PatchSpec, Settings):
    """The damage network, what it sees and what it is trained to say."""

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
    bottleneck: bool = Field(
        False,
        description="the regressor sees the picture only through the mask and the decoder's "
        "features, as published (design `family` needs it); else the patch itself as well",
    )
    mask_weight: float = Field(1.0, ge=0, description="weight of the mask's cross-entropy")
    dice_weight: float = Field(1.0, ge=0, description="weight of 1 - Dice's overlap of the mask")
    score_weight: float = Field(4.0, gt=0, description="weight of the scores' squared error")


class PatchChangeSettings(Settings):
    """Random changes of joint patches in training."""

    share: float = Field(0.9, ge=0, le=1, description="share of patches that are moved")
    turn_deg: float = Field(10.0, ge=0, le=45, description="turns up to this, both ways")
    shift: float = Field(0.05, ge=0, le=0.25, description="shifts up to this share of the side")
    centre_film_px: int = Field(
        0, ge=0,
        description="the centre is moved by up to so many whole px of the film, both ways, before "
        "the patch is cut",
    )  # fmt: skip
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
    label: Literal["training", "official"] = Field(
        "training",
        description="what the trees learn: the `official` score, or the readers' mean that the "
        "networks aim at in `training`",
    )
    seed: int = Field(1, description="of the trees and of the rows that lose films")
    threads: int = Field(
        2, ge=1, description="processor threads; processes that score the simulated patients"
    )
