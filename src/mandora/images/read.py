"""One reader for every film format: PNG, JPEG, TIFF, BMP, DICOM in, a :class:`Radiograph` out.

The format is found from the content, not from the extension. Whatever is wrong with a file,
the only exception is :class:`UnreadableFilm`, and its text never quotes a tag's content: a
DICOM header identifies the patient.
"""

from __future__ import annotations

import hashlib
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

from PIL import Image, ImageFile

from mandora.core.anatomy import Limb, Side
from mandora.core.archives import open_film
from mandora.core.errors import InputError
from mandora.core.files import AnyPath
from mandora.core.inputs import NotRegular, open_regular
from mandora.images.decoder import decode
from mandora.images.dicom_file import is_dicom
from mandora.images.header import FilmHeader
from mandora.images.radiograph import (
    AGAIN,
    DAMAGED,
    MIN_SIDE_PX,
    FilmTags,
    Picture,
    Radiograph,
    UnreadableFilm,
)
from mandora.images.raster import FORMATS, Stored, is_quick, read_raster, read_stored

MAX_BYTES = 1 << 30
_HEADER_BYTES = 8 << 20  # few DICOM files have more in front of their pixels
_FIRST_BYTES = 1024
_PICTURES = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"BM")
_LOCK = threading.Lock()


def read_radiograph(path: AnyPath, least_px: int = MIN_SIDE_PX) -> Radiograph:
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
        UnreadableFilm: for any fault.
    """
    path = Path(path)
    with _faults_named(path):
        data = _read_bytes(path)
        picture = _picture(data, least_px)
        return Radiograph(
            picture.pixels,
            _name(path),
            hashlib.sha256(data).hexdigest(),
            picture.spacing_mm,
            *picture.tags,
            picture.remarks,
            picture.file_px,
        )


def read_labels(path: AnyPath, as_grey: bool = False) -> Stored:
    """Read a label map or a mask, by the rules that films are read by.

    Args:
        path: a PNG, JPEG, TIFF or BMP.
        as_grey: give the grey that a viewer shows, not the values that are stored.

    Raises:
        UnreadableFilm: for any fault.
    """
    path = Path(path)
    with _faults_named(path):
        data = _read_bytes(path)
        if is_quick(data):
            with _strict():
                return read_stored(data, as_grey)
        values, about = decode("mask" if as_grey else "labels", data)
        return Stored(about["mode"], values)


def peek_size(path: AnyPath) -> tuple[int, int] | None:
    """(width, height), px, that the header of a PNG, JPEG, TIFF or BMP file states.

    Returns:
        None if it is another file or cannot be read.
    """
    try:
        # Image.open warns of large pictures; here none is decoded
        names = [known.name for known in FORMATS]
        with open_regular(Path(path)) as file, _strict(), Image.open(file, "r", names) as image:
            return image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def peek_kind(path: AnyPath) -> Literal["dicom", "picture"] | None:
    """What kind of film the first bytes of a file say that it is.

    Returns:
        None if they are those of no film.

    Raises:
        UnreadableFilm: if they cannot be read.
    """
    path = Path(path)
    with _faults_named(path), _open(path) as file:
        data = file.read(_FIRST_BYTES)
    if is_dicom(data):
        return "dicom"
    return "picture" if data.startswith(_PICTURES) else None


def peek_header(path: AnyPath) -> FilmHeader | None:
    """Read a DICOM header, without the pixels.

    Returns:
        What it says of patient, study and limb; None if the file is not DICOM.

    Raises:
        UnreadableFilm: if it is DICOM and its header cannot be read.
    """
    path = Path(path)
    with _faults_named(path), _open(path) as file:
        data = file.read(_HEADER_BYTES)
        if not is_dicom(data):
            return None
        try:
            about = decode("header", data)[1]
        except UnreadableFilm:
            rest = file.read(MAX_BYTES)
            if not rest:
                raise
            about = decode("header", data + rest)[1]
        return FilmHeader.from_json(about["header"])


def _name(path: Path) -> str:
    # bytes in a file name that are not text cannot be written as JSON
    return (path.name or str(path)).encode("utf-8", "replace").decode()


@contextmanager
def _faults_named(path: Path) -> Iterator[None]:
    try:
        yield
    except UnreadableFilm as error:
        raise UnreadableFilm(f"{_name(path)}: {error}") from None
    except FileNotFoundError:
        fault = "there is no such file; check the path"
        if path.is_symlink():
            fault = "it is a link to a file that does not exist; correct or remove the link"
        raise UnreadableFilm(f"{_name(path)}: {fault}") from None
    except PermissionError:
        raise UnreadableFilm(
            f"{_name(path)}: the file may not be read; check its permissions"
        ) from None
    except MemoryError:
        fault = "there is not enough memory to decode it; close other programs and try again"
        raise UnreadableFilm(f"{_name(path)}: {fault}") from None
    except Exception:
        # Decoders fail in any way they like. Their texts are dropped: they may quote tags.
        raise UnreadableFilm(f"{_name(path)}: {DAMAGED}") from None


@contextmanager
def _strict() -> Iterator[None]:
    """Let Pillow refuse truncated pictures, whatever the program has set, and give no warnings.

    These switches are global to the process, so they are changed under a lock and restored.
    """
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = False
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before


def _open(path: Path) -> IO[bytes]:
    try:
        return open_film(path)
    except NotRegular as error:
        fault = str(error).removeprefix(f"{path}: is ").replace("a file", "an image file")
        raise UnreadableFilm(f"this is {fault}") from None
    except InputError as error:
        raise UnreadableFilm(str(error).removeprefix(f"{path.name}: ")) from None


def _read_bytes(path: Path) -> bytes:
    with _open(path) as file:
        data = file.read(MAX_BYTES + 1)
    if not data:
        raise UnreadableFilm(f"the file is empty (0 bytes); {AGAIN}")
    if len(data) > MAX_BYTES:
        raise UnreadableFilm(f"the file is larger than {MAX_BYTES >> 20} MiB; {AGAIN}")
    return data


def _picture(data: bytes, least_px: int) -> Picture:
    if not is_dicom(data) and is_quick(data):
        with _strict():
            return read_raster(data, least_px)
    pixels, about = decode("dicom" if is_dicom(data) else "film", data, least_px)
    across, down = about["file_px"]
    remarks = tuple(about["remarks"])
    return Picture(pixels, remarks, _tags(about), about["spacing_mm"], (across, down))


def _tags(about: Mapping[str, Any]) -> FilmTags:
    side, limb = about["side"], about["limb"]
    return FilmTags(side and Side(side), limb and Limb(limb))
