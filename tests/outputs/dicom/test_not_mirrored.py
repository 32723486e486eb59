"""Places in DICOM objects are those of the stored picture, whichever way the limb lies on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="needs the extra dicom")

from PIL import Image

from mandora.core.anatomy import Slot
from mandora.model.bundle import default_bundle, open_bundle
from mandora.outputs.dicom.outlines import outline_on
from mandora.outputs.dicom.segmentation import Segments, segments
from mandora.outputs.dicom.source import source_films
from mandora.scoring import example_films
from mandora.scoring.pipeline import Pipeline

HEIGHT = 900  # px, of the example's films here
LH, RH = Slot.parse("LH"), Slot.parse("RH")
NEAR_PX = 6.0


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline.from_bundle(open_bundle(default_bundle()), threads=1)


@pytest.fixture(scope="module")
def scored(
    pipeline: Pipeline, new_film: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., tuple[Segments, dict[str, Any]]]:
    """Segments and centres of outlines of a film of the example, changed before it is stored."""

    def of(slot: Slot, change: Callable[[np.ndarray], np.ndarray]) -> Any:
        (example,) = [p for p in example_films() if p.stem.endswith(slot.code)]
        with Image.open(example) as image:
            size = round(image.width * HEIGHT / image.height), HEIGHT
            grey = np.asarray(image.convert("L").resize(size), np.uint16) * 16
        path = new_film(tmp_path_factory.mktemp("film") / f"{slot.code}.dcm", change(grey))
        study = pipeline.score("P", {slot: path})
        shapes = {name: film.shape for name, film in study.radiographs.items()}
        (film,) = source_films(study.result, {path.name: path}, shapes)
        seen = study.evidence[path.name]
        outlines = {name: outline_on(film, patch.box) for name, patch in seen.items()}
        centres = {
            name: (xy.min(axis=0) + xy.max(axis=0)) / 2
            for name, xy in outlines.items()
            if xy is not None
        }
        return segments(film, seen), centres

    return of


@pytest.fixture(scope="module")
def left(scored: Any) -> tuple[Segments, dict[str, Any]]:
    return scored(LH, lambda film: film)


def assert_same(found: Segments, expected: Segments, back: Callable[..., Any]) -> None:
    """The same joints on the same px, once the picture is put back as it was."""
    labels = back(found.labels)
    assert set(found.sites) == set(expected.sites)
    overlaps = []
    for i, site in enumerate(expected.sites, 1):
        one, other = expected.labels == i, labels == found.sites.index(site) + 1
        overlaps.append(2 * (one & other).sum() / (one.sum() + other.sum()))
    # narrow joint spaces of a few px: a shift of one px costs a good part of the overlap
    assert np.median(overlaps) > 0.6, dict(zip(expected.sites, overlaps, strict=True))


def test_a_left_hand_has_its_thumb_where_the_film_shows_it(left: Any) -> None:
    _, centres = left
    assert centres["ip"][0] > centres["mcp2"][0] > centres["mcp5"][0]
    assert centres["radcar"][1] > centres["mcp3"][1] > centres["pip3"][1]


def test_a_right_hand_has_its_thumb_where_the_film_shows_it(scored: Any) -> None:
    found, centres = scored(RH, lambda film: film)
    assert centres["ip"][0] < centres["mcp2"][0] < centres["mcp5"][0]
    columns = [np.nonzero(found.labels == found.sites.index(s) + 1)[1].mean()
               for s in ("mcp2", "mcp3", "mcp4", "mcp5")]  # fmt: skip
    assert columns == sorted(columns)


def test_joint_spaces_lie_within_their_outlines(left: Any) -> None:
    found, centres = left
    for i, site in enumerate(found.sites, 1):
        rows, columns = np.nonzero(found.labels == i)
        assert np.hypot(columns.mean() + 0.5 - centres[site][0],
                        rows.mean() + 0.5 - centres[site][1]) < 30, site  # fmt: skip


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda film: film[:, ::-1], lambda xy, w, h: (w - xy[0], xy[1])),
        (lambda film: film[::-1, ::-1], lambda xy, w, h: (w - xy[0], h - xy[1])),
    ],
    ids=["mirrored", "upside down"],
)
def test_a_film_that_is_stored_flipped_has_flipped_places(
    scored: Any, left: Any, change: Any, place: Any
) -> None:
    expected, centres = left
    found, flipped = scored(LH, lambda film: np.ascontiguousarray(change(film)))
    height, width = expected.labels.shape
    off = [np.hypot(*(flipped[n] - place(centres[n], width, height))) for n in centres]
    assert np.median(off) < NEAR_PX
    assert max(off) < 4 * NEAR_PX
    assert_same(found, expected, change)
