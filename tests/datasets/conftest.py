"""Small pictures and tables for tests of data sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mandora.core.anatomy import SLOTS, Limb
from mandora.simulate.cohort.patients import draw_patient, simulate_film

WriteFilm = Callable[..., Path]
WriteTable = Callable[..., Path]


@pytest.fixture(scope="session")
def write_film() -> WriteFilm:
    """Write a picture that can be read as a film: grey ramps, 100 × 80 px if not told otherwise."""

    def write(path: Path, size: tuple[int, int] = (100, 80)) -> Path:
        width, height = size
        ramp = np.add.outer(np.arange(height), np.arange(width)) % 256
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(ramp.astype(np.uint8)).save(path)
        return path

    return write


@pytest.fixture(scope="session")
def write_table() -> WriteTable:
    """Write lines of a CSV file."""

    def write(path: Path, *lines: str | Iterable[object]) -> Path:
        texts = [line if isinstance(line, str) else ",".join(map(str, line)) for line in lines]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([*texts, ""]), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def write_workbook() -> WriteTable:
    """Write rows of texts and numbers as the only sheet of an Excel workbook."""

    from openpyxl import Workbook

    def write(path: Path, *rows: Iterable[object]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        book = Workbook(write_only=True)
        sheet = book.create_sheet()
        for row in rows:
            sheet.append(list(row))
        book.save(path)
        return path

    return write


@pytest.fixture(scope="session", params=list(Limb))
def film(request: pytest.FixtureRequest) -> tuple[Limb, np.ndarray]:
    """A limb and the joint spaces of its simulated film, (H, W) uint8."""
    slot = next(s for s in SLOTS if s.limb is request.param)
    made = simulate_film(draw_patient(5, 0), slot, pixels_per_mm=4.0)
    return request.param, made.spaces
