"""The stored values of a DICOM film, whatever its transfer syntax; pydicom's decoders decode.

What the bytes of a compressed stream show goes before what the header says of them: headers are
changed by archives, streams are not. Some decoders crash on a damaged stream, or report it on
standard error only: they run in the decoding process, see :mod:`mandora.images.decoder_program`.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mandora.images import jpeg
from mandora.images.radiograph import DAMAGED, UnreadableFilm

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.uid import UID

Levels = NDArray[Any]

_ITEM = b"\xfe\xff\x00\xe0"  # begins encapsulated pixels
_JPEG_2000 = (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ")  # a code stream, a file
_GREY = ("MONOCHROME1", "MONOCHROME2")
_ROUGHER = 1.1
"""How much larger the differences between neighbours are where values were wrapped round."""


class _Stream(NamedTuple):
    """One compressed frame.

    Attributes:
        data: its bytes.
        syntax: of the decoder that takes it.
        bits: of a value, as the stream itself says.
        signed: whether the stream says that values may be below 0; None where it cannot say.
    """

    data: bytes
    syntax: UID
    bits: int
    signed: bool | None = None


def stored_levels(dataset: Dataset, remarks: list[str]) -> Levels:
    """Decode the picture.

    Args:
        dataset: whose header was checked.
        remarks: where the header was not believed is added to them.

    Returns:
        (H, W) integers as stored, in the header's meaning (masked, shifted and signed), or
        (H, W, 3) uint8 RGB.

    Raises:
        UnreadableFilm: with a fault in words.
        Exception: whatever the decoders raise.
    """
    stream = _stream(dataset)
    decoded = _native(dataset) if stream is None else _decompressed(dataset, stream)
    if decoded.ndim == 2 and _photometric(dataset) in _GREY:
        return _meant(dataset, decoded, stream, remarks)
    if decoded.ndim == 2 and _photometric(dataset) == "PALETTE COLOR":
        decoded = _painted(dataset, decoded)
    if decoded.ndim == 3 and decoded.shape[2] == 3 and decoded.dtype == np.uint8:
        return decoded
    raise UnreadableFilm("the picture is neither grey nor 8-bit colour; export it as grey")


def _photometric(dataset: Dataset) -> str:
    return str(dataset.PhotometricInterpretation).strip(" \0").upper()


def _painted(dataset: Dataset, indices: Levels) -> Levels:
    from pydicom.pixels.processing import apply_color_lut

    colours = np.asarray(apply_color_lut(indices, dataset))
    return (colours >> 8).astype(np.uint8) if colours.dtype.itemsize == 2 else colours


# ── the bytes ────────────────────────────────────────────────────────────────────────────


def _native(dataset: Dataset) -> Levels:
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

    is_little = dataset.original_encoding[1] is not False
    syntax = ExplicitVRLittleEndian if is_little else ExplicitVRBigEndian
    pixels = dataset["PixelData"]
    return _decoded(dataset, pixels.value, syntax, dataset.BitsAllocated, pixel_vr=pixels.VR)


def _stream(dataset: Dataset) -> _Stream | None:
    """The compressed frame; None for pixels that are not compressed, whatever the header says."""
    from pydicom.encaps import get_frame
    from pydicom.uid import UID, RLELossless

    pixels = dataset["PixelData"]
    count = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel
    is_whole = len(pixels.value) == count * dataset.BitsAllocated // 8
    if not pixels.value.startswith(_ITEM) or (is_whole and not pixels.is_undefined_length):
        return None
    stated = UID(dataset.file_meta.get("TransferSyntaxUID") or "")
    data = get_frame(pixels.value, 0, number_of_frames=1)
    if data.startswith(jpeg.START):
        return _jpeg_stream(dataset, data)
    if data.startswith(_JPEG_2000):
        return _jpeg_2000_stream(dataset, data, stated)
    if stated == RLELossless:
        _check_runs(data, dataset.Rows * dataset.Columns)
        return _Stream(data, stated, dataset.BitsAllocated)
    return _Stream(data, stated, dataset.BitsStored)


def _jpeg_stream(dataset: Dataset, data: bytes) -> _Stream:
    from pydicom.uid import JPEGBaseline8Bit, JPEGLossless, JPEGLSLossless

    parsed = jpeg.parse(data)
    # the stream has a size of its own, by which memory is taken
    _check_stream_size(dataset, parsed.height, parsed.width, parsed.components)
    if parsed.process == jpeg.LS:
        syntax = JPEGLSLossless
    elif parsed.bits == 8 and parsed.process != jpeg.LOSSLESS:
        syntax = JPEGBaseline8Bit
    else:  # gdcm decodes 12 bits, too, but pydicom does not ask it to under their own syntax
        syntax = JPEGLossless
    return _Stream(data, syntax, parsed.bits)


def _jpeg_2000_stream(dataset: Dataset, data: bytes, stated: UID) -> _Stream:
    from pydicom.uid import JPEG2000, JPEG2000TransferSyntaxes

    try:
        import openjpeg
    except ImportError:
        raise UnreadableFilm(_no_decoder("JPEG 2000")) from None
    # from the decoder itself: what looks like the marker need not be it
    head: dict[str, Any] = openjpeg.get_parameters(data)  # type: ignore[attr-defined]
    _check_stream_size(dataset, head["rows"], head["columns"], head["samples_per_pixel"])
    syntax = stated if stated in JPEG2000TransferSyntaxes else JPEG2000
    return _Stream(data, syntax, head["precision"], head["is_signed"])


def _check_stream_size(dataset: Dataset, rows: int, columns: int, samples: int) -> None:
    stated = dataset.Rows, dataset.Columns, dataset.SamplesPerPixel
    if (rows, columns, samples) != stated:
        raise UnreadableFilm(DAMAGED)


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


def _decompressed(dataset: Dataset, stream: _Stream) -> Levels:
    from pydicom.encaps import encapsulate

    # a decoder is told what the stream holds, whatever the header says of it
    allocated = 8 if stream.bits <= 8 else 16 if stream.bits <= 16 else 32
    return _decoded(
        dataset, encapsulate([stream.data]), stream.syntax, allocated,
        bits_stored=stream.bits, pixel_representation=int(bool(stream.signed)),
    )  # fmt: skip


def _no_decoder(compression: str) -> str:
    return (
        f"its compression ({compression}) cannot be decoded here; run: pip install "
        "mandora[dicom], or export the film uncompressed"
    )


def _decoded(dataset: Dataset, data: bytes, syntax: UID, allocated: int, **options: Any) -> Levels:
    """(H, W) as stored, or (H, W, 3) RGB."""
    from pydicom.pixels.decoders.base import get_decoder

    from mandora.images import openjpeg_plugin

    try:
        decoder = get_decoder(syntax)
        openjpeg_plugin.use(decoder)
    except NotImplementedError:
        decoder = None
    if decoder is None or not decoder.is_available:
        # an unknown UID is its own name: a tag's content is not quoted
        raise UnreadableFilm(_no_decoder("unknown" if syntax.name == str(syntax) else syntax.name))
    name = openjpeg_plugin.NAME
    plugin = name if name in decoder.available_plugins else ""
    about = {
        "rows": dataset.Rows, "columns": dataset.Columns, "number_of_frames": 1,
        "samples_per_pixel": dataset.SamplesPerPixel, "bits_allocated": allocated,
        "bits_stored": allocated, "pixel_representation": dataset.PixelRepresentation,
        "photometric_interpretation": _photometric(dataset),
        "planar_configuration": dataset.get("PlanarConfiguration") or 0,
        "pixel_keyword": "PixelData", "allow_excess_frames": False,
    }  # fmt: skip
    values, _ = decoder.as_array(data, index=0, decoding_plugin=plugin, **{**about, **options})
    return np.asarray(values)


# ── their meaning ────────────────────────────────────────────────────────────────────────


def _meant(dataset: Dataset, decoded: Levels, stream: _Stream | None, remarks: list[str]) -> Levels:
    """Values by BitsStored, HighBit and PixelRepresentation (DICOM PS3.5, 8.1.1).

    Bits beside the stored ones may hold an overlay, or anything.
    """
    raw = decoded.view(f"{decoded.dtype.byteorder}u{decoded.dtype.itemsize}")
    held = stream.bits if stream else int(dataset.BitsAllocated)
    bits = min(int(dataset.BitsStored), held)
    shift = _shift(dataset, raw, bits, held, remarks)
    signed = dataset.PixelRepresentation == 1
    levels = _field(raw, shift, bits, signed)
    if shift == 0 and bits < held and _is_rougher(levels, other := _field(raw, 0, held, signed)):
        remarks.append(f"values need more than the {bits} bits that BitsStored says; all were used")
        return other
    if stream and stream.signed is not None and stream.signed != signed:
        other = _field(raw, shift, bits, not signed)
        if _is_rougher(levels, other):
            remarks.append("PixelRepresentation contradicts the compressed stream, which was used")
            return other
    return levels


def _shift(dataset: Dataset, raw: Levels, bits: int, held: int, remarks: list[str]) -> int:
    """Bits below the lowest stored one."""
    shift = int(dataset.get("HighBit", bits - 1)) + 1 - bits
    if shift == 0 or bits == held:
        return 0
    if not 0 < shift <= held - bits or not (raw >> bits).any():
        remarks.append("HighBit is not where the values end; it was not used")
        return 0
    return shift


def _field(raw: Levels, shift: int, bits: int, signed: bool) -> Levels:
    """Bits ``shift`` to ``shift + bits`` of each value, as whole numbers that may be signed."""
    width = 8 * raw.dtype.itemsize
    if not signed:
        return (raw >> shift) & ((1 << bits) - 1) if bits < width else raw
    # shifting a signed number to the right repeats its sign
    up = (raw << (width - shift - bits)).view(f"i{raw.dtype.itemsize}")
    return up >> (width - bits)


def _is_rougher(levels: Levels, other: Levels) -> bool:
    """Whether neighbours differ so much more that values must have been wrapped round."""
    sums = [np.abs(np.diff(one[::4].astype(np.float64), axis=1)).sum() for one in (levels, other)]
    return bool(sums[0] > _ROUGHER * sums[1])
