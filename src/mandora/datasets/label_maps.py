"""Label maps: pixels of a film that belong to a joint, from PNG files and from polygons."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import LANDMARKS, Limb
from mandora.core.errors import InputError
from mandora.datasets.outlines import Outline, site_name
from mandora.images.radiograph import UnreadableFilm
from mandora.images.raster import LABEL_MODES
from mandora.images.read import read_labels


def read_label_map(path: Path, shape: tuple[int, int], limb: Limb) -> NDArray[np.uint8]:
    """Read a label map.

    Args:
        path: a PNG (or other lossless picture), grey or indexed.
        shape: (height, width) of the film, px.
        limb: hand or foot.

    Returns:
        (H, W) uint8, 1 + index of the landmark in ``anatomy.LANDMARKS[limb]``, 0 elsewhere.

    Raises:
        ValueError: naming the file, if it cannot be read, is in colour, has another size than
            the film, or labels that the limb has not.
    """
    try:
        mode, labels = read_labels(path)
    except UnreadableFilm as error:
        fault = str(error).removeprefix(f"{path.name}: ")
        raise InputError(
            f"{path}: cannot be read as a label map ({fault}); save it as PNG again"
        ) from error
    if mode not in LABEL_MODES:
        raise InputError(
            f"{path}: is a picture of mode {mode}, no label map; save it as a grey or indexed "
            "PNG whose values are 1 + the index of the landmark"
        )
    check_label_size(str(path), (labels.shape[1], labels.shape[0]), shape)
    count, highest = len(LANDMARKS[limb]), int(labels.max(initial=0))
    if highest > count or int(labels.min(initial=0)) < 0:
        raise InputError(
            f"{path}: has label {highest}, a {limb} has 1 to {count} and 0 for the rest; export "
            "labels, not grey levels"
        )
    return np.ascontiguousarray(labels, dtype=np.uint8)


def check_label_size(name: str, size_wh: tuple[int, int], shape: tuple[int, int]) -> None:
    """Check that labels were drawn on the film as it is.

    Raises:
        ValueError: naming the file, if the sizes differ.
    """
    height, width = shape
    if size_wh != (width, height):
        raise InputError(
            f"{name}: has {size_wh[0]} × {size_wh[1]} px, its film has {width} × {height}; "
            "export the labels at the film's size, after any turn that its EXIF data ask for"
        )


def fill_outlines(
    outlines: Iterable[Outline], shape: tuple[int, int], limb: Limb
) -> NDArray[np.uint8]:
    """Draw polygons as a label map.

    A pixel belongs to a polygon if its centre does (even-odd rule). Later polygons cover
    earlier ones; what lies beyond the film is cut off.

    Args:
        outlines: sites of the limb, px of the film, pixel centres at whole numbers.
        shape: (height, width), px.
        limb: hand or foot.

    Returns:
        (H, W) uint8, 1 + index of the landmark, 0 elsewhere.

    Raises:
        ValueError: for a site that is none of the limb's.
    """
    labels = {site_name(landmark): i for i, landmark in enumerate(LANDMARKS[limb], start=1)}
    canvas = np.zeros(shape, np.uint8)
    for outline in outlines:
        if outline.site not in labels:
            raise InputError(f"{outline.site} is no site of a {limb}; use {', '.join(labels)}")
        _fill(canvas, outline.points, labels[outline.site])
    return canvas


def _fill(canvas: NDArray[np.uint8], landmarks: NDArray[np.float64], label: int) -> None:
    height, width = canvas.shape
    x0, y0 = landmarks.T
    x1, y1 = np.roll(landmarks, -1, axis=0).T
    first = max(0, math.ceil(y0.min()))
    last = min(height - 1, math.floor(y0.max()))
    for row in range(first, last + 1):
        crosses = (y0 <= row) != (y1 <= row)
        slope = (x1[crosses] - x0[crosses]) / (y1[crosses] - y0[crosses])
        at = np.sort(x0[crosses] + (row - y0[crosses]) * slope)
        for left, right in zip(at[::2], at[1::2], strict=True):
            start, stop = max(0, math.ceil(left)), min(width - 1, math.floor(right)) + 1
            canvas[row, start:stop] = label
