"""Finding the landmarks of many films, some side by side, into one CSV file."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from mandora.core.anatomy import Limb, Side
from mandora.core.csv_text import csv_text
from mandora.core.errors import InputError
from mandora.core.files import AnyPath, make_output_folder, paths_of
from mandora.core.parallel.threads import map_threads
from mandora.core.records import Reason
from mandora.datasets.film_files import FilmFile, Problem, find_films
from mandora.images.radiograph import Radiograph
from mandora.images.read import read_radiograph
from mandora.locate.locator import FoundLandmarks
from mandora.model.bundle import Bundle
from mandora.outputs.row_file import RowFile
from mandora.scoring.assembly import location
from mandora.scoring.failures import why_failed
from mandora.scoring.pipeline import Pipeline
from mandora.scoring.summary import Progress, Warn, first_few, problem_line

LANDMARK_COLUMNS: tuple[str, ...] = (
    "film", "limb", "side", "site", "x", "y", "confidence", "reason",
)  # fmt: skip
"""Columns of :func:`locate_films`: x and y in px of the film."""

_LOG = logging.getLogger(__name__)


def locate_films(
    films: AnyPath | Sequence[AnyPath],
    out: AnyPath,
    *,
    bundle: Bundle,
    threads: int = 2,
    limb: Limb | None = None,
    side: Side | None = None,
    progress: Progress = lambda done, total: None,
    warn: Warn = lambda line: None,
) -> int:
    """Find the landmarks of many films and write them to a CSV file, film by film.

    The columns are :data:`LANDMARK_COLUMNS`; ``film`` is the file's name, or its path where two
    films have the same name. A landmark that was not found has no x and y, and a reason.

    Args:
        films: films, each of one hand or foot, and folders that are searched two levels
            deep, see :func:`~mandora.datasets.film_files.find_films`.
        out: the CSV file; whole after each film.
        bundle: the model.
        threads: processor threads, and films in memory at a time. Results, messages and their
            order do not depend on it.
        limb: what all films show. If not given, each film's name says it, else its DICOM tags,
            else what it looks like.
        side: the patient's side, likewise.
        progress: called after each film.
        warn: called with each film that failed, when it fails.

    Returns:
        Number of films that failed: they could not be read, or no limb was found on them.

    Raises:
        ValueError: if an input does not exist or cannot be first_few, there is no film, or ``out``
            is a folder.
        OSError: if ``out`` cannot be written.
    """
    films, out = paths_of(films), Path(out)
    found = find_films(films)
    if not found.films and not found.problems:
        raise InputError(
            f"no film in {first_few(films)}; name image files or folders that hold some"
        )
    if out.is_dir():
        raise InputError(f"{out} is a folder; name a CSV file for the landmarks")
    pipeline = Pipeline.from_bundle(bundle, threads)
    make_output_folder(out.parent)
    with RowFile(out, LANDMARK_COLUMNS) as table:
        for unusable in found.problems:
            warn(problem_line(unusable))
        failed, total = len(found.problems), len(found.problems) + len(found.films)
        progress(failed, total)
        locate = partial(_locate_film, pipeline, stated=(limb, side))
        located = map_threads(locate, found.films, pipeline.films_at_once)
        for done, (rows, problem) in enumerate(located, start=failed + 1):
            table.append(rows)
            if problem:
                failed += 1
                warn(problem_line(problem))
            progress(done, total)
    return failed


def _locate_film(
    pipeline: Pipeline, film: FilmFile, stated: tuple[Limb | None, Side | None]
) -> tuple[str, Problem | None]:
    """The rows of one film, as CSV, and what went wrong with it."""
    start = time.monotonic()
    try:
        radiograph, slot = read_radiograph(film.path), film.slot
        limb = stated[0] or (slot.limb if slot else radiograph.limb)
        side = stated[1] or (slot.side if slot else radiograph.side)
        found = pipeline.locate(radiograph, limb, side)
    except Exception as error:  # the other films are still searched
        return "", Problem(film.name, *why_failed(error, film.name))
    _LOG.info(
        "%s: %d of %d landmarks, in %.2f s", film.name,
        np.isfinite(found.landmarks).all(axis=1).sum(), len(found.landmarks),
        time.monotonic() - start,
    )  # fmt: skip
    side = side or found.orientation.side
    if np.isfinite(found.landmarks).any():
        return _landmark_rows(film.name, side, found, radiograph), None
    detail = f"no {limb or 'hand or foot'} was found; it must be seen from the front or the back"
    # rows without positions need to know whose landmarks they are
    rows = _landmark_rows(film.name, side, found, radiograph) if limb else ""
    return rows, Problem(film.name, Reason.NOT_FOUND, detail)


def _landmark_rows(name: str, side: Side, found: FoundLandmarks, film: Radiograph) -> str:
    rows = []
    for index in range(len(found.landmarks)):
        landmark = location(name, side, index, found, film)
        x, y = ("" if v is None else f"{v:.2f}" for v in (landmark.x, landmark.y))
        confidence, reason = f"{found.confidence[index]:.4f}", landmark.reason or ""
        rows.append([name, found.limb, side, landmark.site, x, y, confidence, reason])
    return csv_text(rows)
