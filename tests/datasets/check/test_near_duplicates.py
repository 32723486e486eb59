"""Copies of films are found, other films are not called copies."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mandora.core.anatomy import SLOTS
from mandora.datasets.check.near_duplicates import (
    NEAR,
    PATTERN_PX,
    distance,
    near_duplicates,
    pattern_of,
)
from mandora.images.read import read_radiograph
from mandora.simulate.cohort.patients import draw_patient, simulate_film


@pytest.fixture(scope="module")
def simulated() -> list[np.ndarray]:
    """All films of five patients, small."""
    return [
        simulate_film(draw_patient(21, index), slot, pixels_per_mm=2).pixels
        for index in range(5)
        for slot in SLOTS
    ]


def jpeg(pixels: np.ndarray, quality: int, size: tuple[int, int] | None = None) -> np.ndarray:
    data = io.BytesIO()
    image = Image.fromarray((pixels * 255 + 0.5).astype(np.uint8))
    image = image.resize(size) if size else image
    image.save(data, "JPEG", quality=quality)
    return np.asarray(Image.open(data), np.float32) / 255


def cut(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape
    return pixels[height // 25 :, width // 30 : -width // 40]


COPIES = {
    "compressed": lambda p: jpeg(p, 40),
    "resized": lambda p: jpeg(p, 80, (p.shape[1] // 2, p.shape[0] // 2)),
    "cropped": cut,
    "darker": lambda p: p**1.5,
    "mirrored": lambda p: p[:, ::-1],
    "turned": lambda p: np.rot90(p),
    "inverted": lambda p: 1 - p,
    "all": lambda p: jpeg(np.ascontiguousarray(1 - cut(p)[:, ::-1] ** 1.2), 70),
}


@pytest.mark.parametrize("kind", COPIES)
def test_copies_are_found_and_nothing_else(kind: str, simulated: list[np.ndarray]) -> None:
    patterns = [pattern_of(film) for film in simulated]
    copies = [pattern_of(COPIES[kind](film)) for film in simulated[::3]]
    pairs = list(near_duplicates(patterns + copies))
    assert [p[:2] for p in pairs] == [(3 * i, len(simulated) + i) for i in range(len(copies))]
    assert all(0 <= p.distance < NEAR for p in pairs)
    mirrored = kind in ("mirrored", "all")
    assert all(p.mirrored == mirrored for p in pairs)


def test_the_order_does_not_matter(simulated: list[np.ndarray]) -> None:
    one = pattern_of(simulated[0])
    for other in (np.rot90(simulated[0]), np.rot90(simulated[0], 3), simulated[0][:, ::-1]):
        assert distance(one, pattern_of(other)) < 0.02
        assert distance(pattern_of(other), one) < 0.02
        (pair,) = near_duplicates([pattern_of(other), one])
        assert pair.distance < 0.02


def test_a_pattern_is_small_and_ignores_brightness(simulated: list[np.ndarray]) -> None:
    pattern = pattern_of(simulated[0])
    assert (pattern.shape, pattern.dtype) == ((PATTERN_PX, PATTERN_PX), np.int8)
    darker = pattern_of(simulated[0] * np.float32(0.5))
    assert np.abs(pattern.astype(int) - darker).max() <= 1


def test_none_one_and_empty_films() -> None:
    blank = pattern_of(np.full((90, 80), 0.5, np.float32))
    assert list(near_duplicates([])) == []
    assert list(near_duplicates([blank])) == []
    assert list(near_duplicates([blank, blank])) == []
    assert distance(blank, blank) == 1


@pytest.mark.films
@pytest.mark.slow
def test_real_films_are_no_copies_of_one_another(films: Path) -> None:
    with (films / "films.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["set"] != "shs"]  # has turned copies
    patterns = [pattern_of(read_radiograph(films / row["file"]).pixels) for row in rows]
    assert list(near_duplicates(patterns)) == []
