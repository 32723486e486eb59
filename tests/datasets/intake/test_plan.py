from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from mandora.core.anatomy import SLOTS
from mandora.core.records import Reason
from mandora.datasets.intake.plan import Intake, make_plan
from mandora.datasets.intake.rows import Plan, VisitFilms
from mandora.datasets.intake.slots import studies_of
from mandora.datasets.intake.tables import plan_csv

LH, RH, LF, RF = SLOTS


def touch(folder: Path, *names: str) -> list[Path]:
    """Files that are no images, each with another content."""
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"not read {path}".encode())
    return paths


def write_dicom(path: Path, **tags: Any) -> Path:
    pytest.importorskip("pydicom")
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID = ComputedRadiographyImageStorage
    ds.SOPInstanceUID = f"1.2.{crc32(bytes(path))}"  # no two are the same
    ds.PatientName = "SECRET^NAME"
    for keyword, value in {"PatientID": "SECRET", **tags}.items():
        setattr(ds, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def films_of(plan: Plan) -> dict[str, list[str]]:
    """Codes of the limbs of each patient and visit."""
    return {
        f"{visit.study}/{visit.visit}" if visit.visit else visit.study: [
            slot.code for slot in visit.films
        ]
        for visit in studies_of(plan)
    }


def only(plan: Plan) -> VisitFilms:
    (visit,) = studies_of(plan)
    return visit


# ── names and folders ──────────────────────────────────────────────────────────────────────


def test_films_in_mandoras_own_form_are_what_they_were(tmp_path: Path) -> None:
    touch(tmp_path, "P2-LH.jpg", "P2-RH.PNG", "P2-lf.tif", "P2-Rf.bmp", "P10-LH.jpeg")
    touch(tmp_path, "site-3-P1-LH.jpg", "P.1-LH.jpg", "Ü 7-LH.jpg")
    plan = make_plan([tmp_path])
    assert films_of(plan) == {
        "P.1": ["LH"], "P2": ["LH", "RH", "LF", "RF"], "P10": ["LH"], "site-3-P1": ["LH"],
        "Ü 7": ["LH"],
    }  # fmt: skip
    assert plan.problems == ()
    assert all(film.remarks == () for film in plan.films)


def test_folders_of_any_depth_name_patient_visit_and_side(tmp_path: Path) -> None:
    touch(tmp_path, "a/b/P050/LH.jpg", "a/b/P050/right/foot.jpg", "c/P051/2019-03-02/LH.png")
    touch(tmp_path, "c/P051/2020-03-02/LH.png")
    plan = make_plan([tmp_path])
    assert films_of(plan) == {
        "P050": ["LH", "RF"], "P051/2019-03-02": ["LH"], "P051/2020-03-02": ["LH"],
    }  # fmt: skip
    assert [v.one_of_several for v in studies_of(plan)] == [False, True, True]


def test_what_no_rule_places_is_left_to_the_picture(tmp_path: Path) -> None:
    touch(tmp_path, "P1/a.png", "P1/b.png", "P2 both hands.png")
    first, second = studies_of(make_plan([tmp_path]))
    assert [film.name for film in first.unplaced] == ["a.png", "b.png"]
    assert all(film.guessed for film in first.unplaced)
    assert [film.guessed for film in second.unplaced] == [False]
    strict = make_plan([tmp_path], Intake(strict=True))
    assert [problem.reason for problem in strict.problems] == [Reason.GUESSED] * 2


def test_a_folder_of_many_names_no_patient(tmp_path: Path) -> None:
    touch(tmp_path, "march/P1-LH.jpg", "march/a.jpg")  # of whom is the second one?
    touch(tmp_path, "april/a.jpg", "april/b.jpg", "april/c.jpg", "april/d.jpg", "april/e.jpg")
    touch(tmp_path, "films/scan.jpg", "20190302_LH.jpg")
    plan = make_plan([tmp_path / name for name in ("march", "april", "films")])
    assert [f.name for f in plan.films] == ["P1-LH.jpg"]
    assert {problem.reason for problem in plan.problems} == {Reason.NO_PATIENT}
    assert len(plan.problems) == 7
    (problem,) = make_plan([tmp_path / "20190302_LH.jpg"]).problems[:1] or [None]
    assert problem is None, "a folder that holds one patient names it"


def test_two_films_for_one_limb_are_both_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "P1-LH.jpg", "P1-LH.png", "P1-RH.jpg")
    plan = make_plan([tmp_path])
    assert films_of(plan) == {"P1": ["RH"]}
    assert [(p.path_name, p.reason, p.slot) for p in plan.problems] == [
        ("P1-LH.jpg", Reason.DUPLICATE_FILM, LH), ("P1-LH.png", Reason.DUPLICATE_FILM, LH),
    ]  # fmt: skip
    assert "P1-LH.jpg, P1-LH.png" in plan.problems[0].detail


