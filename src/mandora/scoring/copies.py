"""The same picture given for two limbs: neither can be scored, since one of the two is wrong."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mandora.core.anatomy import Slot
from mandora.core.records import Reason
from mandora.images.radiograph import Radiograph
from mandora.scoring.film import FilmResult, failed_film

ALIKE = 0.999
"""Correlation of two reduced films above which they are one picture, saved twice."""

_SIDE_PX = 48
_MOST_STRETCH = 1.02  # ratio of the shapes of one picture that was saved in two sizes


def without_same_pictures(parts: dict[Slot, FilmResult]) -> dict[Slot, FilmResult]:
    """Fail the films of a patient that are one picture; both limbs of one film are not meant.

    Args:
        parts: what was found on each film.
    """
    made = dict(parts)
    for first, second in combinations(parts, 2):
        one, other = parts[first].radiograph, parts[second].radiograph
        if one is None or other is None or one.pixels is other.pixels or not _same(one, other):
            continue
        names = f"{parts[first].record.name} and {parts[second].record.name}"
        for slot in (first, second):
            record = parts[slot].record
            failed = failed_film(record.name, slot, Reason.SAME_PICTURE, (
                f"{names} are the same picture, given for two limbs; keep one"
            ))  # fmt: skip
            made[slot] = failed
    return made


def _same(one: Radiograph, other: Radiograph) -> bool:
    if one.sha256 == other.sha256:
        return True
    stretch = (one.width * other.height) / (one.height * other.width)
    if not 1 / _MOST_STRETCH <= stretch <= _MOST_STRETCH:
        return False
    return float(np.corrcoef(_reduced(one), _reduced(other))[0, 1]) > ALIKE


def _reduced(film: Radiograph) -> NDArray[np.float32]:
    size = (_SIDE_PX, _SIDE_PX)
    small = Image.fromarray(film.pixels).resize(size, Image.Resampling.BOX)
    return np.asarray(small, np.float32).ravel()
