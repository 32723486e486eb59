"""From a skeleton to a film: projection, detector, display.

The beam passes a shell of compact bone, spongy bone and soft tissue; each bone's path length
follows from the distance to its edge as if its cross-section were round. Intensity falls off
by Beer-Lambert, gains scatter, noise and blur, and is shown as a vendor's processing would
show it. Bright is dense.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from mandora.anatomy import Limb, Side
from mandora.phantom.shapes import Array, Grid, resample, signed_distance
from mandora.phantom.skeleton import Bite, Bone, Skeleton

Field = NDArray[np.float32]

STEP_MM = 0.5  # distances are computed on this grid and interpolated: they are smooth
MU_SOFT, MU_COMPACT, MU_SPONGY = 0.021, 0.115, 0.036  # per mm, about 55 kV


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
        limb: Limb, unit_mm: float, side: Side, rng: np.random.Generator, *,
        wide: bool, pixels_per_mm: float | None = None,
    ) -> Placement:  # fmt: skip
        """At random, like real cohorts; ``wide`` covers poorly framed films as well."""
        hand = limb is Limb.HAND
        aspect = float(np.clip(rng.normal(1.35 if hand else 1.47, 0.08), 1.1, 1.75))
        if wide:
            share = rng.uniform(0.19, 0.42) if hand else rng.uniform(0.22, 0.62)
            angle = np.clip(rng.normal(0, 0.16), -0.5, 0.5)
            if rng.random() < 0.3:
                aspect = rng.uniform(0.85, 1.3)
        else:
            share = np.clip(rng.normal(0.36 if hand else 0.55, 0.03 if hand else 0.06), 0.25, 0.68)
            angle = np.clip(rng.normal(0, 0.07), -0.2, 0.2)
        width_mm = unit_mm / share
        if pixels_per_mm is None:
            median = 1104 if hand else 832
            width = int(np.clip(rng.lognormal(np.log(median), 0.22), 0.55 * median, 1.9 * median))
        else:
            width = round(width_mm * pixels_per_mm)
        ppmm = width / width_mm
        spread = 0.055 if wide else 0.025
        middle = (0.52, 0.56) if hand else (0.51, 0.37)
        if wide and share < 0.3:
            spread = 0.09
        height = round(width * aspect)
        x = float(np.clip(rng.normal(middle[0], spread), 0.33, 0.67))
        y = float(np.clip(rng.normal(middle[1], spread), 0.2, 0.75))
        # fingertips and toes stay on the film
        reach = (2.0 if hand else 1.15) * unit_mm * ppmm / height
        return Placement(width, height, ppmm, float(angle), (x, max(y, reach + 0.02)), side)


@dataclass(frozen=True)
class Imaging:
    """Everything between the limb and the picture file.

    Attributes:
        blur_mm: focal spot and motion, s.d.
        noise: quantum noise at full beam, relative.
        scatter: share of the signal that is haze.
        heel: change of the beam's strength over the film.
        black: grey value of the bare film, 0..1.
        white: grey value of the densest bone.
        gamma: curve between the two.
        sharpen: strength of the vendor's edge enhancement.
        soft: weight of soft tissue relative to bone (beam quality).
        collimation: share of the film that is cut off on left, top, right, bottom.
        collimation_value: grey value there.
        marker: show a lead letter.
        ring: shadow of a ring on this finger (2-5), 0 for none.
    """

    blur_mm: float = 0.15
    noise: float = 0.01
    scatter: float = 0.2
    heel: float = 0.05
    black: float = 0.06
    white: float = 0.9
    gamma: float = 1.0
    sharpen: float = 0.3
    soft: float = 1.0
    collimation: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    collimation_value: float = 0.0
    collimation_tilt: float = 0.0
    marker: bool = True
    ring: int = 0

    @staticmethod
    def draw(rng: np.random.Generator, *, wide: bool) -> Imaging:
        """At random; ``wide`` covers old and badly exposed films as well."""
        u = rng.uniform
        cut = np.where(rng.random(4) < (0.35 if wide else 0.15), u(0.0, 0.07, 4), 0.0)
        return Imaging(
            blur_mm=u(0.08, 0.45) if wide else u(0.08, 0.22),
            noise=u(0.002, 0.03) if wide else u(0.003, 0.015),
            scatter=u(0.05, 0.6),
            heel=u(-0.3, 0.3) if wide else u(-0.12, 0.12),
            black=u(0.0, 0.35) if wide else u(0.02, 0.15),
            white=u(0.6, 1.0) if wide else u(0.8, 1.0),
            gamma=float(np.exp(rng.normal(0, 0.35 if wide else 0.15))),
            sharpen=float(np.clip(rng.normal(0.4, 0.5), 0.0, 1.6)),
            soft=u(0.6, 1.7) if wide else u(0.8, 1.2),
            collimation=(float(cut[0]), float(cut[1]), float(cut[2]), float(cut[3])),
            collimation_value=float(rng.choice([0.0, 0.0, 0.02, 1.0 if wide else 0.0])),
            collimation_tilt=rng.normal(0, 0.03) if wide else 0.0,
            marker=bool(rng.random() < 0.7),
            ring=int(rng.integers(2, 6)) if rng.random() < 0.05 else 0,
        )


@dataclass(frozen=True, eq=False)
class SimulatedFilm:
    """A film and its truth.

    Attributes:
        pixels: (H, W) float32, 0..1, bright bone.
        points: (n, 2) float64, (x, y), px of this film, order of ``anatomy.POINTS``.
        spaces: (H, W) uint8, joint spaces: 1 + index of the point, 0 elsewhere.
        erosions: (H, W) uint8, eroded bone: 1 + index of the point, 0 elsewhere.
        spacing_mm: mm per px.
        limb: hand or foot.
        side: the patient's side.
    """

    pixels: Field
    points: Array
    spaces: NDArray[np.uint8]
    erosions: NDArray[np.uint8]
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
    if imaging.ring:
        dense += stage.ring(imaging.ring)
    attenuation = MU_COMPACT * dense + MU_SPONGY * spongy + MU_SOFT * imaging.soft * soft
    pixels = _expose(attenuation, placement, imaging, rng)
    if placement.side is Side.RIGHT:
        pixels, spaces, erosions = (np.ascontiguousarray(a[:, ::-1]) for a in (pixels, spaces, erosions))  # fmt: skip
        points = np.column_stack([placement.width - 1 - points[:, 0], points[:, 1]])
    pixels = _collimate(pixels, imaging)
    if imaging.marker:
        pixels = _mark(pixels, placement, skeleton.limb, rng)
    return SimulatedFilm(
        np.clip(pixels, 0, 1).astype(np.float32), points, spaces, erosions,
        1 / placement.pixels_per_mm, skeleton.limb, placement.side,
    )  # fmt: skip


class _Stage:
    """A skeleton on the film, still a left limb, in mm of the film."""

    def __init__(self, skeleton: Skeleton, placement: Placement) -> None:
        self.skeleton, self.placement = skeleton, placement
        c, s = np.cos(placement.angle), np.sin(placement.angle)
        self._turn = np.array([[c, -s], [s, c]])
        self._ppmm = placement.pixels_per_mm
        size_mm = np.array([placement.width, placement.height]) / self._ppmm
        centre_x = placement.centre[0]
        if placement.side is Side.RIGHT:
            centre_x = 1 - centre_x
        middle = skeleton.points.mean(axis=0)
        self._shift = size_mm * [centre_x, placement.centre[1]] - self._turn @ middle
        self._x = (np.arange(placement.width) + 0.5) / self._ppmm
        self._y = (np.arange(placement.height) + 0.5) / self._ppmm
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
            shell = np.float32(bone.cortex[0])
            light: Field | float = 1.0
            if bone.axis is not None:
                u = self._along(bone, rows, cols)
                # compact bone is thick in the shaft and thin towards the joints
                middle = np.clip(np.minimum(u, 1 - u) / 0.22, 0, 1) ** 1.3
                shell = bone.cortex[0] + (bone.cortex[1] - bone.cortex[0]) * middle
                if bone.plate is not None:
                    length = float(np.linalg.norm(bone.axis[1] - bone.axis[0]))
                    light = 1 - 0.75 * np.exp(-(((u - bone.plate) * length / 0.8) ** 2))
            whole = _chord(depth, np.float32(bone.radius))
            core = _chord(depth - shell, np.maximum(bone.radius - shell, 0.1).astype(np.float32))
            core = np.minimum(core, whole)
            for bite in self.skeleton.bites:
                if bite.bone == bone.name:
                    light = light * self._bitten(bite, depth, rows, cols)
            dense[rows, cols] += (whole - core) * light
            spongy[rows, cols] += core * light * weave[rows, cols]
        return dense, spongy

    def _along(self, bone: Bone, rows: slice, cols: slice) -> Field:
        """Place along a bone's axis, 0 at its proximal end and 1 at its distal end."""
        assert bone.axis is not None
        start, end = self.to_mm(bone.axis)
        d = end - start
        d = d / (d @ d)
        x = (self._x[cols] - start[0]) * d[0]
        y = (self._y[rows] - start[1]) * d[1]
        return (x[None, :] + y[:, None]).astype(np.float32)

    def _bitten(self, bite: Bite, depth: Field, rows: slice, cols: slice) -> Field:
        """Share of the bone that an erosion leaves; marks it in the truth."""
        cx, cy = self.to_mm(bite.centre[None])[0]
        x, y = self._x[cols][None, :] - cx, self._y[rows][:, None] - cy
        # a lobed edge: no erosion is a perfect circle
        angle = np.arctan2(y, x)
        phase = float(cx * 7.3 + cy * 3.1)
        rim = bite.radius * (1 + 0.13 * np.sin(3 * angle + phase) + 0.07 * np.sin(5 * angle - phase))  # fmt: skip
        inside = 1 / (1 + np.exp(-(rim - np.hypot(x, y)) / 0.22))
        if bite.label:
            self.eroded[rows, cols][(inside > 0.5) & (depth > 0)] = bite.label
        return (1 - bite.depth * inside).astype(np.float32)

    def _trabeculae(self, rng: np.random.Generator) -> Field:
        """The weave of spongy bone: mean 1, (H, W) float32."""
        noise = rng.standard_normal(self._shape, dtype=np.float32)
        fine, coarse = 0.22 * self._ppmm, 1.1 * self._ppmm
        weave = ndimage.gaussian_filter(noise, fine, truncate=2.5)
        weave -= ndimage.gaussian_filter(noise, coarse, truncate=2.5)
        spread = float(weave[::7, ::7].std())
        return np.clip(1 + 0.2 * weave / max(spread, 1e-6), 0.2, 1.8).astype(np.float32)

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
        if bone is None or self.skeleton.limb is not Limb.HAND:
            return shadow
        u = self._along(bone, slice(None), slice(None))
        depth_window = self._window(self._outlines[bone.name], 8.0)
        if depth_window is None:
            return shadow
        _, rows, cols = depth_window
        assert bone.axis is not None
        start, end = self.to_mm(bone.axis)
        d = (end - start) / np.linalg.norm(end - start)
        v = (self._x[cols][None, :] - start[0]) * -d[1] + (self._y[rows][:, None] - start[1]) * d[0]
        band = (np.abs(u[rows, cols] - 0.42) < 0.05) & (np.abs(v) < 10.0)
        shadow[rows, cols][band] = 25.0
        return shadow


