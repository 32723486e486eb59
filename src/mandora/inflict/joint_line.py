"""Where exactly a joint lies on a film: its two bone surfaces, found near a landmark.

A landmark from a reader or a localiser has an error of 1 to 2 % of the limb size, and a joint space
is not much wider. The surfaces are found by dynamic programming: of all pairs of lines that cross
the joint, the pair with bone before the first, bone behind the second and a dark space between.
An open growth plate looks the same and is often darker. In a middle phalanx it lies just distal of
the joint, in the radius just proximal, and a landmark between the two is as near to one as to the
other: if there are two lines, the one on the joint's side is taken.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mandora.core.errors import InputError
from mandora.inflict.paths import best_path
from mandora.inflict.region import Array, Frame

COLUMNS = 41  # lines along the axis that cross the joint, over its width
SPAN = 0.9  # share of the width that they cover
REACH = 0.62  # rows on each side of the landmark, as a share of the width
GAP_SIGMA = 0.4  # standard deviation of the logarithm of the joint space's width
PENALTY = 0.12  # weight of the distance from what is expected
MIN_CONTRAST = 0.10  # of the darkness between the surfaces, as a share of the range of grey
MAX_TILT = 0.45  # rad, between the axis from the landmarks and the joint
# costs of a change of row and of gap from a column to the next
_MOVES: dict[tuple[int, ...], float] = {
    (r, g): 0.02 * abs(r + g / 2) ** 2 + 0.08 * abs(g) for r in range(-2, 3) for g in (-1, 0, 1)
}
AS_DARK = 0.4  # least darkness of the joint's line, as a share of that of a growth plate


@dataclass(frozen=True, eq=False)
class JointLine:
    """The two surfaces of a joint.

    Attributes:
        frame: of the joint; its origin is the middle of the joint space.
        u: (COLUMNS,) px across the joint.
        proximal: (COLUMNS,) px, ``v`` of the proximal bone's surface.
        distal: (COLUMNS,) px, ``v`` of the distal bone's surface; above ``proximal``.
        extent: (2,) px, from where to where in ``u`` both bones bound the space.
        width: of the joint, px.
        quality: darkness between the surfaces as a share of the range of grey around them.
    """

    frame: Frame
    u: Array
    proximal: Array
    distal: Array
    extent: tuple[float, float]
    width: float
    quality: float

    @property
    def gap(self) -> float:
        """Width of the joint space, px: the median over the middle of the joint."""
        middle = np.abs(self.u) <= 0.3 * self.width
        return float(np.median((self.distal - self.proximal)[middle]))

    @property
    def line(self) -> Array:
        """(COLUMNS, 2) middle of the joint space, px of the film."""
        return np.column_stack(self.frame.to_film(self.u, (self.proximal + self.distal) / 2))


def surfaces(line: JointLine, u: Array) -> tuple[Array, Array]:
    """``v`` of both surfaces at each ``u``; constant beyond the joint's extent."""
    left, right = line.extent
    u = np.clip(u, left, right)
    return np.interp(u, line.u, line.proximal), np.interp(u, line.u, line.distal)


@dataclass(frozen=True)
class ExpectedLine:
    """What is expected of a joint on a film, px.

    Attributes:
        width: of the joint.
        gap: width of the joint space.
        error: standard deviation of the landmark near which it is searched.
        plate: how far distal of the joint an open growth plate may lie; negative: proximal of it;
            0: none is near.
        round_of: radius, more than half of the width, of a distal bone's head around which the
            joint line bends distally on both sides; 0: it is about straight.
    """

    width: float
    gap: float
    error: float
    plate: float = 0.0
    round_of: float = 0.0


class NoJointLine(InputError):
    """The pixels near a landmark show no joint space."""


def find_joint_line(pixels: NDArray[np.float32], frame: Frame, expected: ExpectedLine) -> JointLine:
    """Find the surfaces of the joint near the origin of a frame.

    Args:
        pixels: (H, W) float32, bright bone.
        frame: its origin near the joint, its axis within about 25 degrees of the bones'.
        expected: what is searched there.

    Returns:
        The surfaces, in a frame that is centred on the joint and square to it.

    Raises:
        NoJointLine: if nothing there is darker than its surroundings.
    """
    line = _square(pixels, frame, expected)
    if plate := expected.plate:
        beside = Frame(line.frame.origin - plate * line.frame.axis, line.frame.axis)
        other = _square(pixels, beside, replace(expected, error=abs(plate) / 4))
        way = float((line.frame.origin - other.frame.origin) @ line.frame.axis) / plate
        far = abs(float((other.frame.origin - frame.origin) @ frame.axis)) >= abs(plate)
        if 0.5 < way < 1.5 and not far and other.quality > AS_DARK * line.quality:
            line = other
    if line.quality < MIN_CONTRAST:
        raise NoJointLine(
            f"its darkest line is only {max(line.quality, 0):.2f} of the local range of grey "
            f"darker than its sides, at least {MIN_CONTRAST} is needed"
        )
    return _refine(pixels, line)


def _square(pixels: NDArray[np.float32], frame: Frame, expected: ExpectedLine) -> JointLine:
    """The line near the origin of a frame, in a frame that is square to it."""
    first = _search(pixels, frame, expected)
    middle = (first.proximal + first.distal) / 2
    slope, offset = np.polyfit(first.u, middle, 1)
    tilt = float(np.clip(np.arctan(slope), -MAX_TILT, MAX_TILT))
    turned = np.cos(tilt) * frame.axis - np.sin(tilt) * frame.across
    x, y = frame.to_film(np.array(0.0), np.array(offset))
    return _search(pixels, Frame(np.array([x, y]), turned), expected)


