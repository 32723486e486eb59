"""One reader for every film format: PNG, JPEG, TIFF and DICOM in, a :class:`Radiograph` out.

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
import subprocess
import sys
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin

from mandora.anatomy import Side
from mandora.images.radiograph import (
    AGAIN,
    FilmTags,
    Pixels,
    Radiograph,
    UnreadableFilm,
    check_size,
    limb_named,
    spread,
    true_spacing_mm,
    turned,
)

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.uid import UID

MAX_BYTES = 1 << 30
_DAMAGED = f"the file is damaged or truncated and cannot be decoded; {AGAIN}"
_FRAMES = "the file holds more than one picture; save each film as a file of its own"
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_J2K_MAGIC = b"\xff\x4f\xff\x51"  # start of codestream, image size
_DECODE_SECONDS = 120
_DECODE = """
import sys, io, numpy, pydicom
pixels = pydicom.dcmread(io.BytesIO(sys.stdin.buffer.read())).pixel_array
numpy.save(sys.stdout.buffer, pixels)
"""
_HEAD_BYTES = 4096
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_ORIENTATION = 0x0112  # EXIF tag
_PHOTOMETRIC = 262  # TIFF tag; 0 means that white is zero
_TAGS = ["ImageLaterality", "Laterality", "BodyPartExamined", "AnatomicRegionSequence"]
_LOCK = threading.Lock()


class _Picture(NamedTuple):
    pixels: Pixels
    remarks: tuple[str, ...]
    tags: FilmTags = FilmTags(None, None)
    spacing_mm: float | None = None


def read_radiograph(path: Path) -> Radiograph:
    """Read a film.

    Args:
        path: a PNG, JPEG, TIFF (8 or 16 bit, grey or colour, one page) or a single-frame DICOM
            file (extra ``dicom``).

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
            picture = _read_dicom(data) if _is_dicom(data) else _read_raster(data)
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
    with _refusals(path), path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        if not _is_dicom(head):
            return None
        dcmread = _dicom_reader(head)
        file.seek(0)
        with _strict_and_quiet():
            return _film_tags(dcmread(file, stop_before_pixels=True, specific_tags=_TAGS))


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
        raise UnreadableFilm(f"{_name(path)}: there is no such file; check the path") from None
    except PermissionError:
        raise UnreadableFilm(
            f"{_name(path)}: the file may not be read; check its permissions"
        ) from None
    except Exception:
        # Decoders fail in any way they like. Their texts are dropped: they may quote tags.
        raise UnreadableFilm(f"{_name(path)}: {_DAMAGED}") from None


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


# --- PNG, JPEG, TIFF ------------------------------------------------------------------------


def _read_raster(data: bytes) -> _Picture:
    image = _open_raster(data)
    check_size(*image.size)
    if getattr(image, "n_frames", 1) > 1:
        raise UnreadableFilm(_FRAMES)
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
    return _Picture(pixels, tuple(remarks))


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
    raise UnreadableFilm("this is not a PNG, JPEG, TIFF or DICOM file; save it as one of these")


