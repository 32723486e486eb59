"""What tests with other people's programs share: films as DICOM files, and Orthanc."""

from __future__ import annotations

import io
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

PLUGINS = Path("/usr/share/orthanc/plugins")
USER, PASSWORD = "reader", "secret-4711"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Finds a port of this machine that nobody uses."""
    return _free_port


@pytest.fixture
def require() -> Callable[[str], str]:
    """The path of a program; a test that asks for one that is not there is skipped."""

    def of(program: str) -> str:
        path = shutil.which(program)
        if path is None:
            pytest.skip(f"no {program} (Debian dcmtk, orthanc)")
        return path

    return of


@pytest.fixture
def dicom_films(tmp_path: Path, small_films: Path) -> Path:
    """A folder with the four small films of a patient as DICOM files, all of study 1.2.77.5."""
    import numpy as np
    from PIL import Image
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

    folder = tmp_path / "dicom-films"
    folder.mkdir()
    for number, path in enumerate(sorted(small_films.glob("*.png")), 1):
        pixels = np.asarray(Image.open(path))
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
        meta.MediaStorageSOPInstanceUID = f"1.2.77.9.{number}"
        ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        ds.SOPClassUID, ds.SOPInstanceUID = ComputedRadiographyImageStorage, f"1.2.77.9.{number}"
        ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.77.5", f"1.2.77.6.{number}"
        ds.PatientID, ds.PatientName, ds.PatientBirthDate = "SECRET-1", "Muster^Anna", "19600229"
        ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20260103", "101112", "9", "A1"
        ds.Modality, ds.PatientSex, ds.Manufacturer = "CR", "F", "Maker"
        ds.Laterality = path.stem[-2]
        ds.BodyPartExamined = "HAND" if path.stem[-1] == "H" else "FOOT"
        ds.Rows, ds.Columns = pixels.shape
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
        ds.PixelData = pixels.tobytes() + b"\0" * (pixels.size % 2)
        ds.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return folder


class WebServer:
    """A DICOMweb service of this machine that does what a test says.

    Attributes:
        films: DICOM files, by SOP Instance UID; all are of the study that is asked for.
        fault: takes the handler of a request and answers it, and returns True; or returns False.
        got: UIDs of the objects that were stored, in order.
        seen: method, path and headers of each request.
    """

    def __init__(self) -> None:
        self.films: dict[str, bytes] = {}
        self.fault: Callable[[Any], bool] = lambda request: False
        self.got: list[str] = []
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *words: object) -> None:
                pass

            def do_GET(self) -> None:
                owner.seen.append(("GET", self.path, dict(self.headers)))
                if not owner.fault(self):
                    owner._give(self)

            def do_POST(self) -> None:
                owner.seen.append(("POST", self.path, dict(self.headers)))
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if not owner.fault(self):
                    owner._take(self, body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/dicom-web"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @staticmethod
    def answer(request: Any, status: int, body: bytes = b"", **headers: str) -> bool:
        """Answer a request."""
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)
        return True

    def _give(self, request: Any) -> None:
        uid = request.path.rpartition("/instances/")[2]
        if uid in self.films:
            part = b"--x\r\nContent-Type: application/dicom\r\n\r\n" + self.films[uid]
            kind = 'multipart/related; type="application/dicom"; boundary=x'
            self.answer(request, 200, part + b"\r\n--x--\r\n", Content_Type=kind)
            return
        listed = "offset=0" in request.path
        found = [
            {
                "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.1"]},
                "00080018": {"vr": "UI", "Value": [film]},
                "0020000E": {"vr": "UI", "Value": ["1.2.77.6"]},
            }
            for film in (self.films if listed else ())
        ]
        self.answer(request, 200, json.dumps(found).encode(), Content_Type="application/dicom+json")

    def _take(self, request: Any, body: bytes) -> None:
        from pydicom import dcmread

        head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
        taken = []
        for part in message_from_bytes(head + body).get_payload():
            data = part.get_payload(decode=True)  # type: ignore[union-attr]
            taken.append(str(dcmread(io.BytesIO(data)).SOPInstanceUID))
        self.got += taken
        items = [{"00081155": {"vr": "UI", "Value": [uid]}} for uid in taken]
        said = json.dumps({"00081199": {"vr": "SQ", "Value": items}}).encode()
        self.answer(request, 200, said, Content_Type="application/dicom+json")

    def encrypt(self, context: ssl.SSLContext) -> None:
        """Speak TLS from now on."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def web_server() -> Iterator[WebServer]:
    """A DICOMweb service on this machine."""
    server = WebServer()
    yield server
    server.stop()