def test_the_same_bytes_cannot_be_two_limbs(tmp_path: Path) -> None:
    for name in ("P1-LH.jpg", "P1-LF.jpg", "P2-LH.jpg", "P2-RH.jpg", "P3-LF.jpg"):
        (tmp_path / name).write_bytes(b"one film")
    plan = make_plan([tmp_path])
    assert [(p.path_name, p.reason) for p in plan.problems] == [
        ("P1-LF.jpg", Reason.SAME_PICTURE), ("P1-LH.jpg", Reason.SAME_PICTURE),
    ]  # fmt: skip
    both, other = plan.films
    assert (both.sides and both.sides.value, len(both.also)) == ("both", 2)
    assert "another patient" in other.remarks[0]


def test_bad_ids_are_refused(tmp_path: Path) -> None:
    paths = touch(tmp_path, "-LH.jpg", "a\\b-LH.jpg", "x" * 101 + "-RH.jpg", ".P1-LF.jpg")
    plan = make_plan(paths)
    assert plan.films == ()
    assert [p.reason for p in plan.problems] == [Reason.BAD_STUDY_ID] * 4


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["P1/V1_LH.jpg", "P2/V1_RH.jpg"], {"P1/visit-1": ["LH"], "P2/visit-1": ["RH"]}),
        (["P1/2019/LH.jpg", "P2/2019/RH.jpg"], {"P1/2019": ["LH"], "P2/2019": ["RH"]}),
        (
            ["P1/V1_LH.jpg", "P1/V2_LH.jpg", "P2/V1_LH.jpg"],
            {"P1/visit-1": ["LH"], "P1/visit-2": ["LH"], "P2/visit-1": ["LH"]},
        ),
        (["P1/li/Hand.jpg", "P1/re/Hand.jpg"], {"P1": ["LH", "RH"]}),
        (["P1/L/hand.jpg", "P1/R/hand.jpg"], {"P1": ["LH", "RH"]}),
        (["Li/hand R.jpg", "Re/hand R.jpg"], {"Li": ["RH"], "Re": ["RH"]}),
        (["batch 1/UAB001-LH.jpg", "batch 2/UAB001-RH.jpg"], {"UAB001": ["LH", "RH"]}),
        (["hands/P1_L.jpg", "feet/P1_R.jpg"], {"P1": ["LH", "RF"]}),
        (["2019/P1-LH.jpg", "2020/P1-RH.jpg"], {"P1": ["LH", "RH"]}),
        (["hands/P1/L.jpg", "feet/P1/L.jpg"], {"P1": ["LH", "LF"]}),
        # of whom they are is not sure
        (["P1/mine LH.jpg", "P2/mine RH.jpg"], {}),
        (["Site A/001/LH.jpg", "Site B/001/RH.jpg"], {}),
        (["Site A/Subject 001/LH.jpg", "Site B/Subject 001/RH.jpg"], {}),
        (["Site A/UAB001-LH.jpg", "Site B/UAB001-RH.jpg"], {}),
        (["b 1/Subject 001/LH.jpg", "b 2/Subject 001/RH.jpg"], {}),
        (["Site A/001_LH.jpg", "Site B/001_RH.jpg"], {}),
        (["Site A/Schmidt LH.jpg", "Site B/Schmidt RH.jpg"], {}),
    ],
)
def test_one_name_in_the_folders_of_several_makes_no_patient_of_two_people(
    tmp_path: Path, names: list[str], found: dict[str, list[str]]
) -> None:
    touch(tmp_path / "films", *names)
    plan = make_plan([tmp_path / "films"])
    assert films_of(plan) == found
    if not found:
        assert [p.reason for p in plan.problems] == [Reason.NO_PATIENT] * 2
        assert "may be of several people" in plan.problems[0].detail


