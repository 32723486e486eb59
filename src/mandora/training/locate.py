"""Training of the localisers: from films to heat maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mandora.core.anatomy import LANDMARKS
from mandora.core.errors import InputError
from mandora.core.geometry import Box, limb_size
from mandora.core.settings import FilmChangeSettings, LocateSettings
from mandora.images.channels import published_film_channels, standardise, stretched_film, whole_film
from mandora.locate.decode import read_heat_maps
from mandora.locate.targets import heat_maps, squares
from mandora.locate.template import limb_template
from mandora.training.augment import (
    Change,
    StoredFilm,
    as_batch,
    draw_film_change,
    expose,
    move,
    px_shown,
    smaller,
    smaller_px,
    standardise_batch,
)
from mandora.training.cache import Arrays, Prepared, Shapes, prepare
from mandora.training.films import Films
from mandora.training.losses import heat_map_loss
from mandora.training.mixed import JoinedFilms
from mandora.training.task import Batch, Draw, Mean

VALIDATION_BATCH = 16


def prepare_films(
    films: Films,
    settings: LocateSettings,
    cache: Path,
    workers: int,
    progress: Callable[[int, int], None],
) -> Prepared:
    """Films at the size of the network's input, kept in the cache.

    Returns:
        ``film`` (n, C, S, S) float16, ``landmarks`` (n, N, 2) float32 px of the input,
        ``outside`` (n, N) bool, landmarks that are known to lie beyond the film, ``film_hw``
        (n, 2) float32 px of the film.
    """
    if isinstance(films, JoinedFilms):  # part by part: those prepared before are used again
        return Prepared.joined(
            [prepare_films(part, settings, cache, workers, progress) for part in films.parts]
        )
    size, channels = settings.input_px, settings.channels
    shapes: Shapes = {
        "film": ((channels, size, size), "float16"),
        "landmarks": ((len(LANDMARKS[films.limb]), 2), "float32"),
        "outside": ((len(LANDMARKS[films.limb]),), "bool"),
        "film_hw": ((2,), "float32"),
    }
    key = f"locate {films.key} {size} {channels} {settings.keep_aspect}"
    make = partial(_one, films, settings)
    return prepare(cache, key, len(films), shapes, make, workers, progress)


def _one(films: Films, settings: LocateSettings, index: int) -> Arrays:
    film = films.film(index)
    if settings.keep_aspect:
        seen, to_network = whole_film(film.pixels, settings.input_px, mirror=False)
    else:
        seen, to_network = stretched_film(film.pixels, settings.input_px, mirror=False)
        seen = seen if settings.channels == 3 else standardise(seen)
    stack = published_film_channels(seen) if settings.channels == 3 else seen[None]
    height, width = film.pixels.shape
    x, y = film.landmarks.T
    outside = (x < -0.5) | (x >= width - 0.5) | (y < -0.5) | (y >= height - 0.5)
    outside[list(film.outside)] = True
    return {
        "film": stack.astype(np.float16),
        "landmarks": to_network(film.landmarks).astype(np.float32),
        "outside": outside,
        "film_hw": np.array(film.pixels.shape, np.float32),
    }


class LocateTask:
    """Finding all landmarks of a limb, or one of them.

    Args:
        films: source of the items.
        settings: of the network.
        changes: of the films.
        train: prepared films to train on.
        held: prepared films to measure on.
        landmark: index of the only landmark that is looked for; None: all of them.

    Raises:
        ValueError: if no film with a marked joint is left to train or to measure on.
    """

    def __init__(
        self,
        films: Films,
        settings: LocateSettings,
        changes: FilmChangeSettings,
        train: Prepared,
        held: Prepared,
        landmark: int | None = None,
    ) -> None:
        self._films, self._settings, self._changes = films, settings, changes
        self._train, self._held = train.arrays, held.arrays
        self._columns = slice(None) if landmark is None else slice(landmark, landmark + 1)
        self._usable = [i for i in range(len(films)) if self._known(train, i)]
        self._measured = [i for i in range(len(held.arrays["landmarks"])) if self._marked(held, i)]
        if not self._usable or not self._measured:
            raise InputError(
                f"no {films.limb} with marked joints is left to "
                f"{'measure' if self._usable else 'train'} on; add films or joints"
            )

    def _marked(self, films: Prepared, index: int) -> bool:
        landmarks = films.arrays["landmarks"][index, self._columns]
        return index not in films.refused and bool(np.isfinite(landmarks).any())

    def _known(self, films: Prepared, index: int) -> bool:
        """Whether there is something to learn, be it that nothing is to be found."""
        outside = bool(films.arrays["outside"][index, self._columns].any())
        return self._marked(films, index) or (index not in films.refused and outside)

    def order(self, key: tuple[int, int]) -> Sequence[int]:
        """Every film of which something is known, once."""
        return [int(i) for i in np.random.default_rng(key).permutation(self._usable)]

    def name(self, item: int) -> str:
        """The film's name."""
        return self._films.name(item)

    def batch(self, draws: Sequence[Draw]) -> Batch:
        """``film`` (B, C, S, S), its changes, and ``target`` (B, N, s, s) of the changed film."""
        settings, size = self._settings, self._settings.input_px
        step = settings.heat_map_stride * 2 ** (len(settings.widths) - 1)
        side = smaller_px(size, step) if draws[0].small else size
        changes, targets = [], []
        for item, key, _ in draws:
            stored = self._stored(item)
            change = smaller(draw_film_change(key, self._changes, stored), side / size)
            changes.append(change)
            targets.append(self._target(change, stored, item, side))
        films = np.stack([self._train["film"][draw.item] for draw in draws])
        return {
            "film": torch.from_numpy(films).float(),
            "target": torch.from_numpy(np.stack(targets)),
            **as_batch(changes),
            "side": torch.full((len(draws),), side),
        }

    def _stored(self, item: int) -> StoredFilm:
        """What is known of a film before it is changed."""
        settings, landmarks = self._settings, np.asarray(self._train["landmarks"][item])
        size = settings.input_px
        half = np.full(2, size / 2)
        if settings.keep_aspect:
            width_height = np.asarray(self._train["film_hw"][item])[::-1]
            half = half * width_height / width_height.max()
        (x0, y0), (x1, y1) = (size - 1) / 2 - half, (size - 1) / 2 + half
        try:
            limb_px = limb_size(landmarks, limb_template(self._films.limb))
        except InputError:  # fewer than two are known
            limb_px = None
        return StoredFilm(size, Box(x0, y0, x1, y1), landmarks[self._columns], limb_px)

    def _target(
        self, change: Change, stored: StoredFilm, item: int, side_px: int
    ) -> NDArray[np.float32]:
        """(N, s, s): what the network should draw; empty for what is not shown, -1 unknown."""
        settings, landmarks = self._settings, change(stored.landmarks)
        if settings.target == "square":
            # drawn on the whole film, and stretched with the part that is left
            film_hw, enlarged = self._train["film_hw"][item], side_px / settings.input_px
            stretch = change.matrix[0, 0] / enlarged, change.matrix[1, 1] / enlarged
            half_px = settings.square_half_px
            if settings.keep_aspect:  # the film is padded, and squares stay squares
                side = film_hw.max()
                half_px *= float(np.sqrt(film_hw.prod()) / side)
                film_hw = np.array([side, side])
            return squares(landmarks, side_px, film_hw, half_px, stretch)
        maps = heat_maps(
            landmarks.astype(np.float64), side_px, settings.heat_map_stride, settings.sigma_px
        )
        shown = stored.inside(Box(*change.shown) if change.shown else stored.film)
        known = np.isfinite(landmarks).all(axis=1)
        outside = np.asarray(self._train["outside"][item, self._columns])
        maps[outside | (known & ~shown)] = 0
        maps[~known & ~outside] = -1  # unknown, not absent
        return maps

    def loss(self, network: nn.Module, batch: Batch, mean: Mean) -> Tensor:
        """Cross-entropy of the heat maps."""
        with torch.autocast(batch["film"].device.type, enabled=False):
            side = int(batch["side"][0])
            films = move(batch["film"], batch, side)
            if self._settings.channels == 1:
                films = standardise_batch(expose(films, batch), px_shown(batch, side))
            else:
                films = films * batch["exposure"][:, 3, None, None, None]
        logits = network(films.contiguous(memory_format=torch.channels_last)).float()
        return heat_map_loss(logits, batch["target"], self._settings.landmark_weight, mean)

    def sample(self, count: int) -> NDArray[np.float32]:
        """(n, C, S, S) float32 held-out films as the network sees them, at most ``count``."""
        return np.asarray(self._held["film"][self._measured[:count]], np.float32)

    def validate(self, network: nn.Module, device: torch.device) -> dict[str, float]:
        """Distances on held-out films, as shares of the side; a landmark not found is a miss."""
        settings, errors = self._settings, []
        for start in range(0, len(self._measured), VALIDATION_BATCH):
            rows = self._measured[start : start + VALIDATION_BATCH]
            films = torch.from_numpy(self._held["film"][rows]).float()
            logits = network(films.to(device)).float().cpu()
            for maps, row in zip(torch.sigmoid(logits).numpy(), rows, strict=True):
                truth = self._held["landmarks"][row, self._columns]
                found, _ = read_heat_maps(settings, maps)
                inside = ((truth > 0) & (truth < settings.input_px)).all(axis=1)
                inside &= ~self._held["outside"][row, self._columns]
                errors.append(np.linalg.norm(found - truth, axis=1)[inside] / settings.input_px)
        distance = np.nan_to_num(np.concatenate(errors), nan=np.inf)
        within = {f"within_{cut:.2f}": float((distance < cut).mean()) for cut in (0.01, 0.02)}
        median = float(np.median(distance))
        return {"score": within["within_0.01"], **within, "median": min(median, 1.0)}
