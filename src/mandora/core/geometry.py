"""Points, boxes and affine maps between named frames.

All coordinates are ``(x, y)``, x to the right, y down. The centre of the top left pixel is
``(0, 0)``, so an image of width w covers ``-0.5 … w - 0.5``. A frame is a name such as
``"film"``, ``"network"`` or ``"patch"``; maps that do not fit together raise an error
instead of giving wrong coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mandora.core.errors import InputError

Points = NDArray[np.float64]
"""(N, 2) float64, (x, y), px of some frame; NaN where unknown."""


def as_points(xy: ArrayLike) -> Points:
    """Turn anything of shape (N, 2) or (2,) into (N, 2) float64.

    Raises:
        ValueError: for another shape.
    """
    landmarks = np.atleast_2d(np.asarray(xy, dtype=np.float64))
    if landmarks.ndim != 2 or landmarks.shape[1] != 2:
        raise ValueError(f"landmarks must have shape (N, 2) in (x, y) order, got {landmarks.shape}")
    return landmarks


@dataclass(frozen=True)
class Box:
    """A rectangle in px of one frame, which may be turned; may reach beyond the image.

    Attributes:
        x0: left edge, before the turn.
        y0: top edge, likewise.
        x1: right edge.
        y1: bottom edge.
        frame: name of the frame.
        turn_deg: by how much it is turned about its centre, degrees, clockwise on the image (from
            x towards y).
    """

    x0: float
    y0: float
    x1: float
    y1: float
    frame: str = "film"
    turn_deg: float = 0.0

    def __post_init__(self) -> None:
        if not (self.x0 < self.x1 and self.y0 < self.y1):
            raise ValueError(
                f"a box needs x0 < x1 and y0 < y1, got {(self.x0, self.y0, self.x1, self.y1)}"
            )
        if not np.isfinite(self.turn_deg):
            raise ValueError(f"a box is turned by a number of degrees, got {self.turn_deg}")

    @staticmethod
    def around(
        centre_xy: ArrayLike, half: float, frame: str = "film", turn_deg: float = 0.0
    ) -> Box:
        """The square with that centre and half side, px, turned about its centre."""
        x, y = as_points(centre_xy)[0]
        return Box(x - half, y - half, x + half, y + half, frame, turn_deg)

    @property
    def width(self) -> float:
        """Width in px."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """Height in px."""
        return self.y1 - self.y0

    @property
    def centre(self) -> tuple[float, float]:
        """Centre (x, y)."""
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    @property
    def corners(self) -> Points:
        """(4, 2) px: top left, top right, bottom right and bottom left before the turn."""
        to_box = box_to_grid(self, (1, 1), "box")
        return to_box.inverse([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])

    @property
    def bounds(self) -> Box:
        """The smallest box around it that is not turned."""
        if not self.turn_deg:
            return self
        (x0, y0), (x1, y1) = self.corners.min(axis=0), self.corners.max(axis=0)
        return Box(float(x0), float(y0), float(x1), float(y1), self.frame)

    def holds(self, xy: ArrayLike) -> NDArray[np.bool_]:
        """(N,) which of (N, 2) points lie in it or on its edge; NaN do not."""
        within = np.abs(box_to_grid(self, (1, 1), "box")(xy)) <= 0.5
        return np.asarray(within.all(axis=1))


@dataclass(frozen=True, eq=False)
class Affine:
    """A map from px of one frame to px of another: ``target = matrix @ (x, y, 1)``.

    Attributes:
        matrix: (2, 3) float64.
        source: name of the frame that points come from.
        target: name of the frame that points go to.
    """

    matrix: NDArray[np.float64]
    source: str
    target: str

    def __post_init__(self) -> None:
        matrix = np.asarray(self.matrix, dtype=np.float64)
        if matrix.shape != (2, 3) or not np.isfinite(matrix).all():
            raise ValueError(f"an affine map needs a finite (2, 3) matrix, got {matrix!r}")
        matrix.setflags(write=False)
        object.__setattr__(self, "matrix", matrix)

    def __call__(self, xy: ArrayLike) -> Points:
        """Map (N, 2) landmarks; NaN stays NaN."""
        return as_points(xy) @ self.matrix[:, :2].T + self.matrix[:, 2]

    def __matmul__(self, first: Affine) -> Affine:
        """``(b @ a)(p) == b(a(p))``.

        Raises:
            ValueError: if ``first`` does not end in the frame where this map starts.
        """
        if first.target != self.source:
            raise ValueError(
                f"cannot chain {first.source}→{first.target} with {self.source}→{self.target}"
            )
        return Affine(_square(self.matrix)[:2] @ _square(first.matrix), first.source, self.target)

    @property
    def inverse(self) -> Affine:
        """The map back.

        Raises:
            ValueError: if the map is not invertible.
        """
        try:
            inverse = np.linalg.inv(_square(self.matrix))[:2]
        except np.linalg.LinAlgError:
            raise ValueError(f"the map {self.source}→{self.target} has no inverse") from None
        return Affine(np.asarray(inverse, np.float64), self.target, self.source)

    @property
    def scale(self) -> float:
        """Length in the target frame of one px of the source frame (geometric mean)."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix[:, :2]))))


