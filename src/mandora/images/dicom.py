"""Films in DICOM files: which limb they show, and their pixels as a viewer shows them.

:mod:`mandora.images.read` calls this module and turns whatever goes wrong here into
:class:`UnreadableFilm`. No text quotes a tag's content: a header identifies the patient.
"""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mandora.anatomy import Side
from mandora.images.radiograph import (
    AGAIN,
    DAMAGED,
    SEVERAL_PICTURES,
    FilmTags,
    Picture,
    UnreadableFilm,
    check_size,
    limb_named,
    spread,
    true_spacing_mm,
)

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.uid import UID

_J2K_MAGIC = b"\xff\x4f\xff\x51"  # start of codestream, image size
_DECODE_SECONDS = 120
_DECODE = """
import sys, io, numpy, pydicom
pixels = pydicom.dcmread(io.BytesIO(sys.stdin.buffer.read())).pixel_array
numpy.save(sys.stdout.buffer, pixels)
"""
_HEAD_BYTES = 4096
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_TAGS = ["ImageLaterality", "Laterality", "BodyPartExamined", "AnatomicRegionSequence"]


def is_dicom(data: bytes) -> bool:
    """Whether a file that starts like this is a DICOM file."""
    return data[128:132] == b"DICM"


def read_tags(file: BinaryIO) -> FilmTags | None:
    """Read side and limb from a DICOM header, without the pixels or anything on the patient.

    Args:
        file: open, at its start.

    Returns:
        None if the file is not DICOM.

    Raises:
        UnreadableFilm: for what can be told in words; the message does not name the file yet.
        Exception: whatever the header's parser raises.
    """
    head = file.read(_HEAD_BYTES)
    if not is_dicom(head):
        return None
    dcmread = _dicom_reader(head)
    file.seek(0)
    return _film_tags(dcmread(file, stop_before_pixels=True, specific_tags=_TAGS))


def read_dicom(data: bytes) -> Picture:
    """Read a film from the bytes of a single-frame DICOM file.

    Raises:
        UnreadableFilm: for what can be told in words; the message does not name the file yet.
        Exception: whatever the decoders raise.
    """
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
    return Picture(pixels, tuple(remarks), tags, spacing_mm)


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


def _check_dicom(dataset: Dataset) -> None:
    """Refuse from the header alone whatever can be refused."""
    if not ("Rows" in dataset and "Columns" in dataset):
        raise UnreadableFilm("this DICOM file holds no picture; give the image files only")
    check_size(int(dataset.Columns), int(dataset.Rows))
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        raise UnreadableFilm(SEVERAL_PICTURES)
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
        raise UnreadableFilm(DAMAGED)
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
        raise UnreadableFilm(DAMAGED)
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