def _check_png(data: bytes) -> None:
    """Verify the chunks' checksums and the end mark, which Pillow does in part only."""
    view, at = memoryview(data), len(_PNG_MAGIC)
    while at + 12 <= len(data):
        end = at + 12 + struct.unpack_from(">I", data, at)[0]
        if end > len(data):
            break
        if zlib.crc32(view[at + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            raise UnreadableFilm(_DAMAGED)
        if data[at + 4 : at + 8] == b"IEND":
            return
        at = end
    raise UnreadableFilm(_DAMAGED)


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


# --- DICOM ----------------------------------------------------------------------------------


def _is_dicom(data: bytes) -> bool:
    return data[128:132] == b"DICM"


def _dicom_reader(head: bytes) -> Any:
    if _DEFLATED in head[:_HEAD_BYTES]:
        # a small deflated file can unfold to any size before a tag can be looked at
        raise UnreadableFilm(
            "the file has the transfer syntax Deflated Explicit VR Little Endian, which is not "
            "supported; export it uncompressed"
        )
    try:
        from pydicom import dcmread
    except ImportError:
        raise UnreadableFilm(
            "reading DICOM files needs more packages; run: pip install mandora[dicom]"
        ) from None
    return dcmread


def _read_dicom(data: bytes) -> _Picture:
    dataset = _dicom_reader(data)(io.BytesIO(data))
    _check_dicom(dataset)
    remarks: list[str] = []
    tags, spacing_mm = _film_tags(dataset), _spacing_mm(dataset, remarks)
    levels = _stored_levels(dataset, data)
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    if levels.ndim == 2:
        levels = _voi(_modality(levels, dataset), dataset, remarks)
    else:
        levels = np.asarray(Image.fromarray(levels).convert("L"))
    pixels = spread(levels)
    if inverted:
        np.subtract(1, pixels, out=pixels)
    return _Picture(pixels, tuple(remarks), tags, spacing_mm)


def _check_dicom(dataset: Dataset) -> None:
    """Refuse from the header alone whatever can be refused."""
    if not ("Rows" in dataset and "Columns" in dataset):
        raise UnreadableFilm("this DICOM file holds no picture; give the image files only")
    check_size(int(dataset.Columns), int(dataset.Rows))
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        raise UnreadableFilm(_FRAMES)
    if not dataset.get("PixelData"):
        raise UnreadableFilm(
            f"the header describes a picture but the pixels are missing or cut off; {AGAIN}"
        )
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated and not _can_decode(syntax):
        raise UnreadableFilm(
            f"its compression ({syntax.name}) cannot be decoded here; run: pip install "
            "mandora[dicom], or export the film uncompressed"
        )


def _can_decode(syntax: UID) -> bool:
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import JPEG2000TransferSyntaxes

    if syntax in JPEG2000TransferSyntaxes:
        return find_spec("openjpeg") is not None
    try:
        return get_decoder(syntax).is_available
    except NotImplementedError:
        return False


def _stored_levels(dataset: Dataset, data: bytes) -> NDArray[Any]:
    """(H, W) integers as stored, or (H, W, 3) uint8 for a colour capture."""
    levels = _decompressed(dataset, data)
    grey = dataset.PhotometricInterpretation in ("MONOCHROME1", "MONOCHROME2")
    if grey and levels.ndim == 2:
        return levels
    if levels.ndim == 3 and levels.shape[2] == 3 and levels.dtype == np.uint8:
        return levels
    raise UnreadableFilm("the picture is neither grey nor 8-bit colour; export it as grey")


def _decompressed(dataset: Dataset, data: bytes) -> NDArray[Any]:
    from pydicom.encaps import get_frame
    from pydicom.uid import JPEG2000TransferSyntaxes, RLELossless

    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated or syntax == RLELossless:
        return dataset.pixel_array
    if syntax not in JPEG2000TransferSyntaxes:
        return _decoded_apart(data)
    stream = get_frame(dataset.PixelData, 0, number_of_frames=1)
    # the stream has a size of its own, by which it is decoded
    at = stream.index(_J2K_MAGIC) + 8
    right, bottom, left, top = struct.unpack_from(">4I", stream, at)
    if (bottom - top, right - left) != (dataset.Rows, dataset.Columns):
        raise UnreadableFilm(_DAMAGED)
    import openjpeg  # not by gdcm, which a damaged stream brings down

    return np.asarray(openjpeg.decode(stream))  # type: ignore[attr-defined]


def _decoded_apart(data: bytes) -> NDArray[Any]:
    """Decode a JPEG in DICOM in a process of its own.

    The only decoder for lossless JPEG under a suitable licence, gdcm, ends the whole process
    when a stream is damaged, and of milder damage it tells on stderr only.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", "-c", _DECODE],
        input=data,
        capture_output=True,
        timeout=_DECODE_SECONDS,
    )
    if done.returncode != 0 or b"Corrupt JPEG data" in done.stderr:
        raise UnreadableFilm(_DAMAGED)
    return np.asarray(np.load(io.BytesIO(done.stdout), allow_pickle=False))


def _modality(levels: NDArray[Any], dataset: Dataset) -> NDArray[Any]:
    from pydicom.pixels.processing import apply_modality_lut

    slope, intercept = dataset.get("RescaleSlope", 1), dataset.get("RescaleIntercept", 0)
    if "ModalityLUTSequence" not in dataset and (slope, intercept) == (1, 0):
        return levels  # saves a float64 copy
    return np.asarray(apply_modality_lut(levels, dataset))


def _voi(levels: NDArray[Any], dataset: Dataset, remarks: list[str]) -> NDArray[Any]:
    """Apply the file's VOI LUT or its first window, unless that leaves nothing to see."""
    from pydicom.pixels.processing import apply_voi_lut

    for keyword in ("RescaleSlope", "RescaleIntercept"):
        # pydicom scales the window's output by them; a negative slope would invert it again
        if keyword in dataset:
            delattr(dataset, keyword)
    try:
        for item in dataset.get("VOILUTSequence") or ():
            # pydicom counts the entries of a LUT of 8-bit values in 8 bits
            item.LUTDescriptor = [*item.LUTDescriptor[:2], 16]
        shown = np.asarray(apply_voi_lut(levels, dataset))
    except Exception:
        remarks.append("the file's window cannot be applied; the full range is shown")
        return levels
    if shown.min() == shown.max():
        remarks.append("the file's window leaves the film blank; the full range is shown")
        return levels
    return shown


def _film_tags(dataset: Dataset) -> FilmTags:
    letter = dataset.get("ImageLaterality") or dataset.get("Laterality")
    regions = dataset.get("AnatomicRegionSequence") or ()
    texts = [dataset.get("BodyPartExamined"), *(item.get("CodeMeaning") for item in regions)]
    return FilmTags(
        side=Side(letter) if letter in {"L", "R"} else None,
        limb=limb_named(" ".join(str(text or "") for text in texts)),
    )


def _spacing_mm(dataset: Dataset, remarks: list[str]) -> float | None:
    keyword = "PixelSpacing" if dataset.get("PixelSpacing") else "ImagerPixelSpacing"
    stated = dataset.get(keyword)
    if not stated:
        return None
    spacing_mm, remark = true_spacing_mm(stated, (int(dataset.Rows), int(dataset.Columns)))
    if remark:
        remarks.append(f"{keyword} {remark}; it was not used")
    elif keyword == "ImagerPixelSpacing":
        remarks.append("the spacing is the detector's (ImagerPixelSpacing): magnification is in it")
    return spacing_mm
