"""The grey values of a DICOM film as a viewer shows them: bright bone, 0 to 1, square pixels.

In the order of DICOM PS3.4, annex N: modality transform, VOI transform (window or table), then
inversion. What lies outside the picture, as padding or behind a shutter, is shown dark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mandora.images.dicom_file import numbers
from mandora.images.radiograph import Pixels, check_size, rescaled

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Levels = NDArray[Any]
Mask = NDArray[np.bool_]
"""(H, W), True where there is no picture."""

LEAST_KEPT = 0.5
"""Share of a film's differences in grey that a window must keep; makers' windows keep 0.9."""

_CLIPPED = 0.01  # nearer than this to black or white, nothing is seen

_BLOCKS = 256  # along the longer side, in which these differences are looked at
_LEAST_SEEN = 0.05  # share of the film that a shutter must leave
_WINDOWS: dict[str, Callable[[Levels, float, float], Levels]] = {  # PS3.3, C.11.2.1.2 and .3
    "LINEAR": lambda x, c, w: np.clip((x - (c - 0.5)) / max(w - 1, 1e-6) + 0.5, 0, 1),
    "LINEAR_EXACT": lambda x, c, w: np.clip((x - c) / w + 0.5, 0, 1),
    "SIGMOID": lambda x, c, w: 1 / (1 + np.exp(-4 * (x - c) / w)),
}


def displayed(dataset: Dataset, levels: Levels, remarks: list[str]) -> Pixels:
    """From stored to displayed values.

    Args:
        dataset: of the film.
        levels: (H, W) as stored, see :func:`mandora.images.dicom_pixels.stored_levels`.
        remarks: what a reader of the results should know is added to them.

    Returns:
        (H, W) float32, 0..1, bright bone.
    """
    outside = _padding(dataset, levels) | _behind_shutter(dataset, levels.shape, remarks)
    shown = _modality(dataset, levels)
    if _is_raw(dataset):
        shown, inverted = _of_raw(dataset, shown, remarks)
    else:
        shown = _voi(dataset, shown, outside, remarks)
        inverted = is_inverted(dataset)
    if outside.any():
        shown = np.where(outside, shown[~outside].min(), shown)
    pixels = rescaled(shown)
    if inverted:
        np.subtract(1, pixels, out=pixels)
        pixels[outside] = 0
    return pixels


def is_inverted(dataset: Dataset) -> bool:
    """Whether low values are displayed bright."""
    photometric = str(dataset.PhotometricInterpretation).strip(" \0").upper()
    shape = str(dataset.get("PresentationLUTShape") or "").strip(" \0").upper()
    # MONOCHROME1 and INVERSE say the same (PS3.3, C.11.6), and are not to be applied both
    return photometric == "MONOCHROME1" or shape == "INVERSE"


def with_square_px(pixels: Pixels, ratio: float, remarks: list[str]) -> Pixels:
    """Resample a film whose rows and columns are not equally far apart.

    Args:
        pixels: (H, W) float32, 0..1.
        ratio: distance between rows / distance between columns.
        remarks: that it was done is added to them.

    Returns:
        (H', W') in the finer of the two spacings.
    """
    if ratio == 1:
        return pixels
    height, width = pixels.shape
    new_hw = round(height * max(ratio, 1)), round(width * max(1 / ratio, 1))
    check_size(new_hw[1], new_hw[0])
    image = Image.fromarray(pixels).resize(new_hw[::-1], Image.Resampling.BICUBIC)
    remarks.append(
        f"rows are {ratio:.3g} times as far apart as columns: resampled to square px "
        f"({width} × {height} to {new_hw[1]} × {new_hw[0]})"
    )
    return np.clip(np.asarray(image, np.float32), 0, 1)


# ── what is not picture ──────────────────────────────────────────────────────────────────


def _padding(dataset: Dataset, levels: Levels) -> Mask:
    """Padding that begins at the edge: the same value within the limb is part of the picture."""
    first = numbers(dataset, "PixelPaddingValue")
    last = numbers(dataset, "PixelPaddingRangeLimit") or first
    if len(first) != 1 or len(last) != 1:
        return np.zeros(levels.shape, np.bool_)
    low, high = sorted([first[0], last[0]])
    padded = (levels >= low) & (levels <= high)
    edge = np.concatenate([padded[0], padded[-1], padded[:, 0], padded[:, -1]])
    if not edge.any() or padded.all():
        return np.zeros(levels.shape, np.bool_)
    from scipy.ndimage import label  # only few films need it

    parts, _ = label(padded)
    reaching = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    return np.isin(parts, reaching[reaching > 0])


def _behind_shutter(dataset: Dataset, shape: tuple[int, ...], remarks: list[str]) -> Mask:
    """What a display shutter hides (PS3.3, C.7.6.11)."""
    hidden = np.zeros(shape, np.bool_)
    kinds = dataset.get("ShutterShape") or ()
    for kind in [kinds] if isinstance(kinds, str) else kinds:
        opening = _OPENINGS.get(str(kind).strip().upper())
        open_part = opening(dataset, shape) if opening else None
        if open_part is None or (open_part & ~hidden).mean() < _LEAST_SEEN:
            remarks.append("the file's display shutter cannot be applied; the whole film is shown")
            return np.zeros(shape, np.bool_)
        hidden |= ~open_part
    return hidden


def _rectangle(dataset: Dataset, shape: tuple[int, ...]) -> Mask | None:
    edges = [
        numbers(dataset, f"Shutter{name}Edge")
        for name in ("UpperHorizontal", "LowerHorizontal", "LeftVertical", "RightVertical")
    ]
    if any(len(edge) != 1 for edge in edges):
        return None
    top, bottom, left, right = (int(edge[0]) for edge in edges)
    inside = np.zeros(shape, np.bool_)
    inside[max(top - 1, 0) : max(bottom, 0), max(left - 1, 0) : max(right, 0)] = True
    return inside


def _circle(dataset: Dataset, shape: tuple[int, ...]) -> Mask | None:
    centre = numbers(dataset, "CenterOfCircularShutter")
    radius = numbers(dataset, "RadiusOfCircularShutter")
    if len(centre) != 2 or len(radius) != 1:
        return None
    y, x = np.ogrid[1 : shape[0] + 1, 1 : shape[1] + 1]
    return np.asarray((y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius[0] ** 2)


def _polygon(dataset: Dataset, shape: tuple[int, ...]) -> Mask | None:
    places = numbers(dataset, "VerticesOfThePolygonalShutter")
    if len(places) < 6 or len(places) % 2:
        return None
    corners = [(column - 1, row - 1) for row, column in zip(places[::2], places[1::2], strict=True)]
    image = Image.new("1", (shape[1], shape[0]))
    ImageDraw.Draw(image).polygon(corners, fill=1)
    return np.asarray(image)


_OPENINGS: dict[str, Callable[[Dataset, tuple[int, ...]], Mask | None]] = {
    "RECTANGULAR": _rectangle, "CIRCULAR": _circle, "POLYGONAL": _polygon,
}  # fmt: skip
"""What is open, by the shape of a shutter; None where its tags do not say it."""


# ── grey values ──────────────────────────────────────────────────────────────────────────


def _modality(dataset: Dataset, levels: Levels) -> Levels:
    if "ModalityLUTSequence" in dataset:
        from pydicom.pixels.processing import apply_modality_lut

        return np.asarray(apply_modality_lut(levels, dataset))
    slope, intercept = (numbers(dataset, f"Rescale{name}") for name in ("Slope", "Intercept"))
    if len(slope) != 1 or not slope[0]:
        slope = [1.0]
    if len(intercept) != 1:
        intercept = [0.0]
    if (slope, intercept) == ([1.0], [0.0]):
        return levels  # saves a float64 copy
    return levels * slope[0] + intercept[0]


def _is_raw(dataset: Dataset) -> bool:
    """Whether the values are the detector's, which no window was made for."""
    intent = str(dataset.get("PresentationIntentType") or "").strip(" \0").upper()
    return intent == "FOR PROCESSING"


