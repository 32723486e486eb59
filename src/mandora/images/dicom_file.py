"""DICOM files as data sets: with and without preamble, deflated, and with a wrong or no syntax.

No text quotes a tag's content: a header identifies the patient.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from typing import TYPE_CHECKING, Any

from mandora.images.radiograph import (
    AGAIN,
    DAMAGED,
    SEVERAL_PICTURES,
    UnreadableFilm,
    check_size,
)

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MAX_UNFOLDED_BYTES = 1 << 30
"""Bytes of a deflated file that are unfolded; more than the largest film that is read."""

_PREAMBLE = 132  # bytes, the last four of which are DICM
_META, _FIRST, _SYNTAX = 0x0002, 0x0008, 0x0010  # groups of file meta information and of the rest
_LONG_VALUES = (b"OB", b"OW", b"OF", b"SQ", b"UT", b"UN")
_VR = re.compile(rb"AE|AS|CS|DA|DS|DT|IS|LO|LT|PN|SH|ST|TM|UI|UL|US|OB|SQ")
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_REQUIRED = (
    "BitsAllocated", "BitsStored", "SamplesPerPixel", "PhotometricInterpretation",
    "PixelRepresentation",
)  # fmt: skip


def is_dicom(data: bytes) -> bool:
    """Whether a file that starts like this is a DICOM file, with or without a preamble."""
    if data[128:_PREAMBLE] == b"DICM" or data.startswith(b"DICM"):
        return True
    return any(_starts_with_elements(data, order) for order in "<>")


def _starts_with_elements(data: bytes, order: str) -> bool:
    """Whether two data elements of the first groups, in ascending order, are at the beginning."""
    before, at = -1, 0
    for _ in range(2):
        if at + 12 > len(data):
            return False
        group, element = struct.unpack_from(order + "HH", data, at)
        tag = group << 16 | element
        if group not in (_META, _FIRST) or tag <= before or element > 0x3000:
            return False
        if _VR.fullmatch(data[at + 4 : at + 6]):
            long = data[at + 4 : at + 6] in _LONG_VALUES
            (length,) = struct.unpack_from(order + ("L" if long else "H"), data, at + 6 + 2 * long)
            at += 12 if long else 8
        else:
            (length,) = struct.unpack_from(order + "L", data, at + 4)
            at += 8
        if length > 1024:
            return False
        before, at = tag, at + length
    return True


def opened(data: bytes, **options: Any) -> Dataset:
    """Parse a DICOM file.

    Args:
        data: the file, or its beginning.
        options: of ``pydicom.dcmread``.

    Raises:
        UnreadableFilm: if pydicom is not installed, or the file unfolds to more than a film.
        Exception: whatever the parser raises.
    """
    try:
        from pydicom import dcmread
        from pydicom.uid import ExplicitVRLittleEndian
    except ImportError:
        raise UnreadableFilm(
            "reading DICOM files needs more packages; run: pip install mandora[dicom]"
        ) from None
    if data.startswith(b"DICM"):
        data = bytes(_PREAMBLE - 4) + data
    is_deflated, start = _meta_information(data)
    if not is_deflated:
        # without force, a file without preamble is refused
        return dcmread(io.BytesIO(data), force=True, **options)
    dataset = dcmread(io.BytesIO(_unfolded(data[start:])), force=True, **options)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def _meta_information(data: bytes) -> tuple[bool, int]:
    """Whether the file meta information says that what follows is deflated, and where it ends."""
    at = _PREAMBLE if data[128:_PREAMBLE] == b"DICM" else 0
    is_deflated = False
    while at + 8 <= len(data):
        group, element = struct.unpack_from("<HH", data, at)
        if group != _META:
            break
        if data[at + 4 : at + 6] in _LONG_VALUES:
            (length,), start = struct.unpack_from("<L", data, at + 8), at + 12
        else:
            (length,), start = struct.unpack_from("<H", data, at + 6), at + 8
        at = start + length
        if element == _SYNTAX:
            is_deflated = data[start:at].strip(b"\0 ") == _DEFLATED
    return is_deflated, at


def _unfolded(deflated: bytes) -> bytes:
    # pydicom would unfold all of it, however much that is
    body = zlib.decompressobj(-zlib.MAX_WBITS).decompress(deflated, MAX_UNFOLDED_BYTES + 1)
    if len(body) > MAX_UNFOLDED_BYTES:
        raise UnreadableFilm(
            f"the deflated file unfolds to more than {MAX_UNFOLDED_BYTES >> 20} MiB; {AGAIN}"
        )
    return body


def check_header(dataset: Dataset) -> None:
    """Refuse what the header alone shows to be unusable.

    Raises:
        UnreadableFilm: with a fault in words.
    """
    if not ("Rows" in dataset and "Columns" in dataset):
        if "PixelData" in dataset:
            raise UnreadableFilm(f"Rows or Columns is missing in the header; {AGAIN}")
        raise UnreadableFilm(
            "this DICOM file contains no picture, or its header is damaged; give image files only"
        )
    if not all(isinstance(dataset[name].value, int) for name in ("Rows", "Columns")):
        raise UnreadableFilm(DAMAGED)
    check_size(int(dataset.Columns), int(dataset.Rows))
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        raise UnreadableFilm(SEVERAL_PICTURES)
    for keyword in ("FloatPixelData", "DoubleFloatPixelData"):
        if keyword in dataset:
            raise UnreadableFilm("its pixels are not whole numbers; export it with 16-bit pixels")
    if not dataset.get("PixelData"):
        raise UnreadableFilm(
            f"the header describes a picture but the pixels are missing or cut off; {AGAIN}"
        )
    for keyword in _REQUIRED:
        if dataset.get(keyword) in (None, ""):
            raise UnreadableFilm(f"{keyword} is missing in the header; {AGAIN}")
    allocated, stored = dataset.BitsAllocated, dataset.BitsStored
    if allocated not in (8, 16, 32) or not 1 <= stored <= allocated:
        raise UnreadableFilm(
            f"its pixels have {stored} bits in {allocated} (BitsStored, BitsAllocated), which is "
            "not read; export it with 8 or 16 bits"
        )


def numbers(dataset: Dataset, keyword: str) -> list[float]:
    """The values of a tag, decimal strings read as kindly as possible: also ``2048,5``.

    Returns:
        As many as the tag has; none if it is absent, blank, or one of them is no number.
    """
    from pydicom.datadict import dictionary_VR

    if keyword not in dataset:
        return []
    value: Any
    if dictionary_VR(keyword) in ("DS", "IS"):
        value = dataset.get_item(keyword).value
        if isinstance(value, bytes):  # pydicom would refuse what is no number
            value = value.decode("ascii", "replace").split("\\")
    else:
        value = dataset[keyword].value
    if value is None or isinstance(value, str | int | float):
        value = [value]
    try:
        # a comma is a decimal point of some languages
        return [float(str(one).strip(" \0").replace(",", ".")) for one in value]
    except ValueError:
        return []
