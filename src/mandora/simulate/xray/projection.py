"""Path lengths of the beam through a limb on its film.

The beam passes a shell of compact bone, spongy bone and soft tissue. For tubular bones see
:mod:`mandora.simulate.xray.tubular`; the path length of a short bone follows from the distance to
its edge as if its cross-section were round.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.special import expit

from mandora.core.anatomy import Limb, Side
from mandora.simulate.anatomy.shapes import Array, turn
from mandora.simulate.anatomy.skeleton import Bone, Calcification, PlacedErosion, Skeleton, Spot
from mandora.simulate.fields import Field
from mandora.simulate.xray.distances import Grid, resample, signed_distance
from mandora.simulate.xray.erosions import bone_left, eroded
from mandora.simulate.xray.placement import Placement
from mandora.simulate.xray.tubular import cast_shadow, growth_plate, place_shadow

STEP_MM = 0.5  # distances are smooth: they are computed on a grid no finer, and interpolated
SOFT_TISSUE_STEP_MM = 1.5
FUSED_MM = 0.6  # overlap of fused short bones
BLOTCH_MM = 2.0  # extent of coarse differences in the density of spongy bone
VEIL_MM = 0.8  # how much further than their middle the front and back of short bones reach
STEPS_MM = 0.2, 0.55  # finest and coarsest samples of tubular bones

Projection = tuple[Field, Field, slice, slice]
"""Path through compact and spongy bone over a window of the film, mm; its rows and columns."""


class Projector:
    """Projects a skeleton onto its film, as a left limb.

    Attributes:
        skeleton: of the limb.
        placement: its position on the film.
        eroded: (H, W) uint8, eroded bone, 1 + index of the landmark; filled by ``project_bones``.
    """

    def __init__(self, skeleton: Skeleton, placement: Placement) -> None:
        self.skeleton, self.placement = skeleton, placement
        self._turn = turn(placement.angle)
        self._ppmm = placement.pixels_per_mm
        size_mm = np.array([placement.width, placement.height]) / self._ppmm
        centre_x = placement.centre[0]
        if placement.side is Side.RIGHT:
            centre_x = 1 - centre_x
        middle = skeleton.landmarks.mean(axis=0)
        self._shift = size_mm * [centre_x, placement.centre[1]] - self._turn @ middle
        self._x: Array = (np.arange(placement.width, dtype=np.float64) + 0.5) / self._ppmm
        self._y: Array = (np.arange(placement.height, dtype=np.float64) + 0.5) / self._ppmm
        self._step = max(STEP_MM, 1.2 / self._ppmm)
        self._shape = (placement.height, placement.width)
        self._outlines = {b.name: self.to_mm(b.outline) for b in skeleton.bones}
        self.eroded = np.zeros(self._shape, dtype=np.uint8)

    def to_mm(self, xy: Array) -> Array:
        """(N, 2) mm of the limb → (N, 2) mm of the film."""
        return np.asarray(xy @ self._turn.T + self._shift)

    def to_px(self, xy: Array) -> Array:
        """(N, 2) mm of the limb → (N, 2) px of the film, the centre of the first at (0, 0)."""
        return self.to_mm(xy) * self._ppmm - 0.5

    def _window(self, outline: Array, margin: float) -> tuple[Grid, slice, slice] | None:
        """A grid over a bone, and the film's rows and columns there; None if it lies outside."""
        (x0, y0), (x1, y1) = outline.min(axis=0) - margin, outline.max(axis=0) + margin
        cols = slice(*np.searchsorted(self._x, [x0, x1]).tolist())
        rows = slice(*np.searchsorted(self._y, [y0, y1]).tolist())
        if cols.stop - cols.start < 2 or rows.stop - rows.start < 2:
            return None
        corners = np.array(
            [[self._x[cols.start], self._y[rows.start]],
             [self._x[cols.stop - 1], self._y[rows.stop - 1]]]
        )  # fmt: skip
        return Grid.around(corners, self._step, self._step), rows, cols

    def _distance(self, bone: Bone, grid: Grid) -> tuple[Field, Field | None]:
        """Signed distance of a bone cut back to its joint spaces, and distance to its bridges."""
        own = signed_distance(self._outlines[bone.name], grid)
        if not bone.yields:
            return own, None
        others = {b.name: b for b in self.skeleton.bones}
        field, bridge = own, None
        for gap in self.skeleton.gaps:
            if bone.name not in (gap.first, gap.second):
                continue
            other = others[gap.second if bone.name == gap.first else gap.first]
            far = signed_distance(self._outlines[other.name], grid)
            width = np.float32(-FUSED_MM if gap.fused else gap.width)
            field = np.maximum(field, (own - far + width) / 2 if other.yields else width - far)
            if gap.fused:
                away = np.abs(own - far) if other.yields else np.abs(far)
                bridge = away if bridge is None else np.minimum(bridge, away)
        return np.asarray(field, dtype=np.float32), bridge

    def project_bones(self, rng: np.random.Generator) -> tuple[Field, Field]:
        """Path through compact and spongy bone, (H, W) float32 each, mm."""
        dense, spongy = np.zeros(self._shape, np.float32), np.zeros(self._shape, np.float32)
        weave = self._trabeculae(rng)
        for bone in self.skeleton.bones:
            found = self._tubular(bone, rng) if bone.tube else self._short(bone, weave, rng)
            if found is None:
                continue
            compact, inner, rows, cols = found
            for erosion in self.skeleton.erosions:
                if erosion.bone == bone.name:
                    left = self._left_by(erosion, compact + inner > 0.3, rows, cols)
                    compact, inner = compact * left, inner * left
            for spot in self.skeleton.spots:
                if spot.bone == bone.name:
                    self._change(spot, (compact, inner), rows, cols)
            dense[rows, cols] += compact
            spongy[rows, cols] += inner
        for calcification in self.skeleton.calcifications:
            self._calcify(calcification, dense, rng)
        return dense, spongy

    def _tubular(self, bone: Bone, rng: np.random.Generator) -> Projection | None:
        """A tubular bone's shadow on the film."""
        if bone.tube is None or bone.axis is None:
            return None
        base, head = self.to_mm(bone.axis)
        length = float(np.linalg.norm(head - base))
        step = float(np.clip(0.9 / self._ppmm, *STEPS_MM))
        shadow = cast_shadow(bone.tube, length, bone.tube_state, step, rng)
        return place_shadow(shadow, base, (head - base) / length, self._ppmm, self._shape)

    def _short(self, bone: Bone, weave: Field, rng: np.random.Generator) -> Projection | None:
        """A short bone's shadow on the film."""
        slant = self._turn @ np.array(bone.slant or (0.0, 0.0))
        window = self._window(self._outlines[bone.name], 1.0 + float(np.abs(slant).max()))
        if window is None:
            return None
        grid, rows, cols = window
        distance, bridge = self._distance(bone, grid)
        depth = -resample(distance, grid, self._x[cols], self._y[rows])
        shell: Field | np.float32 = np.float32(bone.cortex[0])
        light: Field | float = 1.0
        if bridge is not None:  # bones that are fused have no compact bone between them
            away = resample(bridge, grid, self._x[cols], self._y[rows])
            shell = shell * np.clip(away / (3 * FUSED_MM), 0, 1)
        if bone.axis is not None:
            u, side = self._frame(bone.axis, rows, cols)
            # compact bone is thick in the shaft and thin towards the joints
            middle = np.clip(np.minimum(u, 1 - u) / 0.22, 0, 1) ** 1.3
            end = np.where(u < 0.5, bone.cortex[0], bone.cortex[2]).astype(np.float32)
            shell = (end + (bone.cortex[1] - end) * middle).astype(np.float32)
            if bone.plate is not None:
                length = float(np.linalg.norm(bone.axis[1] - bone.axis[0]))
                light = growth_plate(
                    (u - bone.plate) * length, side, 1.2 * bone.radius, bone.closing
                )
        whole, core = _shelled(depth, shell, bone.radius)
        if bone.veil:
            own = signed_distance(self._outlines[bone.name], grid)
            if bone.slant is not None:  # front and back part are cut back less
                own = np.maximum(own, distance - np.float32(VEIL_MM))
            layers = [
                _shelled(
                    -resample(own, grid, self._x[cols] - x, self._y[rows] - y), shell, bone.radius
                )
                for x, y in ((slant, -slant) if bone.slant is not None else (slant,))
            ]
            whole, core = (
                (1 - bone.veil) * middle + np.float32(bone.veil / len(layers)) * sum(over)
                for middle, over in zip((whole, core), zip(*layers, strict=True), strict=True)
            )
        light = light * (1 - bone.porosity)
        woven = weave[rows, cols]
        if bone.axis is not None:
            woven = woven * self._struts((rows.stop - rows.start, cols.stop - cols.start), rng)
        return (whole - core) * light, core * light * woven, rows, cols

    def _frame(self, axis: Array, rows: slice, cols: slice) -> tuple[Field, Field]:
        """Place along a bone's axis (0 proximal end, 1 distal end), and across it, mm."""
        start, end = self.to_mm(axis)
        length = float(np.linalg.norm(end - start))
        d = (end - start) / length
        x, y = self._x[cols][None, :] - start[0], self._y[rows][:, None] - start[1]
        along, across = (x * d[0] + y * d[1]) / length, y * d[0] - x * d[1]
        return along.astype(np.float32), across.astype(np.float32)

    def _left_by(
        self, erosion: PlacedErosion, bone: NDArray[np.bool_], rows: slice, cols: slice
    ) -> Field:
        """Share of the bone that an erosion leaves; adds it to ``eroded``."""
        px, py = self.to_mm(erosion.place[None])[0]
        x, y = self._x[cols][None, :] - px, self._y[rows][:, None] - py
        dx, dy = self._turn @ erosion.inward
        depth, along = (x * dx + y * dy).astype(np.float32), (x * dy - y * dx).astype(np.float32)
        inside = eroded(erosion, depth, along)
        if erosion.label:
            self.eroded[rows, cols][(inside > 0) & bone] = erosion.label
        return bone_left(erosion, inside)

    def _change(
        self, spot: Spot, parts: tuple[Field, Field], rows: slice, cols: slice
    ) -> None:  # fmt: skip
        """Make a bone denser or less dense at a spot; both fields change."""
        (cx, cy), reach = self.to_mm(spot.centre[None])[0], 1.4 * max(spot.half) + 1.0
        x, y = self._x[cols], self._y[rows]
        j0, j1 = np.searchsorted(x, [cx - reach, cx + reach])
        i0, i1 = np.searchsorted(y, [cy - reach, cy + reach])
        if i1 <= i0 or j1 <= j0:
            return
        away = np.stack(np.meshgrid(x[j0:j1] - cx, y[i0:i1] - cy), axis=-1)
        own = away @ self._turn @ turn(spot.angle)  # along the spot's two axes
        out = (np.hypot(own[..., 0] / spot.half[0], own[..., 1] / spot.half[1]) - 1) * min(
            spot.half
        )
        factor = (
            1 + spot.change * expit(-out / 0.2) + spot.rim * np.exp(-(((out - 0.3) / 0.3) ** 2))
        )
        for part in parts:
            part[i0:i1, j0:j1] *= factor.astype(np.float32)

    def _calcify(self, what: Calcification, dense: Field, rng: np.random.Generator) -> None:
        """Add the walls of a calcified artery to ``dense``."""
        course = self.to_mm(what.course)
        along = np.gradient(course, axis=0)
        side = along[:, ::-1] * [-1, 1] / np.hypot(*along.T)[:, None]
        image = Image.new("L", self._shape[::-1], 0)
        canvas, thick = ImageDraw.Draw(image), max(1, round(0.35 * self._ppmm))
        for wall in (-0.5, 0.5) if what.width else (0.0,):
            line = (course + wall * what.width * side) * self._ppmm - 0.5
            kept = np.repeat(rng.random(len(line) // 4 + 1) > what.broken, 4)
            for a, b, seen in zip(line, line[1:], kept[1:], strict=False):
                if seen:
                    canvas.line([tuple(a), tuple(b)], fill=255, width=thick)
        box = image.getbbox()
        if box is None:
            return
        x0, y0, x1, y1 = box
        dense[y0:y1, x0:x1] += np.asarray(image.crop(box), np.float32) * np.float32(
            what.thickness / 255
        )

    def _trabeculae(self, rng: np.random.Generator) -> Field:
        """(H, W) float32, texture of spongy bone, mean 1."""
        noise = rng.standard_normal(self._shape, dtype=np.float32)
        fine, coarse = 0.15 * self._ppmm, 0.8 * self._ppmm
        weave = ndimage.gaussian_filter(noise, fine, truncate=2.5)
        weave -= ndimage.gaussian_filter(noise, coarse, truncate=2.5)
        weave *= np.float32(0.09 / max(float(weave[::7, ::7].std()), 1e-6))
        # coarse differences in density as well
        size = np.array([self._x[-1], self._y[-1]])
        grid = Grid.around(np.array([[0.0, 0.0], size]), BLOTCH_MM, BLOTCH_MM)
        blotches = rng.standard_normal(grid.shape, dtype=np.float32)
        weave += np.float32(0.11) * resample(blotches, grid, self._x, self._y)
        return np.asarray(np.clip(1 + weave, 0.2, 1.8), dtype=np.float32)

    def _struts(self, shape: tuple[int, int], rng: np.random.Generator) -> Field:
        """``shape`` float32, texture along a limb that lies upright, as in the forearm; mean 1."""
        noise = rng.standard_normal(shape, dtype=np.float32)
        long, wide = 1.6 * self._ppmm, max(0.16 * self._ppmm, 0.4)
        struts = ndimage.gaussian_filter(noise, (long, wide), truncate=2.0)
        struts *= np.float32(0.07 / max(float(struts.std()), 1e-6))
        return np.asarray(np.maximum(1 + struts, 0.5), dtype=np.float32)

    def project_soft_tissue(self) -> Field:
        """Path through soft tissue, (H, W) float32, mm."""
        size = np.array([self._x[-1], self._y[-1]])
        grid = Grid.around(np.array([[0.0, 0.0], size]), SOFT_TISSUE_STEP_MM, SOFT_TISSUE_STEP_MM)
        best = np.full(grid.shape, 1e3, np.float32)
        px, py = grid.x[None, :], grid.y[:, None]
        for rod in self.skeleton.soft_tissue:
            a, b = self.to_mm(np.array([rod.start, rod.end]))
            d = b - a
            t = np.clip(((px - a[0]) * d[0] + (py - a[1]) * d[1]) / (d @ d), 0, 1)
            away = np.hypot(px - a[0] - t * d[0], py - a[1] - t * d[1])
            away = (away - (rod.radius[0] + t * (rod.radius[1] - rod.radius[0]))).astype(np.float32)
            # a smooth union, so that skin spans the angle between two rods
            h = np.clip(0.5 + 0.5 * (best - away) / 4.0, 0, 1)
            best = best * (1 - h) + away * h - 4.0 * h * (1 - h)
        # the distance to the skin: near it from the rods, deep inside from the whole body
        body = ndimage.binary_fill_holes(best < 0)
        to_skin = ndimage.distance_transform_edt(body).astype(np.float32) * SOFT_TISSUE_STEP_MM
        deep = np.clip((to_skin - 1.5) / 4.0, 0, 1)
        inner = np.maximum(ndimage.gaussian_filter(to_skin, 1.0), -best)
        outer = np.where(body & (best > 0), to_skin, -best)
        depth = resample((1 - deep) * outer + deep * inner, grid, self._x, self._y)
        thickest = 17.0 if self.skeleton.limb is Limb.HAND else 18.0
        return 0.85 * _chord(depth, np.float32(thickest))

    def spaces(self) -> NDArray[np.uint8]:
        """(H, W) uint8, joint spaces: 1 + index of the landmark, 0 elsewhere."""
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
        """(H, W) float32, a metal ring on a proximal phalanx, in mm of compact bone."""
        shadow = np.zeros(self._shape, np.float32)
        bone = next((b for b in self.skeleton.bones if b.name == f"pp{finger}"), None)
        if bone is None or bone.axis is None or self.skeleton.limb is not Limb.HAND:
            return shadow
        window = self._window(self._outlines[bone.name], 8.0)
        if window is None:
            return shadow
        _, rows, cols = window
        along, across = self._frame(bone.axis, rows, cols)
        band = np.abs(along - 0.42) < 0.05
        shadow[rows, cols][band & (np.abs(across) < 10.0)] = 25.0
        return shadow


def _shelled(depth: Field, shell: Field | np.float32, radius: float) -> tuple[Field, Field]:
    """Path through a short bone with its shell, and without it, mm."""
    whole = _chord(depth, np.float32(radius))
    core = _chord(depth - shell, np.maximum(radius - shell, 0.1).astype(np.float32))
    return whole, np.minimum(core, whole)


def _chord(depth: Field, radius: Field | np.float32) -> Field:
    """Path length at the distance ``depth`` inside the edge of a round body, mm."""
    d = np.clip(depth, 0, radius)
    return np.asarray(2 * np.sqrt(d * (2 * radius - d)), dtype=np.float32)
