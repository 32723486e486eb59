"""Films come from Orthanc, results go back to it: by DICOMweb and as a DICOM node."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pynetdicom", reason="needs the extra archive")
pytest.importorskip("dicomweb_client", reason="needs the extra archive")
pytest.importorskip("highdicom", reason="needs the extra archive")

from typer.testing import CliRunner

from mandora.archive.listen import listen
from mandora.cli.main import app
from mandora.core.records import read_result
from mandora.core.settings import ListenSettings
from mandora.core.settings.archive import PeerSettings, TargetSettings, WebSettings
from mandora.model.bundle import open_bundle
from mandora.outputs.dicom.read_back import read_structured_report

pytestmark = pytest.mark.slow

FILMS = {"CR": 4}
RESULTS = {"SR": 1, "SEG": 4, "PR": 4, "OT": 5}
PRIVATE = ("SECRET-1", "Muster", "1.2.77", "secret-4711")


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANDORA_DICOMWEB_USER", "reader")
    monkeypatch.setenv("MANDORA_DICOMWEB_PASSWORD", "secret-4711")


def count(archive: Any) -> dict[str, int]:
    return {kind: len(names) for kind, names in archive.objects().items()}


def score(archive: Any, out: Path, bundle: Path, *words: str) -> Any:
    call = [
        "score", "--dicomweb", archive.url, "--study", "1.2.77.5", "--out", str(out),
        "--bundle", str(bundle), *words,
    ]  # fmt: skip
    return CliRunner().invoke(app, call)


def test_a_study_is_fetched_scored_and_its_results_stored_once(
    orthanc: Any, dicom_films: Path, tiny_bundle: Path, tmp_path: Path, credentials: None
) -> None:
    archive, out = orthanc(), tmp_path / "out"
    archive.keep(dicom_films)
    for _ in range(2):  # the second time results are there, which are no films
        done = score(archive, out, tiny_bundle, "--store")
        assert done.exit_code == 0, done.output
        assert count(archive) == {**FILMS, **RESULTS}
        assert "4 files: 4 scored" in done.output
        assert "14 objects sent to localhost" in done.output
        assert not any(word in done.output for word in PRIVATE)
    assert not [path for path in out.iterdir() if path.name.startswith(".")]  # no films are left


def test_without_store_the_archive_gets_nothing_and_without_password_it_gives_nothing(
    orthanc: Any, dicom_films: Path, tiny_bundle: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    archive, out = orthanc(), tmp_path / "out"
    archive.keep(dicom_films)
    refused = score(archive, out, tiny_bundle)
    assert refused.exit_code == 2
    assert "answers 401 (not allowed); set MANDORA_DICOMWEB_USER" in refused.output
    (tmp_path / "netrc").write_text("machine localhost login reader password secret-4711")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    done = score(archive, out, tiny_bundle)
    assert done.exit_code == 0, done.output
    assert count(archive) == FILMS
    assert not (out / "dicom").exists()


@pytest.mark.parametrize("way", ["C-STORE", "STOW-RS"])
def test_films_that_orthanc_sends_come_back_as_results(
    way: str, orthanc: Any, dicom_films: Path, tiny_bundle: Path, tmp_path: Path,
    free_port: Callable[[], int], require: Callable[[str], str], credentials: None,
) -> None:  # fmt: skip
    port = free_port()
    archive = orthanc(port)
    archive.keep(dicom_films)
    target = TargetSettings(ae_title="ORTHANC", host="127.0.0.1", port=archive.port)
    settings = ListenSettings(
        port=port, peers=(PeerSettings(ae_title="ORTHANC", host="127.0.0.1"),),
        target=target if way == "C-STORE" else None,
        web=WebSettings(url=archive.url) if way == "STOW-RS" else None,
    )  # fmt: skip
    stop, said = threading.Event(), list[str]()
    running = threading.Thread(
        target=listen, args=(settings, tmp_path / "inbox", open_bundle(tiny_bundle)),
        kwargs={"say": said.append, "stop": stop},
    )  # fmt: skip
    running.start()
    try:
        wait_for(lambda: bool(said))
        (study,) = archive.ask("/studies")
        archive.ask("/modalities/mandora/store", study.encode())
        wait_for(lambda: len(said) >= 3)
    finally:
        stop.set()
        running.join(60)
    assert "4 films, 1 of 1 patients scored" in said[1]
    assert "14 objects sent" in said[2]
    assert count(archive) == {**FILMS, **RESULTS}
    (report,) = archive.objects()["SR"]
    (tmp_path / "SR.dcm").write_bytes(archive.get(f"/instances/{report}/file"))
    call = [require("dsrdump"), str(tmp_path / "SR.dcm")]
    dumped = subprocess.run(call, capture_output=True, text=True)
    assert dumped.returncode == 0, dumped.stderr
    assert "Comprehensive SR Document" in dumped.stdout
    assert "SvH joint space narrowing score" in dumped.stdout
    (written,) = (tmp_path / "inbox" / "results").glob("*/*/results/*.json")
    back, kept = read_structured_report(tmp_path / "SR.dcm"), read_result(written)
    assert [(s.target, s.score) for s in back.scores if s.film] == [
        (s.target, s.score) for s in kept.scores if s.film
    ]


def wait_for(done: Callable[[], bool]) -> None:
    until = time.monotonic() + 100
    while not done():
        assert time.monotonic() < until, "it takes too long"
        time.sleep(0.05)
