"""One reader for every film format: PNG, JPEG, TIFF, BMP, DICOM in, a :class:`Radiograph` out.

The format is found from the content, not from the extension. Whatever is wrong with a file,
the only exception is :class:`UnreadableFilm`, and its text never quotes a tag's content: a
DICOM header identifies the patient.
"""

from __future__ import annotations

import hashlib
import io
import logging
import stat
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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

from mandora.images.dicom import is_dicom, read_dicom, read_tags
from mandora.images.radiograph import (
    AGAIN,
    DAMAGED,
    MIN_SIDE_PX,
    SEVERAL_PICTURES,
    FilmTags,
    Picture,
    Radiograph,
    UnreadableFilm,
    check_size,
    spread,
    turned,
)

MAX_BYTES = 1 << 30
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)  # sizes, bytes; b"BM" alone may start a text
_ORIENTATION = 0x0112  # EXIF tag
_PHOTOMETRIC = 262  # TIFF tag; 0 means that white is zero
_LOCK = threading.Lock()


def read_radiograph(path: Path, least_px: int = MIN_SIDE_PX) -> Radiograph:
    """Read a film.

    Args:
        path: a PNG, JPEG, TIFF (8 or 16 bit, grey or colour, one page), BMP or a single-frame
            DICOM file (extra ``dicom``).
        least_px: the shorter side that is needed; ``radiograph.MIN_JOINT_PX`` for a picture of
            one joint. DICOM files are films: for them it stays as it is.

    Returns:
        The film as a viewer shows it: turned as EXIF says, windowed as DICOM says, bright
        bone. 8-bit images are divided by 255; deeper ones are spread over 0..1 between the
        lowest and the highest value present.

    Raises:
        UnreadableFilm: whatever is wrong.
    """
    with _refusals(path):
        data = _read_bytes(path)
        with _strict_and_quiet():
            picture = read_dicom(data) if is_dicom(data) else _read_raster(data, least_px)
        return Radiograph(
            picture.pixels,
            _name(path),
            hashlib.sha256(data).hexdigest(),
            picture.spacing_mm,
            *picture.tags,
            picture.remarks,
        )


def peek_tags(path: Path) -> FilmTags | None:
    """Read side and limb from a DICOM header, without the pixels or anything on the patient.

    Returns:
        None if the file is not DICOM.

    Raises:
        UnreadableFilm: if it is DICOM and its header cannot be read.
    """
    with _refusals(path), path.open("rb") as file, _strict_and_quiet():
        return read_tags(file)


def _name(path: Path) -> str:
    # bytes that are no text in a file name would break every JSON file downstream
    return (path.name or str(path)).encode("utf-8", "replace").decode()


@contextmanager
def _refusals(path: Path) -> Iterator[None]:
    try:
        yield
    except UnreadableFilm as error:
        raise UnreadableFilm(f"{_name(path)}: {error}") from None
    except FileNotFoundError:
        fault = "there is no such file; check the path"
        if path.is_symlink():
            fault = "it is a link to a file that is not there; mend or remove the link"
        raise UnreadableFilm(f"{_name(path)}: {fault}") from None
    except PermissionError:
        raise UnreadableFilm(
            f"{_name(path)}: the file may not be read; check its permissions"
        ) from None
    except Exception:
        # Decoders fail in any way they like. Their texts are dropped: they may quote tags.
        raise UnreadableFilm(f"{_name(path)}: {DAMAGED}") from None


@contextmanager
def _strict_and_quiet() -> Iterator[None]:
    """No half-decoded pictures, and no warnings: those of pydicom quote tags.

    These switches are global to the process, so they are changed under a lock and restored.
    """
    log = logging.getLogger("pydicom")
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = ImageFile.LOAD_TRUNCATED_IMAGES, log.disabled
        ImageFile.LOAD_TRUNCATED_IMAGES, log.disabled = False, True
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES, log.disabled = before


def _read_bytes(path: Path) -> bytes:
    info = path.stat()
    if stat.S_ISDIR(info.st_mode):
        raise UnreadableFilm("this is a folder; name a film in it")
    if not stat.S_ISREG(info.st_mode):
        raise UnreadableFilm("this is no regular file; name an image file")
    if info.st_size == 0:
        raise UnreadableFilm(f"the file is empty (0 bytes); {AGAIN}")
    if info.st_size > MAX_BYTES:
        raise UnreadableFilm(f"the file is larger than {MAX_BYTES >> 20} MiB; {AGAIN}")
    return path.read_bytes()


def _read_raster(data: bytes, least_px: int) -> Picture:
    image = _open_raster(data)
    check_size(*image.size, least_px)
    if getattr(image, "n_frames", 1) > 1:
        raise UnreadableFilm(SEVERAL_PICTURES)
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


def _open_raster(data: bytes) -> ImageFile.ImageFile:
    # The format's class is called directly: Image.open would warn of, or refuse, large
    # pictures by a limit that is global to the process. The limit here is check_size.
    if data.startswith(_PNG_MAGIC):
        _check_png(data)
        return PngImagePlugin.PngImageFile(io.BytesIO(data))
    if data.startswith(b"\xff\xd8\xff"):
        return JpegImagePlugin.JpegImageFile(io.BytesIO(data))
    if data.startswith(_TIFF_MAGIC):
        return TiffImagePlugin.TiffImageFile(io.BytesIO(data))
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in _BMP_HEADERS:
        return BmpImagePlugin.BmpImageFile(io.BytesIO(data))
    raise UnreadableFilm(
        "this is not a PNG, JPEG, TIFF, BMP or DICOM file; save it as one of these"
    )


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
