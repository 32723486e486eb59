"""The stored values of films in every transfer syntax, and headers that contradict them."""

from __future__ import annotations

import io
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
    HTJ2K,
    JPEG2000,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
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


def stored(name: str) -> bytes:
    """LEVELS in a compression that no package of the tests writes (by imagecodecs 2026.3)."""
    return (Path(__file__).parent / "streams" / name).read_bytes()


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
        (JPEGLossless, "jpeg-lossless", 0),
        (JPEGLosslessSV1, "jpeg-lossless", 0),
        (JPEGLSLossless, "jpeg-ls", 0),
        (JPEGLSNearLossless, "jpeg-ls-near", 6),
        (JPEGExtended12Bit, "jpeg-12", 8),
        (JPEG2000Lossless, "j2k", 0),
        (JPEG2000, "j2k-lossy", 2),
        (HTJ2KLossless, "htj2k", 0),
        (HTJ2KLosslessRPCL, "htj2k", 0),
        (HTJ2K, "htj2k-lossy", 2),
    ],
)
def test_compressed(make_dicom: MakeDicom, syntax: str, stream: str, off: int) -> None:
    pytest.importorskip("gdcm")
    pytest.importorskip("openjpeg")
    film = read_radiograph(make_dicom(LEVELS, syntax, stored(stream)))
    assert np.abs(film.pixels - EXPECTED).max() * LEVELS.max() <= off + 0.01
    assert film.remarks == ()


def test_a_jpeg_2000_file_within(make_dicom: MakeDicom) -> None:
    pytest.importorskip("openjpeg")
    path = make_dicom(LEVELS, JPEG2000Lossless, j2k(LEVELS))
    assert np.allclose(shown(path), EXPECTED, atol=1e-6)


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
    pytest.importorskip("openjpeg")
    for said, stream in (
        (JPEGBaseline8Bit, "jpeg-lossless"), (JPEGBaseline8Bit, "jpeg-ls"),
        (RLELossless, "j2k"), (ExplicitVRLittleEndian, "jpeg-ls"),
    ):  # fmt: skip
        path = make_dicom(LEVELS, said, stored(stream))
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
