"""RA2's folder with labels beside it, and simulated cohorts, which are such folders."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mandora.core.anatomy import LANDMARK_INDEX, LANDMARKS, TARGET_INDEX, TARGETS, Limb
from mandora.core.settings import SimulateSettings
from mandora.datasets.dataset import Dataset, DatasetFilm, point_scores
from mandora.datasets.findings import Finding, Severity
from mandora.datasets.formats.labelme import labelme_document
from mandora.datasets.intake.plan import make_plan
from mandora.datasets.intake.search import LABEL_FOLDERS
from mandora.datasets.layouts import open_dataset, read_dataset
from mandora.datasets.outlines import Outline
from mandora.images.read import read_radiograph
from mandora.simulate.cohort.folder import simulate_cohort
from mandora.simulate.cohort.patients import draw_patient, simulate_film

WriteFilm = Callable[..., Path]
WriteTable = Callable[..., Path]
MCP1 = "LH-mcp1:erosion"
TRIANGLE = np.array([[2, 2], [8, 2], [2, 8]], np.float64)
SCORES = "Patient_ID,LH_mcp_E__1"


@pytest.fixture
def ra2(tmp_path: Path, write_film: WriteFilm, write_table: WriteTable) -> Path:
    """Two patients, P1 with both hands and P2 with the left one."""
    for height, name in enumerate(("P1-LH.png", "P1-RH.png", "P2-LH.png"), 80):
        write_film(tmp_path / name, (100, height))
    write_table(tmp_path / "training.csv", SCORES, "P1,2", "P2,0")
    return tmp_path


def read(folder: Path) -> tuple[Dataset, list[Finding]]:
    dataset, findings = read_dataset(folder)
    assert dataset is not None
    return dataset, findings


def codes(findings: list[Finding]) -> list[tuple[str, str, int | None]]:
    return [(f.code, f.file, f.row) for f in findings if f.severity is not Severity.NOTE]


def film(dataset: Dataset, name: str) -> DatasetFilm:
    return next(f for f in dataset.films if f.name == name)


def labelme(path: Path, image: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    document = labelme_document((Outline("hand-mcp2", TRIANGLE),), image, (100, 80))
    path.write_text(json.dumps(document))
    return path


# --- films and scores -----------------------------------------------------------------------


def test_without_joints_it_is_a_data_set_all_the_same(ra2: Path) -> None:
    dataset, findings = read(ra2)
    assert codes(findings) == []
    assert dataset.patients == ("P1", "P2")
    assert [f.name for f in dataset.films] == ["P1-LH.png", "P1-RH.png", "P2-LH.png"]
    assert all(np.isnan(f.landmarks).all() and f.spaces is None for f in dataset.films)
    assert [dataset.official[p][TARGET_INDEX[MCP1]] for p in dataset.patients] == [2, 0]
    assert (dataset.readers, dataset.weights) == ({}, {})
    assert open_dataset(ra2).layout == "ra2"


def test_films_may_lie_in_a_folder(ra2: Path) -> None:
    (ra2 / "films").mkdir()
    for path in list(ra2.glob("*.png")):
        path.rename(ra2 / "films" / path.name)
    dataset, findings = read(ra2)
    assert codes(findings) == []
    assert len(dataset.films) == 3


def test_what_does_not_fit_is_said(ra2: Path, write_table: WriteTable) -> None:
    write_table(ra2 / "training.csv", SCORES, "P1,2", "P3,1")
    shutil.copy(ra2 / "P1-LH.png", ra2 / "P1-LH.jpg")
    shutil.copy(ra2 / "P1-LH.png", ra2 / "scan.png")
    dataset, findings = read(ra2)
    assert codes(findings) == [
        ("film-repeated", "P1-LH.jpg", None),
        ("film-repeated", "P1-LH.png", None),
        ("film-not-used", "scan.png", None),
        ("scores-missing", "P2-LH.png", None),
        ("films-missing", "training.csv", 3),
    ]
    assert dataset.patients == ("P1", "P2")


@pytest.mark.parametrize("name", ["P1-RH.png", "P1-RF.png"])
def test_copies_for_two_limbs_are_left_to_the_check_of_data_sets(ra2: Path, name: str) -> None:
    shutil.copy(ra2 / "P1-LH.png", ra2 / name)
    dataset, findings = read(ra2)
    assert codes(findings) == []
    assert {"P1-LH.png", name} <= {f.name for f in dataset.films}


def test_films_of_no_single_limb_are_said_to_be_so(ra2: Path, write_film: WriteFilm) -> None:
    write_film(ra2 / "P3 both hands.png", (100, 90))
    write_film(ra2 / "P4 hand.png", (100, 91))
    findings = [f for f in read(ra2)[1] if f.code == "film-not-used"]
    assert [(f.file, f.severity) for f in findings] == [
        ("P3 both hands.png", Severity.WARNING), ("P4 hand.png", Severity.WARNING),
    ]  # fmt: skip
    assert "shows both limbs" in findings[0].message
    assert "does not say which limb and side" in findings[1].message


def test_no_films(tmp_path: Path, write_table: WriteTable) -> None:
    write_table(tmp_path / "training.csv", SCORES, "P1,2")
    assert ("no-films", tmp_path.name, None) in codes(read(tmp_path)[1])


# --- labels ---------------------------------------------------------------------------------


def test_joints_of_mandora_locate_beside_the_films(ra2: Path, write_table: WriteTable) -> None:
    rows = [
        f"P1-LH.png,hand,L,{p.name},{10 + i}.25,{20 + i}.50,0.9000"
        for i, p in enumerate(LANDMARKS[Limb.HAND])
    ]
    write_table(ra2 / "joints.csv", "film,limb,side,site,x,y,confidence", *rows)
    dataset, findings = read(ra2)
    assert codes(findings) == []
    points = film(dataset, "P1-LH.png").landmarks
    assert points.tolist() == [[10.25 + i, 20.5 + i] for i in range(21)]
    assert np.isnan(film(dataset, "P1-RH.png").landmarks).all()


def test_every_place_of_labels(ra2: Path) -> None:
    for kind, name in (("spaces", "P1-LH.png"), ("erosions", "P2-LH.png")):
        (ra2 / kind).mkdir()
        Image.new("L", (100, 80)).save(ra2 / kind / name)
    labelme(ra2 / "P1-RH.json", "P1-RH.png")  # where LabelMe puts it
    labelme(ra2 / "labelme" / "x.json", "P2-LH.png")
    xml = (
        '<annotations><image id="0" name="P1-RH.png" width="100" height="80">'
        '<polygon label="hand-mcp3" points="2,2;8,2;2,8"/></image></annotations>'
    )
    (ra2 / "annotations").mkdir()
    (ra2 / "annotations" / "erosions.xml").write_text(xml)
    (ra2 / "annotations.xml").write_text(xml)
    (ra2 / "coco-erosions.json").write_text(json.dumps({
        "images": [{"id": 1, "file_name": "P1-LH.png", "width": 100, "height": 80}],
        "categories": [{"id": 1, "name": "hand-mcp2"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1,
                         "segmentation": [[2, 2, 8, 2, 2, 8]]}],
    }))  # fmt: skip
    dataset, findings = read(ra2)
    assert codes(findings) == []
    first, second, third = dataset.films
    assert first.spaces == ra2 / "spaces" / "P1-LH.png"
    assert third.erosions == ra2 / "erosions" / "P2-LH.png"
    sites = [
        [o.site for o in labels]
        for labels in (first.erosions, second.spaces, second.erosions, third.spaces)
        if isinstance(labels, tuple)
    ]
    assert sites == [["hand-mcp2"], ["hand-mcp2", "hand-mcp3"], ["hand-mcp3"], ["hand-mcp2"]]


@pytest.mark.parametrize("name", sorted(LABEL_FOLDERS))
def test_pictures_of_labels_are_no_films(ra2: Path, name: str) -> None:
    (ra2 / name).mkdir()
    shutil.copy(ra2 / "P1-LH.png", ra2 / name / "P1-LH.png")
    assert len(read(ra2)[0].films) == 3
    assert [f.name for f in make_plan([ra2]).films] == ["P1-LH.png", "P1-RH.png", "P2-LH.png"]
    (ra2 / "training.csv").unlink()
    assert len(make_plan([ra2]).problems) == 2, "without RA2's table it is a folder of films"


# --- readers --------------------------------------------------------------------------------


def test_label_files_in_places_that_are_not_searched_are_noted(ra2: Path) -> None:
    (ra2 / "via").mkdir()
    for name in ("via/via.json", "other.xml", "P1-LH.json", "coco.json"):
        (ra2 / name).write_text("{}")
    noted = [f.file for f in read(ra2)[1] if f.code == "labels-not-used"]
    assert sorted(noted) == ["other.xml", "via/via.json"]


def test_readers_are_named_after_their_files(ra2: Path, write_table: WriteTable) -> None:
    write_table(ra2 / "readers" / "ana.csv", SCORES, "P1,5", "P2,1")
    write_table(ra2 / "readers" / "bo.csv", SCORES, "P1,2", "P9,1")
    write_table(ra2 / "readers" / "official.csv", SCORES, "P1,2")
    dataset, findings = read(ra2)
    assert codes(findings) == [
        ("patient-unknown", "readers/bo.csv", 3),
        ("reader-repeated", "readers/official.csv", None),
    ]
    assert dataset.weights == {"ana": 1, "bo": 1}
    at = TARGET_INDEX[MCP1]
    assert [dataset.training_scores(p)[at] for p in ("P1", "P2")] == [3.5, 1]
    assert [dataset.official[p][at] for p in ("P1", "P2")] == [2, 0]


# --- simulated cohorts ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One patient at two visits."""
    out = tmp_path_factory.mktemp("sim") / "cohort"
    settings = SimulateSettings(patients=1, seed=6, visits=2, pixels_per_mm=2)
    simulate_cohort(settings, out)
    return out


