from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mandora.core.errors import InputError
from mandora.core.inputs import listed, open_regular, read_bytes, read_text
from mandora.core.records import read_result
from mandora.core.settings import SimulateSettings
from mandora.datasets.film_labels import files_in
from mandora.datasets.findings import Report
from mandora.datasets.formats.coco import read_coco
from mandora.datasets.formats.cvat import read_cvat
from mandora.datasets.formats.labelme import read_labelme
from mandora.datasets.formats.ra2.tables import read_scores, read_template
from mandora.datasets.tables import read_table
from mandora.datasets.xlsx import read_sheet
from mandora.images.read import peek_header, read_labels, read_radiograph
from mandora.model.bundle import verify_bundle
from mandora.symmetry.forest import JointForest

READERS: list[Callable[[Path], object]] = [
    open_regular, read_bytes, read_text, read_scores, read_template, read_labelme, read_coco,
    read_cvat, read_sheet, read_result, read_radiograph, read_labels, peek_header,
    SimulateSettings.from_toml, JointForest.load,
]  # fmt: skip


@pytest.mark.parametrize("read", READERS)
def test_no_reader_waits_for_a_pipe_or_fills_the_memory(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    for path in (tmp_path / "pipe.toml", Path("/dev/zero"), tmp_path):
        with pytest.raises(InputError, match=r"named pipe|device|folder") as caught:
            read(path)
        assert path.name in str(caught.value)


def test_a_regular_file_is_read_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("é\r\n".encode())
    (tmp_path / "b.txt").symlink_to("a.txt")
    assert read_text(tmp_path / "b.txt") == "é\r\n"
    with pytest.raises(InputError, match="larger than"):
        read_bytes(tmp_path / "a.txt", 3)


def test_a_bundle_with_a_pipe_for_its_manifest_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "manifest.json")
    assert any("named pipe" in problem for problem in verify_bundle(tmp_path))


def test_a_pipe_for_a_table_is_a_finding(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "training.csv")
    report = Report(tmp_path)
    assert read_table(tmp_path / "training.csv", report) is None
    assert "named pipe" in report.findings[0].message


def test_a_folder_that_cannot_be_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(self: Path) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", denied)
    for read in (listed, lambda folder: files_in(folder, (".csv",))):
        with pytest.raises(InputError, match="cannot be listed"):
            read(tmp_path)
