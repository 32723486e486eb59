"""A model on real films: the data sets that ``real_adults.py`` needs, and its scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
from real_films import Part
from real_films_data_set import KnownLimb, add_places, known_limbs, write_data_set

from mandora.core.parallel.workers import map_items
from mandora.datasets.dataset import Dataset
from mandora.datasets.layouts import open_dataset
from mandora.evaluation.assess import Assessed, assess
from mandora.model.bundle import open_bundle
from mandora.scoring.pipeline import Pipeline


@dataclass
class Trial:
    """A model on the films of a folder.

    Attributes:
        bundle: folder of the model.
        folder: of the real films.
        parts: of its films.
        work: folder for data sets.
        workers: processes.
        than: rows of another model, by block and words.
    """

    bundle: Path
    folder: Path
    parts: Sequence[Part]
    work: Path
    workers: int
    than: dict[tuple[str, str], float]

    def limbs(self, *sets: str, healthy: bool = False) -> list[KnownLimb]:
        """The limbs on films of these sets in the parts."""
        return [
            limb for part in self.parts
            for limb in known_limbs(self.folder, sets, part, healthy)
        ]  # fmt: skip

    def real(self, name: str, limbs: Sequence[KnownLimb]) -> Dataset:
        """A data set of these limbs, at marked joints."""
        add_places(limbs)
        return open_dataset(write_data_set(limbs, self.work / f"{name}-{'-'.join(self.parts)}"))

    def adolescents(self) -> Dataset:
        """Healthy hands of adolescents, at the joints that the packaged model found at first.

        They have no part ``test``: for it those of the part ``development`` are taken.
        """
        parts = ["development" if part == "test" else part for part in self.parts]
        place = self.work / f"adolescents-{'-'.join(sorted(set(parts)))}"
        if not (place / "manifest.csv").exists():
            limbs = replace(self, parts=sorted(set(parts))).limbs("rsna", healthy=True)
            add_places(limbs, locate=True)
            write_data_set(limbs, place)
        return open_dataset(place)

    def assessed(self, dataset: Dataset) -> Assessed:
        """The model on a data set, some patients in each process."""
        count = min(self.workers, len(dataset.patients))
        parts = [dataset.of_patients(frozenset(dataset.patients[i::count])) for i in range(count)]
        made = list(map_items(partial(assessed_part, self.bundle), parts, count))
        return Assessed(
            tuple(film for part in made for film in part.films),
            {key: np.concatenate([p.landmarks[key] for p in made]) for key in made[0].landmarks},
            {key: np.concatenate([p.scores[key] for p in made]) for key in made[0].scores},
            sum((Counter(part.reasons) for part in made), Counter()),
        )


def assessed_part(bundle: Path, dataset: Dataset) -> Assessed:
    """The model on a part of a data set."""
    return assess(_pipeline(bundle), dataset, warn=print)


@cache
def _pipeline(bundle: Path) -> Pipeline:
    """The model, loaded once in each process."""
    return Pipeline.from_bundle(open_bundle(bundle), threads=1)
