"""``mandora score`` and ``mandora locate``."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from typer.testing import CliRunner, Result

from mandora.cli.main import app
from mandora.core.anatomy import SLOTS
from mandora.core.csv_text import unescape_formula
from mandora.core.ra2 import RA2_COLUMNS
from mandora.core.records import read_result
from mandora.core.settings import SimulateSettings
from mandora.images import decoder
from mandora.simulate.cohort.folder import simulate_cohort

TABLES = ("scores.csv", "joints.csv", "totals.csv", "quality.csv")
CALL = "import sys; from mandora.cli.main import main; sys.argv[0] = 'mandora'; main()"


def mandora(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def score(tiny_bundle: Path, tmp_path: Path) -> Callable[..., Result]:
    """Score into ``out`` with the small bundle."""

    def run(*words: object, out: Path = tmp_path / "out") -> Result:
        return mandora("score", *words, "--out", out, "--bundle", tiny_bundle, "--threads", 1)

    return run


def test_deidentify_alone_is_refused(tmp_path: Path) -> None:
    done = mandora("score", tmp_path, "--out", tmp_path / "out", "--deidentify")
    assert done.exit_code == 2
    assert "add --dicom" in done.stderr


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [{k: unescape_formula(v) for k, v in row.items()} for row in csv.DictReader(file)]


def outcomes(out: Path, film: str) -> set[tuple[str, str]]:
    return {(r["status"], r["reason"]) for r in rows(out / "joints.csv") if r["film"] == film}


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


# --- what works ---------------------------------------------------------------------------


def test_four_films(score: Callable[..., Result], small_films: Path, tmp_path: Path) -> None:
    done = score(small_films)
    assert done.exit_code == 0, done.stderr
    assert done.stderr == ""
    assert files(tmp_path / "out") == {
        *TABLES, "summary.json", "results/P1.json", "reports/P1.html",
        *(f"overlays/P1-{slot.code}.png" for slot in SLOTS),
    }  # fmt: skip
    for words in ("Scores of P1", "hand mcp2", "Totals", "1 of 1 patients", "research use only"):
        assert words in done.stdout
    assert tuple(rows(tmp_path / "out" / "scores.csv")[0]) == RA2_COLUMNS
    result = read_result(tmp_path / "out" / "results" / "P1.json")
    assert len(rows(tmp_path / "out" / "joints.csv")) == len(result.scores) == 86


def test_json_is_one_object_on_standard_output(
    score: Callable[..., Result], films: Path, tmp_path: Path
) -> None:
    (films / "scan.png").write_bytes(b"x")
    done = score(films, "--json")
    assert done.exit_code == 1
    summary = json.loads(done.stdout)
    assert summary["patients"] == summary["scored"] == 1
    assert [p["film"] for p in summary["problems"]] == ["scan.png"]
    assert "scan.png" in done.stderr


def test_a_missing_foot_is_no_failure(
    score: Callable[..., Result], films: Path, small_films: Path, tmp_path: Path
) -> None:
    for code in ("LH", "RH"):
        shutil.copy(small_films / f"P1-{code}.png", films)
    done = score(films)
    assert done.exit_code == 0, done.stderr
    (row,) = rows(tmp_path / "out" / "scores.csv")
    assert row["RF_mtp_J__1"] == row["RF_mtp_E__1"] == ""
    assert row["LF_mtp_J__1"] != ""
    assert outcomes(tmp_path / "out", "") == {("missing", "film_missing")}
    assert "pro-rated" in done.stdout


def test_hands_alone_have_totals_of_the_hands(
    score: Callable[..., Result], small_films: Path, films: Path, tmp_path: Path
) -> None:
    (films / "P1-LF.png").unlink()
    for code in ("LH", "RH"):
        shutil.copy(small_films / f"P1-{code}.png", films)
    done = score(films)
    assert done.exit_code == 0, done.stderr
    shown = next(line for line in done.stdout.splitlines() if "/160" in line)
    for words in ("P1", "hands", "/120", "/280"):
        assert words in shown
    assert "–" not in shown
    totals = {r["total"]: r for r in rows(tmp_path / "out" / "totals.csv")}
    assert float(totals["hands:narrowing"]["value"]) >= 0
    (row,) = rows(tmp_path / "out" / "scores.csv")
    assert tuple(row) == RA2_COLUMNS
    assert row["Overall_Tol"] == totals["Overall_Tol"]["value"] == ""
    report = (tmp_path / "out" / "reports" / "P1.html").read_text(encoding="utf-8")
    assert "No totals of all joints: no film of the feet was given." in report


def test_a_template_gives_columns_and_order(
    score: Callable[..., Result], films: Path, tmp_path: Path
) -> None:
    shutil.copy(films / "P1-LF.png", films / "P2-LF.png")
    template = tmp_path / "template.csv"
    template.write_text("Patient_ID,LF_mtp_J__ip\nP2,\nP1,\nP3,\n", encoding="utf-8")
    assert score(films, "--template", template).exit_code == 0
    table = rows(tmp_path / "out" / "scores.csv")
    assert [r["Patient_ID"] for r in table] == ["P2", "P1", "P3"]
    assert [bool(r["LF_mtp_J__ip"]) for r in table] == [True, True, False]


def test_a_simulated_cohort_is_scored_without_its_truth(
    score: Callable[..., Result], tmp_path: Path
) -> None:
    simulate_cohort(SimulateSettings(patients=1, pixels_per_mm=2.0), tmp_path / "cohort")
    done = score(tmp_path / "cohort")
    assert done.exit_code == 0
    # the small model takes places beside the foot for joints: there everything is dark
    assert all("exposure" in line for line in done.stderr.splitlines())


def test_a_film_that_is_upside_down_by_its_exif_is_turned(
    tiny_bundle: Path, small_films: Path, tmp_path: Path
) -> None:
    with Image.open(small_films / "P1-LF.png") as image:
        exif = Image.Exif()
        image.save(tmp_path / "A-LF.jpg", quality=95)
        upside_down = image.rotate(180)
    upside_down.save(tmp_path / "B-LF.jpg", quality=95)
    exif[0x0112] = 3
    upside_down.save(tmp_path / "C-LF.jpg", quality=95, exif=exif)
    out = tmp_path / "landmarks.csv"
    done = mandora("locate", tmp_path, "--out", out, "--bundle", tiny_bundle)
    assert done.exit_code == 0, done.stderr
    places = {
        name: np.array([[float(r["x"]), float(r["y"])] for r in rows(out) if r["film"] == name])
        for name in ("A-LF.jpg", "B-LF.jpg", "C-LF.jpg")
    }
    assert np.abs(places["A-LF.jpg"] - places["C-LF.jpg"]).max() < 0.5
    assert np.abs(places["A-LF.jpg"] - places["B-LF.jpg"]).max() > 5


# --- films that cannot be used ---------------------------------------------------------------


def claim_size(path: Path, width: int, height: int) -> None:
    """Patch a PNG's header."""
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    path.write_bytes(data)


