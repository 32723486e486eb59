"""Films and labels in PNG, JPEG, TIFF and BMP files.

The bytes are not trusted. Everything that a header states is checked before memory is taken for
pixels. Pillow decodes; damage that it does not report, above all in the middle of a stream, is
looked for before. :data:`FORMATS` is the one list of formats.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
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
from mandora.images.other_formats import format_named, not_read
from mandora.images.radiograph import (
    DAMAGED,
    SEVERAL_PICTURES,
    Picture,
    UnreadableFilm,
    check_size,
    rescaled,
)

LABEL_MODES = ("L", "P", "I;16", "I")
"""Pillow's names for pictures of one whole number per pixel."""

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)  # sizes, bytes; b"BM" alone may start a text
_ORIENTATION = 0x0112  # EXIF tag
_TURNS = {  # EXIF 2.32, tag 0x0112 → what brings the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip
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


class Format(NamedTuple):
    """A file format that Pillow decodes.

    Attributes:
        name: Pillow's.
        matches: whether a file that starts like this has the format.
        is_quick: whether such a file is decoded in a bounded time, however it is made; raises
            :class:`UnreadableFilm` for a file of more parts than any film has.
        open: takes the file and the least side, px; refuses a size that no film has and damage,
            and opens the file, without decoding it if that is not needed to find damage.
    """

    name: str
    matches: Callable[[bytes], bool]
    is_quick: Callable[[bytes], bool]
    open: Callable[[bytes, int], Image.Image]


def is_quick(data: bytes) -> bool:
    """Whether a file is decoded, or refused, in a bounded time, see :class:`Format`."""
    return next((found.is_quick(data) for found in FORMATS if found.matches(data)), True)


def read_raster(data: bytes, least_px: int) -> Picture:
    """Read a film from the bytes of a PNG, JPEG, TIFF or BMP file.

    Raises:
        UnreadableFilm: with a fault in words; the message does not name the file yet.
        Exception: whatever the decoders raise.
    """
    image = _opened(data, least_px)
    remarks: list[str] = []
    turn = _turn(image, remarks)
    image.load()
    levels = _grey_levels(image, remarks)
    if levels.dtype == np.uint8 and levels.min() != levels.max():
        pixels = np.divide(levels, np.float32(255), dtype=np.float32)
    else:
        pixels = rescaled(levels)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        if levels.dtype != np.uint8 and image.tag_v2.get(_PHOTOMETRIC) == 0:
            pixels = 1 - pixels  # Pillow inverts white-is-zero up to 8 bits only
    elif turn is not None:  # Pillow has turned a TIFF already
        pixels = np.asarray(Image.fromarray(pixels).transpose(turn))
    return Picture(pixels, tuple(remarks))


def read_stored(data: bytes, as_grey: bool) -> Stored:
    """Read labels or a mask from the bytes of a PNG, JPEG, TIFF or BMP file.

    Args:
        data: the file.
        as_grey: give the grey that a viewer shows, whatever the mode.

    Raises:
        UnreadableFilm: with a fault in words; the message does not name the file yet.
        Exception: whatever the decoders raise.
    """
    image = _opened(data, 1)
    image.load()
    as_stored = image.mode in LABEL_MODES and not as_grey
    return Stored(image.mode, np.asarray(image if as_stored else image.convert("L")))


def _opened(data: bytes, least_px: int) -> Image.Image:
    """A picture of one frame and a possible size, in which no damage was found."""
    found = next((one for one in FORMATS if one.matches(data)), None)
    if found is None and (name := format_named(data)):
        raise UnreadableFilm(not_read(name))
    if found is None:
        names = ", ".join(one.name for one in FORMATS)
        raise UnreadableFilm(f"this is not a {names} or DICOM file; save it as one of these")
    image = found.open(data, least_px)
    check_size(*image.size, least_px)
    if getattr(image, "n_frames", 1) > 1:
        raise UnreadableFilm(SEVERAL_PICTURES)
    return image


def _turn(image: Image.Image, remarks: list[str]) -> Image.Transpose | None:
    # not ImageOps.exif_transpose: it also writes EXIF data, and fails where they are broken
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # broken EXIF data do not make the film unreadable
        remarks.append("EXIF data could not be read; the film was not turned")
        return None
    if turn is not None:
        remarks.append("turned as its EXIF orientation says")
    return turn


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


# ── the formats ──────────────────────────────────────────────────────────────────────────
# Each format's class is called directly: Image.open would warn of, or refuse, large pictures by
# a limit that is global to the process. The limit here is check_size.


def _is_quick_png(data: bytes) -> bool:
    """True; refuses a PNG of so many chunks that going through them alone takes minutes."""
    at = len(_PNG_MAGIC)
    for _ in range(_MAX_CHUNKS):
        at += 12 + int.from_bytes(data[at : at + 4])
        if at >= len(data):
            return True
    raise UnreadableFilm(f"the PNG has more than {_MAX_CHUNKS} chunks; save the film anew")


def _open_png(data: bytes, least_px: int) -> ImageFile.ImageFile:
    """Verify the chunks' checksums and the end mark, which Pillow does in part only."""
    view, at = memoryview(data), len(_PNG_MAGIC)
    while at + 12 <= len(data):
        end = at + 12 + struct.unpack_from(">I", data, at)[0]
        if end > len(data):
            break
        if zlib.crc32(view[at + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            raise UnreadableFilm(DAMAGED)
        if data[at + 4 : at + 8] == b"IEND":
            return PngImagePlugin.PngImageFile(io.BytesIO(data))
        at = end
    raise UnreadableFilm(DAMAGED)


def _is_quick_jpeg(data: bytes) -> bool:
    """A JPEG of many scans is decoded slowly."""
    stream = jpeg.parse(data)
    return stream.width * stream.height * stream.scans <= _QUICK_PX


def _open_jpeg(data: bytes, least_px: int) -> Image.Image:
    stream = jpeg.parse(data)
    jpeg.check_process(stream)
    check_size(stream.width, stream.height, least_px)
    image = JpegImagePlugin.JpegImageFile(io.BytesIO(stream.data))
    values = jpeg.decoded(stream)
    if values is None:
        return image
    picture = Image.fromarray(values)
    picture.info = image.info  # its EXIF data
    return picture


def _open_tiff(data: bytes, least_px: int) -> ImageFile.ImageFile:
    tiff.check(data, least_px)
    return TiffImagePlugin.TiffImageFile(io.BytesIO(data))


def _is_bmp(data: bytes) -> bool:
    return data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in _BMP_HEADERS


def _is_quick_bmp(data: bytes) -> bool:
    """Pillow reads compressed BMP slowly."""
    is_compressed = int.from_bytes(data[14:18], "little") > 12 and data[30:34] != b"\0\0\0\0"
    return not is_compressed


FORMATS = (
    Format("PNG", lambda data: data.startswith(_PNG_MAGIC), _is_quick_png, _open_png),
    Format("JPEG", lambda data: data.startswith(jpeg.START), _is_quick_jpeg, _open_jpeg),
    # TIFF has chains of directories and a dozen decoders
    Format("TIFF", lambda data: data.startswith(tiff.MAGIC), lambda data: False, _open_tiff),
    Format(
        "BMP", _is_bmp, _is_quick_bmp,
        lambda data, least_px: BmpImagePlugin.BmpImageFile(io.BytesIO(data)),
    ),
)  # fmt: skip
"""In the order in which they are tried. DICOM is read by :mod:`mandora.images.dicom`."""
