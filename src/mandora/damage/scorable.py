"""Whether a joint can be scored at all: something dense over it or in its place, too blurred.

By the rules of the scoring system such joints have no score; a network gives one all the same. The
limits are set so that they stop next to nothing else: of 240 real films one was stopped for
something dense, a thumb in plaster.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mandora.anatomy import POINTS, JointGroup, Limb
from mandora.geometry import Box
from mandora.images.channels import sample_box
from mandora.records import Reason

LOOK_PX = 96  # side at which windows are looked at
MIN_WINDOW_PX = 22.0  # px of the film across a window; a joint space has then less than 2
MAX_EDGE = 0.19  # share of the window over which the steepest edges rise: 2 joint spaces
METAL_ABOVE = 0.45  # above the other joints' bone, as a share of bone above soft tissue
STEP = 0.1  # above what is beside it in the window, likewise: bone that is bright has no such step
CENTRE = 0.4  # share of the window's side that is the joint itself
COVERED = 0.08  # share of it that metal must hide
IMPLANT_REACH = 0.3  # of the window on both sides of the joint, along the digit
MIN_JOINTS = 4  # of a group, to know how bright its bone is


def why_not(pixels: NDArray[np.float32], limb: Limb, boxes: Mapping[int, Box]) -> dict[int, Reason]:
    """Joints that cannot be scored, and why.

    Args:
        pixels: (H, W) float32, 0..1, bright bone, fingers or toes up.
        limb: hand or foot.
        boxes: window of each joint by index of the point, px of ``pixels``.

    Returns:
        ``BLURRED``, ``COVERED`` or ``REPLACED`` by index of the point; joints without a doubt
        are left out. Metal is looked for at fingers and toes only: the radius is as bright beside
        the carpus as a ring beside a finger.
    """
    fill = float(np.percentile(pixels[::8, ::8], 5))
    looks = {i: sample_box(pixels, box, LOOK_PX, fill) for i, box in boxes.items()}
    found: dict[int, Reason] = {}
    for group in (JointGroup.FINGER, JointGroup.TOE):
        chosen = [i for i in looks if POINTS[limb][i].group is group]
        if len(chosen) >= MIN_JOINTS:
            found |= _metal({i: looks[i] for i in chosen})
    for i, look in looks.items():
        if boxes[i].width < MIN_WINDOW_PX or edge_width(look) > MAX_EDGE:
            found.setdefault(i, Reason.BLURRED)
    return found


def edge_width(look: NDArray[np.float32]) -> float:
    """Share of a window's side over which its steepest edges rise; large on blurred films.

    Args:
        look: (S, S) grey values.
    """
    low, high = np.percentile(look, (1, 99))
    steepest = float(np.percentile(np.hypot(*np.gradient(look)), 99.5))
    return float((high - low) / max(steepest, 1e-6) / len(look))


def _metal(looks: Mapping[int, NDArray[np.float32]]) -> dict[int, Reason]:
    """Joints of one group with something far brighter than the bone of the others."""
    bone = float(np.median([np.percentile(look, 99) for look in looks.values()]))
    soft = float(np.median([np.percentile(look, 5) for look in looks.values()]))
    contrast = max(bone - soft, 0.05)
    found = {}
    for i, look in looks.items():
        # some joints lie under more flesh than others
        flesh = max(float(np.percentile(look, 5)) - soft, 0.0)
        level = bone + flesh + METAL_ABOVE * contrast
        metal = ndimage.binary_opening(look > level, iterations=1)
        inset = round(LOOK_PX * (1 - CENTRE) / 2)
        inner = metal[inset:-inset, inset:-inset]
        if inner.mean() < COVERED or metal.all():
            continue
        beside = float(np.percentile(look[~metal], 95))
        if float(np.median(look[metal])) - beside >= STEP * contrast:
            found[i] = Reason.REPLACED if _in_both_bones(metal) else Reason.COVERED
    return found


def _in_both_bones(metal: NDArray[np.bool_]) -> bool:
    """Whether it reaches far along the digit on both sides of the joint, as stems do."""
    labels, _ = ndimage.label(metal)
    inset = round(LOOK_PX * (1 - CENTRE) / 2)
    inner = labels[inset:-inset, inset:-inset]
    largest = np.bincount(inner[inner > 0]).argmax()
    rows = np.flatnonzero((labels == largest).any(axis=1)) - (LOOK_PX - 1) / 2
    reach = IMPLANT_REACH * LOOK_PX
    return bool(rows.min() <= -reach and rows.max() >= reach)