def huge(path: Path) -> None:
    Image.new("L", (100, 100), 3).save(path, "PNG")
    claim_size(path, 20_000, 10_000)


def half_a_jpeg(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 200), dtype=np.uint8)
    Image.fromarray(noise).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def half_a_dicom(path: Path) -> None:
    pytest.importorskip("pydicom")
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = ComputedRadiographyImageStorage, "1.2.3"
    ds.PatientName, ds.PatientID = "SECRET", "SECRET-7"
    ds.Rows = ds.Columns = 200
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation = 15, 0
    ds.PixelData = np.arange(40_000, dtype=np.uint16).tobytes()
    ds.save_as(path, enforce_file_format=True)
    path.write_bytes(path.read_bytes()[:40_000])


UNUSABLE: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "not an image": ("P1-LH.jpg", lambda p: p.write_text("hello"), "not a PNG"),
    "truncated JPEG": ("P1-LH.jpg", half_a_jpeg, "truncated"),
    "truncated DICOM": ("P1-LH.dcm", half_a_dicom, "truncated"),
    "zero bytes": ("P1-LH.png", lambda p: p.write_bytes(b""), "0 bytes"),
    "one pixel": ("P1-LH.png", lambda p: Image.new("L", (1, 1)).save(p), "1 × 1 px"),
    "200 megapixels claimed": ("P1-LH.png", huge, "20000 × 10000"),
    "16 bit, constant": (
        "P1-LH.png",
        lambda p: Image.fromarray(np.full((200, 150), 1000, np.uint16)).save(p),
        "blank film",
    ),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_an_unusable_film_costs_its_own_scores(
    score: Callable[..., Result], films: Path, tmp_path: Path, case: str
) -> None:
    name, spoil, says = UNUSABLE[case]
    spoil(films / name)
    start = time.perf_counter()
    done = score(films)
    assert time.perf_counter() - start < 20
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{name}: the film could not be read: ")
    assert line.count(name) == 1
    assert says in line
    assert "SECRET" not in done.output
    assert outcomes(tmp_path / "out", name) == {("failed", "film_unreadable")}
    assert outcomes(tmp_path / "out", "P1-LF.png") == {("scored", "")}
    assert "1 item failed" in done.stdout


