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

from mandora.anatomy import POINTS, RA2_COLUMNS, SLOTS, TARGETS, Damage, Limb, Side
from mandora.cohorts.folder import find_studies
from mandora.cohorts.polygons import Outline, read_coco, read_labelme, site_name
from mandora.cohorts.ra2 import read_scores
from mandora.phantom.cohort import draw_patient, mean_shape, simulate_cohort
from mandora.settings import SimulateSettings


@pytest.fixture(scope="module")
def grades() -> np.ndarray:
    """(300, 86) true grades."""
    patients = [draw_patient(11, i) for i in range(300)]
    return np.array([[p.grades[t.key] for t in TARGETS] for p in patients])


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cohort") / "made"
    simulate_cohort(SimulateSettings(patients=2, seed=5, pixels_per_mm=2.0), out)
    return out


def columns(**wanted: object) -> list[int]:
    return [i for i, t in enumerate(TARGETS) if all(getattr(t, k) == v for k, v in wanted.items())]


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_most_joints_are_healthy_and_totals_are_skewed(grades: np.ndarray) -> None:
    totals = grades.sum(axis=1)
    assert 0.6 < (grades == 0).mean() < 0.85
    assert totals.mean() > 1.3 * np.median(totals)


def test_no_grade_exceeds_its_maximum(grades: np.ndarray) -> None:
    assert (grades <= [t.maximum for t in TARGETS]).all()
    assert (grades >= 0).all()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"side": Side.LEFT}, {"side": Side.RIGHT}),
        ({"damage": Damage.NARROWING}, {"damage": Damage.EROSION}),
        ({"limb": Limb.HAND}, {"limb": Limb.FOOT}),
    ],
)
def test_damage_of_a_patient_goes_together(
    grades: np.ndarray, first: dict[str, object], second: dict[str, object]
) -> None:
    a, b = (grades[:, columns(**w)].sum(axis=1) for w in (first, second))
    assert np.corrcoef(a, b)[0, 1] > 0.5


def test_the_states_of_a_patient_have_the_patients_grades() -> None:
    for index in range(30):
        patient = draw_patient(3, index, severity=1.0)
        for t in TARGETS:
            state = patient.states[t.slot][t.site.name]
            narrowing = t.damage is Damage.NARROWING
            seen = state.narrowing_grade if narrowing else state.erosion_grade(t.limb)
            assert seen == patient.grades[t.key], t.key


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


@pytest.mark.parametrize("limb", list(Limb))
def test_the_mean_shape_is_centred_and_of_unit_size(limb: Limb) -> None:
    shape = mean_shape(limb)
    assert shape.shape == (len(POINTS[limb]), 2)
    np.testing.assert_allclose(shape.mean(axis=0), 0, atol=1e-9)
    names = [p.name for p in POINTS[limb]]
    ends = ("mcp2", "mcp5") if limb is Limb.HAND else ("mtp1", "mtp5")
    a, b = (shape[names.index(n)] for n in ends)
    assert np.linalg.norm(a - b) == pytest.approx(1.0)
    assert a[0] > b[0]  # index finger and great toe to the right of the little one
