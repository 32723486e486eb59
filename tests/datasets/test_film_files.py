from __future__ import annotations

import os
from pathlib import Path

import pytest

from mandora.core.anatomy import SLOTS, Slot
from mandora.core.records import Reason
from mandora.datasets.film_files import find_films, find_studies

LH, RH, LF, RF = SLOTS


def touch(folder: Path, *names: str) -> list[Path]:
    """Files that are no images: finding must not open them."""
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not opened")
    return paths


def write_dicom(path: Path, side: str | None = None, part: str | None = None) -> Path:
    pytest.importorskip("pydicom")
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = ComputedRadiographyImageStorage, "1.2.3"
    ds.PatientName = ds.PatientID = "SECRET"
    if side:
        ds.ImageLaterality = side
    if part:
        ds.BodyPartExamined = part
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def test_a_folder_of_named_films(tmp_path: Path) -> None:
    touch(tmp_path, "P2-LH.jpg", "P2-RH.PNG", "P2-lf.tif", "P2-Rf.dcm", "P10-LH.jpeg")
    found = find_studies([tmp_path])
    assert [s.study for s in found.studies] == ["P2", "P10"]
    assert list(found.studies[0].films) == [LH, RH, LF, RF]
    assert found.studies[0].films[RH] == tmp_path / "P2-RH.PNG"
    assert found.studies[1].films == {LH: tmp_path / "P10-LH.jpeg"}
    assert found.problems == ()


def test_patients_may_have_hyphens_dots_and_blanks(tmp_path: Path) -> None:
    touch(tmp_path, "site-3-P1-LH.jpg", "P.1-LH.jpg", "Ü 7-LH.jpg", "LH-LH.jpg")
    studies = {s.study for s in find_studies([tmp_path]).studies}
    assert studies == {"site-3-P1", "P.1", "Ü 7", "LH"}


def test_folders_of_patients_are_searched_one_level_deep(tmp_path: Path) -> None:
    touch(tmp_path, "a/P1-LH.jpg", "b/P1-RH.jpg", "b/c/P1-LF.jpg")
    found = find_studies([tmp_path])
    assert [list(s.films) for s in found.studies] == [[LH, RH]]
    assert [p.path_name for p in found.problems] == ["c"], "films are not lost in silence"
    assert "too deep" in found.problems[0].detail


def test_files_that_are_no_films_are_passed_over_in_a_folder(tmp_path: Path) -> None:
    others = touch(
        tmp_path,
        "training.csv", "notes.TXT", "a.json", "b.html", "c.md", "d.toml", "DICOMDIR",
        ".DS_Store", ".hidden-LH.jpg", ".git/P1-LH.jpg", "Thumbs.db", "P1-LH.csv",
    )  # fmt: skip
    assert find_studies([tmp_path]) == find_studies([])
    named = [path for path in others if path.parent.name != ".git"]
    assert len(find_studies(named).problems) == len(named), "what is named is never passed over"


@pytest.mark.parametrize("name", ["scan.jpg", "P1_LH.jpg", "P1-XH.jpg", "P1-LH-2.jpg", "LH.jpg"])
def test_other_names_are_reported(tmp_path: Path, name: str) -> None:
    touch(tmp_path, name)
    found = find_studies([tmp_path])
    assert found.studies == ()
    (problem,) = found.problems
    assert (problem.path_name, problem.reason) == (name, Reason.UNKNOWN_NAME)
    assert "UAB001-LH.jpg" in problem.detail


def test_two_files_for_one_film_are_both_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "P1-LH.jpg", "P1-LH.png", "P1-RH.jpg", "P2-LH.jpg")
    found = find_studies([tmp_path])
    first, second = found.studies
    assert list(first.films) == [RH]
    (problem,) = first.rejected
    assert (problem.reason, problem.study, problem.slot) == (Reason.DUPLICATE_FILM, "P1", LH)
    assert "P1-LH.jpg" in problem.detail
    assert "P1-LH.png" in problem.detail
    assert second.rejected == ()
    assert found.problems == (problem,)


def test_duplicates_in_two_folders_are_told_apart(tmp_path: Path) -> None:
    touch(tmp_path, "a/P1-LH.jpg", "b/P1-LH.jpg")
    (study,) = find_studies([tmp_path]).studies
    assert study.films == {}
    assert "a/P1-LH.jpg, b/P1-LH.jpg" in study.rejected[0].detail