class Orthanc:
    """An archive of this machine with DICOM, DICOMweb and its own interface.

    Args:
        folder: for its files.
        listener: port of the node with the AE title MANDORA.
    """

    def __init__(self, folder: Path, program: str, listener: int) -> None:
        self.port, self._http = _free_port(), _free_port()
        self.url = f"http://localhost:{self._http}/dicom-web"
        folder.mkdir()
        settings = {
            "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"),
            "DicomAet": "ORTHANC", "DicomPort": self.port, "HttpPort": self._http,
            "RemoteAccessAllowed": False, "AuthenticationEnabled": True,
            "RegisteredUsers": {USER: PASSWORD}, "DicomAlwaysAllowStore": True,
            "DicomModalities": {"mandora": ["MANDORA", "127.0.0.1", listener]},
            "Plugins": [str(PLUGINS)], "DicomWeb": {"Enable": True},
        }  # fmt: skip
        (folder / "orthanc.json").write_text(json.dumps(settings))
        self.log = folder / "log"
        with self.log.open("w") as log:
            call = [program, str(folder / "orthanc.json")]
            self._process = subprocess.Popen(call, stdout=log, stderr=subprocess.STDOUT)
        self._wait()

    def _wait(self) -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until and self._process.poll() is None:
            try:
                self.ask("/system")
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise RuntimeError(f"Orthanc does not start: {self.log.read_text()[-2000:]}")

    def ask(self, path: str, data: bytes | None = None) -> Any:
        """GET, or POST if there are data; the answer as JSON."""
        return json.loads(self.get(path, data))

    def get(self, path: str, data: bytes | None = None) -> bytes:
        """GET, or POST if there are data; the answer as it is."""
        manager = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        root = f"http://localhost:{self._http}"
        manager.add_password(None, root, USER, PASSWORD)
        opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(manager))
        with opener.open(root + path, data, timeout=60) as answer:
            return bytes(answer.read())

    def keep(self, folder: Path) -> None:
        """Have the DICOM files of a folder."""
        for path in sorted(folder.glob("*.dcm")):
            self.ask("/instances", path.read_bytes())

    def objects(self) -> dict[str, list[str]]:
        """By modality, Orthanc's names of all objects."""
        found: dict[str, list[str]] = {}
        for name in self.ask("/instances"):
            tags = self.ask(f"/instances/{name}/simplified-tags")
            found.setdefault(tags["Modality"], []).append(name)
        return found

    def stop(self) -> None:
        """End the program."""
        self._process.terminate()
        self._process.wait(30)


@pytest.fixture
def orthanc(tmp_path: Path, require: Callable[[str], str]) -> Iterator[Callable[[int], Orthanc]]:
    """Starts Orthanc with DICOMweb; skipped where it is not installed."""
    program = require("Orthanc")
    if not (PLUGINS / "libOrthancDicomWeb.so").exists():
        pytest.skip("no DICOMweb in Orthanc (Debian orthanc-dicomweb)")
    started: list[Orthanc] = []

    def start(listener: int = 1) -> Orthanc:
        started.append(Orthanc(tmp_path / f"orthanc-{len(started)}", program, listener))
        return started[-1]

    yield start
    for one in started:
        one.stop()
