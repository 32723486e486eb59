from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("pynetdicom", reason="needs the extra archive")

from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian

from mandora.archive.errors import ArchiveError
from mandora.archive.inbox import Inbox
from mandora.archive.listen import Desk, Destination
from mandora.core.errors import InputError
from mandora.core.settings import ListenSettings
from mandora.core.settings.archive import PeerSettings, TargetSettings, WebSettings


def report(content: object) -> Dataset:
    """What says of a report whose it is, with a UID of its own for each content."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = ComprehensiveSRStorage, f"1.2.88.{content}"
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.1", "1.2.88.99"
    ds.PatientID, ds.StudyDate = "SECRET", "20260101"
    return ds


class World:
    """An inbox with a desk, where scoring and sending are only noted."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.scored: list[int] = []
        self.sent: list[str] = []
        self.fail: Exception | None = None
        self.fail_to_send: Exception | None = None
        self.lines: list[str] = []
        self.send = self._send
        target = TargetSettings(ae_title="PACS", host="localhost", port=104)
        self.settings = ListenSettings(
            peers=(PeerSettings(ae_title="PACS"),), target=target,
            **{"films": 2, "quiet_s": 1000, "retry_s": 1000, **settings},
        )  # fmt: skip
        self.folder = folder
        self.restart()

    def restart(self) -> None:
        """As after the end of the program."""
        self.inbox = Inbox(self.folder)
        to = Destination("PACS", lambda files, acknowledged: self.send(files, acknowledged))
        self.desk = Desk(self.settings, self.inbox, self._score, self.lines.append, to)

    def film(self, number: int, study: str = "1.2.1") -> None:
        self.inbox.add(study, f"{study}.{number}", b"film %d" % number)

    def _score(self, films: Any, out: Path, **options: Any) -> Any:
        assert options["dicom"] == "as given"
        if self.fail is not None:
            raise self.fail
        self.scored.append(len(films))
        (out / "dicom" / "P").mkdir(parents=True)
        (out / "dicom" / "P" / "SC.dcm").write_bytes(b"object")
        report(len(films)).save_as(out / "dicom" / "P" / "SR.dcm", enforce_file_format=True)
        return SimpleNamespace(scored=1, patients=1)

    def _send(self, files: Any, acknowledged: Any) -> None:
        for path in files:
            if self.fail_to_send is not None:
                raise self.fail_to_send
            self.sent.append(path.name)
            acknowledged(path)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "inbox")


def test_a_study_is_scored_and_sent_once_when_its_films_are_there(world: World) -> None:
    world.film(1)
    world.desk.work()
    assert (world.scored, world.sent) == ([], [])
    world.film(2)
    world.desk.work()
    world.desk.work()
    world.restart()
    world.desk.work()
    assert (world.scored, world.sent) == ([2], ["SC.dcm", "SR.dcm"])


def test_a_study_of_fewer_films_is_scored_when_nothing_more_comes(world: World) -> None:
    world.film(1)
    (study,) = world.inbox.waiting()
    os.utime(study.films[0], (study.newest - 2000, study.newest - 2000))
    world.desk.work()
    assert world.scored == [1]


def test_a_late_film_has_the_study_scored_again_as_a_whole(world: World) -> None:
    world.film(1)
    world.film(2)
    world.desk.work()
    world.film(3)
    world.desk.work()
    assert world.scored == [2, 3]
    assert world.sent == ["SC.dcm", "SR.dcm"] * 2


def test_a_new_report_names_the_one_that_the_archive_has(world: World) -> None:
    for number in (1, 2):
        world.film(number)
    world.desk.work()
    world.film(3)
    world.desk.work()
    (study,) = world.inbox.waiting()
    results = world.inbox.results(study)
    assert results is not None
    new = dcmread(results / "dicom" / "P" / "SR.dcm")
    (of_study,) = new.PredecessorDocumentsSequence
    (of_series,) = of_study.ReferencedSeriesSequence
    (named,) = of_series.ReferencedSOPSequence
    assert (new.SOPInstanceUID, named.ReferencedSOPInstanceUID) == ("1.2.88.3", "1.2.88.2")
    assert (of_study.StudyInstanceUID, of_series.SeriesInstanceUID) == ("1.2.1", "1.2.88.99")


