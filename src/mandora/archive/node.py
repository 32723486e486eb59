"""The node that receives films: DICOM C-ECHO and C-STORE, by pynetdicom."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from pydicom import dcmread
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, evt

from mandora.archive.films import FILMS, PERSON, is_ours, scored_with
from mandora.archive.inbox import Inbox
from mandora.core.errors import InputError
from mandora.core.files import OutputError
from mandora.core.settings.archive import ListenSettings, TlsSettings
from mandora.outputs.dicom_folder import quiet

_LOG = logging.getLogger(__name__)
_ECHO = "1.2.840.10008.1.1"  # Verification SOP Class
_REJECTING_S = 0.1

# statuses of C-STORE, DICOM PS3.4 annex B.2.3
SUCCESS, NO_ROOM, NOT_UNDERSTOOD = 0x0000, 0xA700, 0xC000


@contextmanager
def receiving(settings: ListenSettings, inbox: Inbox) -> Iterator[int]:
    """Receive films while the block runs.

    Args:
        settings: of the node.
        inbox: where films go; a film is acknowledged when it is on the disk.

    Yields:
        The port.

    Raises:
        InputError: if the port cannot be used or the files for TLS cannot be read.
    """
    node = AE(ae_title=settings.ae_title)
    node.require_called_aet = True
    node.maximum_associations = settings.max_associations
    node.add_supported_context(_ECHO)
    for uid in FILMS:
        node.add_supported_context(uid, ALL_TRANSFER_SYNTAXES)
    guard = _Guard(settings)
    handlers: list[Any] = [
        (evt.EVT_DATA_RECV, guard.counted),
        (evt.EVT_REQUESTED, guard.requested),
        (evt.EVT_CONN_CLOSE, guard.closed),
        (evt.EVT_C_STORE, _Store(inbox, guard, settings).store),
    ]
    try:
        server = node.start_server(
            (settings.host, settings.port), block=False, evt_handlers=handlers,
            ssl_context=tls_context(settings.tls, ssl.Purpose.CLIENT_AUTH),
        )  # fmt: skip
    except OSError as error:
        raise InputError(
            f"cannot listen at {settings.host}:{settings.port}: {error.strerror or error}; give "
            "another port"
        ) from error
    try:
        yield int(server.server_address[1])  # type: ignore[union-attr]
    finally:
        server.shutdown()  # type: ignore[union-attr]
        node.shutdown()


def tls_context(tls: TlsSettings | None, purpose: ssl.Purpose) -> ssl.SSLContext | None:
    """What encrypts a connection; both ends show a certificate.

    Raises:
        InputError: if a file cannot be read.
    """
    if tls is None:
        return None
    try:
        context = ssl.create_default_context(purpose, cafile=tls.authority)
        context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ssl.SSLError) as error:
        raise InputError(f"the files of [tls] cannot be used: {error}") from error
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class _Guard:
    """Who may connect, and how much may be sent at once."""

    def __init__(self, settings: ListenSettings) -> None:
        self._peers = settings.peers
        self._limit = round(settings.max_film_mb * 1e6)
        self._received: dict[Any, int] = {}
        self._lock = threading.Lock()

    def requested(self, event: Any) -> None:
        asking = event.assoc.requestor
        title, host = str(asking.primitive.calling_ae_title).strip(), asking.address
        if not any(p.ae_title == title and p.host in (None, host) for p in self._peers):
            _LOG.warning("refused a sender at %s: title and host are in no [[peers]]", host)
            # rejected for good, by the user, calling AE title not recognised: PS3.8 table 9-21
            event.assoc.acse.send_reject(0x01, 0x01, 0x03)
            time.sleep(_REJECTING_S)  # until it is sent
            event.assoc.kill()

    def counted(self, event: Any) -> None:
        with self._lock:
            count = self._received.get(event.assoc, 0) + len(event.data)
            self._received[event.assoc] = count
        if count > self._limit:
            _LOG.warning("a film is larger than max_film_mb; the connection was ended")
            # not in this thread: it is the one that has to send the abort
            threading.Thread(target=event.assoc.abort, daemon=True).start()

    def film_came(self, assoc: Any) -> None:
        """Count from 0 again."""
        with self._lock:
            self._received[assoc] = 0

    def closed(self, event: Any) -> None:
        with self._lock:
            self._received.pop(event.assoc, None)


class _Store:
    """Keeps what C-STORE brings."""

    def __init__(self, inbox: Inbox, guard: _Guard, settings: ListenSettings) -> None:
        self._inbox, self._guard, self._join = inbox, guard, settings.join_studies

    def store(self, event: Any) -> int:
        try:
            data = event.encoded_dataset()
            tags = ["SpecificCharacterSet", "StudyInstanceUID", "SOPInstanceUID", "Manufacturer"]
            with quiet():
                header = dcmread(
                    BytesIO(data), stop_before_pixels=True, specific_tags=[*tags, *PERSON]
                )
                study, film = header.StudyInstanceUID, header.SOPInstanceUID
                ours, together = is_ours(header), scored_with(header, join_studies=self._join)
        except Exception:  # a parser fails in any way it likes; its words may quote tags
            _LOG.warning("a film cannot be understood; its sender was told")
            return NOT_UNDERSTOOD
        finally:
            self._guard.film_came(event.assoc)
        if ours:
            return SUCCESS  # a result that was routed back
        if not study or not film:
            return NOT_UNDERSTOOD
        try:
            self._inbox.add(together, str(film), data)
        except OutputError as error:
            _LOG.error("%s", error)
            return NO_ROOM
        return SUCCESS
