"""The networks, what they see, how it is changed in training, and the trees."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from mandora.core.anatomy import LANDMARK_INDEX, Limb
from mandora.core.errors import InputError
from mandora.core.settings.base import Settings


class LocateSettings(Settings):
    """The localiser's network, what it sees and what it is trained to draw."""

    design: Literal["all-points", "one-point"] = Field(
        "all-points",
        description="`all-points`: one network per limb; `one-point`: the published network, "
        "one per landmark",
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
        0.25, ge=0, le=1,
        description="heat that a landmark needs to be found: `peak`: at least this; `component`: "
        "more than this",
    )  # fmt: skip
    corner: float = Field(
        0.05, ge=0, lt=0.5,
        description="several networks: places within this share of the film of two borders do "
        "not count",
    )  # fmt: skip
    seeds: int = Field(
        1, ge=1, description="networks trained from different first weights; the median counts"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.target == "square" and self.heatmap_stride != 1:
            raise InputError(
                "squares are drawn at full size: target 'square' needs heatmap_stride 1"
            )
        if self.channels == 3 and self.keep_aspect:
            raise InputError("three channels are made of stretched films: set keep_aspect = false")
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
        if self.keep_height is not None and self.share > 0:
            raise InputError("films are cut (keep_height) or moved (share), not both")
        return self


# Half a window is 0.17 of the hand's size; the navicular's middle lies 0.2 from the radiocarpal
# joint, and the corners of the radius as far from its landmark. With larger windows than these a
# joint space has too few px. See docs/packaged-model.md.
ENLARGED = {
    "mc1": 1.15, "mul": 1.25, "lunate": 1.25, "radius": 1.6, "ulna": 1.3, "mna": 1.15,
    "radcar": 1.7,
}  # fmt: skip


def _landmarks_of_the_hand(factors: dict[str, float]) -> dict[str, float]:
    unknown = sorted(set(factors) - set(LANDMARK_INDEX[Limb.HAND]))
    if unknown:
        raise InputError(
            f"a hand has no landmark {', '.join(unknown)}; its landmarks are "
            f"{', '.join(LANDMARK_INDEX[Limb.HAND])}"
        )
    return factors


Enlarged = Annotated[
    dict[str, Annotated[float, Field(ge=1, le=4)]], AfterValidator(_landmarks_of_the_hand)
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
        description="landmarks of the hand whose patch is larger, and the factor; without any all "
        "patches of a hand are alike, as published",
    )
    channels: Literal[1, 7] = Field(
        1, description="1: standardised patch; 7: five versions of the film, two of the patch"
    )
    patch_range: float = Field(
        1.0, gt=0, description="7 channels: what the two versions of the patch are multiplied by"
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
