"""A film in memory, from any file format, and the rules that it must obey."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import Limb, Side
from mandora.core.errors import InputError

Pixels = NDArray[np.float32]
"""(H, W) float32, 0..1, bright bone."""

MIN_SIDE_PX = 64
MIN_JOINT_PX = 16
"""Least side of a picture that shows one joint only."""
MAX_PIXELS = 100_000_000
FILM_EXTENT_MM = (60.0, 1000.0)
"""Longer side of a film of a hand or foot; a pixel spacing that gives less or more is wrong."""

AGAIN = "export the film again from the archive"
DAMAGED = f"the file is damaged or truncated and cannot be decoded; {AGAIN}"
SEVERAL_PICTURES = "the file contains more than one picture; save each film as a separate file"
_SHA256 = re.compile(r"[0-9a-f]{64}")


class FilmTags(NamedTuple):
    """What a file's tags say about which limb a film shows; None where they do not."""

    side: Side | None = None
    limb: Limb | None = None


class Picture(NamedTuple):
    """What a reader of one format gets from a file.

    Attributes:
        pixels: (H, W) float32, 0..1, bright bone.
        remarks: as in :class:`Radiograph`.
        tags: limb and side, as far as the file's tags say.
        spacing_mm: mm per px, or None.
        file_px: as in :class:`Radiograph`.
    """

    pixels: Pixels
    remarks: tuple[str, ...]
    tags: FilmTags = FilmTags()
    spacing_mm: float | None = None
    file_px: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True, eq=False)
class Radiograph:
    """A film as the stages see it; valid from birth and read-only.

    Attributes:
        pixels: (H, W) float32, 0..1, bright bone, C-contiguous. The array is taken over, not
            copied, and becomes read-only.
        name: file name without folder, as the user gave it.
        sha256: hash of the file's bytes, 64 lower-case hexadecimal digits.
        spacing_mm: mm per px in both directions, or None where the file does not state it or
            states what cannot be true.
        side: the patient's side, if the file's tags say so; never guessed from the name.
        limb: hand or foot, if the file's tags say so.
        remarks: what a reader of the results should know about how the film was read; holds
            nothing that identifies the patient.
        file_px: (x, y), width and height of a px of ``pixels`` in px of the file. Both are 1 but
            for a film that was resampled because its rows and columns are not equally far apart.

    Raises:
        ValueError: if a field breaks one of these rules.
    """

    pixels: Pixels
    name: str
    sha256: str
    spacing_mm: float | None = None
    side: Side | None = None
    limb: Limb | None = None
    remarks: tuple[str, ...] = ()
    file_px: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        if not self.name or PurePath(self.name).name != self.name:
            raise InputError(f"a film's name is a file name without folder, got {self.name!r}")
        if not _SHA256.fullmatch(self.sha256):
            raise InputError(
                f"{self.name}: sha256 must be 64 lower-case hexadecimal digits, got {self.sha256!r}"
            )
        spacing = self.spacing_mm
        if spacing is not None and not (math.isfinite(spacing) and spacing > 0):
            raise InputError(
                f"{self.name}: spacing_mm must be above 0, got {spacing}; use None if unknown"
            )
        pixels = np.ascontiguousarray(self.pixels)
        _check_pixels(pixels, self.name)
        pixels.setflags(write=False)
        object.__setattr__(self, "pixels", pixels)

    @property
    def width(self) -> int:
        """Width in px."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Height in px."""
        return int(self.pixels.shape[0])

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in px."""
        return self.height, self.width

    def in_file(self, x: float, y: float) -> tuple[float, float]:
        """A place of the film as (x, y) px of the picture in its file."""
        across, down = self.file_px
        return (x + 0.5) * across - 0.5, (y + 0.5) * down - 0.5


def _check_pixels(pixels: Pixels, name: str) -> None:
    if pixels.ndim != 2 or pixels.size == 0 or pixels.dtype != np.float32:
        raise InputError(
            f"{name}: pixels must be (H, W) float32, got shape {pixels.shape}, {pixels.dtype}"
        )
    # written so that NaN fails too
    if not (pixels.min() >= 0 and pixels.max() <= 1):
        raise InputError(
            f"{name}: pixels must lie in 0..1, got {pixels.min()}..{pixels.max()}; "
            "read films with mandora.images.read"
        )


class UnreadableFilm(InputError):
    """A film that cannot be used; the message names the file, the fault and the remedy."""


def check_size(width: int, height: int, least_px: int = MIN_SIDE_PX) -> None:
    """Check the size in px that a header claims, before anything is decoded.

    Args:
        width: px.
        height: px.
        least_px: what either side must have.

    Raises:
        UnreadableFilm: if a side is below ``least_px`` or the area above
            :data:`MAX_PIXELS`. The message does not name the file yet.
    """
    if min(width, height) < least_px:
        raise UnreadableFilm(
            f"the picture has {width} × {height} px, too few to show joints "
            f"(at least {least_px} on each side); give the film in full size"
        )
    if width * height > MAX_PIXELS:
        raise UnreadableFilm(
            f"the header claims {width} × {height} px, more than "
            f"{MAX_PIXELS // 1_000_000} megapixels; {AGAIN}"
        )


def rescaled(levels: NDArray[Any]) -> Pixels:
    """Scale grey levels linearly, so that the lowest becomes 0 and the highest 1.

    Args:
        levels: (H, W) of any number type, higher is brighter.

    Raises:
        UnreadableFilm: if all values are the same or some are not numbers.
    """
    low, high = float(levels.min()), float(levels.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise UnreadableFilm(f"the picture contains values that are not numbers; {AGAIN}")
    if low == high:
        raise UnreadableFilm(f"blank film: all pixels have the same value; {AGAIN}")
    # float32 holds 16-bit integers exactly; wider types need the subtraction done before
    exact: NDArray[Any] = levels.astype(np.float32 if levels.dtype.itemsize <= 2 else np.float64)
    exact = np.subtract(exact, low, out=exact)
    exact = np.divide(exact, high - low, out=exact)
    return exact.astype(np.float32, copy=False)


def checked_spacing_mm(
    stated: Iterable[Any], shape: tuple[int, int]
) -> tuple[float | None, str | None]:
    """Check the pixel spacing that a file states.

    Args:
        stated: (between rows, between columns), mm.
        shape: (height, width) of the film, px.

    Returns:
        mm per px and None, or None and what is wrong with the stated value.
    """
    try:
        down, across = (float(value) for value in stated)
    except (TypeError, ValueError):
        return None, "is not a pair of lengths"
    if not (0 < down < math.inf and 0 < across < math.inf):
        return None, "is not a pair of lengths"
    if abs(down - across) > 0.01 * max(down, across):
        return None, f"differs between rows ({down:g} mm) and columns ({across:g} mm)"
    extent = max(down * shape[0], across * shape[1])
    if not FILM_EXTENT_MM[0] <= extent <= FILM_EXTENT_MM[1]:
        # typical of pictures that were resized and kept the old spacing
        return None, f"of {down:g} mm would make the film {extent:.0f} mm long"
    return (down + across) / 2, None