def test_what_may_be_a_visit_or_a_patient_is_remarked_upon(tmp_path: Path) -> None:
    touch(tmp_path / "P1", "V1_LH.jpg")
    (film,) = make_plan([tmp_path / "P1"]).films
    assert "if it is a visit of P1" in film.remarks[0]
    touch(tmp_path, "films/b 1/UAB001-LH.jpg", "films/b 2/UAB001-RH.jpg")
    assert all("are joined" in f.remarks[0] for f in make_plan([tmp_path / "films"]).films)


# ── what is searched ───────────────────────────────────────────────────────────────────────


def test_what_is_no_film_is_passed_over_in_a_folder_and_told_if_it_is_named(
    tmp_path: Path,
) -> None:
    others = touch(
        tmp_path, "training.csv", "notes.TXT", "DICOMDIR", ".DS_Store", ".hidden-LH.jpg",
        "Thumbs.db", "P1-LH.csv", "__MACOSX/P1-LH.jpg", "._P1-LH.jpg",
    )  # fmt: skip
    assert make_plan([tmp_path]) == Plan()
    (problem,) = make_plan([others[1]]).problems
    assert problem.reason is Reason.UNKNOWN_NAME


@pytest.mark.parametrize("place", [".", "a", "a/b"])
def test_what_an_earlier_run_wrote_is_passed_over(tmp_path: Path, place: str) -> None:
    touch(tmp_path, "P1-LH.jpg", "a/P2-LH.jpg")
    run = tmp_path / place
    touch(run, "scores.csv", "joints.csv", "overlays/P1-RH.png", "overlays/P3/v/P1-RF.png")
    assert films_of(make_plan([tmp_path])) == {"P1": ["LH"], "P2": ["LH"]}


def test_an_archive_is_read_in_place_and_its_traps_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "export.zip", "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("P1/LH.jpg", b"a film")
        book.writestr("P1-RF.jpg", b"another film")
        book.writestr("../P1-RH.jpg", b"x")
        book.writestr("/etc/P1-LF.jpg", b"x")
        book.writestr("bomb-LH.png", b"\0" * (32 << 20))
        book.writestr("inner.zip", b"PK")
        link = zipfile.ZipInfo("link-LH.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        book.writestr(link, "/etc/passwd")
    (tmp_path / "torn.zip").write_bytes(b"PK no archive")
    plan = make_plan([tmp_path])
    assert films_of(plan) == {"P1": ["LH", "RF"]}
    told = {problem.path_name: problem.detail for problem in plan.problems}
    assert len(told) == 6
    assert "leads out" in told["export.zip/../P1-RH.jpg"]
    assert "200 times" in told["export.zip/bomb-LH.png"]
    assert "link" in told["export.zip/link-LH.png"]
    assert "damaged" in told["torn.zip"]
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [], "nothing is unpacked"


def test_links_that_lead_back_cost_no_film(tmp_path: Path) -> None:
    touch(tmp_path, "P1-LH.jpg", "more/P2-LH.jpg")
    (tmp_path / "self").symlink_to(".")
    (tmp_path / "more" / "back").symlink_to("..")
    (tmp_path / "P3-LH.jpg").symlink_to("absent.jpg")
    plan = make_plan([tmp_path])
    assert films_of(plan) == {"P1": ["LH"], "P2": ["LH"], "P3": ["LH"]}, "a reader will say why"
    assert {"self", "back"} == {problem.path_name for problem in plan.problems}


def test_a_file_without_ending_that_cannot_be_read_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(path: Path) -> object:
        if path.name in ("IM1", "P1-LH.jpg"):
            raise PermissionError(path)
        return path.open("rb")

    monkeypatch.setattr("mandora.images.read.open_film", closed)
    touch(tmp_path, "IM1", "IM2", "P1-LH.jpg")
    plan = make_plan([tmp_path])
    told = {problem.path_name: problem for problem in plan.others}
    assert (told["IM1"].reason, told["IM2"].reason) == (
        Reason.FILM_UNREADABLE, Reason.UNKNOWN_NAME,
    )  # fmt: skip
    assert "check its permissions" in told["IM1"].detail
    assert films_of(plan) == {"P1": ["LH"]}, "the reader will say why"


def test_odd_inputs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="absent: there is no such"):
        make_plan([tmp_path / "absent"])
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "P1-LH.jpg")  # opening it would wait for ever
        (problem,) = make_plan([tmp_path / "P1-LH.jpg"]).problems
        assert problem.reason is Reason.FILM_UNREADABLE
        assert make_plan([tmp_path]) == Plan()


