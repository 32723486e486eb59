"""Whether a joint can be scored at all: something dense over it or in its place, too blurred.

By the rules of the scoring system such joints have no score; a network gives one all the same. The
limits are set wide: they shall stop next to nothing that a reader would score. Those that depend on
how large a model's patches are lie in its contract, :class:`~mandora.core.specs.PatchLimits`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import LANDMARKS, JointGroup
from mandora.core.records import Reason
from mandora.core.specs import PatchLimits, PatchSpec
from mandora.damage.patches import Patch

METAL_ABOVE = 0.45  # above the other joints' bone, as a share of bone above soft tissue
STEP = 0.1  # above what is beside it in the window, likewise: bone that is bright has no such step
COVERED = 0.08  # share of the joint that metal must hide
MIN_JOINTS = 4  # of a group, to know how bright its bone is

Grey = NDArray[np.float32]
Floats = NDArray[np.float64]


def unscorable(
    patches: Sequence[Patch], spec: PatchSpec, limits: PatchLimits, edge_widths: Floats
) -> dict[int, Reason]:
    """Joints of one film that cannot be scored, and why.

    Args:
        patches: of one film.
        spec: how they were cut.
        limits: of the model.
        edge_widths: of the patches, see :func:`mandora.images.quality.edge_widths`.

    Returns:
        ``BLURRED``, ``COVERED`` or ``REPLACED`` by index of the landmark; joints that can be
        scored are left out. Metal is looked for at fingers and toes only: the radius is as bright
        beside the carpus as a ring beside a finger.
    """
    found: dict[int, Reason] = {}
    for group in (JointGroup.FINGER, JointGroup.TOE):
        greys = {
            p.landmark: p.grey for p in patches if LANDMARKS[p.limb][p.landmark].group is group
        }
        if len(greys) >= MIN_JOINTS:
            found |= _metal(greys, limits)
    for patch, width in zip(patches, edge_widths, strict=True):
        larger = spec.enlargement(patch.limb, patch.landmark)  # blur is not enlarged
        coarse = patch.box.width < larger * limits.least_window_px
        if coarse or larger * width > limits.widest_edge:
            found.setdefault(patch.landmark, Reason.BLURRED)
    return found


def _metal(greys: Mapping[int, Grey], limits: PatchLimits) -> dict[int, Reason]:
    """Joints of one group with something far brighter than the bone of the others."""
    dark, bright = (
        {i: float(v) for i, v in zip(greys, values, strict=True)}
        for values in np.percentile([grey[::2, ::2] for grey in greys.values()], (5, 99), (1, 2))
    )
    soft, bone = (float(np.median(list(levels.values()))) for levels in (dark, bright))
    contrast = max(bone - soft, 0.05)
    found = {}
    for i, grey in greys.items():
        # some joints lie under more flesh than others
        level = bone + max(dark[i] - soft, 0.0) + METAL_ABOVE * contrast
        if bright[i] <= level:
            continue
        metal = _without_specks(grey > level)
        if _joint(metal, limits).mean() < COVERED or metal.all():
            continue
        beside = float(np.percentile(grey[~metal], 95))
        if float(np.median(grey[metal])) - beside >= STEP * contrast:
            found[i] = Reason.REPLACED if _in_both_bones(metal, limits) else Reason.COVERED
    return found


def _joint(window: NDArray[Any], limits: PatchLimits) -> NDArray[Any]:
    """The middle of a window."""
    inset = round(len(window) * (1 - limits.joint_share) / 2)
    return window[inset:-inset, inset:-inset]


# scipy.ndimage is imported where there is metal: it costs a start 0.3 seconds.


def _without_specks(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask without what is thinner than three px."""
    from scipy import ndimage

    opened: NDArray[np.bool_] = ndimage.binary_dilation(
        ndimage.binary_erosion(mask, border_value=1)
    )
    return opened


def _in_both_bones(metal: NDArray[np.bool_], limits: PatchLimits) -> bool:
    """Whether it reaches far along the digit on both sides of the joint, as stems do."""
    from scipy import ndimage

    regions = ndimage.label(metal)[0]
    joined = metal & np.isin(regions, _joint(regions, limits))
    rows = np.flatnonzero(joined.any(axis=1)) - (len(metal) - 1) / 2
    reach = limits.implant_reach * len(metal)
    return bool(rows.min() <= -reach and rows.max() >= reach)
