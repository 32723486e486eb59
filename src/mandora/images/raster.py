"""Films and labels in PNG, JPEG, TIFF and BMP files, from bytes that nobody vouches for.

Everything that a header says is checked before memory is taken for pixels. Pillow decodes; what
it lets pass, damage in the middle of a stream above all, is refused before.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
)

from mandora.images import jpeg, tiff
from mandora.images.radiograph import (
    DAMAGED,
    SEVERAL_PICTURES,
    Picture,
    UnreadableFilm,
    check_size,
    spread,
    turned,
)

LABEL_MODES = ("L", "P", "I;16", "I")
"""Pillow's names for pictures of one whole number per pixel."""

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)  # sizes, bytes; b"BM" alone may start a text
_ORIENTATION = 0x0112  # EXIF tag
_PHOTOMETRIC = 262  # TIFF tag; 0 means that white is zero
_MAX_CHUNKS = 100_000  # of a PNG; one of a GB in chunks as programs write them has fewer
_QUICK_PX = 100_000_000
"""Pixels, times passes over them, that are decoded in a second or two."""


class Stored(NamedTuple):
    """The values of a picture as its file holds them.

    Attributes:
        mode: Pillow's name for what they are.
        values: (H, W) whole numbers for :data:`LABEL_MODES`, else uint8, the grey that is shown.
    """

    mode: str
    values: NDArray[Any]


def is_quick(data: bytes) -> bool:
    """Whether a file that starts like this is decoded in a bounded time, however it is made.

    TIFF has chains of directories and a dozen decoders; Pillow reads compressed BMP, and a JPEG
    of many scans, slowly.

    Raises:
        UnreadableFilm: for a PNG or JPEG of more parts than any film has.
    """
    if data.startswith(_PNG_MAGIC):
        _check_chunks(data)
        return True
    if data.startswith(jpeg.START):
        parts = jpeg.take_apart(data)
        return parts.width * parts.height * parts.scans <= _QUICK_PX
    return not data.startswith(tiff.MAGIC) and not (_is_bmp(data) and _is_packed(data))


def _check_chunks(data: bytes) -> None:
    """Refuse a PNG of so many parts that going through them alone takes minutes."""
    at = len(_PNG_MAGIC)
    for _ in range(_MAX_CHUNKS):
        at += 12 + int.from_bytes(data[at : at + 4])
        if at >= len(data):
            return
    raise UnreadableFilm(f"the PNG has more than {_MAX_CHUNKS} chunks; save the film anew")


def read_raster(data: bytes, least_px: int) -> Picture:
    """Read a film from the bytes of a PNG, JPEG, TIFF or BMP file.

    Raises:
        UnreadableFilm: for what can be told in words; the message does not name the file yet.
        Exception: whatever the decoders raise.
    """
    image = _opened(data, least_px)
    remarks: list[str] = []
    orientation = _orientation(image, remarks)
    image.load()
    levels = _grey_levels(image, remarks)
    if levels.dtype == np.uint8 and levels.min() != levels.max():
        pixels = np.divide(levels, np.float32(255), dtype=np.float32)
    else:
        pixels = spread(levels)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        if levels.dtype != np.uint8 and image.tag_v2.get(_PHOTOMETRIC) == 0:
            pixels = 1 - pixels  # Pillow inverts white-is-zero up to 8 bits only
    else:  # Pillow has turned a TIFF already
        pixels = turned(pixels, orientation)
    return Picture(pixels, tuple(remarks))


def read_stored(data: bytes, shown: bool) -> Stored:
    """Read labels or a mask from the bytes of a PNG, JPEG, TIFF or BMP file.

    Args:
        data: the file.
        shown: whether the grey that a viewer shows is wanted, whatever the mode.

    Raises:
        UnreadableFilm: for what can be told in words; the message does not name the file yet.
        Exception: whatever the decoders raise.
    """
    image = _opened(data, 1)
    image.load()
    as_it_is = image.mode in LABEL_MODES and not shown
    return Stored(image.mode, np.asarray(image if as_it_is else image.convert("L")))


def _opened(data: bytes, least_px: int) -> ImageFile.ImageFile:
    """A picture of one frame and a fair size, which is not known to be damaged."""
    # The format's class is called directly: Image.open would warn of, or refuse, large
    # pictures by a limit that is global to the process. The limit here is check_size.
    if data.startswith(_PNG_MAGIC):
        _check_png(data)
        image: ImageFile.ImageFile = PngImagePlugin.PngImageFile(io.BytesIO(data))
    elif data.startswith(jpeg.START):
        parts = jpeg.take_apart(data)
        check_size(parts.width, parts.height, least_px)
        jpeg.check_whole(parts)
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(parts.stream))
    elif data.startswith(tiff.MAGIC):
        tiff.check(data, least_px)
        image = TiffImagePlugin.TiffImageFile(io.BytesIO(data))
    elif _is_bmp(data):
        image = BmpImagePlugin.BmpImageFile(io.BytesIO(data))
    else:
        raise UnreadableFilm(
            "this is not a PNG, JPEG, TIFF, BMP or DICOM file; save it as one of these"
        )
    check_size(*image.size, least_px)
    if getattr(image, "n_frames", 1) > 1:
        raise UnreadableFilm(SEVERAL_PICTURES)
    return image


def _is_bmp(data: bytes) -> bool:
    return data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in _BMP_HEADERS


def _is_packed(bmp: bytes) -> bool:
    return int.from_bytes(bmp[14:18], "little") > 12 and bmp[30:34] != b"\0\0\0\0"


def _check_png(data: bytes) -> None:
    """Verify the chunks' checksums and the end mark, which Pillow does in part only."""
    view, at = memoryview(data), len(_PNG_MAGIC)
    while at + 12 <= len(data):
        end = at + 12 + struct.unpack_from(">I", data, at)[0]
        if end > len(data):
            break
        if zlib.crc32(view[at + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            raise UnreadableFilm(DAMAGED)
        if data[at + 4 : at + 8] == b"IEND":
            return
        at = end
    raise UnreadableFilm(DAMAGED)


def _orientation(image: ImageFile.ImageFile, remarks: list[str]) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a broken note about the camera does not spoil the film
        remarks.append("EXIF data could not be read; the film was not turned")
        return 1
    if value not in range(2, 9):
        return 1
    remarks.append("turned as its EXIF orientation says")
    return int(value)


def _grey_levels(image: Image.Image, remarks: list[str]) -> NDArray[Any]:
    """(H, W), uint8 for pictures of up to 8 bits per channel, a wider type for deeper ones."""
    if image.mode.startswith(("I", "F")):
        return np.asarray(image)
    if not image.has_transparency_data:
        return np.asarray(image.convert("L"))
    image = image.convert("RGBA")
    grey, alpha = image.convert("L"), image.getchannel("A")
    if alpha.getextrema() == (0, 0):
        remarks.append("wholly transparent; the transparency was ignored")
        return np.asarray(grey)
    return np.asarray(Image.composite(grey, Image.new("L", image.size), alpha))  # on black
