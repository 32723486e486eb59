"""The packaged example patient: four simulated films and their true scores."""

from __future__ import annotations

from pathlib import Path

from mandora.core.anatomy import SLOTS
from mandora.core.errors import InputError
from mandora.datasets.formats.ra2.tables import read_scores

EXAMPLE = "EXAMPLE"
"""The patient's id."""

_FOLDER = Path(__file__).parent


def example_films() -> list[Path]:
    """The patient's films, in the order of ``anatomy.SLOTS``.

    Raises:
        ValueError: if this installation has none.
    """
    films = [_FOLDER / f"{EXAMPLE}-{slot.code}.jpg" for slot in SLOTS]
    if not all(film.is_file() for film in films):
        raise InputError(
            f"this installation has no example patient in {_FOLDER}; install mandora from a "
            "wheel, or name films of your own"
        )
    return films


def example_truth() -> dict[str, float]:
    """The patient's true scores, SvH points, by target key.

    Raises:
        ValueError: if this installation has none.
    """
    return read_scores(_FOLDER / "truth.csv")[EXAMPLE]
