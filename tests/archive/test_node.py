"""Films are received by real peers on this machine, and results sent to them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pynetdicom", reason="needs the extra archive")

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, evt

from mandora.archive.errors import ArchiveError
from mandora.archive.inbox import Inbox
from mandora.archive.node import receiving
from mandora.archive.send import send
from mandora.core.errors import InputError
from mandora.core.files import OutputError
from mandora.core.settings.archive import (
    ListenSettings,
    PeerSettings,
    TargetSettings,
    TlsSettings,
)


def film(number: int = 1, pixels: int = 100, maker: str = "Maker") -> Dataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = f"1.2.77.1.{number}"
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = ComputedRadiographyImageStorage, f"1.2.77.1.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.77.2", "1.2.77.3"
    ds.PatientID, ds.Manufacturer, ds.Modality = "SECRET-1", maker, "CR"
    ds.Rows = ds.Columns = pixels
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PixelData = np.full((pixels, pixels), 9, np.uint8).tobytes()
    return ds


@pytest.fixture
def settings(free_port: Callable[[], int]) -> ListenSettings:
    return ListenSettings(
        port=free_port(),
        peers=(
            PeerSettings(ae_title="PACS", host="127.0.0.1"),
            PeerSettings(ae_title="ELSE", host="10.0.0.1"),
        ),
        max_film_mb=0.1,
    )


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path / "inbox")


@pytest.fixture
def node(settings: ListenSettings, inbox: Inbox) -> Iterator[int]:
    with receiving(settings, inbox) as port:
        yield port


def sender(port: int, title: str = "PACS", called: str = "MANDORA") -> Any:
    peer = AE(ae_title=title)
    peer.add_requested_context(ComputedRadiographyImageStorage, ExplicitVRLittleEndian)
    return peer.associate("127.0.0.1", port, ae_title=called)


def stored(port: int, dataset: Dataset) -> int | None:
    """The status of C-STORE; None without an answer."""
    association = sender(port)
    assert association.is_established
    status = association.send_c_store(dataset).get("Status")
    association.release()
    return status


def test_a_film_is_in_the_inbox_when_it_is_acknowledged(node: int, inbox: Inbox) -> None:
    assert stored(node, film()) == 0x0000
    (study,) = inbox.waiting()
    assert study.films[0].read_bytes()[128:132] == b"DICM"


@pytest.mark.parametrize(
    ("title", "called"), [("STRANGER", "MANDORA"), ("PACS", "OTHER"), ("ELSE", "MANDORA")]
)
def test_strangers_are_rejected(node: int, inbox: Inbox, title: str, called: str) -> None:
    association = sender(node, title, called)
    assert not association.is_established
    assert list(inbox.waiting()) == []


def test_a_film_that_is_too_large_is_cut_off(node: int, inbox: Inbox) -> None:
    assert stored(node, film(pixels=1000)) is None
    assert list(inbox.waiting()) == []
    assert stored(node, film()) == 0x0000  # the node goes on


def test_many_small_films_are_not_one_large_one(node: int, inbox: Inbox) -> None:
    association = sender(node)
    answers = {association.send_c_store(film(n, pixels=200)).get("Status") for n in range(5)}
    association.release()
    assert answers == {0x0000}
    assert len(next(inbox.waiting()).films) == 5


def test_two_studies_of_a_patient_and_a_day_wait_together(node: int, inbox: Inbox) -> None:
    for number, study in enumerate(("1.2.77.2", "1.2.77.8")):
        one = film(number)
        one.StudyInstanceUID, one.StudyDate, one.PatientBirthDate = study, "20260101", "19600101"
        assert stored(node, one) == 0x0000
    assert [len(study.films) for study in inbox.waiting()] == [2]


def test_own_results_that_come_back_are_not_kept(node: int, inbox: Inbox) -> None:
    assert stored(node, film(maker="mandora")) == 0x0000
    assert list(inbox.waiting()) == []


def test_a_film_without_identity_is_refused(node: int, inbox: Inbox) -> None:
    lacking = film()
    del lacking.StudyInstanceUID
    assert stored(node, lacking) == 0xC000
    assert list(inbox.waiting()) == []


def test_a_full_disk_is_no_success(
    node: int, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OutputError(Path("film"), OSError(28, "No space left on device"))

    monkeypatch.setattr(inbox, "add", full)
    assert stored(node, film()) == 0xA700


def test_other_software_is_understood(
    node: int, inbox: Inbox, tmp_path: Path, require: Callable[[str], str]
) -> None:
    film().save_as(tmp_path / "film.dcm", enforce_file_format=True)
    call = [require("storescu"), "-aet", "PACS", "-aec", "MANDORA", "127.0.0.1", str(node)]
    done = subprocess.run([*call, str(tmp_path / "film.dcm")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    echo = [require("echoscu"), "-aet", "PACS", "-aec", "MANDORA", "127.0.0.1", str(node)]
    assert subprocess.run(echo, capture_output=True).returncode == 0
    assert len(list(inbox.waiting())) == 1


@pytest.fixture
def archive() -> Iterator[tuple[TargetSettings, list[str], list[int]]]:
    """An archive: where it is, UIDs of what it got, and statuses that it answers first."""
    got: list[str] = []
    answers: list[int] = []

    def keep(event: Any) -> int:
        status = answers.pop(0) if answers else 0x0000
        if status == 0x0000:
            got.append(str(event.dataset.SOPInstanceUID))
        return status

    peer = AE(ae_title="PACS")
    peer.add_supported_context(ComputedRadiographyImageStorage, ExplicitVRLittleEndian)
    server = peer.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)]
    )
    port = server.server_address[1]
    yield TargetSettings(ae_title="PACS", host="127.0.0.1", port=port), got, answers
    server.shutdown()


def written(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"{n}.dcm" for n in range(count)]
    for number, path in enumerate(paths):
        film(number).save_as(path, enforce_file_format=True)
    return paths


def test_objects_are_sent_and_each_is_acknowledged(
    settings: ListenSettings, archive: Any, tmp_path: Path
) -> None:
    target, got, _ = archive
    acknowledged: list[Path] = []
    paths = written(tmp_path, 3)
    send(settings, target, paths, acknowledged.append)
    assert acknowledged == paths
    assert got == ["1.2.77.1.0", "1.2.77.1.1", "1.2.77.1.2"]


def test_what_the_archive_does_not_take_is_not_acknowledged(
    settings: ListenSettings, archive: Any, tmp_path: Path
) -> None:
    target, _, answers = archive
    answers += [0x0000, 0xA700]
    acknowledged: list[Path] = []
    paths = written(tmp_path, 3)
    with pytest.raises(ArchiveError, match="0xa700"):
        send(settings, target, paths, acknowledged.append)
    assert acknowledged == paths[:1]


# pynetdicom does not close its socket then
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_archive_that_does_not_answer_is_named(
    settings: ListenSettings, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    target = TargetSettings(ae_title="PACS", host="127.0.0.1", port=free_port())
    with pytest.raises(ArchiveError, match="PACS at 127") as error:
        send(settings, target, written(tmp_path, 1), lambda path: None)
    assert error.value.down


@pytest.fixture
def tls(tmp_path: Path, require: Callable[[str], str]) -> TlsSettings:
    """One certificate for both sides, which is its own authority."""
    key, certificate = tmp_path / "node.key", tmp_path / "node.pem"
    call = [
        require("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        "-subj", "/CN=node", "-addext", "subjectAltName=IP:127.0.0.1",
        "-keyout", str(key), "-out", str(certificate),
    ]  # fmt: skip
    subprocess.run(call, check=True, capture_output=True)
    return TlsSettings(certificate=str(certificate), key=str(key), authority=str(certificate))


def test_with_certificates_all_is_encrypted_and_others_are_refused(
    settings: ListenSettings, inbox: Inbox, tls: TlsSettings, tmp_path: Path,
    require: Callable[[str], str],
) -> None:  # fmt: skip
    secure = settings.model_copy(update={"tls": tls})
    (path,) = written(tmp_path, 1)
    call = [require("storescu"), "-aet", "PACS", "-aec", "MANDORA"]
    with receiving(secure, inbox) as port:
        plain = [*call, "-to", "3", "-ta", "3", "-td", "3", "127.0.0.1", str(port), str(path)]
        assert subprocess.run(plain, capture_output=True).returncode != 0
        assert list(inbox.waiting()) == []
        encrypted = [*call, "+tls", tls.key, tls.certificate, "+cf", tls.authority]
        done = subprocess.run(
            [*encrypted, "127.0.0.1", str(port), str(path)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert len(list(inbox.waiting())) == 1
        # and by this program's own sender
        target = TargetSettings(ae_title="MANDORA", host="127.0.0.1", port=port)
        from_pacs = secure.model_copy(update={"ae_title": "PACS"})
        acknowledged: list[Path] = []
        send(from_pacs, target, [path], acknowledged.append)
        assert acknowledged == [path]


def test_files_for_encryption_that_cannot_be_read_are_named(
    settings: ListenSettings, inbox: Inbox
) -> None:
    nowhere = TlsSettings(certificate="no.pem", key="no.key", authority="no.pem")
    secure = settings.model_copy(update={"tls": nowhere})
    with pytest.raises(InputError, match=r"\[tls\]"), receiving(secure, inbox):
        pass


def test_a_port_that_is_taken_is_refused(node: int, settings: ListenSettings, inbox: Inbox) -> None:
    with pytest.raises(InputError, match="another port"), receiving(settings, inbox):
        pass