# ── DICOM ──────────────────────────────────────────────────────────────────────────────────


def test_two_patient_ids_in_one_folder_are_two_patients(tmp_path: Path) -> None:
    for patient in ("1", "2"):
        for side in "LR":
            write_dicom(tmp_path / "PAT1" / f"1.2.{patient}.{ord(side)}.4.dcm", PatientID=patient,
                        ImageLaterality=side, BodyPartExamined="HAND")  # fmt: skip
    key = tmp_path / "key"
    plan = make_plan([tmp_path / "PAT1"], Intake(id_key=key))
    assert list(films_of(plan).values()) == [["LH", "RH"]] * 2
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    again = make_plan([tmp_path / "PAT1"], Intake(id_key=key))
    assert again == plan, "the same key gives the same pseudonyms"
    assert films_of(make_plan([tmp_path / "PAT1"])).keys() != films_of(plan).keys()
    kept = make_plan([tmp_path / "PAT1"], Intake(keep_ids=True))
    assert films_of(kept) == {"1": ["LH", "RH"], "2": ["LH", "RH"]}


def test_one_patient_in_four_series_folders_is_one_patient(tmp_path: Path) -> None:
    for number, (side, part) in enumerate([("L", "HAND"), ("R", "HAND"), ("L", "FOOT")]):
        write_dicom(tmp_path / f"P/ST1/SE{number}/IM1", ImageLaterality=side, BodyPartExamined=part,
                    StudyDate="20190302")  # fmt: skip
    visit = only(make_plan([tmp_path]))
    assert (list(visit.films), visit.visit) == ([LH, RH, LF], "2019-03-02")
    assert visit.study.startswith("P-")
    assert "SECRET" not in repr(visit)


def test_names_call_patients_whom_tags_tell_apart(tmp_path: Path) -> None:
    hand = {"ImageLaterality": "L", "BodyPartExamined": "HAND"}
    write_dicom(tmp_path / "P1-LH.dcm", PatientID="a", **hand)
    touch(tmp_path, "P1-RH.jpg")
    write_dicom(tmp_path / "P2-LH.dcm", PatientID="b", **hand)
    write_dicom(tmp_path / "P2-RH.dcm", PatientID="c", ImageLaterality="R", BodyPartExamined="HAND")
    write_dicom(tmp_path / "P3-LH.dcm", PatientID="d", **hand)
    write_dicom(tmp_path / "P4-LH.dcm", PatientID="d", **hand)
    plan = make_plan([tmp_path], Intake(id_key=tmp_path / "key"))
    found = films_of(plan)
    assert (found["P1"], found["P3"], found["P4"]) == (["LH", "RH"], ["LH"], ["LH"])
    assert "P2" not in found
    assert len(found) == 5, "two persons who are both called P2"
    remarks = {film.name: " ".join(film.remarks) for film in plan.films}
    assert "different PatientIDs" in remarks["P2-LH.dcm"]
    assert "kept apart" in remarks["P3-LH.dcm"]


def test_a_tag_wins_over_a_name_and_says_so(tmp_path: Path) -> None:
    write_dicom(tmp_path / "P1-LH.dcm", ImageLaterality="R", BodyPartExamined="HAND",
                SeriesDescription="Hand links")  # fmt: skip
    visit = only(make_plan([tmp_path]))
    (film,) = visit.films.values()
    assert list(visit.films) == [RH]
    remarks = " ".join(film.remarks)
    assert "the tag was believed" in remarks
    assert "SeriesDescription says left" in remarks


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ({"ImageLaterality": "L", "BodyPartExamined": "MAIN"}, "LH"),
        ({"ImageLaterality": "LEFT", "BodyPartExamined": "HAND"}, "LH"),
        ({"Laterality": "R", "BodyPartExamined": "VORFUSS"}, "RF"),
        ({"SeriesDescription": "Mano izquierda AP"}, "LH"),
        ({"ProtocolName": "Fuss re. dp"}, "RF"),
        ({"ImageLaterality": "U", "BodyPartExamined": "RHAND"}, "RH"),
        ({"ImageLaterality": "B", "BodyPartExamined": "HAND"}, None),
        ({"BodyPartExamined": "CHEST"}, None),
    ],
)
def test_where_tags_say_the_limb(tmp_path: Path, tags: dict[str, str], code: str | None) -> None:
    write_dicom(tmp_path / "x.dcm", **tags)
    assert [slot.code for slot in only(make_plan([tmp_path])).films] == ([code] if code else [])