def test_a_file_given_twice_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = touch(tmp_path, "P1-LH.jpg")
    monkeypatch.chdir(tmp_path)
    found = find_studies([path, tmp_path, Path("P1-LH.jpg"), Path()])
    assert found.problems == ()
    assert len(found.studies) == 1


def test_the_order_of_inputs_does_not_matter_for_studies(tmp_path: Path) -> None:
    paths = touch(tmp_path, *(f"P{n}-{slot.code}.jpg" for n in (1, 9, 10, 2) for slot in SLOTS))
    assert find_studies(paths).studies == find_studies(paths[::-1]).studies
    assert [s.study for s in find_studies(paths).studies] == ["P1", "P2", "P9", "P10"]


def test_bad_ids_are_reported(tmp_path: Path) -> None:
    paths = touch(tmp_path, "-LH.jpg", "a\\b-LH.jpg", "x" * 101 + "-RH.jpg", ".P1-LF.jpg")
    found = find_studies(paths)
    assert found.studies == ()
    assert [p.reason for p in found.problems] == [Reason.BAD_STUDY_ID] * 4
    assert [p.slot for p in found.problems] == [LH, LH, RH, LF]
    assert all("rename" in p.detail for p in found.problems)


def test_inputs_that_do_not_exist_are_no_usable_call(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"absent: there is no such"):
        find_studies([tmp_path, tmp_path / "absent"])


def test_folders_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: Path) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", denied)
    with pytest.raises(ValueError, match="Permission denied"):
        find_studies([tmp_path])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_odd_things_in_a_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "P1-LH.jpg")  # opening it would wait for ever
    (tmp_path / "P2-LH.jpg").symlink_to(tmp_path / "absent.jpg")
    (tmp_path / "scan.jpg").symlink_to(tmp_path / "absent.jpg")
    found = find_studies([tmp_path])
    assert [s.study for s in found.studies] == ["P2"], "the reader will say that it is missing"
    assert [p.reason for p in found.problems] == [Reason.FILM_UNREADABLE]


def test_an_empty_folder(tmp_path: Path) -> None:
    assert find_studies([tmp_path]).studies == ()


def test_a_pipe_that_is_named_is_no_film(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes here")
    os.mkfifo(tmp_path / "scan")  # opening it would wait for ever
    (problem,) = find_studies([tmp_path / "scan"]).problems
    assert problem.reason is Reason.FILM_UNREADABLE
    assert "not a regular file" in problem.detail


@pytest.mark.parametrize("place", [".", "a", "a/b"])
def test_what_an_earlier_run_wrote_is_passed_over(tmp_path: Path, place: str) -> None:
    touch(tmp_path, "P1-LH.jpg", "a/P2-LH.jpg")
    run = tmp_path / place
    touch(run, "scores.csv", "joints.csv", "results/P1.json", "overlays/P1-RH.png")
    touch(run, "reports/P1.html", "overlays/deep/P1-RF.png")
    found = find_studies([tmp_path])
    assert [(s.study, list(s.films)) for s in found.studies] == [("P1", [LH]), ("P2", [LH])]
    assert found.problems == ()


def test_the_truth_of_a_simulated_cohort_is_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "P1-LH.jpg", "truth/cohort.json", "truth/spaces/P1-LH.png")
    assert find_studies([tmp_path]).problems == ()


@pytest.mark.parametrize("name", ["results", "overlays", "reports", "truth"])
def test_a_folder_is_not_passed_over_for_its_name_alone(tmp_path: Path, name: str) -> None:
    touch(tmp_path, f"{name}/P1-LH.jpg")
    assert [s.study for s in find_studies([tmp_path]).studies] == ["P1"]


@pytest.mark.parametrize("name", ["bones", "overlays", "pairs", "reports", "results", "truth"])
def test_a_data_set_has_no_films_in_folders_of_results_and_truth(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "training.csv", "P1-LH.jpg", f"{name}/P1-LH.jpg", f"{name}/deep/P1-LH.jpg")
    found = find_studies([tmp_path])
    assert ([s.study for s in found.studies], found.problems) == (["P1"], ())


# --- films that belong to no study ----------------------------------------------------------


def test_single_films_need_no_name_that_says_what_they_show(tmp_path: Path) -> None:
    touch(tmp_path, "P1-RF.png", "scan.png", "sub/P1-RF.jpg", "notes.txt", "sub/deep/P1-LH.png")
    found = find_films([tmp_path])
    assert [(film.name, film.slot) for film in found.films] == [
        ("P1-RF.png", RF), ("scan.png", None), ("P1-RF.jpg", RF),
    ]  # fmt: skip
    assert [p.path_name for p in found.problems] == ["deep"]


