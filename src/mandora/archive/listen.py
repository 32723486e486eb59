"""The node at work: studies that are complete are scored, results are sent."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mandora.archive.backoff import Backoff
from mandora.archive.errors import ArchiveError
from mandora.archive.inbox import Inbox, Waiting
from mandora.archive.node import receiving
from mandora.archive.send import send
from mandora.archive.web import WebArchive
from mandora.core.files import OutputError
from mandora.core.settings.archive import ListenSettings
from mandora.datasets.intake.plan import Intake
from mandora.model.bundle import Bundle
from mandora.outputs.dicom.predecessors import REPORT_FILE, note_predecessors
from mandora.scoring import Summary, score_films

_LOG = logging.getLogger(__name__)
_PAUSE_S = 0.5
_DAY_S = 86_400.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Destination:
    """Who gets the results.

    Attributes:
        name: for messages.
        send: sends objects, in order, and calls its second argument with each that was
            acknowledged, before the next is sent. It raises :class:`ArchiveError`.
    """

    name: str
    send: Callable[[Sequence[Path], Callable[[Path], None]], None]

    @classmethod
    def of(cls, settings: ListenSettings) -> Destination | None:
        """Where settings say that results go; None: nowhere.

        Raises:
            InputError: if the URL or the credentials of a DICOMweb service cannot be used.
        """
        if settings.target is not None:
            return cls(settings.target.ae_title, partial(send, settings, settings.target))
        if settings.web is not None:
            archive = WebArchive(settings.web)
            return cls(archive.host, archive.store)
        return None


def listen(
    settings: ListenSettings,
    folder: Path,
    bundle: Bundle,
    *,
    threads: int = 2,
    say: Say = lambda line: None,
    stop: threading.Event | None = None,
) -> None:
    """Receive films, score each study when it is complete, and send its results, until stopped.

    Args:
        settings: of the node.
        folder: the inbox; what an earlier call had not finished there is finished.
        bundle: the model.
        threads: processor threads for scoring.
        say: called with one line for each event that a user should see; no line identifies a
            patient.
        stop: ends the call when it is set.

    Raises:
        InputError: if the port, the settings or the model cannot be used.
        OSError: if the folder cannot be written.
    """
    destination = Destination.of(settings)
    inbox, stop = Inbox(folder), stop or threading.Event()
    score = partial(score_films, bundle=bundle, threads=threads)
    desk = Desk(settings, inbox, score, say, destination)
    with inbox.alone(), receiving(settings, inbox) as port:
        say(f"{settings.ae_title} listens at {settings.host}:{port}")
        while not stop.is_set():
            desk.work()
            stop.wait(_PAUSE_S)


class Desk:
    """Does what the inbox shows is to do.

    Args:
        settings: of the node.
        inbox: with the studies.
        score: :func:`~mandora.scoring.score_films` with model and threads.
        say: called with each event.
        destination: who gets the results; None: they stay in the inbox.
    """

    def __init__(
        self, settings: ListenSettings, inbox: Inbox, score: Callable[..., Summary], say: Say,
        destination: Destination | None = None,
    ) -> None:  # fmt: skip
        self._settings, self._inbox = settings, inbox
        self._score, self._say, self._destination = score, say, destination
        self._studies = Backoff(settings.retry_s, settings.retry_longest_s)
        self._archive = Backoff(settings.retry_s, settings.retry_longest_s)

    def work(self) -> None:
        """Score and send whatever is ready; what fails with one study stays with it."""
        for study in self._inbox.waiting():
            if not self._studies.ready(study.study):
                continue
            try:
                self._work_on(study)
            except ArchiveError as error:
                if error.down:
                    self._archive_later(str(error))
                else:
                    self._study_later(study, str(error))
            except OutputError as error:
                self._study_later(study, str(error))
            except Exception as error:
                _LOG.debug("study %s", study.study, exc_info=error)
                self._study_later(study, f"{type(error).__name__}: {error}")
            else:
                self._studies.worked(study.study)
        self._inbox.forget(self._settings.keep_days * _DAY_S)

    def complete(self, study: Waiting) -> bool:
        """Whether no more films are waited for."""
        quiet = time.time() - study.newest >= self._settings.quiet_s
        return quiet or len(study.films) >= self._settings.films

    def _work_on(self, study: Waiting) -> None:
        results = self._inbox.results(study)
        if results is None and self.complete(study):
            results = self._scored(study)
        if results is not None and self._destination is not None:
            self._send(study, results, self._destination)

    def _scored(self, study: Waiting) -> Path:
        part = self._inbox.new_results(study)
        intake = Intake(id_key=self._inbox.key)
        done = self._score(study.films, part, intake=intake, dicom="as given")
        note_predecessors(part, self._inbox.sent_before(study, REPORT_FILE))
        self._say(
            f"study {study.study[:8]}: {len(study.films)} films, "
            f"{done.scored} of {done.patients} patients scored"
        )
        return self._inbox.keep_results(study, part)

    def _send(self, study: Waiting, results: Path, to: Destination) -> None:
        unsent = self._inbox.unsent(results)
        if not unsent or not self._archive.ready(to.name):
            return
        to.send(unsent, lambda sent: self._inbox.note_sent(results, sent))
        self._archive.worked(to.name)
        self._say(f"study {study.study[:8]}: {len(unsent)} objects sent to {to.name}")

    def _study_later(self, study: Waiting, why: str) -> None:
        pause = self._studies.failed(study.study)
        self._say(f"study {study.study[:8]}: {why}; tried again in {pause:g} s")

    def _archive_later(self, why: str) -> None:
        assert self._destination is not None  # it was asked
        pause = self._archive.failed(self._destination.name)
        self._say(f"{why}; results wait, it is tried again in {pause:g} s")
