"""What the networks of a model see and give, and how their output is read.

One description of films and one of patches: training settings, the contract of a bundle and the
stages that score share them, so that a network is used as it was trained.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from mandora.core.anatomy import LANDMARK_INDEX, LANDMARKS, Limb
from mandora.core.errors import InputError
from mandora.core.records import Record

PUBLISHED_FILM_PX = 4096  # side of the film on which the published half window is stated

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


class FilmSpec(Record):
    """What the localisers see of a film, and how their heat maps are read.

    ``all-landmarks``: one network per limb sees the film in several fields of view.
    ``one-landmark``: the published way, one network (or several, from other first weights) per
    landmark sees the whole film.
    """

    design: Literal["all-landmarks", "one-landmark"] = Field(
        "all-landmarks",
        description="`all-landmarks`: one network per limb; `one-landmark`: the published network, "
        "one per landmark",
    )
    input_px: int = Field(256, ge=64, multiple_of=32, description="side of the square input")
    keep_aspect: bool = Field(True, description="pad the film to a square instead of stretching it")
    channels: Literal[1, 3] = Field(
        1, description="1: standardised film; 3: the film and two contrast-normalised versions"
    )
    heat_map_stride: int = Field(2, ge=1, description="input px per heat-map px")
    decode: Literal["peak", "component"] = Field(
        "peak",
        description="`peak`: highest place of the heat map; `component`: middle of the largest "
        "connected region above the threshold",
    )
    found_threshold: float = Field(
        0.25, ge=0, le=1,
        description="height of the heat map that a landmark needs to be found: `peak`: at least "
        "this; `component`: more than this",
    )  # fmt: skip
    corner: float = Field(
        0.05, ge=0, lt=0.5,
        description="several networks: places within this share of the film of two borders do "
        "not count",
    )  # fmt: skip
    seeds: int = Field(
        1, ge=1, le=99,
        description="networks trained from different first weights; the median counts",
    )  # fmt: skip

    @model_validator(mode="after")
    def _three_channels_of_stretched_films(self) -> Self:
        if self.channels == 3 and self.keep_aspect:
            raise InputError(
                "three channels are made of stretched films only; "
                "use keep_aspect = false, or channels = 1"
            )
        return self


class PatchSpec(Record):
    """What the damage networks see: how patches are cut around landmarks.

    ``all-joints``: one network, told which landmark it sees. ``family``: the published way, one
    network for each of the four families of targets.
    """

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
    along: Literal["limb", "film"] = Field(
        "limb",
        description="patches are cut along the `limb`, so that one which slants looks like one "
        "which does not, or along the borders of the `film`",
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
    mask: Literal["space", "erosion", "none"] = Field(
        "space", description="what the decoder draws: joint `space`, `erosion`, or `none`"
    )

    def half_px(self, film_hw: tuple[int, int], limb_size_px: float | None = None) -> float:
        """Half side of a patch, px of the film, before any enlargement.

        The published one is ``half_window_px`` · √(h·w) / 4096.

        Args:
            film_hw: height and width of the film, px.
            limb_size_px: size of the limb, :func:`~mandora.core.geometry.limb_size`; a window
                that follows the film needs none.

        Raises:
            ValueError: if the window follows the limb and its size is not known.
        """
        if self.window == "film":
            return self.half_window_px * math.sqrt(film_hw[0] * film_hw[1]) / PUBLISHED_FILM_PX
        if limb_size_px is None:
            raise InputError("window 'limb' needs the size of the limb; give limb_size_px")
        return self.half_window * limb_size_px

    def enlargement(self, limb: Limb, landmark: int) -> float:
        """How much larger than the published window that of a landmark is; 1 for all of a foot.

        Args:
            limb: hand or foot.
            landmark: index in ``anatomy.LANDMARKS[limb]``.
        """
        name = LANDMARKS[limb][landmark].name
        return self.enlarged.get(name, 1.0) if limb is Limb.HAND else 1.0


class LimbThresholds(Record):
    """What the fits of one limb's localiser mean. A *fit* is 0..1.

    It says how high the peaks are and how well they agree with the template,
    :func:`mandora.locate.shape.goodness`. ``mandora bundle calibrate`` sets the first three.
    """

    least_fit: float = Field(
        gt=0, le=1, description="fit below which a film does not show such a limb"
    )
    clear_fit: float = Field(
        ge=0, le=1,
        description="fit from which the limb is certain: no other orientation and no part of "
        "the film is tried",
    )  # fmt: skip
    sure_fit: float = Field(
        ge=0, le=1,
        description="fit below which a clear limb may be a poor view, as an oblique one: a better "
        "one is looked for beside it",
    )  # fmt: skip
    mirror_factor: float = Field(
        ge=1,
        description="so much better must the other side fit before a known side is not believed",
    )
    rival_factor: float = Field(
        ge=1,
        description="what fits so much worse than the best on the whole film gets no field "
        "of view of its own",
    )
    limb_factor: float = Field(
        1.1, ge=1,
        description="a film is refused whose other limb, as a foot for a hand, fits so much better "
        "than the stated one, each measured by its least_fit",
    )  # fmt: skip
    lowest_peak: float = Field(ge=0, le=1, description="lower peaks of a heat map are noise")
    limb_share: float = Field(
        gt=0, lt=1,
        description="size of the limb / side of the network's input, where it sees that limb alone",
    )  # fmt: skip
    size_range: tuple[float, float] = Field(
        description="least and greatest size of the limb / longer side of a film that shows it"
    )
    measured_on: str | None = Field(
        None,
        description="films that the fits were set from, in words; null: they are the defaults",
    )

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if not self.least_fit <= self.clear_fit <= self.sure_fit:
            raise InputError(
                f"least_fit {self.least_fit:g}, clear_fit {self.clear_fit:g} and sure_fit "
                f"{self.sure_fit:g} must rise in this order"
            )
        if not 0 < self.size_range[0] < self.size_range[1]:
            raise InputError(f"size_range {self.size_range} must be two rising shares above 0")
        return self


class PatchLimits(Record):
    """When a joint cannot be scored; shares of the window are those of this model's windows."""

    least_window_px: float = Field(
        ge=0,
        description="px of the film across a window, without its enlargement: with fewer the joint "
        "space has less than 2",
    )
    widest_edge: float = Field(
        gt=0,
        description="share of the window over which the steepest edges rise, about 2 joint spaces: "
        "wider ones are blurred",
    )
    joint_share: float = Field(
        gt=0, lt=1, description="share of the window's side that is the joint itself"
    )
    implant_reach: float = Field(
        gt=0, lt=0.5,
        description="share of the window's side that an implant reaches along the digit, to both "
        "sides of the joint",
    )  # fmt: skip
