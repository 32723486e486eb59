"""A simulated cohort looks like a cohort and tells the truth."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mandora.core.anatomy import LANDMARKS, SLOTS, Limb
from mandora.core.ra2 import RA2_COLUMNS
from mandora.core.settings import SimulateSettings
from mandora.datasets.formats.coco import read_coco
from mandora.datasets.formats.labelme import read_labelme
from mandora.datasets.formats.ra2.tables import read_scores
from mandora.datasets.intake.plan import make_plan
from mandora.datasets.intake.slots import studies_of
from mandora.datasets.outlines import Outline, site_name
from mandora.simulate.cohort.folder import estimate, simulate_cohort
from mandora.simulate.cohort.patient_files import bone_labels
from mandora.simulate.cohort.patients import draw_patient


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cohort") / "made"
    simulate_cohort(SimulateSettings(patients=2, seed=5, pixels_per_mm=2.0), out)
    return out


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same patients at three visits, made by two processes."""
    out = tmp_path_factory.mktemp("followed") / "made"
    settings = SimulateSettings(patients=2, visits=3, seed=5, pixels_per_mm=2.0, workers=2)
    simulate_cohort(settings, out)
    return out


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, str]:
    """Hash by path of every file but those of later visits."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.relative_to(folder).parts[0].startswith("visit-")
    }


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
    joints = rows(cohort / "truth" / "joints.csv")
    films = {r["film"]: r for r in rows(cohort / "truth" / "films.csv")}
    assert len(films) == 8
    for index in (1, 2):
        for slot in SLOTS:
            name = f"SIM{index:04d}-{slot.code}"
            size = size_of(cohort / f"{name}.jpg")
            said = films[f"{name}.jpg"]
            assert (int(said["width"]), int(said["height"])) == size
            assert (said["limb"], said["side"]) == (slot.limb, slot.side)
            assert float(said["spacing_mm"]) == pytest.approx(0.5, rel=0.01)
            assert said["inverted"] == "0"
            mine = [r for r in joints if r["film"] == f"{name}.jpg"]
            assert [r["site"] for r in mine] == [p.name for p in LANDMARKS[slot.limb]]
            for kind in ("spaces", "erosions", "bones"):
                assert size_of(cohort / "truth" / kind / f"{name}.png") == size


def filled(outlines: tuple[Outline, ...], site: str, size: tuple[int, int]) -> np.ndarray:
    image = Image.new("1", size)
    for outline in outlines:
        if outline.site == site:
            ImageDraw.Draw(image).polygon([(x + 0.5, y + 0.5) for x, y in outline.points], fill=1)
    return np.array(image)


def test_the_polygons_of_annotation_tools_are_the_masks_and_points(cohort: Path) -> None:
    films = read_coco(cohort / "truth" / "coco.json")
    coco = {film.image_name: film.outlines for film in films}
    assert list(coco) == [f"SIM{i:04d}-{slot.code}.jpg" for i in (1, 2) for slot in SLOTS]
    joints = rows(cohort / "truth" / "joints.csv")
    for name, outlines in coco.items():
        path = cohort / "truth" / "labelme" / name.replace(".jpg", ".json")
        film = read_labelme(path)
        assert film.image_name == name
        assert (path.parent / json.loads(path.read_text("utf-8"))["imagePath"]).is_file()
        mine = [r for r in joints if r["film"] == name]
        assert list(film.landmarks) == [f"{r['limb']}-{r['site']}" for r in mine]
        places = [[float(r["x"]), float(r["y"])] for r in mine]
        np.testing.assert_allclose(list(film.landmarks.values()), places, atol=0.011)
        spaces = np.array(Image.open(cohort / "truth" / "spaces" / name.replace(".jpg", ".png")))
        assert film.size == spaces.shape[::-1]
        for label, point in enumerate(LANDMARKS[Limb(mine[0]["limb"])], start=1):
            region = spaces == label
            for read in (film.outlines, outlines):
                drawn = filled(read, site_name(point), film.size)
                # specks have no outline
                assert (drawn ^ region).sum() <= max(3, 0.1 * region.sum()), (name, point.name)


def test_the_truth_is_not_taken_for_films(cohort: Path) -> None:
    plan = make_plan([cohort])
    assert not plan.problems
    assert [len(visit.films) for visit in studies_of(plan)] == [4, 4]


def test_the_latent_state_of_every_place_is_told(cohort: Path) -> None:
    latent = rows(cohort / "truth" / "latent.csv")
    erosions = rows(cohort / "truth" / "erosions.csv")
    patients = {p.name: p for p in (draw_patient(5, 0), draw_patient(5, 1))}
    places = [(p.name, slot, site) for p in patients.values() for slot in SLOTS
              for site in p.states[slot]]  # fmt: skip
    assert [(r["patient"], r["film"], r["site"]) for r in latent] == [
        (name, f"{name}-{slot.code}.jpg", site) for name, slot, site in places
    ]
    for row, (name, slot, site) in zip(latent, places, strict=True):
        state = patients[name].states[slot][site]
        assert float(row["loss"]) == pytest.approx(state.loss, abs=1e-5)
        assert float(row["shift"]) == pytest.approx(state.shift, abs=1e-5)
        assert float(row["narrowing"]) == pytest.approx(state.narrowing_score, abs=1e-5)
        assert (row["focal"], row["fused"]) == (str(int(state.focal)), str(int(state.fused)))
        mine = [r for r in erosions if (r["film"], r["site"]) == (row["film"], site)]
        assert int(row["erosions"]) == len(mine) == len(state.erosions)
        for seen, erosion in zip(mine, state.erosions, strict=True):
            assert (int(seen["anchor"]), int(seen["weight"])) == (erosion.anchor, erosion.weight)
            for measure in ("radius", "depth", "reach", "inset"):
                assert float(seen[measure]) == pytest.approx(getattr(erosion, measure), abs=1e-5)
    assert len(erosions) > 0


def test_bones_have_labels_and_outlines_within_the_film(cohort: Path) -> None:
    known = rows(cohort / "truth" / "bones.csv")
    names = {(r["limb"], int(r["label"])): r["bone"] for r in known}
    films = read_coco(cohort / "truth" / "coco-bones.json", bone_labels())
    coco = {film.image_name: film.outlines for film in films}
    assert len(coco) == 8
    for film in rows(cohort / "truth" / "films.csv"):
        outlines = {o.site.partition("-")[2]: o.points for o in coco[film["film"]]}
        bones = np.array(Image.open(cohort / "truth" / "bones" / f"{film['film'][:-4]}.png"))
        shown = {names[film["limb"], int(label)] for label in np.unique(bones) if label}
        assert shown <= set(outlines)
        assert len(shown) > 15
        for name, points in outlines.items():
            assert (points >= -0.51).all()
            assert (points <= np.array(bones.shape[::-1]) - 0.49).all()
            label = next(k for (limb, k), n in names.items() if (limb, n) == (film["limb"], name))
            area = (bones == label).sum()
            x, y = points.T
            # others may cover a bone; its outline holds all of it
            assert area <= 1.1 * abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2 + 30


def test_the_same_seed_gives_the_same_bytes_whatever_the_visits_and_processes(
    cohort: Path, followed: Path
) -> None:
    assert contents(cohort) == contents(followed)
    assert "truth/cohort.json" in contents(cohort)


def test_later_visits_have_the_same_layout_and_more_damage(cohort: Path, followed: Path) -> None:
    before = read_scores(followed / "training.csv")
    for visit in (2, 3):
        folder = followed / f"visit-{visit}"
        assert list(contents(folder)) == list(contents(cohort))
        assert {len(s.films) for s in studies_of(make_plan([folder]))} == {4}
        scores = read_scores(folder / "training.csv")
        for row in rows(folder / "truth" / "visits.csv"):
            assert int(row["visit"]) == visit
            assert 0.6 * (visit - 1) <= float(row["years"]) <= 1.5 * (visit - 1)
            old, new = before[row["patient"]], scores[row["patient"]]
            assert all(new[key] >= grade for key, grade in old.items())
        before = scores
    assert {r["years"] for r in rows(followed / "truth" / "visits.csv")} == {"0.000"}
    # a later film is another film
    one, other = (f / "SIM0001-LH.jpg" for f in (followed, followed / "visit-2"))
    assert one.read_bytes() != other.read_bytes()


def test_scoring_a_cohort_with_visits_takes_the_first_one(followed: Path) -> None:
    plan = make_plan([followed])
    assert not plan.problems
    assert [film.path.parent for film in plan.films] == [followed] * 8


def test_wide_films_are_framed_in_other_ways(cohort: Path, tmp_path: Path) -> None:
    settings = SimulateSettings(patients=1, seed=5, pixels_per_mm=2.0, wide=True)
    simulate_cohort(settings, tmp_path / "wide")
    known = json.loads((tmp_path / "wide" / "truth" / "cohort.json").read_text("utf-8"))
    assert known["settings"] == {
        "patients": 1, "seed": 5, "pixels_per_mm": 2.0, "pairs": False, "wide": True,
    }  # fmt: skip
    plain = rows(cohort / "truth" / "films.csv")[:4]
    wide = rows(tmp_path / "wide" / "truth" / "films.csv")
    assert [r["width"] for r in plain] != [r["width"] for r in wide]
    assert (tmp_path / "wide" / "training.csv").read_text().splitlines() == (
        cohort / "training.csv"
    ).read_text().splitlines()[:2]


def test_an_existing_cohort_is_not_overwritten_unless_asked(cohort: Path, tmp_path: Path) -> None:
    settings = SimulateSettings(patients=1, seed=6, pixels_per_mm=2.0)
    before = contents(cohort)
    with pytest.raises(ValueError, match="not empty"):
        simulate_cohort(settings, cohort)
    assert contents(cohort) == before
    copy = tmp_path / "copy"
    shutil.copytree(cohort, copy)
    simulate_cohort(settings, copy, force=True)
    assert list(read_scores(copy / "training.csv")) == ["SIM0001"]


def test_a_file_is_no_folder_for_a_cohort(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    settings = SimulateSettings(patients=1, pixels_per_mm=2.0)
    with pytest.raises(ValueError, match="file is a file"):
        simulate_cohort(settings, tmp_path / "file")
    with pytest.raises(OSError, match=r"cannot write .*file"):
        simulate_cohort(settings, tmp_path / "file" / "cohort")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("patients", [1_000, 10_000_000])
def test_a_cohort_that_cannot_fit_on_the_disk_is_refused_before_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patients: int
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    settings = SimulateSettings(patients=patients, visits=2)
    with pytest.raises(
        ValueError, match=r"need about .* (GB|TB) and .*(h|days), .* has 10 MB free"
    ):
        simulate_cohort(settings, tmp_path / "big")
    assert not (tmp_path / "big").exists()


def test_the_estimate_grows_with_the_films_and_their_size() -> None:
    one = estimate(SimulateSettings(patients=1, pixels_per_mm=5.0))
    many = estimate(SimulateSettings(patients=10, visits=3, pixels_per_mm=10.0, workers=4))
    assert many.size_bytes == pytest.approx(120 * one.size_bytes)
    assert many.seconds == pytest.approx(30 * one.seconds)
    assert str(estimate(SimulateSettings(patients=10_000_000))).endswith("days")


# the kernel refuses files over a limit, as a full disk would: the first film, or a table at the end
FULL = """
import resource, signal, sys
from pathlib import Path
from mandora.simulate.cohort.folder import estimate, simulate_cohort
from mandora.simulate.cohort.patient_files import bone_labels
from mandora.core.settings import SimulateSettings
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
try:
    simulate_cohort(SimulateSettings(patients=2, visits=2, pixels_per_mm=2.0), Path(sys.argv[2]))
