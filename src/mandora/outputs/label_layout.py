"""Where labels go on a picture: beside their joint, or in a margin with a leader line.

Everything is in px of the output picture; nothing is drawn here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Size = tuple[float, float]
"""(width, height), px."""


@dataclass(frozen=True)
class Rect:
    """A rectangle in px of the output picture."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def area(self) -> float:
        """Area in px²."""
        return (self.x1 - self.x0) * (self.y1 - self.y0)

    @property
    def centre(self) -> tuple[float, float]:
        """Centre (x, y)."""
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    def overlap(self, other: Rect) -> float:
        """Area that both cover, px²."""
        if self.x1 <= other.x0 or other.x1 <= self.x0 or self.y1 <= other.y0 or other.y1 <= self.y0:
            return 0.0
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        return width * (min(self.y1, other.y1) - max(self.y0, other.y0))

    def core(self, share: float) -> Rect:
        """The middle of the rectangle, ``share`` of its width and height."""
        (x, y), w, h = self.centre, self.x1 - self.x0, self.y1 - self.y0
        return Rect(x - w * share / 2, y - h * share / 2, x + w * share / 2, y + h * share / 2)


# costs of a label that wholly overlaps a label, a joint space, a box, lies outside, is far
_ON_LABEL, _ON_SPACE, _ON_BOX, _OUTSIDE, _FAR = 12.0, 10.0, 2.0, 40.0, 0.25
_BY_OTHER_BOX = 0.8  # a label that touches a second box could be taken for its label
_NEAR_PX = 6.0
_NEARBY = np.array([-_NEAR_PX, -_NEAR_PX, _NEAR_PX, _NEAR_PX])  # grows a rectangle
_JOINT_SPACE = 0.5  # the joint space lies in the middle half of its box


def place_beside(boxes: Sequence[Rect], sizes: Sequence[Size], bounds: Rect) -> list[Rect]:
    """Find a position near its box for each label.

    Labels avoid the picture's edge, each other, the middle of every box (the joint space) and,
    less strictly, the boxes. Labels of crowded boxes are placed first. The result depends on
    the arguments only.

    Args:
        boxes: the boxes on the picture; the first ``len(sizes)`` of them get a label, the
            others are only avoided.
        sizes: the labels' sizes.
        bounds: where labels may lie.

    Returns:
        One rectangle per label, in the order of ``sizes``.
    """
    taken, spaces = _table(boxes), _table([box.core(_JOINT_SPACE) for box in boxes])
    placed: dict[int, Rect] = {}
    for i in sorted(range(len(sizes)), key=lambda i: -_crowding(boxes, i)):
        penalties, options = _options(boxes[i], sizes[i])
        shares = (
            _ON_LABEL * _overlaps(options, _table(placed.values())).sum(axis=1)
            + _ON_SPACE * _overlaps(options, spaces).sum(axis=1)
            + _ON_BOX * _overlaps(options, taken).sum(axis=1)
            - _OUTSIDE * _overlaps(options, _table([bounds]))[:, 0]
        ) / max(sizes[i][0] * sizes[i][1], 1e-9)
        near = _overlaps(options + _NEARBY, taken) > 0
        near[:, i] = False
        costs = shares + _FAR * penalties + _BY_OTHER_BOX * near.sum(axis=1)
        placed[i] = Rect(*options[int(costs.argmin())].tolist())
    return [placed[i] for i in range(len(sizes))]


def stack_in_margin(
    wanted_y: Sequence[float], height: float, top: float, bottom: float
) -> list[float]:
    """Spread labels along a margin, in their order, as near to where they belong as possible.

    Args:
        wanted_y: the y that each label should be centred on, ascending.
        height: height of one label with its gap.
        top: upper end of the margin.
        bottom: lower end; labels pass it only if the margin is too short for all.

    Returns:
        The centres of the labels, ascending, at least ``height`` apart.
    """
    # labels that would touch are merged into blocks, centred on the mean of their wanted y
    blocks: list[list[float]] = []
    starts: list[float] = []
    for y in wanted_y:
        blocks.append([y])
        starts.append(_block_start(blocks[-1], height, top, bottom))
        while len(blocks) > 1 and starts[-2] + len(blocks[-2]) * height > starts[-1]:
            merged = blocks[-2] + blocks[-1]
            blocks[-2:] = [merged]
            starts[-2:] = [_block_start(merged, height, top, bottom)]
    return [
        start + (i + 0.5) * height
        for start, block in zip(starts, blocks, strict=True)
        for i in range(len(block))
    ]


def _block_start(wanted: Sequence[float], height: float, top: float, bottom: float) -> float:
    length = len(wanted) * height
    return max(top, min(sum(wanted) / len(wanted) - length / 2, bottom - length))


def _crowding(boxes: Sequence[Rect], i: int) -> float:
    x, y = boxes[i].centre
    reach = (boxes[i].x1 - boxes[i].x0) * 2
    around = Rect(x - reach, y - reach, x + reach, y + reach)
    return sum(around.overlap(b) / max(b.area, 1e-9) for j, b in enumerate(boxes) if j != i)


def _options(box: Rect, size: Size) -> tuple[Floats, Floats]:
    """Positions around the box: (N,) penalties, the best has 0, and (N, 4) rectangles."""
    width, height = size
    (cx, cy), places, penalties = box.centre, [], []
    for step, gap in enumerate((3.0, 0.6 * height, 1.5 * height)):
        left, right = box.x0 - gap - width, box.x1 + gap
        over, under = box.y0 - gap - height, box.y1 + gap
        middle_x, middle_y = cx - width / 2, cy - height / 2
        corners = [
            (right, middle_y), (left, middle_y), (middle_x, over), (middle_x, under),
            (right, box.y0), (left, box.y0), (right, box.y1 - height), (left, box.y1 - height),
            (box.x0, over), (box.x1 - width, over), (box.x0, under), (box.x1 - width, under),
            (right, over), (left, over), (right, under), (left, under),
        ]  # fmt: skip
        places += corners
        # the last four touch the box at a corner only, and could belong to another box
        penalties += [2 * step + 0.1 * rank + 3 * (rank >= 12) for rank in range(len(corners))]
    corner = np.array(places)
    return np.array(penalties), np.hstack([corner, corner + np.array(size)])


def _table(rects: Iterable[Rect]) -> Floats:
    """(N, 4): x0, y0, x1, y1."""
    return np.array([(r.x0, r.y0, r.x1, r.y1) for r in rects], np.float64).reshape(-1, 4)


def _overlaps(some: Floats, others: Floats) -> Floats:
    """(N, M) areas that each of (N, 4) and each of (M, 4) rectangles cover both, px²."""
    low = np.maximum(some[:, None, :2], others[None, :, :2])
    high = np.minimum(some[:, None, 2:], others[None, :, 2:])
    sides = np.maximum(high - low, 0.0)
    return np.asarray(sides[..., 0] * sides[..., 1], np.float64)
