"""Formats that are not read are named, with the remedy."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from mandora.images.other_formats import format_named
from mandora.images.radiograph import UnreadableFilm
from mandora.images.read import read_radiograph

GREY = Image.fromarray(np.arange(100 * 80, dtype=np.uint16).reshape(100, 80).astype(np.uint8))


def refusal(folder: Path, data: bytes, name: str = "film.jpg") -> str:
    (folder / name).write_bytes(data)
    with pytest.raises(UnreadableFilm) as caught:
        read_radiograph(folder / name)
    return str(caught.value)


@pytest.mark.parametrize(
    ("form", "name"),
    [("WEBP", "WebP"), ("GIF", "GIF"), ("JPEG2000", "JPEG 2000"), ("AVIF", "AVIF"), ("PDF", "PDF")],
)
def test_pictures_of_other_formats(tmp_path: Path, form: str, name: str) -> None:
    if form == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    buffer = io.BytesIO()
    GREY.convert("RGB").save(buffer, form)
    message = refusal(tmp_path, buffer.getvalue())
    assert f"this is {name}, a format that is not read; export" in message


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0", "HEIC"),
        (b"\0\0\0\x1cftypnewbrand", "HEIC, AVIF or MP4"),
        (b"\xff\x0a\xfa\x1f", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\xff\x4f\xff\x51\0\x2f", "JPEG 2000"),
        (b"Patient_ID", None),
        (b"", None),
    ],
)
def test_first_bytes(start: bytes, name: str | None) -> None:
    assert format_named(start) == name


def test_archives_are_to_be_unpacked(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("film.png", b"")
    assert "unpack it" in refusal(tmp_path, buffer.getvalue())


def test_jpegs_of_other_kinds(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    GREY.save(buffer, "JPEG")
    data = bytearray(buffer.getvalue())
    at = data.index(b"\xff\xc0")
    for marker, bits, name in (
        (0xC3, 16, "lossless JPEG"),
        (0xC1, 12, "12-bit JPEG"),
        (0xF7, 8, "JPEG-LS"),
    ):
        data[at + 1], data[at + 4] = marker, bits
        assert f"this is {name}, which is read within DICOM" in refusal(tmp_path, bytes(data))


@pytest.mark.parametrize(
    ("number", "name"), [(34712, "JPEG 2000"), (50002, "JPEG XL"), (4711, "number 4711")]
)
def test_tiffs_of_other_compressions(tmp_path: Path, number: int, name: str) -> None:
    tags = [(256, 80), (257, 100), (258, 8), (259, number), (262, 1), (273, 8), (277, 1),
            (278, 100), (279, 64)]  # fmt: skip
    entries = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in tags)
    data = b"II*\0" + struct.pack("<L", 72) + bytes(64) + struct.pack("<H", len(tags)) + entries
    assert f"the compression {name}, which is not read" in refusal(tmp_path, data + bytes(4))


@pytest.mark.parametrize(
    ("kind", "bits", "samples", "fault"),
    [(3, 64, 1, "floating-point numbers of 64"), (3, 16, 1, "floating-point numbers of 16"),
     (2, 8, 1, "signed numbers of 8"), (1, 16, 3, "planes of their own")],
)  # fmt: skip
def test_tiffs_of_values_that_would_be_misread(
    tmp_path: Path, kind: int, bits: int, samples: int, fault: str
) -> None:
    tags = [(256, 80), (257, 100), (258, bits), (259, 1), (262, 1), (273, 8), (277, samples),
            (278, 100), (279, 64), (284, 2), (339, kind)]  # fmt: skip
    entries = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in tags)
    data = b"II*\0" + struct.pack("<L", 72) + bytes(64) + struct.pack("<H", len(tags)) + entries
    assert fault in refusal(tmp_path, data + bytes(4))
