"""Films to train on, simulated or of a data set, all turned to look like upright left limbs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from mandora.core.anatomy import LANDMARK_INDEX, LANDMARKS, TARGETS, Damage, Limb, Side, Slot
from mandora.core.errors import InputError
from mandora.core.geometry import Box, Points
from mandora.core.source import code_digest
from mandora.datasets.content import content_digest
from mandora.datasets.dataset import Dataset, DatasetFilm, DatasetRoi, point_scores
from mandora.images.radiograph import MIN_JOINT_PX, UnreadableFilm
from mandora.images.read import read_labels, read_radiograph
from mandora.locate.orientation import orientation_of_landmarks
from mandora.locate.template import limb_template
from mandora.simulate.cohort.patients import draw_patient, simulate_film, simulate_pair
from mandora.simulate.fields import resize
from mandora.simulate.xray.delivery import small_copy
from mandora.training.cache import FilmCache

COARSE_PIXELS_PER_MM = 1.8  # enough for localisers with an input of 256 px
FINE_PIXELS_PER_MM = (4.0, 7.5)  # range of resolution of films from which patches are cut
EVEN_SHARE = 0.12  # of fine films: targets with any grade, whatever the joints around them have
# Share of these films that are shown as a small copy of them looks, and the range of its
# resolution: some archives and data sets keep films of 0.6 mm/px
COPIED_SHARE, COPY_PIXELS_PER_MM = 0.3, (1.6, 4.0)
PAIR_SHARE = 0.15  # of coarse films: those that also show the other hand or foot
OTHER_SHARE = 0.04  # of coarse films: those that show the other kind of limb, and none that counts
# Share of coarse films of feet whose shape deviates more from the mean than in the cohort from
# which shapes are drawn, and the largest deviation: hospitals see more severe hallux valgus.
ODD_SHARE, MOST_ODD = 0.5, 2.2


COLUMN = {kind: i for i, kind in enumerate(Damage)}  # of tables of scores


@dataclass(frozen=True, eq=False)
class TrainingFilm:
    """A film with its labels, turned and mirrored to an upright left limb.

    Attributes:
        pixels: (H, W) float32, 0..1, bright bone.
        landmarks: (N, 2) float64 px of ``pixels``; NaN where not marked.
        scores: (N, 2) float32 narrowing and erosion, the training label; NaN unknown.
        official: (N, 2) float32 likewise, the official label for validation.
        spaces: (H, W) uint8, 1 + index of the landmark in joint spaces; None unknown.
        erosions: (H, W) uint8, likewise of erosions.
        boxes: windows of patches that are not cut around a landmark, by index of the landmark.
        erosions_known: (N,) bool, joints whose erosions are all in ``erosions``; None: all joints.
        outside: indices of landmarks that lie beyond the film, nobody knows where.
    """

    pixels: NDArray[np.float32]
    landmarks: Points
    scores: NDArray[np.float32]
    official: NDArray[np.float32]
    spaces: NDArray[np.uint8] | None
    erosions: NDArray[np.uint8] | None
    boxes: Mapping[int, Box] = field(default_factory=dict)
    erosions_known: NDArray[np.bool_] | None = None
    outside: tuple[int, ...] = ()


class Films(Protocol):
    """A source of training films of one limb; can be sent to another process."""

    @property
    def limb(self) -> Limb:
        """Hand or foot."""

    @property
    def key(self) -> str:
        """Names the content: films with the same key are the same."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """Name of a film in messages."""

    def film(self, index: int) -> TrainingFilm:
        """Read or simulate a film.

        Raises:
            ValueError: naming the film and the reason, if it cannot be used.
        """


@dataclass(frozen=True)
class SimulatedFilms:
    """Films of simulated patients, with a wide range of framing and exposure.

    Attributes:
        limb: hand or foot.
        count: patients, one film of each.
        seed: of the patients.
        fine: high resolution for patches; otherwise coarse films for the localiser, some of
            which also show the other hand or foot, and a few a limb of the other kind, on which
            all landmarks lie outside.
    """

    limb: Limb
    count: int
    seed: int
    fine: bool

    @property
    def key(self) -> str:
        """Names the content."""
        kind = "fine" if self.fine else "coarse"
        code = code_digest(SimulatedFilms)
        return f"simulated-{self.limb}-{kind}-{self.count}-{self.seed}-{code}"

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        """The simulated patient."""
        return f"simulated {self.limb} {index} of seed {self.seed}"

    def film(self, index: int) -> TrainingFilm:
        """Simulate a film."""
        slot = Slot(Side.LEFT, self.limb)
        chance = np.random.default_rng([self.seed, index, self.limb is Limb.HAND, 2])
        if not self.fine and chance.random() < OTHER_SHARE:
            return self._of_other_limb(index)
        rng = np.random.default_rng([self.seed, index, self.limb is Limb.HAND, self.fine])
        if self.fine:
            # from healthy to severe, so that all grades are frequent, the mild ones not least
            severity, immature, even = float(rng.uniform(-0.6, 1.5)), 0.2, EVEN_SHARE
            resolution = float(rng.uniform(*FINE_PIXELS_PER_MM))
        else:
            # more severe than in a cohort: diseased joints are harder to find
            severity, immature, even, resolution = 0.75, 0.3, 0.0, COARSE_PIXELS_PER_MM
        patient = draw_patient(
            self.seed, index, severity=severity, immature_share=immature, even_share=even
        )
        if not self.fine and self.limb is Limb.FOOT and rng.random() < ODD_SHARE:
            deviation = float(rng.uniform(1.0, MOST_ODD))
            patient = replace(patient, traits=replace(patient.traits, shape_deviation=deviation))
        if not self.fine and rng.random() < PAIR_SHARE:
            film, _ = simulate_pair(patient, self.limb, wide=True, pixels_per_mm=resolution)
        else:
            film = simulate_film(patient, slot, wide=True, pixels_per_mm=resolution)
        # a network learns more from how much space is lost than from the grade it is cut into
        scores = point_scores(np.array([patient.score(t) for t in TARGETS]), slot)
        grades = point_scores(np.array([patient.grades[t.key] for t in TARGETS], float), slot)
        pixels = film.bright
        if self.fine and rng.random() < COPIED_SHARE:
            pixels = _like_a_copy(pixels, resolution, rng)
        return TrainingFilm(pixels, film.landmarks, scores, grades, film.spaces, film.erosions)

    def _of_other_limb(self, index: int) -> TrainingFilm:
        """A film on which no landmark of this limb is to be found."""
        other = Limb.FOOT if self.limb is Limb.HAND else Limb.HAND
        patient = draw_patient(self.seed, index, severity=0.75, immature_share=0.3)
        film = simulate_film(
            patient, Slot(Side.LEFT, other), wide=True, pixels_per_mm=COARSE_PIXELS_PER_MM
        )
        count = len(LANDMARKS[self.limb])
        unknown = np.full((count, len(Damage)), np.nan, np.float32)
        nowhere, all_of_them = np.full((count, 2), np.nan), tuple(range(count))
        return TrainingFilm(film.bright, nowhere, unknown, unknown, None, None, outside=all_of_them)


def _like_a_copy(
    pixels: NDArray[np.float32], pixels_per_mm: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """What a small copy of a film still shows, on the film's own grid: its masks stay sharp.

    Args:
        pixels: (H, W) float32, 0..1.
        pixels_per_mm: of the film.
        rng: of the copy's resolution and compression.
    """
    low, high = np.log(COPY_PIXELS_PER_MM)
    share = min(float(np.exp(rng.uniform(low, high))) / pixels_per_mm, 1.0)
    copy = small_copy(pixels, share, quality=int(rng.integers(80, 98)))
    return resize(copy, (pixels.shape[0], pixels.shape[1]), Image.Resampling.BILINEAR)


@dataclass(frozen=True, eq=False)
class LabelledFilms:
    """The films of a data set, and its pictures of single joints.

    Attributes:
        dataset: all its patients are used.
        limb: hand or foot.
        cache: folder for decoded films.
        rois: use pictures of single joints as well.
    """

    dataset: Dataset
    limb: Limb
    cache: Path
    rois: bool = True

    @cached_property
    def _items(self) -> tuple[DatasetFilm | DatasetRoi, ...]:
        films = [film for film in self.dataset.films if film.slot.limb is self.limb]
        rois = [roi for roi in self.dataset.rois if self.rois and roi.slot.limb is self.limb]
        return (*films, *rois)

    @cached_property
    def key(self) -> str:
        """Names the content of files and labels."""
        content = content_digest(self.dataset, self._items)
        return f"{self.dataset.layout}-{self.limb}-{content}-{code_digest(LabelledFilms)}"

    def __len__(self) -> int:
        return len(self._items)

    def name(self, index: int) -> str:
        """The file."""
        return self._items[index].path.name

    def film(self, index: int) -> TrainingFilm:
        """Read a film."""
        item = self._items[index]
        if isinstance(item, DatasetRoi):
            return _roi(item)
        scores = point_scores(self.dataset.training_scores(item.patient), item.slot)
        unknown = np.full(len(TARGETS), np.nan)
        official = point_scores(self.dataset.official.get(item.patient, unknown), item.slot)
        pixels = FilmCache(self.cache).film(item.path)
        film = TrainingFilm(
            pixels, item.landmarks, scores, official,
            item.space_map(pixels.shape), item.erosion_map(pixels.shape), outside=item.outside,
        )  # fmt: skip
        return _upright(film, item.slot)


def _upright(film: TrainingFilm, slot: Slot) -> TrainingFilm:
    """The film turned so that fingers or toes point up, and mirrored if it is a right limb."""
    # the orientation follows from the film's own landmarks, not from its name
    lies = orientation_of_landmarks(film.landmarks, limb_template(slot.limb), slot.side)
    height, width = film.pixels.shape
    landmarks = lies.to_upright((height, width))(film.landmarks)
    if lies.mirrored:
        landmarks = landmarks * [-1, 1] + [(height if lies.turns % 2 else width) - 1, 0]

    def turned(pixels: NDArray[Any]) -> NDArray[Any]:
        upright = np.rot90(pixels, lies.turns)
        return upright[:, ::-1] if lies.mirrored else upright

    return _moved(replace(film, landmarks=landmarks), turned)


def _moved(film: TrainingFilm, move: Callable[[NDArray[Any]], NDArray[Any]]) -> TrainingFilm:
    """The film with pixels and label maps moved alike."""
    pixels, spaces, erosions = film.pixels, film.spaces, film.erosions
    return replace(
        film,
        pixels=np.ascontiguousarray(move(pixels)),
        spaces=None if spaces is None else np.ascontiguousarray(move(spaces)),
        erosions=None if erosions is None else np.ascontiguousarray(move(erosions)),
    )


def _roi(roi: DatasetRoi) -> TrainingFilm:
    """The picture of a single joint, all of which is the patch."""
    pixels = read_radiograph(roi.path, MIN_JOINT_PX).pixels
    height, width = pixels.shape
    count = len(LANDMARKS[roi.slot.limb])
    landmarks = np.full((count, 2), np.nan)
    scores = np.full(len(TARGETS), np.nan)
    for i, target in enumerate(TARGETS):
        scores[i] = roi.scores.get(target.key, np.nan)
    table = point_scores(scores, roi.slot)
    boxes, used = {}, np.zeros(count, bool)
    for landmark in roi.landmarks:
        index = LANDMARK_INDEX[roi.slot.limb][landmark.name]
        landmarks[index] = (width - 1) / 2, (height - 1) / 2
        half = max(width, height) / 2
        boxes[index], used[index] = Box.around(landmarks[index], half), True
    table[~used] = np.nan
    label = 1 + LANDMARK_INDEX[roi.slot.limb][roi.landmarks[0].name]
    spaces = None if roi.bones is None else space_between(_mask(roi.bones, roi.path, pixels))
    erosions = None if roi.erosions is None else _mask(roi.erosions, roi.path, pixels)
    film = TrainingFilm(
        pixels, landmarks, table, table,
        None if spaces is None else spaces.astype(np.uint8) * label,
        None if erosions is None else erosions.astype(np.uint8) * label, boxes,
    )  # fmt: skip
    if roi.slot.side is Side.LEFT:
        return film
    # the box is the whole picture, so that the flip leaves it where it is
    return _moved(film, np.fliplr)


def _mask(path: Path, picture: Path, pixels: NDArray[np.float32]) -> NDArray[np.bool_]:
    try:
        mask = read_labels(path, as_grey=True).values > 0
    except UnreadableFilm as error:
        fault = str(error).removeprefix(f"{path.name}: ")
        raise InputError(
            f"{path}: cannot be read as a mask ({fault}); save it as PNG again"
        ) from error
    if mask.shape != pixels.shape:
        raise InputError(
            f"{path}: has {mask.shape[1]} × {mask.shape[0]} px, {picture.name} has "
            f"{pixels.shape[1]} × {pixels.shape[0]}; export the mask at the picture's size"
        )
    return mask


def space_between(bones: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The gap between bones: px that a morphological closing adds to the mask of bone.

    Args:
        bones: (H, W) mask of bone. The closing spans a tenth of the shorter side.
    """
    reach = max(1, min(bones.shape) // 20)
    grown = np.pad(bones, reach + 1, mode="edge")
    disc = np.hypot(*np.ogrid[-reach : reach + 1, -reach : reach + 1]) <= reach
    closed = ndimage.binary_closing(grown, disc)[reach + 1 : -reach - 1, reach + 1 : -reach - 1]
    return np.asarray(closed & ~bones)
