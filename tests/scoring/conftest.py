"""A small model and folders of films for whole runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mandora.model.bundle import Bundle, open_bundle


@pytest.fixture(scope="session")
def bundle(tiny_bundle: Path) -> Bundle:
    return open_bundle(tiny_bundle)


@pytest.fixture
def give(tmp_path: Path, small_films: Path) -> Callable[..., Path]:
    """Put copies of the small films into the folder ``films``: name → slot that it shows."""

    def put(**shows: str) -> Path:
        for name, code in shows.items():
            target = tmp_path / "films" / name.replace("__", "/").replace("_", "-")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(small_films / f"P1-{code}.png", target.with_suffix(".png"))
        return tmp_path / "films"

    return put
