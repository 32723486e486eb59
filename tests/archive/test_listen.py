from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("pynetdicom", reason="needs the extra archive")

from mandora.archive import listen
from mandora.archive.inbox import Inbox
from mandora.archive.listen import Desk
from mandora.archive.send import SendError
from mandora.core.errors import InputError
from mandora.core.settings import ListenSettings
from mandora.core.settings.archive import PeerSettings, TargetSettings


class World:
    """An inbox with a desk, where scoring and sending are only noted."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        self.scored: list[int] = []
        self.sent: list[str] = []
        self.fail: Exception | None = None
        self.lines: list[str] = []
        monkeypatch.setattr(listen, "score_films", self._score)
        monkeypatch.setattr(listen, "send", self._send)
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
        bundle: Any = None
        self.desk = Desk(self.settings, self.inbox, bundle, 1, self.lines.append)

    def film(self, number: int, study: str = "1.2.1") -> None:
        self.inbox.add(study, f"{study}.{number}", b"film %d" % number)

    def _score(self, films: Any, out: Path, **options: Any) -> Any:
        assert options["dicom"] == "as given"
        if self.fail is not None:
            raise self.fail
        self.scored.append(len(films))
        (out / "dicom" / "P").mkdir(parents=True)
        for name in ("SC.dcm", "SR.dcm"):
            (out / "dicom" / "P" / name).write_bytes(b"object")
        return SimpleNamespace(scored=1, patients=1)

    def _send(self, settings: Any, target: Any, files: Any, acknowledged: Any) -> None:
        for path in files:
            if self.fail is not None:
                raise self.fail
            self.sent.append(path.name)
            acknowledged(path)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path / "inbox", monkeypatch)


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


def test_what_could_not_be_sent_is_sent_later_and_scored_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path / "inbox", monkeypatch)
    world.film(1)
    world.film(2)
    world.desk.work()
    world.sent.clear()
    world.film(1, study="1.2.2")
    world.film(2, study="1.2.2")
    send = world._send

    def after_one(settings: Any, target: Any, files: Any, acknowledged: Any) -> None:
        send(settings, target, files[:1], acknowledged)
        raise SendError("PACS cannot be reached")

    monkeypatch.setattr(listen, "send", after_one)
    world.desk.work()
    assert "PACS cannot be reached; tried again in 1000 s" in world.lines[-1]
    monkeypatch.setattr(listen, "send", send)
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