def _search(pixels: NDArray[np.float32], frame: Frame, expected: ExpectedLine) -> JointLine:
    """The best pair of surfaces on a coarse grid, bent around the head if there is one."""
    width, gap, round_of = expected.width, expected.gap, expected.round_of
    step = SPAN * width / (COLUMNS - 1)
    u = np.linspace(-SPAN / 2, SPAN / 2, COLUMNS) * width
    reach = int(np.ceil(REACH * width / step))
    v = np.linspace(-reach, reach, 2 * reach + 1) * step
    bend = round_of - np.sqrt(round_of**2 - u**2) if round_of else np.zeros(COLUMNS)
    patch = frame.sample(pixels, u[None, :], v[:, None] + bend)
    patch = ndimage.gaussian_filter(patch, (0.7, 1.0))
    low, high = np.percentile(patch, [5, 95])
    scale = max(high - low, 1e-6)
    patch = (patch - low) / scale

    least = max(2, round(0.4 * gap / step))
    gaps = np.arange(least, max(least + 2, round(2.1 * gap / step)) + 1)
    rows = np.arange(len(v) - gaps[-1])
    merit = _merits(patch, rows, gaps)
    middle = v[rows][:, None] + gaps[None, :] * step / 2
    penalty = (middle / expected.error) ** 2 / 2
    penalty = np.minimum(penalty, 20.0)[None] * _central(u, width)[:, None, None]
    penalty = penalty + ((np.log(gaps * step / gap) / GAP_SIGMA) ** 2 / 2)[None, None, :]
    first, space = best_path(merit - PENALTY * penalty, _MOVES)
    proximal, distal = v[first] + bend, v[first] + bend + gaps[space] * step
    between = _darkness(patch, first, gaps[space])
    inner = np.abs(u) <= 0.35 * width
    quality = float(np.median(between[inner]))
    extent = _extent(u, between > 0.4 * quality)
    return JointLine(frame, u, proximal, distal, extent, width, quality)


def _extent(u: Array, dark: NDArray[np.bool_]) -> tuple[float, float]:
    """Ends of the dark columns around the middle, at least half of all; px across the joint."""
    middle = len(u) // 2
    left, right = middle // 2, middle + middle // 2
    while left > 0 and dark[left - 1]:
        left -= 1
    while right < len(u) - 1 and dark[right + 1]:
        right += 1
    return float(u[left]), float(u[right])


def _central(u: Array, width: float) -> Array:
    """Weight of each column's distance from the landmark: joints may be round."""
    return np.exp(-((u / (0.3 * width)) ** 2))


def _merits(patch: Array, rows: NDArray[np.int64], gaps: NDArray[np.int64]) -> Array:
    """(COLUMNS, rows, gaps): how well a pair of surfaces explains each column."""
    slope = np.gradient(patch, axis=0)
    total = np.vstack([np.zeros(patch.shape[1]), np.cumsum(patch, axis=0)])
    merits = []
    for space in gaps:
        fall = -slope[rows]
        rise = slope[rows + space]
        inside = (total[rows + space] - total[rows + 1]) / (space - 1)
        core = max(space - 3, 1)  # without the surfaces' soft edges
        brightest = ndimage.maximum_filter1d(patch, core, axis=0)[rows + space // 2]
        inside = (inside + brightest) / 2
        before = patch[np.maximum(rows - 2, 0)]
        behind = patch[np.minimum(rows + space + 2, len(patch) - 1)]
        dark = np.minimum(before, behind) - inside
        edge = np.minimum(np.minimum(fall, rise), 0.12)
        merits.append(np.minimum(dark, 0.35) + 2.0 * edge + 0.8 * np.minimum(fall + rise, 0.3))
    return np.stack(merits, axis=-1).transpose(1, 0, 2)


def _darkness(patch: Array, first: NDArray[np.int64], gaps: NDArray[np.int64]) -> Array:
    """(COLUMNS,) how much darker the space is than the darker of its two sides."""
    result = []
    for column, (row, space) in enumerate(zip(first, gaps, strict=True)):
        before = patch[max(row - 3, 0) : row + 1, column].max()
        behind = patch[row + space : row + space + 4, column].max()
        result.append(min(before, behind) - patch[row : row + space + 1, column].min())
    return np.array(result)


def _refine(pixels: NDArray[np.float32], coarse: JointLine) -> JointLine:
    """The surfaces to parts of a pixel, smooth: where the grey changes fastest."""
    step = SPAN * coarse.width / (COLUMNS - 1)
    fine = max(step / 6, 0.25)
    shifts = np.arange(-1.6 * step, 1.6 * step + fine / 2, fine)
    weight = np.exp(-((shifts / (1.2 * step)) ** 2))[:, None]
    surfaces = []
    for surface, sign in ((coarse.proximal, -1.0), (coarse.distal, 1.0)):
        rows = surface + shifts[:, None]
        before = coarse.frame.sample(pixels, coarse.u[None], rows - step / 2)
        behind = coarse.frame.sample(pixels, coarse.u[None], rows + step / 2)
        rise = np.maximum(ndimage.gaussian_filter1d(sign * (behind - before), 1.0, axis=1), 0)
        rise = (rise * weight) ** 4 + 1e-12  # nearly the maximum, but smooth in the pixels
        moved = surface + (rise * shifts[:, None]).sum(axis=0) / rise.sum(axis=0)
        surfaces.append(
            ndimage.gaussian_filter1d(ndimage.median_filter(moved, 5, mode="nearest"), 1.5)
        )
    proximal, distal = surfaces
    distal = np.maximum(distal, proximal + 1.0)
    return replace(coarse, proximal=proximal, distal=distal)
