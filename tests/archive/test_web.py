"""What a DICOMweb service can do wrong; ``test_orthanc.py`` has one that does it right."""

from __future__ import annotations

import base64
import logging
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("dicomweb_client", reason="needs the extra archive")

from mandora.archive.errors import ArchiveError
from mandora.archive.fetch import fetched
from mandora.archive.web import WebArchive
from mandora.core.errors import InputError
from mandora.core.settings import WebSettings

STUDY = "1.2.77.5"
QUOTED = ("1.2.77", "secret-4711", "SECRET-1")


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("TOKEN", "USER", "PASSWORD"):
        monkeypatch.delenv(f"MANDORA_DICOMWEB_{name}", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.fixture
def server(web_server: Any, dicom_films: Path) -> Any:
    for number in (1, 2):
        path = dicom_films / f"{number}.dcm"
        web_server.films[f"1.2.77.9.{number}"] = path.read_bytes()
    return web_server


def archive(server: Any, **settings: Any) -> WebArchive:
    return WebArchive(WebSettings(url=server.url, **settings))


def test_films_come_as_they_are(server: Any) -> None:
    assert dict(archive(server).films(STUDY)) == server.films


def test_films_of_a_study_lie_in_files_only_while_they_are_scored(
    server: Any, tmp_path: Path
) -> None:
    with fetched(archive(server), [STUDY, STUDY], tmp_path / "out") as films:
        assert sorted(f.read_bytes() for f in films) == sorted(server.films.values())
        assert not any("1.2" in film.name for film in films)
    assert list((tmp_path / "out").iterdir()) == []


def test_results_of_mandora_in_the_study_are_no_films(server: Any) -> None:
    server.films["1.2.77.9.1"] = _with_maker(server.films["1.2.77.9.1"], "mandora")
    assert list(dict(archive(server).films(STUDY))) == ["1.2.77.9.2"]


def _with_maker(film: bytes, maker: str) -> bytes:
    from io import BytesIO

    from pydicom import dcmread

    ds, buffer = dcmread(BytesIO(film)), BytesIO()
    ds.Manufacturer = maker
    ds.save_as(buffer)
    return buffer.getvalue()


def test_objects_are_stored_one_after_the_other(server: Any, dicom_films: Path) -> None:
    noted: list[Path] = []
    files = sorted(dicom_films.glob("*.dcm"))
    archive(server).store(files, noted.append)
    assert server.got == [f"1.2.77.9.{n}" for n in (1, 2, 3, 4)]
    assert noted == files


def _redirect(server: Any) -> Any:
    return lambda request: server.answer(request, 302, Location="http://other.example.org/")


def _status(status: int) -> Any:
    return lambda server: lambda request: server.answer(request, status, b"SECRET-1 1.2.77.5")


def _page(server: Any) -> Any:
    return lambda request: server.answer(
        request, 200, b"<html>SECRET-1</html>", Content_Type="text/html"
    )


def _large(server: Any) -> Any:
    return lambda request: server.answer(request, 200, b"x" * 2_000_000)


def _slow(server: Any) -> Any:
    def sleep(request: Any) -> bool:
        time.sleep(0.6)
        return True

    return sleep


@pytest.mark.parametrize(
    ("fault", "message", "down"),
    [
        (_redirect, "refers to another URL; give that one", False),
        (_status(401), r"answers 401 \(not allowed\); set MANDORA_DICOMWEB_USER", True),
        (_status(404), r"answers 404 \(not there\); look at the URL", False),
        (_status(503), "answers 503", True),
        (_page, "does not answer as DICOMweb does|no acknowledgement", False),
        (_large, "an answer of 127.0.0.1:\\d+ is larger than 1 MB", False),
        (_slow, "did not answer within 0.3 s", True),
    ],
)
def test_faults_are_named_with_host_and_remedy(
    server: Any, dicom_films: Path, fault: Any, message: str, down: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    server.fault = fault(server)
    one = archive(server, max_film_mb=1, timeout_s=0.3)
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ArchiveError, match=message) as of_films:
        list(one.films(STUDY))
    with pytest.raises(ArchiveError, match=message):
        one.store([dicom_films / "1.dcm"], lambda path: None)
    assert of_films.value.down is down
    assert "127.0.0.1" in str(of_films.value)
    assert not any(word in str(of_films.value) + caplog.text for word in QUOTED)


def test_a_server_that_is_not_there_is_down(server: Any, free_port: Any) -> None:
    nowhere = WebArchive(WebSettings(url=f"http://127.0.0.1:{free_port()}/dicom-web"))
    with pytest.raises(ArchiveError, match="cannot be reached") as error:
        list(nowhere.films(STUDY))
    assert error.value.down


def test_what_is_not_acknowledged_is_not_stored(server: Any, dicom_films: Path) -> None:
    server.fault = lambda request: server.answer(request, 200)
    with pytest.raises(ArchiveError, match=r"did not take 1.dcm: no acknowledgement"):
        archive(server).store([dicom_films / "1.dcm"], lambda path: pytest.fail("acknowledged"))
    failed = b'{"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [272]}}]}}'
    server.fault = lambda request: server.answer(
        request, 202, failed, Content_Type="application/dicom+json"
    )
    with pytest.raises(ArchiveError, match=r"did not take 1.dcm: failure reason 0x0110"):
        archive(server).store([dicom_films / "1.dcm"], lambda path: pytest.fail("acknowledged"))


def test_a_study_of_too_many_films_is_refused(server: Any) -> None:
    with pytest.raises(ArchiveError, match=r"2 films .* at most 1"):
        list(archive(server, max_films=1).films(STUDY))


def test_a_study_that_is_not_there_is_an_error_and_nothing_is_left(
    server: Any, tmp_path: Path
) -> None:
    server.films.clear()
    one = archive(server)
    with (
        pytest.raises(InputError, match=r"study 1: .* no films"),
        fetched(one, [STUDY], tmp_path / "out"),
    ):
        pass
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("uid", ["1.2/../x", "1.2?a=b", "", "1.2.3 4", "*"])
def test_what_is_no_uid_is_not_asked_for(server: Any, uid: str) -> None:
    with pytest.raises(InputError, match="no UID"):
        list(archive(server).films(uid))
    assert server.seen == []


def _authorization(server: Any) -> str | None:
    list(archive(server).films(STUDY))
    (value,) = {headers.get("Authorization") for _, _, headers in server.seen}
    return value


def test_credentials_come_from_the_environment_or_netrc(
    server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def basic(words: str) -> str:
        return "Basic " + base64.b64encode(words.encode()).decode()

    assert _authorization(server) is None
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login n password p")
    server.seen.clear()
    assert _authorization(server) == basic("n:p")
    monkeypatch.setenv("MANDORA_DICOMWEB_USER", "reader")
    monkeypatch.setenv("MANDORA_DICOMWEB_PASSWORD", "größe")
    server.seen.clear()
    assert _authorization(server) == basic("reader:größe")
    monkeypatch.setenv("MANDORA_DICOMWEB_TOKEN", "abc")
    server.seen.clear()
    assert _authorization(server) == "Bearer abc"


def test_credentials_are_not_sent_without_encryption(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = WebSettings(url="http://pacs.example.org/dicom-web")
    assert WebArchive(plain).unencrypted
    monkeypatch.setenv("MANDORA_DICOMWEB_TOKEN", "secret-4711")
    with pytest.raises(InputError, match=r"pacs.example.org without encryption") as error:
        WebArchive(plain)
    assert "secret-4711" not in str(error.value)
    assert not WebArchive(WebSettings(url="https://pacs.example.org/dicom-web")).unencrypted


def test_a_netrc_that_cannot_be_read_is_not_quoted(tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine localhost login n passwort secret-4711")
    with pytest.raises(InputError, match="netrc cannot be read") as error:
        WebArchive(WebSettings(url="http://localhost/dicom-web"))
    assert "secret-4711" not in str(error.value)


@pytest.mark.parametrize(
    "url", ["pacs.example.org", "ftp://pacs/x", "https://", "https://h/x?a=1", "https://[::1/x"]
)
def test_urls_that_cannot_be_used_are_refused(url: str) -> None:
    with pytest.raises(InputError, match="URL of the DICOMweb service"):
        WebArchive(WebSettings(url=url))


def test_credentials_in_the_url_are_refused_and_not_quoted() -> None:
    with pytest.raises(InputError, match="do not belong into the URL") as error:
        WebArchive(WebSettings(url="https://reader:secret-4711@pacs.example.org/dicom-web"))
    assert "secret-4711" not in str(error.value)


def test_a_certificate_that_nobody_vouches_for_is_refused(
    server: Any, tmp_path: Path, require: Any
) -> None:
    secure = _with_tls(server, tmp_path, require("openssl"))
    with pytest.raises(ArchiveError, match=r"certificate of .* REQUESTS_CA_BUNDLE") as error:
        list(WebArchive(WebSettings(url=secure)).films(STUDY))
    assert error.value.down
    named = WebArchive(WebSettings(url=secure, authority=str(tmp_path / "node.pem")))
    assert len(list(named.films(STUDY))) == 2
    with pytest.raises(InputError, match=r"no.pem is not there"):
        WebArchive(WebSettings(url=secure, authority="no.pem"))


def _with_tls(server: Any, folder: Path, openssl: str) -> str:
    """The server's URL, with a certificate that is its own authority: ``node.pem``."""
    import ssl
    import subprocess

    call = [
        openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        "-subj", "/CN=node", "-addext", "subjectAltName=IP:127.0.0.1",
        "-keyout", str(folder / "node.key"), "-out", str(folder / "node.pem"),
    ]  # fmt: skip
    subprocess.run(call, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "node.pem", folder / "node.key")
    server.encrypt(context)
    return str(server.url.replace("http:", "https:"))
