"""What a data set holds, as one digest: whatever is made of it is named by that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from mandora.core.inputs import NotRegular, file_sha256
from mandora.datasets.dataset import Dataset, DatasetFilm, DatasetRoi, Labels
from mandora.datasets.score_tables import unknown_scores


def content_digest(
    dataset: Dataset, items: Iterable[DatasetFilm | DatasetRoi] | None = None
) -> str:
    """Changes with anything that is known of films and patients.

    That is, of each film or picture of a joint: its bytes, name, patient and slot, its landmarks,
    joint spaces and erosions, whether they are drawn or in files, and what people saw; of their
    patients: the official label, and the scores and the weight of each reader. Where the files
    lie does not count; one that is not there counts as such.

    Args:
        dataset: opened.
        items: those of its films and pictures of joints that are meant; None: all.

    Returns:
        64 hexadecimal digits.
    """
    every: tuple[DatasetFilm | DatasetRoi, ...] = (*dataset.films, *dataset.rois)
    chosen = every if items is None else tuple(items)
    digest = hashlib.sha256(dataset.layout.encode())
    for item in chosen:
        labels = _of_roi(item) if isinstance(item, DatasetRoi) else _of_film(item)
        known = [item.path.name, _of_file(item.path), item.patient, item.slot.code, *labels]
        digest.update(json.dumps(known).encode())
    unknown = unknown_scores()
    for patient in dict.fromkeys(item.patient for item in chosen):
        scores = [patient, dataset.official.get(patient, unknown).tolist()]
        scores += [dataset.persons[patient]] if patient in dataset.persons else []
        for name in sorted(dataset.readers):
            given = dataset.readers[name].get(patient, unknown).tolist()
            scores.append([name, dataset.weights.get(name, 1.0), given])
        digest.update(json.dumps(scores).encode())
    return digest.hexdigest()


def _of_film(film: DatasetFilm) -> list[object]:
    drawn = [_of_labels(film.spaces), _of_labels(film.erosions)]
    known = [film.landmarks.tolist(), film.outside, film.label_size]
    looks = [film.erosive, dict(sorted(film.impressions.items()))]
    return ["film", *known, *looks, *drawn]


def _of_roi(roi: DatasetRoi) -> list[object]:
    names = [landmark.name for landmark in roi.landmarks]
    return ["joint", names, dict(sorted(roi.scores.items())),
            _of_labels(roi.bones), _of_labels(roi.erosions)]  # fmt: skip


def _of_labels(labels: Labels) -> object:
    if labels is None or isinstance(labels, Path):
        return labels and _of_file(labels)
    return [[outline.site, outline.points.tolist()] for outline in labels]


def _of_file(path: Path) -> str:
    try:
        return file_sha256(path)
    except (OSError, NotRegular):
        return "cannot be read"
