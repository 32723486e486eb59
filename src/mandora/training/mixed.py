"""Real films in addition to simulated ones: joined sources, and real joints with added damage."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mandora.core.anatomy import FAMILIES, LANDMARK_INDEX, Damage, Limb
from mandora.core.errors import InputError
from mandora.core.source import code_digest
from mandora.inflict.inflicted import inflict
from mandora.training.films import COLUMN, Films, TrainingFilm

DAMAGED_SHARE = 0.4  # of the sites of a copy
KIND_SHARE = 0.7  # of these, for narrowing and for erosion; every site has at least one


@dataclass(frozen=True)
class JoinedFilms:
    """Several sources of one limb as one; a source may be repeated.

    Attributes:
        parts: the sources, all of the same limb.
    """

    parts: tuple[Films, ...]

    @property
    def limb(self) -> Limb:
        """Hand or foot."""
        return self.parts[0].limb

    @property
    def key(self) -> str:
        """Names the content."""
        return hashlib.sha256(" ".join(part.key for part in self.parts).encode()).hexdigest()[:24]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def name(self, index: int) -> str:
        """Name of the film in its source."""
        part, own = self._of(index)
        return part.name(own)

    def film(self, index: int) -> TrainingFilm:
        """Read or simulate a film."""
        part, own = self._of(index)
        return part.film(own)

    def _of(self, index: int) -> tuple[Films, int]:
        for part in self.parts:
            if index < len(part):
                return part, index
            index -= len(part)
        raise IndexError(index)


@dataclass(frozen=True)
class InflictedFilms:
    """Real films as they are, and copies with damage added to healthy joints.

    Only sites with the label 0 are damaged; those without a clear joint line are left as they are.
    Joints without a label stay without. Joint spaces change with their film; without outlines they
    stay unknown. Joints with the label 0 have exactly the erosions that were added.

    Attributes:
        films: the source.
        copies: of each film; the first is the film as it is.
        seed: of sites and grades.
    """

    films: Films
    copies: int
    seed: int

    @property
    def limb(self) -> Limb:
        """Hand or foot."""
        return self.films.limb

    @property
    def key(self) -> str:
        """Names the content."""
        code = code_digest(InflictedFilms)
        return f"inflicted-{self.copies}-{self.seed}-{code}-{self.films.key}"

    def __len__(self) -> int:
        return self.copies * len(self.films)

    def name(self, index: int) -> str:
        """The file, and the number of the copy."""
        film, copy = divmod(index, self.copies)
        return self.films.name(film) + (f" with damage {copy}" if copy else "")

    def film(self, index: int) -> TrainingFilm:
        """Read a film and add the damage."""
        film, copy = divmod(index, self.copies)
        healthy = self.films.film(film)
        if copy == 0:
            return healthy
        return _damaged(healthy, self.limb, np.random.default_rng([self.seed, film, copy]))


def _damaged(film: TrainingFilm, limb: Limb, rng: np.random.Generator) -> TrainingFilm:
    pixels, landmarks, scores = film.pixels, film.landmarks.copy(), film.scores.copy()
    official = film.scores.copy()
    spaces, erosions, known = film.spaces, film.erosions, film.erosions_known
    if erosions is None:  # a healthy joint has only the erosions that are added here
        erosions, known = (
            np.zeros(pixels.shape, np.uint8),
            film.scores[:, COLUMN[Damage.EROSION]] == 0,
        )
    for site, grades, row in _drawn(film.scores, limb, rng):
        try:
            done = inflict(
                pixels, film.landmarks, site, seed=int(rng.integers(2**31)),
                narrowing=grades.get(Damage.NARROWING), erosion=grades.get(Damage.EROSION),
                spaces=spaces, erosions=erosions,
            )  # fmt: skip
        except InputError:
            continue  # without a joint line it stays healthy, and so does its label
        pixels, spaces, erosions = done.pixels, done.spaces, done.erosions
        for kind, grade in grades.items():
            scores[row, COLUMN[kind]] = done.scores[kind]
            official[row, COLUMN[kind]] = grade
        if LANDMARK_INDEX[limb].get(site) == row:
            landmarks[row] = done.landmark
    return replace(
        film, pixels=pixels, landmarks=landmarks, scores=scores, official=official, spaces=spaces,
        erosions=erosions, erosions_known=known,
    )  # fmt: skip


def _drawn(
    known: NDArray[np.float32], limb: Limb, rng: np.random.Generator
) -> Iterator[tuple[str, dict[Damage, int], int]]:
    """Name, grades and row in the table of each site that is to be damaged."""
    sites = {site.name: site for kind in Damage for site in FAMILIES[limb, kind]}
    for name, any_kind in sites.items():
        row = LANDMARK_INDEX[limb][any_kind.landmark_name]
        kinds = [
            (kind, site.maximum)
            for kind in Damage
            for site in FAMILIES[limb, kind]
            if site.name == name and known[row, COLUMN[kind]] == 0
        ]
        if not kinds or rng.random() >= DAMAGED_SHARE:
            continue
        chosen = [one for one in kinds if rng.random() < KIND_SHARE] or [
            kinds[int(rng.integers(len(kinds)))]
        ]
        yield name, {kind: int(rng.integers(1, most + 1)) for kind, most in chosen}, row
