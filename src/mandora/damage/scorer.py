"""Scoring the patches of films: one network, one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import FAMILIES, LANDMARKS, Damage, Limb, Site
from mandora.core.inference import Network
from mandora.damage.patches import Patch

BATCH = 7  # patches per call: more take as long each, and more memory


@dataclass(frozen=True, eq=False)
class PatchScore:
    """What the network says of one patch.

    Attributes:
        narrowing: SvH points, continuous; None where the point has no such score.
        erosion: likewise.
        mask: (S, S) float32, 0..1, joint space, in the film's orientation.
    """

    narrowing: float | None
    erosion: float | None
    mask: NDArray[np.float32]

    def of(self, kind: Damage) -> float | None:
        """The score of one kind of damage."""
        return self.narrowing if kind is Damage.NARROWING else self.erosion


class Scorer(Protocol):
    """Whatever scores patches, of one network or of several."""

    def score(self, patches: Sequence[Patch]) -> list[PatchScore]:
        """Mask and scores of each patch; the order is kept."""


def site_at(limb: Limb, kind: Damage, landmark: int) -> Site | None:
    """The site that is scored at a landmark for one kind of damage, if any."""
    name = LANDMARKS[limb][landmark].name
    return next((s for s in FAMILIES[limb, kind] if s.landmark_name == name), None)


def network_input(patches: Sequence[Patch]) -> NDArray[np.float32]:
    """(B, C, S, S) float32: patches as a network takes them."""
    return np.stack([np.reshape(p.pixels, (-1, *p.pixels.shape[-2:])) for p in patches])


def on_film(mask: NDArray[np.float32], patch: Patch) -> NDArray[np.float32]:
    """A mask as it lies on the film, not on a patch that may be flipped."""
    return np.ascontiguousarray(mask[:, ::-1] if patch.mirrored else mask)


class PatchScorer:
    """One damage network for all joints.

    Args:
        path: ONNX file.
        threads: processor threads.
    """

    def __init__(self, path: Path, threads: int = 2) -> None:
        self._network = Network(path, threads)

    def score(self, patches: Sequence[Patch]) -> list[PatchScore]:
        """Mask and scores of each patch; the order is kept."""
        scores: list[PatchScore] = []
        for start in range(0, len(patches), BATCH):
            part = patches[start : start + BATCH]
            masks, values = self._network(
                patches=network_input(part),
                points=np.array([network_landmark(p.limb, p.landmark) for p in part], np.int64),
            )
            for patch, mask, row in zip(part, masks[:, 0], values, strict=True):
                kept = [
                    float(np.clip(value, 0, site.maximum)) if site is not None else None
                    for value, site in (
                        (row[0], site_at(patch.limb, Damage.NARROWING, patch.landmark)),
                        (row[1], site_at(patch.limb, Damage.EROSION, patch.landmark)),
                    )
                ]
                scores.append(PatchScore(kept[0], kept[1], on_film(mask, patch)))
        return scores


def network_landmark(limb: Limb, landmark: int) -> int:
    """The number under which the network knows a landmark: hands first, then feet."""
    return landmark if limb is Limb.HAND else len(LANDMARKS[Limb.HAND]) + landmark
