"""The example patient that the package carries."""

from __future__ import annotations

from pathlib import Path

import pytest

from mandora.core.anatomy import SLOTS, TARGETS
from mandora.scoring import example, example_films, example_truth


def test_the_example_is_four_films_with_their_scores() -> None:
    assert [film.stem for film in example_films()] == [f"EXAMPLE-{slot.code}" for slot in SLOTS]
    assert set(example_truth()) == {target.key for target in TARGETS}


def test_an_installation_without_the_example_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(example, "_FOLDER", tmp_path)
    with pytest.raises(ValueError, match="no example patient"):
        example_films()