def test_a_simulated_cohort_trains_at_once(simulated: Path) -> None:
    dataset, findings = read(simulated)
    assert codes(findings) == []
    assert [f.code for f in findings] == ["visits-not-used"]
    assert (len(dataset.films), len(dataset.patients)) == (4, 1)
    for one in dataset.films:
        truth = simulate_film(draw_patient(6, 0), one.slot, pixels_per_mm=2)
        assert np.abs(one.landmarks - truth.landmarks).max() <= 0.0051, "two decimals"
        shape = read_radiograph(one.path).shape
        for labels, true in (
            (one.space_map(shape), truth.spaces), (one.erosion_map(shape), truth.erosions)
        ):  # fmt: skip
            assert labels is not None
            assert np.array_equal(labels, true)


def test_its_readers_are_merged_and_its_truth_is_official(simulated: Path) -> None:
    dataset = open_dataset(simulated, {"reader_1": 3, "reader_2": 1})
    lines = (simulated / "truth" / "readers.csv").read_text().splitlines()
    patient, key, true, first, second = lines[1].split(",")
    assert key == TARGETS[0].key
    assert dataset.official[patient][0] == float(true)
    assert dataset.training_scores(patient)[0] == (3 * float(first) + float(second)) / 4
    assert all(np.isfinite(dataset.training_scores(p)).all() for p in dataset.patients)
    one = dataset.films[0]
    assert one.slot.limb is Limb.HAND
    mcp2 = point_scores(dataset.official[one.patient], one.slot)[LANDMARK_INDEX[Limb.HAND]["mcp2"]]
    keys = [f"{one.slot.code}-mcp2:{kind}" for kind in ("narrowing", "erosion")]
    assert mcp2.tolist() == [dataset.official[one.patient][TARGET_INDEX[k]] for k in keys]


