from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("highdicom", reason="needs the extra dicom")

from pydicom import dcmread

from mandora.core.errors import InputError
from mandora.outputs.dicom.read_back import read_structured_report


def test_a_report_gives_its_record_back(folder_of_objects: Path, given: Any) -> None:
    back = read_structured_report(folder_of_objects / "SR.dcm")
    assert back == given.result.model_copy(update={"locations": ()})


def test_a_path_may_be_a_string(folder_of_objects: Path, given: Any) -> None:
    assert read_structured_report(str(folder_of_objects / "SR.dcm")).study == given.result.study


@pytest.mark.parametrize("name", ["LH-SEG.dcm", "LH-SC.dcm"])
def test_other_objects_are_refused(folder_of_objects: Path, name: str) -> None:
    with pytest.raises(InputError, match=name):
        read_structured_report(folder_of_objects / name)


def test_reports_of_other_software_are_refused(objects: Any, tmp_path: Path) -> None:
    report = dcmread(io.BytesIO(objects["SR.dcm"]))
    for part in report.ContentSequence:
        if part.ConceptNameCodeSequence[0].CodeValue == "126010":
            part.ContentSequence = part.ContentSequence[:4]  # without the model
    report.save_as(tmp_path / "SR.dcm")
    with pytest.raises(InputError, match="not a structured report of mandora"):
        read_structured_report(tmp_path / "SR.dcm")


def test_a_report_that_lacks_a_score_is_refused(objects: Any, tmp_path: Path) -> None:
    report = dcmread(io.BytesIO(objects["SR.dcm"]))
    for part in report.ContentSequence:
        if part.ConceptNameCodeSequence[0].CodeValue == "126010":
            site = part.ContentSequence[0]
            site.ContentSequence = [i for i in site.ContentSequence if i.ValueType != "NUM"]
    report.save_as(tmp_path / "SR.dcm")
    with pytest.raises(InputError, match="not a whole report"):
        read_structured_report(tmp_path / "SR.dcm")


def test_files_that_are_no_dicom_are_refused(tmp_path: Path) -> None:
    (tmp_path / "SR.dcm").write_bytes(b"no report")
    with pytest.raises(InputError, match="cannot be read"):
        read_structured_report(tmp_path / "SR.dcm")
    with pytest.raises(InputError, match="cannot be read"):
        read_structured_report(tmp_path / "nothing.dcm")
