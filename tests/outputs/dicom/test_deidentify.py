from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="needs the extra dicom")

from pydicom import dcmread
from pydicom.dataset import Dataset

from mandora.core.errors import InputError
from mandora.outputs.dicom.deidentify import KEY_FILE, Pseudonyms, deidentify
from mandora.outputs.dicom.export import dicom_files
from mandora.outputs.dicom.read_back import read_structured_report

KEY = bytes(range(32))
SECRETS = (b"SECRET", b"ller", b"House", b"19600229", b"20200103", b"ACC-4711", b"ST-9", b"HOSP",
           b"P001", b"1.2.77.", b"PRIVATE", b"Nurse")  # fmt: skip


@pytest.fixture(scope="module")
def without(new_patient: Any, as_dicom: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The files of a patient of whom only one foot was given."""
    names = {slot: f"P001-{slot}.dcm" for slot in ("LH", "RH", "LF", "RF")}
    folder = tmp_path_factory.mktemp("films")
    given = as_dicom(new_patient("P001", names), folder, OperatorsName="Nurse^Eve")
    path = given.paths["P001-LF.dcm"]
    film = dcmread(path)
    film.private_block(0x0009, "PRIVATE MAKER", create=True).add_new(1, "LO", "PRIVATE")
    film.RequestAttributesSequence = [Dataset()]
    film.RequestAttributesSequence[0].ScheduledProcedureStepID = "SECRET-3"
    view = Dataset()  # a sequence that stays: what is in it is cleaned
    view.CodeValue, view.ReferencedSOPInstanceUID = "1", "1.2.77.8"
    view.PatientName = "Müller^Anna"
    film.ViewCodeSequence = [view]
    film.file_meta.SourceApplicationEntityTitle = "SECRET_AE"
    film.preamble = b"SECRET".ljust(128, b"\0")
    film.save_as(path)
    only = type(given)(given.result, {"P001-LF.dcm": path}, given.shapes, given.evidence,
                       given.overlays)  # fmt: skip
    return dict(dicom_files(only, Pseudonyms(KEY)))


def test_the_films_come_with_the_objects(without: Any) -> None:
    assert set(without) == {"SR.dcm", "SC.dcm", "LF.dcm", "LF-SEG.dcm", "LF-PR.dcm", "LF-SC.dcm"}


def test_nothing_tells_who_the_patient_is(without: Any) -> None:
    found = {(name, secret) for name, data in without.items() for secret in SECRETS
             if secret in data}  # fmt: skip
    assert found == set()


def test_the_objects_refer_to_the_films_that_come_with_them(without: Any) -> None:
    film = dcmread(io.BytesIO(without["LF.dcm"]))
    drawn = dcmread(io.BytesIO(without["LF-PR.dcm"]))
    series = drawn.ReferencedSeriesSequence[0]
    assert series.ReferencedImageSequence[0].ReferencedSOPInstanceUID == film.SOPInstanceUID
    assert series.SeriesInstanceUID == film.SeriesInstanceUID
    assert drawn.StudyInstanceUID == film.StudyInstanceUID
    assert film.file_meta.MediaStorageSOPInstanceUID == film.SOPInstanceUID
    assert {str(dcmread(io.BytesIO(data)).PatientID) for data in without.values()} == {
        Pseudonyms(KEY).name("P001")
    }


def test_a_film_says_that_it_is_de_identified_and_keeps_its_picture(without: Any) -> None:
    film = dcmread(io.BytesIO(without["LF.dcm"]))
    assert film.PatientIdentityRemoved == "YES"
    assert film.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
    assert film.ViewCodeSequence[0].CodeValue == "1"
    assert (film.StudyDate, film.PatientBirthDate) == ("", "")
    np.testing.assert_array_equal(film.pixel_array, 900)


def test_the_report_is_read_back_without_names(without: Any, tmp_path: Any) -> None:
    (tmp_path / "SR.dcm").write_bytes(without["SR.dcm"])
    back = read_structured_report(tmp_path / "SR.dcm")
    assert back.study == Pseudonyms(KEY).name("P001")
    assert {film.name for film in back.films} == {"LH.dcm", "RH.dcm", "LF.dcm", "RF.dcm"}
    # words of a reader, and hashes by which a file can be found
    assert {(film.detail, film.sha256, film.remarks) for film in back.films} == {(None, None, ())}


def test_a_film_with_text_in_its_picture_is_refused(new_film: Any, tmp_path: Any) -> None:
    film = dcmread(
        new_film(tmp_path / "LH.dcm", np.full((480, 320), 900), BurnedInAnnotation="YES")
    )
    with pytest.raises(InputError, match="BurnedInAnnotation"):
        deidentify(film, "P001", Pseudonyms(KEY))


def test_one_key_gives_the_same_names_and_another_one_others(tmp_path: Any) -> None:
    first = Pseudonyms.of_folder(tmp_path)
    assert Pseudonyms.of_folder(tmp_path).key == first.key
    assert first.name("P001") != Pseudonyms(KEY).name("P001")
    assert first.name("P001") != first.name("P002")
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o077 == 0


def test_uids_of_the_standard_are_kept() -> None:
    assert Pseudonyms(KEY).uid("1.2.840.10008.1.2.1") == "1.2.840.10008.1.2.1"
    assert Pseudonyms(KEY).uid("1.2.3").startswith("2.25.")


def test_a_damaged_key_is_refused(tmp_path: Any) -> None:
    (tmp_path / KEY_FILE).write_text("no key")
    with pytest.raises(InputError, match="no key of mandora"):
        Pseudonyms.of_folder(tmp_path)