def _of_raw(dataset: Dataset, levels: Levels, remarks: list[str]) -> tuple[Levels, bool]:
    """Values that rise evenly with what is in the way of the rays, and whether to invert them.

    PS3.3, C.8.11.3: PixelIntensityRelationship LIN is linear to the intensity of the rays;
    PixelIntensityRelationshipSign is 1 where the values rise with it.
    """
    kind = str(dataset.get("PixelIntensityRelationship") or "").strip(" \0").upper()
    sign = numbers(dataset, "PixelIntensityRelationshipSign")
    remarks.append("the film is FOR PROCESSING, without the maker's contrast")
    if len(sign) != 1 or sign[0] not in (1, -1):
        return levels, is_inverted(dataset)
    if kind == "LIN" and sign[0] == 1:
        levels = np.log1p(np.maximum(levels - min(float(levels.min()), 0), 0))
    return levels, sign[0] == 1


def _voi(dataset: Dataset, levels: Levels, outside: Mask, remarks: list[str]) -> Levels:
    """Apply the first of the file's tables and windows that leaves enough of the film to see."""
    faults = []
    for number, candidate in enumerate(_candidates(dataset, levels), 1):
        if candidate is None:
            faults.append("cannot be applied")
            continue
        shown = np.asarray(candidate)
        low, high = shown.min(), shown.max()
        if low == high:
            faults.append("leaves the film blank")
            continue
        edge = _CLIPPED * (high - low)
        kept = _kept(levels, (shown > low + edge) & (shown < high - edge), outside)
        if kept < LEAST_KEPT:
            faults.append(f"hides {1 - kept:.0%} of what is on the film")
            continue
        if faults:
            remarks.append(f"the file's window {faults[0]}; window {number} was used")
        return shown
    if faults:
        remarks.append(f"the file's window {faults[0]}; the full range is shown")
    return levels


