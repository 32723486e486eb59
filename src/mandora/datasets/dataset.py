"""A labelled data set in memory: films, landmarks, joint spaces and scores, from any layout.

Nothing is decoded when a data set is opened: films and masks are read when they are needed.
Scores are kept per reader, so that training can use a weighted mean of several readers while
validation uses the official label.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import LANDMARKS, TARGET_INDEX, TARGETS, Damage, Landmark, Slot
from mandora.core.errors import InputError
from mandora.core.geometry import Points
from mandora.datasets.label_maps import check_label_size, fill_outlines, read_label_map
from mandora.datasets.outlines import Outline
from mandora.datasets.score_tables import Scores, unknown_scores

Labels = Path | tuple[Outline, ...] | None
"""The pixels of joints: a label map's file, polygons, or unknown."""


@dataclass(frozen=True, eq=False)
class DatasetFilm:
    """One film of one patient with what is known of it.

    Attributes:
        patient: the patient's id.
        slot: which film it is.
        path: the film's file.
        landmarks: (N, 2) float64, (x, y), px of the film as ``images.read_radiograph`` gives it,
            order of ``anatomy.LANDMARKS[slot.limb]``; NaN where a joint is not marked.
        spaces: joint spaces: a PNG label map (1 + index of the landmark), polygons, or None.
        erosions: outlines of erosions, likewise.
        label_size: (width, height), px, of the film that polygons and joints were marked on,
            if their files say so.
        outside: indices of landmarks that are said to lie beyond the film, without a place. One
            with a place beyond the film is marked there.
        erosive: an expert's label of the whole film: any erosion; None if unknown.
        impressions: what people saw at sites, by their names: ``normal``, ``damaged`` or
            ``unclear``.
    """

    patient: str
    slot: Slot
    path: Path
    landmarks: Points
    spaces: Labels = None
    erosions: Labels = None
    label_size: tuple[int, int] | None = None
    outside: tuple[int, ...] = ()
    erosive: bool | None = None
    impressions: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The film's file name."""
        return self.path.name

    def space_map(self, shape: tuple[int, int]) -> NDArray[np.uint8] | None:
        """The joint spaces as a label map.

        Args:
            shape: (height, width) of the film as it was read, px.

        Returns:
            (H, W) uint8, 1 + index of the landmark in ``anatomy.LANDMARKS``, 0 elsewhere; None if
            no joint space of the film is known.

        Raises:
            ValueError: naming the file, if it cannot be read or was made for another size.
        """
        return self._map(self.spaces, shape)

    def erosion_map(self, shape: tuple[int, int]) -> NDArray[np.uint8] | None:
        """The erosions as a label map, as :meth:`space_map`."""
        return self._map(self.erosions, shape)

    def _map(self, labels: Labels, shape: tuple[int, int]) -> NDArray[np.uint8] | None:
        if isinstance(labels, Path):
            return read_label_map(labels, shape, self.slot.limb)
        if self.label_size is not None:
            check_label_size(f"labels of {self.path}", self.label_size, shape)
        if labels is None:
            return None
        try:
            return fill_outlines(labels, shape, self.slot.limb)
        except InputError as error:
            raise InputError(f"polygons of {self.path}: {error}") from error


@dataclass(frozen=True, eq=False)
class DatasetRoi:
    """A joint that comes as a picture of its own, as in RAM-H1200.

    Attributes:
        patient: the patient's id.
        slot: the film that it was cut from.
        landmarks: the landmarks that this picture serves, of ``anatomy.LANDMARKS[slot.limb]``.
        path: the picture.
        scores: SvH score by target key, as far as known.
        bones: mask of bone, or None.
        erosions: mask of erosions, or None.
    """

    patient: str
    slot: Slot
    landmarks: tuple[Landmark, ...]
    path: Path
    scores: Mapping[str, float]
    bones: Path | None = None
    erosions: Path | None = None


@dataclass(frozen=True, eq=False)
class Dataset:
    """A labelled data set.

    Attributes:
        root: folder or file that it was opened from.
        layout: ``ra2``, ``ram-h1200``, ``ram-w600`` or ``manifest``.
        films: whole films.
        rois: joints without their films.
        official: the label that validation uses, by patient.
        readers: each reader's scores by patient; empty if only the official label is known.
        weights: weight of each reader in the label that training uses.
        persons: whose films a patient's are, by the patient's id: a person may have several ids,
            one for each visit. Whoever is not named has one id.
    """

    root: Path
    layout: str
    films: tuple[DatasetFilm, ...]
    rois: tuple[DatasetRoi, ...]
    official: Mapping[str, Scores]
    readers: Mapping[str, Mapping[str, Scores]] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    persons: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of its folder; files in which data sets are written all have the same name."""
        root = self.root.resolve()
        return (root.parent if root.is_file() else root).name

    @property
    def patients(self) -> tuple[str, ...]:
        """All patients, each once, in the data set's order."""
        named = [film.patient for film in self.films] + [roi.patient for roi in self.rois]
        return tuple(dict.fromkeys(named))

    def training_scores(self, patient: str) -> Scores:
        """The readers' weighted mean, target by target over those who scored it.

        Without readers, or with only weights of 0, the official label.
        """
        chosen = [
            (scores[patient], self.weights.get(name, 1.0))
            for name, scores in self.readers.items()
            if patient in scores
        ]
        official = self.official.get(patient, unknown_scores())
        if not chosen:
            return official
        table = np.stack([scores for scores, _ in chosen])
        weights = np.array([weight for _, weight in chosen])[:, None] * np.isfinite(table)
        total = weights.sum(axis=0)
        mean = np.nansum(np.nan_to_num(table) * weights, axis=0) / np.where(total > 0, total, 1)
        return np.asarray(np.where(total > 0, mean, official))

    def read_by(self, reader: str) -> Dataset:
        """The same data set with the scores of one of its readers as official label.

        Raises:
            ValueError: if there is no such reader.
        """
        if reader not in self.readers:
            known = ", ".join(self.readers) or "none"
            raise InputError(f"{self.root} has no reader {reader!r}; its readers are {known}")
        return replace(self, official=self.readers[reader])

    def marked(self) -> Dataset:
        """The part of the data set whose films have a marked joint, and its pictures of joints."""
        known = (film for film in self.films if np.isfinite(film.landmarks).all(axis=1).any())
        return replace(self, films=tuple(known))

    def of_patients(self, patients: frozenset[str]) -> Dataset:
        """The part of the data set that belongs to these patients."""
        return replace(
            self,
            films=tuple(film for film in self.films if film.patient in patients),
            rois=tuple(roi for roi in self.rois if roi.patient in patients),
        )


def point_scores(scores: Scores, slot: Slot) -> NDArray[np.float32]:
    """Scores of one film landmark by landmark.

    Args:
        scores: of the patient.
        slot: the film.

    Returns:
        (N, 2) float32 narrowing and erosion of each landmark of the limb; NaN where the landmark
        has no such score or it is not known.
    """
    table = np.full((len(LANDMARKS[slot.limb]), 2), np.nan, np.float32)
    for row, landmark in enumerate(LANDMARKS[slot.limb]):
        for target in TARGETS:
            if target.slot == slot and target.site.landmark_name == landmark.name:
                column = 0 if target.damage is Damage.NARROWING else 1
                table[row, column] = scores[TARGET_INDEX[target.key]]
    return table
