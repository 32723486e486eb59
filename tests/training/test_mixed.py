"""Real films beside simulated ones: an index finds its film, labels say what was inflicted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest

from mandora.core.anatomy import LANDMARKS, Limb, Side, Slot
from mandora.datasets.dataset import point_scores
from mandora.simulate.cohort.patients import draw_patient, simulate_film
from mandora.training.films import TrainingFilm
from mandora.training.mixed import InflictedFilms, JoinedFilms

LH = Slot(Side.LEFT, Limb.HAND)
HEALTHY = np.zeros(86)


@dataclass(frozen=True)
class Hands:
    """Films of hands that are labelled as healthy, but for what is not known."""

    seed: int
    count: int = 1
    known: bool = True
    outlined: bool = False
    limb: Limb = Limb.HAND

    @property
    def key(self) -> str:
        return f"hands {self.seed} {self.count} {self.known}"

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        return f"hand {self.seed}.{index}"

    @cached_property
    def only(self) -> TrainingFilm:
        patient = draw_patient(self.seed, 0, severity=-3.0)
        film = simulate_film(patient, LH, pixels_per_mm=4.0)
        table = point_scores(HEALTHY, LH)
        if not self.known:
            table[:, 1] = np.nan  # nobody has looked for erosions
        maps = (film.spaces, film.erosions) if self.outlined else (None, None)
        return TrainingFilm(film.bright, film.landmarks, table, table, *maps)

    def film(self, index: int) -> TrainingFilm:
        return self.only


def test_joined_sources_keep_their_order() -> None:
    joined = JoinedFilms((Hands(1, 2), Hands(2, 3), Hands(2, 3)))
    assert len(joined) == 8
    assert [joined.name(i) for i in (0, 1, 2, 4, 5, 7)] == [
        "hand 1.0", "hand 1.1", "hand 2.0", "hand 2.2", "hand 2.0", "hand 2.2",
    ]  # fmt: skip
    assert joined.limb is Limb.HAND
    with pytest.raises(IndexError):
        joined.name(8)
    assert joined.key != JoinedFilms((Hands(1, 2), Hands(2, 3))).key


def test_the_first_copy_is_the_film_and_the_others_are_damaged_where_labels_say() -> None:
    source = Hands(3)
    films = InflictedFilms(source, copies=3, seed=5)
    assert len(films) == 3
    assert [films.name(i) for i in range(3)] == [
        "hand 3.0", "hand 3.0 with damage 1", "hand 3.0 with damage 2",
    ]  # fmt: skip
    healthy = films.film(0)
    assert healthy is source.only
    seen = []
    for index in (1, 2):
        film = films.film(index)
        damaged = np.nan_to_num(film.scores) > 0
        assert 4 < damaged.sum() < 30
        # what is not scored at a landmark gets no score
        np.testing.assert_array_equal(np.isnan(film.scores), np.isnan(healthy.scores))
        unit = np.linalg.norm(film.landmarks[6] - film.landmarks[9])
        changed = film.pixels != healthy.pixels
        assert changed.any()
        for i, landmark in enumerate(LANDMARKS[Limb.HAND]):
            x, y = np.round(film.landmarks[i]).astype(int)
            half = round(0.1 * unit)
            near = changed[y - half : y + half, x - half : x + half]
            if damaged[i].any() and landmark.name not in ("radcar", "mul", "mna", "capnlun"):
                assert near.any(), landmark.name
        seen.append(film)
    assert (seen[0].pixels != seen[1].pixels).any()
    again = InflictedFilms(Hands(3), copies=3, seed=5).film(1)
    np.testing.assert_array_equal(again.pixels, seen[0].pixels)
    np.testing.assert_array_equal(again.scores, seen[0].scores)
    assert InflictedFilms(source, 3, 6).key != films.key


def test_joints_without_a_label_keep_none() -> None:
    film = InflictedFilms(Hands(3, known=False), copies=2, seed=1).film(1)
    assert np.isnan(film.scores[:, 1]).all()
    assert np.nanmax(film.scores[:, 0]) > 0


def test_outlines_are_damaged_with_their_film() -> None:
    source = Hands(3, outlined=True)
    film = InflictedFilms(source, copies=2, seed=5).film(1)
    assert film.spaces is not None
    assert film.erosions is not None
    assert film.erosions_known is None, "all of them are"
    narrowed, eroded = (np.nan_to_num(film.scores[:, kind]) for kind in (0, 1))
    healthy = source.only
    assert healthy.spaces is not None
    for i, landmark in enumerate(LANDMARKS[Limb.HAND]):
        before, after = ((m == i + 1).sum() for m in (healthy.spaces, film.spaces))
        if narrowed[i] == 4:
            assert after == 0 < before, landmark.name
        elif narrowed[i] > 1 and before:
            assert after < 0.9 * before, landmark.name
        assert (film.erosions == i + 1).any() == (eroded[i] > 0), landmark.name
    grades = np.nan_to_num(film.official[:, 0])
    assert {1, 2, 3, 4} <= set(grades)
    # the network learns how much of the space is lost, readers give whole grades
    np.testing.assert_array_equal(np.floor(narrowed + 0.5), grades)
    assert (narrowed % 1 > 0).any()


def test_without_outlines_spaces_stay_unknown_and_erosions_are_those_inflicted() -> None:
    film = InflictedFilms(Hands(3), copies=2, seed=5).film(1)
    assert film.spaces is None
    assert film.erosions is not None
    assert film.erosions_known is not None
    scored = np.isfinite(film.scores[:, 1])
    np.testing.assert_array_equal(film.erosions_known, scored)
    eroded = {i for i in range(len(scored)) if np.nan_to_num(film.scores[i, 1]) > 0}
    assert {int(i) - 1 for i in np.unique(film.erosions) if i} == eroded
    # of joints that nobody has looked at nothing is known
    film = InflictedFilms(Hands(3, known=False), copies=2, seed=5).film(1)
    assert film.erosions_known is not None
    assert not film.erosions_known.any()