def test_a_picture_of_nothing_is_refused(
    score: Callable[..., Result], films: Path, tmp_path: Path, noise_film: Callable[[Path], Path]
) -> None:
    noise_film(films / "P1-LH.png")
    done = score(films)
    assert done.exit_code == 1
    assert "P1-LH.png: " in done.stderr
    assert "no hand was found" in done.stderr
    assert outcomes(tmp_path / "out", "P1-LH.png") == {("failed", "not_found")}


def test_joints_outside_the_film_are_named(
    score: Callable[..., Result], films: Path, tmp_path: Path
) -> None:
    # bright at the left edge: there the test's model puts the middle of the foot
    pixels = np.random.default_rng(0).integers(0, 9, (500, 250), dtype=np.uint8)
    pixels[100:400, :120] = 250
    Image.fromarray(pixels).save(films / "P1-LF.png")
    done = score(films)
    assert done.exit_code == 0, "nothing failed"
    foot = [r for r in rows(tmp_path / "out" / "joints.csv") if r["film"] == "P1-LF.png"]
    lost = [r for r in foot if not r["score"]]
    assert 0 < len(lost) < len(foot)
    assert {(r["status"], r["reason"]) for r in lost} == {("missing", "outside_film")}
    record = json.loads((tmp_path / "out" / "results" / "P1.json").read_text(encoding="utf-8"))
    film = next(f for f in record["films"] if f["name"] == "P1-LF.png")
    assert any("a part of the foot" in finding["words"] for finding in film["findings"])


