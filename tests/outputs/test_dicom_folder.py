from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from mandora.core.errors import InputError
from mandora.outputs import dicom_folder
from mandora.outputs.dicom_folder import PSEUDONYMS_FILE, DicomFolder, PatientFiles

needs_extra = pytest.mark.skipif(find_spec("highdicom") is None, reason="needs the extra dicom")


@pytest.fixture
def files(patient: Any) -> PatientFiles:
    return PatientFiles(patient.result, {}, {}, {}, {})


def fake(monkeypatch: pytest.MonkeyPatch, *names: str, fail: bool = False) -> None:
    """Give objects of these names, and fail after them if asked to."""

    def made(given: PatientFiles, pseudonyms: Any) -> Any:
        yield from ((name, b"object") for name in names)
        if fail:
            raise InputError("the header cannot be used")

    monkeypatch.setattr("mandora.outputs.dicom.export.dicom_files", made)


def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicom_folder, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"mandora\[dicom\]"):
        DicomFolder(tmp_path)


@needs_extra
def test_each_patient_has_a_folder(
    tmp_path: Path, files: PatientFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(monkeypatch, "SR.dcm", "LH-SEG.dcm")
    written = DicomFolder(tmp_path).write(files)
    assert [p.relative_to(tmp_path).as_posix() for p in written] == [
        "dicom/P001/SR.dcm", "dicom/P001/LH-SEG.dcm",
    ]  # fmt: skip


@needs_extra
def test_objects_of_an_earlier_run_do_not_stay(
    tmp_path: Path, files: PatientFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = DicomFolder(tmp_path)
    fake(monkeypatch, "SR.dcm", "LH-SEG.dcm", "RF-PR.dcm")
    folder.write(files)
    fake(monkeypatch, "SR.dcm", "LH-SEG.dcm")
    DicomFolder(tmp_path).write(files)
    assert {p.name for p in (tmp_path / "dicom" / "P001").iterdir()} == {"SR.dcm", "LH-SEG.dcm"}


@needs_extra
def test_a_patient_has_all_objects_or_none(
    tmp_path: Path, files: PatientFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(monkeypatch, "SR.dcm", fail=True)
    with pytest.raises(InputError, match="header"):
        DicomFolder(tmp_path).write(files)
    assert list((tmp_path / "dicom").rglob("*.dcm")) == []


@needs_extra
def test_films_of_other_formats_are_refused_with_what_to_do(
    tmp_path: Path, files: PatientFiles
) -> None:
    with pytest.raises(InputError, match="none of the films that could be read is a DICOM file"):
        DicomFolder(tmp_path).write(files)
    assert list((tmp_path / "dicom").iterdir()) == []


@needs_extra
@pytest.mark.parametrize("name", ["IM0001", "P1/LH-1.dcm"])
def test_a_folder_with_other_files_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "dicom" / name).parent.mkdir(parents=True)
    (tmp_path / "dicom" / name).write_bytes(b"a film")
    with pytest.raises(InputError, match="no results of mandora"):
        DicomFolder(tmp_path)


@needs_extra
def test_pseudonyms_are_listed_beside_the_folder(
    tmp_path: Path, files: PatientFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(monkeypatch, "SR.dcm")
    (written,) = DicomFolder(tmp_path, deidentify=True).write(files)
    name = written.parent.name
    assert name.startswith("P-")
    assert (tmp_path / PSEUDONYMS_FILE).read_text() == f"patient,pseudonym\nP001,{name}\n"
    # the same folder gives the same name again
    (again,) = DicomFolder(tmp_path, deidentify=True).write(files)
    assert again == written


@needs_extra
@pytest.mark.parametrize("deidentify", [False, True])
def test_each_visit_of_a_patient_has_a_folder(
    tmp_path: Path, files: PatientFiles, monkeypatch: pytest.MonkeyPatch, deidentify: bool
) -> None:
    fake(monkeypatch, "SR.dcm")
    folder = DicomFolder(tmp_path, deidentify=deidentify)
    for visit in ("2019-03-02", "2020-05-07"):
        folder.write(replace(files, visit=visit))
    written = sorted((tmp_path / "dicom").rglob("SR.dcm"))
    assert len(written) == 2
    assert len({path.parent.parent for path in written}) == 1
    assert any("2019" in str(path.parent.name) for path in written) is not deidentify
    DicomFolder(tmp_path, deidentify=deidentify)  # they are ours


@needs_extra
def test_what_the_packages_say_of_a_header_is_not_repeated(
    tmp_path: Path, files: PatientFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(given: PatientFiles, pseudonyms: Any) -> Any:
        raise TypeError("SECRET is no date")

    monkeypatch.setattr("mandora.outputs.dicom.export.dicom_files", broken)
    with pytest.raises(InputError, match="TypeError") as error:
        DicomFolder(tmp_path).write(files)
    assert "SECRET" not in str(error.value)