except OSError as error:
    sys.exit(f"{error}")
"""


@pytest.mark.parametrize(("limit", "films"), [(3_000, False), (150_000, True)])
def test_a_full_disk_leaves_no_half_files(tmp_path: Path, limit: int, films: bool) -> None:
    out = tmp_path / "out"
    run = subprocess.run(
        [sys.executable, "-c", FULL, str(limit), str(out)], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert run.returncode == 1
    assert "cannot write" in run.stderr
    assert "Traceback" not in run.stderr
    assert not list(out.rglob("*.part*"))
    assert not list(out.rglob("training.csv"))
    assert not list(out.rglob("cohort.json"))
    assert bool(list(out.rglob("*.jpg"))) == films
    for film in out.rglob("*.jpg"):
        with Image.open(film) as image:
            image.load()


def test_films_of_both_limbs_come_with_the_truth_of_each(cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "pairs"
    simulate_cohort(SimulateSettings(patients=1, seed=5, pixels_per_mm=2.0, pairs=True), out)
    assert sorted(p.name for p in (out / "pairs").iterdir()) == [
        "SIM0001-feet.jpg", "SIM0001-hands.jpg",
    ]  # fmt: skip
    single = {k: v for k, v in contents(out).items() if k.startswith("SIM0001-")}
    assert single == {k: v for k, v in contents(cohort).items() if k.startswith("SIM0001-")}
    both = [r for r in rows(out / "truth" / "joints.csv") if r["film"] == "pairs/SIM0001-feet.jpg"]
    assert [r["side"] for r in both] == ["L"] * 6 + ["R"] * 6
    x = [float(r["x"]) for r in both]
    assert max(x[:6]) < min(x[6:])
    with Image.open(out / "pairs" / "SIM0001-feet.jpg") as film:
        for side in "LR":
            with Image.open(out / "truth" / "spaces" / f"SIM0001-feet-{side}.png") as mask:
                assert mask.size == film.size
                assert mask.getbbox() is not None
    # they show nothing new, and do not get in the way of scoring
    plan = make_plan([out])
    assert not plan.problems
    assert {len(visit.films) for visit in studies_of(plan)} == {4}
