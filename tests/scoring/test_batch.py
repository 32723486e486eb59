from __future__ import annotations

import csv
import json
import time
import weakref
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mandora.core.files import OutputError
from mandora.core.records import Reason, read_result
from mandora.model.bundle import Bundle
from mandora.outputs.writer import ResultWriter
from mandora.scoring import score_films
from mandora.scoring.pipeline import Pipeline


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_summary_says_what_came_out(
    bundle: Bundle, give: Callable[..., Path], tmp_path: Path
) -> None:
    films = give(P1_LH="LH", P2_RF="RF")
    (films / "scan.png").write_bytes(b"x")
    lines: list[str] = []
    steps: list[tuple[int, int]] = []
    summary = score_films(
        [films], tmp_path / "out", bundle=bundle, threads=1,
        progress=lambda *s: steps.append(s), warn=lines.append,
    )  # fmt: skip
    content = json.loads(summary.to_json())
    assert (content["patients"], content["scored"], content["failed"]) == (2, 2, 0)
    assert content["out"] == str(tmp_path / "out")
    assert content["bundle"]["sha256"] == bundle.sha256
    assert "research" in content["notice"]
    assert [r["patient"] for r in content["results"]] == ["P1", "P2"]
    assert content["results"][0]["joints"] == {"scored": 31, "failed": 0, "missing": 55}
    total = content["results"][0]["totals"]["Overall_Tol"]
    assert (total["value"], total["reason"]) == (None, "film_missing")
    assert [(p["film"], p["reason"]) for p in content["problems"]] == [("scan.png", "no_patient")]
    assert len(lines) == 1
    assert lines[0].startswith("scan.png: nothing says whose film")
    assert steps == [(0, 2), (1, 2), (2, 2)]
    assert summary.only is None
    record = read_result(tmp_path / "out" / "results" / "P1.json")
    assert summary.results[0].totals == record.totals


