"""What is expected of the sites that are damaged, and where they lie on a film."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from mandora.core.anatomy import LANDMARK_INDEX, LANDMARKS, LIMB_SIZE_ENDS, Limb
from mandora.core.errors import InputError
from mandora.core.geometry import Points, fit_similarity, limb_size
from mandora.inflict.magnified import Magnified
from mandora.inflict.region import Array
from mandora.locate.orientation import mirror_misfits
from mandora.locate.template import limb_template

MIN_SIZE_PX = 60.0
"""Smallest limb size, px: below it a joint space is hardly wider than a pixel."""

FIT_LANDMARKS = 3
"""Landmarks that tell how the template lies on a film."""

Axes = tuple[tuple[tuple[str, str], ...], ...]
"""Groups of pairs of landmarks; in each group the first pair that is known gives a direction along
the limb, and the axis is their mean."""


@dataclass(frozen=True)
class ExpectedJoint:
    """What is expected of a joint; lengths in limb sizes.

    Attributes:
        width: of the joint.
        gap: width of the joint space.
        axes: the pairs of landmarks that tell its direction.
        plate: how far distal of the joint an open growth plate may lie; negative: proximal of it;
            0: none is near.
        round_of: radius of the head of the distal bone around which the joint line bends; 0: the
            line is about straight.
        shift: from the landmark to the middle of the joint line, along the axis.
    """

    width: float
    gap: float
    axes: Axes
    plate: float = 0.0
    round_of: float = 0.0
    shift: float = 0.0

    @property
    def reach(self) -> float:
        """How far from the landmark the film may change."""
        return 2.0 * self.width + 0.06


@dataclass(frozen=True)
class ExpectedBone:
    """What is expected of a bone of the wrist; lengths in limb sizes.

    Attributes:
        centre: weights of the landmarks whose weighted mean is the bone's centre.
        shift: from there along the axis.
        radius: mean distance of the edge from the centre.
        bare: degrees from the axis to the places where erosions start, positive towards the
            thumb.
        below: how far the centre of a bone of the forearm, whose radius is half its width, lies
            below its joint surface; 0: a short bone.
    """

    centre: Mapping[str, float]
    shift: float
    radius: float
    bare: tuple[float, ...]
    below: float = 0.0

    @property
    def forearm(self) -> bool:
        """Soft tissue, not other bones, lies on both sides."""
        return self.below > 0

    def edge(self, angles: Array) -> Array:
        """Distance of the edge from the centre by direction, rad from the axis."""
        if not self.forearm:
            return np.full_like(angles, self.radius)
        # the end of a tube: a rounded rectangle that is open towards the shaft
        ahead = np.maximum(np.cos(angles), 0) / self.below
        beside = np.abs(np.sin(angles)) / self.radius
        return np.asarray(np.minimum((ahead**4 + beside**4) ** -0.25, 1.4 * self.radius))

    @property
    def reach(self) -> float:
        """How far from the centre the film may change."""
        return 3.5 * self.radius


# At other joints the plates lie too far away to be taken for the joint.
PHALANX_PLATE, RADIUS_PLATE = 0.04, -0.08

_TWO_FINGERS = tuple(combinations(range(2, 6), 2))
_TO_WRIST = ("radcar", "capnlun", "lunate", "radius", "mc1")
WRIST_AXES = (
    tuple((low, high) for high in ("cmc3", "mcp3") for low in ("radcar", "radius", "lunate")),
)


def _hand_joints() -> dict[str, ExpectedJoint]:
    joints = {"ip": ExpectedJoint(0.18, 0.024, ((("mcp1", "ip"),),))}
    for n, width in {2: 0.18, 3: 0.18, 4: 0.175, 5: 0.15}.items():
        joints[f"pip{n}"] = ExpectedJoint(width, 0.024, (((f"mcp{n}", f"pip{n}"),),), PHALANX_PLATE)
    for n, width in {1: 0.23, 2: 0.23, 3: 0.23, 4: 0.21, 5: 0.19}.items():
        lower = ("mc1",) if n == 1 else ("mul", *_TO_WRIST) if n == 2 else (f"cmc{n}", *_TO_WRIST)
        upper = "ip" if n == 1 else f"pip{n}"
        joints[f"mcp{n}"] = ExpectedJoint(
            width, 0.028, (((f"mcp{n}", upper),), tuple((a, f"mcp{n}") for a in lower))
        )
    joints["mc1"] = ExpectedJoint(0.20, 0.025, ((("mc1", "mcp1"),),))
    for n, width in {3: 0.17, 4: 0.14, 5: 0.15}.items():
        joints[f"cmc{n}"] = ExpectedJoint(width, 0.02, (((f"cmc{n}", f"mcp{n}"),),))
    joints["mna"] = ExpectedJoint(0.20, 0.024, ((("radcar", "mul"), ("radcar", "mcp2")),))
    joints["capnlun"] = ExpectedJoint(0.26, 0.024, WRIST_AXES, round_of=0.13, shift=0.025)
    joints["radcar"] = ExpectedJoint(0.40, 0.03, WRIST_AXES, RADIUS_PLATE)
    return joints


JOINTS: dict[Limb, dict[str, ExpectedJoint]] = {
    Limb.HAND: _hand_joints(),
    Limb.FOOT: {
        name: ExpectedJoint(width, 0.03, ((("mtp1", "ip"),),))
        for name, width in {
            "ip": 0.22, "mtp1": 0.28, **{f"mtp{n}": 0.16 for n in range(2, 6)}
        }.items()
    },
}  # fmt: skip

# The navicular has no landmark; the weights are a least squares fit to wrists with all landmarks.
BONES: dict[str, ExpectedBone] = {
    "mul": ExpectedBone({"mul": 1}, 0.0, 0.13, (70, 110, 30, 160, -30, -150)),
    "nav": ExpectedBone(
        {"mna": 0.65, "capnlun": -0.33, "radcar": 0.68}, 0.0, 0.13, (75, 110, 40, 145, -60, -120)
    ),
    "lunate": ExpectedBone({"lunate": 1}, 0.0, 0.105, (-60, -110, 60, 110, 180, 0)),
    "radius": ExpectedBone({"radius": 1}, -0.11, 0.23, (58, -58, 30, -25, 75, -75), 0.14),
    "ulna": ExpectedBone({"ulna": 1}, -0.08, 0.12, (-50, 50, -20, 20, -80, 80), 0.10),
}


@dataclass(frozen=True, eq=False)
class LimbLandmarks:
    """The landmarks of a limb on a film.

    Attributes:
        xy: (N, 2) px of the film, in the order of ``anatomy.LANDMARKS``; NaN where unknown.
        limb: hand or foot.
        shape: (height, width) of the film, px.
        size_px: limb size.
    """

    xy: Points
    limb: Limb
    shape: tuple[int, int]
    size_px: float

    @staticmethod
    def of(xy: Points, shape: tuple[int, int]) -> LimbLandmarks:
        """Tell the limb by the number of its landmarks.

        Raises:
            ValueError: if the number fits no limb, or the limb's size is unknown or too small.
        """
        limb = _limb_of(xy)
        return LimbLandmarks(xy, limb, shape, _size_px(xy, limb))

    @property
    def mirrored(self) -> bool:
        """Whether the film shows the limb like a right one.

        Raises:
            ValueError: if the landmarks do not tell.
        """
        misfits = mirror_misfits(self.xy, limb_template(self.limb))
        if misfits is None:
            raise InputError(
                f"which way the {self.limb} lies is unknown; give three of its landmarks or more"
            )
        return misfits[1] < misfits[0]

    def flipped(self) -> LimbLandmarks:
        """The same limb on the mirrored film."""
        return replace(self, xy=self.xy * [-1.0, 1.0] + [self.shape[1] - 1.0, 0.0])

    def magnified(self, part: Magnified) -> LimbLandmarks:
        """The same limb on a magnified part of the film."""
        xy, size_px = part.to_copy(self.xy), self.size_px * part.times
        return replace(self, xy=xy, size_px=size_px, shape=part.shape)

    def known(self, site: str, name: str) -> Array:
        """(2,) px, a landmark that has to be known and on the film.

        Raises:
            ValueError: if it is not; the message names the site and the landmark.
        """
        landmark = self.xy[LANDMARK_INDEX[self.limb][name]]
        height, width = self.shape
        if not (0 <= landmark[0] <= width - 1 and 0 <= landmark[1] <= height - 1):
            what = (
                "unknown"
                if np.isnan(landmark).any()
                else f"at ({landmark[0]:.0f}, {landmark[1]:.0f})"
            )
            raise InputError(
                f"{site}: the landmark {name} is {what}, it has to lie on the film of "
                f"{width} × {height} px; give this landmark or leave this site out"
            )
        return np.asarray(landmark)

    def place(self, site: str) -> Array:
        """(2,) px, the landmark of a joint or the centre of a bone of the wrist.

        Raises:
            ValueError: if a landmark that is needed is unknown or off the film.
        """
        if self.limb is Limb.FOOT or site not in BONES:
            return self.known(site, site)
        bone = BONES[site]
        centre = sum(w * self.known(site, name) for name, w in bone.centre.items())
        return np.asarray(centre + bone.shift * self.size_px * self.axis(site, WRIST_AXES))

    def axis(self, site: str, groups: Axes) -> Array:
        """(2,) unit vector towards the fingertips or toes; the limb looks like a left one.

        If none of these pairs is known, as on films without fingers, the template is laid over the
        landmarks that are, and tells the direction.

        Raises:
            ValueError: if the landmarks do not tell it; the message names the site.
        """
        directions = self._directions(self.xy, groups)
        if not directions and (fitted := self._template_on_film()) is not None:
            directions = self._directions(fitted, groups)
        total = np.sum(directions, axis=0)
        if not directions or np.hypot(*total) < 0.1:
            needed = " or ".join(f"{a} and {b}" for group in groups for a, b in group)
            raise InputError(
                f"{site}: the direction of the bones is unknown; give the landmarks {needed}"
            )
        return np.asarray(total / np.hypot(*total))

    def _directions(self, xy: Points, groups: Axes) -> list[Array]:
        """Of each group that has one, the direction of its first pair of known landmarks."""
        index = LANDMARK_INDEX[self.limb]
        directions = []
        for group in groups:
            for low, high in group:
                step = xy[index[high]] - xy[index[low]]
                length = float(np.hypot(*step))
                if length > 0.05 * self.size_px:  # false for NaN
                    directions.append(step / length)
                    break
        return directions

    def _template_on_film(self) -> Points | None:
        """(N, 2) px, the template of a left limb laid over three known landmarks or more."""
        known = np.isfinite(self.xy).all(axis=1)
        if known.sum() < FIT_LANDMARKS:
            return None
        template = limb_template(self.limb)
        fitted = fit_similarity(template[known], self.xy[known])
        return np.asarray(template @ fitted[:, :2].T + fitted[:, 2])


def _limb_of(landmarks: Points) -> Limb:
    for limb, known in LANDMARKS.items():
        if len(landmarks) == len(known):
            return limb
    counts = " or ".join(f"{len(known)} of a {limb}" for limb, known in LANDMARKS.items())
    raise InputError(
        f"got {len(landmarks)} landmarks, need {counts}, in the order of anatomy.LANDMARKS; "
        "put NaN where a landmark is unknown"
    )


def _size_px(landmarks: Points, limb: Limb) -> float:
    """Size of the limb, px."""
    size = limb_size(landmarks, limb_template(limb))
    if size < MIN_SIZE_PX:
        raise InputError(
            f"the {limb} is {size:.0f} px large (about the distance of "
            f"{' and '.join(LIMB_SIZE_ENDS[limb])}), at least {MIN_SIZE_PX:.0f} are needed to show "
            "joint spaces; give the film in full size"
        )
    return size
