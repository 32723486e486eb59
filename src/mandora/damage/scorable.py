"""Whether a joint can be scored at all: something dense over it or in its place, too blurred.

By the rules of the scoring system such joints have no score; a network gives one all the same. The
limits are set wide: they shall stop next to nothing that a reader would score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import LANDMARKS, JointGroup
from mandora.core.records import Reason
from mandora.damage.patches import Patch, enlargement

MIN_WINDOW_PX = 22.0  # px of the film across a window; a joint space has then less than 2
MAX_EDGE = 0.19  # share of the window over which the steepest edges rise: 2 joint spaces
METAL_ABOVE = 0.45  # above the other joints' bone, as a share of bone above soft tissue
STEP = 0.1  # above what is beside it in the window, likewise: bone that is bright has no such step
CENTRE = 0.4  # share of the window's side that is the joint itself
COVERED = 0.08  # share of it that metal must hide
IMPLANT_REACH = 0.3  # of the window on both sides of the joint, along the digit
MIN_JOINTS = 4  # of a group, to know how bright its bone is


def why_not(
    patches: Sequence[Patch], enlarged: Mapping[str, float] | None = None
) -> dict[int, Reason]:
    """Joints that cannot be scored, and why.

    Args:
        patches: of one film.
        enlarged: landmarks of the hand whose patch is larger, and the factor.

    Returns:
        ``BLURRED``, ``COVERED`` or ``REPLACED`` by index of the landmark; joints without a doubt
        are left out. Metal is looked for at fingers and toes only: the radius is as bright beside
        the carpus as a ring beside a finger.
    """
    found: dict[int, Reason] = {}
    for group in (JointGroup.FINGER, JointGroup.TOE):
        looks = {
            p.landmark: p.grey for p in patches if LANDMARKS[p.limb][p.landmark].group is group
        }
        if len(looks) >= MIN_JOINTS:
            found |= _metal(looks)
    for patch in patches:
        more = enlargement(patch.limb, patch.landmark, enlarged or {})  # blur is not enlarged
        if patch.box.width < more * MIN_WINDOW_PX or more * edge_width(patch.grey) > MAX_EDGE:
            found.setdefault(patch.landmark, Reason.BLURRED)
    return found


def edge_width(look: NDArray[np.float32]) -> float:
    """Share of a window's side over which its steepest edges rise; large on blurred films.

    Args:
        look: (S, S) grey values.
    """
    low, high = np.percentile(look[::2, ::2], (1, 99))
    slope = np.gradient(look)
    steepest = float(np.sqrt(np.percentile(slope[0] ** 2 + slope[1] ** 2, 99.5)))
    return float((high - low) / max(steepest, 1e-6) / len(look))


def _metal(looks: Mapping[int, NDArray[np.float32]]) -> dict[int, Reason]:
    """Joints of one group with something far brighter than the bone of the others."""
    dark, bright = (
        {i: float(v) for i, v in zip(looks, values, strict=True)}
        for values in np.percentile([look[::2, ::2] for look in looks.values()], (5, 99), (1, 2))
    )
    soft, bone = (float(np.median(list(levels.values()))) for levels in (dark, bright))
    contrast = max(bone - soft, 0.05)
    found = {}
    for i, look in looks.items():
        # some joints lie under more flesh than others
        level = bone + max(dark[i] - soft, 0.0) + METAL_ABOVE * contrast
        if bright[i] <= level:
            continue
        metal = _without_specks(look > level)
        if _middle(metal).mean() < COVERED or metal.all():
            continue
        beside = float(np.percentile(look[~metal], 95))
        if float(np.median(look[metal])) - beside >= STEP * contrast:
            found[i] = Reason.REPLACED if _in_both_bones(metal) else Reason.COVERED
    return found


def _middle(window: NDArray[Any]) -> NDArray[Any]:
    inset = round(len(window) * (1 - CENTRE) / 2)
    return window[inset:-inset, inset:-inset]


def _in_both_bones(metal: NDArray[np.bool_]) -> bool:
    """Whether it reaches far along the digit on both sides of the joint, as stems do."""
    joined = np.zeros_like(metal)
    _middle(joined)[:] = _middle(metal)
    while True:  # everything that hangs together with what lies in the middle
        grown = _grown(joined) & metal
        if (grown == joined).all():
            break
        joined = grown
    rows = np.flatnonzero(joined.any(axis=1)) - (len(metal) - 1) / 2
    reach = IMPLANT_REACH * len(metal)
    return bool(rows.min() <= -reach and rows.max() >= reach)


# Two small operations of our own: to import scipy.ndimage would cost each start 0.3 seconds.


def _without_specks(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask without what is thinner than three px."""
    return _grown(~_grown(~mask))


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask and its neighbours above, below and beside."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown
