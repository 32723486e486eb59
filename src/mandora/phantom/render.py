"""From a skeleton to a film: the beam's way through bone and flesh.

The beam passes a shell of compact bone, spongy bone and soft tissue; each bone's path length
follows from the distance to its edge as if its cross-section were round. What the detector
and the display make of it is in :mod:`mandora.phantom.exposure`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.special import expit

from mandora.anatomy import Limb, Side
from mandora.phantom.exposure import Field, Imaging, collimate, expose, mark
from mandora.phantom.shapes import Array, Grid, resample, signed_distance
from mandora.phantom.skeleton import Bite, Bone, Skeleton

STEP_MM = 0.5  # distances are computed on this grid and interpolated: they are smooth
BEYOND_MM = 25.0  # of forearm or midfoot that a film shows below the lowest point
MU_SOFT, MU_COMPACT, MU_SPONGY = 0.022, 0.105, 0.040  # per mm, about 55 kV


@dataclass(frozen=True)
class Placement:
    """How a limb lies on its film.

    Attributes:
        width: px.
        height: px.
        pixels_per_mm: resolution.
        angle: clockwise turn, rad.
        centre: where the middle of the localisation points lies, as fractions of the film.
        side: a right limb is the mirror image of a left one.
    """

    width: int
    height: int
    pixels_per_mm: float
    angle: float
    centre: tuple[float, float]
    side: Side

    @staticmethod
    def draw(
        skeleton: Skeleton,
        side: Side,
        rng: np.random.Generator,
        *,
        wide: bool,
        pixels_per_mm: float | None = None,
    ) -> Placement:
        """At random.

        Args:
            skeleton: what lies on the film.
            side: the patient's side.
            rng: source of randomness.
            wide: cover poorly framed films as well; else the whole limb lies on the film, as
                in real cohorts.
            pixels_per_mm: fixed resolution; drawn like real cohorts if absent.
        """
        hand = skeleton.limb is Limb.HAND
        aspect = float(np.clip(rng.normal(1.35 if hand else 1.47, 0.08), 1.1, 1.75))
        if wide:
            share = rng.uniform(0.19, 0.42) if hand else rng.uniform(0.22, 0.62)
            angle = float(np.clip(rng.normal(0, 0.16), -0.5, 0.5))
            if rng.random() < 0.3:
                aspect = rng.uniform(0.85, 1.3)
        else:
            share = np.clip(rng.normal(0.36 if hand else 0.55, 0.03 if hand else 0.06), 0.25, 0.68)
            angle = float(np.clip(rng.normal(0, 0.07), -0.2, 0.2))
        (left, top), (right, bottom) = _extent(skeleton, angle)
        width_mm = skeleton.unit / share
        if not wide:
            width_mm = max(width_mm, 1.06 * (right - left), (bottom - top) / 1.55)
            aspect = max(aspect, 1.02 * (bottom - top) / width_mm)
        height_mm = width_mm * aspect
        if pixels_per_mm is None:
            median = 1104 if hand else 832
            width = int(np.clip(rng.lognormal(np.log(median), 0.22), 0.55 * median, 1.9 * median))
        else:
            width = round(width_mm * pixels_per_mm)
        spread = 0.025 if not wide else 0.09 if share < 0.3 else 0.055
        middle = (0.50, 0.60) if hand else (0.51, 0.37)
        x = float(np.clip(rng.normal(middle[0], spread), 0.33, 0.67))
        y = float(np.clip(rng.normal(middle[1], spread), 0.2, 0.75))
        if not wide:
            x = float(np.clip(x, 0.02 - left / width_mm, 0.98 - right / width_mm))
            y = min(y, 0.995 - bottom / height_mm)
        y = max(y, 0.015 - top / height_mm)  # fingertips and toes stay on the film
        centre = (x if side is Side.LEFT else 1 - x, y)
        return Placement(width, round(width * aspect), width / width_mm, angle, centre, side)


def _turn(angle: float) -> Array:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])


def _extent(skeleton: Skeleton, angle: float) -> Array:
    """How far the turned limb reaches around the middle of its points.

    Forearm and hindfoot run off the lower edge; a few centimetres beyond the lowest point count.

    Returns:
        (2, 2) mm, lower and upper bounds of (x, y).
    """
    lowest = skeleton.points[:, 1].max()
    ends = [
        (place, radius)
        for rod in skeleton.flesh
        if rod.end[1] < lowest
        for place, radius in zip((rod.start, rod.end), rod.radius, strict=True)
    ]
    places = (np.array([p for p, _ in ends]) - skeleton.points.mean(axis=0)) @ _turn(angle).T
    radii = np.array([r for _, r in ends])[:, None]
    lower, upper = (places - radii).min(axis=0), (places + radii).max(axis=0)
    turned = (skeleton.points - skeleton.points.mean(axis=0)) @ _turn(angle).T
    upper[1] = turned[:, 1].max() + BEYOND_MM
    return np.stack([lower, upper])


@dataclass(frozen=True, eq=False)
class SimulatedFilm:
    """A film and its truth.

    Attributes:
        pixels: (H, W) float32, 0..1, bright bone.
        points: (n, 2) float64, (x, y), px of this film, order of ``anatomy.POINTS``.
        spaces: (H, W) uint8, joint spaces: 1 + index of the point, 0 elsewhere.
        erosions: (H, W) uint8, eroded bone: 1 + index of the point, 0 elsewhere.
        bones: (N, 2) float64 outline of each bone before erosion, px of this film, by name.
        spacing_mm: mm per px.
        limb: hand or foot.
        side: the patient's side.
    """

    pixels: Field
    points: Array
    spaces: NDArray[np.uint8]
    erosions: NDArray[np.uint8]
    bones: Mapping[str, Array]
    spacing_mm: float
    limb: Limb
    side: Side


def render(
    skeleton: Skeleton, placement: Placement, imaging: Imaging, rng: np.random.Generator
) -> SimulatedFilm:
    """Project a limb and expose the film."""
    stage = _Stage(skeleton, placement)
    dense, spongy = stage.project_bones(rng)
    soft = stage.project_flesh()
    spaces, erosions = stage.spaces(), stage.eroded
    points = stage.to_px(skeleton.points)
    bones = {b.name: stage.to_px(b.outline) for b in skeleton.bones if b.anatomical}
    if imaging.ring:
        dense += stage.ring(imaging.ring)
    attenuation = MU_COMPACT * dense + MU_SPONGY * spongy + MU_SOFT * imaging.soft * soft
    pixels = expose(attenuation, placement.pixels_per_mm, imaging, rng)
    if placement.side is Side.RIGHT:
        pixels = np.ascontiguousarray(pixels[:, ::-1])
        spaces = np.ascontiguousarray(spaces[:, ::-1])
        erosions = np.ascontiguousarray(erosions[:, ::-1])
        last = placement.width - 1
        points = points * [-1, 1] + [last, 0]
        bones = {name: outline * [-1, 1] + [last, 0] for name, outline in bones.items()}
    pixels = collimate(pixels, imaging)
    if imaging.marker:
        pixels = mark(pixels, placement.pixels_per_mm, placement.side, skeleton.limb, rng)
    return SimulatedFilm(
        np.clip(pixels, 0, 1).astype(np.float32), points, spaces, erosions, bones,
        1 / placement.pixels_per_mm, skeleton.limb, placement.side,
    )  # fmt: skip


class _Stage:
    """A skeleton on the film, still a left limb, in mm of the film."""

    def __init__(self, skeleton: Skeleton, placement: Placement) -> None:
        self.skeleton, self.placement = skeleton, placement
        self._turn = _turn(placement.angle)
        self._ppmm = placement.pixels_per_mm
        size_mm = np.array([placement.width, placement.height]) / self._ppmm
        centre_x = placement.centre[0]
        if placement.side is Side.RIGHT:
            centre_x = 1 - centre_x
        middle = skeleton.points.mean(axis=0)
        self._shift = size_mm * [centre_x, placement.centre[1]] - self._turn @ middle
        self._x: Array = (np.arange(placement.width, dtype=np.float64) + 0.5) / self._ppmm
        self._y: Array = (np.arange(placement.height, dtype=np.float64) + 0.5) / self._ppmm
        self._shape = (placement.height, placement.width)
        self._outlines = {b.name: self.to_mm(b.outline) for b in skeleton.bones}
        self.eroded = np.zeros(self._shape, dtype=np.uint8)

    def to_mm(self, xy: Array) -> Array:
        return np.asarray(xy @ self._turn.T + self._shift)

    def to_px(self, xy: Array) -> Array:
        return self.to_mm(xy) * self._ppmm - 0.5

    def _window(self, outline: Array, margin: float) -> tuple[Grid, slice, slice] | None:
        """The grid and the film's rows and columns that a bone covers; None if outside."""
        (x0, y0), (x1, y1) = outline.min(axis=0) - margin, outline.max(axis=0) + margin
        cols = slice(*np.searchsorted(self._x, [x0, x1]).tolist())
        rows = slice(*np.searchsorted(self._y, [y0, y1]).tolist())
        if cols.stop - cols.start < 2 or rows.stop - rows.start < 2:
            return None
        corners = np.array(
            [[self._x[cols.start], self._y[rows.start]],
             [self._x[cols.stop - 1], self._y[rows.stop - 1]]]
        )  # fmt: skip
        return Grid.around(corners, STEP_MM, STEP_MM), rows, cols

    def _distance(self, bone: Bone, grid: Grid) -> Field:
        """Signed distance of a bone; short bones leave their joint spaces open."""
        own = signed_distance(self._outlines[bone.name], grid)
        if not bone.yields:
            return own
        others = {b.name: b for b in self.skeleton.bones}
        field = own
        for gap in self.skeleton.gaps:
            if bone.name not in (gap.first, gap.second):
                continue
            other = others[gap.second if bone.name == gap.first else gap.first]
            far = signed_distance(self._outlines[other.name], grid)
            width = np.float32(-0.4 if gap.fused else gap.width)
            field = np.maximum(field, (own - far + width) / 2 if other.yields else width - far)
        return np.asarray(field, dtype=np.float32)

    def project_bones(self, rng: np.random.Generator) -> tuple[Field, Field]:
        """Path through compact and spongy bone, (H, W) float32 each, mm."""
        dense, spongy = np.zeros(self._shape, np.float32), np.zeros(self._shape, np.float32)
        weave = self._trabeculae(rng)
        for bone in self.skeleton.bones:
            window = self._window(self._outlines[bone.name], 1.0)
            if window is None:
                continue
            grid, rows, cols = window
            depth = -resample(self._distance(bone, grid), grid, self._x[cols], self._y[rows])
            shell: Field | np.float32 = np.float32(bone.cortex[0])
            light: Field | float = 1.0
            if bone.axis is not None:
                u = self._along(bone.axis, rows, cols)
                # compact bone is thick in the shaft and thin towards the joints
                middle = np.clip(np.minimum(u, 1 - u) / 0.22, 0, 1) ** 1.3
                end = np.where(u < 0.5, bone.cortex[0], bone.cortex[2]).astype(np.float32)
                shell = (end + (bone.cortex[1] - end) * middle).astype(np.float32)
                if bone.plate is not None:
                    length = float(np.linalg.norm(bone.axis[1] - bone.axis[0]))
                    light = 1 - 0.45 * np.exp(-(((u - bone.plate) * length / 0.6) ** 2))
            whole = _chord(depth, np.float32(bone.radius))
            core = _chord(depth - shell, np.maximum(bone.radius - shell, 0.1).astype(np.float32))
            core = np.minimum(core, whole)
            for bite in self.skeleton.bites:
                if bite.bone == bone.name:
                    light = light * self._bitten(bite, depth, rows, cols)
            dense[rows, cols] += (whole - core) * light
            spongy[rows, cols] += core * light * weave[rows, cols]
        return dense, spongy

    def _along(self, axis: Array, rows: slice, cols: slice) -> Field:
        """Place along a bone's axis, 0 at its proximal end and 1 at its distal end."""
        start, end = self.to_mm(axis)
        d = end - start
        d = d / (d @ d)
        x = (self._x[cols] - start[0]) * d[0]
        y = (self._y[rows] - start[1]) * d[1]
        return np.asarray(x[None, :] + y[:, None], dtype=np.float32)

    def _bitten(self, bite: Bite, depth: Field, rows: slice, cols: slice) -> Field:
        """Share of the bone that an erosion leaves; marks it in the truth."""
        cx, cy = self.to_mm(bite.centre[None])[0]
        x, y = self._x[cols][None, :] - cx, self._y[rows][:, None] - cy
        # a lobed edge: no erosion is a perfect circle
        angle = np.arctan2(y, x)
        phase = float(cx * 7.3 + cy * 3.1)
        lobes = 0.13 * np.sin(3 * angle + phase) + 0.07 * np.sin(5 * angle - phase)
        rim = bite.radius * (1 + lobes)
        inside = expit((rim - np.hypot(x, y)) / 0.22)
        if bite.label:
            self.eroded[rows, cols][(inside > 0.5) & (depth > 0)] = bite.label
        return np.asarray(1 - bite.depth * inside, dtype=np.float32)

    def _trabeculae(self, rng: np.random.Generator) -> Field:
        """The weave of spongy bone: mean 1, (H, W) float32."""
        noise = rng.standard_normal(self._shape, dtype=np.float32)
        fine, coarse = 0.22 * self._ppmm, 1.1 * self._ppmm
        weave = ndimage.gaussian_filter(noise, fine, truncate=2.5)
        weave -= ndimage.gaussian_filter(noise, coarse, truncate=2.5)
        spread = float(weave[::7, ::7].std())
        return np.asarray(np.clip(1 + 0.12 * weave / max(spread, 1e-6), 0.2, 1.8), dtype=np.float32)

    def project_flesh(self) -> Field:
        """Path through soft tissue, (H, W) float32, mm."""
        size = np.array([self._x[-1], self._y[-1]])
        grid = Grid.around(np.array([[0.0, 0.0], size]), 2.0, 2.0)
        best = np.full(grid.shape, 1e3, np.float32)
        px, py = grid.x[None, :], grid.y[:, None]
        for rod in self.skeleton.flesh:
            a, b = self.to_mm(np.array([rod.start, rod.end]))
            d = b - a
            t = np.clip(((px - a[0]) * d[0] + (py - a[1]) * d[1]) / (d @ d), 0, 1)
            away = np.hypot(px - a[0] - t * d[0], py - a[1] - t * d[1])
            away = (away - (rod.radius[0] + t * (rod.radius[1] - rod.radius[0]))).astype(np.float32)
            # a smooth union, so that skin spans the angle between two rods
            h = np.clip(0.5 + 0.5 * (best - away) / 4.0, 0, 1)
            best = best * (1 - h) + away * h - 4.0 * h * (1 - h)
        depth = -resample(best, grid, self._x, self._y)
        thickest = 13.0 if self.skeleton.limb is Limb.HAND else 22.0
        return 0.85 * _chord(depth, np.float32(thickest))

    def spaces(self) -> NDArray[np.uint8]:
        """Joint spaces as a label map."""
        image = Image.new("L", (self._shape[1], self._shape[0]), 0)
        canvas = ImageDraw.Draw(image)
        for strip in self.skeleton.strips:
            if not strip.fused:
                canvas.polygon([tuple(p) for p in self.to_px(strip.polygon)], fill=strip.label)
        labels = np.array(image)
        bones = {b.name: b for b in self.skeleton.bones}
        for gap in self.skeleton.gaps:
            if not gap.label or gap.fused or gap.width < 0.15:
                continue
            first, second = bones[gap.first], bones[gap.second]
            window = self._window(self._outlines[first.name], 1.0)
            if window is None:
                continue
            grid, rows, cols = window
            a = signed_distance(self._outlines[first.name], grid)
            b = signed_distance(self._outlines[second.name], grid)
            if second.yields:
                inside = np.maximum(np.abs(a - b) - gap.width, np.maximum(a, b) - gap.width)
            else:
                inside = np.maximum(np.maximum(-b, b - gap.width), a - gap.width / 2)
            field = resample(inside, grid, self._x[cols], self._y[rows])
            labels[rows, cols][field < 0] = gap.label
        return labels

    def ring(self, finger: int) -> Field:
        """A metal ring on a proximal phalanx, in mm of compact bone."""
        shadow = np.zeros(self._shape, np.float32)
        bone = next((b for b in self.skeleton.bones if b.name == f"pp{finger}"), None)
        if bone is None or bone.axis is None or self.skeleton.limb is not Limb.HAND:
            return shadow
        window = self._window(self._outlines[bone.name], 8.0)
        if window is None:
            return shadow
        _, rows, cols = window
        start, end = self.to_mm(bone.axis)
        d = (end - start) / np.linalg.norm(end - start)
        x, y = self._x[cols][None, :] - start[0], self._y[rows][:, None] - start[1]
        band = np.abs(self._along(bone.axis, rows, cols) - 0.42) < 0.05
        shadow[rows, cols][band & (np.abs(y * d[0] - x * d[1]) < 10.0)] = 25.0
        return shadow


def _chord(depth: Field, radius: Field | np.float32) -> Field:
    """Path length at a distance ``depth`` inside the edge of a round body, mm."""
    d = np.clip(depth, 0, radius)
    return np.asarray(2 * np.sqrt(d * (2 * radius - d)), dtype=np.float32)
