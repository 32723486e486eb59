"""Patches to train the damage network on, cut from films with a margin and kept on the disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from mandora.core.anatomy import LANDMARKS, Damage, JointGroup, Limb
from mandora.core.geometry import Box
from mandora.core.settings import DamageSettings, PatchChangeSettings
from mandora.core.specs import PatchSpec
from mandora.damage.patches import window_box, windows_of
from mandora.damage.scorer import site_at
from mandora.images.channels import FilmStatistics, background, sample_box
from mandora.locate.template import limb_template
from mandora.training.augment import stored_window
from mandora.training.cache import Arrays, Prepared, Shapes, prepare
from mandora.training.films import Films, TrainingFilm
from mandora.training.mixed import JoinedFilms

# typical errors of the localiser
PLACE_ERROR = {JointGroup.FINGER: 0.012, JointGroup.WRIST: 0.025, JointGroup.TOE: 0.012}
"""Standard deviation of a landmark's x and y, limb sizes."""
SIZE_ERROR = 0.06
"""Largest error of the limb size, as a share of it."""


def stored_px(settings: DamageSettings, changes: PatchChangeSettings) -> int:
    """Side of stored patches, px: with a margin for turns, shifts and smaller scales."""
    turned = np.cos(np.radians(changes.turn_deg)) + np.sin(np.radians(changes.turn_deg))
    reach = (turned / changes.scale[0] - 1) * 0.5 + 2 * changes.shift  # half of the corners
    margin = int(np.ceil(settings.patch_px * reach / 2)) + changes.centre_film_px
    return settings.patch_px + 2 * margin


def prepare_patches(
    films: Films,
    settings: DamageSettings,
    side_px: int,
    cache: Path,
    workers: int,
    progress: Callable[[int, int], None],
    centre_film_px: int = 0,
) -> Prepared:
    """The patches of films, cut with a margin and kept in the cache.

    Joined films are kept part by part: a part that was prepared before is used again.

    Args:
        films: source of the patches.
        settings: of the network.
        side_px: T, side of the stored patches.
        cache: folder.
        workers: processes.
        progress: called with (done, count).
        centre_film_px: px of the film by which centres may be moved; 0 for films to measure on.

    Returns:
        For each film and each landmark of the limb: ``pixels`` (n, N, T, T) uint8 or uint16,
        ``masks`` (n, N, T, T) uint8, ``usable`` and ``has_mask`` (n, N) bool, ``scores`` and
        ``official`` (n, N, 2) float32, NaN unknown; ``film_scale`` (n, N) float32, px of the
        patch per px of the film; ``statistics`` (n, K) float32 of the film.
    """
    if isinstance(films, JoinedFilms):
        return Prepared.joined([
            prepare_patches(part, settings, side_px, cache, workers, progress, centre_film_px)
            for part in films.parts
        ])  # fmt: skip
    count = len(LANDMARKS[films.limb])
    depth = "uint8" if settings.channels == 1 else "uint16"
    shapes: Shapes = {
        "pixels": ((count, side_px, side_px), depth),
        "masks": ((count, side_px, side_px), "uint8"),
        "usable": ((count,), "bool"),
        "has_mask": ((count,), "bool"),
        "scores": ((count, 2), "float32"),
        "official": ((count, 2), "float32"),
        "film_scale": ((count,), "float32"),
        "statistics": ((FilmStatistics.SIZE,), "float32"),
    }
    used = settings.model_dump(include=set(PatchSpec.model_fields))
    key = f"damage {films.key} {side_px} {centre_film_px} {sorted(used.items())}"
    make = partial(_one, films, settings, side_px, centre_film_px, shapes)
    return prepare(cache, key, len(films), shapes, make, workers, progress)


def _one(
    films: Films,
    settings: DamageSettings,
    side_px: int,
    centre_film_px: int,
    shapes: Shapes,
    index: int,
) -> Arrays:
    film = films.film(index)
    made = {name: np.zeros(shape, dtype) for name, (shape, dtype) in shapes.items()}
    depth = np.iinfo(made["pixels"].dtype).max
    fill = background(film.pixels)
    drawn = film.erosions if settings.mask == "erosion" else film.spaces
    made["scores"], made["official"] = film.scores, film.official
    made["statistics"] = FilmStatistics.of(film.pixels).vector
    rng = np.random.default_rng([index, len(film.landmarks)])
    for i, window in _windows(film, films.limb, settings, rng).items():
        box = stored_window(window, settings.patch_px, side_px, centre_film_px)
        made["film_scale"][i] = settings.patch_px / window.width
        pixels = sample_box(film.pixels, box, side_px, fill)
        made["pixels"][i] = np.round(np.clip(pixels, 0, 1) * depth)
        made["usable"][i] = True
        if drawn is not None:
            mask = sample_box((drawn > 0).astype(np.float32), box, side_px, 0.0)
            made["masks"][i] = np.round(mask * 255)
            made["has_mask"][i] = settings.mask != "erosion" or _all_eroded(
                film, films.limb, i, box
            )
    return made


def _all_eroded(film: TrainingFilm, limb: Limb, landmark: int, box: Box) -> bool:
    """Whether all erosions in a landmark's window are known."""
    known = film.erosions_known
    if known is None:
        return True
    held = box.holds(film.landmarks)
    inside = [
        i for i in range(len(held)) if held[i] and site_at(limb, Damage.EROSION, i) is not None
    ]
    return bool(known[[landmark, *inside]].all())


def _windows(
    film: TrainingFilm,
    limb: Limb,
    settings: DamageSettings,
    rng: np.random.Generator,
) -> dict[int, Box]:
    """The window of each landmark that lies on the film."""
    height, width = film.pixels.shape
    boxes = dict(film.boxes)
    others = [i for i in range(len(film.landmarks)) if i not in boxes]
    marked = [i for i in others if np.isfinite(film.landmarks[i]).all()]
    if not marked:
        return boxes
    windows = windows_of(
        settings, (height, width), film.landmarks, limb_template(limb), mirrored=False
    )
    for i in marked:
        centre, window = film.landmarks[i], windows
        if settings.window == "limb":
            error = PLACE_ERROR[LANDMARKS[limb][i].group] / settings.half_window
            centre = centre + rng.normal(0, error * windows.half_px, 2)
            scale = 1 + float(rng.uniform(-SIZE_ERROR, SIZE_ERROR))
            window = replace(windows, half_px=windows.half_px * scale)
        if 0 <= centre[0] < width and 0 <= centre[1] < height:
            boxes[i] = window_box(settings, limb, i, centre, window)
    return boxes
