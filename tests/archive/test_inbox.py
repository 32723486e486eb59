from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("pydicom", reason="needs the extra archive")

from mandora.archive.inbox import Inbox, Waiting
from mandora.core.errors import InputError


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path / "inbox")


def only(inbox: Inbox) -> Waiting:
    (study,) = inbox.waiting()
    return study


def scored(inbox: Inbox, *objects: str) -> Path:
    """Give the study results with these objects."""
    study = only(inbox)
    part = inbox.new_results(study)
    (part / "dicom" / "P1").mkdir(parents=True)
    for name in objects:
        (part / "dicom" / "P1" / name).write_bytes(b"object")
    return inbox.keep_results(study, part)


def test_films_wait_by_study_under_names_that_identify_nobody(inbox: Inbox, tmp_path: Path) -> None:
    inbox.add("1.2.1", "1.2.1.1", b"left")
    inbox.add("1.2.1", "1.2.1.2", b"right")
    inbox.add("1.2.2", "1.2.2.1", b"other")
    assert sorted(len(study.films) for study in inbox.waiting()) == [1, 2]
    assert not any("1.2." in path.name for path in tmp_path.rglob("*"))


def test_a_film_that_comes_again_changes_nothing(inbox: Inbox) -> None:
    inbox.add("1.2.1", "1.2.1.1", b"left")
    before = only(inbox)
    os.utime(before.films[0], (1000, 1000))
    inbox.add("1.2.1", "1.2.1.1", b"left")
    assert (only(inbox).content, only(inbox).newest) == (before.content, 1000)


def test_a_film_that_was_corrected_takes_the_place_of_the_old_one(inbox: Inbox) -> None:
    inbox.add("1.2.1", "1.2.1.1", b"left")
    before = only(inbox)
    inbox.add("1.2.1", "1.2.1.1", b"corrected")
    assert only(inbox).films == before.films
    assert only(inbox).films[0].read_bytes() == b"corrected"
    assert only(inbox).content != before.content


def test_a_film_that_was_another_patients_is_taken_away_from_that_one(inbox: Inbox) -> None:
    inbox.add("patient 1", "1.2.1.1", b"left")
    inbox.add("patient 1", "1.2.1.2", b"right")
    inbox.add("patient 2", "1.2.1.2", b"right, patient corrected")
    films = sorted([f.read_bytes() for f in study.films] for study in inbox.waiting())
    assert films == [[b"left"], [b"right, patient corrected"]]


def test_results_whose_films_are_another_patients_are_removed(inbox: Inbox, tmp_path: Path) -> None:
    inbox.add("patient 1", "1.2.1.1", b"left")
    results = scored(inbox, "SR.dcm")
    inbox.add("patient 2", "1.2.1.1", b"left, patient corrected")
    with Inbox(tmp_path / "inbox").alone():
        pass
    assert not results.exists()


def test_results_are_those_of_the_very_films(inbox: Inbox) -> None:
    inbox.add("1.2.1", "1.2.1.1", b"left")
    assert inbox.results(only(inbox)) is None
    results = scored(inbox, "SR.dcm")
    assert inbox.results(only(inbox)) == results
    inbox.add("1.2.1", "1.2.1.2", b"a late film")
    assert inbox.results(only(inbox)) is None


def test_results_that_were_begun_do_not_count_and_are_removed(inbox: Inbox, tmp_path: Path) -> None:
    inbox.add("1.2.1", "1.2.1.1", b"left")
    part = inbox.new_results(only(inbox))
    (part / "SR.dcm").write_bytes(b"half")
    assert inbox.results(only(inbox)) is None
    again = Inbox(tmp_path / "inbox")
    with again.alone():
        pass
    assert not part.exists()
    assert only(again).films[0].read_bytes() == b"left"


def test_what_was_sent_is_not_sent_again(inbox: Inbox, tmp_path: Path) -> None:
    inbox.add("1.2.1", "1.2.1.1", b"left")
    results = scored(inbox, "LH-SEG.dcm", "SC.dcm", "SR.dcm")
    first, *others = inbox.unsent(results)
    inbox.note_sent(results, first)
    assert Inbox(tmp_path / "inbox").unsent(results) == others


def test_studies_are_removed_when_they_are_done_and_old(inbox: Inbox, tmp_path: Path) -> None:
    inbox.add("1.2.1", "1.2.1.1", b"left")
    inbox.forget(-1)
    results = scored(inbox, "SR.dcm")
    inbox.forget(-1)
    assert len(list(inbox.waiting())) == 1  # not sent yet
    inbox.note_sent(results, results / "dicom" / "P1" / "SR.dcm")
    inbox.forget(60)
    assert len(list(inbox.waiting())) == 1  # not old yet
    inbox.forget(-1)
    assert list(inbox.waiting()) == []
    assert list((tmp_path / "inbox").rglob("*.dcm")) == []


def test_results_whose_films_were_being_removed_are_removed_as_well(
    inbox: Inbox, tmp_path: Path
) -> None:
    inbox.add("1.2.1", "1.2.1.1", b"left")
    scored(inbox, "SR.dcm")
    films = only(inbox).films
    films[0].unlink()
    films[0].parent.rmdir()  # the program ended here
    with Inbox(tmp_path / "inbox").alone():
        pass
    assert list((tmp_path / "inbox" / "results").iterdir()) == []


def test_an_inbox_is_used_by_one_process_at_a_time(inbox: Inbox, tmp_path: Path) -> None:
    other = Inbox(tmp_path / "inbox")
    with inbox.alone(), pytest.raises(InputError, match="in use by another"), other.alone():
        pass
    with Inbox(tmp_path / "inbox").alone():  # it is free again
        pass
