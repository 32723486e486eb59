"""Films for calls of the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def films(tmp_path: Path, small_films: Path) -> Path:
    """A folder with the left foot of P1: the smallest input that can be scored."""
    (tmp_path / "films").mkdir()
    shutil.copy(small_films / "P1-LF.png", tmp_path / "films")
    return tmp_path / "films"
