"""The node at work: studies that are complete are scored, results are sent."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from mandora.archive.inbox import Inbox, Waiting
from mandora.archive.node import receiving
from mandora.archive.send import SendError, send
from mandora.core.files import OutputError
from mandora.core.settings.archive import ListenSettings
from mandora.model.bundle import Bundle
from mandora.scoring import score_films

_LOG = logging.getLogger(__name__)
_PAUSE_S = 0.5
_DAY_S = 86_400.0

Say = Callable[[str], None]


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
    inbox, stop = Inbox(folder), stop or threading.Event()
    desk = Desk(settings, inbox, bundle, threads, say)
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
        bundle: the model.
        threads: processor threads for scoring.
        say: called with each event.
    """

    def __init__(
        self, settings: ListenSettings, inbox: Inbox, bundle: Bundle, threads: int, say: Say
    ) -> None:
        self._settings, self._inbox, self._bundle = settings, inbox, bundle
        self._threads, self._say = threads, say
        self._not_before: dict[str, float] = {}  # by study, after a failure

    def work(self) -> None:
        """Score and send whatever is ready; what fails with one study stays with it."""
        for study in self._inbox.waiting():
            if time.monotonic() < self._not_before.get(study.study, 0.0):
                continue
            try:
                self._work_on(study)
            except (SendError, OutputError) as error:
                self._later(study, str(error))
            except Exception as error:
                _LOG.debug("study %s", study.study, exc_info=error)
                self._later(study, f"{type(error).__name__}: {error}")
        self._inbox.forget(self._settings.keep_days * _DAY_S)

    def complete(self, study: Waiting) -> bool:
        """Whether no more films are waited for."""
        quiet = time.time() - study.newest >= self._settings.quiet_s
        return quiet or len(study.films) >= self._settings.films

    def _work_on(self, study: Waiting) -> None:
        results = self._inbox.results(study)
        if results is None and self.complete(study):
            part = self._inbox.new_results(study)
            done = score_films(
                study.films, part, bundle=self._bundle, threads=self._threads, dicom="as given"
            )
            results = self._inbox.keep_results(study, part)
            self._say(
                f"study {study.study[:8]}: {len(study.films)} films, "
                f"{done.scored} of {done.patients} patients scored"
            )
        target = self._settings.target
        if results is None or target is None:
            return
        unsent = self._inbox.unsent(results)
        if unsent:
            send(self._settings, target, unsent, lambda sent: self._inbox.note_sent(results, sent))
            self._say(f"study {study.study[:8]}: {len(unsent)} objects sent to {target.ae_title}")

    def _later(self, study: Waiting, why: str) -> None:
        self._not_before[study.study] = time.monotonic() + self._settings.retry_s
        self._say(f"study {study.study[:8]}: {why}; tried again in {self._settings.retry_s:g} s")
