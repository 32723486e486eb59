"""Files with and without preamble, deflated, without required tags, or with a wrong syntax."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mandora.core.anatomy import Limb
from mandora.images import dicom_file
from mandora.images.dicom import read_dicom
from mandora.images.dicom_file import is_dicom
from mandora.images.radiograph import UnreadableFilm
from mandora.images.read import peek_tags, read_radiograph

pytest.importorskip("pydicom")

from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

MakeDicom = Callable[..., Path]

LEVELS = np.linspace(0, 4095, 80 * 100).astype(np.uint16).reshape(80, 100)
EXPECTED = LEVELS / 4095


def without_meta(data: bytes) -> bytes:
    """What follows the file meta information."""
    length = struct.unpack_from("<L", data, 140)[0]
    return data[144 + length :]


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_files_without_preamble_and_meta_information(make_dicom: MakeDicom, syntax: str) -> None:
    path = make_dicom(LEVELS, syntax, BodyPartExamined="HAND")
    path.write_bytes(without_meta(path.read_bytes()))
    film = read_radiograph(path)
    assert np.allclose(film.pixels, EXPECTED, atol=1e-6)
    assert film.limb is Limb.HAND
    assert peek_tags(path) == (None, Limb.HAND)


def test_a_file_without_preamble_that_has_meta_information(make_dicom: MakeDicom) -> None:
    whole = make_dicom(LEVELS).read_bytes()
    path = make_dicom(LEVELS)
    for cut in (132, 128):
        path.write_bytes(whole[cut:])
        assert np.allclose(read_radiograph(path).pixels, EXPECTED, atol=1e-6)


def test_a_file_that_does_not_say_its_syntax(make_dicom: MakeDicom) -> None:
    path = make_dicom(LEVELS)
    data = path.read_bytes()
    at = data.index(b"\x02\x00\x10\x00UI")
    end = at + 8 + struct.unpack_from("<H", data, at + 6)[0]
    length = struct.unpack_from("<L", data, 140)[0] - (end - at)
    path.write_bytes(data[:140] + struct.pack("<L", length) + data[144:at] + data[end:])
    assert np.allclose(read_radiograph(path).pixels, EXPECTED, atol=1e-6)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
        (ImplicitVRLittleEndian, ExplicitVRLittleEndian),
    ],
)
def test_a_file_that_says_another_syntax(make_dicom: MakeDicom, written: str, said: str) -> None:
    path = make_dicom(LEVELS, written)
    old, new = (uid.encode() + b"\0" * (len(uid) % 2) for uid in (written, said))
    data = path.read_bytes()
    at = data.index(b"\x02\x00\x10\x00UI") + 6
    length = struct.unpack_from("<L", data, 140)[0] + len(new) - len(old)
    data = data[:at] + struct.pack("<H", len(new)) + new + data[at + 2 + len(old) :]
    path.write_bytes(data[:140] + struct.pack("<L", length) + data[144:])
    assert np.allclose(read_radiograph(path).pixels, EXPECTED, atol=1e-6)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x08\0", b"\x08\0\x05\0CS\x02\0", b"Patient_ID,LH_mcp_E__1\nP1,1\n", b"\0" * 200,
        b"\x08\0\x05\0" * 50, b"\x89PNG\r\n\x1a\n" + b"\0" * 200, b"\xff\xd8\xff\xe0" * 50,
    ],
)  # fmt: skip
def test_other_files_are_not_taken_for_dicom(data: bytes) -> None:
    assert not is_dicom(data)


def test_a_deflated_file_unfolds_to_a_film_at_most(
    make_dicom: MakeDicom, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_dicom(LEVELS, DeflatedExplicitVRLittleEndian, BodyPartExamined="FOOT")
    assert np.allclose(read_radiograph(path).pixels, EXPECTED, atol=1e-6)
    assert peek_tags(path) == (None, Limb.FOOT)
    monkeypatch.setattr(dicom_file, "MAX_UNFOLDED_BYTES", 1 << 20)
    head = path.read_bytes()[: 144 + struct.unpack_from("<L", path.read_bytes(), 140)[0]]
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    with pytest.raises(UnreadableFilm, match="unfolds to more than 1 MiB"):
        read_dicom(head + deflate.compress(bytes(2 << 20)) + deflate.flush())


@pytest.mark.parametrize(
    "keyword",
    ["BitsAllocated", "BitsStored", "SamplesPerPixel", "PhotometricInterpretation",
     "PixelRepresentation"],
)  # fmt: skip
def test_a_required_tag_that_is_missing_is_named(make_dicom: MakeDicom, keyword: str) -> None:
    with pytest.raises(UnreadableFilm, match=f"{keyword} is missing in the header;"):
        read_radiograph(make_dicom(LEVELS, **{keyword: None}))


def test_headers_that_describe_no_picture(make_dicom: MakeDicom) -> None:
    for tags, fault in (
        ({"Rows": None}, "Rows or Columns is missing"),
        ({"BitsAllocated": 12}, "12 bits in 12"),
        ({"BitsStored": 17}, "17 bits in 16"),
        ({"PixelData": None, "FloatPixelData": b"\0" * 8}, "not whole numbers"),
    ):
        with pytest.raises(UnreadableFilm, match=fault):
            read_radiograph(make_dicom(LEVELS, **tags))


def test_pixels_that_are_cut_off_and_pixels_too_many(make_dicom: MakeDicom) -> None:
    path = make_dicom(LEVELS)
    whole = path.read_bytes()
    path.write_bytes(whole[:-2000])
    with pytest.raises(UnreadableFilm, match="damaged"):
        read_radiograph(path)
    path = make_dicom(LEVELS, PixelData=LEVELS.tobytes() + b"\0" * 40)
    assert np.allclose(read_radiograph(path).pixels, EXPECTED, atol=1e-6)


def test_an_odd_film_without_its_last_padding_byte(make_dicom: MakeDicom) -> None:
    levels = (LEVELS[:79, :99] >> 4).astype(np.uint8)
    path = make_dicom(levels, PixelData=levels.tobytes() + b"\0")
    path.write_bytes(path.read_bytes()[:-1])
    try:
        film = read_radiograph(path)
    except UnreadableFilm:
        pytest.fail("all pixels are there")
    assert np.allclose(film.pixels, levels / levels.max(), atol=1e-6)


def test_a_file_in_memory_needs_no_name(make_dicom: MakeDicom) -> None:
    assert read_dicom(io.BytesIO(make_dicom(LEVELS).read_bytes()).read()).pixels.shape == (80, 100)