def test_single_films_of_one_name_are_named_by_their_paths(tmp_path: Path) -> None:
    paths = touch(tmp_path, "a/x-LH.png", "b/x-LH.png", "b/y-LH.png")
    names = [film.name for film in find_films(paths).films]
    assert names == [str(paths[0]), str(paths[1]), "y-LH.png"]


def test_a_single_dicom_film_is_what_its_tags_say(tmp_path: Path) -> None:
    write_dicom(tmp_path / "IM1", "R", "FOOT")
    write_dicom(tmp_path / "IM2", "R")
    assert [film.slot for film in find_films([tmp_path]).films] == [RF, None]


# --- DICOM ------------------------------------------------------------------------------------


def test_dicom_films_are_placed_by_their_tags(tmp_path: Path) -> None:
    write_dicom(tmp_path / "case 7" / "IM0001", "L", "HAND")
    write_dicom(tmp_path / "case 7" / "1.2.840.99", "R", "WRIST")
    write_dicom(tmp_path / "case 7" / "x.dcm", "L", "FOOT")
    write_dicom(tmp_path / "case 7" / "case 7-RF", "L", "FOOT")  # a name comes before tags
    found = find_studies([tmp_path])
    (study,) = found.studies
    assert study.study == "case 7"
    assert {slot: path.name for slot, path in study.films.items()} == {
        LH: "IM0001",
        RH: "1.2.840.99",
        LF: "x.dcm",
        RF: "case 7-RF",
    }
    assert found.problems == ()
    assert "SECRET" not in repr(found)


def test_a_relative_dicom_file_belongs_to_the_folder_that_it_lies_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dicom(tmp_path / "P5" / "x.dcm", "L", "HAND")
    monkeypatch.chdir(tmp_path / "P5")
    assert [s.study for s in find_studies([Path("x.dcm")]).studies] == ["P5"]


@pytest.mark.parametrize(
    ("side", "part", "missing"),
    [(None, "HAND", "the side"), ("L", None, "hand or foot"), ("L", "CHEST", "hand or foot")],
)
def test_dicom_films_with_too_few_tags(
    tmp_path: Path, side: str | None, part: str | None, missing: str
) -> None:
    write_dicom(tmp_path / "P5" / "x.dcm", side, part)
    write_dicom(tmp_path / "P5" / "y.dcm", "R", "FOOT")
    found = find_studies([tmp_path])
    (problem,) = found.studies[0].rejected
    assert (problem.path_name, problem.reason) == ("x.dcm", Reason.UNKNOWN_NAME)
    assert missing in problem.detail
    assert "SECRET" not in repr(found)


def test_a_dicom_header_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "x.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 50)
    (problem,) = find_studies([tmp_path]).problems
    assert problem.reason in {Reason.FILM_UNREADABLE, Reason.UNKNOWN_NAME}
    assert problem.path_name == "x.dcm"


def test_a_dicom_film_in_a_folder_with_a_bad_name(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a|b" / "x.dcm", "L", "HAND")
    (problem,) = find_studies([tmp_path]).problems
    assert (problem.reason, problem.slot) == (Reason.BAD_STUDY_ID, Slot.parse("LH"))


def test_links_that_lead_back_cost_no_film(tmp_path: Path) -> None:
    touch(tmp_path, "P1-LH.jpg", "more/P2-LH.jpg")
    (tmp_path / "self").symlink_to(".")
    (tmp_path / "up").symlink_to("..")
    (tmp_path / "again").symlink_to("more")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "more" / "back").symlink_to("..")
    found = find_studies([tmp_path])
    assert [s.study for s in found.studies] == ["P1", "P2"]
    told = {p.path_name: p.detail for p in found.problems}
    assert {"self", "up"} <= told.keys()
    assert "link" in told["self"]


def test_one_folder_that_cannot_be_read_costs_that_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "P1-LH.jpg", "closed/P2-LH.jpg", "open/P3-LH.jpg")
    listing = Path.iterdir

    def some_denied(self: Path) -> object:
        if self.name == "closed":
            raise PermissionError(13, "Permission denied", str(self))
        return listing(self)

    monkeypatch.setattr(Path, "iterdir", some_denied)
    found = find_studies([tmp_path])
    assert [s.study for s in found.studies] == ["P1", "P3"]
    (problem,) = found.problems
    assert (problem.path_name, problem.reason) == ("closed", Reason.FILM_UNREADABLE)
    assert "Permission denied" in problem.detail