def _candidates(dataset: Dataset, levels: Levels) -> Iterator[Levels | None]:
    """What each table, then each window of the file makes of a film; None where it cannot."""
    from pydicom.pixels.processing import apply_voi

    for index, item in enumerate(dataset.get("VOILUTSequence") or ()):
        try:
            # pydicom counts the entries of a LUT of 8-bit values in 8 bits
            item.LUTDescriptor = [*item.LUTDescriptor[:2], 16]
            yield np.asarray(apply_voi(levels, dataset, index=index))
        except Exception:
            yield None
    centres, widths = numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth")
    stated = [dataset.get_item(f"Window{name}") for name in ("Center", "Width")]
    if not any(element is not None and element.value for element in stated):
        return
    name = str(dataset.get("VOILUTFunction") or "LINEAR").strip(" \0").upper()
    window = _WINDOWS.get(name)
    if window is None or not centres or not widths:
        yield None
        return
    for centre, width in zip(centres, widths, strict=False):
        usable = np.isfinite(centre) and np.isfinite(width) and width > 0
        yield window(levels.astype(np.float32), centre, width) if usable else None


def _kept(levels: Levels, within: Mask, outside: Mask) -> float:
    """Share of the differences between neighbouring parts of a film that a window keeps.

    Args:
        levels: (H, W) before the window.
        within: (H, W), where the window gives neither black nor white.
        outside: (H, W), what is not looked at.
    """
    size = -(-max(levels.shape) // _BLOCKS)
    clear = _blocks(~outside, size) == 1
    grey, seen = _blocks(levels, size), _blocks(within, size)
    kept = total = 0.0
    for axis in (0, 1):
        steps = np.abs(np.diff(grey, axis=axis))
        both = np.minimum(*_neighbours(clear, axis))
        steps = np.where(both, steps, 0)
        kept += float((steps * np.mean(_neighbours(seen, axis), axis=0)).sum())
        total += float(steps.sum())
    return kept / total if total else 1.0


def _blocks(values: Levels | Mask, size: int) -> Levels:
    """Means over blocks of ``size`` × ``size`` px."""
    height, width = (n // size for n in values.shape)
    whole = values[: height * size, : width * size]
    means: Levels = whole.reshape(height, size, width, size).mean(axis=(1, 3), dtype=np.float64)
    return means


def _neighbours(values: Levels | Mask, axis: int) -> tuple[Levels, Levels]:
    return (values[1:], values[:-1]) if axis == 0 else (values[:, 1:], values[:, :-1])
