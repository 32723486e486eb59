"""What is wrong with a data set is found, and what is right is left in peace."""

from __future__ import annotations

import csv
import json
import re
import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mandora.core.anatomy import LANDMARKS, SLOTS, TARGETS, Limb, Side, Slot
from mandora.core.ra2 import RA2_COLUMNS
from mandora.core.settings import SimulateSettings
from mandora.datasets.check.data_set import CheckReport, check_dataset
from mandora.datasets.check.films import check_film, seems_mirrored
from mandora.datasets.check.scores import check_scores
from mandora.datasets.dataset import Dataset, DatasetFilm, DatasetRoi
from mandora.datasets.findings import Finding, Report, Severity
from mandora.datasets.outlines import Outline
from mandora.simulate.cohort.folder import simulate_cohort
from mandora.simulate.cohort.patients import draw_patient, simulate_film

LF = Slot(Side.LEFT, Limb.FOOT)
LEFT_FOOT = draw_patient(3, 0), LF


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated cohort of two patients. Copy, do not change."""
    folder = tmp_path_factory.mktemp("clean") / "cohort"
    simulate_cohort(SimulateSettings(patients=2, seed=5), folder)
    return folder


@pytest.fixture
def cohort(clean: Path, tmp_path: Path) -> Path:
    """The films and scores of the cohort, without its truth."""
    for path in clean.glob("*.*"):
        if path.suffix in (".jpg", ".csv"):
            shutil.copy(path, tmp_path)
    return tmp_path


@pytest.fixture
def foot(small_films: Path, tmp_path: Path) -> DatasetFilm:
    """The left foot of P1, as it is simulated, nothing marked."""
    path = tmp_path / "P1-LF.png"
    shutil.copy(small_films / path.name, path)
    landmarks = simulate_film(*LEFT_FOOT, pixels_per_mm=2).landmarks
    return DatasetFilm("P1", LF, path, np.asarray(landmarks, np.float64))


def size(film: DatasetFilm) -> tuple[int, int]:
    with Image.open(film.path) as image:
        return image.size


def codes(findings: tuple[Finding, ...]) -> list[tuple[str, str]]:
    return [(str(f.severity), f.code) for f in findings]


def found(report: CheckReport, code: str) -> list[Finding]:
    return [f for f in report.findings if f.code == code]


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "training.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(folder: Path, rows: list[dict[str, str]], columns: list[str] | None = None) -> None:
    with (folder / "training.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns or list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


# --- the whole ----------------------------------------------------------------------------


def test_a_clean_cohort_gives_no_error_and_no_warning(clean: Path) -> None:
    seen: list[tuple[int, int]] = []
    report = check_dataset(clean, progress=lambda done, total: seen.append((done, total)))
    assert {f.severity for f in report.findings} <= {Severity.NOTE}
    assert (report.errors, report.warnings) == (0, 0)
    assert (report.layout, report.patients, report.films, report.rois) == ("ra2", 2, 8, 0)
    assert (report.scores, report.landmarks) == (2 * 86, 2 * 2 * 27)
    assert seen == [(n, 8) for n in range(1, 9)]


def test_workers_find_the_same(cohort: Path) -> None:
    (cohort / "P0001-LH.jpg").write_bytes(b"no film")
    assert check_dataset(cohort, workers=2) == check_dataset(cohort)


def test_everything_is_reported_at_once(cohort: Path) -> None:
    rows = table(cohort)
    rows[1]["LH_mcp_E__1"] = "9"
    write(cohort, rows)
    names = sorted(path.name for path in cohort.glob("*.jpg"))
    (cohort / names[0]).write_bytes(b"")
    shutil.copy(cohort / names[1], cohort / names[6])
    report = check_dataset(cohort)
    assert {"score-out-of-range", "film-unreadable", "film-duplicate"} <= {
        f.code for f in report.findings if f.severity is Severity.ERROR
    }
    assert found(report, "score-out-of-range")[0].row == 3
    assert found(report, "film-unreadable")[0].file == names[0]
    severities = [f.severity for f in report.findings]
    assert severities == sorted(severities, key=list(Severity).index)


def test_json_says_the_same(cohort: Path) -> None:
    (cohort / "P0001-LH.jpg").write_bytes(b"no film")
    report = check_dataset(cohort)
    content = json.loads(report.to_json())
    assert {"layout", "patients", "films", "rois", "findings", "errors", "warnings"} <= set(content)
    assert content["errors"] == report.errors
    assert [tuple(f) for f in content["findings"]] == [
        ("severity", "code", "file", "row", "message")
    ] * len(report.findings)


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no data set that is known"):
        check_dataset(tmp_path)
    with pytest.raises(ValueError, match="no such file or folder"):
        check_dataset(tmp_path / "nowhere")


def test_a_table_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("a,b\n1,2\n")
    report = check_dataset(tmp_path)
    assert report.layout == "manifest"
    assert found(report, "column-missing")
    assert report.films == 0


def test_cells_cannot_steer_the_terminal(cohort: Path) -> None:
    rows = table(cohort)
    write(cohort, [*rows, {**rows[0], "Patient_ID": "x\x1b[2J"}])
    messages = [f.message for f in check_dataset(cohort).findings]
    assert any("x\N{REPLACEMENT CHARACTER}[2J" in m for m in messages)
    assert all(m.isprintable() for m in messages)


def test_every_code_is_documented(root: Path) -> None:
    page = (root / "docs" / "check.md").read_text(encoding="utf-8")
    call = r'report\.(?:error|warning|note|not_read)\(\s*"([a-z-]+)"'
    for path in (root / "src" / "mandora" / "datasets").rglob("*.py"):
        for code in re.findall(call, path.read_text(encoding="utf-8")):
            assert f"`{code}`" in page, f"{path.name}: {code}"
    for code in ("score-out-of-range", "score-not-a-number", "weight-out-of-range"):
        assert f"`{code}`" in page


# --- films ----------------------------------------------------------------------------------


def test_a_sound_film_has_no_findings(foot: DatasetFilm) -> None:
    checked = check_film(foot, foot.path.parent)
    assert checked.findings == ()
    assert checked.digest is not None
    assert checked.pattern is not None


@pytest.mark.parametrize("content", [None, b"", b"no film", b"\x89PNG\r\n\x1a\n"])
def test_a_film_that_cannot_be_read(foot: DatasetFilm, content: bytes | None) -> None:
    foot.path.unlink()
    if content is not None:
        foot.path.write_bytes(content)
    checked = check_film(foot, foot.path.parent)
    assert codes(checked.findings) == [("error", "film-unreadable")]
    assert checked.findings[0].file == "P1-LF.png"
    assert not checked.findings[0].message.startswith("P1-LF.png")
    assert checked.digest is None


def test_one_bad_film_costs_only_itself(cohort: Path) -> None:
    first = min(cohort.glob("*.jpg"))
    first.write_bytes(first.read_bytes()[:5000])
    report = check_dataset(cohort)
    assert [f.file for f in report.findings if f.severity is Severity.ERROR] == [first.name]


def test_tags_that_contradict_the_name(tmp_path: Path) -> None:
    pytest.importorskip("pydicom")
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = ComputedRadiographyImageStorage, "1.2.3"
    ds.PatientName = ds.PatientID = ds.InstitutionName = "Doe^Jane"
    ds.Modality, ds.PatientBirthDate = "CR", "19500131"
    ds.Laterality, ds.BodyPartExamined = "R", "HAND"
    ds.Rows, ds.Columns, ds.SamplesPerPixel = 80, 100, 1
    ds.PhotometricInterpretation, ds.PixelRepresentation = "MONOCHROME2", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 12, 11
    ds.PixelData = np.arange(8000, dtype=np.uint16).tobytes()
    for side in Side:
        for limb in Limb:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                path = tmp_path / f"P1-{Slot(side, limb).code}.dcm"
                ds.save_as(path, enforce_file_format=True)
            film = DatasetFilm(
                "P1", Slot(side, limb), path, np.full((len(LANDMARKS[limb]), 2), np.nan)
            )
            checked = check_film(film, tmp_path)
            agrees = (side, limb) == (Side.RIGHT, Limb.HAND)
            assert codes(checked.findings) == ([] if agrees else [("warning", "tags-differ")])
            assert all("right hand" in f.message for f in checked.findings)
            for secret in ("Doe", "Jane", "1950", "1.2.3"):
                assert all(secret not in str(f) for f in checked.findings)
    # a header that cannot be decoded says nothing of the patient either
    path.write_bytes(path.read_bytes()[:-5000])
    (finding,) = check_film(film, tmp_path).findings
    assert finding.code == "film-unreadable"
    assert "Doe" not in finding.message


def test_a_joint_beyond_the_edge_is_noted(foot: DatasetFilm) -> None:
    landmarks = foot.landmarks.copy()
    landmarks[0, 1] = -8.0
    checked = check_film(replace(foot, landmarks=landmarks), foot.path.parent)
    assert codes(checked.findings) == [("note", "points-outside")]
    assert "1 of 6 joints" in checked.findings[0].message


@pytest.mark.parametrize("scale", [3.0, 40.0])
def test_joints_of_another_picture_are_a_warning(foot: DatasetFilm, scale: float) -> None:
    checked = check_film(replace(foot, landmarks=foot.landmarks * scale), foot.path.parent)
    assert codes(checked.findings) == [("warning", "points-outside")]


def test_joints_of_the_other_side(foot: DatasetFilm) -> None:
    mirrored = foot.landmarks * [-1, 1] + [size(foot)[0] - 1, 0]
    checked = check_film(replace(foot, landmarks=mirrored), foot.path.parent)
    assert codes(checked.findings) == [("warning", "points-mirrored")]
    assert "right foot" in checked.findings[0].message
    assert "left foot" in checked.findings[0].message


@pytest.mark.parametrize("slot", SLOTS, ids=lambda slot: slot.code)
@pytest.mark.parametrize("turned", [0, 90, 180])
def test_sides_are_told_apart_however_the_film_lies(slot: Slot, turned: int) -> None:
    angle = np.radians(turned)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    for index in range(5):
        film = simulate_film(draw_patient(11, index), slot, pixels_per_mm=1, wide=True)
        landmarks = np.asarray(film.landmarks, np.float64) @ matrix.T
        assert not seems_mirrored(landmarks, slot)
        assert seems_mirrored(landmarks * [-1, 1], slot)
        few = landmarks.copy()
        few[3:] = np.nan
        assert not seems_mirrored(few * [-1, 1], slot)


# --- labels on films ------------------------------------------------------------------------


@pytest.fixture
def with_map(foot: DatasetFilm) -> Callable[[np.ndarray], DatasetFilm]:
    def make(labels: np.ndarray) -> DatasetFilm:
        path = foot.path.with_name("spaces.png")
        Image.fromarray(labels).save(path)
        return replace(foot, spaces=path)

    return make


def test_label_maps(foot: DatasetFilm, with_map: Callable[[np.ndarray], DatasetFilm]) -> None:
    width, height = size(foot)
    labels = np.zeros((height, width), np.uint8)
    labels[50:60, 50:60] = 2
    root = foot.path.parent
    assert check_film(with_map(labels), root).findings == ()
    (finding,) = check_film(with_map(labels[:-1]), root).findings
    assert (finding.code, finding.file) == ("labels-size", "spaces.png")
    assert str(root) not in finding.message
    (finding,) = check_film(with_map(labels * 30), root).findings
    assert finding.code == "labels-unusable"
    (finding,) = check_film(with_map(labels * 0), root).findings
    assert (finding.severity, finding.code) == (Severity.WARNING, "labels-empty")
    # nothing need be eroded
    healthy = replace(with_map(labels * 0), spaces=None, erosions=root / "spaces.png")
    assert check_film(healthy, root).findings == ()
    (root / "spaces.png").write_bytes(b"no picture")
    assert codes(check_film(healthy, root).findings) == [("error", "labels-unusable")]


SQUARE = np.array([[10.0, 10.0], [20.0, 10.0], [20.0, 20.0], [10.0, 20.0]])


@pytest.mark.parametrize(
    ("site", "landmarks", "expected"),
    [
        ("foot-mtp2", SQUARE, []),
        ("foot-mtp2", SQUARE - [10.5, 0], []),  # along the edge
        ("hand-mcp2", SQUARE, [("error", "label-unknown")]),
        ("foot-mtp9", SQUARE, [("error", "label-unknown")]),
        ("foot-mtp2", SQUARE - [15, 0], [("warning", "polygon-outside")]),
        ("foot-mtp2", SQUARE - [-90_000, 0], [("error", "polygon-outside")]),
        ("foot-mtp2", SQUARE - [0, 30], [("error", "polygon-outside")]),
        ("foot-mtp2", SQUARE * 0.03 + 10.2, [("warning", "polygon-empty")]),
        ("foot-mtp2", SQUARE[[0, 1, 0]] + 0.5, [("warning", "polygon-empty")]),
    ],
)
def test_polygons(
    foot: DatasetFilm, site: str, landmarks: np.ndarray, expected: list[tuple[str, str]]
) -> None:
    film = replace(foot, erosions=(Outline(site, landmarks),), label_size=size(foot))
    assert codes(check_film(film, foot.path.parent).findings) == expected


def test_polygons_of_another_size(foot: DatasetFilm) -> None:
    film = replace(foot, spaces=(Outline("foot-mtp2", SQUARE),), label_size=(640, 480))
    (finding,) = check_film(film, foot.path.parent).findings
    assert (finding.severity, finding.code) == (Severity.ERROR, "labels-size")
    assert "640 × 480" in finding.message


def test_pictures_of_joints(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(100, dtype=np.uint8), (80, 1))
    for name, pixels in (("joint", ramp), ("bones", ramp), ("erosions", ramp[1:])):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    landmarks = (LANDMARKS[Limb.HAND][0],)
    roi = DatasetRoi("P1", SLOTS[0], landmarks, tmp_path / "joint.png", {}, tmp_path / "bones.png")
    assert check_film(roi, tmp_path).findings == ()
    bad = replace(roi, erosions=tmp_path / "erosions.png", bones=tmp_path / "none.png")
    assert codes(check_film(bad, tmp_path).findings) == [
        ("error", "labels-unusable"),
        ("error", "labels-size"),
    ]


# --- copies ---------------------------------------------------------------------------------


def test_exact_copies_are_found_whatever_their_format(cohort: Path) -> None:
    names = sorted(path.name for path in cohort.glob("*.jpg"))
    with Image.open(cohort / names[0]) as image:  # another patient's film without loss
        image.convert("L").save(cohort / names[4].replace(".jpg", ".png"))
    (cohort / names[4]).unlink()
    report = check_dataset(cohort)
    (finding,) = found(report, "film-duplicate")
    assert finding.severity is Severity.ERROR
    assert finding.file == names[4].replace(".jpg", ".png")
    assert names[0] in finding.message
    assert not found(report, "film-near-duplicate")


def test_copies_within_a_patient(cohort: Path) -> None:
    names = sorted(path.name for path in cohort.glob("*.jpg"))
    shutil.copy(cohort / names[0], cohort / names[2])  # the left foot for the right one
    assert [f.file for f in found(check_dataset(cohort), "film-duplicate")] == [names[2]]
    with Image.open(cohort / names[0]) as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(cohort / names[2], quality=70)
    (finding,) = found(check_dataset(cohort), "film-near-duplicate")
    assert finding.severity is Severity.WARNING
    assert (finding.file, names[0] in finding.message) == (names[2], True)
    assert "mirrored" in finding.message


def test_one_film_may_show_both_hands(small_films: Path, tmp_path: Path) -> None:
    shutil.copy(small_films / "P1-LH.png", tmp_path / "hands.png")
    shutil.copy(small_films / "P1-RH.png", tmp_path / "other.png")
    text = "patient,film,slot,mcp2:erosion\nP1,hands.png,LH,1\nP1,hands.png,RH,0\n"
    (tmp_path / "manifest.csv").write_text(text)
    assert not found(check_dataset(tmp_path), "film-duplicate")
    (tmp_path / "manifest.csv").write_text(text + "P2,hands.png,LH,0\n")
    assert len(found(check_dataset(tmp_path), "film-duplicate")) == 1


def test_a_missing_film_of_a_manifest_is_reported_once(small_films: Path, tmp_path: Path) -> None:
    shutil.copy(small_films / "P1-LH.png", tmp_path / "a.png")
    text = "patient,film,slot,mcp2:erosion\nP1,a.png,LH,1\nP2,b.png,LH,0\n"
    (tmp_path / "manifest.csv").write_text(text)
    errors = [f for f in check_dataset(tmp_path).findings if f.severity is Severity.ERROR]
    assert [(f.code, f.file, f.row) for f in errors] == [("film-missing", "manifest.csv", 3)]


# --- scores ---------------------------------------------------------------------------------


def scored(scores: dict[str, np.ndarray], shown: tuple[str, ...] = ()) -> list[Finding]:
    """Findings of a manifest with these scores; the patients that are shown have a film."""
    films = tuple(
        DatasetFilm(p, LF, Path(f"/data/{p}.png"), np.full((6, 2), np.nan)) for p in shown
    )
    report = Report(Path("/data"))
    check_scores(Dataset(Path("/data/m.csv"), "manifest", films, (), scores), report)
    return report.findings


def grades(seed: int) -> np.ndarray:
    maxima = [t.maximum + 1 for t in TARGETS]
    return np.random.default_rng(seed).integers(0, maxima).astype(np.float64)


def test_many_patients_with_all_grades_give_no_findings() -> None:
    names = [f"P{n}" for n in range(40)]
    assert scored({n: grades(i) for i, n in enumerate(names)}, tuple(names)) == []


def test_patients_without_films_and_films_without_scores() -> None:
    findings = scored({"A": grades(0), "C": np.full(86, np.nan)}, ("B", "C"))
    said = [(f.code, f.file) for f in findings if f.severity is Severity.WARNING]
    assert said == [("films-missing", "m.csv"), ("scores-missing", "B.png"),
                    ("scores-missing", "C.png")]  # fmt: skip


def test_films_of_ra2_without_scores_are_reported_once(cohort: Path) -> None:
    rows = table(cohort)
    blank = {**dict.fromkeys(rows[0], ""), "Patient_ID": rows[0]["Patient_ID"]}
    write(cohort, [blank, rows[1]])
    assert len(found(check_dataset(cohort), "scores-missing")) == 1
    write(cohort, rows[1:])
    assert len(found(check_dataset(cohort), "scores-missing")) == 1
    write(cohort, [*rows, {**rows[1], "Patient_ID": "extra"}])
    (finding,) = found(check_dataset(cohort), "films-missing")
    assert (finding.file, finding.row) == ("training.csv", 4)


def test_no_scores_at_all() -> None:
    findings = scored({}, ("A",))
    assert [f.code for f in findings] == ["scores-missing", "no-scores"]


def test_absent_and_constant_targets_and_little_damage() -> None:
    table = {f"P{i}": grades(i) for i in range(40)}
    for scores in table.values():
        scores[0], scores[1], scores[44:50] = np.nan, 3.0, 0.0
        scores[32:44] = 0.0  # no erosion of feet
    findings = {f.code: f for f in scored(table, tuple(table))}
    assert {f.severity for f in findings.values()} == {Severity.NOTE}
    assert TARGETS[0].key in findings["targets-absent"].message
    assert "19 targets" in findings["targets-constant"].message
    assert "foot erosion: 0 of 480" in findings["few-damaged"].message
    assert "hand" not in findings["few-damaged"].message


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("UAB001", "uab001", True),
        ("UAB 001", "UAB_001", True),
        ("007", "7", True),  # a spreadsheet takes the zeros away
        ("UAB001", "UAB002", False),
        ("P1-1", "P11", False),
    ],
)
def test_ids_that_differ_in_case_or_spacing(one: str, other: str, alike: bool) -> None:
    findings = [f for f in scored({one: grades(0), other: grades(1)}) if f.code == "patients-alike"]
    assert [f.severity for f in findings] == [Severity.WARNING] * alike
    assert all(repr(one) in f.message and repr(other) in f.message for f in findings)


def test_swapped_columns_of_great_toes(cohort: Path) -> None:
    rows = table(cohort)
    columns = list(RA2_COLUMNS)
    left, right = columns.index("LF_mtp_J__ip"), columns.index("RF_mtp_J__ip")
    assert not found(check_dataset(cohort), "toe-columns-swapped")
    columns[left], columns[right] = columns[right], columns[left]
    write(cohort, rows, columns)
    report = check_dataset(cohort)
    (finding,) = found(report, "toe-columns-swapped")
    assert (finding.severity, finding.file, finding.row) == (Severity.NOTE, "training.csv", 1)
    assert (report.errors, report.warnings) == (0, 0)


def test_totals_that_are_no_sums(cohort: Path) -> None:
    rows = table(cohort)
    rows[0]["Overall_Tol"] = str(float(rows[0]["Overall_Tol"]) + 1)
    write(cohort, rows)
    (finding,) = found(check_dataset(cohort), "total-differs")
    assert (finding.severity, finding.row) == (Severity.WARNING, 2)
