from __future__ import annotations

import csv
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image

from mandora.core.files import OutputError
from mandora.core.records import Reason, read_result
from mandora.outputs.pictures import draw_pictures
from mandora.outputs.table import ProblemRow
from mandora.outputs.writer import ResultWriter

TABLES = {"scores.csv", "joints.csv", "totals.csv", "quality.csv"}


def _files(out: Path) -> set[str]:
    return {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}


def _write(writer: ResultWriter, patient) -> tuple[Path, ...]:
    return writer.write(
        patient.result, draw_pictures(patient.result, patient.radiographs, patient.evidence)
    )


def _scored(out: Path) -> list[str]:
    with (out / "scores.csv").open(newline="", encoding="utf-8") as file:
        return [row["Patient_ID"] for row in csv.DictReader(file)]


def test_patient_gets_all_files_and_no_temporary_one(patient, tmp_path) -> None:
    out = tmp_path / "deep" / "out"
    with ResultWriter(out) as writer:
        written = _write(writer, patient)
        writer.write_problem(ProblemRow("odd.jpg", Reason.UNKNOWN_NAME))
    assert _files(out) == {
        *TABLES, "results/P001.json", "reports/P001.html",
        "overlays/P001-LH.png", "overlays/P001-RH.png", "overlays/P001-LF.png",
    }  # fmt: skip
    assert {str(p.relative_to(out)) for p in written} == _files(out) - TABLES
    assert read_result(out / "results" / "P001.json") == patient.result
    assert "odd.jpg" in (out / "joints.csv").read_text(encoding="utf-8")


def test_second_run_replaces_the_patient_and_keeps_the_others(new_patient, tmp_path) -> None:
    with ResultWriter(tmp_path) as writer:
        _write(writer, new_patient("A", {"LH": "A-hand.png"}))
        _write(writer, new_patient("B"))
    with ResultWriter(tmp_path) as writer:
        _write(writer, new_patient("A"))
    files = _files(tmp_path)
    assert "overlays/A-hand.png" not in files  # a film that the patient no longer has
    assert {"overlays/A-LH.png", "overlays/B-LH.png", "results/B.json"} <= files
    assert _scored(tmp_path) == ["A"]


def _chunk(kind: bytes, body: bytes) -> bytes:
    crc = zlib.crc32(kind + body)
    return len(body).to_bytes(4) + kind + body + crc.to_bytes(4)


def test_foreign_pictures_among_the_overlays_are_left_alone(patient, tmp_path) -> None:
    head = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", bytes.fromhex("00000010000000100800000000"))
    foreign = {
        "huge.png": head[:16] + bytes.fromhex("7fffffff7fffffff") + head[24:],
        "large.png": b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", bytes.fromhex("0000753000007530080000 0000".replace(" ", ""))),
        "text.png": head + _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(80_000_000))),
        "broken.png": head + _chunk(b"iTXt", b"\xff"),
        "none.PNG": b"no picture",
    }
    folder = tmp_path / "overlays"
    folder.mkdir()
    for name, data in foreign.items():
        (folder / name).write_bytes(data)
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "P001-LH.png")
    with ResultWriter(tmp_path) as writer:
        _write(writer, patient)
    assert all((folder / name).read_bytes() == data for name, data in foreign.items())
    assert (folder / "P001-LH.png").is_fifo()
    assert (folder / "P001-P001-LH.png").is_file()


@pytest.mark.parametrize("runs", [1, 2])
def test_films_of_one_name_do_not_overwrite_each_other(new_patient, tmp_path, runs: int) -> None:
    first = new_patient("A", {"LH": "left.png", "RH": "Left.jpg"})
    second = new_patient("B", {"LH": "left.png"})
    if runs == 1:
        with ResultWriter(tmp_path) as writer:
            _write(writer, first)
            written = _write(writer, second)
    else:
        for patient in (first, second):
            with ResultWriter(tmp_path) as writer:
                written = _write(writer, patient)
    names = {p.name for p in (tmp_path / "overlays").iterdir()}
    assert names == {"left.png", "A-Left.png", "A-LF.png", "B-left.png", "B-RH.png", "B-LF.png"}
    assert tmp_path / "overlays" / "B-left.png" in written


