"""Scoring the patches of films: one network, one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mandora.anatomy import FAMILIES, POINTS, Damage, Limb, Site
from mandora.damage.patches import Patch
from mandora.inference import Network

BATCH = 27  # patches per call: one side of a patient; larger batches only cost memory


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


def site_at(limb: Limb, kind: Damage, point: int) -> Site | None:
    """The site that is scored at a point for one kind of damage, if any."""
    name = POINTS[limb][point].name
    return next((s for s in FAMILIES[limb, kind] if s.point_name == name), None)


class PatchScorer:
    """The damage network.

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
                patches=np.stack([p.pixels for p in part])[:, None],
                points=np.array([network_point(p.limb, p.point) for p in part], dtype=np.int64),
            )
            for patch, mask, row in zip(part, masks[:, 0], values, strict=True):
                kept = [
                    float(np.clip(value, 0, site.maximum)) if site is not None else None
                    for value, site in (
                        (row[0], site_at(patch.limb, Damage.NARROWING, patch.point)),
                        (row[1], site_at(patch.limb, Damage.EROSION, patch.point)),
                    )
                ]
                seen = mask[:, ::-1] if patch.mirrored else mask
                scores.append(PatchScore(kept[0], kept[1], np.ascontiguousarray(seen)))
        return scores


def network_point(limb: Limb, point: int) -> int:
    """The number under which the network knows a point: hands first, then feet."""
    return point if limb is Limb.HAND else len(POINTS[Limb.HAND]) + point
