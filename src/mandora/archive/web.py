"""A DICOMweb service: films by QIDO-RS and WADO-RS, results by STOW-RS; by dicomweb-client.

Credentials come from the environment or from ``~/.netrc`` and are in no message: a token in
``MANDORA_DICOMWEB_TOKEN``, or a user and a password in ``MANDORA_DICOMWEB_USER`` and
``MANDORA_DICOMWEB_PASSWORD``.
"""

from __future__ import annotations

import io
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import requests
from dicomweb_client import DICOMwebClient
from pydicom import dcmread
from requests.auth import AuthBase, HTTPBasicAuth
from requests.exceptions import SSLError

from mandora.archive.errors import ArchiveError
from mandora.archive.films import FILMS, is_ours
from mandora.core.errors import InputError
from mandora.core.settings.archive import WebSettings
from mandora.outputs.dicom_folder import quiet

TOKEN = "MANDORA_DICOMWEB_TOKEN"
USER, PASSWORD = "MANDORA_DICOMWEB_USER", "MANDORA_DICOMWEB_PASSWORD"
_PAGE, _MOST_OBJECTS = 200, 5_000  # that are listed at a time, and of a study
_UID = re.compile(r"[0-9.]{1,64}")
_CHUNK = 1 << 20
_LONGEST_ANSWER = 20  # times the longest silence
_NO_CONNECTION = (
    requests.ConnectionError, requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError, requests.exceptions.RetryError,
)  # fmt: skip
_ANY_SYNTAX = (("application/dicom", "*"),)
_DOWN = frozenset((401, 403, 408, 429, 500, 502, 503, 504))

# their lines have URLs with the UIDs of studies and films
for _chatty in ("dicomweb_client", "urllib3"):
    logging.getLogger(_chatty).setLevel(logging.CRITICAL + 1)


class WebArchive:
    """A DICOMweb service.

    Args:
        settings: where it is, and limits.

    Raises:
        InputError: if the URL or the credentials cannot be used.
    """

    def __init__(self, settings: WebSettings) -> None:
        url = _checked(settings.url)
        self._settings = settings
        name = url.hostname or ""
        self.host = name if url.port is None else f"{name}:{url.port}"
        self.unencrypted = url.scheme == "http" and not _is_this_machine(name)
        session = _Session(self.host, settings)
        session.auth = _credentials(settings.url)
        if session.auth is not None and self.unencrypted:
            raise InputError(
                f"credentials are not sent to {self.host} without encryption; give a URL that "
                "begins with https://"
            )
        self._client = DICOMwebClient(
            settings.url.rstrip("/"), session=session, timeout=settings.timeout_s,
            permissive_uid=True,
            chunk_size=2**31,  # not in chunks: not all servers take them
        )  # fmt: skip
        if settings.authority is not None and not Path(settings.authority).is_file():
            raise InputError(f"{settings.authority} is not there; name the file of the authority")
        self._client.set_http_retry_params(retry=False)  # it would repeat an empty request

    def films(self, study_uid: str) -> Iterator[tuple[str, bytes]]:
        """All films of a study, in the transfer syntax in which they are stored.

        Objects that show no film, and those that mandora made, are left out.

        Args:
            study_uid: its Study Instance UID.

        Yields:
            SOP Instance UID and DICOM file of each film.

        Raises:
            InputError: if this is no UID.
            ArchiveError: if the archive cannot be asked, or does not have the study.
        """
        if not _UID.fullmatch(study_uid):
            raise InputError(
                "the study is no UID: it has digits and points only, such as 1.2.840.99999.1"
            )
        found = [
            (series, film) for film, (series, kind) in self._objects(study_uid).items()
            if kind in FILMS
        ]  # fmt: skip
        if not found:
            raise ArchiveError(f"{self.host} has no films in this study; look at its UID")
        if len(found) > self._settings.max_films:
            raise ArchiveError(
                f"the study has {len(found)} films at {self.host}, at most "
                f"{self._settings.max_films} are fetched; is it of hands and feet?"
            )
        for series, film in found:
            buffer = io.BytesIO()
            with self._asked(), quiet():
                one = self._client.retrieve_instance(study_uid, series, film, _ANY_SYNTAX)
                one.save_as(buffer, enforce_file_format=True)
            if not is_ours(one):
                yield film, buffer.getvalue()

    def _objects(self, study_uid: str) -> dict[str, tuple[str, str]]:
        """Series and SOP class of each object of a study, by its UID."""
        found: dict[str, tuple[str, str]] = {}
        while True:
            with self._asked():
                page = self._client.search_for_instances(study_uid, limit=_PAGE, offset=len(found))
                more = {
                    _uid(one, "00080018"): (_uid(one, "0020000E"), _uid(one, "00080016"))
                    for one in page
                }
            before = len(found)
            found |= more
            if len(found) == before:  # the end, or a server that begins anew each time
                return found
            if len(found) > _MOST_OBJECTS:
                raise ArchiveError(
                    f"the study has more than {_MOST_OBJECTS} objects at {self.host}; is it of "
                    "hands and feet?"
                )

    def store(self, files: Sequence[Path], acknowledged: Callable[[Path], None]) -> None:
        """Send objects, in order, each in a request of its own.

        Args:
            files: the objects.
            acknowledged: called with each object that the archive has, before the next is sent.

        Raises:
            ArchiveError: if the archive cannot be reached or refuses an object.
        """
        for path in files:
            with self._asked(), quiet():
                one = dcmread(path)
                answer = self._client.store_instances([one])
                taken = {str(i.ReferencedSOPInstanceUID) for i in _items(answer, "00081199")}
                reasons = [i.get("FailureReason") for i in _items(answer, "00081198")]
            if str(one.SOPInstanceUID) not in taken:
                why = f"failure reason {reasons[0]:#06x}" if any(reasons) else "no acknowledgement"
                raise ArchiveError(f"{self.host} did not take {path.name}: {why}")
            acknowledged(path)

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """Say what went wrong, without the words of others: they quote URLs with UIDs."""
        host = self.host
        try:
            yield
        except SSLError:
            raise ArchiveError(
                f"the certificate of {host} cannot be verified; if its authority is your "
                "hospital's own, name its PEM file in REQUESTS_CA_BUNDLE", down=True,
            ) from None  # fmt: skip
        except requests.Timeout:
            raise ArchiveError(
                f"{host} did not answer within {self._settings.timeout_s:g} s", down=True
            ) from None
        except requests.HTTPError as error:
            status = 0 if error.response is None else error.response.status_code
            down = status in _DOWN
            raise ArchiveError(f"{host} answers {status}{_remedy(status)}", down=down) from None
        except _NO_CONNECTION as error:
            raise ArchiveError(
                f"{host} cannot be reached ({type(error).__name__}); is the URL right?", down=True
            ) from None
        except ArchiveError:
            raise
        except Exception as error:  # a parser fails in any way it likes
            raise ArchiveError(
                f"{host} does not answer as DICOMweb does ({type(error).__name__}); is the URL "
                "that under which /studies lies?"
            ) from None