def test_picture_of_someone_else_in_the_folder_is_left_alone(patient, tmp_path) -> None:
    (tmp_path / "overlays").mkdir()
    mine = tmp_path / "overlays" / "P001-LH.png"
    Image.new("L", (3, 3)).save(mine)
    with ResultWriter(tmp_path) as writer:
        _write(writer, patient)
    with Image.open(mine) as image:
        assert image.size == (3, 3)
    assert (tmp_path / "overlays" / "P001-P001-LH.png").is_file()


@pytest.mark.parametrize("name", ["../evil", "a/b", ".hidden"])
def test_patient_id_cannot_leave_the_folder(new_patient, tmp_path, name: str) -> None:
    out = tmp_path / "out"
    with (
        ResultWriter(out) as writer,
        pytest.raises(ValueError, match="so no file can be named after it"),
    ):
        _write(writer, new_patient(name))
    assert _files(tmp_path) == {f"out/{name}" for name in TABLES}


def test_patients_that_differ_in_capitals_only_are_refused(new_patient, tmp_path) -> None:
    with ResultWriter(tmp_path) as writer:
        _write(writer, new_patient("a"))
        with pytest.raises(ValueError, match="already written"):
            _write(writer, new_patient("A"))


def test_unwritable_folder_is_refused_before_any_work() -> None:
    if not Path("/proc").is_dir():
        pytest.skip("no /proc here")
    with pytest.raises(OSError, match=r"/proc/out.*give another folder"):
        ResultWriter(Path("/proc/out"))


def test_report_that_cannot_be_written_leaves_the_numbers(patient, tmp_path) -> None:
    (tmp_path / "reports" / "P001.html").mkdir(parents=True)
    with ResultWriter(tmp_path) as writer, pytest.raises(OutputError, match=r"P001\.html"):
        _write(writer, patient)
    assert _scored(tmp_path) == ["P001"]
    assert read_result(tmp_path / "results" / "P001.json") == patient.result
    assert not list(tmp_path.rglob(".*"))


FULL_DISK = """
import resource, sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from mandora.core.files import OutputError
from mandora.outputs.pictures import draw_pictures
from mandora.outputs.writer import ResultWriter

spec = spec_from_file_location("made_up", sys.argv[1])
made_up = module_from_spec(spec)
sys.modules["made_up"] = made_up
spec.loader.exec_module(made_up)
limit = int(sys.argv[3])
with ResultWriter(Path(sys.argv[2])) as writer:
    for n in range(1, 4):
        p = made_up.make_patient(f"P{n}")
        if n == 3:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            writer.write(p.result, draw_pictures(p.result, p.radiographs, p.evidence))
        except OutputError as error:
            print(error)
"""


@pytest.mark.parametrize(
    ("limit", "refused", "scored"),
    [
        (200, "P3.json", ["P1", "P2"]),
        (25_000, "P3.json", ["P1", "P2"]),
        (45_000, "overlays", ["P1", "P2", "P3"]),
    ],
)
def test_full_disk_leaves_what_was_finished(tmp_path, limit, refused, scored) -> None:
    """The kernel refuses files over the limit, as a full disk would."""
    out = tmp_path / "out"
    made_up = Path(__file__).with_name("conftest.py")
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(made_up), str(out), str(limit)],
        capture_output=True, text=True, timeout=120, env=os.environ, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "cannot write" in run.stdout
    assert refused in run.stdout
    assert _scored(out) == scored
    with (out / "joints.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert len(rows) == 1 + 86 * len(scored)
    assert {len(row) for row in rows} == {15}
    for n in ("P1", "P2"):
        assert read_result(out / "results" / f"{n}.json").study == n
        assert (out / "reports" / f"{n}.html").read_text(encoding="utf-8").endswith("</html>")
        for part in ("LH", "RH", "LF"):
            with Image.open(out / "overlays" / f"{n}-{part}.png") as image:
                image.load()
    assert not [p for p in out.rglob(".*") if p.is_file()]
