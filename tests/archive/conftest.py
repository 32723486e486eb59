"""What tests with other people's programs share: films as DICOM files, and Orthanc."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
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
