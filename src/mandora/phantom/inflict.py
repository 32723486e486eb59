"""Inflict known damage on a real film: narrow a joint space, carve erosions.

Simulated films know their truth and lack real texture; real films have texture and, where they are
healthy, the grade 0. This module puts the damage of a known grade into a healthy film.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mandora.anatomy import FAMILIES, POINT_INDEX, POINTS, UNIT_ENDS, Damage, JointGroup, Limb
from mandora.geometry import Points, as_points
from mandora.images.radiograph import Radiograph
from mandora.phantom.bone_edges import bone_margin, joint_margin, outline
from mandora.phantom.carve import carve
from mandora.phantom.damage import JointState, draw_state
from mandora.phantom.joint_line import Array, JointLine, NoJointLine, find_joint_line
from mandora.phantom.narrow import bridged, displacement, narrowed
from mandora.phantom.window import Frame, Window

MIN_UNIT_PX = 100.0
"""Smallest size of a limb, px: with less a joint space has no pixel of its own."""

_FREE = frozenset({"ip", "pip2", "pip3", "pip4", "pip5", "mcp5"})
"""Joints that can slip sideways without reaching a neighbour."""

_ERROR = 0.02  # of a point, as a share of the limb's size


@dataclass(frozen=True)
class _Joint:
    """What is expected of a joint, in units of the limb.

    Attributes:
        width: of the joint.
        gap: width of the joint space.
        axes: groups of pairs of points; in each group the first pair that is known gives a
            direction along the limb, and the axis is their mean.
    """

    width: float
    gap: float
    axes: tuple[tuple[tuple[str, str], ...], ...]


@dataclass(frozen=True)
class _Bone:
    """What is expected of a bone of the wrist, in units of the limb.

    Attributes:
        centre: weights of the points whose weighted mean is the bone's centre.
        shift: from there along the axis.
        radius: mean distance of the edge from the centre.
        bare: degrees from the axis to the places where erosions start, positive towards the
            thumb.
    """

    centre: Mapping[str, float]
    shift: float
    radius: float
    bare: tuple[float, ...]


_TO_WRIST = ("radcar", "capnlun", "lunate", "radius", "mc1")
_WRIST_AXES = (
    tuple((low, high) for high in ("cmc3", "mcp3") for low in ("radcar", "radius", "lunate")),
)


def _hand_joints() -> dict[str, _Joint]:
    joints = {"ip": _Joint(0.18, 0.024, ((("mcp1", "ip"),),))}
    for n, width in {2: 0.18, 3: 0.18, 4: 0.175, 5: 0.15}.items():
        joints[f"pip{n}"] = _Joint(width, 0.024, (((f"mcp{n}", f"pip{n}"),),))
    for n, width in {1: 0.23, 2: 0.23, 3: 0.23, 4: 0.21, 5: 0.19}.items():
        lower = ("mc1",) if n == 1 else ("mul", *_TO_WRIST) if n == 2 else (f"cmc{n}", *_TO_WRIST)
        upper = "ip" if n == 1 else f"pip{n}"
        joints[f"mcp{n}"] = _Joint(
            width, 0.028, (((f"mcp{n}", upper),), tuple((a, f"mcp{n}") for a in lower))
        )
    joints["mc1"] = _Joint(0.20, 0.025, ((("mc1", "mcp1"),),))
    for n, width in {3: 0.17, 4: 0.14, 5: 0.15}.items():
        joints[f"cmc{n}"] = _Joint(width, 0.02, (((f"cmc{n}", f"mcp{n}"),),))
    joints["mna"] = _Joint(0.20, 0.024, ((("radcar", "mul"), ("radcar", "mcp2")),))
    joints["capnlun"] = _Joint(0.26, 0.024, _WRIST_AXES)
    joints["radcar"] = _Joint(0.40, 0.03, _WRIST_AXES)
    return joints


_JOINTS: dict[Limb, dict[str, _Joint]] = {
    Limb.HAND: _hand_joints(),
    Limb.FOOT: {
        name: _Joint(width, 0.03, ((("mtp1", "ip"),),))
        for name, width in {
            "ip": 0.22, "mtp1": 0.28, **{f"mtp{n}": 0.16 for n in range(2, 6)}
        }.items()
    },
}  # fmt: skip

# The navicular has no point; the weights are a least squares fit to wrists with all points.
_BONES: dict[str, _Bone] = {
    "mul": _Bone({"mul": 1}, 0.0, 0.13, (70, 110, 30, 160, -30, -150)),
    "nav": _Bone(
        {"mna": 0.65, "capnlun": -0.33, "radcar": 0.68}, 0.0, 0.13, (75, 110, 40, 145, -60, -120)
    ),
    "lunate": _Bone({"lunate": 1}, 0.0, 0.105, (-60, -110, 60, 110, 180, 0)),
    "radius": _Bone({"radius": 1}, -0.13, 0.21, (52, -52, 40, -40, 62, 20)),
    "ulna": _Bone({"ulna": 1}, -0.09, 0.13, (-50, 50, -20, 20, -80, 80)),
}


@dataclass(frozen=True, eq=False)
class Inflicted:
    """A film with damage of known grade.

    Attributes:
        pixels: (H, W) float32, 0..1, bright bone.
        limb: hand or foot.
        site: name of the site.
        state: what was done to the joint.
        narrowing: SvH grade that was added, 0-4.
        erosion: SvH grade that was added, 0-5 (hand) or 0-10 (foot).
        eroded: (H, W) bool, where bone was taken away.
        point: (2,) float64 px of the film, where the site's point lies now; for the navicular,
            which has no point, its centre.
        line: (M, 2) float64 px of the film, the middle of the joint space as it was found; the
            outline for a bone of the wrist; no rows if nothing was asked for.
        quality: how clear the joint space is: its darkness as a share of the grey around, 0..1;
            1 for a bone of the wrist.
    """

    pixels: NDArray[np.float32]
    limb: Limb
    site: str
    state: JointState
    narrowing: int
    erosion: int
    eroded: NDArray[np.bool_]
    point: NDArray[np.float64]
    line: NDArray[np.float64]
    quality: float


def inflict(
    film: Radiograph | NDArray[np.float32],
    points: ArrayLike,
    site: str,
    *,
    narrowing: int | None = None,
    erosion: int | None = None,
    seed: int = 0,
) -> Inflicted:
    """Damage one site of a film.

    Args:
        film: a film, or its pixels: (H, W) float32, 0..1, bright bone. Mirrored and turned films
            are fine: directions follow from the points.
        points: (N, 2) px of the film, the points of the limb in the order of
            ``anatomy.POINTS``; NaN where unknown. Their number tells hand from foot. An error of
            2 % of the limb's size is no harm.
        site: name of an SvH site, such as ``mcp2``.
        narrowing: SvH grade to add, 0-4; None is 0.
        erosion: SvH grade to add, 0-5 (hand) or 0-10 (foot); None is 0.
        seed: the same film, points, site, grades and seed give the same result.

    Returns:
        The film with the damage. Where both grades are 0, its very pixels.

    Raises:
        ValueError: if an argument breaks a rule, or the joint is not found in the pixels.
    """
    pixels = film.pixels if isinstance(film, Radiograph) else _checked(film)
    xy = as_points(points)
    limb = _limb_of(xy)
    grades = {Damage.NARROWING: narrowing or 0, Damage.EROSION: erosion or 0}
    _check_grades(limb, site, grades)
    unit = _unit(xy, limb)
    rng = np.random.default_rng([seed, *site.encode()])
    mirrored = _is_mirrored(xy, limb)
    if mirrored:  # work on every limb as on a left one: a mirrored film gets a mirrored result
        pixels = np.ascontiguousarray(pixels[:, ::-1])
        xy = xy * [-1.0, 1.0] + [pixels.shape[1] - 1.0, 0.0]
    operation = _Operation(pixels, xy, limb, site, unit)
    result = operation.run(grades, rng)
    if mirrored:
        width = pixels.shape[1] - 1.0
        result = replace(
            result,
            pixels=np.ascontiguousarray(result.pixels[:, ::-1]),
            eroded=np.ascontiguousarray(result.eroded[:, ::-1]),
            point=result.point * [-1.0, 1.0] + [width, 0.0],
            line=result.line * [-1.0, 1.0] + [width, 0.0],
        )
    return result


@dataclass(frozen=True, eq=False)
class _Operation:
    """One film, shown like a left limb, and the place on it."""

    pixels: NDArray[np.float32]
    points: Points
    limb: Limb
    site: str
    unit: float

    def run(self, grades: Mapping[Damage, int], rng: np.random.Generator) -> Inflicted:
        in_bone = self.limb is Limb.HAND and self.site in _BONES
        point = self._centre() if in_bone else self._point(self.site)
        state = self._draw(grades, rng)
        result = Inflicted(
            self.pixels, self.limb, self.site, state,
            state.narrowing_grade, state.erosion_grade(self.limb),
            np.zeros(self.pixels.shape, np.bool_), point, np.empty((0, 2)), 1.0,
        )  # fmt: skip
        if not any(grades.values()):
            return result
        return (self._on_bone if in_bone else self._on_joint)(result, rng)

    def _draw(self, grades: Mapping[Damage, int], rng: np.random.Generator) -> JointState:
        """A state of exactly these grades that can be shown at this site."""
        anchors = len(_BONES[self.site].bare) if self._is(_BONES) else 4
        state = draw_state(
            rng, grades[Damage.NARROWING], grades[Damage.EROSION], self.limb, anchors
        )
        if not grades[Damage.NARROWING]:
            state = replace(state, loss=0.0)
        free = self.site in _FREE and not state.erosions
        if state.shift >= 0.9 or (state.shift and not free):  # bone would lie over bone
            state = replace(state, shift=0.0, fused=grades[Damage.NARROWING] == 4)
        if self.site == "mc1":  # of this joint only the base of the metacarpal is scored
            state = replace(
                state, erosions=tuple(replace(e, anchor=e.anchor | 1) for e in state.erosions)
            )
        return state

    def _is(self, kind: Mapping[str, object]) -> bool:
        return self.limb is Limb.HAND and self.site in kind

    def _on_joint(self, result: Inflicted, rng: np.random.Generator) -> Inflicted:
        joint = _JOINTS[self.limb][self.site]
        line = self._line(joint, result.point)
        reach = (2.7 if result.state.shift else 1.55) * line.width + line.gap
        window = Window(line.frame, self.pixels.shape, reach)
        film = window.cut(self.pixels)
        state, point = result.state, result.point
        before = line
        if result.narrowing:
            # towards the little finger: there the fingers slip
            side = -1.0 if state.shift else float(rng.choice([-1.0, 1.0]))
            moved = displacement(line, state, window, side)
            film = narrowed(film, window, moved, rng)
            if state.fused:
                film = bridged(film, window, moved, rng)
            u, v = line.frame.from_film(point[:1], point[1:])
            point = np.concatenate(line.frame.to_film(u, moved.forward(u, v)))
            line = moved.closer
        eroded = np.zeros(film.shape, np.bool_)
        for erosion in state.erosions:
            margin = joint_margin(film, line, window, erosion.anchor)
            film, gone = carve(film, window, margin, erosion, rng)
            eroded |= gone
        return replace(
            self._with(result, window, film, eroded),
            point=point, line=before.line, quality=min(before.quality, 1.0),
        )  # fmt: skip

    def _line(self, joint: _Joint, point: Array) -> JointLine:
        frame = Frame(point, self._axis(joint.axes))
        try:
            return find_joint_line(
                self.pixels, frame, joint.width * self.unit, joint.gap * self.unit,
                _ERROR * self.unit,
            )  # fmt: skip
        except NoJointLine as reason:
            raise ValueError(
                f"{self.site}: no joint line was found near ({point[0]:.0f}, {point[1]:.0f}): "
                f"{reason}; correct the point, or leave this site out"
            ) from None

    def _on_bone(self, result: Inflicted, rng: np.random.Generator) -> Inflicted:
        bone = _BONES[self.site]
        radius = bone.radius * self.unit
        frame = Frame(result.point, self._axis(_WRIST_AXES))
        window = Window(frame, self.pixels.shape, 2.4 * radius)
        film = window.cut(self.pixels)
        edge = outline(film, window, radius)
        eroded = np.zeros(film.shape, np.bool_)
        for erosion in result.state.erosions:
            angle = np.radians(bone.bare[erosion.anchor] + rng.uniform(-12, 12))
            margin = bone_margin(edge, window, angle)
            film, gone = carve(film, window, margin, erosion, rng)
            eroded |= gone
        turns = np.arange(len(edge)) * 2 * np.pi / len(edge)
        around = np.column_stack(frame.to_film(edge * np.sin(turns), edge * np.cos(turns)))
        return replace(self._with(result, window, film, eroded), line=around)

    def _with(
        self, result: Inflicted, window: Window, film: Array, eroded: NDArray[np.bool_]
    ) -> Inflicted:
        pixels, mask = self.pixels.copy(), result.eroded
        pixels[window.rows, window.columns] = np.clip(film, 0, 1)
        mask[window.rows, window.columns] = eroded
        return replace(result, pixels=pixels, eroded=mask)

    def _point(self, name: str) -> Array:
        """A point that has to be known and on the film."""
        point = self.points[POINT_INDEX[self.limb][name]]
        height, width = self.pixels.shape
        if not (0 <= point[0] <= width - 1 and 0 <= point[1] <= height - 1):
            what = "unknown" if np.isnan(point).any() else f"at ({point[0]:.0f}, {point[1]:.0f})"
            raise ValueError(
                f"{self.site}: the point {name} is {what}, it has to lie on the film of "
                f"{width} × {height} px; give this point or leave this site out"
            )
        return np.asarray(point)

    def _centre(self) -> Array:
        """Centre of a bone of the wrist, px."""
        bone = _BONES[self.site]
        centre = sum(w * self._point(name) for name, w in bone.centre.items())
        return np.asarray(centre + bone.shift * self.unit * self._axis(_WRIST_AXES))

    def _axis(self, groups: tuple[tuple[tuple[str, str], ...], ...]) -> Array:
        """(2,) unit vector towards the fingertips or toes."""
        index = POINT_INDEX[self.limb]
        directions = []
        for group in groups:
            for low, high in group:
                step = self.points[index[high]] - self.points[index[low]]
                length = float(np.hypot(*step))
                if length > 0.05 * self.unit:  # false for NaN
                    directions.append(step / length)
                    break
        total = np.sum(directions, axis=0)
        if not directions or np.hypot(*total) < 0.1:
            needed = " or ".join(f"{a} and {b}" for group in groups for a, b in group)
            raise ValueError(
                f"{self.site}: the direction of the bones is unknown; give the points {needed}"
            )
        return np.asarray(total / np.hypot(*total))


def _checked(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    array = np.asarray(pixels)
    if array.ndim != 2 or array.dtype != np.float32:
        raise ValueError(
            f"a film must be (H, W) float32, got {array.shape}, {array.dtype}; "
            "read films with mandora.images.read"
        )
    if not (array.min() >= 0 and array.max() <= 1):  # false for NaN
        raise ValueError(
            f"a film's pixels must lie in 0..1, got {array.min()}..{array.max()}; "
            "read films with mandora.images.read"
        )
    return array


def _limb_of(points: Points) -> Limb:
    for limb, known in POINTS.items():
        if len(points) == len(known):
            return limb
    counts = " or ".join(f"{len(known)} of a {limb}" for limb, known in POINTS.items())
    raise ValueError(
        f"got {len(points)} points, need {counts}, in the order of anatomy.POINTS; "
        "put NaN where a point is unknown"
    )


def _check_grades(limb: Limb, site: str, grades: Mapping[Damage, int]) -> None:
    maxima = {
        damage: {s.name: s.maximum for s in FAMILIES[limb, damage]} for damage in Damage
    }
    if not any(site in known for known in maxima.values()):
        names = ", ".join(dict.fromkeys(n for known in maxima.values() for n in known))
        raise ValueError(f"a {limb} has no site {site!r}; its sites are {names}")
    for damage, grade in grades.items():
        maximum = maxima[damage].get(site, 0)
        if isinstance(grade, bool) or grade not in range(maximum + 1):
            limit = f"0 to {maximum}" if maximum else "0: it is not scored there"
            raise ValueError(
                f"{site}: the {damage} of a {limb}'s {site} has to be a whole number, "
                f"{limit}, got {grade}"
            )


def _unit(points: Points, limb: Limb) -> float:
    """Size of the limb, px."""
    ends = UNIT_ENDS[limb]
    first, last = (points[POINT_INDEX[limb][name]] for name in ends)
    size = float(np.hypot(*(first - last)))
    if not np.isfinite(size):
        raise ValueError(
            f"the size of a {limb} is the distance between {ends[0]} and {ends[1]}: "
            "give both points"
        )
    if size < MIN_UNIT_PX:
        raise ValueError(
            f"{ends[0]} and {ends[1]} are {size:.0f} px apart, at least {MIN_UNIT_PX:.0f} are "
            "needed to show joint spaces; give the film in full size"
        )
    return size


def _is_mirrored(points: Points, limb: Limb) -> bool:
    """Whether the film shows the limb like a right one."""
    index = POINT_INDEX[limb]
    if limb is Limb.HAND:
        fingers = [[f"{row}{n}" for n in range(2, 6)] for row in ("pip", "mcp")]
        wrist = [p.name for p in POINTS[limb] if p.group is JointGroup.WRIST]
        pairs = [(high, low) for high, low in zip(*fingers, strict=True)]
        pairs += [(f"mcp{n}", low) for n in (2, 5) for low in wrist]
    else:
        pairs = [("ip", "mtp1")]
    steps = np.array([points[index[high]] - points[index[low]] for high, low in pairs])
    known = np.isfinite(steps).all(axis=1)
    if not known.any():
        raise ValueError(
            f"which way the {limb} lies is unknown; give {pairs[0][0]} and {pairs[0][1]}"
        )
    along = steps[known].mean(axis=0)
    across = points[index[UNIT_ENDS[limb][0]]] - points[index[UNIT_ENDS[limb][1]]]
    return bool(across[0] * -along[1] + across[1] * along[0] < 0)