def test_dicom_without_its_package_is_that_films_failure(
    score: Callable[..., Result], films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_a_dicom(films / "P1-LH.dcm")
    half_a_dicom(films / "IM0001")
    # films are decoded by another process: one that finds no pydicom
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "pydicom.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "without"), prepend=os.pathsep)
    decoder.stop()
    try:
        done = score(films)
    finally:
        decoder.stop()
    assert done.exit_code == 1
    assert done.stderr.count("pip install mandora[dicom]") == 2
    assert outcomes(tmp_path / "out", "P1-LF.png") == {("scored", "")}


def test_names_that_say_nothing(score: Callable[..., Result], films: Path, tmp_path: Path) -> None:
    shutil.copy(films / "P1-LF.png", films / "scan 17.png")
    done = score(films)
    assert done.exit_code == 1
    assert done.stderr.startswith("scan 17.png: nothing says whose film this is")
    assert outcomes(tmp_path / "out", "scan 17.png") == {("failed", "no_patient")}
    assert outcomes(tmp_path / "out", "P1-LF.png") == {("scored", "")}


def test_two_films_for_one_slot(
    score: Callable[..., Result], films: Path, small_films: Path, tmp_path: Path
) -> None:
    for name in ("P1-RF.png", "P1-RF.tif"):
        with Image.open(small_films / "P1-RF.png") as image:
            image.save(films / name)
    done = score(films)
    assert done.exit_code == 1
    assert done.stderr.splitlines() == [
        f"{name}: more than one film was given for this limb: 2 films of the right foot were "
        "given (P1-RF.png, P1-RF.tif); none was used, keep one"
        for name in ("P1-RF.tif", "P1-RF.png")
    ]
    assert "3 files: 1 scored, 0 guessed, 2 refused" in done.stdout
    right = [r for r in rows(tmp_path / "out" / "joints.csv") if r["reason"] == "duplicate_film"]
    assert len(right) == 12 + 1, "a row for each joint, and one for the other file"
    assert outcomes(tmp_path / "out", "P1-LF.png") == {("scored", "")}


def test_one_file_for_both_limbs_and_a_film_of_one_of_them(
    score: Callable[..., Result], films: Path, small_films: Path, tmp_path: Path
) -> None:
    shutil.copy(films / "P1-LF.png", films / "P1-RF.png")
    with Image.open(small_films / "P1-RF.png") as image:
        image.save(films / "P1-RF.tif")
    done = score(films)
    assert done.exit_code == 1
    given = "P1-RF.tif, P1-LF.png and P1-RF.png (the same file)"
    assert done.stderr.count(f"2 films of the right foot were given ({given})") == 3
    assert "3 files: 0 scored, 0 guessed, 3 refused" in done.stdout
    for name in ("P1-LF.png", "P1-RF.png", "P1-RF.tif"):
        assert outcomes(tmp_path / "out", name) == {("failed", "duplicate_film")}


@pytest.mark.parametrize("patient", ["..", "a\\b", "C:x", "..\\..\\x", ""])
def test_patient_ids_that_are_paths(
    score: Callable[..., Result], films: Path, tmp_path: Path, patient: str
) -> None:
    name = f"{patient}-LF.png"
    (films / "P1-LF.png").rename(films / name)
    before = files(tmp_path)
    done = score(films / name)
    assert done.exit_code == 1
    assert "cannot be used as a file name" in done.stderr
    assert outcomes(tmp_path / "out", name) == {("failed", "bad_study_id")}
    assert files(tmp_path) - before == {f"out/{name}" for name in (*TABLES, "summary.json")}


def test_ids_that_differ_in_capitals_only(
    score: Callable[..., Result], films: Path, tmp_path: Path
) -> None:
    shutil.copy(films / "P1-LF.png", films / "p1-RF.png")
    done = score(films)
    assert done.exit_code == 1
    assert "capitals" in done.stderr
    assert [r["Patient_ID"] for r in rows(tmp_path / "out" / "scores.csv")] == ["P1"]
    (row,) = [r for r in rows(tmp_path / "out" / "joints.csv") if r["patient"] == "p1"]
    assert row["reason"] == "bad_study_id"


# --- calls that cannot be used ----------------------------------------------------------------


def unusable(done: Result) -> str:
    assert done.exit_code == 2, done.output
    assert isinstance(done.exception, SystemExit)
    assert done.stdout == ""
    return done.stderr


def test_score_needs_films(score: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no film", encoding="utf-8")
    assert "name at least one film" in unusable(score())
    assert "no film in" in unusable(score(tmp_path / "empty"))
    assert "no such file or folder" in unusable(score(tmp_path / "absent"))
    assert "no such file or folder" in unusable(score(tmp_path / "absent", "--json"))
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_listed(
    score: Callable[..., Result], films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(self: Path) -> None:  # permissions do not bind root, who may run the tests
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", denied)
    assert "Permission denied" in unusable(score(films))


def test_an_output_folder_that_cannot_be_written(
    score: Callable[..., Result], films: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    assert "is a file" in unusable(score(films, out=tmp_path / "file"))
    assert (tmp_path / "file").read_bytes() == b"mine"
    for folder in (Path("/proc/mandora"), Path("/sys/mandora")):
        if folder.parent.is_dir():
            assert "cannot write into the output folder" in unusable(score(films, out=folder))


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "Patient_ID,LH_nose\nP1,\n", None])
def test_a_template_that_is_none(
    score: Callable[..., Result], films: Path, tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "template.csv").write_text(content, encoding="utf-8")
    assert "template.csv" in unusable(score(films, "--template", tmp_path / "template.csv"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("threads", ["0", "-1", "two", "100000"])
def test_threads_that_make_no_sense(films: Path, threads: str) -> None:
    assert "--threads" in unusable(mandora("score", films, "--threads", threads))
    assert "--threads" in unusable(mandora("locate", films, "--out", "x.csv", "--threads", threads))


def test_locate_refuses_what_is_no_limb_or_side(films: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.csv"
    assert "is not one of" in unusable(mandora("locate", films, "--out", out, "--limb", "paw"))
    assert "is not one of" in unusable(mandora("locate", films, "--out", out, "--side", "left"))


def test_locate_counts_the_films_that_failed(
    tiny_bundle: Path, films: Path, tmp_path: Path
) -> None:
    (films / "P2-LH.png").write_bytes(b"")
    out = tmp_path / "x.csv"
    done = mandora("locate", films, "--out", out, "--bundle", tiny_bundle)
    assert done.exit_code == 1
    assert done.stdout == f"1 of 2 films located: {out}\n"
    assert "P2-LH.png: the film could not be read: the file is empty" in done.stderr
    said = unusable(mandora("locate", films, "--out", tmp_path, "--bundle", tiny_bundle))
    assert "is a folder" in said


# --- trouble on the way -----------------------------------------------------------------------


def start(code: str, *words: object) -> subprocess.Popen[str]:
    # a test run in the background of a shell ignores Ctrl-C, and so would its children
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def test_the_example_is_scored_alone_or_not_at_all(films: Path, tmp_path: Path) -> None:
    said = unusable(mandora("score", "--example", films, "--out", tmp_path / "out"))
    assert str(films) in said.replace("\n", "")
    assert "--example" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("threads", [1, 2])
def test_control_c_keeps_what_is_finished(
    tiny_bundle: Path, films: Path, tmp_path: Path, threads: int
) -> None:
    with Image.open(films / "P1-LF.png") as image:
        for n in range(2, 31):  # the same file of two patients would be remarked upon
            note = PngInfo()
            note.add_text("Comment", str(n))
            image.save(films / f"P{n}-LF.png", pnginfo=note)
    out = tmp_path / "out"
    words = ["score", films, "--out", out, "--bundle", tiny_bundle, "--threads", threads]
    run = start(CALL, *words)
    until = time.monotonic() + 60
    while not (out / "reports" / "P1.html").exists() and time.monotonic() < until:
        assert run.poll() is None, run.communicate()
        time.sleep(0.01)
    run.send_signal(signal.SIGINT)
    stdout, stderr = run.communicate(timeout=60)
    assert run.returncode == 130, stderr
    assert stdout == ""
    assert stderr == "mandora: interrupted; finished results are kept\n"
    scored = [r["Patient_ID"] for r in rows(out / "scores.csv")]
    assert scored[0] == "P1"
    assert len(scored) < 30
    assert len(rows(out / "joints.csv")) == 86 * len(scored)
    for patient in scored:
        assert read_result(out / "results" / f"{patient}.json").study == patient
    assert not [p for p in out.rglob(".*") if p.is_file()]


FULL = """
import resource, sys
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
"""


@pytest.mark.parametrize(
    ("limit", "code", "says"),
    [
        (200, 2, "scores.csv: File too large"),
        (9_000, 1, "P2: the results could not be written: cannot write"),
    ],
)
def test_a_full_disk(
    tiny_bundle: Path, films: Path, tmp_path: Path, limit: int, code: int, says: str
) -> None:
    """The kernel refuses files over the limit, as a full disk would."""
    shutil.copy(films / "P1-LF.png", films / "P2-LF.png")
    out = tmp_path / "out"
    run = start(FULL + CALL, limit, "score", films, "--out", out, "--bundle", tiny_bundle)
    _, stderr = run.communicate(timeout=60)
    assert run.returncode == code, stderr
    assert says in stderr
    assert "Traceback" not in stderr
    assert not [p for p in out.rglob(".*") if p.is_file()]
    if code == 1:
        reasons = [(r["patient"], r["reason"]) for r in rows(out / "joints.csv")]
        assert reasons == [("P1", "output_failed"), ("P2", "output_failed")]
        assert files(out) == {*TABLES, "summary.json"}
