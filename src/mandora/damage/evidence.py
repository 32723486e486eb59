"""What the damage stage saw at one joint: the place of the patch and the joint-space mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mandora.core.errors import InputError
from mandora.core.geometry import Box


@dataclass(frozen=True, eq=False)
class PatchEvidence:
    """One patch of one film, as it was scored.

    Attributes:
        landmark: name of the localisation landmark, see :class:`mandora.core.anatomy.Landmark`.
        box: the patch, px of the film; may be turned, and reach beyond the film.
        mask: (S, S) float32, rows then columns, probability 0..1 that a pixel belongs to the
            joint space. It is stretched over ``box``, edge to edge, before the box is turned; so
            it is oriented like the film (not mirrored) but for that turn, whatever orientation
            the network worked in.

    Raises:
        ValueError: if the box is not in film px, or the mask is no square of finite
            probabilities.
    """

    landmark: str
    box: Box
    mask: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.box.frame != "film":
            raise InputError(
                f"the patch of {self.landmark} lies in frame {self.box.frame!r}; "
                "map its box to 'film' first"
            )
        mask = np.array(self.mask, dtype=np.float32)
        if mask.ndim != 2 or mask.shape[0] != mask.shape[1] or mask.size == 0:
            raise InputError(f"the mask of {self.landmark} must be square, got shape {mask.shape}")
        # written so that NaN fails as well
        if not (mask.min() >= 0 and mask.max() <= 1):
            raise InputError(f"the mask of {self.landmark} must hold probabilities 0..1")
        mask.setflags(write=False)
        object.__setattr__(self, "mask", mask)
