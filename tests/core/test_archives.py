from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from mandora.core.archives import film_sha256, list_members, open_film, split_archive


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("P1/LH.png", b"a film")
        book.writestr("C:/x.png", b"x")
        book.writestr("P1\\..\\..\\y.png", b"x")
    return path


def test_members_are_read_in_place(archive: Path) -> None:
    assert list_members(archive).sizes == {"P1/LH.png": 6}
    assert len(list_members(archive).faults) == 2
    inside = archive / "P1" / "LH.png"
    assert split_archive(inside) == (archive, "P1/LH.png")
    with open_film(inside) as file:
        assert file.read() == b"a film"
    (archive.parent / "copy.png").write_bytes(b"a film")
    assert film_sha256(inside) == film_sha256(archive.parent / "copy.png")


def test_what_is_not_there(archive: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_film(archive / "P1" / "RH.png")
    with pytest.raises(FileNotFoundError):
        open_film(archive.parent / "b.zip" / "RH.png")
    with pytest.raises(ValueError, match="leads out"):
        open_film(archive / "C:/x.png")


def test_a_damaged_member_is_told(archive: Path) -> None:
    data = archive.read_bytes()
    at = data.index(b"P1/LH.png") + len("P1/LH.png")
    archive.write_bytes(data[:at] + b"\xff" * 6 + data[at + 6 :])
    with pytest.raises(ValueError, match="damaged"):
        open_film(archive / "P1" / "LH.png")