def as_dicom(png: Path, uid: str = "1.2.77.1", **tags: str) -> Path:
    """The film as a DICOM file of the same name, in place of it."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

    with Image.open(png) as image:
        grey = np.asarray(image.convert("L"))
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = ComputedRadiographyImageStorage, uid
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.77.2", "1.2.77.3"
    ds.PatientID, ds.Modality = "SECRET-1", "CR"
    ds.Rows, ds.Columns = grey.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PixelData = grey.tobytes() + b"\0" * (grey.size % 2)
    for keyword, value in tags.items():
        setattr(ds, keyword, value)
    ds.save_as(png.with_suffix(".dcm"), enforce_file_format=True)
    png.unlink()
    return png.with_suffix(".dcm")


def test_dicom_objects_are_written_of_patients_with_dicom_films(
    bundle: Bundle, give: Callable[..., Path], tmp_path: Path
) -> None:
    pytest.importorskip("highdicom", reason="needs the extra dicom")
    films = give(P1_LF="LF", P2_LF="LF")
    as_dicom(films / "P1-LF.png")
    lines: list[str] = []
    out = tmp_path / "out"
    summary = score_films([films], out, bundle=bundle, dicom="as given", warn=lines.append)
    made = {p.relative_to(out).as_posix() for p in (out / "dicom").rglob("*.dcm")}
    assert {"dicom/P1/SR.dcm", "dicom/P1/SC.dcm", "dicom/P1/LF-SC.dcm"} <= made
    assert not any("P2" in name for name in made)
    # P2 is scored all the same, and is told why it has none
    assert [r.patient for r in summary.results] == ["P1", "P2"]
    (problem,) = summary.problems
    assert (problem.study, problem.reason) == ("P2", Reason.OUTPUT_FAILED)
    (line,) = [line for line in lines if ": remark: " not in line]
    assert "none of the films that could be read is a DICOM file" in line
    record = read_result(out / "results" / "P1.json")
    from mandora.outputs.dicom.read_back import read_structured_report

    back = read_structured_report(out / "dicom" / "P1" / "SR.dcm")
    assert back == record.model_copy(update={"locations": ()})
    # what was written is no film of the next run
    again = score_films([films, out], tmp_path / "again", bundle=bundle)
    assert again.problems == ()
    assert [r.patient for r in again.results] == ["P1", "P2"]


def test_dicom_objects_of_two_visits_in_an_archive_stay_apart(
    bundle: Bundle, give: Callable[..., Path], tmp_path: Path
) -> None:
    pytest.importorskip("highdicom", reason="needs the extra dicom")
    from pydicom import dcmread

    from mandora.outputs.dicom.read_back import read_structured_report

    films = give(a__P1_LF="LF", b__P1_LF="RF")
    days = {"a": "20190302", "b": "20200405"}
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as book:
        for number, (name, day) in enumerate(days.items()):
            film = as_dicom(films / name / "P1-LF.png", f"1.2.77.1.{number}", StudyDate=day,
                            Laterality="L", BodyPartExamined="FOOT")  # fmt: skip
            book.write(film, f"{name}/P1-LF.dcm")
    out = tmp_path / "out"
    summary = score_films([tmp_path / "export.zip"], out, bundle=bundle, dicom="as given")
    assert summary.problems == ()
    visits = ["2019-03-02", "2020-04-05"]
    assert [(r.patient, r.visit) for r in summary.results] == [("P1", visit) for visit in visits]
    for number, visit in enumerate(visits):
        made = out / "dicom" / "P1" / visit
        assert {"SR.dcm", "SC.dcm", "LF-SC.dcm", "LF-PR.dcm"} <= {p.name for p in made.iterdir()}
        record = read_result(out / "results" / "P1" / f"{visit}.json")
        assert record.visit == visit
        back = read_structured_report(made / "SR.dcm")
        assert back == record.model_copy(update={"locations": ()})
        (study,) = dcmread(made / "SR.dcm").CurrentRequestedProcedureEvidenceSequence
        (series,) = study.ReferencedSeriesSequence
        (film,) = series.ReferencedSOPSequence
        assert film.ReferencedSOPInstanceUID == f"1.2.77.1.{number}"
    assert [path for path in (out / "dicom" / "P1").iterdir() if path.is_file()] == []


def test_of_one_patient_the_whole_result_is_at_hand(
    bundle: Bundle, give: Callable[..., Path], tmp_path: Path
) -> None:
    summary = score_films([give(P1_LH="LH")], tmp_path / "out", bundle=bundle)
    assert summary.only == read_result(tmp_path / "out" / "results" / "P1.json")


@pytest.mark.parametrize("threads", [1, 2])
def test_no_more_patients_films_are_held_than_there_are_threads(
    bundle: Bundle,
    give: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    threads: int,
) -> None:
    held: list[weakref.ref[Any]] = []
    score = Pipeline.score

    def watched(self: Pipeline, *args: Any) -> Any:
        assert sum(ref() is not None for ref in held) < threads
        scored = score(self, *args)
        held.extend(weakref.ref(film) for film in scored.radiographs.values())
        return scored

    monkeypatch.setattr(Pipeline, "score", watched)
    films = give(P1_LF="LF", P2_LF="LF", P3_LF="LF", P4_LF="LF")
    done = score_films([films], tmp_path / "out", bundle=bundle, threads=threads)
    assert done.problems == ()
    assert len(held) == 4


def test_results_and_their_order_do_not_depend_on_the_number_of_threads(
    bundle: Bundle,
    give: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    score = Pipeline.score

    def uneven(self: Pipeline, study: str, *args: Any) -> Any:
        """The first patients take longest, and one fails."""
        time.sleep({"P1": 0.6, "P3": 0.2}.get(study, 0.0))
        if study == "P4":
            raise RuntimeError("tired")
        return score(self, study, *args)

    monkeypatch.setattr(Pipeline, "score", uneven)
    films = give(P1_LF="LF", P1_LH="LH", P2_LF="LF", P3_RH="RH", P4_LF="LF", P5_LF="LF", P6_RF="RF")
    (films / "P3-LF.png").write_bytes(b"no picture")
    (films / "p5-RF.png").write_bytes(b"an id that differs in capitals only")
    said: list[list[str]] = []
    for threads in (1, 2, 3):
        said.append([])
        score_films(
            [films], tmp_path / str(threads), bundle=bundle, threads=threads, warn=said[-1].append
        )
    remarks = [line for line in said[0] if ": remark: " in line]
    assert remarks == [
        "P1-LF.png: remark: it is the same file as that of another patient or visit: "
        "P2-LF.png, P4-LF.png, P5-LF.png",
        "P2-LF.png: remark: it is the same file as that of another patient or visit: "
        "P1-LF.png, P4-LF.png, P5-LF.png",
        "P5-LF.png: remark: it is the same file as that of another patient or visit: "
        "P1-LF.png, P2-LF.png, P4-LF.png",
    ]
    assert [line.partition(":")[0] for line in said[0] if line not in remarks] == [
        "P3-LF.png", "P4", "p5",
    ]  # fmt: skip
    assert said == [said[0]] * 3
    made = [
        {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()}
        for out in (tmp_path / "1", tmp_path / "2", tmp_path / "3")
    ]
    assert len([p for p in made[0] if p.suffix == ".png"]) == 6
    for files in made[1:]:
        assert files.keys() == made[0].keys()
        # reports state the minute in which they were made
        assert [p for p, data in files.items() if data != made[0][p] and p.suffix != ".html"] == []


def test_an_unforeseen_error_costs_one_patient(
    bundle: Bundle,
    give: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    score = Pipeline.score

    def broken(self: Pipeline, study: str, *args: Any) -> Any:
        if study == "P2":
            raise RuntimeError("the network\nis tired")
        return score(self, study, *args)

    monkeypatch.setattr(Pipeline, "score", broken)
    lines: list[str] = []
    films = give(P1_LF="LF", P2_LF="LF", P3_LF="LF")
    summary = score_films([films], tmp_path / "out", bundle=bundle, warn=lines.append)
    # the remarks say that the three patients have the same film
    assert [line for line in lines if "remark" not in line] == [
        "P2: the program failed, through a fault of its own; please report it: RuntimeError: the "
        "network is tired"
    ]
    assert [r.patient for r in summary.results] == ["P1", "P3"]
    assert [r["Patient_ID"] for r in rows(tmp_path / "out" / "scores.csv")] == ["P1", "P3"]
    (row,) = [r for r in rows(tmp_path / "out" / "joints.csv") if r["patient"] == "P2"]
    assert (row["status"], row["reason"]) == ("failed", "program_fault")
    assert json.loads(summary.to_json())["failed"] == 1


def test_what_cannot_be_written_is_told_and_the_run_goes_on(
    bundle: Bundle, give: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "out" / "results" / "P1.json").mkdir(parents=True)
    summary = score_films([give(P1_LF="LF", P2_LF="LF")], tmp_path / "out", bundle=bundle)
    (problem,) = summary.problems
    assert (problem.study, problem.reason) == ("P1", Reason.OUTPUT_FAILED)
    assert "P1.json" in problem.detail
    assert [r.patient for r in summary.results] == ["P2"]


def test_a_run_ends_when_not_even_the_reason_can_be_written(
    bundle: Bundle,
    give: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(self: ResultWriter, *args: Any) -> Any:
        raise OutputError(tmp_path / "joints.csv", OSError(28, "No space left on device"))

    monkeypatch.setattr(ResultWriter, "write", full)
    monkeypatch.setattr(ResultWriter, "write_problem", full)
    lines: list[str] = []
    with pytest.raises(OutputError, match="No space left"):
        score_films(
            [give(P1_LF="LF", P2_LF="LF")], tmp_path / "out", bundle=bundle, warn=lines.append
        )
    assert len(lines) == 1


def test_an_interrupt_passes_through_and_leaves_whole_tables(
    bundle: Bundle, give: Callable[..., Path], tmp_path: Path
) -> None:
    def stop(done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    template = tmp_path / "template.csv"
    template.write_text("Patient_ID,Overall_Tol\nP2,\nP1,\n", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt):
        score_films(
            [give(P1_LF="LF", P2_LF="LF")], tmp_path / "out", bundle=bundle, template=template,
            progress=stop,
        )  # fmt: skip
    assert [r["Patient_ID"] for r in rows(tmp_path / "out" / "scores.csv")] == ["P1"]
    assert len(rows(tmp_path / "out" / "joints.csv")) == 86
    assert (tmp_path / "out" / "reports" / "P1.html").is_file()


def test_ids_that_differ_in_capitals_only(
    bundle: Bundle, give: Callable[..., Path], tmp_path: Path
) -> None:
    summary = score_films([give(P1_LF="LF", p1_RF="RF")], tmp_path / "out", bundle=bundle)
    assert [r.patient for r in summary.results] == ["P1"]
    (problem,) = summary.problems
    assert (problem.study, problem.reason) == ("p1", Reason.BAD_STUDY_ID)
    assert "capitals" in problem.detail


@pytest.mark.parametrize("out", ["films", "films/out", "films/a/out"])
def test_a_second_run_does_not_take_overlays_for_films(
    bundle: Bundle, give: Callable[..., Path], tmp_path: Path, out: str
) -> None:
    films = give(P1_LF="LF", a__P2_RF="RF")
    for _ in range(2):
        summary = score_films([films], tmp_path / out, bundle=bundle)
        assert [r.patient for r in summary.results] == ["P1", "P2"]
        assert summary.problems == ()


def test_a_link_to_nothing_costs_its_own_film(
    bundle: Bundle, give: Callable[..., Path], tmp_path: Path
) -> None:
    films = give(P1_LF="LF", P2_RF="RF")
    (films / "P1-RF.png").symlink_to(tmp_path / "absent.png")
    (films / "scan.png").symlink_to(tmp_path / "absent.png")
    lines: list[str] = []
    summary = score_films([films], tmp_path / "out", bundle=bundle, warn=lines.append)
    assert [r.patient for r in summary.results] == ["P1", "P2"]
    assert [(r.scored, r.failed) for r in summary.results] == [(12, 12), (12, 0)]
    assert [line.partition(":")[0] for line in lines] == ["scan.png", "P1-RF.png"]
    assert [line for line in lines if "correct or remove the link" not in line] == []