def _chord(depth: Field, radius: Field | np.float32) -> Field:
    """Path length at a distance ``depth`` inside the edge of a round body, mm."""
    d = np.clip(depth, 0, radius)
    return np.asarray(2 * np.sqrt(d * (2 * radius - d)), dtype=np.float32)


def _expose(
    attenuation: Field, placement: Placement, imaging: Imaging, rng: np.random.Generator
) -> Field:
    """Grey values, (H, W) float32; bright is dense."""
    ppmm = placement.pixels_per_mm
    beam = np.exp(-ndimage.gaussian_filter(attenuation, imaging.blur_mm * ppmm, truncate=3.0))
    # scatter is smooth: compute it on a coarse copy
    k = max(1, round(3 * ppmm))
    coarse = ndimage.gaussian_filter(beam[::k, ::k], 15.0 * ppmm / k, mode="nearest")
    haze = ndimage.zoom(coarse, (beam.shape[0] / coarse.shape[0], beam.shape[1] / coarse.shape[1]), order=1)  # fmt: skip
    signal = beam + imaging.scatter * haze
    heel = 1 + imaging.heel * np.linspace(-0.5, 0.5, beam.shape[0], dtype=np.float32)
    signal = signal / (1 + imaging.scatter) * heel[:, None]
    grain = rng.standard_normal(beam.shape, dtype=np.float32)
    signal = signal + imaging.noise * np.sqrt(np.maximum(signal, 1e-3)) * grain
    shown = -np.log(np.maximum(signal, 1e-3))
    if imaging.sharpen > 0.05:
        shown = shown + imaging.sharpen * (shown - ndimage.gaussian_filter(shown, 0.9 * ppmm, truncate=2.5))  # fmt: skip
    low, high = np.percentile(shown[::5, ::5], [1.0, 99.5])
    scaled = np.clip((shown - low) / max(high - low, 1e-6), 0, 1.3)
    return np.asarray(imaging.black + (imaging.white - imaging.black) * scaled**imaging.gamma, np.float32)  # fmt: skip


