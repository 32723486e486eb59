"""What the quality gate measures on a film that shows a limb, before anything is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mandora.core.anatomy import LANDMARKS
from mandora.core.geometry import Points, limb_size
from mandora.core.records import Reason
from mandora.core.specs import LimbThresholds
from mandora.damage.patches import Patch
from mandora.damage.scorable import unscorable
from mandora.images.markers import Marker, read_markers
from mandora.images.quality import Levels, WindowQuality, near_metal, window_quality
from mandora.images.radiograph import Radiograph
from mandora.locate.locator import FoundLandmarks
from mandora.locate.view import relative_width
from mandora.model.contract import DamageContract

MIN_PLACED = 4  # landmarks; fewer say little of a limb's size
MARKER_REACH = 1.0  # shorter sides of the box around a limb; letters further away are of others


@dataclass(frozen=True, eq=False)
class Seen:
    """What was measured on a film with a limb.

    Attributes:
        found: the limb.
        windows: what the windows around the joints say.
        unscorable: why joints with a position have no score, by landmark.
        near_metal: landmarks near something brighter than bone.
        width: of a limb against its length, see :func:`mandora.locate.view.relative_width`.
        markers: letters of sides near the limb.
        sure_fit: fit from which a limb is a good view; None if its landmarks were given.
    """

    found: FoundLandmarks
    windows: WindowQuality
    unscorable: dict[int, Reason]
    near_metal: tuple[int, ...] = ()
    width: float | None = None
    markers: tuple[Marker, ...] = ()
    sure_fit: float | None = None

    def names(self, landmarks: Sequence[int]) -> list[str]:
        """Names of landmarks, in the order of anatomy."""
        return [LANDMARKS[self.found.limb][i].name for i in sorted(landmarks)]


def look_at(
    film: Radiograph, found: FoundLandmarks, patches: Sequence[Patch], spec: DamageContract,
    template: Points, thresholds: LimbThresholds | None,
) -> Seen:  # fmt: skip
    """Measure one film.

    Args:
        film: read.
        found: the limb.
        patches: around its landmarks; at least one.
        spec: how they were cut.
        template: (N, 2) template of a left limb.
        thresholds: of its localiser; None if the landmarks were given.
    """
    greys = np.stack([patch.grey for patch in patches])
    windows = window_quality(greys)
    near: tuple[int, ...] = ()
    if len(patches) >= MIN_PLACED:
        pixels = 1 - film.pixels if found.orientation.inverted else film.pixels
        size = limb_size(found.landmarks, template)
        metal = near_metal(pixels, found.landmarks, size, Levels.of(greys))
        near = tuple(int(i) for i in np.flatnonzero(metal))
    return Seen(
        found, windows, unscorable(patches, spec, spec.limits, windows.edge_widths), near,
        relative_width(found.landmarks, template), markers_of(film, found),
        thresholds.sure_fit if thresholds else None,
    )  # fmt: skip


def markers_of(film: Radiograph, found: FoundLandmarks) -> tuple[Marker, ...]:
    """The letters of sides on a film that lie near a limb; others may be of another limb.

    Args:
        film: read.
        found: the limb.
    """
    known = found.landmarks[np.isfinite(found.landmarks).all(axis=1)]
    low, high = known.min(axis=0), known.max(axis=0)
    reach = MARKER_REACH * float((high - low).min())

    def near(marker: Marker) -> bool:
        xy = np.array([marker.x, marker.y])
        return float(np.maximum(low - xy, xy - high).max()) <= reach

    return tuple(marker for marker in read_markers(film.pixels) if near(marker))