def test_a_later_visit_is_a_data_set_of_its_own(simulated: Path) -> None:
    dataset, findings = read(simulated / "visit-2")
    assert codes(findings) == []
    assert len(dataset.films) == 4
    assert all(np.isfinite(f.landmarks).all() and f.spaces is not None for f in dataset.films)


def test_films_of_both_hands_are_passed_over(
    ra2: Path, write_film: WriteFilm, write_table: WriteTable
) -> None:
    write_film(ra2 / "pairs" / "P1-hands.png")
    write_table(
        ra2 / "truth" / "joints.csv", "film,limb,side,site,x,y",
        "P1-LH.png,hand,L,mcp2,1,2", "pairs/P1-hands.png,hand,L,mcp2,3,4",
        "pairs/P1-hands.png,hand,R,mcp2,5,6",
    )  # fmt: skip
    (ra2 / "truth" / "spaces").mkdir()
    for name in ("P1-LH", "P1-hands-L", "P1-hands-R"):
        Image.new("L", (100, 80)).save(ra2 / "truth" / "spaces" / f"{name}.png")
    dataset, findings = read(ra2)
    assert codes(findings) == []
    assert len(dataset.films) == 3
    assert film(dataset, "P1-LH.png").landmarks[LANDMARK_INDEX[Limb.HAND]["mcp2"]].tolist() == [
        1,
        2,
    ]


def test_own_joints_win_over_the_truth(
    simulated: Path, tmp_path: Path, write_table: WriteTable
) -> None:
    shutil.copytree(simulated, tmp_path / "c")
    name = read(tmp_path / "c")[0].films[0].name
    write_table(tmp_path / "c" / "joints.csv", "film,site,x,y", f"{name},mcp2,1,2")
    dataset, findings = read(tmp_path / "c")
    assert codes(findings) == [("joint-differs", "truth/joints.csv", None)]
    assert dataset.films[0].landmarks[LANDMARK_INDEX[Limb.HAND]["mcp2"]].tolist() == [1, 2]
    assert np.isfinite(dataset.films[0].landmarks).all(), "the others are still the truth's"
