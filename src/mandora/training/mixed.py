"""Real films beside simulated ones: joined sources, and real joints with inflicted damage."""

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
from mandora.training.films import Films, TrainingFilm

DAMAGED_SHARE = 0.4  # sites of a copy that are damaged
KIND_SHARE = 0.7  # of these, narrowed and eroded each; at least one of both
COLUMN = {Damage.NARROWING: 0, Damage.EROSION: 1}  # of score tables


@dataclass(frozen=True)
class JoinedFilms:
    """Several sources of one limb as one; a source may come several times.

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
        """What the source calls the film."""
        part, own = self._of(index)
        return part.name(own)

    def film(self, index: int) -> TrainingFilm:
        """Load or draw a film."""
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
    """Real films as they are, and copies with damage put into joints that are known to be healthy.

    Only sites with the label 0 are damaged, and where the film shows no clear joint line they stay
    as they are. Joints without a label keep none. Joint spaces are damaged with their film; those
    that nobody has outlined stay unknown. Erosions of joints with the label 0 are those inflicted.

    Attributes:
        films: where the films come from.
        copies: of each film; the first one is left as it is.
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
        """The file, and which copy."""
        film, copy = divmod(index, self.copies)
        return self.films.name(film) + (f" with damage {copy}" if copy else "")

    def film(self, index: int) -> TrainingFilm:
        """Read a film and damage it."""
        film, copy = divmod(index, self.copies)
        healthy = self.films.film(film)
        if copy == 0:
            return healthy
        return _damaged(healthy, self.limb, np.random.default_rng([self.seed, film, copy]))


def _damaged(film: TrainingFilm, limb: Limb, rng: np.random.Generator) -> TrainingFilm:
    pixels, landmarks, scores = film.pixels, film.landmarks.copy(), film.scores.copy()
    spaces, erosions, known = film.spaces, film.erosions, film.erosions_known
    if erosions is None:  # a joint without erosions shows those alone that it is given here
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
            continue  # no joint line to work on: stays healthy, and is labelled so
        pixels, spaces, erosions = done.pixels, done.spaces, done.erosions
        for kind, grade in grades.items():
            scores[row, COLUMN[kind]] = grade
        if LANDMARK_INDEX[limb].get(site) == row:
            landmarks[row] = done.landmark
    return replace(
        film, pixels=pixels, landmarks=landmarks, scores=scores, official=scores, spaces=spaces,
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
