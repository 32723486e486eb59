from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("pydicom", reason="needs the extra archive")

from pydicom.dataset import Dataset

from mandora.archive.films import scored_with


def header(**changes: Any) -> Dataset:
    tags = {
        "StudyInstanceUID": "1.2.1", "PatientID": "7", "PatientName": "Muster^Anna",
        "PatientBirthDate": "19600101", "StudyDate": "20260101", **changes,
    }  # fmt: skip
    ds = Dataset()
    for tag, value in tags.items():
        setattr(ds, tag, value)
    return ds


def together(one: Dataset, other: Dataset, *, join_studies: bool = True) -> bool:
    other.StudyInstanceUID = "1.2.2"
    both = (scored_with(ds, join_studies=join_studies) for ds in (one, other))
    return len(set(both)) == 1


def test_two_studies_of_a_patient_and_a_day_are_scored_together() -> None:
    assert together(header(), header())
    assert not together(header(), header(), join_studies=False)


@pytest.mark.parametrize(
    "change",
    [
        {"PatientID": "8"}, {"PatientName": "Muster^Eva"}, {"PatientBirthDate": "19600102"},
        {"StudyDate": "20260102"}, {"IssuerOfPatientID": "OTHER"},
    ],
)  # fmt: skip
def test_other_people_and_other_days_are_not(change: dict[str, str]) -> None:
    assert not together(header(), header(**change))


@pytest.mark.parametrize("tag", ["PatientID", "PatientBirthDate", "StudyDate"])
def test_studies_that_do_not_say_whose_they_are_stay_apart(tag: str) -> None:
    assert not together(header(**{tag: ""}), header(**{tag: ""}))
