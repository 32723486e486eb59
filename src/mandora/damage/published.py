"""Scoring the patches of films as published: one network for each family of targets.

Li & Guan 2022, doi:10.1002/aisy.202200184: hand narrowing, foot narrowing, hand erosion and
foot erosion. A joint that is scored for both kinds of damage is seen by two networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import Damage, Limb
from mandora.core.errors import InputError
from mandora.core.inference import Network
from mandora.damage.patches import Patch
from mandora.damage.scorer import PatchScore, network_input, on_film, site_at

BATCH = 2  # patches of 384 × 384 px per call: larger batches are no faster and cost 0.13 GB each


class PublishedScorer:
    """The damage networks of the four families.

    Files are opened when they are needed and closed after that, one at a time.

    Args:
        paths: ONNX file of each family that patches will be of.
        threads: processor threads.
    """

    def __init__(self, paths: Mapping[tuple[Limb, Damage], Path], threads: int = 2) -> None:
        self._paths, self._threads = dict(paths), threads

    def score(self, patches: Sequence[Patch]) -> list[PatchScore]:
        """Mask and scores of each patch; the order is kept.

        Where a joint is scored for both kinds of damage, the mask is that of narrowing.

        Raises:
            ValueError: if a file cannot be run as a network, or a family of the patches has none.
        """
        values: dict[tuple[int, Damage], float] = {}
        masks: dict[int, NDArray[np.float32]] = {}
        # narrowing last: its masks stay
        for kind in (Damage.EROSION, Damage.NARROWING):
            for limb in Limb:
                for i, mask, value in self._family(limb, kind, patches):
                    masks[i], values[i, kind] = mask, value
        return [
            PatchScore(
                values.get((i, Damage.NARROWING)),
                values.get((i, Damage.EROSION)),
                on_film(masks[i], patch),
            )
            for i, patch in enumerate(patches)
        ]

    def _family(
        self, limb: Limb, kind: Damage, patches: Sequence[Patch]
    ) -> list[tuple[int, NDArray[np.float32], float]]:
        """Index, (S, S) mask and SvH points of each patch that one network scores."""
        sites = [site_at(p.limb, kind, p.landmark) if p.limb is limb else None for p in patches]
        rows = [(i, site.maximum) for i, site in enumerate(sites) if site is not None]
        if not rows:
            return []
        if (limb, kind) not in self._paths:
            raise InputError(f"no network scores {limb} {kind}; train it as well")
        network, seen = Network(self._paths[limb, kind], self._threads), []
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            drawn, scores = network(patches=network_input([patches[i] for i, _ in part]))
            seen += [
                (i, mask, float(np.clip(score, 0, maximum)))
                for (i, maximum), mask, score in zip(part, drawn[:, 0], scores[:, 0], strict=True)
            ]
        return seen
