"""A simulated cohort looks like a cohort and tells the truth."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mandora.anatomy import POINTS, RA2_COLUMNS, SLOTS, Limb
from mandora.cohorts.folder import find_studies
from mandora.cohorts.polygons import Outline, read_coco, read_labelme, site_name
from mandora.cohorts.ra2 import read_scores
from mandora.phantom.cohort import simulate_cohort
from mandora.phantom.patients import draw_patient
from mandora.settings import SimulateSettings


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cohort") / "made"
    simulate_cohort(SimulateSettings(patients=2, seed=5, pixels_per_mm=2.0), out)
    return out


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_the_cohort_reads_back_as_ra2_with_the_true_grades(cohort: Path) -> None:
    scores = read_scores(cohort / "training.csv")
    assert list(scores) == ["SIM0001", "SIM0002"]
    for index, row in enumerate(scores.values()):
        assert row == {k: float(v) for k, v in draw_patient(5, index).grades.items()}
    header = (cohort / "template.csv").read_text().splitlines()[0].split(",")
    assert tuple(header) == RA2_COLUMNS


def test_every_film_has_its_points_and_masks(cohort: Path) -> None:
    with (cohort / "truth" / "joints.csv").open() as file:
        rows = list(csv.DictReader(file))
    for index in (1, 2):
        for slot in SLOTS:
            name = f"SIM{index:04d}-{slot.code}"
            size = size_of(cohort / f"{name}.jpg")
            mine = [r for r in rows if r["film"] == f"{name}.jpg"]
            assert [r["site"] for r in mine] == [p.name for p in POINTS[slot.limb]]
            for kind in ("spaces", "erosions"):
                assert size_of(cohort / "truth" / kind / f"{name}.png") == size


def filled(outlines: tuple[Outline, ...], site: str, size: tuple[int, int]) -> np.ndarray:
    image = Image.new("1", size)
    for outline in outlines:
        if outline.site == site:
            ImageDraw.Draw(image).polygon([(x + 0.5, y + 0.5) for x, y in outline.points], fill=1)
    return np.array(image)


def test_the_polygons_of_annotation_tools_are_the_masks_and_points(cohort: Path) -> None:
    coco = read_coco(cohort / "truth" / "coco.json")
    assert list(coco) == [f"SIM{i:04d}-{slot.code}.jpg" for i in (1, 2) for slot in SLOTS]
    with (cohort / "truth" / "joints.csv").open() as file:
        rows = list(csv.DictReader(file))
    for name, outlines in coco.items():
        path = cohort / "truth" / "labelme" / name.replace(".jpg", ".json")
        film = read_labelme(path)
        assert film.image_name == name
        assert (path.parent / json.loads(path.read_text("utf-8"))["imagePath"]).is_file()
        mine = [r for r in rows if r["film"] == name]
        assert list(film.points) == [f"{r['limb']}-{r['site']}" for r in mine]
        places = [[float(r["x"]), float(r["y"])] for r in mine]
        np.testing.assert_allclose(list(film.points.values()), places, atol=0.011)
        spaces = np.array(Image.open(cohort / "truth" / "spaces" / name.replace(".jpg", ".png")))
        assert film.size == spaces.shape[::-1]
        for label, point in enumerate(POINTS[Limb(mine[0]["limb"])], start=1):
            region = spaces == label
            for read in (film.outlines, outlines):
                drawn = filled(read, site_name(point), film.size)
                # specks have no outline
                assert (drawn ^ region).sum() <= max(3, 0.1 * region.sum()), (name, point.name)


def test_the_truth_is_not_taken_for_films(cohort: Path) -> None:
    found = find_studies([cohort])
    assert not found.problems
    assert [len(study.films) for study in found.studies] == [4, 4]


def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_processes(
    cohort: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    settings = SimulateSettings(patients=2, seed=5, pixels_per_mm=2.0, workers=2)
    simulate_cohort(settings, again)
    texts = [cohort / "training.csv", *sorted(cohort.glob("truth/**/*.json"))]
    for path in [*sorted(cohort.rglob("*.jpg")), *(p for p in texts if p.name != "cohort.json")]:
        twin = again / path.relative_to(cohort)
        assert (
            hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(twin.read_bytes()).digest()
        )


def test_an_existing_cohort_is_not_overwritten_unless_asked(cohort: Path) -> None:
    settings = SimulateSettings(patients=1, seed=5, pixels_per_mm=2.0)
    with pytest.raises(ValueError, match="not empty"):
        simulate_cohort(settings, cohort)


def test_a_cohort_that_cannot_fit_on_the_disk_is_refused_before_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ValueError, match="GB"):
        simulate_cohort(SimulateSettings(patients=1000), tmp_path / "big")