def _square(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.vstack([matrix, [0.0, 0.0, 1.0]])


def box_to_grid(box: Box, size_wh: tuple[int, int], target: str) -> Affine:
    """The map that stretches a box over a grid of ``size_wh`` pixels, edge to edge."""
    width, height = size_wh
    sx, sy = width / box.width, height / box.height
    # box edges map to the grid's outer edges, which lie half a pixel outside the centres
    straight = np.array([[sx, 0.0, -box.x0 * sx - 0.5], [0.0, sy, -box.y0 * sy - 0.5]])
    if box.turn_deg:
        cos, sin = np.cos(np.radians(box.turn_deg)), np.sin(np.radians(box.turn_deg))
        back, centre = np.array([[cos, sin], [-sin, cos]]), np.array(box.centre)
        straight = straight @ _square(np.column_stack([back, centre - back @ centre]))
    return Affine(straight, box.frame, target)


def mirror_x(width: float, frame: str) -> Affine:
    """The left-right flip of an image that is ``width`` px wide."""
    return Affine(np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0]]), frame, frame)


def limb_size(landmarks_xy: ArrayLike, template_xy: ArrayLike) -> float:
    """Size of a limb: how many times larger than its template it is, px.

    It is the median, over pairs of landmarks, of their distance divided by their distance in the
    template. Patches, errors and inflicted damage are measured in it. Rotation and mirroring do
    not change it. A wrong landmark affects its own pairs only: 2 of 21 of the pairs of a hand, 1 in
    3 of those of a foot.

    Args:
        landmarks_xy: (N, 2) px of any frame; NaN where unknown, two must be known.
        template_xy: (N, 2) the limb's template, in which the distance of its
            ``anatomy.LIMB_SIZE_ENDS`` is 1.

    Returns:
        px of that frame.

    Raises:
        ValueError: if fewer than two different landmarks are known.
    """
    landmarks, template = as_points(landmarks_xy), as_points(template_xy)
    known = np.asarray(np.isfinite(landmarks).all(axis=1))
    first, second = np.triu_indices(int(known.sum()), 1)

    def distances(xy: Points) -> NDArray[np.float64]:
        return np.asarray(np.linalg.norm(xy[known][first] - xy[known][second], axis=1))

    expected = distances(template)
    ratios = distances(landmarks)[expected > 0] / expected[expected > 0]
    size = float(np.median(ratios)) if len(ratios) else 0.0
    if not size > 0:
        raise InputError(_too_few(known, "the size of the limb"))
    return size


def limb_slant(landmarks_xy: ArrayLike, template_xy: ArrayLike, *, mirrored: bool = False) -> float:
    """By how much a limb is turned against its template, degrees, clockwise on the image.

    For each pair of landmarks it is the angle between their direction and their direction in the
    template; then the median over pairs, weighted by their distance in the template, since a long
    pair feels an error of place less. Patches are cut along it. One crooked finger, or one wrong
    landmark, affects its own pairs only.

    Args:
        landmarks_xy: (N, 2) px of any frame; NaN where unknown, two must be known.
        template_xy: (N, 2) template of a left limb that is seen upright.
        mirrored: the limb looks like a right one in this frame.

    Returns:
        -180 to 180; 0 for a limb that is upright, as its template.

    Raises:
        ValueError: if fewer than two different landmarks are known.
    """
    landmarks = as_points(landmarks_xy)
    template = as_points(template_xy) * [-1.0 if mirrored else 1.0, 1.0]
    known = np.asarray(np.isfinite(landmarks).all(axis=1))
    first, second = np.triu_indices(int(known.sum()), 1)

    def directions(xy: Points) -> NDArray[np.complex128]:
        across = xy[known][second] - xy[known][first]
        return np.asarray(across[:, 0] + 1j * across[:, 1])

    expected, seen = directions(template), directions(landmarks)
    weights = np.abs(expected) * (np.abs(seen) > 0)
    turns = seen * expected.conj()
    if not (weights > 0).any():
        raise InputError(_too_few(known, "how the limb slants"))
    # angles have no order: they are counted from the mean direction
    units = turns / np.maximum(np.abs(turns), np.finfo(float).tiny)
    mean = float(np.angle(np.sum(weights * units)))
    angles = np.angle(units * np.exp(-1j * mean))
    order = np.argsort(angles)
    half = np.searchsorted(np.cumsum(weights[order]), weights.sum() / 2)
    return float(np.degrees(np.angle(np.exp(1j * (mean + angles[order[half]])))))


def _too_few(known: NDArray[np.bool_], what: str) -> str:
    return (
        f"{int(known.sum())} of {len(known)} landmarks are known, at least 2 at "
        f"different places are needed to know {what}"
    )


def fit_similarity(
    source_xy: ArrayLike, target_xy: ArrayLike, weights: ArrayLike | None = None
) -> NDArray[np.float64]:
    """The rotation, scale and shift (no mirror) that best lays source on target.

    Weighted least squares in closed form: Umeyama, IEEE TPAMI 1991;13:376.

    Args:
        source_xy: (N, 2), finite.
        target_xy: (N, 2), finite.
        weights: (N,) not negative; equal if absent.

    Returns:
        (2, 3) float64 matrix.

    Raises:
        ValueError: with fewer than two distinct points.
    """
    a, b = as_points(source_xy), as_points(target_xy)
    w = np.ones(len(a)) if weights is None else np.asarray(weights, dtype=np.float64)
    w = w / w.sum() if w.sum() > 0 else w
    mean_a, mean_b = w @ a, w @ b
    ca, cb = a - mean_a, b - mean_b
    spread = float(w @ (ca**2).sum(axis=1))
    if len(a) < 2 or not spread > 0:
        raise InputError("a similarity needs at least two distinct landmarks with weight")
    # in the plane the rotation has a closed form: the complex quotient <cb, ca> / <ca, ca>
    cos = float(w @ (ca * cb).sum(axis=1)) / spread
    sin = float(w @ (ca[:, 0] * cb[:, 1] - ca[:, 1] * cb[:, 0])) / spread
    linear = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([linear, mean_b - linear @ mean_a])
