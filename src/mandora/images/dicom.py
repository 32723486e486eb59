"""Films in DICOM files: which limb they show, and their pixels as a viewer shows them.

:mod:`mandora.images.read` calls this module and turns any error here into
:class:`UnreadableFilm`. No text quotes a tag's content: a header identifies the patient.
"""

from __future__ import annotations

import io
import struct
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mandora.core.anatomy import Side
from mandora.images import jpeg
from mandora.images.header import HEADER_KEYWORDS, FilmHeader, header_of
from mandora.images.radiograph import (
    AGAIN,
    DAMAGED,
    SEVERAL_PICTURES,
    FilmTags,
    Picture,
    UnreadableFilm,
    check_size,
    checked_spacing_mm,
    limb_named,
    rescaled,
)

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.uid import UID

_META, _SYNTAX = 0x0002, 0x0010  # the group of file meta information, its transfer syntax
_LONG_VALUES = (b"OB", b"OW", b"OF", b"SQ", b"UT", b"UN")
_DEFLATED = b"1.2.840.10008.1.2.1.99"


def is_dicom(data: bytes) -> bool:
    """Whether a file that starts like this is a DICOM file."""
    return data[128:132] == b"DICM"


def read_header(data: bytes) -> FilmHeader:
    """Read whose film it is and what it shows from a DICOM header, without the pixels.

    Args:
        data: the file, or its beginning up to the pixels.

    Raises:
        UnreadableFilm: with a fault in words; the message does not name the file yet.
        Exception: whatever the header's parser raises.
    """
    head = _reader(data)(io.BytesIO(data), stop_before_pixels=True, specific_tags=HEADER_KEYWORDS)
    return header_of(head)


def read_dicom(data: bytes) -> Picture:
    """Read a film from the bytes of a single-frame DICOM file.

    Some decoders crash on a damaged stream, or report it on standard error only: call this in
    the decoding process, see :mod:`mandora.images.decoder_program`.

    Raises:
        UnreadableFilm: with a fault in words; the message does not name the file yet.
        Exception: whatever the decoders raise.
    """
    dataset = _reader(data)(io.BytesIO(data))
    _check_dicom(dataset)
    remarks: list[str] = []
    tags, spacing_mm = _film_tags(dataset), _spacing_mm(dataset, remarks)
    levels = _stored_levels(dataset)
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    if levels.ndim == 2:
        levels = _voi(_modality(levels, dataset), dataset, remarks)
    else:
        levels = np.asarray(Image.fromarray(levels).convert("L"))
    pixels = rescaled(levels)
    if inverted:
        np.subtract(1, pixels, out=pixels)
    return Picture(pixels, tuple(remarks), tags, spacing_mm)


def _reader(data: bytes) -> Any:
    if _is_deflated(data):
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


def _is_deflated(data: bytes) -> bool:
    """Whether the file meta information, which is never compressed, says so, however long it is."""
    at = 132
    while at + 8 <= len(data):
        group, element = struct.unpack_from("<HH", data, at)
        if group != _META:
            return False
        if data[at + 4 : at + 6] in _LONG_VALUES:
            (length,), start = struct.unpack_from("<L", data, at + 8), at + 12
        else:
            (length,), start = struct.unpack_from("<H", data, at + 6), at + 8
        at = start + length
        if element == _SYNTAX:
            return data[start:at].strip(b"\0 ") == _DEFLATED
    return False


def _check_dicom(dataset: Dataset) -> None:
    """Refuse what the header alone shows to be unusable."""
    if not ("Rows" in dataset and "Columns" in dataset):
        raise UnreadableFilm("this DICOM file contains no picture; give image files only")
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


def _stored_levels(dataset: Dataset) -> NDArray[Any]:
    """(H, W) integers as stored, or (H, W, 3) uint8 for a colour capture."""
    levels = _decompressed(dataset)
    grey = dataset.PhotometricInterpretation in ("MONOCHROME1", "MONOCHROME2")
    if grey and levels.ndim == 2:
        return levels
    if levels.ndim == 3 and levels.shape[2] == 3 and levels.dtype == np.uint8:
        return levels
    raise UnreadableFilm("the picture is neither grey nor 8-bit colour; export it as grey")


def _decompressed(dataset: Dataset) -> NDArray[Any]:
    from pydicom.encaps import get_frame
    from pydicom.uid import JPEG2000TransferSyntaxes, RLELossless

    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        return dataset.pixel_array
    stream = get_frame(dataset.PixelData, 0, number_of_frames=1)
    if syntax == RLELossless:
        _check_runs(stream, dataset.Rows * dataset.Columns)
        return dataset.pixel_array
    # the stream has a size of its own, by which memory is taken
    if syntax in JPEG2000TransferSyntaxes:
        return _decoded_jpeg_2000(dataset, stream)
    if stream.startswith(jpeg.START):
        parsed = jpeg.parse(stream)
        _check_stream_size(dataset, parsed.height, parsed.width, parsed.components)
    return dataset.pixel_array


def _check_runs(stream: bytes, count: int) -> None:
    """Refuse RLE data whose runs do not make up the picture, as damage in mid-stream does.

    DICOM PS3.5, annex G: a head of 16 numbers, then one segment for each byte of a pixel. What
    changes values within runs, and no run's length, is not seen.

    Args:
        stream: the data of one frame.
        count: pixels of the picture, each of them one byte of every segment.
    """
    segments, *starts = struct.unpack("<16I", stream[:64])
    starts = starts[:segments]
    for start, end in zip(starts, [*starts[1:], len(stream)], strict=True):
        at, made = start, 0
        while made < count and at < end:
            control = stream[at]
            if control < 128:
                at, made = at + control + 2, made + control + 1
            else:
                at, made = at + (1 if control == 128 else 2), made + (257 - control) % 129
        # padding to an even length is not a run
        if made != count or at > end or stream[at:end].strip(b"\0\x80"):
            raise UnreadableFilm(DAMAGED)


def _decoded_jpeg_2000(dataset: Dataset, stream: bytes) -> NDArray[Any]:
    import openjpeg  # not by gdcm, which crashes on a damaged stream

    # from the decoder itself: what looks like the marker need not be it
    head: dict[str, Any] = openjpeg.get_parameters(stream)  # type: ignore[attr-defined]
    _check_stream_size(dataset, head["rows"], head["columns"], head["samples_per_pixel"])
    return np.asarray(openjpeg.decode(stream))  # type: ignore[attr-defined]


def _check_stream_size(dataset: Dataset, rows: int, columns: int, samples: int) -> None:
    stated = dataset.Rows, dataset.Columns, dataset.SamplesPerPixel
    if (rows, columns, samples) != stated:
        raise UnreadableFilm(DAMAGED)


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
    spacing_mm, remark = checked_spacing_mm(stated, (int(dataset.Rows), int(dataset.Columns)))
    if remark:
        remarks.append(f"{keyword} {remark}; it was not used")
    elif keyword == "ImagerPixelSpacing":
        remarks.append("the spacing is the detector's (ImagerPixelSpacing): magnification is in it")
    return spacing_mm
