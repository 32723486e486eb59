"""Films that are copies of one another, though no byte of their files is the same.

A film is reduced to a *pattern*: 128 × 128 grey values after local normalisation, which takes
brightness and contrast out; the sign of a pattern does not count, so that an inverted copy is
found. Patterns are compared in two steps:

1. Coarse ones, of 32 × 32, by their correlation in the eight turns and mirror images of a square.
   The few films that are most like each film go on.
2. Their patterns are laid on one another (shift and scale in x and y, by least squares; Baker &
   Matthews, IJCV 2004;56:221), which undoes a crop. Then r is taken square by square, where a film
   shows anything: films of other people agree in many squares, as they have the same bones, copies
   in nearly all. The distance is 1 minus the r that three tenths of the squares do not reach.

``benchmarks/near_duplicates.py`` measures the distances of real films and of copies of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

PATTERN_PX = 128
NEAR = 0.24
"""Films that are nearer than this are copies. The distance is 1 - r: 0 for a copy, about 1 for
films that have nothing in common."""

Pattern = NDArray[np.int8]
"""(128, 128) int8, local contrast of a film that was squeezed into a square, 32 for 1 s.d."""

_Floats = NDArray[np.float32]

_LEVELS = 32.0
_LOCAL_PX = 12.0  # s.d. of the neighbourhood that a pattern is normalised by
_COARSE_PX = 32
_CANDIDATES = 6  # films that are compared in full with each film
_LEAST_LIKE = 0.45  # coarse correlation of films that are compared in full
_ROWS = 512
_TURNS = tuple((quarter, mirrored) for quarter in range(4) for mirrored in (False, True))
# s.d. of the blur, px, and steps of the fit
_ROUNDS = ((4, 6), (2, 6), (1, 5))
_LEAST_FITTED = 0.7  # correlation at half resolution, below which no finer one is tried
_MOST_SCALE, _MOST_SHIFT = 0.3, 0.2
_FINE_PX = 3.0  # structures larger than this s.d. are left out of the last comparison
_MOST_CONTRAST = 1.5  # s.d.; frames and letters count no more than bones
_SQUARE_PX = 4
_LEAST_CONTRAST = 0.5  # variance of a square that shows anything, as a share of the mean
_FEWEST_SQUARES = 20
_WORST = 0.3  # share of the squares in which copies may disagree


class Pair(NamedTuple):
    """Two films that are copies.

    Attributes:
        first: index of a film.
        second: index of another one, higher than the first.
        distance: 0 for a copy without loss, below :data:`NEAR`.
        mirrored: whether one is the mirror image of the other.
    """

    first: int
    second: int
    distance: float
    mirrored: bool


def pattern_of(pixels: NDArray[np.float32]) -> Pattern:
    """Reduce a film to what is compared.

    Args:
        pixels: (H, W) float32, 0..1.
    """
    image = Image.fromarray(np.ascontiguousarray(pixels, np.float32))
    square = image.resize((PATTERN_PX, PATTERN_PX), Image.Resampling.BILINEAR)
    grey = np.asarray(square, np.float32)
    grey = grey - ndimage.gaussian_filter(grey, _LOCAL_PX, mode="nearest")
    spread = np.sqrt(ndimage.gaussian_filter(grey * grey, _LOCAL_PX, mode="nearest"))
    # the constant keeps the noise of an empty background small
    local = grey / (spread + 0.3 * grey.std() + 1e-6)
    return np.asarray(np.clip(np.rint(_LEVELS * local), -127, 127), np.int8)


def near_duplicates(patterns: Sequence[Pattern]) -> Iterator[Pair]:
    """Pairs of films that are copies, in the order of the films.

    Args:
        patterns: of the films.
    """
    for first, second, turn in candidates(patterns):
        between = distance(patterns[first], patterns[second], turn)
        if between < NEAR:
            # a copy may look the same mirrored, as a film of nothing does: what is nearest counts
            yield Pair(first, second, between, _TURNS[turn][1])


def distance(one: Pattern, other: Pattern, turn: int | None = None) -> float:
    """How far two films are from being copies: 0 to 1, hardly more.

    Args:
        one: a film's pattern.
        other: another film's.
        turn: index of the turn that lays ``one`` on ``other``; the best one if absent.
    """
    if turn is None:
        likeness = [abs(_coarse(_turned(one, t)) @ _coarse(other)) for t in range(len(_TURNS))]
        turn = int(np.argmax(likeness))
    a = _turned(one, turn).astype(np.float32) / _LEVELS
    b = other.astype(np.float32) / _LEVELS
    place = _laid(b, a)
    return 1.0 if place is None else 1.0 - _likeness(_fine(b), _fine(a), place)


def _turned(pattern: Pattern, turn: int) -> Pattern:
    quarters, mirrored = _TURNS[turn]
    turned = np.rot90(pattern, quarters)
    return turned[:, ::-1] if mirrored else turned


def _coarse(pattern: Pattern) -> _Floats:
    """(1024,) with mean 0 and length 1; 0 for a film without contrast."""
    step = PATTERN_PX // _COARSE_PX
    blurred = ndimage.gaussian_filter(pattern.astype(np.float32), step / 2)
    small = blurred.reshape(_COARSE_PX, step, _COARSE_PX, step).mean(axis=(1, 3)).ravel()
    small = small - small.mean()
    return np.asarray(small / max(float(np.linalg.norm(small)), 1e-6), np.float32)


def candidates(patterns: Sequence[Pattern]) -> list[tuple[int, int, int]]:
    """Pairs of films that are compared in full, and the index of the turn that aligns them."""
    count = len(patterns)
    if count < 2:
        return []
    upright = np.stack([_coarse(p) for p in patterns])
    turned = [np.stack([_coarse(_turned(p, t)) for p in patterns]) for t in range(len(_TURNS))]
    found: dict[tuple[int, int], int] = {}
    for start in range(0, count, _ROWS):
        rows = slice(start, min(start + _ROWS, count))
        like = np.abs(np.stack([upright[rows] @ t.T for t in turned]))
        turns, best = like.argmax(axis=0), like.max(axis=0)
        best[np.arange(best.shape[0]), np.arange(rows.start, rows.stop)] = 0
        kept = min(_CANDIDATES, count - 1)
        likely = np.argpartition(-best, kept - 1, axis=1)[:, :kept]
        for row, others in enumerate(likely):
            for other in others:
                if best[row, other] >= _LEAST_LIKE:
                    here, there = start + row, int(other)
                    turn = int(turns[row, other])  # lays the other one on this one
                    if there < here:
                        found.setdefault((there, here), turn)
                    else:
                        found.setdefault((here, there), _back(turn))
    return [(first, second, turn) for (first, second), turn in sorted(found.items())]


def _back(turn: int) -> int:
    """The turn that undoes a turn. Those with a mirror undo themselves."""
    quarters, mirrored = _TURNS[turn]
    return turn if mirrored else _TURNS.index(((4 - quarters) % 4, False))


def _laid(target: _Floats, source: _Floats) -> NDArray[np.float64] | None:
    """Scale x, scale y, shift x, shift y (shares of the side) that lay source on target.

    Returns:
        None if the films have too little in common to be laid on one another.
    """
    place = np.array([1.0, 1.0, 0.0, 0.0])
    for blur, steps in _ROUNDS:
        fixed, moving = (ndimage.gaussian_filter(x, blur)[::blur, ::blur] for x in (target, source))
        for _ in range(steps):
            step = _step(fixed, moving, place)
            place = place + step
            if np.abs(place[:2] - 1).max() > _MOST_SCALE or np.abs(place[2:]).max() > _MOST_SHIFT:
                return None
            if np.abs(step).max() * len(fixed) < 0.03:
                break
        if blur == 2 and _correlation(fixed, moving, place) < _LEAST_FITTED:
            return None
    return place


def _step(fixed: _Floats, moving: _Floats, place: NDArray[np.float64]) -> NDArray[np.float64]:
    """One step of Gauss and Newton."""
    size = len(fixed)
    at = (np.arange(size) - (size - 1) / 2) / size
    grey, inside = _sampled(moving, place)
    slopes_yx = [np.asarray(slope, np.float32) for slope in np.gradient(moving)]
    down, across = (_sampled(slope, place)[0] * size for slope in slopes_yx)
    slopes = (across * at[None, :], down * at[:, None], across, down)
    there = grey[inside].ravel() - grey[inside].mean()
    here = fixed[inside].ravel() - fixed[inside].mean()
    gain = float(there @ here) / (float(there @ there) + 1e-9)  # negative on an inverted copy
    matrix = np.stack([s[inside].ravel() for s in slopes], axis=1).astype(np.float64) * gain
    matrix -= matrix.mean(axis=0)
    normal = matrix.T @ matrix
    normal[np.diag_indices(4)] = normal.diagonal() * 1.001 + 1e-9
    return np.asarray(np.linalg.solve(normal, matrix.T @ (here - gain * there)))


def _sampled(
    image: _Floats, place: NDArray[np.float64]
) -> tuple[_Floats, tuple[NDArray[np.intp], ...]]:
    """An image moved to a place, and which of its pixels are known; linear between pixels."""
    size = len(image)
    middle = (size - 1) / 2
    at = np.arange(size) - middle
    x = place[0] * at + place[2] * size + middle
    y = place[1] * at + place[3] * size + middle
    inside = np.ix_((y >= 0) & (y <= size - 1), (x >= 0) & (x <= size - 1))
    left, top = (np.clip(v.astype(int), 0, size - 2) for v in (x, y))
    right_share, down_share = (x - left).astype(np.float32), (y - top).astype(np.float32)[:, None]
    rows = image[top] * (1 - down_share) + image[top + 1] * down_share
    return rows[:, left] * (1 - right_share) + rows[:, left + 1] * right_share, inside


def _fine(pattern: _Floats) -> _Floats:
    fine = ndimage.gaussian_filter(pattern - ndimage.gaussian_filter(pattern, _FINE_PX), 1.0)
    most = _MOST_CONTRAST * float(fine.std())
    return np.asarray(np.clip(fine, -most, most), np.float32)


def _likeness(fixed: _Floats, moving: _Floats, place: NDArray[np.float64]) -> float:
    """The r that all but the worst squares reach; 0 if there is too little to compare."""
    grey, inside = _sampled(moving, place)
    known = np.zeros_like(fixed)
    known[inside] = 1
    count = _per_square(known)
    enough = count > _SQUARE_PX**2 / 2
    count = np.maximum(count, 1)
    here, there = (_per_square(x * known) / count for x in (fixed, grey))
    spread_here = _per_square(fixed**2 * known) / count - here**2
    spread_there = _per_square(grey**2 * known) / count - there**2
    common = _per_square(fixed * grey * known) / count - here * there
    contrast = np.zeros_like(here)
    for spread in (spread_here, spread_there):
        contrast = np.maximum(contrast, spread / max(float(spread[enough].mean()), 1e-9))
    shown = enough & (contrast > _LEAST_CONTRAST)
    if shown.sum() < _FEWEST_SQUARES:
        return 0.0
    r = common / np.sqrt(np.maximum(spread_here * spread_there, 1e-12))
    sign = 1.0 if common[enough].sum() >= 0 else -1.0  # -1 for an inverted copy
    return float(np.clip(np.quantile(sign * r[shown], _WORST), 0, 1))


def _per_square(image: _Floats) -> _Floats:
    """Sums over squares."""
    squares = PATTERN_PX // _SQUARE_PX
    parts = image.reshape(squares, _SQUARE_PX, squares, _SQUARE_PX)
    return np.asarray(parts.sum(axis=(1, 3)))


def _correlation(fixed: _Floats, moving: _Floats, place: NDArray[np.float64]) -> float:
    """Absolute Pearson's r where both are known; 0 without contrast."""
    grey, inside = _sampled(moving, place)
    there = (grey[inside] - grey[inside].mean()).ravel()
    here = (fixed[inside] - fixed[inside].mean()).ravel()
    lengths = float(np.linalg.norm(there)) * float(np.linalg.norm(here))
    return min(1.0, abs(float(there @ here)) / lengths) if lengths > 1e-6 else 0.0
