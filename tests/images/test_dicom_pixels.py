"""The stored values of films in every transfer syntax, and headers that contradict them."""

from __future__ import annotations

import io
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mandora.images.radiograph import UnreadableFilm
from mandora.images.read import read_radiograph

pytest.importorskip("pydicom")

from pydicom.uid import (
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

MakeDicom = Callable[..., Path]

ROWS, COLUMNS = np.mgrid[:64, :64]
LEVELS = (40 * COLUMNS + 24 * ROWS).astype(np.uint16)
"""(64, 64) uint16, 12 bits in use, bright at the lower right."""
EXPECTED = LEVELS / LEVELS.max()
SIGNED = (LEVELS.astype(np.int16) - 2048).astype(np.int16)
OVERLAID = LEVELS | ((((ROWS + COLUMNS) // 8) % 2).astype(np.uint16) << 12)
OVERLAY = {"BitsStored": 12, "HighBit": 11}
# LEVELS in compressions that no package of the tests writes (by imagecodecs 2026.3)
HTJ2K = b64decode(
    "/0//UQApQAAAAABAAAAAQAAAAAAAAAAAAAAAQAAAAEAAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB"
    "/1wAEyCIkJCQkJCQkJCQkJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAScAAf+TwAArAP9/I/mR"
    "9LXtAoG0AMAAE8AAE4C22fYCgnQAbLP9AINUAMAAFVAABVDatGnT9qpyAnUAtm1tbcAxgey2AMAAFoQAAWiAbGxsbGxs"
    "bGznynp6cYJ4ANparVar1Wr9iEB79iEB7LoAwAAW3AABb4AymUwmk8lkMplMJpPJZPn/Cnp6enp6enECfQBqVVVVVVVV"
    "VVVVVVX/eGBCB79hCB79hCB79hCB7LMBwAAuugABdwCO4ziO4ziO4ziO4ziO4ziO4ziO4ziO4zj+v/wKenp6enp6enp6"
    "enp6enpwgnYBrnPOOeecc84555xzzjnnnHPOOef+/3/bAAAHv2AAHv2AAHv2AAHv2AAHv2AAHv2AAHv2AAHsswL/2Q=="
)
JPEG_12 = b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywt"
    "QFdBRkxOUlNSMj5aYVpQYEpRUk//wQALDABAAEABAREA/8QAFQABAQAAAAAAAAAAAAAAAAAACAv/xAAaEAAABwAAAAAA"
    "AAAAAAAAAAAABgcjM0FR/9oACAEBAAA/AJzqXFOFvKDES4pwt5QYqXFOFvKDFS4pwt5QYqXFOFvKDFS4pwt5QYqXFOFv"
    "KDFS4pwt5QmJpcU4W8oMVLinC3lBipcU4W8oMRLinC3lBipcU4W8oMVLinC3lBipcU4W8oMVLinC3lCYmlxThbygxUuK"
    "cLeUGKlxThbygxUuKcLeUGKlxThbygxEuKcLeUGKlxThbygxUuKcLeUJiaXFOFvKDFS4pwt5QYqXFOFvKDFS4pwt5QYq"
    "XFOFvKDFS4pwt5QYqXFOFvKDES4pwt5QmJpcU4W8oMVLinC3lBipcU4W8oMVLinC3lBipcU4W8oMVLinC3lBipcU4W8o"
    "MVLinC3lCYklxThbygxUuKcLeUGKlxThbygxUuKcLeUGKlxThbygxUuKcLeUGKlxThbygxUuKcLeUJiSXFOFvKDFS4pw"
    "t5QYqXFOFvKDFS4pwt5QYqXFOFvKDFS4pwt5QYqXFOFvKDFS4pwt5QmJpcU4W8oMVLinC3lBiJcU4W8oMVLinC3lBipc"
    "U4W8oMVLinC3lBipcU4W8oMVLinC3lD/2Q=="
)
JPEG_LS = b64decode(
    "/9j/6AAgU1BJRkYAAgAAAQAAAEAAAABAChAGAQAAASwAAAEs/+gACAAAAAH/2P/3AAsQAEAAQAEBEQD/+AANAf//ABIA"
    "QwEUAED/2gAIAQEAAAAAonxPifE2S5Jo8T4myXJNHotDoM/nt3c29rZ2NfW1dTT0tHQ0M/O3bduzZs169erVq1adOnTo"
    "0aNGjRnz58+fPhhDCF0WRVKJNJJFIJ6cmpiWlJKSkJCOnTpkyZMlSpUqVIkSJEiRIkRo0aNGmmmmmmmmkkkkkkkkkkhh"
    "JJJJJJJJJFFFFFFFFKUpSlKUpSlKUpSlKUpSlKEIQhCEIREREREREQuiIiIiIiIiIiIiJJJJJJJJJJJJJJJJKqqqiyqq"
    "qqqqv/9//3//Cr//f/9//3//fKP/f/9//3//f8m//3//f/9//3yT/3//f/9//3/Iv/9//3//f/98g/9//3//f/9/z3//"
    "f/9//3//ec//f/9//3//fzX/f/9//3//f+Y//3//f/9//3y3/3//f/9//3+U/3//f/9//3/yX/9//3//f/9+S/9//3//"
    "f/9/yH//f/9//3//eQ//f/9//3//fx3/f/9//3//f+d//3//f/9//3nf/3//f/9//35n/3//f/9//3+Z/3//f/9//3/m"
    "f/9//3//f/95n/9//3//f/9+V/9//3//f/9/lf9//3//f/9/5X//f/9//3//eV//f/9//3//flf/f/9//3//f5H/f/9/"
    "/3//f+R//3//f/9//3kf/3//f/9//35H/3//f/9//3+R/3//f/9//3/kf/9//3//f/95H/9//3//f/9+R/9//3//f/9/"
    "jf9//3//f/9/43//f/9//3//eN//f/9//3//fjf/f/9//3//f43/f/9//3//f+b/f/9//3//f/N//3//f/9//3m//3//"
    "f/9//3zf/3//f/9//35v/3//f/9//383/3//f/9//3+b/3//f/9//3/N/3//f/9//3/k/3//f/9//3/yf/9//3//f/95"
    "P/9//3//f/98n/9//3//f/9+T/9//3//f/9/J/9//3//f/9/k/9//3//f/9/yf9//3//f/9/5P9//3//f/9/8n//f/9/"
    "/3//eQD/2Q=="
)
JPEG_LOSSLESS = b64decode(
    "/9j/xAAXAAEBAQEAAAAAAAAAAAAAAAAEBgUQ/8MACxAAQABAAQARAP/aAAgBAAAGAADqioqKioqKioqKioqKioqKioqK"
    "ioqKioqKioqKioqKioqKioqKioqKioqKioqKioqKioqKioqKioqKioqKioqNhjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxj"
    "GMYxjGMYxjGMYxjGMYxjGbDGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGM2GMYxjGMYxjGMYxjG"
    "MYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMZsMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYzY"
    "YxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxmwxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjG"
    "MYxjGMYxjGMYxjNhjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGbDGMYxjGMYxjGMYxjGMYxjGM"
    "YxjGMYxjGMYxjGMYxjGMYxjGMYxjGM2GMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMZsMYxjGMY"
    "xjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYzYYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGM"
    "YxjGMYxmwxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjNhjGMYxjGMYxjGMYxjGMYxjGMYxjGMY"
    "xjGMYxjGMYxjGMYxjGMYxjGbDGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGM2GMYxjGMYxjGMYx"
    "jGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMZsMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMY"
    "zYYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxmwxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYx"
    "jGMYxjGMYxjGMYxjNhjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGbDGMYxjGMYxjGMYxjGMYxj"
    "GMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGM2GMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMZsMYxjG"
    "MYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYzYYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxj"
    "GMYxjGMYxmwxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjNhjGMYxjGMYxjGMYxjGMYxjGMYxjG"
    "MYxjGMYxjGMYxjGMYxjGMYxjGbDGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGM2GMYxjGMYxjGM"
    "YxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMZsMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjG"
    "MYzYYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxmwxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGM"
    "YxjGMYxjGMYxjGMYxjNhjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGbDGMYxjGMYxjGMYxjGMY"
    "xjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGM2GMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMZsMYx"
    "jGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYzYYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMY"
    "xjGMYxjGMYxmwxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjNhjGMYxjGMYxjGMYxjGMYxjGMYx"
    "jGMYxjGMYxjGMYxjGMYxjGMYxjGbDGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGM2GMYxjGMYxj"
    "GMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMZsMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYx"
    "jGMYzYYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxmwxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxj"
    "GMYxjGMYxjGMYxjGMYxjNhjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGbDGMYxjGMYxjGMYxjG"
    "MYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGM2GMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMZsM"
    "YxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYzYYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjG"
    "MYxjGMYxjGMYxmwxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjNhjGMYxjGMYxjGMYxjGMYxjGM"
    "YxjGMYxjGMYxjGMYxjGMYxjGMYxjGbDGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGM2GMYxjGMY"
    "xjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMZsMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGM"
    "YxjGMYzYYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxmwxjGMYxjGMYxjGMYxjGMYxjGMYxjGMY"
    "xjGMYxjGMYxjGMYxjGMYxjNhjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGbDGMYxjGMYxjGMYx"
    "jGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGM2GMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMZ"
    "sMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYzYYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYx"
    "jGMYxjGMYxjGMYxmwxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjNhjGMYxjGMYxjGMYxjGMYxj"
    "GMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGbDGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGM2GMYxjG"
    "MYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYxjGMYA/9k="
)


def j2k(levels: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "JPEG2000", irreversible=False, **options)
    return buffer.getvalue()


def j2k_12(levels: np.ndarray) -> bytes:
    """A stream that says itself that values have 12 bits."""
    utils = pytest.importorskip("openjpeg.utils")
    stream: bytes = utils.encode_array(levels, bits_stored=12, photometric_interpretation=2)
    return stream


def shown(path: Path) -> np.ndarray:
    return read_radiograph(path).pixels


def refusal(path: Path) -> str:
    with pytest.raises(UnreadableFilm) as caught:
        read_radiograph(path)
    assert "Doe" not in str(caught.value)
    return str(caught.value)


NATIVE = [f"1.2.840.10008.1.2{ending}" for ending in ("", ".1", ".1.99", ".2")]


@pytest.mark.parametrize("syntax", NATIVE)
@pytest.mark.parametrize("levels", [LEVELS, SIGNED, (LEVELS >> 4).astype(np.uint8)])
def test_uncompressed_and_deflated(make_dicom: MakeDicom, syntax: str, levels: np.ndarray) -> None:
    assert np.allclose(shown(make_dicom(levels, syntax)), EXPECTED, atol=0.004)


@pytest.mark.parametrize(
    ("syntax", "stream", "off"),
    [
        (JPEGLosslessSV1, JPEG_LOSSLESS, 1e-6),
        (JPEGLSLossless, JPEG_LS, 1e-6),
        (JPEGExtended12Bit, JPEG_12, 0.02),
        (JPEG2000Lossless, j2k(LEVELS, no_jp2=True), 1e-6),
        (JPEG2000Lossless, j2k(LEVELS), 1e-6),  # a whole JP2 file within
    ],
)
def test_compressed(make_dicom: MakeDicom, syntax: str, stream: bytes, off: float) -> None:
    pytest.importorskip("gdcm")
    pytest.importorskip("openjpeg")
    assert np.allclose(shown(make_dicom(LEVELS, syntax, stream)), EXPECTED, atol=off)


def test_high_throughput_jpeg_2000(make_dicom: MakeDicom) -> None:
    pytest.importorskip("pylibjpeg")
    pytest.importorskip("openjpeg")
    assert np.allclose(shown(make_dicom(LEVELS, HTJ2KLossless, HTJ2K)), EXPECTED, atol=1e-6)


@pytest.mark.parametrize("levels", [LEVELS, (LEVELS >> 4).astype(np.uint8)])
def test_jpeg_of_8_bits_under_a_header_of_8_or_16(
    make_dicom: MakeDicom, levels: np.ndarray
) -> None:
    buffer = io.BytesIO()
    Image.fromarray((LEVELS >> 4).astype(np.uint8)).save(buffer, "JPEG", quality=95)
    path = make_dicom(levels, JPEGBaseline8Bit, buffer.getvalue())
    assert np.allclose(shown(path), EXPECTED, atol=0.03)


def test_a_stream_of_another_compression_than_the_header_says(make_dicom: MakeDicom) -> None:
    pytest.importorskip("gdcm")
    for stream in (JPEG_LOSSLESS, JPEG_LS):
        path = make_dicom(LEVELS, JPEGBaseline8Bit, stream)
        assert np.allclose(shown(path), EXPECTED, atol=1e-6)


def test_pixels_that_are_not_compressed_although_the_header_says_so(make_dicom: MakeDicom) -> None:
    data = make_dicom(LEVELS).read_bytes()
    path = make_dicom(LEVELS)
    path.write_bytes(data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0", 1))
    assert np.allclose(shown(path), EXPECTED, atol=1e-6)


def test_bits_above_the_stored_ones_are_an_overlay(make_dicom: MakeDicom) -> None:
    assert np.allclose(shown(make_dicom(OVERLAID, **OVERLAY)), EXPECTED, atol=1e-6)


def test_overlay_bits_within_compressed_streams(make_dicom: MakeDicom) -> None:
    pytest.importorskip("openjpeg")
    path = make_dicom(OVERLAID, JPEG2000Lossless, j2k(OVERLAID, no_jp2=True), **OVERLAY)
    assert np.allclose(shown(path), EXPECTED, atol=1e-6)


def test_high_bit_says_where_the_values_lie(make_dicom: MakeDicom) -> None:
    upper = (LEVELS << 4) | 5  # an overlay lies below
    assert np.allclose(shown(make_dicom(upper, HighBit=15)), EXPECTED, atol=1e-6)
    signed = (SIGNED.view(np.uint16) << 4).view(np.int16)
    assert np.allclose(shown(make_dicom(signed, HighBit=15)), EXPECTED, atol=1e-6)
    film = read_radiograph(make_dicom(LEVELS, HighBit=15))
    assert np.allclose(film.pixels, EXPECTED, atol=1e-6)
    assert "HighBit" in film.remarks[0]
    assert np.allclose(shown(make_dicom(LEVELS, HighBit=None)), EXPECTED, atol=1e-6)


def test_values_of_more_bits_than_stated(make_dicom: MakeDicom) -> None:
    film = read_radiograph(make_dicom(LEVELS << 4))
    assert np.allclose(film.pixels, EXPECTED, atol=1e-6)
    assert "BitsStored" in film.remarks[0]


@pytest.mark.parametrize("window", [{}, {"WindowCenter": 0, "WindowWidth": 4096}])
def test_an_unsigned_jpeg_2000_stream_of_signed_values(
    make_dicom: MakeDicom, window: dict[str, int]
) -> None:
    stream = j2k_12(SIGNED.view(np.uint16) & 0xFFF)
    path = make_dicom(SIGNED, JPEG2000Lossless, stream, **window)
    assert np.allclose(shown(path), EXPECTED, atol=1e-3)


def test_a_header_that_wrongly_says_signed(make_dicom: MakeDicom) -> None:
    film = read_radiograph(make_dicom(LEVELS.view(np.int16), JPEG2000Lossless, j2k_12(LEVELS)))
    assert np.allclose(film.pixels, EXPECTED, atol=1e-6)
    assert "PixelRepresentation" in film.remarks[0]


def test_palettes_and_deep_pixels(make_dicom: MakeDicom) -> None:
    eight = (LEVELS >> 4).astype(np.uint8)
    tables = {
        f"{colour}PaletteColorLookupTable{part}": value
        for colour in ("Red", "Green", "Blue")
        for part, value in (
            ("Descriptor", [256, 0, 16]), ("Data", (np.arange(256) * 257).astype("<u2").tobytes())
        )
    }  # fmt: skip
    path = make_dicom(eight, PhotometricInterpretation="PALETTE COLOR", **tables)
    assert np.allclose(shown(path), eight / eight.max(), atol=0.01)
    deep = LEVELS.astype(np.uint32) * 1000
    assert np.allclose(shown(make_dicom(deep)), EXPECTED, atol=1e-6)


def test_unknown_streams_and_syntaxes(make_dicom: MakeDicom) -> None:
    assert "(unknown)" in refusal(make_dicom(LEVELS, "1.2.3.4", b"no film at all"))
    assert "damaged" in refusal(make_dicom(LEVELS, RLELossless, b"\0" * 64))
