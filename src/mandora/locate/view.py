"""Whether a foot is seen from above, by the shape that its landmarks make."""

from __future__ import annotations

import numpy as np

from mandora.core.geometry import Points

_MIN_LANDMARKS = 4


def relative_width(landmarks: Points, template: Points) -> float | None:
    """Width of a limb against its length, 1 as in the template.

    An oblique view makes a foot narrower: its metatarsal heads come to lie behind each other. The
    landmarks are laid on the template by the affine map that fits best; its stretch across is
    divided by that along.

    Args:
        landmarks: (N, 2) px of the film; NaN where unknown. Turned and mirrored as it lies there.
        template: (N, 2) template of an upright limb.

    Returns:
        None if fewer than four landmarks are known or all lie at one place.
    """
    known = np.isfinite(landmarks).all(axis=1)
    if known.sum() < _MIN_LANDMARKS or not np.ptp(landmarks[known], axis=0).any():
        return None
    there = np.column_stack([template[known], np.ones(int(known.sum()))])
    stretch = np.linalg.lstsq(there, landmarks[known], rcond=None)[0][:2]
    across, along = np.linalg.norm(stretch, axis=1)
    return float(across / along) if along > 0 else None
