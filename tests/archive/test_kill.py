"""The listener is killed at any point, again and again; nothing is lost and nothing comes twice."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pynetdicom", reason="needs the extra archive")

from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, evt

STUDIES, FILMS, OBJECTS = 6, 2, 3
LISTENER = """
import hashlib, sys, time
from pathlib import Path
from types import SimpleNamespace
from pydicom import dcmread
from mandora.archive import listen
from mandora.core.settings import ListenSettings

def score(films, out, **options):
    # in the place of scoring, which would take most of the time: results depend on the films
    folder = out / "dicom" / "P"
    folder.mkdir(parents=True)
    content = hashlib.sha256(b"".join(film.read_bytes() for film in films)).hexdigest()
    for number in range(OBJECTS):
        made = dcmread(films[0])
        made.SOPInstanceUID = f"2.25.{int(content[:20], 16)}{number}"
        made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
        time.sleep(0.05)
        made.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return SimpleNamespace(scored=1, patients=1)

listen.score_films = score
settings = ListenSettings.from_toml(sys.argv[1])
listen.listen(settings, Path(sys.argv[2]), None, say=lambda line: print(line, flush=True))
"""


def film(study: int, number: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID = ComputedRadiographyImageStorage
    ds.SOPInstanceUID = f"1.2.77.{study}.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"1.2.77.{study}", f"1.2.77.{study}.99"
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.PixelData = b"\0" * 5000
    return ds


@pytest.fixture
def node() -> Iterator[tuple[str, list[str]]]:
    """The settings of an archive that takes C-STORE, and the UIDs of what it got, in order."""
    got: list[str] = []

    def keep(event: Any) -> int:
        time.sleep(0.02)
        got.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    peer = AE(ae_title="PACS")
    peer.add_supported_context(ComputedRadiographyImageStorage, ExplicitVRLittleEndian)
    server = peer.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)]
    )
    port = server.server_address[1]
    yield f'[target]\nae_title = "PACS"\nhost = "127.0.0.1"\nport = {port}\n', got
    server.shutdown()


@pytest.fixture
def service(web_server: Any) -> tuple[str, list[str]]:
    """The settings of an archive that takes STOW-RS, and the UIDs of what it got, in order."""

    def wait(request: Any) -> bool:
        time.sleep(0.02)
        return False

    web_server.fault = wait
    return f'[web]\nurl = "{web_server.url}"\n', web_server.got


def try_to_store(port: int, one: FileDataset) -> bool:
    """Whether the film was acknowledged."""
    peer = AE(ae_title="PACS")
    peer.connection_timeout = peer.acse_timeout = peer.dimse_timeout = 10
    peer.add_requested_context(ComputedRadiographyImageStorage, ExplicitVRLittleEndian)
    try:
        association = peer.associate("127.0.0.1", port, ae_title="MANDORA")
        if not association.is_established:
            return False
        status = association.send_c_store(one).get("Status")
        association.release()
    except (RuntimeError, OSError):
        return False
    return status == 0x0000


@pytest.mark.slow
# pynetdicom does not close the socket of a connection that fails
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("archive", "kills"), [("node", 20), ("service", 8)])
def test_killed_many_times_nothing_is_lost_or_sent_twice(
    archive: str, kills: int, request: pytest.FixtureRequest, tmp_path: Path,
    free_port: Callable[[], int],
) -> None:  # fmt: skip
    target, got = request.getfixturevalue(archive)
    own = free_port()
    (tmp_path / "listen.toml").write_text(
        f"port = {own}\nfilms = {FILMS}\nquiet_s = 1e6\nretry_s = 0.2\n"
        f'[[peers]]\nae_title = "PACS"\n{target}'
    )
    script = f"OBJECTS = {OBJECTS}\n{LISTENER}"
    call = [sys.executable, "-c", script, str(tmp_path / "listen.toml"), str(tmp_path / "inbox")]
    draw = random.Random(23)
    unsent = [film(s, n) for n in range(FILMS) for s in range(STUDIES)]
    killed = 0
    while killed < kills or unsent:
        with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as listener:
            assert listener.stdout is not None
            assert "listens" in listener.stdout.readline()
            # some films in each life, so that all kinds of work are cut off
            for one in unsent[:1]:
                if try_to_store(own, one):
                    unsent.remove(one)
            time.sleep(draw.uniform(0, 1.2))
            listener.send_signal(signal.SIGKILL)
            killed += 1
    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as listener:
        until = time.monotonic() + 60
        while len(set(got)) < STUDIES * OBJECTS and time.monotonic() < until:
            time.sleep(0.2)
        time.sleep(2)  # for what should not come
        listener.send_signal(signal.SIGKILL)
    assert len(set(got)) == STUDIES * OBJECTS
    # an acknowledgement that the kill cut off is the one case of the same object sent again
    repeated = Counter(got).total() - len(set(got))
    assert repeated <= killed
    films = list((tmp_path / "inbox" / "films").rglob("*.dcm"))
    assert len(films) == STUDIES * FILMS
    assert all(path.read_bytes()[-5000:] == b"\0" * 5000 for path in films)