@pytest.mark.parametrize(
    "tags",
    [
        *({"Modality": modality} for modality in ("SR", "SEG", "PR", "KO", "DOC")),
        {"Modality": "OT", "Manufacturer": "mandora"},
        {"Modality": "CR", "Manufacturer": "mandora"},
    ],
)
def test_objects_that_an_archive_exports_with_films_are_passed_over(
    tmp_path: Path, tags: dict[str, str]
) -> None:
    hand = {"ImageLaterality": "L", "BodyPartExamined": "HAND"}
    write_dicom(tmp_path / "films/P1-LH.dcm", Modality="CR", Manufacturer="Maker", **hand)
    other = write_dicom(tmp_path / "films/IM2", **hand, **tags)
    with zipfile.ZipFile(tmp_path / "films/more.zip", "w") as book:
        book.write(other, "IM3")
    plan = make_plan([tmp_path / "films"])
    assert films_of(plan) == {"P1": ["LH"]}
    assert plan.problems == ()
    table = tmp_path / "films.csv"
    table.write_text("file,patient\nfilms/IM2,P1\n", encoding="utf-8")
    for named in (make_plan([other]), make_plan([], Intake(manifest=table))):
        assert named.films == ()
        (problem,) = named.others
        assert (problem.path_name, problem.reason) == ("IM2", Reason.UNKNOWN_NAME)
        assert "no film" in problem.detail


@pytest.mark.parametrize("modality", ["CR", "DX", "OT", "SC", ""])
def test_pictures_of_other_makers_are_films(tmp_path: Path, modality: str) -> None:
    write_dicom(tmp_path / "P1-LH.dcm", Modality=modality, Manufacturer="Maker")
    assert films_of(make_plan([tmp_path])) == {"P1": ["LH"]}


def test_placeholders_are_no_patients_and_birth_dates_tell_people_apart(tmp_path: Path) -> None:
    hand = {"ImageLaterality": "L", "BodyPartExamined": "HAND"}
    write_dicom(tmp_path / "A1/x.dcm", PatientID="ANONYMOUS", **hand)
    write_dicom(tmp_path / "B1/x.dcm", PatientID="ANONYMOUS", **hand)
    write_dicom(tmp_path / "C/x.dcm", PatientID="7", PatientBirthDate="19500101", **hand)
    write_dicom(tmp_path / "C/y.dcm", PatientID="7", PatientBirthDate="19600101", **hand)
    plan = make_plan([tmp_path])
    assert len(studies_of(plan)) == 4
    assert {"A1", "B1"} < films_of(plan).keys()
    without = [film for film in plan.films if film.patient and film.patient.value in ("A1", "B1")]
    assert all("its DICOM tags hold no PatientID" in film.remarks for film in without)
    write_dicom(tmp_path / "D/x.dcm", PatientID="ANON1", **hand)
    write_dicom(tmp_path / "D/y.dcm", PatientID="ANON2", **hand)
    assert len(studies_of(make_plan([tmp_path / "D"]))) == 2


# ── manifests ──────────────────────────────────────────────────────────────────────────────


def test_a_plan_is_a_manifest(tmp_path: Path) -> None:
    touch(tmp_path, "x/scan 1.png", "x/P1_20190302_LH.png", "x/P2-RF.png")
    plan = make_plan([tmp_path / "x"])
    table = tmp_path / "plan.csv"
    text = plan_csv(plan, tmp_path).replace("x/scan 1.png,,,,", "x/scan 1.png,P9,,hand,right")
    table.write_text(text, encoding="utf-8")
    again = make_plan([], Intake(manifest=table))
    assert films_of(again) == {"P1/2019-03-02": ["LH"], "P2": ["RF"], "P9": ["RH"]}
    assert {f.patient.origin for f in again.films if f.patient} == {"manifest"}


def test_rows_that_fit_no_film_are_told(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png")
    table = tmp_path / "list.csv"
    table.write_text("file;patient;limb;side\na.png;P1;knee;left\nc.png;P1;hand;left\n", "utf-8")
    told = {p.path_name: p.detail for p in make_plan([], Intake(manifest=table)).problems}
    assert "line 2" in told["a.png"]
    assert "line 3" in told["c.png"]