def test_a_report_that_the_archive_never_had_is_not_named(world: World) -> None:
    for number in (1, 2):
        world.film(number)
    world.fail_to_send = ArchiveError("refused")
    world.desk.work()
    world.fail_to_send = None
    world.restart()
    world.film(3)
    world.desk.work()
    (study,) = world.inbox.waiting()
    results = world.inbox.results(study)
    assert results is not None
    assert "PredecessorDocumentsSequence" not in dcmread(results / "dicom" / "P" / "SR.dcm")


def test_an_archive_that_is_down_is_told_once_for_all_studies(world: World) -> None:
    world.fail_to_send = ArchiveError("PACS cannot be reached", down=True)
    for study in ("1.2.1", "1.2.2", "1.2.3"):
        world.film(1, study)
        world.film(2, study)
    world.desk.work()
    world.desk.work()
    assert world.scored == [2, 2, 2]  # they do not wait for the archive
    assert [line for line in world.lines if "reached" in line] == [
        "PACS cannot be reached; results wait, it is tried again in 1000 s"
    ]


def test_studies_that_are_not_complete_do_not_end_a_pause(world: World) -> None:
    world.film(1)
    world.film(2)
    world.fail = InputError("no film in it")
    world.film(1, "1.2.2")
    for _ in range(3):
        world.desk.work()
    assert len(world.lines) == 1


def test_what_could_not_be_sent_is_sent_later_and_scored_once(tmp_path: Path) -> None:
    world = World(tmp_path / "inbox")
    world.film(1)
    world.film(2)
    world.desk.work()
    world.sent.clear()
    world.film(1, study="1.2.2")
    world.film(2, study="1.2.2")

    def after_one(files: Any, acknowledged: Any) -> None:
        world._send(files[:1], acknowledged)
        raise ArchiveError("PACS did not take SR.dcm")

    world.send = after_one
    world.desk.work()
    assert "PACS did not take SR.dcm; tried again in 1000 s" in world.lines[-1]
    world.send = world._send
    world.desk.work()
    assert world.sent == ["SC.dcm"]  # it is not time yet
    world.restart()
    world.desk.work()
    assert world.sent == ["SC.dcm", "SR.dcm"]
    assert world.scored == [2, 2]


def test_a_study_that_cannot_be_scored_does_not_stop_the_others(world: World) -> None:
    world.film(1)
    world.film(2)
    world.fail = InputError("no film in it")
    world.desk.work()
    world.fail = None
    world.film(1, study="1.2.2")
    world.film(2, study="1.2.2")
    world.desk.work()
    assert world.scored == [2]
    assert "no film in it" in world.lines[0]


def test_no_line_identifies_a_patient(world: World) -> None:
    world.film(1)
    world.film(2)
    world.desk.work()
    assert len(world.lines) == 2
    assert not any("1.2.1" in line for line in world.lines)


def test_nobody_may_send_unless_named() -> None:
    with pytest.raises(ValueError, match=r"\[\[peers\]\]"):
        ListenSettings()


def test_results_go_to_one_archive() -> None:
    with pytest.raises(ValueError, match=r"not to both"):
        ListenSettings(
            peers=(PeerSettings(ae_title="PACS"),), web=WebSettings(url="https://pacs/dicom-web"),
            target=TargetSettings(ae_title="PACS", host="localhost", port=104),
        )  # fmt: skip


def test_results_of_several_patients_of_a_study_are_all_sent(world: World) -> None:
    def score(films: Any, out: Path, **options: Any) -> Any:
        for patient in ("P1", "P2/2026-01-01"):
            (out / "dicom" / patient).mkdir(parents=True)
            (out / "dicom" / patient / "SC.dcm").write_bytes(b"object")
        return SimpleNamespace(scored=2, patients=2)

    to = Destination("PACS", world._send)
    desk = Desk(world.settings, world.inbox, score, world.lines.append, to)
    world.film(1)
    world.film(2)
    desk.work()
    desk.work()
    assert world.sent == ["SC.dcm", "SC.dcm"]