def _collimate(pixels: Field, imaging: Imaging) -> Field:
    """Cut the film's borders, possibly a little tilted."""
    if not any(imaging.collimation):
        return pixels
    h, w = pixels.shape
    x = np.linspace(0, 1, w, dtype=np.float32)[None, :]
    y = np.linspace(0, 1, h, dtype=np.float32)[:, None]
    x, y = x + imaging.collimation_tilt * (y - 0.5), y - imaging.collimation_tilt * (x - 0.5)
    left, top, right, bottom = imaging.collimation
    out = np.zeros(pixels.shape, bool)
    for edge, beyond in ((left, x < left), (top, y < top), (right, x > 1 - right), (bottom, y > 1 - bottom)):  # fmt: skip
        if edge > 0:
            out |= beyond
    return np.where(out, np.float32(imaging.collimation_value), pixels)


def _mark(pixels: Field, placement: Placement, limb: Limb, rng: np.random.Generator) -> Field:
    """A lead letter in a corner that the limb does not fill."""
    h, w = pixels.shape
    size = max(8, round(9 * placement.pixels_per_mm * rng.uniform(0.8, 1.6)))
    tag = Image.new("L", (2 * size, round(1.6 * size)), 0)
    draw = ImageDraw.Draw(tag)
    if rng.random() < 0.4:
        draw.rectangle([0, 0, 2 * size - 1, round(1.6 * size) - 1], fill=90)
    text = str(placement.side) if rng.random() < 0.7 else f"{placement.side} {rng.integers(1, 99)}"
    draw.text((0.3 * size, 0.1 * size), text, fill=255, font=ImageFont.load_default(size))
    tag = tag.rotate(float(rng.normal(0, 12)), expand=True)
    stamp = np.asarray(tag, dtype=np.float32) / 255
    th, tw = stamp.shape
    if th >= h // 2 or tw >= w // 2:
        return pixels
    low = 0.02 if limb is Limb.FOOT else 0.35
    y = int(rng.uniform(low, 0.8) * (h - th))
    x = int((rng.uniform(0.0, 0.06) if rng.random() < 0.5 else rng.uniform(0.94, 1.0)) * (w - tw))
    out = pixels.copy()
    patch = out[y : y + th, x : x + tw]
    out[y : y + th, x : x + tw] = np.maximum(patch, stamp * rng.uniform(0.75, 1.0))
    return out
