"""From skeletons to a film and its truth.

Path lengths through bone and soft tissue are computed in :mod:`mandora.simulate.xray.projection`,
the picture in :mod:`mandora.simulate.xray.exposure`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import Limb, Side
from mandora.core.errors import InputError
from mandora.simulate.anatomy.shapes import Array
from mandora.simulate.anatomy.skeleton import Skeleton
from mandora.simulate.fields import Field
from mandora.simulate.xray.exposure import Imaging, deliver, expose
from mandora.simulate.xray.markers import mark
from mandora.simulate.xray.placement import Placement
from mandora.simulate.xray.projection import Projector

MU_SOFT, MU_COMPACT, MU_SPONGY = 0.022, 0.105, 0.040  # per mm, about 55 kV


@dataclass(frozen=True, eq=False)
class SimulatedFilm:
    """A film and its truth.

    Attributes:
        pixels: (H, W) float32, 0..1; bone is bright unless ``inverted``.
        landmarks: (n, 2) float64, (x, y), px of this film, order of ``anatomy.LANDMARKS``.
        spaces: (H, W) uint8, joint spaces: 1 + index of the landmark, 0 elsewhere.
        erosions: (H, W) uint8, eroded bone: 1 + index of the landmark, 0 elsewhere.
        bones: (N, 2) float64 outline of each bone before erosion, px of this film, by name.
        spacing_mm: mm per px.
        limb: hand or foot.
        side: the patient's side.
        inverted: bone is dark.
    """

    pixels: Field
    landmarks: Array
    spaces: NDArray[np.uint8]
    erosions: NDArray[np.uint8]
    bones: Mapping[str, Array]
    spacing_mm: float
    limb: Limb
    side: Side
    inverted: bool = False

    @property
    def bright(self) -> Field:
        """(H, W) float32, 0..1, the film with bright bone, as networks see it."""
        return 1 - self.pixels if self.inverted else self.pixels


def render(
    skeleton: Skeleton, placement: Placement, imaging: Imaging, rng: np.random.Generator
) -> SimulatedFilm:
    """Project a limb and expose the film."""
    limb = _project(skeleton, placement, imaging, rng)
    (film,) = _expose_together([limb], placement.pixels_per_mm, imaging, rng)
    return film


def render_pair(
    skeletons: tuple[Skeleton, Skeleton],
    placements: tuple[Placement, Placement],
    imaging: Imaging,
    rng: np.random.Generator,
) -> tuple[SimulatedFilm, SimulatedFilm]:
    """Project two limbs side by side on one film: both hands or both feet.

    Args:
        skeletons: the limb that lies on the left of the film, and the one on its right.
        placements: of each on its own half; of one height and resolution.
        imaging: of the whole film.
        rng: source of randomness.

    Returns:
        The film with the truth of the first limb, and the same film with that of the second.

    Raises:
        ValueError: if the halves do not fit together.
    """
    first, second = placements
    if (first.height, first.pixels_per_mm) != (second.height, second.pixels_per_mm):
        raise InputError(
            "both halves of a film need one height and one resolution, got "
            f"{first.height} px at {first.pixels_per_mm}/mm and {second.height} px at "
            f"{second.pixels_per_mm}/mm"
        )
    # a limb may reach over the middle of the film
    width, left = first.width + second.width, 0
    limbs = []
    for skeleton, half in zip(skeletons, placements, strict=True):
        x = (left + half.centre[0] * half.width) / width
        whole = replace(half, width=width, centre=(x, half.centre[1]))
        limbs.append(_project(skeleton, whole, imaging, rng))
        left += half.width
    one, other = _expose_together(limbs, first.pixels_per_mm, imaging, rng)
    return one, other


def _project(
    skeleton: Skeleton, placement: Placement, imaging: Imaging, rng: np.random.Generator
) -> SimulatedFilm:
    """A limb and its truth, on a film whose pixels are its attenuation."""
    projector = Projector(skeleton, placement)
    dense, spongy = projector.project_bones(rng)
    soft = projector.project_soft_tissue()
    if imaging.ring:
        dense += projector.ring(imaging.ring)
    attenuation = MU_COMPACT * dense + MU_SPONGY * spongy + MU_SOFT * imaging.soft * soft
    pictures = [attenuation, projector.spaces(), projector.eroded]
    places = {b.name: b.outline for b in skeleton.bones if b.anatomical}
    outlines = {name: projector.to_px(outline) for name, outline in places.items()}
    landmarks = projector.to_px(skeleton.landmarks)
    if placement.side is Side.RIGHT:
        last = placement.width - 1
        pictures = [np.ascontiguousarray(picture[:, ::-1]) for picture in pictures]
        landmarks = landmarks * [-1, 1] + [last, 0]
        outlines = {name: outline * [-1, 1] + [last, 0] for name, outline in outlines.items()}
    return SimulatedFilm(
        pictures[0], landmarks, pictures[1], pictures[2], outlines, 1 / placement.pixels_per_mm,
        skeleton.limb, placement.side, imaging.inverted,
    )  # fmt: skip


def _expose_together(
    limbs: Sequence[SimulatedFilm], ppmm: float, imaging: Imaging, rng: np.random.Generator
) -> list[SimulatedFilm]:
    """One film of all limbs, with the truth of each."""
    first = limbs[0]
    attenuation = np.asarray(sum(limb.pixels for limb in limbs), dtype=np.float32)
    pixels = imaging.border.apply(expose(attenuation, ppmm, imaging, rng))
    if imaging.marker:
        pixels = mark(pixels, ppmm, first.side, first.limb, rng)
    pixels = deliver(pixels, imaging)
    return [replace(limb, pixels=pixels) for limb in limbs]