class _Session(requests.Session):
    """Requests to one server: no redirects, answers of limited size and time."""

    def __init__(self, host: str, settings: WebSettings) -> None:
        super().__init__()
        self._host, self._settings = host, settings

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        request.headers.pop("Host", None)  # the client's own lacks the port
        # films and credentials go to nobody whom the user did not name
        options |= {"allow_redirects": False, "stream": True}
        if self._settings.authority is not None:  # else the environment has the last word
            options["verify"] = self._settings.authority
        start, limit = time.monotonic(), round(self._settings.max_film_mb * 1e6)
        with super().send(request, **options) as answer:
            if answer.is_redirect:
                raise ArchiveError(f"{self._host} refers to another URL; give that one")
            body = bytearray()
            for chunk in answer.iter_content(_CHUNK):
                body += chunk
                if len(body) > limit:
                    raise ArchiveError(
                        f"an answer of {self._host} is larger than "
                        f"{self._settings.max_film_mb:g} MB; it was ended"
                    )
                if time.monotonic() - start > _LONGEST_ANSWER * self._settings.timeout_s:
                    raise requests.Timeout
            answer._content = bytes(body)  # as it is without `stream`
        return answer


class _Token(AuthBase):
    """A bearer token (RFC 6750)."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _checked(url: str) -> SplitResult:
    """The parts of a URL.

    Raises:
        InputError: if it is none; its text is not quoted, as it may have a password in it.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment:
        raise InputError(
            "the URL of the DICOMweb service cannot be used; give one such as "
            "https://pacs.example.org/dicom-web"
        )
    if parts.username is not None or parts.password is not None:
        raise InputError(
            f"credentials do not belong into the URL, where others can read them: set {USER} and "
            f"{PASSWORD}, or {TOKEN}"
        )
    return parts


def _credentials(url: str, environment: Mapping[str, str] = os.environ) -> AuthBase | None:
    """From the environment, else from the file netrc; None if nobody gives any."""
    if token := environment.get(TOKEN):
        return _Token(token)
    if user := environment.get(USER):
        return HTTPBasicAuth(user.encode(), environment.get(PASSWORD, "").encode())
    try:
        found = requests.utils.get_netrc_auth(url, raise_errors=True)
    except Exception:  # its words may quote the file
        raise InputError("the file netrc cannot be read; mend it, or remove it") from None
    return HTTPBasicAuth(*found) if found else None


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _remedy(status: int) -> str:
    if status in (401, 403):
        return f" (not allowed); set {USER} and {PASSWORD}, or {TOKEN}, to what it asks for"
    if status == 404:
        return " (not there); look at the URL and at the UID of the study"
    return ""


def _uid(one: Mapping[str, Any], tag: str) -> str:
    return str(one[tag]["Value"][0])


def _items(answer: Any, tag: str) -> Sequence[Any]:
    return answer[tag].value if tag in answer else ()
